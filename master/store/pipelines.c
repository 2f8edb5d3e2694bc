/* Pipeline files of revisions, and what waits for them. */
#include "master/store/impl.h"
#include "master/store/graph.h"

int store_pipeline_id(store *self, uint64_t project, const store_rev *rev, const char *path,
                      bool add, uint64_t *ret, pw_err *err)
{
    const sql_arg arg[] = {sql_u(project), sql_rev(rev), sql_t(path)};
    int64_t id = 0;
    int rc = sql_number(&self->c, S_PIPELINE_GET, arg, 3, &id, err);

    if (rc == PW_ENOTFOUND && add) {
        rc = store_write(self, S_PIPELINE_ADD, arg, 3, err);
        id = sqlite3_last_insert_rowid(self->c.db);
    }
    if (rc < 0)
        return rc;
    *ret = (uint64_t)id;
    return 0;
}

int store_pipeline_row(store *self, uint64_t id, uint64_t *ret_project, store_rev *ret_rev,
                       pw_buf *path, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_PIPELINE_ROW, SQL_ARGS(sql_u(id)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "no pipeline file %llu", (unsigned long long)id);
    if (rc < 0 || (rc = sql_col_buf(&cur, 2, path, err)) < 0)
        return rc;
    *ret_project = sql_col_u(&cur, 0);
    sql_col_rev(&cur, 1, ret_rev);
    return 0;
}

int store_pipeline_put(store *self, uint64_t id, const char *path, const char *text, pw_err *err)
{
    int rc = store_write(self, S_PIPELINE_PUT, SQL_ARGS(sql_u(id), sql_t(path), sql_t(text)), err);
    return rc < 0 ? rc : 0;
}

int store_pipeline_texts(store *self, uint64_t id,
                         int (*cb)(void *, const char *path, const char *text), void *cb_self,
                         pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_PIPELINE_TEXTS, SQL_ARGS(sql_u(id)), &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0)
        rc = sql_row(cb(cb_self, sql_col_t(&cur, 0), sql_col_t(&cur, 1)));
    return rc;
}

int store_asked_add(store *self, uint64_t request, const store_asked *a, pw_err *err)
{
    return store_write_one(self, S_ASKED_ADD,
                           SQL_ARGS(sql_u(request), sql_i((int)a->flags), sql_u(a->change),
                                    sql_t(a->names), sql_t(a->files)),
                           "request", request, err);
}

int store_asked_get(store *self, uint64_t request, int (*cb)(void *, const store_asked *),
                    void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_ASKED_GET, SQL_ARGS(sql_u(request)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc <= 0)
        return rc < 0 ? rc : PW_ENOTFOUND;
    store_asked a = {(unsigned)sql_col_i(&cur, 0), sql_col_u(&cur, 1), sql_col_t(&cur, 2),
                     sql_col_t(&cur, 3)};
    return cb(cb_self, &a);
}

int store_asked_del(store *self, uint64_t request, pw_err *err)
{
    int rc = store_write(self, S_ASKED_DEL, SQL_ARGS(sql_u(request)), err);
    return rc < 0 ? rc : 0;
}

int store_remark_add(store *self, uint64_t build, const char *text, pw_err *err)
{
    return store_write_one(self, S_REMARK_ADD, SQL_ARGS(sql_u(build), sql_t(text)), "build", build,
                           err);
}
