/* The archive thread: syncs that fail, seals, packing anew, views across a seal. */
#include <inttypes.h>
#include <sys/stat.h>

#include "master/logs/fixture.h"

/* First of all: PW_FAULT makes the second sync of this process fail. */
static void test_sync_fails(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(1, 0, 0), lost = MODEL(2, 0, 0);
    PW_AUTO(pw_freep) logs_answer *bad = NULL;
    PW_AUTO(pw_freep) logs_answer *none = NULL;
    uint64_t bytes = 0, lines, packed;
    if (!fx_begin(&f) || fx_put_random(&f, &m, 3000) < 0)
        return;
    ok(fx_sync(&f) == 0, "the first sync");
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    uint64_t pos = m.pos, n_lines = m.lines, first = f.rows[0].segment;
    size_t len = m.text.len;
    if (!v || fx_put_random(&f, &m, 3000) < 0 || fx_put_random(&f, &lost, 3000) < 0)
        return;
    ok(fx_reads(v, &m, 5000), "bytes are seen before they are on disk");
    logs_done(f.store, m.key);
    uint64_t ticket = logs_sync(f.store);
    bad = fx_answer(&f, FX_WAIT_MS);
    ok(bad && bad->kind == LOGS_SYNCED && bad->code == PW_ESYS && bad->ticket == ticket &&
           strstr(bad->text, "segment 1"),
       "the second fails and says so");
    ok(logs_sync(f.store) == ticket + 1, "another is asked for");
    none = fx_answer(&f, 20);
    ok(!none, "and not answered: the core does not know yet");
    logs_forget_unsynced(f.store);
    ok(logs_position(f.store, m.key, &bytes, &lines, &packed) && bytes == pos &&
           !logs_position(f.store, lost.key, &bytes, &lines, &packed),
       "what was not on disk is dropped");
    m.pos = pos;
    m.lines = n_lines;
    m.text.len = len;
    ok(fx_reads(v, &m, 5000), "views go back too");
    ok(fx_put_random(&f, &m, 3000) == 0 && f.rows[f.n_rows - 1].segment == first + 1,
       "the next bytes go to a new segment, though the log had been complete");
    ok(fx_sync(&f) == 0 && fx_reads(v, &m, 5000), "and are synced");
    ok(!fx_answer(&f, 0), "one answer each");
    ok(logs_seal_attempt(f.store, 2, NULL) == 0 && !fx_answer(&f, 20),
       "a log of which nothing is left is dropped without an answer");
}

static uint64_t times_sum(log_view *v, uint64_t bytes)
{
    uint64_t sum = 0;
    for (uint64_t pos = 0; pos < bytes + 10; pos += 1 + bytes / 4000) {
        pw_msec t = 0;
        if (log_view_time(v, pos, &t, NULL) < 0)
            return 0;
        sum = sum * 31 + (uint64_t)t;
    }
    return sum;
}

/* Puts n frames, seals, and compares a view from before, one from after, and the model. */
static bool sealed_equal(fx *f, model *m, int n, size_t most, uint64_t gap)
{
    uint64_t bytes = 0, lines = 0;
    bool done = false;
    for (int i = 0; i < n; i++) {
        if (i == n / 2 && gap > 0) {
            if (logs_cut(f->store, m->key, m->pos, gap, 3, NULL) < 0)
                return false;
            m->gap_at = m->pos;
            m->gap = gap;
            m->pos += gap;
            m->lines += 3;
        }
        if (i % 7 == 3)
            m->t -= 1000; /* its clock was set back */
        if (fx_put_random(f, m, most) < 0)
            return false;
    }
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f->store, m->key, NULL);
    if (!v || fx_sync(f) < 0)
        return false;
    uint64_t times = times_sum(v, m->pos);
    char some[1000];
    uint64_t next;
    if (log_view_read(v, m->pos / 2, some, sizeof(some), &next, NULL) < 0 ||
        logs_seal(f->store, m->key, NULL) < 0 || fx_sealed(f) <= 0)
        return false;
    PW_AUTO(log_view_closep) log_view *after = log_view_open(f->store, m->key, NULL);
    return after && log_view_size(v, &bytes, &lines, &done, NULL) == 0 && bytes == m->pos &&
           lines == m->lines && done && fx_reads(v, m, 1777) && fx_reads(after, m, 100000) &&
           (gap > 0 || fx_lines(after, m)) && times != 0 && times_sum(v, m->pos) == times &&
           times_sum(after, m->pos) == times;
}

static size_t frames_in_file(const fx *f, log_key key)
{
    PW_AUTO(pw_freep) char *path = sealed_path(f->dir, key);
    PW_AUTO(sealed_freep)
    sealed *s = path ? sealed_open(open(path, O_RDONLY | O_CLOEXEC), &key, NULL) : NULL;
    return s ? sealed_count(s) : 0;
}

static void test_seal(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear)
    model one = MODEL(255, 0, 0), few = MODEL(256, 1, 1), many = MODEL(257, 2, 0),
          gap = MODEL(512, 3, 0), large = MODEL(511, 999, 0);
    struct stat st;
    if (!fx_begin(&f))
        return;
    ok(sealed_equal(&f, &one, 1, 100, 0) && frames_in_file(&f, one.key) == 1, "a log of one frame");
    ok(sealed_equal(&f, &few, 4, 3000, 0) && frames_in_file(&f, few.key) == 4, "of a few: copied");
    ok(sealed_equal(&f, &many, 400, 300, 0) && frames_in_file(&f, many.key) == 1,
       "of many small ones: packed anew into one");
    ok(sealed_equal(&f, &gap, 40, 300, 5000) && frames_in_file(&f, gap.key) == 2,
       "packed anew around a gap");
    ok(sealed_equal(&f, &large, 30, 100000, 0) && frames_in_file(&f, large.key) >= 2,
       "packed anew into several");
    PW_AUTO(pw_freep) char *path = pw_strf("%s/ff/255-0-0.log", f.dir);
    PW_AUTO(pw_freep) char *temp = pw_strf("%s/ff/255-0-0.log.new", f.dir);
    ok(path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && temp && stat(temp, &st) < 0,
       "the file has its name");
    ok(logs_seal(f.store, one.key, NULL) == PW_ENOTFOUND &&
           logs_seal_attempt(f.store, 255, NULL) == 0 && !fx_answer(&f, 20),
       "what is sealed is not sealed again");
}

