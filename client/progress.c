#include "client/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/rest.h"
#include "client/show.h"

enum { WHY_EVERY = 7, NAME_COLUMNS_MAX = 40, BLOCK_MAX = 1024 * 1024 };

static const char *str(const json_value *object, const char *key, const char *otherwise)
{
    return json_str(json_get(object, key), otherwise);
}

static bool is_done(const json_value *v)
{
    return strcmp(str(v, "state", ""), "done") == 0;
}

const char *progress_word(const json_value *build, const json_value *step)
{
    const json_value *v = step && (is_done(step) || !is_done(build)) ? step : build;
    return is_done(v) ? str(v, "result", "done") : str(v, "state", "?");
}

const json_value *progress_end(const json_value *build, const json_value *step)
{
    return json_get(is_done(step) || !is_done(build) ? step : build, "finished");
}

static void pad(pw_buf *b, size_t from, size_t to)
{
    for (; from < to; from++)
        (void)pw_buf_adds(b, " ");
}

/* name, state, time, spinner or reason; returns nothing: the line is cut by show_clean's rules
 * piece by piece. */
static void step_line(const json_value *build, const json_value *s, size_t name_columns,
                      pw_msec now, unsigned tick, bool colour, int width, pw_buf *b)
{
    static const char spinner[] = "|/-\\";
    char took[32];
    const char *w = progress_word(build, s), *name = str(s, "name", "?"),
               *reason = str(s, "reason", NULL);
    bool running = strcmp(w, "running") == 0;
    size_t used = 2 + name_columns + 2 + 10 + 2 + 8 + 2;
    (void)pw_buf_adds(b, "  ");
    show_clean(b, name, name_columns);
    size_t n = show_width(name);
    pad(b, n, name_columns + 2);
    show_styled(b, show_style_of(w), colour, w);
    pad(b, show_width(w), 12);
    const char *t = show_took(json_get(s, "started"), progress_end(build, s), now, took);
    if (strcmp(w, "waiting") == 0 || strcmp(w, "skipped") == 0)
        t = "";
    (void)pw_buf_adds(b, t);
    if (running) {
        (void)pw_buf_addf(b, " %c", spinner[tick % 4]);
    } else if (reason && *reason && strcmp(w, "success") != 0 &&
               (!width || (size_t)width > used + 12)) {
        pad(b, show_width(t), 10);
        show_clean(b, reason, width ? (size_t)width - used - 1 : 0);
    }
    (void)pw_buf_adds(b, "\n");
}

size_t progress_block(const json_value *build, pw_msec now, unsigned tick, bool colour, int width,
                      pw_buf *b)
{
    char head[512], took[32], rev[9];
    const json_value *steps = json_get(build, "steps");
    size_t n = json_count(steps), columns = 8;
    const char *w = progress_word(build, NULL);
    for (size_t i = 0; i < n; i++) {
        size_t k = show_width(str(json_at(steps, i), "name", "?"));
        columns = k > columns ? k : columns;
    }
    columns = columns < NAME_COLUMNS_MAX ? columns : NAME_COLUMNS_MAX;
    (void)snprintf(head, sizeof(head), "build %" PRId64 "  %s/%s  %s  %s  ",
                   json_int(json_get(build, "id"), 0), str(build, "project", "?"),
                   str(build, "builder", "?"), str(build, "branch", "?"),
                   show_rev(json_get(build, "revision"), rev));
    show_clean(b, head, width > 30 ? (size_t)width - 25 : 0);
    show_styled(b, show_style_of(w), colour, w);
    (void)pw_buf_addf(
        b, "  %s\n", show_took(json_get(build, "started"), json_get(build, "finished"), now, took));
    for (size_t i = 0; i < n; i++)
        step_line(build, json_at(steps, i), columns, now, tick, colour, width, b);
    return n + 1;
}

void progress_told_clear(progress_told *t)
{
    pw_buf_clear(&t->steps);
    *t = (progress_told){0};
}

static void plain_step(const json_value *build, const json_value *s, pw_msec now, char *told,
                       pw_buf *b)
{
    char took[32];
    const char *state = str(s, "state", ""), *reason = str(s, "reason", NULL);
    bool done = is_done(s) || is_done(build);
    if (*told < 1 && strcmp(state, "running") == 0 && !done) {
        *told = 1;
        show_clean(b, str(s, "name", "?"), 0);
        (void)pw_buf_adds(b, ": running\n");
    }
    if (*told < 2 && done) {
        *told = 2;
        show_clean(b, str(s, "name", "?"), 0);
        (void)pw_buf_addf(b, ": %s", progress_word(build, s));
        if (!json_is_null(json_get(s, "started")))
            (void)pw_buf_addf(b, " (%s)",
                              show_took(json_get(s, "started"), progress_end(build, s), now, took));
        if (reason && *reason && strcmp(progress_word(build, s), "success") != 0) {
            (void)pw_buf_adds(b, ": ");
            show_clean(b, reason, 0);
        }
        (void)pw_buf_adds(b, "\n");
    }
}

