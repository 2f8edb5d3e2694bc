/* Readers: every filter against a plain search through the same builds, paging, a writer beside
 * them. */
#include "master/store/reader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "master/store/fixture.h"
#include "tests/tap.h"

enum { BUILDS = 2500, BUILDERS = 6, BRANCHES = 4 };

/* Build i has id 2 * i + 2. Few builds are on branch "rare", the oldest ones. */
struct plan {
    size_t builder, branch;
    pw_result result;
    bool done;
    uint8_t rev;
    uint64_t worker;
    pw_msec created;
};
struct world {
    fixture f;
    store *s;
    reader *r;
    uint64_t projects[2], builders[BUILDERS], workers[2];
    struct plan plan[BUILDS];
};
static const char *const project_names[] = {"web", "app"};
static const char *const builder_names[BUILDERS] = {"linux", "mac", "lint", "linux", "arm", "docs"};
static const char *const branch_names[BRANCHES] = {"main", "stable", "topic", "rare"};

static size_t project_of(size_t builder)
{
    return builder < 3 ? 0 : 1;
}

static void fill(struct world *w)
{
    uint64_t stamps[2][BRANCHES][64] = {0};
    int rc = store_begin(w->s, NULL);

    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = store_project_id(w->s, project_names[i], &w->projects[i], NULL);
    for (size_t i = 0; i < BUILDERS && rc == 0; i++)
        rc = store_builder_id(w->s, w->projects[project_of(i)], builder_names[i], &w->builders[i],
                              NULL);
    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = store_worker_add(w->s, i ? "w2" : "w1", 1, &w->workers[i], NULL);
    for (size_t i = 0; i < BUILDS && rc == 0; i++) {
        size_t builder = i * 7 % BUILDERS, n = i * 2654435761u >> 7;
        size_t branch = i % 211 == 5 && i < 800 ? 3 : n % 10 == 0 ? 1 : n % 17 == 0 ? 2 : 0;
        struct plan p = {.builder = builder,
                         .branch = branch,
                         .result = n % 13 == 0   ? PW_FAILURE
                                   : n % 97 == 0 ? PW_EXCEPTION
                                                 : PW_SUCCESS,
                         .done = i < BUILDS - 20 || i % 2 == 0,
                         .rev = (uint8_t)(i / 100 + 1),
                         .worker = w->workers[n % 2],
                         .created = 10000 + (pw_msec)i * 3600};
        uint64_t *stamp = &stamps[project_of(builder)][branch][p.rev];
        store_rev rev = fixture_rev(p.rev);
        uint64_t id = 2 * i + 2;
        w->plan[i] = p;
        if (!*stamp)
            rc = store_stamp_id(w->s, w->projects[project_of(builder)], branch_names[branch], &rev,
                                stamp, NULL);
        if (rc == 0)
            rc = fixture_build(w->s, id, w->builders[builder], *stamp, p.created);
        if (rc == 0)
            rc = store_build_dispatch(w->s, id, p.worker, id, 1, NULL);
        if (rc == 0 && p.done)
            rc = store_build_finish(w->s, id, p.result, NULL, p.created + 9, w->builders[builder],
                                    branch_names[branch], *stamp, NULL);
        if (rc == 0 && p.done)
            rc = store_request_done(w->s, id - 1, 0, NULL);
    }
    ok(rc == 0 && store_commit(w->s, NULL) == 0, "%d builds", BUILDS);
}

/* ---- builds */
struct list {
    size_t count;
    uint64_t ids[BUILDS];
    bool wrong; /* a name that is not the plan's */
    struct world *w;
};

static int on_build(void *self, const reader_build *b)
{
    struct list *l = self;
    const struct plan *p = &l->w->plan[(b->b.id - 2) / 2];

    if (strcmp(b->project, project_names[project_of(p->builder)]) != 0 ||
        strcmp(b->builder, builder_names[p->builder]) != 0 ||
        strcmp(b->branch, branch_names[p->branch]) != 0 || b->rev.n != 20 ||
        b->rev.id[3] != p->rev || b->buildset != b->b.id || strcmp(b->who, "ann") != 0 ||
        strcmp(b->why, "a push") != 0 || b->b.created != p->created || b->b.worker != p->worker ||
        strcmp(b->worker, p->worker == l->w->workers[0] ? "w1" : "w2") != 0 ||
        (b->b.state == BUILD_DONE) != p->done ||
        b->b.result != (p->done ? p->result : PW_NO_RESULT))
        l->wrong = true;
    l->ids[l->count++] = b->b.id;
    return 0;
}

static bool builder_is(const struct plan *p, const char *want)
{
    char full[64];

    (void)snprintf(full, sizeof(full), "%s/%s", project_names[project_of(p->builder)],
                   builder_names[p->builder]);
    return strcmp(want, full) == 0 || strcmp(want, builder_names[p->builder]) == 0;
}

