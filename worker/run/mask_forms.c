#include "worker/run/mask_forms.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/cleanup.h"

enum { GROWTH = 6 }; /* \u00XX: six bytes for one */

typedef struct scratch {
    uint8_t *p; /* owned */
    size_t n, cap;
} scratch;

static void scratch_clear(scratch *s)
{
    if (s->p)
        explicit_bzero(s->p, s->cap);
    free(s->p);
}

static int scratch_make(scratch *s, size_t cap, pw_err *err)
{
    s->cap = cap;
    s->p = malloc(cap);
    return s->p ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

static void put(scratch *s, unsigned c)
{
    s->p[s->n++] = (uint8_t)c;
}

/* ---- base64 */

/* Bit `at` of a stream that has the value behind `skip` bytes, six bits of it. */
static unsigned sextet(const uint8_t *v, size_t skip, size_t at)
{
    size_t byte = at / 8 - skip, shift = at % 8;
    unsigned two = (unsigned)v[byte] << 8;
    if (shift > 2) /* else all six are in the first */
        two |= v[byte + 1];
    return two >> (10 - shift) & 63;
}

static int base64(const uint8_t *v, size_t n, mask_form *fn, void *self, pw_err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char ends[2][3] = {"+/", "-_"};
    PW_AUTO(scratch_clear) scratch s = {0};
    int rc = scratch_make(&s, n / 3 * 4 + 8, err);
    for (size_t form = 0; form < 6 && rc == 0; form++) {
        size_t skip = form / 2;
        s.n = 0;
        for (size_t at = (8 * skip + 5) / 6 * 6; at + 6 <= 8 * (skip + n); at += 6) {
            unsigned six = sextet(v, skip, at);
            put(&s, (uint8_t)(six < 62 ? letters[six] : ends[form % 2][six - 62]));
        }
        rc = fn(self, s.p, s.n, true, err);
    }
    return rc;
}

/* ---- %XX */

typedef struct url_style {
    const char *keep; /* besides letters and digits */
    const char *hex;
    bool plus; /* a blank is + */
} url_style;

static int url(const uint8_t *v, size_t n, mask_form *fn, void *self, pw_err *err)
{
    static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";
    /* RFC 3986, Python's quote(), JavaScript's encodeURIComponent() and encodeURI(), forms */
    static const char *const keep[] = {"-._~", "-._~/", "-._~!'()*", "-._~!'()*;,/?:@&=+$#",
                                       "-._*"};
    PW_AUTO(scratch_clear) scratch s = {0};
    int rc = scratch_make(&s, 3 * n, err);
    for (size_t form = 0; form < 4 * sizeof(keep) / sizeof(keep[0]) && rc == 0; form++) {
        url_style style = {keep[form / 4], form & 1 ? lower : upper, form & 2};
        s.n = 0;
        for (size_t i = 0; i < n; i++) {
            if (isalnum(v[i]) || (v[i] && strchr(style.keep, v[i]))) {
                put(&s, v[i]);
            } else if (v[i] == ' ' && style.plus) {
                put(&s, '+');
            } else {
                put(&s, '%');
                put(&s, (uint8_t)style.hex[v[i] >> 4]);
                put(&s, (uint8_t)style.hex[v[i] & 15]);
            }
        }
        rc = fn(self, s.p, s.n, false, err);
    }
    return rc;
}

/* ---- JSON */

typedef struct json_style {
    const char *hex;
    bool slash; /* \/ */
    bool html;  /* < > & as \u003c: Go's */
    bool ascii; /* all beyond ASCII as \uXXXX */
} json_style;

static void put_u(scratch *s, const char *hex, unsigned unit)
{
    put(s, '\\');
    put(s, 'u');
    for (int shift = 12; shift >= 0; shift -= 4)
        put(s, (uint8_t)hex[unit >> shift & 15]);
}

/* One character of UTF-8 at v; its length, 0 when it is none. */
static size_t utf8(const uint8_t *v, size_t n, unsigned *ret)
{
    size_t k = v[0] >= 0xf0 && v[0] < 0xf5 ? 4 : v[0] >= 0xe0 ? 3 : 2;
    unsigned c = v[0] & (0x7fU >> k);
    if (v[0] < 0xc2 || v[0] >= 0xf5 || k > n)
        return 0;
    for (size_t i = 1; i < k; i++) {
        if ((v[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (v[i] & 0x3f);
    }
    *ret = c;
    return k;
}

static size_t json_wide(scratch *s, const json_style *style, const uint8_t *v, size_t n)
{
    unsigned c = 0;
    size_t k = style->ascii ? utf8(v, n, &c) : 0;
    if (!k) {
        put(s, v[0]);
        return 1;
    }
    if (c >= 0x10000) {
        put_u(s, style->hex, 0xd7c0 + (c >> 10));
        c = 0xdc00 + (c & 0x3ff);
    }
    put_u(s, style->hex, c);
    return k;
}

static void json_text(scratch *s, const json_style *style, const uint8_t *v, size_t n)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    s->n = 0;
    for (size_t i = 0; i < n;) {
        const char *at = v[i] ? strchr(from, v[i]) : NULL;
        bool html = style->html && (v[i] == '<' || v[i] == '>' || v[i] == '&');
        if (v[i] >= 0x80) {
            i += json_wide(s, style, v + i, n - i);
            continue;
        }
        if (at || (style->slash && v[i] == '/')) {
            put(s, '\\');
            put(s, (uint8_t)(at ? to[at - from] : '/'));
        } else if (v[i] < 0x20 || html) {
            put_u(s, style->hex, v[i]);
        } else {
            put(s, v[i]);
        }
        i++;
    }
}

static int json(const uint8_t *v, size_t n, mask_form *fn, void *self, pw_err *err)
{
    static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";
    PW_AUTO(scratch_clear) scratch s = {0};
    int rc = scratch_make(&s, GROWTH * n, err);
    for (unsigned form = 0; form < 16 && rc == 0; form++) {
        json_style style = {form & 1 ? upper : lower, form & 2, form & 4, form & 8};
        json_text(&s, &style, v, n);
        rc = fn(self, s.p, s.n, false, err);
    }
    return rc;
}

/* ---- all of them */

/* As a terminal and some programs write it: CR LF for LF. */
static int with_cr(const uint8_t *v, size_t n, mask_form *fn, void *self, pw_err *err)
{
    PW_AUTO(scratch_clear) scratch s = {0};
    int rc = scratch_make(&s, 2 * n, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (v[i] == '\n' && (i == 0 || v[i - 1] != '\r'))
            put(&s, '\r');
        put(&s, v[i]);
    }
    return rc < 0 ? rc : fn(self, s.p, s.n, false, err);
}

static int one(const uint8_t *v, size_t n, mask_form *fn, void *self, pw_err *err)
{
    int rc = fn(self, v, n, false, err);
    if (rc == 0)
        rc = base64(v, n, fn, self, err);
    if (rc == 0)
        rc = url(v, n, fn, self, err);
    return rc < 0 ? rc : json(v, n, fn, self, err);
}

static bool blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int mask_forms(const uint8_t *value, size_t n, mask_form *fn, void *self, pw_err *err)
{
    int rc = one(value, n, fn, self, err);
    bool lines = memchr(value, '\n', n) || memchr(value, '\r', n);
    if (rc == 0 && lines)
        rc = with_cr(value, n, fn, self, err);
    for (size_t i = 0; i < n && rc == 0 && lines;) {
        size_t end = i;
        while (end < n && value[end] != '\n' && value[end] != '\r')
            end++;
        size_t next = end + 1;
        while (i < end && blank(value[i]))
            i++;
        while (end > i && blank(value[end - 1]))
            end--;
        if (i < end)
            rc = one(value + i, end - i, fn, self, err);
        i = next;
    }
    return rc;
}
