#include "shared/job/kind.h"

#include <string.h>

static const char *const names[JOB_KINDS] = {
    [JOB_KIND_RUN] = "run",
    [JOB_KIND_CHECKOUT] = "checkout",
    [JOB_KIND_SET_PROPERTY] = "set_property",
    [JOB_KIND_ANNOTATE] = "annotate",
    [JOB_KIND_HTTP] = "http",
    [JOB_KIND_CACHE] = "cache",
    [JOB_KIND_CACHE_SAVE] = "cache-save",
    [JOB_KIND_ARTIFACTS] = "artifacts",
    [JOB_KIND_REPORTS] = "reports",
    [JOB_KIND_FETCH] = "fetch",
    [JOB_KIND_TRIGGER] = "trigger",
};

const char *job_kind_name(uint64_t kind)
{
    return names[kind < JOB_KINDS ? kind : JOB_KIND_RUN];
}

unsigned job_kind_number(const char *name)
{
    unsigned i = 0;
    while (i < JOB_KINDS && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static void add(const char *out[JOB_MUST_MAX], size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(out[i], name) == 0)
            return;
    if (*n < JOB_MUST_MAX)
        out[(*n)++] = name;
}

size_t job_must(const job_spec *job, const char *out[JOB_MUST_MAX])
{
    size_t n = 0;
    const job_step *s = job->steps.v;
    for (size_t i = 0; i < job->steps.n; i++) {
        add(out, &n, s[i].kind);
        if (job->source && strcmp(s[i].kind, names[JOB_KIND_CHECKOUT]) == 0)
            add(out, &n, PW_FEATURE_SOURCE);
        if (s[i].artifacts.n)
            add(out, &n, names[JOB_KIND_ARTIFACTS]);
        if (s[i].reports.n)
            add(out, &n, names[JOB_KIND_REPORTS]);
    }
    if (job->secrets.n)
        add(out, &n, PW_FEATURE_SECRETS);
    return n;
}
