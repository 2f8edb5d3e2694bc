/* Sessions and offers. */
#include "worker/agent/agent_world.h"

#include "shared/job/kind.h"

/* ---- sessions */

static void greeting(world *w)
{
    settle(w);
    const sent *h = newest(w, PW_MSG_HELLO);
    ok(h && w->opens == 1 && w->n == 1, "hello is the first message");
    if (!h)
        return;
    const msg_hello *m = &h->m.u.hello;
    ok(!strcmp(m->spool, w->home.id) && !strcmp(m->boot, w->home.boot) && m->slots == 3 &&
           m->proto_min == 1,
       "spool, boot, slots");
    ok(m->tags.n == 1 && !strcmp(m->tags.v[0], "linux") && m->features.n == JOB_KINDS + 2 &&
           m->facts.n >= 6 && m->jobs.n == 0,
       "tags, facts");
    msg_welcome wrong = {
        .session = 1, .nonce = m->nonce + 1, .epoch = EPOCH, .proto = 1, .heartbeat_ms = 10000};
    deliver(w, PW_MSG_WELCOME, &wrong, NULL, 0);
    ok(agent_session(w->agent) == SESSION_GREETING && agent_count(w->agent).dropped == 1,
       "another's welcome is dropped");
    welcome_with(w, EPOCH, 1 << 20, NULL, 0);
    const sent *b = newest(w, PW_MSG_HEARTBEAT);
    ok(agent_session(w->agent) == SESSION_UP && b && b->m.u.heartbeat.session == w->session,
       "welcome: a heartbeat at once");
    ok(b && b->m.u.heartbeat.free_slots == 3 && b->m.u.heartbeat.load_milli == 1500 &&
           !b->m.u.heartbeat.gate,
       "with slots and load");
    later(w, 10 * SECOND - 1);
    ok(count(w, PW_MSG_HEARTBEAT) == 1, "not before its time");
    later(w, 1);
    ok(count(w, PW_MSG_HEARTBEAT) == 2, "each 10 s");
    msg_ping ping = {.session = w->session, .ask = true};
    deliver(w, PW_MSG_PING, &ping, NULL, 0);
    ok(count(w, PW_MSG_HEARTBEAT) == 3, "and when asked");
    ping.session++;
    deliver(w, PW_MSG_PING, &ping, NULL, 0);
    ok(count(w, PW_MSG_HEARTBEAT) == 3 && agent_count(w->agent).dropped == 2,
       "another session's message is dropped, counted");
    agent_input(w->agent, "junk", 4, NULL, 0);
    ok(agent_count(w->agent).dropped == 3 && agent_session(w->agent) == SESSION_UP, "junk too");
    w->disk = 1 << 30;
    later(w, 10 * SECOND);
    b = newest(w, PW_MSG_HEARTBEAT);
    ok(b && b->m.u.heartbeat.gate && strstr(b->m.u.heartbeat.gate, "low disk"), "low disk is told");
    offer_job(w, (offer){.attempt = 900});
    ok(newest(w, PW_MSG_REJECT) && w->starts == 0, "and no job is taken then");
    w->disk = INT64_C(100) << 30;
    w->conf.high_load = 1;
    later(w, 10 * SECOND);
    b = newest(w, PW_MSG_HEARTBEAT);
    ok(b && b->m.u.heartbeat.gate &&
           !strcmp(b->m.u.heartbeat.gate, "high load: 1.50, less than 1 wanted"),
       "so is a high load");
    ok(b && b->m.u.heartbeat.wall_ms == (uint64_t)pw_wall(&host), "and its clock");
    w->conf.high_load = 2;
    later(w, 10 * SECOND);
    b = newest(w, PW_MSG_HEARTBEAT);
    ok(b && !b->m.u.heartbeat.gate, "below its limit there is no gate");
    w->conf.high_load = 0;
    ok(agent_session(w->agent) == SESSION_UP, "it lives, since the offer was a sign of life");
}

