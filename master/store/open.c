/* Opening: what kind of file it is, whether it is sound, its migrations. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/store/deep.h"
#include "master/store/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

#define APPLICATION 1348564844 /* "Pawl" in the file's header */
#define SMALL_PAGES 512        /* 2 MiB: a whole check takes 6-10 ms */
#define COPY_PAGES 65536       /* 256 MiB: a copy takes a third of a second */
#define CLOSE_BUSY_MS 200      /* how long the last checkpoint waits for readers */
#define AGAIN_PIECE 65536
#define TEXT_OF(stmt) (store_sql[(stmt)])

/* A missing file is made here, so that nobody else can ever read it. An existing one is never
 * opened and closed by us: that would drop the locks which other connections of this process hold
 * on it. */
static int make_file(const char *path, pw_err *err)
{
    struct stat st;
    int fd;

    if (stat(path, &st) == 0)
        return 0;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return pw_fail_sys(err, "making database \"%s\"", path);
    if (fd >= 0)
        (void)close(fd);
    return 0;
}

static int number(store *self, enum store_stmt id, int64_t *ret, pw_err *err)
{
    int rc = sql_number(&self->c, id, SQL_NO_ARGS, ret, err);

    return rc == PW_ENOTFOUND ? pw_fail(err, PW_ECORRUPT, "database \"%s\": %s gives nothing",
                                        self->c.path, TEXT_OF(id).name)
                              : rc;
}

static int run(store *self, enum store_stmt id, pw_err *err)
{
    int rc = sql_run(&self->c, id, SQL_NO_ARGS, err);

    return rc < 0 ? rc : 0;
}

/* Reads the schema's version; 0: a new file. Touches nothing yet: the file may be somebody else's.
 */
static int identify(store *self, int64_t *ret_version, pw_err *err)
{
    int64_t version, application, objects;
    int rc;

    if ((rc = number(self, S_VERSION, &version, err)) < 0 ||
        (rc = number(self, S_APPLICATION, &application, err)) < 0 ||
        (rc = number(self, S_OBJECTS, &objects, err)) < 0)
        return rc;
    if (application != APPLICATION && (application || version || objects))
        return pw_fail(err, PW_ECONFLICT, "\"%s\" is a database of another program", self->c.path);
    if (version < 0 || version > STORE_SCHEMA)
        return pw_fail(err, PW_ECONFLICT,
                       "database \"%s\" has schema %lld, this program knows up to %d: a newer "
                       "version has written it. Install that one again, or go back: restore the "
                       "backup (or take \"%s.schema-%d\") from before the upgrade",
                       self->c.path, (long long)version, STORE_SCHEMA, self->c.path, STORE_SCHEMA);
    *ret_version = version;
    return 0;
}

static int configure(store *self, pw_err *err)
{
    static const enum store_stmt settings[] = {S_PAGE_SIZE,    S_SYNC_FULL,     S_JOURNAL_LIMIT,
                                               S_FOREIGN_KEYS, S_SECURE_DELETE, S_TEMP_STORE,
                                               S_JOURNAL_WAL};
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]) - 1; i++)
        if ((rc = run(self, settings[i], err)) < 0)
            return rc;
    rc = sql_query(&self->c, S_JOURNAL_WAL, SQL_NO_ARGS, &cur, err);
    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || strcmp(sql_col_text(&cur, 0), "wal") != 0)
        return pw_fail(err, PW_ESYS, "database \"%s\" cannot be brought into WAL mode",
                       self->c.path);
    (void)sqlite3_wal_autocheckpoint(self->c.db, 0);
    return 0;
}

/* A small database is copied beside before it is changed, for who wants to go back to the old
 * program; for a large one there are backups (docs/operations.md). */
