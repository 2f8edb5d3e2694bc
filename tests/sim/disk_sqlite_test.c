/* SQLite on the virtual disk: its locks, its journals and its shared memory go by process. */
#include <sqlite3.h>
#include <stdlib.h>

#include "tests/sim/disk_fixture.h"

static int sql(sqlite3 *db, const char *text)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL);
}

static sqlite3 *sql_begin(void)
{
    sqlite3 *db = NULL;
    if (sqlite3_open("/sim/0/r.db", &db) != SQLITE_OK)
        abort();
    return db;
}

/* Without a WAL: the locks on the file, and the journal that is played back after a death. */
static void test_rollback_journal(void)
{
    int p = begin(1), bad = 0, k;
    sqlite3 *a = sql_begin(), *b = sql_begin(), *c = sql_begin();
    ok(sql(a, "CREATE TABLE t(x); INSERT INTO t VALUES(1)") == SQLITE_OK, "a table");
    ok(sql(a, "BEGIN IMMEDIATE; INSERT INTO t VALUES(2)") == SQLITE_OK &&
           sql(b, "BEGIN IMMEDIATE") == SQLITE_BUSY,
       "one writes");
    ok(sql(b, "BEGIN; SELECT * FROM t") == SQLITE_OK, "others read meanwhile");
    ok(sql(a, "COMMIT") == SQLITE_BUSY && sql(c, "SELECT * FROM t") == SQLITE_BUSY,
       "and are waited for, with no new ones");
    ok(sql(b, "COMMIT") == SQLITE_OK && sql(a, "COMMIT") == SQLITE_OK &&
           sql(c, "SELECT * FROM t") == SQLITE_OK,
       "until they are done");
    ok(sqlite3_close(a) + sqlite3_close(b) + sqlite3_close(c) == SQLITE_OK &&
           disk_process_end(p) == 0,
       "closed");
    disk_image *image = disk_image_take(0);
    for (k = 1; k < 100; k++) {
        p = begin((uint64_t)k);
        disk_image_put(0, image);
        disk_process_fuse(p, (uint64_t)k, true);
        a = sql_begin();
        int rc = sql(a, "UPDATE t SET x=x+10");
        (void)sqlite3_close(a);
        bad += disk_process_end(p) != 0;
        (void)power_cut();
        a = sql_begin();
        int old = sql(a, "SELECT CASE (SELECT sum(x) FROM t) WHEN 3 THEN 1 ELSE abs(-1<<63) END");
        int now = sql(a, "SELECT CASE (SELECT sum(x) FROM t) WHEN 23 THEN 1 ELSE abs(-1<<63) END");
        bad += (old == SQLITE_OK) == (now == SQLITE_OK) || (rc == SQLITE_OK && now != SQLITE_OK);
        (void)sqlite3_close(a);
        if (rc == SQLITE_OK)
            break;
    }
    ok(bad == 0 && k > 5 && k < 100, "the power cut at each of %d changes", k - 1);
    (void)disk_image_free(image);
}

static volatile uint8_t *shared_memory(sqlite3 *db)
{
    sqlite3_file *f = NULL;
    void volatile *p = NULL;
    if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &f) == SQLITE_OK)
        (void)f->pMethods->xShmMap(f, 0, 32768, 0, &p);
    return p;
}

/* What the code of a dead process does to a WAL's shared memory is its own affair. */
static void test_shared_memory(void)
{
    int p = begin(1);
    sqlite3 *a = sql_begin();
    ok(sql(a, "PRAGMA journal_mode=WAL; CREATE TABLE t(x)") == SQLITE_OK, "a WAL");
    int q = disk_process_new(0);
    sqlite3 *b = sql_begin();
    ok(sql(b, "SELECT * FROM t") == SQLITE_OK, "two processes");
    volatile uint8_t *pb = shared_memory(b);
    disk_process_set(p);
    volatile uint8_t *pa = shared_memory(a);
    ok(pa && pb && pa != pb, "two mappings");
    pa[32767] = 1;
    ok(pb && pb[32767] == 1, "of one memory");
    disk_process_kill(p);
    pa[32767] = 2;
    ok(pb[32767] == 1, "until one is dead");
    ok(sqlite3_close(a) == SQLITE_OK && disk_process_end(p) == 0, "closed");
    disk_process_set(q);
    ok(sql(b, "INSERT INTO t VALUES(1)") == SQLITE_OK && sqlite3_close(b) == SQLITE_OK,
       "the other goes on");
}

int main(void)
{
    (void)begin(1);
    ok(disk_vfs_register() == 0, "SQLite's files");
    test_rollback_journal();
    test_shared_memory();
    (void)begin(0);
    return tap_done();
}
