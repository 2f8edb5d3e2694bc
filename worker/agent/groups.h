/* groups.h - the agent's side of control groups: which ones this machine has, said once at the
 * start; killing what a dead runner left in its job's group; groups of dead jobs removed.
 * SPOOL/cgroups remembers the folders, since an agent that is started elsewhere (another unit, a
 * shell) would look beside the groups of the jobs that still run. One thread; blocks for file
 * calls, and while processes die. */
#ifndef PW_WORKER_AGENT_GROUPS_H
#define PW_WORKER_AGENT_GROUPS_H
#include "shared/base/cleanup.h"
#include "worker/agent/conf.h"
#include "worker/agent/home.h"

typedef struct groups groups;
/* Looks at the machine and logs what it found. PW_EDENIED: the configuration requires what is not
 * there. Removes the groups of jobs without a runner. sys is borrowed. */
groups *groups_new(const cgroup_sys *sys, const spool_home *home, const worker_conf *conf,
                   pw_err *err);
groups *groups_free(groups *self);
PW_DEFINE_FREEP(groups, groups_free)
/* Another configuration. On failure the old state stays. */
int groups_configure(groups *self, const worker_conf *conf, pw_err *err);
/* For hello: v2, hybrid, v1, none. */
const char *groups_kind(const groups *self);
/* Kills all processes in the groups of that job and removes them. Returns how many there were. */
int groups_kill(groups *self, const char *job);
#endif
