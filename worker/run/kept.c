#include "worker/run/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "worker/run/inside.h"
#include "worker/run/steps.h"

enum { TEXT_BYTES = 128 * 1024, PATH_BYTES = 8192, FILE_MAX = 4 * 1024 * 1024, OPTIONS_MAX = 4096 };
#define UNREADABLE_MS (24 * 3600 * UINT64_C(1000))

static const pw_field fields[] = {
    PW_F_U64(kept, until_ms, "until_ms", true, "wall clock"),
    PW_F_U64(kept, build, "build", true, "build"),
    PW_F_U64(kept, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(kept, attempt, "attempt", true, "attempt"),
    PW_F_STR(kept, isolation, "isolation", false, PATH_BYTES, "what the job ran under"),
    PW_F_BOOL(kept, no_network, "no_network", false, "without network"),
    PW_F_STR(kept, dir, "dir", true, PATH_BYTES, "folder of the step"),
    PW_F_STRS(kept, env, "env", false, TEXT_BYTES, ENV_COUNT_MAX, "its environment"),
    PW_F_STRS(kept, read, "read", false, PATH_BYTES, PW_STEPS_MAX, "mirrors it leans on"),
    PW_F_STRS(kept, options, "options", false, PATH_BYTES, OPTIONS_MAX, "of the isolation"),
};
const pw_schema kept_schema = PW_SCHEMA("kept", kept, fields, "A kept work directory.");

void kept_clear(kept *k)
{
    pw_schema_clear(&kept_schema, k);
}

static char *path_of(const char *workdir, pw_err *err)
{
    char *path = pw_strf("%s.kept", workdir);
    if (!path)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return path;
}

/* Borrowed texts, to be encoded only. */
static pw_strs lend(char **list)
{
    return (pw_strs){list, iso_list_len(list)};
}

int kept_write(run_job *r, size_t index, pw_err *err)
{
    const job_step *s = (const job_step *)r->spec.steps.v + index;
    PW_AUTO(env_clear) env_list env = {0};
    PW_AUTO(pw_freep) char *dir = NULL;
    PW_AUTO(pw_freep) char *path = path_of(r->workdir, err);
    PW_AUTO(iso_list_freep) char **options = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(FILE_MAX);
    if (!path)
        return PW_ENOMEM;
    int rc = step_env(r, s, &env, err);
    if (rc == 0)
        rc = step_dir(r, s, &dir, err);
    for (size_t i = 0; i < env.n && rc == 0; i++)
        mask_text(r->mask, env.v[i]); /* a secret stays where it was needed */
    if (rc == 0 && r->host->iso)
        rc = iso_options(r->host->iso, &options, err);
    if (rc < 0)
        return rc;
    kept k = {
        .until_ms = (uint64_t)pw_wall(r->host->clock) + r->spec.keep_failed_ms,
        .build = r->spec.build,
        .epoch = r->id.epoch,
        .attempt = r->id.attempt,
        .isolation = r->in.image ? r->spec.isolation : (char *)(uintptr_t)iso_kind_name(r->in.kind),
        .no_network = r->spec.no_network,
        .dir = dir,
        .env = {env.v, env.n},
        .read = lend(r->in.read),
        .options = lend(options),
    };
    rc = pw_schema_encode(&kept_schema, &k, &b, err);
    if (rc == 0 && pw_fault("run.kept"))
        rc = pw_fail(err, PW_ESYS, "fault point run.kept");
    return rc < 0 ? rc : pw_fs_replace(path, b.p, b.len, 0600, err);
}

int kept_read(const char *workdir, kept *ret, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = path_of(workdir, err);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(FILE_MAX);
    if (!path)
        return PW_ENOMEM;
    int rc = pw_fs_read(path, FILE_MAX, &b, err);
    return rc < 0 ? rc : pw_schema_decode(&kept_schema, b.p, b.len, ret, err);
}

uint64_t kept_until(const char *workdir)
{
    PW_AUTO(pw_freep) char *path = path_of(workdir, NULL);
    struct stat st;
    kept k = {0};
    if (!path || lstat(path, &st) < 0)
        return 0;
    if (kept_read(workdir, &k, NULL) < 0)
        return (uint64_t)st.st_mtime * 1000 + UNREADABLE_MS;
    uint64_t until = k.until_ms ? k.until_ms : 1;
    kept_clear(&k);
    return until;
}

void kept_drop(const char *workdir)
{
    PW_AUTO(pw_freep) char *path = path_of(workdir, NULL);
    if (path)
        (void)unlink(path);
}
