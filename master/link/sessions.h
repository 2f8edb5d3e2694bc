/* sessions.h - the master's side of the protocol (docs/protocol.md): sessions, resync, journal
 * ingest with two offsets, credit. It knows messages, not sockets: bytes come in by
 * sessions_message, go out by `send`, so that it also runs against a simulated network. What it
 * sends is queued until the turn is committed. The core's thread. */
#ifndef PW_MASTER_LINK_SESSIONS_H
#define PW_MASTER_LINK_SESSIONS_H
#include "master/blobs/blobs.h"
#include "master/core/core.h"
#include "master/logs/logs.h"
#include "shared/wire/msg.h"

enum {
    SESSION_HEARTBEAT_MS = 10000,
    SESSION_SILENCE_US = 25 * 1000000,
    /* an older session that does not answer in that time gives way */
    SESSION_PING_US = 10 * 1000000,
    SESSION_JOB_WINDOW = 256 * 1024,
    SESSION_WORKER_WINDOW = 1024 * 1024,
    SESSION_TOTAL_WINDOW = 64 * 1024 * 1024,
};

typedef struct sessions sessions;
/* PW_ENOTFOUND: the connection is gone; PW_EAGAIN: its queue is full: both end the session. */
typedef int sessions_send(void *self, uint64_t peer, const void *head, size_t head_len,
                          const void *bulk, size_t bulk_len, pw_err *err);

/* mark_key: secret of this master for the marks. All borrowed but the key. */
sessions *sessions_new(core *c, logs *l, const pw_host *host, const uint8_t mark_key[32],
                       sessions_send *send, void *send_self, pw_err *err);
/* Where files of steps go; its sync is a part of the log store's (logs_also). Borrowed. */
void sessions_keep_files(sessions *self, blobs *b);
sessions *sessions_free(sessions *self);
PW_DEFINE_FREEP(sessions, sessions_free)
/* The core was replaced by one that core_reload() made: sessions and frames under way stay. */
void sessions_adopt(sessions *self, core *c);
/* One received message; key: the peer's proven public key. */
void sessions_message(sessions *self, uint64_t peer, const uint8_t key[32], const void *head,
                      size_t head_len, const void *bulk, size_t bulk_len);
/* Is this key admitted at the handshake? */
bool sessions_admit(sessions *self, const uint8_t key[32]);
/* CORE_OFFER, CORE_CANCEL, CORE_FORGET, CORE_NOTE, CORE_DROP; others are ignored. After the commit.
 */
void sessions_effect(sessions *self, const core_effect *e);
/* After the commit: sends what is queued. */
void sessions_flush(sessions *self);
/* Before the commit: one sync is asked for all log bytes of this turn. */
void sessions_end_turn(sessions *self);
/* Answer of the log store. */
void sessions_synced(sessions *self, uint64_t ticket, int code, const char *text);
/* Heartbeats and silence; once a second or more often. */
void sessions_tick(sessions *self);
/* What a running job asks for (`need`), for those who can give it: the attempt is open and this
 * worker's. Both are borrowed. The answer goes to sessions_blob(), at any later time; a negative
 * code: it is told to ask again; PW_ENOTFOUND: that there is nothing. */
typedef int sessions_ask(void *self, const core_attempt *a, const msg_need *m, pw_err *err);
void sessions_on_need(sessions *self, sessions_ask *ask, void *ask_self);
/* An answer: session, epoch, attempt and ask as they came. Dropped when that session is over: it
 * asks again. */
void sessions_blob(sessions *self, const msg_blob *m, const void *p, size_t n);
typedef struct sessions_figures {
    uint64_t sessions, dropped, journal_bytes, log_bytes, alarms;
} sessions_figures;
void sessions_get_figures(const sessions *self, sessions_figures *ret);
#endif
