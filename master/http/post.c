/* Writes: the body is read strictly, a command goes to the core, whoever waits is answered after
 * the commit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "shared/job/job.h"
#include "shared/json/json.h"

/* ---- the body */
/* The keys of the route's table, as json_expect wants them, and whether the required ones are
 * there. */
static int expect(const json_value *body, const char *keys, pw_err *err)
{
    char words[12][24];
    const char *list[13];
    size_t n = 0;
    for (const char *p = keys; *p && n < 12; p += strspn(p, " ")) {
        size_t k = strcspn(p, " "), name = strcspn(p, " !");
        (void)snprintf(words[n], sizeof(words[n]), "%.*s", (int)name, p);
        list[n] = words[n];
        n++;
        p += k;
    }
    list[n] = NULL;
    int r = json_expect(body, list, err);
    for (const char *p = keys; r == 0 && *p; p += strspn(p, " ")) {
        char name[24];
        size_t k = strcspn(p, " ");
        if (k > 0 && p[k - 1] == '!') {
            (void)snprintf(name, sizeof(name), "%.*s", (int)(k - 1), p);
            if (json_is_null(json_get(body, name)))
                return pw_fail(err, PW_EINVAL, "\"%s\" is missing", name);
        }
        p += k;
    }
    return r;
}

/* NULL: refused already. No body at all is an empty one. */
static json_value *body_of(web_req *q)
{
    pw_err err = {0};
    const char *text = q->in.len ? q->in.p : "{}";
    /* another type is what a form of a foreign page can send */
    if (q->in.len &&
        !web_has_type(MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Content-Type"),
                      "application/json")) {
        web_fail(q, 415, "bad_request", "the body must be of the type application/json");
        return NULL;
    }
    json_value *v = json_parse(text, q->in.len ? q->in.len : 2, &err);
    if (v && expect(v, q->at.route->body ? q->at.route->body : "", &err) == 0)
        return v;
    json_free(v);
    if (err.code == PW_ENOMEM)
        web_fail_err(q, &err);
    else
        web_fail(q, 400, "bad_request", "the body: %s", err.text);
    return NULL;
}

static int take_text(const json_value *body, const char *key, size_t max, char **ret, pw_err *err)
{
    const json_value *v = json_get(body, key);
    bool failed = false;
    if (json_is_null(v))
        return 0;
    const char *s = json_str(v, NULL);
    if (!s)
        return pw_fail(err, PW_EINVAL, "\"%s\" must be a text", key);
    if (strlen(s) > max)
        return pw_fail(err, PW_EINVAL, "\"%s\" has more than %zu bytes", key, max);
    *ret = pw_strdup(s, &failed);
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static int take_flag(const json_value *body, const char *key, bool *ret, pw_err *err)
{
    const json_value *v = json_get(body, key);
    if (json_is_null(v))
        return 0;
    if (!json_is_bool(v))
        return pw_fail(err, PW_EINVAL, "\"%s\" must be true or false", key);
    *ret = json_bool(v, false);
    return 0;
}

static int take_time(const json_value *body, const char *key, pw_msec *ret, pw_err *err)
{
    const json_value *v = json_get(body, key);
    const char *s = json_str(v, NULL);
    if (json_is_null(v))
        return 0;
    if (!s || pw_time_parse(s, ret, NULL) < 0)
        return pw_fail(err, PW_EINVAL, "\"%s\" must be a time like 2026-11-20T12:43:01Z", key);
    return 0;
}

/* A list of words, or one text of them. */
static int take_scopes(const json_value *body, unsigned *ret, pw_err *err)
{
    const json_value *v = json_get(body, "scopes");
    const char *bad = "?";
    size_t n = json_is_array(v) ? json_count(v) : 1;
    unsigned all = 0;
    if (json_is_null(v))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_str(json_is_array(v) ? json_at(v, i) : v, NULL);
        unsigned bits = s ? scopes_parse(s, &bad) : 0;
        if (!bits)
            return pw_fail(err, PW_EINVAL,
                           "\"scopes\" must be words of read, build, land, operate, admin, not "
                           "\"%.60s\"",
                           s ? bad : "?");
        all |= bits;
    }
    *ret = all;
    return all ? 0 : pw_fail(err, PW_EINVAL, "\"scopes\" must name at least one");
}

