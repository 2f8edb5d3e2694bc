/* Logs and events: ranges, following, resuming, stopping while people listen. */
#include "master/http/fixture.h"

#include "master/http/impl.h"
#include "master/http/logtext.h"

#define LOG "/api/v1/builds/2/log/"

static bool body_is(const reply *r, const char *text)
{
    bool same = r->body_len == strlen(text) && memcmp(r->body, text, r->body_len) == 0;
    if (!same)
        printf("# \"%.*s\"\n", (int)(r->body_len < 200 ? r->body_len : 200), r->body);
    return same;
}

static void fill_logs(world *w)
{
    world_log_begin(w);
    bool fine = world_log(w, (log_key){WORLD_LOGGED, 1, 0}, "one\ntwo\r\nthr") == 0 &&
                world_log(w, (log_key){WORLD_LOGGED, 1, 0}, "ee\n\033[31mfo\033[0mur\n5") == 0;
    world_log_begin(w);
    fine = fine && world_log(w, (log_key){WORLD_LOGGED, 1, 1}, "oops\n") == 0;
    world_log_begin(w);
    fine = fine && world_log(w, (log_key){WORLD_LOGGED, 2, 0}, "10%\r20%\r") == 0 &&
           world_log(w, (log_key){WORLD_LOGGED, 2, 0}, "\ndone\r\n") == 0;
    ok(fine, "logs are filled");
}

static void test_log_parts(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, LOG "compile", &r) == 200 && body_is(&r, "one\ntwo\nthree\n\033[31mfo\033[0mur\n5\n"),
       "each line ends in one line feed");
    ok(has_header(&r, "Pawl-Lines: 5") && has_header(&r, "Pawl-Bytes: 30") &&
           has_header(&r, "Pawl-Done: true") && has_header(&r, "text/plain; charset=utf-8"),
       "headers");
    ok(get(w, LOG "compile?raw=1", &r) == 200 &&
           body_is(&r, "one\ntwo\r\nthree\n\033[31mfo\033[0mur\n5"),
       "raw is as it is");
    ok(get(w, LOG "1", &r) == 200 && r.body_len == 30 && get(w, LOG "1.stderr", &r) == 200 &&
           body_is(&r, "oops\n"),
       "by index, and its second stream");
    ok(get(w, LOG "compile.stderr", &r) == 200 && body_is(&r, "oops\n"), "NAME.stderr");
    ok(get(w, LOG "test%2Funit", &r) == 200 && body_is(&r, "10%\n20%\ndone\n"),
       "carriage returns end lines, across frames too");
    ok(get(w, LOG "0", &r) == 200 && body_is(&r, "") && has_header(&r, "Pawl-Lines: 0"),
       "a step called 0 before the one with that index; it printed nothing");
    ok(get(w, LOG "checkout", &r) == 200 && body_is(&r, "") && has_header(&r, "Pawl-Done: true"),
       "a step that printed nothing");
    ok(get(w, LOG "nothing", &r) == 404 && get(w, LOG "9", &r) == 404 &&
           get(w, "/api/v1/builds/3/log/0", &r) == 404,
       "no such step, index, build");
    ok(get(w, LOG "compile?from=2&lines=2", &r) == 200 && body_is(&r, "two\nthree\n"),
       "from and lines");
    ok(get(w, LOG "compile?from=5", &r) == 200 && body_is(&r, "5\n") &&
           get(w, LOG "compile?from=6", &r) == 200 && body_is(&r, ""),
       "from the last line, and beyond it");
    ok(get(w, LOG "compile?lines=0", &r) == 200 && body_is(&r, "") &&
           get(w, LOG "compile?lines=18446744073709551615", &r) == 200 && r.body_len == 30,
       "no lines, all lines");
    ok(get(w, LOG "compile?tail=2&raw=1", &r) == 200 && body_is(&r, "\033[31mfo\033[0mur\n5"),
       "tail");
    ok(get(w, LOG "compile?tail=0", &r) == 200 && body_is(&r, "") &&
           get(w, LOG "compile?tail=99", &r) == 200 && r.body_len == 30,
       "tail of nothing, of more than there is");
    ok(get(w, LOG "compile?from=0", &r) == 400 && get(w, LOG "compile?tail=1&from=2", &r) == 400 &&
           get(w, LOG "compile?attempt=0", &r) == 400 &&
           get(w, LOG "compile?attempt=2", &r) == 404 && get(w, LOG "compile?attempt=1", &r) == 200,
       "what does not go");
    ok(get(w, LOG "compile?grep=four", &r) == 200 && body_is(&r, "\033[31mfo\033[0mur\n"),
       "grep looks through colours");
    ok(get(w, LOG "compile?grep=t&from=3", &r) == 200 && body_is(&r, "three\n"),
       "grep from a line");
    ok(call(w, "GET", LOG "compile?grep=o", "Accept: application/json\r\n", NULL, &r) == 200 &&
           body_is(&r, "{\"items\":[{\"line\":1,\"text\":\"one\"},{\"line\":2,\"text\":\"two\"},{"
                       "\"line\":4,\"text\":\"four\"}],\"next\":null}\n"),
       "grep as JSON has line numbers");
    ok(call(w, "GET", LOG "compile?grep=zzz", "Accept: application/json\r\n", NULL, &r) == 200 &&
           body_is(&r, "{\"items\":[],\"next\":null}\n"),
       "and none is an empty list");
}

