/* Builders that need each other: parts of a matrix, what holds a request, the edges of open sets.
 */
#include "master/store/impl.h"
#include "master/store/graph.h"

int store_builder_part(store *self, uint64_t project, uint64_t parent, const char *name,
                       uint64_t *ret, pw_err *err)
{
    uint64_t id = 0;
    int rc = store_builder_id(self, project, name, &id, err);

    if (rc == 0)
        rc = store_write(self, S_BUILDER_PARENT, SQL_ARGS(sql_u(id), sql_u(parent)), err);
    if (rc < 0)
        return rc;
    *ret = id;
    return 0;
}

int store_builder_row(store *self, uint64_t id, uint64_t *ret_project, uint64_t *ret_parent,
                      pw_buf *name, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_BUILDER_ROW, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no builder %llu", (unsigned long long)id);
    if (rc < 0 || (rc = sql_col_buf(&cur, 1, name, err)) < 0)
        return rc;
    *ret_project = sql_col_u(&cur, 0);
    *ret_parent = sql_col_u(&cur, 2);
    return 0;
}

int store_buildset_retry(store *self, uint64_t id, uint64_t retry_of, pw_err *err)
{
    return store_write_one(self, S_BUILDSET_RETRY, SQL_ARGS(sql_u(id), sql_u(retry_of)),
                           "build set", id, err);
}

int store_task_add(store *self, const store_task *t, pw_err *err)
{
    return store_write_one(self, S_TASK_ADD,
                           SQL_ARGS(sql_u(t->request), sql_u(t->stamp), sql_u(t->parent),
                                    sql_i((int)t->hold), sql_u(t->pipeline), sql_u(t->follows)),
                           "request", t->request, err);
}

int store_task_hold(store *self, uint64_t request, task_hold hold, pw_err *err)
{
    return store_write_one(self, S_TASK_HOLD, SQL_ARGS(sql_u(request), sql_i((int)hold)), "request",
                           request, err);
}

int store_task_get(store *self, uint64_t request, store_task *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_TASK_GET, SQL_ARGS(sql_u(request)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc < 0 ? rc : PW_ENOTFOUND;
    *ret = (store_task){.request = sql_col_u(&cur, 0),
                        .stamp = sql_col_u(&cur, 1),
                        .parent = sql_col_u(&cur, 2),
                        .hold = (task_hold)sql_col_i(&cur, 3),
                        .pipeline = sql_col_u(&cur, 4),
                        .follows = sql_col_u(&cur, 5)};
    return 0;
}

int store_graph_add(store *self, uint64_t buildset, bool fail_fast, pw_err *err)
{
    return store_write_one(self, S_GRAPH_ADD, SQL_ARGS(sql_u(buildset), sql_i(fail_fast)),
                           "build set", buildset, err);
}

int store_graph_del(store *self, uint64_t buildset, pw_err *err)
{
    int rc = store_write(self, S_NEED_DEL, SQL_ARGS(sql_u(buildset)), err);

    if (rc >= 0)
        rc = store_write(self, S_GRAPH_DEL, SQL_ARGS(sql_u(buildset)), err);
    return rc < 0 ? rc : 0;
}

int store_graphs(store *self, int (*cb)(void *, uint64_t buildset, bool fail_fast), void *cb_self,
                 pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_GRAPHS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), sql_col_i(&cur, 1) != 0));
    return rc;
}

int store_need_add(store *self, uint64_t buildset, const store_need *n, pw_err *err)
{
    int rc = store_write(
        self, S_NEED_ADD,
        SQL_ARGS(sql_u(buildset), sql_u(n->builder), sql_u(n->needs), sql_i(n->optional)), err);
    return rc < 0 ? rc : 0;
}

int store_needs(store *self, uint64_t buildset, int (*cb)(void *, const store_need *),
                void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_NEEDS, SQL_ARGS(sql_u(buildset)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_need n = {sql_col_u(&cur, 0), sql_col_u(&cur, 1), sql_col_i(&cur, 2) != 0};
        rc = sql_row(cb(cb_self, &n));
    }
    return rc;
}

int store_set_requests(store *self, uint64_t buildset, int (*cb)(void *, const store_member *),
                       void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_SET_REQUESTS, SQL_ARGS(sql_u(buildset)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_member m = {.request = sql_col_u(&cur, 0),
                          .builder = sql_col_u(&cur, 1),
                          .parent = sql_col_u(&cur, 2),
                          .state = (req_state)sql_col_i(&cur, 3),
                          .rode_with = sql_col_u(&cur, 4),
                          .build = sql_col_u(&cur, 5),
                          .result = sql_col_result(&cur, 6),
                          .hold = (task_hold)sql_col_i(&cur, 7)};
        rc = sql_row(cb(cb_self, &m));
    }
    return rc;
}

/* ---- what changed */
enum {
    SINCE_MAX = 5000, /* changes, of all branches, that are looked through */
};

