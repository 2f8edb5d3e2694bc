/* Events, idempotency keys, the audit trail, configurations. */
#include "master/store/impl.h"

static int add(store *self, enum store_stmt id, const sql_arg *arg, size_t n, pw_err *err)
{
    int rc = store_write(self, id, arg, n, err);

    return rc < 0 ? rc : 0;
}

int store_event_add(store *self, uint64_t seq, pw_msec at, event_kind kind, uint64_t id,
                    pw_err *err)
{
    return add(self, S_EVENT_ADD, SQL_ARGS(sql_u(seq), sql_i(at), sql_i((int)kind), sql_u(id)),
               err);
}

int store_events_expire(store *self, pw_msec before, int most, pw_err *err)
{
    return store_write(self, S_EVENTS_EXPIRE, SQL_ARGS(sql_i(before), sql_i(most)), err);
}

int store_idem_get(store *self, const char *key, int *ret_status, pw_buf *body, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_IDEM_GET, SQL_ARGS(sql_t(key)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no answer is kept for this key");
    if (rc < 0 || (rc = sql_col_buf(&cur, 1, body, err)) < 0)
        return rc;
    *ret_status = (int)sql_col_i(&cur, 0);
    return 0;
}

int store_idem_put(store *self, const char *key, pw_msec at, int status, const char *body,
                   pw_err *err)
{
    return add(self, S_IDEM_PUT, SQL_ARGS(sql_t(key), sql_i(at), sql_i(status), sql_t(body)), err);
}

int store_idem_expire(store *self, pw_msec before, int most, pw_err *err)
{
    return store_write(self, S_IDEM_EXPIRE, SQL_ARGS(sql_i(before), sql_i(most)), err);
}

int store_audit_add(store *self, pw_msec at, const char *actor, const char *action,
                    const char *object, const char *text, pw_err *err)
{
    return add(self, S_AUDIT_ADD,
               SQL_ARGS(sql_i(at), sql_t(actor), sql_t(action), sql_t(object), sql_t(text)), err);
}

int store_config_put(store *self, pw_msec at, const char *text, uint64_t *ret_gen, pw_err *err)
{
    int rc = add(self, S_CONFIG_PUT, SQL_ARGS(sql_i(at), sql_t(text)), err);

    if (rc == 0 && ret_gen)
        *ret_gen = (uint64_t)sqlite3_last_insert_rowid(self->c.db);
    return rc;
}

int store_config_last(store *self, uint64_t *ret_gen, pw_buf *text, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_CONFIG_LAST, SQL_NO_ARGS, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no configuration is stored yet");
    if (rc < 0 || (rc = sql_col_buf(&cur, 1, text, err)) < 0)
        return rc;
    *ret_gen = sql_col_u(&cur, 0);
    return 0;
}
