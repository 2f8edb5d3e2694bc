/* orphans.h - processes that outlived the runner of their job. Each step's environment says which
 * job it belongs to. */
#ifndef PW_WORKER_AGENT_ORPHANS_H
#define PW_WORKER_AGENT_ORPHANS_H
/* Kills (SIGKILL) every process whose environment holds PAWL_JOB=`job`, all their descendants, and
 * what they start meanwhile. Returns how many. A process that cleared its environment and has no
 * parent of the job any more, or belongs to another user, is not found. Blocks for the reading of
 * /proc. */
int orphans_kill(const char *job);
#endif
