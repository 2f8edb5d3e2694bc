#include "worker/run/env.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/spool/spool.h"

void env_clear(env_list *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->v[i]);
    free(e->v);
    *e = (env_list){0};
}

static size_t env_find(const env_list *e, const char *name, size_t n)
{
    size_t i = 0;
    while (i < e->n && (strncmp(e->v[i], name, n) != 0 || e->v[i][n] != '='))
        i++;
    return i;
}

/* Takes the text "NAME=value" (NULL: memory ran out). */
static int env_put(env_list *e, char *text, size_t name_len, pw_err *err)
{
    PW_AUTO(pw_freep) char *mine = text;
    if (!mine)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    size_t i = env_find(e, mine, name_len);
    if (i == e->n) {
        if (e->n == ENV_COUNT_MAX)
            return pw_fail(err, PW_ELIMIT, "more than %d environment variables", ENV_COUNT_MAX);
        if (e->n + 1 >= e->cap) {
            size_t cap = e->cap ? e->cap * 2 : 64;
            char **v = realloc(e->v, cap * sizeof(*v));
            if (!v)
                return pw_fail(err, PW_ENOMEM, "out of memory");
            e->v = v;
            e->cap = cap;
        }
        e->v[++e->n] = NULL;
    } else {
        free(e->v[i]);
    }
    e->v[i] = pw_take(mine);
    return 0;
}

int env_set(env_list *e, const char *name, const char *value, pw_err *err)
{
    size_t n = strlen(name);
    if (!n || strchr(name, '='))
        return pw_fail(err, PW_EINVAL, "\"%s\" cannot be the name of an environment variable",
                       name);
    return env_put(e, pw_strf("%s=%s", name, value), n, err);
}

void env_unset(env_list *e, const char *name)
{
    size_t i = env_find(e, name, strlen(name));
    if (i == e->n)
        return;
    free(e->v[i]);
    e->v[i] = e->v[--e->n];
    e->v[e->n] = NULL;
}

const char *env_get(const env_list *e, const char *name)
{
    size_t n = strlen(name), i = env_find(e, name, n);
    return i < e->n ? e->v[i] + n + 1 : NULL;
}

static bool same(const char *name, size_t n, const char *text)
{
    return strlen(text) == n && memcmp(name, text, n) == 0;
}

