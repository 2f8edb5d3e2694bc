#include "master/store/tries.h"

#include "master/store/impl.h"

int store_try_add(store *self, const store_try *t, pw_err *err)
{
    return store_write_one(self, S_TRY_ADD,
                           SQL_ARGS(sql_u(t->id), sql_u(t->project), sql_u(t->stamp),
                                    sql_rev(&t->base), sql_t(t->who), sql_u(t->size), sql_i(t->at)),
                           "try", t->id, err);
}

int store_try_set(store *self, uint64_t stamp, uint64_t buildset, pw_err *err)
{
    int rc = store_write(self, S_TRY_SET, SQL_ARGS(sql_u(stamp), sql_u(buildset)), err);

    return rc < 0 ? rc : 0;
}

int store_try_is(store *self, uint64_t id, uint64_t project, pw_err *err)
{
    int64_t n = 0;
    int rc = sql_number(&self->c, S_TRY_IS, SQL_ARGS(sql_u(id), sql_u(project)), &n, err);

    return rc == PW_ENOTFOUND ? 0 : rc < 0 ? rc : 1;
}

int store_try_highest(store *self, uint64_t *ret, pw_err *err)
{
    int64_t n = 0;
    int rc = sql_number(&self->c, S_TRY_HIGHEST, SQL_NO_ARGS, &n, err);

    if (rc == 0)
        *ret = (uint64_t)n;
    return rc;
}

int store_tries_over(store *self, unsigned most, int (*cb)(void *, uint64_t id, uint64_t project),
                     void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_TRIES_OVER, SQL_ARGS(sql_u(most)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_u(&cur, 1)));
    return rc;
}

int store_try_del(store *self, uint64_t id, pw_err *err)
{
    int rc = store_write(self, S_TRY_SETS_DEL, SQL_ARGS(sql_u(id)), err);

    if (rc >= 0)
        rc = store_write(self, S_TRY_DEL, SQL_ARGS(sql_u(id)), err);
    return rc < 0 ? rc : 0;
}

int store_stamp_released(store *self, uint64_t stamp, bool *ret, pw_err *err)
{
    int64_t n = 0;
    int rc = sql_number(&self->c, S_STAMP_RELEASED, SQL_ARGS(sql_u(stamp)), &n, err);

    if (rc == 0)
        *ret = n != 0;
    return rc;
}

int store_stamp_release(store *self, uint64_t stamp, const char *who, pw_err *err)
{
    return store_write(self, S_STAMP_RELEASE, SQL_ARGS(sql_u(stamp), sql_t(who)), err);
}
