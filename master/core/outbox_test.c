/* Outgoing messages in the core: a row in the turn that decided it, under way before it leaves, and
 * what becomes of it whatever ends the master. */
#include "master/core/fixture.h"

#include "master/core/parts.h"
#include "master/store/outbox.h"
#include "tests/tap.h"

#define P                                                                                          \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: unit, project: p, steps: [{run: x}]}, {name: any, project: p, collapse: "   \
    "false, retries: 0, steps: [{run: x}]}]\n"                                                     \
    "schedulers: [{name: push, kind: branch, project: p, branches: [master], builders: [unit]}]\n"
#define HOOK(name, more) "{kind: webhook, name: " name ", url: 'http://h', " more "}"
static const char conf[] = P "notify: [" HOOK("a", "events: [build]") "]\n";
static const char two[] = P "notify: [" HOOK("a", "events: [build, fixed, failure]") ", " HOOK(
    "b", "events: [fixed, promotion, worker_missing, worker_back], delivery: "
         "at_most_once") "]\n"
                         "promotions: [{name: up, kind: green, project: p, from: "
                         "master, to: stable, builders: [unit]}]\n";
static const char once[] = P "notify: [" HOOK("a", "events: [build], delivery: at_most_once") "]\n";
static const char none[] = P;

static void sending(world *w)
{
    pw_err err = {0};
    if (!w->core)
        return;
    (void)core_notify_open(w->core, "http://ci", &err);
    (void)world_go(w);
}

static void restart(world *w, const char *yaml)
{
    world_restart(w, yaml);
    sending(w);
}

typedef struct msg_now {
    int state; /* -1: no such row */
    uint64_t tries;
    pw_msec due;
    char key[100], reason[300];
} msg_now;
static msg_now msg(world *w, uint64_t id)
{
    store_message m;
    msg_now n = {.state = -1};
    if (!w->st || store_message_get(w->st, id, &m, NULL) < 0)
        return n;
    n.state = (int)m.state;
    n.tries = m.tries;
    n.due = m.due;
    (void)snprintf(n.key, sizeof(n.key), "%s", m.key);
    (void)snprintf(n.reason, sizeof(n.reason), "%s", m.reason ? m.reason : "");
    store_message_clear(&m);
    return n;
}

static bool msg_is(world *w, uint64_t id, msg_state state, uint64_t tries, const char *reason)
{
    msg_now n = msg(w, id);
    bool is = n.state == (int)state && n.tries == tries && strstr(n.reason, reason);
    if (!is)
        printf("# message %d: state %d, %d tries, \"%s\"\n", (int)id, n.state, (int)n.tries,
               n.reason);
    return is;
}

static void answer_wait(world *w, uint64_t id, uint64_t tries, notify_answer a, pw_usec wait,
                        const char *text)
{
    if (w->core)
        core_outbox_done(w->core, id, tries, a, wait, text);
    (void)world_go(w);
}
static void answer(world *w, uint64_t id, uint64_t tries, notify_answer a, const char *text)
{
    answer_wait(w, id, tries, a, 0, text);
}

/* A worker, and a repository that was seen. */
static uint64_t begin(world *w)
{
    sending(w);
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 4);
    return id;
}

/* A build of `any` that ends so; returns its id. */
static uint64_t built(world *w, const char *builder, pw_result result)
{
    uint64_t r = force(w, builder);
    run(w, last(w, CORE_OFFER)->attempt, result);
    return request(w, r).build;
}

static bool body_has(const seen *s, const char *what)
{
    bool is = s->job && memmem(s->job, s->job_len, what, strlen(what));
    if (!is)
        printf("# %.*s\n", (int)s->job_len, s->job ? (char *)s->job : "");
    return is;
}

