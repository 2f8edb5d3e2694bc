#include "worker/run/cond.h"

#include <string.h>

#include "shared/expr/expr.h"
#include "worker/run/env.h"

typedef struct facts {
    const job_spec *job;
    const char *result;
    char number[24];
} facts;

static bool is(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(word, name, n) == 0;
}

static bool lookup(void *self, const char *name, size_t n, expr_value *ret)
{
    facts *f = self;
    const char *value = is(name, n, "result")   ? f->result
                        : is(name, n, "event")  ? f->job->event
                        : is(name, n, "reason") ? f->job->reason
                                                : NULL;
    if (!value)
        value = env_property(f->job, name, n, f->number);
    if (!value)
        return false;
    *ret = (expr_value){value, strlen(value)};
    return true;
}

int cond_holds(const job_spec *job, const job_step *s, pw_result so_far, bool *ret, pw_err *err)
{
    /* nothing ran, or all was well: what is not bad is a success so far */
    facts f = {.job = job, .result = pw_result_name(so_far == PW_SKIPPED ? PW_SUCCESS : so_far)};
    size_t at = 0;
    *ret = true;
    if (!s->cond)
        return 0;
    PW_AUTO(expr_freep) expr *e = expr_parse(s->cond, &at, err);
    int r = e ? expr_eval(e, lookup, &f, ret, err) : err->code;
    return r < 0 ? pw_err_context(err, "if: %.200s", s->cond) : 0;
}
