/* TAP 12 to 14, its outermost level: what is indented belongs to a subtest, whose own line counts.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "worker/reports/impl.h"

typedef struct tap {
    bool planned, bailed;
    uint64_t plan;
} tap;

/* The directive behind an unescaped #: "skip", "todo" or NULL; cuts it off. */
static const char *directive(char *s)
{
    for (char *p = s; (p = strchr(p, '#')); p++) {
        size_t slashes = 0;
        while (p - slashes > s && p[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2)
            continue;
        char *w = p + 1 + strspn(p + 1, " \t");
        bool skip = strncasecmp(w, "skip", 4) == 0, todo = strncasecmp(w, "todo", 4) == 0;
        if (skip || todo) {
            *p = '\0';
            return skip ? "skip" : "todo";
        }
    }
    return NULL;
}

static void a_case(report *r, char *s, bool good)
{
    const char *what = directive(s);
    s += strspn(s, " \t");
    s += strspn(s, "0123456789");
    s += strspn(s, " \t");
    if (*s == '-')
        s += 1 + strspn(s + 1, " \t");
    size_t n = strlen(s);
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '{'))
        s[--n] = '\0';
    /* what is still to be done may fail */
    report_put(r, NULL, s, what ? REPORT_SKIPPED : good ? REPORT_PASSED : REPORT_FAILED, 0);
}

static void line(report *r, char *s, size_t n)
{
    tap *t = r->state;
    (void)n;
    if (t->bailed)
        return;
    if (strncmp(s, "Bail out!", 9) == 0) {
        t->bailed = true;
        s += 9 + strspn(s + 9, " ");
        report_bad(r, "line %llu: Bail out!%s%.200s", (unsigned long long)r->line_no, *s ? " " : "",
                   s);
    } else if (strncmp(s, "ok", 2) == 0 && !isalnum((unsigned char)s[2]) && s[2] != '_') {
        a_case(r, s + 2, true);
    } else if (strncmp(s, "not ok", 6) == 0 && !isalnum((unsigned char)s[6]) && s[6] != '_') {
        a_case(r, s + 6, false);
    } else if (strncmp(s, "1..", 3) == 0 && isdigit((unsigned char)s[3]) && !t->planned) {
        const char *p = s + 3;
        t->planned = true;
        for (; isdigit((unsigned char)*p) && t->plan < UINT32_MAX; p++)
            t->plan = t->plan * 10 + (uint64_t)(*p - '0');
        if (t->plan == 0)
            r->totals.skipped_all = true;
    }
}

static void end(report *r)
{
    const tap *t = r->state;
    if (!t->planned && r->totals.tests)
        report_bad(r, "it has no plan: the tests may not have come to their end");
    else if (t->planned && t->plan != r->totals.tests)
        report_bad(r, "its plan is of %llu tests, and %llu came", (unsigned long long)t->plan,
                   (unsigned long long)r->totals.tests);
}

const report_kind report_tap = {.name = "tap", .size = sizeof(tap), .line = line, .end = end};
