/* What people ask on IRC. Reading is as open as the pages are; whoever forces a build must be one
 * of `people`, by a mask among their logins, with a role that may. Questions come on the threads of
 * the connections; the core answers by its channel of commands, as it does for the web. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/config/people.h"
#include "master/net/irc_line.h"
#include "master/server/state.h"
#include "shared/base/num.h"
#include "shared/json/json.h"

enum { WAIT_MS = 10000, LOOK_MS = 100, RED_MOST = 5 };

typedef struct question { /* a command on its way */
    struct question *next;
    struct irc_desk *desk;
    core_cmd *cmd; /* the answer */
    bool answered, given_up;
} question;

typedef struct irc_desk {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    config *conf;   /* a reference */
    question *list; /* owned */
    char *db;       /* borrowed */
} irc_desk;

/* ---- commands */
static void drop(irc_desk *d, question *q)
{
    question **at = &d->list;
    while (*at && *at != q)
        at = &(*at)->next;
    if (*at)
        *at = q->next;
    core_cmd_free(q->cmd);
    free(q);
}

static void done(core_cmd *cmd, void *self)
{
    question *q = self;
    irc_desk *d = q->desk;
    (void)pthread_mutex_lock(&d->lock);
    q->cmd = cmd;
    q->answered = true;
    if (q->given_up)
        drop(d, q);
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
}

static void wait_a_moment(irc_desk *d)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += LOOK_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&d->wake, &d->lock, &t);
}

/* Takes the command; its answer, or NULL: none came. */
static core_cmd *ask_core(server *s, core_cmd *cmd, const _Atomic bool *stop)
{
    irc_desk *d = s->desk;
    question *q = calloc(1, sizeof(*q));
    pw_err err;
    core_cmd *answer = NULL;
    if (!q) {
        core_cmd_free(cmd);
        return NULL;
    }
    q->desk = d;
    cmd->done = done;
    cmd->done_self = q;
    (void)pthread_mutex_lock(&d->lock);
    q->next = d->list;
    d->list = q;
    if (pw_chan_send(s->commands, cmd, &err) < 0) {
        core_cmd_free(cmd);
        drop(d, q);
        (void)pthread_mutex_unlock(&d->lock);
        return NULL;
    }
    for (int ms = 0; !q->answered && ms < WAIT_MS && !atomic_load(stop); ms += LOOK_MS)
        wait_a_moment(d);
    if (q->answered) {
        answer = q->cmd;
        q->cmd = NULL;
        drop(d, q);
    } else {
        q->given_up = true;
    }
    (void)pthread_mutex_unlock(&d->lock);
    return answer;
}

/* The answer as one line: its "reason", its error's text, or `fine`. */
static void say_answer(const core_cmd *c, const char *fine, pw_buf *out)
{
    PW_AUTO(json_freep)
    json_value *v = c ? json_parse(pw_buf_str(&c->body), c->body.len, NULL) : NULL;
    const char *wrong = json_str(json_get(json_get(v, "error"), "text"), NULL);
    if (!wrong)
        wrong = json_str(json_get(json_get(v, "error"), "message"), NULL);
    if (!c)
        (void)pw_buf_adds(out, "the master gave no answer in time\n");
    else if (c->status >= 300)
        (void)pw_buf_addf(out, "no: %.300s\n", wrong ? wrong : "it is refused");
    else if (json_get(v, "reason"))
        (void)pw_buf_addf(out, "%s %.350s\n", json_str(json_get(v, "state"), ""),
                          json_str(json_get(v, "reason"), ""));
    else if (json_count(json_get(v, "requests")))
        (void)pw_buf_addf(out,
                          "request %" PRId64 " (\"watch %" PRId64 "\" tells when it is over)\n",
                          json_int(json_at(json_get(v, "requests"), 0), 0),
                          json_int(json_at(json_get(v, "requests"), 0), 0));
    else
        (void)pw_buf_addf(out, "%s\n", fine);
}

/* ---- who may */
static config *conf_of(irc_desk *d)
{
    (void)pthread_mutex_lock(&d->lock);
    config *c = config_ref(d->conf);
    (void)pthread_mutex_unlock(&d->lock);
    return c;
}

static const config_person *person_of(const config *c, const char *who)
{
    for (size_t i = 0; i < c->n_people; i++)
        for (size_t k = 0; k < c->people[i].n_logins; k++)
            if (strcmp(c->people[i].logins[k].name, "irc") == 0 &&
                irc_mask(c->people[i].logins[k].value, who))
                return &c->people[i];
    return NULL;
}

