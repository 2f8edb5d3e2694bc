/* fixture.h - what the tests of this folder share: a core over a real store in a scratch folder,
 * with a clock and randomness of its own, and short words for what a worker, a repository and a
 * person do. When memory runs out (or a commit fails) the core is gone as in the real master,
 * `core` is NULL and every word here does nothing. Tests only. */
#ifndef PW_MASTER_CORE_FIXTURE_H
#define PW_MASTER_CORE_FIXTURE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/core/core.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/crypt/crypt.h"

enum { SEEN_MAX = 512, SECOND = 1000000 };

typedef struct seen { /* one effect, as it went out */
    core_effect_kind kind;
    uint64_t worker, attempt, id;
    size_t index;
    char text[200];
    uint8_t *job; /* owned */
    size_t job_len;
} seen;

typedef struct world {
    char dir[64];
    char path[128];
    uint64_t seed;
    pw_usec now;
    pw_msec wall;
    pw_host host;
    config *conf;
    store *st;
    core *core; /* NULL after a failed commit */
    seen eff[SEEN_MAX];
    size_t n;
    unsigned commits;
    uint8_t secret[32]; /* of the newest enrolment */
    int status;         /* the newest answer */
    char body[4000];
    unsigned answers;
    /* what stands above the core in the tests of other folders; all may be NULL */
    struct world_ops {
        bool (*load)(void *self);
        void (*stop)(void *self);
        void (*before)(void *self); /* a commit */
        void (*effect)(void *self, const core_effect *e);
        void (*after)(void *self);
    } ops;
    void *ops_self;
} world;

static inline pw_usec world_now(void *self)
{
    return ((world *)self)->now;
}
static inline pw_msec world_wall(void *self)
{
    return ((world *)self)->wall;
}
static inline void world_random(void *self, void *buf, size_t n)
{
    world *w = self;
    for (size_t i = 0; i < n; i++) {
        w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        ((uint8_t *)buf)[i] = (uint8_t)(w->seed >> 56);
    }
}

