#include "shared/gitlogin/gitlogin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"

enum { DIRS_MAX = 1000 }; /* at the same time: one a git */

/* Answers what git asks of one server. The question must end with that server's name: what stands
 * before it is chosen by whoever wrote the address. The shell's own words only, so that no argument
 * holds the answer. */
static const char answerer[] = "#!/bin/sh\n"
                               "case $1 in\n"
                               "\"Username for '%s://%s': \") f=user ;;\n"
                               "\"Password for '%s://\"*\"@%s': \") f=password ;;\n"
                               "*) exit 1 ;;\n"
                               "esac\n"
                               "IFS= read -r a <\"${0%%/*}/$f\" && printf '%%s\\n' \"$a\"\n";

/* Length of the scheme of SCHEME://..., 0: there is none. */
static size_t scheme(const char *url)
{
    const char *at = strstr(url, "://");
    return at && at == url + strcspn(url, ":/") ? (size_t)(at - url) : 0;
}

static bool is_scheme(const char *url, const char *name)
{
    return scheme(url) == strlen(name) && strncmp(url, name, strlen(name)) == 0;
}

bool gitlogin_is_http(const char *url)
{
    return is_scheme(url, "http") || is_scheme(url, "https");
}

bool gitlogin_is_ssh(const char *url)
{
    size_t n = strcspn(url, ":/");
    return is_scheme(url, "ssh") || (!scheme(url) && n > 0 && url[n] == ':' && url[n + 1] != ':');
}

/* HOST[:PORT] of an http address, as git shows it. */
static char *host_of(const char *url)
{
    const char *s = url + scheme(url) + 3;
    size_t n = strcspn(s, "/?#");
    const char *at = memrchr(s, '@', n);
    if (at) {
        n -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    return strndup(s, n);
}

/* Has nothing that a shell takes for more than a letter. */
static bool plain_host(const char *s)
{
    return *s &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") ==
               strlen(s);
}

const char *gitlogin_wrong(const gitlogin *l, const char *url)
{
    bool http = gitlogin_is_http(url), ssh = gitlogin_is_ssh(url);
    if (!http && !ssh)
        return "are for repositories over ssh, http and https";
    if (ssh && (l->user || l->password))
        return "have a \"user\" and \"password\", which are for http and https: over ssh it takes "
               "an "
               "\"ssh_key\"";
    if (ssh)
        return NULL;
    if (l->key || l->key_file)
        return "have an \"ssh_key\", which is for ssh: over http it takes \"user\" and "
               "\"password\"";
    if (memchr(url, '@', strcspn(url + scheme(url) + 3, "/?#") + scheme(url) + 3))
        return "are given, but the address names a user, too: leave it out there";
    char *host = host_of(url);
    bool good = host && plain_host(host);
    free(host);
    return good ? NULL : "need an address with a plain name or number of the host";
}

static int put(const char *dir, const char *name, mode_t mode, const char *text, bool line,
               pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return pw_fail_sys(err, "making %s", path);
    int rc = pw_fs_write_all(fd, text, strlen(text), err);
    /* keys and passwords have lost their last line break; ssh and sh want it */
    return rc == 0 && line ? pw_fs_write_all(fd, "\n", 1, err) : rc;
}

static int add_env(gitlogin_dir *d, char *text, pw_err *err)
{
    size_t n = 0;
    if (!text)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    while (d->env[n])
        n++;
    d->env[n] = text;
    return 0;
}

/* Two readers come between: the shell that git gives the command to, and ssh with its own quotes
 * and signs. */
static bool path_ok(const char *path)
{
    return !path || !strpbrk(path, "'\"\\$%\n");
}

static int open_ssh(const gitlogin *l, gitlogin_dir *d, pw_err *err)
{
    PW_AUTO(pw_freep) char *key = pw_path_join(d->path, "key");
    PW_AUTO(pw_freep) char *hosts = pw_path_join(d->path, "known_hosts");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(32768);
    const char *key_at = l->key ? key : l->key_file;
    const char *hosts_at = l->known_hosts ? hosts : l->known_hosts_file;
    int rc = 0;
    if (!key || !hosts)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!path_ok(key_at) || !path_ok(hosts_at))
        return pw_fail(err, PW_EINVAL,
                       "ssh cannot be given a path with a quote, a backslash, $ or %%: \"%.200s\"",
                       path_ok(key_at) ? hosts_at : key_at);
    if (l->key)
        rc = put(d->path, "key", 0600, l->key, true, err);
    if (rc == 0 && l->known_hosts)
        rc = put(d->path, "known_hosts", 0600, l->known_hosts, true, err);
    if (rc < 0)
        return rc;
    (void)pw_buf_adds(&b, "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"
                          " -o UpdateHostKeys=no -o ControlPath=none");
    if (key_at)
        (void)pw_buf_addf(&b, " -i '%s' -o IdentitiesOnly=yes -o IdentityAgent=none", key_at);
    if (hosts_at)
        (void)pw_buf_addf(&b, " -o 'UserKnownHostsFile=\"%s\"' -o GlobalKnownHostsFile=/dev/null",
                          hosts_at);
    rc = add_env(d, b.failed ? NULL : pw_buf_take(&b), err);
    return rc < 0 ? rc : add_env(d, strdup("GIT_SSH_VARIANT=ssh"), err);
}

