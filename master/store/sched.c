/* What schedulers wait for, and what people switched off. */
#include "master/store/impl.h"
#include "master/store/sched.h"

int store_buildset_scheduler(store *self, uint64_t id, pw_buf *name, uint64_t *ret_stamp,
                             pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDSET_SCHEDULER, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return PW_ENOTFOUND;
    if (rc < 0 || (rc = sql_col_buf(&cur, 0, name, err)) < 0)
        return rc;
    *ret_stamp = sql_col_u(&cur, 1);
    return 0;
}

int store_change_newest(store *self, uint64_t stamp, uint64_t *ret, pw_err *err)
{
    int64_t id = 0;
    int rc = sql_number(&self->c, S_CHANGE_NEWEST, SQL_ARGS(sql_u(stamp)), &id, err);

    if (rc == 0 || rc == PW_ENOTFOUND)
        *ret = (uint64_t)id;
    return rc == PW_ENOTFOUND ? 0 : rc;
}

int store_buildset_parent(store *self, uint64_t id, uint64_t parent, pw_err *err)
{
    return store_write_one(self, S_BUILDSET_PARENT, SQL_ARGS(sql_u(id), sql_u(parent)), "build set",
                           id, err);
}

int store_buildset_follow(store *self, uint64_t id, pw_err *err)
{
    return store_write(self, S_BUILDSET_FOLLOW, SQL_ARGS(sql_u(id)), err);
}

int store_request_riders(store *self, uint64_t request, uint64_t stamp,
                         int (*cb)(void *, uint64_t buildset), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc =
        sql_query(&self->c, S_REQUEST_RIDERS, SQL_ARGS(sql_u(request), sql_u(stamp)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0)));
    return rc;
}

int store_buildset_results(store *self, uint64_t id, int (*cb)(void *, const store_outcome *),
                           void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDSET_RESULTS, SQL_ARGS(sql_u(id)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_outcome o = {.builder = sql_col_u(&cur, 0),
                           .state = (req_state)sql_col_i(&cur, 1),
                           .rode_with = sql_col_u(&cur, 2),
                           .result = sql_col_result(&cur, 3),
                           .unchanged = sql_col_i(&cur, 4) != 0};
        rc = sql_row(cb(cb_self, &o));
    }
    return rc;
}

int store_paused_put(store *self, const store_paused *p, pw_err *err)
{
    return store_write_one(self, S_PAUSED_PUT,
                           SQL_ARGS(sql_i((int)p->kind), sql_t(p->name), sql_t(p->reason),
                                    sql_t(p->who), sql_i(p->at)),
                           "pause", 0, err);
}

int store_paused_del(store *self, store_pausable kind, const char *name, pw_err *err)
{
    int rc = store_write(self, S_PAUSED_DEL, SQL_ARGS(sql_i((int)kind), sql_t(name)), err);

    return rc < 0 ? rc : 0;
}

int store_paused_each(store *self, int (*cb)(void *, const store_paused *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_PAUSED, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_paused p;
        row_paused(&cur, &p);
        rc = sql_row(cb(cb_self, &p));
    }
    return rc;
}

int store_missed_put(store *self, const char *scheduler, const char *branch, uint64_t stamp,
                     uint64_t project, bool tagged, uint64_t change, pw_err *err)
{
    return store_write_one(self, S_MISSED_PUT,
                           SQL_ARGS(sql_t(scheduler), sql_t(branch), sql_u(stamp), sql_u(project),
                                    sql_i(tagged), sql_u(change)),
                           "stamp", stamp, err);
}

int store_missed_del(store *self, const char *scheduler, const char *branch, pw_err *err)
{
    int rc = store_write(self, S_MISSED_DEL, SQL_ARGS(sql_t(scheduler), sql_t(branch)), err);

    return rc < 0 ? rc : 0;
}

int store_missed_each(store *self, const char *scheduler,
                      int (*cb)(void *, const char *branch, uint64_t stamp, bool tagged,
                                uint64_t change),
                      void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_MISSED, SQL_ARGS(sql_t(scheduler)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0), sql_col_u(&cur, 1), sql_col_i(&cur, 2) != 0,
                        sql_col_u(&cur, 3)));
    return rc;
}

int store_decided_put(store *self, uint64_t builder, const char *branch, uint64_t build,
                      pw_result result, pw_err *err)
{
    int rc =
        store_write(self, S_DECIDED_PUT,
                    SQL_ARGS(sql_u(builder), sql_t(branch), sql_u(build), sql_result(result)), err);

    return rc < 0 ? rc : 0;
}

int store_decided_get(store *self, uint64_t builder, const char *branch, pw_result *ret,
                      uint64_t *ret_since, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_DECIDED_GET, SQL_ARGS(sql_u(builder), sql_t(branch)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc < 0 ? rc : PW_ENOTFOUND;
    *ret = sql_col_result(&cur, 0);
    *ret_since = sql_col_u(&cur, 1);
    return 0;
}

int store_testfix_put(store *self, uint64_t request, uint64_t project, const char *branch,
                      uint64_t change, uint64_t held, pw_err *err)
{
    return store_write_one(
        self, S_TESTFIX_PUT,
        SQL_ARGS(sql_u(request), sql_u(project), sql_t(branch), sql_u(change), sql_u(held)),
        "request", request, err);
}

int store_testfix_del(store *self, uint64_t request, pw_err *err)
{
    int rc = store_write(self, S_TESTFIX_DEL, SQL_ARGS(sql_u(request)), err);

    return rc < 0 ? rc : 0;
}

int store_testfix_get(store *self, uint64_t request, uint64_t *ret_change, uint64_t *ret_held,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_TESTFIX_GET, SQL_ARGS(sql_u(request)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc < 0 ? rc : PW_ENOTFOUND;
    *ret_change = sql_col_u(&cur, 0);
    *ret_held = sql_col_u(&cur, 1);
    return 0;
}
