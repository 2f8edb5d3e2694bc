/* Build sets, requests, builds and their verdicts. */
#include "master/store/impl.h"

int store_buildset_add(store *self, uint64_t id, const char *scheduler, const char *reason,
                       const char *who, uint64_t stamp, pw_msec created, pw_err *err)
{
    uint64_t name = 0;
    int rc = scheduler ? store_name_id(self, scheduler, &name, err) : 0;

    if (rc < 0)
        return rc;
    return store_write_one(
        self, S_BUILDSET_ADD,
        SQL_ARGS(sql_u(id), sql_u0(name), sql_t(reason), sql_t(who), sql_u(stamp), sql_i(created)),
        "build set", id, err);
}

int store_buildset_reason(store *self, uint64_t id, pw_buf *reason, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDSET_REASON, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no build set %llu", (unsigned long long)id);
    return rc < 0 ? rc : sql_col_buf(&cur, 0, reason, err);
}

int store_buildset_scheduled(store *self, uint64_t id, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDSET_SCHEDULED, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no build set %llu", (unsigned long long)id);
    return rc < 0 ? rc : !sql_col_null(&cur, 0);
}

int store_request_add(store *self, const store_request *r, pw_err *err)
{
    return store_write_one(self, S_REQUEST_ADD,
                           SQL_ARGS(sql_u(r->id), sql_u(r->buildset), sql_u(r->builder),
                                    sql_u(r->stamp), sql_i(r->prio), sql_i((int)r->state),
                                    sql_i(r->created), sql_u0(r->build), sql_u0(r->rode_with),
                                    sql_i(r->collapse), sql_b(r->props, r->props_len)),
                           "request", r->id, err);
}

int store_request_claim(store *self, uint64_t id, uint64_t build, pw_err *err)
{
    return store_write_state(self, S_REQUEST_CLAIM, SQL_ARGS(sql_u(id), sql_u0(build)),
                             S_REQUEST_STATE, "request", id, err);
}

int store_request_done(store *self, uint64_t id, uint64_t rode_with, pw_err *err)
{
    return store_write_state(self, S_REQUEST_DONE, SQL_ARGS(sql_u(id), sql_u0(rode_with)),
                             S_REQUEST_STATE, "request", id, err);
}

int store_build_add(store *self, const store_build *b, const void *job, size_t job_len, pw_err *err)
{
    int rc = store_write_one(self, S_BUILD_ADD,
                             SQL_ARGS(sql_u(b->id), sql_u(b->request), sql_u(b->builder),
                                      sql_u(b->stamp), sql_i((int)b->state), sql_result(b->result),
                                      sql_i(b->created), sql_i0(b->started), sql_i0(b->finished),
                                      sql_u0(b->worker), sql_u0(b->attempt), sql_u(b->tries),
                                      sql_t(b->reason)),
                             "build", b->id, err);

    if (rc < 0 || !job)
        return rc;
    return store_write_one(self, S_JOB_ADD, SQL_ARGS(sql_u(b->id), sql_b(job, job_len)), "build",
                           b->id, err);
}

int store_build_dispatch(store *self, uint64_t id, uint64_t worker, uint64_t attempt,
                         uint64_t tries, pw_err *err)
{
    return store_write_state(self, S_BUILD_DISPATCH,
                             SQL_ARGS(sql_u(id), sql_u(worker), sql_u(attempt), sql_u(tries)),
                             S_BUILD_STATE, "build", id, err);
}

int store_build_requeue(store *self, uint64_t id, pw_err *err)
{
    return store_write_state(self, S_BUILD_REQUEUE, SQL_ARGS(sql_u(id)), S_BUILD_STATE, "build", id,
                             err);
}

int store_build_start(store *self, uint64_t id, pw_msec at, pw_err *err)
{
    return store_write_state(self, S_BUILD_START, SQL_ARGS(sql_u(id), sql_i(at)), S_BUILD_STATE,
                             "build", id, err);
}

