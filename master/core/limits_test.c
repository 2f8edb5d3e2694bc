/* Times of the core, at the limit and one above (docs/protocol-rules.md 9): silence, offers, rows.
 */
#include "master/core/fixture.h"
#include "master/core/parts.h"
#include "master/store/reader.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders:\n"
                           "  - {name: unit, project: p, retries: 1, steps: [{run: make}]}\n";

enum { LOST_US = 600 * 1000000, DAY_MS = 24 * 3600 * 1000 };

/* Exactly so much time, in ticks of a second and a rest. */
static void pass(world *w, pw_usec us)
{
    while (us > 0 && w->core) {
        pw_usec step = us < SECOND ? us : SECOND;
        w->now += step;
        w->wall += step / 1000;
        core_tick(w->core);
        us -= step;
        (void)world_go(w);
    }
}

/* Attempt 1 of build 2 is offered to w1; w2 is there and has no slot yet. */
static world *offered(uint64_t id[2])
{
    world *w = world_new(conf);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    id[0] = worker(w, "w1", 1);
    id[1] = worker(w, "w2", 2);
    up(w, id[0], 7, 1);
    (void)force(w, "unit");
    return w;
}

static void first_record(void)
{
    uint64_t id[2];
    PW_AUTO(world_freep) world *w = offered(id);
    if (!w)
        return;
    pass(w, CORE_FIRST_RECORD_US);
    ok(count(w, CORE_OFFER) == 1 && count(w, CORE_DROP) == 0, "a first record may take 15 s");
    pass(w, 1);
    ok(count(w, CORE_DROP) == 1, "and not a microsecond more");
}

static void moves(void)
{
    uint64_t id[2];
    PW_AUTO(world_freep) world *w = offered(id);
    if (!w)
        return;
    down(w, id[0]);
    up(w, id[1], 8, 1);
    pass(w, CORE_MOVE_OFFER_US - 1);
    ok(count(w, CORE_OFFER) == 1, "an offer waits just under 30 s for its worker");
    pass(w, 1);
    ok(count(w, CORE_OFFER) == 2 && build(w, 2).tries == 1, "then it moves");
}

static void lost(void)
{
    uint64_t id[2];
    PW_AUTO(world_freep) world *w = offered(id);
    if (!w)
        return;
    start(w, 1);
    down(w, id[0]);
    up(w, id[1], 8, 1);
    pass(w, LOST_US - 1);
    ok(count(w, CORE_OFFER) == 1, "just under lost_after");
    pass(w, 1);
    ok(count(w, CORE_OFFER) == 2 && att_row(w, 1, NULL) == ATT_CLOSED, "fenced at lost_after");
}

static void observed(void)
{
    for (pw_usec before = 2 * SECOND; before <= 2 * SECOND + 1; before++) {
        uint64_t id[2];
        PW_AUTO(world_freep) world *w = offered(id);
        if (!w)
            return;
        start(w, 1);
        down(w, id[0]);
        up(w, id[1], 8, 1);
        pass(w, LOST_US - before);
        w->now += 3600 * (pw_usec)SECOND; /* one tick behind a long sleep */
        if (w->core)
            core_tick(w->core);
        (void)world_go(w);
        if (before > 2 * SECOND)
            ok(count(w, CORE_OFFER) == 1, "one tick adds two ticks, not a microsecond more");
        else
            ok(count(w, CORE_OFFER) == 2, "it adds two ticks");
    }
}

static int one_event(void *p, uint64_t seq, pw_msec at, event_kind kind, uint64_t id)
{
    (void)seq, (void)at, (void)kind, (void)id;
    ++*(unsigned *)p;
    return 0;
}
/* PW_ENOTFOUND: the first event is gone. */
static int first_event(const world *w)
{
    unsigned n = 0;
    PW_AUTO(reader_closep) reader *r = reader_open(w->path, NULL);
    return r ? reader_events(r, 0, 1000, one_event, &n, NULL) : PW_ENOMEM;
}

static void events(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w || !w->st)
        return;
    pw_msec from = w->wall;
    if (store_begin(w->st, NULL) < 0 || store_event_add(w->st, 1, from, EVENT_BUILD, 1, NULL) < 0 ||
        store_event_add(w->st, 2, from + 1000, EVENT_BUILD, 2, NULL) < 0 ||
        store_commit(w->st, NULL) < 0)
        return;
    world_restart(w, NULL);
    w->wall = from + DAY_MS;
    w->now += 10 * SECOND; /* housekeeping is due */
    if (w->core)
        core_tick(w->core);
    (void)world_go(w);
    ok(first_event(w) == 0, "an event is kept for 24 h");
    w->wall++;
    w->now += 61 * SECOND;
    if (w->core)
        core_tick(w->core);
    (void)world_go(w);
    ok(first_event(w) == PW_ENOTFOUND,
       "a millisecond more and it is gone: who asks for it is told");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    first_record();
    moves();
    lost();
    observed();
    events();
    return tap_done();
}
