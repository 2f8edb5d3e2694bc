/* The repository as a graph in memory: polls, histories and pushes are answered late, sometimes not
 * at all, and pushes take effect although nobody hears of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

const char *const remote_branch[SIM_BRANCHES] = {"master", "stable", "topic"};
enum { JOBS = 64 };
static commit commits[SIM_COMMITS];
static int n_commits, tip[SIM_BRANCHES];
static pushed pushes[SIM_PUSHES];
static size_t n_pushes;
static struct job {
    git_job *job; /* NULL: free, or its master is gone */
    bool used;
    pw_usec effect_at, answer_at;
    bool effect, lost;
    uint64_t intent;
    int branch, from, to;
} tasks[JOBS];
static unsigned lost_percent;

static int add_commit(int parent)
{
    if (n_commits == SIM_COMMITS)
        return -1;
    commit *c = &commits[n_commits];
    c->parent = parent;
    (void)snprintf(c->rev, sizeof(c->rev), "%040x", n_commits + 1);
    return n_commits++;
}

void remote_reset(void)
{
    for (size_t i = 0; i < JOBS; i++)
        if (tasks[i].job)
            git_job_free(tasks[i].job);
    memset(tasks, 0, sizeof(tasks));
    n_commits = 0;
    n_pushes = 0;
    lost_percent = 0;
    for (int b = 0; b < SIM_BRANCHES; b++)
        tip[b] = -1;
    tip[0] = tip[1] = add_commit(-1);
}

void remote_trouble(unsigned percent)
{
    lost_percent = percent;
}

int remote_tip(int branch)
{
    return tip[branch];
}

const char *remote_rev(int c)
{
    return c < 0 ? "" : commits[c].rev;
}

const char *remote_short(int c)
{
    return c < 0 ? "nothing" : commits[c].rev + 33;
}

int remote_find(const char *rev)
{
    for (int i = 0; i < n_commits; i++)
        if (strcmp(commits[i].rev, rev) == 0)
            return i;
    return -1;
}

bool remote_contains(int from, int what)
{
    while (from >= 0 && from != what)
        from = commits[from].parent;
    return what < 0 || from == what;
}

static void move(int branch, int to, uint64_t intent)
{
    sim_trace("ref %s: %.7s -> %.7s by %s %llu", remote_branch[branch], remote_short(tip[branch]),
              remote_short(to), intent ? "intent" : "people", (unsigned long long)intent);
    if (n_pushes < SIM_PUSHES)
        pushes[n_pushes++] = (pushed){intent, branch, tip[branch], to, sim_now};
    tip[branch] = to;
}

int remote_commit(int branch)
{
    int c = add_commit(tip[branch] >= 0 ? tip[branch] : tip[0]);
    if (c >= 0)
        move(branch, c, 0);
    return c;
}

int remote_rewind(int branch)
{
    int base = tip[branch] >= 0 ? commits[tip[branch]].parent : -1,
        c = base >= 0 ? add_commit(base) : -1;
    if (c >= 0)
        move(branch, c, 0);
    return c;
}

size_t remote_pushes(const pushed **ret)
{
    *ret = pushes;
    return n_pushes;
}

/* ---- the service: takes jobs, answers them */
int __wrap_git_send(git_service *self, git_job *j, pw_err *err);
int __wrap_git_send(git_service *self, git_job *j, pw_err *err)
{
    (void)self;
    (void)err;
    if (disk_process_dead(sim_mas.process)) {
        git_job_free(j);
        return 0;
    }
    for (size_t i = 0; i < JOBS; i++) {
        struct job *x = &tasks[i];
        if (x->used)
            continue;
        *x = (struct job){.used = true, .job = j, .lost = sim_chance(lost_percent)};
        x->effect_at = sim_now + sim_between(1 * MS, sim_chance(90) ? 60 * MS : 20 * SEC);
        x->answer_at = x->effect_at + sim_between(0, 50 * MS);
        if (j->kind == GIT_PUSH) {
            x->effect = !x->lost || sim_chance(50);
            x->intent = j->tag;
            x->branch = -1;
            for (int b = 0; b < SIM_BRANCHES; b++)
                if (strcmp(j->ref + strlen("refs/heads/"), remote_branch[b]) == 0)
                    x->branch = b;
            x->from = remote_find(j->old);
            x->to = remote_find(j->rev);
            if (x->branch < 0 || x->to < 0)
                oracle_fail("a push of %s to %s makes no sense", j->rev, j->ref);
        }
        return 0;
    }
    git_job_free(j);
    return pw_fail(err, PW_EFULL, "too many wait");
}

void remote_master_gone(void)
{
    for (size_t i = 0; i < JOBS; i++) {
        struct job *x = &tasks[i];
        if (!x->used)
            continue;
        git_job_free(x->job);
        x->job = NULL;
        x->answer_at = NEVER;
        /* the child died with its master; what it had sent already may still take effect, soon */
        if (x->effect && sim_chance(50))
            x->effect_at = x->effect_at < sim_now + 100 * MS ? x->effect_at : sim_now + 100 * MS;
        else
            x->used = false;
    }
}

