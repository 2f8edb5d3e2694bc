#include "shared/job/job.h"
#include "shared/job/record.h"

enum {
    ARG_MAX_BYTES = 128 * 1024 - 1, /* Linux: one argument of execve, without its zero byte */
    ARGS_MAX = 4096,
    REF_MAX = 1000, /* git itself stops at about 4096, file systems at 255 a part */
    WORD_MAX = 32,
    ISOLATION_MAX = 260,
    PATH_BYTES = 4000,
    GIT_HOSTS_MAX = 64 * 1024,
};

static const pw_field report_fields[] = {
    PW_F_STR(job_report, format, "format", true, WORD_MAX, "`junit`, `tap`, `subunit`, `gotest`"),
    PW_F_STRS(job_report, paths, "paths", true, PW_GLOBS_MAX, PW_GLOBS_MAX, "globs"),
    PW_F_BOOL(job_report, optional, "optional", false, "that there is none is no failure"),
};
const pw_schema job_report_schema =
    PW_SCHEMA("job.reports", job_report, report_fields, "Test reports that a step writes.");

static const pw_field step_fields[] = {
    PW_F_STR(job_step, name, "name", true, PW_NAME_MAX, "name, unique in the job"),
    PW_F_STR(job_step, kind, "kind", true, WORD_MAX,
             "`run`, `checkout`, `cache`, `set_property` ..."),
    PW_F_STR(job_step, script, "script", false, PW_SCRIPT_MAX, "run: text for the shell"),
    PW_F_STRS(job_step, argv, "argv", false, ARG_MAX_BYTES, ARGS_MAX,
              "run: program and arguments, without a shell"),
    PW_F_STR(job_step, shell, "shell", false, WORD_MAX, "run: `sh` (default) or `bash`"),
    PW_F_STR(job_step, dir, "dir", false, PATH_BYTES, "folder, relative to the work directory"),
    PW_F_LIST(job_step, env, "env", false, PW_ENV_MAX, &msg_pair_schema,
              "environment, over the job's"),
    PW_F_U64(job_step, timeout_ms, "timeout_ms", false, "longest run time, 0 none"),
    PW_F_U64(job_step, idle_timeout_ms, "idle_timeout_ms", false,
             "longest time without output, 0 none"),
    PW_F_U64(job_step, grace_ms, "grace_ms", false, "from TERM to KILL, 0: 10 s"),
    PW_F_U64(job_step, log_limit, "log_limit", false, "bytes of output kept, 0: 512 MiB"),
    PW_F_BOOL(job_step, stderr_separate, "stderr_separate", false,
              "standard error goes to a stream of its own"),
    PW_F_BOOL(job_step, pty, "pty", false, "run on a pseudo terminal"),
    PW_F_BOOL(job_step, no_halt, "no_halt", false, "a failure does not skip the rest"),
    PW_F_BOOL(job_step, no_flunk, "no_flunk", false, "a failure does not fail the build"),
    PW_F_BOOL(job_step, warn, "warn", false, "a failure that does not flunk counts as warnings"),
    PW_F_BOOL(job_step, always, "always", false, "runs even after the build was halted"),
    PW_F_STR(job_step, mode, "mode", false, WORD_MAX, "checkout: `fresh`, `clean`, `incremental`"),
    PW_F_BOOL(job_step, submodules, "submodules", false, "checkout: submodules too"),
    PW_F_BOOL(job_step, lfs, "lfs", false, "checkout: files of Git LFS too"),
    PW_F_U64(job_step, depth, "depth", false, "checkout: commits of history, 0 all"),
    PW_F_LIST(job_step, with, "with", false, PW_WITH_MAX, &msg_pair_schema,
              "what other kinds take; properties in it are replaced when the step runs"),
    PW_F_STRS(job_step, paths, "paths", false, PATH_BYTES, PW_WITH_MAX,
              "cache: what is kept; checkout: folders, none: all"),
    PW_F_STRS(job_step, keys, "keys", false, PATH_BYTES, PW_WITH_MAX,
              "cache: beginnings of keys that will do as well"),
    PW_F_STR(job_step, cond, "if", false, PW_COND_MAX, "condition; false: the step is skipped"),
    PW_F_STRS(job_step, artifacts, "artifacts", false, PW_GLOBS_MAX, PW_GLOBS_MAX,
              "files to be kept: globs"),
    PW_F_U64(job_step, keep_ms, "keep_ms", false, "how long, 0: as long as the project says"),
    PW_F_BOOL(job_step, optional, "optional", false,
              "artifacts: that nothing matches is no failure"),
    PW_F_LIST(job_step, reports, "reports", false, PW_REPORTS_MAX, &job_report_schema,
              "reports to be read and kept"),
};
const pw_schema job_step_schema =
    PW_SCHEMA("job.steps", job_step, step_fields, "One step of a job.");

static const pw_field lock_fields[] = {
    PW_F_STR(job_lock, name, "name", true, PW_NAME_MAX, "name"),
    PW_F_BOOL(job_lock, exclusive, "exclusive", false, "nobody else holds it"),
    PW_F_U64(job_lock, until, "until", false, "steps after which it is given back, 0 with the job"),
};
const pw_schema job_lock_schema =
    PW_SCHEMA("job.locks", job_lock, lock_fields, "A lock that a job holds from its offer on.");

static const pw_field need_fields[] = {
    PW_F_STR(job_need, name, "name", true, PW_NAME_MAX, "its builder"),
    PW_F_U64(job_need, build, "build", false, "build, 0 none"),
};
static const pw_schema need_schema =
    PW_SCHEMA("job.needs", job_need, need_fields, "A build that a job needs.");

