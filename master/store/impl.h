/* impl.h - the inside of `store`, for the files of this folder that hold its functions. */
#ifndef PW_MASTER_STORE_IMPL_H
#define PW_MASTER_STORE_IMPL_H
#include "master/store/conn.h"
#include "master/store/names.h"
#include "master/store/rows.h"
#include "master/store/sql.h"
#include "master/store/store.h"

struct store {
    sql_conn c;
    const pw_host *host; /* borrowed */
    names *names;        /* owned; ids of names, so that a build costs no look-up of them */
    uint64_t epoch, turn;
    uint64_t safe_epoch, safe_turn; /* as committed: what a rollback goes back to */
    bool in_turn;
};

/* Runs a statement that writes; refused outside a transaction, also when SQLite ended it by itself
 * (disk full, no memory), since the statement would be a durable transaction of its own. Returns
 * how many rows were changed. */
int store_write(store *self, enum store_stmt id, const sql_arg *arg, size_t n, pw_err *err);
/* The same, for a statement that is known to touch one row: 0, or PW_ENOTFOUND naming it. */
int store_write_one(store *self, enum store_stmt id, const sql_arg *arg, size_t n, const char *what,
                    uint64_t row, pw_err *err);
/* The same, for a change of state: PW_ECONFLICT when the row (whose state `state` reads) is in
 * another state. */
int store_write_state(store *self, enum store_stmt id, const sql_arg *arg, size_t n,
                      enum store_stmt state, const char *what, uint64_t row, pw_err *err);
/* Id of a text in `name`; made when absent. */
int store_name_id(store *self, const char *text, uint64_t *ret, pw_err *err);
#endif
