/* sim.h - a master, its workers, their runners, a repository and its people in one process, on a
 * virtual clock, network and disk, driven from a seed. What decides is the code of the programs,
 * object for object: turn.c and repos.c of the server, core, store, logs and sessions of the
 * master; agent, jobs, ship and session of the worker; the journal. What is played is the world
 * around them: time and randomness (host.c), threads (threads.c), files (disk.h), connections
 * (net.c), the repository (remote.c), the steps (runner.c), people (people.c). oracle.c is the
 * simple model that everything is held against. One history at a time, one thread, no address and
 * no real time in any decision: a seed gives the same history bit for bit. */
#ifndef PW_TESTS_SIM_SIM_H
#define PW_TESTS_SIM_SIM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/server/state.h"
#include "tests/sim/disk.h"
#include "worker/agent/agent.h"

#define MS INT64_C(1000)
#define SEC INT64_C(1000000)
#define NEVER INT64_MAX
enum {
    SIM_WORKERS = 3,
    SIM_SLOTS = 2,
    SIM_CONNS = 400,
    SIM_RUNNERS = 400,
    SIM_COMMITS = 200,
    SIM_PUSHES = 200,
    SIM_ASKS = 60,
    SIM_ATTEMPTS = 600,
    SIM_BRANCHES = 3, /* master, stable, topic */
    SIM_STEPS_MAX = 400,
    SIM_LOST_AFTER_S = 60,
};

/* ---- trace.c: what happened, as lines; a digest over all of them, and the newest for people */
extern bool sim_verbose;
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t sim_trace_digest(void);
void sim_trace_reset(void);
void sim_trace_dump(void);

/* ---- chance: one stream, set anew at each step of a history, so that a step that is left out
 * changes no other's draws */
void sim_seed(uint64_t seed, uint64_t step);
uint64_t sim_pick(uint64_t n); /* 0..n-1 */
bool sim_chance(uint64_t percent);
pw_usec sim_between(pw_usec a, pw_usec b);

/* ---- threads.c: pthread_create and its kin as coroutines: one runs until it waits */
void threads_reset(void);
/* Some thread of that process can go on. */
bool threads_ready(int process);
void threads_run(int process);  /* each one that can, once */
void threads_drop(int process); /* after its process ended: nothing may be left */

/* ---- host.c: clock, randomness, the machine's names, fault points */
extern pw_usec sim_now;
void host_reset(void);
void host_skew_to(int machine, pw_msec by); /* its wall clock is wrong by that */
/* Dies at the n-th passage from now of any fault point by that process. 0: not. Counted by name. */
void host_fuse(int process, uint64_t n);
uint64_t host_points_hit(void); /* crashes at fault points so far, in this run of the program */
void host_points_print(void);

/* ---- net.c */
typedef enum net_trouble { NET_FINE, NET_CUT, NET_HOLE, NET_DEAF, NET_MUTE } net_trouble;
void net_reset(void);
uint64_t net_dial(int worker);   /* a connection of the agent; its peer number */
void net_hang_up(uint64_t peer); /* the agent closes its end */
int net_to_master(uint64_t peer, const void *head, size_t head_n, const void *bulk, size_t bulk_n);
int net_to_agent(uint64_t peer, const void *head, size_t head_n, const void *bulk, size_t bulk_n,
                 pw_err *err);
void net_master_gone(void); /* its sockets are closed */
void net_worker_trouble(int worker, net_trouble t, pw_usec until);
void net_heal(void);
pw_usec net_due(void);
void net_deliver(void); /* what is due: to agents at once, to the master's next turn */
/* Messages that wait for the master, in order of arrival. */
size_t net_take(size_t max);

/* ---- remote.c: the repository */
typedef struct commit {
    int parent; /* index, -1 none */
    char rev[GIT_REV];
} commit;
typedef struct pushed { /* a ref update that took effect */
    uint64_t intent;    /* 0: by people */
    int branch, from, to;
    pw_usec at;
} pushed;
extern const char *const remote_branch[SIM_BRANCHES];
void remote_reset(void);
int remote_commit(int branch);    /* somebody pushes one more commit */
int remote_rewind(int branch);    /* somebody forces the branch to another commit */
int remote_find(const char *rev); /* index or -1 */
bool remote_contains(int tip, int what);
int remote_tip(int branch);
const char *remote_rev(int c);
const char *remote_short(int c); /* for people */
size_t remote_pushes(const pushed **ret);
pw_usec remote_due(void);
void remote_run(void);
void remote_master_gone(void);
void remote_trouble(unsigned percent); /* of the answers that are lost */

