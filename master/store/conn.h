/* conn.h - one SQLite connection with its table of named statements: prepares each at first use and
 * keeps it for the connection's life, binds values, turns SQLite's codes into pw_err. Private to
 * this folder. One thread per connection. A statement that is being walked may be used again inside
 * the walk: the inner use gets a copy of its own. */
#ifndef PW_MASTER_STORE_CONN_H
#define PW_MASTER_STORE_CONN_H
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/store/store.h"

typedef struct sql_text {
    const char *name, *sql;
} sql_text;
typedef struct sql_conn {
    sqlite3 *db;
    sqlite3_stmt **stmt;  /* owned; one place a statement, NULL until used */
    const sql_text *text; /* borrowed */
    size_t count;
    char *path; /* owned */
    int broken; /* first pw_code of a failed statement since it was set to 0; refused rows do not
                   count */
    const pw_host *host; /* borrowed; NULL: reading may take as long as it takes */
    pw_usec begun;       /* the read transaction that is under way */
} sql_conn;

/* A read transaction holds up the checkpoint: from now on one that is older than that ends with
 * PW_EAGAIN at its next step. */
#define SQL_READ_US (5 * INT64_C(1000000))
void sql_limit_reads(sql_conn *c, const pw_host *host);

/* flags: SQLITE_OPEN_*. On failure the connection must still be cleared. */
int sql_open(sql_conn *c, const char *path, int flags, const sql_text *text, size_t count,
             pw_err *err);
void sql_clear(sql_conn *c);
/* Turns an SQLite code into a pw_code; `what` is what was attempted. */
int sql_fail(sql_conn *c, int rc, const char *what, pw_err *err);

/* ---- values to bind */
typedef struct sql_arg {
    enum { SQL_NULL, SQL_INT, SQL_TEXT, SQL_BLOB } type;
    int64_t i;
    const void *p; /* borrowed until the statement has run */
    size_t n;
} sql_arg;
static inline sql_arg sql_i(int64_t v)
{
    return (sql_arg){.type = SQL_INT, .i = v};
}
/* Numbers above INT64_MAX are stored as negative ones and come back as they were. */
static inline sql_arg sql_u(uint64_t v)
{
    return sql_i((int64_t)v);
}
static inline sql_arg sql_null(void)
{
    return (sql_arg){.type = SQL_NULL};
}
/* 0 is stored as NULL */
static inline sql_arg sql_u0(uint64_t v)
{
    return v ? sql_u(v) : sql_null();
}
static inline sql_arg sql_i0(int64_t v)
{
    return v ? sql_i(v) : sql_null();
}
static inline sql_arg sql_result(pw_result r)
{
    return r == PW_NO_RESULT ? sql_null() : sql_i((int)r);
}
static inline sql_arg sql_t(const char *s)
{
    return (sql_arg){.type = s ? SQL_TEXT : SQL_NULL, .p = s};
}
static inline sql_arg sql_b(const void *p, size_t n)
{
    return (sql_arg){.type = p ? SQL_BLOB : SQL_NULL, .p = p, .n = n};
}
static inline sql_arg sql_rev(const store_rev *r)
{
    return sql_b(r->id, r->n);
}
#define SQL_ARGS(...)                                                                              \
    (const sql_arg[]){__VA_ARGS__}, sizeof((const sql_arg[]){__VA_ARGS__}) / sizeof(sql_arg)
#define SQL_NO_ARGS NULL, 0

/* ---- running. `id` is the statement's place in the table; args: SQL_ARGS(...) */
typedef struct sql_cur {
    sql_conn *c;
    sqlite3_stmt *st;
    size_t id;
    bool own; /* a copy, to be finalized */
} sql_cur;
/* Binds as many of the values as the statement has parameters. */
int sql_query(sql_conn *c, size_t id, const sql_arg *arg, size_t n, sql_cur *ret, pw_err *err);
/* 1: a row is there, 0: the end */
int sql_next(sql_cur *cur, pw_err *err);
void sql_end(sql_cur *cur); /* also of a cursor that is all zero */
/* Runs to the end; returns how many rows were changed. */
int sql_run(sql_conn *c, size_t id, const sql_arg *arg, size_t n, pw_err *err);
/* First column of the first row as a number; PW_ENOTFOUND (without text) when there is no row. */
int sql_number(sql_conn *c, size_t id, const sql_arg *arg, size_t n, int64_t *ret, pw_err *err);

/* What a walk goes on with after a callback: 0, or its negative code. */
static inline int sql_row(int cb)
{
    return cb < 0 ? cb : 0;
}

/* ---- columns of the present row */
static inline int64_t sql_col_i(const sql_cur *cur, int i)
{
    return sqlite3_column_int64(cur->st, i);
}
static inline uint64_t sql_col_u(const sql_cur *cur, int i)
{
    return (uint64_t)sqlite3_column_int64(cur->st, i);
}
static inline bool sql_col_null(const sql_cur *cur, int i)
{
    return sqlite3_column_type(cur->st, i) == SQLITE_NULL;
}
static inline pw_result sql_col_result(const sql_cur *cur, int i)
{
    return sql_col_null(cur, i) ? PW_NO_RESULT : (pw_result)sqlite3_column_int(cur->st, i);
}
/* Borrowed until the next row; NULL for NULL. Not const, since plain rows own their text elsewhere.
 */
static inline char *sql_col_t(const sql_cur *cur, int i)
{
    return (char *)sqlite3_column_text(cur->st, i);
}
/* "" for NULL */
static inline const char *sql_col_text(const sql_cur *cur, int i)
{
    const char *s = sql_col_t(cur, i);
    return s ? s : "";
}
/* A column with another number of bytes than expected leaves zeros; returns whether it was there.
 */
bool sql_col_bytes(const sql_cur *cur, int i, void *out, size_t n);
void sql_col_rev(const sql_cur *cur, int i, store_rev *ret);
/* Appends text or blob to a buffer (NULL: none wanted). */
int sql_col_buf(const sql_cur *cur, int i, pw_buf *out, pw_err *err);
#endif
