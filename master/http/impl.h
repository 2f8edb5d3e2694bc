/* impl.h - the inside of the web server, for the files of this folder. */
#ifndef PW_MASTER_HTTP_IMPL_H
#define PW_MASTER_HTTP_IMPL_H
#include <microhttpd.h>
#include <pthread.h>

#include "master/config/people.h"
#include "master/http/http.h"
#include "master/http/limits.h"
#include "master/http/query.h"
#include "master/http/render.h"
#include "master/http/routes.h"
#include "master/store/sched.h"
#include "shared/base/table.h"
#include "shared/job/job.h"
#include "shared/json/json.h"

enum {
    WEB_THREADS = 2,
    WEB_STACK = 256 * 1024,
    WEB_TLS_STACK = 1024 * 1024,
    WEB_HOOK_BODY_MAX = 25 * 1024 * 1024, /* of a webhook's delivery: GitHub's own bound */
    WEB_TRY_ANSWER_US = 900000000,        /* git takes in what is large */
    WEB_HOOK_TIME_US = 120000000,         /* in which it must be there: a slow line brings 25 MiB */
    WEB_BODIES_MAX = 256 * 1024 * 1024,   /* of all requests together */
    WEB_URL_MAX = 4096,
    WEB_HEAD_MAX =
        10 * 1024, /* the library's own bound is that of the connection's memory, below */
    /* read and dropped so that the client sees its 413; beyond: cut off */
    WEB_DISCARD_MAX = 16 * 1024 * 1024,
    WEB_OUT_MAX = 32 * 1024 * 1024, /* of an answer that is not a stream */
    WEB_CONNECTIONS = 2048,
    /* of these may be streams, so that there is room for questions */
    WEB_STREAMS = 1500,
    WEB_CONNECTION_BYTES = 16 * 1024, /* head of a request; also the chunk of a stream */
    WEB_IDLE_S = 30,
    /* a silent stream gets a comment, so that dead ones are noticed */
    WEB_PING_US = 15000000,
    /* answers under way may be sent to their end when the server stops */
    WEB_STOP_US = 500000,
    WEB_HEALTH_US = 5000000,
    /* a command without answer for so long is given up by its connection */
    WEB_ANSWER_US = 60000000,
    WEB_RING = 512, /* newest events kept as text for listeners */
    WEB_RING_BYTES = 1024 * 1024,
    WEB_HEADERS = 6,
    WEB_HEADER = 200, /* bytes of one's value */
    WEB_CSRF = 48,
    WEB_IDEM_MAX = 200,
    WEB_TEXT = 4000,    /* longest reason in a command */
    WEB_TALLIES = 4096, /* builders that /metrics counts for */
    WEB_PEERS = 64,     /* addresses whose failed tokens are counted */
    WEB_FAILURES = 20,  /* a minute; then 429 instead of 401 */
    WEB_LOGINS = 60,    /* of a token at once, then one a second */
    WEB_USES = 64,      /* tokens whose last use is remembered, so that it is noted once a minute */
    WEB_USED_MS = 60000,
    WEB_INDICES = 16, /* of logs, kept */
    WEB_REFUSALS = 9  /* codes of errors that are counted */
};

/* ---- who asks. A request has one identity, found by web_identify before anything else is looked
 * at. */
typedef enum web_how {
    WEB_BY_NOBODY, /* nothing was said: what is open to all is allowed */
    WEB_BY_TOKEN,
    WEB_BY_SESSION, /* of the web page: writes must come from the page itself */
    WEB_BY_PROXY    /* the header of a listed proxy */
} web_how;
typedef struct web_identity {
    web_how how;
    char actor[PW_NAME_MAX +
               1];    /* for the audit log: the person, else the token's name; "" nobody */
    unsigned scopes;  /* SCOPE_ bits: what the token has and its person still may */
    uint64_t token;   /* id of the token behind it, also a session's; 0 none */
    uint8_t hash[32]; /* of that token */
    pw_msec expires;  /* of that token; 0 never */
} web_identity;

/* ---- the gate */
typedef enum web_gate_why {
    WEB_GATE_RATE,
    WEB_GATE_CONNECTIONS,
    WEB_GATE_SLOW,
    WEB_GATE_SIGNATURE, /* of a webhook */
    WEB_GATE_HEADER,    /* user_header from an address that is no proxy: ignored */
    WEB_GATE_CSRF,
    WEB_GATE_COUNT
} web_gate_why;

typedef struct web_conn { /* a connection; under the gate's lock */
    struct web_conn *next, **prev;
    int fd;
    uint8_t addr[16];
    web_whom key;
    pw_usec deadline; /* it is cut off then; INT64_MAX: nothing is awaited from it */
} web_conn;