static int open_http(const gitlogin *l, const char *url, gitlogin_dir *d, pw_err *err)
{
    PW_AUTO(pw_freep) char *host = host_of(url);
    PW_AUTO(pw_freep) char *kind = strndup(url, scheme(url));
    PW_AUTO(pw_freep)
    char *script = host && kind ? pw_strf(answerer, kind, host, kind, host) : NULL;
    if (!script)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = put(d->path, "user", 0600, l->user, true, err);
    if (rc == 0)
        rc = put(d->path, "password", 0600, l->password, true, err);
    if (rc == 0)
        rc = put(d->path, "ask", 0700, script, false, err);
    if (rc < 0)
        return rc;
    d->http = true;
    return add_env(d, pw_strf("GIT_ASKPASS=%s/ask", d->path), err);
}

/* A folder of its own below parent; NULL: told why not. */
static char *make_dir(const char *parent, pw_err *err)
{
    for (unsigned i = 0; i < DIRS_MAX; i++) {
        char *path = pw_strf("%s/login-%d-%u", parent, (int)getpid(), i);
        if (!path) {
            (void)pw_fail(err, PW_ENOMEM, "out of memory");
            return NULL;
        }
        if (mkdir(path, 0700) == 0)
            return path;
        int taken = errno == EEXIST;
        if (!taken)
            (void)pw_fail_sys(err, "making %s", path);
        free(path);
        if (!taken)
            return NULL;
    }
    (void)pw_fail(err, PW_ELIMIT, "%s has %d logins already", parent, DIRS_MAX);
    return NULL;
}

int gitlogin_open(const gitlogin *l, const char *url, const char *parent, gitlogin_dir *ret,
                  pw_err *err)
{
    PW_AUTO(gitlogin_close) gitlogin_dir d = {0};
    bool ssh =
        gitlogin_is_ssh(url) && (l->key || l->key_file || l->known_hosts || l->known_hosts_file);
    bool http = gitlogin_is_http(url) && l->user && l->password;
    *ret = (gitlogin_dir){0};
    if (!ssh && !http)
        return 0;
    const gitlogin used = {.user = http ? l->user : NULL,
                           .password = http ? l->password : NULL,
                           .key = ssh ? l->key : NULL,
                           .key_file = ssh ? l->key_file : NULL};
    const char *wrong = gitlogin_wrong(&used, url);
    if (wrong)
        return pw_fail(err, PW_EINVAL, "credentials %s", wrong);
    int rc = pw_fs_mkdirs(parent, 0700, err);
    if (rc < 0)
        return rc;
    pw_err why = {0};
    d.path = make_dir(parent, &why);
    if (!d.path) {
        if (err)
            *err = why;
        return (int)why.code;
    }
    rc = ssh ? open_ssh(l, &d, err) : open_http(l, url, &d, err);
    if (rc < 0)
        return rc;
    *ret = d;
    d = (gitlogin_dir){0};
    return 0;
}

void gitlogin_close(gitlogin_dir *d)
{
    if (d->path)
        (void)pw_fs_remove_tree(d->path, NULL);
    free(d->path);
    for (size_t i = 0; i < GITLOGIN_ENV; i++)
        free(d->env[i]);
    *d = (gitlogin_dir){0};
}

void gitlogin_sweep(const char *parent)
{
    (void)pw_fs_remove_tree(parent, NULL);
}

gitlogin_trouble gitlogin_read(const char *said)
{
    static const char *const refused[] = {"Permission denied (",
                                          "uthentication failed",
                                          "could not read Username",
                                          "could not read Password",
                                          "returned error: 401",
                                          "returned error: 403",
                                          "Load key \"",
                                          "unable to read askpass",
                                          " DENIED by "}; /* gitolite */
    if (strstr(said, "Host key verification failed") || strstr(said, "host key is known for"))
        return GITLOGIN_STRANGER;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (strstr(said, refused[i]))
            return GITLOGIN_REFUSED;
    return GITLOGIN_OTHER;
}
