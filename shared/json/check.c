/* RFC 8259 as a walk over the text: which bracket is open is a bit a level. */
#include <ctype.h>
#include <string.h>

#include "shared/json/json.h"

enum { DEPTH = 100 };

typedef struct walk {
    const char *p, *end;
} walk;

static void blanks(walk *w)
{
    while (w->p < w->end && memchr(" \t\r\n", *w->p, 4))
        w->p++;
}

static bool word(walk *w, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(w->end - w->p) < n || memcmp(w->p, text, n) != 0)
        return false;
    w->p += n;
    return true;
}

static bool digits(walk *w)
{
    const char *from = w->p;
    while (w->p < w->end && *w->p >= '0' && *w->p <= '9')
        w->p++;
    return w->p > from;
}

static bool number(walk *w)
{
    (void)word(w, "-");
    if (!word(w, "0") && !digits(w))
        return false;
    if (word(w, ".") && !digits(w))
        return false;
    if (!word(w, "e") && !word(w, "E"))
        return true;
    if (!word(w, "+"))
        (void)word(w, "-");
    return digits(w);
}

static bool string(walk *w)
{
    if (!word(w, "\""))
        return false;
    while (w->p < w->end) {
        unsigned char c = (unsigned char)*w->p++;
        if (c == '"')
            return true;
        if (c < 0x20)
            return false;
        if (c != '\\')
            continue;
        if (w->p == w->end)
            return false;
        c = (unsigned char)*w->p++;
        if (c == 'u') {
            for (int i = 0; i < 4; i++)
                if (w->p == w->end || !isxdigit((unsigned char)*w->p++))
                    return false;
        } else if (!memchr("\"\\/bfnrt", c, 8)) {
            return false;
        }
    }
    return false;
}

static bool scalar(walk *w)
{
    if (w->p == w->end)
        return false;
    if (*w->p == '"')
        return string(w);
    if (*w->p == '-' || (*w->p >= '0' && *w->p <= '9'))
        return number(w);
    return word(w, "true") || word(w, "false") || word(w, "null");
}

static bool key(walk *w)
{
    blanks(w);
    if (!string(w))
        return false;
    blanks(w);
    return word(w, ":");
}

static bool value(walk *w)
{
    bool object[DEPTH];
    size_t depth = 0;
    for (;;) {
        blanks(w);
        if (w->p < w->end && (*w->p == '{' || *w->p == '[')) {
            bool is = *w->p++ == '{';
            if (depth == DEPTH)
                return false;
            blanks(w);
            if (!word(w, is ? "}" : "]")) {
                object[depth++] = is;
                if (is && !key(w))
                    return false;
                continue;
            }
        } else if (!scalar(w)) {
            return false;
        }
        for (;; depth--) { /* a value has ended: a comma, or what holds it ends too */
            if (depth == 0)
                return true;
            blanks(w);
            if (word(w, ",")) {
                if (object[depth - 1] && !key(w))
                    return false;
                break;
            }
            if (!word(w, object[depth - 1] ? "}" : "]"))
                return false;
        }
    }
}

int json_check(const char *text, size_t n, pw_err *err)
{
    walk w = {text, text + n};
    bool good = value(&w);
    blanks(&w);
    if (good && w.p == w.end)
        return 0;
    return pw_fail(err, PW_EPROTO, "not JSON at byte %zu", (size_t)(w.p - text));
}