typedef struct web_gate {
    pthread_mutex_t lock;
    web_conn *conns;
    pw_usec header_told; /* the log was told of a stranger's user_header */
    pw_usec sweep_at;    /* no deadline is before it */
    web_buckets *buckets;
    _Atomic uint64_t bodies; /* bytes */
    _Atomic uint64_t refused[WEB_GATE_COUNT];
} web_gate;

/* ---- what waits: a suspended connection in one of the hub's lists. Under the hub's lock. */
typedef struct web_wait {
    struct web_wait *next, **prev; /* prev NULL: in no list */
    struct MHD_Connection *con;
    bool events, logs; /* what wakes it */
    bool ping;         /* it was woken to say that it is there */
    web_identity who;  /* whose stream it is: see web_still */
    uint64_t access;
} web_wait;

/* A command on its way: shared by the connection that waits and by the command. */
typedef struct web_ask {
    struct web_ask *next, **prev; /* in hub.asks while the command is out */
    web_server *web;
    struct MHD_Connection *con; /* suspended; NULL: it does not wait (any more) */
    pw_usec deadline;
    bool health;
    bool out;      /* the command is with the core */
    bool held;     /* the request holds it */
    bool answered; /* cmd is the answer, or NULL when none came in time */
    core_cmd *cmd;
} web_ask;

/* What an event is about, for listeners that want only some; "" and 0: nothing of that kind. */
enum { WEB_ABOUT = 256 };
typedef struct web_about {
    bool all;                                                      /* everybody's matter */
    char project[WEB_ABOUT], branch[WEB_ABOUT], target[WEB_ABOUT]; /* target: also of a branch */
    uint64_t build;
} web_about;

typedef struct web_event { /* one rendered event */
    uint64_t seq;
    web_about *about; /* owned */
    char *text;       /* owned */
    size_t len;
} web_event;

typedef struct web_tally { /* finished builds of a builder since the start */
    char *project, *builder;
    uint64_t by_result[7];
} web_tally;

typedef struct web_peer {
    uint32_t hash;
    unsigned failures;
    pw_usec since;
} web_peer;

/* The waker: one thread that reads new events once for all, and resumes who waits. */
typedef struct web_hub {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stop;
    bool logs_grew;
    uint64_t told;   /* events up to here can be read */
    uint64_t pumped; /* ... and were read by the waker */
    uint64_t resets; /* times that the event stream broke off (the database was set back) */
    pw_usec pump_at, logs_at, ping_at; /* not before */
    size_t requests;                   /* under way */
    size_t streams, listeners;
    _Atomic size_t followers; /* waiting for logs: read without the lock by whoever adds output */
    web_wait *waiting;
    web_ask *asks;
    web_event ring[WEB_RING];
    size_t ring_first, ring_n, ring_bytes;
    uint64_t ring_from; /* the ring holds all events in (ring_from, pumped] */
    web_tally *tally;   /* WEB_TALLIES at most */
    size_t n_tallies;
    /* builds counted last: an earlier event of a build may show it finished already */
    uint64_t counted[512];
    size_t n_counted;
    web_peer peer[WEB_PEERS];
    pw_table *looks;   /* projects: how the last look went, owned; NULL: nobody tells */
    pw_table *present; /* workers with a session: their gates, owned; NULL: nobody tells */
    reader *rd;        /* the waker's own */
} web_hub;

typedef struct web_index { /* of a log that grows no more */
    char *text;            /* owned; NULL: none */
    size_t len;
    uint64_t attempt;
    uint32_t idx, stream;
} web_index;

struct web_server {
    struct MHD_Daemon *daemon;
    char address[300];
    char *url;
    _Atomic bool read_token;
    bool tls, https; /* https: by ourselves, or `url` says that a proxy does it */
    pw_buf cert, key;
    config_limits limits;
    config *base;              /* the configuration of the start: addresses, limits, secrets */
    const config_net *proxies; /* of it */
    size_t n_proxies;
    web_gate gate;
    uint8_t csrf_key[32]; /* of this process: for people that a proxy names */
    char *db;
    logs *log_store;
    char *files_dir, *tries_dir; /* owned */
    pw_chan *commands;
    const web_gauges *gauges;
    const pw_host *host;
    web_index index[WEB_INDICES];
    size_t next_index;
    pthread_mutex_t pool_lock; /* also of conf, use, index */
    config *conf;              /* a reference of its own */
    struct {
        uint64_t token;
        pw_usec at;
    } use[WEB_USES];
    /* grows when a token was revoked or the people changed: streams look whether they may go on */
    _Atomic uint64_t access;
    _Atomic uint64_t refused[WEB_REFUSALS];
    reader *pool[WEB_THREADS];
    size_t pooled;
    web_hub hub;
};

