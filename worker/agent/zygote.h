/* zygote.h - `pawl-run --serve`: the process that runners are forked from. It is started with the
 * first need, and again when it died; the runners that it forked live on. One thread. Blocks for
 * the microseconds of a process start. */
#ifndef PW_WORKER_AGENT_ZYGOTE_H
#define PW_WORKER_AGENT_ZYGOTE_H
#include "shared/base/cleanup.h"
#include "shared/base/host.h"
#include "worker/agent/conf.h"

typedef struct zygote zygote;
/* program and spool are copied. files: soft limit of open files of all that it starts, 0: as it is.
 * Starts nothing yet. */
zygote *zygote_new(const pw_host *host, const char *program, const char *spool, uint64_t files,
                   pw_err *err);
zygote *zygote_free(zygote *self); /* the zygote ends, runners live on */
PW_DEFINE_FREEP(zygote, zygote_free)
/* Control groups, limits and isolation of jobs, and what steps inherit: PATH HOME USER LOGNAME LANG
 * LC_ALL TZ, env_pass; where the files are with which checkouts log in.
 * A running zygote is replaced, so that the next job has it. */
int zygote_env(zygote *self, const worker_conf *conf, pw_err *err);
/* Asks for a runner. PW_EAGAIN: not now. */
int zygote_start(zygote *self, const char *job, pw_err *err);
/* Starts `pawl-run --tidy` for the spool; it ends by itself. */
int zygote_tidy(zygote *self, uint64_t low_disk, pw_err *err);
/* Notices a dead zygote. Once a second or so. */
void zygote_poll(zygote *self);
/* Where pawl-run is: PAWL_RUN, beside this program, or in PATH. New text, owned; PW_ENOTFOUND says
 * where it looked. */
int zygote_find(char **ret_program, pw_err *err);
#endif
