/* What a decision of dispatch costs while many requests wait: two builders on one worker with one
 * slot, N requests in line. Times of the calls, with the rows that they write, without the commit.
 *     dispatch [N..]      default 100 400 10000 100000 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/core/fixture.h"
#include "master/core/parts.h"

enum { ROUNDS = 2000, BATCH = 500 };
static const char conf[] =
    "locks: [{name: db}]\n"
    "projects: [{name: p, repository: /r}]\n"
    "builders:\n"
    "  - {name: fast, project: p, collapse: false, requires: {os: linux}, steps: [{run: a}]}\n"
    "  - {name: slow, project: p, collapse: false, locks: [db], steps: [{run: a}]}\n"
    "schedulers: [{name: h, kind: force, project: p}]\n";

typedef struct times {
    double us[ROUNDS];
    size_t n;
} times;

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, times *t)
{
    qsort(t->us, t->n, sizeof(t->us[0]), by_size);
    printf("  %-9s p50 %7.1f us   p99 %7.1f us   max %7.1f us\n", what, t->us[t->n / 2],
           t->us[t->n * 99 / 100], t->us[t->n - 1]);
}

static void ask_for(world *w, size_t i)
{
    command(w, CMD_FORCE,
            (say){.builder = i % 2 ? "slow" : "fast", .branch = "master", .reason = "r"});
}

/* Its end has come; nothing is dispatched yet. */
static bool end_running(world *w)
{
    size_t pos = 0;
    core_attempt *a = pw_table_next(w->core->attempts, &pos);
    rec_end r = {.result = PW_SUCCESS, .wall_ms = 5};
    if (!a)
        return false;
    core_att_started(w->core, a);
    a->end_at = 200;
    core_att_ended(w->core, a, &r);
    core_att_offsets(w->core, a, 200, 2, 200, 2);
    return true;
}

static bool measure(size_t waiting)
{
    static times decision, arrival, why, branch;
    PW_AUTO(world_freep) world *w = world_new(conf);
    decision.n = arrival.n = why.n = branch.n = 0;
    if (!w)
        return false;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    for (size_t i = 0; i <= waiting; i++) {
        ask_for(w, i);
        if (i % BATCH == 0 && world_go(w) < 0)
            return false;
    }
    (void)world_go(w);
    for (size_t i = 0; i < ROUNDS && w->core; i++) {
        world_forget(w);
        double t0 = now_us();
        ask_for(w, i);
        double t1 = now_us();
        (void)world_go(w);
        uint64_t newest = told(w, "requests");
        if (!newest || !end_running(w))
            return false;
        double t2 = now_us();
        w->core->dispatch = false;
        core_dispatch(w->core);
        double t3 = now_us();
        (void)world_go(w);
        double t4 = now_us();
        command(w, CMD_WHY, (say){.id = newest});
        double t5 = now_us();
        (void)core_branch_waits(w->core, 0, "master");
        core_branch_end(w->core, 0, "gone");
        double t6 = now_us();
        (void)world_go(w);
        branch.us[branch.n++] = t6 - t5;
        arrival.us[arrival.n++] = t1 - t0;
        decision.us[decision.n++] = t3 - t2;
        why.us[why.n++] = t5 - t4;
    }
    printf("%zu waiting requests\n", (size_t)figures(w).waiting);
    print("decision", &decision);
    print("arrival", &arrival);
    print("why", &why);
    print("branch", &branch);
    return true;
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"100", "400", "10000", "100000"};
    pw_err err = {0};
    if (crypt_init(&err) < 0)
        return 1;
    for (int i = 0; i < (argc > 1 ? argc - 1 : 4); i++)
        if (!measure(strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10)))
            return 1;
    return 0;
}
