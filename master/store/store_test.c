/* The file itself: opening, turns, damage, a full disk, checkpoints. */
#include "master/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/store/fixture.h"
#include "master/store/impl.h"
#include "tests/tap.h"

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static bool meta_is(store *s, const char *key, const char *value)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100);

    return store_meta_get(s, key, &b, NULL) == 0 && strcmp(pw_buf_str(&b), value) == 0;
}

static void test_revisions(void)
{
    char out[2 * STORE_REV_MAX + 1];
    store_rev a, b = {0};

    ok(store_rev_parse("00112233445566778899AABBCCDDEEFF00112233", &a) && a.n == 20 &&
           a.id[10] == 0xaa,
       "a SHA-1 in any case");
    store_rev_text(&a, out);
    ok(strcmp(out, "00112233445566778899aabbccddeeff00112233") == 0, "its text");
    ok(store_rev_parse("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", &b) &&
           b.n == 32,
       "a SHA-256");
    ok(!store_rev_equal(&a, &b) && store_rev_equal(&a, &a), "the length counts");
    ok(!store_rev_parse("00112233445566778899aabbccddeeff0011223", &b) &&
           !store_rev_parse("00112233445566778899aabbccddeeff001122334", &b) &&
           !store_rev_parse("0011223344556677889gaabbccddeeff00112233", &b) &&
           !store_rev_parse("", &b) && !store_rev_parse(NULL, &b),
       "39 and 41 digits, a letter, nothing, NULL are refused");
    store_rev_text(&(store_rev){0}, out);
    ok(out[0] == '\0', "no revision has no text");
}

static void test_restart(fixture *f)
{
    PW_AUTO(store_closep) store *s = store_open(f->path, &f->host, NULL);
    struct stat st;
    uint64_t epoch, project, builder, again;

    ok(s != NULL, "a new database");
    if (!s)
        return;
    ok(stat(f->path, &st) == 0 && (st.st_mode & 0777) == 0600, "for its owner only");
    epoch = store_epoch(s);
    ok(epoch != 0 && store_turn(s) == 0, "a random epoch, no turn yet");
    ok(store_begin(s, NULL) == 0 && store_in_turn(s), "a turn begins");
    ok(store_begin(s, NULL) == PW_ECONFLICT, "only one at a time");
    ok(store_project_id(s, "web", &project, NULL) == 0 &&
           store_builder_id(s, project, "linux", &builder, NULL) == 0 &&
           store_meta_put(s, "k", "v1", NULL) == 0 && store_meta_put(s, "k", "v2", NULL) == 0,
       "rows are written");
    ok(store_commit(s, NULL) == 0 && !store_in_turn(s) && store_turn(s) == 1, "and committed");
    ok(store_commit(s, NULL) == PW_EINVAL, "nothing to commit now");
    s = store_close(s);
    s = store_open(f->path, &f->host, NULL);
    ok(s && store_epoch(s) == epoch && store_turn(s) == 1 && meta_is(s, "k", "v2"),
       "all is there after a restart");
    if (!s)
        return;
    ok(store_project_id(s, "web", &again, NULL) == 0 && again == project &&
           store_builder_id(s, project, "linux", &again, NULL) == 0 && again == builder,
       "names keep their ids, also outside a turn");
    ok(store_project_id(s, "new", &again, NULL) == PW_EINVAL, "but none is made there");
    ok(store_meta_put(s, "k", "v3", NULL) == PW_EINVAL && meta_is(s, "k", "v2"),
       "nothing is written outside a turn");
}

static void test_rollback(fixture *f)
{
    PW_AUTO(store_closep) store *s = store_open(f->path, &f->host, NULL);
    uint64_t epoch, turn, id, other;
    pw_err err;

    if (!s)
        return;
    epoch = store_epoch(s);
    turn = store_turn(s);
    ok(store_begin(s, NULL) == 0 && store_project_id(s, "gone", &id, NULL) == 0 &&
           store_meta_put(s, "k", "v9", NULL) == 0 && store_new_epoch(s, NULL) == 0,
       "a turn with a new epoch");
    ok(store_epoch(s) != epoch && store_turn(s) == 0, "it counts from the start");
    store_rollback(s);
    store_rollback(s);
    ok(store_epoch(s) == epoch && store_turn(s) == turn && meta_is(s, "k", "v2"),
       "is gone when rolled back");
    ok(store_begin(s, NULL) == 0 && store_project_id(s, "else", &other, NULL) == 0 && other == id &&
           store_project_id(s, "gone", &other, NULL) == 0 && other != id,
       "and its names are forgotten");
    ok(store_commit(s, &err) == PW_ESYS && store_in_turn(s), "a commit fails: %s", err.text);
    store_rollback(s);
    ok(store_turn(s) == turn && store_begin(s, NULL) == 0 && store_new_epoch(s, NULL) == 0 &&
           store_commit(s, NULL) == 0 && store_turn(s) == 1 && store_epoch(s) != epoch,
       "the next one does not");
}

