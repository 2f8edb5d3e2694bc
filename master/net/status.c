/* States of commits at GitHub, GitLab and Gitea. A try that may have arrived is followed by a look
 * at what stands there: then nothing is set twice. */
#include <stdio.h>
#include <string.h>

#include "master/net/sender.h"
#include "shared/json/json.h"

/* Steps of a job: a look (only when an earlier try may have arrived), the setting, and a look after
 * GitLab said that there is nothing to change. */
enum { LOOK, SET, LOOK_AFTER };

static unsigned step_of(const net_job *j)
{
    return j->tries > 1 ? j->step : j->step + 1;
}

static void address(const net_job *j, sender_request *r, bool look)
{
    size_t n = strlen(j->url);
    while (n && j->url[n - 1] == '/')
        n--;
    (void)pw_buf_add(&r->url, j->url, n);
    if (j->kind == NET_GITLAB) {
        (void)pw_buf_adds(&r->url, "/api/v4/projects/");
        (void)http_escape(&r->url, j->place);
        (void)pw_buf_addf(
            &r->url, look ? "/repository/commits/%s/statuses?per_page=100&name=" : "/statuses/%s",
            j->revision);
        if (look)
            (void)http_escape(&r->url, j->context);
        return;
    }
    (void)pw_buf_addf(&r->url, "%s/repos/%s", j->kind == NET_GITEA ? "/api/v1" : "", j->place);
    (void)pw_buf_addf(&r->url, look ? "/commits/%s/statuses?%s" : "/statuses/%s", j->revision,
                      j->kind == NET_GITEA ? "limit=20&sort=recentupdate" : "per_page=20");
}

static void ask(const net_job *j, sender_request *r)
{
    bool look = step_of(j) != SET;
    r->method = look ? "GET" : "POST";
    r->bare = look;
    address(j, r, look);
    sender_header(r, "Content-Type", "application/json");
    sender_header(r, "Accept", "application/json");
    if (j->kind == NET_GITLAB)
        sender_token(r, "PRIVATE-TOKEN", "", j);
    else
        sender_token(r, "Authorization", j->kind == NET_GITEA ? "token " : "Bearer ", j);
}

/* Whether the newest state of our context is what we would set. */
static bool stands(const net_job *j, const http_reply *r)
{
    PW_AUTO(json_freep) json_value *list = json_parse(pw_buf_str(&r->body), r->body.len, NULL);
    PW_AUTO(json_freep) json_value *ours = json_parse(j->body, j->body_len, NULL);
    const json_value *newest = NULL;
    bool gitlab = j->kind == NET_GITLAB;
    if (!json_is_array(list))
        return false;
    for (size_t i = 0; i < json_count(list); i++) {
        const json_value *v = json_at(list, i);
        if (strcmp(json_str(json_get(v, gitlab ? "name" : "context"), ""), j->context) == 0 &&
            (!newest || json_int(json_get(v, "id"), 0) > json_int(json_get(newest, "id"), 0)))
            newest = v;
    }
    const char *is = json_str(json_get(newest, "state"), NULL);
    if (!is) /* GitLab, and Gitea in answers */
        is = json_str(json_get(newest, "status"), "");
    return newest && strcmp(is, j->state) == 0 &&
           strcmp(json_str(json_get(newest, "description"), ""),
                  json_str(json_get(ours, "description"), "-")) == 0;
}

static void judge(net_job *j, const http_reply *r)
{
    unsigned step = step_of(j);
    sender_judge_status(j, r);
    sender_explain(j, r, "message");
    if (step == LOOK || step == LOOK_AFTER) {
        if (j->outcome == NET_TAKEN && stands(j, r)) {
            (void)snprintf(j->text, sizeof(j->text), "it stands there already");
            return;
        }
        /* a token that may only set is no hindrance */
        if (step == LOOK && (j->outcome == NET_TAKEN || j->outcome == NET_REFUSED))
            j->again = true;
        else if (step == LOOK)
            j->outcome = j->outcome == NET_SILENT ? NET_LATER : j->outcome;
        else
            j->outcome = j->outcome == NET_TAKEN ? NET_REFUSED : j->outcome;
        return;
    }
    const char *said = pw_buf_str(&r->body);
    if (r->status == 403 && (r->retry_after > 0 || strstr(said, "rate limit")))
        j->outcome = NET_LATER;
    j->again = j->kind == NET_GITLAB && r->status == 400 && strstr(said, "Cannot transition");
}

const sender sender_status = {ask, judge};
