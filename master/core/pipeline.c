/* Pipeline files: read at the revision that is built. The core asks for one path at a time; texts
 * are rows, so neither a restart nor a later build of the revision needs the repository. What is
 * asked for meanwhile is a request of builder `pipeline` that waits; it gives way to those of the
 * file, or is the build that tells what is wrong with it. */
#include "master/core/pipeline.h"
#include "master/store/graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/pipeline/read.h"

enum {
    PIPES_MAX = 64, /* files that are kept read; what open requests use is theirs, too */
    RETRY_US = 5 * 1000000,
    FILES_BYTES = 4 * 1024 * 1024,
};

/* ---- texts */
static void pipe_free(core_pipe *p)
{
    for (size_t i = 0; i < p->n_texts; i++) {
        free(p->text[i].path);
        free(p->text[i].text);
    }
    free(p->text);
    free(p->wanted);
    free(p->errors);
    free(p->trouble);
    pl_unref(p->file);
    free(p);
}

void core_pipes_free(core *self)
{
    for (core_pipe *p = self->pipes, *next; p; p = next) {
        next = p->next;
        pipe_free(p);
    }
}

static int add_text(void *p, const char *path, const char *text)
{
    core_pipe *pipe = p;
    bool failed = false;
    core_pipe_text *v = reallocarray(pipe->text, pipe->n_texts + 1, sizeof(*v));
    if (!v)
        return PW_ENOMEM;
    pipe->text = v;
    v[pipe->n_texts] = (core_pipe_text){pw_strdup(path, &failed), pw_strdup(text, &failed)};
    pipe->n_texts++;
    return failed ? PW_ENOMEM : 0;
}

static const core_pipe_text *find_text(const core_pipe *p, const char *path)
{
    for (size_t i = 0; i < p->n_texts; i++)
        if (strcmp(p->text[i].path, path) == 0)
            return &p->text[i];
    return NULL;
}

bool core_pipe_touched(const core_pipe *p, const char *files)
{
    for (const char *f = files; f && *f;) {
        size_t n = strcspn(f, "\n");
        for (size_t i = 0; i < p->n_texts; i++)
            if (strlen(p->text[i].path) == n && memcmp(p->text[i].path, f, n) == 0)
                return true;
        f += n + (f[n] == '\n');
    }
    return false;
}

/* ---- parsing */
typedef struct parse {
    core *self;
    core_pipe *p;
} parse;

static int read_text(void *self, const char *path, pw_buf *out, pw_err *err)
{
    parse *x = self;
    const core_pipe_text *t = find_text(x->p, path);
    bool failed = false;
    if (!t && !x->p->wanted)
        x->p->wanted = pw_strdup(path, &failed);
    if (!t)
        return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : PW_EAGAIN;
    if (!t->text)
        return pw_fail(err, PW_ENOTFOUND, "it is not in this revision");
    return pw_buf_adds(out, t->text) < 0 ? pw_fail(err, PW_ELIMIT, "it is too long") : 0;
}

static size_t secret_size(void *self, const char *name)
{
    const config_hidden *s = config_secret(((parse *)self)->self->conf, name);
    return s ? s->n : 0;
}

/* With what there is: a file, what is wrong with it, or what is wanted next. */
static bool digest(core *self, core_pipe *p)
{
    parse x = {self, p};
    yaml_errors errors = {0};
    const char *path = self->conf->projects[p->project].pipeline;
    pl_rules rules = {.allow = &self->conf->projects[p->project].allow,
                      .secret_size = secret_size,
                      .read = read_text,
                      .self = &x};
    const core_pipe_text *t = find_text(p, path);
    bool failed = false;
    free(p->wanted);
    free(p->errors);
    p->wanted = p->errors = NULL;
    if (!t) {
        p->wanted = pw_strdup(path, &failed);
        return !failed || (core_nomem(self), false);
    }
    if (t->text)
        p->file = pl_load(path, t->text, strlen(t->text), &rules, &errors);
    else
        yaml_errors_add(&errors, path, 1, 1, "this revision has no such file");
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1024 * 1024);
    failed = errors.failed;
    if (!p->file && !p->wanted && !failed)
        failed = yaml_errors_text(&errors, &text) < 0 || !(p->errors = pw_buf_take(&text));
    yaml_errors_clear(&errors);
    return !failed || (core_nomem(self), false);
}