static void one_after_the_other(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    uint64_t b = built(w, "any", PW_FAILURE);
    const seen *s = last(w, CORE_SEND);
    char key[60];
    (void)snprintf(key, sizeof(key), "build/%llu/a", (unsigned long long)b);
    ok(count(w, CORE_SEND) == 1 && s->id == 1 && s->attempt == 1 && s->index == 0 &&
           strcmp(s->text, key) == 0 && strcmp(msg(w, 1).key, key) == 0,
       "the build's end sends its message: %s", s->text);
    ok(body_has(s, "{\"event\":\"build\",\"key\":\"build/") && body_has(s, "\"site\":\"pawl\"") &&
           body_has(s, "\"result\":\"failure\",\"previous\":null") &&
           body_has(s, "\"project\":\"p\",\"builder\":\"any\",\"branch\":\"master\"") &&
           body_has(s, "\"url\":\"http://ci/builds/"),
       "with its facts");
    ok(msg_is(w, 1, MSG_UNDER_WAY, 1, ""), "which is under way in the database");
    (void)built(w, "any", PW_SUCCESS);
    (void)built(w, "any", PW_SUCCESS);
    ok(count(w, CORE_SEND) == 1 && msg_is(w, 2, MSG_WAITING, 0, "") &&
           msg_is(w, 3, MSG_WAITING, 0, ""),
       "others of the same target wait for it");
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    ok(msg_is(w, 1, MSG_SENT, 1, "") && count(w, CORE_SEND) == 2 && last(w, CORE_SEND)->id == 2 &&
           body_has(last(w, CORE_SEND), "\"previous\":\"failure\""),
       "then the next goes");
    answer(w, 2, 1, NOTIFY_REFUSED, "HTTP 404");
    ok(msg_is(w, 2, MSG_GIVEN_UP, 1, "HTTP 404") && last(w, CORE_SEND)->id == 3, "and the next");
    answer(w, 3, 1, NOTIFY_TAKEN, "");
    core_target_figures f = {0};
    ok(w->core && core_target_get(w->core, 0, &f) && f.open == 0 && f.sent == 2 &&
           f.given_up == 1 && strcmp(f.name, "a") == 0 && !core_target_get(w->core, 1, &f),
       "the figures");
    restart(w, NULL);
    ok(count(w, CORE_SEND) == 3, "after a restart nothing is sent again");
}

static void only_what_was_asked_for(void)
{
    PW_AUTO(world_freep) world *w = world_new(two);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_FAILURE);
    ok(count(w, CORE_SEND) == 1 && body_has(last(w, CORE_SEND), "\"event\":\"failure\""),
       "a failure, to whom it may concern");
    (void)built(w, "any", PW_EXCEPTION);
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    answer(w, 2, 1, NOTIFY_TAKEN, "");
    (void)built(w, "any", PW_SUCCESS);
    ok(count(w, CORE_SEND) == 4 && last(w, CORE_SEND)->index == 1 &&
           body_has(last(w, CORE_SEND), "\"event\":\"fixed\"") &&
           body_has(last(w, CORE_SEND), "\"previous\":\"failure\""),
       "fixed after a failure, the exception between says nothing; both side by side");
    uint64_t before = count(w, CORE_SEND);
    (void)built(w, "any", PW_SUCCESS);
    answer(w, 4, 1, NOTIFY_TAKEN, "");
    ok(count(w, CORE_SEND) == before, "fixed once");
}

/* An older build that ends late says nothing of the branch's state. */
static void late_builds(void)
{
    PW_AUTO(world_freep) world *w = world_new(two);
    if (!w)
        return;
    (void)begin(w);
    (void)force(w, "any");
    uint64_t old = last(w, CORE_OFFER)->attempt;
    (void)built(w, "any", PW_FAILURE);
    run(w, old, PW_SUCCESS);
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    ok(msg(w, 2).state == MSG_UNDER_WAY && msg(w, 3).state == -1 &&
           body_has(last(w, CORE_SEND), "\"event\":\"build\"") &&
           body_has(last(w, CORE_SEND), "\"previous\":null"),
       "it does not count as fixed");
}

