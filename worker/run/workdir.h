/* workdir.h - the folder that a job works in: SPOOL/work/PROJECT/BUILDER/N, N the lowest number
 * that no other job holds, kept for the next job of that builder; and its TMPDIR, which goes with
 * the job. Blocking file calls. */
#ifndef PW_WORKER_RUN_WORKDIR_H
#define PW_WORKER_RUN_WORKDIR_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

enum { WORKDIR_MAX = 10000, WORKDIR_NAME_MAX = 200 };
/* Appends `name` as one safe file name: bytes that file names of ours do not have become %XX; a
 * very long one is shortened and gets a checksum. Different names stay different. */
int workdir_name(const char *name, pw_buf *out);
/* Untrusted builds have folders of their own, which are empty at their start: what they leave is
 * never met by a build that is trusted. */
/* Those kept for people (kept.h) are left out until their time has come, by `now`. */
/* Makes the folder and takes its lock. *ret_dir is owned, the returned fd (owned) holds the lock.
 */
int workdir_take(const char *spool, const char *project, const char *builder, bool untrusted,
                 pw_msec now, char **ret_dir, pw_err *err);
/* The lock of a work directory that is there; PW_EAGAIN: another has it. */
int workdir_lock(const char *dir, pw_err *err);
/* It was used now: its lock file's time says so. */
void workdir_used(int lock);
/* WORKDIR.tmp, made or emptied. Owned; NULL on failure. The folder itself stays for the next job:
 * making and removing one for each job is what some file systems are slowest at. */
char *workdir_tmp(const char *workdir, pw_err *err);
/* Between steps: makes it if a step removed it or put something else there. */
int workdir_tmp_again(const char *dir, pw_err *err);
/* Removes all that is in it. */
int workdir_tmp_empty(const char *dir, pw_err *err);
#endif
