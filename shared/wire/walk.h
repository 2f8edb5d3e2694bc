/* walk.h - inside shared/wire only: the bounded walk over msgpack bytes that comes before
 * msgpack-c, and the forms of encode and decode that carry a message's name under the key "type".
 * Pure; nothing is allocated. */
#ifndef PW_SHARED_WIRE_WALK_H
#define PW_SHARED_WIRE_WALK_H
#include "shared/wire/schema.h"

#define PW_WIRE_TYPE_KEY "type"
enum {
    PW_WIRE_DEPTH = 16,  /* containers inside containers; our deepest table needs 5 */
    PW_WIRE_FIELDS = 64, /* fields of one table: one bit each in a word */
};

/* Index of the field named k, or sc->n. *hint is where to look first: senders keep the table's
 * order, so that one comparison is enough; it is moved on by a hit. */
size_t pw_wire_find(const pw_schema *sc, const char *k, size_t n, size_t *hint);
/* Walks one map that must fill data exactly and holds it against the table's limits (depth, counts,
 * lengths). Types, missing and repeated keys are left to decode. */
int pw_wire_walk(const pw_schema *sc, const void *data, size_t len, pw_err *err);
/* The text under "type" of the map at data (borrowed from data). Values before it are walked over,
 * none behind it. */
int pw_wire_type(const void *data, size_t len, const char **ret_type, size_t *ret_n, pw_err *err);

/* pw_schema_decode and _encode of a map that has the table's name under "type" besides its fields.
 */
int pw_wire_decode_typed(const pw_schema *sc, const void *data, size_t len, void *out, pw_err *err);
int pw_wire_encode_typed(const pw_schema *sc, const void *obj, pw_buf *b, pw_err *err);
#endif
