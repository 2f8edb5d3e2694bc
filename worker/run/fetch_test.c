/* `fetch` with an agent that has answered already: what becomes of lists and files, right and wrong
 * ones. */
#include <sys/stat.h>

#include "shared/crypt/hash.h"
#include "shared/job/ask.h"
#include "shared/job/record.h"
#include "tests/tap.h"
#include "worker/run/fixture.h"
#include "worker/spool/need.h"

typedef struct file {
    const char *path, *text;
    uint64_t mode;
    bool bad_sum;
} file;

static void sum_of(const void *p, size_t n, uint8_t out[CRYPT_HASH])
{
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(NULL);
    memset(out, 0, CRYPT_HASH);
    if (!h)
        return;
    crypt_sha256_add(h, p, n);
    crypt_sha256_end(h, out);
}

/* As the agent does. */
static bool answer(const fix *f, const job_spec *job, uint64_t seq, const void *p, size_t n,
                   const char *error, bool bad_sum)
{
    PW_AUTO(pw_freep) char *dir = spool_need_dir(f->spool);
    PW_AUTO(pw_freep) char *part = spool_need_part(f->spool, fix_id(job), seq);
    PW_AUTO(pw_freep) char *path = spool_need_got(f->spool, fix_id(job), seq);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_GOT_MAX);
    uint8_t sum[CRYPT_HASH];
    sum_of(p, n, sum);
    sum[0] = (uint8_t)(sum[0] ^ bad_sum);
    job_got got = {seq, (char *)(uintptr_t)error, false, {sum, sizeof(sum)}};
    return dir && part && path && pw_fs_mkdirs(dir, 0700, NULL) == 0 &&
           pw_fs_replace(part, p, n, 0600, NULL) == 0 &&
           pw_schema_encode(&job_got_schema, &got, &b, NULL) == 0 &&
           pw_fs_replace(path, b.p, b.len, 0600, NULL) == 0;
}

static bool answer_list(const fix *f, const job_spec *job, uint64_t seq, const file *v, size_t n,
                        bool bad_sum)
{
    job_file list[8];
    uint8_t sum[8][CRYPT_HASH];
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    for (size_t i = 0; i < n; i++) {
        sum_of(v[i].text, strlen(v[i].text), sum[i]);
        sum[i][5] = (uint8_t)(sum[i][5] ^ v[i].bad_sum);
        list[i] = (job_file){.path = (char *)(uintptr_t)v[i].path,
                             .size = strlen(v[i].text),
                             .mode = v[i].mode,
                             .sum = {sum[i], CRYPT_HASH}};
    }
    job_files files = {{list, n}};
    return pw_schema_encode(&job_files_schema, &files, &b, NULL) == 0 &&
           answer(f, job, seq, b.p, b.len, NULL, bad_sum);
}

/* Steps: a script, fetch, a script. */
static bool make_job(fix *f, job_spec *job, const char *before, const char *to, const char *path,
                     bool optional, const char *after)
{
    if (!fix_job(f, job, "before", before, "fetch", "x", "after", after, NULL))
        return false;
    job_step *s = fix_step(job, 1);
    msg_pair *with = calloc(2, sizeof(*with));
    free(s->kind);
    s->kind = strdup("fetch");
    free(s->script);
    s->script = NULL;
    s->optional = optional;
    s->with = (pw_list){with, to ? 2 : 1};
    if (!with || !s->kind)
        return false;
    with[0] = (msg_pair){strdup("from"), strdup("fast")};
    if (to)
        with[1] = (msg_pair){strdup("to"), strdup(to)};
    if (path) {
        s->paths.v = calloc(1, sizeof(char *));
        s->paths.v[0] = strdup(path);
        s->paths.n = 1;
    }
    return true;
}

static bool says(const fix_view *v, pw_result result, const char *reason)
{
    bool good = v->step[1].result == (uint64_t)result &&
                (!reason || (v->step[1].reason && strstr(v->step[1].reason, reason)));
    if (!good)
        printf("# result %llu, %s\n", (unsigned long long)v->step[1].result,
               v->step[1].reason ? v->step[1].reason : "");
    return good;
}

static bool nothing_left(const fix *f)
{
    PW_AUTO(pw_freep) char *dir = spool_need_dir(f->spool);
    return dir && rmdir(dir) == 0;
}

