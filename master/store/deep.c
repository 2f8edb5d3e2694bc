/* The whole database from outside: facts, what it names, what must hold. */
#include "master/store/deep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "master/store/deep_sql.h"
#include "master/store/impl.h"

#define APPLICATION 1348564844

#define DEEP_TEXT(id, text, ...) {#id, text},
const sql_text deep_sql[DEEP_STMTS] = {DEEP_SQL(DEEP_TEXT) DEEP_RULES(DEEP_TEXT)};
#define DEEP_KIND(id, text, kind) kind,
static const char *const rule_kind[] = {DEEP_RULES(DEEP_KIND)};
enum { RULES = sizeof(rule_kind) / sizeof(rule_kind[0]), FIRST_RULE = DEEP_STMTS - RULES };

struct store_deep {
    sql_conn c;
    uint64_t schema;
};

static int number(store_deep *self, enum deep_stmt id, const sql_arg *arg, size_t n, int64_t *ret,
                  pw_err *err)
{
    int rc = sql_number(&self->c, id, arg, n, ret, err);

    return rc == PW_ENOTFOUND ? pw_fail(err, PW_ECORRUPT, "database \"%s\": %s gives nothing",
                                        self->c.path, deep_sql[id].name)
                              : rc;
}

store_deep *store_deep_open(const char *path, pw_err *err)
{
    PW_AUTO(store_deep_closep) store_deep *self = calloc(1, sizeof(*self));
    PW_AUTO(pw_freep) char *wal = pw_strf("%s-wal", path);
    struct stat st, log;
    int64_t version, application;

    if (!self || !wal) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    if (stat(path, &st) < 0) {
        (void)pw_fail_at(err, __FILE__, __LINE__, errno == ENOENT ? PW_ENOTFOUND : PW_ESYS, errno,
                         "opening database \"%s\"", path);
        return NULL;
    }
    if (st.st_size == 0 && (stat(wal, &log) < 0 || log.st_size == 0)) {
        (void)pw_fail(err, PW_ENOTFOUND, "database \"%s\" is empty", path);
        return NULL;
    }
    if (sql_open(&self->c, path, SQLITE_OPEN_READONLY, deep_sql, DEEP_STMTS, err) < 0 ||
        number(self, D_VERSION, SQL_NO_ARGS, &version, err) < 0 ||
        number(self, D_APPLICATION, SQL_NO_ARGS, &application, err) < 0)
        return NULL;
    if (application != APPLICATION || version < 1 || version > STORE_SCHEMA) {
        (void)pw_fail(err, PW_ECONFLICT,
                      application != APPLICATION
                          ? "\"%s\" is not a database of pawl-master (schema %lld, known up to %d)"
                          : "database \"%s\" has schema %lld, this program knows up to %d: a newer "
                            "version has written it",
                      path, (long long)version, STORE_SCHEMA);
        return NULL;
    }
    self->schema = (uint64_t)version;
    return pw_take(self);
}

store_deep *store_deep_close(store_deep *self)
{
    if (!self)
        return NULL;
    sql_clear(&self->c);
    free(self);
    return NULL;
}

int store_deep_facts(store_deep *self, store_facts *ret, pw_err *err)
{
    int64_t epoch, turn;
    int rc = number(self, D_EPOCH, SQL_NO_ARGS, &epoch, err);

    if (rc == 0)
        rc = number(self, D_TURN, SQL_NO_ARGS, &turn, err);
    if (rc == 0)
        *ret = (store_facts){self->schema, (uint64_t)epoch, (uint64_t)turn};
    return rc;
}

int store_deep_workers(store_deep *self, uint64_t *ret, pw_err *err)
{
    int64_t n;
    int rc = number(self, D_WORKERS_WITH_KEY, SQL_NO_ARGS, &n, err);

    if (rc == 0)
        *ret = (uint64_t)n;
    return rc;
}

static int text_of(store_deep *self, enum deep_stmt id, const sql_arg *arg, size_t n, pw_buf *out,
                   pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, id, arg, n, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc;
    rc = sql_col_buf(&cur, 0, out, err);
    return rc < 0 ? rc : 1;
}

int store_deep_config(store_deep *self, pw_buf *text, pw_err *err)
{
    int rc = text_of(self, D_CONFIG_LAST, SQL_NO_ARGS, text, err);

    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "database \"%s\" holds no configuration", self->c.path);
    return rc < 0 ? rc : 0;
}

int store_deep_begin(store_deep *self, pw_err *err)
{
    int64_t ignored;
    int rc = sql_run(&self->c, D_BEGIN, SQL_NO_ARGS, err);

    /* the first read takes the snapshot */
    return rc < 0 ? rc : number(self, D_EPOCH, SQL_NO_ARGS, &ignored, err);
}

void store_deep_end(store_deep *self)
{
    if (!sqlite3_get_autocommit(self->c.db))
        (void)sql_run(&self->c, D_COMMIT, SQL_NO_ARGS, NULL);
}

int store_deep_segments(store_deep *self, int (*cb)(void *, uint64_t segment), void *cb_self,
                        pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, D_SEGMENTS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0)));
    return rc;
}

int store_deep_sealed(store_deep *self, int (*cb)(void *, const store_log *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, D_SEALED, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        const store_log l = {.attempt = sql_col_u(&cur, 0),
                             .idx = sql_col_u(&cur, 1),
                             .stream = sql_col_u(&cur, 2),
                             .bytes = sql_col_u(&cur, 3),
                             .lines = sql_col_u(&cur, 4),
                             .packed = sql_col_u(&cur, 5),
                             .sealed = true};
        rc = sql_row(cb(cb_self, &l));
    }
    return rc;
}

