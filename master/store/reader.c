/* Opening, and what belongs to one build, request or attempt. */
#include "master/store/reader.h"

#include <stdlib.h>

#include "master/store/reader_impl.h"

reader *reader_open(const char *path, pw_err *err)
{
    PW_AUTO(reader_closep) reader *self = calloc(1, sizeof(*self));
    int64_t version;

    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    if (sql_open(&self->c, path, SQLITE_OPEN_READONLY, reader_sql, READER_STMTS, err) < 0 ||
        sql_number(&self->c, R_VERSION, SQL_NO_ARGS, &version, err) < 0)
        return NULL;
    if (version != STORE_SCHEMA) {
        (void)pw_fail(err, PW_ECONFLICT, "database \"%s\" has schema %lld, not %d", path,
                      (long long)version, STORE_SCHEMA);
        return NULL;
    }
    reader_clock(self, &pw_host_real);
    return pw_take(self);
}

void reader_clock(reader *self, const pw_host *host)
{
    sql_limit_reads(&self->c, host);
}

reader *reader_close(reader *self)
{
    if (!self)
        return NULL;
    sql_clear(&self->c);
    free(self);
    return NULL;
}

int reader_project_id(reader *self, const char *name, uint64_t *ret, pw_err *err)
{
    int64_t id = 0;
    int rc = sql_number(&self->c, R_PROJECT_ID, SQL_ARGS(sql_t(name)), &id, err);

    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    *ret = (uint64_t)id;
    return 0;
}

int reader_job(reader *self, uint64_t build, pw_buf *out, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_JOB, SQL_ARGS(sql_u(build)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no job of build %llu", (unsigned long long)build);
    return rc < 0 ? rc : sql_col_buf(&cur, 0, out, err);
}

int reader_remark(reader *self, uint64_t build, pw_buf *out, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_REMARK, SQL_ARGS(sql_u(build)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no remark of build %llu", (unsigned long long)build);
    return rc < 0 ? rc : sql_col_buf(&cur, 0, out, err);
}

int reader_attempt_of(reader *self, uint64_t build, uint64_t n, uint64_t *ret_attempt, pw_err *err)
{
    int64_t id;
    int rc = sql_number(&self->c, n ? R_ATTEMPT_NTH : R_ATTEMPT_LAST,
                        SQL_ARGS(sql_u(build), sql_i(n > INT64_MAX ? INT64_MAX : (int64_t)n - 1)),
                        &id, err);

    if (rc == PW_ENOTFOUND)
        return pw_fail(err, PW_ENOTFOUND, "build %llu has no such attempt",
                       (unsigned long long)build);
    if (rc == 0)
        *ret_attempt = (uint64_t)id;
    return rc;
}

int reader_steps(reader *self, uint64_t attempt, int (*cb)(void *, const store_step *),
                 void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_STEPS, SQL_ARGS(sql_u(attempt)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_step s;
        row_step(&cur, &s);
        rc = sql_row(cb(cb_self, &s));
    }
    return rc;
}

int reader_properties(reader *self, uint64_t build,
                      int (*cb)(void *, const char *name, const char *value, const char *source),
                      void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_PROPERTIES, SQL_ARGS(sql_u(build)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(
            cb(cb_self, sql_col_text(&cur, 0), sql_col_text(&cur, 1), sql_col_text(&cur, 2)));
    return rc;
}

int reader_notes(reader *self, uint64_t attempt, int (*cb)(void *, const store_note *),
                 void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_NOTES, SQL_ARGS(sql_u(attempt)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_note n = {.attempt = attempt,
                        .context = sql_col_text(&cur, 0),
                        .style = sql_col_text(&cur, 1),
                        .text = sql_col_text(&cur, 2),
                        .at = sql_col_i(&cur, 3)};
        rc = sql_row(cb(cb_self, &n));
    }
    return rc;
}

int reader_attempt_facts(reader *self, uint64_t attempt, pw_buf *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_ATTEMPT_FACTS, SQL_ARGS(sql_u(attempt)), &cur, err);

    if (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = pw_buf_adds(ret, sql_col_text(&cur, 0)) < 0 ? PW_ENOMEM : 0;
    return rc;
}

int reader_pin(reader *self, uint64_t build,
               int (*cb)(void *, const char *who, const char *reason, pw_msec at), void *cb_self,
               pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_PIN, SQL_ARGS(sql_u(build)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "build %llu is not pinned", (unsigned long long)build);
    return rc < 0 ? rc
                  : sql_row(
                        cb(cb_self, sql_col_text(&cur, 0), sql_col_t(&cur, 1), sql_col_i(&cur, 2)));
}

int reader_logs_gone(reader *self, uint64_t build, bool *ret, pw_err *err)
{
    int64_t gone = 0;
    int rc = sql_number(&self->c, R_LOGS_GONE, SQL_ARGS(sql_u(build)), &gone, err);

    if (rc < 0)
        return rc;
    *ret = gone != 0;
    return 0;
}

int reader_log(reader *self, uint64_t attempt, uint64_t idx, uint64_t stream, store_log *ret,
               pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc =
        sql_query(&self->c, R_LOG, SQL_ARGS(sql_u(attempt), sql_u(idx), sql_u(stream)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "step %llu of attempt %llu has no such log",
                       (unsigned long long)idx, (unsigned long long)attempt);
    if (rc < 0)
        return rc;
    row_log(&cur, ret);
    return 0;
}

int reader_frames(reader *self, uint64_t attempt, uint64_t idx, uint64_t stream,
                  int (*cb)(void *, const store_frame *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_FRAMES, SQL_ARGS(sql_u(attempt), sql_u(idx), sql_u(stream)),
                       &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_frame f;
        row_frame(&cur, &f);
        rc = sql_row(cb(cb_self, &f));
    }
    return rc;
}
