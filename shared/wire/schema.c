/* schema.c - encode, decode and clear from a field table; msgpack-c packs and unpacks. */
#include "shared/wire/schema.h"

#include <assert.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/wire/walk.h"

static int oom(pw_err *err)
{
    return pw_fail(err, PW_ENOMEM, "out of memory");
}

/* ---- decode */

static int wrong(const pw_schema *sc, const pw_field *f, const char *what, pw_err *err)
{
    return pw_fail(err, PW_EPROTO, "message \"%s\": field \"%s\" is not %s", sc->name, f->key,
                   what);
}

static int over(const pw_schema *sc, const pw_field *f, size_t n, const char *unit, size_t limit,
                pw_err *err)
{
    return pw_fail(err, PW_ELIMIT, "message \"%s\": field \"%s\" has %zu %s, the limit is %zu",
                   sc->name, f->key, n, unit, limit);
}

static int get_text(const pw_schema *sc, const pw_field *f, const msgpack_object *o, char **ret_s,
                    pw_err *err)
{
    size_t n = o->via.str.size;
    char *s;
    if (o->type != MSGPACK_OBJECT_STR)
        return wrong(sc, f, "a text", err);
    if (n > f->max)
        return over(sc, f, n, "bytes", f->max, err);
    if (n > 0 && memchr(o->via.str.ptr, '\0', n))
        return wrong(sc, f, "a text without zero bytes", err);
    if (!(s = malloc(n + 1)))
        return oom(err);
    if (n > 0)
        memcpy(s, o->via.str.ptr, n);
    s[n] = '\0';
    *ret_s = s;
    return 0;
}

static int get_bin(const pw_schema *sc, const pw_field *f, const msgpack_object *o, pw_bytes *ret_b,
                   pw_err *err)
{
    size_t n = o->via.bin.size;
    uint8_t *p;
    if (o->type != MSGPACK_OBJECT_BIN)
        return wrong(sc, f, "binary", err);
    if (n > f->max)
        return over(sc, f, n, "bytes", f->max, err);
    if (n == 0)
        return 0; /* stays NULL, 0 */
    if (!(p = malloc(n)))
        return oom(err);
    memcpy(p, o->via.bin.ptr, n);
    *ret_b = (pw_bytes){.p = p, .n = n};
    return 0;
}

static int get_map(const pw_schema *sc, const msgpack_object *o, bool typed, void *out,
                   pw_err *err);

/* On failure the list holds what was read so far; the caller clears the whole object. */
static int get_list(const pw_schema *sc, const pw_field *f, const msgpack_object *o, void *at,
                    pw_err *err)
{
    size_t n = o->via.array.size;
    int r;
    if (o->type != MSGPACK_OBJECT_ARRAY)
        return wrong(sc, f, "a list", err);
    if (n > f->count)
        return over(sc, f, n, "items", f->count, err);
    if (n == 0)
        return 0;
    if (f->type == PW_T_STRS) {
        pw_strs *l = at;
        if (!(l->v = calloc(n, sizeof(*l->v))))
            return oom(err);
        for (; l->n < n; l->n++)
            if ((r = get_text(sc, f, &o->via.array.ptr[l->n], &l->v[l->n], err)) < 0)
                return r;
        return 0;
    }
    pw_list *l = at;
    if (!(l->v = calloc(n, f->sub->size)))
        return oom(err);
    for (; l->n < n; l->n++) {
        char *item = (char *)l->v + l->n * f->sub->size;
        if ((r = get_map(f->sub, &o->via.array.ptr[l->n], false, item, err)) < 0)
            return r;
    }
    return 0;
}

static int get_field(const pw_schema *sc, const pw_field *f, const msgpack_object *o, void *at,
                     pw_err *err)
{
    switch (f->type) {
    case PW_T_U64:
        if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            return wrong(sc, f, "a number from 0", err);
        *(uint64_t *)at = o->via.u64;
        return 0;
    case PW_T_I64:
        if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
            *(int64_t *)at = o->via.i64;
        else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX)
            *(int64_t *)at = (int64_t)o->via.u64;
        else
            return wrong(sc, f, "a number of 64 bits with sign", err);
        return 0;
    case PW_T_BOOL:
        if (o->type != MSGPACK_OBJECT_BOOLEAN)
            return wrong(sc, f, "true or false", err);
        *(bool *)at = o->via.boolean;
        return 0;
    case PW_T_STR:
        return get_text(sc, f, o, at, err);
    case PW_T_BIN:
        return get_bin(sc, f, o, at, err);
    case PW_T_STRS:
    case PW_T_LIST:
        return get_list(sc, f, o, at, err);
    }
    return pw_fail(err, PW_EINVAL, "field \"%s\" has an unknown type", f->key);
}

