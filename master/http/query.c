#include "master/http/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/routes.h"
#include "shared/base/num.h"

static int unknown(const char *key, const char *allowed, pw_err *err)
{
    char words[WEB_QUERY_MAX + 1][32];
    const char *list[WEB_QUERY_MAX + 2];
    size_t n = 0;
    for (const char *p = allowed; *p && n <= WEB_QUERY_MAX; p += strspn(p, " ")) {
        size_t k = strcspn(p, " ");
        if (k < sizeof(words[0])) {
            memcpy(words[n], p, k);
            words[n][k] = '\0';
            list[n] = words[n];
            n++;
        }
        p += k;
    }
    list[n] = NULL;
    const char *near = strlen(key) < 32 ? pw_nearest(key, list) : NULL;
    if (near)
        return pw_fail(err, PW_EINVAL, "unknown query key \"%s\", did you mean \"%s\"", key, near);
    return pw_fail(err, PW_EINVAL, "unknown query key \"%.100s\"%s%s", key,
                   *allowed ? "; known here: " : "", allowed);
}

static int add(web_query *q, const char *p, size_t n, const char *allowed, char *out, size_t cap,
               size_t *ret_used, pw_err *err)
{
    const char *eq = memchr(p, '=', n);
    size_t key_len, len = 0, raw_key = eq ? (size_t)(eq - p) : n;
    int r = web_unescape(p, raw_key, 1, out, cap, &key_len, err);
    if (r < 0)
        return r;
    char *value = out + key_len + 1;
    if ((r = web_unescape(eq ? eq + 1 : "", eq ? n - raw_key - 1 : 0, 1, value, cap - key_len - 1,
                          &len, err)) < 0)
        return r;
    if (!web_has_word(allowed, out, key_len) || key_len == 0)
        return unknown(out, allowed, err);
    if (web_query_get(q, out))
        return pw_fail(err, PW_EINVAL, "query key \"%s\" is given twice", out);
    if (q->n == WEB_QUERY_MAX)
        return pw_fail(err, PW_EINVAL, "more than %d query keys", WEB_QUERY_MAX);
    q->item[q->n].key = out;
    q->item[q->n++].value = value;
    *ret_used = key_len + len + 2;
    return 0;
}

int web_query_parse(web_query *q, const char *raw, const char *allowed, pw_err *err)
{
    size_t n = raw ? strlen(raw) : 0, used = 0;
    *q = (web_query){0};
    if (n == 0)
        return 0;
    if (n > WEB_QUERY_BYTES)
        return pw_fail(err, PW_EINVAL, "the query has more than %d bytes", WEB_QUERY_BYTES);
    /* a key alone ("a") becomes "a" and "", each with its NUL */
    size_t cap = 2 * n + 2;
    if (!(q->text = malloc(cap)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    while (*raw) {
        size_t k = strcspn(raw, "&"), took = 0;
        if (k > 0) {
            int r = add(q, raw, k, allowed, q->text + used, cap - used, &took, err);
            if (r < 0) {
                web_query_clear(q);
                return r == PW_ELIMIT ? PW_EINVAL : r;
            }
        }
        used += took;
        raw += k;
        raw += *raw == '&';
    }
    return 0;
}

void web_query_clear(web_query *q)
{
    free(q->text);
    *q = (web_query){0};
}

const char *web_query_get(const web_query *q, const char *key)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->item[i].key, key) == 0)
            return q->item[i].value;
    return NULL;
}

int web_query_u64(const web_query *q, const char *key, uint64_t *ret, pw_err *err)
{
    const char *s = web_query_get(q, key);
    if (!s || pw_parse_u64(s, ret, NULL) == 0)
        return 0;
    return pw_fail(err, PW_EINVAL, "\"%s\" must be a number, not \"%.60s\"", key, s);
}

int web_query_flag(const web_query *q, const char *key, bool *ret, pw_err *err)
{
    const char *s = web_query_get(q, key);
    if (!s)
        return 0;
    bool yes = !*s || strcmp(s, "1") == 0 || strcmp(s, "true") == 0 || strcmp(s, "yes") == 0;
    if (!yes && strcmp(s, "0") != 0 && strcmp(s, "false") != 0 && strcmp(s, "no") != 0)
        return pw_fail(err, PW_EINVAL, "\"%s\" must be 1 or 0, not \"%.60s\"", key, s);
    *ret = yes;
    return 0;
}