static bool may(const config *c, const config_person *p, unsigned scope)
{
    return (scope == SCOPE_READ && !c->web_read_token) || (p && (p->scopes & scope) == scope);
}

/* ---- questions */
typedef struct summary {
    const char *branch; /* NULL: all */
    uint64_t green, red;
    char line[RED_MOST][160];
} summary;

static int on_latest(void *p, const reader_latest *l)
{
    summary *s = p;
    if (s->branch && strcmp(s->branch, l->branch) != 0)
        return 0;
    if (l->result != PW_FAILURE && l->result != PW_EXCEPTION) {
        s->green++;
        return 0;
    }
    if (s->red < RED_MOST)
        (void)snprintf(s->line[s->red], sizeof(s->line[0]),
                       "%.40s/%.40s on %.40s (build %" PRIu64 ")", l->project, l->builder,
                       l->branch, l->build);
    s->red++;
    return 0;
}

static void status(server *s, const char *branch, pw_buf *out)
{
    pw_err err = {0};
    summary sum = {.branch = *branch ? branch : NULL};
    PW_AUTO(reader_closep) reader *rd = reader_open(s->db, &err);
    if (!rd || reader_latest_all(rd, on_latest, &sum, &err) < 0) {
        (void)pw_buf_addf(out, "the database cannot be read: %.200s\n", err.text);
        return;
    }
    (void)pw_buf_addf(out, "%" PRIu64 " green, %" PRIu64 " red\n", sum.green, sum.red);
    for (uint64_t i = 0; i < sum.red && i < RED_MOST; i++)
        (void)pw_buf_addf(out, "red: %s\n", sum.line[i]);
    if (sum.red > RED_MOST)
        (void)pw_buf_addf(out, "and %" PRIu64 " more\n", sum.red - RED_MOST);
}

static void why(server *s, const char *words, const _Atomic bool *stop, pw_buf *out)
{
    uint64_t id = 0;
    core_cmd *c = core_cmd_new(CMD_WHY, NULL);
    if (pw_parse_u64(words, &id, NULL) < 0 || !c) {
        core_cmd_free(c);
        (void)pw_buf_adds(out, "why REQUEST: a number\n");
        return;
    }
    c->id = id;
    c = ask_core(s, c, stop);
    say_answer(c, "it is not known", out);
    core_cmd_free(c);
}

/* BUILDER [BRANCH [REASON]] */
static void force(server *s, const config *conf, const config_person *p, const char *words,
                  const _Atomic bool *stop, pw_buf *out)
{
    char builder[PW_NAME_MAX * 2 + 2], branch[256];
    size_t n = strcspn(words, " ");
    const char *rest = words + n + strspn(words + n, " ");
    size_t k = strcspn(rest, " ");
    const char *reason = rest + k + strspn(rest + k, " ");
    bool bad = false;
    (void)conf;
    if (!n || n >= sizeof(builder) || k >= sizeof(branch)) {
        (void)pw_buf_adds(out, "force BUILDER [BRANCH [REASON]]\n");
        return;
    }
    (void)snprintf(builder, sizeof(builder), "%.*s", (int)n, words);
    (void)snprintf(branch, sizeof(branch), "%.*s", (int)k, rest);
    const char *slash = strchr(builder, '/');
    core_cmd *c = core_cmd_new(CMD_FORCE, NULL);
    if (!c)
        return;
    c->actor = pw_strdup(p->name, &bad);
    c->builder = pw_strdup(slash ? slash + 1 : builder, &bad);
    if (slash)
        bad |= !(c->project = strndup(builder, (size_t)(slash - builder)));
    if (*branch)
        c->branch = pw_strdup(branch, &bad);
    c->reason = pw_strdup(*reason ? reason : "asked for on IRC", &bad);
    c->may = p->scopes;
    if (bad) {
        core_cmd_free(c);
        return;
    }
    c = ask_core(s, c, stop);
    say_answer(c, "done", out);
    core_cmd_free(c);
}

void irc_asked_by(void *self, const char *target, const char *who, const char *text,
                  const _Atomic bool *stop, pw_buf *answer)
{
    static const struct {
        const char *word;
        unsigned scope;
    } commands[] = {{"status", SCOPE_READ}, {"why", SCOPE_READ}, {"force", SCOPE_BUILD}};
    server *s = self;
    PW_AUTO(config_unrefp) config *conf = conf_of(s->desk);
    const config_person *p = person_of(conf, who);
    size_t n = strcspn(text, " "), i = 0;
    const char *words = text + n + strspn(text + n, " ");
    (void)target;
    while (i < 3 && (strlen(commands[i].word) != n || strncmp(commands[i].word, text, n) != 0))
        i++;
    if (i == 3)
        (void)pw_buf_adds(answer, "status [BRANCH], why REQUEST, watch REQUEST, force BUILDER "
                                  "[BRANCH [REASON]]\n");
    else if (!may(conf, p, commands[i].scope))
        (void)pw_buf_addf(answer, "no: %s\n",
                          p ? "your role does not allow that"
                            : "you are none of \"people\" by a mask among their \"logins\"");
    else if (i == 0)
        status(s, words, answer);
    else if (i == 1)
        why(s, words, stop, answer);
    else
        force(s, conf, p, words, stop, answer);
}