/* ---- which there are */
static void forget_oldest(core *self)
{
    core_pipe **oldest = NULL;
    size_t n = 0;
    for (core_pipe **at = &self->pipes; *at; at = &(*at)->next, n++)
        if (!(*at)->wanted)
            oldest = at;
    if (n < PIPES_MAX || !oldest)
        return;
    core_pipe *p = *oldest;
    *oldest = p->next;
    pipe_free(p);
}

static core_pipe *open_row(core *self, uint64_t id, size_t project, const store_rev *rev)
{
    pw_err err = {0};
    core_pipe *p = calloc(1, sizeof(*p));
    if (!p) {
        (void)core_nomem(self);
        return NULL;
    }
    *p = (core_pipe){.id = id, .project = project, .rev = *rev};
    if (!core_ok(self, store_pipeline_texts(self->st, id, add_text, p, &err), &err) ||
        !digest(self, p)) {
        pipe_free(p);
        return NULL;
    }
    forget_oldest(self);
    p->next = self->pipes;
    self->pipes = p;
    return p;
}

core_pipe *core_pipe_open(core *self, size_t project, const store_rev *rev, bool make)
{
    pw_err err = {0};
    uint64_t id = 0;
    for (core_pipe *p = self->pipes; p; p = p->next)
        if (p->project == project && store_rev_equal(&p->rev, rev))
            return p;
    if (make && !core_turn(self))
        return NULL;
    int r = store_pipeline_id(self->st, self->project[project].row, rev,
                              self->conf->projects[project].pipeline, make, &id, &err);
    if (r == PW_ENOTFOUND && !make)
        return NULL;
    return core_ok(self, r, &err) ? open_row(self, id, project, rev) : NULL;
}

core_pipe *core_pipe_by_id(core *self, uint64_t id)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(PL_PATH_MAX + 1);
    uint64_t row = 0;
    store_rev rev;
    for (core_pipe *p = self->pipes; p; p = p->next)
        if (p->id == id)
            return p;
    if (store_pipeline_row(self->st, id, &row, &rev, &path, NULL) < 0)
        return NULL;
    int64_t project = core_project_by_row(self, row);
    if (project < 0)
        return NULL;
    const char *now = self->conf->projects[project].pipeline;
    return now && strcmp(now, pw_buf_str(&path)) == 0 ? open_row(self, id, (size_t)project, &rev)
                                                      : NULL;
}

core_builder *core_pipe_builder(core *self, uint64_t pipeline, uint64_t row, uint64_t parent)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000), of = PW_BUF(1000);
    uint64_t project = 0, up = 0;
    pw_err err = {0};
    if (!core_ok(self, store_builder_row(self->st, row, &project, &up, &name, &err), &err) ||
        !core_ok(self, store_builder_row(self->st, parent ? parent : row, &project, &up, &of, &err),
                 &err))
        return NULL;
    const core_pipe *p = core_pipe_by_id(self, pipeline);
    const pl_builder *def = NULL;
    for (size_t i = 0; p && p->file && i < p->file->n_builders && !def; i++)
        if (strcmp(p->file->builders[i].name, pw_buf_str(&of)) == 0)
            def = &p->file->builders[i];
    int64_t at = core_project_by_row(self, project);
    return core_builder_other(self, row, parent, at < 0 ? SIZE_MAX : (size_t)at, pw_buf_str(&name),
                              def, def ? p->file : NULL);
}

/* ---- what waits for one */
static bool waits_for(const core *self, const core_request *r, const core_pipe *p)
{
    return r->hold == HOLD_READING && r->stamp->project_row == self->project[p->project].row &&
           store_rev_equal(&r->stamp->rev, &p->rev);
}

static void resume_all(core *self, core_pipe *p)
{
    core_request *r;
    size_t n = 0, k = 0;
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));)
        n += waits_for(self, r, p);
    PW_AUTO(pw_freep) uint64_t *ids = calloc(n + 1, sizeof(*ids));
    if (!ids) {
        (void)core_nomem(self);
        return;
    }
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));)
        if (waits_for(self, r, p))
            ids[k++] = r->id;
    for (size_t i = 0; i < k && !self->fault.code; i++)
        if ((r = pw_table_get(self->requests, ids[i])))
            core_ask_resume(self, r, p);
}

