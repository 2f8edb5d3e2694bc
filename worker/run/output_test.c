#include "worker/run/output.h"

#include "tests/tap.h"
#include "worker/run/fixture.h"

/* A journal of its own with a clock that the test moves. */
typedef struct bench {
    fix f;
    char *path; /* owned */
    run_writer w;
    out_shared shared;
    out_stream o;
    pw_usec now;
    pw_host clock;
    uint8_t *all; /* owned: what was fed */
    size_t n;
} bench;

enum { ALL_MAX = 8 * 1024 * 1024 };

static pw_usec bench_now(void *self)
{
    return ((bench *)self)->now;
}
static pw_msec bench_wall(void *self)
{
    return 1000000 + ((bench *)self)->now / 1000;
}

static bool bench_open(bench *b, uint64_t limit)
{
    memset(b, 0, sizeof(*b));
    b->o.ring_fd = -1;
    b->clock = (pw_host){.now = bench_now, .wall = bench_wall, .self = b};
    b->now = 1000000;
    if (!fix_open(&b->f) || !(b->path = pw_strf("%s/journal", b->f.spool)) ||
        !(b->all = malloc(ALL_MAX)))
        return false;
    journal_writer *j = journal_create(b->path, NULL);
    if (!j)
        return false;
    writer_init(&b->w, j, &b->clock, (spool_job){1, 1}, b->f.host.notes);
    b->w.retry = b->w.give_up = 0;
    b->shared = (out_shared){.writer = &b->w, .dir = b->f.spool};
    return out_begin(&b->o, &b->shared, 0, PW_STREAM_OUT, limit, NULL) == 0;
}

static void bench_close(bench *b)
{
    out_clear(&b->o);
    out_shared_clear(&b->shared);
    if (b->w.journal)
        writer_clear(&b->w);
    free(b->path);
    free(b->all);
    fix_close(&b->f);
}

/* As the runner does: as much as there is room for, then pump. */
static bool feed(bench *b, const void *p, size_t n)
{
    const uint8_t *from = p;
    if (b->n + n > ALL_MAX)
        return false;
    memcpy(b->all + b->n, p, n);
    b->n += n;
    while (n) {
        size_t room;
        uint8_t *to = out_room(&b->o, &room);
        if (room > n)
            room = n;
        memcpy(to, from, room);
        out_fed(&b->o, room, b->now, bench_wall(b));
        if (out_pump(&b->o, b->now, NULL) < 0)
            return false;
        from += room;
        n -= room;
    }
    return true;
}

static bool feeds(bench *b, const char *s)
{
    return feed(b, s, strlen(s));
}

static bool is_all(const bench *b, const fix_view *v)
{
    return v->log[0][0].len == b->n && (!b->n || memcmp(v->log[0][0].p, b->all, b->n) == 0);
}

static void test_slow(void)
{
    PW_AUTO(bench_close) bench b;
    PW_AUTO(fix_view_clear) fix_view v = {0};
    if (!bench_open(&b, 0)) {
        ok(false, "bench");
        return;
    }
    ok(out_due(&b.o) == -1, "nothing is due while empty");
    ok(feeds(&b, "one\ntwo\nthr") && out_due(&b.o) == b.now + OUT_FLUSH_US, "lines wait 20 ms");
    b.now += OUT_FLUSH_US - 1;
    ok(out_pump(&b.o, b.now, NULL) == 0 && b.o.pos == 0, "not a microsecond less");
    b.now += 1;
    ok(out_pump(&b.o, b.now, NULL) == 0 && b.o.pos == 8 && b.o.len == 3, "then whole lines go");
    ok(feeds(&b, "ee") && out_due(&b.o) == 1000000 + OUT_PARTIAL_US,
       "an open line waits 200 ms from its beginning");
    b.now = 1000000 + OUT_PARTIAL_US;
    ok(out_pump(&b.o, b.now, NULL) == 0 && b.o.pos == 13 && b.o.len == 0, "then it goes too");
    out_say(&b.o, b.now, 1, "pawl: %s", "note");
    out_say(&b.o, b.now, 1, "pawl: more");
    ok(feeds(&b, "\xff\0\r\n") && out_finish(&b.o, NULL) == 0 && out_finish(&b.o, NULL) == 0,
       "finish twice");
    ok(out_lines(&b.o) == 5 && out_bytes(&b.o) == 13 + 12 + 11 + 1, "counted");
    ok(fix_read(b.path, &v), "frames follow each other");
    ok(strcmp(fix_text(&v, 0, 0), "one\ntwo\nthree\npawl: note\npawl: more\n\xff") == 0,
       "bytes, own lines on lines of their own");
    ok(v.frames == 3 && v.packed == 0, "small frames are raw");
}