static void silence(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    later(w, 25 * SECOND - 1);
    ok(agent_session(w->agent) == SESSION_UP && w->open, "silent for just under 25 s");
    later(w, 1);
    ok(agent_session(w->agent) == SESSION_IDLE && !w->open && w->opens == 1, "25 s: over, closed");
    w->unreachable = true;
    pw_usec pause = agent_due(w->agent) - now_us;
    ok(pause >= 100000 && pause <= 200000, "first pause 0.2 s less up to half");
    later(w, pause);
    ok(w->opens == 2 && agent_session(w->agent) == SESSION_IDLE, "dials, and fails");
    w->unreachable = false;
    for (int i = 0; i < 20 && agent_session(w->agent) == SESSION_IDLE; i++)
        later(w, 10 * SECOND);
    const sent *h = newest(w, PW_MSG_HELLO);
    ok(agent_session(w->agent) == SESSION_GREETING && h && count(w, PW_MSG_HELLO) == 2,
       "reached after at most 10 s");
    ok(h && w->sent[0].m.u.hello.nonce != h->m.u.hello.nonce, "with a new nonce");
    later(w, 25 * SECOND);
    ok(agent_session(w->agent) == SESSION_IDLE, "no answer to hello for 25 s");
}

static void pauses(world *w)
{
    pw_usec least = INT64_MAX, most = 0;
    (void)start(w);
    w->unreachable = true;
    agent_tick(w->agent);
    for (int i = 0; i < 60; i++) {
        int before = w->opens;
        pw_usec from = now_us;
        while (w->opens == before)
            later(w, 50000);
        if (i >= 7) {
            least = now_us - from < least ? now_us - from : least;
            most = now_us - from > most ? now_us - from : most;
        }
    }
    ok(least >= 5 * SECOND && most <= 10 * SECOND + 50000 && most - least > SECOND,
       "pauses end between 5 and 10 s, and differ");
}

static void refusals(world *w)
{
    (void)start(w);
    settle(w);
    char reason[] = "busy: another agent has this key";
    msg_refused m = {.nonce =
                         newest(w, PW_MSG_HELLO) ? newest(w, PW_MSG_HELLO)->m.u.hello.nonce : 0,
                     .reason = reason,
                     .retry_ms = 3000};
    deliver(w, PW_MSG_REFUSED, &m, NULL, 0);
    ok(agent_session(w->agent) == SESSION_IDLE && !w->open, "refused: closed");
    later(w, 3 * SECOND - 1);
    ok(w->opens == 1, "waits as long as it was told");
    later(w, 1);
    ok(w->opens == 2 && count(w, PW_MSG_HELLO) == 2, "then greets again");
    msg_welcome old = {.session = 5,
                       .nonce =
                           newest(w, PW_MSG_HELLO) ? newest(w, PW_MSG_HELLO)->m.u.hello.nonce : 0,
                       .epoch = EPOCH,
                       .proto = 2,
                       .heartbeat_ms = 1};
    deliver(w, PW_MSG_WELCOME, &old, NULL, 0);
    ok(agent_session(w->agent) == SESSION_IDLE, "a protocol that it does not speak");
    (void)connect_with(w, NULL, 0, 1 << 20);
    agent_stop(w->agent, "stop");
    ok(newest(w, PW_MSG_BYE) && newest(w, PW_MSG_BYE)->m.u.bye.session == w->session, "bye");
    later(w, 100 * SECOND);
    ok(w->opens == 1, "and no more dialling");
}

/* ---- jobs */

