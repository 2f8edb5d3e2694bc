/* What the doctor reads of the store's files, and that a backup keeps them. */
#include "master/logs/check.h"

#include <sys/stat.h>

#include "master/logs/fixture.h"

static size_t count_segments(const fx *f)
{
    size_t n = 0;
    for (uint32_t id = 1; id < 30; id++) {
        PW_AUTO(pw_freep) char *path = pw_strf("%s/seg/%08u.seg", f->dir, (unsigned)id);
        n += access(path, F_OK) == 0;
    }
    return n;
}

/* A new master; only the last row is there, as the others' logs are sealed. */
static bool restart(fx *f, const char *lock)
{
    f->store = logs_close(f->store);
    return fx_open(f) && logs_keep_while(f->store, lock, NULL) == 0 &&
           logs_load_frame(f->store, &f->rows[f->n_rows - 1], NULL) == 0 &&
           logs_loaded(f->store, NULL) == 0;
}

/* A segment that nobody names stays as long as a backup reads, and goes then. */
static void test_kept(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(5, 0, 0);
    PW_AUTO(model_clear) model other = MODEL(6, 0, 0);
    if (!fx_begin(&f))
        return;
    PW_AUTO(pw_freep) char *path = pw_path_join(f.dir, "backup.lock");
    PW_AUTO(pw_closep) int lock = pw_fs_lock_shared(path, NULL);
    ok(lock >= 0 && logs_keep_while(f.store, path, NULL) == 0, "a backup is made");
    f.store->segment_bytes = 2000;
    bool fine = fx_put_random(&f, &m, 5000) == 0;
    for (int i = 0; i < 20 && fine; i++)
        fine = fx_put_random(&f, &m, 5000) == 0;
    fine = fine && fx_sync(&f) == 0 && fx_put(&f, &other, "x\n", 2, PW_CODEC_RAW, NULL) == 0 &&
           fx_sync(&f) == 0;
    size_t many = count_segments(&f);
    ok(fine && many > 2, "%zu segments", many);
    ok(logs_seal(f.store, m.key, NULL) == 0 && fx_sealed(&f) > 0, "the log is sealed");
    /* two rounds of the archive thread: it has seen its rubbish by then */
    ok(fx_sync(&f) == 0 && fx_sync(&f) == 0 && count_segments(&f) == many,
       "its segments are there still");
    ok(restart(&f, path) && count_segments(&f) == many, "also for a master that starts meanwhile");
    pw_closep(&lock);
    ok(restart(&f, path) && count_segments(&f) == 1, "after the backup they go");
}

static void test_kept_while_running(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(5, 0, 0);
    PW_AUTO(model_clear) model other = MODEL(6, 0, 0);
    if (!fx_begin(&f))
        return;
    PW_AUTO(pw_freep) char *path = pw_path_join(f.dir, "backup.lock");
    PW_AUTO(pw_closep) int lock = pw_fs_lock_shared(path, NULL);
    (void)logs_keep_while(f.store, path, NULL);
    f.store->segment_bytes = 2000;
    bool fine = true;
    for (int i = 0; i < 20 && fine; i++)
        fine = fx_put_random(&f, &m, 5000) == 0;
    fine = fine && fx_sync(&f) == 0 && fx_put(&f, &other, "x\n", 2, PW_CODEC_RAW, NULL) == 0 &&
           fx_sync(&f) == 0 && logs_seal(f.store, m.key, NULL) == 0 && fx_sealed(&f) > 0;
    pw_closep(&lock);
    struct pollfd none = {.fd = -1};
    for (int i = 0; i < 1000 && count_segments(&f) > 2; i++)
        (void)poll(&none, 1, 10); /* the thread looks again by itself */
    ok(fine && count_segments(&f) <= 2, "the archive thread removes them by itself afterwards");
}

static void damage(const char *path, off_t at)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t b = 0;
    if (fd >= 0 && pread(fd, &b, 1, at) == 1) {
        b = (uint8_t)~b;
        (void)!pwrite(fd, &b, 1, at);
    }
}

static void test_check(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(5, 0, 0);
    PW_AUTO(model_clear) model s = MODEL(6, 1, 0);
    pw_err err = {0};
    if (!fx_begin(&f) || fx_put_random(&f, &m, 5000) < 0 || fx_put_random(&f, &m, 5000) < 0 ||
        fx_put_random(&f, &s, 5000) < 0 || fx_sync(&f) < 0)
        return;
    PW_AUTO(logs_check_freep) logs_check *c = logs_check_new(f.dir, &err);
    if (!c)
        return;
    ok(logs_check_frame(c, &f.rows[0], &err) == 0 && logs_check_frame(c, &f.rows[1], &err) == 0,
       "frames in a segment: %s", err.text);
    store_frame bad = f.rows[1];
    bad.at += 1000000;
    ok(logs_check_frame(c, &bad, &err) == PW_ECORRUPT && strstr(err.text, "ends at"),
       "a segment shorter than its row: %s", err.text);
    bad = f.rows[1];
    bad.segment = 77;
    ok(logs_check_frame(c, &bad, &err) == PW_ENOTFOUND, "no segment: %s", err.text);
    bad = f.rows[1];
    bad.raw_len++;
    ok(logs_check_frame(c, &bad, &err) == PW_ECORRUPT, "another length: %s", err.text);
    int64_t packed = -1;
    ok(logs_seal(f.store, s.key, NULL) == 0 && (packed = fx_sealed(&f)) > 0, "one is sealed");
    store_log row = {.attempt = 6,
                     .idx = 1,
                     .bytes = s.pos,
                     .lines = s.lines,
                     .packed = (uint64_t)packed,
                     .sealed = true};
    ok(logs_check_sealed(c, &row, &err) == 0, "the sealed file: %s", err.text);
    row.bytes++;
    ok(logs_check_sealed(c, &row, &err) == PW_ECORRUPT && strstr(err.text, "its row says"),
       "other totals: %s", err.text);
    row.bytes--;
    PW_AUTO(pw_freep) char *path = sealed_path(f.dir, s.key);
    damage(path, 3);
    ok(logs_check_sealed(c, &row, &err) == PW_ECORRUPT && strstr(err.text, "frame"),
       "a damaged frame: %s", err.text);
    damage(path, 3);
    damage(path, (off_t)packed - 70);
    ok(logs_check_sealed(c, &row, &err) == PW_ECORRUPT, "a damaged index: %s", err.text);
    ok(truncate(path, (off_t)packed - 1) == 0 && logs_check_sealed(c, &row, &err) == PW_ECORRUPT,
       "cut off: %s", err.text);
    (void)unlink(path);
    ok(logs_check_sealed(c, &row, &err) == PW_ENOTFOUND, "gone: %s", err.text);
}

int main(void)
{
    test_kept();
    test_kept_while_running();
    test_check();
    return tap_done();
}
