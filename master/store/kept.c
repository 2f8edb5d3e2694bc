/* Work directories that workers keep for people. */
#include "master/store/impl.h"

int store_kept_put(store *self, const store_kept *k, pw_err *err)
{
    return store_write_one(
        self, S_KEPT_PUT,
        SQL_ARGS(sql_u(k->build), sql_u(k->worker), sql_t(k->dir), sql_i(k->until)), "build",
        k->build, err);
}

int store_kept_expire(store *self, pw_msec now, pw_err *err)
{
    return store_write(self, S_KEPT_EXPIRE, SQL_ARGS(sql_i(now)), err);
}

int store_kept_get(store *self, uint64_t build, uint64_t *ret_worker, pw_buf *dir,
                   pw_msec *ret_until, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_KEPT_GET, SQL_ARGS(sql_u(build)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no work directory of build %llu is kept",
                       (unsigned long long)build);
    if (rc < 0 || (rc = sql_col_buf(&cur, 1, dir, err)) < 0)
        return rc;
    *ret_worker = sql_col_u(&cur, 0);
    *ret_until = sql_col_i(&cur, 2);
    return 0;
}