static int keep_old(store *self, int64_t version, pw_err *err)
{
    PW_AUTO(pw_freep)
    char *copy = pw_strf("%s.schema-%lld", self->c.path, (long long)version);
    int64_t pages;
    int rc = copy ? number(self, S_PAGES, &pages, err) : pw_fail(err, PW_ENOMEM, "out of memory");

    if (rc == 0 && pages <= COPY_PAGES)
        rc = store_copy(self->c.path, copy, NULL, NULL, err);
    if (rc == 0)
        pw_log(PW_LOG_INFO, "database_migrates", "from=%lld to=%d copy=\"%s\"", (long long)version,
               STORE_SCHEMA, pages <= COPY_PAGES ? copy : "");
    return rc < 0 ? (pw_err_context(err, "copying the database before its migration"), rc) : 0;
}

/* All missing migrations, and the first epoch, in one transaction. */
static int migrate(store *self, int64_t version, pw_err *err)
{
    uint64_t epoch = 0;
    int rc;

    if (version == STORE_SCHEMA)
        return 0;
    if ((version > 0 && (rc = keep_old(self, version, err)) < 0) ||
        (rc = run(self, S_MIGRATE, err)) < 0)
        return rc;
    rc = number(self, S_VERSION, &version, err);
    for (int64_t v = version; rc == 0 && v < STORE_SCHEMA; v++) {
        int db = sqlite3_exec(self->c.db, store_migrations[v].sql, NULL, NULL, NULL);
        rc = db == SQLITE_OK ? run(self, store_migrations[v].version, err)
                             : sql_fail(&self->c, db, "migration", err);
        if (rc == 0 && version > 0 && pw_fault("store.migrate"))
            rc = pw_fail(err, PW_ESYS, "migrating: fault point store.migrate");
    }
    if (rc == 0 && version == 0) {
        while (!epoch)
            epoch = pw_random_u64(self->host);
        rc = run(self, S_APPLICATION_SET, err);
        if (rc == 0)
            rc = sql_run(&self->c, S_EPOCH_ADD, SQL_ARGS(sql_u(epoch)), err);
    }
    if (rc >= 0)
        rc = run(self, S_COMMIT, err);
    if (rc < 0 && !sqlite3_get_autocommit(self->c.db))
        (void)run(self, S_ROLLBACK, NULL);
    return rc;
}

/* A small database is checked whole. A large one cannot be at a start: there, each large table's
 * tree is walked down to its newest row; what is damaged elsewhere is found, and named, by the
 * statement that meets it. */
static int check(store *self, pw_err *err)
{
    static const struct {
        enum store_stmt stmt;
        const char *table;
    } probes[] = {
        {S_CHECK_META, "meta"},       {S_CHECK_NAME, "name"},   {S_CHECK_PROJECT, "project"},
        {S_CHECK_BUILDER, "builder"}, {S_CHECK_STAMP, "stamp"}, {S_CHECK_CHANGE, "change"},
        {S_CHECK_REQUEST, "request"}, {S_CHECK_BUILD, "build"}, {S_CHECK_ATTEMPT, "attempt"},
        {S_CHECK_WORKER, "worker"},   {S_CHECK_EVENT, "event"},
    };
    PW_AUTO(sql_end) sql_cur cur = {0};
    int64_t pages, ignored;
    int rc;

    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        rc = number(self, probes[i].stmt, &ignored, err);
        if (rc == PW_ECORRUPT)
            return pw_err_context(err, "table %s is damaged", probes[i].table);
        if (rc < 0)
            return rc;
    }
    if ((rc = number(self, S_PAGES, &pages, err)) < 0)
        return rc;
    if (pages >= SMALL_PAGES)
        return 0;
    rc = sql_query(&self->c, S_CHECK_ALL, SQL_NO_ARGS, &cur, err);
    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc > 0) {
        const char *text = sql_col_text(&cur, 1), *last = strrchr(text, '\n');
        return pw_fail(err, PW_ECORRUPT, "database \"%s\": table %s is damaged: %.200s",
                       self->c.path, sql_col_text(&cur, 0), last ? last + 1 : text);
    }
    return rc;
}

/* Bytes that are written are dirty again, whatever a failed sync made of them: the WAL with its own
 * bytes, which readers do not notice. */
