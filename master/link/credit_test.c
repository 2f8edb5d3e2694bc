/* Windows of many jobs: their sum never exceeds what the master has memory for, and nobody waits
 * for ever (rules 5.6). */
#include "master/link/credit.h"

#include "master/link/fixture.h"

#include "tests/tap.h"

enum { WORKERS = 1000 };

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, collapse: false, steps: [{name: "
                           "make, run: x}]}]\n";

static void rules(void)
{
    const uint64_t total = SESSION_TOTAL_WINDOW, job = SESSION_JOB_WINDOW;
    ok(credit_window(1, 0) == job && credit_window(256, 255 * job) == job,
       "as many as fit have a whole window");
    ok(credit_window(257, 256 * job) == 0, "the next one waits");
    ok(credit_window(1000, 0) < total / 1000 && credit_window(1000, 0) > total / 2000,
       "of a thousand each has its share");
    ok(credit_window(1000, total - 1) == 1 && credit_window(1000, total) == 0 &&
           credit_window(1000, 2 * total) == 0,
       "never more than is left");
    ok(credit_too_much(257, job) && !credit_too_much(256, job) &&
           !credit_too_much(1000, credit_window(1000, 0)),
       "who has too much is told");
    uint64_t most = 0;
    for (uint64_t n = 257; n < 5000; n++) {
        uint64_t w = credit_window(n, 0);
        w += w / 4;
        if (n * w > most)
            most = n * w;
    }
    ok(most < total, "all with the most that they may keep still leave something");
}

static uint64_t sum(net *n, uint64_t *ret_least)
{
    uint64_t all = 0;
    core_attempt *a;
    *ret_least = UINT64_MAX;
    for (size_t pos = 0; n->w->core && (a = core_attempt_each(n->w->core, &pos));) {
        all += a->window;
        if (a->window < *ret_least)
            *ret_least = a->window;
    }
    return all;
}

/* A worker that joins, says hello and gets a job; committed by the caller, several at once. */
static void come(net *n, unsigned i)
{
    world *w = n->w;
    char name[16], spool[33];
    static char boot[] = "0123456789abcdef0123456789abcdef", version[] = "1";
    uint8_t once[32], key[32] = {1, (uint8_t)i, (uint8_t)(i >> 8)}, id[16] = {0};
    bool enrol = false;
    (void)snprintf(name, sizeof(name), "w%u", i);
    pw_put_le32(id, i + 1);
    pw_hex(id, 16, spool);
    command(w, CMD_WORKER_ADD, (say){.name = name});
    crypt_public(w->secret, once);
    (void)core_worker_join(w->core, core_key_owner(w->core, once, &enrol), once, name, key, NULL);
    command(w, CMD_FORCE, (say){.builder = "unit", .branch = "master", .reason = "because"});
    agent a = {.n = n, .peer = 10000 + i};
    memcpy(a.key, key, 32);
    msg_hello h = {.proto_min = PW_PROTO_MIN,
                   .proto_max = PW_PROTO_MAX,
                   .nonce = i + 1,
                   .spool = spool,
                   .boot = boot,
                   .version = version,
                   .slots = 1};
    agent_give(&a, PW_MSG_HELLO, &h, NULL, 0);
}

/* A thousand workers with a job each, that never ship anything: nobody gives a window back by
 * itself. */
static void many(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    uint64_t most = 0, least = 0, now = 0;
    if (!n)
        return;
    look(n->w, 0, "master", 1);
    for (unsigned i = 0; i < WORKERS && n->w->core && n->s; i++) {
        come(n, i);
        if (i % 20 != 19)
            continue;
        (void)world_go(n->w);
        net_forget(n);
        now = sum(n, &least);
        if (i + 1 == 200)
            ok(now == 200u * SESSION_JOB_WINDOW, "200 workers: whole windows");
        if (i % 100 == 99 && n->s) { /* some 100 workers a second */
            sessions_tick(n->s);
            now = sum(n, &least);
            (void)world_go(n->w);
            net_forget(n);
        }
        if (now > most)
            most = now;
    }
    sessions_figures f = {0};
    if (n->s)
        sessions_get_figures(n->s, &f);
    ok(f.sessions == WORKERS && n->w->core && figures(n->w).busy == WORKERS,
       "%d workers, each with a job", WORKERS);
    ok(most <= SESSION_TOTAL_WINDOW, "together never more than 64 MiB (%llu)",
       (unsigned long long)most);
    if (n->s)
        sessions_tick(n->s);
    now = sum(n, &least);
    ok(now <= SESSION_TOTAL_WINDOW && now > SESSION_TOTAL_WINDOW / 2 && least >= 32768 &&
           least <= SESSION_TOTAL_WINDOW / WORKERS,
       "each has a window of its share (%llu)", (unsigned long long)least);
    (void)world_go(n->w);
    net_forget(n);
    if (n->s)
        sessions_tick(n->s);
    (void)world_go(n->w);
    ok(n->n == 0, "and is told once");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    rules();
    many();
    return tap_done();
}
