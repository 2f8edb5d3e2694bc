/* A whole database from outside: the copy beside a writer, and each rule with a row that breaks it.
 */
#include "master/store/deep.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/store/deep_sql.h"
#include "master/store/fixture.h"
#include "master/store/impl.h"
#include "tests/tap.h"

static int run(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    int rc = sqlite3_open(path, &db);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, &why);
    if (rc != SQLITE_OK)
        printf("# %s: %s\n", sql, why ? why : "?");
    sqlite3_free(why);
    (void)sqlite3_close(db);
    return rc;
}

/* In memory: preparing some of the pragmas runs them. */
static void test_statements(void)
{
    sqlite3 *db = NULL;

    (void)sqlite3_open(":memory:", &db);
    for (size_t i = 0; i < STORE_SCHEMA; i++)
        (void)sqlite3_exec(db, store_migrations[i].sql, NULL, NULL, NULL);
    for (size_t i = 0; i < DEEP_STMTS; i++) {
        sqlite3_stmt *st = NULL;
        ok(sqlite3_prepare_v2(db, deep_sql[i].sql, -1, &st, NULL) == SQLITE_OK, "%s is valid%s%s",
           deep_sql[i].name, st ? "" : ": ", st ? "" : sqlite3_errmsg(db));
        (void)sqlite3_finalize(st);
    }
    (void)sqlite3_close(db);
}

/* ---- the copy */
struct writer {
    store *s;
    uint64_t turns, calls;
};

static void write_meanwhile(void *p, uint64_t done, uint64_t total)
{
    struct writer *w = p;

    w->calls += done <= total;
    if (store_begin(w->s, NULL) == 0 &&
        store_event_add(w->s, 1000 + w->turns, 1, EVENT_BUILD, 1, NULL) == 0 &&
        store_commit(w->s, NULL) == 0)
        w->turns++;
}

static void test_copy(fixture *f, store *s)
{
    PW_AUTO(pw_freep) char *to = pw_path_join(f->dir, "copy.db");
    PW_AUTO(pw_freep) char *wal = to ? pw_strf("%s-wal", to) : NULL;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1000);
    struct writer w = {.s = s};
    uint64_t turn = store_turn(s), workers;
    pw_err err = {0};
    store_facts facts;
    struct stat st;

    if (!to || !wal)
        return;
    ok(store_copy(f->path, to, write_meanwhile, &w, &err) == 0 && w.calls > 0 && w.turns == w.calls,
       "copied beside a writer that commits: %s", err.text);
    ok(stat(to, &st) == 0 && (st.st_mode & 0777) == 0600 && access(wal, F_OK) < 0,
       "one file, 0600");
    {
        PW_AUTO(store_deep_closep) store_deep *d = store_deep_open(to, &err);
        ok(d && store_deep_facts(d, &facts, &err) == 0 && facts.turn == turn &&
               facts.epoch == store_epoch(s) && facts.schema == STORE_SCHEMA,
           "it is the state of the commit that it began with");
        ok(d && store_deep_workers(d, &workers, &err) == 0 && workers == 0, "no worker has a key");
        ok(d && store_deep_config(d, &text, &err) == PW_ENOTFOUND, "no configuration yet");
        ok(d && store_deep_begin(d, &err) == 0, "a snapshot");
        if (d)
            store_deep_end(d);
    }
    ok(store_copy("/nonexistent/x", to, NULL, NULL, &err) == PW_ENOTFOUND, "no source: %s",
       err.text);
    ok(store_copy(f->path, "/nonexistent/x", NULL, NULL, &err) == PW_ESYS, "no room: %s", err.text);
    PW_AUTO(store_closep) store *back = store_open(to, &f->host, &err);
    uint64_t given = 9;
    ok(back && store_restored(back, "x", 5, &given, &err) == 0 && given == 0 &&
           store_epoch(back) != facts.epoch && store_turn(back) == 1,
       "a restored one begins a new epoch");
    ok(back &&
           run(to,
               "INSERT INTO outbox(id,key,target,body,state,tries,due,created) VALUES"
               "(1,'a','t','b',0,0,0,0),(2,'b','t','b',1,0,0,0),(3,'c','t','b',2,0,0,0)") == 0 &&
           store_restored(back, "x", 5, &given, &err) == 0 && given == 2,
       "what waits to be sent is given up");
}

