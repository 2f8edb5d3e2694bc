/* state.h - structures of master/link, private to the folder. */
#ifndef PW_MASTER_LINK_STATE_H
#define PW_MASTER_LINK_STATE_H
#include "master/link/sessions.h"
#include "master/store/files.h"
#include "shared/journal/journal.h"
#include "shared/base/table.h"
#include "shared/wire/msg.h"

typedef struct session {
    uint64_t id;   /* random; in every message */
    uint64_t peer; /* the connection */
    uint64_t worker;
    uint64_t nonce;
    uint8_t spool[16];
    pw_usec seen, sent;
    pw_usec asked; /* ping sent because another spool wants in; 0 none */
    uint64_t echo; /* sent_us of its newest heartbeat */
} session;

typedef struct outgoing {
    uint64_t peer;
    pw_msg_type type;
    uint8_t *head, *bulk; /* owned */
    size_t head_len, bulk_len;
} outgoing;

/* What is not yet known to be on disk. */
typedef struct pending {
    enum { PEND_FRAME, PEND_PIECE, PEND_FILE } what;
    uint64_t attempt, end; /* journal offset behind its record */
    uint32_t chain;
    uint64_t ticket;                           /* 0: not asked for yet */
    store_artifact *file;                      /* PEND_FILE; owned, its path too */
    store_frame frame;                         /* PEND_FRAME, in the log store */
    uint64_t log_bytes, log_lines, log_packed; /* where its log stood after it */
} pending;

struct sessions {
    core *core;
    logs *logs;
    blobs *blobs; /* NULL: none */
    const pw_host *host;
    uint8_t mark_key[32];
    sessions_send *send;
    void *send_self;
    pw_table *by_peer;   /* session */
    pw_table *by_worker; /* the same; a worker has one at a time */
    outgoing *out;
    size_t n_out, cap_out;
    pending *pend; /* in order of journal and time */
    size_t n_pend, cap_pend;
    uint64_t credit_sum, credit_jobs; /* credit.c */
    bool credit_counted;              /* in this turn */
    sessions_figures fig;
    pw_usec trouble_at; /* when the log store refused bytes last; 0: it does not */
    bool took;          /* it took some since */
    sessions_ask *ask;  /* NULL: nobody gives anything */
    void *ask_self;
};

/* ---- sessions.c */
session *sessions_of_worker(const sessions *self, uint64_t worker);
void sessions_end(sessions *self, session *s, const char *why);
/* Queues a message for after the commit. bulk is copied. */
void sessions_queue(sessions *self, uint64_t peer, pw_msg_type type, const void *body,
                    const void *bulk, size_t bulk_len);
void sessions_ack(sessions *self, core_attempt *a);
void sessions_mark(const sessions *self, uint8_t out[32]);

/* ---- credit.c: the window that this job has from now on; call it only to tell its worker */
uint64_t sessions_window(sessions *self, core_attempt *a);
/* Those that wait for a window hear of it. */
void sessions_credit_tick(sessions *self);

/* ---- hello.c */
void sessions_hello(sessions *self, uint64_t peer, uint64_t worker, const msg_hello *m);

/* ---- files.c */
void pending_clear(pending *p);
int files_piece(sessions *self, core_attempt *a, const journal_rec *rec, pw_err *err);
/* *p gets its file. */
int files_whole(sessions *self, core_attempt *a, const journal_rec *rec, pending *p, pw_err *err);
int files_tests(sessions *self, core_attempt *a, const journal_rec *rec, pw_err *err);
int files_report(sessions *self, core_attempt *a, const journal_rec *rec, pw_err *err);

/* ---- needs.c */
void needs_ask(sessions *self, const session *s, const msg_need *m);

/* ---- ingest.c */
/* Whether the log store may be believed again after it refused bytes. */
void ingest_tick(sessions *self, pw_usec now);
void ingest_journal(sessions *self, session *s, const msg_journal *m, const uint8_t *bulk,
                    size_t n);
#endif