static void ask(core *self, core_pipe *p)
{
    core_effect *e = core_add_effect(self, CORE_PIPELINE);
    bool failed = false;
    if (!e)
        return;
    e->id = p->id;
    e->index = p->project;
    e->text = pw_strdup(p->wanted, &failed);
    if (failed)
        (void)core_nomem(self);
    p->asking = true;
}

void core_pipelines_tick(core *self)
{
    pw_usec now = pw_now(self->host);
    for (core_pipe *p = self->pipes; p && !self->fault.code; p = p->next)
        if (p->wanted && !p->asking && now >= p->due)
            ask(self, p);
}

bool core_pipeline_rev(const core *self, uint64_t id, store_rev *ret)
{
    for (const core_pipe *p = self->pipes; p; p = p->next) {
        if (p->id != id)
            continue;
        *ret = p->rev;
        return true;
    }
    return false;
}

static core_pipe *answered(core *self, uint64_t id)
{
    core_pipe *p = self->pipes;
    while (p && p->id != id)
        p = p->next;
    if (!p || !p->wanted)
        return NULL;
    p->asking = false;
    free(p->trouble);
    p->trouble = NULL;
    return p;
}

void core_pipeline_read(core *self, uint64_t id, const char *path, const char *text, size_t n)
{
    pw_err err = {0};
    core_pipe *p = answered(self, id);
    PW_AUTO(pw_freep) char *copy = text ? strndup(text, n) : NULL;
    if (!p || strcmp(p->wanted, path) != 0 || !core_turn(self))
        return;
    if (text && !copy) {
        (void)core_nomem(self);
        return;
    }
    /* a byte that ends a text here would hide what stands behind it; this one is wrong there, too
     */
    if (copy && memchr(text, '\0', n)) {
        free(copy);
        copy = strdup("\1");
        if (!copy) {
            (void)core_nomem(self);
            return;
        }
    }
    if (!core_ok(self, store_pipeline_put(self->st, id, path, copy, &err), &err))
        return;
    if (add_text(p, path, copy) < 0) {
        (void)core_nomem(self);
        return;
    }
    if (!digest(self, p))
        return;
    if (p->wanted)
        ask(self, p);
    else
        resume_all(self, p);
}

void core_pipeline_failed(core *self, uint64_t id, const char *text)
{
    core_pipe *p = answered(self, id);
    bool failed = false;
    if (!p)
        return;
    p->due = pw_now(self->host) + RETRY_US;
    p->trouble = pw_strdup(text, &failed);
    pw_log(PW_LOG_WARN, "pipeline_not_read", "project=\"%s\" reason=\"%s\"",
           self->conf->projects[p->project].name, text);
}

void core_pipeline_why(const core *self, const core_request *r, pw_buf *text)
{
    (void)pw_buf_adds(text, "its pipeline file is being read");
    for (const core_pipe *p = self->pipes; p; p = p->next)
        if (p->trouble && waits_for(self, r, p))
            (void)pw_buf_addf(text, ": the last try failed: %s", p->trouble);
}

int core_pipelines_load(core *self)
{
    core_request *r;
    size_t n = 0, k = 0;
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));)
        n += r->hold == HOLD_READING;
    PW_AUTO(pw_freep) uint64_t *ids = calloc(n + 1, sizeof(*ids));
    if (!ids)
        return PW_ENOMEM;
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));)
        if (r->hold == HOLD_READING)
            ids[k++] = r->id;
    for (size_t i = 0; i < k && !self->fault.code; i++) {
        if (!(r = pw_table_get(self->requests, ids[i])))
            continue;
        int64_t at = core_project_by_row(self, r->stamp->project_row);
        if (at < 0 || !self->conf->projects[at].pipeline) {
            core_request_end(self, r, "its project has no pipeline file any more");
            continue;
        }
        core_pipe *p = core_pipe_open(self, (size_t)at, &r->stamp->rev, true);
        if (p && !p->wanted)
            core_ask_resume(self, r, p);
    }
    return 0;
}
