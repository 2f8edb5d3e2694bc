/* Files that steps left, and what reports said. */
#include "master/store/files.h"

#include <string.h>

#include "master/store/impl.h"
#include "master/store/reader_impl.h"

void row_artifact(const sql_cur *cur, store_artifact *ret)
{
    *ret = (store_artifact){.attempt = sql_col_u(cur, 0),
                            .file = sql_col_u(cur, 1),
                            .step = sql_col_u(cur, 2),
                            .kind = sql_col_u(cur, 3),
                            .path = sql_col_text(cur, 4),
                            .size = sql_col_u(cur, 5),
                            .mode = sql_col_u(cur, 6),
                            .state = (file_state)sql_col_u(cur, 8),
                            .at = sql_col_i(cur, 9),
                            .expires = sql_col_i(cur, 10)};
    (void)sql_col_bytes(cur, 7, ret->sha256, sizeof(ret->sha256));
}

/* The row went: its bytes are to go as well, unless another row names them. */
static int left(store *self, const uint8_t sha256[32], pw_err *err)
{
    int r = store_artifact_named(self, sha256, err);
    return r != 0 ? r : store_write(self, S_GONE_ADD, SQL_ARGS(sql_b(sha256, 32)), err);
}

static int drop_old(store *self, const store_artifact *a, pw_err *err)
{
    uint8_t old[32] = {0};
    uint64_t file = 0;
    sql_cur cur = {0};
    int r = sql_query(&self->c, S_ARTIFACT_OLD,
                      SQL_ARGS(sql_u(a->attempt), sql_u(a->kind), sql_t(a->path)), &cur, err);
    if (r == 0)
        r = sql_next(&cur, err);
    if (r > 0) {
        file = sql_col_u(&cur, 0);
        (void)sql_col_bytes(&cur, 1, old, sizeof(old));
    }
    sql_end(&cur);
    if (r <= 0)
        return r;
    r = store_write(self, S_ARTIFACT_DEL, SQL_ARGS(sql_u(a->attempt), sql_u(file)), err);
    return r < 0 ? r : left(self, old, err);
}

int store_artifact_add(store *self, const store_artifact *a, pw_err *err)
{
    int r = drop_old(self, a, err);
    if (r >= 0)
        r = store_write(self, S_GONE_DEL, SQL_ARGS(sql_b(a->sha256, 32)), err);
    if (r < 0)
        return r;
    return store_write_one(self, S_ARTIFACT_ADD,
                           SQL_ARGS(sql_u(a->attempt), sql_u(a->file), sql_u(a->step),
                                    sql_u(a->kind), sql_t(a->path), sql_u(a->size), sql_u(a->mode),
                                    sql_b(a->sha256, 32), sql_i((int)a->state), sql_i(a->at),
                                    sql_i(a->expires)),
                           "attempt", a->attempt, err);
}

int store_artifact_state(store *self, uint64_t attempt, uint64_t file, file_state to, pw_err *err)
{
    int r = store_write(self, S_ARTIFACT_STATE,
                        SQL_ARGS(sql_u(attempt), sql_u(file), sql_i((int)to)), err);
    return r < 0 ? r : 0;
}

int store_artifacts_open(store *self, int (*cb)(void *, const store_artifact *), void *cb_self,
                         pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_ARTIFACTS_OPEN, SQL_NO_ARGS, &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_artifact a;
        row_artifact(&cur, &a);
        rc = sql_row(cb(cb_self, &a));
    }
    return rc;
}

int store_artifact_named(store *self, const uint8_t sha256[32], pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_ARTIFACT_NAMED, SQL_ARGS(sql_b(sha256, 32)), &cur, err);
    return rc < 0 ? rc : sql_next(&cur, err);
}

enum { EXPIRE_MOST = 500 };

int store_artifacts_expire(store *self, pw_msec now, size_t most, pw_err *err)
{
    struct old {
        uint64_t attempt, file;
        uint8_t sha256[32];
    } v[EXPIRE_MOST];
    size_t n = 0;
    sql_cur cur = {0};
    most = most < EXPIRE_MOST ? most : EXPIRE_MOST;
    int rc = sql_query(&self->c, S_ARTIFACTS_EXPIRED, SQL_ARGS(sql_i(now), sql_u(most)), &cur, err);
    while (rc == 0 && n < most && (rc = sql_next(&cur, err)) > 0) {
        v[n] = (struct old){sql_col_u(&cur, 0), sql_col_u(&cur, 1), {0}};
        (void)sql_col_bytes(&cur, 2, v[n].sha256, sizeof(v[n].sha256));
        n++;
        rc = 0;
    }
    sql_end(&cur);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc =
            store_write(self, S_ARTIFACT_DEL, SQL_ARGS(sql_u(v[i].attempt), sql_u(v[i].file)), err);
        if (rc >= 0)
            rc = left(self, v[i].sha256, err);
    }
    return rc < 0 ? rc : (int)n;
}