static void test_fast(void)
{
    PW_AUTO(bench_close) bench b;
    PW_AUTO(fix_view_clear) fix_view v = {0};
    char line[200];
    bool good = bench_open(&b, 0);
    uint64_t seed = 7;
    for (int i = 0; i < 40000 && good; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        int n = snprintf(line, sizeof(line), "%d %0*d%s", i, 1 + (int)(seed >> 58), 7,
                         i % 7 ? "\n" : "\r\n\n");
        good = feed(&b, line, (size_t)n);
    }
    ok(good && out_finish(&b.o, NULL) == 0 && fix_read(b.path, &v), "a fast log");
    ok(is_all(&b, &v) && v.packed == v.frames && v.frames == (int)(b.n / PW_FRAME_RAW_MAX) + 1,
       "full frames, packed, exact");
    ok(v.lines[0][0] == out_lines(&b.o) && out_lines(&b.o) == out_count(b.all, b.n), "lines");
    ok(b.w.reserved >= journal_length(b.w.journal) + WRITER_RESERVE,
       "the reserve stands behind a long journal");
}

static void test_long_line(void)
{
    PW_AUTO(bench_close) bench b;
    PW_AUTO(fix_view_clear) fix_view v = {0};
    bool good = bench_open(&b, 0);
    uint64_t seed = 1;
    for (int i = 0; i < 200000 && good;
         i++) { /* noise without line ends: 1.6 MB that nothing can pack */
        char p[8];
        for (size_t k = 0; k < sizeof(p); k++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            p[k] = (char)(seed >> 56);
            if (p[k] == '\n')
                p[k] = 0;
        }
        good = feed(&b, p, sizeof(p));
    }
    ok(good && feeds(&b, "\nend") && out_finish(&b.o, NULL) == 0 && fix_read(b.path, &v),
       "a line longer than a frame");
    ok(is_all(&b, &v) && v.frames == 4 && v.packed == 0,
       "cut inside it, raw since packing does not pay");
    ok(v.lines[0][0] == 1, "one line end");
}

static void test_limit(uint64_t limit, const char *what)
{
    PW_AUTO(bench_close) bench b;
    PW_AUTO(fix_view_clear) fix_view v = {0};
    char line[64];
    bool good = bench_open(&b, limit);
    uint64_t lines = 0;
    for (int i = 0; i < 60000 && good; i++, lines++)
        good = feed(&b, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i));
    uint64_t whole = b.n;
    ok(good && out_bytes(&b.o) == whole, "%s: fed", what);
    ok(out_finish(&b.o, NULL) == 0 && fix_read(b.path, &v), "%s: frames and cut follow each other",
       what);
    const pw_buf *log = &v.log[0][0];
    uint64_t cut = v.cut[0], head = limit - limit / 4;
    ok(cut && log->len + cut == whole && log->len <= limit && log->len + 2 * 20 >= limit,
       "%s: as much as allowed", what);
    size_t at = (size_t)v.cut_at[0];
    ok(at <= head && at + 20 >= head && memcmp(log->p, b.all, at) == 0,
       "%s: three quarters from the front", what);
    ok(v.next[0][0] == whole && v.lines[0][0] == lines, "%s: positions and lines stay absolute",
       what);
    ok(memcmp(log->p + at, b.all + at + cut, log->len - at) == 0, "%s: the newest quarter, exact",
       what);
    ok(b.all[at - 1] == '\n' && b.all[at + cut - 1] == '\n', "%s: whole lines on both sides", what);
    ok(out_bytes(&b.o) == whole && out_lines(&b.o) == lines, "%s: all is counted", what);
}

