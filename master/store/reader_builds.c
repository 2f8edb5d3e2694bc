/* Lists of builds. The filter decides which index drives the walk (the statements BUILDS_* in
 * sql.h). The walk's statement stays open while further ones give the rows of its ids, so all are
 * of one snapshot. */
#include "master/store/reader_impl.h"

#define RECENT_LEAST 100 /* rows looked through for a branch; one costs a third of a row sorted */
#define RECENT_PER_STAMP                                                                           \
    20 /* the same, for each of its stamps up to 1,000: at most 20,000 rows, 10 ms */
#define CLOCK_SLACK 3600000 /* ms that the clock may have stood back while ids were given */
#define W_COUNT 12          /* values that the statements take */

/* A filter with its names replaced by ids. */
struct want {
    uint64_t worker, builder, project; /* 0: any */
    const char *name;                  /* builder in several projects; NULL: none such */
    const char *branch;                /* NULL: any */
    const store_rev *rev;              /* NULL: any */
    int64_t below, from, limit, since; /* ids, rows, time */
    int state, result;                 /* -1: any */
    int (*cb)(void *, const reader_build *);
    void *cb_self;
};

/* Gives the present row of a statement that has C_BUILD_NAMES. */
static int give(const sql_cur *cur, int (*cb)(void *, const reader_build *), void *cb_self)
{
    reader_build r = {0};

    row_build(cur, &r.b);
    r.project = sql_col_text(cur, COLS_BUILD);
    r.builder = sql_col_text(cur, COLS_BUILD + 1);
    r.branch = sql_col_text(cur, COLS_BUILD + 2);
    r.worker = sql_col_t(cur, COLS_BUILD + 3);
    r.who = sql_col_t(cur, COLS_BUILD + 4);
    r.why = sql_col_t(cur, COLS_BUILD + 5);
    r.buildset = sql_col_u(cur, COLS_BUILD + 6);
    sql_col_rev(cur, COLS_BUILD + 7, &r.rev);
    r.retry_of = sql_col_u(cur, COLS_BUILD + 8);
    r.parent = sql_col_u(cur, COLS_BUILD + 9);
    return sql_row(cb(cb_self, &r));
}

static int row(reader *self, uint64_t id, int (*cb)(void *, const reader_build *), void *cb_self,
               pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_BUILD_NAMES, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no build %llu", (unsigned long long)id);
    return rc < 0 ? rc : give(&cur, cb, cb_self);
}

int reader_build_one(reader *self, uint64_t id, int (*cb)(void *, const reader_build *),
                     void *cb_self, pw_err *err)
{
    return row(self, id, cb, cb_self, err);
}

/* First id whose build was created at `since` or later, by bisection: ids are given in time's order
 * (but for a clock that was set back, hence the slack), and there is no index on the time. */
static int since_id(reader *self, pw_msec since, int64_t *ret, pw_err *err)
{
    int64_t low = 1, high = 0; /* the answer is in [low, high] */
    int rc = sql_number(&self->c, R_BUILD_MAX, SQL_NO_ARGS, &high, err);

    if (rc < 0)
        return rc;
    high++;
    since = since > INT64_MIN + CLOCK_SLACK ? since - CLOCK_SLACK : since;
    while (low < high) {
        PW_AUTO(sql_end) sql_cur cur = {0};
        int64_t middle = low + (high - low) / 2;
        rc = sql_query(&self->c, R_BUILD_AT, SQL_ARGS(sql_i(middle)), &cur, err);
        if (rc == 0)
            rc = sql_next(&cur, err);
        if (rc < 0)
            return rc;
        if (rc == 0 || sql_col_i(&cur, 1) >= since)
            high = middle;
        else
            low = sql_col_i(&cur, 0) + 1;
    }
    *ret = low;
    return 0;
}

/* Names to ids. Returns 1, or 0 when nothing can match since a name is unknown. */
static int resolve(reader *self, const reader_build_filter *f, struct want *w, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int64_t id = 0;
    int rc;

    if (f->project) {
        rc = reader_project_id(self, f->project, &w->project, err);
        if (rc < 0 || !w->project)
            return rc;
    }
    if (f->worker) {
        rc = sql_number(&self->c, R_WORKER_ID, SQL_ARGS(sql_t(f->worker)), &id, err);
        if (rc < 0)
            return rc == PW_ENOTFOUND ? 0 : rc;
        w->worker = (uint64_t)id;
    }
    if (f->since) {
        rc = since_id(self, f->since, &w->from, err);
        if (rc < 0)
            return rc;
    }
    if (!f->builder)
        return 1;
    rc = sql_query(&self->c, R_BUILDER_IDS, SQL_ARGS(sql_t(f->builder), sql_u(w->project)), &cur,
                   err);
    if (rc < 0 || (rc = sql_next(&cur, err)) <= 0)
        return rc;
    w->builder = sql_col_u(&cur, 0);
    if ((rc = sql_next(&cur, err)) < 0)
        return rc;
    if (rc > 0) { /* a second one */
        w->builder = 0;
        w->name = f->builder;
    }
    return 1;
}