int store_artifact_gones(store *self, size_t most, int (*cb)(void *, const uint8_t sha256[32]),
                         void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_GONES, SQL_ARGS(sql_u(most)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        uint8_t sum[32] = {0};
        (void)sql_col_bytes(&cur, 0, sum, sizeof(sum));
        rc = sql_row(cb(cb_self, sum));
    }
    return rc;
}

int store_artifact_gone(store *self, const uint8_t sha256[32], pw_err *err)
{
    int r = store_write(self, S_GONE_DEL, SQL_ARGS(sql_b(sha256, 32)), err);
    return r < 0 ? r : 0;
}

int store_report_add(store *self, uint64_t attempt, const rec_report *r, pw_err *err)
{
    return store_write_one(self, S_REPORT_ADD,
                           SQL_ARGS(sql_u(attempt), sql_u(r->step), sql_t(r->format),
                                    sql_t(r->path), sql_u(r->tests), sql_u(r->failed),
                                    sql_u(r->skipped), sql_t(r->reason)),
                           "attempt", attempt, err);
}

static int tests_last(store *self, uint64_t attempt, uint64_t *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_TEST_LAST, SQL_ARGS(sql_u(attempt)), &cur, err);
    if (rc == 0)
        rc = sql_next(&cur, err);
    *ret = rc > 0 ? sql_col_u(&cur, 0) : 0;
    return rc < 0 ? rc : 0;
}

int store_tests_add(store *self, uint64_t attempt, const rec_tests *t, uint64_t most,
                    uint64_t *ret_left, pw_err *err)
{
    const rec_case *c = t->cases.v;
    uint64_t n = 0;
    size_t i = 0;
    int rc = tests_last(self, attempt, &n, err);
    for (; rc == 0 && i < t->cases.n && n < most; i++)
        rc = store_write_one(self, S_TEST_ADD,
                             SQL_ARGS(sql_u(attempt), sql_u(++n), sql_u(t->step), sql_t(c[i].suite),
                                      sql_t(c[i].name),
                                      sql_u(c[i].result < PW_CASES ? c[i].result : PW_CASE_FAILED),
                                      sql_u(c[i].ms)),
                             "attempt", attempt, err);
    if (rc == 0)
        *ret_left = t->cases.n - i;
    return rc;
}

/* ---- readers */
int reader_artifacts(reader *self, uint64_t attempt, int64_t after, size_t limit,
                     int (*cb)(void *, const store_artifact *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_ARTIFACTS,
                       SQL_ARGS(sql_u(attempt), sql_i(after), reader_limit(limit)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_artifact a;
        row_artifact(&cur, &a);
        rc = sql_row(cb(cb_self, &a));
    }
    return rc;
}

int reader_artifact(reader *self, uint64_t attempt, uint64_t kind, const char *path,
                    int (*cb)(void *, const store_artifact *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_ARTIFACT_ONE, SQL_ARGS(sql_u(attempt), sql_u(kind), sql_t(path)),
                       &cur, err);
    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "there is no file \"%.200s\"", path);
    if (rc < 0)
        return rc;
    store_artifact a;
    row_artifact(&cur, &a);
    return cb(cb_self, &a);
}

int reader_reports(reader *self, uint64_t attempt, int (*cb)(void *, const rec_report *),
                   void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_REPORTS, SQL_ARGS(sql_u(attempt)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        rec_report r = {.step = sql_col_u(&cur, 0),
                        .format = sql_col_t(&cur, 1),
                        .path = sql_col_t(&cur, 2),
                        .tests = sql_col_u(&cur, 3),
                        .failed = sql_col_u(&cur, 4),
                        .skipped = sql_col_u(&cur, 5),
                        .reason = sql_col_t(&cur, 6)};
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

int reader_tests(reader *self, uint64_t attempt, bool bad_only, uint64_t after, size_t limit,
                 int (*cb)(void *, uint64_t n, uint64_t step, const rec_case *), void *cb_self,
                 pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, bad_only ? R_TESTS_BAD : R_TESTS,
                       SQL_ARGS(sql_u(attempt), sql_u(after), reader_limit(limit)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        rec_case c = {.suite = sql_col_t(&cur, 2),
                      .name = sql_col_t(&cur, 3),
                      .result = sql_col_u(&cur, 4),
                      .ms = sql_col_u(&cur, 5)};
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_u(&cur, 1), &c));
    }
    return rc;
}
