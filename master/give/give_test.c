#include "master/give/give.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "master/blobs/blobs.h"
#include "master/store/files.h"
#include "master/store/fixture.h"
#include "shared/crypt/hash.h"
#include "shared/job/job.h"
#include "tests/tap.h"

enum { NEEDED = 2, ASKING = 4, EMPTY = 6, SIZE = 2 * PW_BLOB_MAX + 100 };

typedef struct world {
    fixture f;
    store *s;
    pw_chan *answers;
    give_service *g;
    char files[80];
    uint8_t bytes[SIZE], sum[32];
} world;

static void free_job(void *p)
{
    (void)give_job_free(p);
}

static bool put_blob(world *w)
{
    char name[BLOBS_NAME], path[300];
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(NULL);
    for (size_t i = 0; i < SIZE; i++)
        w->bytes[i] = (uint8_t)(i * 13 + i / 777);
    if (!h)
        return false;
    crypt_sha256_add(h, w->bytes, SIZE);
    crypt_sha256_end(h, w->sum);
    blobs_name(w->sum, name);
    (void)snprintf(path, sizeof(path), "%s/%.2s", w->files, name);
    if (pw_fs_mkdirs(path, 0700, NULL) < 0)
        return false;
    (void)snprintf(path, sizeof(path), "%s/%s", w->files, name);
    return pw_fs_replace(path, w->bytes, SIZE, 0600, NULL) == 0;
}

static int attempt(const world *w, uint64_t id, uint64_t build, uint64_t worker)
{
    store_attempt a = {.id = id,
                       .epoch = 1,
                       .build = build,
                       .worker = worker,
                       .offers = 1,
                       .state = ATT_OFFERED,
                       .result = PW_NO_RESULT};
    uint8_t digest[32] = {0};
    return store_attempt_add(w->s, &a, digest, NULL);
}

/* The build that asks, with a job that needs three others. */
static int asking(const world *w, uint64_t builder, uint64_t stamp)
{
    char name[] = "b", fast[] = "fast", gone[] = "gone", empty[] = "empty[cc=gcc]", kind[] = "run";
    job_need need[] = {{fast, NEEDED}, {gone, 0}, {empty, EMPTY}};
    job_step step = {.name = name, .kind = kind};
    job_spec spec = {
        .build = ASKING, .builder = name, .project = name, .steps = {&step, 1}, .needs = {need, 3}};
    store_request r = {.id = ASKING - 1, .buildset = ASKING, .builder = builder, .stamp = stamp};
    store_build b = {.id = ASKING,
                     .request = ASKING - 1,
                     .builder = builder,
                     .stamp = stamp,
                     .result = PW_NO_RESULT};
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(PW_JOB_MAX);
    int rc = pw_schema_encode(&job_spec_schema, &spec, &job, NULL);
    if (rc == 0)
        rc = store_buildset_add(w->s, ASKING, "quick", "a push", "ann", stamp, 1, NULL);
    if (rc == 0)
        rc = store_request_add(w->s, &r, NULL);
    if (rc == 0)
        rc = store_request_claim(w->s, r.id, ASKING, NULL);
    return rc < 0 ? rc : store_build_add(w->s, &b, job.p, job.len, NULL);
}

static int rows(const world *w)
{
    uint64_t project, builder, stamp, worker;
    const store_rev rev = fixture_rev(1);
    int rc = store_begin(w->s, NULL);
    if (rc == 0)
        rc = store_project_id(w->s, "p", &project, NULL);
    if (rc == 0)
        rc = store_builder_id(w->s, project, "b", &builder, NULL);
    if (rc == 0)
        rc = store_worker_add(w->s, "w1", 1, &worker, NULL);
    if (rc == 0)
        rc = store_stamp_id(w->s, project, "master", &rev, &stamp, NULL);
    if (rc == 0)
        rc = fixture_build(w->s, NEEDED, builder, stamp, 1);
    if (rc >= 0)
        rc = fixture_build(w->s, EMPTY, builder, stamp, 1);
    if (rc >= 0)
        rc = asking(w, builder, stamp);
    if (rc >= 0)
        rc = attempt(w, 20, NEEDED, worker);
    const store_artifact files[] = {
        {.file = 1, .path = "out/lib.a", .size = SIZE, .mode = 0755, .state = FILE_STORED},
        {.file = 2, .kind = PW_FILE_REPORT, .path = "t.xml", .size = 1, .state = FILE_STORED},
        {.file = 3, .path = "bad", .size = 1, .state = FILE_DAMAGED}};
    for (size_t i = 0; rc >= 0 && i < 3; i++) {
        store_artifact a = files[i];
        a.attempt = 20;
        memcpy(a.sha256, w->sum, sizeof(a.sha256));
        rc = store_artifact_add(w->s, &a, NULL);
    }
    return rc < 0 ? rc : store_commit(w->s, NULL);
}

static bool begin(world *w)
{
    fixture_init(&w->f);
    (void)snprintf(w->files, sizeof(w->files), "%s/artifacts", w->f.dir);
    w->answers = pw_chan_new(GIVE_ANSWERS, free_job, NULL);
    w->s = store_open(w->f.path, &w->f.host, NULL);
    if (!w->answers || !w->s || !put_blob(w) || rows(w) < 0)
        return false;
    w->g = give_start(w->f.path, w->files, w->answers, NULL);
    return w->g != NULL;
}

