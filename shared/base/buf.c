#include "shared/base/buf.h"

#include <stdio.h>
#include <string.h>

#define BUF_FIRST                                                                                  \
    64 /* bytes of the first allocation: most texts here are names and short lines                 \
        */

void pw_buf_init(pw_buf *b, size_t max)
{
    *b = (pw_buf)PW_BUF(max);
}

void pw_buf_clear(pw_buf *b)
{
    free(b->p);
    pw_buf_init(b, b->max);
}

void pw_buf_reset(pw_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = '\0';
}

static int buf_fail(pw_buf *b, int code)
{
    b->failed = true;
    return code;
}

/* Room for n more bytes and the NUL; the content does not change. */
static int buf_grow(pw_buf *b, size_t n)
{
    size_t need, cap;
    char *p;

    if (b->failed)
        return PW_ELIMIT;
    if (b->len > b->max || n > b->max - b->len || n >= SIZE_MAX - b->len)
        return buf_fail(b, PW_ELIMIT);
    need = b->len + n + 1;
    if (need <= b->cap)
        return 0;
    cap = b->cap > SIZE_MAX / 2 ? need : b->cap * 2;
    if (cap < BUF_FIRST)
        cap = BUF_FIRST;
    if (cap > b->max)
        cap = b->max; /* may be less than `need` now, which counts the NUL */
    if (cap < need)
        cap = need;
    p = realloc(b->p, cap);
    if (!p)
        return buf_fail(b, PW_ENOMEM);
    b->p = p;
    b->cap = cap;
    b->p[b->len] = '\0';
    return 0;
}

int pw_buf_add(pw_buf *b, const void *p, size_t n)
{
    int rc = buf_grow(b, n);

    if (rc < 0)
        return rc;
    if (n > 0)
        memcpy(b->p + b->len, p, n);
    b->len += n;
    b->p[b->len] = '\0';
    return 0;
}

int pw_buf_adds(pw_buf *b, const char *s)
{
    return pw_buf_add(b, s, strlen(s));
}

int pw_buf_addf(pw_buf *b, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = pw_buf_vaddf(b, fmt, ap);
    va_end(ap);
    return rc;
}

int pw_buf_vaddf(pw_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    size_t room;
    int n, rc;

    rc = buf_grow(b, 0);
    if (rc < 0)
        return rc;
    room = b->cap - b->len;
    va_copy(again, ap);
    n = vsnprintf(b->p + b->len, room, fmt, again);
    va_end(again);
    if (n >= 0 && (size_t)n < room && (size_t)n <= b->max - b->len) {
        b->len += (size_t)n;
        return 0;
    }
    b->p[b->len] = '\0'; /* what did not fit is no content */
    if (n < 0)
        return buf_fail(b, PW_EINVAL);
    rc = buf_grow(b, (size_t)n);
    if (rc < 0)
        return rc;
    (void)vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
    b->len += (size_t)n;
    return 0;
}

char *pw_buf_room(pw_buf *b, size_t n)
{
    if (buf_grow(b, n) < 0)
        return NULL;
    b->p[b->len + n] = '\0'; /* stands behind the text when the caller fills the whole room */
    return b->p + b->len;
}

void pw_buf_drop(pw_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else if (n > 0) {
        memmove(b->p, b->p + n, b->len - n);
        b->len -= n;
    }
    if (b->p)
        b->p[b->len] = '\0';
}

const char *pw_buf_str(const pw_buf *b)
{
    if (!b->p)
        return "";
    /* the caller of pw_buf_room() may have filled less than it asked for; bytes that are only lent
     * stay */
    if (b->len < b->cap)
        b->p[b->len] = '\0';
    return b->p;
}

char *pw_buf_take(pw_buf *b)
{
    char *p = NULL;
    bool failed = b->failed;

    if (!failed && b->len > 0) {
        b->p[b->len] = '\0';
        p = pw_take(b->p);
    }
    pw_buf_clear(b);
    b->failed = failed; /* so that the caller can tell "empty" from "failed" */
    return p;
}

char *pw_strdup(const char *s, bool *failed)
{
    char *p;

    if (!s)
        return NULL;
    p = strdup(s);
    if (!p && failed)
        *failed = true;
    return p;
}

char *pw_strf(const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    p = malloc((size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

/* Bytes of the UTF-8 character at s (RFC 3629: no overlong forms, no surrogates), or 0 when it is
 * none. */
size_t pw_utf8_len(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        n = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        n = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) /* a NUL ends it: it is below 0x80 */
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

static int json_char(pw_buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        return pw_buf_add(b, "\\\"", 2);
    case '\\':
        return pw_buf_add(b, "\\\\", 2);
    case '\n':
        return pw_buf_add(b, "\\n", 2);
    case '\r':
        return pw_buf_add(b, "\\r", 2);
    case '\t':
        return pw_buf_add(b, "\\t", 2);
    default:
        return pw_buf_addf(b, "\\u%04x", c);
    }
}

static int json_text(pw_buf *b, const unsigned char *s)
{
    const unsigned char *from = s; /* what is plain is added in one piece */
    int rc;

    while (*s) {
        size_t n = pw_utf8_len((const char *)s);
        bool plain = n > 0 && *s >= 0x20 && *s != '"' && *s != '\\' && *s != 0x7f;
        if (plain) {
            s += n;
            continue;
        }
        rc = pw_buf_add(b, from, (size_t)(s - from));
        if (rc == 0)
            rc = n == 0 ? pw_buf_adds(b, "\xef\xbf\xbd") : json_char(b, *s);
        if (rc < 0)
            return rc;
        from = ++s;
    }
    return pw_buf_add(b, from, (size_t)(s - from));
}

int pw_buf_json(pw_buf *b, const char *s)
{
    size_t old = b->len;
    int rc;

    if (!s)
        return pw_buf_adds(b, "null");
    rc = pw_buf_add(b, "\"", 1);
    if (rc == 0)
        rc = json_text(b, (const unsigned char *)s);
    if (rc == 0)
        rc = pw_buf_add(b, "\"", 1);
    if (rc < 0 && b->p) {
        b->len = old;
        b->p[old] = '\0';
    }
    return rc;
}
