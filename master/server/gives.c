/* Between what running jobs ask for and those who have it: the thread that reads (master/give), and
 * the git service, which bundles revisions.
 *
 * A bundle is a file of STATE/bundles, made for a revision and what a worker has of its repository
 * already, so workers in the same state share one. It lives for 10 minutes after it was last asked
 * for, and not beyond this process: asked for again, it is made again, and as it comes to the same
 * bytes a transfer that was cut off goes on. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/give/give.h"
#include "master/server/state.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/base/table.h"

enum {
    BUNDLE_MOST = 256,
    WAITING_MOST = 256, /* questions for one bundle that is being made; the others ask again */
    MAKE_TIMEOUT_US = 30 * 60 * 1000000,
};
#define BUNDLE_UNUSED_US (10 * 60 * INT64_C(1000000))

typedef struct waiting {
    uint64_t session, epoch, attempt, ask, build, offset;
} waiting;
typedef struct bundle {
    uint64_t id; /* names its file */
    uint8_t key[CRYPT_HASH];
    bool ready;
    uint64_t size;
    uint8_t sum[32];
    pw_usec used;
    waiting *wait; /* owned; while it is made */
    size_t n_wait;
} bundle;

struct gives {
    give_service *reading;
    char *dir; /* owned: STATE/bundles */
    pw_table *bundles;
    uint64_t next;
};

static char *bundle_path(const gives *g, uint64_t id)
{
    return pw_strf("%s/%" PRIu64 ".bundle", g->dir, id);
}

/* ---- answers */
static void answer_error(server *s, const waiting *w, const char *text, uint64_t retry_ms)
{
    msg_blob b = {.session = w->session,
                  .epoch = w->epoch,
                  .attempt = w->attempt,
                  .ask = w->ask,
                  .offset = w->offset,
                  .error = (char *)(uintptr_t)text,
                  .retry_ms = retry_ms};
    if (s->links) /* else nobody hears: it asks again */
        sessions_blob(s->links, &b, NULL, 0);
}

static void answer(server *s, const give_job *j)
{
    const waiting w = {.session = j->session,
                       .epoch = j->epoch,
                       .attempt = j->attempt,
                       .ask = j->ask,
                       .offset = j->offset};
    if (j->code < 0) { /* the disk's trouble may pass, what is not there does not come */
        answer_error(s, &w, j->text, j->code == PW_ENOTFOUND ? 0 : 5000);
        return;
    }
    msg_blob b = {.session = j->session,
                  .epoch = j->epoch,
                  .attempt = j->attempt,
                  .ask = j->ask,
                  .offset = j->offset,
                  .size = j->size,
                  .sum = {(uint8_t *)(uintptr_t)j->sum, sizeof(j->sum)}};
    sessions_blob(s->links, &b, j->p, j->n);
}

void turn_gives(pw_loop *loop, int fd, uint32_t events, void *p)
{
    server *s = p;
    give_job *j;
    (void)loop, (void)fd, (void)events;
    while ((j = pw_chan_recv(s->give_answers))) {
        if (s->core)
            answer(s, j);
        (void)give_job_free(j);
    }
}

