/* rows.h - reads the columns of conn.h's present row into plain rows; text in them is borrowed
 * until the next row, or owned after X_own. Shared by the writer and the readers. Private to this
 * folder. */
#ifndef PW_MASTER_STORE_ROWS_H
#define PW_MASTER_STORE_ROWS_H
#include "master/store/conn.h"
#include "master/store/files.h"
#include "master/store/sched.h"

/* How many columns each takes (C_REQUEST ... in sql.h). */
enum { COLS_REQUEST = 11, COLS_BUILD = 13, COLS_CHANGE = 10, COLS_WORKER = 20 };
void row_request(const sql_cur *cur, store_request *ret);
void row_build(const sql_cur *cur, store_build *ret);
void row_attempt(const sql_cur *cur, store_attempt *ret);
void row_step(const sql_cur *cur, store_step *ret);
void row_frame(const sql_cur *cur, store_frame *ret);
void row_log(const sql_cur *cur, store_log *ret);
void row_worker(const sql_cur *cur, store_worker *ret);
void row_promotion(const sql_cur *cur, store_promotion *ret);
void row_token(const sql_cur *cur, store_token *ret);
void row_artifact(const sql_cur *cur, store_artifact *ret); /* its text is borrowed */
void row_message(const sql_cur *cur, store_message *ret);
void row_paused(const sql_cur *cur, store_paused *ret);
void row_change(const sql_cur *cur, store_change *ret);
/* Replaces the borrowed text by owned copies; PW_ENOMEM leaves nothing to clear. */
int row_request_own(store_request *r, pw_err *err);
int row_build_own(store_build *r, pw_err *err);
#endif
