#include "master/net/irc.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/net/irc_line.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/http/wire.h"

enum {
    QUEUE = 16,       /* the core has one message under way; others wait with it */
    TICK_US = 100000, /* how long an end may go unnoticed */
    RETRY_MIN_S = 1,  /* doubled to the other, as servers ask for */
    RETRY_MAX_S = 120,
    SILENT_S = 120, /* after half of it the server is asked for a sign of life */
    BURST = 4,      /* lines at once, then one a second: servers cut off who says more */
    ASK_BURST = 5,  /* questions of somebody at once, then one in 6 s */
    ASK_EVERY_S = 6,
    ASKERS = 16,
    WATCHES = 20,
    WATCH_EVERY_S = 2,
    IN_MAX = IRC_LINE + IRC_TAGS
};
#define S ((pw_usec)1000000)

typedef struct asker {
    char nick[64];
    pw_usec full; /* when all of its burst is there again */
} asker;
typedef struct watch {
    uint64_t request; /* 0: none */
    char nick[64];
} watch;

struct irc {
    net_irc conf;
    pw_chan *jobs;    /* owned */
    pw_chan *answers; /* borrowed */
    const net_ops *ops;
    _Atomic bool stop;
    pthread_t thread;
    bool started;
    /* the thread's */
    http_wire *wire; /* NULL: there is no connection */
    bool ready;      /* in the channel */
    char nick[64];   /* what the server calls us */
    char in[IN_MAX];
    size_t in_n;
    pw_usec heard, asked; /* the server; when it was asked for a sign of life, 0: not */
    pw_usec retry_at, retry;
    pw_usec next_line; /* when all of our burst is there again */
    char trouble[200];
    net_job *job; /* owned; being sent */
    pw_usec deadline;
    bool said; /* a byte of it may have left */
    uint64_t pings;
    char pong[40];
    pw_buf out; /* lines that wait for their time */
    asker asker[ASKERS];
    watch watch[WATCHES];
    pw_usec watch_at;
};

static pw_usec now(void)
{
    return pw_now(&pw_host_real);
}

/* ---- saying */
static void lost(irc *self, const char *why)
{
    (void)snprintf(self->trouble, sizeof(self->trouble), "%s", why);
    self->wire = http_wire_close(self->wire);
    self->ready = false;
    self->in_n = 0;
    pw_buf_reset(&self->out);
    self->retry = self->retry ? self->retry * 2 : RETRY_MIN_S * S;
    if (self->retry > RETRY_MAX_S * S)
        self->retry = RETRY_MAX_S * S;
    self->retry_at = now() + self->retry;
}

