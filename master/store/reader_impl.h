/* reader_impl.h - the inside of `reader`, for the files of this folder that hold its functions. */
#ifndef PW_MASTER_STORE_READER_IMPL_H
#define PW_MASTER_STORE_READER_IMPL_H
#include "master/store/conn.h"
#include "master/store/reader.h"
#include "master/store/rows.h"
#include "master/store/sql.h"

struct reader {
    sql_conn c;
};

/* Ids are below this one; SQLite's integers are signed. */
static inline sql_arg reader_before(uint64_t before)
{
    return sql_i(before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before);
}
static inline sql_arg reader_limit(size_t limit)
{
    return sql_i(limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
}
/* Id of a project by name; 0: no such (*ret), PW_ENOTFOUND is not an error here. */
int reader_project_id(reader *self, const char *name, uint64_t *ret, pw_err *err);
/* The present row of a statement that has C_CHANGE C_CHANGE_NAMES. */
void reader_change_row(const sql_cur *cur, reader_change *ret);
#endif
