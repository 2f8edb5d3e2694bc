/* model.h - the core's structures, private to master/core. What stands here is what is unfinished;
 * history is in the store. */
#ifndef PW_MASTER_CORE_MODEL_H
#define PW_MASTER_CORE_MODEL_H
#include "master/core/core.h"
#include "master/core/lock_rule.h"
#include "master/core/outbox.h"
#include "master/core/provide.h"
#include "master/store/graph.h"
#include "shared/base/table.h"

enum {
    CORE_AGE_STEP_MS = 600000, /* a waiting request gains 1 priority for each 10 minutes */
    CORE_FORCE_PRIO = 100,
    CORE_WAITED_PRIO = 1000000, /* a build waits for it: before all others */
    CORE_OFFERS_MAX = 3,
    CORE_FIRST_RECORD_US = 15 * 1000000,
    /* an offer without any record may move to another worker after that silence */
    CORE_MOVE_OFFER_US = 30 * 1000000,
    /* beyond lost_after: its runner looks each second, and a worker that cannot be heard may hear
     */
    CORE_LOCK_SPARE_US = 10 * 1000000,
    CORE_LOCK_LEAST_US = 30 * 1000000, /* signs of life come each 10 s */
    CORE_STRIKES = 3,               /* exceptions in a row, of so many builds, are the worker's */
    CORE_QUARANTINE_MS = 5 * 60000, /* the first; each that follows is twice as long */
    CORE_QUARANTINE_MAX_MS = 3600000,
    CORE_READING_MS = 30000, /* what moves is written that often */
    CORE_ENROL_MS = 3600000,
    CORE_TOKEN_USED_MS = 60000, /* the last use of a token is noted that often */
    CORE_IDEM_MS = 24 * 3600000,
    CORE_EVENTS_MS = 24 * 3600000,
    CORE_BACKOFF_MIN_US = 1000000,
    CORE_BACKOFF_MAX_US = 300 * 1000000,
    CORE_PUSH_RETRY_US = 30 * 1000000,
    CORE_ID_SKIP = 1000000,
    CORE_TRIGGER_DEPTH = 8,  /* builds that trigger each other: a circle ends there */
    CORE_TESTS_MAX = 200000, /* rows of test cases of one attempt */
};

/* A stamp that somebody proposes: not to be trusted, or at the tip of a branch of ours; that
 * somebody tries. */
enum { CORE_PROPOSED = 1, CORE_PROPOSED_OURS = 2, CORE_TRIED = 3 };
#define CORE_NOTE_SKIP "its message asks for no build ([ci skip])"

/* What was to be built: shared by requests and builds, counted. */
typedef struct core_stamp {
    uint64_t id;
    uint64_t project_row;
    store_rev rev;
    unsigned refs;
    unsigned proposal; /* CORE_PROPOSED.., 0: of a branch */
    bool released;     /* a person said that it is to be trusted */
    char branch[];     /* as people write it, without refs/heads/ */
} core_stamp;

typedef struct core_build core_build;
typedef struct core_builder core_builder;
typedef struct core_queue core_queue;

