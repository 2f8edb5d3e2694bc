/* The beginning of a session: who may have it, and what happens to each job on either side
 * (rules 2). */
#include "master/link/resync.h"
#include "master/link/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

static void refuse(sessions *self, uint64_t peer, uint64_t nonce, const char *reason,
                   uint64_t retry_ms)
{
    msg_refused m = {nonce, (char *)(uintptr_t)reason, retry_ms};
    sessions_queue(self, peer, PW_MSG_REFUSED, &m, NULL, 0);
}

/* What others are at belongs to the epoch before: they say hello again. */
static void end_all(sessions *self, const char *why)
{
    session *s;
    for (size_t pos = 0; (s = pw_table_next(self->by_peer, &pos));) {
        refuse(self, s->peer, s->nonce, why, 1000);
        sessions_end(self, s, why);
    }
}

/* A valid mark newer than the database: somebody set the state directory back without `restore`. A
 * mark leaves after the commit of its turn, so none that is right is ahead. Returns whether the
 * worker has been in this epoch (or nowhere at all). */
static bool check_mark(sessions *self, const msg_hello *m)
{
    uint8_t mac[32];
    const store *st = core_store(self->core);
    if (m->mark.n != 32)
        return true;
    crypt_mac(self->mark_key, m->mark.p, 16, mac);
    if (!crypt_equal(mac, m->mark.p + 16, 16))
        return true;
    if (pw_le64(m->mark.p) == store_epoch(st) && pw_le64(m->mark.p + 8) > store_turn(st)) {
        end_all(self, "the master has a new epoch");
        core_new_epoch(
            self->core,
            "a worker knows a later state of this database: it was set back without restore");
    }
    return pw_le64(m->mark.p) == store_epoch(st);
}

/* Two agents, one key: the same spool replaces at once; another one waits until the old session
 * fails a ping. */
static bool may_have(sessions *self, uint64_t peer, uint64_t worker, const uint8_t spool[16],
                     const msg_hello *m)
{
    session *old = sessions_of_worker(self, worker);
    if (!old)
        return true;
    if (old->peer == peer || memcmp(old->spool, spool, 16) == 0) {
        sessions_end(self, old, "replaced by a newer session");
        return true;
    }
    self->fig.alarms++;
    pw_log(PW_LOG_ERROR, "two_agents_one_key", "worker=\"%s\"",
           core_worker_name(self->core, worker));
    if (!old->asked) {
        msg_ping p = {old->id, old->echo, true};
        old->asked = pw_now(self->host);
        sessions_queue(self, old->peer, PW_MSG_PING, &p, NULL, 0);
    }
    refuse(self, peer, m->nonce, "busy: another agent with this key is connected", 5000);
    return false;
}

static bool parse_ids(const msg_hello *m, uint8_t spool[16], uint8_t boot[16])
{
    char hex[33];
    size_t n = 0;
    for (const char *p = m->boot; *p && n < 32; p++) /* the kernel writes it with dashes */
        if (*p != '-')
            hex[n++] = *p;
    hex[n] = '\0';
    return pw_unhex(m->spool, spool, 16) && pw_unhex(hex, boot, 16);
}

static void verdict_for(sessions *self, const session *s, const msg_hello_job *j,
                        msg_welcome_job *v)
{
    core_attempt *a = core_attempt_find(self->core, j->attempt);
    if (a && a->epoch != j->epoch)
        a = NULL; /* the same number in another history */
    /* one of an earlier epoch is known too, when the restored rows have it */
    bool was = !a && core_attempt_was(self->core, j->epoch, j->attempt, s->worker);
    resync_fact f = {.this_epoch = a || was || j->epoch == store_epoch(core_store(self->core)),
                     .forgotten = was,
                     .open = a != NULL,
                     .start = j->start,
                     .length = j->length};
    if (a) {
        f.ours = a->worker == s->worker && memcmp(a->spool, s->spool, 16) == 0;
        f.closed = a->state > ATT_RUNNING;
        f.applied = a->received > a->applied ? a->received : a->applied;
        f.stored = a->stored;
    }
    *v = (msg_welcome_job){.epoch = j->epoch, .attempt = j->attempt, .verdict = PW_HOLD};
    switch (resync_decide(&f)) {
    case RESYNC_RESUME_CANCEL:
        v->cancel = true;
        __attribute__((fallthrough));
    case RESYNC_RESUME:
        assert(a); /* only what is open here is resumed */
        v->verdict = PW_RESUME;
        v->offset = a->stored;
        v->chain = a->stored_chain;
        v->window = sessions_window(self, a);
        /* what is received and not yet on disk stays known: the worker sends it once more, since
         * this master may end before it is stored */
        if (!f.closed)
            core_att_present(self->core, a);
        break;
    case RESYNC_FORGET:
        v->verdict = PW_FORGET;
        break;
    case RESYNC_HOLD_ALARM:
        self->fig.alarms++;
        pw_log(PW_LOG_ERROR, "foreign_job", "worker=\"%s\" attempt=%" PRIu64,
               core_worker_name(self->core, s->worker), j->attempt);
        break;
    case RESYNC_LOST:
        core_att_other(self->core, a, "the worker lost a part of its journal");
        break;
    case RESYNC_HOLD:
        break;
    }
}

static bool lists(const msg_hello *m, uint64_t epoch, uint64_t attempt)
{
    const msg_hello_job *j = m->jobs.v;
    for (size_t i = 0; i < m->jobs.n; i++)
        if (j[i].epoch == epoch && j[i].attempt == attempt)
            return true;
    return false;
}

