/* Windows, gaps and resync, through the whole agent. */
#include "worker/agent/agent_world.h"
#include "worker/agent/ship.h"

/* ---- shipping */

static bool two_runners(world *w, uint64_t worker_window, uint64_t window, journal_writer *r[2])
{
    if (!connect_with(w, NULL, 0, worker_window))
        return false;
    offer_job(w, (offer){.attempt = 30, .window = window});
    offer_job(w, (offer){.attempt = 31, .window = window});
    for (uint64_t i = 0; i < 2; i++) {
        r[i] = runner_of(w, 30 + i);
        if (!r[i] || !write_rec(r[i], PW_REC_START, 1))
            return false;
        note(w, 30 + i, r[i]);
        ack(w, 30 + i, journal_length(r[i]), window);
    }
    forget_sent(w);
    return true;
}

static void end_both(world *w, journal_writer *r[2])
{
    for (uint64_t i = 0; i < 2; i++) {
        if (r[i] && write_rec(r[i], PW_REC_END, 1))
            note(w, 30 + i, r[i]);
        r[i] = journal_writer_free(r[i]);
        later(w, 2 * SECOND);
        forget(w, 30 + i);
    }
    jobs_expire(agent_jobs(w->agent), 0);
}

static void windows(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 1 << 20, 100000, r);
    uint64_t base = good ? journal_length(r[0]) : 0;
    for (int i = 0; i < 30 && good; i++)
        good = write_rec(r[0], PW_REC_NOTE, 10000 - 16);
    ok(good, "300 kB of journal");
    if (good) {
        note(w, 30, r[0]);
        ok(shipped(w, 30) == 100000, "one job's window");
        later(w, SECOND);
        ok(shipped(w, 30) == 100000, "and no byte more");
        ack(w, 30, base + 10000, 100000);
        ok(shipped(w, 30) == 100000, "a small gap is not worth a message");
        ack(w, 30, base + 70000, 100000);
        ok(shipped(w, 30) == 170000, "room for more");
        ack(w, 30, base + 170000, 0);
        later(w, 20 * SECOND);
        ok(shipped(w, 30) == 170000, "a window of zero means wait");
        ack(w, 30, base + 170000, 50000);
        ack(w, 30, base + 220000, 300000);
        ok(shipped(w, 30) == 300000, "the rest");
        ack(w, 30, base + 300000, 300000);
        forget_sent(w);
        ok(write_rec(r[0], PW_REC_NOTE, JOURNAL_PAYLOAD_MAX), "a record longer than the window");
        ack(w, 30, base + 300000, 100000);
        note(w, 30, r[0]);
        ok(shipped(w, 30) == JOURNAL_PAYLOAD_MAX + 16, "goes alone");
        ack(w, 30, journal_length(r[0]), 100000);
    }
    end_both(w, r);
}

static void fairness(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 200000, 262144, r);
    for (int i = 0; i < 40 && good; i++)
        good = write_rec(r[0], PW_REC_NOTE, 10000 - 16) && write_rec(r[1], PW_REC_NOTE, 10000 - 16);
    uint64_t base = good ? journal_length(r[0]) - 400000 : 0;
    if (good) {
        agent_note(w->agent, (spool_note){{EPOCH, 30}, journal_length(r[0])});
        settle(w);
        ok(shipped(w, 30) == 200000 && shipped(w, 31) == 0, "the worker's window");
        agent_note(w->agent, (spool_note){{EPOCH, 31}, journal_length(r[1])});
        settle(w);
        ok(shipped(w, 31) == 0, "holds for all together");
        ack(w, 30, base + 100000, 262144);
        ok(shipped(w, 31) == 100000 && shipped(w, 30) == 200000,
           "fewest unacknowledged bytes first");
        ack(w, 30, base + 200000, 262144);
        ok(shipped(w, 30) == 300000 && shipped(w, 31) == 100000, "then the other");
        good = write_rec(r[1], PW_REC_NOTE, 300000);
        ack(w, 30, base + 300000, 262144);
        ack(w, 31, base + 100000, 262144);
        for (uint64_t a = 0, b = 100000; a < 10; a++) {
            uint64_t s30 = shipped(w, 30), s31 = shipped(w, 31);
            ack(w, 30, base + s30, 262144);
            b = s31;
            ack(w, 31, base + b, 262144);
        }
        agent_note(w->agent, (spool_note){{EPOCH, 31}, journal_length(r[1])});
        settle(w);
        ok(good && shipped(w, 31) == 400000 + 300016,
           "a record longer than the worker's window goes when all is acknowledged");
    } else {
        ok(false, "journals");
    }
    end_both(w, r);
}

