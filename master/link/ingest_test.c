/* Journals into the master: pieces, repetitions, gaps, wrong chains; two offsets; what is
 * acknowledged when (rules 5). */
#include "master/link/fixture.h"
#include "master/store/reader.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, retries: 1, steps: [{name: make, "
                           "run: x}, {name: test, run: y}]}]\n";

typedef struct rows {
    unsigned steps, done, properties;
    uint64_t frames, frame_bytes, log_bytes, log_lines;
    bool sealed;
} rows;
static int one_step(void *p, const store_step *s)
{
    rows *r = p;
    r->steps++;
    r->done += s->state == STEP_DONE;
    return 0;
}
static int one_property(void *p, const char *name, const char *value, const char *source)
{
    (void)name, (void)value, (void)source;
    ((rows *)p)->properties++;
    return 0;
}
static int one_frame(void *p, const store_frame *f)
{
    ((rows *)p)->frames++;
    ((rows *)p)->frame_bytes += f->raw_len;
    return 0;
}
static rows rows_of(const net *n, uint64_t attempt)
{
    rows r = {0};
    store_log l;
    PW_AUTO(reader_closep) reader *rd = reader_open(n->w->path, NULL);
    if (!rd)
        return r;
    (void)reader_steps(rd, attempt, one_step, &r, NULL);
    (void)reader_properties(rd, 2, one_property, &r, NULL);
    (void)reader_frames(rd, attempt, 0, 0, one_frame, &r, NULL);
    if (reader_log(rd, attempt, 0, 0, &l, NULL) == 0) {
        r.log_bytes = l.bytes;
        r.log_lines = l.lines;
        r.sealed = l.sealed;
    }
    return r;
}

/* A worker with a session and attempt 1, whose journal is
 * 1 header, 2 start, 3 step 0, 4 "one\n", 5 property, 6 "two\n", 7 end of step 0, 8 end */
static net *begin(agent *a)
{
    net *n = net_new(conf);
    *a = (agent){0};
    if (!n)
        return NULL;
    *a = agent_init(n, "w1", 1, 7);
    look(n->w, 0, "master", 1);
    (void)force(n->w, "unit");
    if (!agent_hello(a) || !got(n, a->peer, PW_MSG_JOB)->peer)
        return net_free(n);
    journal *j = agent_job(a, got(n, a->peer, PW_MSG_JOB)->m.u.job.epoch, 1);
    put_start(j);
    put_step_start(j, 0);
    put_text(j, 0, "one\n");
    put_property(j, "a", "b");
    put_text(j, 0, "two\n");
    put_step_end(j, 0, PW_SUCCESS);
    put_end(j, PW_SUCCESS);
    a->grown[0] = j->records;
    return n;
}

static void whole(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 3);
    ok(acked(n, 1) == (int64_t)j->at[3] && build(n->w, 2).state == BUILD_RUNNING,
       "state records are acknowledged with their commit");
    agent_ship(&a, j, 3, 8);
    ok(acked(n, 1) == (int64_t)j->at[3] && att(n->w, 1) && att(n->w, 1)->applied == j->n &&
           att(n->w, 1)->stored == j->at[3],
       "log frames are not, nor what stands behind them; but state is applied");
    ok(build(n->w, 2).state == BUILD_RUNNING && rows_of(n, 1).frames == 0 &&
           rows_of(n, 1).done == 1,
       "the end is not: its log is not on disk");
    net_settle(n);
    ok(done(n->w, 2, PW_SUCCESS) && got(n, a.peer, PW_MSG_FORGET)->m.u.forget.attempt == 1 &&
           !att(n->w, 1),
       "on disk: the end is applied, and the worker may forget");
    ok(log_is(n, 1, 0, "one\ntwo\n"), "the log is whole");
    while (!rows_of(n, 1).sealed && net_answer(n, true))
        ;
    rows r = rows_of(n, 1);
    ok(r.sealed && r.frames == 0 && r.log_bytes == 8 && r.log_lines == 2 && r.steps == 1 &&
           r.properties == 1 && log_is(n, 1, 0, "one\ntwo\n"),
       "and sealed");
    agent_ship(&a, j, 0, 8);
    ok(figures(n->w).finished[PW_SUCCESS] == 1, "what comes after it is dropped");
    agent_clear(&a);
}

