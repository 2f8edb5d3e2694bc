#include "client/git.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/spawn.h"

enum { ENV_MAX = 4096, ARGS_MAX = 24, VARS_MAX = 8, OUT_MAX = 1024 * 1024, COPY = 65536 };
#define GIT_US (INT64_C(3600) * 1000000) /* a bundle of a large tree takes minutes */

int client_git(const char *dir, const char *const *vars, const char *const *args, pw_buf *out,
               pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(64 * 1024);
    PW_AUTO(pw_freep) const char **env = calloc(ENV_MAX, sizeof(*env));
    const char *argv[ARGS_MAX] = {"git"}, *what = args[0];
    size_t n = 1, k = 0;
    while (*args && n < ARGS_MAX - 1)
        argv[n++] = *args++;
    if (!env)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (char **e = environ; *e && k < ENV_MAX - VARS_MAX - 2; e++)
        if (strncmp(*e, "GIT_", 4) != 0 || strncmp(*e, "GIT_AUTHOR_", 11) == 0 ||
            strncmp(*e, "GIT_COMMITTER_", 14) == 0)
            env[k++] = *e;
    env[k++] = "GIT_OPTIONAL_LOCKS=0";
    for (size_t i = 0; vars && vars[i] && i < VARS_MAX; i++)
        env[k++] = vars[i];
    pw_spawn spawn = {.argv = argv, .env = env, .dir = dir, .in = -1, .out = -1, .err = -1};
    int rc = pw_spawn_run(&spawn, NULL, GIT_US, out, &said, err);
    while (out->len && out->p[out->len - 1] == '\n')
        out->p[--out->len] = '\0';
    if (rc <= 0)
        return rc;
    for (size_t i = 1; i + 2 < n && strcmp(what, "-c") == 0; i += 2)
        what = argv[i + 2]; /* the command behind the settings */
    size_t len = strcspn(pw_buf_str(&said), "\n");
    return pw_fail(err, PW_ENOTFOUND, "git %s: %.*s", what, (int)len, pw_buf_str(&said));
}

static int copy(int in, int out, pw_err *err)
{
    char data[COPY];
    for (;;) {
        ssize_t n = read(in, data, sizeof(data));
        if (n <= 0)
            return n < 0 ? pw_fail_sys(err, "reading the index") : 0;
        int rc = pw_fs_write_all(out, data, (size_t)n, err);
        if (rc < 0)
            return rc;
    }
}

int client_git_index(const char *top, const char *to, pw_err *err)
{
    static const char *const args[] = {"rev-parse", "--path-format=absolute", "--git-path", "index",
                                       NULL};
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(OUT_MAX);
    struct stat st;
    int rc = client_git(top, NULL, args, &path, err);
    if (rc < 0)
        return rc;
    (void)unlink(to);
    PW_AUTO(pw_closep) int in = open(pw_buf_str(&path), O_RDONLY | O_CLOEXEC);
    if (in < 0 && errno == ENOENT)
        return 0;
    PW_AUTO(pw_closep) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fstat(in, &st) < 0)
        return pw_fail_sys(err, "copying \"%s\"", pw_buf_str(&path));
    if ((rc = copy(in, out, err)) < 0)
        return rc;
    const struct timespec times[2] = {st.st_mtim, st.st_mtim};
    return futimens(out, times) < 0 ? pw_fail_sys(err, "setting the time of \"%s\"", to) : 0;
}