static void end(world *w)
{
    w->g = give_stop(w->g);
    w->answers = pw_chan_free(w->answers);
    w->s = store_close(w->s);
    fixture_clear(&w->f);
}

static give_job *question(give_kind kind, const char *from, const char *name, uint64_t offset)
{
    give_job *j = give_job_new(kind, NULL);
    if (!j)
        return NULL;
    j->build = ASKING;
    j->ask = 7;
    j->from = from ? strdup(from) : NULL;
    j->name = name ? strdup(name) : NULL;
    j->offset = offset;
    return j;
}

static give_job *answer(world *w, give_job *j)
{
    return j && give_send(w->g, j, NULL) == 0 ? pw_chan_recv_wait(w->answers) : NULL;
}

static void test_list(world *w)
{
    PW_AUTO(give_job_freep) give_job *j = answer(w, question(GIVE_LIST, "fast", NULL, 0));
    job_files l = {0};
    ok(j && j->code == 0 && j->ask == 7 && j->size == j->n &&
           pw_schema_decode(&job_files_schema, j->p, j->n, &l, NULL) == 0,
       "the list of files");
    const job_file *v = l.files.v;
    ok(l.files.n == 1 && strcmp(v->path, "out/lib.a") == 0 && v->size == SIZE && v->mode == 0755 &&
           v->sum.n == 32 && memcmp(v->sum.p, w->sum, 32) == 0,
       "has artifacts, no reports, and none that are damaged");
    pw_schema_clear(&job_files_schema, &l);
    PW_AUTO(give_job_freep) give_job *rest = answer(w, question(GIVE_LIST, "fast", NULL, 5));
    ok(rest && j && rest->code == 0 && rest->n == j->n - 5 &&
           memcmp(rest->p, j->p + 5, rest->n) == 0 && memcmp(rest->sum, j->sum, 32) == 0,
       "from anywhere on");
    PW_AUTO(give_job_freep)
    give_job *none = answer(w, question(GIVE_LIST, "empty[cc=gcc]", NULL, 0));
    ok(none && none->code == 0 && none->size > 0, "a build that left nothing has an empty one");
}

static bool denied(world *w, give_kind kind, const char *from, const char *name, const char *why)
{
    PW_AUTO(give_job_freep) give_job *j = answer(w, question(kind, from, name, 0));
    bool good = j && j->code == PW_ENOTFOUND && strstr(j->text, why) && !j->n;
    if (!good && j)
        printf("# %d %s\n", j->code, j->text);
    return good;
}

static void test_denied(world *w)
{
    ok(denied(w, GIVE_LIST, "other", NULL, "\"fast\", \"gone\""), "no build that is not needed");
    ok(denied(w, GIVE_LIST, "gone", NULL, "was not built"), "none that never was");
    ok(denied(w, GIVE_FILE, "fast", "nothing", "no file"), "no file that is not there");
    ok(denied(w, GIVE_FILE, "fast", "t.xml", "no file"), "no report");
    ok(denied(w, GIVE_FILE, "empty[cc=gcc]", "out/lib.a", "no file"), "no file of another build");
    give_job *j = question(GIVE_LIST, "fast", NULL, 0);
    j->build = NEEDED;
    PW_AUTO(give_job_freep) give_job *bad = answer(w, j);
    ok(bad && bad->code < 0 && bad->code != PW_ENOTFOUND,
       "a job that cannot be read gives nothing");
}

static void test_pieces(world *w)
{
    uint64_t at = 0;
    bool good = true;
    for (int i = 0; i < 3 && good; i++) {
        PW_AUTO(give_job_freep)
        give_job *j = answer(w, question(GIVE_FILE, "fast", "out/lib.a", at));
        good = j && j->code == 0 && j->size == SIZE && memcmp(j->sum, w->sum, 32) == 0 &&
               j->n <= PW_BLOB_MAX && memcmp(j->p, w->bytes + at, j->n) == 0;
        at += j ? j->n : 0;
    }
    ok(good && at == SIZE, "a file comes in pieces");
    PW_AUTO(give_job_freep)
    give_job *behind = answer(w, question(GIVE_FILE, "fast", "out/lib.a", SIZE + 9));
    ok(behind && behind->code == 0 && behind->n == 0, "behind its end there is nothing");
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/x", w->f.dir);
    ok(pw_fs_replace(path, "hello", 5, 0600, NULL) == 0, "a file of ours");
    give_job *j = question(GIVE_PATH, NULL, NULL, 1);
    j->path = strdup(path);
    j->size = 5;
    PW_AUTO(give_job_freep) give_job *own = answer(w, j);
    ok(own && own->code == 0 && own->n == 4 && memcmp(own->p, "ello", 4) == 0, "is read as well");
    j = question(GIVE_REMOVE, NULL, NULL, 0);
    j->path = strdup(path);
    ok(give_send(w->g, j, NULL) == 0, "and removed,");
    PW_AUTO(give_job_freep) give_job *after = answer(w, question(GIVE_LIST, "fast", NULL, 0));
    ok(after && access(path, F_OK) < 0, "in the order in which it is asked for");
}

int main(void)
{
    static world w;
    ok(begin(&w), "rows and files");
    if (w.g) {
        test_list(&w);
        test_denied(&w);
        test_pieces(&w);
    }
    end(&w);
    return tap_done();
}
