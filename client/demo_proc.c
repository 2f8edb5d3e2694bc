#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/demo.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"

enum { RUN_S = 120, LOG_TAIL = 64 * 1024, LINE_SHOWN = 200 };

static const char *const programs[] = {"pawl-master", "pawl-worker", "pawl-run"};

char *demo_path(const demo *d, const char *name)
{
    return pw_path_join(d->dir, name);
}

/* ---- opening */

static int set(demo *d, const char *name, const char *value, pw_err *err)
{
    char **v = realloc(d->env, (d->n_env + 2) * sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    d->env = v;
    v[d->n_env] = pw_strf("%s=%s", name, value);
    if (!v[d->n_env])
        return pw_fail(err, PW_ENOMEM, "out of memory");
    v[++d->n_env] = NULL;
    return 0;
}

/* The caller's environment without what would lead out of DIR or change what git, make and our
 * programs do. */
static int copy_environment(demo *d, pw_err *err)
{
    static const char *const dropped[] = {"GIT_",    "PAWL_",          "XDG_",
                                          "MAKE",    "MFLAGS=",        "HOME=",
                                          "TMPDIR=", "NOTIFY_SOCKET=", "WATCHDOG_"};
    for (char **e = environ; *e; e++) {
        bool keep = true;
        const char *eq = strchr(*e, '=');
        for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
            keep &= strncmp(*e, dropped[i], strlen(dropped[i])) != 0;
        if (!keep || !eq)
            continue;
        PW_AUTO(pw_freep) char *name = strndup(*e, (size_t)(eq - *e));
        int rc = name ? set(d, name, eq + 1, err) : pw_fail(err, PW_ENOMEM, "out of memory");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_environment(demo *d, pw_err *err)
{
    static const char *const fixed[][2] = {
        {"GIT_CONFIG_NOSYSTEM", "1"},   {"GIT_TERMINAL_PROMPT", "0"},
        {"GIT_AUTHOR_NAME", "Demo"},    {"GIT_AUTHOR_EMAIL", "demo@example.org"},
        {"GIT_COMMITTER_NAME", "Demo"}, {"GIT_COMMITTER_EMAIL", "demo@example.org"}};
    PW_AUTO(pw_freep) char *home = demo_path(d, "home");
    PW_AUTO(pw_freep) char *tmp = demo_path(d, "tmp");
    int rc = home && tmp ? copy_environment(d, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        rc = set(d, fixed[i][0], fixed[i][1], err);
    if (rc == 0)
        rc = set(d, "HOME", home, err);
    if (rc == 0)
        rc = set(d, "TMPDIR", tmp, err);
    if (rc == 0)
        rc = pw_fs_mkdirs(home, 0700, err);
    if (rc == 0)
        rc = pw_fs_mkdirs(tmp, 0700, err);
    /* Pawl's own work tree may belong to another user; this file counts in the demo only */
    return rc < 0 ? rc
                  : demo_write(d, "home/.gitconfig",
                               "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = "
                               "master\n[gc]\n\tauto = 0\n",
                               err);
}

static int find_programs(demo *d, pw_err *err)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return pw_fail_sys(err, "finding out where this program is");
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    d->bin = slash ? strndup(exe, slash == exe ? 1 : (size_t)(slash - exe)) : NULL;
    if (!d->bin)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(d->bin, programs[i]);
        if (!path)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        if (access(path, X_OK) < 0)
            return pw_fail_sys(err, "the demo needs %s beside pawl: %s", programs[i], path);
    }
    return 0;
}

static int take_lock(demo *d, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = demo_path(d, "demo.lock");
    PW_AUTO(pw_freep) char *addr = demo_path(d, "state/web.addr");
    PW_AUTO(pw_buf_clearp) pw_buf url = PW_BUF(4096);
    if (!path || !addr)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    d->lock = pw_fs_lock(path, err);
    if (d->lock != PW_EAGAIN)
        return d->lock < 0 ? d->lock : 0;
    d->lock = -1;
    (void)pw_fs_read(addr, url.max, &url, NULL);
    return pw_fail(
        err, PW_ECONFLICT, "another demo runs in %s%s%.*s; end it, or name another folder", d->dir,
        url.len ? ", its page is " : "", (int)strcspn(pw_buf_str(&url), "\n"), pw_buf_str(&url));
}

int demo_open(demo *d, client *c, const char *dir, pw_err *err)
{
    sigset_t set;
    *d = (demo){.c = c, .lock = -1};
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return pw_fail_sys(err, "blocking signals");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return pw_fail_sys(err, "becoming the parent of orphans");
    int rc = pw_fs_mkdirs(dir, 0755, err);
    if (rc < 0)
        return rc;
    d->dir = realpath(dir, NULL);
    if (!d->dir)
        return pw_fail_sys(err, "finding the folder %s", dir);
    if (strchr(d->dir, '\n'))
        return pw_fail(err, PW_EINVAL, "the name of the demo's folder holds a line break");
    rc = take_lock(d, err);
    if (rc == 0)
        rc = find_programs(d, err);
    return rc == 0 ? make_environment(d, err) : rc;
}

void demo_close(demo *d)
{
    for (size_t i = 0; i < d->n_env; i++)
        free(d->env[i]);
    free(d->env);
    free(d->dir);
    free(d->bin);
    free(d->source);
    pw_closep(&d->lock);
    *d = (demo){.lock = -1};
}

/* ---- running */

/* Last line with something in it, at most LINE_SHOWN bytes. */
static const char *last_line(const pw_buf *b, int *ret_n)
{
    const char *s = pw_buf_str(b), *end = s + b->len;
    while (end > s && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    const char *p = end;
    while (p > s && p[-1] != '\n')
        p--;
    *ret_n = end - p < LINE_SHOWN ? (int)(end - p) : LINE_SHOWN;
    return p;
}

int demo_run(demo *d, const char *const *argv, const char *dir, pw_buf *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(LOG_TAIL);
    pw_spawn s = {.argv = argv,
                  .env = (const char *const *)d->env,
                  .dir = dir,
                  .in = -1,
                  .out = -1,
                  .err = -1,
                  .die_with_parent = true};
    int n, rc = pw_spawn_run(&s, NULL, (pw_usec)RUN_S * 1000000, out, &said, err);
    if (rc <= 0)
        return rc;
    const char *line = last_line(&said, &n);
    return pw_fail(err, PW_ECONFLICT, "exit status %d%s%.*s", rc, n ? ": " : "", n, line);
}

static int start(demo *d, const char *program, const char *const *more, const char *log, pid_t *ret,
                 pw_err *err)
{
    enum { ARGS = 8 };
    PW_AUTO(pw_freep) char *path = pw_path_join(d->bin, program);
    PW_AUTO(pw_freep) char *log_path = demo_path(d, log);
    if (!path || !log_path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep)
    int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return pw_fail_sys(err, "opening %s", log_path);
    const char *argv[ARGS + 2] = {path};
    for (size_t i = 0; i < ARGS && more[i]; i++)
        argv[i + 1] = more[i];
    pw_spawn s = {.argv = argv,
                  .env = (const char *const *)d->env,
                  .dir = d->dir,
                  .in = -1,
                  .out = fd,
                  .err = fd,
                  .die_with_parent = true};
    pid_t pid = pw_spawn_start(&s, err);
    if (pid < 0)
        return (int)pid;
    *ret = pid;
    return 0;
}

static int died(const demo *d, const char *program, const char *log, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = demo_path(d, log);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)16 * 1024 * 1024);
    int n = 0;
    const char *line = path && pw_fs_read(path, b.max, &b, NULL) == 0 ? last_line(&b, &n) : "";
    return pw_fail(err, PW_ECONFLICT, "%s ended by itself; the end of %s/%s: %.*s", program, d->dir,
                   log, n, line);
}

bool demo_pause(demo *d, int ms, pw_err *err)
{
    sigset_t set;
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    int status;
    pid_t pid;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    if (sigtimedwait(&set, NULL, &t) > 0) {
        d->stop = true;
        (void)pw_fail(err, PW_EAGAIN, "ended by a signal");
        return true;
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != d->master && pid != d->worker)
            continue; /* an orphan that came to us */
        bool master = pid == d->master;
        *(master ? &d->master : &d->worker) = 0;
        (void)died(d, master ? "pawl-master" : "pawl-worker", master ? "master.log" : "worker.log",
                   err);
        return true;
    }
    return false;
}

