/* Appending, views of live logs, gaps, restart, rotation, a full disk, a viewer beside the writer.
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>

#include "master/logs/fixture.h"

static void count_call(void *self)
{
    ++*(int *)self;
}

static bool random_ranges(fx *f, log_view *v, const model *m)
{
    char buf[4096];
    for (int i = 0; i < 300; i++) {
        uint64_t pos = fx_random(f, m->text.len), next;
        size_t cap = 1 + (size_t)fx_random(f, sizeof(buf));
        size_t want = m->text.len - pos < cap ? (size_t)(m->text.len - pos) : cap;
        if (log_view_read(v, pos, buf, cap, &next, NULL) != (int64_t)want || next != pos + want ||
            memcmp(buf, m->text.p + pos, want) != 0)
            return false;
    }
    return true;
}

static void test_append_read(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear)
    model a = MODEL(7, 0, PW_STREAM_OUT), b = MODEL(7, 0, PW_STREAM_ERR),
          c = MODEL(263, 3, PW_STREAM_OUT);
    model *all[] = {&a, &b, &c};
    int calls = 0, r = 0;
    ok(fx_begin(&f), "a log store in an empty folder");
    if (!f.store)
        return;
    logs_on_growth(f.store, count_call, &calls);
    uint64_t generation = logs_generation(f.store);
    for (int i = 0; i < 300 && r == 0; i++)
        r = fx_put_random(&f, all[fx_random(&f, 3)], i % 50 == 0 ? 60000 : 3000);
    if (r == 0)
        r = fx_put(&f, &a, "no line feed at its end", 23, PW_CODEC_RAW, NULL);
    ok(r == 0 && calls == 301 && logs_generation(f.store) == generation + 301,
       "301 frames are appended, each is announced");
    for (size_t i = 0; i < 3; i++) {
        PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, all[i]->key, NULL);
        uint64_t bytes = 0, lines = 0, pos;
        bool done = true;
        ok(v && log_view_size(v, &bytes, &lines, &done, NULL) == 0 && bytes == all[i]->pos &&
               lines == all[i]->lines && !done,
           "log %zu has its size", i);
        if (!v)
            continue;
        ok(fx_reads(v, all[i], 777) && fx_reads(v, all[i], 1 << 20), "and its bytes");
        ok(random_ranges(&f, v, all[i]), "and any range");
        ok(fx_lines(v, all[i]), "and every line");
        ok(log_view_line(v, 0, &pos, NULL) == 0 && pos == 0 &&
               log_view_line(v, UINT64_MAX, &pos, NULL) == 0 && pos == bytes,
           "lines before and behind all");
    }
    uint64_t bytes, lines, packed;
    ok(logs_position(f.store, a.key, &bytes, &lines, &packed) && bytes == a.pos &&
           lines == a.lines && packed > 0 && packed < bytes,
       "where the log stands");
    log_key none = {7, 1, 0};
    pw_err err = {0};
    ok(!logs_position(f.store, none, &bytes, &lines, &packed) &&
           !log_view_open(f.store, none, &err) && err.code == PW_ENOTFOUND,
       "a step that printed nothing");
}

static rec_log record(const model *m, const char *text)
{
    size_t n = strlen(text);
    rec_log r = {.step = (uint16_t)m->key.idx,
                 .stream = (uint8_t)m->key.stream,
                 .raw_len = (uint32_t)n,
                 .raw_pos = m->pos,
                 .first_line = m->lines,
                 .frame = (const uint8_t *)text,
                 .frame_len = n};
    for (const char *p = text; *p; p++)
        r.lines += *p == '\n';
    return r;
}

static void test_bounds(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(1, 999, 1);
    store_frame row;
    uint64_t n;
    if (!fx_begin(&f))
        return;
    rec_log r = record(&m, "x\n"), bad;
#define REFUSED(code, ...)                                                                         \
    (bad = r, __VA_ARGS__,                                                                         \
     logs_append(f.store, 1, &bad, &row, NULL) == (code) &&                                        \
         !logs_position(f.store, m.key, &n, &n, &n))
    ok(REFUSED(PW_ELIMIT, bad.raw_len = 0) && REFUSED(PW_ELIMIT, bad.raw_len = 3) &&
           REFUSED(PW_ELIMIT, bad.lines = 3) && REFUSED(PW_ELIMIT, bad.frame_len = 0) &&
           REFUSED(PW_ELIMIT, bad.codec = 2) && REFUSED(PW_ELIMIT, bad.stream = 2) &&
           REFUSED(PW_ELIMIT, bad.codec = 1, bad.raw_len = PW_FRAME_RAW_MAX + 1) &&
           REFUSED(PW_ELIMIT, bad.codec = 1, bad.frame_len = FRAME_LEN_MAX + 1),
       "frames out of bounds are refused");
    ok(REFUSED(PW_EPROTO, bad.raw_pos = 1) &&
           REFUSED(PW_EPROTO, bad.raw_pos = 9, bad.first_line = 1),
       "frames above the end are refused");
    ok(fx_put(&f, &m, "one\n", 4, PW_CODEC_RAW, NULL) == 0, "the first frame");
    bad = r;
    ok(logs_append(f.store, 1, &bad, &row, NULL) == PW_ECONFLICT, "below: it is known");
    bad.raw_pos = 4;
    ok(logs_append(f.store, 1, &bad, &row, NULL) == PW_EPROTO, "lines that do not fit");
    ok(logs_cut(f.store, m.key, 4, 0, UINT64_MAX, NULL) == PW_EPROTO &&
           logs_cut(f.store, m.key, 4, 3, 4, NULL) == PW_EPROTO &&
           logs_cut(f.store, m.key, 4, UINT64_MAX, 0, NULL) == PW_EPROTO &&
           logs_cut(f.store, m.key, INT64_MAX, 1, 0, NULL) == PW_EPROTO &&
           logs_cut(f.store, m.key, 3, 1, 0, NULL) == PW_ECONFLICT &&
           logs_cut(f.store, m.key, 5, 1, 0, NULL) == PW_EPROTO &&
           logs_cut(f.store, m.key, 4, 0, 0, NULL) == 0,
       "gaps out of bounds are refused");
    logs_done(f.store, m.key);
    bad.first_line = 1;
    ok(logs_append(f.store, 1, &bad, &row, NULL) == PW_EINVAL, "nothing comes behind the end");
}

static void test_hostile_frame(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(44, 5, 0);
    PW_AUTO(log_view_closep) log_view *v = NULL;
    store_frame row;
    char buf[100];
    uint64_t next, pos;
    pw_err err = {0};
    if (!fx_begin(&f) || fx_put(&f, &m, "before\n", 7, PW_CODEC_RAW, NULL) < 0)
        return;
    rec_log r = record(&m, "this is not zstd\n");
    r.codec = PW_CODEC_ZSTD;
    r.raw_len = PW_FRAME_RAW_MAX;
    ok(logs_append(f.store, 44, &r, &row, NULL) == 0, "a frame that is not zstd is taken");
    r = record(&m, "after, and it has no line\n");
    r.raw_pos = 7 + PW_FRAME_RAW_MAX;
    r.first_line = 2;
    r.lines = 3;
    ok(logs_append(f.store, 44, &r, &row, NULL) == 0, "one that lies about its lines too");
    v = log_view_open(f.store, m.key, NULL);
    if (!v)
        return;
    ok(log_view_read(v, 0, buf, 100, &next, &err) == 7 && next == 7, "what decodes is shown");
    ok(log_view_read(v, 7, buf, 100, &next, &err) == PW_ECORRUPT &&
           strstr(err.text, "attempt 44 step 5"),
       "what does not is an error that names the log");
    ok(log_view_read(v, r.raw_pos, buf, 100, &next, NULL) == 26 && next == r.raw_pos + 26,
       "and behind it all is well");
    ok(log_view_line(v, 3, &pos, NULL) == PW_ECORRUPT &&
           log_view_line(v, 5, &pos, &err) == PW_ECORRUPT && log_view_line(v, 4, &pos, NULL) == 0 &&
           pos == r.raw_pos + 26,
       "lines of both");
}

static void test_gap(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(2, 0, 0);
    char buf[200];
    uint64_t next = 0, pos = 0;
    pw_msec t = 0;
    int r;
    if (!fx_begin(&f))
        return;
    ok((r = fx_put(&f, &m, "one\ntwo\nhalf", 12, PW_CODEC_RAW, NULL)) == 0, "before the gap");
    if (r < 0)
        return;
    m.gap_at = 12;
    m.gap = 1000;
    m.pos += 1000;
    m.lines += 10;
    ok(fx_put(&f, &m, "x", 1, PW_CODEC_RAW, NULL) == PW_EPROTO, "a frame behind a gap is refused");
    ok(logs_cut(f.store, m.key, 12, 1000, 10, NULL) == 0 &&
           fx_put(&f, &m, "tail\nlast\n", 10, PW_CODEC_ZSTD, NULL) == 0,
       "but not when the gap is told");
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    if (!v)
        return;
    ok(fx_reads(v, &m, 5) && fx_reads(v, &m, 100), "the gap reads as nothing");
    ok(log_view_read(v, 500, buf, 100, &next, NULL) == 10 && next == 1022,
       "reading from inside of it begins behind it");
    ok(log_view_line(v, 3, &pos, NULL) == 0 && pos == 8, "the line that the gap breaks");
    ok(log_view_line(v, 4, &pos, NULL) == 0 && pos == 1012 &&
           log_view_line(v, 13, &pos, NULL) == 0 && pos == 1012 &&
           log_view_line(v, 14, &pos, NULL) == 0 && pos == 1017 &&
           log_view_line(v, 15, &pos, NULL) == 0 && pos == 1022,
       "lines in the gap and behind it");
    ok(log_view_time(v, 11, &t, NULL) == 0 && t == 1700000000000 &&
           log_view_time(v, 12, &t, NULL) == 0 && t == 1700000000000 &&
           log_view_time(v, 1012, &t, NULL) == 0 && t == 1700000000005 &&
           log_view_time(v, 9999, &t, NULL) == 0 && t == 1700000000008,
       "times");
    ok(logs_cut(f.store, m.key, 1022, 50, 0, NULL) == 0 &&
           log_view_read(v, 1022, buf, 100, &next, NULL) == 0 && next == 1072,
       "a gap at the end");
}

static size_t count_segments(const fx *f)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(f->dir, "seg");
    size_t n = 0;
    DIR *d = path ? opendir(path) : NULL;
    const struct dirent *e;
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}

static void test_restart(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(3, 1, 0);
    uint64_t bytes = 0, lines, packed;
    store_frame bad;
    int r = 0;
    if (!fx_begin(&f))
        return;
    for (int i = 0; i < 20 && r == 0; i++)
        r = fx_put_random(&f, &m, 5000);
    model known = m;
    size_t rows = f.n_rows;
    if (r == 0)
        r = fx_sync(&f);
    known.text.len = m.text.len;
    if (r == 0)
        r = fx_put_random(&f, &m, 5000); /* never synced, its row never committed */
    ok(r == 0 && logs_position(f.store, m.key, &bytes, &lines, &packed) && bytes == m.pos,
       "all is seen before the restart");
    if (r < 0)
        return;
    known.text.p = m.text.p;
    f.n_rows = rows;
    m.pos = known.pos;
    m.lines = known.lines;
    m.text.len = known.text.len;
    ok(fx_restart(&f) && logs_position(f.store, m.key, &bytes, &lines, &packed) && bytes == m.pos &&
           lines == m.lines,
       "the unsynced tail is forgotten");
    if (!f.store)
        return;
    ok(fx_put_random(&f, &m, 5000) == 0 && f.rows[rows].segment == f.rows[0].segment + 1,
       "it goes on in a new segment");
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    ok(v && fx_reads(v, &m, 9000) && fx_lines(v, &m), "with the bytes of both");
    ok(count_segments(&f) == 2, "two segments");