static void one_job(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    offer_job(w, (offer){.attempt = 1});
    ok(w->starts == 1 && count(w, PW_MSG_JOURNAL) == 0,
       "accepted: a short job will be one message");
    later(w, SECOND);
    const sent *j = newest(w, PW_MSG_JOURNAL);
    ok(w->starts == 1 && j && j->m.u.journal.offset == 0 && j->m.u.journal.chain == 0 && j->n > 0,
       "a longer one shows that it was accepted");
    uint64_t header = j ? j->n : 0;
    offer_job(w, (offer){.attempt = 1});
    ok(w->starts == 1 && agent_count(w->agent).repeated == 1 && count(w, PW_MSG_REJECT) == 0,
       "offered twice: started once");
    ok(shipped(w, 1) == 2 * header, "and shipped again, the master has nothing");
    PW_AUTO(journal_writer_freep) journal_writer *r = runner_of(w, 1);
    ok(write_rec(r, PW_REC_START, 10) && write_rec(r, PW_REC_END, 10), "it runs");
    if (!r)
        return;
    forget_sent(w);
    note(w, 1, r);
    j = newest(w, PW_MSG_JOURNAL);
    ok(count(w, PW_MSG_JOURNAL) == 1 && j && j->m.u.journal.offset == header &&
           j->n == journal_length(r) - header,
       "what came is shipped in one message");
    ok(jobs_live(agent_jobs(w->agent)) == 0, "its slot is free when the end is shipped");
    ack(w, 1, journal_length(r), 262144);
    forget(w, 1);
    const agent_job *e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 1});
    ok(e && e->state == PW_JOB_KEPT, "forgotten");
    forget_sent(w);
    offer_job(w, (offer){.attempt = 1});
    ok(w->starts == 1 && shipped(w, 1) == journal_length(r),
       "offered again: nothing starts, all of it is shipped");
    ack(w, 1, journal_length(r), 262144);
    forget(w, 1);
    ok(agent_count(w->agent).stray == 0 && agent_count(w->agent).accepted == 1, "nothing strange");
}

/* Jobs that are not what their message says: each gets its final answer, nothing is started. */
static void malformed(world *w)
{
    static const char too_long[PW_JOB_MAX + 1];
    const struct {
        offer o;
        const char *why;
    } bad[] = {{{.attempt = 40, .raw = "", .raw_n = 0}, "has 0"},
               {{.attempt = 41, .raw = too_long, .raw_n = PW_JOB_MAX + 1}, "this one has"},
               {{.attempt = 42, .raw = "\xc1 no job", .raw_n = 8}, "cannot be read"},
               {{.attempt = 43, .inside = 44}, "another attempt"}};
    (void)connect_with(w, NULL, 0, 1 << 20);
    w->starts = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        offer_job(w, bad[i].o);
        const sent *r = newest(w, PW_MSG_REJECT);
        ok(r && r->m.u.reject.attempt == bad[i].o.attempt && !r->m.u.reject.retry_ms &&
               strstr(r->m.u.reject.reason, bad[i].why),
           "rejected for good: %s", bad[i].why);
    }
    ok(w->starts == 0 && jobs_open(agent_jobs(w->agent)) == 0, "none of them is in the spool");
}