static int write_again(store *self, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(PATH_MAX);
    PW_AUTO(pw_freep) uint8_t *p = malloc(AGAIN_PIECE);
    PW_AUTO(pw_closep) int fd = -1;
    ssize_t n;

    if (!p || pw_buf_addf(&path, "%s-wal", self->c.path) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if ((fd = open(pw_buf_str(&path), O_RDWR | O_CLOEXEC)) < 0)
        return errno == ENOENT ? 0 : pw_fail_sys(err, "opening \"%s\"", pw_buf_str(&path));
    for (off_t at = 0; (n = pread(fd, p, AGAIN_PIECE, at)) > 0; at += n)
        if (pwrite(fd, p, (size_t)n, at) != n)
            return pw_fail_sys(err, "writing \"%s\" again", pw_buf_str(&path));
    if (n < 0 || fsync(fd) < 0)
        return pw_fail_sys(err, "syncing \"%s\"", pw_buf_str(&path));
    return 0;
}

/* After a sync that failed the kernel shows bytes that the disk has not got, and calls them clean:
 * a WAL may end in a commit that is in memory only, and what is written behind it would be lost
 * with it. So all of it goes into the database before anything is built upon it; the next commit
 * writes the WAL from its start. Where a reader keeps an end of it from that, it is written again
 * as it is. */
static int settle(store *self, pw_err *err)
{
    int frames = 0, done = 0;

    errno = 0;
    int rc = sqlite3_wal_checkpoint_v2(self->c.db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        return sql_fail(&self->c, rc, "bringing the WAL into the database", err);
    return rc == SQLITE_OK && done == frames ? 0 : write_again(self, err);
}

/* The names of database and WAL: SQLite syncs the folder after it made a WAL, but does not look at
 * the answer, and a WAL without a name is gone at the next power cut with all that was committed.
 */
static int settle_names(store *self, pw_err *err)
{
    bool failed = false;
    PW_AUTO(pw_freep) char *path = pw_strdup(self->c.path, &failed);
    char *slash = path ? strrchr(path, '/') : NULL;

    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (slash)
        slash[slash == path] = '\0';
    return pw_fs_sync_dir(slash ? path : ".", err);
}

static int load(store *self, pw_err *err)
{
    int64_t epoch, turn;
    int rc;

    if ((rc = number(self, S_EPOCH, &epoch, err)) < 0 ||
        (rc = number(self, S_TURN, &turn, err)) < 0)
        return rc;
    if (epoch == 0)
        return pw_fail(err, PW_ECORRUPT, "database \"%s\": table meta holds no epoch",
                       self->c.path);
    self->epoch = self->safe_epoch = (uint64_t)epoch;
    self->turn = self->safe_turn = (uint64_t)turn;
    return 0;
}

store *store_open(const char *path, const pw_host *host, pw_err *err)
{
    PW_AUTO(store_closep) store *self = calloc(1, sizeof(*self));
    int64_t version = 0;

    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->host = host;
    self->names = names_new(err);
    if (!self->names || make_file(path, err) < 0 ||
        sql_open(&self->c, path, SQLITE_OPEN_READWRITE, store_sql, STORE_STMTS, err) < 0 ||
        identify(self, &version, err) < 0 || configure(self, err) < 0 || settle(self, err) < 0 ||
        settle_names(self, err) < 0 || migrate(self, version, err) < 0 || check(self, err) < 0 ||
        load(self, err) < 0)
        return NULL;
    return pw_take(self);
}

store *store_close(store *self)
{
    if (!self)
        return NULL;
    if (self->c.db) {
        store_rollback(self);
        /* empties the WAL where no reader is in the way; the next start recovers it otherwise */
        (void)sqlite3_busy_timeout(self->c.db, CLOSE_BUSY_MS);
        if (self->epoch)
            (void)sqlite3_wal_checkpoint_v2(self->c.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                            NULL);
    }
    sql_clear(&self->c);
    names_free(self->names);
    free(self);
    return NULL;
}