int store_regarded(store *self, const char *scheduler, uint64_t project, const char *branch,
                   pw_buf *files, bool *ret_known, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur at = {0}, cur = {0};
    int rc = sql_query(&self->c, S_REGARDED_GET,
                       SQL_ARGS(sql_t(scheduler), sql_t(branch), sql_u(project)), &at, err);
    bool known = rc == 0 && (rc = sql_next(&at, err)) > 0;
    uint64_t from = known ? sql_col_u(&at, 0) : 0;
    size_t n = 0;

    known = known && sql_col_u(&at, 1) <= from + SINCE_MAX;
    if (rc >= 0 && known)
        rc = sql_query(&self->c, S_CHANGES_SINCE,
                       SQL_ARGS(sql_u(from), sql_t(branch), sql_u(project)), &cur, err);
    while (known && rc >= 0 && (rc = sql_next(&cur, err)) > 0) {
        const char *text = sql_col_t(&cur, 0);
        known = text && !sql_col_i(&cur, 1) && pw_buf_adds(files, text) == 0 &&
                pw_buf_adds(files, "\n") == 0;
        n++;
    }
    if (rc < 0)
        return rc;
    *ret_known = known && n > 0; /* without a change, somebody wants it anew */
    return 0;
}

int store_regarded_put(store *self, const char *scheduler, uint64_t project, const char *branch,
                       uint64_t stamp, pw_err *err)
{
    int rc =
        store_write(self, S_REGARDED_PUT,
                    SQL_ARGS(sql_t(scheduler), sql_t(branch), sql_u(project), sql_u(stamp)), err);
    return rc < 0 ? rc : 0;
}

int store_regarded_del(store *self, uint64_t project, const char *branch, pw_err *err)
{
    int rc = store_write(self, S_REGARDED_DEL, SQL_ARGS(sql_u(project), sql_t(branch)), err);
    return rc < 0 ? rc : 0;
}

int store_follows(store *self, uint64_t builder, uint64_t before, const char *branch, uint64_t *ret,
                  pw_err *err)
{
    const sql_arg arg[] = {sql_u(builder), sql_u(before), sql_t(branch)};
    int64_t id = 0;
    int rc = sql_number(&self->c, S_FOLLOWS, arg, 3, &id, err);

    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    *ret = rc == 0 ? (uint64_t)id : 0;
    return 0;
}

/* ---- verdicts */
/* Nothing that it depends on had changed: what it followed counts, where that was built. */
static int verdict_of_followed(store *self, const sql_arg arg[3], pw_result *ret,
                               uint64_t *ret_build, bool *ret_open, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_VERDICT_FOLLOWS, arg, 3, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc;
    *ret_open |= sql_col_i(&cur, 0) != REQ_DONE;
    *ret = pw_result_unchanged(sql_col_u(&cur, 2) ? sql_col_result(&cur, 3) : PW_NO_RESULT);
    *ret_build = *ret == PW_NO_RESULT ? 0 : sql_col_u(&cur, 2);
    return 0;
}

static int verdict_of_one(store *self, const sql_arg arg[3], pw_result *ret, uint64_t *ret_build,
                          bool *ret_open, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int64_t one;
    int rc = sql_query(&self->c, S_VERDICT, arg, 3, &cur, err);

    *ret = PW_NO_RESULT;
    *ret_build = 0;
    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc > 0) {
        *ret_build = sql_col_u(&cur, 0);
        *ret = sql_col_result(&cur, 1);
    }
    if (rc < 0)
        return rc;
    rc = sql_number(&self->c, S_VERDICT_BUILD, arg, 3, &one, err);
    if (rc == PW_ENOTFOUND)
        rc = sql_number(&self->c, S_VERDICT_REQUEST, arg, 3, &one, err);
    *ret_open = rc == 0;
    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    return *ret == PW_NO_RESULT ? verdict_of_followed(self, arg, ret, ret_build, ret_open, err) : 0;
}

/* Worse counts; unknown is worse than green and better than red. */
static int rank(pw_result r)
{
    return r == PW_FAILURE ? 3 : r == PW_NO_RESULT ? 2 : r == PW_WARNINGS ? 1 : 0;
}

enum { PARTS_MAX = 512 }; /* of one builder at one revision: twice what one set may have */

int store_verdict(store *self, uint64_t project, uint64_t builder, const store_rev *rev,
                  pw_result *ret, uint64_t *ret_build, bool *ret_open, pw_err *err)
{
    sql_arg arg[] = {sql_rev(rev), sql_u(project), sql_u(builder)};
    uint64_t part[PARTS_MAX], build = 0;
    pw_result result = PW_NO_RESULT;
    size_t n = 0;
    bool open = false;
    int rc;
    {
        PW_AUTO(sql_end) sql_cur cur = {0};
        rc = sql_query(&self->c, S_VERDICT_PARTS, arg, 3, &cur, err);
        while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
            rc = n < PARTS_MAX ? 0 : pw_fail(err, PW_ELIMIT, "a builder has too many parts");
            if (rc == 0)
                part[n++] = sql_col_u(&cur, 0);
        }
    }
    if (rc == 0 && !n)
        rc = verdict_of_one(self, arg, &result, &build, &open, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        pw_result one;
        uint64_t at;
        bool more = false;
        arg[2] = sql_u(part[i]);
        rc = verdict_of_one(self, arg, &one, &at, &more, err);
        if (i == 0 || rank(one) > rank(result)) {
            result = one;
            build = at;
        }
        open |= more;
    }
    if (rc < 0)
        return rc;
    *ret = result;
    if (ret_build)
        *ret_build = build;
    *ret_open = open;
    return 0;
}