static void test_strangers(const fixture *f)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(f->dir, "strange.db");
    pw_err err = {0};

    if (!path)
        return;
    (void)pw_fs_replace(path, "", 0, 0600, NULL);
    ok(!store_deep_open(path, &err) && err.code == PW_ENOTFOUND, "an empty file: %s", err.text);
    ok(run(path, "CREATE TABLE x(y)") == 0 && !store_deep_open(path, &err) &&
           err.code == PW_ECONFLICT,
       "another program's: %s", err.text);
    ok(run(path, "PRAGMA application_id=1348564844; PRAGMA user_version=99") == 0 &&
           !store_deep_open(path, &err) && err.code == PW_ECONFLICT && strstr(err.text, "newer"),
       "a newer one: %s", err.text);
    (void)pw_fs_replace(path, "this is no database, not at all, though it has some bytes", 57, 0600,
                        NULL);
    ok(!store_deep_open(path, &err) && err.code == PW_ECORRUPT, "junk: %s", err.text);
}

/* ---- rules */
struct seen {
    char rule[32], kind[32], text[200];
    uint64_t id;
    size_t n;
};

static int note(void *p, const char *rule, const char *kind, uint64_t id, const char *text)
{
    struct seen *s = p;

    (void)snprintf(s->rule, sizeof(s->rule), "%s", rule);
    (void)snprintf(s->kind, sizeof(s->kind), "%s", kind);
    (void)snprintf(s->text, sizeof(s->text), "%s", text);
    s->id = id;
    s->n++;
    return 0;
}

#define NOW INT64_C(1700000000000)
static const struct {
    const char *rule, *kind;
    uint64_t id;
    const char *sql; /* breaks it */
} breaks[] = {
    {"OFFSETS", "attempt", 1, "UPDATE attempt SET stored=applied+1 WHERE id=1"},
    {"ATTEMPT_BUILD", "attempt", 1, "UPDATE attempt SET build=77 WHERE id=1"},
    {"ATTEMPT_WORKER", "attempt", 1, "UPDATE attempt SET worker=77,state=2 WHERE id=1"},
    {"ATTEMPT_TWO", "build", 12,
     "UPDATE attempt SET state=1,build=12 WHERE id IN (1,2); UPDATE build SET state=2 WHERE id=12;"
     "UPDATE request SET state=1 WHERE id=11"},
    {"BUILD_REQUEST", "build", 2, "UPDATE build SET request=77 WHERE id=2"},
    {"BUILD_OPEN", "build", 12, "UPDATE build SET state=0 WHERE id=12"},
    {"BUILD_ATTEMPT", "build", 12,
     "UPDATE build SET state=2 WHERE id=12; UPDATE request SET state=1 WHERE id=11"},
    {"BUILD_DONE", "build", 2, "UPDATE attempt SET state=1 WHERE id=1"},
    {"BUILD_RESULT", "build", 2, "UPDATE build SET result=NULL WHERE id=2"},
    {"BUILD_TWO", "request", 1, "UPDATE build SET request=1 WHERE id=12"},
    {"REQUEST_BUILD", "request", 1, "UPDATE request SET state=1,build=NULL WHERE id=1"},
    {"REQUEST_OPEN", "request", 1, "UPDATE request SET state=1 WHERE id=1"},
    {"REQUEST_STAMP", "request", 1, "UPDATE request SET stamp=77 WHERE id=1"},
    {"STEP_ATTEMPT", "attempt", 77,
     "INSERT INTO step(attempt,idx,name,kind,state) VALUES(77,0,1,0,2)"},
    {"LOG_ATTEMPT", "attempt", 77, "INSERT INTO log VALUES(77,0,0,0,0,0,1)"},
    {"FRAME_LOG", "attempt", 1, "INSERT INTO frame VALUES(1,5,0,0,1,0,0,0,0,0,1,0,1)"},
    {"FRAME_BYTES", "attempt", 1, "UPDATE frame SET raw_len=99 WHERE attempt=1"},
    {"INTENT_TWO", "promotion", 2,
     "INSERT INTO promotion(id,edge,project,source,target,rev,state,created) VALUES"
     "(1,'e',1,'a','b',x'00',0,1700000000000),(2,'e',1,'a','b',x'00',0,1700000000000)"},
    {"INTENT_OLD", "promotion", 1,
     "INSERT INTO promotion(id,edge,project,source,target,rev,state,created) VALUES"
     "(1,'e',1,'a','b',x'00',0,1699996399999)"},
    {"PIN_BUILD", "build", 77, "INSERT INTO pin VALUES(77,'ada',NULL,1)"},
    {"CLOCK", "worker", 1,
     "UPDATE attempt SET offered=1000000,ended=2000000;"
     "INSERT INTO step(attempt,idx,name,kind,state,started) VALUES(2,0,1,0,2,2060001)"},
    {"TOKEN_OLD", "token", 3,
     "INSERT INTO token(hash,id,name,scopes,creator,created,expires) VALUES"
     "(x'01',3,'t','read','me',1,1699999999999)"},
    {"ENROL_OLD", "worker", 1, "INSERT INTO enrol VALUES(1,x'00',1699999999999,NULL)"},
};
enum { BREAKS = sizeof(breaks) / sizeof(breaks[0]) };