static void values(const struct want *w, sql_arg arg[W_COUNT])
{
    const sql_arg v[W_COUNT] = {
        sql_i(w->below),   sql_i(w->from),  sql_i(w->limit),  sql_i(w->state),
        sql_i(w->result),  sql_i(w->since), sql_u(w->worker), sql_u(w->builder),
        sql_u(w->project), sql_t(w->name),  sql_t(w->branch), w->rev ? sql_rev(w->rev) : sql_null(),
    };

    for (size_t i = 0; i < W_COUNT; i++)
        arg[i] = v[i];
}

/* All rows of one statement; `whole`: it has the names itself. */
static int walk(reader *self, const struct want *w, enum reader_stmt stmt, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    bool whole = stmt == R_BUILDS_ALL || stmt == R_BUILDS_BUILDER;
    sql_arg arg[W_COUNT];
    int rc;

    values(w, arg);
    rc = sql_query(&self->c, stmt, arg, W_COUNT, &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = whole ? give(&cur, w->cb, w->cb_self)
                   : row(self, sql_col_u(&cur, 0), w->cb, w->cb_self, err);
    return rc;
}

/* A busy branch has its newest builds among everybody's newest: these are looked through first, the
 * further the more builds the branch may have. What is still wanted then is taken from all its
 * builds, sorted. */
static int walk_branch(reader *self, struct want *w, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    sql_arg arg[W_COUNT];
    int64_t stamps = 0, budget;
    int rc;

    values(w, arg);
    rc = sql_number(&self->c, R_BRANCH_SIZE, arg, W_COUNT, &stamps, err);
    if (rc < 0)
        return rc;
    budget = RECENT_LEAST + stamps * RECENT_PER_STAMP;
    rc = sql_query(&self->c, w->builder ? R_BUILDS_RECENT_OF : R_BUILDS_RECENT, arg, W_COUNT, &cur,
                   err);
    for (; rc == 0 && w->limit > 0 && budget > 0; budget--) {
        rc = sql_next(&cur, err);
        if (rc <= 0)
            return rc; /* all were seen */
        rc = 0;
        w->below = sql_col_i(&cur, 0);
        if (sql_col_i(&cur, 1)) {
            rc = row(self, (uint64_t)w->below, w->cb, w->cb_self, err);
            w->limit--;
        }
    }
    sql_end(&cur);
    if (rc < 0 || w->limit == 0)
        return rc;
    return walk(self, w, w->builder ? R_BUILDS_BRANCH_OF : R_BUILDS_BRANCH, err);
}

int reader_builds(reader *self, const reader_build_filter *f,
                  int (*cb)(void *, const reader_build *), void *cb_self, pw_err *err)
{
    struct want w = {.branch = f->branch,
                     .rev = f->rev,
                     .below = reader_before(f->before).i,
                     .limit = reader_limit(f->limit).i,
                     .since = f->since ? f->since : INT64_MIN,
                     .state = f->state,
                     .result = f->result,
                     .cb = cb,
                     .cb_self = cb_self};
    bool bad;
    int rc = resolve(self, f, &w, err);

    if (rc <= 0 || w.limit == 0)
        return rc < 0 ? rc : 0;
    if (w.rev)
        return walk(self, &w, R_BUILDS_REV, err);
    if (w.state >= 0 && w.state < BUILD_DONE)
        return walk(self, &w, R_BUILDS_OPEN, err);
    if (w.branch)
        return walk_branch(self, &w, err);
    bad = w.result == PW_FAILURE || w.result == PW_EXCEPTION;
    if (w.builder)
        return walk(self, &w, bad ? R_BUILDS_BAD : R_BUILDS_BUILDER, err);
    if (w.project || w.name)
        return walk(self, &w, bad ? R_BUILDS_PROJECT_BAD : R_BUILDS_PROJECT, err);
    return walk(self, &w, R_BUILDS_ALL, err);
}
