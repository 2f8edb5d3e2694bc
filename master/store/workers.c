/* Workers and their enrolment. */
#include <string.h>

#include "master/store/impl.h"

int store_worker_add(store *self, const char *name, pw_msec now, uint64_t *ret_id, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    uint64_t id;
    int rc = sql_query(&self->c, S_WORKER_BY_NAME, SQL_ARGS(sql_t(name)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        rc = store_write(self, S_WORKER_ADD, SQL_ARGS(sql_t(name), sql_i(now)), err);
        id = (uint64_t)sqlite3_last_insert_rowid(self->c.db);
    } else {
        bool removed = sql_col_i(&cur, 1) != 0;
        id = sql_col_u(&cur, 0);
        sql_end(&cur);
        if (!removed)
            return pw_fail(err, PW_ECONFLICT, "worker \"%s\" exists already", name);
        rc = store_write(self, S_WORKER_AGAIN, SQL_ARGS(sql_u(id), sql_i(now)), err);
        if (rc >= 0)
            rc = store_write(self, S_ENROL_DEL, SQL_ARGS(sql_u(id)), err);
    }
    if (rc < 0)
        return rc;
    *ret_id = id;
    return 0;
}

int store_worker_each(store *self, int (*cb)(void *, const store_worker *), void *cb_self,
                      pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_WORKERS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_worker w;
        row_worker(&cur, &w);
        rc = sql_row(cb(cb_self, &w));
    }
    return rc;
}

int store_worker_hello(store *self, uint64_t id, const uint8_t spool[16], const uint8_t boot[16],
                       uint64_t slots, const char *tags, const char *facts, const char *version,
                       pw_msec now, pw_err *err)
{
    return store_write_one(self, S_WORKER_HELLO,
                           SQL_ARGS(sql_u(id), sql_b(spool, 16), sql_b(boot, 16), sql_u(slots),
                                    sql_t(tags), sql_t(facts), sql_t(version), sql_i(now)),
                           "worker", id, err);
}

int store_worker_seen(store *self, uint64_t id, pw_msec now, pw_err *err)
{
    return store_write_one(self, S_WORKER_SEEN, SQL_ARGS(sql_u(id), sql_i(now)), "worker", id, err);
}

int store_worker_flags(store *self, uint64_t id, bool paused, bool draining, bool removed,
                       pw_msec quarantine, const char *reason, const char *who, pw_err *err)
{
    return store_write_one(self, S_WORKER_FLAGS,
                           SQL_ARGS(sql_u(id), sql_i(paused), sql_i(draining), sql_i(removed),
                                    sql_i(quarantine), sql_t(reason), sql_t(who)),
                           "worker", id, err);
}

int store_worker_strikes(store *self, uint64_t id, uint64_t strikes, uint64_t rests, pw_err *err)
{
    return store_write_one(self, S_WORKER_STRIKES,
                           SQL_ARGS(sql_u(id), sql_u(strikes), sql_u(rests)), "worker", id, err);
}

int store_worker_facts(store *self, uint64_t id, const char *facts, pw_err *err)
{
    return store_write_one(self, S_WORKER_FACTS, SQL_ARGS(sql_u(id), sql_t(facts)), "worker", id,
                           err);
}

int store_worker_provider(store *self, uint64_t id, const char *provider, pw_err *err)
{
    return store_write_one(self, S_WORKER_PROVIDER, SQL_ARGS(sql_u(id), sql_t(provider)), "worker",
                           id, err);
}

int store_machine_add(store *self, const char *provider, uint64_t worker, pw_msec now,
                      uint64_t *ret_id, pw_err *err)
{
    int rc =
        store_write(self, S_MACHINE_ADD, SQL_ARGS(sql_t(provider), sql_u(worker), sql_i(now)), err);

    if (rc < 0)
        return rc;
    *ret_id = (uint64_t)sqlite3_last_insert_rowid(self->c.db);
    return 0;
}