int store_deep_frames(store_deep *self, int (*cb)(void *, const store_frame *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, D_FRAMES, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_frame f;
        row_frame(&cur, &f);
        rc = sql_row(cb(cb_self, &f));
    }
    return rc;
}

static int found(store_deep *self, enum deep_stmt id, const sql_arg *arg, size_t n, pw_err *err)
{
    int64_t v;
    int rc = sql_number(&self->c, id, arg, n, &v, err);

    return rc == PW_ENOTFOUND ? 0 : rc < 0 ? rc : (int)v;
}

int store_deep_under_way(store_deep *self, const char *project, const char *builder,
                         uint64_t *ret_waiting, uint64_t *ret_running, pw_err *err)
{
    int64_t waiting = 0, running = 0;
    int rc =
        sql_number(&self->c, D_WAITING, SQL_ARGS(sql_t(project), sql_t(builder)), &waiting, err);

    if (rc == 0)
        rc = sql_number(&self->c, D_UNDER_WAY, SQL_ARGS(sql_t(project), sql_t(builder)), &running,
                        err);
    if (rc < 0)
        return rc;
    *ret_waiting = (uint64_t)waiting;
    *ret_running = (uint64_t)running;
    return 0;
}

int store_deep_log_is(store_deep *self, uint64_t attempt, uint64_t idx, uint64_t stream,
                      pw_err *err)
{
    return found(self, D_LOG_IS, SQL_ARGS(sql_u(attempt), sql_u(idx), sql_u(stream)), err);
}

int store_deep_frame_is(store_deep *self, const store_frame *f, pw_err *err)
{
    return found(self, D_FRAME_IS,
                 SQL_ARGS(sql_u(f->attempt), sql_u(f->idx), sql_u(f->stream), sql_u(f->raw_pos)),
                 err);
}

int store_deep_any_log(store_deep *self, pw_err *err)
{
    return found(self, D_ANY_LOG, SQL_NO_ARGS, err);
}

int store_deep_segment_is(store_deep *self, uint64_t segment, pw_err *err)
{
    return found(self, D_SEGMENT_IS, SQL_ARGS(sql_u(segment)), err);
}

int store_deep_project(store_deep *self, uint64_t id, pw_buf *name, pw_err *err)
{
    return text_of(self, D_PROJECT_IS, SQL_ARGS(sql_u(id)), name, err);
}

int store_deep_token(store_deep *self, const uint8_t hash[32], pw_msec now, pw_err *err)
{
    int64_t over;
    int rc;

    if (self->schema < 2) /* its tokens have no end */
        return 1;
    rc = sql_number(&self->c, D_TOKEN_IS, SQL_ARGS(sql_b(hash, 32), sql_i(now)), &over, err);
    return rc == PW_ENOTFOUND ? 0 : rc < 0 ? rc : 1 + (over != 0);
}

int store_deep_newest(store_deep *self, pw_msec *ret, pw_err *err)
{
    return number(self, D_NEWEST_TIME, SQL_NO_ARGS, ret, err);
}

int store_deep_integrity(store_deep *self, int (*cb)(void *, const char *text), void *cb_self,
                         pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, D_INTEGRITY, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = strcmp(sql_col_text(&cur, 0), "ok") == 0 ? 0
                                                      : sql_row(cb(cb_self, sql_col_text(&cur, 0)));
    return rc;
}

int store_deep_rules(store_deep *self, pw_msec now, store_rule_cb *cb, void *cb_self, pw_err *err)
{
    for (size_t i = 0; i < RULES; i++) {
        size_t id = FIRST_RULE + i;
        if (id == D_TOKEN_OLD && self->schema < 2)
            continue;
        PW_AUTO(sql_end) sql_cur cur = {0};
        int rc = sql_query(&self->c, id, SQL_ARGS(sql_i(now)), &cur, err);
        while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
            rc = sql_row(cb(cb_self, deep_sql[id].name, rule_kind[i], sql_col_u(&cur, 0),
                            sql_col_text(&cur, 1)));
        if (rc < 0)
            return rc;
    }
    return 0;
}

int store_deep_artifacts(store_deep *self, int (*cb)(void *, const store_artifact *), void *cb_self,
                         pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    if (self->schema < 3)
        return 0;
    int rc = sql_query(&self->c, D_ARTIFACTS, SQL_NO_ARGS, &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_artifact a;
        row_artifact(&cur, &a);
        rc = sql_row(cb(cb_self, &a));
    }
    return rc;
}

int store_deep_tries(store_deep *self, int (*cb)(void *, uint64_t project, uint64_t number),
                     void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = self->schema < 3 ? 0 : sql_query(&self->c, D_TRIES, SQL_NO_ARGS, &cur, err);
    while (self->schema >= 3 && rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_u(&cur, 1)));
    return rc;
}

static int is_there(store_deep *self, enum deep_stmt id, const sql_arg *arg, size_t n, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = self->schema < 3 ? 0 : sql_query(&self->c, id, arg, n, &cur, err);
    return rc < 0 || self->schema < 3 ? rc : sql_next(&cur, err);
}

int store_deep_sum_is(store_deep *self, const uint8_t sha256[32], pw_err *err)
{
    return is_there(self, D_SUM_IS, SQL_ARGS(sql_b(sha256, 32)), err);
}

int store_deep_part_is(store_deep *self, uint64_t attempt, uint64_t file, pw_err *err)
{
    return is_there(self, D_PART_IS, SQL_ARGS(sql_u(attempt), sql_u(file)), err);
}
