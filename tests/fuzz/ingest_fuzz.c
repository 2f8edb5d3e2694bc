/* Whatever a worker may send, into the master's side of the link: raw messages, and rightly framed
 * journals with payloads of the fuzzer's (it cannot guess session numbers and checksums). One
 * database for all inputs: nothing is ever committed, each input begins with the rows of the same
 * offered job. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "master/link/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct input {
    const uint8_t *p;
    size_t n;
} input;

static uint8_t byte(input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}
/* Some bytes: at most 255, or what is left. */
static input some(input *in)
{
    size_t n = byte(in);
    input out = {in->p, n < in->n ? n : in->n};
    in->p += out.n;
    in->n -= out.n;
    return out;
}

static agent a;

__attribute__((destructor)) static void world_end(void)
{
    agent_clear(&a);
    a.n = net_free(a.n);
}

static void world_once(void)
{
    if (a.n)
        return;
    net *n = net_new("projects: [{name: p, repository: /r.git}]\n"
                     "builders: [{name: unit, project: p, steps: [{name: make, run: x}]}]\n");
    pw_log_open(PW_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (crypt_init(NULL) < 0 || !n)
        abort();
    a = agent_init(n, "w1", 1, 7);
    look(n->w, 0, "master", 1);
    if (!agent_hello(&a) || !force(n->w, "unit") || !att(n->w, 1))
        abort();
    (void)agent_job(&a, store_epoch(n->w->st), 1);
}

/* Forgets all that this input did. */
static void reset(void)
{
    net *n = a.n;
    net_forget(n);
    world_forget(n->w);
    n->s = sessions_free(n->s);
    n->w->core = core_free(n->w->core);
    store_rollback(n->w->st);
    logs_forget_unsynced(n->logs);
    n->w->core = core_new(n->w->st, n->w->conf, &n->w->host, NULL);
    static const uint8_t mark[32] = {5};
    n->s =
        n->w->core ? sessions_new(n->w->core, n->logs, &n->w->host, mark, net_send, n, NULL) : NULL;
    if (!n->s)
        abort();
}

static void hello(input *in)
{
    uint64_t epoch = store_epoch(a.n->w->st);
    static char version[] = "1";
    msg_hello_job v[3];
    uint8_t bits = byte(in);
    msg_hello h = {.proto_min = 1,
                   .proto_max = 1,
                   .nonce = 9,
                   .spool = a.spool,
                   .boot = a.boot,
                   .version = version,
                   .slots = bits & 3,
                   .jobs = {v, bits >> 6}};
    for (size_t i = 0; i < 3; i++)
        v[i] =
            (msg_hello_job){epoch + (bits >> 5 & 1), byte(in), byte(in), byte(in), PW_JOB_RUNNING};
    a.peer = 1 + (bits >> 2 & 1);
    agent_give(&a, PW_MSG_HELLO, &h, NULL, 0);
    const session *s = sessions_of_worker(a.n->s, a.id);
    a.session = s ? s->id : 0;
}

/* Records of the right form with these payloads, from where the master stands. */
static void journal_of(input *in)
{
    uint8_t out[4096], before[4];
    size_t n = 0;
    const core_attempt *t = core_attempt_find(a.n->w->core, 1);
    uint32_t chain = t ? t->received_chain : 0;
    msg_journal m = {a.session, store_epoch(a.n->w->st), 1,
                     (t ? t->received : 0) + (byte(in) == 255), chain};
    for (int k = byte(in) & 7; k >= 0; k--) {
        uint8_t kind = byte(in) % 16 + 1, flags = byte(in);
        input payload = some(in);
        if (n + JOURNAL_HEAD + payload.n + JOURNAL_TAIL > sizeof(out))
            break;
        uint8_t *p = out + n;
        pw_put_le32(before, chain);
        pw_put_le32(p, (uint32_t)payload.n);
        memset(p + 4, 0, 8);
        p[4] = kind;
        p[5] = flags;
        memcpy(p + JOURNAL_HEAD, payload.p, payload.n);
        chain = pw_crc32c(pw_crc32c(0, before, 4), p, JOURNAL_HEAD + payload.n);
        pw_put_le32(p + JOURNAL_HEAD + payload.n, chain);
        n += JOURNAL_HEAD + payload.n + JOURNAL_TAIL;
    }
    agent_give(&a, PW_MSG_JOURNAL, &m, out, n);
}

static void synced(void)
{
    sessions *s = a.n->s;
    for (size_t i = 0; i < s->n_pend; i++)
        s->pend[i].ticket = 1;
    sessions_synced(s, 1, 0, "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    world_once();
    input in = {data, len};
    static char why[] = "x";
    reset();
    hello(&(input){(const uint8_t *)"\x42\x01\x00\xff", 4});
    while (in.n > 0) {
        uint8_t what = byte(&in);
        msg_reject r = {a.session, store_epoch(a.n->w->st), 1, why, 1};
        msg_heartbeat h = {.session = a.session, .free_slots = what >> 4};
        msg_bye b = {a.session, NULL};
        input head;
        switch (what % 10) {
        case 0:
            head = some(&in);
            sessions_message(a.n->s, a.peer, a.key, head.p, head.n, in.p, in.n);
            break;
        case 1:
            hello(&in);
            break;
        case 2:
            agent_give(&a, PW_MSG_REJECT, &r, NULL, 0);
            break;
        case 3:
            agent_give(&a, PW_MSG_HEARTBEAT, &h, NULL, 0);
            break;
        case 4:
            agent_give(&a, PW_MSG_BYE, &b, NULL, 0);
            break;
        case 5:
            synced();
            break;
        case 6:
            a.n->w->now += (pw_usec)byte(&in) * SECOND;
            core_tick(a.n->w->core);
            sessions_tick(a.n->s);
            break;
        case 7: {
            core_cmd *c = core_cmd_new(CMD_CANCEL_BUILD, NULL);
            if (!c)
                abort();
            c->id = 2;
            c->done = world_answer;
            c->done_self = a.n->w;
            core_command(a.n->w->core, c);
            break;
        }
        default:
            journal_of(&in);
        }
    }
    const core_attempt *t = core_attempt_find(a.n->w->core, 1);
    if (t && (t->stored > t->applied || t->received < t->stored))
        abort();
    return 0;
}
