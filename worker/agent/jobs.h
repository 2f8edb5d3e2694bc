/* jobs.h - the jobs in the spool: what is on disk, what is known of it in memory, and every way in
 * which a job comes, is started, is rescued from a dead runner, and goes aside. Owner of all
 * agent_job objects. It knows no session and no socket. Blocking file calls, none of them a sync:
 * after a power cut the master knows by the boot id that tails may be lost. One thread. */
#ifndef PW_WORKER_AGENT_JOBS_H
#define PW_WORKER_AGENT_JOBS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shared/base/host.h"
#include "shared/crypt/crypt.h"
#include "shared/journal/journal.h"
#include "shared/wire/msg.h"
#include "worker/spool/spool.h"

enum {
    JOBS_KEPT_MAX = 256,  /* then their files are used again; finding new ones is what file systems
                             are slowest at */
    JOBS_KEPT_SPARE = 64, /* beyond that, until new jobs take them: forgets come in bursts, before
                             the jobs that follow them */
    JOBS_OPEN_MAX =
        3000, /* not forgotten, held ones included; with the kept ones they fit into one hello */
};
#define JOBS_KEEP (24 * 3600 * INT64_C(1000000))      /* spool_keep */
#define JOBS_HOLD (30 * 24 * 3600 * INT64_C(1000000)) /* for held entries nobody asked for */
#define JOBS_GIVE_AGAIN                                                                            \
    (5 * INT64_C(1000000)) /* no start record after this: the zygote gets the name again */

/* One entry of the spool. Fields of shipping belong to ship.c; the others are read by everyone,
 * written by jobs.c. */
typedef struct agent_job agent_job;
struct agent_job {
    TAILQ_ENTRY(agent_job) link; /* in the list of its place: jobs, held or kept */
    agent_job *same;             /* next of one hash bucket */
    spool_job id;
    pw_job_state state;
    bool busy;         /* held, but its runner lives: it takes a slot */
    bool started;      /* a start record was seen */
    bool secrets;      /* the file with its secrets may be there */
    bool forget;       /* the master needs it no longer, but it has not ended yet */
    bool hold;         /* is to be held; its files could not be moved yet */
    bool cancel;       /* is to end as cancelled */
    bool damaged;      /* its journal was, and was mended */
    bool told;         /* its runner has the order */
    bool complained;   /* something failed and was logged; not again each second */
    char *cancel_text; /* owned */
    char *note;        /* owned: of the master, its runner has not got it; NULL: none */
    uint64_t whole;    /* bytes of whole right records, as far as they were read */
    uint32_t chain;    /* value at `whole` */
    uint64_t time_us;  /* of the last record before `whole` */
    uint64_t size;     /* of the file, as last heard */
    pw_usec given_at;  /* to the zygote; a time long ago: not yet */
    pw_usec since;     /* in its place (held, kept) */
    /* ---- ship.c */
    TAILQ_ENTRY(agent_job) ready;
    bool is_ready, shipping;
    journal_reader *reader; /* owned, may be NULL */
    uint64_t stored, sent, window;
    uint32_t sent_chain;
    pw_usec moved_at; /* last progress: sent, or stored by the master */
    unsigned stalls;
};
TAILQ_HEAD(agent_jobs, agent_job);

typedef struct jobs_ops {
    int (*start)(void *self, const char *name, pw_err *err); /* asks for a runner */
    void (*sweep)(void *self, const char *name);             /* kills what a dead runner left */
    void (*grown)(void *self, agent_job *j); /* size grew: there may be more to ship */
    void (*gone)(void *self, agent_job *j);  /* is not to be shipped any more */
} jobs_ops;

typedef struct jobs jobs;
/* id: of the spool, borrowed. other_boot: the machine was started anew since. */
jobs *jobs_new(const pw_host *host, const char *spool, const char *id, bool other_boot,
               const jobs_ops *ops, void *ops_self, pw_err *err);
jobs *jobs_free(jobs *self);
PW_DEFINE_FREEP(jobs, jobs_free)
/* Reads the spool, once, before anything else. moved: it comes from another machine, all jobs are
 * held. Jobs without a start record are given to the zygote, dead runners' journals get their end.
 */
int jobs_load(jobs *self, bool moved, pw_err *err);

agent_job *jobs_find(jobs *self, spool_job id); /* in any state; NULL */
const struct agent_jobs *jobs_list(
    const jobs *self, pw_job_state place); /* PW_JOB_HELD, PW_JOB_KEPT, else the jobs */
size_t jobs_live(const jobs *self);        /* that take a slot */
size_t jobs_open(const jobs *self);        /* not forgotten, held ones included */
uint64_t jobs_bytes(const jobs *self);     /* of all journals */

/* Writes job file, the file with its secrets (msg_secret; NULL: none) and the journal with its
 * header record, and asks for a runner. PW_ECONFLICT: known; PW_EFULL: no room. */
int jobs_accept(jobs *self, spool_job id, const uint8_t digest[CRYPT_HASH], const void *job,
                size_t n, const pw_list *secrets, agent_job **ret, pw_err *err);
/* The first of these names that no msg_secret has; NULL: all are there. */
const char *jobs_lacking_secret(const pw_strs *names, const pw_list *secrets);
/* It was offered again: its secrets are written anew if a runner is still to come for them. */
void jobs_secrets_again(jobs *self, agent_job *j, const pw_list *secrets);
/* A hint that the journal has n bytes. */
void jobs_note(jobs *self, spool_job id, uint64_t n);
/* Whole right records p[0..n) at `offset` were read; chain: behind them. */
void jobs_seen(jobs *self, agent_job *j, const uint8_t *p, size_t n, uint64_t offset,
               uint32_t chain);
/* Looks at each job that has not ended: growth, a runner that died or never came, an order that
 * waits; and moves again what could not be moved. Once a second. */
void jobs_poll(jobs *self);
/* The job is to end as cancelled; a no-op when it ended. */
void jobs_cancel(jobs *self, agent_job *j, const char *text);
/* Moves it aside for 24 h; a job that runs is cancelled and goes when it has ended. A no-op when it
 * is kept. */
void jobs_forget(jobs *self, agent_job *j);
/* Hands a note to its runner, now or when it can be; a newer one takes the place of one that waits.
 * Without memory, or a runner, it is lost: the master says it again in its next session. */
void jobs_tell(jobs *self, agent_job *j, uint64_t seq, const char *text);
/* The same for what waits. */
void jobs_tell_again(jobs *self, agent_job *j);
void jobs_hold(jobs *self, agent_job *j);
/* A restored master may want jobs that its later self let us forget. */
bool jobs_kept_of_another(const jobs *self, uint64_t epoch);
/* Back among the jobs, from held or kept: the master wants it after all. */
int jobs_take_back(jobs *self, agent_job *j, pw_err *err);
/* Removes what was kept or held long enough, and while the spool has more than `bytes`, kept
 * entries before their time. Invalidates those entries. */
void jobs_expire(jobs *self, uint64_t bytes);
/* Where its journal is now. New text, owned. */
int jobs_journal_path(const jobs *self, const agent_job *j, char **ret_path, pw_err *err);
/* The chain value at a record border of the journal. */
int jobs_chain_at(jobs *self, const agent_job *j, uint64_t offset, uint32_t *ret_chain,
                  pw_err *err);
#endif
