/* doc.c - the protocol page, written from the same tables that encode and decode. */
#include <stdio.h>
#include <string.h>

#include "shared/wire/msg.h"

static void type_text(const pw_field *f, char out[64])
{
    switch (f->type) {
    case PW_T_U64:
        (void)snprintf(out, 64, "unsigned");
        return;
    case PW_T_I64:
        (void)snprintf(out, 64, "signed");
        return;
    case PW_T_BOOL:
        (void)snprintf(out, 64, "bool");
        return;
    case PW_T_STR:
        (void)snprintf(out, 64, "text, at most %zu bytes", f->max);
        return;
    case PW_T_BIN:
        (void)snprintf(out, 64, "binary, at most %zu bytes", f->max);
        return;
    case PW_T_STRS:
        (void)snprintf(out, 64, "at most %zu texts of %zu bytes", f->count, f->max);
        return;
    case PW_T_LIST:
        (void)snprintf(out, 64, "list of at most %zu `%.20s`", f->count, f->sub->name);
        return;
    }
    out[0] = '\0';
}

static int add_table(const pw_schema *sc, const char *level, pw_buf *b)
{
    int r = pw_buf_addf(b, "%s `%s`\n\n%s\n\n", level, sc->name, sc->doc);
    if (r < 0)
        return r;
    (void)pw_buf_adds(b, "| key | type | needed | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < sc->n; i++) {
        const pw_field *f = &sc->field[i];
        char type[64];
        type_text(f, type);
        r = pw_buf_addf(b, "| `%s` | %s | %s | %s |\n", f->key, type, f->required ? "yes" : "",
                        f->doc);
    }
    return r < 0 ? r : pw_buf_adds(b, "\n");
}

int pw_schema_doc(const pw_schema *sc, pw_buf *b)
{
    const pw_schema *shown[16]; /* each kind of item once, in the order of its first use */
    size_t n = 0;
    int r = add_table(sc, "###", b);
    shown[n++] = sc;
    for (size_t at = 0; r >= 0 && at < n; at++)
        for (size_t i = 0; r >= 0 && i < shown[at]->n; i++) {
            const pw_schema *sub = shown[at]->field[i].sub;
            size_t k = 0;
            while (k < n && shown[k] != sub)
                k++;
            if (!sub || k < n || n == sizeof(shown) / sizeof(shown[0]))
                continue;
            shown[n++] = sub;
            r = add_table(sub, "####", b);
        }
    return r < 0 ? r : 0;
}

static const char intro[] =
    "# Protocol between master and worker\n\n"
    "This page is generated from the tables in `shared/wire/msg.c`; edit those.\n\n"
    "A message has one or two frames. Frame 1 is a msgpack map: `type` (the name of the message)\n"
    "and the fields below by their keys, in any order. A field that is not needed may be left out\n"
    "when it is zero, false, empty or absent. Unknown keys are skipped; a repeated key, a missing\n"
    "needed key, a wrong type, a value over its limit, extension types, more than 16 levels of\n"
    "nesting and trailing bytes make the message invalid. Texts hold no zero bytes. Frame 2, where "
    "a\n"
    "message has one, carries bytes that nobody on the way looks into.\n\n";

int pw_msg_doc(pw_buf *b)
{
    int r;
    (void)pw_buf_adds(b, intro);
    (void)pw_buf_addf(b,
                      "Protocol versions: %d to %d. Both frames of a message together have at most "
                      "%d bytes.\n\n## From worker to master\n\n",
                      PW_PROTO_MIN, PW_PROTO_MAX, PW_MSG_MAX);
    for (pw_msg_type t = PW_MSG_JOIN; t < PW_MSG_TYPES; t++) {
        if (t == PW_MSG_JOINED)
            (void)pw_buf_adds(b, "## From master to worker\n\n");
        if ((r = pw_schema_doc(pw_msg_schema(t), b)) < 0)
            return r;
    }
    return b->failed ? PW_ELIMIT : 0;
}
