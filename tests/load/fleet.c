/* fleet: many agents in one process, to load a master. Each is a real agent (worker/agent) with a
 * spool, a key and an encrypted connection of its own; only the runner is played: a job's journal
 * is written by this program, at a steady rate, out of frames that were packed once. What a job of
 * N frames prints is therefore known: N times the same text.
 *
 *   fleet TOKENS DIR FRAMES SECONDS    reads one join token a line, joins, and serves until
 * SIGTERM; each job prints FRAMES frames of 64 KiB within SECONDS. Says "joined N", "up N" on
 * stdout. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "shared/journal/journal.h"
#include "shared/link/link.h"
#include "shared/zip/zip.h"
#include "worker/agent/agent.h"
#include "worker/agent/join.h"

enum {
    MEMBERS = 10000,
    PER_CONTEXT = 250 /* libzmq: 1,023 mailboxes, some a socket */,
    CONTEXTS = MEMBERS / PER_CONTEXT,
    RAW = 64 * 1024,
    JOBS = 4096
};

typedef struct member {
    worker_conf conf;
    uint8_t secret[CRYPT_KEY];
    spool_home home;
    agent *agent;
    link_ctx *ctx; /* borrowed */
    link_dialer *dialer;
    bool closed;
    pw_source *timer;
} member;

typedef struct job {
    member *of;
    spool_job id;
    journal_writer *w;
    uint64_t frame, steps;
    pw_usec began, due;
} job;

static struct fleet {
    pw_loop *loop;
    link_ctx *ctx[CONTEXTS];
    member *m;
    size_t n;
    job jobs[JOBS];
    size_t n_jobs;
    pw_source *tick, *say;
    uint64_t frames, lines, done;
    pw_usec gap;
    uint8_t packed[RAW];
    size_t packed_n;
    size_t up;
} f;

/* ---- the wire, as worker/agent/serve.c has it */
static void serve(member *m);

static void on_in(void *self, const link_in *in)
{
    member *m = self;
    if (!m->closed)
        agent_input(m->agent, in->head, in->head_len, in->bulk, in->bulk_len);
    pw_source_at(m->timer, 0);
}

static void on_down(void *self, const char *reason)
{
    member *m = self;
    if (!m->closed)
        agent_lost(m->agent, reason);
    m->closed = true;
    pw_source_at(m->timer, 0);
}

static void drop_closed(member *m)
{
    if (m->closed)
        m->dialer = link_dialer_free(m->dialer);
    m->closed = false;
}

static int wire_open(void *self, pw_err *err)
{
    static const link_dialer_ops ops = {on_in, on_down};
    member *m = self;
    m->closed = true;
    drop_closed(m);
    m->dialer = link_dial(m->ctx, f.loop, m->conf.address, m->conf.master_key, m->secret,
                          PW_MSG_MAX, &ops, m, err);
    return m->dialer ? 0 : err->code;
}

static void wire_close(void *self)
{
    ((member *)self)->closed = true;
}

static int wire_send(void *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n,
                     pw_err *err)
{
    member *m = self;
    if (!m->dialer || m->closed)
        return pw_fail(err, PW_ENOTFOUND, "there is no connection");
    return link_dialer_send(m->dialer, head, head_n, bulk, bulk_n, err);
}

/* ---- the runner */
static int append(job *j, pw_rec_kind kind, const pw_schema *schema, const void *body, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(JOURNAL_PAYLOAD_MAX);
    int rc = pw_schema_encode(schema, body, &b, err);
    struct iovec iov = {b.p, b.len};
    return rc < 0 ? rc
                  : journal_append(j->w, (uint8_t)kind, 0,
                                   (uint64_t)(pw_now(&pw_host_real) - j->began), &iov, 1, err);
}

static int append_frame(job *j, pw_err *err)
{
    uint8_t head[RECORD_LOG_HEAD];
    uint64_t now = (uint64_t)pw_wall(&pw_host_real);
    rec_log log = {.codec = PW_CODEC_ZSTD,
                   .raw_len = RAW,
                   .lines = (uint32_t)f.lines,
                   .raw_pos = j->frame * RAW,
                   .first_line = j->frame * f.lines,
                   .t_first_ms = now,
                   .t_last_ms = now};
    rec_log_put_head(&log, head);
    struct iovec iov[2] = {{head, sizeof(head)}, {f.packed, f.packed_n}};
    return journal_append(j->w, PW_REC_LOG, 0, (uint64_t)(pw_now(&pw_host_real) - j->began), iov, 2,
                          err);
}

