/* notify.h - the rules of telling: which target hears of what, how the message reads, and what is
 * done after a try to send it. Pure: facts in, decisions out. Who sends, and how, is not known
 * here: senders of other kinds add a form of the message, nothing else. Any thread. */
#ifndef PW_MASTER_NOTIFY_NOTIFY_H
#define PW_MASTER_NOTIFY_NOTIFY_H
#include "master/config/config.h"
#include "shared/base/buf.h"
#include "shared/base/host.h"
#include "shared/job/result.h"

/* ---- what happened */
typedef enum notify_what { NOTIFY_BUILD, NOTIFY_PROMOTION, NOTIFY_WORKER } notify_what;
typedef struct notify_fact {
    notify_what what;
    const char *site; /* `name` of the installation */
    const char *url;  /* where its pages are; NULL: not known */
    pw_msec at;
    /* indices of the configuration; CONFIG_GONE: it has it no more; a worker has neither */
    size_t project, builder;
    const char *project_name, *builder_name, *branch; /* branch: of a promotion: where it goes */
    const char *revision;                             /* hex */
    const char *reason;                               /* NULL: none */
    uint64_t id;                                      /* build, promotion */
    /* a build; previous: of the build before, as far as it says something of the code */
    pw_result result, previous;
    pw_msec started, finished; /* 0: never */
    bool begun;                /* its start is what happened */
    /* the first failed build of the break that it is a part of, or mends; 0: none. fresh: it is
     * that one, as far as the newest build of a branch can be */
    uint64_t broken;
    bool fresh;
    const char *author; /* of the change that was built; NULL: not known */
    /* a promotion */
    const char *edge, *from, *old, *state;
    /* a worker */
    const char *worker;
    bool missing;  /* else it is back */
    pw_msec since; /* missing since */
} notify_fact;
#define CONFIG_GONE SIZE_MAX

/* The events that a fact is: bits of config_event. */
unsigned notify_events(const notify_fact *f);
/* Whether this target hears of it, and as what: the most telling event that it asked for. */
bool notify_wants(const config_notify *t, const notify_fact *f, config_event *ret);
/* Bytes of the message: one JSON object, documented in docs/notifications.md. The first two keys
 * are "event" and "key". */
int notify_body(const notify_fact *f, config_event event, const char *key, pw_buf *out);
/* The event that a body tells; "" when it is none of ours. */
const char *notify_body_event(const char *body);

/* ---- when */
/* How long nothing may leave for this target's quiet hours; 0: it may now. */
pw_msec notify_quiet(const config_notify *t, pw_msec now);
/* A window of `rate`: begins with its first message. Only durations: any clock that does not jump.
 */
typedef struct notify_window {
    pw_usec end; /* 0: none has begun */
    uint64_t n;  /* messages in it */
} notify_window;
/* How long nothing may leave for its rate; 0: it may now. *ret_fold: with what waits (`waiting`
 * messages, this one included) the window would not do: the others are told in this one. */
pw_usec notify_rate(const config_notify *t, notify_window *w, pw_usec now, uint64_t waiting,
                    bool *ret_fold);
/* It leaves. */
void notify_rate_count(const config_notify *t, notify_window *w, pw_usec now);
/* A body with others told in it: "more" says how many, "others" holds the first of their bodies
 * (whole JSON texts, n of them). */
enum { NOTIFY_OTHERS = 10 };
int notify_fold(const char *body, const char *const *others, size_t n, uint64_t more, pw_buf *out);

/* ---- after a try */
enum {
    NOTIFY_WAIT_MIN_US = 1000000,
    NOTIFY_WAIT_MAX_US = 600 * 1000000,
    NOTIFY_GIVE_UP_MS = 24 * 3600 * 1000
};
typedef enum notify_answer {
    NOTIFY_TAKEN,    /* the target has it */
    NOTIFY_REFUSED,  /* it said no for good */
    NOTIFY_LATER,    /* it said not now, or failed */
    NOTIFY_SILENT,   /* no answer: it may have it */
    NOTIFY_UNSENT,   /* nothing left this machine: it cannot have it */
    NOTIFY_CUT_SHORT /* the master ended while it was being sent: it may have it */
} notify_answer;
typedef struct notify_try {
    notify_answer answer;
    bool at_most_once;
    uint64_t tries;      /* this one included */
    pw_msec age;         /* since it was to be sent first */
    pw_usec retry_after; /* as the target asked; 0: it did not */
    unsigned jitter;     /* 0 to 999: where in the span of the back-off */
} notify_try;
typedef enum notify_then { NOTIFY_DONE, NOTIFY_WAIT, NOTIFY_GIVE_UP } notify_then;
/* *ret_wait: how long, for NOTIFY_WAIT. */
notify_then notify_after(const notify_try *t, pw_usec *ret_wait);
/* Whether the target is in trouble by this answer. */
bool notify_troubled(notify_answer a);
#endif
