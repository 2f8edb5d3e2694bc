/* msg.h - the messages between master and worker agent (docs/protocol.md is generated from these
 * tables). Frame 1 is one msgpack map {"type": NAME, ...fields}; bulk bytes (journal records, the
 * job) ride in frame 2 untouched. Everything that the master sends can be derived again from its
 * rows, so a lost message is no event. */
#ifndef PW_SHARED_WIRE_MSG_H
#define PW_SHARED_WIRE_MSG_H
#include "shared/wire/schema.h"

enum {
    PW_PROTO_MIN = 1, /* protocol versions that this program speaks */
    PW_PROTO_MAX = 1,
    PW_MSG_MAX = 1024 * 1024, /* bytes of one message, both frames */
    PW_HELLO_JOBS_MAX = 4096,
    PW_SLOTS_MAX = 256,        /* live jobs of one worker */
    PW_ACK_MAX = PW_SLOTS_MAX, /* acknowledgements in one message */
    PW_NAME_MAX = 200,
    PW_TEXT_MAX = 4000,
    PW_VALUE_MAX = 32 * 1024, /* of a property or an environment variable */
    PW_PAIRS_MAX = 64,        /* features, tags, facts of a worker */
    PW_SECRETS_MAX = 64,      /* of one job */
    PW_SECRET_MIN = 4,        /* bytes; shorter ones cannot be masked in logs */
    PW_SECRET_MAX = 64 * 1024,
    PW_SECRETS_BYTES =
        128 * 1024, /* names and values of one job: with the job they make one message */
    PW_KEY_BYTES = 32,
    PW_MARK_MAX = 64,
    PW_SUM_BYTES = 32,        /* SHA-256 */
    PW_BLOB_MAX = 128 * 1024, /* bytes of one piece of what a job asked for */
    PW_NEED_NAME_MAX = 1000,  /* of a file */
    PW_HAVE_MAX = 16,         /* commits that a worker says it has */
    PW_REV_MAX = 64,
};

typedef enum pw_msg_type {
    /* worker -> master */
    PW_MSG_JOIN = 1,
    PW_MSG_HELLO,
    PW_MSG_JOURNAL,
    PW_MSG_HEARTBEAT,
    PW_MSG_REJECT,
    PW_MSG_BYE,
    PW_MSG_NEED,
    /* master -> worker */
    PW_MSG_JOINED,
    PW_MSG_WELCOME,
    PW_MSG_REFUSED,
    PW_MSG_JOB,
    PW_MSG_ACK,
    PW_MSG_NOTE,
    PW_MSG_CANCEL,
    PW_MSG_FORGET,
    PW_MSG_DRAIN,
    PW_MSG_PING,
    PW_MSG_BLOB,
    PW_MSG_TYPES
} pw_msg_type;

typedef struct msg_pair {
    char *name;
    char *value;
} msg_pair;
extern const pw_schema msg_pair_schema;
/* Feature of a worker that can be given secrets. */
#define PW_FEATURE_SECRETS "secrets"
/* ... that can take a revision from the master. */
#define PW_FEATURE_SOURCE "source-master"
typedef struct msg_secret {
    char *name;
    pw_bytes value; /* PW_SECRET_MIN bytes or more, no zero bytes */
} msg_secret;
extern const pw_schema msg_secret_schema;

typedef struct msg_join { /* on a connection made with the one-time key of a join token */
    char *name;
    pw_bytes key; /* the worker's own public key, 32 bytes */
} msg_join;
typedef struct msg_joined {
    char *name;
} msg_joined;

typedef enum pw_job_state {
    PW_JOB_SPOOLED,
    PW_JOB_RUNNING,
    PW_JOB_ENDED,
    PW_JOB_HELD,
    PW_JOB_KEPT
} pw_job_state;
typedef struct msg_hello_job {
    uint64_t epoch, attempt;
    uint64_t start;  /* first journal byte that the spool still has */
    uint64_t length; /* bytes of whole, right records */
    uint64_t state;  /* pw_job_state */
} msg_hello_job;
typedef struct msg_hello {
    uint64_t proto_min, proto_max;
    pw_strs features; /* what jobs may demand by `must` */
    uint64_t nonce;   /* of this connection of the agent */
    char *spool;      /* id of the spool folder, 32 hex digits */
    char *boot;       /* the machine's boot id */
    pw_bytes mark;    /* newest mark that the master gave, empty at first */
    char *version;
    uint64_t slots;
    pw_strs tags;
    pw_list facts; /* msg_pair: os arch cpus memory hostname ... */
    pw_list jobs;  /* msg_hello_job: everything in the spool that is not forgotten */
} msg_hello;

typedef enum pw_verdict { PW_RESUME = 1, PW_FORGET, PW_HOLD } pw_verdict;
typedef struct msg_welcome_job {
    uint64_t epoch, attempt;
    uint64_t verdict; /* pw_verdict */
    uint64_t offset;  /* resume from here */
    uint64_t chain;   /* crc chain value at offset */
    uint64_t window;  /* unacknowledged bytes that may be under way */
    bool cancel;      /* closed here: end it, ship the rest */
} msg_welcome_job;
typedef struct msg_welcome {
    uint64_t session; /* random, in every later message of both sides */
    uint64_t nonce;   /* the agent's, given back */
    uint64_t epoch;
    pw_bytes mark;
    uint64_t proto;
    uint64_t heartbeat_ms;
    uint64_t window; /* for all jobs together */
    pw_list jobs;    /* msg_welcome_job */
} msg_welcome;
/* no session: reason for people; the agent tries again after retry_ms */
typedef struct msg_refused {
    uint64_t nonce;
    char *reason;
    uint64_t retry_ms;
} msg_refused;