static int take_property(msg_pair *p, const char *name, const json_value *v, pw_err *err)
{
    bool failed = false;
    int r = core_property_check(name, err);
    if (r < 0)
        return r;
    const char *s = json_str(v, NULL);
    if (s && strlen(s) > PW_VALUE_MAX)
        return pw_fail(err, PW_EINVAL, "property \"%s\" has more than %d bytes", name,
                       PW_VALUE_MAX);
    if (s)
        p->value = pw_strdup(s, &failed);
    else if (json_is_int(v))
        failed = !(p->value = pw_strf("%" PRId64, json_int(v, 0)));
    else if (json_is_bool(v))
        p->value = pw_strdup(json_bool(v, false) ? "true" : "false", &failed);
    else
        return pw_fail(err, PW_EINVAL,
                       "property \"%s\" must be a text, a whole number, true or false", name);
    p->name = pw_strdup(name, &failed);
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int web_take_properties(const json_value *object, pw_list *ret, pw_err *err)
{
    const json_value *v = NULL;
    if (json_is_null(object))
        return 0;
    size_t n = json_count(object);
    if (!json_is_object(object) || n > 100)
        return pw_fail(err, PW_EINVAL, "\"properties\" must be an object with at most 100 names");
    msg_pair *pair = calloc(n ? n : 1, sizeof(*pair));
    if (!pair)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *ret = (pw_list){.v = pair, .n = n}; /* from here on the command owns what is in it */
    for (size_t i = 0; i < n; i++) {
        const char *name = json_key(object, i, &v);
        int r = take_property(&pair[i], name, v, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- commands */
static int idem_of(web_req *q, core_cmd *c, pw_err *err)
{
    bool failed = false;
    const char *s = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Idempotency-Key");
    if (!s)
        return 0;
    size_t n = strlen(s);
    if (n == 0 || n > WEB_IDEM_MAX)
        return pw_fail(err, PW_EINVAL, "an Idempotency-Key has 1 to %d bytes", WEB_IDEM_MAX);
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x21 || s[i] > 0x7e)
            return pw_fail(err, PW_EINVAL, "an Idempotency-Key has visible ASCII only");
    c->idem = pw_strdup(s, &failed);
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

core_cmd *web_command(web_req *q, core_cmd_kind kind, json_value **ret_body)
{
    pw_err err = {0};
    bool failed = false;
    PW_AUTO(json_freep) json_value *body = body_of(q);
    core_cmd *c = body ? core_cmd_new(kind, &err) : NULL;
    if (!body)
        return NULL;
    if (!c) {
        web_fail_err(q, &err);
        return NULL;
    }
    c->actor = pw_strdup(q->who.actor, &failed);
    int r = failed ? pw_fail(&err, PW_ENOMEM, "out of memory") : idem_of(q, c, &err);
    if (r == 0 && ((r = take_text(body, "project", PW_NAME_MAX, &c->project, &err)) < 0 ||
                   (r = take_text(body, "builder", 2 * PW_NAME_MAX + 1, &c->builder, &err)) < 0 ||
                   (r = take_text(body, "branch", 1000, &c->branch, &err)) < 0 ||
                   (r = take_text(body, "revision", 100, &c->revision, &err)) < 0 ||
                   (r = take_text(body, "reason", WEB_TEXT, &c->reason, &err)) < 0 ||
                   (r = take_text(body, "name", PW_NAME_MAX, &c->name, &err)) < 0 ||
                   (r = take_text(body, "scheduler", PW_NAME_MAX, &c->scheduler, &err)) < 0 ||
                   (r = take_text(body, "person", PW_NAME_MAX, &c->person, &err)) < 0 ||
                   (r = take_scopes(body, &c->scopes, &err)) < 0 ||
                   (r = take_time(body, "expires", &c->expires, &err)) < 0 ||
                   (r = take_flag(body, "dry_run", &c->dry_run, &err)) < 0 ||
                   (r = take_flag(body, "failed", &c->failed, &err)) < 0 ||
                   (r = web_take_properties(json_get(body, "properties"), &c->props, &err)) < 0))
        pw_err_context(&err, "the body");
    c->may = q->who.scopes;
    if (r < 0) {
        web_fail_err(q, &err);
        return core_cmd_free(c);
    }
    if (ret_body)
        *ret_body = pw_take(body);
    return c;
}

static core_cmd *command(web_req *q, core_cmd_kind kind)
{
    return web_command(q, kind, NULL);
}

static void send_plain(web_req *q, core_cmd_kind kind)
{
    core_cmd *c = command(q, kind);
    if (c)
        web_ask_send(q, c);
}

static void send_id(web_req *q, core_cmd_kind kind)
{
    uint64_t id;
    core_cmd *c = web_id_param(q, 0, &id) ? command(q, kind) : NULL;
    if (!c)
        return;
    c->id = id;
    web_ask_send(q, c);
}

static void send_name(web_req *q, core_cmd_kind kind)
{
    bool failed = false;
    core_cmd *c = command(q, kind);
    if (!c)
        return;
    free(c->name);
    c->name = pw_strdup(q->at.param[0], &failed);
    if (failed) {
        core_cmd_free(c);
        web_fail(q, 503, "unavailable", "out of memory");
        return;
    }
    web_ask_send(q, c);
}

void web_post_force(web_req *q)
{
    send_plain(q, CMD_FORCE);
}

void web_post_change(web_req *q)
{
    send_plain(q, CMD_CHANGE);
}

void web_post_retry(web_req *q)
{
    send_id(q, CMD_RETRY);
}

void web_post_shell(web_req *q)
{
    send_id(q, CMD_SHELL);
}

void web_post_cancel(web_req *q)
{
    send_id(q, CMD_CANCEL_BUILD);
}

void web_post_pin(web_req *q)
{
    send_id(q, CMD_PIN);
}

void web_delete_pin(web_req *q)
{
    send_id(q, CMD_UNPIN);
}

void web_post_release(web_req *q)
{
    send_id(q, CMD_RELEASE);
}

void web_post_cancel_request(web_req *q)
{
    send_id(q, CMD_CANCEL_REQUEST);
}

void web_post_start(web_req *q)
{
    send_id(q, CMD_START);
}

void web_get_why(web_req *q)
{
    send_id(q, CMD_WHY);
}

void web_post_worker(web_req *q)
{
    send_plain(q, CMD_WORKER_ADD);
}

void web_post_worker_action(web_req *q)
{
    const char *what = q->at.param[1];
    if (strcmp(what, "pause") == 0)
        send_name(q, CMD_WORKER_PAUSE);
    else if (strcmp(what, "resume") == 0)
        send_name(q, CMD_WORKER_RESUME);
    else if (strcmp(what, "drain") == 0)
        send_name(q, CMD_WORKER_DRAIN);
    else
        web_fail(q, 404, "not_found",
                 "a worker can be told to pause, resume or drain, not \"%.60s\"", what);
}

static void send_pause(web_req *q, const char *what, core_cmd_kind off, core_cmd_kind on)
{
    if (strcmp(q->at.param[1], "pause") == 0)
        send_name(q, off);
    else if (strcmp(q->at.param[1], "resume") == 0)
        send_name(q, on);
    else
        web_fail(q, 404, "not_found", "a %s can be told to pause or resume, not \"%.60s\"", what,
                 q->at.param[1]);
}

void web_post_builder_action(web_req *q)
{
    send_pause(q, "builder", CMD_BUILDER_PAUSE, CMD_BUILDER_RESUME);
}

void web_post_scheduler_action(web_req *q)
{
    send_pause(q, "scheduler", CMD_SCHEDULER_PAUSE, CMD_SCHEDULER_RESUME);
}

void web_delete_worker(web_req *q)
{
    send_name(q, CMD_WORKER_REMOVE);
}

void web_post_rotate(web_req *q)
{
    send_name(q, CMD_WORKER_ROTATE);
}

/* Without scopes: those of the person's roles, as far as who asks has them; of nobody: to read. */
static unsigned usual_scopes(const web_req *q, const char *person)
{
    unsigned scopes = SCOPE_READ;
    config *conf = web_conf(q->web);
    const config_person *p = person && conf ? config_find_person(conf, person) : NULL;
    if (p)
        scopes = p->scopes & q->who.scopes;
    config_unref(conf);
    return scopes;
}

void web_post_token(web_req *q)
{
    core_cmd *c = command(q, CMD_TOKEN_ADD);
    if (!c)
        return;
    c->scopes = c->scopes ? c->scopes : usual_scopes(q, c->person);
    web_ask_send(q, c);
}

void web_delete_token(web_req *q)
{
    send_id(q, CMD_TOKEN_REVOKE);
}

void web_post_outbox(web_req *q)
{
    const char *what = q->at.param[1];
    if (strcmp(what, "retry") == 0)
        send_id(q, CMD_OUTBOX_RETRY);
    else if (strcmp(what, "drop") == 0)
        send_id(q, CMD_OUTBOX_DROP);
    else
        web_fail(q, 404, "not_found", "a message can be told to retry or drop, not \"%.60s\"",
                 what);
}

void web_post_promote(web_req *q)
{
    send_name(q, CMD_PROMOTE);
}

void web_get_health(web_req *q)
{
    if (q->web->read_token) {
        if (web_identify(q) == WEB_CLAIM_REFUSED)
            return;
        q->brief = !(q->who.scopes & SCOPE_READ);
    }
    send_plain(q, CMD_HEALTH);
}
