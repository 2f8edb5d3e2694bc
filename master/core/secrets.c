#include "master/core/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "shared/job/job.h"

bool secrets_trusted(const trust_facts *f)
{
    return f->released ||
           (!f->foreign && (f->ours || glob_match(f->project->branches, f->branch) ||
                            (f->project->tags && glob_match(f->project->tags, f->branch))));
}

void secrets_clear(pw_list *secrets)
{
    job_secrets s = {.secrets = *secrets};
    pw_schema_clear(&job_secrets_schema, &s);
    *secrets = (pw_list){0};
}

static int copy(msg_secret *to, const config_hidden *from, pw_err *err)
{
    bool failed = false;
    to->name = pw_strdup(from->name, &failed);
    to->value.p = malloc(from->n);
    if (failed || !to->value.p)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    memcpy(to->value.p, from->p, from->n);
    to->value.n = from->n;
    return 0;
}

int secrets_for(const secrets_facts *f, pw_list *ret, pw_err *err)
{
    pw_list list = {0};
    size_t sum = 0;
    int rc = 0;
    if (!f->names.n) {
        *ret = list;
        return 0;
    }
    if (!f->trusted)
        return pw_fail(
            err, PW_EDENIED,
            "it needs secret \"%.100s\", and what is not from a configured branch of the "
            "project's own repository gets no secrets, unless its revision is released",
            f->names.v[0]);
    msg_secret *v = calloc(f->names.n, sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    list.v = v;
    for (size_t i = 0; i < f->names.n && rc == 0; i++) {
        const config_hidden *s = config_secret(f->conf, f->names.v[i]);
        sum += s ? strlen(s->name) + s->n : 0;
        if (!s)
            rc = pw_fail(err, PW_EINVAL,
                         "secret \"%.100s\" is not in the configuration any more; force the build "
                         "anew, its builder may need it no longer",
                         f->names.v[i]);
        else if (sum > PW_SECRETS_BYTES) /* they grew since the job was frozen */
            rc = pw_fail(err, PW_EINVAL, "its secrets are longer than %d bytes together",
                         PW_SECRETS_BYTES);
        else
            rc = copy(&v[list.n++], s, err);
    }
    if (rc < 0)
        secrets_clear(&list);
    else
        *ret = list;
    return rc;
}
