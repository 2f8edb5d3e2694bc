/* What a notice says beside the facts of its message: the step that failed, its tests and the end
 * of its output, who may have done it. Looked up when it is sent, on the thread of the net service,
 * with a reader of that thread's own; what cannot be read is left out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/notify/message.h"
#include "master/server/state.h"
#include "master/store/files.h"
#include "shared/base/log.h"

enum { CHANGES_MOST = 200 };

typedef struct details {
    config *conf; /* a reference */
    const config_notify *n;
} details;

static void details_free(void *p)
{
    details *d = p;
    if (d)
        config_unref(d->conf);
    free(d);
}

int details_ask(server *s, const config *conf, const config_notify *n, net_job *j, pw_err *err)
{
    details *d = calloc(1, sizeof(*d));
    (void)s;
    if (!d)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    d->conf = config_ref((config *)conf);
    d->n = n;
    j->more = d;
    j->free_more = details_free;
    return 0;
}

/* ---- looking up */
typedef struct look {
    server *s;
    reader *rd;
    notify_more *m;
    uint64_t build, attempt;
    uint64_t idx; /* the step that failed */
    bool found;
    const char *project, *branch;
    store_rev rev, green; /* what was built; the last green one */
    bool has_green, begun, ended;
    size_t seen;
    bool failed; /* memory ran out */
} look;

static int on_step(void *p, const store_step *s)
{
    look *l = p;
    if (!l->found && (s->result == PW_FAILURE || s->result == PW_EXCEPTION)) {
        l->found = true;
        l->idx = s->idx;
        l->m->step = pw_strdup(s->name, &l->failed);
    }
    return l->failed ? PW_ENOMEM : 0;
}

static int on_test(void *p, uint64_t n, uint64_t step, const rec_case *c)
{
    look *l = p;
    (void)n, (void)step;
    l->m->failed++;
    if (l->m->n_failing >= NOTIFY_FAILING)
        return 0;
    char *name = c->suite && *c->suite ? pw_strf("%s: %s", c->suite, c->name)
                                       : pw_strdup(c->name, &l->failed);
    if (!name)
        return PW_ENOMEM;
    l->m->failing[l->m->n_failing++] = name;
    return 0;
}