#define ROW(...)                                                                                   \
    (bad = f.rows[rows], bad.attempt = 4, bad.raw_pos = bad.first_line = 0,                        \
     bad.raw_len = bad.len = 50, bad.lines = 0, bad.codec = 0, __VA_ARGS__,                        \
     logs_load_frame(f.store, &bad, NULL))
    ok(ROW(bad.raw_len = 0) == PW_ECORRUPT && ROW(bad.lines = 51) == PW_ECORRUPT &&
           ROW(bad.raw_len = UINT64_MAX) == PW_ECORRUPT &&
           ROW(bad.at = UINT64_MAX) == PW_ECORRUPT && ROW(bad.segment = 0) == PW_ECORRUPT &&
           ROW(bad.codec = 2) == PW_ECORRUPT && ROW(bad.codec = 256) == PW_ECORRUPT &&
           ROW(bad.len = 51) == PW_ECORRUPT &&
           ROW(bad.raw_pos = 1, bad.first_line = 2) == PW_ECORRUPT &&
           ROW(bad.stream = 2) == PW_ECORRUPT,
       "damaged rows");
    log_key four = {4, 1, 0};
    ok(!logs_position(f.store, four, &bytes, &lines, &packed), "nothing came of them");
    ok(ROW(bad.segment = 77) == 0, "a row whose segment is missing");
    PW_AUTO(log_view_closep) log_view *gone = log_view_open(f.store, four, NULL);
    char buf[64];
    ok(gone && log_view_read(gone, 0, buf, 64, &bytes, NULL) == PW_ECORRUPT,
       "is an error of the view");
}

