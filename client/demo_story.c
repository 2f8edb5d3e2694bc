/* What the demo tells: three pushes to the sample, and Pawl's own repository. Each claim is checked
 * with git before it is printed, so a demo that ends well is a test of the whole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/demo.h"
#include "client/logs.h"
#include "client/show.h"

enum {
    POLL_MS = 250,
    SAMPLE_S = 180,
    PROMOTE_S = 60,
    EDGE_S = 5,
    PAWL_S = 600,
    QUIET_S = 5,
    LINE_MAX_SHOWN = 150,
    TAIL_LINES = 25
};

typedef struct done_build {
    uint64_t id;
    char result[16], took[32];
} done_build;

static pw_usec deadline(const demo *d, int seconds)
{
    return pw_now(d->c->host) + (pw_usec)seconds * 1000000;
}

/* One wait in a loop: a negative code when the demo ends or the time is over (the text then says
 * what was waited for). */
static int tick(demo *d, pw_usec end, const char *what, pw_err *err)
{
    if (demo_pause(d, POLL_MS, err))
        return PW_EAGAIN;
    return pw_now(d->c->host) < end
               ? 0
               : pw_fail(err, PW_ETIMEDOUT,
                         "%s: it takes too long; see %s/master.log and worker.log", what, d->dir);
}

static void say_result(demo *d, const char *builder, const done_build *b)
{
    PW_AUTO(pw_buf_clearp) pw_buf t = PW_BUF(1000);
    (void)pw_buf_addf(&t, "   build %" PRIu64 " of %s: ", b->id, builder);
    show_styled(&t, show_style_of(b->result), d->c->colour, b->result);
    client_say(d->c, "%s (%s)\n", pw_buf_str(&t), b->took);
}

/* ---- builds */

/* The newest build of a revision; 0 while there is none. */
static int find_build(demo *d, const char *project, const char *rev, uint64_t after, uint64_t *ret,
                      pw_err *err)
{
    char path[300];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/builds?project=%s&revision=%s&limit=1", project,
                   rev);
    int rc = rest_get(d->c, path, &r, err);
    if (rc < 0)
        return pw_err_context(err, "looking for the build of %.8s", rev);
    uint64_t id = (uint64_t)json_int(json_get(json_at(json_get(r.value, "items"), 0), "id"), 0);
    *ret = id > after ? id : 0;
    return 0;
}

/* Fills ret when the build is done (then 1), else 0. */
static int look(demo *d, uint64_t id, done_build *ret, rest_answer *r, pw_err *err)
{
    char path[100];
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64, id);
    int rc = rest_get(d->c, path, r, err);
    if (rc < 0)
        return pw_err_context(err, "looking at build %" PRIu64, id);
    if (strcmp(json_str(json_get(r->value, "state"), ""), "done") != 0)
        return 0;
    ret->id = id;
    (void)snprintf(ret->result, sizeof(ret->result), "%s",
                   json_str(json_get(r->value, "result"), "?"));
    (void)show_took(json_get(r->value, "started"), json_get(r->value, "finished"),
                    pw_wall(d->c->host), ret->took);
    return 1;
}

static int wait_build(demo *d, const char *project, const char *rev, done_build *ret, pw_err *err)
{
    uint64_t id = 0;
    char what[100];
    pw_usec end = deadline(d, SAMPLE_S);
    (void)snprintf(what, sizeof(what), "waiting for the build of %.8s", rev);
    for (;;) {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        int rc = id ? look(d, id, ret, &r, err) : find_build(d, project, rev, 0, &id, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if ((rc = tick(d, end, what, err)) < 0)
            return rc;
    }
}

static int expect(const done_build *b, const char *result, pw_err *err)
{
    if (strcmp(b->result, result) == 0)
        return 0;
    return pw_fail(err, PW_ECONFLICT,
                   "build %" PRIu64 " should be %s, but it is %s; see pawl log %" PRIu64, b->id,
                   result, b->result, b->id);
}

/* ---- promotions */

static int wait_stable(demo *d, const char *repo, const char *rev, pw_err *err)
{
    char at[DEMO_REV];
    pw_usec end = deadline(d, PROMOTE_S);
    for (;;) {
        int rc = demo_ref(d, repo, "stable", at, err);
        if (rc < 0)
            return rc;
        if (strcmp(at, rev) == 0) {
            client_say(d->c, "   git says that stable of %s stands at %.8s: moved\n", repo, rev);
            return 0;
        }
        if ((rc = tick(d, end, "waiting for stable to move", err)) < 0)
            return rc;
    }
}

/* Why the edge does not move, in its own words. It looks right after a build, not with it, so it
 * gets some seconds until it speaks of red; any other reason than that all is done is as good in
 * the end. */
static int edge_reason(demo *d, const char *edge, char *out, size_t cap, pw_err *err)
{
    char path[100];
    pw_usec end = deadline(d, PROMOTE_S), settled = deadline(d, EDGE_S);
    (void)snprintf(path, sizeof(path), "/api/v1/promotions/%s/run", edge);
    for (;;) {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        int rc = rest_post(d->c, path, "{\"dry_run\":true}", &r, err);
        if (rc < 0)
            return pw_err_context(err, "asking promotion \"%s\"", edge);
        const char *reason = json_str(json_get(r.value, "reason"), "?");
        bool held = strcmp(json_str(json_get(r.value, "state"), "done"), "done") != 0;
        if (held && (strstr(reason, "red") || pw_now(d->c->host) > settled)) {
            (void)snprintf(out, cap, "%s", reason);
            return 0;
        }
        if ((rc = tick(d, end, "waiting for the promotion to see the red build", err)) < 0)
            return rc;
    }
}

/* ---- log lines */

/* A sink that keeps the first line of the log that tells of an error. */
typedef struct error_line {
    char text[LINE_MAX_SHOWN + 1];
} error_line;

static int keep_error(void *self, const char *p, size_t n)
{
    error_line *e = self;
    for (const char *end = p + n; p < end && !e->text[0];) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
        if (memmem(p, len, ": error: ", 9)) {
            len = len < LINE_MAX_SHOWN ? len : LINE_MAX_SHOWN;
            memcpy(e->text, p, len);
            e->text[len] = '\0';
        }
        p += len + (nl != NULL);
    }
    return 0;
}

