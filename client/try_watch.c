/* Following a whole build set: what each of its builds prints, as it comes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/logs.h"
#include "client/progress.h"
#include "client/rest.h"
#include "client/show.h"
#include "client/try.h"

enum { WHY_EVERY = 7, NAME_BYTES = 300, PAGE = 200, STEPS_MAX = 1000 };

typedef struct watched { /* a request and its build */
    uint64_t request, build;
    char name[NAME_BYTES], why[400];
    bool told, over, red;
    int64_t attempt;
    uint64_t *pos; /* owned: of the output of each step, what was printed */
    bool *second;  /* owned: its other stream, too */
    size_t n;
} watched;

typedef struct watch {
    client *c;
    watched *v; /* owned */
    size_t n;
    unsigned away, tick;
} watch;

static void watch_clear(watch *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->v[i].pos);
        free(w->v[i].second);
    }
    free(w->v);
}

static const char *str(const json_value *object, const char *key, const char *otherwise)
{
    return json_str(json_get(object, key), otherwise);
}

static void say(client *c, const char *name, const char *text)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8192);
    show_clean(&b, name, 0);
    (void)pw_buf_adds(&b, ": ");
    show_clean(&b, text, 0);
    if (!c->json)
        client_say(c, "%s\n", pw_buf_str(&b));
}

/* 1 and an answer, 0: the master does not answer now, and may soon. */
static int get(watch *w, const char *path, rest_answer *ret, pw_err *err)
{
    int rc = rest_get(w->c, path, ret, err);
    if (rc >= 0) {
        w->away = 0;
        return 1;
    }
    if (!rest_passing(rc) || ++w->away > PROGRESS_PATIENCE_S * 1000 / PROGRESS_POLL_MS)
        return rc;
    return 0;
}

static int add(watch *w, uint64_t request, const char *name, pw_err *err)
{
    watched *v = reallocarray(w->v, w->n + 1, sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    w->v = v;
    v[w->n] = (watched){.request = request};
    (void)snprintf(v[w->n].name, sizeof(v[w->n].name), "%s", name);
    w->n++;
    return 0;
}

/* ---- output */
typedef struct lines {
    client *c;
    const char *name, *step;
    pw_buf b;
} lines;

static int on_lines(void *self, const char *p, size_t n)
{
    lines *l = self;
    pw_err err = {0};
    pw_buf_reset(&l->b);
    for (size_t i = 0; i < n;) {
        const char *end = memchr(p + i, '\n', n - i);
        size_t k = end ? (size_t)(end - p) - i : n - i;
        show_clean(&l->b, l->name, 0);
        (void)pw_buf_adds(&l->b, "/");
        show_clean(&l->b, l->step, 0);
        (void)pw_buf_adds(&l->b, " | ");
        (void)pw_buf_add(&l->b, p + i, k);
        (void)pw_buf_adds(&l->b, "\n");
        i += k + 1;
    }
    return client_put(l->c, &l->b, &err) < 0 ? 1 : 0;
}

static int print(watch *w, const watched *x, const char *step, uint64_t *pos, bool over,
                 pw_err *err)
{
    lines l = {.c = w->c, .name = x->name, .step = step};
    pw_buf_init(&l.b, (size_t)256 * 1024 * 1024);
    int rc = logs_poll(w->c, x->build, step, pos, over, on_lines, &l, err);
    pw_buf_clear(&l.b);
    return rc == PW_ENOTFOUND || (rc < 0 && rest_passing(rc)) ? 0 : rc;
}

static int print_steps(watch *w, watched *x, const json_value *build, bool over, pw_err *err)
{
    const json_value *steps = json_get(build, "steps");
    size_t n = json_count(steps);
    int rc = 0;
    if (n > STEPS_MAX)
        n = STEPS_MAX;
    if (n > x->n) {
        uint64_t *pos = reallocarray(x->pos, n, sizeof(*pos));
        bool *second = pos ? reallocarray(x->second, n, sizeof(*second)) : NULL;
        x->pos = pos ? pos : x->pos;
        if (!second)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        x->second = second;
        for (; x->n < n; x->n++) {
            pos[x->n] = 0;
            second[x->n] = false;
        }
    }
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        const json_value *s = json_at(steps, i);
        const char *name = str(s, "name", "?");
        bool done = over || strcmp(str(s, "state", ""), "done") == 0;
        if (x->second[i] || strcmp(str(s, "state", ""), "waiting") == 0)
            continue;
        rc = print(w, x, name, &x->pos[i], done, err);
        if (rc < 0 || !done)
            continue;
        uint64_t from = 0; /* stderr, where it is kept apart */
        PW_AUTO(pw_freep) char *other = pw_strf("%s.stderr", name);
        x->second[i] = true;
        rc =
            other ? print(w, x, other, &from, true, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return rc;
}

/* ---- a build */
static int look_at_build(watch *w, watched *x, pw_err *err)
{
    char path[80], text[200];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64, x->build);
    int rc = get(w, path, &r, err);
    if (rc <= 0)
        return rc;
    bool over = strcmp(str(r.value, "state", ""), "done") == 0;
    int64_t attempt = json_int(json_get(r.value, "attempt"), 0);
    if (attempt > x->attempt && x->attempt > 0) { /* it begins anew */
        (void)snprintf(text, sizeof(text), "build %" PRIu64 ", attempt %" PRId64, x->build,
                       attempt);
        say(w->c, x->name, text);
        memset(x->pos, 0, x->n * sizeof(*x->pos));
        memset(x->second, 0, x->n * sizeof(*x->second));
    } else if (!x->told) {
        (void)snprintf(text, sizeof(text), "build %" PRIu64, x->build);
        say(w->c, x->name, text);
    }
    x->told = true;
    x->attempt = attempt;
    if (!w->c->json && (rc = print_steps(w, x, r.value, over, err)) < 0)
        return rc;
    if (!over)
        return 0;
    const char *result = str(r.value, "result", "?"), *why = str(r.value, "result_reason", NULL);
    x->over = true;
    x->red = progress_exit(r.value) != 0 && strcmp(result, "skipped") != 0;
    (void)snprintf(text, sizeof(text), "%s%s%s", result, why && x->red ? ": " : "",
                   why && x->red ? why : "");
    say(w->c, x->name, text);
    return w->c->json ? rest_raw(w->c, &r, err) : 0;
}

/* ---- a request */
static void tell_why(watch *w, watched *x)
{
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64 "/why", x->request);
    if (rest_get(w->c, path, &r, NULL) < 0 || strcmp(str(r.value, "state", ""), "waiting") != 0)
        return;
    const char *why = str(r.value, "reason", "");
    if (!*why || strncmp(why, x->why, sizeof(x->why) - 1) == 0)
        return;
    PW_AUTO(pw_freep) char *text = pw_strf("request %" PRIu64 " waits: %s", x->request, why);
    say(w->c, x->name, text ? text : "it waits");
    (void)snprintf(x->why, sizeof(x->why), "%s", why);
}

