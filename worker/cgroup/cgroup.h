/* cgroup.h - control groups: one for each job, so that all its processes can be killed at once and
 * counted, whatever they did to hide. Finds out what this machine offers (cgroup v2, v1
 * controllers, both, nothing) and keeps the paths; makes, joins, kills and removes groups.
 *
 *     BASE/pawl-ID-JOB          ID: first 16 digits of the spool's id; JOB: 0000000000000001-17
 *
 * BASE is the program's own group in each hierarchy (of v2 the group above when ours is called
 * "agent"). Plain data; one thread. Blocking file calls of some microseconds; killing waits for the
 * kernel, as long as the caller says. */
#ifndef PW_WORKER_CGROUP_CGROUP_H
#define PW_WORKER_CGROUP_CGROUP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/base/err.h"
#include "shared/base/host.h"

enum { CGROUP_NAME = 96, CGROUP_ID = 16, CGROUP_WHY = 300 };

typedef enum cgroup_mode { CGROUP_AUTO, CGROUP_REQUIRE, CGROUP_OFF } cgroup_mode;
const char *cgroup_mode_name(cgroup_mode m);
bool cgroup_mode_parse(const char *s, cgroup_mode *ret);

/* What kills and what limits: v2 does both; hybrid: v2 kills, v1 controllers limit; v1: its freezer
 * or the list of pids kills. */
typedef enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 } cgroup_kind;
const char *cgroup_kind_name(cgroup_kind k);

/* Hierarchies in the order in which a process joins them. */
typedef enum cgroup_tree { CGROUP_UNIFIED, CGROUP_FREEZER, CGROUP_MEMORY, CGROUP_PIDS } cgroup_tree;
enum { CGROUP_TREES = 4 };

/* How the kernel is reached; tests give a folder of plain files. */
typedef struct cgroup_sys {
    const char *proc; /* "/proc/self" */
    int (*make)(const char *dir);
    int (*remove)(const char *dir);
} cgroup_sys;
extern const cgroup_sys cgroup_sys_real;

typedef struct cgroup_host {
    const cgroup_sys *sys;
    cgroup_kind kind;
    char *base[CGROUP_TREES]; /* owned; NULL: not used */
    bool kill;                /* cgroup.kill is there */
    bool freeze;              /* cgroup.freeze or the v1 freezer */
    bool memory, processes;   /* can be limited */
    char why[CGROUP_WHY];     /* what is not there, and the cure; "" when nothing is missing */
} cgroup_host;

/* Looks at the machine, by making a group and moving a child of ours into it. Fails only when
 * memory runs out; what is not there is in kind and why. Nothing stays behind. */
int cgroup_find(const cgroup_sys *sys, cgroup_host *ret, pw_err *err);
void cgroup_host_clear(cgroup_host *h);

typedef struct cgroup_limits {
    uint64_t memory; /* bytes; 0: none */
    uint64_t processes;
    bool by_default; /* nobody asked for that many: not worth a v1 group, which costs more to enter
                      * than all else of a small job; v2 holds it for nothing */
} cgroup_limits;

/* The group of one job. */
typedef struct cgroup_job {
    const cgroup_sys *sys;
    char *dir[CGROUP_TREES];    /* owned; NULL: not used */
    int join[CGROUP_TREES + 1]; /* cgroup.procs, open; ended by -1 */
    size_t joins;               /* how many; 0: no group */
    /* folder of the v2 group, to be born in; 0: none, or killed before: Linux (6.18 seen) kills at
     * birth whoever is born by another group's member in a group that was killed once */
    int into;
    bool memory, processes;      /* limits that the kernel holds */
    uint64_t oom_seen, max_seen; /* how often a limit was met, as last told */
} cgroup_job;

/* pawl-ID-JOB; false when it does not fit. */
bool cgroup_name(const char *spool_id, const char *job, char out[CGROUP_NAME]);
/* Makes the group, with its limits. One of that name that is there already (its runner died) is
 * emptied by force and used. kind none: an empty struct, 0. On failure nothing is left. */
int cgroup_job_open(const cgroup_host *h, const char *name, const cgroup_limits *limits,
                    cgroup_job *ret, pw_err *err);
static inline bool cgroup_job_any(const cgroup_job *g)
{
    return g->joins > 0;
}
/* KILL to all in it, once; does not wait. Nothing happens with nothing in it, and to an empty
 * struct. */
void cgroup_job_kill(cgroup_job *g);
/* True when no process is in it. */
bool cgroup_job_empty(const cgroup_job *g);
/* Which limits were met since the last call; costs one small read for each. */
typedef struct cgroup_met {
    bool memory, processes;
} cgroup_met;
cgroup_met cgroup_job_met(cgroup_job *g);
/* Kills what is in it and removes it; waits at most `wait`. False: something would not die or go.
 * The struct is cleared either way. */
bool cgroup_job_close(cgroup_job *g, pw_usec wait);

/* Kills and removes the group BASE/name, if it is there. Returns how many processes it held, or
 * negative: it is still there after `wait`. */
int cgroup_kill_at(const cgroup_sys *sys, const char *base, const char *name, pw_usec wait,
                   pw_err *err);
/* Calls `each` for every group of the spool in base, with the part of the name behind the id. A
 * base that is not there has none. Returns how many. */
typedef void cgroup_each(void *self, const char *base, const char *name, const char *job);
int cgroup_list(const char *base, const char *spool_id, cgroup_each *each, void *self);
#endif