static void gaps(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 1 << 20, 262144, r) && write_rec(r[0], PW_REC_NOTE, 1000) &&
                write_rec(r[0], PW_REC_NOTE, 1000);
    uint64_t base = good ? journal_length(r[0]) - 2 * 1016 : 0;
    if (good) {
        note(w, 30, r[0]);
        ok(shipped(w, 30) == 2032, "two records");
        ack(w, 30, base, 262144); /* the master dropped them: it expected an earlier offset */
        later(w, 4 * SECOND);
        ok(shipped(w, 30) == 2032, "an acknowledgement below what was sent only frees");
        later(w, SECOND);
        const sent *j = newest(w, PW_MSG_JOURNAL);
        ok(shipped(w, 30) == 4064 && j && j->m.u.journal.offset == base,
           "nothing moved for 5 s: sent again from there");
        later(w, 5 * SECOND);
        ok(shipped(w, 30) == 4064, "the next time after longer");
        ack(w, 30, base + 1016, 262144);
        ack(w, 30, base + 2032, 262144);
        forget_sent(w);
        ack(w, 30, base + 1016, 262144);
        j = newest(w, PW_MSG_JOURNAL);
        ok(shipped(w, 30) == 1016 && j && j->m.u.journal.offset == base + 1016,
           "asked for again: from there at once");
        ack(w, 30, base + 2032, 262144);
        ack(w, 30, base + 99999, 262144);
        ack(w, 77, 1, 1);
        ack(w, 30, base + 17, 262144);
        ok(agent_count(w->agent).stray == 2, "acknowledgements that make no sense are counted");
        ack(w, 30, base + 2032, 262144);
        forget_sent(w);
        w->full = true;
        good = write_rec(r[0], PW_REC_NOTE, 500);
        note(w, 30, r[0]);
        ok(good && w->n == 0 && agent_due(w->agent) == now_us + SHIP_RETRY,
           "a full queue: a little later");
        w->full = false;
        later(w, SHIP_RETRY);
        ok(shipped(w, 30) == 516, "then it goes");
    } else {
        ok(false, "journals");
    }
    end_both(w, r);
}

/* ---- resync */

static const msg_hello_job *listed(const sent *h, uint64_t attempt)
{
    const msg_hello_job *v = h ? h->m.u.hello.jobs.v : NULL;
    for (size_t i = 0; h && i < h->m.u.hello.jobs.n; i++)
        if (v[i].attempt == attempt)
            return &v[i];
    return NULL;
}

/* The master has more than the spool, which happens when a disk was put back from a copy. */
static void resync_beyond(world *w, uint64_t base)
{
    const agent_job *e;
    msg_welcome_job lost = {.epoch = EPOCH,
                            .attempt = 30,
                            .verdict = PW_RESUME,
                            .offset = base + 50000,
                            .window = 262144};
    msg_welcome_job back = {.epoch = EPOCH, .attempt = 31, .verdict = PW_RESUME, .window = 262144};
    msg_welcome_job two[] = {lost, back};
    forget_sent(w);
    random_state++;
    agent_lost(w->agent, "again");
    later(w, 10 * SECOND);
    welcome_with(w, EPOCH, 1 << 20, two, 2);
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 30});
    ok(e && e->state == PW_JOB_HELD, "an offset that the spool does not have: held");
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 31});
    ok(e && e->state == PW_JOB_ENDED && shipped(w, 31) == e->whole,
       "a held job that is wanted is shipped");
}