/* ---- runner.c: steps, as their journal */
enum { TEXT_MAX = 6000, STEPS = 2 };
void runners_reset(void);
int runner_start(int worker, const char *job, pw_err *err);
bool runner_cancel(const char *spool_id, spool_job j);
pw_usec runners_due(void);
void runners_run(void);
bool runners_kill_one(void); /* kill -9 of one that is busy; false: none */
void runners_power_cut(int worker);
size_t runners_alive(int worker);
/* What a step of an attempt prints when it comes to its end, and how that attempt ends. A second
 * run of an attempt (its machine lost the first) prints something else. */
/* The file that a step leaves as dir/STEP. */
size_t runner_file(uint64_t attempt, unsigned run, unsigned step, char *out, size_t cap);
size_t runner_text(uint64_t attempt, unsigned run, unsigned step, char *out, size_t cap);
pw_result runner_result(uint64_t attempt);

/* ---- worker.c */
typedef struct sim_worker {
    int process; /* -1: down */
    worker_conf conf;
    spool_home home;
    agent *agent;
    uint64_t peer;
    bool closed;
    pw_usec start_at, pump_at;
    uint8_t key[32];
    uint64_t row;
    pw_usec silent_since; /* no message of it could reach the master; 0: fine */
} sim_worker;
extern sim_worker sim_workers[SIM_WORKERS];
int workers_prepare(void); /* the configurations, once */
void workers_clear(void);
void worker_kill(int w, pw_usec for_us);
void worker_stop(int w, pw_usec for_us);
void worker_power_cut(int w, pw_usec for_us);
/* Its disk is copied; or is what it was at the last copy, with or without a new boot. */
void worker_image(int w, pw_usec for_us);
void workers_forget_images(void);
void worker_input(int w, uint64_t peer, const void *head, size_t n, const void *bulk,
                  size_t bulk_n);
void worker_lost(int w, uint64_t peer, const char *why);
void worker_note(int w, spool_note note);
pw_usec worker_due(int w);
void worker_run(int w);

/* ---- master.c */
typedef struct sim_master {
    int process; /* -1: down */
    server s;
    pw_usec start_at, wake_at, tick_at, thread_at;
    uint64_t starts, turns;
} sim_master;
/* Builders need each other, and one is two: every third history. */
extern bool sim_graph;
extern sim_master sim_mas;
int master_prepare(
    void); /* configuration, and the image of a fresh state directory with its workers */
void master_prepared_clear(void);
void master_reset(void);
void master_wake(pw_usec at);
bool master_up(void); /* it runs, and its core is loaded */
void master_kill(pw_usec for_us);
void master_stop(pw_usec for_us);
void master_power_cut(pw_usec for_us);
pw_usec master_due(void);
void master_run(void);
const config *master_config(void);

/* ---- people.c: who asks and asks again until there is an answer */
void people_reset(void);
void people_force(void);
void people_cancel(void);
void people_retry(void);
void people_pause(void);
void people_change(void);
void people_resume(int worker);
void people_pester(void); /* repeats an old question with its old key */
void people_master_gone(void);
pw_usec people_due(void);
void people_run(void);
bool people_waiting(void);
size_t people_told(void);                          /* changes told by hand */
size_t people_requests(uint64_t *out, size_t max); /* ids of accepted requests */

/* ---- oracle.c */
void oracle_reset(void);
void oracle_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *oracle_broken(void); /* NULL: all is well */
/* A start record was written. Returns which run of the attempt this is, from 0 on. */
unsigned oracle_started(uint64_t epoch, uint64_t attempt, int worker);
/* An end record of the runner's own was written, and ends at that byte of the journal. */
void oracle_ended(uint64_t attempt, uint64_t at);
void oracle_excuse_attempt(uint64_t attempt); /* it may be lost */
void oracle_set_back(int worker);             /* its disk is an old one */
void oracle_excuse_worker(int worker);        /* all that it has */
/* The master said it: from then on it must be true, whatever is killed. */
void oracle_said(const pw_msg *m);
void oracle_announced(uint64_t event);
void oracle_look(void); /* rows against what was seen before */
void oracle_turn(void); /* after each turn of the master: what must be looked at in time */
bool oracle_idle(void);
uint64_t oracle_work(void);    /* changes when there was something to do */
const char *oracle_busy(void); /* what it waits for */
void oracle_final(void);
typedef struct oracle_figures {
    uint64_t requests, builds, attempts, log_bytes, promotions;
} oracle_figures;
extern oracle_figures oracle_sum;

/* ---- history.c */
typedef struct history_result {
    const char *broken; /* NULL: fine; valid until the next history */
    uint64_t digest;
    pw_usec simulated;
    unsigned steps;
} history_result;
/* skip: steps that are left out (may be NULL), n of them known. */
history_result history_run(uint64_t seed, const bool *skip, unsigned n_skip);
typedef struct history_figures {
    uint64_t faults[32], steps;
} history_figures;
extern history_figures history_sum;
const char *history_fault_name(unsigned i); /* NULL behind the last */
#endif
