/* sender.h - a kind of target: pure functions from a job to a request and from an answer to what it
 * means. A new kind is one file with one of these and a line in net.c's table. */
#ifndef PW_MASTER_NET_SENDER_H
#define PW_MASTER_NET_SENDER_H
#include "master/net/net.h"
#include "shared/http/pool.h"

enum { SENDER_HEADERS = 8, SENDER_VALUE = 1200, SENDER_URL = 8000 };
typedef struct sender_request {
    const char *method;
    http_header header[SENDER_HEADERS];
    char value[SENDER_HEADERS][SENDER_VALUE]; /* room for values that are made */
    size_t n;
    pw_buf url; /* empty: the job's */
    bool bare;  /* without the job's body */
} sender_request;
typedef struct sender {
    void (*ask)(const net_job *j, sender_request *r);
    /* Fills outcome, retry_after, text and perhaps remote of the job; or sets `again`. */
    void (*judge)(net_job *j, const http_reply *r);
} sender;
extern const sender sender_webhook, sender_chat, sender_mail, sender_status, sender_matrix;
/* What any HTTP target's answer means by its status. */
void sender_judge_status(net_job *j, const http_reply *r);
void sender_header(sender_request *r, const char *name, const char *value);
/* "Bearer TOKEN", "token TOKEN" ...: the job's secret behind a word. */
void sender_token(sender_request *r, const char *name, const char *word, const net_job *j);
/* The text for people becomes the value of this key of a JSON answer, if it has it. */
void sender_explain(net_job *j, const http_reply *r, const char *key);
#endif
