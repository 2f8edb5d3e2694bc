/* outbox.h - the store's questions about outgoing messages.
 * See store.h for what holds of all of them. */
#ifndef PW_MASTER_STORE_OUTBOX_H
#define PW_MASTER_STORE_OUTBOX_H
#include "master/store/store.h"

/* ---- outgoing messages (outbox.c); at most one of a target is under way */
/* *ret_id 0: a message with this key was there before, and nothing was done. */
int store_message_add(store *self, const char *key, const char *target, const char *body,
                      pw_msec at, uint64_t *ret_id, pw_err *err);
/* The oldest of a target that is not finished; PW_ENOTFOUND (without text): none. Owned. */
int store_message_next(store *self, const char *target, store_message *ret, pw_err *err);
/* without its body; owned */
int store_message_get(store *self, uint64_t id, store_message *ret, pw_err *err);
/* waiting -> under way; one more try */
int store_message_send(store *self, uint64_t id, pw_err *err);
/* under way -> waiting */
int store_message_wait(store *self, uint64_t id, pw_msec due, const char *reason, pw_err *err);
/* any state but that -> sent or given up */
int store_message_end(store *self, uint64_t id, msg_state to, const char *reason, pw_msec at,
                      pw_err *err);
/* waiting or given up -> waiting, as if it was new */
int store_message_again(store *self, uint64_t id, pw_msec at, pw_err *err);
/* What is not finished, by target. */
int store_message_targets(store *self,
                          int (*cb)(void *, const char *target, uint64_t waiting, uint64_t sending),
                          void *cb_self, pw_err *err);
/* waiting -> given up, of one target (NULL: of all), of those made before then; returns how many */
int store_messages_give_up(store *self, const char *target, const char *reason, pw_msec at,
                           pw_msec before, pw_err *err);
/* ---- several in one: the first bodies of those behind `id`, oldest first; then the message's own
 * body (it waits) is another, and those behind it that wait are sent. Returns how many. */
int store_message_others(store *self, const char *target, uint64_t id, size_t most,
                         int (*cb)(void *, const char *body), void *cb_self, pw_err *err);
int store_message_fold(store *self, const char *target, uint64_t id, const char *body,
                       const char *reason, pw_msec at, pw_err *err);
/* What its target calls it. */
int store_message_remote(store *self, uint64_t id, const char *remote, pw_err *err);
/* Who wrote the newest change of a stamp, owned; NULL: not known. */
int store_change_author(store *self, uint64_t stamp, char **ret, pw_err *err);
/* finished before then; returns how many were removed */
int store_messages_expire(store *self, pw_msec before, int most, pw_err *err);
/* The newest build of a builder on a branch that says something of the code; PW_ENOTFOUND. */
int store_latest_get(store *self, uint64_t builder, const char *branch, uint64_t *ret_build,
                     pw_result *ret, pw_err *err);
#endif