static int begin(job *j, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_path_journal(j->of->home.path, j->id);
    j->began = j->due = pw_now(&pw_host_real);
    rec_start s = {.pid = 1, .wall_ms = (uint64_t)pw_wall(&pw_host_real)};
    rec_step_start t = {.step = 0, .wall_ms = s.wall_ms};
    if (!path || !(j->w = journal_open_append(path, err)))
        return -1;
    int rc = append(j, PW_REC_START, &rec_start_schema, &s, err);
    return rc < 0 ? rc : append(j, PW_REC_STEP_START, &rec_step_start_schema, &t, err);
}

static int end(job *j, pw_err *err)
{
    uint64_t now = (uint64_t)pw_wall(&pw_host_real);
    rec_step_end s = {.result = PW_SUCCESS,
                      .ran = true,
                      .wall_ms = now,
                      .lines = f.lines * f.frames,
                      .bytes = RAW * f.frames};
    rec_end e = {.result = PW_SUCCESS, .wall_ms = now};
    int rc = append(j, PW_REC_STEP_END, &rec_step_end_schema, &s, err);
    return rc < 0 ? rc : append(j, PW_REC_END, &rec_end_schema, &e, err);
}

static int start_job(void *self, const char *name, pw_err *err)
{
    member *m = self;
    spool_job id;
    if (f.n_jobs == JOBS || !spool_job_parse(name, strlen(name), &id))
        return pw_fail(err, PW_EAGAIN, "too many jobs");
    for (size_t i = 0; i < f.n_jobs; i++)
        if (f.jobs[i].of == m && f.jobs[i].id.attempt == id.attempt)
            return 0;
    job j = {.of = m, .id = id};
    int rc = begin(&j, err);
    if (rc < 0)
        return rc;
    f.jobs[f.n_jobs++] = j;
    pw_source_at(f.tick, pw_now(&pw_host_real));
    agent_note(m->agent, (spool_note){id, journal_length(j.w)});
    return 0;
}

/* One frame of each job that is due; a job that is behind catches up. */
static void on_tick(pw_loop *loop, void *self)
{
    pw_usec now = pw_now(&pw_host_real), next = now + 1000000;
    (void)loop, (void)self;
    for (size_t i = 0; i < f.n_jobs;) {
        job *j = &f.jobs[i];
        pw_err err = {0};
        int rc = 0;
        bool over = false;
        if (j->due <= now) {
            over = j->frame == f.frames;
            rc = over ? end(j, &err) : append_frame(j, &err);
            j->frame++;
            j->due += f.gap;
            agent_note(j->of->agent, (spool_note){j->id, journal_length(j->w)});
            pw_source_at(j->of->timer, 0);
        }
        if (rc < 0) {
            pw_log_err(PW_LOG_ERROR, "job_failed", &err);
            exit(1);
        }
        if (over) {
            journal_writer_free(j->w);
            *j = f.jobs[--f.n_jobs];
            f.done++;
            continue;
        }
        if (j->due < next)
            next = j->due;
        i++;
    }
    pw_source_at(f.tick, f.n_jobs ? next : -1);
}

static void sweep(void *self, const char *name)
{
    (void)self, (void)name;
}
static int64_t disk_free(void *self)
{
    (void)self;
    return INT64_C(1) << 40;
}
static uint64_t load_milli(void *self)
{
    (void)self;
    return 0;
}

/* ---- members */
static void serve(member *m)
{
    drop_closed(m);
    for (int i = 0; i < 100; i++) {
        agent_tick(m->agent);
        drop_closed(m);
        pw_usec due = agent_due(m->agent);
        if (due != 0) {
            pw_source_at(m->timer, due);
            return;
        }
    }
    pw_source_at(m->timer, 0);
}

static void on_timer(pw_loop *loop, void *self)
{
    (void)loop;
    serve(self);
}

static void on_say(pw_loop *loop, void *self)
{
    size_t up = 0;
    (void)loop, (void)self;
    for (size_t i = 0; i < f.n; i++)
        up += agent_session(f.m[i].agent) == SESSION_UP;
    printf("up %zu jobs %zu done %llu\n", up, f.n_jobs, (unsigned long long)f.done);
    (void)fflush(stdout);
    pw_source_at(f.say, pw_now(&pw_host_real) + 1000000);
}