/* A sink for the big build: on a terminal every line, else the last one every few seconds. */
typedef struct live {
    demo *d;
    char last[LINE_MAX_SHOWN + 1];
    pw_usec next;
    bool all; /* every line, wherever it goes */
} live;

static void show_line(live *l)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    int width = l->d->c->width;
    show_clean(&b, l->last, width > 20 ? (size_t)width - 8 : 0);
    client_say(l->d->c, "   | %s\n", pw_buf_str(&b));
}

static int live_lines(void *self, const char *p, size_t n)
{
    live *l = self;
    for (const char *end = p + n; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p),
               k = len < LINE_MAX_SHOWN ? len : LINE_MAX_SHOWN;
        memcpy(l->last, p, k);
        l->last[k] = '\0';
        if (l->all || l->d->c->tty)
            show_line(l);
        p += len + (nl != NULL);
    }
    if (!l->all && !l->d->c->tty && l->last[0] && pw_now(l->d->c->host) >= l->next) {
        show_line(l);
        l->next = deadline(l->d, QUIET_S);
        l->last[0] = '\0';
    }
    return 0;
}

/* The end of the log of the step that failed, so that nobody has to start a master to see it. */
static void show_tail(demo *d, uint64_t id)
{
    char path[100];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64, id);
    if (rest_get(d->c, path, &r, NULL) < 0)
        return;
    const json_value *steps = json_get(r.value, "steps");
    for (size_t i = 0; i < json_count(steps); i++) {
        PW_AUTO(pw_buf_clearp) pw_buf tail = PW_BUF(REST_PATH_MAX);
        PW_AUTO(rest_answer_clear) rest_answer log = {0};
        const char *result = json_str(json_get(json_at(steps, i), "result"), "");
        if (strcmp(result, "failure") != 0 && strcmp(result, "exception") != 0)
            continue;
        (void)pw_buf_addf(&tail, "/api/v1/builds/%" PRIu64 "/log", id);
        rest_part(&tail, json_str(json_get(json_at(steps, i), "name"), "?"));
        (void)pw_buf_addf(&tail, "?tail=%d", TAIL_LINES);
        if (tail.failed || rest_get(d->c, pw_buf_str(&tail), &log, NULL) < 0)
            continue;
        live l = {.d = d, .all = true};
        (void)live_lines(&l, pw_buf_str(&log.text), log.text.len);
    }
}

/* ---- the story */

static int good(demo *d, sample_kind kind, const char *message, char rev[DEMO_REV], pw_err *err)
{
    done_build b = {0};
    int rc = demo_push(d, kind, message, rev, err);
    if (rc < 0)
        return rc;
    client_say(d->c, "   pushed %.8s \"%s\"\n", rev, message);
    if ((rc = wait_build(d, "sample", rev, &b, err)) < 0)
        return rc;
    say_result(d, "sample/test", &b);
    if (strcmp(b.result, "success") != 0)
        show_tail(d, b.id);
    rc = expect(&b, "success", err);
    return rc < 0 ? rc : wait_stable(d, "sample.git", rev, err);
}