/* A failed statement makes its whole turn fail, also when the caller did not look. */
static void test_full(fixture *f)
{
    PW_AUTO(store_closep) store *s = store_open(f->path, &f->host, NULL);
    PW_AUTO(pw_freep) char *big = calloc(1, 1 << 20);
    struct rlimit old, tight;
    struct stat st;
    uint64_t gen;
    pw_err err;

    if (!s || !big)
        return;
    memset(big, 'x', (1 << 20) - 1);
    (void)sqlite3_exec(s->c.db, "PRAGMA max_page_count=100", NULL, NULL, NULL);
    ok(store_begin(s, NULL) == 0 && store_meta_put(s, "k", "v4", NULL) == 0 &&
           store_config_put(s, 1, big, &gen, &err) == PW_EFULL,
       "the database is full: %s", err.text);
    ok(store_meta_put(s, "k", "v5", NULL) == PW_EFULL && store_commit(s, &err) == PW_EFULL,
       "the turn can only be rolled back: %s", err.text);
    store_rollback(s);
    ok(meta_is(s, "k", "v2"), "and has left nothing");
    (void)sqlite3_exec(s->c.db, "PRAGMA max_page_count=1000000", NULL, NULL, NULL);
    ok(store_begin(s, NULL) == 0 && store_config_put(s, 1, "a: b", &gen, NULL) == 0 && gen == 1 &&
           store_commit(s, NULL) == 0,
       "with room again it works again");

    /* the same by the system: no file may grow */
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = stat(f->path, &st) == 0 ? (rlim_t)st.st_size + 65536 : 0;
    (void)setrlimit(RLIMIT_FSIZE, &tight);
    ok(store_begin(s, NULL) == 0, "a turn begins on a full disk");
    if (store_config_put(s, 2, big, &gen, &err) == 0)
        ok(store_commit(s, &err) == PW_EFULL, "its commit finds no room: %s", err.text);
    else
        ok(err.code == PW_EFULL, "its statement finds no room: %s", err.text);
    store_rollback(s);
    (void)setrlimit(RLIMIT_FSIZE, &old);
    ok(store_begin(s, NULL) == 0 && store_config_put(s, 2, "a: c", &gen, NULL) == 0 && gen == 2 &&
           store_commit(s, NULL) == 0,
       "with room again it works again");
}

static void set_pragma(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    (void)sqlite3_open(path, &db);
    (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
    (void)sqlite3_close(db);
}

static void test_foreign(fixture *f)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(f->dir, "foreign.db");
    pw_err err = {0};

    if (!path)
        return;
    set_pragma(f->path, "PRAGMA user_version=7");
    ok(!store_open(f->path, &f->host, &err) && err.code == PW_ECONFLICT &&
           has(err.text, "schema 7"),
       "a newer schema is refused: %s", err.text);
    ok(!reader_open(f->path, &err) && err.code == PW_ECONFLICT, "by readers too: %s", err.text);
    set_pragma(f->path, "PRAGMA user_version=2");
    set_pragma(path, "CREATE TABLE moz(x)");
    ok(!store_open(path, &f->host, &err) && err.code == PW_ECONFLICT &&
           has(err.text, "foreign.db") && has(err.text, "another program"),
       "another program's too: %s", err.text);
    set_pragma(path, "PRAGMA application_id=5; PRAGMA user_version=2");
    ok(!store_open(path, &f->host, &err) && err.code == PW_ECONFLICT, "also with a known version");
    (void)unlink(path);
    ok(!reader_open(path, &err) && err.code == PW_ESYS && has(err.text, "foreign.db"),
       "a reader makes no database: %s", err.text);
    ok(!store_open("/nonexistent/folder/x.db", &f->host, &err) && err.code == PW_ESYS &&
           err.sys == ENOENT,
       "no folder: %s", err.text);
}

static int damage(const char *path, off_t at, size_t n)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t junk[4096];

    memset(junk, 0xee, sizeof(junk));
    return fd >= 0 && pwrite(fd, junk, n, at) == (ssize_t)n ? 0 : -1;
}

static int64_t root_of(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t page = 0;

    (void)sqlite3_open(path, &db);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        page = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return page;
}

static void test_damage(fixture *f)
{
    static const struct {
        const char *table, *sql;
    } tables[] = {
        {"latest", "SELECT rootpage FROM sqlite_schema WHERE name='latest'"},
        {"build", "SELECT rootpage FROM sqlite_schema WHERE name='build'"},
        {"attempt", "SELECT rootpage FROM sqlite_schema WHERE name='attempt_open'"},
    };
    pw_err err = {0};
    int64_t page;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        PW_AUTO(store_closep) store *s = NULL;
        (void)unlink(f->path);
        s = store_open(f->path, &f->host, NULL);
        s = store_close(s);
        page = root_of(f->path, tables[i].sql);
        err = (pw_err){0};
        ok(page > 1 && damage(f->path, (page - 1) * 4096, 100) == 0 &&
               !(s = store_open(f->path, &f->host, &err)) && err.code == PW_ECORRUPT &&
               has(err.text, tables[i].table) && has(err.text, "pawl.db"),
           "damage is named: %s", err.text);
    }
    ok(damage(f->path, 0, 100) == 0 && !store_open(f->path, &f->host, &err) &&
           err.code == PW_ECORRUPT && has(err.text, "pawl.db"),
       "a damaged header: %s", err.text);
    ok(truncate(f->path, 0) == 0, "an empty file");
    {
        PW_AUTO(store_closep) store *s = store_open(f->path, &f->host, NULL);
        ok(s && store_epoch(s) != 0, "becomes a new database");
        s = store_close(s);
        ok(truncate(f->path, 9 * 4096) == 0 && !(s = store_open(f->path, &f->host, &err)) &&
               err.code == PW_ECORRUPT,
           "a file cut short: %s", err.text);
    }
}