static void test_ranges(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(call(w, "GET", LOG "compile?raw=1", "Range: bytes=4-8\r\n", NULL, &r) == 206 &&
           body_is(&r, "two\r\n") && has_header(&r, "Content-Range: bytes 4-8/30"),
       "a range");
    ok(call(w, "GET", LOG "compile?raw=1", "Range: bytes=-1\r\n", NULL, &r) == 206 &&
           body_is(&r, "5"),
       "the last byte");
    ok(call(w, "GET", LOG "compile", "Range: bytes=4-\r\n", NULL, &r) == 206 &&
           has_header(&r, "bytes 4-29/30") && strncmp(r.body, "two\nthree\n", 10) == 0,
       "of the text as it is sent");
    ok(call(w, "GET", LOG "compile?raw=1", "Range: bytes=30-\r\n", NULL, &r) == 416 &&
           has_header(&r, "Content-Range: bytes */30"),
       "beyond the end");
    ok(call(w, "GET", LOG "compile?raw=1", "Range: bytes=29-29\r\n", NULL, &r) == 206 &&
           body_is(&r, "5"),
       "the end itself");
    ok(call(w, "GET", LOG "compile?raw=1", "Range: bytes=5-2\r\n", NULL, &r) == 200 &&
           call(w, "GET", LOG "compile?raw=1", "Range: lines=1-2\r\n", NULL, &r) == 200,
       "what is not understood is left out of account");
}

