/* Tokens and the audit trail. */
#include "master/store/reader_impl.h"

int reader_token(reader *self, const uint8_t hash[32], int (*cb)(void *, const store_token *),
                 void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_token t;
    int rc = sql_query(&self->c, R_TOKEN, SQL_ARGS(sql_b(hash, 32)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no such token");
    if (rc < 0)
        return rc;
    row_token(&cur, &t);
    return sql_row(cb(cb_self, &t));
}

int reader_session(reader *self, const uint8_t hash[32], uint8_t ret_token[32],
                   pw_msec *ret_expires, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_SESSION, SQL_ARGS(sql_b(hash, 32)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0 || (rc > 0 && !sql_col_bytes(&cur, 0, ret_token, 32)))
        return pw_fail(err, PW_ENOTFOUND, "no such session");
    if (rc < 0)
        return rc;
    *ret_expires = sql_col_i(&cur, 1);
    return 0;
}

int reader_tokens(reader *self, uint64_t before, size_t limit,
                  int (*cb)(void *, const store_token *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_token t;
    int rc = sql_query(&self->c, R_TOKENS, SQL_ARGS(reader_before(before), reader_limit(limit)),
                       &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        row_token(&cur, &t);
        rc = sql_row(cb(cb_self, &t));
    }
    return rc;
}

/* Ids grow with time, but for a clock that was set: the walk ends a day before `since`. */
enum { CLOCK_SLACK_MS = 24 * 3600000 };

int reader_audit(reader *self, const char *actor, pw_msec since, uint64_t before, size_t limit,
                 int (*cb)(void *, const reader_deed *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    size_t n = 0;
    int rc = sql_query(&self->c, actor ? R_AUDIT_ACTOR : R_AUDIT,
                       SQL_ARGS(reader_before(before), sql_t(actor)), &cur, err);

    while (rc == 0 && n < limit && (rc = sql_next(&cur, err)) > 0) {
        reader_deed d = {.id = sql_col_u(&cur, 0),
                         .at = sql_col_i(&cur, 1),
                         .actor = sql_col_text(&cur, 2),
                         .action = sql_col_text(&cur, 3),
                         .object = sql_col_t(&cur, 4),
                         .text = sql_col_t(&cur, 5)};
        rc = 0;
        if (d.at < since - CLOCK_SLACK_MS)
            break;
        if (d.at < since)
            continue;
        n++;
        rc = sql_row(cb(cb_self, &d));
    }
    return rc < 0 ? rc : 0;
}
