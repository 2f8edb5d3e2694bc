/* Deliveries of webhooks, sessions of the page. */
#include "master/store/impl.h"

int store_hook_add(store *self, const store_hook *h, uint64_t *ret_id, pw_err *err)
{
    const void *body = h->body_len ? h->body : "";
    int64_t id;
    int added = store_write(self, S_HOOK_ADD,
                            SQL_ARGS(sql_u(h->project), sql_t(h->kind), sql_t(h->delivery),
                                     sql_t(h->event), sql_i(h->at), sql_b(body, h->body_len)),
                            err);
    if (added < 0)
        return added;
    int rc = sql_number(&self->c, S_HOOK_ID,
                        SQL_ARGS(sql_u(h->project), sql_t(h->kind), sql_t(h->delivery)), &id, err);

    if (rc < 0)
        return rc;
    *ret_id = (uint64_t)id;
    return added;
}

int store_hooks_new(store *self, int (*cb)(void *, uint64_t, uint64_t), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_HOOKS_NEW, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_u(&cur, 1)));
    return rc;
}

int store_hooks_done(store *self, uint64_t project, uint64_t id, pw_err *err)
{
    int rc = store_write(self, S_HOOKS_DONE, SQL_ARGS(sql_u(project), sql_u(id)), err);

    if (rc > 0)
        rc = store_write(self, S_HOOKS_TRIM, SQL_ARGS(sql_i(STORE_HOOKS_KEPT), sql_i(2 * rc + 100)),
                         err);
    return rc < 0 ? rc : 0;
}

int store_hooks_expire(store *self, pw_msec before, int most, pw_err *err)
{
    return store_write(self, S_HOOKS_EXPIRE, SQL_ARGS(sql_i(before), sql_i(most)), err);
}

int store_session_add(store *self, const uint8_t hash[32], const uint8_t token[32], pw_msec at,
                      pw_msec expires, pw_err *err)
{
    int rc =
        store_write(self, S_SESSION_ADD,
                    SQL_ARGS(sql_b(hash, 32), sql_b(token, 32), sql_i(at), sql_i(expires)), err);

    return rc < 0 ? rc : 0;
}

int store_session_del(store *self, const uint8_t hash[32], pw_err *err)
{
    int rc = store_write(self, S_SESSION_DEL, SQL_ARGS(sql_b(hash, 32)), err);

    return rc < 0 ? rc : 0;
}

int store_sessions_expire(store *self, pw_msec before, int most, pw_err *err)
{
    return store_write(self, S_SESSIONS_EXPIRE, SQL_ARGS(sql_i(before), sql_i(most)), err);
}
