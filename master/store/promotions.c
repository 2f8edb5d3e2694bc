/* Promotions (the intent is written before the outside call) and where each edge stands. */
#include "master/store/impl.h"

/* The old revision of a branch that is not there yet is NULL. */
static sql_arg rev_or_null(const store_rev *r)
{
    return r && r->n ? sql_rev(r) : sql_null();
}

int store_promotion_add(store *self, const store_promotion *p, pw_err *err)
{
    return store_write_one(self, S_PROMOTION_ADD,
                           SQL_ARGS(sql_u(p->id), sql_t(p->edge), sql_u(p->project),
                                    sql_t(p->source), sql_t(p->target), rev_or_null(&p->old),
                                    sql_rev(&p->rev), sql_i((int)PROMO_OPEN), sql_t(p->reason),
                                    sql_i(p->created), sql_i0(p->finished)),
                           "promotion", p->id, err);
}

int store_promotion_end(store *self, uint64_t id, promo_state state, const char *reason, pw_msec at,
                        pw_err *err)
{
    if (state == PROMO_OPEN)
        return pw_fail(err, PW_EINVAL, "promotion %llu cannot end as open", (unsigned long long)id);
    return store_write_state(self, S_PROMOTION_END,
                             SQL_ARGS(sql_u(id), sql_i((int)state), sql_t(reason), sql_i(at)),
                             S_PROMOTION_STATE, "promotion", id, err);
}

int store_promotions_open(store *self, int (*cb)(void *, const store_promotion *), void *cb_self,
                          pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_PROMOTIONS_OPEN, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_promotion p;
        row_promotion(&cur, &p);
        rc = sql_row(cb(cb_self, &p));
    }
    return rc;
}

int store_edge_put(store *self, const char *edge, edge_state state, const store_rev *rev,
                   const char *reason, pw_msec at, pw_err *err)
{
    int rc = store_write(
        self, S_EDGE_PUT,
        SQL_ARGS(sql_t(edge), sql_i((int)state), rev_or_null(rev), sql_t(reason), sql_i(at)), err);

    return rc < 0 ? rc : 0;
}
