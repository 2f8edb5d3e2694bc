#include "master/store/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A reader waits for nothing in WAL mode but the recovery of a killed master's WAL, the writer for
 * nothing but a moment of the checkpointer: 5 s is far beyond both. */
#define BUSY_MS 5000
#define LOOK_OPS 1000 /* steps of SQLite's machine between two looks at the clock: some 20 us */

int sql_fail(sql_conn *c, int rc, const char *what, pw_err *err)
{
    /* SQLite keeps no errno of a failed COMMIT; each call here starts with errno = 0 */
    int now = errno, kept = c->db ? sqlite3_system_errno(c->db) : 0, sys = now ? now : kept;
    bool full = sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
    pw_code code = PW_EINVAL;

    if (!sys && (rc & 0xff) == SQLITE_READONLY) /* opened so, as it could not be otherwise */
        sys = EROFS;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        code = PW_EFULL;
        break;
    case SQLITE_IOERR:
        code = rc == SQLITE_IOERR_NOMEM ? PW_ENOMEM : full ? PW_EFULL : PW_ESYS;
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS:
        code = full ? PW_EFULL : PW_ESYS;
        break;
    case SQLITE_ERROR: /* every statement is known to be right, so the schema is not */
    case SQLITE_SCHEMA:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
        code = PW_ECORRUPT;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        code = PW_EAGAIN;
        break;
    case SQLITE_NOMEM:
        code = PW_ENOMEM;
        break;
    case SQLITE_CONSTRAINT:
        code = PW_ECONFLICT;
        break;
    case SQLITE_TOOBIG:
        code = PW_ELIMIT;
        break;
    default:
        break;
    }
    if (code != PW_ECONFLICT && !c->broken)
        c->broken = code;
    const char *text = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        text = "reading took longer than 5 s: ask for less at once";
    return pw_fail_at(err, __FILE__, __LINE__, code, code == PW_ESYS ? sys : 0,
                      "database \"%s\": %s: %s", c->path ? c->path : "", what, text);
}

int sql_open(sql_conn *c, const char *path, int flags, const sql_text *text, size_t count,
             pw_err *err)
{
    int rc;

    *c = (sql_conn){.text = text, .count = count};
    c->path = strdup(path);
    c->stmt = calloc(count, sizeof(c->stmt[0]));
    if (!c->path || !c->stmt)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    errno = 0;
    rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK)
        return sql_fail(c, rc, "opening", err);
    (void)sqlite3_busy_timeout(c->db, BUSY_MS);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

static int too_old(void *self)
{
    const sql_conn *c = self;
    return pw_now(c->host) - c->begun > SQL_READ_US;
}

void sql_limit_reads(sql_conn *c, const pw_host *host)
{
    c->host = host;
    c->begun = pw_now(host);
    sqlite3_progress_handler(c->db, LOOK_OPS, too_old, c);
}

void sql_clear(sql_conn *c)
{
    for (size_t i = 0; c->stmt && i < c->count; i++)
        (void)sqlite3_finalize(c->stmt[i]);
    (void)sqlite3_close(c->db);
    free(c->stmt);
    free(c->path);
    *c = (sql_conn){0};
}

static int prepare(sql_conn *c, size_t id, sqlite3_stmt **ret, pw_err *err)
{
    int rc;

    errno = 0;
    rc = sqlite3_prepare_v3(c->db, c->text[id].sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

    return rc == SQLITE_OK ? 0 : sql_fail(c, rc, c->text[id].name, err);
}

static int bind(sqlite3_stmt *st, int i, const sql_arg *a)
{
    switch (a->type) {
    case SQL_INT:
        return sqlite3_bind_int64(st, i, a->i);
    case SQL_TEXT:
        return sqlite3_bind_text(st, i, a->p, -1, SQLITE_STATIC);
    case SQL_BLOB:
        return sqlite3_bind_blob64(st, i, a->p, a->n, SQLITE_STATIC);
    case SQL_NULL:
        break;
    }
    return sqlite3_bind_null(st, i);
}

int sql_query(sql_conn *c, size_t id, const sql_arg *arg, size_t n, sql_cur *ret, pw_err *err)
{
    sql_cur cur = {.c = c, .id = id};
    int rc = 0, count;

    assert(id < c->count);
    if (c->host && sqlite3_txn_state(c->db, NULL) == SQLITE_TXN_NONE)
        c->begun = pw_now(c->host);
    cur.own = c->stmt[id] && sqlite3_stmt_busy(c->stmt[id]);
    if (cur.own || !c->stmt[id]) {
        rc = prepare(c, id, cur.own ? &cur.st : &c->stmt[id], err);
        if (rc < 0)
            return rc;
    }
    if (!cur.own)
        cur.st = c->stmt[id];
    count = sqlite3_bind_parameter_count(cur.st);
    assert((size_t)count <= n);
    for (int i = 0; i < count && rc == SQLITE_OK; i++)
        rc = bind(cur.st, i + 1, &arg[i]);
    if (rc != SQLITE_OK) {
        rc = sql_fail(c, rc, c->text[id].name, err);
        sql_end(&cur);
        return rc;
    }
    *ret = cur;
    return 0;
}

int sql_next(sql_cur *cur, pw_err *err)
{
    int rc;

    errno = 0;
    rc = sqlite3_step(cur->st);

    if (rc == SQLITE_ROW)
        return 1;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a cursor of a query that went well */
    return rc == SQLITE_DONE ? 0 : sql_fail(cur->c, rc, cur->c->text[cur->id].name, err);
}

void sql_end(sql_cur *cur)
{
    if (cur->own)
        (void)sqlite3_finalize(cur->st);
    else if (cur->st)
        (void)sqlite3_reset(cur->st);
    cur->st = NULL;
}

int sql_run(sql_conn *c, size_t id, const sql_arg *arg, size_t n, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(c, id, arg, n, &cur, err);

    if (rc < 0)
        return rc;
    do
        rc = sql_next(&cur, err);
    while (rc > 0);
    return rc < 0 ? rc : sqlite3_changes(c->db);
}

int sql_number(sql_conn *c, size_t id, const sql_arg *arg, size_t n, int64_t *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(c, id, arg, n, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return PW_ENOTFOUND;
    *ret = sql_col_i(&cur, 0);
    return 0;
}

bool sql_col_bytes(const sql_cur *cur, int i, void *out, size_t n)
{
    const void *p = sqlite3_column_blob(cur->st, i);

    if (p && (size_t)sqlite3_column_bytes(cur->st, i) == n) {
        memcpy(out, p, n);
        return true;
    }
    memset(out, 0, n);
    return false;
}

void sql_col_rev(const sql_cur *cur, int i, store_rev *ret)
{
    const void *p = sqlite3_column_blob(cur->st, i);
    int n = sqlite3_column_bytes(cur->st, i);

    *ret = (store_rev){0};
    if (p && n > 0 && n <= STORE_REV_MAX) {
        ret->n = (uint8_t)n;
        memcpy(ret->id, p, (size_t)n);
    }
}

int sql_col_buf(const sql_cur *cur, int i, pw_buf *out, pw_err *err)
{
    const void *p = sqlite3_column_blob(cur->st, i);
    int rc;

    if (!out || !p)
        return 0;
    rc = pw_buf_add(out, p, (size_t)sqlite3_column_bytes(cur->st, i));
    return rc < 0 ? pw_fail(err, (pw_code)rc, "no room for a value of %d bytes",
                            sqlite3_column_bytes(cur->st, i))
                  : 0;
}