static void test_checkpoint(fixture *f)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(f->dir, "check.db");
    PW_AUTO(store_closep) store *s = path ? store_open(path, &f->host, NULL) : NULL;
    store_checkpointer *c = s ? store_checkpointer_open(path, NULL) : NULL;
    PW_AUTO(pw_freep) char *wal = path ? pw_strf("%s-wal", path) : NULL;
    struct stat st, db;
    uint64_t bytes = 99;

    if (!s || !c || !wal) {
        (void)store_checkpointer_close(c);
        return;
    }
    for (uint64_t i = 1; i <= 200; i++)
        if (store_begin(s, NULL) < 0 || store_event_add(s, i, 1, EVENT_BUILD, i, NULL) < 0 ||
            store_commit(s, NULL) < 0)
            break;
    ok(stat(wal, &st) == 0 && st.st_size > 200 * 4096, "nothing was checkpointed by itself");
    ok(store_begin(s, NULL) == 0 && store_event_add(s, 201, 1, EVENT_BUILD, 1, NULL) == 0,
       "the writer is in a turn");
    ok(store_checkpoint(c, &bytes, NULL) == 0 && bytes == 0, "a checkpoint beside it takes all");
    ok(store_commit(s, NULL) == 0 && store_checkpoint(c, &bytes, NULL) == 0 && bytes == 0,
       "and what it committed");
    ok(stat(wal, &st) == 0 && store_begin(s, NULL) == 0 &&
           store_event_add(s, 202, 1, EVENT_BUILD, 1, NULL) == 0 && store_commit(s, NULL) == 0 &&
           stat(wal, &db) == 0 && db.st_size == st.st_size,
       "the WAL starts anew in its old room");
    {
        PW_AUTO(reader_closep) reader *r = reader_open(path, NULL);
        ok(r && sqlite3_exec(s->c.db, "BEGIN; SELECT 1 FROM event", NULL, NULL, NULL) == SQLITE_OK,
           "a reader");
        (void)sqlite3_exec(s->c.db, "COMMIT", NULL, NULL, NULL);
    }
    c = store_checkpointer_close(c);
    s = store_close(s);
    ok(stat(wal, &st) != 0 || st.st_size == 0, "closing empties it");
}

static bool turn(store *s, uint64_t event)
{
    return store_begin(s, NULL) == 0 && store_event_add(s, event, 1, EVENT_BUILD, 1, NULL) == 0 &&
           store_commit(s, NULL) == 0;
}

/* A reader keeps the end of the WAL from the database: it is written again where it is, so that
 * nothing is built on bytes that only the kernel has. */
static void test_reader_at_start(fixture *f)
{
    char path[160], wal[180];
    const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    struct stat st;
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/again.db", f->dir);
    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    store *s = store_open(path, &f->host, NULL);
    ok(s && turn(s, 1) && sqlite3_open(path, &db) == SQLITE_OK &&
           sqlite3_exec(db, "BEGIN; SELECT count(*) FROM event", NULL, NULL, NULL) == SQLITE_OK &&
           turn(s, 2),
       "a turn that a reader does not see");
    PW_AUTO(pw_buf_clearp) pw_buf was = PW_BUF(1 << 20);
    PW_AUTO(pw_buf_clearp) pw_buf is = PW_BUF(1 << 20);
    ok(pw_fs_read(wal, 1 << 20, &was, NULL) == 0 && utimensat(AT_FDCWD, wal, old, 0) == 0,
       "the WAL");
    store *again = store_open(path, &f->host, NULL);
    ok(again && stat(wal, &st) == 0 && st.st_mtime != 1000, "is written at a start beside it");
    ok(pw_fs_read(wal, 1 << 20, &is, NULL) == 0 && is.len == was.len &&
           memcmp(is.p, was.p, is.len) == 0,
       "as it was");
    ok(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK,
       "the reader goes");
    again = store_close(again);
    s = store_close(s);
    (void)again, (void)s;
}

int main(void)
{
    fixture f;

    /* the second commit is the one that test_rollback expects to fail */
    (void)setenv("PW_FAULT", "store.commit:2", 1);
    fixture_init(&f);
    test_revisions();
    test_restart(&f);
    test_rollback(&f);
    test_full(&f);
    test_checkpoint(&f);
    test_reader_at_start(&f);
    test_foreign(&f);
    test_damage(&f);
    fixture_clear(&f);
    return tap_done();
}
