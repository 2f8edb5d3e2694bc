/* Steps that trigger other builds. */
#include "master/store/trigger.h"
#include "master/store/impl.h"

int store_triggered_put(store *self, const store_triggered *row, pw_err *err)
{
    return store_write_one(self, S_TRIGGERED_PUT,
                           SQL_ARGS(sql_u(row->build), sql_u(row->step), sql_u(row->buildset),
                                    sql_u(row->attempt), sql_u(row->depth), sql_u(row->flags),
                                    sql_result(row->result), sql_t(row->reason)),
                           "build", row->build, err);
}

static int rows(store *self, enum store_stmt id, const sql_arg *arg, size_t n,
                store_triggered_cb *cb, void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, id, arg, n, &cur, err), found = 0;

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_triggered row = {.build = sql_col_u(&cur, 0),
                               .step = sql_col_u(&cur, 1),
                               .buildset = sql_col_u(&cur, 2),
                               .attempt = sql_col_u(&cur, 3),
                               .depth = sql_col_u(&cur, 4),
                               .flags = sql_col_u(&cur, 5),
                               .result = sql_col_result(&cur, 6),
                               .reason = sql_col_t(&cur, 7)};
        found = 1;
        rc = sql_row(cb(cb_self, &row));
    }
    return rc < 0 ? rc : found;
}

int store_triggered_get(store *self, uint64_t build, uint64_t step, store_triggered_cb *cb,
                        void *cb_self, pw_err *err)
{
    int rc = rows(self, S_TRIGGERED_GET, SQL_ARGS(sql_u(build), sql_u(step)), cb, cb_self, err);
    return rc == 0 ? PW_ENOTFOUND : rc < 0 ? rc : 0;
}

int store_triggered_of(store *self, uint64_t build, store_triggered_cb *cb, void *cb_self,
                       pw_err *err)
{
    int rc = rows(self, S_TRIGGERED_OF, SQL_ARGS(sql_u(build)), cb, cb_self, err);
    return rc < 0 ? rc : 0;
}

int store_triggered_open(store *self, store_triggered_cb *cb, void *cb_self, pw_err *err)
{
    int rc = rows(self, S_TRIGGERED_OPEN, NULL, 0, cb, cb_self, err);
    return rc < 0 ? rc : 0;
}

int store_triggered_depth(store *self, uint64_t buildset, uint64_t *ret, pw_err *err)
{
    int64_t depth = 0;
    int rc = sql_number(&self->c, S_TRIGGERED_DEPTH, SQL_ARGS(sql_u(buildset)), &depth, err);
    if (rc == 0 || rc == PW_ENOTFOUND)
        *ret = rc == 0 ? (uint64_t)depth : 0;
    return rc == PW_ENOTFOUND ? 0 : rc;
}

int store_triggered_attempt(store *self, uint64_t build, uint64_t step, uint64_t attempt,
                            pw_err *err)
{
    return store_write_one(self, S_TRIGGERED_ATTEMPT,
                           SQL_ARGS(sql_u(build), sql_u(step), sql_u(attempt)), "build", build,
                           err);
}

int store_triggered_end(store *self, uint64_t build, uint64_t step, pw_result result, pw_err *err)
{
    int rc = store_write(self, S_TRIGGERED_END,
                         SQL_ARGS(sql_u(build), sql_u(step), sql_result(result)), err);
    return rc < 0 ? rc : 0;
}

int store_triggered_builds(store *self, uint64_t buildset, size_t most,
                           int (*cb)(void *, const store_set_build *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc =
        sql_query(&self->c, S_TRIGGERED_BUILDS, SQL_ARGS(sql_u(buildset), sql_u(most)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_set_build b = {.request = sql_col_u(&cur, 0),
                             .builder = sql_col_t(&cur, 1),
                             .open = sql_col_u(&cur, 2) != REQ_DONE,
                             .build = sql_col_u(&cur, 3),
                             .result = sql_col_u(&cur, 4) == BUILD_DONE ? sql_col_result(&cur, 5)
                                                                        : PW_NO_RESULT,
                             .row = sql_col_u(&cur, 6),
                             .rode = !sql_col_null(&cur, 7)};
        rc = sql_row(cb(cb_self, &b));
    }
    return rc;
}