static void killed(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    uint64_t r = force(w, "any"), id = last(w, CORE_OFFER)->attempt;
    start(w, id);
    core_attempt *a = att(w, id);
    rec_end e = {.result = PW_SUCCESS};
    if (!a)
        return;
    core_att_ended(w->core, a, &e); /* and killed before the commit */
    restart(w, NULL);
    ok(msg(w, 1).state == -1 && !done(w, request(w, r).build, PW_SUCCESS) &&
           count(w, CORE_SEND) == 0,
       "without its build's end there is no message");
    up(w, 1, 7, 4);
    end(w, id, PW_SUCCESS);
    ok(done(w, request(w, r).build, PW_SUCCESS) && msg_is(w, 1, MSG_UNDER_WAY, 1, "") &&
           count(w, CORE_SEND) == 1,
       "with it there is one");
    restart(w, NULL);
    ok(msg_is(w, 1, MSG_UNDER_WAY, 2, "") && count(w, CORE_SEND) == 2 &&
           strcmp(last(w, CORE_SEND)->text, msg(w, 1).key) == 0 && last(w, CORE_SEND)->attempt == 2,
       "killed while it was under way: sent again with the same key");
    ok(msg(w, 2).state == -1, "and no second one");
    answer(w, 1, 1, NOTIFY_LATER, "HTTP 500");
    ok(msg_is(w, 1, MSG_UNDER_WAY, 2, ""), "a failure of the first try does not count any more");
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    ok(msg_is(w, 1, MSG_SENT, 2, ""), "but its success does");
    answer(w, 1, 2, NOTIFY_LATER, "HTTP 500");
    ok(msg_is(w, 1, MSG_SENT, 2, "") && count(w, CORE_SEND) == 2, "and stays");
}

static void killed_at_most_once(void)
{
    PW_AUTO(world_freep) world *w = world_new(once);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    (void)built(w, "any", PW_SUCCESS);
    restart(w, NULL);
    ok(msg_is(w, 1, MSG_GIVEN_UP, 1,
              "the master was killed while it was being sent: it may have arrived") &&
           msg_is(w, 2, MSG_UNDER_WAY, 1, "") && count(w, CORE_SEND) == 2,
       "what may have arrived is not sent again, the next is sent");
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    ok(msg_is(w, 1, MSG_SENT, 1, ""), "when it is heard of after all, it was sent");
    answer(w, 2, 1, NOTIFY_UNSENT, "refused");
    ok(msg_is(w, 2, MSG_WAITING, 1, "refused"), "what did not leave may go again");
    world_pass(w, 3);
    answer(w, 2, 2, NOTIFY_SILENT, "no answer in time");
    ok(msg_is(w, 2, MSG_GIVEN_UP, 2, "no answer in time: it may have arrived"),
       "but not what left without an answer");
    up(w, 1, 7, 4);
    (void)built(w, "any", PW_SUCCESS);
    answer(w, 3, 1, NOTIFY_LATER, "HTTP 503");
    ok(msg_is(w, 3, MSG_GIVEN_UP, 1, "HTTP 503: it is sent at most once"), "nor what was answered");
}

static bool healthy(world *w)
{
    return ask(w, CMD_HEALTH, (say){0}) == 200;
}

static void backs_off(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    unsigned tries = 1;
    int64_t waits[12], second = 0, since = 0;
    /* every try fails at once; the seconds between them are counted */
    for (; second < 3600 && tries < 12 && w->core; second++, since++) {
        if (msg(w, 1).state == MSG_UNDER_WAY) {
            waits[tries - 1] = since;
            answer(w, 1, tries++, NOTIFY_UNSENT, "connection refused");
            since = 0;
        }
        world_pass(w, 1);
        if (second == 500)
            ok(healthy(w), "ten minutes are no alarm yet");
    }
    ok(tries == 12, "it is tried again and again");
    for (unsigned i = 2; i < tries - 1; i++) {
        int64_t most = i < 11 ? 1 << (i - 1) : 600;
        ok(waits[i] <= most + 1 && waits[i] >= most * 3 / 4, "after try %u a wait of %d s", i,
           (int)waits[i]);
    }
    ok(!healthy(w) && strstr(w->body, "notify a") && strstr(w->body, "connection refused"),
       "that is told by /healthz");
    while (w->core && msg(w, 1).state != MSG_UNDER_WAY && second++ < 7200)
        world_pass(w, 1);
    answer_wait(w, 1, tries++, NOTIFY_LATER, 900 * (pw_usec)SECOND, "HTTP 429");
    world_pass(w, 899);
    ok(msg_is(w, 1, MSG_WAITING, 12, "HTTP 429"), "the target's own time is kept");
    world_pass(w, 1);
    ok(msg_is(w, 1, MSG_UNDER_WAY, 13, ""), "then it goes");
    restart(w, NULL);
    ok(healthy(w) && msg_is(w, 1, MSG_UNDER_WAY, 14, ""), "also after a start of the master");
    if (w->core)
        w->wall += NOTIFY_GIVE_UP_MS;
    answer(w, 1, 14, NOTIFY_UNSENT, "connection refused");
    ok(msg_is(w, 1, MSG_GIVEN_UP, 14, "connection refused, for a day"), "given up after a day");
    up(w, 1, 7, 4);
    (void)built(w, "any", PW_SUCCESS);
    answer(w, 2, 1, NOTIFY_UNSENT, "x");
    world_pass(w, 610);
    ok(!healthy(w), "in trouble again");
    answer(w, 2, msg(w, 2).tries, NOTIFY_TAKEN, "");
    ok(msg(w, 2).state == MSG_SENT && healthy(w), "and well when one is taken");
}

