/* query.h - the query of an address, read strictly: an unknown key, a key given twice or bad
 * encoding is refused, with the nearest known key named. Pure. */
#ifndef PW_MASTER_HTTP_QUERY_H
#define PW_MASTER_HTTP_QUERY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

enum {
    WEB_QUERY_MAX = 16,         /* keys */
    WEB_QUERY_BYTES = 8 * 1024, /* of the raw text */
    WEB_LIMIT_DEFAULT = 50,
    WEB_LIMIT_MAX = 1000,
    WEB_CURSOR = 24,
    WEB_NAMES_MAX = 1200 /* bytes of a cursor of names */
};
typedef struct web_query {
    size_t n;
    struct {
        const char *key, *value;
    } item[WEB_QUERY_MAX];
    char *text; /* owned */
} web_query;
/* raw: what stands behind "?", may be NULL. allowed: blank-separated keys. */
int web_query_parse(web_query *q, const char *raw, const char *allowed, pw_err *err);
void web_query_clear(web_query *q);
/* NULL when not given. Borrowed. */
const char *web_query_get(const web_query *q, const char *key);
/* Each leaves *ret alone when the key is not given. */
int web_query_u64(const web_query *q, const char *key, uint64_t *ret, pw_err *err);
/* 1 true yes, 0 false no; nothing: true */
int web_query_flag(const web_query *q, const char *key, bool *ret, pw_err *err);
int web_query_time(const web_query *q, const char *key, pw_msec *ret, pw_err *err);
/* Index of the value in a NULL-terminated list. */
int web_query_word(const web_query *q, const char *key, const char *const *list, int *ret,
                   pw_err *err);
/* `limit` (1..1000, default 50) and `cursor`. */
int web_query_page(const web_query *q, size_t *ret_limit, uint64_t *ret_before, pw_err *err);
void web_cursor_text(uint64_t before, char out[WEB_CURSOR]);
/* The same for lists that are sorted by names: the text that the page begins behind (owned; NULL:
 * from the first; usual: the limit when none is given), and a cursor of one (NULL: out of memory).
 */
int web_query_names(const web_query *q, size_t usual, size_t *ret_limit, char **ret_after,
                    pw_err *err);
char *web_cursor_names(const char *after);
int web_cursor_parse(const char *s, uint64_t *ret_before, pw_err *err);
#endif
