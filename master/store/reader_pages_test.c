/* What pages show at a glance. */
#include "master/store/reader_pages.h"

#include <stdio.h>

#include "master/store/fixture.h"
#include "master/store/graph.h"
#include "shared/base/buf.h"
#include "tests/tap.h"

struct world {
    fixture f;
    store *s;
    reader *r;
    uint64_t project, fast, part, stamps[6];
};

static pw_buf out = PW_BUF(4096);
static bool said(const char *want)
{
    bool same = strcmp(pw_buf_str(&out), want) == 0;

    if (!same)
        printf("# got  %s\n# want %s\n", pw_buf_str(&out), want);
    pw_buf_reset(&out);
    return same;
}

static int on_branch(void *self, const char *branch, const store_rev *rev)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %d;", branch, rev->id[0]);
    return 0;
}
static int on_standing(void *self, const reader_standing *r)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s (%s) %d %d since %d at %d;", r->builder, r->top, (int)r->build,
                      (int)r->result, (int)r->since, (int)r->since_at);
    return 0;
}
static int on_brief(void *self, const reader_brief *r)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s %d %d;", (int)r->id, r->builder, (int)r->state, (int)r->result);
    return 0;
}
static int on_change(void *self, const reader_change *c)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s;", (int)c->c.id, c->branch);
    return 0;
}
static int on_edge(void *self, const char *edge, edge_state state, const store_rev *rev,
                   const char *reason, pw_msec at)
{
    (void)self;
    (void)rev;
    (void)pw_buf_addf(&out, "%s %d %s %d;", edge, (int)state, reason ? reason : "-", (int)at);
    return 0;
}
static int on_step(void *self, const char *step, pw_msec ms)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %d;", step, (int)ms);
    return 0;
}
static int on_commit(void *self, const char *project, const char *branch, const store_rev *rev,
                     const char *subject)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %s %d %s;", project, branch, rev->id[0], subject ? subject : "-");
    return 0;
}

/* Builds 2 and 4 are green, 6 and 8 red, 10 is not over; 12 is of another branch. Each took twice
 * its number of milliseconds. */
static void step(struct world *w, uint64_t attempt, uint64_t idx, const char *name, pw_msec ms)
{
    store_step s = {.attempt = attempt,
                    .idx = idx,
                    .name = (char *)(uintptr_t)name,
                    .state = STEP_DONE,
                    .result = PW_SUCCESS,
                    .started = 1000,
                    .finished = 1000 + ms};
    (void)store_step_end(w->s, &s, NULL);
}

static bool fill(struct world *w)
{
    static const pw_result result[] = {PW_SUCCESS, PW_SUCCESS, PW_FAILURE, PW_FAILURE};
    store_rev rev;
    store *s = w->s;
    bool fine = store_begin(s, NULL) == 0 && store_project_id(s, "p", &w->project, NULL) == 0 &&
                store_builder_id(s, w->project, "fast", &w->fast, NULL) == 0 &&
                store_builder_part(s, w->project, w->fast, "fast (cc: gcc)", &w->part, NULL) == 0;
    for (uint64_t i = 0; fine && i < 6; i++) {
        const char *branch = i == 5 ? "side" : "master";
        store_change c = {.id = i + 1, .at = 500 + (pw_msec)i, .tip = true};
        rev = fixture_rev((uint8_t)(0xa0 + i));
        fine = store_stamp_id(s, w->project, branch, &rev, &w->stamps[i], NULL) == 0;
        c.stamp = w->stamps[i];
        c.subject = (char *)(uintptr_t) "mend it";
        fine = fine && store_change_add(s, &c, NULL) == 0;
    }
    for (uint64_t i = 0; fine && i < 4; i++) {
        uint64_t id = 2 * i + 2;
        fine = fixture_done(s, id, w->fast, w->stamps[i], "master", result[i],
                            1000 * (pw_msec)id) == 0 &&
               store_decided_put(s, w->fast, "master", id, result[i], NULL) == 0;
        step(w, id, 0, "make", (pw_msec)(10 * id));
        step(w, id, 1, "test", (pw_msec)(100 * id));
    }
    fine = fine && fixture_build(s, 10, w->part, w->stamps[4], 10000) == 0 &&
           fixture_done(s, 12, w->fast, w->stamps[5], "side", PW_SUCCESS, 12000) == 0;
    rev = fixture_rev(0xa4);
    fine = fine && store_tip_put(s, w->project, "refs/heads/master", &rev, NULL) == 0 &&
           store_tip_put(s, w->project, "refs/heads/side", &rev, NULL) == 0 &&
           store_tip_put(s, w->project, "refs/tags/v1", &rev, NULL) == 0 &&
           store_tip_put(s, w->project, "refs/heads/0", &rev, NULL) == 0 &&
           store_edge_put(s, "stable", EDGE_WAITING, &rev, "fast is red", 77, NULL) == 0;
    return store_commit(s, NULL) == 0 && fine;
}