/* A wait is kept over a restart. */
static void waits_over_a_restart(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    answer_wait(w, 1, 1, NOTIFY_LATER, 60 * (pw_usec)SECOND, "HTTP 503");
    world_pass(w, 20);
    restart(w, NULL);
    world_pass(w, 38);
    ok(msg_is(w, 1, MSG_WAITING, 1, "HTTP 503"), "the wait goes on");
    world_pass(w, 3);
    ok(msg_is(w, 1, MSG_UNDER_WAY, 2, ""), "and ends");
}

static void people(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    (void)built(w, "any", PW_SUCCESS);
    ok(ask(w, CMD_OUTBOX_RETRY, (say){.id = 9}) == 404 &&
           ask(w, CMD_OUTBOX_DROP, (say){.id = 9}) == 404,
       "there is no such message");
    ok(ask(w, CMD_OUTBOX_RETRY, (say){.id = 1}) == 409 &&
           ask(w, CMD_OUTBOX_DROP, (say){.id = 1}) == 409 && strstr(w->body, "is being sent"),
       "what is under way is left alone");
    ok(ask(w, CMD_OUTBOX_DROP, (say){.id = 2, .reason = "no use"}) == 202 &&
           msg_is(w, 2, MSG_GIVEN_UP, 0, "dropped by ann: no use"),
       "what waits can be dropped");
    answer_wait(w, 1, 1, NOTIFY_LATER, 3600 * (pw_usec)SECOND, "HTTP 429");
    ok(ask(w, CMD_OUTBOX_RETRY, (say){.id = 1}) == 202 && msg_is(w, 1, MSG_UNDER_WAY, 1, ""),
       "what waits can be sent at once");
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    ok(ask(w, CMD_OUTBOX_RETRY, (say){.id = 1}) == 409 && strstr(w->body, "was sent") &&
           ask(w, CMD_OUTBOX_DROP, (say){.id = 1}) == 409,
       "what was sent was sent");
    w->wall += 2 * NOTIFY_GIVE_UP_MS;
    ok(ask(w, CMD_OUTBOX_RETRY, (say){.id = 2, .idem = "k"}) == 202 &&
           msg_is(w, 2, MSG_UNDER_WAY, 1, ""),
       "what was given up can be sent after all");
    answer(w, 2, 1, NOTIFY_LATER, "HTTP 500");
    ok(msg_is(w, 2, MSG_WAITING, 1, "HTTP 500"), "and has its day anew");
    core_target_figures f = {0};
    ok(w->core && core_target_get(w->core, 0, &f) && f.open == 1, "one is open");
    restart(w, none);
    ok(msg_is(w, 2, MSG_GIVEN_UP, 1, "its target was removed from the configuration") &&
           ask(w, CMD_OUTBOX_RETRY, (say){.id = 2}) == 409,
       "without its target it ends");
}

static void workers(void)
{
    PW_AUTO(world_freep) world *w = world_new(two);
    if (!w)
        return;
    uint64_t id = begin(w);
    down(w, id);
    world_pass(w, 599);
    up(w, id, 7, 4);
    ok(count(w, CORE_SEND) == 0, "a worker that comes back in time is not told");
    down(w, id);
    world_pass(w, 300);
    restart(w, NULL);
    world_pass(w, 599);
    ok(count(w, CORE_SEND) == 0, "only time that the master saw counts");
    world_pass(w, 2);
    ok(count(w, CORE_SEND) == 1 && last(w, CORE_SEND)->index == 1 &&
           body_has(last(w, CORE_SEND), "\"event\":\"worker_missing\"") &&
           body_has(last(w, CORE_SEND), "\"name\":\"w1\",\"state\":\"missing\""),
       "missing");
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    world_pass(w, 3000);
    restart(w, NULL);
    world_pass(w, 3000);
    ok(count(w, CORE_SEND) == 1, "once, whatever is started anew");
    up(w, id, 7, 4);
    ok(count(w, CORE_SEND) == 2 && body_has(last(w, CORE_SEND), "\"event\":\"worker_back\""),
       "back");
    answer(w, 2, 1, NOTIFY_TAKEN, "");
    char first[100];
    (void)snprintf(first, sizeof(first), "%s", msg(w, 1).key);
    down(w, id);
    world_pass(w, 601);
    ok(count(w, CORE_SEND) == 3 && strcmp(msg(w, 3).key, first) != 0,
       "missing again has another key: %s, %s", first, msg(w, 3).key);
}