static void raw(irc *self, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void raw(irc *self, const char *fmt, ...)
{
    char line[IRC_LINE + 1];
    va_list ap;
    pw_err err;
    if (!self->wire)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(line, IRC_LINE - 1, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : n > IRC_LINE - 2 ? IRC_LINE - 2 : (size_t)n;
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\r' || line[i] == '\n' || line[i] == '\0')
            line[i] = ' ';
    line[len] = '\r';
    line[len + 1] = '\n';
    if (http_wire_send(self->wire, line, len + 2, self->conf.timeout, &err) < 0)
        lost(self, err.text);
    explicit_bzero(line, sizeof(line)); /* it may have been a password */
}

/* Each line of the text, to somebody: they go out as fast as servers like it. */
static void tell(irc *self, const char *to, const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        if (n)
            (void)pw_buf_addf(&self->out, "PRIVMSG %s :%.*s\n", to, (int)(n > 400 ? 400 : n), p);
        p += n + (p[n] == '\n');
    }
}

static void flush(irc *self)
{
    while (self->wire && self->out.len) {
        pw_usec t = now();
        if (self->next_line < t - BURST * S)
            self->next_line = t - BURST * S;
        if (self->next_line > t)
            return;
        size_t n = strcspn(self->out.p, "\n");
        self->out.p[n] = '\0';
        if (strncmp(self->out.p, "PING", 4) != 0)
            self->next_line += S;
        raw(self, "%s", self->out.p);
        if (self->out.len)
            pw_buf_drop(&self->out, n + 1 < self->out.len ? n + 1 : self->out.len);
    }
}

/* ---- jobs */
static void answer(irc *self, net_job *j, net_outcome what, const char *text)
{
    pw_err err;
    j->outcome = what;
    (void)snprintf(j->text, sizeof(j->text), "%s", text);
    while (pw_chan_send(self->answers, j, &err) < 0) {
        if (atomic_load(&self->stop)) {
            net_job_free(j);
            return;
        }
        (void)poll(NULL, 0, 10);
    }
}

static void job_over(irc *self, net_outcome what, const char *text)
{
    net_job *j = self->job;
    self->job = NULL;
    answer(self, j, what, text);
}

static void work(irc *self)
{
    pw_usec t = now();
    char text[300];
    if (!self->job && (self->job = pw_chan_recv(self->jobs))) {
        self->deadline = t + self->job->timeout;
        self->said = false;
    }
    if (!self->job)
        return;
    if (self->said && !self->wire) {
        (void)snprintf(text, sizeof(text), "IRC: %s", self->trouble);
        job_over(self, NET_SILENT, text);
    } else if (!self->said && self->ready) {
        self->said = true;
        (void)snprintf(self->pong, sizeof(self->pong), "pawl-%" PRIu64, ++self->pings);
        tell(self, self->conf.channel, self->job->body);
        (void)pw_buf_addf(&self->out, "PING :%s\n", self->pong);
    } else if (t >= self->deadline && self->said) {
        lost(self, "the server gave no sign that it has the message");
        job_over(self, NET_SILENT, "IRC: the server gave no sign that it has the message");
    } else if (t >= self->deadline) {
        (void)snprintf(text, sizeof(text), "IRC: not in %.60s: %s", self->conf.channel,
                       self->trouble[0] ? self->trouble : "it connects");
        job_over(self, NET_UNSENT, text);
    }
    if (self->out.failed) {
        pw_buf_clear(&self->out);
        lost(self, "out of memory");
    }
}

/* ---- who asks */
static void nick_of(const char *who, char out[64])
{
    (void)snprintf(out, 64, "%.*s", (int)strcspn(who, "!"), who);
}

static bool too_many(irc *self, const char *nick)
{
    pw_usec t = now();
    asker *at = &self->asker[0];
    for (size_t i = 0; i < ASKERS; i++) {
        if (irc_same(self->asker[i].nick, nick)) {
            at = &self->asker[i];
            break;
        }
        if (self->asker[i].full < at->full)
            at = &self->asker[i];
    }
    if (!irc_same(at->nick, nick)) {
        (void)snprintf(at->nick, sizeof(at->nick), "%s", nick);
        at->full = 0;
    }
    if (at->full < t)
        at->full = t;
    if (at->full - t > (ASK_BURST - 1) * ASK_EVERY_S * S)
        return true;
    at->full += ASK_EVERY_S * S;
    return false;
}

/* "watch 12": its end is told to whoever wants to know. */
static bool add_watch(irc *self, const char *nick, const char *text, pw_buf *out)
{
    uint64_t id = 0;
    if (strncmp(text, "watch ", 6) != 0)
        return false;
    if (pw_parse_u64(text + 6, &id, NULL) < 0 || !id) {
        (void)pw_buf_adds(out, "watch REQUEST: the number that \"force\" says\n");
        return true;
    }
    for (size_t i = 0; i < WATCHES; i++)
        if (!self->watch[i].request) {
            self->watch[i].request = id;
            (void)snprintf(self->watch[i].nick, sizeof(self->watch[i].nick), "%s", nick);
            self->watch_at = 0;
            return true;
        }
    (void)pw_buf_adds(out, "too much is watched already\n");
    return true;
}

static void look_after(irc *self)
{
    pw_usec t = now();
    if (!self->ready || t < self->watch_at || !self->ops->over)
        return;
    self->watch_at = t + WATCH_EVERY_S * S;
    for (size_t i = 0; i < WATCHES; i++) {
        watch *w = &self->watch[i];
        pw_buf said = PW_BUF(2000), line = PW_BUF(2000);
        if (w->request && self->ops->over(self->ops->self, w->request, &said)) {
            w->request = 0;
            (void)pw_buf_addf(&line, "%s: %s", w->nick, pw_buf_str(&said));
            tell(self, self->conf.channel, pw_buf_str(&line));
        }
        pw_buf_clear(&said);
        pw_buf_clear(&line);
    }
}

static void ask(irc *self, const char *who, const char *where, const char *text)
{
    char nick[64];
    bool channel = irc_same(where, self->conf.channel);
    const char *what = irc_asked(text, self->nick, channel);
    nick_of(who, nick);
    if (!what || !self->ops->asked || (!channel && !irc_same(where, self->nick)) ||
        !strchr(who, '!') || irc_same(nick, self->nick) || too_many(self, nick))
        return;
    pw_buf out = PW_BUF(4000);
    if (!add_watch(self, nick, what, &out))
        self->ops->asked(self->ops->self, self->conf.name, who, what, &self->stop, &out);
    tell(self, channel ? self->conf.channel : nick, pw_buf_str(&out));
    pw_buf_clear(&out);
}

/* ---- the server's lines */
static void sasl(irc *self)
{
    char plain[1500], text[2100];
    size_t u = strlen(self->conf.user), p = strlen(self->conf.password);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (u + p + 2 > 290) { /* a longer answer is given in parts, which nobody needs */
        lost(self, "user and password are too long for SASL");
        return;
    }
    memset(plain, 0, sizeof(plain));
    memcpy(plain + 1, self->conf.user, u);
    memcpy(plain + 2 + u, self->conf.password, p);
    size_t n = u + p + 2, k = 0;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)plain[i] << 16 |
                     (unsigned)(unsigned char)plain[i + 1] << 8 | (unsigned char)plain[i + 2];
        text[k++] = digits[v >> 18];
        text[k++] = digits[v >> 12 & 63];
        text[k++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        text[k++] = i + 2 < n ? digits[v & 63] : '=';
    }
    text[k] = '\0';
    raw(self, "AUTHENTICATE %s", text);
    explicit_bzero(plain, sizeof(plain));
    explicit_bzero(text, sizeof(text));
}

