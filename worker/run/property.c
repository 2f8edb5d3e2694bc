/* `set_property`: a text, a file's content, or what a script printed, becomes a property of the
 * build; `annotate`: a note beside it. */
#include <string.h>

#include "worker/run/kinds.h"
#include "worker/run/steps.h"

#define OUTPUT "pawl-property" /* in TMPDIR */

/* What the script prints goes to a file of ours; what it says on standard error, into the log. */
static int printed(run_job *r, const job_step *s, const env_list *env, const char *dir,
                   const char *text, pw_buf *value, step_result *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf script = PW_BUF(PW_SCRIPT_MAX + 100);
    if (pw_buf_addf(&script, "exec >\"$TMPDIR/" OUTPUT "\"\n%s\n", text) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    const char *argv[] = {"/bin/sh", "-ec", pw_buf_str(&script), NULL};
    if (with_run(r, s, env, dir, argv, out) < 0)
        return 0;
    return with_file(r->tmpdir, OUTPUT, value, err);
}

/* how: "run", "file" or "value". */
static int value_of(run_job *r, const job_step *s, const env_list *env, const char *dir,
                    const msg_pair *p, pw_buf *value, step_result *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf file = PW_BUF(4096);
    if (strncmp(p->name, "run.", 4) == 0)
        return printed(r, s, env, dir, p->value, value, out, err);
    if (strncmp(p->name, "value.", 6) == 0)
        return env_subst(&r->spec, p->value, value, err);
    int rc = env_subst(&r->spec, p->value, &file, err);
    return rc < 0 ? rc : with_file(dir, pw_buf_str(&file), value, err);
}

static int set_one(run_job *r, size_t index, const job_step *s, const env_list *env,
                   const char *dir, const msg_pair *p, step_result *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf value = PW_BUF(PW_VALUE_MAX);
    const char *name = strchr(p->name, '.');
    if (!name || !*++name)
        return pw_fail(err, PW_EINVAL, "the step names no property");
    int rc = value_of(r, s, env, dir, p, &value, out, err);
    if (rc < 0 || out->result != PW_SUCCESS)
        return rc;
    while (value.len && (value.p[value.len - 1] == '\n' || value.p[value.len - 1] == '\r'))
        value.len--;
    if (value.len && memchr(value.p, '\0', value.len))
        return pw_fail(err, PW_EINVAL, "the value of \"%.100s\" has a zero byte in it", name);
    if ((rc = with_property(r, index, name, pw_buf_str(&value), err)) == 0)
        with_say(r, "property %s = %.1000s", name, pw_buf_str(&value));
    return rc;
}

void step_set_property(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                       step_result *out)
{
    const msg_pair *p = s->with.v;
    pw_err err = {0};
    int rc = 0;
    for (size_t i = 0; i < s->with.n && rc == 0 && out->result == PW_SUCCESS; i++)
        rc = set_one(r, index, s, env, dir, &p[i], out, &err);
    if (rc < 0)
        /* a file that is missing or too long is the code's fault, no memory is ours */
        step_fail_err(out, rc == PW_ENOMEM || rc == PW_EFULL ? PW_EXCEPTION : PW_FAILURE, &err);
}

void step_annotate(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                   step_result *out)
{
    (void)env;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(PW_NOTE_MAX - 1);
    PW_AUTO(pw_buf_clearp) pw_buf context = PW_BUF(PW_NAME_MAX - 1);
    PW_AUTO(pw_buf_clearp) pw_buf file = PW_BUF(4096);
    const char *style = with_get(s, "style");
    pw_err err = {0};
    int rc = with_text(r, s, "context", &context, &err);
    if (rc == 0 && with_get(s, "file")) {
        if ((rc = with_text(r, s, "file", &file, &err)) == 0)
            rc = with_file(dir, pw_buf_str(&file), &text, &err);
    } else if (rc == 0) {
        rc = with_text(r, s, "text", &text, &err);
    }
    if (rc == 0 && text.len && memchr(text.p, '\0', text.len))
        rc = pw_fail(&err, PW_EINVAL, "the text has a zero byte in it");
    rec_note rec = {.step = index,
                    .context = context.len ? (char *)(uintptr_t)pw_buf_str(&context) : s->name,
                    .style = (char *)(uintptr_t)(style ? style : "info"),
                    .text = (char *)(uintptr_t)pw_buf_str(&text)};
    if (rc == 0) {
        mask_text(r->mask, rec.text);
        rc = writer_record(&r->writer, PW_REC_NOTE, &rec_note_schema, &rec, &err);
    }
    if (rc < 0)
        step_fail_err(out, rc == PW_ENOMEM || rc == PW_EFULL ? PW_EXCEPTION : PW_FAILURE, &err);
}
