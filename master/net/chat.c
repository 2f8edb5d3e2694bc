/* Incoming webhooks of Mattermost and Slack: the address is the key, nothing can be read back or
 * changed later. */
#include <string.h>

#include "master/net/sender.h"

static void ask(const net_job *j, sender_request *r)
{
    r->method = "POST";
    sender_header(r, "Content-Type", "application/json");
    sender_header(r, "Idempotency-Key", j->key); /* for a proxy between; they do not look */
}

static void judge(net_job *j, const http_reply *r)
{
    sender_judge_status(j, r);
    sender_explain(j, r, "message"); /* Slack says a word, Mattermost an object */
}

const sender sender_chat = {ask, judge};