static void test_branches(struct world *w)
{
    store_rev rev = fixture_rev(0xa1);
    pw_msec at = 0;
    uint64_t n = 0, id = 0;
    ok(reader_project_named(w->r, "p", &id, NULL) == 0 && id == w->project, "a project");
    ok(reader_project_named(w->r, "x", &id, NULL) == PW_ENOTFOUND, "no such project");
    ok(reader_branches(w->r, w->project, "", on_branch, NULL, NULL) == 0 &&
           said("0 164;master 164;side 164;"),
       "branches by name, no tags");
    ok(reader_branches(w->r, w->project, "master", on_branch, NULL, NULL) == 0 && said("side 164;"),
       "those behind one");
    ok(reader_tip(w->r, w->project, "master", &rev, &at, NULL) == 0 && rev.id[0] == 0xa4 &&
           at == 504,
       "where it stands");
    ok(reader_tip(w->r, w->project, "none", &rev, &at, NULL) == PW_ENOTFOUND, "no such branch");
    ok(reader_branch_latest(w->r, w->project, "master", on_standing, NULL, NULL) == 0 &&
           said("fast (fast) 8 2 since 6 at 6002;"),
       "red, since which build");
    ok(reader_branch_latest(w->r, w->project, "side", on_standing, NULL, NULL) == 0 &&
           said("fast (fast) 12 0 since 0 at 0;"),
       "green");
    ok(reader_branch_builds(w->r, w->project, "master", 3, on_brief, NULL, NULL) == 0 &&
           said("10 fast (cc: gcc) 0 -1;8 fast 4 2;6 fast 4 2;"),
       "builds of the newest revisions");
    ok(reader_stamp_builds(w->r, w->stamps[1], on_brief, NULL, NULL) == 0 && said("4 fast 4 0;"),
       "builds of one");
    ok(reader_edge_one(w->r, "stable", on_edge, NULL, NULL) == 0 &&
           said("stable 1 fast is red 77;"),
       "an edge");
    ok(reader_edge_one(w->r, "feed", on_edge, NULL, NULL) == PW_ENOTFOUND, "no such edge");
    rev = fixture_rev(0xa1);
    ok(reader_behind(w->r, w->project, "master", &rev, 100, &n, NULL) == 0 && n == 3, "behind");
    ok(reader_behind(w->r, w->project, "master", &rev, 2, &n, NULL) == 0 && n == 2, "bounded");
    rev = fixture_rev(0xee);
    ok(reader_behind(w->r, w->project, "master", &rev, 9, &n, NULL) == PW_ENOTFOUND, "a stranger");
}

static void test_build(struct world *w)
{
    uint64_t green = 1;
    pw_msec ms = 0;
    ok(reader_green_before(w->r, 8, &green, NULL) == 0 && green == 4, "last green one before it");
    ok(reader_build_changes(w->r, 8, green, 50, on_change, NULL, NULL) == 0 &&
           said("4 master;3 master;"),
       "what changed since");
    ok(reader_build_changes(w->r, 8, green, 1, on_change, NULL, NULL) == 0 && said("4 master;"),
       "bounded");
    ok(reader_green_before(w->r, 2, &green, NULL) == 0 && green == 0, "none before the first");
    ok(reader_build_changes(w->r, 4, 0, 50, on_change, NULL, NULL) == 0 &&
           said("2 master;1 master;"),
       "all, when nothing was green");
    ok(reader_green_before(w->r, 999, &green, NULL) == PW_ENOTFOUND, "no such build");
    ok(reader_usual(w->r, 8, &ms, NULL) == 0 && ms == 1, "a build usually takes");
    ok(reader_usual(w->r, 2, &ms, NULL) == 0 && ms == -1, "nothing is known of the first");
    ok(reader_usual_steps(w->r, 8, on_step, NULL, NULL) == 0 && said("make 40;test 400;"),
       "its steps");
    ok(reader_usual_steps(w->r, 2, on_step, NULL, NULL) == 0 && said(""), "nor of its steps");
}

static void test_commits(struct world *w)
{
    ok(reader_commits(w->r, "a1a1", 9, on_commit, NULL, NULL) == 0 && said("p master 161 mend it;"),
       "four digits");
    ok(reader_commits(w->r, "A1A1A", 9, on_commit, NULL, NULL) == 0 &&
           said("p master 161 mend it;"),
       "half a byte more, in capitals");
    ok(reader_commits(w->r, "a1a1b", 9, on_commit, NULL, NULL) == 0 && said(""), "another digit");
    ok(reader_commits(w->r, "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1", 9, on_commit, NULL, NULL) ==
               0 &&
           said("p master 161 mend it;"),
       "all of it");
    ok(reader_commits(w->r, "a1a", 9, on_commit, NULL, NULL) == PW_EINVAL, "three digits");
    ok(reader_commits(w->r, "a1ax", 9, on_commit, NULL, NULL) == PW_EINVAL, "no digits");
}

int main(void)
{
    struct world w = {0};
    fixture_init(&w.f);
    w.s = store_open(w.f.path, &w.f.host, NULL);
    ok(w.s && fill(&w), "a world");
    w.r = reader_open(w.f.path, NULL);
    ok(w.r != NULL, "a reader");
    if (w.r) {
        test_branches(&w);
        test_build(&w);
        test_commits(&w);
    }
    w.r = reader_close(w.r);
    w.s = store_close(w.s);
    fixture_clear(&w.f);
    pw_buf_clear(&out);
    return tap_done();
}
