/* The events of `go test -json`. A package that failed without a test of its own that did (it does
 * not compile, it panics) counts as a failed case. */
#include <stdio.h>
#include <string.h>

#include "shared/json/json.h"
#include "worker/reports/impl.h"

enum { PACKAGES = 4096 };
typedef struct gotest {
    uint64_t failed[PACKAGES]; /* hashes of packages with a failed test; 0: free */
    uint64_t events;
} gotest;

static uint64_t hash_of(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h ? h : 1;
}

/* Whether it is there; adds it, as long as there is room. */
static bool known(gotest *g, const char *package, bool add)
{
    uint64_t h = hash_of(package);
    for (size_t i = 0; i < PACKAGES; i++) {
        uint64_t *at = &g->failed[(h + i) % PACKAGES];
        if (*at == h)
            return true;
        if (!*at) {
            *at = add ? h : 0;
            return false;
        }
    }
    return true;
}

static void line(report *r, char *s, size_t n)
{
    gotest *g = r->state;
    if (*s != '{') /* what the tool itself says between events */
        return;
    PW_AUTO(json_freep) json_value *v = json_parse(s, n, NULL);
    const char *action = json_str(json_get(v, "Action"), NULL);
    if (!action) {
        if (!v && n < REPORT_LINE_MAX) /* a longer one was cut: only output is so long */
            report_bad(r, "line %llu: it is no event of go test -json",
                       (unsigned long long)r->line_no);
        return;
    }
    const char *package = json_str(json_get(v, "Package"), ""),
               *test = json_str(json_get(v, "Test"), NULL);
    g->events++;
    bool pass = strcmp(action, "pass") == 0, fail = strcmp(action, "fail") == 0,
         skip = strcmp(action, "skip") == 0;
    const char *elapsed = strstr(s, "\"Elapsed\":"); /* events with a result have no output */
    uint64_t ms = elapsed ? report_seconds(elapsed + 10) : 0;
    if (test && (pass || fail || skip)) {
        report_put(r, package, test,
                   pass   ? REPORT_PASSED
                   : fail ? REPORT_FAILED
                          : REPORT_SKIPPED,
                   ms);
        if (fail)
            (void)known(g, package, true);
    } else if (!test && fail && !known(g, package, false)) {
        report_put(r, package, "(package)", REPORT_FAILED, ms);
    }
}

static void end(report *r)
{
    const gotest *g = r->state;
    if (r->line_no && !g->events)
        report_bad(r, "it has no event of go test -json");
}

const report_kind report_gotest = {
    .name = "gotest", .size = sizeof(gotest), .line = line, .end = end};