static void test_limit_edges(void)
{
    PW_AUTO(bench_close) bench b;
    PW_AUTO(fix_view_clear) fix_view v = {0};
    bool good = bench_open(&b, 100);
    for (int i = 0; i < 10 && good; i++)
        good = feeds(&b, "123456789\n");
    ok(good && out_finish(&b.o, NULL) == 0 && fix_read(b.path, &v) && is_all(&b, &v) && !v.cut[0],
       "exactly the limit: nothing cut");
    PW_AUTO(bench_close) bench c;
    PW_AUTO(fix_view_clear) fix_view w = {0};
    good = bench_open(&c, 100);
    for (int i = 0; i < 11 && good; i++)
        good = feeds(&c, "123456789\n");
    ok(good && out_finish(&c.o, NULL) == 0 && fix_read(c.path, &w) && w.cut[0] == 20 &&
           w.log[0][0].len == 90,
       "one line over: cut at lines");
    PW_AUTO(bench_close) bench d;
    PW_AUTO(fix_view_clear) fix_view x = {0};
    good = bench_open(&d, 1);
    ok(good && feeds(&d, "abc\ndef") && out_finish(&d.o, NULL) == 0 && fix_read(d.path, &x) &&
           x.log[0][0].len == 1 && x.cut[0] == 6,
       "a limit of one byte");
}

/* Each refusal of the journal leaves everything as it was. */
static void test_refused(void)
{
    PW_AUTO(bench_close) bench b;
    PW_AUTO(fix_view_clear) fix_view v = {0};
    size_t room;
    pw_err err = {0};
    if (!bench_open(&b, 0)) {
        ok(false, "bench");
        return;
    }
    int good = journal_fd(b.w.journal), saved = fcntl(good, F_DUPFD_CLOEXEC, 3),
        full = open("/dev/full", O_RDWR | O_CLOEXEC);
    memset(b.all, 'x', PW_FRAME_RAW_MAX);
    memcpy(b.o.buf, b.all, PW_FRAME_RAW_MAX);
    b.n = PW_FRAME_RAW_MAX;
    out_fed(&b.o, PW_FRAME_RAW_MAX, b.now, 1);
    b.w.cannot_reserve = true;
    ok(full >= 0 && saved >= 0 && dup3(full, good, O_CLOEXEC) == good, "the disk is full");
    ok(out_pump(&b.o, b.now, &err) == PW_EFULL && b.o.failed, "refused");
    (void)out_room(&b.o, &room);
    ok(room == 0 && b.o.len == PW_FRAME_RAW_MAX && b.o.pos == 0, "no room, nothing lost");
    out_say(&b.o, b.now, 1, "dropped");
    ok(out_finish(&b.o, NULL) < 0 && b.o.failed, "finish is refused too");
    ok(dup3(saved, good, O_CLOEXEC) == good && out_pump(&b.o, b.now, NULL) == 0 && !b.o.failed,
       "room again");
    ok(out_finish(&b.o, NULL) == 0 && fix_read(b.path, &v) && is_all(&b, &v), "all is there");
    pw_closep(&saved);
    pw_closep(&full);
}

static void test_notes(void)
{
    PW_AUTO(bench_close) bench b;
    spool_note n[4];
    if (!bench_open(&b, 0)) {
        ok(false, "bench");
        return;
    }
    int fd = b.f.host.notes;
    b.w.reserve_at = 1000000000;
    writer_tick(&b.w, b.now + WRITER_NOTE_FIRST_US);
    ok(spool_notes_get(fd, n, 4) == 0 && writer_due(&b.w) == 1000000000, "no growth, no note");
    (void)feeds(&b, "x\n");
    (void)out_finish(&b.o, NULL);
    ok(writer_due(&b.w) == b.w.start + WRITER_NOTE_FIRST_US, "the first note is held back");
    writer_tick(&b.w, b.w.start + WRITER_NOTE_FIRST_US - 1);
    ok(spool_notes_get(fd, n, 4) == 0, "until then");
    writer_tick(&b.w, b.w.start + WRITER_NOTE_FIRST_US);
    ok(spool_notes_get(fd, n, 4) == 1 && n[0].length == journal_length(b.w.journal) &&
           n[0].job.attempt == 1,
       "then given");
    writer_finish(&b.w);
    ok(spool_notes_get(fd, n, 4) == 1, "the last one at once");
}

int main(void)
{
    test_slow();
    test_fast();
    test_long_line();
    test_limit(4000, "small ring");
    test_limit(400000, "ring");
    test_limit_edges();
    test_refused();
    test_notes();
    return tap_done();
}
