/* pawl-run: runs jobs out of a spool. Started by the agent as a zygote, or by hand for one job.
 * Linked static in the release: no function that needs the name service or loads libraries. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/num.h"
#include "worker/run/kept.h"
#include "worker/run/runner.h"
#include "worker/run/tidy.h"
#include "worker/run/zygote.h"

static const char help[] =
    "usage: pawl-run --serve SPOOL --fd N [LIMITS]   fork a runner for each job named on socket N\n"
    "       pawl-run --job SPOOL NAME [LIMITS]       run one job of a spool and wait for its end\n"
    "       pawl-run --enter DIR.kept [--print | --run TEXT]   a shell in a kept work directory\n"
    "       pawl-run --tidy SPOOL LOW_DISK           remove work directories that nobody needs\n"
    "       pawl-run --help | --version\n"
    "LIMITS: --cgroup auto|require|off (default auto), --memory BYTES, --processes N (0: none),\n"
    "        --processes-default N: the same, counted where the kernel's counting would cost\n"
    "        --cache BYTES: what caches of builds may take together (default 10G)\n"
    "        --ssh-key FILE, --known-hosts FILE: with what checkouts log in by ssh, where the job "
    "does\n"
    "        not say\n"
    "        --isolation LIST (default none; the first is what jobs get that ask for none),\n"
    "        --user UID:GID:NAME, --hide FILE, --show DIR, --podman ARG: each as often as needed\n";

static int usage(void)
{
    (void)fputs(help, stderr);
    return 2;
}

static int complain(const pw_err *err)
{
    pw_log_err(PW_LOG_ERROR, "pawl_run", err);
    return 1;
}

/* What the command line says about control groups and limits; the rest of it. */
typedef struct options {
    cgroup_mode mode;
    cgroup_limits limits;
    cgroup_host found;
    uint64_t cache;
    const char *ssh_key, *known_hosts;
    iso_host iso;
} options;

static bool read_options(char **argv, options *o)
{
    for (; *argv; argv += 2) {
        bool good = argv[1];
        if (good && strcmp(*argv, "--cgroup") == 0)
            good = cgroup_mode_parse(argv[1], &o->mode);
        else if (good && strcmp(*argv, "--memory") == 0)
            good = pw_parse_u64(argv[1], &o->limits.memory, NULL) == 0;
        else if (good && strcmp(*argv, "--processes") == 0)
            good = pw_parse_u64(argv[1], &o->limits.processes, NULL) == 0;
        else if (good && strcmp(*argv, "--processes-default") == 0)
            o->limits.by_default = good = pw_parse_u64(argv[1], &o->limits.processes, NULL) == 0;
        else if (good && strcmp(*argv, "--cache") == 0)
            good = pw_parse_u64(argv[1], &o->cache, NULL) == 0;
        else if (good && strcmp(*argv, "--ssh-key") == 0)
            o->ssh_key = argv[1];
        else if (good && strcmp(*argv, "--known-hosts") == 0)
            o->known_hosts = argv[1];
        else
            good = good && iso_option(&o->iso, argv[0], argv[1]);
        if (!good)
            return false;
    }
    return true;
}

static int apply(options *o, run_host *host, pw_err *err)
{
    int rc = o->mode == CGROUP_OFF ? 0 : cgroup_find(&cgroup_sys_real, &o->found, err);
    if (rc == 0 && o->mode == CGROUP_REQUIRE && o->found.kind == CGROUP_NONE)
        rc = pw_fail(err, PW_EDENIED, "control groups are required: %s", o->found.why);
    host->cgroup = &o->found;
    host->cgroup_must = o->mode == CGROUP_REQUIRE;
    host->limits = o->limits;
    host->cache_limit = o->cache;
    host->ssh_key = o->ssh_key;
    host->known_hosts = o->known_hosts;
    host->iso = &o->iso;
    return rc;
}

static int serve(const char *spool, const char *number, options *o)
{
    run_host host;
    pw_err err = {0};
    uint64_t fd;
    if (pw_parse_u64(number, &fd, &err) < 0)
        return complain(&err);
    if (fd > 1000000 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
        (void)pw_fail_sys(&err, "descriptor %s is not open", number);
        return complain(&err);
    }
    if (run_host_open(&host, spool, environ, &err) < 0)
        return complain(&err);
    int rc = apply(o, &host, &err);
    if (rc == 0)
        rc = zygote_serve(&host, (int)fd, runner_run, &err);
    cgroup_host_clear(&o->found);
    run_host_close(&host);
    return rc < 0 ? complain(&err) : 0;
}

static int job(const char *spool, const char *name, options *o)
{
    run_host host;
    pw_err err = {0};
    spool_job id;
    if (!spool_job_parse(name, strlen(name), &id)) {
        (void)pw_fail(&err, PW_EINVAL, "\"%s\" is not the name of a job", name);
        return complain(&err);
    }
    if (run_host_open(&host, spool, environ, &err) < 0)
        return complain(&err);
    int rc = apply(o, &host, &err);
    if (rc == 0)
        rc = runner_run(&host, id, &err);
    cgroup_host_clear(&o->found);
    run_host_close(&host);
    return rc < 0 ? complain(&err) : 0;
}

static int enter(int argc, char **argv)
{
    pw_err err = {0};
    bool print = argc == 4 && strcmp(argv[3], "--print") == 0;
    bool run = argc == 5 && strcmp(argv[3], "--run") == 0;
    if (argc != 3 && !print && !run)
        return usage();
    int rc = print ? kept_print(argv[2], &err) : kept_enter(argv[2], run ? argv[4] : NULL, &err);
    return rc < 0 ? complain(&err) : rc;
}

static int tidy(const char *given, const char *low)
{
    pw_err err = {0};
    uint64_t bytes;
    PW_AUTO(pw_freep) char *spool = realpath(given, NULL);
    if (!spool)
        (void)pw_fail_sys(&err, "cannot use spool %s", given);
    else if (pw_parse_u64(low, &bytes, &err) == 0)
        (void)tidy_spool(&pw_host_real, spool, bytes, &err);
    return err.code ? complain(&err) : 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(help, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("pawl-run %s\n", PW_VERSION) < 0;
    if (argc >= 3 && strcmp(argv[1], "--enter") == 0)
        return enter(argc, argv);
    if (argc == 4 && strcmp(argv[1], "--tidy") == 0)
        return tidy(argv[2], argv[3]);
    options o = {
        .mode = CGROUP_AUTO, .cache = SPOOL_CACHE_LIMIT, .iso = {.offers = {[ISO_NONE] = true}}};
    bool is_serve = argc >= 5 && strcmp(argv[1], "--serve") == 0 && strcmp(argv[3], "--fd") == 0;
    bool is_job = argc >= 4 && strcmp(argv[1], "--job") == 0;
    if ((!is_serve && !is_job) || !read_options(argv + (is_serve ? 5 : 4), &o))
        return usage();
    /* steps run in other folders, so the spool needs its whole path */
    char *spool = realpath(argv[2], NULL);
    if (!spool) {
        pw_err err = {0};
        (void)pw_fail_sys(&err, "cannot use spool %s", argv[2]);
        return complain(&err);
    }
    int rc = is_serve ? serve(spool, argv[4], &o) : job(spool, argv[3], &o);
    iso_host_clear(&o.iso);
    free(spool);
    return rc;
}
