#include "shared/wire/msg.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

#define FILL_ITEMS 3

/* A text of at most 20 bytes that fits the field. */
static char *fill_text(const pw_field *f, size_t i)
{
    size_t n = f->max < 20 ? f->max : 20;
    char *s = malloc(n + 1);
    if (s) {
        memset(s, 'a' + (int)(i % 26), n);
        s[n] = '\0';
    }
    return s;
}

/* Sets every field; false when memory ran out (what was set is freed by pw_schema_clear). */
static bool fill(const pw_schema *sc, void *obj)
{
    memset(obj, 0, sc->size);
    for (size_t i = 0; i < sc->n; i++) {
        const pw_field *f = &sc->field[i];
        void *at = (char *)obj + f->offset;
        if (f->type == PW_T_U64) {
            *(uint64_t *)at = UINT64_MAX - i;
        } else if (f->type == PW_T_I64) {
            *(int64_t *)at = -1 - (int64_t)i;
        } else if (f->type == PW_T_BOOL) {
            *(bool *)at = true;
        } else if (f->type == PW_T_STR) {
            if (!(*(char **)at = fill_text(f, i)))
                return false;
        } else if (f->type == PW_T_BIN) {
            pw_bytes *b = at;
            if (!(b->p = calloc(1, f->max)))
                return false;
            b->n = f->max;
        } else if (f->type == PW_T_STRS) {
            pw_strs *l = at;
            if (!(l->v = calloc(FILL_ITEMS, sizeof(*l->v))))
                return false;
            for (; l->n < FILL_ITEMS; l->n++)
                if (!(l->v[l->n] = fill_text(f, l->n)))
                    return false;
        } else {
            pw_list *l = at;
            if (!(l->v = calloc(FILL_ITEMS, f->sub->size)))
                return false;
            for (size_t j = 0; j < FILL_ITEMS; j++) {
                l->n = j + 1;
                if (!fill(f->sub, (char *)l->v + j * f->sub->size))
                    return false;
            }
        }
    }
    return true;
}

static size_t size_of(pw_ftype t)
{
    switch (t) {
    case PW_T_U64:
    case PW_T_I64:
        return 8;
    case PW_T_BOOL:
        return sizeof(bool);
    case PW_T_STR:
        return sizeof(char *);
    case PW_T_BIN:
        return sizeof(pw_bytes);
    case PW_T_STRS:
        return sizeof(pw_strs);
    case PW_T_LIST:
        return sizeof(pw_list);
    }
    return 0;
}

/* What the codec takes for granted about a table. */
static bool table_ok(const pw_schema *sc)
{
    bool good = sc->n > 0 && sc->n <= 64 && sc->name && sc->doc && *sc->doc;
    for (size_t i = 0; i < sc->n; i++) {
        const pw_field *f = &sc->field[i];
        good = good && f->doc && *f->doc && *f->key && strcmp(f->key, "type") != 0 &&
               !strchr(f->doc, '|') && f->offset + size_of(f->type) <= sc->size;
        for (size_t j = 0; j < i; j++)
            good =
                good && strcmp(f->key, sc->field[j].key) != 0 && f->offset != sc->field[j].offset;
        if (f->type == PW_T_STR || f->type == PW_T_BIN || f->type == PW_T_STRS)
            good = good && f->max > 0;
        if (f->type == PW_T_STRS || f->type == PW_T_LIST)
            good = good && f->count > 0;
        if (f->type == PW_T_LIST)
            good = good && f->sub && table_ok(f->sub);
    }
    return good;
}

static void test_round_trip(pw_msg_type t)
{
    const pw_schema *sc = pw_msg_schema(t);
    PW_AUTO(pw_msg_clear) pw_msg in = {.type = t};
    PW_AUTO(pw_msg_clear) pw_msg out = {0};
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(PW_MSG_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_MSG_MAX);
    pw_err err = {0};
    ok(sc && table_ok(sc) && sc->size <= sizeof(in.u), "table of type %d", (int)t);
    if (!sc || !fill(sc, &in.u))
        return;
    int r = pw_msg_encode(t, &in.u, &a, &err);
    if (r == 0)
        r = pw_msg_decode(a.p, a.len, &out, &err);
    ok(r == 0 && out.type == t, "%s there and back %s", sc->name, err.text);
    r = pw_msg_encode(out.type, &out.u, &b, &err);
    ok(r == 0 && a.len == b.len && memcmp(a.p, b.p, a.len) == 0, "%s keeps every field", sc->name);
    bool all = true;
    for (size_t n = 0; r == 0 && n < a.len; n++) {
        pw_msg cut;
        all = all && pw_msg_decode(a.p, n, &cut, NULL) < 0 && cut.type == 0;
    }
    ok(all, "%s cut anywhere fails", sc->name);
}

#define LIT(s) (s), sizeof(s) - 1

static int decode(const void *p, size_t n, pw_err *err)
{
    PW_AUTO(pw_msg_clear) pw_msg m;
    int r = pw_msg_decode(p, n, &m, err);
    return r < 0 ? r : (int)m.type;
}

