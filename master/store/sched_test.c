/* What schedulers wait for: written, read by the core, read by the web. */
#include "master/store/fixture.h"
#include "master/store/sched.h"

#include <stdio.h>

#include "tests/tap.h"

typedef struct seen {
    int n;
    char text[400];
} seen;

static int on_paused(void *p, const store_paused *r)
{
    seen *s = p;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%d %s %s %s %lld;", (int)r->kind, r->name,
                   r->reason, r->who, (long long)r->at);
    s->n++;
    return 0;
}

static int on_missed(void *p, const char *branch, uint64_t stamp, bool tagged, uint64_t change)
{
    seen *s = p;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%s %d %d %d;", branch, (int)stamp, tagged,
                   (int)change);
    s->n++;
    return 0;
}

static int on_outcome(void *p, const store_outcome *o)
{
    seen *s = p;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%d %d %d;", (int)o->state, (int)o->rode_with,
                   (int)o->result);
    s->n++;
    return 0;
}

static int on_change(void *p, const reader_change *c)
{
    seen *s = p;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%d:%d:%s;", (int)c->c.id, (int)c->held,
                   c->missed ? c->missed : "-");
    s->n++;
    return 0;
}

static int on_request(void *p, const reader_request *r)
{
    seen *s = p;
    s->n += (int)r->held;
    return 0;
}

static int on_held(void *p, const reader_held *h)
{
    seen *s = p;
    (void)snprintf(s->text, sizeof(s->text), "%s %s %d %d", h->project, h->branch, (int)h->since,
                   (int)h->requests);
    s->n++;
    return 0;
}

static void test_paused(store *s)
{
    store_paused a = {PAUSED_SCHEDULER, "push", "r", "ann", 5};
    store_paused b = {PAUSED_BUILDER, "web/unit", "r", "ann", 6};
    seen n = {0};
    ok(store_paused_put(s, &a, NULL) == 0 && store_paused_put(s, &b, NULL) == 0 &&
           (a.reason = "why not", a.at = 7, store_paused_put(s, &a, NULL)) == 0 &&
           store_paused_each(s, on_paused, &n, NULL) == 0 &&
           strcmp(n.text, "0 web/unit r ann 6;1 push why not ann 7;") == 0,
       "pauses; one more takes the place: %s", n.text);
    n = (seen){0};
    ok(store_paused_del(s, PAUSED_SCHEDULER, "push", NULL) == 0 &&
           store_paused_del(s, PAUSED_SCHEDULER, "push", NULL) == 0 &&
           store_paused_each(s, on_paused, &n, NULL) == 0 && n.n == 1,
       "and ends, however often it is said");
}

static void test_missed(store *s)
{
    seen n = {0};
    ok(store_missed_put(s, "push", "main", 3, 1, true, 9, NULL) == 0 &&
           store_missed_put(s, "push", "main", 4, 1, false, 11, NULL) == 0 &&
           store_missed_put(s, "push", "side", 5, 1, false, 0, NULL) == 0 &&
           store_missed_put(s, "push", "side", 6, 1, false, 12, NULL) == 0 &&
           store_missed_each(s, "push", on_missed, &n, NULL) == 0 &&
           strcmp(n.text, "main 4 1 9;side 6 0 12;") == 0,
       "the newest, from the oldest change on, tagged if any was: %s", n.text);
    n = (seen){0};
    ok(store_missed_del(s, "push", "side", NULL) == 0 &&
           store_missed_each(s, "push", on_missed, &n, NULL) == 0 && n.n == 1 &&
           store_missed_del(s, "push", NULL, NULL) == 0 &&
           store_missed_each(s, "push", on_missed, &n, NULL) == 0 && n.n == 1,
       "of one branch, of all");
}

static void test_decided(store *s)
{
    pw_result r = PW_NO_RESULT;
    uint64_t since = 0;
    ok(store_decided_get(s, 1, "main", &r, &since, NULL) == PW_ENOTFOUND, "nothing is known");
    ok(store_decided_put(s, 1, "main", 10, PW_FAILURE, NULL) == 0 &&
           store_decided_put(s, 1, "main", 12, PW_FAILURE, NULL) == 0 &&
           store_decided_get(s, 1, "main", &r, &since, NULL) == 0 && r == PW_FAILURE && since == 10,
       "red since the first");
    ok(store_decided_put(s, 1, "main", 11, PW_SUCCESS, NULL) == 0 &&
           store_decided_get(s, 1, "main", &r, &since, NULL) == 0 && r == PW_FAILURE,
       "an older build says nothing");
    ok(store_decided_put(s, 1, "main", 13, PW_SUCCESS, NULL) == 0 &&
           store_decided_get(s, 1, "main", &r, &since, NULL) == 0 && r == PW_SUCCESS && since == 13,
       "green since");
}

