/* Between the core, which knows no process, and the service that runs commands of providers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/server/state.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

enum { ANSWERS = 64 };

/* What a command gets of the master's own environment: its secrets may stand there, too. */
static const char *const inherited[] = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"};

static int give(provider_job *j, const char *name, const char *value, pw_err *err)
{
    return value ? provider_job_env(j, name, value, err) : 0;
}

static int fill_env(provider_job *j, const config_provider *p, const core_effect *e, pw_err *err)
{
    char slots[24];
    PW_AUTO(pw_buf_clearp) pw_buf tags = PW_BUF(65536);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(inherited) / sizeof(inherited[0]); i++)
        rc = give(j, inherited[i], getenv(inherited[i]), err);
    for (size_t i = 0; rc == 0 && i < p->n_env; i++)
        rc = give(j, p->env[i].name, p->env[i].value, err);
    for (size_t i = 0; i < p->tags.n; i++)
        (void)pw_buf_addf(&tags, "%s%s", i ? "," : "", p->tags.v[i]);
    (void)snprintf(slots, sizeof(slots), "%llu", (unsigned long long)p->slots);
    const char *own = (const char *)e->job;
    const struct {
        const char *name, *value;
    } vars[] = {{"PAWL_PROVIDER", p->name},
                {"PAWL_WORKER", e->text && *e->text ? e->text : NULL},
                {"PAWL_TAGS", pw_buf_str(&tags)},
                {"PAWL_SLOTS", slots},
                {"PAWL_JOIN", e->attempt == CORE_START ? own : NULL},
                {"PAWL_HANDLE", e->attempt == CORE_STOP ? own : NULL}};
    for (size_t i = 0; rc == 0 && i < sizeof(vars) / sizeof(vars[0]); i++)
        rc = give(j, vars[i].name, vars[i].value, err);
    return rc;
}

static provider_job *job_of(const config_provider *p, const core_effect *e, pw_err *err)
{
    const config_strs *argv = e->attempt == CORE_START  ? &p->start
                              : e->attempt == CORE_STOP ? &p->stop
                                                        : &p->list;
    bool bad = false;
    PW_AUTO(provider_job_freep) provider_job *j = provider_job_new(err);
    if (!j)
        return NULL;
    j->act = (int)e->attempt;
    j->machine = e->id;
    j->timeout = p->timeout;
    j->provider = pw_strdup(p->name, &bad);
    j->worker = pw_strdup(e->text ? e->text : "", &bad);
    j->argv = calloc(argv->n + 1, sizeof(*j->argv));
    for (size_t i = 0; j->argv && i < argv->n; i++)
        j->argv[i] = pw_strdup(argv->v[i], &bad);
    if (bad || !j->argv) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    return fill_env(j, p, e, err) < 0 ? NULL : pw_take(j);
}

static void tell(server *s, const provider_job *j)
{
    core_provided a = {.provider = j->provider,
                       .act = (core_provider_act)j->act,
                       .machine = j->machine,
                       .worker = j->worker,
                       .good = j->good,
                       .said = j->said,
                       .text = j->text};
    core_provider_done(s->core, &a);
}

void elastic_effect(server *s, const core_effect *e)
{
    pw_err err = {0};
    const config_provider *p = &core_config(s->core)->providers[e->index];
    provider_job *j = job_of(p, e, &err);
    if (j && pw_fault("provider.before")) {
        j = provider_job_free(j);
        (void)pw_fail(&err, PW_ESYS, "fault point provider.before");
    }
    if (j && !s->providers)
        s->providers = provider_start(s->provider_answers, &err);
    if (j && !s->providers)
        j = provider_job_free(j);
    if (j && provider_send(s->providers, j, &err) == 0)
        return;
    provider_job failed = {.provider = p->name,
                           .worker = e->text,
                           .act = (int)e->attempt,
                           .machine = e->id}; /* an event of the next commit */
    (void)snprintf(failed.text, sizeof(failed.text), "%s", err.text);
    tell(s, &failed);
}

void turn_providers(pw_loop *loop, int fd, uint32_t events, void *p)
{
    server *s = p;
    provider_job *j;
    (void)loop, (void)fd, (void)events;
    for (int i = 0; i < ANSWERS && (j = pw_chan_recv(s->provider_answers)); i++) {
        if (s->core) /* else the list tells, once there is one again */
            tell(s, j);
        provider_job_free(j);
    }
}

void elastic_close(server *s)
{
    provider_job *j;
    s->providers = provider_stop(s->providers);
    while (s->provider_answers && (j = pw_chan_recv(s->provider_answers)))
        provider_job_free(j);
}
