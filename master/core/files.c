/* Files that steps left, and what their reports said: rows, and what is to be done with the bytes.
 */
#include <inttypes.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/store/files.h"
#include "shared/base/log.h"

enum { EXPIRE_MOST = 200, GONE_MOST = 200, KEPT_US = 5000000 };
#define KEEP_MS (INT64_C(30) * 24 * 3600 * 1000)

/* How long files of this build are kept, by the configuration of now. */
static pw_msec keep_of(const core *self, uint64_t build)
{
    const core_build *b = pw_table_get(self->builds, build);
    size_t project = b ? b->request->builder->project : SIZE_MAX;
    if (project >= self->conf->n_projects || !self->project[project].conf)
        return KEEP_MS;
    return self->project[project].conf->keep_artifacts / 1000;
}

void core_att_file(core *self, const core_attempt *a, const store_artifact *f)
{
    pw_err err = {0};
    store_artifact row = *f;
    row.attempt = a->id;
    row.state = FILE_INCOMING;
    row.at = pw_wall(self->host);
    row.expires = row.at + keep_of(self, a->build);
    if (f->keep)
        row.expires = row.at + f->keep;
    if (!core_turn(self) || !core_ok(self, store_artifact_add(self->st, &row, &err), &err))
        return;
    core_effect *e = core_add_effect(self, CORE_PUBLISH);
    if (!e)
        return;
    e->attempt = a->id;
    e->id = f->file;
    e->index = f->size;
    memcpy(e->digest, f->sha256, sizeof(e->digest));
}

void core_file_stored(core *self, uint64_t attempt, uint64_t file, bool damaged)
{
    pw_err err = {0};
    if (core_turn(self))
        (void)core_ok(self,
                      store_artifact_state(self->st, attempt, file,
                                           damaged ? FILE_DAMAGED : FILE_STORED, &err),
                      &err);
}

void core_file_removed(core *self, const uint8_t sum[32])
{
    pw_err err = {0};
    self->gone_under_way -= self->gone_under_way > 0;
    if (core_turn(self))
        (void)core_ok(self, store_artifact_gone(self->st, sum, &err), &err);
}

void core_file_kept(core *self)
{
    pw_usec soon = pw_now(self->host) + KEPT_US;
    self->gone_under_way -= self->gone_under_way > 0;
    if (self->housekeeping > soon)
        self->housekeeping = soon;
}

void core_att_tests(core *self, const core_attempt *a, const rec_tests *t)
{
    pw_err err = {0};
    uint64_t left = 0;
    if (core_turn(self) &&
        core_ok(self, store_tests_add(self->st, a->id, t, CORE_TESTS_MAX, &left, &err), &err) &&
        left)
        pw_log(PW_LOG_WARN, "tests_left_out", "attempt=%" PRIu64 " cases=%" PRIu64, a->id, left);
}

void core_att_report(core *self, const core_attempt *a, const rec_report *r)
{
    pw_err err = {0};
    if (core_turn(self))
        (void)core_ok(self, store_report_add(self->st, a->id, r, &err), &err);
}

static int on_gone(void *p, const uint8_t sum[32])
{
    core *self = p;
    core_effect *e = core_add_effect(self, CORE_UNLINK);
    if (!e)
        return PW_ENOMEM;
    memcpy(e->digest, sum, sizeof(e->digest));
    self->gone_under_way++;
    return 0;
}

/* A batch at a time: what is past its time, and then the bytes that no row names any more. They are
 * asked for again only when all of the last batch were answered, and in the order in which rows
 * came to name them or did not (master/blobs). */
bool core_files_expire(core *self)
{
    pw_err err = {0};
    int n = store_artifacts_expire(self->st, pw_wall(self->host), EXPIRE_MOST, &err);
    if (!core_ok(self, n, &err) || self->gone_under_way)
        return n == EXPIRE_MOST;
    (void)core_ok(self, store_artifact_gones(self->st, GONE_MOST, on_gone, self, &err), &err);
    return n == EXPIRE_MOST;
}
