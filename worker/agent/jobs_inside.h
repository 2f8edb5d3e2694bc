/* jobs_inside.h - inside worker/agent only: what jobs.c and rescue.c share. */
#ifndef PW_WORKER_AGENT_JOBS_INSIDE_H
#define PW_WORKER_AGENT_JOBS_INSIDE_H
#include "worker/agent/jobs.h"

enum { PLACE_JOBS, PLACE_HELD, PLACE_KEPT, PLACES };
enum { JOBS_BUCKETS = 1024, JOBS_FILE = SPOOL_JOB_NAME + 32 };

struct jobs {
    const pw_host *host;
    char *spool; /* owned */
    const char *id;
    bool other_boot;
    jobs_ops ops;
    void *ops_self;
    int dir[PLACES];
    struct agent_jobs list[PLACES];
    size_t count[PLACES], live;
    agent_job *bucket[JOBS_BUCKETS];
};

static inline int jobs_place(const agent_job *j)
{
    return j->state == PW_JOB_HELD ? PLACE_HELD : j->state == PW_JOB_KEPT ? PLACE_KEPT : PLACE_JOBS;
}
/* "NAME.journal" */
const char *jobs_file(const agent_job *j, const char *suffix, char out[JOBS_FILE]);
/* Reads on from `whole`, at most `budget` bytes: what stands there is told to jobs_seen.
 * PW_ECORRUPT: damaged inside. */
int jobs_scan(jobs *self, agent_job *j, uint64_t budget, pw_err *err);
/* A new entry in the table, nothing on disk. */
agent_job *jobs_add(jobs *self, spool_job id, pw_job_state state, pw_err *err);
/* Removes the entry and its files. Frees j. */
void jobs_drop(jobs *self, agent_job *j);
/* Writes the file with its secrets. */
int jobs_put_secrets(jobs *self, agent_job *j, const pw_list *secrets, pw_err *err);
/* Removes the file with its secrets if it may be there. */
void jobs_drop_secrets(jobs *self, agent_job *j);
/* Gives the name to the zygote. */
void jobs_give(jobs *self, agent_job *j);
/* Looks at one job that has not ended (see jobs_poll). It may be in another place or state
 * afterwards, never freed. */
void jobs_check(jobs *self, agent_job *j);
/* Whether the job file is the one that the journal's header speaks of. */
bool jobs_file_right(jobs *self, const agent_job *j);
/* The runner of a held job is gone. */
void jobs_not_busy(jobs *self, agent_job *j);
/* Its journal as the file system sees it: its bytes, and the time since it was last changed or
 * moved. */
uint64_t jobs_stat(jobs *self, const agent_job *j, pw_usec *ret_age);
#endif
