/* Webhooks. A delivery is believed when it is signed with the project's secret; it is stored as it
 * came before it is answered, once for its delivery id, and does nothing but wake the poller of its
 * project: the repository is the truth. What does not verify, or is not JSON, is not stored. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "master/http/hooks.h"
#include "master/http/impl.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"
#include "shared/json/json.h"

static const web_hook_kind kinds[] = {
    {"github", "X-Hub-Signature-256", "sha256=", "X-GitHub-Delivery", "X-GitHub-Event"},
    {"gitlab", "X-Gitlab-Token", NULL, "X-Gitlab-Event-UUID", "X-Gitlab-Event"},
    {"gitea", "X-Gitea-Signature", "", "X-Gitea-Delivery", "X-Gitea-Event"},
    {"bitbucket", "X-Hub-Signature", "sha256=", "X-Request-UUID", "X-Event-Key"},
    {"generic", "X-Pawl-Signature-256", "sha256=", "Idempotency-Key", "X-Pawl-Event"},
};

const web_hook_kind *web_hook_find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

bool web_hook_verify(const web_hook_kind *k, const char *given, const void *secret,
                     size_t secret_len, const void *body, size_t n)
{
    uint8_t want[CRYPT_HASH], got[CRYPT_HASH];
    if (!given || secret_len == 0)
        return false;
    if (!k->prefix) { /* the secret itself: compared by hashes, so that its length does not show */
        crypt_hash(secret, secret_len, want);
        crypt_hash(given, strlen(given), got);
    } else {
        size_t head = strlen(k->prefix);
        if (strncmp(given, k->prefix, head) != 0 || strlen(given + head) != 2 * CRYPT_HASH ||
            !pw_unhex(given + head, got, CRYPT_HASH))
            return false;
        crypt_hmac_sha256(secret, secret_len, body, n, want);
    }
    return crypt_equal(want, got, CRYPT_HASH);
}

int web_hook_delivery(const char *given, const void *body, size_t n, char out[WEB_DELIVERY],
                      pw_err *err)
{
    if (given && *given) {
        size_t len = strlen(given);
        if (len > CORE_DELIVERY_MAX)
            return pw_fail(err, PW_EINVAL, "the id of a delivery has at most %d bytes",
                           CORE_DELIVERY_MAX);
        for (size_t i = 0; i < len; i++)
            if (given[i] < 0x21 || given[i] > 0x7e)
                return pw_fail(err, PW_EINVAL, "the id of a delivery has visible ASCII only");
        memcpy(out, given, len + 1);
        return 0;
    }
    uint8_t hash[CRYPT_HASH];
    crypt_hash(body, n, hash);
    memcpy(out, "body:", 5);
    pw_hex(hash, sizeof(hash), out + 5);
    return 0;
}

/* What deliveries of the project are signed with; NULL: nothing. */
static const config_hidden *secret_of(web_req *q, size_t project)
{
    const config *c = web_req_conf(q);
    const char *name = c->projects[project].hook_secret;
    return name ? config_secret(c, name) : NULL;
}

/* ---- a delivery */
static void bad_signature(web_req *q, const web_hook_kind *k)
{
    (void)atomic_fetch_add(&q->web->gate.refused[WEB_GATE_SIGNATURE], 1);
    char text[160];
    (void)snprintf(text, sizeof(text),
                   "the delivery is not signed with the hook_secret of this project (in %s)",
                   k->signature);
    (void)web_refuse_claim(q, text);
}

/* NULL: refused already. */
static const web_hook_kind *look_up(web_req *q, size_t *ret_project)
{
    const config *c = web_req_conf(q);
    const web_hook_kind *k = web_hook_find(q->at.param[0]);
    int64_t i = c ? config_find_project(c, q->at.param[1]) : -1;
    if (!k) {
        web_fail(q, 404, "not_found",
                 "there are hooks for github, gitlab, gitea, bitbucket and generic, not \"%.60s\"",
                 q->at.param[0]);
    } else if (i < 0 && q->web->read_token) {
        bad_signature(q, k); /* which projects there are is nobody's business */
    } else if (i < 0) {
        web_fail(q, 404, "not_found", "there is no project \"%.100s\"", q->at.param[1]);
    } else if (!secret_of(q, (size_t)i) && !q->web->read_token) {
        web_fail(q, 403, "forbidden",
                 "project \"%.100s\" takes no webhooks: give it a hook_secret in master.yaml, and "
                 "the same secret to the sender",
                 q->at.param[1]);
    } else if (!secret_of(q, (size_t)i)) {
        bad_signature(q, k);
    } else if (!MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, k->signature)) {
        bad_signature(q, k); /* before the body is read */
    } else {
        *ret_project = (size_t)i;
        return k;
    }
    return NULL;
}

void web_hook_begin(web_req *q)
{
    size_t project;
    if (look_up(q, &project))
        web_gate_reading(q, WEB_HOOK_TIME_US);
}

static core_cmd *command(web_req *q, const web_hook_kind *k, const char *delivery)
{
    const char *event = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, k->event);
    bool failed = false;
    core_cmd *c = core_cmd_new(CMD_HOOK, NULL);
    if (!c)
        return NULL;
    c->project = pw_strdup(q->at.param[1], &failed);
    c->name = pw_strdup(k->name, &failed);
    c->delivery = pw_strdup(delivery, &failed);
    if (event && strlen(event) <= CORE_DELIVERY_MAX)
        c->event = pw_strdup(event, &failed);
    pw_buf_clear(&c->data);
    c->data = q->in; /* moved: 25 MiB need not be there twice */
    pw_buf_init(&q->in, WEB_HOOK_BODY_MAX);
    return failed ? core_cmd_free(c) : c;
}

void web_post_hook(web_req *q)
{
    size_t project = 0;
    pw_err err = {0};
    char delivery[WEB_DELIVERY];
    const web_hook_kind *k = look_up(q, &project);
    if (!k)
        return;
    const config_hidden *secret = secret_of(q, project);
    const char *body = q->in.len ? q->in.p : "";
    if (!secret ||
        !web_hook_verify(k, MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, k->signature),
                         secret->p, secret->n, body, q->in.len)) {
        bad_signature(q, k);
        return;
    }
    if (json_check(body, q->in.len, &err) < 0 ||
        web_hook_delivery(MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, k->delivery), body,
                          q->in.len, delivery, &err) < 0) {
        if (err.code == PW_ENOMEM)
            web_fail_err(q, &err);
        else
            web_fail(q, 400, "bad_request", "%s%s", err.text,
                     err.code == PW_EPROTO
                         ? "; let the sender use the content type application/json"
                         : "");
        return;
    }
    PW_AUTO(core_cmd_freep) core_cmd *c = command(q, k, delivery);
    if (c && web_hook_facts(k->name, c->data.len ? c->data.p : "", c->data.len, c, &err) == 0)
        web_ask_send(q, pw_take(c));
    else
        web_fail(q, 503, "unavailable", "out of memory");
}