/* ---- starting */

static int write_config(demo *d, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
    PW_AUTO(pw_freep) char *sample = demo_path(d, "sample.git");
    PW_AUTO(pw_freep) char *pawl = demo_path(d, "pawl.git");
    if (!sample || !pawl)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)pw_buf_adds(&b, "# written by pawl demo\n"
                          "name: demo\n"
                          "web: {listen: \"127.0.0.1:0\"}\n"
                          "workers: {listen: \"tcp://127.0.0.1:0\"}\n"
                          "projects:\n  - {name: sample, poll: 1s, build_first: true, branches: "
                          "[\"*\"], repository: ");
    (void)pw_buf_json(&b, sample);
    if (d->source) {
        (void)pw_buf_adds(
            &b, "}\n  - {name: pawl, poll: 1s, build_first: true, branches: [\"*\"], repository: ");
        (void)pw_buf_json(&b, pawl);
    }
    (void)pw_buf_adds(&b, "}\nbuilders:\n"
                          "  - name: test\n    project: sample\n    steps:\n"
                          "      - checkout: {}\n"
                          "      - {name: compile, run: make}\n"
                          "      - {name: test, run: make test}\n");
    /* `make unit` counts with python3; without it prove(1), which comes with git, does as well */
    if (d->source)
        (void)pw_buf_adds(
            &b, "  - name: build\n    project: pawl\n    steps:\n"
                "      - checkout: {}\n"
                "      - {name: compile, run: make -j2 all, timeout: 30m}\n"
                "      - name: unit\n        timeout: 30m\n        run: |\n"
                "          if [ -x /usr/bin/python3 ]; then\n"
                "              make -j2 unit\n"
                "          else\n"
                "              make -j2 tests-built\n"
                "              prove -j2 -e '' $(find build/release -name '*_test' -type f)\n"
                "          fi\n");
    (void)pw_buf_adds(&b, "schedulers:\n  - {name: sample-push, kind: branch, project: sample, "
                          "branches: [master]}\n");
    if (d->source)
        (void)pw_buf_adds(
            &b, "  - {name: pawl-push, kind: branch, project: pawl, branches: [master]}\n");
    (void)pw_buf_adds(&b, "promotions:\n  - {name: sample-stable, kind: green, project: sample, "
                          "from: master, to: stable}\n");
    if (d->source)
        (void)pw_buf_adds(
            &b, "  - {name: pawl-stable, kind: green, project: pawl, from: master, to: stable}\n");
    return b.failed ? pw_fail(err, PW_ENOMEM, "out of memory")
                    : demo_write(d, "master.yaml", pw_buf_str(&b), err);
}

