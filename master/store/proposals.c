/* Proposals: which stamps are of one, and what is known of it. */
#include <stdlib.h>

#include "master/store/impl.h"

int store_stamp_propose(store *self, uint64_t stamp, unsigned proposal, pw_err *err)
{
    int rc = store_write(self, S_STAMP_PROPOSE, SQL_ARGS(sql_u(stamp), sql_u(proposal)), err);

    return rc < 0 ? rc : 0;
}

int store_stamp_proposal(store *self, uint64_t stamp, unsigned *ret, pw_err *err)
{
    int64_t n = 0;
    int rc = sql_number(&self->c, S_STAMP_PROPOSAL, SQL_ARGS(sql_u(stamp)), &n, err);

    if (rc == 0)
        *ret = (unsigned)n;
    return rc;
}

int store_proposal_put(store *self, uint64_t project, const char *branch, const store_proposal *p,
                       pw_msec at, pw_err *err)
{
    const sql_arg arg[] = {sql_u(project),   sql_t(branch),  sql_t(p->target), sql_t(p->title),
                           sql_t(p->author), sql_i(p->fork), sql_i(at)};
    int rc = store_write(self, S_PROPOSAL_PUT, arg, 7, err);

    return rc < 0 ? rc : 0;
}

int store_proposal_get(store *self, uint64_t project, const char *branch, store_proposal *ret,
                       pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    bool failed = false;
    int rc =
        sql_query(&self->c, S_PROPOSAL_GET, SQL_ARGS(sql_u(project), sql_t(branch)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "nothing is known of proposal \"%s\"", branch);
    if (rc < 0)
        return rc;
    store_proposal p = {.target = pw_strdup(sql_col_t(&cur, 0), &failed),
                        .title = pw_strdup(sql_col_t(&cur, 1), &failed),
                        .author = pw_strdup(sql_col_t(&cur, 2), &failed),
                        .fork = (int)sql_col_i(&cur, 3)};
    if (failed) {
        store_proposal_clear(&p);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *ret = p;
    return 0;
}

void store_proposal_clear(store_proposal *p)
{
    free(p->target);
    free(p->title);
    free(p->author);
    *p = (store_proposal){.fork = -1};
}
