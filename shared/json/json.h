/* json.h - JSON values over jansson (the only module that includes it). Values are owned by their
 * tree; json_free frees a root. Parsing refuses duplicate keys, bad UTF-8, depth over 100; errors
 * say line and column. One thread per tree. */
#ifndef PW_SHARED_JSON_JSON_H
#define PW_SHARED_JSON_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"

typedef struct json_value json_value;
json_value *json_parse(const char *text, size_t n, pw_err *err);
/* Whether the text is one JSON value, as json_parse takes it but for equal keys, broken UTF-8 and
 * the size of numbers: without memory, so for texts of strangers that are large. Negative:
 * PW_EPROTO with the offset. */
int json_check(const char *text, size_t n, pw_err *err);
json_value *json_free(json_value *root);
PW_DEFINE_FREEP(json_value, json_free)

/* Reading. All take NULL and give NULL / the default, so a path of lookups needs one check at the
 * end. Borrowed. */
const json_value *json_get(const json_value *object, const char *key);
const json_value *json_at(const json_value *array, size_t i);
size_t json_count(const json_value *array_or_object);
bool json_is_null(const json_value *v); /* also NULL */
bool json_is_object(const json_value *v);
bool json_is_array(const json_value *v);
bool json_is_string(const json_value *v);
bool json_is_int(const json_value *v);
bool json_is_bool(const json_value *v);
const char *json_str(const json_value *v, const char *otherwise);
int64_t json_int(const json_value *v, int64_t otherwise);
bool json_bool(const json_value *v, bool otherwise);
/* Key and value number i of an object, in the text's order. */
const char *json_key(const json_value *object, size_t i, const json_value **ret_v);
/* Compact text. */
int json_text(const json_value *v, pw_buf *b);

/* Reading an object strictly: json_expect lists the allowed keys (NULL-terminated); an unknown one
 * is PW_EINVAL with its name. */
int json_expect(const json_value *object, const char *const *keys, pw_err *err);
#endif
