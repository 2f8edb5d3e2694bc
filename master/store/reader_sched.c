/* What people switched off, and what red branches hold. */
#include "master/store/reader_impl.h"
#include "master/store/sched.h"

int reader_paused(reader *self, int (*cb)(void *, const store_paused *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_PAUSED, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_paused p;
        row_paused(&cur, &p);
        rc = sql_row(cb(cb_self, &p));
    }
    return rc;
}

int reader_held_all(reader *self, int (*cb)(void *, const reader_held *), void *cb_self,
                    pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_HELD, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        reader_held h = {.project = sql_col_text(&cur, 0),
                         .branch = sql_col_text(&cur, 1),
                         .since = sql_col_u(&cur, 2),
                         .requests = sql_col_u(&cur, 3),
                         .oldest = sql_col_i(&cur, 4)};
        rc = sql_row(cb(cb_self, &h));
    }
    return rc;
}
