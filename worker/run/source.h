/* source.h - a revision that comes from the master, over the link: into the mirror of the
 * repository, as a git bundle that builds upon what the mirror has. */
#ifndef PW_WORKER_RUN_SOURCE_H
#define PW_WORKER_RUN_SOURCE_H
#include "worker/run/run.h"

/* Branches of such revisions in the mirror: never mixed up with those that were fetched from the
 * repository. */
#define SOURCE_HEADS "refs/pawl/heads/"

/* Whether the job's revision comes so. */
bool source_is_master(const job_spec *job);
/* Runs git; said: gets what it prints, instead of the log; NULL: the log. Its exit code, or -1 with
 * the result set. */
typedef int source_git(void *self, pw_buf *said, const char *const *args);
/* Brings the job's revision and the tags that lead to it. 0; 1: git does not take it, so the mirror
 * is damaged; -1: the result is set. */
int source_bring(run_job *r, const char *mirror, source_git *git, void *git_self, step_result *out);
#endif