static inline int world_line(void *self, const char *worker, const uint8_t secret[32],
                             pw_msec expires, pw_buf *line, pw_err *err)
{
    world *w = self;
    (void)expires;
    memcpy(w->secret, secret, 32);
    return pw_buf_addf(line, "join %s", worker) < 0 ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static inline void world_forget(world *w) /* the effects seen so far */
{
    for (size_t i = 0; i < w->n; i++)
        free(w->eff[i].job);
    w->n = 0;
}

static inline void world_effect(void *self, const core_effect *e)
{
    world *w = self;
    if (e->kind == CORE_REPLY) {
        e->cmd->done(e->cmd, e->cmd->done_self);
        return;
    }
    if (w->ops.effect)
        w->ops.effect(w->ops_self, e);
    if (e->kind == CORE_EVENT || w->n == SEEN_MAX)
        return;
    seen *s = &w->eff[w->n++];
    *s = (seen){e->kind, e->worker, e->attempt, e->id, e->index, "", NULL, e->job_len};
    if (e->text)
        (void)snprintf(s->text, sizeof(s->text), "%s", e->text);
    if (e->job && (s->job = malloc(e->job_len)))
        memcpy(s->job, e->job, e->job_len);
}

static inline void world_answer(core_cmd *c, void *self)
{
    world *w = self;
    w->status = c->status;
    w->answers++;
    (void)snprintf(w->body, sizeof(w->body), "%s", pw_buf_str(&c->body));
    core_cmd_free(c);
}

static inline void world_stop(world *w) /* as kill -9 does */
{
    if (w->ops.stop)
        w->ops.stop(w->ops_self);
    w->core = core_free(w->core);
    w->st = store_close(w->st);
}

/* One turn: commit, effects. */
static inline int world_go(world *w)
{
    pw_err err = {0};
    if (w->core && w->ops.before)
        w->ops.before(w->ops_self);
    for (int i = 0; w->core && i < 8 && core_dirty(w->core); i++) {
        int r = core_commit(w->core, world_effect, w, &err);
        if (r < 0) {
            printf("# the turn failed: %s\n", err.text);
            world_stop(w);
            return r;
        }
        w->commits++;
    }
    if (w->core && w->ops.after)
        w->ops.after(w->ops_self);
    return w->core ? 0 : PW_ENOMEM;
}

static inline bool world_load(world *w)
{
    pw_err err = {0};
    if (!w->conf)
        return false;
    if (!w->st && !(w->st = store_open(w->path, &w->host, &err)))
        return false;
    w->core = core_new(w->st, w->conf, &w->host, &err);
    if (!w->core) {
        printf("# not loaded: %d %s\n", err.code, err.text);
        return false;
    }
    core_set_join(w->core, world_line, w);
    if (w->ops.load && !w->ops.load(w->ops_self)) {
        world_stop(w);
        return false;
    }
    return world_go(w) == 0;
}

static inline config *world_config(const char *yaml)
{
    yaml_errors e = {0};
    config *c = config_load_text("/etc/pawl/master.yaml", yaml, strlen(yaml), &e);
    for (size_t i = 0; !c && i < e.n; i++)
        printf("# line %u: %s\n", e.v[i].line, e.v[i].text);
    yaml_errors_clear(&e);
    return c;
}

static inline world *world_new(const char *yaml)
{
    world *w = calloc(1, sizeof(*w));
    pw_log_open(PW_LOG_ERROR, -1);
    if (!w)
        return NULL;
    /* memory, where there is such a place: a turn is a sync */
    (void)snprintf(w->dir, sizeof(w->dir), "%s/pawl-core-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(w->dir))
        abort();
    (void)snprintf(w->path, sizeof(w->path), "%.60s/pawl.db", w->dir);
    w->seed = 11;
    w->now = 1000 * (pw_usec)SECOND;
    w->wall = 1767225600000; /* 2026-01-01T00:00:00Z */
    w->host = (pw_host){world_now, world_wall, world_random, w};
    w->conf = world_config(yaml);
    (void)world_load(w);
    return w;
}

static inline world *world_free(world *w)
{
    if (!w)
        return NULL;
    world_forget(w);
    world_stop(w);
    config_unref(w->conf);
    (void)pw_fs_remove_tree(w->dir, NULL);
    free(w);
    return NULL;
}
PW_DEFINE_FREEP(world, world_free)

/* kill -9 and a new start, with another configuration when yaml is given. */
static inline void world_restart(world *w, const char *yaml)
{
    world_stop(w);
    if (yaml) {
        config_unref(w->conf);
        w->conf = world_config(yaml);
    }
    (void)world_load(w);
}

/* Time passes, second by second. */
static inline void world_pass(world *w, int64_t seconds)
{
    for (int64_t i = 0; i < seconds && w->core; i++) {
        w->now += SECOND;
        w->wall += 1000;
        core_tick(w->core);
        (void)world_go(w);
    }
}

/* ---- effects */
static inline size_t count(const world *w, core_effect_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->eff[i].kind == kind;
    return n;
}
static inline const seen *last(const world *w, core_effect_kind kind)
{
    static const seen none;
    for (size_t i = w->n; i-- > 0;)
        if (w->eff[i].kind == kind)
            return &w->eff[i];
    return &none;
}

/* ---- a repository */
static inline store_rev rev(unsigned n)
{
    store_rev r = {.n = 20};
    memset(r.id, 0xab, 20);
    r.id[18] = (uint8_t)(n >> 8);
    r.id[19] = (uint8_t)n;
    return r;
}
/* The poll that is under way found the branch at `to` (0: deleted), it was at `from` (0: new). */
static inline void push_as(world *w, size_t project, const char *branch, unsigned from, unsigned to,
                           bool testfix)
{
    char ref[300];
    if (!w->core)
        return;
    (void)snprintf(ref, sizeof(ref), "refs/heads/%s", branch);
    core_commit_info c = {.rev = rev(to),
                          .author = "Ann <a@x>",
                          .subject = "s",
                          .files = "src/a.c",
                          .at = w->wall,
                          .testfix = testfix};
    core_move m = {.ref = ref,
                   .old = from ? rev(from) : (store_rev){0},
                   .rev = to ? rev(to) : (store_rev){0},
                   .commit = &c,
                   .n_commits = to ? 1 : 0};
    core_polled(w->core, project, "master", &m, 1);
    (void)world_go(w);
}
static inline void push(world *w, size_t project, const char *branch, unsigned from, unsigned to)
{
    push_as(w, project, branch, from, to, false);
}
/* The first look: the branch exists, nothing is built. */
static inline void look(world *w, size_t project, const char *branch, unsigned at)
{
    push(w, project, branch, 0, at);
}

/* ---- people */
typedef struct say {
    const char *idem, *project, *builder, *branch, *revision, *reason, *name;
    uint64_t id;
    bool dry_run, failed;
    const char *actor, *person; /* actor NULL: ann */
    const char *scheduler;
    const char *prop[12]; /* name, value, name, value ... */
    unsigned scopes, may;
    pw_msec expires;
    const uint64_t *ids; /* borrowed */
    size_t n_ids;
} say;
/* Gives the command, without a commit. */
static inline void command(world *w, core_cmd_kind kind, say s)
{
    core_cmd *c = core_cmd_new(kind, NULL);
    bool failed = false;
    if (!c || !w->core) {
        core_cmd_free(c);
        return;
    }
    w->status = 0;
    w->body[0] = '\0';
    c->idem = pw_strdup(s.idem, &failed);
    c->actor = pw_strdup(s.actor ? s.actor : "ann", &failed);
    c->person = pw_strdup(s.person, &failed);
    if (s.n_ids)
        (void)pw_buf_add(&c->data, s.ids, s.n_ids * sizeof(*s.ids));
    c->scopes = s.scopes;
    c->may = s.may;
    c->expires = s.expires;
    c->project = pw_strdup(s.project, &failed);
    c->builder = pw_strdup(s.builder, &failed);
    c->branch = pw_strdup(s.branch, &failed);
    c->revision = pw_strdup(s.revision, &failed);
    c->reason = pw_strdup(s.reason, &failed);
    c->name = pw_strdup(s.name, &failed);
    c->scheduler = pw_strdup(s.scheduler, &failed);
    msg_pair *pair = calloc(6, sizeof(*pair));
    c->props.v = pair;
    for (; pair && c->props.n < 6 && s.prop[2 * c->props.n]; c->props.n++) {
        pair[c->props.n].name = pw_strdup(s.prop[2 * c->props.n], &failed);
        pair[c->props.n].value = pw_strdup(s.prop[2 * c->props.n + 1], &failed);
    }
    c->id = s.id;
    c->dry_run = s.dry_run;
    c->failed = s.failed;
    c->done = world_answer;
    c->done_self = w;
    core_command(w->core, c);
}
static inline int ask(world *w, core_cmd_kind kind, say s)
{
    command(w, kind, s);
    (void)world_go(w);
    return w->status;
}
/* The number behind "key": in the newest answer, brackets skipped; 0 when it is not there. */
static inline uint64_t told(const world *w, const char *key)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\":", key);
    const char *p = strstr(w->body, quoted);
    if (!p)
        return 0;
    p += strlen(quoted);
    p += strspn(p, "[");
    return strtoull(p, NULL, 10);
}
static inline uint64_t force(world *w, const char *builder)
{
    (void)ask(w, CMD_FORCE, (say){.builder = builder, .branch = "master", .reason = "because"});
    return told(w, "requests");
}