/* More than is sent in one piece: chunks, and every byte there. */
static void test_big(world *w)
{
    enum { LINES = 9000 };
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(4 << 20);
    bool fine = true;
    world_log_begin(w);
    for (int i = 0; i < 3; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf part = PW_BUF(4 << 20);
        for (int k = 0; k < LINES / 3; k++)
            (void)pw_buf_addf(&part, "line %d of the big log, with some text behind it\r\n",
                              i * LINES / 3 + k + 1);
        fine = fine && world_log(w, (log_key){4, 0, 0}, pw_buf_str(&part)) == 0;
        (void)pw_buf_add(&all, part.p, part.len);
    }
    ok(fine && store_begin(w->st, NULL) == 0 &&
           world_step(w, 4, 0, "checkout", STEP_DONE, PW_SUCCESS) == 0 &&
           store_commit(w->st, NULL) == 0,
       "a big log");
    ok(get(w, "/api/v1/builds/4/log/0?raw=1", &r) == 200 && has_header(&r, "chunked") &&
           r.body_len == all.len && memcmp(r.body, all.p, all.len) == 0,
       "raw, in chunks");
    ok(get(w, "/api/v1/builds/4/log/0", &r) == 200 && r.body_len == all.len - LINES, "as text");
    ok(get(w, "/api/v1/builds/4/log/0?from=8999", &r) == 200 &&
           strncmp(r.body, "line 8999 of", 12) == 0 && has_header(&r, "Pawl-Lines: 9000"),
       "the end of it");
    ok(get(w, "/api/v1/builds/4/log/0?grep=line+4711+", &r) == 200 &&
           strncmp(r.body, "line 4711 of", 12) == 0 &&
           r.body_len == strlen("line 4711 of the big log, with some text behind it\n"),
       "found in it");
}

static bool commit_events(world *w, event_kind kind, uint64_t id, size_t n)
{
    if (store_begin(w->st, NULL) < 0)
        return false;
    bool fine = true;
    for (size_t i = 0; i < n && fine; i++)
        fine = world_event(w, kind, id) == 0;
    fine = store_commit(w->st, NULL) == 0 && fine;
    web_events(w->web, w->event);
    return fine;
}

static void test_follow(world *w)
{
    log_key key = {WORLD_OPEN, 1, 0};
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_closep) int late = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1 << 20), b = PW_BUF(1 << 20);
    ok(client_send(fd, "GET", "/api/v1/builds/500/log/compile?follow=1", NULL, NULL) &&
           until(fd, &a, "HTTP/1.1 200") && until(fd, &a, "\r\n\r\n"),
       "follow a step that has not spoken");
    world_log_begin(w);
    ok(world_log(w, key, "first\r\nsec") == 0 && until(fd, &a, "first\nsec"),
       "its first words come");
    ok(client_send(late, "GET", "/api/v1/builds/500/log/compile?follow=1&tail=1", NULL, NULL) &&
           until(late, &b, "sec"),
       "one who comes later gets the tail");
    ok(world_log(w, key, "ond\n") == 0 && until(fd, &a, "ond\n") && until(late, &b, "ond\n"),
       "both go on");
    ok(store_begin(w->st, NULL) == 0 &&
           world_step(w, WORLD_OPEN, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
           world_log(w, key, "last") == 0 && store_commit(w->st, NULL) == 0 &&
           commit_events(w, EVENT_STEP, WORLD_OPEN, 1),
       "the step ends");
    ok(until(fd, &a, "last") && until(fd, &a, "\n\r\n0\r\n") && until(late, &b, "last") &&
           until(late, &b, "0\r\n"),
       "and so do they, with the line's end");
}

/* Reads a stream until `text` is in what came; nothing is dropped. */
static bool collect(int fd, pw_buf *b, const char *text)
{
    while (!b->len || !strstr(b->p, text)) {
        char *p = pw_buf_room(b, 4097);
        ssize_t n = p ? recv(fd, p, 4096, 0) : -1;
        if (n <= 0)
            return false;
        b->len += (size_t)n;
        b->p[b->len] = '\0';
    }
    return true;
}

/* Listeners that want only what is about something. Events that they are not told of move their
 * cursor all the same, told by blocks of an id alone. */
