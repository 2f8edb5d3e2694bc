/* Tokens: who may call. */
#include "master/store/impl.h"

int store_token_add(store *self, const store_token *t, uint64_t *ret_id, pw_err *err)
{
    int64_t id;
    int rc =
        store_write(self, S_TOKEN_ADD,
                    SQL_ARGS(sql_b(t->hash, 32), sql_t(t->name), sql_t(t->scopes), sql_t(t->person),
                             sql_t(t->creator), sql_i(t->created), sql_i0(t->expires)),
                    err);

    if (rc < 0)
        return rc;
    rc = sql_number(&self->c, S_TOKEN_ID, SQL_ARGS(sql_b(t->hash, 32)), &id, err);
    if (rc == 0)
        *ret_id = (uint64_t)id;
    return rc;
}

int store_token_get(store *self, uint64_t id, int (*cb)(void *, const store_token *), void *cb_self,
                    pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_token t;
    int rc = sql_query(&self->c, S_TOKEN_ONE, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "there is no token %llu", (unsigned long long)id);
    if (rc < 0)
        return rc;
    row_token(&cur, &t);
    return sql_row(cb(cb_self, &t));
}

/* One row, or it is not in the state that the change needs. */
static int change(store *self, enum store_stmt stmt, const sql_arg *arg, size_t n, uint64_t id,
                  const char *why, pw_err *err)
{
    int rc = store_write(self, stmt, arg, n, err);

    if (rc == 0)
        return pw_fail(err, PW_ECONFLICT, "token %llu %s", (unsigned long long)id, why);
    return rc < 0 ? rc : 0;
}

int store_token_anew(store *self, uint64_t id, const uint8_t hash[32], pw_err *err)
{
    return change(self, S_TOKEN_ANEW, SQL_ARGS(sql_u(id), sql_b(hash, 32)), id,
                  "was used already, or revoked", err);
}

int store_token_revoke(store *self, uint64_t id, pw_msec at, pw_err *err)
{
    return change(self, S_TOKEN_REVOKE, SQL_ARGS(sql_u(id), sql_i(at)), id,
                  "is not there, or revoked already", err);
}

int store_token_used(store *self, uint64_t id, pw_msec at, pw_msec apart, pw_err *err)
{
    return store_write(self, S_TOKEN_USED, SQL_ARGS(sql_u(id), sql_i(at), sql_i(at - apart)), err);
}

int store_token_put(store *self, const uint8_t hash[32], const char *name, const char *scopes,
                    pw_msec at, pw_err *err)
{
    int rc = store_write(self, S_TOKEN_PUT,
                         SQL_ARGS(sql_b(hash, 32), sql_t(name), sql_t(scopes), sql_i(at)), err);

    return rc < 0 ? rc : 0;
}
