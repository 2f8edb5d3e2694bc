/* `trigger`: the step asks by a record in the journal, and the master answers by notes. What it
 * said is a row there and comes again after each new session, so the runner only waits: for the
 * first word ("taken" or "refused"), and with `wait` for the last ("over RESULT"). A note's number
 * is 2 * step + 1 or + 2. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "worker/run/alone.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"

enum { LOOK_US = 1000000 };

void trigger_told(run_job *r, const char *note)
{
    char number[24] = "";
    size_t n = strcspn(note, " ");
    uint64_t seq;
    if (n == 0 || n >= sizeof(number) || !note[n])
        return;
    memcpy(number, note, n);
    if (pw_parse_u64(number, &seq, NULL) < 0 || seq <= r->told)
        return;
    r->told = seq;
    memcpy(r->told_text, note + n + 1, strlen(note + n + 1) + 1);
}

static bool truth(const job_step *s, const char *name, const char *word)
{
    const char *text = with_get(s, name);
    return text && strcmp(text, word) == 0;
}

static int properties(const run_job *r, const job_step *s, msg_pair *v, size_t *n, pw_err *err)
{
    const msg_pair *p = s->with.v;
    for (size_t i = 0; i < s->with.n; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(PW_VALUE_MAX);
        bool failed = false;
        if (strncmp(p[i].name, "prop.", 5) != 0)
            continue;
        int rc = env_subst(&r->spec, p[i].value, &text, err);
        if (rc == 0 && text.failed)
            rc = pw_fail(err, PW_ELIMIT, "it is longer than %d bytes", PW_VALUE_MAX);
        if (rc < 0)
            return pw_err_context(err, "property %.100s", p[i].name + 5);
        v[*n] = (msg_pair){p[i].name + 5, pw_strdup(pw_buf_str(&text), &failed)};
        if (failed)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        mask_text(r->mask, v[*n].value); /* what the master has is shown to people */
        ++*n;
    }
    return 0;
}

static int ask(run_job *r, size_t index, const job_step *s, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf scheduler = PW_BUF(PW_NAME_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf revision = PW_BUF(PW_NAME_MAX);
    msg_pair *v = calloc(s->with.n + 1, sizeof(*v));
    size_t n = 0;
    int rc = v ? properties(r, s, v, &n, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0)
        rc = with_text(r, s, "scheduler", &scheduler, err);
    if (rc == 0)
        rc = with_text(r, s, "revision", &revision, err);
    rec_trigger rec = {.step = index,
                       .scheduler = (char *)(uintptr_t)pw_buf_str(&scheduler),
                       .props = {v, n},
                       .revision = revision.len ? (char *)(uintptr_t)pw_buf_str(&revision) : NULL,
                       .wait = truth(s, "wait", "true"),
                       .keep = truth(s, "cancel", "false")};
    if (rc == 0)
        rc = writer_record(&r->writer, PW_REC_TRIGGER, &rec_trigger_schema, &rec, err);
    for (size_t i = 0; i < n; i++)
        free(v[i].value);
    free(v);
    return rc;
}

/* What is behind the first line, for people. */
static void say(run_job *r, const char *text)
{
    for (const char *p = strchr(text, '\n'); p && p[1]; p = strchr(p + 1, '\n'))
        with_say(r, "%.*s", (int)strcspn(p + 1, "\n"), p + 1);
}

/* "over RESULT": the step's, with what its builds were in the lines behind. */
static void over(const char *text, step_result *out)
{
    const char *name = text + strlen("over ");
    size_t n = strcspn(name, "\n");
    for (int i = 0; i <= PW_CANCELLED; i++) {
        const char *word = pw_result_name((pw_result)i);
        if (strlen(word) != n || memcmp(word, name, n) != 0)
            continue;
        if (i == PW_SUCCESS || i == PW_SKIPPED)
            out->result = PW_SUCCESS; /* that nothing had to be built is no fault */
        else
            step_fail(out, (pw_result)i, "what it triggered ended with %s", word);
        return;
    }
    step_fail(out, PW_EXCEPTION, "the master said something unknown of what it triggered");
}

/* A round of waiting: orders, limits, the sign of life that a held lock needs. */
static void wait_once(run_job *r)
{
    struct pollfd p[2] = {{.fd = r->signals, .events = POLLIN},
                          {.fd = r->control, .events = POLLIN}};
    pw_usec now = pw_now(r->host->clock), left = LOOK_US;
    if (r->deadline && r->deadline - now < left)
        left = r->deadline > now ? r->deadline - now : 0;
    (void)poll(p, 2, (int)((left + 999) / 1000));
    run_listen(r);
    alone_look(r);
    now = pw_now(r->host->clock);
    if (r->deadline && now >= r->deadline)
        r->timed_out = true;
    pw_err none;
    (void)out_pump(&r->stream[0], now, &none); /* what finds no room is kept for the next time */
    writer_tick(&r->writer, now);
}

/* What ended the wait from outside. */
static void ended(const run_job *r, step_result *out)
{
    if (r->cancelled)
        step_fail(out, PW_CANCELLED, "%s", r->cancel_text);
    else if (r->timed_out)
        step_fail(out, PW_FAILURE, "job timeout");
    else
        step_fail(out, PW_EXCEPTION, "the job ended before an answer came");
}

void step_trigger(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                  step_result *out)
{
    const uint64_t first = 2 * (uint64_t)index + 1, last = first + 1;
    bool wait = truth(s, "wait", "true"), shown = false;
    pw_usec limit = s->timeout_ms ? pw_now(r->host->clock) + step_spec(s, env, dir).timeout : 0;
    pw_err err = {0};
    if (r->spec.event && strcmp(r->spec.event, "local") == 0) {
        with_say(r, "not triggered: there is no master here");
        return;
    }
    if (ask(r, index, s, &err) < 0) {
        step_fail_err(out, PW_EXCEPTION, &err);
        return;
    }
    for (;;) {
        if (r->told == last) {
            say(r, r->told_text);
            over(r->told_text, out);
            return;
        }
        if (r->told == first && strncmp(r->told_text, "refused ", 8) == 0) {
            step_fail(out, PW_FAILURE, "%s", r->told_text + 8);
            return;
        }
        if (r->told == first && !shown) {
            say(r, r->told_text);
            shown = true;
        }
        if (shown && !wait)
            return;
        if (run_over(r)) {
            ended(r, out);
            return;
        }
        if (limit && pw_now(r->host->clock) >= limit) {
            char text[32];
            step_fail(out, PW_FAILURE, "timeout after %s",
                      pw_duration_text((pw_usec)s->timeout_ms * 1000, text));
            return;
        }
        wait_once(r);
    }
}
