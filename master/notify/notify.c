#include "master/notify/notify.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define BIT(e) (1u << (e))

static bool of_code(pw_result r)
{
    return r == PW_SUCCESS || r == PW_WARNINGS || r == PW_FAILURE;
}

unsigned notify_events(const notify_fact *f)
{
    if (f->what == NOTIFY_PROMOTION)
        return BIT(CONFIG_EV_PROMOTION);
    if (f->what == NOTIFY_WORKER)
        return f->missing ? BIT(CONFIG_EV_WORKER_MISSING) : BIT(CONFIG_EV_WORKER_BACK);
    if (f->begun)
        return BIT(CONFIG_EV_START);
    unsigned e = BIT(CONFIG_EV_BUILD);
    if (f->result == PW_FAILURE || f->result == PW_EXCEPTION)
        e |= BIT(CONFIG_EV_FAILURE);
    if (of_code(f->result) && of_code(f->previous) && f->result != f->previous)
        e |= BIT(CONFIG_EV_CHANGE);
    if (f->result == PW_FAILURE && f->fresh)
        e |= BIT(CONFIG_EV_BREAK);
    if (pw_result_green(f->result, true) && f->previous == PW_FAILURE)
        e |= BIT(CONFIG_EV_FIXED);
    return e;
}

static bool among(const size_t *v, size_t n, size_t x)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == x)
            return true;
    return n == 0;
}

/* "Ada <ada@example.org>", or the address alone. */
static bool wrote(const config_strs *mails, const char *author)
{
    const char *at = author ? strrchr(author, '<') : NULL;
    const char *mail = at ? at + 1 : author ? author : "";
    size_t n = strcspn(mail, ">");
    for (size_t i = 0; i < mails->n; i++)
        if (strlen(mails->v[i]) == n && strncasecmp(mails->v[i], mail, n) == 0)
            return true;
    return mails->n == 0;
}

bool notify_wants(const config_notify *t, const notify_fact *f, config_event *ret)
{
    unsigned wanted = t->events & notify_events(f);
    if (!wanted)
        return false;
    /* workers belong to no project */
    if (f->what != NOTIFY_WORKER &&
        (!among(t->projects, t->n_projects, f->project) ||
         (t->branches && !glob_match(t->branches, f->branch ? f->branch : ""))))
        return false;
    if (f->what == NOTIFY_BUILD &&
        (!among(t->builders, t->n_builders, f->builder) || !wrote(&t->mails, f->author)))
        return false;
    for (unsigned e = CONFIG_EVENTS; e-- > 0;)
        if (wanted & BIT(e)) {
            *ret = (config_event)e;
            break;
        }
    return true;
}

/* ---- the message */
static void text(pw_buf *b, const char *key, const char *s)
{
    (void)pw_buf_addf(b, "%s\"%s\":", b->p[b->len - 1] == '{' ? "" : ",", key);
    if (s)
        (void)pw_buf_json(b, s);
    else
        (void)pw_buf_adds(b, "null");
}

static void number(pw_buf *b, const char *key, uint64_t v)
{
    (void)pw_buf_addf(b, "%s\"%s\":%" PRIu64, b->p[b->len - 1] == '{' ? "" : ",", key, v);
}

static void when(pw_buf *b, const char *key, pw_msec t)
{
    char at[PW_TIME_MAX];
    text(b, key, t ? pw_time_text(t, at) : NULL);
}

static void result(pw_buf *b, const char *key, pw_result r)
{
    text(b, key, r == PW_NO_RESULT ? NULL : pw_result_name(r));
}

static void build(pw_buf *b, const notify_fact *f)
{
    PW_AUTO(pw_freep) char *url = f->url ? pw_strf("%s/builds/%" PRIu64, f->url, f->id) : NULL;
    b->failed |= f->url && !url;
    number(b, "id", f->id);
    text(b, "project", f->project_name);
    text(b, "builder", f->builder_name);
    text(b, "branch", f->branch);
    text(b, "revision", f->revision);
    result(b, "result", f->result);
    result(b, "previous", f->previous);
    text(b, "reason", f->reason);
    when(b, "started", f->started);
    when(b, "finished", f->finished);
    text(b, "url", url);
    text(b, "author", f->author);
    if (f->broken)
        number(b, "break", f->broken);
    else
        text(b, "break", NULL);
}

static void promotion(pw_buf *b, const notify_fact *f)
{
    number(b, "id", f->id);
    text(b, "edge", f->edge);
    text(b, "project", f->project_name);
    text(b, "from", f->from);
    text(b, "to", f->branch);
    text(b, "old", f->old);
    text(b, "revision", f->revision);
    text(b, "state", f->state);
    text(b, "reason", f->reason);
}

static void worker(pw_buf *b, const notify_fact *f)
{
    text(b, "name", f->worker);
    text(b, "state", f->missing ? "missing" : "back");
    when(b, "since", f->since);
}

int notify_body(const notify_fact *f, config_event event, const char *key, pw_buf *out)
{
    static const char *const names[] = {"build", "promotion", "worker"};
    if (pw_buf_addf(out, "{\"event\":\"%s\"", config_event_names[event]) < 0)
        return PW_ENOMEM;
    text(out, "key", key);
    when(out, "at", f->at);
    text(out, "site", f->site);
    (void)pw_buf_addf(out, ",\"%s\":{", names[f->what]);
    if (f->what == NOTIFY_BUILD)
        build(out, f);
    else if (f->what == NOTIFY_PROMOTION)
        promotion(out, f);
    else
        worker(out, f);
    (void)pw_buf_adds(out, "}}");
    return out->failed ? PW_ENOMEM : 0;
}

const char *notify_body_event(const char *body)
{
    static const char head[] = "{\"event\":\"";
    if (strncmp(body, head, sizeof(head) - 1) != 0)
        return "";
    body += sizeof(head) - 1;
    for (size_t i = 0; config_event_names[i]; i++) {
        size_t n = strlen(config_event_names[i]);
        if (strncmp(body, config_event_names[i], n) == 0 && body[n] == '"')
            return config_event_names[i];
    }
    return "";
}

/* ---- after a try */
notify_then notify_after(const notify_try *t, pw_usec *ret_wait)
{
    if (t->answer == NOTIFY_TAKEN)
        return NOTIFY_DONE;
    /* a second request could be a second message, whatever became of the first */
    if (t->answer == NOTIFY_REFUSED || (t->at_most_once && t->answer != NOTIFY_UNSENT) ||
        t->age >= NOTIFY_GIVE_UP_MS)
        return NOTIFY_GIVE_UP;
    if (t->answer == NOTIFY_CUT_SHORT) {
        *ret_wait = 0;
        return NOTIFY_WAIT;
    }
    pw_usec wait = NOTIFY_WAIT_MIN_US;
    for (uint64_t i = 1; i < t->tries && wait < NOTIFY_WAIT_MAX_US; i++)
        wait *= 2;
    if (wait > NOTIFY_WAIT_MAX_US)
        wait = NOTIFY_WAIT_MAX_US;
    /* the last quarter is drawn, so that messages of one outage do not come back together */
    wait -= wait / 4 * (pw_usec)(t->jitter % 1000) / 1000;
    if (t->retry_after > wait)
        wait = t->retry_after;
    if (wait > (pw_usec)NOTIFY_GIVE_UP_MS * 1000)
        wait = (pw_usec)NOTIFY_GIVE_UP_MS * 1000;
    *ret_wait = wait;
    return NOTIFY_WAIT;
}

bool notify_troubled(notify_answer a)
{
    return a == NOTIFY_LATER || a == NOTIFY_SILENT || a == NOTIFY_UNSENT;
}
