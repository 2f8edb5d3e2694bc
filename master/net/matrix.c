/* Matrix: the message's key is the transaction's id, which a server acts on once. */
#include <stdio.h>
#include <string.h>

#include "master/net/sender.h"
#include "shared/json/json.h"

static void ask(const net_job *j, sender_request *r)
{
    size_t n = strlen(j->url);
    r->method = "PUT";
    while (n && j->url[n - 1] == '/')
        n--;
    (void)pw_buf_add(&r->url, j->url, n);
    (void)pw_buf_adds(&r->url, "/_matrix/client/v3/rooms/");
    (void)http_escape(&r->url, j->place);
    (void)pw_buf_adds(&r->url, "/send/m.room.message/");
    (void)http_escape(&r->url, j->key);
    sender_header(r, "Content-Type", "application/json");
    sender_token(r, "Authorization", "Bearer ", j);
}

static void judge(net_job *j, const http_reply *r)
{
    sender_judge_status(j, r);
    sender_explain(j, r, "error");
    PW_AUTO(json_freep) json_value *v = json_parse(pw_buf_str(&r->body), r->body.len, NULL);
    const char *id = json_str(json_get(v, "event_id"), NULL);
    int64_t ms = json_int(json_get(v, "retry_after_ms"), 0);
    bool failed = false;
    if (j->outcome == NET_TAKEN && id && strlen(id) < 300 && !j->remote)
        j->remote = pw_strdup(id, &failed); /* without memory: no thread */
    if (j->outcome == NET_LATER && ms > 0 && ms < 86400000 && ms * 1000 > j->retry_after)
        j->retry_after = ms * 1000;
}

const sender sender_matrix = {ask, judge};