/* out is zero; on failure it is cleared again. */
static int get_fields(const pw_schema *sc, const msgpack_object_map *m, bool typed, void *out,
                      pw_err *err)
{
    static const char type_key[] = PW_WIRE_TYPE_KEY;
    uint64_t seen = 0;
    size_t hint = 0;
    bool seen_type = false;
    for (uint32_t j = 0; j < m->size; j++) {
        const msgpack_object *k = &m->ptr[j].key;
        if (k->type != MSGPACK_OBJECT_STR)
            return pw_fail(err, PW_EPROTO, "message \"%s\" has a key that is no text", sc->name);
        size_t i = pw_wire_find(sc, k->via.str.ptr, k->via.str.size, &hint);
        if (i < sc->n) {
            const pw_field *f = &sc->field[i];
            if (seen >> i & 1)
                return pw_fail(err, PW_EPROTO, "message \"%s\" has field \"%s\" twice", sc->name,
                               f->key);
            seen |= UINT64_C(1) << i;
            int r = get_field(sc, f, &m->ptr[j].val, (char *)out + f->offset, err);
            if (r < 0)
                return r;
        } else if (typed && k->via.str.size == sizeof(type_key) - 1 &&
                   memcmp(k->via.str.ptr, type_key, sizeof(type_key) - 1) == 0) {
            if (seen_type)
                return pw_fail(err, PW_EPROTO, "message \"%s\" has its type twice", sc->name);
            seen_type = true;
        }
    }
    for (size_t i = 0; i < sc->n; i++)
        if (sc->field[i].required && !(seen >> i & 1))
            return pw_fail(err, PW_EPROTO, "message \"%s\" lacks field \"%s\"", sc->name,
                           sc->field[i].key);
    return 0;
}

static int get_map(const pw_schema *sc, const msgpack_object *o, bool typed, void *out, pw_err *err)
{
    if (o->type != MSGPACK_OBJECT_MAP)
        return pw_fail(err, PW_EPROTO, "message \"%s\" is not a map", sc->name);
    int r = get_fields(sc, &o->via.map, typed, out, err);
    if (r < 0)
        pw_schema_clear(sc, out);
    return r;
}

static int decode(const pw_schema *sc, const void *data, size_t len, bool typed, void *out,
                  pw_err *err)
{
    msgpack_unpacked u;
    size_t off = 0;
    assert(sc->n <= PW_WIRE_FIELDS);
    memset(out, 0, sc->size);
    int r = pw_wire_walk(sc, data, len, err);
    if (r < 0)
        return r;
    msgpack_unpacked_init(&u);
    msgpack_unpack_return ur = msgpack_unpack_next(&u, data, len, &off);
    if (ur == MSGPACK_UNPACK_NOMEM_ERROR)
        r = oom(err);
    else if (ur != MSGPACK_UNPACK_SUCCESS || off != len)
        r = pw_fail(err, PW_EPROTO, "message \"%s\" is malformed", sc->name);
    else
        r = get_map(sc, &u.data, typed, out, err);
    msgpack_unpacked_destroy(&u);
    return r;
}

int pw_schema_decode(const pw_schema *sc, const void *data, size_t len, void *out, pw_err *err)
{
    return decode(sc, data, len, false, out, err);
}

int pw_wire_decode_typed(const pw_schema *sc, const void *data, size_t len, void *out, pw_err *err)
{
    return decode(sc, data, len, true, out, err);
}

void pw_schema_clear(const pw_schema *sc, void *obj)
{
    if (!obj)
        return;
    for (size_t i = 0; i < sc->n; i++) {
        const pw_field *f = &sc->field[i];
        void *at = (char *)obj + f->offset;
        if (f->type == PW_T_STR) {
            free(*(char **)at);
        } else if (f->type == PW_T_BIN) {
            pw_bytes *b = at; /* keys, marks, secrets: wiped */
            if (b->p)
                explicit_bzero(b->p, b->n);
            free(b->p);
        } else if (f->type == PW_T_STRS) {
            pw_strs *l = at;
            for (size_t j = 0; j < l->n; j++)
                free(l->v[j]);
            free(l->v);
        } else if (f->type == PW_T_LIST) {
            pw_list *l = at;
            for (size_t j = 0; j < l->n; j++)
                pw_schema_clear(f->sub, (char *)l->v + j * f->sub->size);
            free(l->v);
        }
    }
    memset(obj, 0, sc->size);
}

/* ---- encode */

struct sink {
    msgpack_packer pk;
    pw_buf *b;
    int r; /* what the buffer said, when it refused */
};

static int sink_write(void *data, const char *p, size_t n)
{
    struct sink *s = data;
    if (s->r == 0)
        s->r = pw_buf_add(s->b, p, n);
    return s->r;
}

static bool left_out(const pw_field *f, const void *at)
{
    if (f->required)
        return false;
    switch (f->type) {
    case PW_T_U64:
        return *(const uint64_t *)at == 0;
    case PW_T_I64:
        return *(const int64_t *)at == 0;
    case PW_T_BOOL:
        return !*(const bool *)at;
    case PW_T_STR:
        return *(char *const *)at == NULL;
    case PW_T_BIN:
        return ((const pw_bytes *)at)->n == 0;
    case PW_T_STRS:
        return ((const pw_strs *)at)->n == 0;
    case PW_T_LIST:
        return ((const pw_list *)at)->n == 0;
    }
    return false;
}

