/* Attempts of a build at a worker, and their steps. */
#include "master/store/impl.h"

int store_attempt_add(store *self, const store_attempt *a, const uint8_t digest[32], pw_err *err)
{
    return store_write_one(
        self, S_ATTEMPT_ADD,
        SQL_ARGS(sql_u(a->id), sql_u(a->build), sql_u(a->worker), sql_i((int)a->state),
                 sql_u(a->offers), sql_b(a->spool, sizeof(a->spool)),
                 sql_b(a->boot, sizeof(a->boot)), sql_i(a->offered), sql_i0(a->ended),
                 sql_u(a->applied), sql_u(a->applied_chain), sql_u(a->stored),
                 sql_u(a->stored_chain), sql_result(a->result), sql_b(digest, 32), sql_u(a->epoch)),
        "attempt", a->id, err);
}

int store_attempt_facts(store *self, uint64_t id, const char *facts, pw_err *err)
{
    uint64_t text;
    int rc = store_name_id(self, facts, &text, err);

    return rc < 0 ? rc
                  : store_write_one(self, S_ATTEMPT_FACTS, SQL_ARGS(sql_u(id), sql_u(text)),
                                    "attempt", id, err);
}

int store_attempt_reoffer(store *self, uint64_t id, uint64_t offers, pw_err *err)
{
    return store_write_one(self, S_ATTEMPT_REOFFER, SQL_ARGS(sql_u(id), sql_u(offers)), "attempt",
                           id, err);
}

int store_attempt_run(store *self, uint64_t id, pw_err *err)
{
    return store_write_state(self, S_ATTEMPT_RUN, SQL_ARGS(sql_u(id)), S_ATTEMPT_STATE, "attempt",
                             id, err);
}

int store_attempt_close(store *self, uint64_t id, att_state to, pw_result result,
                        const char *reason, pw_msec at, pw_err *err)
{
    if (to != ATT_ENDED && to != ATT_CLOSED)
        return pw_fail(err, PW_EINVAL, "attempt %llu cannot be closed as state %d",
                       (unsigned long long)id, (int)to);
    return store_write_state(
        self, S_ATTEMPT_CLOSE,
        SQL_ARGS(sql_u(id), sql_i((int)to), sql_result(result), sql_t(reason), sql_i(at)),
        S_ATTEMPT_STATE, "attempt", id, err);
}

int store_attempt_forget(store *self, uint64_t id, pw_err *err)
{
    return store_write_state(self, S_ATTEMPT_FORGET, SQL_ARGS(sql_u(id)), S_ATTEMPT_STATE,
                             "attempt", id, err);
}

int store_attempt_lose(store *self, uint64_t id, pw_err *err)
{
    return store_write_state(self, S_ATTEMPT_LOSE, SQL_ARGS(sql_u(id)), S_ATTEMPT_STATE, "attempt",
                             id, err);
}

int store_attempt_offsets(store *self, uint64_t id, uint64_t applied, uint32_t applied_chain,
                          uint64_t stored, uint32_t stored_chain, pw_err *err)
{
    return store_write_one(self, S_ATTEMPT_OFFSETS,
                           SQL_ARGS(sql_u(id), sql_u(applied), sql_u(applied_chain), sql_u(stored),
                                    sql_u(stored_chain)),
                           "attempt", id, err);
}

int store_attempt_get(store *self, uint64_t id, store_attempt *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_ATTEMPT_GET, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no attempt %llu", (unsigned long long)id);
    if (rc < 0)
        return rc;
    row_attempt(&cur, ret);
    return 0;
}

int store_open_attempts(store *self, int (*cb)(void *, const store_attempt *), void *cb_self,
                        pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_ATTEMPTS_OPEN, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_attempt a;
        row_attempt(&cur, &a);
        rc = sql_row(cb(cb_self, &a));
    }
    return rc;
}

int store_step_start(store *self, const store_step *s, pw_err *err)
{
    uint64_t name = 0;
    int rc = store_name_id(self, s->name, &name, err);

    if (rc < 0)
        return rc;
    rc = store_write(self, S_STEP_START,
                     SQL_ARGS(sql_u(s->attempt), sql_u(s->idx), sql_u(name), sql_u(s->kind),
                              sql_i((int)s->state), sql_i0(s->started)),
                     err);
    return rc < 0 ? rc : 0;
}

int store_step_end(store *self, const store_step *s, pw_err *err)
{
    uint64_t name = 0;
    int rc = store_name_id(self, s->name, &name, err);

    if (rc < 0)
        return rc;
    return store_write_one(
        self, S_STEP_END,
        SQL_ARGS(sql_u(s->attempt), sql_u(s->idx), sql_u(name), sql_u(s->kind),
                 sql_i((int)s->state), sql_i0(s->started), sql_result(s->result),
                 sql_i0(s->finished), s->exit_code == -1 ? sql_null() : sql_i(s->exit_code),
                 sql_u0(s->signal), sql_u(s->lines), sql_u(s->bytes), sql_u(s->cpu_ms),
                 sql_u(s->max_rss), sql_t(s->reason), sql_u(s->read_bytes), sql_u(s->write_bytes)),
        "attempt", s->attempt, err);
}

int store_steps_over(store *self, uint64_t attempt, pw_result result, const char *reason,
                     pw_msec at, pw_err *err)
{
    return store_write(self, S_STEPS_OVER,
                       SQL_ARGS(sql_u(attempt), sql_result(result), sql_i(at), sql_t(reason)), err);
}

int store_steps_over_count(store *self, uint64_t attempt, uint64_t *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_STEPS_OVER_COUNT, SQL_ARGS(sql_u(attempt)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    *ret = rc == 0 || sql_col_null(&cur, 0) ? 0 : sql_col_u(&cur, 0) + 1;
    return 0;
}

int store_builder_usual(store *self, uint64_t builder, pw_msec *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDER_USUAL, SQL_ARGS(sql_u(builder)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    *ret = rc == 0 || sql_col_null(&cur, 0) ? -1 : sql_col_i(&cur, 0);
    return 0;
}
