/* walk.c - looks at every byte of a msgpack value before msgpack-c may: that library reserves
 * memory for the counts that a message declares (6 bytes are enough for 8 GB). Here a count must
 * fit into the bytes that are left, so whatever passes costs at most some 24 bytes of memory for
 * each byte of input. */
#include "shared/wire/walk.h"

#include <inttypes.h>
#include <string.h>

struct in {
    const uint8_t *base;
    const uint8_t *p;
    size_t left;
};

enum kind { K_BAD, K_LEAF, K_STR, K_BIN, K_ARRAY, K_MAP };

static bool be(struct in *in, size_t n, uint64_t *ret_v)
{
    uint64_t v = 0;
    if (in->left < n)
        return false;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | in->p[i];
    in->p += n;
    in->left -= n;
    *ret_v = v;
    return true;
}

static void step(struct in *in, uint64_t n)
{
    in->p += n;
    in->left -= (size_t)n;
}

/* The tag of the next value and its length or count in *n, which is held against the bytes that are
 * left: K_STR and K_BIN still stand before their bytes, K_ARRAY and K_MAP before their items,
 * K_LEAF is behind its value. */
static enum kind head(struct in *in, uint64_t *n)
{
    uint64_t t;
    enum kind k;
    *n = 0;
    if (!be(in, 1, &t))
        return K_BAD;
    if (t < 0x80 || t >= 0xe0 || t == 0xc0 || t == 0xc2 || t == 0xc3)
        return K_LEAF;
    if (t >= 0xca && t <= 0xd3) { /* float, double, the eight integers */
        size_t size = t == 0xca ? 4 : t == 0xcb ? 8 : (size_t)1 << (t & 3);
        return be(in, size, n) ? K_LEAF : K_BAD;
    }
    if (t <= 0x8f) {
        k = K_MAP;
        *n = t & 0x0f;
    } else if (t <= 0x9f) {
        k = K_ARRAY;
        *n = t & 0x0f;
    } else if (t <= 0xbf) {
        k = K_STR;
        *n = t & 0x1f;
    } else if (t >= 0xc4 && t <= 0xc6) {
        k = be(in, (size_t)1 << (t - 0xc4), n) ? K_BIN : K_BAD;
    } else if (t >= 0xd9 && t <= 0xdb) {
        k = be(in, (size_t)1 << (t - 0xd9), n) ? K_STR : K_BAD;
    } else if (t == 0xdc || t == 0xdd) {
        k = be(in, t == 0xdc ? 2 : 4, n) ? K_ARRAY : K_BAD;
    } else if (t == 0xde || t == 0xdf) {
        k = be(in, t == 0xde ? 2 : 4, n) ? K_MAP : K_BAD;
    } else {
        return K_BAD; /* extension types are not part of our protocol */
    }
    return *n > (k == K_MAP ? in->left / 2 : in->left) ? K_BAD : k;
}

static bool skip(struct in *in, unsigned depth)
{
    uint64_t n;
    enum kind k = head(in, &n);
    if (k == K_BAD)
        return false;
    if (k == K_STR || k == K_BIN)
        step(in, n);
    if (k != K_ARRAY && k != K_MAP)
        return true;
    if (depth >= PW_WIRE_DEPTH)
        return false;
    for (n *= k == K_MAP ? 2 : 1; n > 0; n--)
        if (!skip(in, depth + 1))
            return false;
    return true;
}

static int malformed(const struct in *in, pw_err *err)
{
    return pw_fail(err, PW_EPROTO, "malformed or truncated msgpack near byte %zu",
                   (size_t)(in->p - in->base));
}

int pw_msgpack_check(const void *data, size_t len, pw_err *err)
{
    struct in in = {.base = data, .p = data, .left = len};
    if (!skip(&in, 0))
        return malformed(&in, err);
    if (in.left > 0)
        return pw_fail(err, PW_EPROTO, "%zu trailing bytes", in.left);
    return 0;
}

size_t pw_wire_find(const pw_schema *sc, const char *k, size_t n, size_t *hint)
{
    if (n == 0)
        return sc->n;
    for (size_t j = 0, i = *hint; j < sc->n; j++, i++) {
        if (i >= sc->n)
            i = 0;
        const char *key = sc->field[i].key;
        if (key[0] == k[0] && strlen(key) == n && memcmp(key, k, n) == 0) {
            *hint = i + 1;
            return i;
        }
    }
    return sc->n;
}

