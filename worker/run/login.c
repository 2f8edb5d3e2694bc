#include "worker/run/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"

/* New text; NULL: there is none of that name, or no memory (*failed). */
static char *secret(const run_job *r, const char *name, bool *failed)
{
    const msg_secret *s = r->secrets.secrets.v;
    for (size_t i = 0; name && i < r->secrets.secrets.n; i++) {
        if (strcmp(s[i].name, name) != 0)
            continue;
        char *text = strndup((const char *)s[i].value.p, s[i].value.n);
        *failed |= !text;
        return text;
    }
    return NULL;
}

static void hide(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    free(*s);
}

static bool lent(const job_spec *job)
{
    return job->git_key || job->git_password || job->git_hosts;
}

int login_open(const run_job *r, env_list *env, gitlogin_dir *ret, pw_err *err)
{
    const job_spec *job = &r->spec;
    bool failed = false, own = !lent(job);
    PW_AUTO(hide) char *password = secret(r, job->git_password, &failed);
    PW_AUTO(hide) char *key = secret(r, job->git_key, &failed);
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    gitlogin l = {.user = job->git_user,
                  .password = password,
                  .key = key,
                  .known_hosts = job->git_hosts,
                  .key_file = own ? r->host->ssh_key : NULL,
                  .known_hosts_file = own ? r->host->known_hosts : NULL};
    int rc = gitlogin_open(&l, job->repository, r->tmpdir, ret, err);
    for (size_t i = 0; rc == 0 && ret->env[i]; i++) {
        PW_AUTO(pw_freep) char *name = strndup(ret->env[i], strcspn(ret->env[i], "="));
        rc = name ? env_set(env, name, ret->env[i] + strlen(name) + 1, err)
                  : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    if (rc < 0)
        login_close(env, ret);
    return rc;
}

void login_close(env_list *env, gitlogin_dir *d)
{
    char name[32];
    for (size_t i = 0; d->env[i]; i++) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(d->env[i], "="), d->env[i]);
        env_unset(env, name);
    }
    gitlogin_close(d);
}

void login_cure(const run_job *r, const char *said, char *out, size_t room)
{
    const job_spec *job = &r->spec;
    const char *project = job->project ? job->project : "";
    *out = '\0';
    switch (gitlogin_read(said)) {
    case GITLOGIN_REFUSED:
        if (lent(job))
            (void)snprintf(
                out, room,
                "the server does not take the \"credentials\" of project \"%s\": mend them "
                "in master.yaml, or what they may do there",
                project);
        else
            (void)snprintf(
                out, room,
                "the server wants another login: give project \"%s\" \"credentials\" in "
                "master.yaml (which builds that are not trusted never get), or this worker "
                "\"git: {ssh_key: FILE}\" in worker.yaml",
                project);
        break;
    case GITLOGIN_STRANGER:
        (void)snprintf(out, room,
                       "the server's key is not a known one: give \"known_hosts\" to the "
                       "\"credentials\" of project \"%s\", or to \"git\" in worker.yaml, as "
                       "\"ssh-keyscan\" prints it and its owner confirms it",
                       project);
        break;
    case GITLOGIN_OTHER:
        break;
    }
}
