#include <dirent.h>
#include <sys/stat.h>

#include "worker/agent/agent_world.h"
#include "worker/agent/jobs_inside.h"

static char *path_of(const world *w, uint64_t attempt)
{
    return spool_path_secrets(w->dir, (spool_job){EPOCH, attempt});
}

/* Mode of the file, -1: there is none. */
static int mode_of(const world *w, uint64_t attempt)
{
    struct stat st;
    PW_AUTO(pw_freep) char *p = path_of(w, attempt);
    return p && stat(p, &st) == 0 ? (int)st.st_mode & 07777 : -1;
}

static bool holds(const char *path, const char *text)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    return pw_fs_read(path, 1 << 20, &b, NULL) == 0 && b.len &&
           memmem(b.p, b.len, text, strlen(text));
}

/* Files of the spool that hold a text. */
static int files_with(const world *w, const char *text)
{
    static const char *const place[] = {"jobs", "held", "kept"};
    int found = 0;
    for (int i = 0; i < 3; i++) {
        PW_AUTO(pw_freep) char *dir = pw_path_join(w->dir, place[i]);
        DIR *d = dir ? opendir(dir) : NULL;
        const struct dirent *e;
        while (d && (e = readdir(d))) {
            PW_AUTO(pw_freep) char *p = pw_path_join(dir, e->d_name);
            found += p && holds(p, text);
        }
        if (d)
            (void)closedir(d);
    }
    return found;
}

static void accepting(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    offer_job(w, (offer){.attempt = 1, .names = "token", .value = "hunter22", .must = "secrets"});
    PW_AUTO(pw_freep) char *p = path_of(w, 1);
    ok(w->starts == 1 && mode_of(w, 1) == 0600 && p && holds(p, "hunter22"),
       "the values are in a file for the owner only");
    ok(files_with(w, "hunter22") == 1, "and in no other");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_SECRETS_MAX);
    job_secrets s = {0};
    ok(p && pw_fs_read(p, PW_JOB_SECRETS_MAX, &b, NULL) == 0 &&
           pw_schema_decode(&job_secrets_schema, b.p, b.len, &s, NULL) == 0 && s.attempt == 1 &&
           s.epoch == EPOCH && s.secrets.n == 1,
       "as the runner reads it");
    pw_schema_clear(&job_secrets_schema, &s);
    offer_job(w, (offer){.attempt = 2});
    ok(w->starts == 2 && mode_of(w, 2) == -1, "a job without secrets has no such file");
    offer_job(w, (offer){.attempt = 3, .names = "other", .value = "hunter22"});
    const sent *r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 2 && r && r->m.u.reject.attempt == 3 &&
           strstr(r->m.u.reject.reason, "\"other\""),
       "a job whose secret did not come is rejected");
    ok(!strstr(r ? r->m.u.reject.reason : "", "hunter22") && mode_of(w, 3) == -1,
       "nothing of it is left, and no value is told");
}

static void again(world *w)
{
    PW_AUTO(pw_freep) char *p = path_of(w, 1);
    if (!p || unlink(p) < 0) /* a runner took it and died before it began */
        return;
    offer_job(w, (offer){.attempt = 1, .names = "token", .value = "hunter23"});
    ok(mode_of(w, 1) == 0600 && holds(p, "hunter23") && w->starts == 2,
       "offered again they are written again");
    PW_AUTO(journal_writer_freep) journal_writer *run = runner_of(w, 1);
    ok(write_rec(run, PW_REC_START, 1), "a runner begins");
    if (run)
        note(w, 1, run);
    ok(mode_of(w, 1) == -1 && files_with(w, "hunter2") == 0, "then what came too late is removed");
    offer_job(w, (offer){.attempt = 1, .names = "token", .value = "hunter24"});
    ok(mode_of(w, 1) == -1, "and not written any more");
    ok(write_rec(run, PW_REC_END, 1), "it ends");
    if (run)
        note(w, 1, run);
}

/* The agent died: what is left is looked at when it starts. */
static void restart(world *w)
{
    PW_AUTO(pw_freep) char *alone = path_of(w, 99);
    PW_AUTO(pw_freep) char *half = alone ? pw_strf("%s.new", alone) : NULL;
    PW_AUTO(pw_freep) char *begun = path_of(w, 5);
    offer_job(w, (offer){.attempt = 4, .names = "token", .value = "hunter24"});
    offer_job(w, (offer){.attempt = 5, .names = "token", .value = "hunter25"});
    {
        PW_AUTO(journal_writer_freep) journal_writer *run = runner_of(w, 5);
        ok(mode_of(w, 5) == 0600 && write_rec(run, PW_REC_START, 1) &&
               write_rec(run, PW_REC_END, 1),
           "the agent does not see how one begins");
    }
    ok(alone && half && pw_fs_replace(alone, "hunter26", 8, 0600, NULL) == 0 &&
           pw_fs_replace(half, "hunter27", 8, 0600, NULL) == 0,
       "and leaves a file without a job");
    (void)connect_with(w, NULL, 0, 1 << 20);
    ok(mode_of(w, 4) == 0600, "the next one keeps what is waited for");
    ok(begun && mode_of(w, 5) == -1 && files_with(w, "hunter") == 1, "and removes everything else");
    msg_cancel c = {.session = w->session, .epoch = EPOCH, .attempt = 4};
    deliver(w, PW_MSG_CANCEL, &c, NULL, 0);
    now_us += 2 * SECOND;
    settle(w);
    ok(files_with(w, "hunter") == 0, "a cancelled job keeps none");
}

static void held(world *w)
{
    offer_job(w, (offer){.attempt = 6, .names = "token", .value = "hunter28"});
    ok(mode_of(w, 6) == 0600, "one more");
    msg_welcome_job v = {.epoch = EPOCH, .attempt = 6, .verdict = PW_HOLD};
    (void)connect_with(w, &v, 1, 1 << 20);
    ok(files_with(w, "hunter") == 0, "a held job has none either");
}

int main(void)
{
    void (*const all[])(world *) = {accepting, again, restart, held};
    return world_run(all, sizeof(all) / sizeof(all[0]));
}
