/* deep.h - a whole database file, looked at from outside of the server that writes it: a consistent
 * copy for backups, what it names, and what must hold between its rows. Connections are read-only
 * and of their own, so a running master is not disturbed; blocks on the disk; one thread. Schemas
 * from 1 on are understood, as a backup is wanted before an upgrade too. */
#ifndef PW_MASTER_STORE_DEEP_H
#define PW_MASTER_STORE_DEEP_H
#include "master/store/files.h"
#include "master/store/store.h"

/* A copy of all pages in one read transaction: the state of one commit, whatever is written
 * meanwhile. The checkpoint cannot pass that commit until the copy is done (1 GiB takes about a
 * second). `to` is made anew (0600), or overwritten; it is synced, and in no need of a WAL. The
 * callback (may be NULL) tells bytes. */
typedef void store_copy_cb(void *self, uint64_t done, uint64_t total);
int store_copy(const char *from, const char *to, store_copy_cb *cb, void *cb_self, pw_err *err);

typedef struct store_deep store_deep;
/* PW_ENOTFOUND: there is no such file, or an empty one. PW_ECONFLICT: not Pawl's, or newer. */
store_deep *store_deep_open(const char *path, pw_err *err);
store_deep *store_deep_close(store_deep *self);
PW_DEFINE_FREEP(store_deep, store_deep_close)
typedef struct store_facts {
    uint64_t schema, epoch, turn;
} store_facts;
int store_deep_facts(store_deep *self, store_facts *ret, pw_err *err);
/* Workers that have a key and are not removed. */
int store_deep_workers(store_deep *self, uint64_t *ret, pw_err *err);
/* 1: some build has printed something. */
int store_deep_any_log(store_deep *self, pw_err *err);
/* The configuration that was used last; PW_ENOTFOUND: none yet. */
int store_deep_config(store_deep *self, pw_buf *text, pw_err *err);

/* Requests of a builder that wait, and builds of it that are under way; none of a builder that
 * there never was. */
int store_deep_under_way(store_deep *self, const char *project, const char *builder,
                         uint64_t *ret_waiting, uint64_t *ret_running, pw_err *err);

/* One walk sees one commit: between begin and end. */
int store_deep_begin(store_deep *self, pw_err *err);
void store_deep_end(store_deep *self);
/* Callbacks: rows are borrowed; a negative return ends the walk. */
int store_deep_segments(store_deep *self, int (*cb)(void *, uint64_t segment), void *cb_self,
                        pw_err *err);
int store_deep_sealed(store_deep *self, int (*cb)(void *, const store_log *), void *cb_self,
                      pw_err *err);
int store_deep_frames(store_deep *self, int (*cb)(void *, const store_frame *), void *cb_self,
                      pw_err *err);
/* 0 no such row, 1 not sealed, 2 sealed, 3 its file is about to be removed, 4 is removed */
int store_deep_log_is(store_deep *self, uint64_t attempt, uint64_t idx, uint64_t stream,
                      pw_err *err);
/* Files of builds, in the order of their sums; none in a schema before 3. */
int store_deep_artifacts(store_deep *self, int (*cb)(void *, const store_artifact *), void *cb_self,
                         pw_err *err);
/* Tries, as STATE/tries has a file of each; none in a schema before 3. */
int store_deep_tries(store_deep *self, int (*cb)(void *, uint64_t project, uint64_t number),
                     void *cb_self, pw_err *err);
/* 1: a row names the sum, or says that its bytes are to go. */
int store_deep_sum_is(store_deep *self, const uint8_t sha256[32], pw_err *err);
/* 1: more of that attempt may come, or it is on its way into its place. */
int store_deep_part_is(store_deep *self, uint64_t attempt, uint64_t file, pw_err *err);
/* 1: the row is there */
int store_deep_frame_is(store_deep *self, const store_frame *f, pw_err *err);
int store_deep_segment_is(store_deep *self, uint64_t segment, pw_err *err);
/* 1: there is such a project; its name is appended. */
int store_deep_project(store_deep *self, uint64_t id, pw_buf *name, pw_err *err);
/* 0 not known, 1 valid, 2 revoked or expired */
int store_deep_token(store_deep *self, const uint8_t hash[32], pw_msec now, pw_err *err);
/* The newest time that the master wrote. */
int store_deep_newest(store_deep *self, pw_msec *ret, pw_err *err);

/* Every page and index: each finding is one text. */
int store_deep_integrity(store_deep *self, int (*cb)(void *, const char *text), void *cb_self,
                         pw_err *err);
/* What must hold between rows; `kind` is what id is of, `rule` a constant. */
typedef int store_rule_cb(void *self, const char *rule, const char *kind, uint64_t id,
                          const char *text);
int store_deep_rules(store_deep *self, pw_msec now, store_rule_cb *cb, void *cb_self, pw_err *err);

/* What a restored database needs, in a transaction of its own: a new epoch (rules 1.2; the core
 * then skips the ids), messages that wait are given up, since the later life of this database may
 * have sent them, and a line of the audit trail. *ret_messages: how many were given up. */
int store_restored(store *self, const char *from, pw_msec now, uint64_t *ret_messages, pw_err *err);
#endif