static void pieces(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 2);
    size_t acks = got_count(n, a.peer, PW_MSG_ACK);
    agent_ship(&a, j, 0, 2);
    ok(got_count(n, a.peer, PW_MSG_ACK) == acks + 1 && acked(n, 1) == (int64_t)j->at[2],
       "what is known is acknowledged again: that answer may be lost");
    agent_ship(&a, j, 1, 4);
    ok(att(n->w, 1) && att(n->w, 1)->received == j->at[4] && acked(n, 1) == (int64_t)j->at[2],
       "overlapping: the new part counts");
    agent_ship(&a, j, 6, 8);
    ok(att(n->w, 1) && att(n->w, 1)->received == j->at[4] && acked(n, 1) == (int64_t)j->at[2],
       "a gap: the master's offset is sent");
    agent_ship(&a, j, 3, 6);
    agent_ship(&a, j, 3, 6);
    agent_ship(&a, j, 0, 7);
    net_settle(n);
    ok(acked(n, 1) == (int64_t)j->at[7] && rows_of(n, 1).frames == 2 &&
           rows_of(n, 1).frame_bytes == 8,
       "each frame once");
    agent_ship(&a, j, 7, 7);
    ok(acked(n, 1) == (int64_t)j->at[7], "an empty one");
    agent_ship(&a, j, 7, 8);
    ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "one\ntwo\n"), "done");
    agent_clear(&a);
}

/* Its row is closed for good, the session was ended, the next hello hears `hold`, and the build is
 * tried again. */
static bool other_journal(net *n, agent *a)
{
    store_attempt row = {0};
    bool closed = n->w->st && store_attempt_get(n->w->st, 1, &row, NULL) == 0 &&
                  row.state == ATT_LOST && !att(n->w, 1) && build(n->w, 2).state == BUILD_QUEUED &&
                  got(n, a->peer, PW_MSG_REFUSED)->peer;
    return closed && agent_hello(a) && agent_verdict(a, 1)->verdict == PW_HOLD &&
           build(n->w, 2).tries == 2 && figures(n->w).finished[PW_SUCCESS] == 0;
}

static void wrong_chain(void)
{
    for (int i = 0; i < 4; i++) {
        agent a;
        PW_AUTO(net_freep) net *n = begin(&a);
        if (!n)
            return;
        journal *j = a.job[0];
        agent_ship(&a, j, 0, 3);
        if (i == 0)
            agent_ship_as(&a, j, 3, 8, j->chain[3] ^ 1, true); /* says so itself */
        else if (i == 1) {
            j->p[j->at[3] + JOURNAL_HEAD + 50] ^= 1; /* a bad record */
            agent_ship(&a, j, 3, 8);
        } else { /* another journal of the same attempt, from its start on; once with a record that
                  * begins in what is known and ends behind it */
            journal *other = agent_job(&a, j->epoch, 1);
            if (i == 3)
                put_start(other);
            put_text(other, 0, "other, and longer than what stands there\n");
            put_end(other, PW_SUCCESS);
            agent_ship(&a, other, 0, 3);
        }
        net_settle(n);
        ok(got(n, a.peer, PW_MSG_CANCEL)->m.u.cancel.attempt == 1, "it need not run on");
        ok(other_journal(n, &a), "not the journal that we know: held, tried again (%d)", i);
        agent_clear(&a);
    }
}

static void malformed(void)
{
    static const uint8_t kinds[] = {PW_REC_STEP_START, PW_REC_STEP_END, PW_REC_PROPERTY,
                                    PW_REC_LOG,        PW_REC_CUT,      PW_REC_END};
    for (size_t i = 0; i < sizeof(kinds); i++) {
        agent a;
        PW_AUTO(net_freep) net *n = begin(&a);
        if (!n)
            return;
        journal *j = agent_job(&a, a.job[0]->epoch, 1);
        put_start(j);
        put(j, kinds[i], 0, "\xc1garbage", 8);
        put_end(j, PW_SUCCESS);
        agent_ship(&a, j, 0, 2);
        agent_ship(&a, j, 2, 4);
        net_settle(n);
        ok(n->w->core && other_journal(n, &a), "a record %u that makes no sense ends the attempt",
           kinds[i]);
        agent_clear(&a);
    }
}