static void test_some_events(world *w)
{
    PW_AUTO(pw_closep) int build = client_open(w), branch = client_open(w), back = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1 << 20), b = PW_BUF(1 << 20), c = PW_BUF(1 << 20);
    PW_AUTO(reply_clear) reply r = {0};
    uint64_t epoch = store_epoch(w->st), from = w->event;
    char path[200];
    ok(client_send(build, "GET", "/api/v1/events?build=500", NULL, NULL) &&
           until(build, &a, "id: ") &&
           client_send(branch, "GET", "/api/v1/events?project=p&branch=stable", NULL, NULL) &&
           until(branch, &b, "id: "),
       "listeners to a build and a branch");
    ok(commit_events(w, EVENT_WORKER, w->worker, 3) && commit_events(w, EVENT_BUILD, 2, 1) &&
           commit_events(w, EVENT_STEP, WORLD_OPEN, 1) &&
           commit_events(w, EVENT_REQUEST, WORLD_OPEN - 1, 1) &&
           commit_events(w, EVENT_PROMOTION, 1, 1) && commit_events(w, EVENT_CHANGE, 1, 1),
       "much happens");
    ok(collect(build, &a, "event: request\n") && strstr(a.p, "event: step\n") &&
           !strstr(a.p, "event: worker") && !strstr(a.p, "event: build") &&
           !strstr(a.p, "event: promotion"),
       "of a build: its steps and its request, nothing else");
    ok(collect(branch, &b, "event: promotion\n") && !strstr(b.p, "event: build") &&
           !strstr(b.p, "event: step") && !strstr(b.p, "event: worker"),
       "of a branch: what is promoted to it");
    ok(commit_events(w, EVENT_WORKER, w->worker, 900), "more than the ring keeps");
    (void)snprintf(path, sizeof(path), "/api/v1/events?branch=master&last_event_id=%llx.%llu",
                   (unsigned long long)epoch, (unsigned long long)from);
    ok(client_send(back, "GET", path, NULL, NULL) && until(back, &c, "event: build\n") &&
           until(back, &c, "event: step\n") && until(back, &c, "event: request\n") &&
           until(back, &c, "event: promotion\n") && until(back, &c, "event: change\n") &&
           until(back, &c, "\r\nid: ") && commit_events(w, EVENT_BUILD, 6, 1) &&
           until(back, &c, "event: build\ndata: {\"id\":6,"),
       "one that comes back hears what it missed, and lives on");
    ok(get(w, "/api/v1/events?build=x", &r) == 400, "no number");
}

static void test_events(world *w)
{
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_closep) int again = client_open(w);
    PW_AUTO(pw_closep) int lost = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1 << 20), b = PW_BUF(4 << 20), c = PW_BUF(1 << 20);
    PW_AUTO(pw_freep) char *last = NULL;
    char first[64] = "";
    uint64_t before = w->event;
    ok(client_send(fd, "GET", "/api/v1/events", NULL, NULL) && until(fd, &a, "text/event-stream") &&
           until(fd, &a, "id: "),
       "listening");
    ok(commit_events(w, EVENT_BUILD, WORLD_OPEN, 1) && until(fd, &a, "\nid: ") &&
           until(fd, &a, "event: build\ndata: {\"id\":500,"),
       "an event comes");
    const char *dot = a.len ? strstr(a.p, "\"state\":\"running\"") : NULL;
    ok(dot != NULL, "as the object");
    ok(commit_events(w, EVENT_REQUEST, WORLD_WAITING, 1) &&
           until(fd, &a, "event: request\ndata: {\"id\":600,"),
       "a request");
    ok(commit_events(w, EVENT_STEP, WORLD_OPEN, 1) &&
           until(fd, &a, "event: step\ndata: {\"build\":500,\"items\":[{\"name\":\"checkout\""),
       "steps");
    ok(commit_events(w, EVENT_WORKER, w->worker, 1) &&
           until(fd, &a, "event: worker\ndata: {\"name\":\"w1\""),
       "a worker");
    ok(commit_events(w, EVENT_PROMOTION, 1, 1) &&
           until(fd, &a, "event: promotion\ndata: {\"id\":1"),
       "a promotion");
    ok(commit_events(w, EVENT_CHANGE, 77, 1) && until(fd, &a, "event: change\ndata: {\"id\":77}"),
       "one whose object is gone");
    uint64_t epoch = store_epoch(w->st);
    (void)snprintf(first, sizeof(first), "/api/v1/events?last_event_id=%llx.%llu",
                   (unsigned long long)epoch, (unsigned long long)before);
    ok(commit_events(w, EVENT_WORKER, w->worker, 900) &&
           client_send(again, "GET", first, NULL, NULL),
       "one comes back after 900 more");
    last = pw_strf("id: %llx.%llu\n", (unsigned long long)epoch, (unsigned long long)w->event);
    bool order = true;
    for (uint64_t k = before + 1; k <= w->event && order; k++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "id: %llx.%llu\n", (unsigned long long)epoch,
                       (unsigned long long)k);
        order = until(again, &b, id);
    }
    ok(order, "and gets each, in order");
    ok(last && until(fd, &a, last), "as does the one who stayed");
    ok(commit_events(w, EVENT_BUILD, 2, 1) && until(again, &b, "event: build\ndata: {\"id\":2,"),
       "and both live on");
    ok(client_send(lost, "GET", "/api/v1/events", "Last-Event-ID: 1234.9\r\n", NULL) &&
           until(lost, &c, "event: reset\n"),
       "an unknown id: reset");
    ok(commit_events(w, EVENT_BUILD, 4, 1) && until(lost, &c, "event: build\ndata: {\"id\":4,"),
       "and then live");
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/metrics", &r) == 200 &&
           has(&r, "pawl_builds_total{project=\"p\",builder=\"fast\",result=\"success\"} 1\n") &&
           has(&r, "pawl_builds_total{project=\"p\",builder=\"fast\",result=\"failure\"} 1\n") &&
           has(&r, "pawl_streams{kind=\"events\"} 3"),
       "builds were counted once each");
}