/* ---- watching */
typedef struct watched {
    bool over;
    uint64_t build;
    char text[300];
} watched;

static int on_request(void *p, const reader_request *r)
{
    watched *w = p;
    w->over = r->r.state == REQ_DONE;
    w->build = r->r.build;
    (void)snprintf(w->text, sizeof(w->text), "request %" PRIu64 " (%.80s on %.80s) is over",
                   r->r.id, r->builder ? r->builder : "?", r->branch ? r->branch : "?");
    return 0;
}

static int on_build(void *p, const reader_build *b)
{
    watched *w = p;
    (void)snprintf(w->text, sizeof(w->text), "build %" PRIu64 " (%.80s on %.80s): %s", b->b.id,
                   b->builder, b->branch, pw_result_name(b->b.result));
    return 0;
}

bool irc_over(void *self, uint64_t request, pw_buf *answer)
{
    server *s = self;
    watched w = {0};
    PW_AUTO(reader_closep) reader *rd = reader_open(s->db, NULL);
    PW_AUTO(config_unrefp) config *conf = conf_of(s->desk);
    if (conf->web_read_token) { /* whoever asked may be somebody else now */
        (void)pw_buf_adds(answer,
                          "results are told by \"status\" only, as reading needs a token\n");
        return true;
    }
    if (!rd)
        return false;
    int r = reader_request_one(rd, request, on_request, &w, NULL);
    if (r == PW_ENOTFOUND) {
        (void)pw_buf_addf(answer, "there is no request %" PRIu64 "\n", request);
        return true;
    }
    if (r < 0 || !w.over)
        return false;
    if (w.build)
        (void)reader_build_one(rd, w.build, on_build, &w, NULL);
    (void)pw_buf_addf(answer, "%s\n", w.text);
    return true;
}

/* ---- connections */
static int fill(net_irc *v, const config *conf, const config_notify *n)
{
    bool bad = false;
    const config_hidden *secret = n->password ? config_secret(conf, n->password) : NULL;
    v->name = pw_strdup(n->name, &bad);
    v->server = pw_strdup(n->url, &bad);
    v->nick = pw_strdup(n->from, &bad);
    v->channel = pw_strdup(n->place, &bad);
    v->user = pw_strdup(n->user, &bad);
    v->ca = pw_strdup(n->ca, &bad);
    v->timeout = n->timeout;
    if (secret)
        bad |= !(v->password = strndup(secret->p, secret->n));
    return bad ? PW_ENOMEM : 0;
}

static int open_desk(server *s, pw_err *err)
{
    irc_desk *d = calloc(1, sizeof(*d));
    if (!d)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->wake, NULL);
    s->desk = d;
    return 0;
}

int irc_connect(server *s, const config *conf, pw_err *err)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; i < conf->n_notify; i++)
        n += conf->notify[i].kind == NOTIFY_IRC;
    if (!n && !s->desk)
        return 0;
    if (!s->desk && open_desk(s, err) < 0)
        return PW_ENOMEM;
    net_irc *v = calloc(n ? n : 1, sizeof(*v));
    int r = v ? 0 : PW_ENOMEM;
    for (size_t i = 0; v && i < conf->n_notify && r == 0; i++)
        if (conf->notify[i].kind == NOTIFY_IRC)
            r = fill(&v[k++], conf, &conf->notify[i]);
    if (r < 0) {
        for (size_t i = 0; i < k; i++)
            net_irc_clear(&v[i]);
        free(v);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    (void)pthread_mutex_lock(&s->desk->lock);
    config_unref(s->desk->conf);
    s->desk->conf = config_ref((config *)conf);
    (void)pthread_mutex_unlock(&s->desk->lock);
    return net_irc_set(s->net, v, n, err);
}

void irc_close(server *s)
{
    irc_desk *d = s->desk;
    if (!d)
        return;
    for (question *q = d->list, *next; q; q = next) {
        next = q->next;
        core_cmd_free(q->cmd);
        free(q);
    }
    config_unref(d->conf);
    (void)pthread_cond_destroy(&d->wake);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
    s->desk = NULL;
}
