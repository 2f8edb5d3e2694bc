/* The event stream, the epoch. */
#include "master/store/reader_impl.h"

/* Lowest and highest event kept; 0 and 0: none. */
static int range(reader *self, uint64_t *ret_first, uint64_t *ret_last, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_EVENT_RANGE, SQL_NO_ARGS, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    *ret_first = sql_col_u(&cur, 0);
    *ret_last = sql_col_u(&cur, 1);
    return 0;
}

static int events(reader *self, uint64_t after, size_t limit,
                  int (*cb)(void *, uint64_t seq, pw_msec at, event_kind kind, uint64_t id),
                  void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    uint64_t first, last;
    int rc = range(self, &first, &last, err);

    if (rc < 0)
        return rc;
    if (after > last || (first && after < first - 1))
        return pw_fail(err, PW_ENOTFOUND, "event %llu is not in the stream (%llu to %llu are kept)",
                       (unsigned long long)after, (unsigned long long)first,
                       (unsigned long long)last);
    rc = sql_query(&self->c, R_EVENTS, SQL_ARGS(sql_u(after), reader_limit(limit)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_i(&cur, 1),
                        (event_kind)sql_col_i(&cur, 2), sql_col_u(&cur, 3)));
    return rc;
}

int reader_events(reader *self, uint64_t after, size_t limit,
                  int (*cb)(void *, uint64_t seq, pw_msec at, event_kind kind, uint64_t id),
                  void *cb_self, pw_err *err)
{
    /* one snapshot for range and rows: what is expired between them must not become a silent gap */
    bool outer = sqlite3_get_autocommit(self->c.db) != 0;
    int rc = outer ? sql_run(&self->c, R_BEGIN, SQL_NO_ARGS, err) : 0;

    if (rc < 0)
        return rc;
    rc = events(self, after, limit, cb, cb_self, err);
    if (outer)
        (void)sql_run(&self->c, R_COMMIT, SQL_NO_ARGS, NULL);
    return rc;
}

int reader_event_last(reader *self, uint64_t *ret_seq, pw_err *err)
{
    uint64_t first, last;
    int rc = range(self, &first, &last, err);

    if (rc == 0)
        *ret_seq = last;
    return rc;
}

int reader_epoch(reader *self, uint64_t *ret, pw_err *err)
{
    int64_t epoch;
    int rc = sql_number(&self->c, R_EPOCH, SQL_NO_ARGS, &epoch, err);

    if (rc == PW_ENOTFOUND)
        return pw_fail(err, PW_ECORRUPT, "table meta holds no epoch");
    if (rc == 0)
        *ret = (uint64_t)epoch;
    return rc;
}
