/* sender.h - a kind of target: pure functions from a job to a request and from an answer to what it
 * means. A new kind is one file with one of these and a line in net.c's table. */
#ifndef PW_MASTER_NET_SENDER_H
#define PW_MASTER_NET_SENDER_H
#include "master/net/net.h"
#include "shared/http/pool.h"

enum { SENDER_HEADERS = 8, SENDER_VALUE = 400 };
typedef struct sender_request {
    const char *method;
    http_header header[SENDER_HEADERS];
    char value[SENDER_HEADERS][SENDER_VALUE]; /* room for values that are made */
    size_t n;
} sender_request;
typedef struct sender {
    void (*ask)(const net_job *j, sender_request *r);
    /* Fills outcome, retry_after and text of the job. */
    void (*judge)(net_job *j, const http_reply *r);
} sender;
extern const sender sender_webhook;
/* What any HTTP target's answer means by its status. */
void sender_judge_status(net_job *j, const http_reply *r);
#endif
