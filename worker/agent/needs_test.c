/* What jobs ask for, through the whole agent: pieces, repetitions, ends of sessions and of the
 * agent itself. */
#include "worker/agent/needs.h"

#include "shared/job/ask.h"
#include "worker/agent/agent_world.h"
#include "worker/spool/need.h"

static char from[] = "fast";
static uint8_t bytes[400000];

static spool_job id_of(uint64_t attempt)
{
    return (spool_job){EPOCH, attempt};
}

static journal_writer *runner; /* of the job that runs: it holds the lock on its journal */

/* A job that runs, with a session; everything before is forgotten. */
static bool begin(world *w, uint64_t attempt)
{
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 1000);
    if (!connect_with(w, NULL, 0, 1 << 20))
        return false;
    offer_job(w, (offer){.attempt = attempt});
    runner = runner_of(w, attempt);
    if (!runner || !write_rec(runner, PW_REC_START, 1))
        return false;
    note(w, attempt, runner);
    forget_sent(w);
    return true;
}

static void over(world *w, uint64_t attempt)
{
    journal_writer *r = runner ? runner : runner_of(w, attempt);
    if (r && write_rec(r, PW_REC_END, 1))
        note(w, attempt, r);
    journal_writer_free(r);
    runner = NULL;
    later(w, 2 * SECOND);
    forget(w, attempt);
    jobs_expire(agent_jobs(w->agent), 0);
}

static bool asks(world *w, uint64_t attempt, uint64_t seq, job_ask_item *v, size_t n)
{
    PW_AUTO(pw_freep) char *path = spool_need_ask(w->dir, id_of(attempt));
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_ASK_MAX);
    job_ask a = {seq, {v, n}};
    bool good = path && pw_schema_encode(&job_ask_schema, &a, &b, NULL) == 0 &&
                pw_fs_replace(path, b.p, b.len, 0600, NULL) == 0;
    agent_note(w->agent, (spool_note){id_of(attempt), SPOOL_NOTE_ASK});
    settle(w);
    return good;
}

static const msg_need *asked(const world *w)
{
    static const msg_need none;
    const sent *s = newest(w, PW_MSG_NEED);
    return s ? &s->m.u.need : &none;
}

typedef struct given {
    uint64_t size, n;
    uint8_t sum;
    const char *error;
    uint64_t retry_ms;
    uint64_t skip; /* of the offset */
} given;

/* Answers the newest question out of `bytes`. */
static void give(world *w, given g)
{
    const msg_need q = *asked(w);
    uint8_t sum[PW_SUM_BYTES];
    memset(sum, g.sum, sizeof(sum));
    msg_blob m = {.session = w->session,
                  .epoch = q.epoch,
                  .attempt = q.attempt,
                  .ask = q.ask,
                  .offset = q.offset + g.skip,
                  .size = g.size,
                  .sum = {sum, sizeof(sum)},
                  .error = (char *)(uintptr_t)g.error,
                  .retry_ms = g.retry_ms};
    deliver(w, PW_MSG_BLOB, &m, bytes + q.offset, g.n);
}

static uint64_t part_size(const world *w, uint64_t attempt, uint64_t seq, bool *ret_right)
{
    PW_AUTO(pw_freep) char *path = spool_need_part(w->dir, id_of(attempt), seq);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    if (!path || pw_fs_read(path, 1 << 20, &b, NULL) < 0)
        return UINT64_MAX;
    if (ret_right)
        *ret_right = memcmp(b.p ? b.p : "", bytes, b.len) == 0;
    return b.len;
}

/* The answer: 1, with what it says in *ret, to be cleared; 0 none. */
static int got(const world *w, uint64_t attempt, uint64_t seq, job_got *ret)
{
    PW_AUTO(pw_freep) char *path = spool_need_got(w->dir, id_of(attempt), seq);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_GOT_MAX);
    *ret = (job_got){0};
    return path && pw_fs_read(path, PW_GOT_MAX, &b, NULL) == 0 &&
           pw_schema_decode(&job_got_schema, b.p, b.len, ret, NULL) == 0;
}
static bool done(const world *w, uint64_t attempt, uint64_t seq, const char *error)
{
    job_got g;
    bool good = got(w, attempt, seq, &g) && (error ? g.error && strstr(g.error, error) : !g.error);
    pw_schema_clear(&job_got_schema, &g);
    return good;
}

