/* Outgoing messages: their states, what is next, what is kept. */
#include <stdio.h>

#include "master/store/fixture.h"
#include "master/store/outbox.h"
#include "tests/tap.h"

enum { STATES = 4 };

static uint64_t add(store *s, const char *key, const char *target)
{
    uint64_t id = 99;
    return store_message_add(s, key, target, "{}", 1000, &id, NULL) == 0 ? id : 98;
}

static msg_state state_of(store *s, uint64_t id)
{
    store_message m;
    if (store_message_get(s, id, &m, NULL) < 0)
        return (msg_state)-1;
    msg_state st = m.state;
    store_message_clear(&m);
    return st;
}

static uint64_t next(store *s, const char *target)
{
    store_message m;
    if (store_message_next(s, target, &m, NULL) < 0)
        return 0;
    uint64_t id = m.body && strcmp(m.body, "{}") == 0 ? m.id : 97;
    store_message_clear(&m);
    return id;
}

/* Brings a fresh message into a state. */
static uint64_t in_state(store *s, msg_state st)
{
    static int n;
    char key[20];
    (void)snprintf(key, sizeof(key), "k%d", n++);
    uint64_t id = add(s, key, "walk");
    if (st == MSG_UNDER_WAY)
        (void)store_message_send(s, id, NULL);
    else if (st > MSG_UNDER_WAY)
        (void)store_message_end(s, id, st, "r", 2000, NULL);
    return id;
}

/* Every state and everything that can be said of it. */
static void walk(store *s)
{
    static const struct {
        const char *what;
        int to[STATES]; /* -1: not allowed */
    } table[] = {
        {"send", {MSG_UNDER_WAY, -1, -1, -1}},
        {"wait", {-1, MSG_WAITING, -1, -1}},
        {"sent", {MSG_SENT, MSG_SENT, -1, MSG_SENT}}, /* it was given up, and arrived after all */
        {"give up", {MSG_GIVEN_UP, MSG_GIVEN_UP, -1, -1}},
        {"again", {MSG_WAITING, -1, -1, MSG_WAITING}},
    };
    for (int e = 0; e < 5; e++)
        for (int st = 0; st < STATES; st++) {
            uint64_t id = in_state(s, (msg_state)st);
            pw_err err = {0};
            int r = e == 0   ? store_message_send(s, id, &err)
                    : e == 1 ? store_message_wait(s, id, 5000, "later", &err)
                    : e == 2 ? store_message_end(s, id, MSG_SENT, NULL, 3000, &err)
                    : e == 3 ? store_message_end(s, id, MSG_GIVEN_UP, "no", 3000, &err)
                             : store_message_again(s, id, 4000, &err);
            int want = table[e].to[st];
            ok(want < 0 ? r == PW_ECONFLICT && (int)state_of(s, id) == st
                        : r == 0 && (int)state_of(s, id) == want,
               "state %d, %s", st, table[e].what);
        }
    ok(store_message_end(s, 1, MSG_WAITING, NULL, 1, NULL) == PW_EINVAL, "waiting is no end");
    ok(store_message_send(s, 12345, NULL) == PW_ENOTFOUND, "no such message");
}

static void rows(store *s)
{
    store_message m = {0};
    uint64_t a = add(s, "build/1/x", "x"), b = add(s, "build/2/x", "x"),
             c = add(s, "build/2/y", "y");
    ok(a && b > a && c > b, "three messages");
    ok(add(s, "build/1/x", "x") == 0 && state_of(s, a) == MSG_WAITING, "a key is taken once");
    ok(next(s, "x") == a && next(s, "y") == c && next(s, "z") == 0, "the oldest of each target");
    (void)store_message_send(s, a, NULL);
    ok(next(s, "x") == a, "what is under way is first");
    (void)store_message_wait(s, a, 7000, "HTTP 500", NULL);
    (void)store_message_send(s, a, NULL);
    ok(store_message_get(s, a, &m, NULL) == 0 && m.tries == 2 && m.due == 7000 &&
           m.created == 1000 && !m.finished && strcmp(m.reason, "HTTP 500") == 0 &&
           strcmp(m.key, "build/1/x") == 0 && strcmp(m.target, "x") == 0 && !m.body,
       "two tries, the reason of the first");
    store_message_clear(&m);
    (void)store_message_end(s, a, MSG_SENT, NULL, 8000, NULL);
    ok(next(s, "x") == b, "then the next one");
    (void)store_message_end(s, b, MSG_GIVEN_UP, "404", 9000, NULL);
    ok(next(s, "x") == 0, "then none");
    (void)store_message_again(s, b, 9500, NULL);
    ok(store_message_get(s, b, &m, NULL) == 0 && m.tries == 0 && m.created == 9500 &&
           m.due == 9500 && !m.finished,
       "asked for again it begins anew");
    store_message_clear(&m);
    ok(add(s, "build/1/x", "x") == 0, "a key stays taken when its message was sent");
}