static int put_text(struct sink *s, const pw_schema *sc, const pw_field *f, const char *text,
                    pw_err *err)
{
    if (!text)
        return pw_fail(err, PW_EINVAL, "message \"%s\": field \"%s\" is not set", sc->name, f->key);
    size_t n = strlen(text);
    if (n > f->max)
        return over(sc, f, n, "bytes", f->max, err);
    (void)msgpack_pack_str_with_body(&s->pk, text, n);
    return s->r;
}

static int put_map(struct sink *s, const pw_schema *sc, const void *obj, bool typed, pw_err *err);

static int put_list(struct sink *s, const pw_schema *sc, const pw_field *f, const void *at,
                    pw_err *err)
{
    const pw_strs *strs = at;
    const pw_list *list = at;
    size_t n = f->type == PW_T_STRS ? strs->n : list->n;
    if (n > f->count)
        return over(sc, f, n, "items", f->count, err);
    (void)msgpack_pack_array(&s->pk, n);
    int r = s->r;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = f->type == PW_T_STRS
                ? put_text(s, sc, f, strs->v[i], err)
                : put_map(s, f->sub, (const char *)list->v + i * f->sub->size, false, err);
    return r;
}

static int put_field(struct sink *s, const pw_schema *sc, const pw_field *f, const void *at,
                     pw_err *err)
{
    switch (f->type) {
    case PW_T_U64:
        (void)msgpack_pack_uint64(&s->pk, *(const uint64_t *)at);
        return s->r;
    case PW_T_I64:
        (void)msgpack_pack_int64(&s->pk, *(const int64_t *)at);
        return s->r;
    case PW_T_BOOL:
        (void)(*(const bool *)at ? msgpack_pack_true(&s->pk) : msgpack_pack_false(&s->pk));
        return s->r;
    case PW_T_STR:
        return put_text(s, sc, f, *(char *const *)at, err);
    case PW_T_BIN: {
        const pw_bytes *b = at;
        if (b->n > f->max)
            return over(sc, f, b->n, "bytes", f->max, err);
        (void)msgpack_pack_bin(&s->pk, b->n);
        if (s->r == 0 && b->n > 0)
            (void)msgpack_pack_bin_body(&s->pk, b->p, b->n);
        return s->r;
    }
    case PW_T_STRS:
    case PW_T_LIST:
        return put_list(s, sc, f, at, err);
    }
    return pw_fail(err, PW_EINVAL, "field \"%s\" has an unknown type", f->key);
}

static int put_map(struct sink *s, const pw_schema *sc, const void *obj, bool typed, pw_err *err)
{
    uint64_t out = 0; /* fields to leave out */
    size_t n = sc->n + typed;
    for (size_t i = 0; i < sc->n; i++)
        if (left_out(&sc->field[i], (const char *)obj + sc->field[i].offset)) {
            out |= UINT64_C(1) << i;
            n--;
        }
    (void)msgpack_pack_map(&s->pk, n);
    if (typed) {
        (void)msgpack_pack_str_with_body(&s->pk, PW_WIRE_TYPE_KEY, sizeof(PW_WIRE_TYPE_KEY) - 1);
        (void)msgpack_pack_str_with_body(&s->pk, sc->name, strlen(sc->name));
    }
    int r = s->r;
    for (size_t i = 0; r == 0 && i < sc->n; i++) {
        const pw_field *f = &sc->field[i];
        if (out >> i & 1)
            continue;
        (void)msgpack_pack_str_with_body(&s->pk, f->key, strlen(f->key));
        r = put_field(s, sc, f, (const char *)obj + f->offset, err);
    }
    return r;
}

static int encode(const pw_schema *sc, const void *obj, bool typed, pw_buf *b, pw_err *err)
{
    struct sink s = {.b = b};
    size_t before = b->len;
    assert(sc->n <= PW_WIRE_FIELDS);
    msgpack_packer_init(&s.pk, &s, sink_write);
    int r = put_map(&s, sc, obj, typed, err);
    if (s.r < 0)
        r = s.r == PW_ENOMEM
                ? oom(err)
                : pw_fail(err, (pw_code)s.r, "message \"%s\" does not fit into %zu bytes", sc->name,
                          b->max);
    if (r < 0 && b->p) {
        b->len = before;
        b->p[before] = '\0';
    }
    return r;
}

int pw_schema_encode(const pw_schema *sc, const void *obj, pw_buf *b, pw_err *err)
{
    return encode(sc, obj, false, b, err);
}

int pw_wire_encode_typed(const pw_schema *sc, const void *obj, pw_buf *b, pw_err *err)
{
    return encode(sc, obj, true, b, err);
}