/* ---- one request; it lives on its connection's thread */
struct web_req {
    web_server *web;
    struct MHD_Connection *con;
    web_conn *conn;
    web_whom from;         /* the address that it is counted for */
    size_t counted;        /* bytes of the body that the gate knows of */
    char *uri;             /* owned, raw; cut at "?" */
    const char *raw_query; /* what stood behind it; NULL: nothing. Borrowed from uri */
    config *conf; /* a reference: that of its beginning, whatever is read anew; see web_req_conf */
    bool begun, head, discard;
    bool brief; /* health, for whoever may not read: well or not, and nothing else */
    bool close; /* the connection ends with this answer */
    uint64_t discarded;
    web_match at;
    web_query query;
    pw_buf in;
    web_identity who;
    uint64_t access;       /* of the server, before `who` was looked up */
    uint8_t session[32];   /* hash of the session's secret */
    char csrf[WEB_CSRF];   /* of a session or a proxy's person; "" none */
    char cookie[WEB_CSRF]; /* of the session that is being opened */
    web_handler *then;     /* after a command that was done: makes the answer of it; NULL */
    reader *rd;            /* taken from the pool while a handler runs */
    int status;            /* 0: not decided */
    pw_buf out;
    const char *type; /* content type */
    bool tag;         /* an ETag is worth it */
    bool secret;      /* the answer must not be kept by anybody */
    bool forever;     /* its name changes with it: whoever has it may keep it */
    struct {
        const char *name;
        char value[WEB_HEADER];
    } header[WEB_HEADERS];
    size_t n_headers;
    MHD_ContentReaderCallback stream; /* NULL: out is the answer */
    MHD_ContentReaderFreeCallback stream_free;
    void *stream_self; /* taken by the response */
    int file;          /* owned; -1: none. Bytes file_at .. file_at + file_n are the answer */
    uint64_t file_at, file_n;
    web_ask *ask;
    struct web_upload *upload; /* owned; the body goes to a file: see try.c; NULL: to memory */
};

/* ---- try.c: bodies of what people try */
/* The body of this request goes to a file. */
bool web_try_streams(const web_req *q);
/* Before the body is read: where it goes. */
void web_try_begin(web_req *q);
void web_try_part(web_req *q, const char *data, size_t n);
void web_try_clear(web_req *q);
/* base64 of either alphabet, in place: no text afterwards. Line breaks may stand in it. False: it
 * is none. */
bool web_unbase64(char *s, size_t *ret_n);

/* ---- post.c */
/* The command with what all have in common, filled from the keys that the route allows; *ret_body
 * (may be NULL) is owned. NULL: refused already. */
core_cmd *web_command(web_req *q, core_cmd_kind kind, json_value **ret_body);
/* An object of properties; *ret is owned, also after a failure. */
int web_take_properties(const json_value *object, pw_list *ret, pw_err *err);