/* "name=value name=value " of the properties that the newest offer has, but those of its worker. */
static inline void offered_props(const world *w, char *out, size_t room)
{
    const seen *e = last(w, CORE_OFFER);
    job_spec job = {0};
    out[0] = '\0';
    if (!e->job || pw_schema_decode(&job_spec_schema, e->job, e->job_len, &job, NULL) < 0)
        return;
    for (size_t i = 0; i < job.props.n; i++) {
        const msg_pair *p = (const msg_pair *)job.props.v + i;
        size_t n = strlen(out);
        if (strncmp(p->name, "worker_", 7) != 0)
            (void)snprintf(out + n, room - n, "%s=%s ", p->name, p->value);
    }
    pw_schema_clear(&job_spec_schema, &job);
}

/* ---- workers */
static inline void fill(uint8_t *p, size_t n, uint8_t v)
{
    memset(p, v, n);
}
/* Adds it and joins with key kkkk...; returns its id. */
static inline uint64_t worker(world *w, const char *name, uint8_t k)
{
    uint8_t once[32], key[32];
    bool enrol = false;
    if (ask(w, CMD_WORKER_ADD, (say){.name = name}) != 202 || !w->core)
        return 0;
    crypt_public(w->secret, once);
    uint64_t id = core_key_owner(w->core, once, &enrol);
    fill(key, 32, k);
    if (!enrol || core_worker_join(w->core, id, once, name, key, NULL) < 0 || world_go(w) < 0)
        return 0;
    return id;
}
static inline bool up_with(world *w, uint64_t id, uint8_t spool, uint64_t slots, uint8_t boot,
                           const char *facts)
{
    core_hello h = {.slots = slots, .tags = "linux fast", .facts = facts, .version = "1"};
    bool rebooted = false;
    if (!w->core)
        return false;
    fill(h.spool, 16, spool);
    fill(h.boot, 16, boot);
    core_worker_up(w->core, id, &h, &rebooted);
    (void)world_go(w);
    return rebooted;
}
static inline bool up_boot(world *w, uint64_t id, uint8_t spool, uint64_t slots, uint8_t boot)
{
    return up_with(w, id, spool, slots, boot, "os=linux");
}
/* One that takes what is not trusted, too. */
static inline void up_open(world *w, uint64_t id, uint8_t spool, uint64_t slots)
{
    (void)up_with(w, id, spool, slots, 1, "os=linux\nisolation=none,bwrap\nuntrusted=true");
}
static inline void up(world *w, uint64_t id, uint8_t spool, uint64_t slots)
{
    (void)up_boot(w, id, spool, slots, 1);
}
static inline void down(world *w, uint64_t id)
{
    if (w->core)
        core_worker_down(w->core, id, "gone");
    (void)world_go(w);
}