static bool wanted(const struct world *w, const struct plan *p, uint64_t id,
                   const reader_build_filter *f)
{
    int state = p->done ? BUILD_DONE : BUILD_DISPATCHED;

    return (!f->project || strcmp(f->project, project_names[project_of(p->builder)]) == 0) &&
           (!f->builder || builder_is(p, f->builder)) &&
           (!f->branch || strcmp(f->branch, branch_names[p->branch]) == 0) &&
           (!f->worker || p->worker == w->workers[strcmp(f->worker, "w1") != 0]) &&
           (!f->rev || f->rev->id[0] == p->rev) &&
           (f->result < 0 || (p->done && f->result == (int)p->result)) &&
           (f->state < 0 || f->state == state) && p->created >= f->since &&
           (!f->before || id < f->before);
}

static bool same(struct world *w, const reader_build_filter *f)
{
    static struct list got, want; /* too large for the stack */
    pw_err err = {0};
    int rc;

    got = (struct list){.w = w};
    want = (struct list){.w = w};
    for (size_t i = BUILDS; i-- > 0 && want.count < f->limit;)
        if (wanted(w, &w->plan[i], 2 * i + 2, f))
            want.ids[want.count++] = 2 * i + 2;
    rc = reader_builds(w->r, f, on_build, &got, &err);
    if (rc == 0 && !got.wrong && got.count == want.count &&
        memcmp(got.ids, want.ids, want.count * sizeof(want.ids[0])) == 0)
        return true;
    printf("# %d %s: %zu rows, %zu wanted%s; project %s builder %s branch %s worker %s state %d "
           "result %d since %d before %d limit %zu\n",
           rc, err.text, got.count, want.count, got.wrong ? ", wrong names" : "",
           f->project ? f->project : "-", f->builder ? f->builder : "-",
           f->branch ? f->branch : "-", f->worker ? f->worker : "-", f->state, f->result,
           (int)f->since, (int)f->before, f->limit);
    return false;
}

/* All combinations of some values of each filter. */
static void test_filters(struct world *w)
{
    static const char *const projects[] = {NULL, "web", "app", "none"};
    static const char *const builders[] = {NULL, "mac", "linux", "app/linux", "none"};
    static const char *const branches[] = {NULL, "main", "rare", "none"};
    static const int states[] = {-1, BUILD_DONE, BUILD_DISPATCHED};
    static const int results[] = {-1, PW_SUCCESS, PW_FAILURE, PW_EXCEPTION};
    store_rev rev = fixture_rev(14);
    size_t good = 0, all = 0;

    for (size_t i = 0; i < 4 * 5 * 4 * 3 * 4 * 2; i++) {
        reader_build_filter f = {.project = projects[i % 4],
                                 .builder = builders[i / 4 % 5],
                                 .branch = branches[i / 20 % 4],
                                 .state = states[i / 80 % 3],
                                 .result = results[i / 240 % 4],
                                 .worker = i % 7 == 0 ? "w2" : NULL,
                                 .rev = i / 960 ? &rev : NULL,
                                 .since = i % 11 == 0 ? 10000 + 3600 * 1300 : 0,
                                 .before = i % 5 == 0 ? 3777 : 0,
                                 .limit = i % 3 == 0 ? 5 : 50};
        all++;
        good += same(w, &f);
    }
    ok(good == all, "%zu filters give what a plain search gives", all);
    ok(same(w, &(reader_build_filter){.state = -1, .result = -1, .limit = 5000}), "all builds");
    ok(same(w, &(reader_build_filter){.state = -1, .result = -1, .limit = 5000, .branch = "topic"}),
       "a branch beyond what is recent");
    ok(same(w, &(reader_build_filter){.state = -1, .result = -1, .worker = "none", .limit = 5}) ==
           false,
       "the search knows no worker \"none\"");
    ok(same(w, &(reader_build_filter){.state = -1, .result = -1, .limit = 0}),
       "a limit of nothing");
    for (pw_msec since = 1; since < 20000000; since = since * 3 + 1)
        ok(same(w,
                &(reader_build_filter){.state = -1, .result = -1, .limit = 5000, .since = since}),
           "since %d", (int)since);
}

static void test_pages(struct world *w)
{
    static struct list l;
    size_t n = 0;
    uint64_t before = 0;
    bool order = true;

    l = (struct list){.w = w};
    do {
        size_t start = l.count;
        reader_build_filter f = {
            .state = -1, .result = PW_FAILURE, .branch = "main", .before = before, .limit = 7};
        if (reader_builds(w->r, &f, on_build, &l, NULL) < 0 || l.count == start)
            break;
        before = l.ids[l.count - 1];
        n++;
    } while (n < BUILDS);
    for (size_t i = 1; i < l.count; i++)
        order = order && l.ids[i] < l.ids[i - 1];
    n = 0;
    for (size_t i = 0; i < BUILDS; i++)
        n += w->plan[i].done && w->plan[i].result == PW_FAILURE && w->plan[i].branch == 0;
    ok(l.count == n && n > 100 && order, "page by page gives all %zu in order", n);
}