static void promotions(void)
{
    PW_AUTO(world_freep) world *w = world_new(two);
    if (!w)
        return;
    (void)begin(w);
    core_candidate c = {rev(2), true};
    core_history h = {
        .from = rev(2), .to = rev(1), .to_in_from = true, .candidate = &c, .n_candidates = 1};
    push(w, 0, "master", 1, 2);
    run(w, last(w, CORE_OFFER)->attempt, PW_SUCCESS);
    if (w->core)
        core_history_read(w->core, 0, &h);
    (void)world_go(w);
    uint64_t id = last(w, CORE_PUSH)->id;
    if (w->core)
        core_push_done(w->core, id, CORE_PUSHED, "");
    (void)world_go(w);
    const seen *s = last(w, CORE_SEND);
    ok(id && s->index == 1 && body_has(s, "\"event\":\"promotion\"") &&
           body_has(s, "\"edge\":\"up\",\"project\":\"p\",\"from\":\"master\",\"to\":\"stable\"") &&
           body_has(s, "\"state\":\"done\""),
       "a promotion is told when it ends");
    if (w->core)
        core_push_done(w->core, id, CORE_PUSHED, "");
    (void)world_go(w);
    ok(msg(w, 3).state == -1, "once");
}

static void set_back(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    (void)built(w, "any", PW_SUCCESS);
    if (!w->core)
        return;
    world_stop(w);
    /* as a restore does: another epoch */
    w->st = store_open(w->path, &w->host, NULL);
    if (w->st && (store_begin(w->st, NULL) < 0 || store_new_epoch(w->st, NULL) < 0 ||
                  store_commit(w->st, NULL) < 0))
        w->st = store_close(w->st);
    size_t before = count(w, CORE_SEND);
    (void)world_load(w);
    sending(w);
    ok(msg(w, 1).state == MSG_GIVEN_UP &&
           msg_is(w, 2, MSG_GIVEN_UP, 0, "the database was set back") &&
           count(w, CORE_SEND) == before,
       "after a restore nothing is sent that may have been sent before");
    up(w, 1, 7, 4);
    uint64_t b = built(w, "any", PW_SUCCESS);
    ok(b > CORE_ID_SKIP && count(w, CORE_SEND) == before + 1, "what is new is sent, by a new key");
    (void)built(w, "any", PW_SUCCESS);
    if (w->core) {
        w->wall += 1000;
        core_new_epoch(w->core, "a mark");
    }
    (void)world_go(w);
    ok(msg_is(w, 4, MSG_WAITING, 0, "") && msg_is(w, 3, MSG_UNDER_WAY, 1, ""),
       "seen while it runs, what this life has made stays");
    ok(ask(w, CMD_OUTBOX_RETRY, (say){.id = 2}) == 202, "people may decide otherwise");
    w->wall += 60;
    answer(w, 3, 1, NOTIFY_TAKEN, "");
    ok(msg_is(w, 2, MSG_UNDER_WAY, 1, ""), "the oldest goes first");
}

static void expires(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    (void)built(w, "any", PW_SUCCESS);
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    world_pass(w, 70);
    ok(msg(w, 1).state == MSG_SENT, "what was sent is kept");
    w->wall += CORE_MESSAGES_MS;
    world_pass(w, 70);
    ok(msg(w, 1).state == -1 && msg(w, 2).state == MSG_UNDER_WAY, "for a week");
}

/* Nothing leaves before the web address is known; all of it then. */
static void not_open_yet(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 4);
    (void)built(w, "any", PW_SUCCESS);
    world_pass(w, 5);
    ok(msg_is(w, 1, MSG_WAITING, 0, "") && count(w, CORE_SEND) == 0, "it waits");
    sending(w);
    ok(msg_is(w, 1, MSG_UNDER_WAY, 1, "") && count(w, CORE_SEND) == 1, "and goes");
}

