/* schema.h - msgpack codec driven by a field table. One struct and one table per message: encode,
 * decode, clear, the documentation page and the fuzz dictionary all come from the table. On the
 * wire a message is one msgpack map with text keys.
 *
 * Decoding first walks the bytes (depth, counts and lengths held against what is left and against
 * the table's limits) and only then lets msgpack-c unpack, since that library believes declared
 * sizes. Unknown keys are skipped; a missing required key, a wrong type, a value over its limit, a
 * key seen twice or trailing bytes are errors that name message and field. Threads: a schema is
 * const; objects belong to one thread. */
#ifndef PW_SHARED_WIRE_SCHEMA_H
#define PW_SHARED_WIRE_SCHEMA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

typedef struct pw_bytes {
    uint8_t *p; /* owned */
    size_t n;
} pw_bytes;
typedef struct pw_strs {
    char **v; /* owned, each owned */
    size_t n;
} pw_strs;
typedef struct pw_list {
    void *v; /* owned array of structs of the field's sub-schema */
    size_t n;
} pw_list;

typedef enum pw_ftype {
    PW_T_U64,  /* uint64_t */
    PW_T_I64,  /* int64_t */
    PW_T_BOOL, /* bool */
    PW_T_STR,  /* char *, owned, NULL when absent; UTF-8 is not demanded, NUL is refused */
    PW_T_BIN,  /* pw_bytes */
    PW_T_STRS, /* pw_strs; max = bytes of each, count = most items */
    PW_T_LIST  /* pw_list; sub = the items' schema, count = most items */
} pw_ftype;

typedef struct pw_schema pw_schema;
typedef struct pw_field {
    const char *key;
    pw_ftype type;
    bool required;
    size_t offset;
    size_t max;           /* bytes of a text or binary */
    size_t count;         /* items of a list */
    const pw_schema *sub; /* PW_T_LIST only */
    const char *doc;      /* one line for the generated protocol page */
} pw_field;

struct pw_schema {
    const char *name;
    const char *doc;
    const pw_field *field;
    size_t n; /* at most 64 */
    size_t size;
};

#define PW_FIELD_OK(ctype, s, m) (0 * sizeof((ctype *)0 == &((s *)0)->m))
#define PW_F_(s, m, k, req, ct, ty, mx, cn, sb, d)                                                 \
    {                                                                                              \
        .key = (k), .type = (ty), .required = (req),                                               \
        .offset = offsetof(s, m) + PW_FIELD_OK(ct, s, m), .max = (mx), .count = (cn), .sub = (sb), \
        .doc = (d)                                                                                 \
    }
#define PW_F_U64(s, m, k, req, d) PW_F_(s, m, k, req, uint64_t, PW_T_U64, 0, 0, NULL, d)
#define PW_F_I64(s, m, k, req, d) PW_F_(s, m, k, req, int64_t, PW_T_I64, 0, 0, NULL, d)
#define PW_F_BOOL(s, m, k, req, d) PW_F_(s, m, k, req, bool, PW_T_BOOL, 0, 0, NULL, d)
#define PW_F_STR(s, m, k, req, mx, d) PW_F_(s, m, k, req, char *, PW_T_STR, mx, 0, NULL, d)
#define PW_F_BIN(s, m, k, req, mx, d) PW_F_(s, m, k, req, pw_bytes, PW_T_BIN, mx, 0, NULL, d)
#define PW_F_STRS(s, m, k, req, mx, cn, d) PW_F_(s, m, k, req, pw_strs, PW_T_STRS, mx, cn, NULL, d)
#define PW_F_LIST(s, m, k, req, cn, sb, d) PW_F_(s, m, k, req, pw_list, PW_T_LIST, 0, cn, sb, d)
#define PW_SCHEMA(nm, s, f, d)                                                                     \
    {                                                                                              \
        .name = (nm), .doc = (d), .field = (f), .n = sizeof(f) / sizeof((f)[0]), .size = sizeof(s) \
    }

/* *out is zeroed first and owns what was decoded; on failure it is empty again. len is bounded by
 * the caller (a message 1 MiB). */
int pw_schema_decode(const pw_schema *sc, const void *data, size_t len, void *out, pw_err *err);
/* Appends the encoded object to b. Absent optional text, empty optional lists and binaries, and
 * optional zero numbers are left out. A value over the table's limit is refused: what we send, we
 * can read. */
int pw_schema_encode(const pw_schema *sc, const void *obj, pw_buf *b, pw_err *err);
/* Frees what the fields own and zeroes the object; binaries are wiped before. NULL is fine. */
void pw_schema_clear(const pw_schema *sc, void *obj);
/* Appends a Markdown section that documents the message. */
int pw_schema_doc(const pw_schema *sc, pw_buf *b);
/* Depth, counts and lengths of one msgpack value that must fill data exactly; used by decode, alone
 * a fuzz target. */
int pw_msgpack_check(const void *data, size_t len, pw_err *err);
#endif