static int enrol(member *m, const char *token, const char *dir, size_t i, pw_err *err)
{
    PW_AUTO(pw_freep) char *spool = pw_strf("%s/%zu", dir, i);
    PW_AUTO(pw_freep) char *conf = pw_strf("%s/%zu.yaml", dir, i);
    PW_AUTO(pw_buf_clearp) pw_buf told = PW_BUF(10000);
    yaml_errors errors = {0};
    uint8_t pub[CRYPT_KEY];
    join_options o = {.token = token, .config = conf, .spool = spool, .slots = 1};
    int rc = join(&o, &told, err);
    if (rc == 0)
        rc = worker_conf_read(conf, &m->conf, &errors, err);
    if (rc == 0)
        rc = worker_key_read(m->conf.key, pub, m->secret, err);
    yaml_errors_clear(&errors);
    m->conf.low_disk = 0;
    return rc < 0 ? rc : home_open(m->conf.spool, &m->home, err);
}

static int come_up(member *m, size_t i, pw_err *err)
{
    link_ctx **ctx = &f.ctx[i / PER_CONTEXT];
    if (!*ctx && !(*ctx = link_ctx_new(err)))
        return err->code;
    m->ctx = *ctx;
    agent_deps deps = {.host = &pw_host_real,
                       .wire = {wire_open, wire_close, wire_send, m},
                       .start = start_job,
                       .sweep = sweep,
                       .disk_free = disk_free,
                       .load_milli = load_milli,
                       .self = m};
    if (!(m->agent = agent_new(&m->conf, &m->home, &deps, err)) ||
        !(m->timer = pw_loop_timer(f.loop, "agent", pw_now(&pw_host_real) + (pw_usec)i * 1000,
                                   on_timer, m, err)))
        return err->code;
    return 0;
}

static int pack(pw_err *err)
{
    static char text[RAW + 100];
    size_t n = 0;
    while (n < RAW) {
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "[%6zu] compiling module %zu: gcc -O2 -c src/file%zu.c -o %08zx.o\n",
                              n, n * 7 % 1000, n * 31 % 5000, n * 2654435761u % UINT32_MAX);
    }
    text[RAW - 1] = '\n';
    for (size_t i = 0; i < RAW; i++)
        f.lines += text[i] == '\n';
    PW_AUTO(zip_freep) zip_ctx *zip = zip_new(1, err);
    int64_t k = zip ? zip_pack(zip, text, RAW, f.packed, sizeof(f.packed), err) : -1;
    f.packed_n = k > 0 ? (size_t)k : 0;
    FILE *out = fopen("frame.txt", "we"); /* what one frame holds, for whoever checks */
    if (out) {
        (void)fwrite(text, 1, RAW, out);
        (void)fclose(out);
    }
    return k > 0 ? 0 : -1;
}

static void on_signal(pw_loop *loop, int signo, void *self)
{
    (void)signo, (void)self;
    pw_loop_stop(loop);
}

static int run(char **argv, pw_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    char line[2000];
    uint64_t seconds;
    FILE *tokens = fopen(argv[1], "re");
    if (!tokens || pw_fs_mkdirs(argv[2], 0700, err) < 0 ||
        pw_parse_u64(argv[3], &f.frames, err) < 0 || pw_parse_u64(argv[4], &seconds, err) < 0 ||
        f.frames == 0 || pack(err) < 0)
        return pw_fail_sys(err, "reading arguments");
    f.gap = (pw_usec)(seconds * 1000000 / f.frames);
    if (!(f.loop = pw_loop_new(&pw_host_real, err)) ||
        !pw_loop_signals(f.loop, signals, on_signal, NULL, err) ||
        !(f.tick = pw_loop_timer(f.loop, "jobs", -1, on_tick, NULL, err)) ||
        !(f.say = pw_loop_timer(f.loop, "say", 0, on_say, NULL, err)))
        return err->code;
    while (f.n < MEMBERS && fgets(line, sizeof(line), tokens)) {
        line[strcspn(line, "\n")] = '\0';
        if (enrol(&f.m[f.n], line, argv[2], f.n, err) < 0)
            return pw_err_context(err, "member %zu", f.n);
        f.n++;
    }
    (void)fclose(tokens);
    printf("joined %zu\n", f.n);
    (void)fflush(stdout);
    for (size_t i = 0; i < f.n; i++)
        if (come_up(&f.m[i], i, err) < 0)
            return err->code;
    return pw_loop_run(f.loop, err);
}

int main(int argc, char **argv)
{
    pw_err err = {0};
    struct rlimit files;
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    pw_log_open(PW_LOG_WARN, -1);
    f.m = calloc(MEMBERS, sizeof(*f.m));
    if (argc != 5 || !f.m || crypt_init(&err) < 0) {
        (void)fprintf(stderr, "usage: fleet TOKENS DIR FRAMES SECONDS\n");
        return 2;
    }
    if (run(argv, &err) < 0) {
        (void)fprintf(stderr, "fleet: %s\n", err.text);
        return 1;
    }
    return 0; /* the system takes back what is left */
}