static void test_future(world *w)
{
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1 << 20);
    char head[100];
    (void)snprintf(head, sizeof(head), "Last-Event-ID: %llx.999999999\r\n",
                   (unsigned long long)store_epoch(w->st));
    ok(client_send(fd, "GET", "/api/v1/events", head, NULL) && until(fd, &a, "event: reset\n"),
       "an id that does not exist yet: reset");
}

/* Listeners, followers and a command that is never answered: stopping ends them all. */
static void test_stop(world *w)
{
    PW_AUTO(pw_closep) int listener = client_open(w);
    PW_AUTO(pw_closep) int follower = client_open(w);
    PW_AUTO(pw_closep) int asker = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1 << 20), b = PW_BUF(1 << 20), c = PW_BUF(1 << 20);
    core_cmd_kind kind = 0;
    uint64_t id;
    char seen[400];
    (void)pthread_mutex_lock(&w->lock);
    w->mute = true;
    w->kind = 0;
    (void)pthread_mutex_unlock(&w->lock);
    ok(client_send(listener, "GET", "/api/v1/events", NULL, NULL) && until(listener, &a, "id: ") &&
           client_send(follower, "GET", "/api/v1/builds/500/log/2?follow=1", NULL, NULL) &&
           until(follower, &b, "\r\n\r\n") &&
           client_send(asker, "POST", "/api/v1/builds/2/retry", "Authorization: Bearer t-admin\r\n",
                       "{}"),
       "three wait");
    while (kind != CMD_RETRY)
        world_saw(w, seen, &kind, &id);
    world_close(w);
    ok(until(asker, &c, "HTTP/1.1 503"), "the command is refused");
    ok(!until(listener, &a, "never") && !until(follower, &b, "never"), "the streams end");
}

int main(void)
{
    world w = {0};
    bool open = world_open(&w, false);
    ok(open, "a server");
    if (open) {
        fill_logs(&w);
        test_log_parts(&w);
        test_ranges(&w);
        test_big(&w);
        test_follow(&w);
        test_events(&w);
        test_some_events(&w);
        test_future(&w);
        test_stop(&w);
    } else {
        world_close(&w);
    }
    return tap_done();
}