/* It stood for all of its set until the pipeline file was read: the others of the set take its
 * place. */
static int replace(watch *w, uint64_t stood, uint64_t set, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    PW_AUTO(pw_freep) char *cursor = NULL;
    bool more = true, failed = false;
    while (more) {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        char limit[16];
        pw_buf_reset(&path);
        (void)snprintf(limit, sizeof(limit), "%d", PAGE);
        (void)pw_buf_adds(&path, "/api/v1/requests");
        rest_query(&path, "limit", limit);
        rest_query(&path, "cursor", cursor);
        int rc = rest_get(w->c, pw_buf_str(&path), &r, err);
        if (rc < 0)
            return rc;
        const json_value *items = json_get(r.value, "items");
        for (size_t i = 0; i < json_count(items); i++) {
            const json_value *x = json_at(items, i);
            uint64_t id = (uint64_t)json_int(json_get(x, "id"), 0);
            more = id > stood;
            if (more && (uint64_t)json_int(json_get(x, "buildset"), 0) == set &&
                (rc = add(w, id, str(x, "builder", "?"), err)) < 0)
                return rc;
        }
        free(cursor);
        cursor = pw_strdup(str(r.value, "next", NULL), &failed);
        more = more && cursor;
    }
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static int look_at_request(watch *w, size_t at, pw_err *err)
{
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    watched *x = &w->v[at];
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64, x->request);
    int rc = get(w, path, &r, err);
    if (rc <= 0)
        return rc;
    (void)snprintf(x->name, sizeof(x->name), "%s", str(r.value, "builder", "?"));
    x->build = (uint64_t)json_int(json_get(r.value, "build"), 0);
    if (x->build)
        return look_at_build(w, x, err);
    bool rode = json_int(json_get(r.value, "rode_with"), 0) > 0;
    if (strcmp(str(r.value, "state", ""), "done") != 0) {
        if (w->tick % WHY_EVERY == WHY_EVERY - 1)
            tell_why(w, x);
        return 0;
    }
    x->over = true;
    if (rode)
        return replace(w, x->request, (uint64_t)json_int(json_get(r.value, "buildset"), 0), err);
    x->red = true;
    say(w->c, x->name, "cancelled before it began");
    return 0;
}

int try_watch(client *c, const json_value *answer, pw_err *err)
{
    PW_AUTO(watch_clear) watch w = {.c = c};
    const json_value *requests = json_get(answer, "requests");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_count(requests); i++)
        rc = add(&w, (uint64_t)json_int(json_at(requests, i), 0), "?", err);
    for (bool open = true; rc >= 0 && open; w.tick++) {
        open = false;
        for (size_t i = 0; rc >= 0 && i < w.n; i++) {
            if (w.v[i].over)
                continue;
            rc = w.v[i].build ? look_at_build(&w, &w.v[i], err) : look_at_request(&w, i, err);
            open = true;
        }
        if (rc >= 0 && open)
            client_pause(PROGRESS_POLL_MS);
    }
    if (rc < 0)
        return pw_err_context(err, "waiting for the builds (they go on)");
    for (size_t i = 0; i < w.n; i++)
        rc |= w.v[i].red;
    return rc;
}