static int too_long(const pw_schema *sc, const pw_field *f, uint64_t n, pw_err *err)
{
    return pw_fail(err, PW_ELIMIT,
                   "message \"%s\": field \"%s\" has %" PRIu64 " bytes, the limit is %zu", sc->name,
                   f->key, n, f->max);
}

static int walk_map(struct in *in, const pw_schema *sc, unsigned depth, pw_err *err);

static int walk_items(struct in *in, const pw_schema *sc, const pw_field *f, uint64_t n,
                      unsigned depth, pw_err *err)
{
    if (n > f->count)
        return pw_fail(err, PW_ELIMIT,
                       "message \"%s\": field \"%s\" has %" PRIu64 " items, the limit is %zu",
                       sc->name, f->key, n, f->count);
    if (depth >= PW_WIRE_DEPTH)
        return malformed(in, err);
    for (int r; n > 0; n--) {
        struct in at = *in;
        uint64_t size;
        if (f->type == PW_T_LIST) {
            if ((r = walk_map(in, f->sub, depth + 1, err)) < 0)
                return r;
            continue;
        }
        if (head(in, &size) == K_STR && size > f->max)
            return too_long(sc, f, size, err);
        *in = at;
        if (!skip(in, depth + 1))
            return malformed(in, err);
    }
    return 0;
}

static int walk_field(struct in *in, const pw_schema *sc, const pw_field *f, unsigned depth,
                      pw_err *err)
{
    struct in at = *in;
    uint64_t n;
    enum kind k = head(in, &n);
    if ((f->type == PW_T_STR && k == K_STR) || (f->type == PW_T_BIN && k == K_BIN)) {
        if (n > f->max)
            return too_long(sc, f, n, err);
        step(in, n);
        return 0;
    }
    if ((f->type == PW_T_STRS || f->type == PW_T_LIST) && k == K_ARRAY)
        return walk_items(in, sc, f, n, depth, err);
    *in = at; /* a plain number, or the wrong type: decode says which */
    return skip(in, depth) ? 0 : malformed(in, err);
}

/* depth: containers around this map */
static int walk_map(struct in *in, const pw_schema *sc, unsigned depth, pw_err *err)
{
    uint64_t n, kn;
    size_t hint = 0;
    enum kind k = head(in, &n);
    if (k == K_BAD || depth >= PW_WIRE_DEPTH)
        return malformed(in, err);
    if (k != K_MAP)
        return pw_fail(err, PW_EPROTO, "message \"%s\" is not a map", sc->name);
    for (; n > 0; n--) {
        if (head(in, &kn) != K_STR)
            return pw_fail(err, PW_EPROTO, "message \"%s\" has a key that is no text", sc->name);
        size_t i = pw_wire_find(sc, (const char *)in->p, (size_t)kn, &hint);
        step(in, kn);
        int r = 0;
        if (i < sc->n)
            r = walk_field(in, sc, &sc->field[i], depth + 1, err);
        else if (!skip(in, depth + 1))
            r = malformed(in, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int pw_wire_walk(const pw_schema *sc, const void *data, size_t len, pw_err *err)
{
    struct in in = {.base = data, .p = data, .left = len};
    if (len == 0)
        return pw_fail(err, PW_EPROTO, "message \"%s\" is empty", sc->name);
    int r = walk_map(&in, sc, 0, err);
    if (r < 0)
        return r;
    if (in.left > 0)
        return pw_fail(err, PW_EPROTO, "message \"%s\" has %zu trailing bytes", sc->name, in.left);
    return 0;
}

int pw_wire_type(const void *data, size_t len, const char **ret_type, size_t *ret_n, pw_err *err)
{
    static const char key[] = PW_WIRE_TYPE_KEY;
    struct in in = {.base = data, .p = data, .left = len};
    uint64_t n, kn, vn;
    if (head(&in, &n) != K_MAP)
        return pw_fail(err, PW_EPROTO, "a message is not a map");
    for (; n > 0; n--) {
        if (head(&in, &kn) != K_STR)
            return malformed(&in, err);
        bool hit = kn == sizeof(key) - 1 && memcmp(in.p, key, sizeof(key) - 1) == 0;
        step(&in, kn);
        if (!hit) {
            if (!skip(&in, 1))
                return malformed(&in, err);
            continue;
        }
        if (head(&in, &vn) != K_STR)
            return pw_fail(err, PW_EPROTO, "a message has a type that is no text");
        *ret_type = (const char *)in.p;
        *ret_n = (size_t)vn;
        return 0;
    }
    return pw_fail(err, PW_EPROTO, "a message lacks its type");
}