/* ---- a callback may ask again */
static int ask_inside(void *self, const reader_build *b)
{
    struct list *l = self, *inner;
    int rc;

    inner = calloc(1, sizeof(*inner));
    if (!inner)
        return PW_ENOMEM;
    inner->w = l->w;
    rc = reader_builds(
        l->w->r, &(reader_build_filter){.state = -1, .result = -1, .limit = 3, .before = b->b.id},
        on_build, inner, NULL);
    if (rc < 0 || inner->count != 3 || inner->wrong || inner->ids[0] != b->b.id - 2)
        l->wrong = true;
    free(inner);
    return on_build(l, b);
}

static int stop(void *self, const reader_build *b)
{
    (void)b;
    ++*(int *)self;
    return PW_EDENIED;
}

static void test_callbacks(struct world *w)
{
    static struct list l;
    reader_build_filter f = {.state = -1, .result = -1, .limit = 10};
    int n = 0;

    l = (struct list){.w = w};
    ok(reader_builds(w->r, &f, ask_inside, &l, NULL) == 0 && l.count == 10 && !l.wrong,
       "walks nest");
    ok(reader_builds(w->r, &f, stop, &n, NULL) == PW_EDENIED && n == 1, "a callback ends the walk");
    l = (struct list){.w = w};
    ok(reader_build_one(w->r, 4, on_build, &l, NULL) == 0 && l.count == 1 && l.ids[0] == 4 &&
           !l.wrong,
       "one build");
    ok(reader_build_one(w->r, 5, on_build, &l, NULL) == PW_ENOTFOUND, "there is no build 5");
}

/* ---- a writer beside */
struct race {
    fixture *f;
    store *s;
    uint64_t builder, stamp;
    atomic_bool stop;
    int failed, commits;
};

/* Each turn adds two builds at once. */
static void *writer(void *arg)
{
    struct race *race = arg;
    uint64_t id = 100002;

    while (!atomic_load(&race->stop) && race->failed == 0 && race->commits < 2000) {
        int rc = store_begin(race->s, NULL);
        for (int i = 0; i < 2 && rc == 0; i++, id += 2)
            rc = fixture_done(race->s, id, race->builder, race->stamp, "race", PW_SUCCESS, 5);
        race->failed = rc < 0 ? rc : store_commit(race->s, NULL);
        race->commits += race->failed == 0;
    }
    return NULL;
}

struct pair {
    size_t count;
    uint64_t ids[2];
};
static int on_pair(void *self, const reader_build *b)
{
    struct pair *p = self;
    if (p->count < 2 && b->b.state == BUILD_DONE)
        p->ids[p->count++] = b->b.id;
    return 0;
}

static void test_race(struct world *w)
{
    struct race race = {.f = &w->f, .s = w->s, .builder = w->builders[0]};
    store_rev rev = fixture_rev(200);
    pthread_t thread;
    bool whole = true;
    uint64_t last = 0, moves = 0;
    int rc = 0;

    if (store_begin(w->s, NULL) < 0 ||
        store_stamp_id(w->s, w->projects[0], "race", &rev, &race.stamp, NULL) < 0 ||
        store_commit(w->s, NULL) < 0 || pthread_create(&thread, NULL, writer, &race) != 0)
        return;
    for (int i = 0; rc == 0 && i < 20000 && moves < 30; i++) {
        struct pair p = {0};
        rc = reader_builds(w->r, &(reader_build_filter){.state = -1, .result = -1, .limit = 2},
                           on_pair, &p, NULL);
        if (p.count == 2 && p.ids[0] > 100000) {
            whole = whole && p.ids[0] == p.ids[1] + 2 && p.ids[0] % 4 == 0 && p.ids[0] >= last;
            moves += p.ids[0] > last;
            last = p.ids[0];
        }
    }
    atomic_store(&race.stop, true);
    (void)pthread_join(thread, NULL);
    ok(race.failed == 0 && race.commits > 0, "the writer is not disturbed (%d turns)",
       race.commits);
    ok(rc == 0 && whole && moves > 1, "the reader sees whole turns only (%d of them)", (int)moves);
}

int main(void)
{
    PW_AUTO(pw_freep) struct world *w = calloc(1, sizeof(*w));

    if (!w)
        return 1;
    fixture_init(&w->f);
    w->s = store_open(w->f.path, &w->f.host, NULL);
    if (w->s)
        fill(w);
    w->r = reader_open(w->f.path, NULL);
    ok(w->r != NULL, "a reader");
    if (w->r) {
        test_filters(w);
        test_pages(w);
        test_callbacks(w);
        test_race(w);
    }
    (void)reader_close(w->r);
    (void)store_close(w->s);
    fixture_clear(&w->f);
    return tap_done();
}