static void pieces(world *w)
{
    job_ask_item list = {.what = PW_NEED_LIST, .from = from};
    job_got g;
    bool right = false;
    ok(begin(w, 60) && asks(w, 60, 1, &list, 1), "a job asks");
    ok(count(w, PW_MSG_NEED) == 1 && asked(w)->what == PW_NEED_LIST && asked(w)->attempt == 60 &&
           asked(w)->session == w->session && asked(w)->offset == 0 &&
           !strcmp(asked(w)->from, "fast"),
       "the agent asks the master");
    (void)asks(w, 60, 1, &list, 1);
    ok(count(w, PW_MSG_NEED) == 1, "a hint more is no question more");
    give(w, (given){.size = 300000, .n = PW_BLOB_MAX, .sum = 5});
    ok(count(w, PW_MSG_NEED) == 2 && asked(w)->offset == PW_BLOB_MAX &&
           part_size(w, 60, 1, NULL) == PW_BLOB_MAX,
       "a piece is written before the next one is asked for");
    give(w, (given){.size = 300000, .n = 1000, .sum = 5, .skip = 1});
    ok(part_size(w, 60, 1, NULL) == 0 && asked(w)->offset == 0,
       "another place: from the beginning");
    give(w, (given){.size = 300000, .n = PW_BLOB_MAX, .sum = 5});
    give(w, (given){.size = 300000, .n = PW_BLOB_MAX, .sum = 5});
    give(w, (given){.size = 300000, .n = 300000 - 2 * PW_BLOB_MAX, .sum = 5});
    ok(got(w, 60, 1, &g) && !g.error && g.sum.n == PW_SUM_BYTES && g.sum.p[0] == 5 &&
           part_size(w, 60, 1, &right) == 300000 && right,
       "all of it, and what the master says of it");
    pw_schema_clear(&job_got_schema, &g);
    size_t before = count(w, PW_MSG_NEED);
    later(w, 60 * SECOND);
    (void)asks(w, 60, 1, &list, 1);
    ok(count(w, PW_MSG_NEED) == before, "what is answered is not asked again");
    over(w, 60);
}

static void files(world *w)
{
    char a[] = "a", b[] = "b";
    job_ask_item v[2] = {{.what = PW_NEED_FILE, .from = from, .name = a, .size = 140000},
                         {.what = PW_NEED_FILE, .from = from, .name = b, .size = 10}};
    bool right;
    ok(begin(w, 61) && asks(w, 61, 1, v, 2) && !strcmp(asked(w)->name, "a"), "files, one by one");
    give(w, (given){.size = 140000, .n = PW_BLOB_MAX});
    give(w, (given){.size = 140000, .n = 140000 - PW_BLOB_MAX});
    ok(!strcmp(asked(w)->name, "b") && asked(w)->offset == 0, "each from its beginning");
    give(w, (given){.size = 11, .n = 11});
    ok(part_size(w, 61, 1, &right) == 0 && !strcmp(asked(w)->name, "a"),
       "another size than was told: from the beginning");
    give(w, (given){.size = 140000, .n = PW_BLOB_MAX});
    give(w, (given){.size = 140000, .n = 140000 - PW_BLOB_MAX});
    give(w, (given){.size = 10, .n = 10});
    ok(done(w, 61, 1, NULL) && part_size(w, 61, 1, NULL) == 140010, "all of them in one file");
    over(w, 61);
}