static const char *last(const irc_line *l)
{
    return l->n ? l->param[l->n - 1] : "";
}

/* What a server says of a message that it does not pass on, and of us. */
static void refused(irc *self, const irc_line *l)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "IRC: %.10s %.150s", l->command, last(l));
    bool ours = l->n > 2 && irc_same(l->param[1], self->conf.channel);
    if (self->job && self->said && ours)
        job_over(self, NET_LATER, text);
    if (!self->ready && (ours || strcmp(l->command, "432") == 0))
        lost(self, text + 5); /* it is tried again later: people may let us in */
}

static void welcome(irc *self, const irc_line *l)
{
    if (l->n)
        (void)snprintf(self->nick, sizeof(self->nick), "%s", l->param[0]);
    raw(self, "JOIN %s", self->conf.channel);
}

static void on_line(irc *self, char *text)
{
    irc_line l;
    char nick[64];
    if (!irc_parse(text, &l))
        return;
    nick_of(l.who, nick);
    const char *c = l.command;
    if (strcmp(c, "PING") == 0)
        raw(self, "PONG :%s", last(&l));
    else if (strcmp(c, "PONG") == 0 && self->job && self->said && strcmp(last(&l), self->pong) == 0)
        job_over(self, NET_TAKEN, "IRC");
    else if (strcmp(c, "001") == 0)
        welcome(self, &l);
    else if (strcmp(c, "JOIN") == 0 && irc_same(nick, self->nick)) {
        self->ready = true;
        self->retry = 0;
        self->trouble[0] = '\0';
        pw_log(PW_LOG_INFO, "irc_joined", "target=\"%s\" channel=\"%s\"", self->conf.name,
               self->conf.channel);
    } else if ((strcmp(c, "KICK") == 0 && l.n > 1 && irc_same(l.param[1], self->nick)) ||
               (strcmp(c, "PART") == 0 && irc_same(nick, self->nick))) {
        lost(self, "it was put out of the channel");
    } else if (strcmp(c, "NICK") == 0 && irc_same(nick, self->nick))
        (void)snprintf(self->nick, sizeof(self->nick), "%s", last(&l));
    else if (strcmp(c, "433") == 0 && !self->ready && strlen(self->nick) < 30) {
        size_t n = strlen(self->nick); /* taken: perhaps by us, before a connection broke */
        (void)snprintf(self->nick + n, sizeof(self->nick) - n, "_");
        raw(self, "NICK %s", self->nick);
    } else if (strcmp(c, "CAP") == 0 && l.n > 1 && strcmp(l.param[1], "ACK") == 0)
        raw(self, "AUTHENTICATE PLAIN");
    else if (strcmp(c, "AUTHENTICATE") == 0)
        sasl(self);
    else if (strcmp(c, "903") == 0)
        raw(self, "CAP END");
    else if (strcmp(c, "ERROR") == 0 || strcmp(c, "904") == 0 || strcmp(c, "905") == 0 ||
             (strcmp(c, "CAP") == 0 && l.n > 1 && strcmp(l.param[1], "NAK") == 0) ||
             (strcmp(c, "464") == 0))
        lost(self, *last(&l) ? last(&l) : "refused");
    else if (strcmp(c, "PRIVMSG") == 0 && l.n == 2)
        ask(self, l.who, l.param[0], l.param[1]);
    else if (strlen(c) == 3 && *c == '4' && strcmp(c, "422") != 0)
        refused(self, &l);
}