/* An id that came back from a backup: the worker has another job under it. */
static void another_job(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    journal *j = agent_job(&a, a.job[0]->epoch, 1);
    j->n = j->records = 0;
    uint8_t digest[32] = {1};
    put_header(j, digest);
    put_end(j, PW_SUCCESS);
    agent_ship(&a, j, 0, 2);
    net_settle(n);
    ok(other_journal(n, &a), "a journal whose job has another digest is not taken for ours");
    agent_clear(&a);
}

static void unknown_kinds(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n || !n->s)
        return;
    journal *j = agent_job(&a, a.job[0]->epoch, 1);
    put_start(j);
    put(j, 200, 0, "x", 1);
    put(j, 201, PW_REC_CRITICAL, "x", 1);
    put_end(j, PW_SUCCESS);
    agent_ship(&a, j, 0, 5);
    sessions_figures f;
    sessions_get_figures(n->s, &f);
    ok(acked(n, 1) == (int64_t)j->at[3] && f.alarms == 1,
       "an unknown record is passed over, a critical one is not");
    agent_ship(&a, j, 3, 5);
    ok(att(n->w, 1) && !att(n->w, 1)->superseded && build(n->w, 2).state == BUILD_RUNNING &&
           acked(n, 1) == (int64_t)j->at[3],
       "it waits there for a newer master and loses nothing");
    /* a message that ends inside a record */
    msg_journal m = {a.session, j->epoch, 1, j->at[3], j->chain[3]};
    agent_say(&a, PW_MSG_JOURNAL, &m, j->p + j->at[3], 5);
    ok(att(n->w, 1) && !att(n->w, 1)->superseded, "half a record decides nothing");
    agent_clear(&a);
}

static void foreign(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n || !n->s)
        return;
    journal *j = a.job[0];
    agent b = agent_init(n, "w2", 2, 9);
    ok(agent_hello(&b), "another worker");
    agent_ship(&b, j, 0, 8);
    ok(att(n->w, 1) && !att(n->w, 1)->any, "may not ship what is not its own");
    (void)agent_job(&b, j->epoch, 1);
    sessions_figures f;
    ok(agent_hello(&b) && agent_verdict(&b, 1)->verdict == PW_HOLD, "nor have it: hold");
    sessions_get_figures(n->s, &f);
    ok(f.alarms == 1 && build(n->w, 2).tries == 1, "and an alarm");
    j->epoch++;
    agent_ship(&a, j, 0, 8);
    ok(att(n->w, 1) && !att(n->w, 1)->any, "another epoch is not for us");
    agent_clear(&a);
    agent_clear(&b);
}

/* Output that was left out (a cut record) is told by the position of the next frame. */
static void cuts(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    journal *j = agent_job(&a, a.job[0]->epoch, 1);
    put_start(j);
    put_step_start(j, 0);
    put_text(j, 0, "begin\n");
    rec_cut c = {0, 0, 6, 1000};
    put_schema(j, PW_REC_CUT, &rec_cut_schema, &c);
    j->lines[0] += 10;
    put_log(j, 0, "end\n", 4, 1000);
    put_step_end(j, 0, PW_SUCCESS);
    put_end(j, PW_SUCCESS);
    a.grown[1] = j->records;
    agent_ship(&a, j, 0, 4);
    world_restart(n->w, NULL);
    (void)agent_hello(&a);
    agent_ship(&a, j, 0, 8);
    net_settle(n);
    ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "begin\nend\n"),
       "a gap that the runner made is no gap of ours");
    while (!rows_of(n, 1).sealed && net_answer(n, true))
        ;
    ok(rows_of(n, 1).log_bytes == 1010 && rows_of(n, 1).log_lines == 12,
       "and the positions stay those of the runner");
    agent_clear(&a);
}

/* rules 5.2, 5.4: kill -9 with frames written, applied ahead of stored. */
static void killed(void)
{
    for (int how = 0; how < 3; how++) {
        agent a;
        PW_AUTO(net_freep) net *n = begin(&a);
        if (!n)
            return;
        const journal *j = a.job[0];
        agent_ship(&a, j, 0, 4);
        if (how == 2)
            net_settle(n);
        agent_ship_as(&a, j, 4, 8, j->chain[4], how > 0); /* how 0: killed before the commit */
        world_restart(n->w, NULL);
        ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_RESUME &&
               agent_verdict(&a, 1)->offset == j->at[how == 2 ? 4 : 0] &&
               agent_verdict(&a, 1)->chain == j->chain[how == 2 ? 4 : 0] &&
               build(n->w, 2).state == BUILD_RUNNING,
           "a new master resumes at what is stored (%d)", how);
        ok(log_is(n, 1, 0, how == 2 ? "one\n" : ""), "and believes no file beyond it");
        agent_ship(&a, j, how == 2 ? 4 : 0, 8);
        net_settle(n);
        rows r = rows_of(n, 1);
        ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "one\ntwo\n") && r.steps == 1 &&
               r.properties == 1,
           "nothing is lost or doubled");
        agent_clear(&a);
    }
}