static void resync(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 1 << 20, 262144, r) && write_rec(r[0], PW_REC_NOTE, 1000) &&
                write_rec(r[0], PW_REC_NOTE, 1000);
    offer_job(w, (offer){.attempt = 32});
    if (!good || !start(w)) {
        ok(false, "journals");
        r[0] = journal_writer_free(r[0]);
        r[1] = journal_writer_free(r[1]);
        return;
    }
    uint64_t base = journal_length(r[0]) - 2 * 1016;
    settle(w);
    const sent *h = newest(w, PW_MSG_HELLO);
    const msg_hello_job *a = listed(h, 30), *b = listed(h, 31), *c = listed(h, 32);
    ok(a && a->length == journal_length(r[0]) && a->state == PW_JOB_RUNNING && a->epoch == EPOCH,
       "a running job is listed");
    ok(b && b->state == PW_JOB_RUNNING && c && c->state == PW_JOB_SPOOLED &&
           h->m.u.hello.jobs.n == 3,
       "all are");
    ok(h && h->m.u.hello.mark.n == 3, "the newest mark is given back");
    ok(count(w, PW_MSG_JOURNAL) == 0, "nothing is shipped before welcome");
    uint32_t chain = 0;
    const agent_job *e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 30});
    ok(e && jobs_chain_at(agent_jobs(w->agent), e, base + 1016, &chain, NULL) == 0,
       "the chain value in its midst");
    msg_welcome_job v[] = {
        {.epoch = EPOCH,
         .attempt = 30,
         .verdict = PW_RESUME,
         .offset = base + 1016,
         .chain = chain,
         .window = 262144},
        {.epoch = EPOCH, .attempt = 31, .verdict = PW_HOLD},
        {.epoch = EPOCH, .attempt = 32, .verdict = PW_RESUME, .window = 262144, .cancel = true},
        {.epoch = EPOCH, .attempt = 99, .verdict = PW_FORGET},
    };
    welcome_with(w, EPOCH, 1 << 20, v, 4);
    const sent *j = NULL;
    for (size_t i = 0; i < w->n; i++)
        if (w->sent[i].m.type == PW_MSG_JOURNAL && w->sent[i].m.u.journal.attempt == 30)
            j = &w->sent[i];
    ok(j && j->m.u.journal.offset == base + 1016 && j->m.u.journal.chain == chain && j->n == 1016,
       "resume: from there on");
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 31});
    ok(e && e->state == PW_JOB_HELD && shipped(w, 31) == 0, "hold: kept, not shipped");
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 32});
    ok(e && e->state == PW_JOB_ENDED && shipped(w, 32) > 0,
       "resume and cancel: ended, and the end is shipped");
    ok(jobs_live(agent_jobs(w->agent)) == 2, "a held job takes its slot while its runner lives");
    r[1] = journal_writer_free(r[1]);
    later(w, SECOND);
    ok(jobs_live(agent_jobs(w->agent)) == 1, "and no longer");
    agent_lost(w->agent, "the connection was closed");
    later(w, SECOND);
    h = newest(w, PW_MSG_HELLO);
    b = listed(h, 31);
    ok(count(w, PW_MSG_HELLO) == 2 && b && b->state == PW_JOB_HELD, "held jobs are listed too");
    resync_beyond(w, base);
    r[0] = journal_writer_free(r[0]);
    later(w, SECOND);
    forget(w, 31);
    forget(w, 32);
}

static void new_epoch(world *w)
{
    if (!connect_with(w, NULL, 0, 1 << 20))
        return;
    agent_lost(w->agent, "the master is restored");
    later(w, 10 * SECOND);
    int opens = w->opens;
    const sent *h = newest(w, PW_MSG_HELLO);
    ok(h && !listed(h, 31), "forgotten jobs are not listed");
    welcome_with(w, EPOCH + 1, 1 << 20, NULL, 0);
    h = newest(w, PW_MSG_HELLO);
    ok(w->opens == opens + 1 && h && listed(h, 31) && listed(h, 31)->state == PW_JOB_KEPT,
       "a new epoch: greets again and lists them");
    msg_welcome_job want = {.epoch = EPOCH, .attempt = 31, .verdict = PW_RESUME, .window = 262144};
    forget_sent(w);
    settle(w);
    msg_welcome m = {.session = ++w->session,
                     .nonce = 0,
                     .epoch = EPOCH + 1,
                     .proto = 1,
                     .heartbeat_ms = 1000,
                     .window = 1 << 20,
                     .jobs = {&want, 1}};
    agent_lost(w->agent, "so that the nonce is at hand");
    later(w, 10 * SECOND);
    h = newest(w, PW_MSG_HELLO);
    ok(h && !listed(h, 31), "once");
    m.nonce = h ? h->m.u.hello.nonce : 0;
    deliver(w, PW_MSG_WELCOME, &m, NULL, 0);
    h = newest(w, PW_MSG_HELLO);
    ok(h && listed(h, 31), "but again when no welcome came to that list");
    welcome_with(w, EPOCH + 1, 1 << 20, &want, 1);
    ok(agent_session(w->agent) == SESSION_UP && shipped(w, 31) > 0,
       "the restored master gets what it wants");
}

int main(void)
{
    void (*const all[])(world *) = {windows, fairness, gaps, resync, new_epoch};
    return world_run(all, sizeof(all) / sizeof(all[0]));
}
