/* Branch tips, changes, and what the schedulers remember. */
#include "master/store/impl.h"

int store_tips(store *self, uint64_t project, store_tip_cb *cb, void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_TIPS, SQL_ARGS(sql_u(project)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_rev rev;
        sql_col_rev(&cur, 1, &rev);
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0), &rev));
    }
    return rc;
}

int store_tip_put(store *self, uint64_t project, const char *ref, const store_rev *rev, pw_err *err)
{
    return store_write_one(self, S_TIP_PUT, SQL_ARGS(sql_u(project), sql_t(ref), sql_rev(rev)),
                           "project", project, err);
}

int store_tip_del(store *self, uint64_t project, const char *ref, pw_err *err)
{
    int rc = store_write(self, S_TIP_DEL, SQL_ARGS(sql_u(project), sql_t(ref)), err);

    return rc == 0 ? pw_fail(err, PW_ENOTFOUND, "no ref \"%s\"", ref) : rc < 0 ? rc : 0;
}

int store_project_looked(store *self, uint64_t project, bool *ret_looked, pw_buf *head, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_PROJECT_LOOKED, SQL_ARGS(sql_u(project)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no project %llu", (unsigned long long)project);
    if (rc < 0 || (rc = sql_col_buf(&cur, 1, head, err)) < 0)
        return rc;
    *ret_looked = sql_col_i(&cur, 0) != 0;
    return 0;
}

int store_project_look(store *self, uint64_t project, const char *head, pw_err *err)
{
    return store_write_one(self, S_PROJECT_LOOK, SQL_ARGS(sql_u(project), sql_t(head)), "project",
                           project, err);
}

int store_change_add(store *self, const store_change *c, pw_err *err)
{
    return store_write_one(self, S_CHANGE_ADD,
                           SQL_ARGS(sql_u(c->id), sql_u(c->stamp), sql_i(c->at), sql_i(c->tip),
                                    sql_i(c->forced), sql_t(c->source), sql_t(c->author),
                                    sql_t(c->subject), sql_t(c->files), sql_t(c->note)),
                           "change", c->id, err);
}

int store_change_known(store *self, uint64_t stamp, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_CHANGE_KNOWN, SQL_ARGS(sql_u(stamp)), &cur, err);

    return rc < 0 ? rc : sql_next(&cur, err);
}

int store_change_seen(store *self, const store_change *c, pw_err *err)
{
    return store_write(self, S_CHANGE_SEEN,
                       SQL_ARGS(sql_u(c->stamp), sql_t(c->source), sql_t(c->author),
                                sql_t(c->subject), sql_t(c->files), sql_i(c->forced)),
                       err);
}

int store_quiet_put(store *self, const char *scheduler, const char *branch, uint64_t stamp,
                    pw_msec due, bool tagged, uint64_t change, pw_err *err)
{
    return store_write_one(self, S_QUIET_PUT,
                           SQL_ARGS(sql_t(scheduler), sql_t(branch), sql_u(stamp), sql_i(due),
                                    sql_i(tagged), sql_u(change)),
                           "stamp", stamp, err);
}

int store_quiet_del(store *self, const char *scheduler, const char *branch, pw_err *err)
{
    int rc = store_write(self, S_QUIET_DEL, SQL_ARGS(sql_t(scheduler), sql_t(branch)), err);

    return rc == 0  ? pw_fail(err, PW_ENOTFOUND, "scheduler \"%s\" waits for no quiet on \"%s\"",
                              scheduler, branch)
           : rc < 0 ? rc
                    : 0;
}

int store_quiets(store *self, store_quiet_cb *cb, void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_QUIETS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0), sql_col_text(&cur, 1), sql_col_u(&cur, 2),
                        sql_col_i(&cur, 3), sql_col_i(&cur, 4) != 0, sql_col_u(&cur, 5)));
    return rc;
}

int store_schedule_get(store *self, const char *name, pw_msec *ret_fired, uint64_t *ret_stamp,
                       pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_SCHEDULE_GET, SQL_ARGS(sql_t(name)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "scheduler \"%s\" has never fired", name);
    if (rc < 0)
        return rc;
    *ret_fired = sql_col_i(&cur, 0);
    *ret_stamp = sql_col_u(&cur, 1);
    return 0;
}

int store_schedule_put(store *self, const char *name, pw_msec fired, uint64_t stamp, pw_err *err)
{
    return store_write_one(self, S_SCHEDULE_PUT, SQL_ARGS(sql_t(name), sql_i(fired), sql_u0(stamp)),
                           "stamp", stamp, err);
}