/* Colours and other sequences of terminals mean nothing in a notice. */
static void plain(char *s)
{
    char *to = s;
    for (const char *p = s; *p;) {
        if (*p == 27 && p[1] == '[') {
            p += 2;
            while (*p && (*p < '@' || *p > '~'))
                p++;
            p += *p != '\0';
        } else if (*p == 27 || *p == '\r') {
            p++;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
}

/* The last whole lines of the step's output, and whether it has any. */
static bool read_log(look *l, uint32_t stream)
{
    log_key key = {l->attempt, (uint32_t)l->idx, stream};
    uint64_t bytes = 0, lines = 0, next = 0;
    bool done;
    PW_AUTO(log_view_closep) log_view *v = log_view_open(l->s->log_store, key, NULL);
    if (!v || log_view_size(v, &bytes, &lines, &done, NULL) < 0 || !bytes)
        return false;
    char *text = malloc(NOTIFY_LOG_MAIL + 1);
    if (!text)
        return false;
    size_t n = 0;
    for (uint64_t at = bytes > NOTIFY_LOG_MAIL ? bytes - NOTIFY_LOG_MAIL : 0;
         at < bytes && n < NOTIFY_LOG_MAIL; at = next) {
        int64_t k = log_view_read(v, at, text + n, NOTIFY_LOG_MAIL - n, &next, NULL);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    for (size_t i = 0; i < n; i++)
        if (!text[i])
            text[i] = ' ';
    text[n] = '\0';
    if (bytes > n) { /* the first line is half a line */
        char *nl = strchr(text, '\n');
        if (nl && nl[1])
            memmove(text, nl + 1, strlen(nl));
    }
    plain(text);
    if (!*text) {
        free(text);
        return false;
    }
    l->m->log = text;
    return true;
}

static int on_build(void *p, const reader_build *b)
{
    look *l = p;
    l->rev = b->rev;
    return 0;
}

static int on_green(void *p, const reader_build *b)
{
    look *l = p;
    l->green = b->rev;
    l->has_green = true;
    return 0;
}

static bool same(const store_rev *a, const store_rev *b)
{
    return a->n == b->n && memcmp(a->id, b->id, a->n) == 0;
}

static int on_change(void *p, const reader_change *c)
{
    look *l = p;
    l->begun |= same(&c->rev, &l->rev);
    l->ended |= l->has_green && same(&c->rev, &l->green);
    if (!l->begun || l->ended)
        return 0;
    if (l->m->n_suspects == NOTIFY_SUSPECTS) {
        l->m->more_suspects = true;
        l->ended = true;
        return 0;
    }
    char rev[2 * STORE_REV_MAX + 1];
    notify_suspect s = {0};
    store_rev_text(&c->rev, rev);
    s.rev = pw_strdup(rev, &l->failed);
    s.author = pw_strdup(c->c.author, &l->failed);
    s.subject = pw_strdup(c->c.subject, &l->failed);
    l->m->suspect[l->m->n_suspects++] = s;
    l->ended |= !l->has_green; /* nothing is known of what was before */
    return l->failed ? PW_ENOMEM : 0;
}

static int red(look *l, const json_value *b, pw_err *err)
{
    PW_AUTO(pw_freep) char *builder = NULL;
    const char *name = json_str(json_get(b, "builder"), NULL);
    int r = reader_attempt_of(l->rd, l->build, 0, &l->attempt, err);
    if (r == 0 && l->attempt) {
        if ((r = reader_steps(l->rd, l->attempt, on_step, l, err)) < 0 ||
            (r = reader_tests(l->rd, l->attempt, true, 0, 10000, on_test, l, err)) < 0)
            return r;
        if (l->found && !read_log(l, PW_STREAM_OUT))
            (void)read_log(l, PW_STREAM_ERR);
    } else if (r < 0 && r != PW_ENOTFOUND) {
        return r;
    }
    if (!name || !l->project || !l->branch)
        return 0;
    if (!(builder = pw_strf("%s/%s", l->project, name)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    reader_build_filter f = {.project = l->project,
                             .builder = builder,
                             .branch = l->branch,
                             .result = PW_SUCCESS,
                             .state = -1,
                             .before = l->build,
                             .limit = 1};
    if ((r = reader_build_one(l->rd, l->build, on_build, l, err)) < 0)
        return r == PW_ENOTFOUND ? 0 : r;
    if ((r = reader_builds(l->rd, &f, on_green, l, err)) < 0)
        return r;
    return reader_changes(l->rd, l->project, l->branch, 0, CHANGES_MOST, on_change, l, err);
}

/* It needs no quoting in an address. */
static bool plain_name(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
           strlen(s);
}

static int look_up(look *l, const json_value *body, const config_notify *n, pw_err *err)
{
    const json_value *b = json_get(body, "build");
    const char *result = json_str(json_get(b, "result"), "");
    const char *url = json_str(json_get(b, "url"), NULL);
    char root[300];
    int r = reader_epoch(l->rd, &l->m->epoch, err);
    if (r < 0 || !b)
        return r;
    l->build = (uint64_t)json_int(json_get(b, "id"), 0);
    l->project = json_str(json_get(b, "project"), NULL);
    l->branch = json_str(json_get(b, "branch"), NULL);
    if (n->kind == NOTIFY_MATRIX && notify_root(body, n->name, root)) {
        pw_buf remote = PW_BUF(1000);
        r = reader_message_remote(l->rd, root, &remote, err);
        l->m->thread = r == 0 ? pw_buf_take(&remote) : NULL;
        pw_buf_clear(&remote);
        if (r < 0)
            return r;
    }
    if (strcmp(result, "failure") != 0 && strcmp(result, "exception") != 0)
        return 0;
    if ((r = red(l, b, err)) < 0)
        return r;
    if (url && l->m->step && plain_name(l->m->step))
        l->failed |= !(l->m->log_url = pw_strf("%s/log/%s", url, l->m->step));
    return l->failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

/* ---- forms */
static int form(net_job *j, const config_notify *n, const json_value *body, const notify_more *m,
                pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(4 * NOTIFY_TEXT_MAX);
    char context[120] = "", state[20] = "";
    bool bad = false;
    pw_msec at = 0;
    int r = 0;
    switch (n->kind) {
    case NOTIFY_MATTERMOST:
    case NOTIFY_SLACK:
        r = notify_chat(body, m, n, &out);
        break;
    case NOTIFY_MAIL:
        (void)pw_time_parse(json_str(json_get(body, "at"), ""), &at, NULL);
        r = notify_mail(body, m, n, at, &out);
        break;
    case NOTIFY_MATRIX:
        r = notify_matrix(body, m, &out);
        break;
    case NOTIFY_IRC:
        r = notify_irc(body, m, &out);
        break;
    default:
        if (!notify_status(body, n->kind, context, state, &out))
            return pw_fail(err, PW_EINVAL, "a message without a build has no state of a commit");
        j->context = pw_strdup(context, &bad);
        j->state = pw_strdup(state, &bad);
        j->revision = pw_strdup(json_str(json_get(json_get(body, "build"), "revision"), ""), &bad);
        break;
    }
    if (r < 0 || bad || out.failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    free(j->body);
    j->body_len = out.len;
    j->body = pw_buf_take(&out);
    return 0;
}

int details_prepare(void *self, net_job *j, pw_err *err)
{
    server *s = self;
    const details *d = j->more;
    notify_more m = {0};
    pw_err why = {0};
    if (!d)
        return 0; /* a webhook: its body is what it is */
    PW_AUTO(json_freep) json_value *body = json_parse(j->body, j->body_len, err);
    if (!body)
        return err ? err->code : PW_EINVAL;
    if (!s->net_reader)
        s->net_reader = reader_open(s->db, &why);
    look l = {.s = s, .rd = s->net_reader, .m = &m};
    int r = l.rd ? look_up(&l, body, d->n, &why) : why.code;
    if (r < 0) { /* the facts are told all the same */
        pw_log_err(PW_LOG_WARN, "notice_details", &why);
        s->net_reader = reader_close(s->net_reader);
    }
    r = form(j, d->n, body, &m, err);
    notify_more_clear(&m);
    return r;
}