static size_t look(const char *path, struct seen *s)
{
    pw_err err = {0};
    PW_AUTO(store_deep_closep) store_deep *d = store_deep_open(path, &err);

    *s = (struct seen){.n = 0};
    if (!d || store_deep_rules(d, NOW, note, s, &err) < 0) {
        printf("# %s\n", err.text);
        return 99;
    }
    return s->n;
}

static void test_rules(const fixture *f)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(f->dir, "rules.db");
    struct seen s;
    size_t rules = 0;

    if (!path)
        return;
#define COUNT(...) rules++;
    DEEP_RULES(COUNT)
    ok(rules == BREAKS, "each rule has a row that breaks it");
    for (size_t i = 0; i < BREAKS; i++) {
        (void)store_copy(f->path, path, NULL, NULL, NULL);
        if (i == 0)
            ok(look(path, &s) == 0, "nothing is wrong: %s %s", s.rule, s.text);
        if (run(path, breaks[i].sql) != SQLITE_OK)
            continue;
        (void)look(path, &s);
        ok(s.n == 1 && strcmp(s.rule, breaks[i].rule) == 0 && strcmp(s.kind, breaks[i].kind) == 0 &&
               s.id == breaks[i].id,
           "%s: %s %llu: %s (%zu)", breaks[i].rule, s.kind, (unsigned long long)s.id, s.text, s.n);
    }
}

static int count(void *p, const char *text)
{
    printf("# %s\n", text);
    ++*(size_t *)p;
    return 0;
}

static void test_integrity(const fixture *f)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(f->dir, "page.db");
    size_t n = 0;
    uint8_t junk[60];
    pw_err err = {0};

    if (!path || store_copy(f->path, path, NULL, NULL, NULL) < 0)
        return;
    {
        PW_AUTO(store_deep_closep) store_deep *d = store_deep_open(path, NULL);
        ok(d && store_deep_integrity(d, count, &n, &err) == 0 && n == 0, "sound");
    }
    FILE *file = fopen(path, "r+");
    memset(junk, 0xee, sizeof(junk));
    if (!file || fseek(file, 8 * 4096 + 4000, SEEK_SET) < 0 ||
        fwrite(junk, sizeof(junk), 1, file) != 1)
        return;
    (void)fclose(file);
    /* a page that is free or all content stays sound in structure: break an index for sure */
    ok(run(path, "PRAGMA writable_schema=1; UPDATE sqlite_schema SET rootpage="
                 "(SELECT rootpage FROM sqlite_schema WHERE name='build_stamp')"
                 " WHERE name='build_builder'") == SQLITE_OK,
       "two indexes on one page");
    PW_AUTO(store_deep_closep) store_deep *d = store_deep_open(path, NULL);
    ok(d && (store_deep_integrity(d, count, &n, &err) < 0 || n > 0), "damage is found: %s",
       err.text);
}

int main(void)
{
    fixture f;
    pw_err err = {0};
    uint64_t project, builder, stamp, worker;
    const store_rev rev = fixture_rev(1);

    fixture_init(&f);
    PW_AUTO(store_closep) store *s = store_open(f.path, &f.host, &err);
    bool fine = s && store_begin(s, &err) == 0 && store_project_id(s, "p", &project, &err) == 0 &&
                store_builder_id(s, project, "b", &builder, &err) == 0 &&
                store_stamp_id(s, project, "master", &rev, &stamp, &err) == 0 &&
                store_worker_add(s, "w", 1, &worker, &err) == 0 &&
                fixture_done(s, 2, builder, stamp, "master", PW_SUCCESS, 10) == 0 &&
                fixture_done(s, 12, builder, stamp, "master", PW_SUCCESS, 10) == 0;
    for (uint64_t id = 1; fine && id <= 2; id++) {
        const store_attempt a = {.id = id,
                                 .epoch = store_epoch(s),
                                 .build = id == 1 ? 2 : 12,
                                 .worker = worker,
                                 .state = ATT_FORGOTTEN,
                                 .applied = 10,
                                 .stored = 10,
                                 .result = PW_SUCCESS};
        const uint8_t digest[32] = {0};
        fine = store_attempt_add(s, &a, digest, &err) == 0;
    }
    const store_log l = {.attempt = 1, .bytes = 50, .packed = 50};
    const store_frame fr = {.attempt = 1, .raw_len = 50, .len = 50, .segment = 1};
    fine = fine && store_log_put(s, &l, &err) == 0 && store_frame_add(s, &fr, &err) == 0 &&
           store_commit(s, &err) == 0;
    ok(fine, "a small world: %s", err.text);
    if (fine) {
        test_statements();
        test_copy(&f, s);
        test_strangers(&f);
        test_rules(&f);
        test_integrity(&f);
    }
    s = store_close(s);
    fixture_clear(&f);
    return tap_done();
}