static int read_piece(server *s, const bundle *b, const waiting *w, pw_err *err)
{
    give_job *j = give_job_new(GIVE_PATH, err);
    if (!j)
        return err->code;
    j->session = w->session;
    j->epoch = w->epoch;
    j->attempt = w->attempt;
    j->ask = w->ask;
    j->offset = w->offset;
    j->size = b->size;
    memcpy(j->sum, b->sum, sizeof(j->sum));
    j->path = bundle_path(s->gives, b->id);
    if (!j->path) {
        (void)give_job_free(j);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return give_send(s->gives->reading, j, err);
}

/* ---- bundles */
static void drop(server *s, bundle *b)
{
    gives *g = s->gives;
    pw_err err = {0};
    give_job *j = give_job_new(GIVE_REMOVE, &err);
    if (j && (j->path = bundle_path(g, b->id)))
        (void)give_send(g->reading, j, &err); /* full: the next start sweeps */
    else
        (void)give_job_free(j);
    (void)pw_table_del(g->bundles, b->id);
    free(b->wait);
    free(b);
}

static bundle *find(const gives *g, const uint8_t key[CRYPT_HASH])
{
    bundle *b;
    for (size_t pos = 0; (b = pw_table_next(g->bundles, &pos));)
        if (memcmp(b->key, key, CRYPT_HASH) == 0)
            return b;
    return NULL;
}

static void key_of(uint64_t project, const char *rev, const msg_need *m, uint8_t key[CRYPT_HASH])
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_HAVE_MAX * (PW_REV_MAX + 1) + 200);
    (void)pw_buf_addf(&b, "%" PRIu64 " %s", project, rev);
    for (size_t i = 0; i < m->have.n; i++)
        (void)pw_buf_addf(&b, " %s", m->have.v[i]);
    crypt_hash(pw_buf_str(&b), b.len, key);
}

