/* pipeline_fuzz.c - any bytes as the file of a repository, which anybody who can push writes. What
 * loads must expand, to no more builds than are allowed, each with another name; every need is of
 * the file and no builder needs itself. The first line may be included once. */
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"

typedef struct input {
    const char *p;
    size_t n;
} input;

static int read_head(void *self, const char *path, pw_buf *out, pw_err *err)
{
    const input *in = self;
    if (strcmp(path, "later") == 0)
        return PW_EAGAIN;
    if (strcmp(path, "head") != 0)
        return pw_fail(err, PW_ENOTFOUND, "it is not there");
    return pw_buf_add(out, in->p, in->n);
}

static bool reaches(const pl_file *f, size_t from, size_t to)
{
    bool in[PL_BUILDERS_MAX] = {0};
    const pl_builder *b = &f->builders[from];
    for (size_t k = 0; k < b->needs.n; k++)
        in[b->need[k]] = true;
    pl_close_needs(f->builders, f->n_builders, in);
    return in[to];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PW_AUTO(yaml_errors_clear) yaml_errors errors = {0};
    const char *text = (const char *)data;
    const char *line = memchr(text, '\n', size);
    input head = {text, line ? (size_t)(line - text) : 0};
    pl_allow allow = {.max_builds = 50};
    pl_rules rules = {.allow = &allow, .read = read_head, .self = &head};
    PW_AUTO(pl_unrefp) pl_file *f = pl_load(".pawl.yaml", text, size, &rules, &errors);
    if (!f || !yaml_errors_none(&errors)) {
        if (f)
            abort();
        return 0;
    }
    size_t sum = 0;
    bool in[PL_BUILDERS_MAX] = {0};
    for (size_t i = 0; i < f->n_builders; i++) {
        pl_instances all;
        if (pl_expand(&f->builders[i], &all, NULL) < 0 || !all.n)
            abort();
        sum += all.n;
        for (size_t k = 0; k < all.n; k++) {
            for (size_t m = 0; m < k; m++)
                if (strcmp(all.v[m].name, all.v[k].name) == 0)
                    abort();
            if (strlen(all.v[k].name) > PW_NAME_MAX)
                abort();
        }
        pl_instances_clear(&all);
        in[i] = true;
        if (reaches(f, i, i))
            abort();
    }
    if (sum > allow.max_builds || !f->n_builders)
        abort();
    pl_select(f->builders, f->n_builders, "a\nsrc/b.c\n", in);
    return 0;
}