/* What was synced, but whose row was not committed, is not there. */
static void failed_commit(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 4);
    if (!net_take_answer(n, true))
        return;
    net_commit_failed(n);
    ok(agent_hello(&a) && agent_verdict(&a, 1)->offset == 0 && log_is(n, 1, 0, ""),
       "after a failed commit the log is what the rows say");
    agent_ship(&a, j, 0, 7);
    net_settle(n);
    ok(acked(n, 1) == (int64_t)j->at[7] && rows_of(n, 1).frames == 2,
       "its frame is taken again, and gets its row");
    world_restart(n->w, NULL);
    ok(log_is(n, 1, 0, "one\ntwo\n"), "what was acknowledged is there after a restart");
    agent_clear(&a);
}

/* A session drops while frames wait for their sync; the next one ships them again. */
static void dropped_in_between(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 4);
    agent_ship(&a, j, 4, 6);
    ok(agent_hello(&a) && agent_verdict(&a, 1)->offset == 0,
       "a new session resumes at what is stored");
    if (!n->s || n->s->n_pend != 2)
        return;
    sessions_synced(n->s, n->s->pend[0].ticket, 0, "");
    (void)world_go(n->w);
    ok(acked(n, 1) == (int64_t)j->at[4], "what the old one sent gets stored");
    agent_ship(&a, j, 4, 8); /* an ack beyond what it sent makes the agent jump */
    ok(att(n->w, 1) && att(n->w, 1)->received == j->n, "and the master goes along");
    net_settle(n);
    ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "one\ntwo\n"), "and it goes on there");
    agent_clear(&a);
}

static void shipped_again_while_pending(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 6);
    (void)agent_hello(&a);
    agent_ship(&a, j, 0, 8);
    ok(build(n->w, 2).state == BUILD_RUNNING && acked(n, 1) == -1,
       "still not on disk: nothing is acknowledged");
    net_settle(n);
    rows r = rows_of(n, 1);
    ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "one\ntwo\n") && r.steps == 1,
       "each frame once");
    agent_clear(&a);
}

/* The other order: the old frames get on disk while the worker is half through them again. What is
 * known is not applied twice, however far the worker got. */
static void stored_while_shipped_again(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 6);
    uint64_t bytes = n->s ? n->s->fig.log_bytes : 0;
    ok(agent_hello(&a) && agent_verdict(&a, 1)->offset == 0, "a new session");
    agent_ship(&a, j, 0, 4);
    ok(att(n->w, 1) && att(n->w, 1)->received == j->at[6] && n->s && n->s->n_pend == 2 &&
           n->s->fig.log_bytes == bytes,
       "what waits for its sync is known");
    net_settle(n);
    ok(acked(n, 1) == (int64_t)j->at[6], "and gets stored up to where it was known");
    agent_ship(&a, j, 4, 8);
    net_settle(n);
    ok(done(n->w, 2, PW_SUCCESS) && log_is(n, 1, 0, "one\ntwo\n"), "and it goes on there");
    agent_clear(&a);
}

/* The worker's machine lost what is known here: its journal will be another one from there on. */
static void shorter_than_received(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a);
    if (!n)
        return;
    const journal *j = a.job[0];
    agent_ship(&a, j, 0, 6);
    a.grown[0] = 5;
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict != PW_RESUME,
       "a journal that is shorter than what came of it is not resumed");
    net_settle(n);
    ok(build(n->w, 2).state != BUILD_RUNNING, "its build is tried again");
    agent_clear(&a);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    whole();
    pieces();
    wrong_chain();
    malformed();
    another_job();
    unknown_kinds();
    foreign();
    cuts();
    killed();
    failed_commit();
    dropped_in_between();
    shipped_again_while_pending();
    stored_while_shipped_again();
    shorter_than_received();
    return tap_done();
}