/* The core's commit failed: rows of frames that are on disk are lost with it. */
static void test_reset(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(3, 1, 0), over = MODEL(4, 0, 0);
    uint64_t bytes = 0, lines, packed;
    int r = 0;
    if (!fx_begin(&f))
        return;
    f.store->segment_bytes = 3000;
    for (int i = 0; i < 10 && r == 0; i++)
        r = fx_put_random(&f, i % 2 ? &m : &over, 1000);
    if (r < 0 || fx_sync(&f) < 0 || logs_seal_attempt(f.store, 4, NULL) < 0)
        return;
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    uint64_t pos = m.pos, known_lines = m.lines;
    size_t len = m.text.len, rows = f.n_rows, files = count_segments(&f);
    for (int i = 0; i < 10 && r == 0; i++)
        r = fx_put_random(&f, &m, 1000);
    if (r < 0 || !v)
        return;
    (void)logs_sync(
        f.store); /* its answer, or that of the seal, may wait in the channel, or come, or not */
    logs_reset(f.store);
    ok(!logs_position(f.store, m.key, &bytes, &lines, &packed), "nothing is known after a reset");
    f.n_rows = rows;
    for (size_t i = 0; i < rows && r == 0; i++)
        r = logs_load_frame(f.store, &f.rows[i], NULL);
    ok(r == 0 && logs_loaded(f.store, NULL) == 0, "the rows are loaded again");
    ok(logs_position(f.store, m.key, &bytes, &lines, &packed) && bytes == pos &&
           lines == known_lines && count_segments(&f) >= files,
       "the log stands where its rows end, no segment is lost");
    m.pos = pos;
    m.lines = known_lines;
    m.text.len = len;
    ok(fx_reads(v, &m, 500), "a view from before goes on");
    ok(fx_put_random(&f, &m, 1000) == 0 && fx_sync(&f) == 0 && fx_reads(v, &m, 500),
       "what was lost is appended again");
    if (f.dead || logs_seal_attempt(f.store, 4, NULL) < 0 ||
        logs_seal_attempt(f.store, 3, NULL) < 0)
        return;
    while (logs_position(f.store, m.key, &bytes, &lines, &packed) && fx_sealed(&f) > 0)
        ;
    PW_AUTO(log_view_closep) log_view *sealed_view = log_view_open(f.store, over.key, NULL);
    ok(sealed_view && fx_reads(sealed_view, &over, 500) && fx_reads(v, &m, 500),
       "both are sealed in the end");
}

