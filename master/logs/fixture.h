/* fixture.h - for the tests of this folder: a log store in a scratch folder, and a model of what a
 * log must hold. */
#ifndef PW_MASTER_LOGS_FIXTURE_H
#define PW_MASTER_LOGS_FIXTURE_H
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/logs/impl.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

enum { FX_ROWS = 4096, FX_WAIT_MS = 10000 };

typedef struct fx {
    char *dir;
    pw_chan *answers;
    logs *store;
    zip_ctx *zip;
    store_frame rows[FX_ROWS]; /* what the database would hold, if committed */
    size_t n_rows;
    uint64_t seed;
    bool dead; /* a sync failed that should not have, or an answer is missing: nothing is waited for
                */
} fx;

typedef struct model {
    log_key key;
    pw_buf text;          /* all bytes that were not left out */
    uint64_t pos, lines;  /* where the log stands */
    uint64_t gap_at, gap; /* at most one: position and size */
    pw_msec t;
} model;
#define MODEL(a, i, s)                                                                             \
    {                                                                                              \
        .key = {a, i, s}, .text = PW_BUF(64u << 20), .t = 1700000000000                            \
    }

static inline void fx_clear(fx *f)
{
    f->store = logs_close(f->store);
    f->answers = pw_chan_free(f->answers);
    f->zip = zip_free(f->zip);
    if (f->dir)
        (void)pw_fs_remove_tree(f->dir, NULL);
    free(f->dir);
    f->dir = NULL;
}

static inline void model_clear(model *m)
{
    pw_buf_clear(&m->text);
}

static inline bool fx_open(fx *f)
{
    f->store = logs_open(f->dir, &pw_host_real, f->answers, NULL);
    return f->store != NULL;
}

static inline bool fx_begin(fx *f)
{
    char dir[] = "/tmp/pawl-logs-XXXXXX";
    f->seed = 88172645463325252u;
    if (!mkdtemp(dir) || !(f->dir = strdup(dir)))
        return false;
    f->answers = pw_chan_new(64, free, NULL);
    f->zip = zip_new(1, NULL);
    return f->answers && f->zip && fx_open(f);
}

/* A new process with the same disk. */
static inline bool fx_restart(fx *f)
{
    f->store = logs_close(f->store);
    if (!fx_open(f))
        return false;
    for (size_t i = 0; i < f->n_rows; i++)
        if (logs_load_frame(f->store, &f->rows[i], NULL) < 0)
            return false;
    return logs_loaded(f->store, NULL) == 0;
}

static inline uint64_t fx_random(fx *f, uint64_t below)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed % below;
}

/* n bytes of text with a line feed every 40 bytes or so. */
static inline void fx_text(fx *f, char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = fx_random(f, 40) == 0 ? '\n' : (char)('a' + fx_random(f, 20));
}

/* Appends text to the store and, when that succeeds, to the model and the rows. */
static inline int fx_put(fx *f, model *m, const char *p, size_t n, int codec, pw_err *err)
{
    size_t cap = zip_bound(n);
    PW_AUTO(pw_freep) uint8_t *packed = malloc(cap);
    rec_log r = {.step = (uint16_t)m->key.idx,
                 .stream = (uint8_t)m->key.stream,
                 .codec = (uint8_t)codec,
                 .raw_len = (uint32_t)n,
                 .raw_pos = m->pos,
                 .first_line = m->lines,
                 .t_first_ms = (uint64_t)m->t,
                 .t_last_ms = (uint64_t)m->t + 3,
                 .frame = (const uint8_t *)p,
                 .frame_len = n};
    if (!packed)
        return PW_ENOMEM;
    if (codec == PW_CODEC_ZSTD) {
        int64_t size = zip_pack(f->zip, p, n, packed, cap, err);
        if (size < 0)
            return (int)size;
        r.frame = packed;
        r.frame_len = (size_t)size;
    }
    for (size_t i = 0; i < n; i++)
        r.lines += p[i] == '\n';
    store_frame row;
    int code = logs_append(f->store, m->key.attempt, &r, &row, err);
    if (code < 0)
        return code;
    if (f->n_rows < FX_ROWS)
        f->rows[f->n_rows++] = row;
    m->pos += n;
    m->lines += r.lines;
    m->t += 5;
    return pw_buf_add(&m->text, p, n);
}

static inline int fx_put_random(fx *f, model *m, size_t most)
{
    size_t n = 1 + (size_t)fx_random(f, most);
    PW_AUTO(pw_freep) char *p = malloc(n);
    if (!p)
        return PW_ENOMEM;
    fx_text(f, p, n);
    return fx_put(f, m, p, n, fx_random(f, 2) ? PW_CODEC_ZSTD : PW_CODEC_RAW, NULL);
}

/* The next answer, owned; NULL after a deadline. */
static inline logs_answer *fx_answer(fx *f, int ms)
{
    struct pollfd p = {.fd = pw_chan_fd(f->answers), .events = POLLIN};
    return poll(&p, 1, ms) == 1 ? pw_chan_recv(f->answers) : NULL;
}

static inline int fx_sync(fx *f)
{
    uint64_t ticket = f->dead ? 0 : logs_sync(f->store);
    while (!f->dead) {
        PW_AUTO(pw_freep) logs_answer *a = fx_answer(f, FX_WAIT_MS);
        f->dead = !a || (a->kind == LOGS_SYNCED && a->code < 0);
        if (!f->dead && a->kind == LOGS_SYNCED && a->ticket >= ticket)
            return 0;
    }
    return PW_ETIMEDOUT;
}

/* Waits for the sealing of one log that was asked for; its bytes, or a negative code. */
static inline int64_t fx_sealed(fx *f)
{
    while (!f->dead) {
        PW_AUTO(pw_freep) logs_answer *a = fx_answer(f, FX_WAIT_MS);
        f->dead = !a;
        if (!a || a->kind != LOGS_SEALED)
            continue;
        if (a->code == 0)
            logs_sealed(f->store, a->key);
        return a->code < 0 ? a->code : (int64_t)a->packed;
    }
    return PW_ETIMEDOUT;
}

/* Position in the log of byte i of the model's text. */
static inline uint64_t model_pos(const model *m, size_t i)
{
    return i >= m->gap_at && m->gap ? i + m->gap : i;
}

/* Reads all in steps of cap bytes and holds it against the model. */
static inline bool fx_reads(log_view *v, const model *m, size_t cap)
{
    PW_AUTO(pw_freep) char *buf = malloc(cap);
    uint64_t pos = 0, next = 0;
    size_t have = 0;
    int64_t n = 0;
    while (buf && (n = log_view_read(v, pos, buf, cap, &next, NULL)) > 0) {
        if (have + (size_t)n > m->text.len || memcmp(buf, m->text.p + have, (size_t)n) != 0 ||
            next != model_pos(m, have + (size_t)n - 1) + 1)
            return false;
        have += (size_t)n;
        pos = next;
    }
    return buf && n == 0 && have == m->text.len && next == m->pos;
}

/* Every line (of a long log, many) begins where it must; the one behind the last is the end. */
static inline bool fx_lines(log_view *v, const model *m)
{
    uint64_t line = 1, pos, every = 1 + m->lines / 5000;
    for (size_t i = 0; i < m->text.len; i++) {
        if (i > 0 && m->text.p[i - 1] != '\n')
            continue;
        if (++line % every != 0)
            continue;
        if (log_view_line(v, line - 1, &pos, NULL) < 0)
            return false;
        if (line > 2 && pos != model_pos(m, i))
            return false;
    }
    return log_view_line(v, m->lines + 2, &pos, NULL) == 0 && pos == m->pos;
}
#endif
