/* Small values, ids of names, source stamps, the highest ids in use. */
#include "master/store/impl.h"

#define HIGHER(a, b) ((a) > (b) ? (a) : (b))

int store_meta_put(store *self, const char *key, const char *value, pw_err *err)
{
    int rc = store_write(self, S_META_PUT, SQL_ARGS(sql_t(key), sql_t(value)), err);

    return rc < 0 ? rc : 0;
}

int store_meta_get(store *self, const char *key, pw_buf *out, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_META_GET, SQL_ARGS(sql_t(key)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no value \"%s\"", key);
    return rc < 0 ? rc : sql_col_buf(&cur, 0, out, err);
}

/* Looks up, or adds; `arg` serves both statements. */
static int intern(store *self, enum store_stmt get, enum store_stmt add, const sql_arg *arg,
                  size_t n, uint64_t *ret, pw_err *err)
{
    int64_t id;
    int rc = sql_number(&self->c, get, arg, n, &id, err);

    if (rc == PW_ENOTFOUND) {
        rc = store_write(self, add, arg, n, err);
        id = sqlite3_last_insert_rowid(self->c.db);
    }
    if (rc < 0)
        return rc;
    *ret = (uint64_t)id;
    return 0;
}

static int cached(store *self, names_kind kind, uint64_t parent, const char *text, uint64_t *ret,
                  pw_err *err)
{
    static const enum store_stmt get[] = {S_NAME_GET, S_PROJECT_GET, S_BUILDER_GET};
    static const enum store_stmt add[] = {S_NAME_ADD, S_PROJECT_ADD, S_BUILDER_ADD};
    uint64_t id = names_get(self->names, kind, parent, text);
    int rc = 0;

    if (!id) {
        rc = intern(self, get[kind], add[kind], SQL_ARGS(sql_u(parent), sql_t(text)), &id, err);
        if (rc == 0)
            names_put(self->names, kind, parent, text, id);
    }
    if (rc == 0)
        *ret = id;
    return rc;
}

int store_name_id(store *self, const char *text, uint64_t *ret, pw_err *err)
{
    return cached(self, NAMES_TEXT, 0, text, ret, err);
}

int store_project_id(store *self, const char *name, uint64_t *ret, pw_err *err)
{
    return cached(self, NAMES_PROJECT, 0, name, ret, err);
}

int store_builder_id(store *self, uint64_t project, const char *name, uint64_t *ret, pw_err *err)
{
    return cached(self, NAMES_BUILDER, project, name, ret, err);
}

int store_stamp_id(store *self, uint64_t project, const char *branch, const store_rev *rev,
                   uint64_t *ret, pw_err *err)
{
    return intern(self, S_STAMP_GET, S_STAMP_ADD,
                  SQL_ARGS(sql_rev(rev), sql_u(project), sql_t(branch)), ret, err);
}

int store_stamp_get(store *self, uint64_t id, uint64_t *ret_project, store_rev *ret_rev,
                    pw_buf *branch, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_STAMP_ROW, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no source stamp %llu", (unsigned long long)id);
    if (rc < 0 || (rc = sql_col_buf(&cur, 2, branch, err)) < 0)
        return rc;
    if (ret_project)
        *ret_project = sql_col_u(&cur, 0);
    if (ret_rev)
        sql_col_rev(&cur, 1, ret_rev);
    return 0;
}

int store_highest_ids(store *self, store_highest *ret, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_HIGHEST, SQL_NO_ARGS, &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    *ret = (store_highest){
        .build = HIGHER(sql_col_u(&cur, 0), sql_col_u(&cur, 1)),
        .attempt = sql_col_u(&cur, 2),
        .buildset = sql_col_u(&cur, 3),
        .change = sql_col_u(&cur, 4),
        .promotion = sql_col_u(&cur, 5),
        .event = sql_col_u(&cur, 6),
    };
    return 0;
}