/* A log that is being sealed while the core's commit fails keeps its frames; that the sealing ends
 * before the rows are read again must not make them look damaged. */
static void test_reset_sealing(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(3, 1, 0);
    uint64_t bytes = 0, lines, packed;
    int r = 0;
    if (!fx_begin(&f))
        return;
    for (int i = 0; i < 5 && r == 0; i++)
        r = fx_put_random(&f, &m, 1000);
    if (r < 0 || fx_sync(&f) < 0)
        return;
    logs_lock(f.store);
    live *l = index_find(f.store, m.key);
    if (l)
        l->sealing = true; /* as the archive thread has it */
    logs_unlock(f.store);
    logs_reset(f.store);
    if (l)
        l->sealing = false;
    for (size_t i = 0; i < f.n_rows && r == 0; i++)
        r = logs_load_frame(f.store, &f.rows[i], NULL);
    ok(l && r == 0 && logs_loaded(f.store, NULL) == 0, "rows of a log that was left are its own");
    ok(logs_position(f.store, m.key, &bytes, &lines, &packed) && bytes == m.pos,
       "each frame is there once");
    logs_reset(f.store);
    ok(!logs_position(f.store, m.key, &bytes, &lines, &packed), "the next reset empties it");
}

static void test_rotation(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(5, 0, 0), other = MODEL(6, 0, 0);
    int r = 0;
    if (!fx_begin(&f))
        return;
    f.store->segment_bytes = 20000;
    for (int i = 0; i < 50 && r == 0; i++)
        r = fx_put_random(&f, &m, 5000);
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    size_t many = count_segments(&f);
    ok(r == 0 && many >= 3 && f.rows[f.n_rows - 1].segment == many, "%zu segments", many);
    ok(v && fx_reads(v, &m, 10000), "one log over all of them");
    if (!v || r < 0)
        return;
    ok(fx_sync(&f) == 0, "all are synced at once");
    ok(fx_put(&f, &other, "x\n", 2, PW_CODEC_RAW, NULL) == 0 && fx_sync(&f) == 0, "another log");
    ok(logs_seal(f.store, m.key, NULL) == 0 && fx_sealed(&f) > 0, "the first is sealed");
    ok(fx_sync(&f) == 0 && fx_sync(&f) == 0 && count_segments(&f) == 1,
       "only the segment that the other log needs is left");
    ok(fx_reads(v, &m, 10000), "the view goes on over the sealed file");
    f.store->segment_bytes = 16 * f.store->current->size;
    uint32_t id = f.store->current->id;
    ok(logs_seal(f.store, other.key, NULL) == 0 && fx_sealed(&f) > 0, "the other is sealed");
    PW_AUTO(model_clear) model next = MODEL(8, 0, 0);
    ok(fx_put(&f, &next, "y\n", 2, PW_CODEC_RAW, NULL) == 0 && f.store->current->id == id + 1,
       "a large segment without any live frame is left behind");
    f.n_rows = 1;
    f.rows[0] = (store_frame){.attempt = 8, .raw_len = 2, .len = 2, .lines = 1, .segment = id + 1};
    ok(fx_restart(&f) && count_segments(&f) == 1, "a start removes what no row names");
}

