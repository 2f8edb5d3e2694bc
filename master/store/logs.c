/* The index of frames that still lie in segments, and one row per log. */
#include "master/store/impl.h"

int store_frame_add(store *self, const store_frame *f, pw_err *err)
{
    return store_write_one(
        self, S_FRAME_ADD,
        SQL_ARGS(sql_u(f->attempt), sql_u(f->idx), sql_u(f->stream), sql_u(f->raw_pos),
                 sql_u(f->raw_len), sql_u(f->first_line), sql_u(f->lines), sql_i(f->t_first),
                 sql_i(f->t_last), sql_u(f->codec), sql_u(f->segment), sql_u(f->at), sql_u(f->len)),
        "attempt", f->attempt, err);
}

int store_frames_open(store *self, int (*cb)(void *, const store_frame *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_FRAMES_ALL, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_frame f;
        row_frame(&cur, &f);
        rc = sql_row(cb(cb_self, &f));
    }
    return rc;
}

int store_log_put(store *self, const store_log *l, pw_err *err)
{
    return store_write_one(self, S_LOG_PUT,
                           SQL_ARGS(sql_u(l->attempt), sql_u(l->idx), sql_u(l->stream),
                                    sql_u(l->bytes), sql_u(l->lines), sql_u(l->packed),
                                    sql_i(l->sealed)),
                           "attempt", l->attempt, err);
}

int store_logs_open(store *self, int (*cb)(void *, const store_log *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_LOGS_OPEN, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_log l;
        row_log(&cur, &l);
        rc = sql_row(cb(cb_self, &l));
    }
    return rc;
}

int store_log_seal(store *self, uint64_t attempt, uint64_t idx, uint64_t stream, uint64_t packed,
                   pw_err *err)
{
    const sql_arg arg[] = {sql_u(attempt), sql_u(idx), sql_u(stream), sql_u(packed)};
    int rc = store_write_one(self, S_LOG_SEAL, arg, 4, "log of attempt", attempt, err);

    if (rc == 0)
        rc = store_write(self, S_FRAMES_DEL, arg, 4, err);
    return rc < 0 ? rc : 0;
}