int store_machine_put(store *self, uint64_t id, machine_state state, const char *handle,
                      const char *reason, pw_msec finished, pw_err *err)
{
    return store_write_one(self, S_MACHINE_PUT,
                           SQL_ARGS(sql_u(id), sql_i(state), sql_t(handle), sql_t(reason),
                                    finished ? sql_i(finished) : sql_t(NULL)),
                           "machine", id, err);
}

int store_machines_open(store *self, int (*cb)(void *, const store_machine *), void *cb_self,
                        pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_MACHINES_OPEN, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        store_machine m = {.id = sql_col_u(&cur, 0),
                           .provider = sql_col_t(&cur, 1),
                           .worker = sql_col_u(&cur, 2),
                           .state = (machine_state)sql_col_i(&cur, 3),
                           .handle = sql_col_t(&cur, 4),
                           .created = sql_col_i(&cur, 5),
                           .reason = sql_col_t(&cur, 6)};
        rc = sql_row(cb(cb_self, &m));
    }
    return rc;
}

int store_enrol_put(store *self, uint64_t worker, const uint8_t key[32], pw_msec expires,
                    pw_err *err)
{
    return store_write_one(self, S_ENROL_PUT,
                           SQL_ARGS(sql_u(worker), sql_b(key, 32), sql_i(expires)), "worker",
                           worker, err);
}

int store_enrol_use(store *self, uint64_t worker, const void *used, size_t n, pw_err *err)
{
    return store_write_one(self, S_ENROL_USE, SQL_ARGS(sql_u(worker), sql_b(n ? used : NULL, n)),
                           "enrolment of worker", worker, err);
}

int store_enrol_used(store *self, uint64_t worker, uint8_t ret_used[32], size_t *ret_n, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(32);
    int rc = sql_query(&self->c, S_ENROL_USED, SQL_ARGS(sql_u(worker)), &cur, err);

    if (rc == 0)
        rc = sql_next(&cur, err);
    if (rc == 0)
        return pw_fail(err, PW_ENOTFOUND, "worker %llu is not enrolled",
                       (unsigned long long)worker);
    if (rc < 0 || (rc = sql_col_buf(&cur, 0, &b, err)) < 0)
        return rc;
    if (b.len)
        memcpy(ret_used, b.p, b.len);
    *ret_n = b.len;
    return 0;
}

int store_enrol_each(store *self,
                     int (*cb)(void *, uint64_t worker, const uint8_t key[32], pw_msec expires),
                     void *cb_self, pw_err *err)
{
    PW_AUTO(sql_end) sql_cur cur = {0};
    int rc = sql_query(&self->c, S_ENROLS, SQL_NO_ARGS, &cur, err);

    while (rc == 0 && (rc = sql_next(&cur, err)) > 0) {
        uint8_t key[32];
        if (sql_col_bytes(&cur, 1, key, sizeof(key)))
            rc = sql_row(cb(cb_self, sql_col_u(&cur, 0), key, sql_col_i(&cur, 2)));
        else /* a damaged key must never become the key of zeros */
            rc = 0;
    }
    return rc;
}

int store_worker_join(store *self, uint64_t worker, const uint8_t key[32], pw_err *err)
{
    int rc = store_write_one(self, S_WORKER_KEY, SQL_ARGS(sql_u(worker), sql_b(key, 32)), "worker",
                             worker, err);

    if (rc == 0)
        rc = store_write(self, S_ENROL_DEL, SQL_ARGS(sql_u(worker)), err);
    return rc < 0 ? rc : 0;
}

int store_worker_revoke(store *self, uint64_t worker, pw_err *err)
{
    int rc = store_write_one(self, S_WORKER_KEY, SQL_ARGS(sql_u(worker), sql_b(NULL, 0)), "worker",
                             worker, err);

    if (rc == 0)
        rc = store_write(self, S_ENROL_DEL, SQL_ARGS(sql_u(worker)), err);
    return rc < 0 ? rc : 0;
}
