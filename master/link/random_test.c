/* Random interleavings of everything that may happen between a worker and the master: growing
 * journals, pieces, repetitions, gaps, late syncs, dropped sessions, failed commits, masters killed
 * between any two messages. Whatever the order, in the end each result is counted once, each step
 * is there once, and each log has the bytes that were printed. The seed of a failure is printed;
 * one seed can be given as the argument. */
#include "master/link/fixture.h"
#include "master/store/reader.h"

#include "tests/tap.h"

enum { SEEDS = 25, ACTIONS = 150, JOBS = 3, STEPS = 2, OUTPUT_MAX = 15000 };

static const char conf[] =
    "projects: [{name: p, repository: /r.git}]\n"
    "builders: [{name: unit, project: p, steps: [{name: make, run: x}, {name: test, run: y}]}]\n";

typedef struct model { /* what a job printed, and how it ended */
    char text[STEPS][OUTPUT_MAX];
    size_t len[STEPS];
    pw_result result;
    uint64_t attempt;
} model;

typedef struct game {
    uint64_t x;
    net *n;
    agent a;
    model m[JOBS];
    /* records of jobs[i] that the master may have; where the next piece begins */
    size_t sent[JOBS];
    uint64_t attempt[JOBS];
    size_t taken;
    const char *broken; /* what must never be true, not even for a moment */
} game;

static uint64_t pick(game *g, uint64_t n)
{
    g->x ^= g->x << 13;
    g->x ^= g->x >> 7;
    g->x ^= g->x << 17;
    return (g->x >> 11) % n;
}

static void print_some(game *g, journal *j, model *m, unsigned step)
{
    char text[200];
    size_t n = 1 + pick(g, sizeof(text) - 1);
    for (size_t i = 0; i < n; i++)
        text[i] = pick(g, 12) == 0 ? '\n' : (char)('a' + pick(g, 26));
    text[n - 1] = '\n';
    if (m->len[step] + n >= OUTPUT_MAX)
        return;
    memcpy(m->text[step] + m->len[step], text, n);
    m->len[step] += n;
    put_log(j, step, text, n, 0);
}

/* The whole journal that the job will have written in the end. */
static void make_journal(game *g, journal *j, model *m)
{
    static const pw_result results[] = {PW_SUCCESS, PW_FAILURE, PW_WARNINGS};
    put_start(j);
    for (unsigned s = 0; s < STEPS; s++) {
        put_step_start(j, s);
        for (uint64_t k = pick(g, 12); k > 0; k--) {
            if (pick(g, 6) == 0)
                put_property(j, "p", "v");
            else
                print_some(g, j, m, s);
        }
        put_step_end(j, s, PW_SUCCESS);
    }
    m->result = results[pick(g, 3)];
    put_end(j, m->result);
}

/* Jobs that arrived on this connection. */
static void take_jobs(game *g)
{
    for (size_t i = 0; i < g->n->n; i++) {
        const sent *o = &g->n->out[i];
        if (o->m.type != PW_MSG_JOB || o->peer != g->a.peer)
            continue;
        bool known = false;
        for (size_t k = 0; k < g->taken; k++)
            known |= g->attempt[k] == o->m.u.job.attempt;
        if (known || g->taken == JOBS)
            continue;
        journal *j = agent_job(&g->a, o->m.u.job.epoch, o->m.u.job.attempt);
        g->m[g->taken].attempt = j->attempt;
        make_journal(g, j, &g->m[g->taken]);
        g->attempt[g->taken++] = j->attempt;
    }
}

static size_t border(const journal *j, uint64_t offset)
{
    size_t r = 0;
    while (r < j->records && j->at[r] < offset)
        r++;
    return r;
}

/* What the master said: acks and forgets are obeyed. */
static void obey(game *g)
{
    take_jobs(g);
    for (size_t i = 0; i < g->n->n; i++) {
        const sent *o = &g->n->out[i];
        if (o->peer != g->a.peer)
            continue;
        const msg_ack_item *item = o->m.u.ack.items.v;
        for (size_t k = 0; k < g->a.jobs; k++) {
            if (o->m.type == PW_MSG_ACK && item->attempt == g->a.job[k]->attempt) {
                size_t r = border(g->a.job[k], item->stored);
                if (r > g->sent[k])
                    g->sent[k] = r;
            } else if (o->m.type == PW_MSG_FORGET &&
                       o->m.u.forget.attempt == g->a.job[k]->attempt) {
                agent_drop_job(&g->a, k);
                memmove(g->sent + k, g->sent + k + 1, (JOBS - k - 1) * sizeof(*g->sent));
                break;
            }
        }
    }
    net_forget(g->n);
}