void progress_lines(const json_value *build, pw_msec now, progress_told *told, pw_buf *b)
{
    char took[32];
    const json_value *steps = json_get(build, "steps");
    const char *w = progress_word(build, NULL);
    bool done = is_done(build), news = strcmp(told->state, w) != 0;
    told->steps.max = 1024 * 1024;
    while (told->steps.len < json_count(steps) && pw_buf_add(&told->steps, "", 1) == 0)
        ;
    if (news && !done)
        (void)pw_buf_addf(b, "build %" PRId64 ": %s\n", json_int(json_get(build, "id"), 0), w);
    for (size_t i = 0; i < json_count(steps) && i < told->steps.len; i++)
        plain_step(build, json_at(steps, i), now, told->steps.p + i, b);
    if (news && done)
        (void)pw_buf_addf(
            b, "build %" PRId64 ": %s (%s)\n", json_int(json_get(build, "id"), 0), w,
            show_took(json_get(build, "started"), json_get(build, "finished"), now, took));
    (void)snprintf(told->state, sizeof(told->state), "%s", w);
}

int progress_exit(const json_value *build)
{
    const char *result = str(build, "result", "");
    return strcmp(result, "success") == 0 || strcmp(result, "warnings") == 0 ? 0 : 1;
}

/* GET in a waiting loop: a master that starts anew is waited for. *away counts polls without an
 * answer. */
static int poll_get(client *c, const char *path, unsigned *away, rest_answer *ret, pw_err *err)
{
    int rc = rest_get(c, path, ret, err);
    if (rc >= 0) {
        *away = 0;
        return 1;
    }
    if (!c->http || !rest_passing(rc) || ++*away > PROGRESS_PATIENCE_S * 1000 / PROGRESS_POLL_MS)
        return rc;
    return 0;
}

static void tell_why(client *c, uint64_t request, char *last, size_t cap)
{
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64 "/why", request);
    if (rest_get(c, path, &r, NULL) < 0 || strcmp(str(r.value, "state", ""), "waiting") != 0)
        return;
    const char *why = str(r.value, "reason", "");
    if (*why && strncmp(why, last, cap - 1) != 0) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BLOCK_MAX);
        (void)pw_buf_addf(&b, "request %" PRIu64 " waits: ", request);
        show_clean(&b, why, 0);
        client_say(c, "%s\n", pw_buf_str(&b));
        (void)snprintf(last, cap, "%s", why);
    }
}

/* 1 and the request's fields, 0 when the master does not answer now. */
static int find_request(client *c, uint64_t request, unsigned *away, bool *ret_done,
                        uint64_t *ret_build, pw_err *err)
{
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64, request);
    int rc = poll_get(c, path, away, &r, err);
    if (rc <= 0)
        return rc;
    *ret_done = strcmp(str(r.value, "state", ""), "done") == 0;
    *ret_build = (uint64_t)json_int(json_get(r.value, "build"), 0);
    return 1;
}

int progress_request(client *c, uint64_t request, uint64_t *ret_build, pw_err *err)
{
    char why[512] = "";
    unsigned away = 0;
    for (unsigned i = 1;; i++) {
        bool done = false;
        int rc = find_request(c, request, &away, &done, ret_build, err);
        if (rc < 0)
            return pw_err_context(err, "waiting for request %" PRIu64, request);
        if (rc > 0 && *ret_build)
            return 0;
        if (rc > 0 && done)
            return pw_fail(err, PW_ECONFLICT, "request %" PRIu64 " was cancelled before it began",
                           request);
        if (rc > 0 && !c->json && i % WHY_EVERY == 0)
            tell_why(c, request, why, sizeof(why));
        client_pause(PROGRESS_POLL_MS);
    }
}

int progress_build(client *c, uint64_t build, pw_err *err)
{
    char path[80];
    unsigned away = 0, tick = 0;
    size_t drawn = 0;
    PW_AUTO(progress_told_clear) progress_told told = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64, build);
    for (;; tick++) {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BLOCK_MAX);
        int rc = poll_get(c, path, &away, &r, err);
        if (rc < 0)
            return pw_err_context(err, "waiting for build %" PRIu64, build);
        bool done = rc > 0 && is_done(r.value);
        if (rc > 0 && c->json) { /* nothing but the body of the finished build */
            if (done && rest_raw(c, &r, err) < 0)
                return PW_ESYS;
        } else if (rc > 0 && c->tty) {
            if (drawn) /* up to where the block begins, and away with it */
                (void)pw_buf_addf(&b, "\033[%zuA\033[J", drawn);
            drawn = progress_block(r.value, pw_wall(c->host), tick, c->colour, c->width, &b);
        } else if (rc > 0) {
            progress_lines(r.value, pw_wall(c->host), &told, &b);
        }
        if (client_put(c, &b, err) < 0)
            return PW_ESYS;
        if (done)
            return progress_exit(r.value);
        client_pause(PROGRESS_POLL_MS);
    }
}
