#include "master/http/logfind.h"

#include <inttypes.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/job/job.h"
#include "shared/job/record.h"

typedef struct find {
    const char *text;
    size_t plain; /* bytes before ".stderr"; 0: it does not end so */
    uint64_t idx, stream, number;
    size_t steps;
    bool found, numeric, over;
} find;

static void look(find *f, uint64_t idx, const char *name, bool over)
{
    bool exact = strcmp(name, f->text) == 0;
    bool second = f->plain && strlen(name) == f->plain && memcmp(name, f->text, f->plain) == 0;
    if (idx >= f->steps)
        f->steps = (size_t)idx + 1;
    if (!exact && !(second && !f->found) && !(f->numeric && idx == f->number && !f->found))
        return;
    f->stream = exact || !f->plain ? 0 : 1;
    f->idx = idx;
    f->over = over;
    f->found = true;
    if (exact)
        f->numeric = false; /* a step that is called "3" goes before the one with that index */
}

static int on_step(void *self, const store_step *s)
{
    look(self, s->idx, s->name, s->state == STEP_DONE);
    return 0;
}

static int on_build(void *self, const reader_build *r)
{
    *(build_state *)self = r->b.state;
    return 0;
}

static int in_job(reader *rd, find *f, uint64_t build, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
    job_spec spec;
    int r = reader_job(rd, build, &frozen, err);
    if (r < 0 || (r = pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, &spec, err)) < 0)
        return r == PW_ENOTFOUND ? 0 : r;
    const job_step *s = spec.steps.v;
    for (size_t i = f->steps; i < spec.steps.n; i++)
        look(f, i, s[i].name, false);
    pw_schema_clear(&job_spec_schema, &spec);
    return 0;
}

int log_find(reader *rd, uint64_t build, uint64_t nth, const char *text, log_at *ret, pw_err *err)
{
    static const char tail[] = ".stderr";
    char number[24];
    size_t n = strlen(text);
    build_state state = BUILD_DONE;
    uint64_t last = 0;
    find f = {.text = text};
    if (n > sizeof(tail) - 1 && strcmp(text + n - sizeof(tail) + 1, tail) == 0)
        f.plain = n - sizeof(tail) + 1;
    size_t digits = f.plain ? f.plain : n;
    if (digits < sizeof(number)) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        f.numeric = pw_parse_u64(number, &f.number, NULL) == 0;
    }
    *ret = (log_at){.build = build};
    int r = reader_build_one(rd, build, on_build, &state, err);
    if (r == 0) {
        r = reader_attempt_of(rd, build, 0, &last, err);
        if (r == PW_ENOTFOUND && nth == 0)
            r = 0;
        else if (r == 0 && nth > 0)
            r = reader_attempt_of(rd, build, nth, &ret->attempt, err);
        else
            ret->attempt = last;
    }
    if (r == 0 && ret->attempt)
        r = reader_steps(rd, ret->attempt, on_step, &f, err);
    if (r == 0 && state != BUILD_DONE)
        r = in_job(rd, &f, build, err);
    if (r < 0)
        return r;
    if (!f.found)
        return pw_fail(err, PW_ENOTFOUND, "build %" PRIu64 " has no step \"%.200s\"", build, text);
    ret->idx = (uint32_t)f.idx;
    ret->stream = f.stream ? PW_STREAM_ERR : PW_STREAM_OUT;
    /* a queued build may have an attempt that came to nothing: its logs are what they are */
    ret->over = f.over || state == BUILD_DONE || ret->attempt != last ||
                (state == BUILD_QUEUED && last != 0);
    return 0;
}
