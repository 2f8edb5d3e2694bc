/* Lists of everything but builds. */
#include "master/store/reader_impl.h"

enum { CHANGES_RECENT = 2000 /* rows looked through for those of a project: 1 ms */ };

/* ---- requests */
static void request_row(const sql_cur *cur, reader_request *ret)
{
    *ret = (reader_request){0};
    row_request(cur, &ret->r);
    ret->project = sql_col_text(cur, COLS_REQUEST);
    ret->builder = sql_col_text(cur, COLS_REQUEST + 1);
    ret->branch = sql_col_text(cur, COLS_REQUEST + 2);
    ret->who = sql_col_t(cur, COLS_REQUEST + 3);
    ret->why = sql_col_t(cur, COLS_REQUEST + 4);
    sql_col_rev(cur, COLS_REQUEST + 5, &ret->rev);
    ret->held = sql_col_u(cur, COLS_REQUEST + 6);
    ret->retry_of = sql_col_u(cur, COLS_REQUEST + 7);
    ret->parent = sql_col_u(cur, COLS_REQUEST + 8);
}

int reader_requests(reader *self, int state, uint64_t before, size_t limit,
                    int (*cb)(void *, const reader_request *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(
        &self->c, state == REQ_WAITING || state == REQ_CLAIMED ? R_REQUESTS_OPEN : R_REQUESTS,
        SQL_ARGS(reader_before(before), reader_limit(limit), sql_i(state)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        reader_request r;
        request_row(&cur, &r);
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

int reader_request_one(reader *self, uint64_t id, int (*cb)(void *, const reader_request *),
                       void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    reader_request r;
    int rc = sql_query(&self->c, R_REQUEST_ONE, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no request %llu", (unsigned long long)id);
    if (rc < 0)
        return rc;
    request_row(&cur, &r);
    return sql_row(cb(cb_self, &r));
}

/* ---- changes */
void reader_change_row(const sql_cur *cur, reader_change *ret)
{
    *ret = (reader_change){0};
    row_change(cur, &ret->c);
    ret->project = sql_col_text(cur, COLS_CHANGE);
    ret->branch = sql_col_text(cur, COLS_CHANGE + 1);
    sql_col_rev(cur, COLS_CHANGE + 2, &ret->rev);
    ret->held = sql_col_u(cur, COLS_CHANGE + 3);
    ret->missed = sql_col_t(cur, COLS_CHANGE + 4);
}

static int walk_changes(reader *self, enum reader_stmt stmt, const sql_arg arg[4],
                        int (*cb)(void *, const reader_change *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, stmt, arg, 4, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        reader_change r;
        reader_change_row(&cur, &r);
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

/* A project that much happens in has its newest changes among everybody's newest: these are looked
 * through first. What is still wanted then is taken from all changes of the project, sorted. */
static int walk_project(reader *self, sql_arg arg[4], int (*cb)(void *, const reader_change *),
                        void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_CHANGES_RECENT, arg, 4, &cur, err);

    for (int left = CHANGES_RECENT; rc == 0 && left > 0 && arg[1].i > 0; left--) {
        rc = sql_next(&cur, err);
        if (rc <= 0)
            return rc; /* all were seen */
        rc = 0;
        arg[0] = sql_i(sql_col_i(&cur, 0));
        if (sql_col_i(&cur, 1)) {
            rc = reader_change_one(self, sql_col_u(&cur, 0), cb, cb_self, err);
            arg[1].i--;
        }
    }
    sql_end(&cur);
    cur = (sql_cur){0};
    return rc < 0 || arg[1].i == 0 ? rc
                                   : walk_changes(self, R_CHANGES_PROJECT, arg, cb, cb_self, err);
}

int reader_changes(reader *self, const char *project, const char *branch, uint64_t before,
                   size_t limit, int (*cb)(void *, const reader_change *), void *cb_self,
                   pw_err *err)
{
    uint64_t id = 0;
    int rc = project ? reader_project_id(self, project, &id, err) : 0;

    if (rc < 0 || (project && !id))
        return rc;
    sql_arg arg[4] = {reader_before(before), reader_limit(limit), sql_u(id), sql_t(branch)};
    if (project && !branch)
        return walk_project(self, arg, cb, cb_self, err);
    return walk_changes(self, branch ? R_CHANGES_BRANCH : R_CHANGES, arg, cb, cb_self, err);
}

int reader_change_one(reader *self, uint64_t id, int (*cb)(void *, const reader_change *),
                      void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    reader_change r;
    int rc = sql_query(&self->c, R_CHANGE_ONE, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no change %llu", (unsigned long long)id);
    if (rc < 0)
        return rc;
    reader_change_row(&cur, &r);
    return sql_row(cb(cb_self, &r));
}

/* ---- workers */
static int workers(sql_cur *cur,
                   int (*cb)(void *, const store_worker *, uint64_t busy, bool enrolled),
                   void *cb_self, pw_err *err)
{
    int rc = 0, n = 0;

    while (rc == 0 && (rc = sql_next(cur, err)) > 0) {
        store_worker w;
        row_worker(cur, &w);
        rc = sql_row(
            cb(cb_self, &w, sql_col_u(cur, COLS_WORKER), sql_col_i(cur, COLS_WORKER + 1) != 0));
        n++;
    }
    return rc < 0 ? rc : n;
}

int reader_workers(reader *self,
                   int (*cb)(void *, const store_worker *, uint64_t busy, bool enrolled),
                   void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_WORKERS, SQL_NO_ARGS, &cur, err);

    if (rc == 0)
        rc = workers(&cur, cb, cb_self, err);
    return rc < 0 ? rc : 0;
}

int reader_worker_one(reader *self, uint64_t id,
                      int (*cb)(void *, const store_worker *, uint64_t busy, bool enrolled),
                      void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_WORKER_ONE, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = workers(&cur, cb, cb_self, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no worker %llu", (unsigned long long)id);
    return rc < 0 ? rc : 0;
}

/* ---- promotions */
static int promotions(sql_cur *cur, int (*cb)(void *, const store_promotion *), void *cb_self,
                      pw_err *err)
{
    int rc = 0, n = 0;

    while (rc == 0 && (rc = sql_next(cur, err)) > 0) {
        store_promotion p;
        row_promotion(cur, &p);
        rc = sql_row(cb(cb_self, &p));
        n++;
    }
    return rc < 0 ? rc : n;
}

int reader_promotions(reader *self, const char *edge, uint64_t before, size_t limit,
                      int (*cb)(void *, const store_promotion *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc =
        sql_query(&self->c, edge ? R_PROMOTIONS_EDGE : R_PROMOTIONS,
                  SQL_ARGS(reader_before(before), reader_limit(limit), sql_t(edge)), &cur, err);

    if (rc == 0)
        rc = promotions(&cur, cb, cb_self, err);
    return rc < 0 ? rc : 0;
}

int reader_promotion_one(reader *self, uint64_t id, int (*cb)(void *, const store_promotion *),
                         void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_PROMOTION_ONE, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = promotions(&cur, cb, cb_self, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no promotion %llu", (unsigned long long)id);
    return rc < 0 ? rc : 0;
}

int reader_edges(reader *self,
                 int (*cb)(void *, const char *edge, edge_state state, const store_rev *rev,
                           const char *reason, pw_msec at),
                 void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_EDGES, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_rev rev;
        sql_col_rev(&cur, 2, &rev);
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0), (edge_state)sql_col_i(&cur, 1), &rev,
                        sql_col_t(&cur, 3), sql_col_i(&cur, 4)));
    }
    return rc;
}

/* ---- what exists */
int reader_latest_all(reader *self, int (*cb)(void *, const reader_latest *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_LATEST, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        reader_latest l = {.project = sql_col_text(&cur, 0),
                           .builder = sql_col_text(&cur, 1),
                           .branch = sql_col_text(&cur, 2),
                           .build = sql_col_u(&cur, 3),
                           .result = sql_col_result(&cur, 4),
                           .finished = sql_col_i(&cur, 6)};
        sql_col_rev(&cur, 5, &l.rev);
        rc = sql_row(cb(cb_self, &l));
    }
    return rc;
}

int reader_tips(reader *self,
                int (*cb)(void *, const char *project, const char *ref, const store_rev *rev),
                void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_TIPS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_rev rev;
        sql_col_rev(&cur, 2, &rev);
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0), sql_col_text(&cur, 1), &rev));
    }
    return rc;
}

int reader_projects(reader *self, int (*cb)(void *, uint64_t id, const char *name), void *cb_self,
                    pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_PROJECTS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_text(&cur, 1)));
    return rc;
}

int reader_builders(reader *self,
                    int (*cb)(void *, uint64_t id, const char *project, const char *name),
                    void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_BUILDERS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_text(&cur, 1), sql_col_text(&cur, 2)));
    return rc;
}
