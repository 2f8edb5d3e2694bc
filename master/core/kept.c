/* Work directories of failed builds that are kept for people, on their workers. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define KEPT_MAX_MS (366 * 24 * 3600 * INT64_C(1000))

void core_kept(core *self, const core_attempt *a, const rec_end *r)
{
    pw_err err = {0};
    pw_msec now = pw_wall(self->host);
    if (!r->kept_dir || !r->kept_dir[0])
        return;
    store_kept k = {
        .build = a->build, .worker = a->worker, .dir = r->kept_dir, .until = now + KEPT_MAX_MS};
    /* a worker's word, and its clock */
    if (r->kept_until_ms < (uint64_t)k.until)
        k.until = (pw_msec)r->kept_until_ms;
    if (core_turn(self) && core_ok(self, store_kept_expire(self->st, now, &err), &err))
        (void)core_ok(self, store_kept_put(self->st, &k, &err), &err);
}

static void none(core *self, core_cmd *c)
{
    store_build row;
    const core_build *b = pw_table_get(self->builds, c->id);
    if (b && b->live)
        core_cmd_fail(c, 409, "conflict", "build %" PRIu64 " is not over; it is on worker \"%s\"",
                      c->id, core_worker_name(self, b->live->worker));
    else if (store_build_get(self->st, c->id, &row, NULL) < 0)
        core_cmd_fail(c, 404, "not_found", "there is no build %" PRIu64, c->id);
    else {
        core_cmd_fail(c, 404, "not_found",
                      "no work directory of build %" PRIu64
                      " is kept: only that of a failed build is, for keep_failed of its builder",
                      c->id);
        store_build_clear(&row);
    }
}

void core_cmd_shell(core *self, core_cmd *c)
{
    PW_AUTO(pw_buf_clearp) pw_buf dir = PW_BUF(PATH_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf what = PW_BUF(2 * PATH_MAX);
    uint64_t worker = 0;
    pw_msec until = 0;
    char at[PW_TIME_MAX], host[256] = "";
    pw_err err = {0};
    int rc = store_kept_get(self->st, c->id, &worker, &dir, &until, &err);
    if (rc < 0 || until <= pw_wall(self->host)) {
        if (rc < 0 && rc != PW_ENOTFOUND)
            (void)core_ok(self, rc, &err);
        else
            none(self, c);
        return;
    }
    const core_worker *w = core_worker_get(self, worker);
    if (w)
        (void)core_fact_get(w->row.facts, "hostname", host, sizeof(host));
    (void)pw_buf_addf(&what, "build %" PRIu64 " on %s: %s", c->id, core_worker_name(self, worker),
                      pw_buf_str(&dir));
    if (!core_audit(self, c, "shell", pw_buf_str(&what)))
        return;
    c->status = 200;
    (void)pw_buf_addf(&c->body, "{\"build\":%" PRIu64 ",\"worker\":", c->id);
    (void)pw_buf_json(&c->body, core_worker_name(self, worker));
    (void)pw_buf_adds(&c->body, ",\"hostname\":");
    if (host[0])
        (void)pw_buf_json(&c->body, host);
    else
        (void)pw_buf_adds(&c->body, "null");
    (void)pw_buf_adds(&c->body, ",\"directory\":");
    (void)pw_buf_json(&c->body, pw_buf_str(&dir));
    (void)pw_buf_addf(&c->body, ",\"until\":\"%s\"}", pw_time_text(until, at));
}
