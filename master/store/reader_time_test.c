/* A read transaction ends after 5 s, at the limit and one microsecond above. */
#include "master/store/fixture.h"

#include "tests/tap.h"

enum { EVENTS = 3000, LIMIT_US = 5000000 };

typedef struct walk {
    pw_usec now, slow; /* what the first row costs */
    unsigned rows;
} walk;

static pw_usec walk_now(void *self)
{
    return ((walk *)self)->now;
}

static int on_event(void *self, uint64_t seq, pw_msec at, event_kind kind, uint64_t id)
{
    walk *w = self;
    (void)seq, (void)at, (void)kind, (void)id;
    if (w->rows++ == 0)
        w->now += w->slow;
    return 0;
}

static int all(walk *w, reader *r, pw_usec slow, pw_err *err)
{
    w->rows = 0;
    w->slow = slow;
    *err = (pw_err){0};
    return reader_events(r, 0, EVENTS, on_event, w, err);
}

int main(void)
{
    fixture f;
    walk w = {.now = 77};
    pw_err err;
    const pw_host host = {walk_now, NULL, NULL, &w};

    fixture_init(&f);
    PW_AUTO(store_closep) store *s = store_open(f.path, &f.host, NULL);
    int rc = s ? store_begin(s, NULL) : -1;
    for (uint64_t i = 1; rc == 0 && i <= EVENTS; i++)
        rc = store_event_add(s, i, 1, EVENT_BUILD, i, NULL);
    if (rc == 0)
        rc = store_commit(s, NULL);
    PW_AUTO(reader_closep) reader *r = rc == 0 ? reader_open(f.path, NULL) : NULL;
    if (r) {
        reader_clock(r, &host);
        ok(all(&w, r, LIMIT_US, &err) == 0 && w.rows == EVENTS, "5 s are given: %s", err.text);
        ok(all(&w, r, LIMIT_US + 1, &err) == PW_EAGAIN && w.rows > 0 && w.rows < EVENTS,
           "a microsecond more ends it");
        ok(strstr(err.text, "longer than 5 s"), "and it says so: %s", err.text);
        ok(all(&w, r, 0, &err) == 0 && w.rows == EVENTS, "the next one has its own time");
        w.now += 10 * LIMIT_US;
        ok(all(&w, r, LIMIT_US, &err) == 0 && w.rows == EVENTS, "which begins when it begins");
    }
    r = reader_close(r);
    s = store_close(s);
    fixture_clear(&f);
    return tap_done();
}