/* ---- attempts: what their records do */
static inline core_attempt *att(world *w, uint64_t id)
{
    return w->core ? core_attempt_find(w->core, id) : NULL;
}
static inline void start(world *w, uint64_t id)
{
    core_attempt *a = att(w, id);
    if (!a)
        return;
    core_att_started(w->core, a);
    core_att_offsets(w->core, a, 100, 1, 100, 1);
    (void)world_go(w);
}
/* The end record is stored: the result, the offsets, the forget. */
static inline void end(world *w, uint64_t id, pw_result result)
{
    core_attempt *a = att(w, id);
    rec_end r = {.result = (uint64_t)result, .wall_ms = 5};
    if (!a)
        return;
    a->end_at = 200;
    core_att_ended(w->core, a, &r);
    core_att_offsets(w->core, a, 200, 2, 200, 2);
    (void)world_go(w);
}
static inline void run(world *w, uint64_t id, pw_result result)
{
    start(w, id);
    end(w, id, result);
}

/* ---- rows */
typedef struct build_now {
    build_state state;
    int result;
    uint64_t tries, worker, attempt;
    bool started;
    char reason[200];
} build_now;
static inline build_now build(world *w, uint64_t id)
{
    store_build b;
    build_now n = {.state = (build_state)-1, .result = -9};
    if (!w->st || store_build_get(w->st, id, &b, NULL) < 0)
        return n;
    n = (build_now){b.state, (int)b.result, b.tries, b.worker, b.attempt, b.started > 0, ""};
    if (b.reason)
        (void)snprintf(n.reason, sizeof(n.reason), "%s", b.reason);
    store_build_clear(&b);
    return n;
}
static inline bool done(world *w, uint64_t id, pw_result result)
{
    build_now b = build(w, id);
    return b.state == BUILD_DONE && b.result == (int)result;
}
typedef struct request_now {
    int state;
    uint64_t build, rode_with;
} request_now;
static inline request_now request(world *w, uint64_t id)
{
    store_request r;
    request_now n = {-1, 0, 0};
    if (!w->st || store_request_get(w->st, id, &r, NULL) < 0)
        return n;
    n = (request_now){(int)r.state, r.build, r.rode_with};
    store_request_clear(&r);
    return n;
}
/* Which revision a request is for, as the number of rev(); 0: none. */
static inline unsigned request_rev(world *w, uint64_t id)
{
    PW_AUTO(pw_buf_clearp) pw_buf branch = PW_BUF(300);
    store_request r = {0};
    store_rev at = {0};
    uint64_t project;
    if (!w->st || store_request_get(w->st, id, &r, NULL) < 0)
        return 0;
    int code = store_stamp_get(w->st, r.stamp, &project, &at, &branch, NULL);
    store_request_clear(&r);
    return code < 0 ? 0 : (unsigned)(at.id[18] << 8 | at.id[19]);
}
static inline int att_row(world *w, uint64_t id, pw_result *ret_result)
{
    store_attempt a;
    if (!w->st || store_attempt_get(w->st, id, &a, NULL) < 0)
        return -1;
    if (ret_result)
        *ret_result = a.result;
    return (int)a.state;
}
static inline core_figures figures(const world *w)
{
    core_figures f = {0};
    if (w->core)
        core_get_figures(w->core, &f);
    return f;
}
#endif