int web_query_time(const web_query *q, const char *key, pw_msec *ret, pw_err *err)
{
    const char *s = web_query_get(q, key);
    if (!s || pw_time_parse(s, ret, NULL) == 0)
        return 0;
    return pw_fail(err, PW_EINVAL, "\"%s\" must be a time like 2026-11-20T12:43:01Z, not \"%.60s\"",
                   key, s);
}

int web_query_word(const web_query *q, const char *key, const char *const *list, int *ret,
                   pw_err *err)
{
    const char *s = web_query_get(q, key);
    for (int i = 0; s && list[i]; i++)
        if (strcmp(s, list[i]) == 0) {
            *ret = i;
            return 0;
        }
    if (!s)
        return 0;
    char all[200];
    size_t used = 0;
    for (int i = 0; list[i] && used < sizeof(all); i++) {
        int k = snprintf(all + used, sizeof(all) - used, "%s%s", i ? " " : "", list[i]);
        used += k > 0 ? (size_t)k : 0;
    }
    return pw_fail(err, PW_EINVAL, "\"%s\" must be one of %s, not \"%.60s\"", key, all, s);
}

static int page_limit(const web_query *q, size_t usual, size_t *ret, pw_err *err)
{
    uint64_t limit = usual;
    int r = web_query_u64(q, "limit", &limit, err);
    if (r < 0)
        return r;
    if (limit < 1 || limit > WEB_LIMIT_MAX)
        return pw_fail(err, PW_EINVAL, "\"limit\" must be 1 to %d", WEB_LIMIT_MAX);
    *ret = (size_t)limit;
    return 0;
}

int web_query_page(const web_query *q, size_t *ret_limit, uint64_t *ret_before, pw_err *err)
{
    uint64_t before = 0;
    size_t limit = 0;
    const char *cursor = web_query_get(q, "cursor");
    int r = page_limit(q, WEB_LIMIT_DEFAULT, &limit, err);
    if (r == 0 && cursor)
        r = web_cursor_parse(cursor, &before, err);
    if (r < 0)
        return r;
    *ret_limit = limit;
    *ret_before = before;
    return 0;
}

void web_cursor_text(uint64_t before, char out[WEB_CURSOR])
{
    (void)snprintf(out, WEB_CURSOR, "b%" PRIx64, before);
}

int web_cursor_parse(const char *s, uint64_t *ret_before, pw_err *err)
{
    uint64_t v = 0;
    size_t n = strlen(s);
    if (*s != 'b' || n < 2 || n > 17 || s[1 + strspn(s + 1, "0123456789abcdef")])
        return pw_fail(err, PW_EINVAL, "\"cursor\" is not one that a list gave as \"next\"");
    for (s++; *s; s++)
        v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    if (v == 0)
        return pw_fail(err, PW_EINVAL, "\"cursor\" is not one that a list gave as \"next\"");
    *ret_before = v;
    return 0;
}

/* "n" and the bytes in hexadecimal digits. */
char *web_cursor_names(const char *after)
{
    size_t n = strlen(after);
    char *out = malloc(2 * n + 2);
    if (!out)
        return NULL;
    out[0] = 'n';
    for (size_t i = 0; i < n; i++) {
        unsigned v = (unsigned char)after[i];
        out[2 * i + 1] = "0123456789abcdef"[v >> 4];
        out[2 * i + 2] = "0123456789abcdef"[v & 15];
    }
    out[2 * n + 1] = '\0';
    return out;
}

int web_query_names(const web_query *q, size_t usual, size_t *ret_limit, char **ret_after,
                    pw_err *err)
{
    const char *s = web_query_get(q, "cursor");
    size_t limit = 0, n = s ? strlen(s) : 0;
    int r = page_limit(q, usual, &limit, err);
    if (r < 0)
        return r;
    if (s && (*s != 'n' || n % 2 == 0 || n < 3 || n > WEB_NAMES_MAX ||
              s[1 + strspn(s + 1, "0123456789abcdef")]))
        return pw_fail(err, PW_EINVAL, "\"cursor\" is not one that a list gave as \"next\"");
    char *after = s ? calloc(n / 2 + 1, 1) : NULL;
    if (s && !after)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 1; i < n; i++) {
        int v = s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10;
        char *at = &after[(i - 1) / 2];
        *at = (char)((unsigned char)*at << 4 | v);
    }
    if (s && strlen(after) != n / 2) { /* a NUL within */
        free(after);
        return pw_fail(err, PW_EINVAL, "\"cursor\" is not one that a list gave as \"next\"");
    }
    *ret_limit = limit;
    *ret_after = after;
    return 0;
}
