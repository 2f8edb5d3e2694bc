/* home.h - the spool folder as a whole: one agent at a time, its identity, and whether the machine
 * or its boot is another one than last time. Blocking file calls, at start only. */
#ifndef PW_WORKER_AGENT_HOME_H
#define PW_WORKER_AGENT_HOME_H
#include <stdbool.h>

#include "shared/wire/schema.h"
#include "worker/spool/spool.h"

enum { HOME_BOOT = 65, HOME_MARK_MAX = 64 };

typedef struct spool_home {
    char *path; /* absolute, owned */
    int lock;   /* held while this is open */
    char id[SPOOL_ID];
    char boot[HOME_BOOT]; /* the machine's boot id */
    bool moved; /* the spool was last used on another machine: it has a new id, its jobs are held */
    bool other_boot;             /* the machine was started anew since the spool was last used */
    uint8_t mark[HOME_MARK_MAX]; /* newest mark of the master */
    size_t mark_n;
    uint64_t epoch; /* of the master, as kept last; 0: none */
} spool_home;

/* Makes what is absent. PW_ECONFLICT: another agent uses this spool. */
int home_open(const char *spool, spool_home *ret, pw_err *err);
void home_close(spool_home *h);
/* The jobs of a moved spool are held now: from here on it is this machine's own. */
int home_settled(spool_home *h, pw_err *err);
/* Keeps a mark durably; one that is kept already costs nothing. */
int home_mark(spool_home *h, const void *mark, size_t n, pw_err *err);

/* Keeps the epoch whose master has had the chance to ask for forgotten jobs. One that is kept
 * already costs nothing. */
int home_epoch(spool_home *h, uint64_t epoch, pw_err *err);

/* What the machine is, for hello: os arch cpus memory hostname kernel ... as msg_pair, owned. */
int facts_read(pw_list *ret, pw_err *err);
int facts_add(pw_list *facts, const char *name, const char *value, pw_err *err);
/* These, and what its configuration adds; cgroup may be NULL. */
struct worker_conf;
int facts_all(const struct worker_conf *conf, const char *cgroup, pw_list *ret, pw_err *err);
void facts_clear(pw_list *facts);
#endif