typedef struct core_request core_request;
enum { BRANCH_ALL, BRANCH_MERGES, BRANCH_LISTS }; /* of open requests; those that may ride */
typedef struct core_branch {
    core_request *first[BRANCH_LISTS], *last[BRANCH_LISTS];
} core_branch;
struct core_request {
    uint64_t id, buildset;
    core_builder *builder;
    core_stamp *stamp;
    int64_t prio;
    pw_msec created;
    bool collapse;
    uint8_t *props;
    size_t props_len;
    core_build *build; /* set once claimed; waiting again when its attempt is to be repeated */
    int64_t key;       /* order in the queue: smaller first */
    core_queue *pos;   /* where it waits; NULL: not waiting, or held */
    core_request *left, *right; /* in its queue */
    size_t size;
    bool trusted;               /* see isolation.c */
    uint64_t merge;             /* its key in core.mergeable; 0: merges with nobody */
    const config_scheduler *by; /* who asked; NULL: people, or nobody wants to know */
    bool gated;                 /* waits while its branch is red: see testfix.c */
    uint64_t held;              /* the build since which it does; 0: it does not now */
    uint64_t change;            /* gated: the oldest change that waits for it; 0: not known */
    /* its key in core.lanes, and its neighbours there; 0: nothing newer cancels it */
    uint64_t lane;
    struct core_side {
        core_request *before, *behind;
    } side[BRANCH_LISTS]; /* its neighbours in the lists of its branch */
    struct core_request *older, *newer;
    /* where others of its build set have to do with it: see graph.c */
    struct core_set *set;      /* NULL: none has */
    size_t group;              /* its builder's there */
    struct core_request *next; /* of the group */
    uint64_t into;             /* it could ride with that one */
    uint64_t waited;           /* its set, when a step waits for that; 0 */
    bool out;                  /* of the queue, for one of these: */
    bool needs;                /* waits outside of the queue for others of the set */
    task_hold hold;            /* waits there for something else */
    pw_result result;          /* of its build, when it ends; PW_NO_RESULT: it ends without */
};

struct core_build {
    uint64_t id;
    core_request *request;
    build_state state;
    uint64_t tries;
    uint64_t last_worker;
    pw_msec created, started;
    core_attempt *live; /* NULL while queued */
    pl_lock *locks;     /* owned: what its job takes */
    size_t n_locks;
};

/* Requests that ask for the same, of workers and of locks: see queue.c. */
struct core_queue {
    core_queue *next; /* of the builder */
    core_request *root;
    core_request *first; /* the next one; NULL: it is empty */
};

/* People switched it off. */
typedef struct core_pause {
    char *reason, *who;
    pw_msec at;
} core_pause;

/* Of `builders`, or one that only rows know: a part of a matrix, a builder of a pipeline file (once
 * for each file that defines it), one that is gone. */
struct core_builder {
    uint64_t row;
    uint64_t parent;   /* row of the builder that it is a part of; 0: none */
    pl_file *file;     /* its definition is of this one; shared; NULL: the configuration's */
    size_t open;       /* requests */
    core_pause *pause; /* owned; NULL: it is on */
    /* index into core.project; SIZE_MAX: the configuration has it no more */
    size_t project;
    const config_builder *conf; /* NULL: gone */
    char *name;
    core_queue *queue;       /* owned */
    size_t n;                /* that wait */
    pw_msec usual;           /* how long its builds take; -1 not known, 0 not looked up */
    const core_builder *top; /* of `builders`, that it is a part of; NULL: none */
    core_builder *next;      /* of `others` */
};

/* The builds of one builder in a set. */
typedef struct core_group {
    uint64_t row;          /* of the builder, or of what they are parts of */
    char *name;            /* owned */
    size_t open;           /* requests */
    core_request *request; /* these */
    bool bad;              /* one ended so that nobody may build upon it: */
    pw_result worst;       /* so; PW_NO_RESULT: without a build */
    bool always_run, optional;
    size_t *need; /* groups; owned */
    size_t n_need;
} core_group;
/* A build set in which one request has to do with another, while any of it is open. */
typedef struct core_set {
    uint64_t id;
    bool fail_fast;
    bool touched; /* is in core.touched */
    core_group *group;
    size_t n, open;
    struct core_set *next_touched;
} core_set;

/* A step that waits for the set that it triggered. */
typedef struct core_wait {
    uint64_t build, step, set;
    uint64_t attempt; /* that asked last */
    bool keep;        /* its build's end does not cancel the set */
    bool here;        /* while slots are counted: a build of the set is on the same worker */
} core_wait;

