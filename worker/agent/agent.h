/* agent.h - the agent without its sockets: jobs, shipping and session, tied together. It is handed
 * time, a wire, a way to start runners and a few readings of the machine; tests hand it made-up
 * ones. The owner calls agent_tick() whenever agent_due() has come or something was given to it.
 * One thread; file calls block, nothing else does. */
#ifndef PW_WORKER_AGENT_AGENT_H
#define PW_WORKER_AGENT_AGENT_H
#include "worker/agent/conf.h"
#include "worker/agent/home.h"
#include "worker/agent/jobs.h"
#include "worker/agent/session.h"

#define AGENT_POLL (INT64_C(1000000))
#define AGENT_TIDY (3600 * INT64_C(1000000))   /* old work directories are looked for */
#define AGENT_TIDY_LOW (60 * INT64_C(1000000)) /* the same while the disk is low */
#define AGENT_CARE (10 * INT64_C(1000000))     /* kept jobs, mark, disk */

typedef struct agent_deps {
    const pw_host *host;
    agent_wire wire;
    int (*start)(void *self, const char *job, pw_err *err); /* asks the zygote for a runner */
    void (*sweep)(void *self, const char *job);             /* kills what a dead runner left */
    int64_t (*disk_free)(void *self);                       /* bytes; -1: unknown */
    uint64_t (*load_milli)(void *self);
    const char *(*cgroup)(void *self); /* a fact of the machine; NULL: not told */
    void (*tidy)(void *self); /* begins to remove what nobody needs in work/; NULL: nobody does */
    void *self;
} agent_deps;

typedef struct agent_counts {
    uint64_t accepted, rejected, repeated, dropped, stray;
} agent_counts;

typedef struct agent agent;
/* Borrows conf and home. Reads the spool. */
agent *agent_new(const worker_conf *conf, spool_home *home, const agent_deps *deps, pw_err *err);
agent *agent_free(agent *self);
PW_DEFINE_FREEP(agent, agent_free)
/* What came on the wire; the end of its connection; a runner's note. */
void agent_input(agent *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n);
void agent_lost(agent *self, const char *reason);
void agent_note(agent *self, spool_note note);
/* Does what is due. */
void agent_tick(agent *self);
pw_usec agent_due(const agent *self); /* 0: at once */
/* Another configuration (borrowed), told to the master by a new hello. Name, slots, tags and limits
 * count; the rest does not. */
void agent_configure(agent *self, const worker_conf *conf);
/* Says bye. Jobs go on. */
void agent_stop(agent *self, const char *reason);

session_state agent_session(const agent *self);
jobs *agent_jobs(agent *self); /* borrowed */
agent_counts agent_count(const agent *self);
#endif
