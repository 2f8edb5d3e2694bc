/* The writer's other rows: tips, schedulers, workers, promotions, events, keys, configurations. */
#include <stdio.h>

#include "master/store/fixture.h"
#include "master/store/impl.h"
#include "tests/tap.h"

struct seen {
    size_t count;
    char text[200];
    store_worker worker; /* text not kept */
    pw_msec at;
};

static int on_tip(void *self, const char *ref, const store_rev *rev)
{
    struct seen *n = self;
    n->count++;
    (void)snprintf(n->text, sizeof(n->text), "%s %d", ref, rev->id[0]);
    return 0;
}
static int on_quiet(void *self, const char *scheduler, const char *branch, uint64_t stamp,
                    pw_msec due, bool tagged, uint64_t change)
{
    struct seen *n = self;
    n->count++;
    n->at = tagged && change == 8 ? due : -1;
    (void)snprintf(n->text, sizeof(n->text), "%s %s %d", scheduler, branch, (int)stamp);
    return 0;
}
static int on_worker(void *self, const store_worker *w)
{
    struct seen *n = self;
    n->count++;
    n->worker = *w;
    (void)snprintf(n->text, sizeof(n->text), "%s|%s|%s|%s|%s", w->name, w->tags ? w->tags : "-",
                   w->version ? w->version : "-", w->reason ? w->reason : "-",
                   w->who ? w->who : "-");
    return 0;
}
static int on_enrol(void *self, uint64_t worker, const uint8_t key[32], pw_msec expires)
{
    struct seen *n = self;
    n->count++;
    n->at = expires;
    (void)snprintf(n->text, sizeof(n->text), "%d %d", (int)worker, key[31]);
    return 0;
}
static int on_promotion(void *self, const store_promotion *p)
{
    struct seen *n = self;
    n->count++;
    (void)snprintf(n->text, sizeof(n->text), "%s %s %s %d %d", p->edge, p->source, p->target,
                   p->old.n, p->rev.id[0]);
    return 0;
}

static void test_changes(store *s)
{
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(100);
    store_rev r1 = fixture_rev(1), r2 = fixture_rev(2);
    struct seen n = {0};
    bool looked = true;
    uint64_t p = 0, stamp;
    pw_msec fired;

    (void)store_project_id(s, "web", &p, NULL);
    ok(store_project_looked(s, p, &looked, &head, NULL) == 0 && !looked && head.len == 0,
       "a new project was not looked at");
    ok(store_project_look(s, p, "main", NULL) == 0 &&
           store_project_looked(s, p, &looked, &head, NULL) == 0 && looked &&
           strcmp(pw_buf_str(&head), "main") == 0,
       "now it was");
    ok(store_project_look(s, p + 9, "main", NULL) == PW_ENOTFOUND, "no such project");
    ok(store_tip_put(s, p, "main", &r1, NULL) == 0 && store_tip_put(s, p, "main", &r2, NULL) == 0 &&
           store_tips(s, p, on_tip, &n, NULL) == 0 && n.count == 1 && strcmp(n.text, "main 2") == 0,
       "a tip moves");
    ok(store_tip_del(s, p, "main", NULL) == 0 && store_tip_del(s, p, "main", NULL) == PW_ENOTFOUND,
       "and goes once");
    ok(store_change_add(s, &(store_change){.id = 5, .stamp = 1, .at = 9, .author = (char *)"ann"},
                        NULL) == 0 &&
           store_change_add(s, &(store_change){.id = 5}, NULL) == PW_ECONFLICT,
       "a change has its id alone");
    n = (struct seen){0};
    ok(store_quiet_put(s, "q", "main", 3, 100, false, 7, NULL) == 0 &&
           store_quiet_put(s, "q", "main", 4, 200, true, 8, NULL) == 0 &&
           store_quiets(s, on_quiet, &n, NULL) == 0 && n.count == 1 && n.at == 200 &&
           strcmp(n.text, "q main 4") == 0,
       "a newer change delays");
    ok(store_quiet_del(s, "q", "main", NULL) == 0 &&
           store_quiet_del(s, "q", "main", NULL) == PW_ENOTFOUND,
       "a quiet end comes once");
    ok(store_schedule_get(s, "nightly", &fired, &stamp, NULL) == PW_ENOTFOUND &&
           store_schedule_put(s, "nightly", 55, 0, NULL) == 0 &&
           store_schedule_put(s, "nightly", 66, 7, NULL) == 0 &&
           store_schedule_get(s, "nightly", &fired, &stamp, NULL) == 0 && fired == 66 && stamp == 7,
       "the last firing of a scheduler");
}

