/* Transactions, the turn's number, and the checkpointer. */
#include <errno.h>
#include <stdlib.h>

#include "master/store/impl.h"
#include "shared/base/fault.h"

#define FRAME_BYTES (4096 + 24) /* of the WAL: a page and its header */

uint64_t store_epoch(const store *self)
{
    return self->epoch;
}

uint64_t store_turn(const store *self)
{
    return self->turn;
}

bool store_in_turn(const store *self)
{
    return self->in_turn;
}

int store_begin(store *self, pw_err *err)
{
    int rc;

    if (self->in_turn)
        return pw_fail(err, PW_ECONFLICT, "a transaction is open already");
    rc = sql_run(&self->c, S_BEGIN, SQL_NO_ARGS, err);
    if (rc < 0)
        return rc;
    self->c.broken = 0;
    self->in_turn = true;
    return 0;
}

int store_commit(store *self, pw_err *err)
{
    int rc;

    if (!self->in_turn)
        return pw_fail(err, PW_EINVAL, "no transaction to commit");
    if (self->c.broken || sqlite3_get_autocommit(self->c.db))
        return pw_fail(err, self->c.broken ? (pw_code)self->c.broken : PW_ECONFLICT,
                       "a statement of this transaction failed, it can only be rolled back");
    rc = store_write(self, S_TURN_SET, SQL_ARGS(sql_u(self->turn + 1)), err);
    if (rc < 0)
        return rc;
    if (pw_fault("store.commit"))
        return pw_fail(err, PW_ESYS, "committing: fault point store.commit");
    rc = sql_run(&self->c, S_COMMIT, SQL_NO_ARGS, err);
    if (rc < 0)
        return rc;
    self->in_turn = false;
    self->turn++;
    self->safe_turn = self->turn;
    self->safe_epoch = self->epoch;
    /* as when the answer of the disk is lost: done, and nobody knows */
    if (pw_fault("store.committed"))
        return pw_fail(err, PW_ESYS, "committing: fault point store.committed");
    return 0;
}

void store_rollback(store *self)
{
    if (!self->in_turn)
        return;
    if (!sqlite3_get_autocommit(self->c.db))
        (void)sql_run(&self->c, S_ROLLBACK, SQL_NO_ARGS, NULL);
    names_forget(self->names);
    self->turn = self->safe_turn;
    self->epoch = self->safe_epoch;
    self->in_turn = false;
    self->c.broken = 0;
}

int store_new_epoch(store *self, pw_err *err)
{
    uint64_t epoch;
    int rc;

    do
        epoch = pw_random_u64(self->host);
    while (epoch == 0 || epoch == self->epoch);
    rc = store_write(self, S_EPOCH_SET, SQL_ARGS(sql_u(epoch)), err);
    if (rc < 0)
        return rc;
    self->epoch = epoch;
    self->turn = 0;
    return 0;
}

int store_write(store *self, enum store_stmt id, const sql_arg *arg, size_t n, pw_err *err)
{
    if (!self->in_turn)
        return pw_fail(err, PW_EINVAL, "%s outside a transaction", store_sql[id].name);
    if (sqlite3_get_autocommit(self->c.db))
        return pw_fail(err, self->c.broken ? (pw_code)self->c.broken : PW_ECONFLICT,
                       "%s: an earlier failure has ended this transaction", store_sql[id].name);
    return sql_run(&self->c, id, arg, n, err);
}

int store_write_one(store *self, enum store_stmt id, const sql_arg *arg, size_t n, const char *what,
                    uint64_t row, pw_err *err)
{
    int rc = store_write(self, id, arg, n, err);

    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no %s %llu", what, (unsigned long long)row);
    return rc < 0 ? rc : 0;
}

int store_write_state(store *self, enum store_stmt id, const sql_arg *arg, size_t n,
                      enum store_stmt state, const char *what, uint64_t row, pw_err *err)
{
    int64_t now;
    int rc = store_write(self, id, arg, n, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = sql_number(&self->c, state, SQL_ARGS(sql_u(row)), &now, err);
    if (rc == PW_ENOTFOUND)
        return pw_fail(err, PW_ENOTFOUND, "no %s %llu", what, (unsigned long long)row);
    if (rc < 0)
        return rc;
    return pw_fail(err, PW_ECONFLICT, "%s %llu is in state %lld: %s is not allowed", what,
                   (unsigned long long)row, (long long)now, store_sql[id].name);
}

/* ---- checkpointer */
struct store_checkpointer {
    sql_conn c;
};
PW_DEFINE_FREEP(store_checkpointer, store_checkpointer_close)

store_checkpointer *store_checkpointer_open(const char *path, pw_err *err)
{
    PW_AUTO(store_checkpointer_closep) store_checkpointer *self = calloc(1, sizeof(*self));
    int64_t version;

    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    if (sql_open(&self->c, path, SQLITE_OPEN_READWRITE, store_sql, STORE_STMTS, err) < 0)
        return NULL;
    (void)sqlite3_wal_autocheckpoint(self->c.db, 0);
    /* reading something opens the WAL, without which a checkpoint would do nothing */
    if (sql_run(&self->c, S_SYNC_FULL, SQL_NO_ARGS, err) < 0 ||
        sql_run(&self->c, S_JOURNAL_LIMIT, SQL_NO_ARGS, err) < 0 ||
        sql_number(&self->c, S_VERSION, SQL_NO_ARGS, &version, err) < 0)
        return NULL;
    return pw_take(self);
}

store_checkpointer *store_checkpointer_close(store_checkpointer *self)
{
    if (!self)
        return NULL;
    sql_clear(&self->c);
    free(self);
    return NULL;
}

int store_checkpoint(store_checkpointer *self, uint64_t *ret_wal, pw_err *err)
{
    int frames = 0, done = 0;
    int rc;

    errno = 0;
    rc = sqlite3_wal_checkpoint_v2(self->c.db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);

    if (rc != SQLITE_OK)
        return sql_fail(&self->c, rc, "checkpoint", err);
    /* when all is in the database, the next commit writes the WAL from its start again */
    *ret_wal = frames > done ? (uint64_t)frames * FRAME_BYTES : 0;
    return 0;
}