static void test_type(void)
{
    ok(decode(LIT("\x82\xa4type\xa5"
                  "drain\xa7session\x09"),
              NULL) == PW_MSG_DRAIN,
       "type first");
    ok(decode(LIT("\x83\xa1x\x92\x01\x80\xa7session\x09\xa4type\xa5"
                  "drain"),
              NULL) == PW_MSG_DRAIN,
       "type last, behind an unknown field");
    ok(decode(LIT("\x83\xa4type\xa5"
                  "drain\xa7session\x09\xa4type\xa5"
                  "drain"),
              NULL) == PW_EPROTO,
       "type twice");
    ok(decode(LIT("\x81\xa7session\x09"), NULL) == PW_EPROTO, "no type");
    ok(decode(LIT("\x82\xa4type\x01\xa7session\x09"), NULL) == PW_EPROTO, "type is a number");
    ok(decode(LIT("\x82\xa4type\xa4"
                  "drai\xa7session\x09"),
              NULL) == PW_EPROTO,
       "unknown type");
    ok(decode(LIT("\x81\xa4type\xa0"), NULL) == PW_EPROTO, "empty type");
    ok(decode(LIT("\xa5"
                  "drain"),
              NULL) == PW_EPROTO,
       "not a map");
    ok(decode("", 0, NULL) == PW_EPROTO, "nothing");
    ok(pw_msg_schema(0) == NULL && pw_msg_schema(PW_MSG_TYPES) == NULL, "there is no type 0");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100);
    ok(pw_msg_encode(PW_MSG_TYPES, NULL, &b, NULL) == PW_EINVAL, "an unknown type is not sent");
}

static void test_size(void)
{
    /* {"type": "drain", "session": 9, "x": binary} of PW_MSG_MAX bytes and one more */
    static const char head[] = "\x83\xa4type\xa5"
                               "drain\xa7session\x09\xa1x\xc6";
    size_t n = PW_MSG_MAX, h = sizeof(head) - 1;
    PW_AUTO(pw_freep) uint8_t *p = calloc(1, n + 1);
    if (!p)
        return;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t body = n + extra - h - 4;
        memcpy(p, head, h);
        for (size_t i = 0; i < 4; i++)
            p[h + i] = (uint8_t)(body >> (24 - 8 * i));
        ok(decode(p, n + extra, NULL) == (extra ? PW_ELIMIT : PW_MSG_DRAIN), "message of %zu bytes",
           n + extra);
    }
}

static void test_hello_full(void)
{
    size_t n = PW_HELLO_JOBS_MAX;
    PW_AUTO(pw_freep) msg_hello_job *jobs = calloc(n + 1, sizeof(*jobs));
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_MSG_MAX);
    if (!jobs)
        return;
    for (size_t i = 0; i <= n; i++)
        jobs[i] = (msg_hello_job){UINT64_MAX, UINT64_MAX - i, UINT64_MAX, UINT64_MAX, PW_JOB_KEPT};
    msg_hello h = {.spool = (char *)"s", .boot = (char *)"b", .jobs = {.v = jobs, .n = n}};
    PW_AUTO(pw_msg_clear) pw_msg out = {0};
    ok(pw_msg_encode(PW_MSG_HELLO, &h, &b, NULL) == 0 &&
           pw_msg_decode(b.p, b.len, &out, NULL) == 0 && out.u.hello.jobs.n == n &&
           ((msg_hello_job *)out.u.hello.jobs.v)[n - 1].attempt == UINT64_MAX - n + 1,
       "a hello with as many jobs as allowed has %zu bytes", b.len);
    h.jobs.n++;
    pw_buf_reset(&b);
    ok(pw_msg_encode(PW_MSG_HELLO, &h, &b, NULL) == PW_ELIMIT, "one job more is refused");
}

static bool doc_has(const char *doc, const pw_schema *sc)
{
    char text[100];
    (void)snprintf(text, sizeof(text), "# `%s`\n", sc->name);
    const char *at = strstr(doc, text);
    const char *end = at ? strstr(at, "\n#") : NULL;
    if (!at)
        return false;
    for (size_t i = 0; i < sc->n; i++) {
        (void)snprintf(text, sizeof(text), "\n| `%s` |", sc->field[i].key);
        const char *key = strstr(at, text);
        if (!key || (end && key > end) || (sc->field[i].sub && !doc_has(doc, sc->field[i].sub)))
            return false;
    }
    return true;
}

static void test_doc(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    ok(pw_msg_doc(&b) == 0, "the page is written");
    for (pw_msg_type t = PW_MSG_JOIN; t < PW_MSG_TYPES; t++)
        ok(doc_has(pw_buf_str(&b), pw_msg_schema(t)), "the page has all of %s",
           pw_msg_schema(t)->name);
    PW_AUTO(pw_buf_clearp) pw_buf small = PW_BUF(1000);
    ok(pw_msg_doc(&small) < 0, "a page that does not fit is an error");
}

int main(void)
{
    for (pw_msg_type t = PW_MSG_JOIN; t < PW_MSG_TYPES; t++)
        test_round_trip(t);
    test_type();
    test_size();
    test_hello_full();
    test_doc();
    pw_msg_clear(NULL);
    return tap_done();
}