static void test_workers(store *s)
{
    static const uint8_t key[32] = {[31] = 6}, spool[16] = {1}, boot[16] = {2};
    struct seen n = {0};
    uint64_t id = 0, id2 = 0;
    pw_err err;

    ok(store_worker_add(s, "w1", 10, &id, NULL) == 0 && id > 0, "a worker");
    ok(store_worker_add(s, "w1", 10, &id2, &err) == PW_ECONFLICT, "once: %s", err.text);
    ok(store_enrol_put(s, id, key, 77, NULL) == 0 && store_enrol_each(s, on_enrol, &n, NULL) == 0 &&
           n.count == 1 && n.at == 77,
       "is to be enrolled");
    ok(store_worker_join(s, id + 1, key, NULL) == PW_ENOTFOUND, "another cannot join");
    n = (struct seen){0};
    ok(store_worker_join(s, id, key, NULL) == 0 && store_enrol_each(s, on_enrol, &n, NULL) == 0 &&
           n.count == 0,
       "it joins, which ends the enrolment");
    ok(store_worker_hello(s, id, spool, boot, 4, "linux arm", "cpu=2", "1.0", 20, NULL) == 0 &&
           store_worker_seen(s, id, 30, NULL) == 0 &&
           store_worker_flags(s, id, true, false, false, 99, "hot", "ann", NULL) == 0 &&
           store_worker_each(s, on_worker, &n, NULL) == 0 && n.count == 1 && n.worker.has_key &&
           n.worker.key[31] == 6 && n.worker.spool[0] == 1 && n.worker.boot[0] == 2 &&
           n.worker.slots == 4 && n.worker.seen == 30 && n.worker.created == 10 &&
           n.worker.paused && !n.worker.draining && n.worker.quarantine == 99 &&
           strcmp(n.text, "w1|linux arm|1.0|hot|ann") == 0,
       "what is known of it: %s", n.text);
    ok(store_worker_seen(s, 99, 1, NULL) == PW_ENOTFOUND &&
           store_worker_hello(s, 99, spool, boot, 1, "", "", "", 1, NULL) == PW_ENOTFOUND &&
           store_worker_flags(s, 99, 0, 0, 0, 0, NULL, NULL, NULL) == PW_ENOTFOUND,
       "no worker 99");
    n = (struct seen){0};
    ok(store_enrol_put(s, id, key, 78, NULL) == 0 && store_worker_revoke(s, id, NULL) == 0 &&
           store_worker_each(s, on_worker, &n, NULL) == 0 && !n.worker.has_key &&
           n.worker.key[31] == 0 && store_enrol_each(s, on_enrol, &n, NULL) == 0 && n.count == 1,
       "a revoked one has neither key nor enrolment");
    (void)store_worker_join(s, id, key, NULL);
    n = (struct seen){0};
    ok(store_worker_flags(s, id, false, false, true, 0, NULL, NULL, NULL) == 0 &&
           store_worker_add(s, "w1", 50, &id2, NULL) == 0 && id2 == id &&
           store_worker_each(s, on_worker, &n, NULL) == 0 && !n.worker.removed &&
           !n.worker.has_key && !n.worker.paused && n.worker.created == 50,
       "a removed one comes back without key");
}