static void connect_again(game *g)
{
    obey(g);
    if (!agent_hello(&g->a))
        return;
    const msg_welcome *w = &got(g->n, g->a.peer, PW_MSG_WELCOME)->m.u.welcome;
    const msg_welcome_job *v = w->jobs.v;
    for (size_t i = 0; i < w->jobs.n; i++)
        for (size_t k = 0; k < g->a.jobs; k++) {
            if (g->a.job[k]->attempt != v[i].attempt)
                continue;
            if (v[i].verdict == PW_RESUME) {
                g->sent[k] = border(g->a.job[k], v[i].offset);
            } else if (v[i].verdict == PW_FORGET) {
                agent_drop_job(&g->a, k);
                memmove(g->sent + k, g->sent + k + 1, (JOBS - k - 1) * sizeof(*g->sent));
                break;
            }
        }
    obey(g);
}

static void ship_some(game *g, bool commit)
{
    if (!g->a.jobs || !g->n->s)
        return;
    size_t k = pick(g, g->a.jobs), from = g->sent[k];
    const journal *j = g->a.job[k];
    uint64_t how = pick(g, 10);
    if (how == 0)
        from = pick(g, from + 1); /* again, or overlapping */
    else if (how == 1 && from < g->a.grown[k])
        from += pick(g, g->a.grown[k] - from + 1); /* a gap */
    size_t to = from + pick(g, 6);
    if (to > g->a.grown[k])
        to = g->a.grown[k];
    agent_ship_as(&g->a, j, from, to, j->chain[from], commit);
    if (from <= g->sent[k] && to > g->sent[k])
        g->sent[k] = to;
}

static void kill_master(game *g)
{
    if (pick(g, 2))
        world_restart(g->n->w, NULL);
    else
        net_commit_failed(g->n);
    connect_again(g);
}

/* A result comes with the whole journal before it, in one transaction. */
static void look_at_rows(game *g)
{
    for (size_t i = 0; g->n->w->st && i < g->taken; i++) {
        store_attempt a;
        if (store_attempt_get(g->n->w->st, g->attempt[i], &a, NULL) < 0)
            continue;
        if (a.state == ATT_ENDED)
            g->broken = "a result whose journal is not stored";
        if (a.stored > a.applied)
            g->broken = "stored is ahead of applied";
        if (a.state == ATT_CLOSED)
            g->broken = "an attempt was given up";
    }
}

static void act(game *g)
{
    uint64_t what = pick(g, 100);
    if (what < 25 && g->a.jobs) {
        size_t k = pick(g, g->a.jobs);
        size_t more = 1 + pick(g, 3);
        g->a.grown[k] = g->a.grown[k] + more > g->a.job[k]->records ? g->a.job[k]->records
                                                                    : g->a.grown[k] + more;
    } else if (what < 65) {
        ship_some(g, pick(g, 4) != 0);
    } else if (what < 80) {
        (void)net_answer(g->n, pick(g, 3) == 0 && net_waits(g->n));
    } else if (what < 84) {
        connect_again(g);
    } else if (what < 88) {
        kill_master(g);
    } else if (what < 90) {
        /* killed between the sync and the commit */
        if (net_take_answer(g->n, pick(g, 2) == 0 && net_waits(g->n)))
            kill_master(g);
    } else if (what < 93) {
        net_pass(g->n, (int)pick(g, 4));
    } else if (what < 95) {
        agent_beat(&g->a, 1);
    } else {
        (void)world_go(g->n->w);
    }
    obey(g);
    look_at_rows(g);
    if (g->n->s && !sessions_of_worker(g->n->s, g->a.id))
        connect_again(g); /* it was refused, or told that it has no session */
}