int store_latest_put(store *self, uint64_t builder, const char *branch, uint64_t build,
                     pw_result result, uint64_t stamp, pw_msec at, pw_err *err)
{
    int rc = store_write(self, S_LATEST_PUT,
                         SQL_ARGS(sql_u(builder), sql_t(branch), sql_u(build), sql_i((int)result),
                                  sql_u(stamp), sql_i(at)),
                         err);
    return rc < 0 ? rc : 0;
}

int store_build_finish(store *self, uint64_t id, pw_result result, const char *reason, pw_msec at,
                       uint64_t builder, const char *branch, uint64_t stamp, pw_err *err)
{
    int rc = store_write_state(self, S_BUILD_FINISH,
                               SQL_ARGS(sql_u(id), sql_result(result), sql_t(reason), sql_i(at)),
                               S_BUILD_STATE, "build", id, err);

    if (rc < 0)
        return rc;
    if (result != PW_SUCCESS && result != PW_WARNINGS && result != PW_FAILURE)
        return 0; /* exception and cancelled say nothing of the code: what was known stays */
    return store_latest_put(self, builder, branch, id, result, stamp, at, err);
}

int store_job_del(store *self, uint64_t build, pw_err *err)
{
    int rc = store_write(self, S_JOB_DEL, SQL_ARGS(sql_u(build)), err);
    return rc < 0 ? rc : 0;
}

int store_job_get(store *self, uint64_t build, pw_buf *out, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_JOB_GET, SQL_ARGS(sql_u(build)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no job of build %llu", (unsigned long long)build);
    return rc < 0 ? rc : sql_col_buf(&cur, 0, out, err);
}

int store_property_put(store *self, uint64_t build, const char *name, const char *value,
                       const char *source, pw_err *err)
{
    uint64_t id = 0;
    int rc = store_name_id(self, name, &id, err);

    if (rc < 0)
        return rc;
    return store_write_one(self, S_PROPERTY_PUT,
                           SQL_ARGS(sql_u(build), sql_u(id), sql_t(value), sql_t(source)), "build",
                           build, err);
}

int store_property_get(store *self, uint64_t build, const char *name, pw_buf *out, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_PROPERTY_GET, SQL_ARGS(sql_u(build), sql_t(name)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    return rc == 0 ? PW_ENOTFOUND : rc < 0 ? rc : sql_col_buf(&cur, 0, out, err);
}

int store_note_put(store *self, const store_note *n, pw_err *err)
{
    return store_write_one(self, S_NOTE_PUT,
                           SQL_ARGS(sql_u(n->attempt), sql_t(n->context), sql_t(n->style),
                                    sql_t(n->text), sql_i(n->at)),
                           "attempt", n->attempt, err);
}

int store_open_requests(store *self, int (*cb)(void *, const store_request *), void *cb_self,
                        pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_REQUESTS_OPEN, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_request r;
        row_request(&cur, &r);
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

int store_open_builds(store *self, int (*cb)(void *, const store_build *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDS_OPEN, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_build b;
        row_build(&cur, &b);
        rc = sql_row(cb(cb_self, &b));
    }
    return rc;
}

int store_request_get(store *self, uint64_t id, store_request *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_request r;
    int rc = sql_query(&self->c, S_REQUEST_GET, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no request %llu", (unsigned long long)id);
    if (rc < 0)
        return rc;
    row_request(&cur, &r);
    rc = row_request_own(&r, err);
    if (rc == 0)
        *ret = r;
    return rc;
}

int store_build_get(store *self, uint64_t id, store_build *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_build b;
    int rc = sql_query(&self->c, S_BUILD_GET, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no build %llu", (unsigned long long)id);
    if (rc < 0)
        return rc;
    row_build(&cur, &b);
    rc = row_build_own(&b, err);
    if (rc == 0)
        *ret = b;
    return rc;
}