static void test_promotions(store *s)
{
    store_promotion p = {.id = 3,
                         .project = 1,
                         .edge = (char *)"main->stable",
                         .source = (char *)"main",
                         .target = (char *)"stable",
                         .rev = fixture_rev(4),
                         .created = 5};
    struct seen n = {0};
    pw_err err;

    ok(store_promotion_add(s, &p, NULL) == 0 &&
           store_promotions_open(s, on_promotion, &n, NULL) == 0 && n.count == 1 &&
           strcmp(n.text, "main->stable main stable 0 4") == 0,
       "an open promotion: %s", n.text);
    ok(store_promotion_end(s, 3, PROMO_OPEN, NULL, 6, &err) == PW_EINVAL, "%s", err.text);
    ok(store_promotion_end(s, 3, PROMO_DONE, NULL, 6, NULL) == 0 &&
           store_promotion_end(s, 3, PROMO_LOST, NULL, 7, &err) == PW_ECONFLICT &&
           store_promotion_end(s, 4, PROMO_LOST, NULL, 7, NULL) == PW_ENOTFOUND,
       "ends once: %s", err.text);
    n = (struct seen){0};
    ok(store_promotions_open(s, on_promotion, &n, NULL) == 0 && n.count == 0, "none is open");
    ok(store_edge_put(s, "main->stable", EDGE_WAITING, NULL, "no build", 6, NULL) == 0 &&
           store_edge_put(s, "main->stable", EDGE_DONE, &p.rev, NULL, 7, NULL) == 0,
       "where the edge stands");
}

static void test_misc(store *s)
{
    static const uint8_t hash[32] = {3};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8);
    int status = 0;
    uint64_t gen = 0;
    pw_err err;

    for (uint64_t i = 1; i <= 10; i++)
        (void)store_event_add(s, i, (pw_msec)i * 10, EVENT_BUILD, i, NULL);
    ok(store_events_expire(s, 35, 2, NULL) == 2 && store_events_expire(s, 35, 100, NULL) == 1 &&
           store_events_expire(s, 35, 100, NULL) == 0,
       "old events go, at most so many at once");
    ok(store_events_expire(s, 1000, 100, NULL) == 6, "the newest stays, however old");
    ok(store_idem_get(s, "key", &status, &b, NULL) == PW_ENOTFOUND &&
           store_idem_put(s, "key", 10, 201, "{}", NULL) == 0 &&
           store_idem_get(s, "key", &status, &b, NULL) == 0 && status == 201 &&
           strcmp(pw_buf_str(&b), "{}") == 0,
       "an answer is kept for its key");
    ok(store_idem_put(s, "long", 11, 200, "1234567", NULL) == 0 &&
           store_idem_get(s, "long", &status, &b, &err) == PW_ELIMIT,
       "one that is too long for the buffer: %s", err.text);
    ok(store_idem_expire(s, 10, 9, NULL) == 0 && store_idem_expire(s, 12, 1, NULL) == 1 &&
           store_idem_get(s, "key", &status, NULL, NULL) == PW_ENOTFOUND &&
           store_idem_get(s, "long", &status, NULL, NULL) == 0,
       "the oldest key goes first");
    pw_buf_clear(&b);
    b.failed = false;
    ok(store_config_last(s, &gen, &b, NULL) == PW_ENOTFOUND &&
           store_config_put(s, 1, "a", &gen, NULL) == 0 && gen == 1 &&
           store_config_put(s, 2, "b", &gen, NULL) == 0 && gen == 2 &&
           store_config_last(s, &gen, &b, NULL) == 0 && gen == 2 &&
           strcmp(pw_buf_str(&b), "b") == 0,
       "the last configuration");
    ok(store_audit_add(s, 1, "ann", "pause", "worker w1", NULL, NULL) == 0 &&
           store_token_put(s, hash, "ci", "read", 1, NULL) == 0 &&
           store_token_put(s, hash, "ci", "read write", 1, NULL) == 0,
       "audit and tokens");
}

int main(void)
{
    fixture f;
    store *s;

    fixture_init(&f);
    s = store_open(f.path, &f.host, NULL);
    if (s && store_begin(s, NULL) == 0) {
        test_changes(s);
        test_workers(s);
        test_promotions(s);
        test_misc(s);
        ok(store_commit(s, NULL) == 0, "all is committed");
    }
    s = store_close(s);
    fixture_clear(&f);
    return tap_done();
}
