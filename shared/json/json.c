#include <jansson.h>
/* Names that jansson has as macros and that are functions here. */
#undef json_is_null
#undef json_is_object
#undef json_is_array
#undef json_is_string

#include "shared/json/json.h"

#include <string.h>

#include "shared/base/num.h"

enum {
    DEPTH_MAX = 100,
    /* Keys of one object: json_key walks to its place, so going through all of them takes keys x
       keys / 2 steps. */
    KEYS_MAX = 10000,
};

static json_t *as_json(const json_value *v)
{
    return (json_t *)v;
}

static json_value *as_value(json_t *j)
{
    return (json_value *)j;
}

static bool is(const json_value *v, json_type type)
{
    return v && json_typeof(as_json(v)) == type;
}

/* ---- parsing ---- */

/* The limits that jansson does not have. It sees brackets and colons outside of strings; whether
 * the rest is JSON is jansson's to say. */
struct scan {
    size_t line, column; /* from 1 */
    size_t depth;
    size_t keys[DEPTH_MAX + 1];
    bool in_string;
};

static int scan_byte(struct scan *s, char c, pw_err *err)
{
    if (c == '"') {
        s->in_string = true;
    } else if (c == '\0') { /* jansson takes it for the end, and what stands behind it for blanks */
        return pw_fail(err, PW_EINVAL, "line %zu, column %zu: a NUL byte", s->line, s->column);
    } else if (c == '[' || c == '{') {
        if (s->depth == DEPTH_MAX)
            return pw_fail(err, PW_ELIMIT, "line %zu, column %zu: deeper than %d levels", s->line,
                           s->column, (int)DEPTH_MAX);
        s->keys[++s->depth] = 0;
    } else if (c == ']' || c == '}') {
        s->depth -= s->depth > 0;
    } else if (c == ':' && s->depth > 0 && ++s->keys[s->depth] > KEYS_MAX) {
        return pw_fail(err, PW_ELIMIT, "line %zu, column %zu: an object has more than %d keys",
                       s->line, s->column, (int)KEYS_MAX);
    }
    return 0;
}

static int check_limits(const char *text, size_t n, pw_err *err)
{
    struct scan s = {.line = 1, .column = 1};
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (!s.in_string) {
            int rc = scan_byte(&s, c, err);
            if (rc < 0)
                return rc;
        } else if (c == '"') {
            s.in_string = false;
        } else if (c == '\\') {
            i++; /* both bytes count; a line end behind a backslash is an error anyway */
            s.column++;
        }
        s.column += ((uint8_t)c & 0xc0) != 0x80;
        if (c == '\n') {
            s.line++;
            s.column = 1;
        }
    }
    return 0;
}

json_value *json_parse(const char *text, size_t n, pw_err *err)
{
    json_error_t e = {.line = 0};
    json_t *root;
    if (check_limits(text, n, err) < 0)
        return NULL;
    root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (root)
        return as_value(root);
    if (json_error_code(&e) == json_error_out_of_memory || !e.text[0]) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    for (char *p = e.text; *p; p++) /* it quotes the input */
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            *p = '?';
    (void)pw_fail(err, PW_EINVAL, "line %d, column %d: %s", e.line, e.column, e.text);
    return NULL;
}

json_value *json_free(json_value *root)
{
    json_decref(as_json(root));
    return NULL;
}

/* ---- reading ---- */

const json_value *json_get(const json_value *object, const char *key)
{
    return as_value(json_object_get(as_json(object), key));
}

const json_value *json_at(const json_value *array, size_t i)
{
    return as_value(json_array_get(as_json(array), i));
}

size_t json_count(const json_value *v)
{
    return json_is_array(v) ? json_array_size(as_json(v)) : json_object_size(as_json(v));
}

bool json_is_null(const json_value *v)
{
    return !v || is(v, JSON_NULL);
}

bool json_is_object(const json_value *v)
{
    return is(v, JSON_OBJECT);
}

bool json_is_array(const json_value *v)
{
    return is(v, JSON_ARRAY);
}

bool json_is_string(const json_value *v)
{
    return is(v, JSON_STRING);
}

bool json_is_int(const json_value *v)
{
    return is(v, JSON_INTEGER);
}

bool json_is_bool(const json_value *v)
{
    return is(v, JSON_TRUE) || is(v, JSON_FALSE);
}

const char *json_str(const json_value *v, const char *otherwise)
{
    return json_is_string(v) ? json_string_value(as_json(v)) : otherwise;
}

int64_t json_int(const json_value *v, int64_t otherwise)
{
    return json_is_int(v) ? json_integer_value(as_json(v)) : otherwise;
}

bool json_bool(const json_value *v, bool otherwise)
{
    return json_is_bool(v) ? is(v, JSON_TRUE) : otherwise;
}

const char *json_key(const json_value *object, size_t i, const json_value **ret_v)
{
    void *at = json_object_iter(as_json(object));
    while (at && i-- > 0)
        at = json_object_iter_next(as_json(object), at);
    if (!at)
        return NULL;
    if (ret_v)
        *ret_v = as_value(json_object_iter_value(at));
    return json_object_iter_key(at);
}

struct sink {
    pw_buf *b;
    int rc;
};

static int add(const char *p, size_t n, void *self)
{
    struct sink *s = self;
    s->rc = pw_buf_add(s->b, p, n);
    return s->rc < 0 ? -1 : 0;
}

int json_text(const json_value *v, pw_buf *b)
{
    struct sink s = {.b = b};
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    if (!v)
        return pw_buf_adds(b, "null");
    if (json_dump_callback(as_json(v), add, &s, flags) == 0)
        return 0;
    return s.rc < 0 ? s.rc : PW_ENOMEM;
}

int json_expect(const json_value *object, const char *const *keys, pw_err *err)
{
    const char *key, *near;
    json_t *value;
    if (!json_is_object(object))
        return pw_fail(err, PW_EINVAL, "an object is expected");
    json_object_foreach(as_json(object), key, value)
    {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (keys[i])
            continue;
        near = strlen(key) <= 64 ? pw_nearest(key, keys) : NULL;
        if (near)
            return pw_fail(err, PW_EINVAL, "unknown key \"%s\", did you mean \"%s\"", key, near);
        return pw_fail(err, PW_EINVAL, "unknown key \"%.200s\"", key);
    }
    return 0;
}