static int bad(demo *d, const char *stable, pw_err *err)
{
    static const char message[] = "Count words by their ends";
    char rev[DEMO_REV], at[DEMO_REV], why[300];
    done_build b = {0};
    error_line line = {0};
    uint64_t pos = 0;
    int rc = demo_push(d, SAMPLE_BROKEN, message, rev, err);
    if (rc < 0)
        return rc;
    client_say(d->c, "   pushed %.8s \"%s\"\n", rev, message);
    if ((rc = wait_build(d, "sample", rev, &b, err)) < 0)
        return rc;
    say_result(d, "sample/test", &b);
    if ((rc = expect(&b, "failure", err)) < 0 ||
        (rc = logs_poll(d->c, b.id, "test", &pos, true, keep_error, &line, err)) < 0)
        return rc;
    if (!line.text[0])
        return pw_fail(err, PW_ECONFLICT,
                       "the log of build %" PRIu64 " does not show the failed check", b.id);
    PW_AUTO(pw_buf_clearp) pw_buf shown = PW_BUF(4096);
    show_styled(&shown, SHOW_BAD, d->c->colour, line.text);
    client_say(d->c, "   its log says: %s\n", pw_buf_str(&shown));
    if ((rc = edge_reason(d, "sample-stable", why, sizeof(why), err)) < 0 ||
        (rc = demo_ref(d, "sample.git", "stable", at, err)) < 0)
        return rc;
    if (strcmp(at, stable) != 0)
        return pw_fail(err, PW_ECONFLICT,
                       "stable of sample.git should still stand at %.8s, but git says %.8s", stable,
                       at);
    client_say(d->c, "   stable stays at %.8s: %s\n", at, why);
    return 0;
}

/* Shows the output of all steps as it comes, until the build is done. */
static int watch(demo *d, uint64_t id, done_build *ret, pw_err *err)
{
    live l = {.d = d};
    uint64_t pos = 0;
    size_t step = 0;
    pw_usec end = deadline(d, PAWL_S);
    for (;;) {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        int done = look(d, id, ret, &r, err);
        if (done < 0)
            return done;
        const json_value *steps = json_get(r.value, "steps"), *s;
        while ((s = json_at(steps, step))) {
            const char *name = json_str(json_get(s, "name"), "?"),
                       *state = json_str(json_get(s, "state"), "");
            bool over = strcmp(state, "done") == 0;
            if (strcmp(state, "waiting") == 0)
                break;
            int rc = logs_poll(d->c, id, name, &pos, over, live_lines, &l, err);
            if (rc < 0 && rc != PW_ENOTFOUND)
                return pw_err_context(err, "following the log of build %" PRIu64, id);
            if (!over)
                break;
            client_say(d->c, "   %s: %s\n", name, json_str(json_get(s, "result"), "?"));
            l.last[0] = '\0';
            step++;
            pos = 0;
        }
        if (done)
            return 0;
        int rc = tick(d, end, "waiting for the build of Pawl itself", err);
        if (rc < 0)
            return rc;
    }
}

static int own(demo *d, pw_err *err)
{
    bool moved = false;
    uint64_t id = 0, before = 0;
    done_build b = {0};
    int rc = find_build(d, "pawl", d->source_head, 0, &before, err);
    if (rc == 0)
        rc = demo_push_pawl(d, &moved, err);
    if (rc < 0)
        return rc;
    client_say(d->c, "   pushed %.8s\n", d->source_head);
    if (!moved) { /* the same commit as last time is no change, so somebody has to ask */
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        rc = rest_post(
            d->c, "/api/v1/force",
            "{\"builder\":\"pawl/build\",\"branch\":\"master\",\"reason\":\"the demo runs again\"}",
            &r, err);
        if (rc < 0)
            return pw_err_context(err, "forcing the build of Pawl itself");
        client_say(d->c, "   it was pushed before; a build is forced\n");
    }
    pw_usec end = deadline(d, SAMPLE_S);
    while ((rc = find_build(d, "pawl", d->source_head, before, &id, err)) == 0 && !id)
        if ((rc = tick(d, end, "waiting for the build of Pawl itself to begin", err)) < 0)
            return rc;
    if (rc < 0 || (rc = watch(d, id, &b, err)) < 0)
        return rc;
    say_result(d, "pawl/build", &b);
    if (strcmp(b.result, "success") != 0)
        show_tail(d, b.id);
    rc = expect(&b, "success", err);
    return rc < 0 ? rc : wait_stable(d, "pawl.git", d->source_head, err);
}

int demo_story(demo *d, pw_err *err)
{
    char rev[DEMO_REV];
    client_say(d->c, "\n1. A good commit is pushed to the sample project.\n");
    int rc = good(d, SAMPLE_GOOD, "Count lines, words and bytes", rev, err);
    if (rc < 0)
        return rc;
    client_say(d->c, "\n2. A commit with a mistake.\n");
    if ((rc = bad(d, rev, err)) < 0)
        return rc;
    client_say(d->c, "\n3. A commit that mends it.\n");
    if ((rc = good(d, SAMPLE_MENDED, "Count no word behind a last blank", rev, err)) < 0)
        return rc;
    if (!d->source) {
        client_say(d->c, "\n4. Building Pawl itself is left out: the current folder is not in its "
                         "repository, or has no commit yet.\n");
        return 0;
    }
    client_say(d->c, "\n4. Pawl's own repository is compiled and unit-tested (some minutes).\n");
    return own(d, err);
}
