/* Who may ask for what: questions of jobs, and the answers' way back. */
#include "master/link/fixture.h"
#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: b, project: p, steps: [{run: x}]}]\n"
                           "schedulers: [{name: push, kind: branch, project: p}]\n";

typedef struct asker {
    size_t n;
    uint64_t attempt, ask, offset;
    int code;
} asker;

static int on_need(void *self, const core_attempt *a, const msg_need *m, pw_err *err)
{
    asker *k = self;
    k->n++;
    k->attempt = a->id;
    k->ask = m->ask;
    k->offset = m->offset;
    return k->code < 0 ? pw_fail(err, k->code, "all are busy") : 0;
}

static char from[] = "fast", name[] = "f";

static msg_need question(const agent *a, uint64_t attempt, uint64_t what)
{
    return (msg_need){.session = a->session,
                      .epoch = store_epoch(core_store(a->n->w->core)),
                      .attempt = attempt,
                      .ask = 9,
                      .what = what,
                      .from = from,
                      .name = name,
                      .offset = 3};
}

static bool refused(const net *n, const agent *a, const char *why, uint64_t retry_ms)
{
    const msg_blob *b = &got(n, a->peer, PW_MSG_BLOB)->m.u.blob;
    return b->error && strstr(b->error, why) && b->retry_ms == retry_ms && b->ask == 9 &&
           b->offset == 3;
}

int main(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    asker k = {0};
    if (!n)
        return tap_done();
    world_pass(n->w, 1);
    look(n->w, 0, "master", 1);
    agent a = agent_init(n, "w1", 1, 11), b = agent_init(n, "w2", 2, 12);
    a.slots = 1;
    ok(agent_hello(&a), "a worker");
    push(n->w, 0, "master", 1, 2);
    uint64_t attempt = got(n, a.peer, PW_MSG_JOB)->m.u.job.attempt;
    ok(attempt && agent_hello(&b), "has a job; another worker has none");
    msg_need q = question(&a, attempt, PW_NEED_LIST);
    agent_say(&a, PW_MSG_NEED, &q, NULL, 0);
    ok(refused(n, &a, "gives nothing", 0), "nobody gives anything");
    sessions_on_need(n->s, on_need, &k);
    agent_say(&a, PW_MSG_NEED, &q, NULL, 0);
    ok(k.n == 1 && k.attempt == attempt && k.ask == 9 && k.offset == 3, "a question is handed on");
    msg_need other = question(&b, attempt, PW_NEED_LIST);
    agent_say(&b, PW_MSG_NEED, &other, NULL, 0);
    ok(k.n == 1 && refused(n, &b, "does not know", 0), "not that of another worker");
    other = question(&a, attempt + 50, PW_NEED_LIST);
    agent_say(&a, PW_MSG_NEED, &other, NULL, 0);
    ok(k.n == 1 && refused(n, &a, "does not know", 0), "nor of an attempt that is not there");
    other = question(&a, attempt, PW_NEED_LIST);
    other.epoch++;
    agent_say(&a, PW_MSG_NEED, &other, NULL, 0);
    ok(k.n == 1, "nor of another epoch");
    other = question(&a, attempt, 7);
    agent_say(&a, PW_MSG_NEED, &other, NULL, 0);
    ok(k.n == 1 && refused(n, &a, "older than the worker", 0), "what only later versions know");
    other = question(&a, attempt, PW_NEED_FILE);
    other.name = NULL;
    agent_say(&a, PW_MSG_NEED, &other, NULL, 0);
    ok(k.n == 1 && refused(n, &a, "no file", 0), "a file without a name");
    k.code = PW_EFULL;
    agent_say(&a, PW_MSG_NEED, &q, NULL, 0);
    ok(k.n == 2 && refused(n, &a, "all are busy", 2000), "later");
    k.code = PW_ENOTFOUND;
    agent_say(&a, PW_MSG_NEED, &q, NULL, 0);
    ok(k.n == 3 && refused(n, &a, "all are busy", 0), "or never");

    net_forget(n);
    msg_blob answer = {
        .session = a.session, .epoch = q.epoch, .attempt = attempt, .ask = 9, .size = 5};
    sessions_blob(n->s, &answer, "12345", 5);
    sessions_flush(n->s);
    const sent *s = got(n, a.peer, PW_MSG_BLOB);
    ok(s->bulk_len == 5 && memcmp(s->bulk, "12345", 5) == 0 && s->m.u.blob.size == 5, "an answer");
    net_forget(n);
    uint64_t old = a.session;
    ok(agent_hello(&a) && a.session != old, "another session");
    sessions_blob(n->s, &answer, "12345", 5);
    sessions_flush(n->s);
    ok(got_count(n, a.peer, PW_MSG_BLOB) == 0, "an answer to the one before goes nowhere");
    (void)ask(n->w, CMD_CANCEL_BUILD, (say){.id = 2, .reason = "x"});
    q.session = a.session;
    agent_say(&a, PW_MSG_NEED, &q, NULL, 0);
    ok(k.n == 3 && (refused(n, &a, "is over", 0) || refused(n, &a, "does not know", 0)),
       "a closed attempt gets nothing");
    agent_clear(&a);
    agent_clear(&b);
    return tap_done();
}
