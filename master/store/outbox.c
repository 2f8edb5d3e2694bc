/* Outgoing messages: written in the turn that decided them, sent by an actor outside, ended here.
 */
#include <stdlib.h>

#include "master/store/impl.h"
#include "master/store/reader_impl.h"
#include "master/store/outbox.h"

void store_message_clear(store_message *r)
{
    free(r->key);
    free(r->target);
    free(r->body);
    free(r->reason);
    *r = (store_message){0};
}

/* Replaces the borrowed text by owned copies. */
static int own(store_message *r, pw_err *err)
{
    bool failed = false;
    r->key = pw_strdup(r->key, &failed);
    r->target = pw_strdup(r->target, &failed);
    r->body = pw_strdup(r->body, &failed);
    r->reason = pw_strdup(r->reason, &failed);
    if (!failed)
        return 0;
    store_message_clear(r);
    return pw_fail(err, PW_ENOMEM, "out of memory");
}

int store_message_add(store *self, const char *key, const char *target, const char *body,
                      pw_msec at, uint64_t *ret_id, pw_err *err)
{
    int rc = store_write(self, S_MESSAGE_ADD,
                         SQL_ARGS(sql_t(key), sql_t(target), sql_t(body), sql_i(at)), err);
    if (rc < 0)
        return rc;
    *ret_id = rc ? (uint64_t)sqlite3_last_insert_rowid(self->c.db) : 0;
    return 0;
}

static int one(store *self, enum store_stmt id, const sql_arg *arg, size_t n, bool body,
               store_message *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_message m;
    int rc = sql_query(&self->c, id, arg, n, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc < 0 ? rc : PW_ENOTFOUND;
    row_message(&cur, &m);
    if (body)
        m.body = sql_col_t(&cur, 9);
    rc = own(&m, err);
    if (rc == 0)
        *ret = m;
    return rc;
}

int store_message_next(store *self, const char *target, store_message *ret, pw_err *err)
{
    return one(self, S_MESSAGE_NEXT, SQL_ARGS(sql_t(target)), true, ret, err);
}

int store_message_get(store *self, uint64_t id, store_message *ret, pw_err *err)
{
    int rc = one(self, S_MESSAGE_GET, SQL_ARGS(sql_u(id)), false, ret, err);
    return rc == PW_ENOTFOUND ? pw_fail(err, rc, "no message %llu", (unsigned long long)id) : rc;
}

int store_message_send(store *self, uint64_t id, pw_err *err)
{
    return store_write_state(self, S_MESSAGE_SEND, SQL_ARGS(sql_u(id)), S_MESSAGE_STATE, "message",
                             id, err);
}

int store_message_wait(store *self, uint64_t id, pw_msec due, const char *reason, pw_err *err)
{
    return store_write_state(self, S_MESSAGE_WAIT, SQL_ARGS(sql_u(id), sql_i(due), sql_t(reason)),
                             S_MESSAGE_STATE, "message", id, err);
}

int store_message_end(store *self, uint64_t id, msg_state to, const char *reason, pw_msec at,
                      pw_err *err)
{
    if (to < MSG_SENT)
        return pw_fail(err, PW_EINVAL, "message %llu cannot end as waiting",
                       (unsigned long long)id);
    return store_write_state(self, S_MESSAGE_END,
                             SQL_ARGS(sql_u(id), sql_i((int)to), sql_t(reason), sql_i(at)),
                             S_MESSAGE_STATE, "message", id, err);
}

int store_message_again(store *self, uint64_t id, pw_msec at, pw_err *err)
{
    return store_write_state(self, S_MESSAGE_AGAIN, SQL_ARGS(sql_u(id), sql_i(at)), S_MESSAGE_STATE,
                             "message", id, err);
}

int store_message_targets(store *self,
                          int (*cb)(void *, const char *target, uint64_t waiting, uint64_t sending),
                          void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_MESSAGE_TARGETS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0), sql_col_u(&cur, 1), sql_col_u(&cur, 2)));
    return rc;
}

int store_messages_give_up(store *self, const char *target, const char *reason, pw_msec at,
                           pw_msec before, pw_err *err)
{
    return store_write(self, S_MESSAGES_GIVE_UP,
                       SQL_ARGS(sql_t(target), sql_t(reason), sql_i(at), sql_i(before)), err);
}

int store_messages_expire(store *self, pw_msec before, int most, pw_err *err)
{
    return store_write(self, S_MESSAGES_EXPIRE, SQL_ARGS(sql_i(before), sql_i(most)), err);
}

int store_message_others(store *self, const char *target, uint64_t id, size_t most,
                         int (*cb)(void *, const char *body), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_MESSAGE_OTHERS,
                       SQL_ARGS(sql_t(target), sql_u(id), sql_i((int64_t)most)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0)));
    return rc;
}

int store_message_fold(store *self, const char *target, uint64_t id, const char *body,
                       const char *reason, pw_msec at, pw_err *err)
{
    int rc = store_write_state(self, S_MESSAGE_BODY, SQL_ARGS(sql_u(id), sql_t(body)),
                               S_MESSAGE_STATE, "message", id, err);

    if (rc < 0)
        return rc;
    return store_write(self, S_MESSAGES_FOLD,
                       SQL_ARGS(sql_t(target), sql_u(id), sql_t(reason), sql_i(at)), err);
}

int store_message_remote(store *self, uint64_t id, const char *remote, pw_err *err)
{
    return store_write(self, S_MESSAGE_REMOTE, SQL_ARGS(sql_u(id), sql_t(remote)), err);
}

int store_change_author(store *self, uint64_t stamp, char **ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    bool failed = false;
    char *author = NULL;
    int rc = sql_query(&self->c, S_CHANGE_AUTHOR, SQL_ARGS(sql_u(stamp)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    if (rc > 0)
        author = pw_strdup(sql_col_t(&cur, 0), &failed);
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *ret = author;
    return 0;
}

int reader_message_remote(reader *self, const char *key, pw_buf *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_MESSAGE_REMOTE, SQL_ARGS(sql_t(key)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc;
    return pw_buf_adds(ret, sql_col_text(&cur, 0)) < 0 ? pw_fail(err, PW_ENOMEM, "out of memory")
                                                       : 0;
}

int store_latest_get(store *self, uint64_t builder, const char *branch, uint64_t *ret_build,
                     pw_result *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_LATEST_GET, SQL_ARGS(sql_u(builder), sql_t(branch)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc < 0 ? rc : PW_ENOTFOUND;
    *ret_build = sql_col_u(&cur, 0);
    *ret = sql_col_result(&cur, 1);
    return 0;
}

int reader_messages(reader *self, int state, const char *target, uint64_t before, size_t limit,
                    int (*cb)(void *, const store_message *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc =
        sql_query(&self->c, R_MESSAGES,
                  SQL_ARGS(reader_before(before), reader_limit(limit), sql_i(state), sql_t(target)),
                  &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_message m;
        row_message(&cur, &m);
        rc = sql_row(cb(cb_self, &m));
    }
    return rc;
}
