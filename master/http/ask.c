/* A command to the core: the connection is suspended, the command goes through the channel, the
 * core's thread brings the answer back after its commit. Connection and command may end in any
 * order: the ask lives until both let go of it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/http/impl.h"
#include "shared/base/fault.h"

/* Under the lock. */
static void unlist(web_ask *a)
{
    if (!a->prev)
        return;
    *a->prev = a->next;
    if (a->next)
        a->next->prev = a->prev;
    a->prev = NULL;
}

void web_ask_send(web_req *q, core_cmd *cmd)
{
    web_hub *h = &q->web->hub;
    pw_err err = {0};
    web_ask *a = calloc(1, sizeof(*a));
    if (!a) {
        core_cmd_free(cmd);
        web_fail(q, 503, "unavailable", "out of memory");
        return;
    }
    web_reader_give(q->web, pw_take(q->rd));
    a->web = q->web;
    a->health = cmd->kind == CMD_HEALTH;
    a->deadline = pw_now(q->web->host) + (a->health              ? WEB_HEALTH_US
                                          : cmd->kind == CMD_TRY ? WEB_TRY_ANSWER_US
                                                                 : WEB_ANSWER_US);
    cmd->done = web_ask_done;
    cmd->done_self = a;
    (void)pthread_mutex_lock(&h->lock);
    if (h->stop) {
        (void)pthread_mutex_unlock(&h->lock);
        free(a);
        core_cmd_free(cmd);
        web_fail(q, 503, "unavailable", "the master is stopping");
        return;
    }
    a->out = a->held = true;
    a->con = q->con;
    q->ask = a;
    a->next = h->asks;
    a->prev = &h->asks;
    if (a->next)
        a->next->prev = &a->next;
    h->asks = a;
    MHD_suspend_connection(q->con);
    (void)pthread_cond_signal(&h->wake); /* it has a deadline now */
    (void)pthread_mutex_unlock(&h->lock);
    if (pw_chan_send(q->web->commands, cmd, &err) == 0)
        return;
    core_cmd_fail(cmd, 503, "unavailable", "the master has too much to do: try again in a moment");
    web_ask_done(cmd, a);
}

void web_ask_done(core_cmd *cmd, void *self)
{
    web_ask *a = self;
    web_hub *h = &a->web->hub;
    if (cmd->kind == CMD_HOOK && cmd->status == 202 && pw_fault("hook.stored"))
        core_cmd_fail(cmd, 503, "unavailable", "stored, but not answered: send it again");
    if (cmd->upload)
        (void)unlink(cmd->upload); /* whatever came of it: it is imported, or sent again */
    if (cmd->kind == CMD_TOKEN_REVOKE && cmd->status < 300)
        web_access_changed(a->web); /* committed: what it had open ends */
    (void)pthread_mutex_lock(&h->lock);
    struct MHD_Connection *con = a->con;
    unlist(a);
    a->out = false;
    a->con = NULL;
    if (con) {
        a->answered = true;
        a->cmd = cmd;
        cmd = NULL;
    }
    bool held = a->held;
    (void)pthread_mutex_unlock(&h->lock);
    core_cmd_free(cmd);
    if (!held)
        free(a);
    if (con)
        MHD_resume_connection(con);
}

struct MHD_Connection *web_ask_expire(web_hub *hub, pw_usec now, bool all, pw_usec *ret_next)
{
    pw_usec next = INT64_MAX;
    for (web_ask *a = hub->asks; a; a = a->next) {
        if (!a->con)
            continue;
        if (all || a->deadline <= now) {
            struct MHD_Connection *con = a->con;
            a->con = NULL;
            a->answered = true;
            return con;
        }
        next = a->deadline < next ? a->deadline : next;
    }
    *ret_next = next;
    return NULL;
}

void web_ask_answer(web_req *q)
{
    web_ask *a = q->ask;
    web_hub *h = &q->web->hub;
    (void)pthread_mutex_lock(&h->lock);
    core_cmd *cmd = pw_take(a->cmd);
    (void)pthread_mutex_unlock(&h->lock);
    q->type = "application/json";
    if (cmd) {
        q->status = cmd->status ? cmd->status : 500;
        (void)pw_buf_add(&q->out, pw_buf_str(&cmd->body), cmd->body.len);
        (void)pw_buf_add(&q->out, "\n", 1);
    } else if (a->health) {
        q->status = 503;
        (void)pw_buf_adds(&q->out, "{\"status\":\"failing\",\"checks\":[{\"name\":\"core\",\"ok\":"
                                   "false,\"text\":\"it gave no answer in time\"}]}\n");
    } else {
        web_fail(q, 503, "unavailable",
                 "no answer came in time; it may still be done: ask again with the same "
                 "Idempotency-Key to learn what came of it");
    }
    if (a->health && q->brief) { /* names of projects and workers, errors of git, paths */
        pw_buf_reset(&q->out);
        (void)pw_buf_addf(&q->out, "{\"status\":\"%s\",\"checks\":[]}\n",
                          q->status == 200 ? "ok" : "failing");
    }
    core_cmd_free(cmd);
    web_ask_drop(q);
    if (q->then && q->status >= 200 && q->status < 300)
        q->then(q);
}

void web_ask_drop(web_req *q)
{
    web_ask *a = pw_take(q->ask);
    if (!a)
        return;
    (void)pthread_mutex_lock(&q->web->hub.lock);
    a->held = false;
    a->con = NULL;
    bool out = a->out;
    core_cmd *cmd = pw_take(a->cmd);
    (void)pthread_mutex_unlock(&q->web->hub.lock);
    core_cmd_free(cmd);
    if (!out)
        free(a);
}
