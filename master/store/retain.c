#include "master/store/retain.h"

#include <inttypes.h>

#include "master/store/impl.h"

enum {
    BUILDS_LOOKED = 500,  /* of a builder: enough where the branch is a busy one; 0.3 ms */
    STAMPS_LOOKED = 2000, /* of a branch: one that is not busy has few; 1 ms where it has many */
};

static void row_old(const sql_cur *cur, store_old *ret)
{
    bool logs = !sql_col_null(cur, 13);
    int64_t least = sql_col_i(cur, 13); /* of `sealed` */
    *ret = (store_old){
        .id = sql_col_u(cur, 0),
        .builder = sql_col_u(cur, 1),
        .request = sql_col_u(cur, 2),
        .buildset = sql_col_u(cur, 3),
        .result = sql_col_result(cur, 4),
        .created = sql_col_i(cur, 5),
        .finished = sql_col_i(cur, 6),
        .project = sql_col_u(cur, 7),
        .branch = sql_col_text(cur, 8),
        .pinned = sql_col_i(cur, 9) != 0,
        .open = sql_col_i(cur, 10) != 0,
        .newest = sql_col_i(cur, 11) != 0,
        .latest = sql_col_i(cur, 12) != 0,
        .logs = logs && least < 2,
        .unsealed = logs && least == 0,
        .going = logs && least == 2,
        .files = sql_col_i(cur, 14) != 0,
        .tried = sql_col_i(cur, 15) != 0,
    };
}

int store_retain_next(store *self, uint64_t after, unsigned most,
                      int (*cb)(void *, const store_old *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_RETAIN_NEXT, SQL_ARGS(sql_u(after), sql_u(most)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_old b;
        row_old(&cur, &b);
        rc = sql_row(cb(cb_self, &b));
    }
    return rc;
}

int store_retain_nth(store *self, uint64_t builder, uint64_t project, const char *branch,
                     uint64_t n, uint64_t *ret, pw_err *err)
{
    int64_t id = 0;
    sql_arg arg[] = {sql_u(builder), sql_u(project), sql_t(branch), sql_u(n - 1),
                     sql_i(BUILDS_LOOKED)};
    int rc = sql_number(&self->c, S_RETAIN_NTH, arg, 5, &id, err);

    arg[4] = sql_i(STAMPS_LOOKED);
    if (rc == PW_ENOTFOUND)
        rc = sql_number(&self->c, S_RETAIN_NTH_RARE, arg, 5, &id, err);

    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    *ret = rc < 0 ? 0 : (uint64_t)id;
    return 0;
}

int store_retain_edge(store *self, const char *edge, pw_msec *ret, pw_err *err)
{
    int64_t at = 0;
    int rc = sql_number(&self->c, S_RETAIN_EDGE, SQL_ARGS(sql_t(edge)), &at, err);

    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    *ret = rc < 0 ? 0 : at;
    return 0;
}

static int each_log(store *self, enum store_stmt id, uint64_t arg,
                    int (*cb)(void *, const store_log *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, id, SQL_ARGS(sql_u(arg)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_log l;
        row_log(&cur, &l);
        rc = sql_row(cb(cb_self, &l));
    }
    return rc;
}

int store_retain_mark(store *self, uint64_t build, int (*cb)(void *, const store_log *),
                      void *cb_self, pw_err *err)
{
    int rc = store_write(self, S_RETAIN_MARK, SQL_ARGS(sql_u(build)), err);

    return rc < 0 ? rc : each_log(self, S_RETAIN_MARKED, build, cb, cb_self, err);
}

int store_retain_going(store *self, unsigned most, int (*cb)(void *, const store_log *),
                       void *cb_self, pw_err *err)
{
    return each_log(self, S_RETAIN_GOING, most, cb, cb_self, err);
}

int store_retain_gone(store *self, uint64_t attempt, uint64_t idx, uint64_t stream, pw_err *err)
{
    int rc =
        store_write(self, S_RETAIN_GONE, SQL_ARGS(sql_u(attempt), sql_u(idx), sql_u(stream)), err);

    return rc < 0 ? rc : 0;
}

int store_retain_files(store *self, uint64_t build, pw_err *err)
{
    int rc = store_write(self, S_RETAIN_FILES, SQL_ARGS(sql_u(build)), err);

    return rc < 0 ? rc : 0;
}

/* The order matters: what is found by the attempts goes before them. */
int store_retain_drop(store *self, const store_old *b, pw_err *err)
{
    static const enum store_stmt parts[] = {
        S_RETAIN_LOGS,       S_RETAIN_STEPS,     S_RETAIN_NOTES,
        S_RETAIN_FACTS,      S_RETAIN_REPORTS,   S_RETAIN_TESTS,
        S_RETAIN_PROPERTIES, S_RETAIN_JOB,       S_RETAIN_KEPT,
        S_RETAIN_REMARK,     S_RETAIN_TRIGGERED, S_RETAIN_ATTEMPTS,
        S_RETAIN_LATEST,     S_RETAIN_DECIDED,   S_PIN_DEL};
    const sql_arg arg[] = {sql_u(b->id), sql_u(b->builder), sql_t(b->branch)};

    if (b->logs || b->going || b->files)
        return pw_fail(err, PW_ECONFLICT, "build %" PRIu64 " has output still", b->id);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int rc = store_write(self, parts[i], arg, 3, err);
        if (rc < 0)
            return rc;
    }
    int rc = store_write_one(self, S_RETAIN_BUILD, SQL_ARGS(sql_u(b->id)), "build", b->id, err);
    return rc < 0 ? rc : store_retain_request(self, b->request, b->buildset, err);
}

int store_retain_lone(store *self, uint64_t after, unsigned most,
                      int (*cb)(void *, const store_lone *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_RETAIN_LONE, SQL_ARGS(sql_u(after), sql_u(most)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        const store_lone r = {.id = sql_col_u(&cur, 0),
                              .builder = sql_col_u(&cur, 1),
                              .buildset = sql_col_u(&cur, 2),
                              .created = sql_col_i(&cur, 3),
                              .may = sql_col_i(&cur, 4) != 0,
                              .project = sql_col_u(&cur, 5),
                              .branch = sql_col_text(&cur, 6)};
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

int store_retain_request(store *self, uint64_t request, uint64_t buildset, pw_err *err)
{
    int rc = store_write(self, S_RETAIN_REQUEST, SQL_ARGS(sql_u(request)), err);

    if (rc >= 0)
        rc = store_write(self, S_RETAIN_TASK, SQL_ARGS(sql_u(request)), err);
    if (rc >= 0)
        rc = store_write(self, S_TESTFIX_DEL, SQL_ARGS(sql_u(request)), err);
    if (rc >= 0)
        rc = store_write(self, S_RETAIN_SET, SQL_ARGS(sql_u(buildset)), err);
    return rc < 0 ? rc : 0;
}

int store_pin_put(store *self, uint64_t build, const char *who, const char *reason, pw_msec at,
                  pw_err *err)
{
    int rc = store_write(self, S_PIN_PUT,
                         SQL_ARGS(sql_u(build), sql_t(who), sql_t(reason), sql_i(at)), err);

    return rc < 0 ? rc : 0;
}

int store_pin_del(store *self, uint64_t build, pw_err *err)
{
    return store_write(self, S_PIN_DEL, SQL_ARGS(sql_u(build)), err);
}