static void test_right(fix *f)
{
    static const file v[] = {{"a.txt", "hello", 0644, false},
                             {"bin/deep/tool", "#!x", 04755, false},
                             {"empty", "", 0600, false},
                             {"other.c", "no", 0644, false},
                             {"../up", "outside", 0644, false}};
    job_spec job;
    fix_view w = {0};
    bool good =
        make_job(f, &job, "mkdir -p in; echo old > there; ln there in/a.txt", "in", "!*.c", false,
                 "cd in; find . -type f -printf '%m %p '; cat a.txt bin/deep/tool ../there");
    ok(good && answer_list(f, &job, 1, v, 5, false) &&
           answer(f, &job, 2, "hello#!x", 8, NULL, false) && fix_run(f, &job, &w),
       "a job that fetches");
    ok(says(&w, PW_SUCCESS, NULL) && strstr(fix_text(&w, 1, 0), "3 files with 8 bytes of \"fast\""),
       "what its patterns choose");
    const char *out = fix_text(&w, 2, 0);
    ok(strstr(out, "644 ./a.txt") && strstr(out, "755 ./bin/deep/tool") &&
           strstr(out, "600 ./empty") && !strstr(out, "other.c"),
       "with their permissions, but never set-user-id");
    ok(strstr(out, "hello#!xold"), "what a link led to is untouched");
    fix_view_clear(&w);
    fix_free_job(&job);
    ok(nothing_left(f), "the spool is empty");
}

static void one_wrong(fix *f, const char *what, const char *before, const char *to, const file *v,
                      const char *text, pw_result result, const char *reason)
{
    job_spec job;
    fix_view w = {0};
    bool good =
        make_job(f, &job, before, to, NULL, false, "true") && answer_list(f, &job, 1, v, 1, false);
    for (uint64_t i = 2; text && i < 5; i++)
        good = good && answer(f, &job, i, text, strlen(text), NULL, false);
    ok(good && fix_run(f, &job, &w) && says(&w, result, reason), "%s", what);
    fix_view_clear(&w);
    fix_free_job(&job);
    PW_AUTO(pw_freep) char *dir = spool_need_dir(f->spool);
    (void)pw_fs_remove_tree(dir, NULL);
}

static void test_wrong(fix *f)
{
    static const file plain = {"d/a", "hello", 0644, false}, bad = {"a", "hello", 0644, true};
    one_wrong(f, "a link in the way", "ln -s /tmp d", NULL, &plain, "hello", PW_FAILURE,
              "in the way");
    one_wrong(f, "a file in the way", "rm -f d; echo > d", NULL, &plain, "hello", PW_FAILURE,
              "in the way");
    one_wrong(f, "a folder in its place", "rm -rf d; mkdir -p d/a", NULL, &plain, "hello",
              PW_EXCEPTION, "cannot replace");
    one_wrong(f, "a link as its folder", "rm -rf in; ln -s /tmp in", "in/x", &plain, "hello",
              PW_FAILURE, "in the way");
    one_wrong(f, "a folder above", "true", "../x", &plain, "hello", PW_FAILURE,
              "not a path inside");
    one_wrong(f, "bytes of another sum, again and again", "true", NULL, &bad, "hello", PW_EXCEPTION,
              "came damaged");
    one_wrong(f, "too few bytes", "rm -rf d", NULL, &plain, "hel", PW_EXCEPTION, NULL);
}

static void test_lists(fix *f)
{
    static const file v[] = {{"a.txt", "hello", 0644, false}};
    job_spec job;
    fix_view w = {0};
    ok(make_job(f, &job, "true", NULL, "*.c", false, "true") &&
           answer_list(f, &job, 1, v, 1, false) && fix_run(f, &job, &w) &&
           says(&w, PW_FAILURE, "left no file that matches \"*.c\""),
       "nothing matches");
    fix_view_clear(&w);
    fix_free_job(&job);
    ok(make_job(f, &job, "true", NULL, "*.c", true, "true") &&
           answer_list(f, &job, 1, v, 1, false) && fix_run(f, &job, &w) &&
           says(&w, PW_SUCCESS, NULL),
       "which may be");
    fix_view_clear(&w);
    fix_free_job(&job);
    ok(make_job(f, &job, "true", NULL, NULL, false, "true") &&
           answer(f, &job, 1, "", 0, "\"fast\" was not built", false) && fix_run(f, &job, &w) &&
           says(&w, PW_FAILURE, "was not built"),
       "the master's own words");
    fix_view_clear(&w);
    fix_free_job(&job);
    bool good = make_job(f, &job, "true", NULL, NULL, false, "cat a.txt");
    ok(good && answer_list(f, &job, 1, v, 1, true) && answer_list(f, &job, 2, v, 1, false) &&
           answer(f, &job, 3, "jello", 5, NULL, false) &&
           answer(f, &job, 4, "hello", 5, NULL, false) && fix_run(f, &job, &w) &&
           says(&w, PW_SUCCESS, NULL) && strstr(fix_text(&w, 2, 0), "hello"),
       "what came damaged is asked for again");
    fix_view_clear(&w);
    fix_free_job(&job);
}

int main(void)
{
    fix f;
    ok(fix_open(&f), "a spool");
    test_right(&f);
    test_wrong(&f);
    test_lists(&f);
    fix_close(&f);
    return tap_done();
}
