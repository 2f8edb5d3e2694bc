/* What pages show at a glance. */
#include "master/store/reader_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store/reader_impl.h"

enum {
    GREEN_REVISIONS = 1000, /* looked through for the last green build: 3 ms */
    RANGE_CHANGES = 20000,  /* of all branches, between two builds of one: 10 ms */
    USUAL_ROWS = 20
};

int reader_project_named(reader *self, const char *name, uint64_t *ret, pw_err *err)
{
    uint64_t id = 0;
    int rc = reader_project_id(self, name, &id, err);

    if (rc < 0)
        return rc;
    if (!id)
        return pw_fail(err, PW_ENOTFOUND, "there is no project \"%.200s\"", name);
    *ret = id;
    return 0;
}

int reader_project_name(reader *self, uint64_t project, char *out, size_t cap, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_PROJECT_NAME, SQL_ARGS(sql_u(project)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    (void)snprintf(out, cap, "%s", rc > 0 ? sql_col_text(&cur, 0) : "");
    return 0;
}

int reader_oldest(reader *self, pw_msec *ret_request, pw_msec *ret_message, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_OLDEST, SQL_NO_ARGS, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    *ret_request = sql_col_i(&cur, 0);
    *ret_message = sql_col_i(&cur, 1);
    return 0;
}

/* ---- branches */
static const char heads[] = "refs/heads/";

int reader_branches(reader *self, uint64_t project, const char *after,
                    int (*cb)(void *, const char *branch, const store_rev *rev), void *cb_self,
                    pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    PW_AUTO(pw_freep) char *from = pw_strf("%s%s", heads, after);
    int rc = from
                 ? sql_query(&self->c, R_BRANCHES, SQL_ARGS(sql_u(project), sql_t(from)), &cur, err)
                 : pw_fail(err, PW_ENOMEM, "out of memory");

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_rev rev;
        sql_col_rev(&cur, 1, &rev);
        rc = sql_row(cb(cb_self, sql_col_text(&cur, 0) + sizeof(heads) - 1, &rev));
    }
    return rc;
}

int reader_tip(reader *self, uint64_t project, const char *branch, store_rev *ret, pw_msec *ret_at,
               pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    PW_AUTO(pw_freep) char *ref = pw_strf("%s%s", heads, branch);
    int rc = ref ? sql_query(&self->c, R_TIP, SQL_ARGS(sql_u(project), sql_t(ref), sql_t(branch)),
                             &cur, err)
                 : pw_fail(err, PW_ENOMEM, "out of memory");

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "there is no branch \"%.200s\"", branch);
    if (rc < 0)
        return rc;
    sql_col_rev(&cur, 0, ret);
    *ret_at = sql_col_i(&cur, 1);
    return 0;
}

