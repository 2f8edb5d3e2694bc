/* Between the core's rows of files and the store that has their bytes. */
#include <inttypes.h>
#include <stdlib.h>

#include "master/server/state.h"
#include "master/store/files.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { RETRY_US = 10000000 };

static int publish(void *p, const store_artifact *a)
{
    server *s = p;
    pw_err err = {0};
    if (blobs_publish(s->files, a->attempt, a->file, a->size, a->sha256, &err) < 0) {
        pw_log_err(PW_LOG_WARN, "artifact_not_stored", &err);
        s->publish_at = pw_now(&pw_host_real) + RETRY_US;
    }
    return 0;
}

/* ---- what an earlier life left in `in` */
typedef struct open_files {
    server *s;
    struct {
        uint64_t attempt, file;
    } * v;
    size_t n, cap;
} open_files;

static int note_open(void *p, const store_artifact *a)
{
    open_files *o = p;
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 64;
        void *v = realloc(o->v, cap * sizeof(*o->v));
        if (!v)
            return PW_ENOMEM;
        o->v = v;
        o->cap = cap;
    }
    o->v[o->n].attempt = a->attempt;
    o->v[o->n++].file = a->file;
    return 0;
}

static bool wanted(void *p, uint64_t attempt, uint64_t file)
{
    const open_files *o = p;
    if (core_attempt_find(o->s->core, attempt))
        return true;
    for (size_t i = 0; i < o->n; i++)
        if (o->v[i].attempt == attempt && o->v[i].file == file)
            return true;
    return false;
}

static int open_store(server *s, pw_err *err)
{
    PW_AUTO(pw_freep) char *lock = pw_path_join(s->dir, "backup.lock");
    if (!lock)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!(s->files = blobs_open(s->file_dir, s->file_answers, err)))
        return err->code;
    int r = blobs_keep_while(s->files, lock, err);
    if (r == 0)
        logs_also(s->log_store, blobs_sync, s->files);
    return r;
}

/* What no row names and no open attempt owns goes, the rest is put in place. */
static int tidy(server *s, pw_err *err)
{
    open_files o = {.s = s};
    int r = store_artifacts_open(s->st, note_open, &o, err);
    if (r == 0)
        r = blobs_sweep(s->files, wanted, &o, err);
    free(o.v);
    return r == 0 ? store_artifacts_open(s->st, publish, s, err) : r;
}

int files_load(server *s, pw_err *err)
{
    int r = s->files ? 0 : open_store(s, err);
    if (r < 0)
        return r;
    sessions_keep_files(s->links, s->files);
    return tidy(s, err);
}

void files_effect(server *s, const core_effect *e)
{
    pw_err err = {0};
    int r = 0;
    if (e->kind == CORE_PUBLISH) {
        store_artifact a = {.attempt = e->attempt, .file = e->id, .size = e->index};
        for (size_t i = 0; i < sizeof(a.sha256); i++)
            a.sha256[i] = e->digest[i];
        if (!pw_fault("blobs.committed")) /* asked for again, as after a crash */
            (void)publish(s, &a);
        else
            s->publish_at = pw_now(&pw_host_real) + RETRY_US;
    } else if (e->kind == CORE_UNLINK) {
        r = blobs_remove(s->files, e->digest, &err);
        if (r < 0)
            core_file_kept(s->core);
    } else if (!s->publish_at) { /* else its files may be among those that wait: files_tick */
        r = blobs_over(s->files, e->attempt, &err);
    }
    if (r < 0)
        pw_log_err(PW_LOG_WARN, "artifact_kept", &err);
}

void files_tick(server *s)
{
    pw_err err = {0};
    if (!s->publish_at || pw_now(&pw_host_real) < s->publish_at)
        return;
    s->publish_at = 0;
    if (tidy(s, &err) == 0)
        return;
    pw_log_err(PW_LOG_WARN, "artifact_not_stored", &err);
    s->publish_at = pw_now(&pw_host_real) + RETRY_US;
}

static void stored(server *s, const blobs_answer *a)
{
    if (a->code < 0)
        pw_log(PW_LOG_ERROR, "artifact_not_stored",
               "attempt=%" PRIu64 " file=%" PRIu64 " reason=\"%s\"", a->attempt, a->file, a->text);
    if (a->code == 0 || a->code == PW_ECORRUPT) {
        core_file_stored(s->core, a->attempt, a->file, a->code < 0);
        core_condition(s->core, "artifacts", NULL);
    } else {
        core_condition(s->core, "artifacts", a->text);
        s->publish_at = pw_now(&pw_host_real) + RETRY_US;
    }
}

void turn_files(pw_loop *loop, int fd, uint32_t events, void *p)
{
    server *s = p;
    blobs_answer *a;
    (void)loop, (void)fd, (void)events;
    while ((a = pw_chan_recv(s->file_answers))) {
        if (s->core && a->kind == BLOBS_STORED) {
            stored(s, a);
        } else if (s->core && a->code == 0) {
            if (!pw_fault("blobs.removed")) /* asked for again, which is no harm */
                core_file_removed(s->core, a->sum);
            else
                core_file_kept(s->core);
        } else if (s->core) {
            core_file_kept(s->core);
        }
        free(a);
    }
}