static void rejections(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    w->starts = 0;
    offer_job(w, (offer){.attempt = 10, .must = "time-travel"});
    const sent *r = newest(w, PW_MSG_REJECT);
    ok(r && r->m.u.reject.attempt == 10 && strstr(r->m.u.reject.reason, "time-travel") &&
           !r->m.u.reject.retry_ms,
       "unknown feature");
    offer_job(w, (offer){.attempt = 11, .must = "checkout"});
    offer_job(w, (offer){.attempt = 12, .bad_digest = true});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 1 && r && r->m.u.reject.attempt == 12 && strstr(r->m.u.reject.reason, "digest"),
       "known feature; wrong digest");
    offer_job(w, (offer){.attempt = 13, .isolation = "podman:debian"});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 1 && r && r->m.u.reject.attempt == 13 &&
           strstr(r->m.u.reject.reason, "isolation"),
       "isolation not allowed here");
    offer_job(w, (offer){.attempt = 14, .isolation = "none"});
    offer_job(w, (offer){.attempt = 15});
    ok(w->starts == 3 && count(w, PW_MSG_REJECT) == 3, "three slots, three jobs");
    offer_job(w, (offer){.attempt = 16});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 3 && r && r->m.u.reject.attempt == 16 && r->m.u.reject.retry_ms > 0,
       "a fourth is rejected, with a time");
    PW_AUTO(journal_writer_freep) journal_writer *run = runner_of(w, 15);
    ok(write_rec(run, PW_REC_START, 1) && write_rec(run, PW_REC_END, 1), "one ends");
    if (run)
        note(w, 15, run);
    offer_job(w, (offer){.attempt = 16});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 3 && count(w, PW_MSG_REJECT) == 5 && r && r->m.u.reject.attempt == 16,
       "the same id gets the same answer");
    offer_job(w, (offer){.attempt = 17});
    ok(w->starts == 4, "another one is taken");
    msg_drain d = {.session = w->session};
    deliver(w, PW_MSG_DRAIN, &d, NULL, 0);
    offer_job(w, (offer){.attempt = 18});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 4 && r && r->m.u.reject.attempt == 18, "draining");
    PW_AUTO(pw_freep) char *p = pw_path_join(w->dir, "jobs");
    msg_cancel c = {.session = w->session, .epoch = EPOCH};
    for (c.attempt = 10; c.attempt < 20; c.attempt++) {
        deliver(w, PW_MSG_CANCEL, &c, NULL, 0);
        forget(w, c.attempt);
    }
    ok(p && jobs_live(agent_jobs(w->agent)) == 0 && jobs_open(agent_jobs(w->agent)) == 0,
       "cancelled and forgotten");
}

/* A journal that cannot be opened when the master wants it: the session goes on for the others, and
 * resync is asked for again. */
static void unreadable(world *w)
{
    if (!connect_with(w, NULL, 0, 1 << 20))
        return;
    offer_job(w, (offer){.attempt = 30});
    PW_AUTO(pw_freep) char *path = spool_path_journal(w->dir, (spool_job){EPOCH, 30});
    PW_AUTO(pw_freep) char *aside = path ? pw_strf("%s.aside", path) : NULL;
    PW_AUTO(journal_writer_freep) journal_writer *r = runner_of(w, 30);
    ok(write_rec(r, PW_REC_START, 1), "it runs");
    if (!aside || !r || !start(w))
        return;
    ok(rename(path, aside) == 0 && symlink("/nowhere", path) == 0, "its file cannot be opened");
    settle(w);
    /* a border that the agent does not know by heart */
    msg_welcome_job v = {.epoch = EPOCH, .attempt = 30, .verdict = PW_RESUME, .window = 1 << 20};
    agent_job *j = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 30});
    v.offset = j ? j->whole - JOURNAL_HEAD - JOURNAL_TAIL - 1 : 0;
    welcome_with(w, EPOCH, 1 << 20, &v, 1);
    int opens = w->opens;
    ok(agent_session(w->agent) == SESSION_UP && j && !j->shipping, "not resumed");
    ok(unlink(path) == 0 && rename(aside, path) == 0, "it can be opened again");
    later(w, 4 * SECOND);
    ok(agent_session(w->agent) == SESSION_UP && w->opens == opens, "a moment later");
    later(w, 2 * SECOND);
    settle(w);
    ok(w->opens == opens + 1 && agent_session(w->agent) != SESSION_UP, "the agent asks again");
    welcome_with(w, EPOCH, 1 << 20, &v, 1);
    settle(w);
    ok(shipped(w, 30) > 0, "and ships it");
}

int main(void)
{
    void (*const all[])(world *) = {greeting, silence,   pauses,     refusals,
                                    one_job,  malformed, rejections, unreadable};
    return world_run(all, sizeof(all) / sizeof(all[0]));
}