int reader_branch_latest(reader *self, uint64_t project, const char *branch,
                         int (*cb)(void *, const reader_standing *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc =
        sql_query(&self->c, R_BRANCH_LATEST, SQL_ARGS(sql_u(project), sql_t(branch)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        reader_standing r = {.builder = sql_col_text(&cur, 0),
                             .top = sql_col_text(&cur, 1),
                             .build = sql_col_u(&cur, 2),
                             .result = sql_col_result(&cur, 3),
                             .finished = sql_col_i(&cur, 4)};
        if (pw_result_red(r.result) && sql_col_u(&cur, 5) &&
            pw_result_red(sql_col_result(&cur, 7))) {
            r.since = sql_col_u(&cur, 5);
            r.since_at = sql_col_i(&cur, 6);
        }
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

static int briefs(sql_cur *cur, int rc, int (*cb)(void *, const reader_brief *), void *cb_self,
                  pw_err *err)
{
    while (rc == 0 && (rc = sql_next(cur, err)) > 0) {
        reader_brief r = {.id = sql_col_u(cur, 0),
                          .builder = sql_col_text(cur, 1),
                          .top = sql_col_text(cur, 2),
                          .state = (build_state)sql_col_i(cur, 3),
                          .result = sql_col_result(cur, 4),
                          .started = sql_col_i(cur, 5),
                          .finished = sql_col_i(cur, 6)};
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

int reader_branch_builds(reader *self, uint64_t project, const char *branch, size_t revisions,
                         int (*cb)(void *, const reader_brief *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_BRANCH_BUILDS,
                       SQL_ARGS(sql_u(project), sql_t(branch), reader_limit(revisions)), &cur, err);

    return briefs(&cur, rc, cb, cb_self, err);
}

int reader_stamp_builds(reader *self, uint64_t stamp, int (*cb)(void *, const reader_brief *),
                        void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, R_STAMP_BUILDS, SQL_ARGS(sql_u(stamp)), &cur, err);

    return briefs(&cur, rc, cb, cb_self, err);
}

int reader_edge_one(reader *self, const char *edge,
                    int (*cb)(void *, const char *edge, edge_state state, const store_rev *rev,
                              const char *reason, pw_msec at),
                    void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_rev rev;
    int rc = sql_query(&self->c, R_EDGE_ONE, SQL_ARGS(sql_t(edge)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "nothing is known of edge \"%.200s\"", edge);
    if (rc < 0)
        return rc;
    sql_col_rev(&cur, 2, &rev);
    return sql_row(cb(cb_self, sql_col_text(&cur, 0), (edge_state)sql_col_i(&cur, 1), &rev,
                      sql_col_t(&cur, 3), sql_col_i(&cur, 4)));
}

int reader_behind(reader *self, uint64_t project, const char *branch, const store_rev *rev,
                  uint64_t max, uint64_t *ret, pw_err *err)
{
    int64_t stamp = 0, n = 0;
    int rc = sql_number(&self->c, R_STAMP_ID, SQL_ARGS(sql_u(project), sql_t(branch), sql_rev(rev)),
                        &stamp, err);

    if (rc == 0)
        rc = sql_number(&self->c, R_BEHIND,
                        SQL_ARGS(sql_u(project), sql_t(branch), sql_i(stamp), sql_u(max)), &n, err);
    if (rc == 0)
        *ret = (uint64_t)n;
    return rc;
}

/* ---- what a build is about */
typedef struct place {
    uint64_t builder, stamp, project;
    char *branch; /* owned */
} place;

static void place_clear(place *p)
{
    free(p->branch);
}

static int place_of(reader *self, uint64_t build, place *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    bool failed = false;
    int rc = sql_query(&self->c, R_BUILD_PLACE, SQL_ARGS(sql_u(build)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no build %llu", (unsigned long long)build);
    if (rc < 0)
        return rc;
    *ret = (place){.builder = sql_col_u(&cur, 0),
                   .stamp = sql_col_u(&cur, 1),
                   .project = sql_col_u(&cur, 2),
                   .branch = pw_strdup(sql_col_text(&cur, 3), &failed)};
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int reader_green_before(reader *self, uint64_t build, uint64_t *ret, pw_err *err)
{
    PW_AUTO(place_clear) place p = {0};
    int64_t id = 0;
    int rc = place_of(self, build, &p, err);

    if (rc == 0)
        rc = sql_number(&self->c, R_GREEN_BEFORE,
                        SQL_ARGS(sql_u(p.project), sql_t(p.branch), sql_u(p.builder),
                                 sql_u(p.stamp), sql_u(build), sql_i(GREEN_REVISIONS)),
                        &id, err);
    else
        return rc;
    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    *ret = rc < 0 ? 0 : (uint64_t)id;
    return 0;
}

/* Newest change of the branch that is not behind this stamp; 0: none. */
static int change_upto(reader *self, const place *p, uint64_t stamp, int64_t *ret, pw_err *err)
{
    int rc = sql_number(&self->c, R_CHANGE_UPTO,
                        SQL_ARGS(sql_u(p->project), sql_t(p->branch), sql_u(stamp)), ret, err);

    if (rc == PW_ENOTFOUND)
        *ret = rc = 0;
    return rc;
}

int reader_build_changes(reader *self, uint64_t build, uint64_t green, size_t limit,
                         int (*cb)(void *, const reader_change *), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    PW_AUTO(place_clear) place p = {0};
    PW_AUTO(place_clear) place g = {0};
    int64_t from = 0, to = 0;
    int rc = place_of(self, build, &p, err);

    if (rc == 0 && green && (rc = place_of(self, green, &g, err)) == 0)
        rc = change_upto(self, &p, g.stamp, &from, err);
    if (rc == 0)
        rc = change_upto(self, &p, p.stamp, &to, err);
    if (rc == 0)
        rc = sql_query(&self->c, R_CHANGES_RANGE,
                       SQL_ARGS(sql_u(p.project), sql_t(p.branch), sql_i(from), sql_i(to),
                                reader_limit(limit), sql_i(RANGE_CHANGES)),
                       &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        reader_change r;
        reader_change_row(&cur, &r);
        rc = sql_row(cb(cb_self, &r));
    }
    return rc;
}

/* ---- what something usually takes */
static int by_size(const void *a, const void *b)
{
    pw_msec x = *(const pw_msec *)a, y = *(const pw_msec *)b;
    return (x > y) - (x < y);
}

int reader_usual(reader *self, uint64_t build, pw_msec *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    PW_AUTO(place_clear) place p = {0};
    pw_msec ms[USUAL_ROWS];
    size_t n = 0;
    int rc = place_of(self, build, &p, err);

    if (rc == 0)
        rc = sql_query(&self->c, R_USUAL, SQL_ARGS(sql_u(p.builder), sql_u(build)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        if (n < USUAL_ROWS)
            ms[n++] = sql_col_i(&cur, 0);
        rc = 0;
    }
    if (rc < 0)
        return rc;
    qsort(ms, n, sizeof(*ms), by_size);
    *ret = n ? ms[n / 2] : -1;
    return 0;
}

int reader_usual_steps(reader *self, uint64_t build,
                       int (*cb)(void *, const char *step, pw_msec ms), void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    PW_AUTO(place_clear) place p = {0};
    PW_AUTO(pw_freep) char *step = NULL;
    pw_msec ms[USUAL_ROWS];
    size_t n = 0;
    int rc = place_of(self, build, &p, err);

    if (rc == 0)
        rc =
            sql_query(&self->c, R_USUAL_STEPS, SQL_ARGS(sql_u(p.builder), sql_u(build)), &cur, err);
    while (rc == 0) { /* rows come by step and time */
        rc = sql_next(&cur, err);
        const char *name = rc > 0 ? sql_col_text(&cur, 0) : NULL;
        bool other = step && (!name || strcmp(step, name) != 0);
        if (rc < 0)
            break;
        bool end = rc == 0;
        rc = other ? sql_row(cb(cb_self, step, ms[n / 2])) : 0;
        if (end || rc < 0)
            break;
        if (other || !step) {
            bool failed = false;
            free(step);
            step = pw_strdup(name, &failed);
            n = 0;
            rc = failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
        }
        if (n < USUAL_ROWS)
            ms[n++] = sql_col_i(&cur, 1);
    }
    return rc;
}

/* ---- revisions */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int reader_commits(reader *self, const char *prefix, size_t limit,
                   int (*cb)(void *, const char *project, const char *branch, const store_rev *rev,
                             const char *subject),
                   void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    store_rev low = {0}, high = {.n = STORE_REV_MAX};
    size_t n = strlen(prefix);
    if (n < 4 || n > (size_t)2 * STORE_REV_MAX)
        return pw_fail(err, PW_EINVAL, "a revision is looked for by 4 to %d digits",
                       2 * STORE_REV_MAX);
    memset(high.id, 0xff, sizeof(high.id));
    for (size_t i = 0; i < n; i++) {
        int v = hex_digit(prefix[i]);
        if (v < 0)
            return pw_fail(err, PW_EINVAL, "\"%.80s\" is not hexadecimal", prefix);
        unsigned shift = i % 2 ? 0 : 4;
        low.id[i / 2] = (uint8_t)(low.id[i / 2] | (unsigned)v << shift);
        high.id[i / 2] = (uint8_t)((high.id[i / 2] & ~(0xfu << shift)) | (unsigned)v << shift);
        low.n = (uint8_t)(i / 2 + 1);
    }
    int rc = sql_query(&self->c, R_COMMITS,
                       SQL_ARGS(sql_rev(&low), sql_rev(&high), reader_limit(limit)), &cur, err);
    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_rev rev;
        sql_col_rev(&cur, 2, &rev);
        rc = sql_row(
            cb(cb_self, sql_col_text(&cur, 0), sql_col_text(&cur, 1), &rev, sql_col_t(&cur, 3)));
    }
    return rc;
}
