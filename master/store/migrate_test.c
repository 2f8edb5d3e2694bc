/* Databases of every earlier schema, as their programs left them (tests/data/schema/N.sql): they
 * open, nothing in them is lost, and a death in the middle leaves them as they were. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/store/fixture.h"
#include "master/store/impl.h"
#include "tests/tap.h"

static char *sql_text_of(int version)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)16 * 1024 * 1024);
    PW_AUTO(pw_freep) char *path = pw_strf("tests/data/schema/%d.sql", version);

    if (!path || pw_fs_read(path, b.max, &b, NULL) < 0)
        return NULL;
    return pw_buf_take(&b);
}

static bool load(const char *path, int version)
{
    PW_AUTO(pw_freep) char *text = sql_text_of(version);
    PW_AUTO(pw_freep) char *copy = pw_strf("%s.schema-%d", path, version);
    sqlite3 *db = NULL;
    char *why = NULL;

    (void)unlink(path);
    if (copy)
        (void)unlink(copy);
    bool fine = text && sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_exec(db, text, NULL, NULL, &why) == SQLITE_OK &&
                sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) == SQLITE_OK;
    if (!fine)
        printf("# %s\n", why ? why : "no file");
    sqlite3_free(why);
    (void)sqlite3_close(db);
    return fine;
}

/* All answers of a query in one text. */
static int join(void *p, int n, char **v, char **columns)
{
    (void)columns;
    for (int i = 0; i < n; i++)
        if (pw_buf_addf(p, "%s|", v[i] ? v[i] : "") < 0)
            return 1;
    return 0;
}

static char *ask(const char *path, const char *sql)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)16 * 1024 * 1024);
    sqlite3 *db = NULL;

    if (sqlite3_open(path, &db) == SQLITE_OK)
        (void)sqlite3_exec(db, sql, join, &b, NULL);
    (void)sqlite3_close(db);
    return pw_strf("%s", pw_buf_str(&b));
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* What every schema has, and must keep. */
static const char *const keeps[] = {
    "SELECT * FROM build ORDER BY id",
    "SELECT * FROM request ORDER BY id",
    "SELECT * FROM attempt ORDER BY id",
    "SELECT attempt,idx,name,state,result FROM step ORDER BY attempt,idx",
    "SELECT attempt,idx,stream,bytes,lines,packed,sealed FROM log ORDER BY attempt,idx,stream",
    "SELECT id,name,hex(key),hex(spool),tags,created,removed FROM worker ORDER BY id",
    "SELECT worker,hex(key),expires FROM enrol ORDER BY worker",
    "SELECT id,edge,state,hex(rev),target FROM promotion ORDER BY id",
    "SELECT project,ref,hex(rev) FROM tip ORDER BY project,ref",
    "SELECT hex(hash),name,scopes,created,revoked FROM token ORDER BY hash",
    "SELECT key,value FROM meta WHERE key<>'turn' ORDER BY key",
    "SELECT id,actor,action,object FROM audit ORDER BY id",
};
enum { KEEPS = sizeof(keeps) / sizeof(keeps[0]) };

static void test_keeps(fixture *f, int version, const char *fresh)
{
    PW_AUTO(pw_freep) char *copy = pw_strf("%s.schema-%d", f->path, version);
    char *before[KEEPS] = {0};
    struct stat st;
    pw_err err = {0};

    bool fine = load(f->path, version);
    ok(fine, "tests/data/schema/%d.sql is a database (add one for each schema that is left behind)",
       version);
    if (!fine || !copy)
        return;
    for (size_t i = 0; i < KEEPS; i++)
        before[i] = ask(f->path, keeps[i]);
    PW_AUTO(store_closep) store *s = store_open(f->path, &f->host, &err);
    ok(s != NULL, "schema %d opens: %s", version, err.text);
    s = store_close(s);
    for (size_t i = 0; i < KEEPS; i++) {
        PW_AUTO(pw_freep) char *after = ask(f->path, keeps[i]);
        ok(same(before[i], after) && before[i][0], "schema %d keeps: %s", version, keeps[i]);
        free(before[i]);
    }
    PW_AUTO(pw_freep)
    char *schema = ask(f->path, "SELECT name,sql FROM sqlite_schema ORDER BY type,name");
    PW_AUTO(pw_freep) char *now = ask(f->path, "PRAGMA user_version");
    PW_AUTO(pw_freep) char *old = ask(copy, "PRAGMA user_version");
    PW_AUTO(pw_freep) char *want = pw_strf("%d|", version);
    PW_AUTO(pw_freep) char *newest = pw_strf("%d|", STORE_SCHEMA);
    ok(same(schema, fresh) && same(now, newest), "it is what a new one is");
    ok(same(old, want) && stat(copy, &st) == 0 && (st.st_mode & 0777) == 0600,
       "the old one is kept beside");
}

/* A child that opens it, with a fault. */
static int open_in_child(const fixture *f, const char *fault)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        pw_err err = {0};
        (void)setenv("PW_FAULT", fault, 1);
        _exit(store_open(f->path, &f->host, &err) ? 0 : 7);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Before anything of this process has asked for a fault point: the first asking reads them. */
static void test_dies(fixture *f, int version)
{
    PW_AUTO(pw_freep) char *want = pw_strf("%d|", version);
    static const char *const faults[] = {"store.migrate:1=kill", "store.migrate:1=error"};

    for (size_t i = 0; i < 2; i++) {
        if (!load(f->path, version))
            return;
        PW_AUTO(pw_freep) char *before = ask(f->path, keeps[0]);
        int how = open_in_child(f, faults[i]);
        ok(how == (i ? 7 : -SIGKILL), "it dies in the migration (%d)", how);
        PW_AUTO(pw_freep) char *now = ask(f->path, "PRAGMA user_version");
        PW_AUTO(pw_freep) char *after = ask(f->path, keeps[0]);
        ok(same(now, want) && same(before, after), "and the database is of schema %d still",
           version);
        ok(open_in_child(f, "none") == 0, "the next start migrates it");
    }
}

int main(void)
{
    fixture f;
    pw_err err = {0};

    fixture_init(&f);
    for (int v = 1; v < STORE_SCHEMA; v++)
        test_dies(&f, v);
    (void)unlink(f.path);
    PW_AUTO(store_closep) store *s = store_open(f.path, &f.host, &err);
    s = store_close(s);
    PW_AUTO(pw_freep)
    char *fresh = ask(f.path, "SELECT name,sql FROM sqlite_schema ORDER BY type,name");
    for (int v = 1; v < STORE_SCHEMA; v++)
        test_keeps(&f, v, fresh);
    fixture_clear(&f);
    return tap_done();
}
