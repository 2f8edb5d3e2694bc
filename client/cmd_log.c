/* pawl log: what steps printed. */
#include "client/cmd_log.h"

#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/logs.h"
#include "client/progress.h"
#include "client/rest.h"
#include "client/show.h"
#include "shared/base/num.h"

enum { NAME_MAX_BYTES = 200 };

int log_target(const char *text, uint64_t *ret_build, const char **ret_step, pw_err *err)
{
    char number[24];
    size_t n = strcspn(text, "/");
    if (n >= sizeof(number))
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is not BUILD or BUILD/STEP", text);
    memcpy(number, text, n);
    number[n] = '\0';
    int rc = args_id(number, "build", ret_build, err);
    if (rc == 0 && text[n] == '/' && !text[n + 1])
        return pw_fail(err, PW_EINVAL, "\"%.60s\" names no step behind the /", text);
    *ret_step = text[n] == '/' ? text + n + 1 : NULL;
    return rc;
}

/* Where bytes of a log go; the heading is written with the first of them when `heading` is set. */
typedef struct out {
    client *c;
    const char *step, *word; /* borrowed */
    bool heading;
    int sys; /* errno of a failed write; 0 */
} out;

static void write_heading(out *o)
{
    PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(4096);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8192);
    (void)pw_buf_addf(&line, "==> %s (%s)", o->step, o->word);
    show_styled(&b, SHOW_BOLD, o->c->colour, pw_buf_str(&line));
    client_say(o->c, "%s\n", pw_buf_str(&b));
    o->heading = false;
}

static int on_bytes(void *self, const char *p, size_t n)
{
    out *o = self;
    pw_err err = {0};
    if (o->heading)
        write_heading(o);
    if (client_write(o->c, p, n, &err) < 0)
        o->sys = err.sys;
    return o->sys;
}

static int finish(const out *o, int rc, pw_err *err)
{
    if (o->sys)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, o->sys, "writing the output");
    return rc;
}

/* One step, and its second log when its stderr was kept apart. */
static int print_step(client *c, uint64_t build, const json_value *whole, const json_value *step,
                      const logs_part *part, bool follow, pw_err *err)
{
    const char *name = json_str(json_get(step, "name"), "?");
    PW_AUTO(pw_freep) char *second = pw_strf("%.*s.stderr", NAME_MAX_BYTES, name);
    out o = {.c = c, .step = name, .word = progress_word(whole, step)};
    if (!second)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!part->raw)
        write_heading(&o);
    int rc = follow ? logs_follow(c, build, name, part, on_bytes, &o, err)
                    : logs_print(c, build, name, part, on_bytes, &o, err);
    rc = finish(&o, rc == PW_ENOTFOUND ? 0 : rc, err);
    if (rc < 0 || strcmp(json_str(json_get(step, "kind"), ""), "checkout") == 0)
        return rc;
    o.step = second;
    o.heading = !part->raw;
    rc = logs_print(c, build, second, part, on_bytes, &o, err);
    return finish(&o, rc == PW_ENOTFOUND ? 0 : rc, err);
}

static int get_build(client *c, uint64_t build, rest_answer *r, pw_err *err)
{
    char path[80];
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64, build);
    return rest_get(c, path, r, err);
}

static int print_all(client *c, uint64_t build, const logs_part *part, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    int rc = get_build(c, build, &r, err);
    const json_value *steps = json_get(r.value, "steps");
    for (size_t i = 0; rc == 0 && i < json_count(steps); i++)
        if (strcmp(json_str(json_get(json_at(steps, i), "state"), ""), "waiting") != 0)
            rc = print_step(c, build, r.value, json_at(steps, i), part, false, err);
    return rc;
}

/* Step after step, each as soon as it begins, until the build ends. A build that is tried again
 * begins anew. */
static int follow_all(client *c, uint64_t build, const logs_part *part, pw_err *err)
{
    size_t step = 0;
    int64_t attempt = 0;
    unsigned away = 0;
    for (;;) {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        int rc = get_build(c, build, &r, err);
        if (rc < 0 &&
            (!rest_passing(rc) || !away || away > PROGRESS_PATIENCE_S * 1000 / PROGRESS_POLL_MS))
            return rc;
        if (rc < 0) {
            away++;
            client_pause(PROGRESS_POLL_MS);
            continue;
        }
        away = 1; /* it answered once, so it is worth waiting for */
        if (json_int(json_get(r.value, "attempt"), attempt) != attempt) {
            attempt = json_int(json_get(r.value, "attempt"), 0);
            step = 0;
        }
        const json_value *steps = json_get(r.value, "steps"), *s = json_at(steps, step);
        bool done = strcmp(json_str(json_get(r.value, "state"), ""), "done") == 0;
        if (s && strcmp(json_str(json_get(s, "state"), ""), "waiting") != 0) {
            rc = print_step(c, build, r.value, s, part, true, err);
            if (rc < 0)
                return rc;
            step++;
            continue;
        }
        if (done) {
            if (c->tty && !part->raw)
                client_say(c, "==> build %" PRIu64 ": %s\n", build,
                           json_str(json_get(r.value, "result"), "?"));
            return 0;
        }
        client_pause(PROGRESS_POLL_MS);
    }
}

static int run_log(client *c, const args *a, pw_err *err)
{
    uint64_t build = 0;
    const char *step = NULL;
    bool follow = args_get(a, "follow") != NULL;
    uint64_t lines = 0;
    const logs_part part = {.raw = args_get(a, "raw") != NULL,
                            .times = args_get(a, "times") != NULL,
                            .tail = args_get(a, "tail"),
                            .grep = args_get(a, "grep")};
    out o = {.c = c};
    int rc = log_target(a->word[0], &build, &step, err);
    if (rc < 0)
        return rc;
    if (c->json)
        return pw_fail(err, PW_EINVAL, "a log is text: there is no --json of it");
    if (part.raw && (part.times || part.grep))
        return pw_fail(err, PW_EINVAL,
                       "--raw goes with neither --times nor --grep: these are of lines");
    if (part.tail && pw_parse_u64(part.tail, &lines, NULL) < 0)
        return pw_fail(err, PW_EINVAL, "--tail takes a number of lines, not \"%.60s\"", part.tail);
    if (!step)
        rc = follow ? follow_all(c, build, &part, err) : print_all(c, build, &part, err);
    else if (follow)
        rc = finish(&o, logs_follow(c, build, step, &part, on_bytes, &o, err), err);
    else
        rc = finish(&o, logs_print(c, build, step, &part, on_bytes, &o, err), err);
    return rc < 0 ? pw_err_context(err, "reading the log of build %" PRIu64, build) : 0;
}

static const arg_option options[] = {
    {"follow", 'f', NULL, "go on until the build ends"},
    {"raw", 0, NULL, "the bytes as the steps wrote them, without headings"},
    {"tail", 0, "N", "the last N lines of each step"},
    {"grep", 0, "RE", "only lines that match this regular expression"},
    {"times", 0, NULL, "each line with its time"},
    {NULL, 0, NULL, NULL}};
const command cmd_log[] = {{"log", "ID[/STEP] [-f] [--raw] [--tail N] [--grep RE] [--times]",
                            "What a build's steps printed", options, 1, 1, run_log},
                           {NULL, NULL, NULL, NULL, 0, 0, NULL}};
