/* net.h - the thread that talks to others' servers: outgoing messages, several targets side by
 * side (the core has one of each under way). Jobs are sent by the core's thread, answers come
 * through a channel; both are plain owned data. A kind of target is a sender (sender.h): how a job
 * becomes a request, and what an answer means. */
#ifndef PW_MASTER_NET_NET_H
#define PW_MASTER_NET_NET_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/chan.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

typedef enum net_kind {
    NET_WEBHOOK,
    NET_CHAT, /* Mattermost, Slack */
    NET_MAIL,
    NET_GITHUB,
    NET_GITLAB,
    NET_GITEA,
    NET_MATRIX,
    NET_KINDS, /* those that are requests; of others: */
    NET_IRC
} net_kind;
typedef enum net_outcome {
    NET_TAKEN,   /* the target has it */
    NET_REFUSED, /* it said no for good */
    NET_LATER,   /* it said not now, or failed */
    NET_SILENT,  /* no answer: it may have it */
    NET_UNSENT   /* nothing left this machine */
} net_outcome;
/* A connection to IRC, which stays open. All owned: net_irc_clear(). */
typedef struct net_irc {
    char *name, *server, *nick, *channel, *user, *password, *ca; /* the last three may be NULL */
    pw_usec timeout;
} net_irc;
void net_irc_clear(net_irc *c);
/* One request and, filled in, its answer: the same object comes back. All owned; address and secret
 * are wiped when it is freed. */
typedef struct net_job {
    net_kind kind;
    uint64_t id, tries; /* the asker's */
    char *url, *key, *event, *body;
    size_t body_len;
    void *secret; /* what it is signed with, or the token or password; NULL: none. \0 behind it */
    size_t secret_len;
    pw_usec timeout;
    char *place, *user, *from; /* repository, room; account; sender of mails */
    char **to;                 /* addresses of mails */
    size_t n_to;
    bool starttls;
    char *ca;                         /* file of authorities; NULL: the system's */
    char *revision, *context, *state; /* of a commit's state */
    char *target;                     /* IRC: the name of the connection */
    void *more;                       /* net_ops.prepare's: freed with free_more */
    void (*free_more)(void *);
    unsigned step; /* a sender that needs several requests: which one it is, from 0 */
    bool again;    /* judge wants another one */

    net_outcome outcome;
    pw_usec retry_after; /* as the target asked; 0: it did not */
    char text[400];      /* for people; never the address */
    net_irc *irc;        /* not a message: the connections that there are to be */
    size_t n_irc;
    bool irc_set;
    char *remote; /* what the target calls it; NULL: it did not say */
    struct net_job *next;
} net_job;
net_job *net_job_new(net_kind kind, pw_err *err);
net_job *net_job_free(net_job *j);
PW_DEFINE_FREEP(net_job, net_job_free)

typedef struct net_service net_service;
typedef struct net_ops {
    /* On the thread, before the first request of a job: gives the body the form of its target. It
     * may read disks. NULL: bodies are sent as they are. */
    int (*prepare)(void *self, net_job *j, pw_err *err);
    /* Somebody asks something on IRC; who: NICK!USER@HOST. Appends lines of an answer. On the
     * connection's own thread: it may wait, but not when *stop is set. NULL: nobody may ask. */
    void (*asked)(void *self, const char *target, const char *who, const char *text,
                  const _Atomic bool *stop, pw_buf *answer);
    /* Whether what somebody watches is over (or was never there): then a line is appended. */
    bool (*over)(void *self, uint64_t request, pw_buf *answer);
    void *self;
} net_ops;
/* Starts the thread. answers: borrowed; receives net_job pointers. ops: copied, may be NULL. */
net_service *net_start(pw_chan *answers, const net_ops *ops, pw_err *err);
/* Breaks off what is under way, ends the thread, frees queued jobs. */
net_service *net_stop(net_service *self);
/* Which connections to IRC there are to be: others end, new ones begin. Takes them and v (also when
 * it fails). */
int net_irc_set(net_service *self, net_irc *v, size_t n, pw_err *err);
/* Takes the job (freed also on failure). PW_EFULL: too many wait. */
int net_send(net_service *self, net_job *job, pw_err *err);
#endif