static int put_waiting(bundle *b, const waiting *w, pw_err *err)
{
    for (size_t i = 0; i < b->n_wait; i++) /* it asks again: of another session, perhaps */
        if (b->wait[i].attempt == w->attempt) {
            b->wait[i] = *w;
            return 0;
        }
    if (b->n_wait == WAITING_MOST)
        return pw_fail(err, PW_EFULL, "%d jobs wait for this bundle already", WAITING_MOST);
    waiting *v = reallocarray(b->wait, b->n_wait + 1, sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    b->wait = v;
    v[b->n_wait++] = *w;
    return 0;
}

/* The oldest that is done gives way. */
static int make_room(server *s, pw_err *err)
{
    const gives *g = s->gives;
    bundle *b, *oldest = NULL;
    if (pw_table_count(g->bundles) < BUNDLE_MOST)
        return 0;
    for (size_t pos = 0; (b = pw_table_next(g->bundles, &pos));)
        if (b->ready && (!oldest || b->used < oldest->used))
            oldest = b;
    if (!oldest)
        return pw_fail(err, PW_EFULL, "%d bundles are being made", BUNDLE_MOST);
    drop(s, oldest);
    return 0;
}

static int send_job(server *s, const bundle *b, size_t project, const char *rev, const msg_need *m,
                    pw_err *err)
{
    PW_AUTO(git_job_freep) git_job *j = git_job_new(GIT_BUNDLE, err);
    bool bad = false;
    if (!j)
        return err->code;
    (void)snprintf(j->rev, sizeof(j->rev), "%s", rev);
    j->tag = b->id;
    j->timeout = MAKE_TIMEOUT_US;
    j->path = bundle_path(s->gives, b->id);
    j->known = calloc(m->have.n + 1, sizeof(*j->known));
    for (size_t i = 0; j->known && i < m->have.n; i++)
        if (strlen(m->have.v[i]) < GIT_REV)
            (void)snprintf(j->known[j->n_known++].rev, GIT_REV, "%s", m->have.v[i]);
    repos_of(s, j, project, &bad);
    if (bad || !j->path || !j->known)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return git_send(s->git, pw_take(j), err);
}

static int make(server *s, size_t project, const char *rev, const msg_need *m,
                const uint8_t key[CRYPT_HASH], const waiting *w, pw_err *err)
{
    gives *g = s->gives;
    int rc = make_room(s, err);
    if (rc < 0)
        return rc;
    bundle *b = calloc(1, sizeof(*b));
    if (!b)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *b = (bundle){.id = g->next, .used = pw_now(&pw_host_real)};
    memcpy(b->key, key, sizeof(b->key));
    if ((rc = pw_table_put(g->bundles, b->id, b, err)) < 0) {
        free(b);
        return rc;
    }
    g->next++;
    if ((rc = put_waiting(b, w, err)) == 0)
        rc = send_job(s, b, project, rev, m, err);
    if (rc < 0)
        drop(s, b);
    return rc;
}

void gives_bundled(server *s, const git_job *j)
{
    bundle *b = pw_table_get(s->gives->bundles, j->tag);
    pw_err err = {0};
    if (!b)
        return;
    bool fault = j->code == 0 && pw_fault("bundle.made");
    b->ready = j->code == 0 && !fault;
    b->used = pw_now(&pw_host_real);
    b->size = j->size;
    memcpy(b->sum, j->sum, sizeof(b->sum));
    for (size_t i = 0; i < b->n_wait; i++) {
        const waiting *w = &b->wait[i];
        if (fault)
            answer_error(s, w, "fault point bundle.made", 200);
        else if (!b->ready)
            answer_error(s, w, j->text, 0);
        else if (read_piece(s, b, w, &err) < 0)
            answer_error(s, w, err.text, 2000);
    }
    b->n_wait = 0;
    if (!b->ready)
        drop(s, b);
}

static int ask_bundle(server *s, const core_attempt *a, const msg_need *m, const waiting *w,
                      pw_err *err)
{
    char rev[2 * STORE_REV_MAX + 1];
    uint8_t key[CRYPT_HASH];
    store_rev r;
    size_t project;
    if (!core_attempt_source(s->core, a, &project, &r))
        return pw_fail(err, PW_ENOTFOUND, "its project is gone from the configuration");
    store_rev_text(&r, rev);
    key_of(core_project_row(s->core, project), rev, m, key);
    bundle *b = find(s->gives, key);
    if (!b)
        return make(s, project, rev, m, key, w, err);
    b->used = pw_now(&pw_host_real);
    return b->ready ? read_piece(s, b, w, err) : put_waiting(b, w, err);
}

/* ---- questions */
static int ask(void *p, const core_attempt *a, const msg_need *m, pw_err *err)
{
    server *s = p;
    const waiting w = {m->session, m->epoch, m->attempt, m->ask, a->build, m->offset};
    bool bad = false;
    if (m->what == PW_NEED_BUNDLE)
        return ask_bundle(s, a, m, &w, err);
    give_job *j = give_job_new(m->what == PW_NEED_LIST ? GIVE_LIST : GIVE_FILE, err);
    if (!j)
        return err->code;
    j->session = w.session;
    j->epoch = w.epoch;
    j->attempt = w.attempt;
    j->ask = w.ask;
    j->build = w.build;
    j->offset = w.offset;
    j->from = pw_strdup(m->from, &bad);
    j->name = pw_strdup(m->name, &bad);
    if (bad) {
        (void)give_job_free(j);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return give_send(s->gives->reading, j, err);
}

void gives_tick(server *s)
{
    pw_usec now = pw_now(&pw_host_real);
    bundle *b;
    for (size_t pos = 0; s->gives && (b = pw_table_next(s->gives->bundles, &pos));)
        if (b->ready && now - b->used > BUNDLE_UNUSED_US)
            drop(s, b);
}

void gives_load(server *s)
{
    if (s->gives) /* the simulator's master has none: its jobs ask for nothing */
        sessions_on_need(s->links, ask, s);
}

/* ---- life */
int gives_open(server *s, pw_err *err)
{
    gives *g = s->gives = calloc(1, sizeof(*g));
    int rc;
    if (!g || !(g->dir = pw_path_join(s->dir, "bundles")))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    g->next = 1;
    /* of a life before: nothing stands in them that cannot be made again */
    if ((rc = pw_fs_remove_tree(g->dir, err)) < 0 || (rc = pw_fs_mkdirs(g->dir, 0700, err)) < 0)
        return rc;
    if (!(g->bundles = pw_table_new(err)) ||
        !(g->reading = give_start(s->db, s->file_dir, s->give_answers, err)))
        return err->code;
    return 0;
}

void gives_close(server *s)
{
    gives *g = s->gives;
    bundle *b;
    if (!g)
        return;
    g->reading = give_stop(g->reading);
    for (size_t pos = 0; g->bundles && (b = pw_table_next(g->bundles, &pos));) {
        free(b->wait);
        free(b);
    }
    pw_table_free(g->bundles);
    free(g->dir);
    free(g);
    s->gives = NULL;
}