static int on_target(void *self, const char *target, uint64_t waiting, uint64_t sending)
{
    pw_buf *b = self;
    if (target[0] != 'w')
        (void)pw_buf_addf(b, "%s %d %d;", target, (int)waiting, (int)sending);
    return 0;
}

static int on_message(void *self, const store_message *m)
{
    (void)pw_buf_addf(self, "%s %d;", m->key, (int)m->state);
    return 0;
}

static void lists(store *s, const char *path)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    ok(store_message_targets(s, on_target, &b, NULL) == 0 &&
           strcmp(pw_buf_str(&b), "x 1 0;y 1 0;") == 0,
       "what waits, by target");
    uint64_t d = add(s, "build/3/y", "y");
    (void)store_message_send(s, next(s, "y"), NULL);
    ok(store_messages_give_up(s, "y", "gone", 9000, 1000, NULL) == 0 &&
           store_messages_give_up(s, NULL, "gone", 9000, 1000, NULL) == 0,
       "none of those is older");
    ok(store_messages_give_up(s, "y", "gone", 9000, 1001, NULL) == 1 &&
           state_of(s, d) == MSG_GIVEN_UP && state_of(s, next(s, "y")) == MSG_UNDER_WAY,
       "given up are those that wait");
    ok(store_commit(s, NULL) == 0, "committed");
    PW_AUTO(reader_closep) reader *r = reader_open(path, NULL);
    pw_buf_reset(&b);
    ok(r && reader_messages(r, -1, "y", 0, 10, on_message, &b, NULL) == 0 &&
           strcmp(pw_buf_str(&b), "build/3/y 3;build/2/y 1;") == 0,
       "read by target, newest first: %s", pw_buf_str(&b));
    pw_buf_reset(&b);
    ok(r && reader_messages(r, MSG_GIVEN_UP, NULL, d + 1, 1, on_message, &b, NULL) == 0 &&
           strcmp(pw_buf_str(&b), "build/3/y 3;") == 0,
       "read by state: %s", pw_buf_str(&b));
    (void)store_begin(s, NULL);
    ok(store_messages_expire(s, 3001, 2000, NULL) > 0 && state_of(s, d) == MSG_GIVEN_UP &&
           next(s, "walk") && store_messages_expire(s, 3001, 2000, NULL) == 0,
       "what ended before is removed, the rest stays");
}

static void latest(store *s)
{
    uint64_t project = 0, builder = 0, stamp = 0, build = 0;
    pw_result result = PW_NO_RESULT;
    store_rev rev = fixture_rev(1);
    (void)store_project_id(s, "p", &project, NULL);
    (void)store_builder_id(s, project, "b", &builder, NULL);
    (void)store_stamp_id(s, project, "master", &rev, &stamp, NULL);
    ok(store_latest_get(s, builder, "master", &build, &result, NULL) == PW_ENOTFOUND,
       "no build yet");
    (void)fixture_build(s, 20, builder, stamp, 1);
    (void)store_build_finish(s, 20, PW_FAILURE, NULL, 5, builder, "master", stamp, NULL);
    ok(store_latest_get(s, builder, "master", &build, &result, NULL) == 0 && build == 20 &&
           result == PW_FAILURE,
       "the newest");
}

int main(void)
{
    fixture f;
    fixture_init(&f);
    store *s = store_open(f.path, &f.host, NULL);
    if (s && store_begin(s, NULL) == 0) {
        rows(s);
        walk(s);
        lists(s, f.path);
        latest(s);
        store_rollback(s);
    } else {
        ok(false, "a database");
    }
    store_close(s);
    fixture_clear(&f);
    return tap_done();
}