static void test_seal_attempt(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear)
    model a = MODEL(30, 0, 0), b = MODEL(30, 0, 1), c = MODEL(30, 7, 0), other = MODEL(31, 0, 0);
    model *all[] = {&a, &b, &c, &other};
    uint64_t bytes = 0, lines, packed;
    bool done = false;
    int r = 0;
    if (!fx_begin(&f))
        return;
    for (int i = 0; i < 40 && r == 0; i++)
        r = fx_put_random(&f, all[i % 4], 500);
    if (r < 0)
        return;
    f.dead = logs_seal_attempt(f.store, 30, NULL) < 0;
    ok(!f.dead && logs_seal_attempt(f.store, 30, NULL) == 0,
       "an attempt is asked for, twice, before its bytes are synced");
    ok(fx_put_random(&f, &a, 10) == PW_EINVAL, "it takes no more output");
    ok(fx_sealed(&f) > 0 && fx_sealed(&f) > 0 && fx_sealed(&f) > 0 && !fx_answer(&f, 20),
       "each of its logs is sealed once");
    ok(!logs_position(f.store, a.key, &bytes, &lines, &packed) &&
           logs_position(f.store, other.key, &bytes, &lines, &packed) && bytes == other.pos,
       "the other attempt lives on");
    for (int i = 0; i < 4; i++) {
        PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, all[i]->key, NULL);
        ok(v && fx_reads(v, all[i], 4000) && log_view_size(v, &bytes, &lines, &done, NULL) == 0 &&
               done == (i < 3),
           "log %d", i);
    }
}

/* PW_FAULT makes the first seal of this process fail. */
static void test_seal_fails(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(50, 0, 0);
    struct stat st;
    if (!fx_begin(&f) || fx_put_random(&f, &m, 1000) < 0 || fx_sync(&f) < 0)
        return;
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    PW_AUTO(pw_freep) char *temp = pw_strf("%s/32/50-0-0.log.new", f.dir);
    ok(logs_seal(f.store, m.key, NULL) == 0 && fx_sealed(&f) == PW_ESYS, "a seal fails");
    ok(temp && stat(temp, &st) < 0 && v && fx_reads(v, &m, 500), "nothing is left behind or lost");
    ok(logs_seal(f.store, m.key, NULL) == 0 && fx_sealed(&f) > 0 && v && fx_reads(v, &m, 500),
       "it is asked for again");
}

static void test_restart_seals(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(60, 0, 0);
    int r = 0;
    if (!fx_begin(&f))
        return;
    for (int i = 0; i < 10 && r == 0; i++)
        r = fx_put_random(&f, &m, 1000);
    /* sealed, but killed before the row was committed */
    if (r < 0 || fx_sync(&f) < 0 || logs_seal_attempt(f.store, 60, NULL) < 0)
        return;
    PW_AUTO(pw_freep) logs_answer *a = fx_answer(&f, FX_WAIT_MS);
    ok(a && a->kind == LOGS_SEALED && a->code == 0, "sealed");
    ok(fx_restart(&f), "restarted");
    if (!f.store)
        return;
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    uint64_t bytes, lines;
    bool done = true;
    ok(v && log_view_size(v, &bytes, &lines, &done, NULL) == 0 && !done, "the database decides");
    ok(logs_seal_attempt(f.store, 60, NULL) == 0 && fx_sealed(&f) > 0 && v && fx_reads(v, &m, 500),
       "it is sealed again over the old file");
}

/* A frame that does not decode, among small ones: kept as it is, the rest is packed anew. */
static void test_seal_hostile(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(70, 0, 0);
    store_frame row;
    char buf[100];
    uint64_t next = 0;
    int r = 0;
    if (!fx_begin(&f))
        return;
    for (int i = 0; i < 8 && r == 0; i++) {
        rec_log bad = {.codec = PW_CODEC_ZSTD,
                       .raw_len = 40,
                       .raw_pos = m.pos,
                       .first_line = m.lines,
                       .frame = (const uint8_t *)"nothing",
                       .frame_len = 7};
        if (i == 4 && (r = logs_append(f.store, 70, &bad, &row, NULL)) == 0)
            m.pos += 40;
        if (r == 0)
            r = fx_put(&f, &m, "0123456789", 10, PW_CODEC_RAW, NULL);
    }
    ok(r == 0 && logs_seal(f.store, m.key, NULL) == 0 && fx_sealed(&f) > 0, "it is sealed");
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    ok(frames_in_file(&f, m.key) == 3 && v && log_view_read(v, 0, buf, 100, &next, NULL) == 40 &&
           log_view_read(v, 40, buf, 100, &next, NULL) == PW_ECORRUPT &&
           log_view_read(v, 80, buf, 100, &next, NULL) == 40 && next == 120,
       "and only the bad frame is an error");
}

int main(void)
{
    (void)setenv("PW_FAULT", "logs.sync:2,logs.seal:1", 1);
    test_sync_fails();
    test_seal_fails();
    test_seal();
    test_seal_attempt();
    test_restart_seals();
    test_seal_hostile();
    return tap_done();
}