/* A worker of another master (the state was removed) is of no use. */
static int forget_old(demo *d, const char *db, const char *yaml, const char *addr, pw_err *err)
{
    PW_AUTO(pw_freep) char *spool = demo_path(d, "spool");
    if (!spool)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if ((unlink(addr) < 0 && errno != ENOENT) ||
        (access(db, F_OK) < 0 && unlink(yaml) < 0 && errno != ENOENT))
        return pw_fail_sys(err, "removing what an earlier demo left in %s", d->dir);
    return access(db, F_OK) < 0 ? pw_fs_remove_tree(spool, err) : 0;
}

static int start_master(demo *d, pw_err *err)
{
    PW_AUTO(pw_freep) char *conf = demo_path(d, "master.yaml");
    PW_AUTO(pw_freep) char *state = demo_path(d, "state");
    PW_AUTO(pw_freep) char *addr = demo_path(d, "state/web.addr");
    PW_AUTO(pw_freep) char *db = demo_path(d, "state/pawl.db");
    PW_AUTO(pw_freep) char *yaml = demo_path(d, "worker.yaml");
    enum { WAIT_MS = 60000, STEP_MS = 50 };
    if (!conf || !state || !addr || !db || !yaml)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = forget_old(d, db, yaml, addr, err);
    if (rc == 0)
        rc =
            start(d, "pawl-master", (const char *const[]){"--config", conf, "--state", state, NULL},
                  "master.log", &d->master, err);
    if (rc < 0)
        return rc;
    for (int i = 0; access(addr, F_OK) < 0; i++) {
        if (i == WAIT_MS / STEP_MS)
            return pw_fail(err, PW_ETIMEDOUT,
                           "pawl-master did not open its page within a minute; see %s/master.log",
                           d->dir);
        if (demo_pause(d, STEP_MS, err))
            return PW_EAGAIN;
    }
    return 0;
}