typedef struct msg_job { /* frame 2: the job (job_spec of shared/job), exactly as it was frozen */
    uint64_t session, epoch, attempt;
    pw_bytes digest; /* BLAKE2b-256 of frame 2 */
    pw_strs must;    /* features without which the worker must reject */
    uint64_t window;
    pw_list secrets; /* msg_secret: values of what the job names; never part of the job */
    bool lent;       /* it takes the slot of a job there that waits for it */
} msg_job;
typedef struct msg_journal { /* frame 2: whole records from offset on */
    uint64_t session, epoch, attempt;
    uint64_t offset;
    uint64_t chain; /* crc chain value at offset */
} msg_journal;
typedef struct msg_ack_item {
    uint64_t epoch, attempt;
    uint64_t stored;
    uint64_t window;
} msg_ack_item;
typedef struct msg_ack {
    uint64_t session;
    pw_list items; /* msg_ack_item */
    pw_bytes mark;
} msg_ack;
typedef struct msg_heartbeat {
    uint64_t session;
    uint64_t sent_us; /* the agent's clock; the master's next ping gives it back */
    uint64_t free_slots;
    uint64_t load_milli; /* 1-minute load * 1000 */
    uint64_t disk_free;  /* bytes in the spool's file system */
    char *gate;          /* why no new job should come now, e.g. low disk; NULL: none */
    uint64_t wall_ms;    /* its wall clock: how far it is off is shown, and counts for nothing */
} msg_heartbeat;
typedef struct msg_reject {
    uint64_t session, epoch, attempt;
    char *reason;
    uint64_t retry_ms;
} msg_reject;
typedef struct msg_bye {
    uint64_t session;
    char *reason;
} msg_bye;
typedef struct msg_note {
    uint64_t session, epoch, attempt, seq;
    char *text;
} msg_note;
typedef struct msg_cancel {
    uint64_t session, epoch, attempt;
    char *reason;
} msg_cancel;
typedef struct msg_forget {
    uint64_t session, epoch, attempt;
} msg_forget;
typedef struct msg_drain {
    uint64_t session;
} msg_drain;
typedef struct msg_ping { /* also the echo of a heartbeat */
    uint64_t session;
    uint64_t echo_us; /* sent_us of the newest heartbeat, 0 none */
    bool ask;         /* answer with a heartbeat at once */
} msg_ping;

typedef enum pw_need {
    PW_NEED_LIST = 1, /* of the files that a needed build left: job_files, encoded */
    PW_NEED_FILE,     /* one of them */
    PW_NEED_BUNDLE    /* the job's own revision, as git bundles it */
} pw_need;
/* A job asks for the bytes from `offset` on, at most PW_BLOB_MAX: one question of a job is under
 * way at a time, and the answer is written before the next one. Repeating it is harmless. */
typedef struct msg_need {
    uint64_t session, epoch, attempt;
    uint64_t ask;  /* given back: answers to earlier questions are dropped */
    uint64_t what; /* pw_need */
    char *from;    /* LIST, FILE: the needed build, by its builder's name */
    char *name;    /* FILE: its path */
    pw_strs have;  /* BUNDLE: commits that the worker has */
    uint64_t offset;
} msg_need;
typedef struct msg_blob { /* frame 2: bytes from `offset` on */
    uint64_t session, epoch, attempt;
    uint64_t ask;
    uint64_t offset;
    uint64_t size;     /* of the whole */
    pw_bytes sum;      /* SHA-256 of the whole */
    char *error;       /* why there is nothing; NULL: there is */
    uint64_t retry_ms; /* the same question may be answered after that time; 0: it will not */
} msg_blob;

/* One decoded message. */
typedef struct pw_msg {
    pw_msg_type type;
    union {
        msg_join join;
        msg_joined joined;
        msg_hello hello;
        msg_welcome welcome;
        msg_refused refused;
        msg_job job;
        msg_journal journal;
        msg_ack ack;
        msg_heartbeat heartbeat;
        msg_reject reject;
        msg_bye bye;
        msg_note note;
        msg_cancel cancel;
        msg_forget forget;
        msg_drain drain;
        msg_ping ping;
        msg_need need;
        msg_blob blob;
    } u;
} pw_msg;

const pw_schema *pw_msg_schema(pw_msg_type type); /* NULL for an unknown type */
/* Frame 1 -> message (owned by *out, pw_msg_clear). */
int pw_msg_decode(const void *data, size_t len, pw_msg *out, pw_err *err);
/* body: the struct of that type. Appends frame 1. */
int pw_msg_encode(pw_msg_type type, const void *body, pw_buf *b, pw_err *err);
void pw_msg_clear(pw_msg *m);
/* docs/protocol.md as a whole. */
int pw_msg_doc(pw_buf *b);
#endif