/* ---- request.c */
web_req *web_req_new(web_server *web, struct MHD_Connection *con, const char *uri);
void web_req_free(web_req *q);
void web_req_begin(web_req *q, const char *method);
/* Bytes that the body of this request may have. */
size_t web_req_body_max(const web_req *q);
enum MHD_Result web_req_reply(web_req *q);
void web_fail(web_req *q, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* By the code of the error: 404, 400, 409, 500. */
void web_fail_err(web_req *q, const pw_err *err);
void web_header(web_req *q, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Status 200 and the type "application/json"; the buffer to fill. */
pw_buf *web_json(web_req *q);
/* The request's reader; NULL: refused already. */
reader *web_reader(web_req *q);
/* A parameter of the path as an id. False: refused already. */
bool web_id_param(web_req *q, size_t i, uint64_t *ret);

/* ---- gate.c */
int web_gate_init(web_server *web, pw_err *err);
void web_gate_clear(web_server *web);
enum MHD_Result web_gate_accept(void *self, const struct sockaddr *sa, socklen_t len);
void web_gate_notify(void *self, struct MHD_Connection *con, void **place,
                     enum MHD_ConnectionNotificationCode code);
web_conn *web_gate_conn(struct MHD_Connection *con);
/* The request must be there to its end in this time; it is. */
void web_gate_reading(web_req *q, pw_usec time);
void web_gate_read(web_req *q);
/* When the next one is to be cut off, and doing it. */
pw_usec web_gate_due(web_server *web);
void web_gate_sweep(web_server *web, pw_usec now);
/* False: refused already. web_gate_request also finds where the request comes from. */
bool web_gate_request(web_req *q);
bool web_gate_token(web_req *q, const uint8_t hash[32]);
bool web_gate_login(web_req *q, const uint8_t hash[32]);
bool web_gate_body(web_req *q, size_t more);
void web_gate_body_end(web_req *q);

/* ---- head.c */
/* False: refused already, and the connection ends with the answer. */
bool web_head_ok(web_req *q);
/* All lines of X-Forwarded-For as one list, in their order. */
void web_head_forwarded(web_req *q, pw_buf *ret);

/* ---- hooks.c */
/* Looks at the head of a delivery, before its body is read. */
void web_hook_begin(web_req *q);

/* ---- tls.c */
int web_tls_load(web_server *self, const char *cert, const char *key, pw_err *err);
void web_tls_clear(web_server *self);

/* Whether a Content-Type (NULL: none) is this one, whatever its parameters. */
bool web_has_type(const char *given, const char *type);

/* ---- pool.c */
reader *web_reader_take(web_server *web, pw_err *err);
void web_reader_give(web_server *web, reader *rd);

/* ---- auth.c: who asks, and whether the route's scope is his. False: refused already. */
bool web_auth(web_req *q);
/* Whether he who was found then is still who he was, now that the body is there. False: refused. */
bool web_auth_still(web_req *q);
/* What one way of saying who one is (a bearer token, a cookie, a proxy's header) found. */
typedef enum web_claim {
    WEB_CLAIM_NONE,   /* the request says nothing this way: the next way is asked */
    WEB_CLAIM_GOOD,   /* q->who is filled */
    WEB_CLAIM_REFUSED /* it says so wrongly: refused already, with 401, 403, 429 or 503 */
} web_claim;
/* Asks each way of the table in auth.c in turn: bearer token, then session, then proxy. Called once
 * a request, by web_auth. */
web_claim web_identify(web_req *q);
/* For the ways. Whoever holds the token of this hash: PW_EDENIED with a text for people when it is
 * unknown, revoked, expired, or its person is gone; other codes when it could not be read. Notes
 * its use. */
int web_token_identity(web_req *q, const uint8_t hash[32], web_how how, web_identity *ret,
                       pw_err *err);
/* A person of the configuration: PW_EDENIED when there is no such one. */
int web_person_identity(web_req *q, const char *name, web_how how, web_identity *ret, pw_err *err);
/* 401, or 429 when this address has failed too often; returns WEB_CLAIM_REFUSED. */
web_claim web_refuse_claim(web_req *q, const char *text);
/* ---- schedulers.c: into the object that is open in b */
/* "paused": {"reason", "who", "at"}, or null. */
int web_paused(web_req *q, pw_buf *b, store_pausable kind, const char *name, pw_err *err);
/* "force": the forms of the builder, [{"scheduler", "parameters"}]; empty: anything goes. */
void web_forms(web_req *q, pw_buf *b, const char *project, const char *builder);
/* "held" and "paused" of the status. */
int web_status_waits(web_req *q, pw_buf *b, const char *project, const char *branch, pw_err *err);

/* The configuration as it is now, with a reference of the caller's. */
config *web_conf(web_server *web);
/* The same for a whole request, borrowed. */
const config *web_req_conf(web_req *q);
/* A token was revoked, or the people changed: who follows a stream is looked at again, at once. */
void web_access_changed(web_server *web);
/* The stream belongs to whoever sent this request. */
void web_wait_owner(web_wait *w, const web_req *q);
/* Whether he may still have it; asked by the stream each time that it is woken. */
bool web_still(web_server *web, web_wait *w);

/* ---- access.c */
void web_refused(web_req *q); /* counts and logs an answer that is an error */
void web_refusals(const web_server *web, pw_buf *b);

/* ---- session.c: two of the ways of web_identify */
web_claim web_by_session(web_req *q);
web_claim web_by_proxy(web_req *q);
/* A write that a cookie or a proxy vouches for must come from our own page. False: refused. */
bool web_guard_write(web_req *q, const char *method);
/* A page that was refused with 401 becomes the way to log in, for browsers. */
void web_ask_login(web_req *q);

/* ---- hub.c */
int web_hub_start(web_server *web, pw_err *err);
/* Everybody is resumed and nobody waits any more. */
void web_hub_stop(web_server *web);
void web_hub_clear(web_server *web);
/* Suspends the connection and lists it, unless something came meanwhile: `seen` = what web_seen
 * said before it looked (for w->events), `generation` = that of the logs, likewise (for w->logs).
 * Returns false when it must look again. */
bool web_wait_begin(web_server *web, web_wait *w, uint64_t seen, uint64_t generation);
/* Changes whenever new events can be read. */
uint64_t web_seen(web_server *web, bool *ret_stop);
void web_request_begin(web_server *web);
void web_request_end(web_server *web);
/* A place for one more stream; false: there are too many. */
bool web_stream_begin(web_server *web, bool listener);
void web_stream_end(web_server *web, bool listener);
/* Newest event for listeners; counting for /metrics. Called by the waker. */
int web_pump(web_server *web);
enum { WEB_GATE = 256 };
/* ---- looks.c */
void web_looks_clear(web_hub *h);
/* State, failures, trouble, next_look of a project. watched: the configuration has it. */
void web_look_put(web_server *self, pw_buf *b, uint64_t project, bool watched);

web_presence web_worker_presence(web_server *web, uint64_t worker, char gate[WEB_GATE]);

/* ---- ask.c */
void web_ask_send(web_req *q, core_cmd *cmd); /* taken; suspends the connection */
void web_ask_done(core_cmd *cmd, void *ask);
/* Called again after the answer: fills status and out. */
void web_ask_answer(web_req *q);
void web_ask_drop(web_req *q);
/* Under the lock: gives up one ask that is past its deadline (all: whatever its deadline) and
 * returns its connection, which is then to be resumed without the lock; NULL: none, and *ret_next
 * is the next deadline (INT64_MAX none). */
struct MHD_Connection *web_ask_expire(web_hub *hub, pw_usec now, bool all, pw_usec *ret_next);

/* ---- events.c */
int web_event_text(web_server *web, reader *rd, uint64_t epoch, uint64_t seq, event_kind kind,
                   uint64_t id, pw_buf *b, web_about *ret);
const char *web_event_name(event_kind kind);
void web_event_drop(web_event *e);

/* ---- logs.c: bytes=A-B, A-, -N of `size` bytes. 1: a range; 0: none that is understood; -1:
 * beyond the end. */
int web_range(const char *s, uint64_t size, uint64_t *ret_first, uint64_t *ret_n);

/* ---- builds.c: shared with pages and events */
int web_any_build(void *self, const reader_build *r); /* for looking whether there is one */
int web_steps(reader *rd, uint64_t build, uint64_t nth, bool open, pw_buf *b, pw_err *err);
uint64_t web_request_build(reader *rd, const reader_request *r);

/* ---- lists.c: which builder a NAME or PROJECT/NAME means */
typedef struct web_builder {
    const char *name, *project; /* what is looked for; borrowed */
    size_t project_len, n;
    pw_buf found, candidates; /* found: the project's name */
} web_builder;
/* Negative: refused already (404, or 400 with the candidates). */
int web_find_builder(web_req *q, const char *name, const char *project, web_builder *ret);
void web_builder_clear(web_builder *f);

/* ---- logindex.c: indices of logs, as they were sent */
/* True: it is in *ret. */
bool web_index_kept(web_server *web, uint64_t attempt, uint32_t idx, uint32_t stream, pw_buf *ret);
void web_index_keep(web_server *web, uint64_t attempt, uint32_t idx, uint32_t stream,
                    const pw_buf *text);
void web_index_clear(web_server *web);

/* ---- handlers */
web_handler web_get_schedulers, web_post_builder_action, web_post_scheduler_action;
web_handler web_get_status, web_get_projects, web_get_builders, web_get_builder, web_get_builds,
    web_get_build, web_get_steps, web_get_log, web_get_log_index, web_get_requests, web_get_request,
    web_get_why, web_get_changes, web_get_workers, web_get_promotions, web_get_events,
    web_get_openapi, web_get_health, web_get_metrics, web_get_badge, web_page, web_get_asset,
    web_page_style, web_post_pin, web_delete_pin, web_post_force, web_post_change, web_post_retry,
    web_post_shell, web_post_cancel, web_post_cancel_request, web_post_start, web_post_worker,
    web_post_worker_action, web_delete_worker, web_get_outbox, web_post_outbox, web_post_promote,
    web_post_hook, web_get_session, web_page_login, web_post_login, web_post_logout,
    web_post_rotate, web_post_token, web_get_tokens, web_delete_token, web_get_audit, web_post_try,
    web_post_release, web_get_artifacts, web_get_artifact, web_get_tarball, web_get_summary,
    web_get_tests, web_get_branches, web_get_console, web_get_build_changes, web_get_history,
    web_get_search, web_get_meta, web_get_atom;
#endif