static const pw_field file_fields[] = {
    PW_F_STR(job_file, path, "path", true, PW_PATH_MAX, "path"),
    PW_F_U64(job_file, size, "size", true, "bytes"),
    PW_F_U64(job_file, mode, "mode", false, "permissions"),
    PW_F_BIN(job_file, sum, "sum", true, PW_SUM_BYTES, "SHA-256"),
};
static const pw_schema file_schema =
    PW_SCHEMA("job.files.file", job_file, file_fields, "A file that a build left.");
static const pw_field files_fields[] = {
    PW_F_LIST(job_files, files, "files", false, PW_FILES_MAX, &file_schema, "by path"),
};
const pw_schema job_files_schema =
    PW_SCHEMA("job.files", job_files, files_fields, "The files that a build left.");

static const pw_field spec_fields[] = {
    PW_F_U64(job_spec, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(job_spec, attempt, "attempt", true, "attempt"),
    PW_F_U64(job_spec, build, "build", true, "build"),
    PW_F_U64(job_spec, try_no, "try", true, "1 for the first attempt of this build"),
    PW_F_STR(job_spec, build_url, "build_url", false, PATH_BYTES, "page of the build"),
    PW_F_STR(job_spec, builder, "builder", true, PW_NAME_MAX, "builder"),
    PW_F_STR(job_spec, project, "project", true, PW_NAME_MAX, "project"),
    PW_F_STR(job_spec, branch, "branch", false, REF_MAX, "branch"),
    PW_F_STR(job_spec, revision, "revision", false, REF_MAX, "commit"),
    PW_F_STR(job_spec, reason, "reason", false, PW_TEXT_MAX, "why the build exists, for people"),
    PW_F_STR(job_spec, worker, "worker", false, PW_NAME_MAX, "worker that it was given to"),
    PW_F_STR(job_spec, repository, "repository", false, PATH_BYTES, "URL of the repository"),
    PW_F_STR(job_spec, isolation, "isolation", false, ISOLATION_MAX,
             "`none`, `user`, `bwrap`, `podman:IMAGE`; absent: the worker's first"),
    PW_F_BOOL(job_spec, no_network, "no_network", false, "no network inside the isolation"),
    PW_F_U64(job_spec, keep_failed_ms, "keep_failed_ms", false,
             "how long the work directory stays when it failed, 0 not"),
    PW_F_BOOL(job_spec, untrusted, "untrusted", false,
              "of code that nobody answers for: not without bwrap or podman"),
    PW_F_U64(job_spec, timeout_ms, "timeout_ms", false, "longest time of the whole job, 0 none"),
    PW_F_LIST(job_spec, env, "env", false, PW_ENV_MAX, &msg_pair_schema, "environment"),
    PW_F_LIST(job_spec, props, "props", false, PW_ENV_MAX, &msg_pair_schema,
              "properties; a script gets those that it names"),
    PW_F_LIST(job_spec, steps, "steps", true, PW_STEPS_MAX, &job_step_schema,
              "the steps, in order"),
    PW_F_STRS(job_spec, secrets, "secrets", false, PW_NAME_MAX, PW_SECRETS_MAX,
              "names of the secrets that its environments and its checkouts need"),
    PW_F_U64(job_spec, shard, "shard", false, "which of its builder's shards, from 1"),
    PW_F_U64(job_spec, shards, "shards", false, "how many there are; 0: it is not sharded"),
    PW_F_STR(job_spec, git_key, "git_key", false, PW_NAME_MAX,
             "checkout: secret with the key for ssh"),
    PW_F_STR(job_spec, git_user, "git_user", false, PW_NAME_MAX, "checkout: user for http"),
    PW_F_STR(job_spec, git_password, "git_password", false, PW_NAME_MAX,
             "checkout: secret with the password for http"),
    PW_F_STR(job_spec, git_hosts, "git_hosts", false, GIT_HOSTS_MAX,
             "checkout: text of the known_hosts file"),
    PW_F_LIST(job_spec, locks, "locks", false, PW_LOCKS_MAX, &job_lock_schema, "locks"),
    PW_F_U64(job_spec, lost_after_ms, "lost_after_ms", false,
             "longest time without a sign of the master while a lock is held exclusively"),
    PW_F_STR(job_spec, event, "event", false, WORD_MAX, "what made the build"),
    PW_F_U64(job_spec, files_max, "files_max", false, "files that it may leave"),
    PW_F_U64(job_spec, files_bytes, "files_bytes", false, "bytes of them"),
    PW_F_STR(job_spec, source, "source", false, WORD_MAX,
             "checkout: `master`: the revision comes over the link; absent: from the repository"),
    PW_F_LIST(job_spec, needs, "needs", false, PW_NEEDS_MAX, &need_schema,
              "builds whose files it may fetch"),
};
const pw_schema job_spec_schema =
    PW_SCHEMA("job.spec", job_spec, spec_fields, "A job as the master froze it.");

static const pw_field secrets_fields[] = {
    PW_F_U64(job_secrets, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(job_secrets, attempt, "attempt", true, "attempt"),
    PW_F_LIST(job_secrets, secrets, "secrets", true, PW_SECRETS_MAX, &msg_secret_schema,
              "the values"),
};
const pw_schema job_secrets_schema = PW_SCHEMA("job.secrets", job_secrets, secrets_fields,
                                               "Secrets of a job, from agent to runner.");

pw_flags job_step_flags(const job_step *s)
{
    return (pw_flags){
        .halt_on_failure = !s->no_halt,
        .flunk_on_failure = !s->no_flunk,
        .warn_on_failure = s->warn,
        .always_run = s->always,
    };
}
