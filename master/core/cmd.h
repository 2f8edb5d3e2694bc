/* cmd.h - what people ask of the core, from any thread: plain data in, plain data out. A web thread
 * fills a core_cmd, sends it through the command channel and is called back after the commit (or at
 * once when it was refused). The core renders the answer so that the same Idempotency-Key gets the
 * same answer for 24 h. */
#ifndef PW_MASTER_CORE_CMD_H
#define PW_MASTER_CORE_CMD_H
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/host.h"
#include "shared/wire/schema.h"

enum {
    CORE_HOOK_BYTES = 25 * 1024 * 1024, /* of a delivery: what GitHub sends at most */
    CORE_DELIVERY_MAX = 200,
    CORE_WHY_MAX = 100 /* requests that are asked of at once: 5 ms of the core at 1,000 queues */
};

typedef enum core_cmd_kind {
    CMD_FORCE = 1,      /* builder; project branch revision props reason scheduler */
    CMD_CHANGE,         /* project branch revision */
    CMD_RETRY,          /* id = build, failed */
    CMD_CANCEL_BUILD,   /* id */
    CMD_CANCEL_REQUEST, /* id */
    CMD_START,          /* id = request that needs start by a person */
    CMD_WHY,            /* id = request or build; reads only */
    /* data = ids of requests (uint64_t); reads only. Of each a line "ID MS {...}": MS until it may
     * begin, -1 not known, and what CMD_WHY answers */
    CMD_WHY_LIST,
    CMD_WORKER_ADD,   /* name -> {"name", "line", "expires"} */
    CMD_WORKER_PAUSE, /* name reason */
    CMD_WORKER_RESUME,
    CMD_WORKER_DRAIN,
    CMD_WORKER_REMOVE,
    CMD_PROMOTE, /* name = edge, dry_run: what would move and why not */
    CMD_HEALTH,  /* reads only: checks of the core */
    /* name, scopes (of the token), may (scopes of who asks), person, expires -> {"id", "token"...};
     * the text of the token is in the answer and nowhere else */
    CMD_TOKEN_ADD,
    CMD_TOKEN_REVOKE,  /* id */
    CMD_TOKEN_USED,    /* id; no answer, no line in the audit log */
    CMD_WORKER_ROTATE, /* name -> {"name", "line", "expires"} */
    CMD_HOOK,          /* project, name (of the sender's kind), delivery, event, data -> {"hook"} */
    CMD_OUTBOX_RETRY,  /* id = message */
    CMD_OUTBOX_DROP,   /* id, reason */
    CMD_LOGIN,         /* hash (of the session), token (hash), expires */
    CMD_LOGOUT,        /* hash */
    CMD_BUILDER_PAUSE, /* name, project, reason */
    CMD_BUILDER_RESUME,
    CMD_SCHEDULER_PAUSE, /* name, reason */
    CMD_SCHEDULER_RESUME,
    CMD_SHELL, /* id = build: where its work directory is kept */
    CMD_PIN,   /* id = build, reason: retention leaves it alone */
    CMD_UNPIN, /* id */
    /* project branch builders props reason upload patch base, and once it is imported tried: see
     * core_try_wanted() */
    CMD_TRY,
    CMD_RELEASE /* id = build or request: its revision is to be trusted; reason */
} core_cmd_kind;

typedef struct core_tried { /* what came of importing what somebody tries */
    uint64_t number;        /* 0: it is not imported yet */
    char rev[65], base[65];
    char *files;            /* owned; paths that differ, one a line; NULL: not known */
    uint64_t commits, size; /* that were sent; bytes */
} core_tried;

typedef struct core_cmd {
    core_cmd_kind kind;
    char *idem;                                                  /* Idempotency-Key or NULL */
    char *actor;                                                 /* who asks, for the audit log */
    char *project, *builder, *branch, *revision, *reason, *name; /* owned, NULL when not given */
    pw_list props;                                               /* msg_pair */
    char *person;                                                /* owned */
    char *scheduler; /* owned; of a forced build: whose form it is */
    uint64_t id;
    unsigned scopes, may; /* SCOPE_ bits of master/config/people.h */
    pw_msec expires;      /* 0: never */
    bool dry_run;
    bool failed;            /* retry: only what did */
    char *delivery, *event; /* owned */
    pw_buf data;            /* owned: a delivery as it came */
    /* of the proposal `branch` ("pull/7") that a delivery tells of; NULL: not told; fork: -1 */
    char *target, *title, *author;
    int fork;
    uint8_t hash[32], token[32];
    char *builders; /* owned; one a line; NULL: all */
    char *base;     /* owned; a whole revision */
    char *upload;   /* owned; a file that is the command's alone: whoever answers removes it */
    bool patch;     /* it is one, else a bundle */
    core_tried tried;

    int status;  /* answer: HTTP-like status: 200 202 400 404 409 503 */
    pw_buf body; /* JSON object: the answer, or {"error": {...}} */
    /* What is kept under the Idempotency-Key instead of an answer that tells a secret; owned. */
    char *keep;
    /* from the core's thread, after the commit; takes the command */
    void (*done)(struct core_cmd *cmd, void *self);
    void *done_self;
} core_cmd;
/* Whether people, or a step, may set a property of this name. */
int core_property_check(const char *name, pw_err *err);
/* Facts of a worker that do not move, as properties worker_NAME (msg_pair). Owned:
 * core_props_clear(). */
int core_fact_props(const char *facts, pw_list *ret, pw_err *err);
void core_props_clear(pw_list *pairs);
core_cmd *core_cmd_new(core_cmd_kind kind, pw_err *err);
core_cmd *core_cmd_free(core_cmd *c);
PW_DEFINE_FREEP(core_cmd, core_cmd_free)
/* Sets status and the error body of interfaces.md. code: "not_found" ... */
void core_cmd_fail(core_cmd *c, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#endif