typedef struct core_ref {
    char *name;
    store_rev rev;
} core_ref;
typedef struct core_project {
    uint64_t row;
    const config_project *conf;
    core_ref *ref; /* sorted by name */
    size_t n_refs;
    bool looked, polling, again;
    bool proposals, proposals_looked; /* a scheduler asks for them; they were looked at */
    bool told, stale; /* of a change while a look was under way; that look was passed over */
    char *head;
    pw_usec next_poll;
    unsigned failures;
    /* newest delivery of a webhook that is not acted on, 0 none; of those the newest when the look
     * under way began */
    uint64_t hook, hook_asked;
    size_t hooks, hook_bytes; /* stored since all were acted on */
    char *trouble;            /* why the last look failed; NULL fine */
} core_project;

typedef struct core_quiet { /* a tree-stable timer that runs */
    size_t scheduler;
    core_stamp *stamp;
    pw_msec due;
    bool tagged;     /* one of its changes has [testfix] */
    uint64_t change; /* the oldest of them; 0: not known */
} core_quiet;
typedef struct core_schedule {
    const config_scheduler *conf;
    pw_msec next; /* periodic, nightly: wall time of the next firing; 0 none */
    pw_msec last;
    uint64_t last_stamp;
    core_pause *pause; /* owned; NULL: it is on */
} core_schedule;

typedef struct core_edge {
    const config_promotion *conf;
    bool dirty, reading;
    uint64_t intent; /* open promotion, 0 none */
    pw_usec not_before;
    pw_usec moved_at;
    edge_state state; /* as told last */
    char *reason;
} core_edge;
typedef struct core_intent { /* an open promotion */
    uint64_t id;
    size_t edge; /* SIZE_MAX: its edge is gone from the configuration */
    size_t project;
    char *target;
    store_rev old, rev;
    pw_usec retry_at; /* 0: under way */
} core_intent;

/* One lock: of the master, or of one worker. */
typedef struct core_lock {
    uint64_t exclusive, counting; /* attempts that hold it */
    /* during one round of decisions: what requests before want */
    uint64_t round, wants_counting;
    bool wants_exclusive;
    uint64_t before; /* the first of them */
} core_lock;
/* Facts of a worker, taken apart. */
typedef struct core_facts {
    char *text; /* owned; as they were when they were taken apart */
    struct core_fact {
        const char *name, *value; /* in text */
        size_t n, len;
    } * fact; /* owned */
    size_t n_facts;
} core_facts;

typedef struct core_worker {
    store_worker row;
    bool enrolled;
    uint8_t once[32]; /* one-time key, while enrolled */
    pw_msec once_expires;
    bool once_used; /* ... by the key `used`: only that one may say its join again */
    uint8_t used[32];
    bool connected;
    bool rejecting; /* said no: nothing more before its next heartbeat with a free slot */
    char *gate;
    uint64_t busy;     /* attempts that hold a slot */
    uint64_t struck;   /* build of the newest strike: one build is one strike */
    pw_msec read_at;   /* core_seen() when a reading was written last; 0: not yet */
    core_reading read; /* as written */
    unsigned bad_offers;
    size_t held;     /* jobs in its spool that are not wanted from it */
    uint64_t told;   /* how often it was told to be missing or back: odd, missing */
    pw_usec away_us; /* time that this process saw pass without it */
    core_lock *lock; /* owned: those that are one per worker; NULL: none was touched */
    core_facts facts;
} core_worker;

typedef struct core_trouble { /* of one of a provider's commands */
    unsigned failures;
    pw_usec not_before;
    char *text; /* NULL: it went well last time */
} core_trouble;
typedef struct core_provider {
    const config_provider *conf;
    core_trouble trouble[CORE_ACTS];
    bool listing;
    uint64_t lists;  /* asked for so far */
    pw_usec list_at; /* the next one */
} core_provider;
typedef struct core_machine { /* one that is not gone */
    uint64_t id, worker;
    size_t provider; /* index; SIZE_MAX: the configuration has it no more */
    char *of;        /* name of its provider */
    machine_state state;
    char *handle, *reason;
    pw_msec created; /* core_seen() */
    bool busy;       /* a command for it is under way */
    bool joined;
    uint64_t list_from; /* lists from that number on say whether it is there */
    pw_usec settle_at;  /* and none that was asked for before that */
    unsigned absent;    /* such lists in a row that did not show it */
    bool shown;         /* by the list that is being read */
    pw_usec away_at;    /* its worker is missing since; 0: it is not */
    pw_usec idle_at;    /* with nothing to do since; 0: it has */
    pw_usec stopped_at;
} core_machine;

