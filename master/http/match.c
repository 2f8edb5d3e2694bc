/* Walking the route table. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "master/http/routes.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int web_unescape(const char *s, size_t n, int plus, char *out, size_t cap, size_t *ret_len,
                 pw_err *err)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)s[i];
        if (c == '%') {
            int high = n - i > 2 ? digit(s[i + 1]) : -1;
            int low = high >= 0 ? digit(s[i + 2]) : -1;
            if (low < 0)
                return pw_fail(err, PW_EINVAL, "a %% is not followed by two hexadecimal digits");
            c = high * 16 + low;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == 0)
            return pw_fail(err, PW_EINVAL, "a NUL byte is not allowed");
        if (len + 1 >= cap)
            return pw_fail(err, PW_ELIMIT, "a part of the address is too long");
        out[len++] = (char)c;
    }
    if (cap == 0)
        return pw_fail(err, PW_ELIMIT, "a part of the address is too long");
    out[len] = '\0';
    *ret_len = len;
    return 0;
}

int web_has_word(const char *words, const char *word, size_t n)
{
    for (const char *p = words; p && *p;) {
        size_t k = strcspn(p, " !");
        if (k == n && memcmp(p, word, n) == 0)
            return 1;
        p += k;
        p += strspn(p, " !");
    }
    return 0;
}

/* The last part of a pattern takes all that is left when it is {path}. */
static bool takes_rest(const char *pattern)
{
    return strcmp(pattern, "/{path}") == 0;
}

/* One part of pattern and path at a time: a pattern without braces must be equal, byte for byte. */
static bool fits(const char *pattern, const char *path)
{
    for (;;) {
        size_t a = strcspn(pattern + 1, "/"), b = strcspn(path + 1, "/");
        if (takes_rest(pattern))
            return path[1] != '\0';
        if (pattern[1] == '{' ? b == 0 : a != b || memcmp(pattern + 1, path + 1, a) != 0)
            return false;
        pattern += 1 + a;
        path += 1 + b;
        if (!*pattern || !*path)
            return !*pattern && !*path;
    }
}

static int take_params(const char *pattern, const char *path, web_match *m, pw_err *err)
{
    size_t used = 0, len;
    for (; *pattern; pattern += 1 + strcspn(pattern + 1, "/"), path += 1 + strcspn(path + 1, "/")) {
        size_t part = takes_rest(pattern) ? strlen(path + 1) : strcspn(path + 1, "/");
        if (pattern[1] != '{')
            continue;
        if (m->n == WEB_PARAMS)
            return pw_fail(err, PW_ELIMIT, "too many parts");
        int r = web_unescape(path + 1, part, 0, m->text + used, sizeof(m->text) - used, &len, err);
        if (r < 0)
            return r == PW_ELIMIT ? pw_fail(err, PW_EINVAL, "the address is too long") : r;
        m->param[m->n++] = m->text + used;
        used += len + 1;
    }
    return 0;
}

int web_route_find(const web_route *table, size_t n, const char *method, const char *path,
                   web_match *ret, pw_err *err)
{
    size_t allowed = 0;
    ret->route = NULL;
    ret->n = 0;
    ret->allow[0] = '\0';
    if (*path != '/')
        return pw_fail(err, PW_EINVAL, "the address does not begin with /");
    for (size_t i = 0; i < n; i++) {
        if (!fits(table[i].pattern, path))
            continue;
        if (strcmp(table[i].method, method) == 0) {
            ret->route = &table[i];
            return take_params(table[i].pattern, path, ret, err);
        }
        int k = snprintf(ret->allow + allowed, sizeof(ret->allow) - allowed, "%s%s",
                         allowed ? ", " : "", table[i].method);
        if (k > 0 && (size_t)k < sizeof(ret->allow) - allowed)
            allowed += (size_t)k;
    }
    if (allowed)
        return pw_fail(err, PW_EDENIED, "%.20s is not possible here, but %s is", method,
                       ret->allow);
    return pw_fail(err, PW_ENOTFOUND, "there is nothing at this address");
}