/* Silence, the end of a session, the end of the agent. */
static void cut_off(world *w)
{
    job_ask_item bundle = {.what = PW_NEED_BUNDLE};
    ok(begin(w, 62) && asks(w, 62, 1, &bundle, 1), "a bundle is asked for");
    later(w, NEEDS_AGAIN + SECOND);
    ok(count(w, PW_MSG_NEED) == 2, "no answer: asked again");
    give(w, (given){.size = 200000, .n = PW_BLOB_MAX, .sum = 1});
    uint64_t was = asked(w)->ask;
    agent_lost(w->agent, "gone");
    forget_sent(w);
    for (int i = 0; i < 30 && !newest(w, PW_MSG_HELLO); i++)
        later(w, SECOND);
    msg_welcome_job v = {.epoch = EPOCH, .attempt = 62, .verdict = PW_RESUME, .window = 1 << 18};
    ok(count(w, PW_MSG_NEED) == 0, "nothing without a session");
    welcome_with(w, EPOCH, 1 << 20, &v, 1);
    ok(asked(w)->offset == PW_BLOB_MAX && asked(w)->session == w->session, "goes on behind it");
    msg_blob late = {.session = w->session, .epoch = EPOCH, .attempt = 62, .ask = was, .size = 1};
    deliver(w, PW_MSG_BLOB, &late, bytes, 1);
    ok(part_size(w, 62, 1, NULL) == PW_BLOB_MAX, "an answer to an earlier question is none");
    ok(connect_with(w, &v, 1, 1 << 20), "another agent");
    later(w, SECOND);
    ok(count(w, PW_MSG_NEED) == 0 && part_size(w, 62, 1, NULL) == PW_BLOB_MAX,
       "what a running job has is kept");
    (void)asks(w, 62, 1, &bundle, 1);
    ok(asked(w)->offset == PW_BLOB_MAX, "and goes on when its runner says so");
    give(w, (given){.size = 200000, .n = 200000 - PW_BLOB_MAX, .sum = 1});
    bool right = false;
    ok(done(w, 62, 1, NULL) && part_size(w, 62, 1, &right) == 200000 && right, "all is there");
    over(w, 62);
    ok(start(w) && part_size(w, 62, 1, NULL) == UINT64_MAX && !done(w, 62, 1, NULL),
       "what a dead runner left goes");
}

static void refused(world *w)
{
    job_ask_item list = {.what = PW_NEED_LIST, .from = from};
    ok(begin(w, 63) && asks(w, 63, 1, &list, 1), "a question");
    give(w, (given){.error = "soon", .retry_ms = 3000});
    later(w, SECOND);
    ok(count(w, PW_MSG_NEED) == 1, "not before its time");
    later(w, 3 * SECOND);
    ok(count(w, PW_MSG_NEED) == 2, "then again");
    give(w, (given){.error = "no such build"});
    ok(done(w, 63, 1, "no such build"), "the master's last word");
    (void)asks(w, 63, 2, &list, 1);
    for (uint8_t i = 0; i <= NEEDS_CHANGES; i++) {
        give(w, (given){.size = 200000, .n = PW_BLOB_MAX, .sum = 1});
        give(w, (given){.size = 200000, .n = 10, .sum = (uint8_t)(2 + i)});
    }
    ok(done(w, 63, 2, "again and again"), "what never stays the same is given up");
    (void)asks(w, 63, 3, &list, 1);
    give(w, (given){.size = 10, .n = 11});
    ok(part_size(w, 63, 3, NULL) == 0, "more than all is not taken");
    over(w, 63);
}

/* No more than NEEDS_UNDER_WAY pieces are asked for at a time. */
static void many(world *w)
{
    job_ask_item bundle = {.what = PW_NEED_BUNDLE};
    bool good = begin(w, 70);
    offer_job(w, (offer){.attempt = 71});
    offer_job(w, (offer){.attempt = 72});
    forget_sent(w);
    for (uint64_t i = 70; i < 73; i++)
        good = asks(w, i, 1, &bundle, 1) && good;
    ok(good && count(w, PW_MSG_NEED) == 3, "of each job one");
    (void)asks(w, 99, 1, &bundle, 1);
    ok(count(w, PW_MSG_NEED) == 3, "of a job that is not here none");
    for (uint64_t i = 70; i < 73; i++)
        over(w, i);
}

int main(void)
{
    static void (*const all[])(world *) = {pieces, files, cut_off, refused, many};
    return world_run(all, sizeof(all) / sizeof(all[0]));
}