/* Everybody lives on, without further trouble, until all is delivered. */
static void finish(game *g)
{
    connect_again(g);
    for (int round = 0; round < 200 && (g->a.jobs || g->taken < JOBS); round++) {
        for (size_t k = 0; k < g->a.jobs; k++) {
            g->a.grown[k] = g->a.job[k]->records;
            agent_ship(&g->a, g->a.job[k], g->sent[k], g->a.grown[k]);
            g->sent[k] = g->a.grown[k];
        }
        net_settle(g->n);
        obey(g);
        if (round % 10 == 9)
            connect_again(g);
    }
    net_settle(g->n);
}

typedef struct seen_steps {
    unsigned n, done;
} seen_steps;
static int one_step(void *p, const store_step *s)
{
    seen_steps *v = p;
    v->n++;
    v->done += s->state == STEP_DONE && s->result == PW_SUCCESS;
    return 0;
}
static int one_open(void *p, const store_log *l)
{
    (void)l;
    ++*(unsigned *)p;
    return 0;
}
static unsigned unsealed(const net *n)
{
    unsigned k = 0;
    return n->w->st && store_logs_open(n->w->st, one_open, &k, NULL) == 0 ? k : 0;
}

static bool check(game *g, const char **why)
{
    static char out[OUTPUT_MAX + 10];
    PW_AUTO(reader_closep) reader *rd = reader_open(g->n->w->path, NULL);
    *why = "the master is gone";
    if (!g->n->w->core || !rd)
        return false;
    *why = "a job is not done with";
    if (g->a.jobs || g->taken < JOBS)
        return false;
    for (size_t i = 0; i < JOBS; i++) {
        const model *m = &g->m[i];
        store_attempt a;
        seen_steps v = {0};
        *why = "the attempt's row";
        if (store_attempt_get(g->n->w->st, m->attempt, &a, NULL) < 0 || a.state != ATT_FORGOTTEN ||
            a.result != m->result)
            return false;
        *why = "the build's row";
        if (!done(g->n->w, a.build, m->result) || build(g->n->w, a.build).tries != 1)
            return false;
        *why = "the steps";
        (void)reader_steps(rd, m->attempt, one_step, &v, NULL);
        if (v.n != STEPS || v.done != STEPS)
            return false;
        *why = "the log";
        for (uint32_t s = 0; s < STEPS; s++)
            if (log_read(g->n, m->attempt, s, out, sizeof(out)) != m->len[s] ||
                memcmp(out, m->text[s], m->len[s]) != 0)
                return false;
    }
    *why = "something is open";
    core_figures f = figures(g->n->w);
    return f.open == 0 && f.waiting == 0 && f.busy == 0;
}

static bool play(uint64_t seed)
{
    game *g = calloc(1, sizeof(*g));
    const char *why = "memory";
    bool fine = false;
    if (g && (g->n = net_new(conf))) {
        g->x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        g->a = agent_init(g->n, "w1", 1, 7);
        g->a.slots = JOBS;
        look(g->n->w, 0, "master", 1);
        for (int i = 0; i < JOBS; i++)
            (void)force(g->n->w, "unit");
        connect_again(g);
        for (int i = 0; i < ACTIONS && g->n->w->core; i++)
            act(g);
        finish(g);
        fine = check(g, &why) && !g->broken;
        if (g->broken)
            why = g->broken;
        while (fine && unsealed(g->n) > 0 && net_answer(g->n, true))
            ;
        fine = fine && unsealed(g->n) == 0 && check(g, &why); /* from the sealed files */
        if (fine) {                                           /* and from what a new master finds */
            world_restart(g->n->w, NULL);
            fine = check(g, &why);
        }
        agent_clear(&g->a);
    }
    if (!fine)
        printf("# seed %llu: %s\n", (unsigned long long)seed, why);
    if (g)
        net_free(g->n);
    free(g);
    return fine;
}

int main(int argc, char **argv)
{
    uint64_t from = 1, to = SEEDS;
    if (crypt_init(NULL) < 0)
        return 1;
    pw_log_open(PW_LOG_ERROR, -1);
    if (argc > 1 && pw_parse_u64(argv[1], &from, NULL) == 0)
        to = from;
    if (argc > 2)
        (void)pw_parse_u64(argv[2], &to, NULL);
    for (uint64_t seed = from; seed <= to; seed++)
        ok(play(seed), "seed %llu", (unsigned long long)seed);
    return tap_done();
}