static void test_full(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(9, 0, 0);
    struct rlimit old, small;
    uint64_t bytes = 0, lines, packed;
    char text[3000];
    int r = 0;
    if (!fx_begin(&f) || getrlimit(RLIMIT_FSIZE, &old) < 0)
        return;
    fx_text(&f, text, sizeof(text));
    (void)signal(SIGXFSZ, SIG_IGN);
    small = (struct rlimit){.rlim_cur = 10000, .rlim_max = old.rlim_max};
    (void)setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 10 && r == 0; i++)
        r = fx_put(&f, &m, text, sizeof(text), PW_CODEC_RAW, NULL);
    ok(r == PW_EFULL && m.pos == 9000, "a full disk is told");
    ok(logs_position(f.store, m.key, &bytes, &lines, &packed) && bytes == 9000,
       "nothing was added");
    (void)setrlimit(RLIMIT_FSIZE, &old);
    ok(fx_put(&f, &m, text, sizeof(text), PW_CODEC_RAW, NULL) == 0 && fx_sync(&f) == 0,
       "it goes on when there is room");
    PW_AUTO(log_view_closep) log_view *v = log_view_open(f.store, m.key, NULL);
    ok(v && fx_reads(v, &m, 5000), "the bytes are right");
}

typedef struct watcher {
    logs *store;
    log_key key;
    pw_buf seen;
    pw_code code;
} watcher;

