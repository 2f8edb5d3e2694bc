/* A copy of the database while it is written to, and what a restored copy needs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "master/store/deep.h"
#include "master/store/deep_sql.h"
#include "master/store/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"

enum { STEP_PAGES = 4096, PAGE_BYTES = 4096 };

static int pages(sql_conn *from, sql_conn *to, store_copy_cb *cb, void *cb_self, pw_err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");
    int rc = b ? SQLITE_OK : sqlite3_errcode(to->db);

    if (!b)
        return sql_fail(to, rc, "copying", err);
    do {
        errno = 0;
        rc = pw_fault("backup.copy") ? SQLITE_FULL : sqlite3_backup_step(b, STEP_PAGES);
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(b);
        if (cb)
            cb(cb_self, (total - (uint64_t)sqlite3_backup_remaining(b)) * PAGE_BYTES,
               total * PAGE_BYTES);
    } while (rc == SQLITE_OK);
    int sys = errno;
    int end = sqlite3_backup_finish(b);
    errno = sys;
    if (rc == SQLITE_DONE)
        return end == SQLITE_OK ? 0 : sql_fail(to, end, "copying", err);
    /* a damaged source must not be blamed on the copy */
    return sql_fail((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB ? from : to, rc,
                    "copying", err);
}

static int begin(sql_conn *c, pw_err *err)
{
    int64_t ignored;
    int rc = sql_run(c, D_BEGIN, SQL_NO_ARGS, err);

    return rc < 0 ? rc : sql_number(c, D_EPOCH, SQL_NO_ARGS, &ignored, err);
}

static int copy(const char *from, const char *to, store_copy_cb *cb, void *cb_self, pw_err *err)
{
    PW_AUTO(sql_clear) sql_conn src = {0};
    PW_AUTO(sql_clear) sql_conn dst = {0};
    int rc = sql_open(&src, from, SQLITE_OPEN_READONLY, deep_sql, DEEP_STMTS, err);

    if (rc == 0)
        rc = sql_open(&dst, to, SQLITE_OPEN_READWRITE, deep_sql, DEEP_STMTS, err);
    /* held over all steps: without it each commit of the master would begin the copy anew */
    if (rc < 0 || (rc = begin(&src, err)) < 0 ||
        (rc = sql_run(&dst, D_SYNC_OFF, SQL_NO_ARGS, err)) < 0 ||
        (rc = sql_run(&dst, D_JOURNAL_OFF, SQL_NO_ARGS, err)) < 0)
        return rc;
    return pages(&src, &dst, cb, cb_self, err);
}

/* The header says WAL, as the source's does; a file that stands alone is of more use. */
static int alone(const char *path, pw_err *err)
{
    PW_AUTO(sql_clear) sql_conn c = {0};
    int rc = sql_open(&c, path, SQLITE_OPEN_READWRITE, deep_sql, DEEP_STMTS, err);

    if (rc == 0)
        rc = sql_run(&c, D_EXCLUSIVE, SQL_NO_ARGS, err);
    if (rc >= 0)
        rc = sql_run(&c, D_JOURNAL_DELETE, SQL_NO_ARGS, err);
    return rc < 0 ? rc : 0;
}

int store_copy(const char *from, const char *to, store_copy_cb *cb, void *cb_self, pw_err *err)
{
    PW_AUTO(store_deep_closep) store_deep *known = store_deep_open(from, err);
    if (!known)
        return err ? (int)err->code : PW_ESYS;
    PW_AUTO(pw_closep) int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pw_fail_at(err, __FILE__, __LINE__, errno == ENOSPC ? PW_EFULL : PW_ESYS, errno,
                          "making \"%s\"", to);
    pw_closep(&fd);
    int rc = copy(from, to, cb, cb_self, err);
    if (rc == 0)
        rc = alone(to, err);
    if (rc == 0 && ((fd = open(to, O_RDWR | O_CLOEXEC)) < 0 || fsync(fd) < 0))
        rc = pw_fail_sys(err, "syncing \"%s\"", to);
    if (rc < 0)
        (void)unlink(to);
    return rc;
}

int store_restored(store *self, const char *from, pw_msec now, uint64_t *ret_messages, pw_err *err)
{
    int n = 0, rc = store_begin(self, err);

    if (rc == 0)
        rc = store_new_epoch(self, err);
    if (rc == 0)
        rc = n = store_write(self, S_OUTBOX_GIVE_UP, SQL_ARGS(sql_i(now)), err);
    if (rc >= 0)
        rc = store_audit_add(self, now, "pawl-master", "restore", from, NULL, err);
    if (rc == 0 && pw_fault("restore.epoch"))
        rc = pw_fail(err, PW_ESYS, "restoring: fault point restore.epoch");
    if (rc == 0)
        rc = store_commit(self, err);
    if (rc < 0) {
        store_rollback(self);
        return rc;
    }
    *ret_messages = (uint64_t)n;
    return 0;
}