static int join(demo *d, const char *yaml, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_freep) char *program = pw_path_join(d->bin, "pawl-worker");
    PW_AUTO(pw_freep) char *spool = demo_path(d, "spool");
    if (!program || !spool)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = rest_post(d->c, "/api/v1/workers", "{\"name\":\"demo\"}", &r, err);
    if (rc == PW_ECONFLICT) { /* it joined once, and its configuration is lost */
        PW_AUTO(rest_answer_clear) rest_answer gone = {0};
        rc = rest_call(d->c, "DELETE", "/api/v1/workers/demo", NULL, &gone, err);
        if (rc == 0)
            rc = rest_post(d->c, "/api/v1/workers", "{\"name\":\"demo\"}", &r, err);
    }
    if (rc < 0)
        return pw_err_context(err, "adding the worker");
    const char *line = json_str(json_get(r.value, "line"), ""), *token = strrchr(line, ' ');
    if (!token)
        return pw_fail(err, PW_EPROTO, "adding the worker: the master gave no line to run");
    rc = demo_run(d,
                  (const char *const[]){program, "join", token + 1, "--config", yaml, "--spool",
                                        spool, "--slots", "2", NULL},
                  d->dir, NULL, err);
    return rc < 0 ? pw_err_context(err, "pawl-worker join") : 0;
}

static bool connected(demo *d)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    if (rest_get(d->c, "/api/v1/workers", &r, NULL) < 0)
        return false;
    const json_value *items = json_get(r.value, "items");
    for (size_t i = 0; i < json_count(items); i++)
        if (strcmp(json_str(json_get(json_at(items, i), "name"), ""), "demo") == 0 &&
            strcmp(json_str(json_get(json_at(items, i), "state"), ""), "connected") == 0)
            return true;
    return false;
}

int demo_start(demo *d, pw_err *err)
{
    enum { WAIT_MS = 60000, STEP_MS = 100 };
    PW_AUTO(pw_freep) char *yaml = demo_path(d, "worker.yaml");
    if (!yaml)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = write_config(d, err);
    if (rc == 0)
        rc = start_master(d, err);
    if (rc == 0 && access(yaml, F_OK) < 0)
        rc = join(d, yaml, err);
    if (rc == 0)
        rc = start(d, "pawl-worker", (const char *const[]){"--config", yaml, NULL}, "worker.log",
                   &d->worker, err);
    for (int i = 0; rc == 0 && !connected(d); i++) {
        if (i == WAIT_MS / STEP_MS)
            return pw_fail(err, PW_ETIMEDOUT,
                           "the worker did not connect within a minute; see %s/worker.log", d->dir);
        if (demo_pause(d, STEP_MS, err))
            return PW_EAGAIN;
    }
    return rc;
}
