/* http.h - the web server of the master: REST under /api/v1, server-sent events, logs, /healthz,
 * /metrics and the web pages. Web threads read the database through their own read-only
 * connection and never hold the core; writes are commands sent to the core, answered after its
 * commit. libmicrohttpd is included here only. */
#ifndef PW_MASTER_HTTP_HTTP_H
#define PW_MASTER_HTTP_HTTP_H
#include <stdatomic.h>

#include "master/config/config.h"
#include "master/core/cmd.h"
#include "master/logs/logs.h"
#include "master/store/reader.h"
#include "shared/base/chan.h"

/* Whom messages are sent to. A list is made for a configuration and never changed but for its
 * numbers; lists before it are kept, since web threads may read them still. */
typedef struct web_targets {
    struct web_targets *older;
    size_t n;
    struct web_target {
        char *name; /* owned */
        _Atomic uint64_t waiting, sent, given_up;
    } v[];
} web_targets;
void web_targets_free(web_targets *l); /* the older ones, too */

/* How long turns took, in buckets of Prometheus: 1 5 10 25 50 100 500 ms, and longer. */
enum { WEB_TURN_BUCKETS = 8 };

/* Numbers of the core that /metrics shows; written by the core's thread, read by any. */
typedef struct web_gauges {
    _Atomic uint64_t turns, turn_us_last, turn_us_max, commits_failed;
    _Atomic uint64_t requests_waiting, builds_open, workers_connected, workers_known, slots_busy,
        slots;
    _Atomic uint64_t journal_bytes, log_bytes, dropped_messages, alarms, slow_callbacks;
    _Atomic uint64_t builds_total[7]; /* since the start of this process, by result */
    _Atomic uint64_t outbox_waiting;
    _Atomic(web_targets *) targets; /* NULL: none yet */
    _Atomic uint64_t turn_us, turn_bucket[WEB_TURN_BUCKETS];
} web_gauges;

/* A turn was committed. */
void web_gauges_turn(web_gauges *g, uint64_t us);

typedef struct web_options {
    const char *listen; /* "127.0.0.1:8010"; port 0 takes a free one */
    const char *url;    /* NULL: from the address in use */
    bool read_token;    /* GET needs a token too */
    config *conf;       /* referenced; NULL: nobody is known, default limits */
    const char *db;     /* path of the database */
    logs *log_store;    /* borrowed */
    const char *files;  /* folder of the store of files (master/blobs) */
    const char *tries;  /* folder in which what people try comes in */
    pw_chan *commands;  /* borrowed: core_cmd pointers go here */
    const web_gauges *gauges;
    const pw_host *host;
} web_options;

typedef struct web_server web_server;
/* text names the address when it is taken */
web_server *web_start(const web_options *o, pw_err *err);
/* Every connection is ended. From here on the core must not answer commands of this server: what
 * lies in the channel is to be freed (core_cmd_free), not answered. */
web_server *web_stop(web_server *self);
/* "http://127.0.0.1:40123". Borrowed. */
const char *web_address(const web_server *self);
/* From the core's thread after a commit: events up to seq can be read now. Cheap; wakes the
 * listeners. */
void web_events(web_server *self, uint64_t seq);
/* From any thread: another configuration counts (people, who may read; not addresses). Referenced.
 */
void web_configure(web_server *self, config *conf);
/* From any thread: some log has grown. */
void web_logs_grew(web_server *self);
/* From the core's thread: a session of this worker (its row's id) has begun or ended. The database
 * does not know who is connected; as long as this is never called, workers count as connected when
 * any is (the gauge). */
/* gate: why it takes no new jobs, NULL: it does. */
void web_worker(web_server *self, uint64_t worker, bool connected, const char *gate);
/* How the last look at a project's repository went. failures: in a row; trouble: of the last one,
 * NULL: fine. */
void web_look(web_server *self, uint64_t project, uint64_t failures, pw_msec next,
              const char *trouble);
#endif
