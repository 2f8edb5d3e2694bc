/* net.h - the thread that talks to others' servers: outgoing messages, several targets side by
 * side (the core has one of each under way). Jobs are sent by the core's thread, answers come
 * through a channel; both are plain owned data. A kind of target is a sender (sender.h): how a job
 * becomes a request, and what an answer means. */
#ifndef PW_MASTER_NET_NET_H
#define PW_MASTER_NET_NET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/chan.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

typedef enum net_kind { NET_WEBHOOK, NET_KINDS } net_kind;
typedef enum net_outcome {
    NET_TAKEN,   /* the target has it */
    NET_REFUSED, /* it said no for good */
    NET_LATER,   /* it said not now, or failed */
    NET_SILENT,  /* no answer: it may have it */
    NET_UNSENT   /* nothing left this machine */
} net_outcome;
/* One request and, filled in, its answer: the same object comes back. All owned; address and secret
 * are wiped when it is freed. */
typedef struct net_job {
    net_kind kind;
    uint64_t id, tries; /* the asker's */
    char *url, *key, *event, *body;
    size_t body_len;
    void *secret; /* what it is signed with; NULL: not signed */
    size_t secret_len;
    pw_usec timeout;

    net_outcome outcome;
    pw_usec retry_after; /* as the target asked; 0: it did not */
    char text[400];      /* for people; never the address */
    struct net_job *next;
} net_job;
net_job *net_job_new(net_kind kind, pw_err *err);
net_job *net_job_free(net_job *j);
PW_DEFINE_FREEP(net_job, net_job_free)

typedef struct net_service net_service;
/* Starts the thread. answers: borrowed; receives net_job pointers. */
net_service *net_start(pw_chan *answers, pw_err *err);
/* Breaks off what is under way, ends the thread, frees queued jobs. */
net_service *net_stop(net_service *self);
/* Takes the job (freed also on failure). PW_EFULL: too many wait. */
int net_send(net_service *self, net_job *job, pw_err *err);
#endif