static const char *own(const char *s)
{
    char *copy = strdup(s);
    if (!copy)
        abort();
    return copy;
}

static void poll_answer(git_job *j)
{
    j->moved = calloc(2 * SIM_BRANCHES, sizeof(*j->moved));
    j->head = (char *)(uintptr_t)own("master");
    for (int b = 0; b < SIM_BRANCHES; b++) {
        char ref[64];
        const char *old = "";
        (void)snprintf(ref, sizeof(ref), "refs/heads/%s", remote_branch[b]);
        for (size_t i = 0; i < j->n_known; i++)
            if (strcmp(j->known[i].name, ref) == 0)
                old = j->known[i].rev;
        if (strcmp(old, remote_rev(tip[b])) == 0)
            continue;
        git_moved *m = &j->moved[j->n_moved++];
        int was = remote_find(old), list[GIT_COMMITS_MAX], n = 0;
        m->ref = (char *)(uintptr_t)own(ref);
        (void)snprintf(m->old, sizeof(m->old), "%s", old);
        (void)snprintf(m->rev, sizeof(m->rev), "%s", remote_rev(tip[b]));
        m->forced = was >= 0 && !remote_contains(tip[b], was);
        for (int c = tip[b];
             !j->first && c >= 0 && c != was && n < GIT_COMMITS_MAX && (was >= 0 || n == 0);
             c = commits[c].parent)
            list[n++] = c;
        m->commit = calloc((size_t)n + 1, sizeof(*m->commit));
        while (n > 0) {
            git_commit *g = &m->commit[m->n_commits++];
            (void)snprintf(g->rev, sizeof(g->rev), "%s", commits[list[--n]].rev);
            g->author = (char *)(uintptr_t)own("A <a@b>");
            g->subject = (char *)(uintptr_t)own("change");
            g->at = 1;
        }
    }
    sim_trace("a poll%s finds %zu moved refs", j->first ? " (the first)" : "", j->n_moved);
}

static int branch_of(const char *ref)
{
    for (int b = 0; b < SIM_BRANCHES; b++)
        if (strcmp(ref + strlen("refs/heads/"), remote_branch[b]) == 0)
            return b;
    return -1;
}

static void history_answer(git_job *j)
{
    int from = tip[branch_of(j->from)], to = tip[branch_of(j->to)];
    (void)snprintf(j->from_rev, sizeof(j->from_rev), "%s", remote_rev(from));
    (void)snprintf(j->to_rev, sizeof(j->to_rev), "%s", remote_rev(to));
    j->to_in_from = to >= 0 && remote_contains(from, to);
    j->from_in_to = from >= 0 && remote_contains(to, from);
    j->candidate = calloc(SIM_COMMITS, sizeof(*j->candidate));
    for (int c = from; c >= 0 && !(to >= 0 && remote_contains(to, c)); c = commits[c].parent) {
        (void)snprintf(j->candidate[j->n_candidates].rev, GIT_REV, "%s", commits[c].rev);
        j->candidate[j->n_candidates++].contains_to = to < 0 || remote_contains(c, to);
    }
}

static void push_effect(struct job *x)
{
    enum git_outcome how;
    if (tip[x->branch] >= 0 && remote_contains(tip[x->branch], x->to)) {
        how = GIT_PUSHED; /* found done when it looked */
    } else if (tip[x->branch] == x->from) {
        move(x->branch, x->to, x->intent);
        how = GIT_PUSHED;
    } else {
        how = GIT_LOST_RACE;
    }
    if (x->job)
        x->job->outcome = how;
}

pw_usec remote_due(void)
{
    pw_usec due = NEVER;
    for (size_t i = 0; i < JOBS; i++) {
        if (!tasks[i].used)
            continue;
        pw_usec at =
            tasks[i].effect_at < tasks[i].answer_at ? tasks[i].effect_at : tasks[i].answer_at;
        due = at < due ? at : due;
    }
    return due;
}

void remote_run(void)
{
    for (size_t i = 0; i < JOBS; i++) {
        struct job *x = &tasks[i];
        if (x->used && x->effect_at <= sim_now) {
            x->effect_at = NEVER;
            if (x->effect)
                push_effect(x);
            else if (x->job && x->job->kind == GIT_POLL)
                poll_answer(x->job);
            else if (x->job && x->job->kind == GIT_HISTORY)
                history_answer(x->job);
            if (!x->job)
                x->used = false;
        }
        if (!x->used || x->answer_at > sim_now)
            continue;
        git_job *j = x->job;
        x->used = false;
        x->job = NULL;
        if (x->lost) {
            j->code = PW_ETIMEDOUT;
            j->outcome = GIT_UNKNOWN;
            (void)snprintf(j->text, sizeof(j->text), "no answer");
        }
        if (!sim_mas.s.git_answers || pw_chan_send(sim_mas.s.git_answers, j, NULL) < 0)
            git_job_free(j);
        else
            master_wake(sim_now);
    }
}
