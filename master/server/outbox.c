/* Between the core, which knows no network, and the net service, which knows no rows. */
#include <stdlib.h>
#include <string.h>

#include "master/server/state.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

enum { ANSWERS = 64 };

int outbox_open(server *s, pw_err *err)
{
    const config *conf = core_config(s->core);
    if (!conf->n_notify)
        return s->net ? irc_connect(s, conf, err) : 0;
    const net_ops ops = {details_prepare, irc_asked_by, irc_over, s};
    if (!s->net && !(s->net = net_start(s->net_answers, &ops, err)))
        return err->code;
    int r = irc_connect(s, conf, err);
    if (r < 0)
        return r;
    return core_notify_open(s->core, conf->web_url ? conf->web_url : web_address(s->web), err);
}

static int copy_words(net_job *j, const config_notify *n, pw_err *err)
{
    bool bad = false;
    j->url = pw_strdup(n->url, &bad);
    j->place = pw_strdup(n->place, &bad);
    j->user = pw_strdup(n->user, &bad);
    j->from = pw_strdup(n->from, &bad);
    j->ca = pw_strdup(n->ca, &bad);
    j->starttls = n->starttls;
    j->to = calloc(n->to.n ? n->to.n : 1, sizeof(*j->to));
    for (; j->to && j->n_to < n->to.n && !bad; j->n_to++)
        j->to[j->n_to] = pw_strdup(n->to.v[j->n_to], &bad);
    return bad || !j->to ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static net_job *job_of(server *s, const config *conf, const core_effect *e, pw_err *err)
{
    static const net_kind kinds[] = {[NOTIFY_WEBHOOK] = NET_WEBHOOK, [NOTIFY_MATTERMOST] = NET_CHAT,
                                     [NOTIFY_SLACK] = NET_CHAT,      [NOTIFY_MAIL] = NET_MAIL,
                                     [NOTIFY_GITHUB] = NET_GITHUB,   [NOTIFY_GITLAB] = NET_GITLAB,
                                     [NOTIFY_IRC] = NET_IRC,         [NOTIFY_GITEA] = NET_GITEA,
                                     [NOTIFY_MATRIX] = NET_MATRIX};
    const config_notify *n = &conf->notify[e->index];
    const char *name = n->password ? n->password : n->secret;
    const config_hidden *secret = name ? config_secret(conf, name) : NULL;
    bool bad = false;
    PW_AUTO(net_job_freep) net_job *j = net_job_new(kinds[n->kind], err);
    if (!j || copy_words(j, n, err) < 0)
        return NULL;
    j->id = e->id;
    j->tries = e->attempt;
    j->timeout = n->timeout;
    j->key = pw_strdup(e->text, &bad);
    j->target = pw_strdup(n->name, &bad);
    j->body = pw_strdup((const char *)e->job, &bad);
    j->body_len = e->job_len;
    if (!bad)
        j->event = pw_strdup(notify_body_event(j->body), &bad);
    if (secret && (j->secret = malloc(secret->n + 1))) {
        memcpy(j->secret, secret->p, secret->n);
        ((char *)j->secret)[secret->n] = '\0';
        j->secret_len = secret->n;
    }
    if (bad || (secret && !j->secret)) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    if (n->kind != NOTIFY_WEBHOOK && details_ask(s, conf, n, j, err) < 0)
        return NULL;
    return pw_take(j);
}

void outbox_effect(server *s, const core_effect *e)
{
    pw_err err = {0};
    net_job *j = job_of(s, core_config(s->core), e, &err);
    if (pw_fault("outbox.before")) {
        j = net_job_free(j);
        (void)pw_fail(&err, PW_ESYS, "fault outbox.before");
    }
    if (!j || net_send(s->net, j, &err) < 0) /* an event of the next commit */
        core_outbox_done(s->core, e->id, e->attempt, NOTIFY_UNSENT, 0, err.text);
}

void turn_net(pw_loop *loop, int fd, uint32_t events, void *p)
{
    static const notify_answer means[] = {[NET_TAKEN] = NOTIFY_TAKEN,
                                          [NET_REFUSED] = NOTIFY_REFUSED,
                                          [NET_LATER] = NOTIFY_LATER,
                                          [NET_SILENT] = NOTIFY_SILENT,
                                          [NET_UNSENT] = NOTIFY_UNSENT};
    server *s = p;
    net_job *j;
    (void)loop, (void)fd, (void)events;
    for (int i = 0; i < ANSWERS && (j = pw_chan_recv(s->net_answers)); i++) {
        bool lost = pw_fault("outbox.sent");
        if (s->core) {
            if (j->remote && !lost)
                core_outbox_remote(s->core, j->id, j->remote);
            core_outbox_done(s->core, j->id, j->tries, lost ? NOTIFY_SILENT : means[j->outcome],
                             j->retry_after, lost ? "fault outbox.sent" : j->text);
            s->recording = true;
        }
        net_job_free(j);
    }
}

bool outbox_recorded(server *s)
{
    bool was = s->recording;
    s->recording = false;
    return was && pw_fault("outbox.recorded");
}

void outbox_gauges(server *s)
{
    web_gauges *g = &s->gauges;
    web_targets *list = atomic_load(&g->targets);
    core_target_figures f;
    uint64_t waiting = 0;
    for (size_t i = 0; list && i < list->n && core_target_get(s->core, i, &f); i++) {
        waiting += f.open;
        atomic_store(&list->v[i].sent, f.sent);
        atomic_store(&list->v[i].given_up, f.given_up);
        atomic_store(&list->v[i].waiting, f.open);
    }
    atomic_store(&g->outbox_waiting, waiting);
}

static bool same_targets(const web_targets *l, const config *conf)
{
    bool same = l && l->n == conf->n_notify;
    for (size_t i = 0; same && i < l->n; i++)
        same = strcmp(l->v[i].name, conf->notify[i].name) == 0;
    return same;
}

/* A list that web threads may read is never changed: another configuration gets another one. */
int outbox_prepare(server *s, const config *conf, pw_err *err)
{
    web_targets *old = atomic_load(&s->gauges.targets);
    size_t n = conf->n_notify;
    bool failed = false;
    if (same_targets(old, conf))
        return 0;
    web_targets *l = calloc(1, sizeof(*l) + n * sizeof(l->v[0]));
    for (size_t i = 0; l && i < n; i++) {
        l->v[i].name = pw_strdup(conf->notify[i].name, &failed);
        l->n++;
    }
    if (!l || failed) {
        web_targets_free(l);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    l->older = old;
    atomic_store(&s->gauges.targets, l);
    return 0;
}

void outbox_close(server *s)
{
    net_job *j;
    s->net = net_stop(s->net);
    s->net_reader = reader_close(s->net_reader);
    while (s->net_answers && (j = pw_chan_recv(s->net_answers)))
        net_job_free(j);
}
