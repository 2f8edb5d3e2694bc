/* SIGHUP: the configuration is read anew (rules 7.3). One that is wrong changes nothing; a right
 * one is swapped for the present one between two turns, in one transaction with what it ends.
 * Sessions, connections and listening sockets stay: what they are bound to needs a restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/server/state.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

enum { RETRY_US = 5000000 };

void reload_ask(server *s)
{
    s->reload_at = pw_now(&pw_host_real);
}

void reload_conditions(server *s)
{
    if (s->conf_trouble[0])
        core_condition(s->core, "configuration", s->conf_trouble);
    else
        core_remark(s->core, "configuration", s->conf_pending[0] ? s->conf_pending : NULL);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What is read once, at the start. The rest of the file is taken all the same: who changes an
 * address today and restarts tomorrow must not be kept from changing a builder meanwhile. */
void reload_need_restart(const config *now, const config *next, pw_buf *ret)
{
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"user", same(now->user, next->user)},
        {"web.listen", same(now->web_listen, next->web_listen)},
        {"web.url", same(now->web_url, next->web_url)},
        {"web.tls", same(now->web_cert, next->web_cert) && same(now->web_key, next->web_key)},
        {"web.user_header", same(now->web_user_header, next->web_user_header)},
        {"web.proxies", now->n_web_proxies == next->n_web_proxies &&
                            (now->n_web_proxies == 0 ||
                             memcmp(now->web_proxies, next->web_proxies,
                                    now->n_web_proxies * sizeof(*now->web_proxies)) == 0)},
        {"web.limits", memcmp(&now->limits, &next->limits, sizeof(now->limits)) == 0},
        {"workers.listen", same(now->workers_listen, next->workers_listen)},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!keys[i].same)
            (void)pw_buf_addf(ret, "%s%s", ret->len ? ", " : "", keys[i].key);
}

static void wrong(server *s, const yaml_errors *e)
{
    char more[40] = "";
    for (size_t i = 0; i < e->n; i++)
        pw_log(PW_LOG_ERROR, "configuration_error", "at=%s:%u:%u text=\"%s\"", e->v[i].file,
               e->v[i].line, e->v[i].column, e->v[i].text);
    if (e->n > 1)
        (void)snprintf(more, sizeof(more), " (and %zu more)", e->n - 1);
    if (e->n > 0)
        (void)snprintf(s->conf_trouble, sizeof(s->conf_trouble),
                       "%.120s:%u:%u: %.120s%s: the configuration before it stays in force",
                       e->v[0].file, e->v[0].line, e->v[0].column, e->v[0].text, more);
    else
        (void)snprintf(s->conf_trouble, sizeof(s->conf_trouble),
                       "out of memory: the configuration before it stays in force");
    pw_log(PW_LOG_ERROR, "configuration_kept", "reason=\"%s\"", s->conf_trouble);
    reload_conditions(s);
}

/* Not the file's fault: it is tried again until it is in force. */
static void failed(server *s, const pw_err *err)
{
    (void)snprintf(s->conf_trouble, sizeof(s->conf_trouble),
                   "the new configuration could not be taken yet: %.300s", err->text);
    pw_log_err(PW_LOG_ERROR, "configuration_not_taken", err);
    s->reload_at = pw_now(&pw_host_real) + RETRY_US;
    if (s->core)
        reload_conditions(s);
}

static int swap(server *s, config *next, pw_usec began, pw_err *err)
{
    uint64_t gen = 0;
    PW_AUTO(pw_buf_clearp) pw_buf pending = PW_BUF(sizeof(s->conf_pending) - 1);
    if (pw_fault("config.before"))
        return pw_fail(err, PW_ESYS, "fault asked for: config.before");
    reload_need_restart(s->conf_begun, next, &pending);
    if (pending.len)
        (void)pw_buf_adds(&pending,
                          ": needs a restart of the master; the old value counts until then");
    core *fresh = core_reload(s->core, next, "SIGHUP", &gen, err);
    if (!fresh)
        return err->code;
    core_free(s->core);
    s->core = fresh;
    s->reloads++;
    s->conf_trouble[0] = '\0';
    (void)snprintf(s->conf_pending, sizeof(s->conf_pending), "%s", pw_buf_str(&pending));
    reload_conditions(s);
    sessions_adopt(s->links, fresh);
    int r = core_commit(fresh, turn_apply, s, err);
    if (r == 0 && (r = outbox_prepare(s, next, err)) == 0) /* it may have the first target */
        r = outbox_open(s, err);
    if (r == 0 && pw_fault("config.swapped"))
        r = pw_fail(err, PW_ESYS, "fault asked for: config.swapped");
    if (r < 0)
        return r;
    pw_log(PW_LOG_INFO, "configuration_read", "generation=%llu paused_us=%lld",
           (unsigned long long)gen, (long long)(pw_now(&pw_host_real) - began));
    if (pending.len)
        pw_log(PW_LOG_WARN, "configuration_needs_restart", "keys=\"%s\"", s->conf_pending);
    return 0;
}

void reload_if_due(server *s)
{
    pw_err err = {0};
    yaml_errors errors = {0};
    pw_usec began = pw_now(&pw_host_real);
    if (!s->reload_at || !s->core || began < s->reload_at)
        return;
    s->reload_at = 0;
    pw_loop_again(s->loop); /* what the new one does goes out as in any turn */
    PW_AUTO(pw_freep) char *path = server_config_path(s->options, &err);
    if (!path) {
        yaml_errors_add(&errors, s->options->config ? s->options->config : "master.yaml", 1, 1,
                        "%s", err.text);
        wrong(s, &errors);
        yaml_errors_clear(&errors);
        return;
    }
    PW_AUTO(config_unrefp) config *next = config_load(path, &errors);
    if (!next)
        wrong(s, &errors);
    yaml_errors_clear(&errors);
    if (!next)
        return;
    uint32_t before = s->reloads;
    if (swap(s, next, began, &err) == 0) {
        config_unref(s->conf);
        s->conf = pw_take(next);
        if (s->web)
            web_configure(s->web, s->conf);
        return;
    }
    if (s->reloads != before) /* swapped, and nobody knows what the database says */
        turn_crash(s, &err);
    failed(s, &err);
}
