/* outbox.h - outgoing messages inside the core: what is told (tell.c) becomes a row in the turn
 * that decided it; one message of a target is under way at a time, in order (outbox.c). Private to
 * master/core. */
#ifndef PW_MASTER_CORE_OUTBOX_H
#define PW_MASTER_CORE_OUTBOX_H
#include "master/core/core.h"
#include "master/notify/notify.h"

typedef struct core_target {
    const config_notify *conf;
    uint64_t head;     /* its oldest message that is not finished; 0: none */
    bool sending;      /* that one is under way */
    pw_usec due;       /* else: not before */
    pw_usec failing;   /* since when it takes nothing; 0: it does */
    bool alarm;        /* and that was told */
    char trouble[200]; /* why */
    uint64_t open, sent, given_up;
    notify_window window; /* of its rate */
} core_target;

enum {
    CORE_ALARM_US = 600 * 1000000,
    CORE_MESSAGE_MAX = 256 * 1024,
    CORE_MESSAGES_MS = 7 * 24 * 3600 * 1000
};

/* ---- outbox.c */
/* In the open turn of core_new. */
int core_outbox_load(core *self, pw_err *err);
/* After a reload: how its targets stand. */
void core_outbox_keep(core *self, core *old);
void core_outbox_free(core *self);
/* A row for each target that wants to hear of it. cause: what the key is made of ("build/17"); the
 * same cause is told once. */
void core_outbox_add(core *self, const notify_fact *f, const char *cause);
/* Before a commit: what may go now is under way. */
void core_outbox_start(core *self);
void core_outbox_tick(core *self);
pw_usec core_outbox_deadline(const core *self);
/* The database was set back: what waits from before may have been sent in the life that was lost.
 * before: made earlier than that. */
void core_outbox_set_back(core *self, pw_msec before);
void core_cmd_outbox_retry(core *self, core_cmd *c);
void core_cmd_outbox_drop(core *self, core_cmd *c);

/* ---- outbox_when.c */
/* How long the target's next message must not leave yet; 0: it may. *ret_fold: with all others that
 * wait told in it. */
pw_usec core_outbox_held(const core *self, core_target *t, bool *ret_fold);
/* The message m that waits gets those behind it that wait, which are sent with it: m's body is
 * replaced. False: the turn broke. */
bool core_outbox_fold(core *self, core_target *t, store_message *m);

/* ---- tell.c */
struct core_build;
struct core_intent;
struct core_worker;
/* The result before this build's, as far as it says something of the code; before it is finished.
 */
pw_result core_tell_previous(core *self, const struct core_build *b);
void core_tell_build(core *self, const struct core_build *b, pw_result result, pw_result previous,
                     const char *reason);
void core_tell_start(core *self, const struct core_build *b);
void core_tell_promotion(core *self, const struct core_intent *t, promo_state state,
                         const char *reason);
int core_tell_load(core *self, pw_err *err);
/* step: time that this process saw pass */
void core_tell_tick(core *self, pw_usec step);
void core_tell_worker_up(core *self, struct core_worker *w);
#endif