/* settled false: the worker learns only now that there is a new epoch. It lists what it has
 * forgotten, but keeps, in its next hello (rules 6.7), so nothing of an earlier epoch is given
 * up before. Returns whether there is such a thing. */
static bool absent(sessions *self, const session *s, const msg_hello *m, bool rebooted,
                   bool settled)
{
    bool wait = false;
    core_attempt *a;
    for (size_t pos = 0; (a = core_attempt_next(self->core, s->worker, &pos));) {
        if (lists(m, a->epoch, a->id))
            continue;
        resync_absent f = {.same_spool = memcmp(a->spool, s->spool, 16) == 0,
                           .any = a->any,
                           .this_epoch = a->epoch == store_epoch(core_store(self->core)),
                           .closed = a->state > ATT_RUNNING};
        if (!settled && f.same_spool && !f.this_epoch) {
            wait = true;
            continue;
        }
        resync_fate fate = resync_absent_decide(&f);
        if (fate == FATE_REOFFER)
            core_att_reoffer(self->core, a);
        else if (fate == FATE_LOST)
            core_att_lost(self->core, a,
                          rebooted ? "the worker's machine was started anew"
                                   : "the worker does not have it any more");
    }
    return wait;
}

static int facts_text(const msg_hello *m, pw_buf *tags, pw_buf *facts)
{
    const msg_pair *f = m->facts.v;
    for (size_t i = 0; i < m->tags.n; i++)
        if (pw_buf_addf(tags, "%s%s", i ? " " : "", m->tags.v[i]) < 0)
            return PW_ELIMIT;
    for (size_t i = 0; i < m->facts.n; i++)
        if (pw_buf_addf(facts, "%s%s=%s", i ? "\n" : "", f[i].name, f[i].value) < 0)
            return PW_ELIMIT;
    return 0;
}

/* What is wrong with it whoever sends it; NULL: nothing. */
static const char *unfit(const msg_hello *m, uint8_t spool[16], uint8_t boot[16], pw_buf *tags,
                         pw_buf *facts)
{
    if (m->proto_min > PW_PROTO_MAX)
        return "this master is too old for that agent: upgrade the master";
    if (m->proto_max < PW_PROTO_MIN)
        return "that agent is too old for this master: upgrade the worker";
    if (!parse_ids(m, spool, boot))
        return "the hello's spool or boot id is malformed";
    if (m->slots > PW_SLOTS_MAX)
        return "a worker has at most 256 slots";
    if (facts_text(m, tags, facts) < 0)
        return "there is no room for the hello's tags and facts";
    return NULL;
}

void sessions_hello(sessions *self, uint64_t peer, uint64_t worker, const msg_hello *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf tags = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf facts = PW_BUF(65536);
    PW_AUTO(pw_freep) msg_welcome_job *verdict = NULL;
    pw_err err = {0};
    uint8_t spool[16], boot[16], mark[32];
    bool rebooted;
    const char *why = unfit(m, spool, boot, &tags, &facts);
    if (why) {
        refuse(self, peer, m->nonce, why, 60000);
        return;
    }
    if (!may_have(self, peer, worker, spool, m))
        return;
    if (pw_fault("resync.hello")) {
        refuse(self, peer, m->nonce, "fault point resync.hello", 200);
        return;
    }
    bool settled = check_mark(self, m);
    session *s = calloc(1, sizeof(*s));
    verdict = calloc(m->jobs.n + 1, sizeof(*verdict));
    if (!s || !verdict || pw_table_put(self->by_worker, worker, s, &err) < 0 ||
        pw_table_put(self->by_peer, peer, s, &err) < 0) {
        (void)pw_table_del(self->by_worker, worker);
        free(s);
        refuse(self, peer, m->nonce, "the master is out of memory", 5000);
        return;
    }
    *s = (session){.id = pw_random_u64(self->host),
                   .peer = peer,
                   .worker = worker,
                   .nonce = m->nonce,
                   .seen = pw_now(self->host),
                   .sent = pw_now(self->host)};
    memcpy(s->spool, spool, 16);
    core_attempt *of;
    for (size_t pos = 0; (of = core_attempt_next(self->core, worker, &pos));)
        of->window = 0; /* what was said in another session */
    self->credit_counted = false;
    core_hello h = {.slots = m->slots,
                    .tags = pw_buf_str(&tags),
                    .facts = pw_buf_str(&facts),
                    .version = m->version};
    memcpy(h.spool, spool, 16);
    memcpy(h.boot, boot, 16);
    core_worker_up(self->core, worker, &h, &rebooted);
    const msg_hello_job *j = m->jobs.v;
    size_t held = 0;
    for (size_t i = 0; i < m->jobs.n; i++) {
        verdict_for(self, s, &j[i], &verdict[i]);
        held += verdict[i].verdict == PW_HOLD;
    }
    core_worker_held(self->core, worker, held);
    bool again = absent(self, s, m, rebooted, settled);
    sessions_mark(self, mark);
    msg_welcome w = {.session = s->id,
                     .nonce = m->nonce,
                     .epoch = store_epoch(core_store(self->core)),
                     .mark = {mark, 32},
                     .proto = m->proto_max < PW_PROTO_MAX ? m->proto_max : PW_PROTO_MAX,
                     .heartbeat_ms = SESSION_HEARTBEAT_MS,
                     .window = SESSION_WORKER_WINDOW,
                     .jobs = {verdict, m->jobs.n}};
    sessions_queue(self, peer, PW_MSG_WELCOME, &w, NULL, 0);
    if (!again)
        core_tell_again(self->core, worker);
    if (again) {
        refuse(self, peer, m->nonce, "the master has a new epoch: say hello again", 200);
        sessions_end(self, s, "says hello again in the new epoch");
    }
}