static void test_sets(store *s, uint64_t builder, uint64_t stamp)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(100);
    seen n = {0};
    uint64_t at = 0;
    (void)fixture_done(s, 21, builder, stamp, "main", PW_FAILURE, 5);
    (void)fixture_build(s, 31, builder, stamp, 6);
    ok(store_buildset_scheduler(s, 21, &name, &at, NULL) == 0 && at == stamp &&
           strcmp(pw_buf_str(&name), "quick") == 0,
       "who asked, for what");
    ok(store_buildset_add(s, 50, NULL, "r", "ann", stamp, 1, NULL) == 0 &&
           store_buildset_scheduler(s, 50, &name, &at, NULL) == PW_ENOTFOUND &&
           store_buildset_parent(s, 50, 21, NULL) == 0 &&
           store_buildset_parent(s, 51, 21, NULL) == PW_ENOTFOUND,
       "people did, or a step");
    ok(store_buildset_results(s, 21, on_outcome, &n, NULL) == 0 && strcmp(n.text, "2 0 2;") == 0,
       "done and red: %s", n.text);
    ok(store_buildset_follow(s, 21, NULL) == 1 && store_buildset_follow(s, 21, NULL) == 0,
       "followed once");
    n = (seen){0};
    ok(store_buildset_results(s, 31, on_outcome, &n, NULL) == 0 && n.n == 1 &&
           strncmp(n.text, "1 0 ", 4) == 0,
       "under way: %s", n.text);
}

static void test_readers(store *s, const char *path, uint64_t project, uint64_t stamp)
{
    PW_AUTO(reader_closep) reader *rd = reader_open(path, NULL);
    seen n = {0};
    uint64_t newest = 0, change = 0, held = 0;
    for (uint64_t id = 1; id <= 4; id++)
        (void)store_change_add(s, &(store_change){.id = id, .stamp = stamp, .at = 9}, NULL);
    ok(store_change_newest(s, stamp, &newest, NULL) == 0 && newest == 4 &&
           store_change_newest(s, 999, &newest, NULL) == 0 && newest == 0,
       "the newest change of a revision");
    ok(store_testfix_put(s, 30, project, "main", 4, 0, NULL) == 0 &&
           store_testfix_put(s, 30, project, "main", 3, 21, NULL) == 0 &&
           store_testfix_get(s, 30, &change, &held, NULL) == 0 && change == 3 && held == 21,
       "a request is held");
    (void)store_missed_put(s, "push", "main", stamp, project, false, 4, NULL);
    (void)store_commit(s, NULL);
    ok(rd && reader_changes(rd, NULL, NULL, 0, 10, on_change, &n, NULL) == 0 &&
           strcmp(n.text, "4:21:push;3:21:-;2:0:-;1:0:-;") == 0,
       "and the changes from the oldest on: %s", n.text);
    n = (seen){0};
    ok(rd && reader_held_all(rd, on_held, &n, NULL) == 0 && n.n == 1 &&
           strcmp(n.text, "web main 21 1") == 0,
       "on that branch: %s", n.text);
    n = (seen){0};
    ok(rd && reader_requests(rd, -1, 0, 10, on_request, &n, NULL) == 0 && n.n == 21,
       "the request shows it");
    n = (seen){0};
    ok(rd && reader_paused(rd, on_paused, &n, NULL) == 0 && n.n == 1, "pauses can be read");
    (void)store_begin(s, NULL);
    ok(store_testfix_del(s, 30, NULL) == 0 && store_testfix_del(s, 30, NULL) == 0 &&
           store_testfix_get(s, 30, &change, &held, NULL) == PW_ENOTFOUND,
       "until it is not");
    (void)store_commit(s, NULL);
}

int main(void)
{
    fixture f;
    uint64_t project = 0, builder = 0, stamp = 0;
    store_rev rev = fixture_rev(1);
    fixture_init(&f);
    {
        PW_AUTO(store_closep) store *s = store_open(f.path, &f.host, NULL);
        if (!s || store_begin(s, NULL) < 0 || store_project_id(s, "web", &project, NULL) < 0 ||
            store_builder_id(s, project, "unit", &builder, NULL) < 0 ||
            store_stamp_id(s, project, "main", &rev, &stamp, NULL) < 0)
            return 1;
        test_paused(s);
        test_missed(s);
        test_decided(s);
        test_sets(s, builder, stamp);
        test_readers(s, f.path, project, stamp);
    }
    fixture_clear(&f);
    return tap_done();
}