const char *env_property(const job_spec *job, const char *name, size_t n, char number[24])
{
    const struct {
        const char *name, *value;
    } own[] = {
        {"branch", job->branch},   {"revision", job->revision}, {"project", job->project},
        {"builder", job->builder}, {"worker", job->worker},
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (own[i].value && same(name, n, own[i].name))
            return own[i].value;
    bool build = same(name, n, "build_id");
    if (build || same(name, n, "attempt")) {
        (void)snprintf(number, 24, "%" PRIu64, build ? job->build : job->try_no);
        return number;
    }
    const msg_pair *p = job->props.v;
    for (size_t i = job->props.n; i-- > 0;) /* the last one given wins */
        if (same(name, n, p[i].name))
            return p[i].value ? p[i].value : "";
    return NULL;
}

/* The } that belongs to the ${ whose inside begins at p; NULL: none. */
static const char *closing(const char *p, const char *end)
{
    int open = 1;
    for (; p < end; p++) {
        if (p[0] == '$' && p + 1 < end && p[1] == '{') {
            open++;
            p++;
        } else if (p[0] == '}' && --open == 0) {
            return p;
        }
    }
    return NULL;
}

typedef struct subst_from {
    const job_spec *job;
    const pw_list *secrets; /* msg_secret, or NULL */
} subst_from;

static int subst(const subst_from *from, const char *p, const char *end, int depth, pw_buf *out,
                 pw_err *err);

static const char secret_mark[] = "secret:";
enum { SECRET_MARK = sizeof(secret_mark) - 1 };

static int subst_secret(const subst_from *from, const char *name, size_t n, pw_buf *out,
                        pw_err *err)
{
    const msg_secret *s = from->secrets ? from->secrets->v : NULL;
    for (size_t i = 0; s && i < from->secrets->n; i++)
        if (same(name, n, s[i].name))
            return pw_buf_add(out, s[i].value.p, s[i].value.n) < 0
                       ? pw_fail(err, PW_ELIMIT, "text with secrets is too long")
                       : 0;
    return pw_fail(err, PW_ENOTFOUND, "unknown secret \"%.*s\"", n < 200 ? (int)n : 200, name);
}

/* One ${...}: p is its inside, up to end. */
static int subst_one(const subst_from *from, const char *p, const char *end, int depth, pw_buf *out,
                     pw_err *err)
{
    const char *name = p;
    char number[24];
    if (end - p > SECRET_MARK && memcmp(p, secret_mark, SECRET_MARK) == 0)
        return subst_secret(from, p + SECRET_MARK, (size_t)(end - p) - SECRET_MARK, out, err);
    while (p < end && !(p[0] == ':' && p + 1 < end && (p[1] == '-' || p[1] == '+')))
        p++;
    size_t n = (size_t)(p - name);
    char form = p < end ? p[1] : '\0';
    const char *value = env_property(from->job, name, n, number);
    if (!value && !form)
        return pw_fail(err, PW_ENOTFOUND, "unknown property \"%.*s\"", n < 200 ? (int)n : 200,
                       name);
    /* as in the shell: with a colon an empty value counts as none */
    bool set = value && *value;
    if (form == '+' ? set : form == '-' && !set)
        return subst(from, p + 2, end, depth + 1, out, err);
    if (form == '+')
        return 0;
    return pw_buf_adds(out, value) < 0 ? pw_fail(err, PW_ELIMIT, "text with properties is too long")
                                       : 0;
}

static int subst(const subst_from *from, const char *p, const char *end, int depth, pw_buf *out,
                 pw_err *err)
{
    if (depth > ENV_DEPTH)
        return pw_fail(err, PW_ELIMIT, "properties nested deeper than %d", ENV_DEPTH);
    while (p < end) {
        const char *open = memmem(p, (size_t)(end - p), "${", 2);
        const char *stop = open ? open : end;
        if (stop > p && pw_buf_add(out, p, (size_t)(stop - p)) < 0)
            return pw_fail(err, PW_ELIMIT, "text with properties is too long");
        if (!open)
            break;
        const char *to = closing(open + 2, end);
        if (!to)
            return pw_fail(err, PW_EINVAL, "\"${\" without \"}\"");
        int rc = subst_one(from, open + 2, to, depth, out, err);
        if (rc < 0)
            return rc;
        p = to + 1;
    }
    return 0;
}

int env_subst(const job_spec *job, const char *text, pw_buf *out, pw_err *err)
{
    const subst_from from = {job, NULL};
    return subst(&from, text, text + strlen(text), 0, out, err);
}

/* Gives each property that the text names as $name or ${name}. */
static int env_mentioned(env_list *e, const job_spec *job, const char *text, pw_err *err)
{
    for (const char *p = text; (p = strchr(p, '$'));) {
        char number[24];
        p += p[1] == '{' ? 2 : 1;
        size_t n = 0;
        if (islower((unsigned char)p[0]) || p[0] == '_')
            while (islower((unsigned char)p[n]) || isdigit((unsigned char)p[n]) || p[n] == '_')
                n++;
        if (!n || isupper((unsigned char)p[n]))
            continue;
        const char *value = env_property(job, p, n, number);
        if (!value)
            continue;
        int rc = env_put(e, pw_strf("%.*s=%s", (int)n, p, value), n, err);
        if (rc < 0)
            return rc;
        p += n;
    }
    return 0;
}

static int env_pairs(env_list *e, const subst_from *from, const pw_list *pairs, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf value = PW_BUF(ENV_VALUE_MAX);
    const msg_pair *p = pairs->v;
    for (size_t i = 0; i < pairs->n; i++) {
        pw_buf_reset(&value);
        const char *text = p[i].value ? p[i].value : "";
        int rc = subst(from, text, text + strlen(text), 0, &value, err);
        if (rc == 0)
            rc = env_set(e, p[i].name, pw_buf_str(&value), err);
        if (rc < 0) {
            (void)pw_err_context(err, "env %s", p[i].name);
            return rc;
        }
    }
    return 0;
}

static int env_own(env_list *e, const env_place *place, const job_spec *job, pw_err *err)
{
    char build[24], attempt[24], shard[24], shards[24], name[SPOOL_JOB_NAME];
    PW_AUTO(pw_freep) char *artifacts = pw_strf("%s/" ENV_ARTIFACTS, place->tmpdir);
    PW_AUTO(pw_freep) char *summary = pw_strf("%s/" ENV_SUMMARY, place->tmpdir);
    if (!artifacts || !summary)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)snprintf(build, sizeof(build), "%" PRIu64, job->build);
    /* the id, not the try number: it grows over all builds, which a fencing token must */
    (void)snprintf(attempt, sizeof(attempt), "%" PRIu64, job->attempt);
    (void)snprintf(shard, sizeof(shard), "%" PRIu64, job->shards ? job->shard : 1);
    (void)snprintf(shards, sizeof(shards), "%" PRIu64, job->shards ? job->shards : 1);
    const struct {
        const char *name, *value;
    } own[] = {
        {"PAWL_SHARD", shard},
        {"PAWL_SHARDS", shards},
        {"PAWL_BUILD_ID", build},
        {"PAWL_BUILD_URL", job->build_url},
        {"PAWL_BUILDER", job->builder},
        {"PAWL_PROJECT", job->project},
        {"PAWL_BRANCH", job->branch},
        {"PAWL_REVISION", job->revision},
        {"PAWL_REASON", job->reason},
        {"PAWL_ATTEMPT", attempt},
        {"PAWL_WORKER", job->worker},
        {"PAWL_WORKDIR", place->workdir},
        {"PAWL_ARTIFACTS", artifacts},
        {"PAWL_SUMMARY", summary},
        /* how an agent finds what a dead runner left behind */
        {"PAWL_JOB", spool_job_name((spool_job){job->epoch, job->attempt}, name)},
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        int rc = env_set(e, own[i].name, own[i].value ? own[i].value : "", err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int env_build(env_list *e, const env_place *place, const job_spec *job, const job_step *step,
              pw_err *err)
{
    const subst_from from = {job, place->secrets};
    int rc = 0;
    for (char *const *p = place->base; p && *p && rc == 0; p++) {
        const char *eq = strchr(*p, '=');
        if (eq && eq > *p)
            rc = env_put(e, strdup(*p), (size_t)(eq - *p), err);
    }
    if (rc < 0 || (rc = env_set(e, "CI", "true", err)) < 0 ||
        (rc = env_set(e, "PAWL", "true", err)) < 0 ||
        (rc = env_set(e, "TMPDIR", place->tmpdir, err)) < 0)
        return rc;
    if (step->script && (rc = env_mentioned(e, job, step->script, err)) < 0)
        return rc;
    for (size_t i = 0; i < step->argv.n && !step->script; i++)
        if ((rc = env_mentioned(e, job, step->argv.v[i], err)) < 0)
            return rc;
    if ((rc = env_pairs(e, &from, &job->env, err)) < 0 ||
        (rc = env_pairs(e, &from, &step->env, err)) < 0)
        return rc;
    return env_own(e, place, job, err);
}