/* One message of a break, those that follow name it, one of its end. */
static void breaks(void)
{
    static const char yaml[] = P "notify: [" HOOK("a", "events: [break, fixed]") ", " HOOK(
        "b", "events: [failure, start]") "]\n";
    PW_AUTO(world_freep) world *w = world_new(yaml);
    if (!w)
        return;
    (void)begin(w);
    (void)built(w, "any", PW_SUCCESS);
    answer(w, last(w, CORE_SEND)->id, 1, NOTIFY_TAKEN, "");
    ok(count(w, CORE_SEND) == 1 && last(w, CORE_SEND)->index == 1 &&
           body_has(last(w, CORE_SEND), "{\"event\":\"start\",\"key\":\"start/"),
       "a start");
    char names[60];
    uint64_t red = built(w, "any", PW_FAILURE);
    (void)snprintf(names, sizeof(names), "\"break\":%llu}", (unsigned long long)red);
    uint64_t of_a = 0;
    for (uint64_t id = 2; msg(w, id).state >= 0; id++)
        of_a = strstr(msg(w, id).key, "/a") ? id : of_a;
    ok(msg_is(w, of_a, MSG_UNDER_WAY, 1, "") && body_has(last(w, CORE_SEND), names) &&
           body_has(last(w, CORE_SEND), "{\"event\":\"break\""),
       "a break, which has the id of its first build");
    answer(w, of_a, 1, NOTIFY_TAKEN, "");
    uint64_t sent = count(w, CORE_SEND);
    (void)built(w, "any", PW_FAILURE);
    ok(count(w, CORE_SEND) == sent, "the next failure is none");
    (void)built(w, "any", PW_SUCCESS);
    ok(count(w, CORE_SEND) == sent + 1 && body_has(last(w, CORE_SEND), names) &&
           body_has(last(w, CORE_SEND), "{\"event\":\"fixed\""),
       "its end names it");
}

/* Quiet hours hold everything back; the rate tells several in one. */
static void quiet_and_rate(void)
{
    static const char yaml[] =
        P "notify: [" HOOK("a", "events: [build], rate: {messages: 2, per: 60s}, quiet_hours: "
                                "{from: '23:00', to: '00:05'}") "]\n";
    PW_AUTO(world_freep) world *w = world_new(yaml);
    if (!w)
        return;
    (void)begin(w);
    for (int i = 0; i < 4; i++)
        (void)built(w, "any", PW_SUCCESS);
    ok(count(w, CORE_SEND) == 0 && msg_is(w, 1, MSG_WAITING, 0, ""), "it is quiet at midnight");
    world_pass(w, 310);
    ok(count(w, CORE_SEND) == 1 && msg_is(w, 1, MSG_UNDER_WAY, 1, "") &&
           body_has(last(w, CORE_SEND), "\"more\":3,\"others\":[{\"event\":\"build\""),
       "then one message tells all");
    ok(msg_is(w, 2, MSG_SENT, 0, "told in message 1") && msg_is(w, 4, MSG_SENT, 0, "message 1"),
       "and the others are told in it");
    answer(w, 1, 1, NOTIFY_TAKEN, "");
    core_target_figures f = {0};
    ok(w->core && core_target_get(w->core, 0, &f) && f.open == 0 && f.sent == 4, "all are sent");
    (void)built(w, "any", PW_SUCCESS);
    answer(w, 5, 1, NOTIFY_LATER, "HTTP 429");
    (void)built(w, "any", PW_SUCCESS);
    world_pass(w, 5);
    ok(count(w, CORE_SEND) == 2 && msg_is(w, 5, MSG_WAITING, 1, "HTTP 429"),
       "no third in the minute, not even again");
    world_pass(w, 60);
    ok(count(w, CORE_SEND) == 3 && msg_is(w, 5, MSG_UNDER_WAY, 2, ""), "but then");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    one_after_the_other();
    only_what_was_asked_for();
    late_builds();
    killed();
    killed_at_most_once();
    backs_off();
    waits_over_a_restart();
    people();
    workers();
    promotions();
    set_back();
    expires();
    not_open_yet();
    breaks();
    quiet_and_rate();
    return tap_done();
}
