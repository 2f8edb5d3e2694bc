/* Disks that fail under the log store: nothing is acknowledged that is not there, sessions end, and
 * the journal is asked for again. The fault points count for the whole process, so this is a
 * program of its own. */
#include "master/link/fixture.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, steps: [{name: make, run: x}]}]\n";

static void life(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    if (!n)
        return;
    agent a = agent_init(n, "w1", 1, 7);
    look(n->w, 0, "master", 1);
    (void)force(n->w, "unit");
    if (!agent_hello(&a) || !got(n, a.peer, PW_MSG_JOB)->peer)
        return;
    journal *j = agent_job(&a, got(n, a.peer, PW_MSG_JOB)->m.u.job.epoch, 1);
    put_start(j);
    put_step_start(j, 0);
    for (int i = 0; i < 4; i++)
        put_text(j, 0, "line\n"); /* records 4 to 7 */
    put_step_end(j, 0, PW_SUCCESS);
    put_end(j, PW_SUCCESS);
    a.grown[0] = j->records;
    agent_ship(&a, j, 0, 3);
    agent_ship(&a, j, 3, 4);
    net_settle(n);
    ok(acked(n, 1) == (int64_t)j->at[4], "the first frame is on disk");
    agent_ship(&a, j, 4, 6); /* the third write fails */
    ok(att(n->w, 1) && att(n->w, 1)->received == j->at[5] && n->w->core &&
           ask(n->w, CMD_HEALTH, (say){0}) == 503 && strstr(n->w->body, "log store"),
       "the disk is full: what was written counts, and health says so");
    net_settle(n);
    ok(acked(n, 1) == (int64_t)j->at[5] && ask(n->w, CMD_HEALTH, (say){0}) == 503,
       "what could be written is stored; the trouble is over when output is taken again");
    size_t refused = got_count(n, a.peer, PW_MSG_REFUSED);
    int64_t before = acked(n, 1);
    agent_ship(&a, j, 5, 9); /* the end is there, and the sync fails */
    net_settle(n);
    ok(got_count(n, a.peer, PW_MSG_REFUSED) == refused + 1 && figures(n->w).connected == 0 &&
           acked(n, 1) == before,
       "a sync fails: nothing is acknowledged, the session ends");
    ok(build(n->w, 2).state == BUILD_RUNNING && ask(n->w, CMD_HEALTH, (say){0}) == 503,
       "the result is not there, health says why");
    ok(log_is(n, 1, 0, "line\nline\n"), "viewers see what is stored");
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_RESUME &&
           agent_verdict(&a, 1)->offset == j->at[5],
       "resumed from what is stored");
    agent_ship(&a, j, 5, 9);
    net_settle(n);
    ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "line\nline\nline\nline\n") &&
           ask(n->w, CMD_HEALTH, (say){0}) == 200,
       "and all is there in the end");
    world_restart(n->w, NULL);
    ok(log_is(n, 1, 0, "line\nline\nline\nline\n"), "after a restart, too");
    agent_clear(&a);
}

int main(void)
{
    if (crypt_init(NULL) < 0 || setenv("PW_FAULT", "logs.append:3,logs.sync:3", 1) < 0)
        return 1;
    life();
    return tap_done();
}