typedef struct core_cond {
    char *name, *text;
    bool fine; /* a remark */
} core_cond;

typedef struct core_retain core_retain;

struct core {
    core_retain *retain; /* owned */
    const core *before;  /* during the load: the one that it takes the place of in this process */
    store *st;
    config *conf;
    const pw_host *host;
    pw_err fault; /* first store error of the turn; code 0 none */
    bool turn;
    uint64_t next_id, next_attempt, next_buildset, next_change, next_promotion, next_event;

    core_builder *builder; /* in the configuration's order */
    size_t n_builders;
    core_builder *others;  /* builders that only open rows know */
    size_t n_out;          /* open requests outside of the queues */
    size_t made;           /* requests of the set that was made last: their ids follow each other */
    core_project *project; /* in the configuration's order */
    core_quiet *quiet;
    size_t n_quiet;
    core_schedule *schedule;
    core_edge *edge;
    core_intent *intent;
    size_t n_intents;
    core_target *target; /* in the configuration's order */
    size_t n_targets;
    char *url;         /* of the web pages; NULL: not known */
    bool notify_open;  /* messages may leave */
    bool outbox_due;   /* one may go now */
    bool tell_workers; /* a target wants to hear of them */
    bool set_back;     /* the database is in a new epoch since it was open last */
    pw_msec loaded;    /* when */
    core_cond *cond;
    size_t n_conds;
    core_lock *lock; /* owned; NULL: none was touched */
    uint64_t round;  /* of decisions */
    pw_table *requests, *builds, *attempts, *workers;
    pw_table *shipping; /* build -> how many open attempts it has, as a number */
    /* hash of builder, branch and properties -> the newest request that others may merge into */
    pw_table *mergeable;
    /* hash of builder and branch -> the newest open request of a scheduler with `supersede` */
    pw_table *lanes;
    bool follows;           /* a scheduler comes after another one */
    bool minds;             /* one has testfix or supersede: requests know who asked */
    size_t n_gated, n_held; /* open requests */
    uint64_t *over;         /* build sets of which a request ended in this turn */
    size_t n_over, cap_over;
    pw_table *branches; /* hash of project and branch -> core_branch */
    pw_table *waits;    /* set -> core_wait */
    pw_table *sets;     /* core_set */
    core_set *touched;  /* of this turn */
    struct core_pipe *pipes;
    /* first bytes of a key -> the worker that was found for it last; a hint, always checked */
    pw_table *keys;

    core_effect *effect;
    size_t n_effects, cap_effects;
    struct core_note {
        event_kind kind;
        uint64_t id;
    } * note; /* events of this turn, each once */
    size_t n_notes, cap_notes;
    bool dispatch;           /* something may be dispatchable */
    core_provider *provider; /* in the configuration's order */
    core_machine **machine;
    size_t n_machines, cap_machines;
    bool provide; /* it is time to look at them */
    pw_usec last_tick;
    pw_usec housekeeping;
    pw_msec seen_base; /* time that masters on this database have seen: at seen_from, and so */
    pw_usec seen_from; /* growing by the boot-time clock only; see core_seen() */
    core_join_line *join;
    void *join_self;
    uint64_t finished[7];
    uint64_t gone_under_way; /* CORE_UNLINK that are not answered */
    uint64_t facts_build;    /* the job decoded last: steps of one build come in rows */
    job_spec facts;
};
#endif