static void receive(irc *self)
{
    pw_err err;
    int64_t n =
        http_wire_recv(self->wire, self->in + self->in_n, IN_MAX - 1 - self->in_n, TICK_US, &err);
    pw_usec t = now();
    if (n < 0) {
        lost(self, err.text);
        return;
    }
    if (n > 0) {
        self->heard = t;
        self->asked = 0;
        self->in_n += (size_t)n;
    } else if (t - self->heard > SILENT_S * S) {
        lost(self, "the server is silent");
        return;
    } else if (!self->asked && t - self->heard > SILENT_S * S / 2) {
        self->asked = t;
        raw(self, "PING :pawl");
    }
    for (char *nl; self->wire && (nl = memchr(self->in, '\n', self->in_n));) {
        char line[IN_MAX];
        size_t len = (size_t)(nl - self->in);
        memcpy(line, self->in, len);
        memmove(self->in, nl + 1, self->in_n - len - 1);
        self->in_n -= len + 1;
        while (len && line[len - 1] == '\r')
            len--;
        line[len] = '\0';
        on_line(self, line);
    }
    if (self->in_n >= IN_MAX - 1)
        lost(self, "the server sent a line without an end");
}

static void dial(irc *self)
{
    pw_err err;
    bool tls = strncmp(self->conf.server, "ircs:", 5) == 0;
    const char *host = strstr(self->conf.server, "://") + 3, *end = strrchr(host, ']');
    char address[320];
    bool port = strchr(end ? end : host, ':') != NULL;
    (void)snprintf(address, sizeof(address), "%s%s", host, port ? "" : tls ? ":6697" : ":6667");
    self->wire = http_wire_open(address, tls, self->conf.ca, self->conf.timeout, &self->stop, &err);
    if (!self->wire) {
        lost(self, err.text);
        return;
    }
    self->heard = now();
    self->asked = 0;
    (void)snprintf(self->nick, sizeof(self->nick), "%s", self->conf.nick);
    if (self->conf.user)
        raw(self, "CAP REQ :sasl");
    else if (self->conf.password)
        raw(self, "PASS %s", self->conf.password);
    raw(self, "NICK %s", self->nick);
    raw(self, "USER pawl 0 * :Pawl");
}

static void *thread_main(void *p)
{
    irc *self = p;
    while (!atomic_load(&self->stop)) {
        if (!self->wire && now() >= self->retry_at)
            dial(self);
        work(self);
        look_after(self);
        flush(self);
        if (self->wire)
            receive(self);
        else
            (void)poll(NULL, 0, TICK_US / 1000);
    }
    raw(self, "QUIT :the master ends");
    self->wire = http_wire_close(self->wire);
    return NULL;
}

/* ---- from outside */
void net_irc_clear(net_irc *c)
{
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    free(c->name);
    free(c->server);
    free(c->nick);
    free(c->channel);
    free(c->user);
    free(c->password);
    free(c->ca);
    *c = (net_irc){0};
}

static void free_job(void *p)
{
    net_job_free(p);
}

irc *irc_start(net_irc *conf, pw_chan *answers, const net_ops *ops, pw_err *err)
{
    irc *self = calloc(1, sizeof(*self));
    if (!self) {
        net_irc_clear(conf);
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->conf = *conf;
    *conf = (net_irc){0};
    self->answers = answers;
    self->ops = ops;
    pw_buf_init(&self->out, 256 * 1024);
    if (!(self->jobs = pw_chan_new(QUEUE, free_job, err)))
        return irc_stop(self);
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&self->thread, NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    self->started = rc == 0;
    if (rc == 0)
        return self;
    (void)pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, rc, "starting a thread for IRC");
    return irc_stop(self);
}

irc *irc_stop(irc *self)
{
    net_job *j;
    pw_err err;
    if (!self)
        return NULL;
    atomic_store(&self->stop, true);
    if (self->started)
        (void)pthread_join(self->thread, NULL);
    if (self->job)
        job_over(self, self->said ? NET_SILENT : NET_UNSENT, "IRC: the connection was given up");
    while (self->jobs && (j = pw_chan_recv(self->jobs))) {
        j->outcome = NET_UNSENT;
        (void)snprintf(j->text, sizeof(j->text), "IRC: the connection was given up");
        if (pw_chan_send(self->answers, j, &err) < 0)
            net_job_free(j);
    }
    pw_chan_free(self->jobs);
    pw_buf_clear(&self->out);
    net_irc_clear(&self->conf);
    free(self);
    return NULL;
}

const net_irc *irc_conf(const irc *self)
{
    return &self->conf;
}

void irc_send(irc *self, net_job *j)
{
    pw_err err;
    if (pw_chan_send(self->jobs, j, &err) < 0)
        answer(self, j, NET_UNSENT, err.text);
}