/* Follows the log to its end, as a browser would. */
static void *watch(void *arg)
{
    watcher *w = arg;
    PW_AUTO(log_view_closep) log_view *v = log_view_open(w->store, w->key, NULL);
    char buf[3000];
    uint64_t pos = 0, bytes = 0, lines = 0;
    bool done = false;
    while (v && w->code == 0 && !(done && pos >= bytes)) {
        if (log_view_size(v, &bytes, &lines, &done, NULL) < 0)
            w->code = PW_ECORRUPT;
        int64_t n = log_view_read(v, pos, buf, sizeof(buf), &pos, NULL);
        pw_msec t;
        if (n < 0 || log_view_time(v, pos / 2, &t, NULL) < 0 ||
            log_view_line(v, lines / 2, &lines, NULL) < 0)
            w->code = PW_ECORRUPT;
        if (n > 0)
            (void)pw_buf_add(&w->seen, buf, (size_t)n);
    }
    return NULL;
}

static void test_watchers(void)
{
    PW_AUTO(fx_clear) fx f = {0};
    PW_AUTO(model_clear) model m = MODEL(10, 0, 0);
    watcher w[2];
    pthread_t t[2];
    bool up[2] = {false, false};
    int r = 0;
    if (!fx_begin(&f))
        return;
    f.store->segment_bytes = 30000;
    r = fx_put_random(&f, &m, 100);
    for (size_t i = 0; i < 2; i++) {
        w[i] = (watcher){.store = f.store, .key = m.key, .seen = PW_BUF(64u << 20)};
        up[i] = r == 0 && pthread_create(&t[i], NULL, watch, &w[i]) == 0;
    }
    for (int i = 0; i < 200 && r == 0; i++) {
        r = fx_put_random(&f, &m, 2000);
        if (i % 20 == 0 && r == 0)
            r = fx_sync(&f);
    }
    logs_done(f.store, m.key);
    bool over = r == 0 && logs_seal_attempt(f.store, 10, NULL) == 0 && fx_sealed(&f) > 0;
    ok(over, "200 frames appended, synced and sealed beside two viewers");
    for (size_t i = 0; i < 2; i++) {
        if (up[i])
            (void)pthread_join(t[i], NULL);
        ok(up[i] && w[i].code == 0 && w[i].seen.len == m.text.len &&
               memcmp(w[i].seen.p, m.text.p, m.text.len) == 0,
           "viewer %zu saw every byte once", i);
        pw_buf_clear(&w[i].seen);
    }
}

int main(void)
{
    test_append_read();
    test_bounds();
    test_hostile_frame();
    test_gap();
    test_restart();
    test_reset();
    test_reset_sealing();
    test_rotation();
    test_full();
    test_watchers();
    return tap_done();
}
