/* fixture.h - what the tests of this folder share: a small world in a scratch database with logs, a
 * web server over it, a thread that answers commands as the core would, and a client on plain
 * sockets. Tests only. */
#ifndef PW_MASTER_HTTP_FIXTURE_H
#define PW_MASTER_HTTP_FIXTURE_H
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/http/http.h"
#include "shared/base/fs.h"
#include "shared/crypt/crypt.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "tests/tap.h"

enum { WORLD_DONE = 120, WORLD_OPEN = 500, WORLD_LOGGED = 2, WORLD_WAITING = 600 };
typedef struct world {
    char dir[64];
    char *db, *log_dir;
    store *st;
    logs *log_store;
    pw_chan *answers, *commands;
    web_gauges gauges;
    web_server *web;
    uint64_t project, other, fast, slow, far, stamp, worker, event;
    uint64_t log_pos, log_lines;
    pthread_t core;
    bool core_runs;
    /* what the fake core saw last */
    pthread_mutex_t lock;
    core_cmd_kind kind;
    uint64_t id;
    char seen[400];               /* idem|actor|builder|branch|reason|name|props */
    bool mute;                    /* does not answer */
    _Atomic unsigned uses, asked; /* notes of use; other commands */
    unsigned scopes, may;
    pw_msec expires;
    char person[100];
    config *conf; /* set before world_open */
    uint8_t from; /* clients come from 127.0.0.from; 0: as the system likes */
} world;

static inline store_rev world_rev(uint8_t n)
{
    store_rev r = {.n = 20};
    memset(r.id, n, r.n);
    return r;
}

static inline bool world_build(world *w, uint64_t id, uint64_t builder, pw_result result,
                               const void *job, size_t job_len)
{
    store_request rq = {.id = id - 1,
                        .buildset = id,
                        .builder = builder,
                        .stamp = w->stamp,
                        .prio = 3,
                        .state = REQ_WAITING,
                        .created = 1700000000000};
    store_build b = {.id = id,
                     .request = id - 1,
                     .builder = builder,
                     .stamp = w->stamp,
                     .state = BUILD_QUEUED,
                     .result = PW_NO_RESULT,
                     .created = 1700000000001};
    store_attempt a = {.id = id,
                       .build = id,
                       .worker = w->worker,
                       .offers = 1,
                       .state = ATT_OFFERED,
                       .offered = 1700000000002,
                       .result = PW_NO_RESULT};
    static const uint8_t digest[32];
    if (store_buildset_add(w->st, id, "quick", "a push", "ann", w->stamp, 1, NULL) < 0 ||
        store_request_add(w->st, &rq, NULL) < 0 ||
        store_request_claim(w->st, id - 1, id, NULL) < 0 ||
        store_build_add(w->st, &b, job, job_len, NULL) < 0 ||
        store_attempt_add(w->st, &a, digest, NULL) < 0 ||
        store_build_dispatch(w->st, id, w->worker, id, 1, NULL) < 0 ||
        store_build_start(w->st, id, 1700000000010, NULL) < 0)
        return false;
    return result == PW_NO_RESULT ||
           (store_build_finish(w->st, id, result, result == PW_FAILURE ? "step test failed" : NULL,
                               1700000002010, builder, "master", w->stamp, NULL) == 0 &&
            store_request_done(w->st, id - 1, 0, NULL) == 0);
}

static inline int world_step(world *w, uint64_t attempt, uint64_t idx, const char *name,
                             step_state state, pw_result result)
{
    store_step s = {.attempt = attempt,
                    .idx = idx,
                    .name = (char *)(uintptr_t)name,
                    .kind = idx == 0,
                    .state = state,
                    .result = result,
                    .started = 1700000000100,
                    .finished = state == STEP_DONE ? 1700000000200 : 0,
                    .exit_code = state == STEP_DONE ? 0 : -1,
                    .lines = 5,
                    .bytes = 50,
                    .cpu_ms = 7,
                    .max_rss = 4096};
    return store_step_end(w->st, &s, NULL);
}

/* The next event of the database; the caller tells the web server after the commit. */
static inline int world_event(world *w, event_kind kind, uint64_t id)
{
    return store_event_add(w->st, ++w->event, 1700000000000, kind, id, NULL);
}

static inline int world_log(world *w, log_key key, const char *text)
{
    size_t n = strlen(text);
    rec_log r = {.step = (uint16_t)key.idx,
                 .stream = (uint8_t)key.stream,
                 .codec = PW_CODEC_RAW,
                 .raw_len = (uint32_t)n,
                 .raw_pos = w->log_pos,
                 .first_line = w->log_lines,
                 .t_first_ms = 1700000000100,
                 .t_last_ms = 1700000000101,
                 .frame = (const uint8_t *)text,
                 .frame_len = n};
    store_frame row;
    for (size_t i = 0; i < n; i++)
        r.lines += text[i] == '\n';
    int rc = logs_append(w->log_store, key.attempt, &r, &row, NULL);
    if (rc < 0)
        return rc;
    w->log_pos += n;
    w->log_lines += r.lines;
    return 0;
}

static inline void world_log_begin(world *w)
{
    w->log_pos = w->log_lines = 0;
}

static inline int world_token(world *w, const char *token, const char *name, const char *scopes)
{
    uint8_t hash[CRYPT_HASH];
    crypt_hash(token, strlen(token), hash);
    return store_token_put(w->st, hash, name, scopes, 1, NULL);
}

static inline bool world_job(pw_buf *b)
{
    job_step steps[] = {
        {.name = (char *)(uintptr_t) "checkout", .kind = (char *)(uintptr_t) "checkout"},
        {.name = (char *)(uintptr_t) "compile",
         .kind = (char *)(uintptr_t) "run",
         .script = (char *)(uintptr_t) "make"},
        {.name = (char *)(uintptr_t) "test/unit",
         .kind = (char *)(uintptr_t) "run",
         .script = (char *)(uintptr_t) "make test"}};
    msg_pair props[] = {{(char *)(uintptr_t) "flavour", (char *)(uintptr_t) "big"},
                        {(char *)(uintptr_t) "speed", (char *)(uintptr_t) "low"}};
    job_spec spec = {.epoch = 1,
                     .attempt = 1,
                     .build = 1,
                     .try_no = 1,
                     .builder = (char *)(uintptr_t) "fast",
                     .project = (char *)(uintptr_t) "p",
                     .props = {props, 2},
                     .steps = {steps, 3}};
    return pw_schema_encode(&job_spec_schema, &spec, b, NULL) == 0;
}

static inline bool world_rows(world *w)
{
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(65536);
    store_rev rev = world_rev(0xab), tip = world_rev(0xcd);
    static const uint8_t key[32] = {1};
    store_change c = {.id = 1,
                      .at = 1700000000000,
                      .tip = true,
                      .author = (char *)(uintptr_t) "Ann <ann@example.org>",
                      .source = (char *)(uintptr_t) "poll",
                      .subject = (char *)(uintptr_t) "fix <b>\"it\"</b>",
                      .files = (char *)(uintptr_t) "a.c\nb.c\n"};
    store_promotion p = {.id = 1,
                         .edge = (char *)(uintptr_t) "stable",
                         .source = (char *)(uintptr_t) "master",
                         .target = (char *)(uintptr_t) "stable",
                         .rev = rev,
                         .created = 1700000000000};
    if (!world_job(&job) || store_begin(w->st, NULL) < 0)
        return false;
    bool fine = store_project_id(w->st, "p", &w->project, NULL) == 0 &&
                store_project_id(w->st, "q", &w->other, NULL) == 0 &&
                store_builder_id(w->st, w->project, "fast", &w->fast, NULL) == 0 &&
                store_builder_id(w->st, w->project, "slow", &w->slow, NULL) == 0 &&
                store_builder_id(w->st, w->other, "fast", &w->far, NULL) == 0 &&
                store_stamp_id(w->st, w->project, "master", &rev, &w->stamp, NULL) == 0 &&
                store_worker_add(w->st, "w1", 1, &w->worker, NULL) == 0 &&
                store_worker_join(w->st, w->worker, key, NULL) == 0 &&
                store_worker_hello(w->st, w->worker, key, key, 2, "linux x86",
                                   "os=Debian 12\ncpus=4", "0.1", 1700000000000, NULL) == 0 &&
                store_tip_put(w->st, w->project, "refs/heads/master", &tip, NULL) == 0;
    c.stamp = w->stamp;
    p.project = w->project;
    for (uint64_t i = 1; fine && i <= WORLD_DONE; i++)
        fine = world_build(w, 2 * i, i % 3 ? w->fast : w->slow, i % 2 ? PW_SUCCESS : PW_FAILURE,
                           job.p, job.len);
    fine = fine && world_build(w, WORLD_OPEN, w->fast, PW_NO_RESULT, job.p, job.len) &&
           world_step(w, WORLD_OPEN, 0, "checkout", STEP_DONE, PW_SUCCESS) == 0 &&
           world_step(w, WORLD_OPEN, 1, "compile", STEP_RUNNING, PW_NO_RESULT) == 0 &&
           store_property_put(w->st, WORLD_OPEN, "speed", "high", "step", NULL) == 0 &&
           world_step(w, WORLD_LOGGED, 0, "checkout", STEP_DONE, PW_SUCCESS) == 0 &&
           world_step(w, WORLD_LOGGED, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
           world_step(w, WORLD_LOGGED, 2, "test/unit", STEP_DONE, PW_FAILURE) == 0 &&
           world_step(w, WORLD_LOGGED, 3, "0", STEP_DONE, PW_SUCCESS) == 0;
    store_request waiting = {.id = WORLD_WAITING,
                             .buildset = WORLD_WAITING,
                             .builder = w->slow,
                             .stamp = w->stamp,
                             .state = REQ_WAITING,
                             .created = 1700000000000};
    fine =
        fine &&
        store_buildset_add(w->st, WORLD_WAITING, NULL, "by hand", "bob", w->stamp, 1, NULL) == 0 &&
        store_request_add(w->st, &waiting, NULL) == 0 && store_change_add(w->st, &c, NULL) == 0 &&
        store_promotion_add(w->st, &p, NULL) == 0 &&
        store_promotion_end(w->st, 1, PROMO_DONE, NULL, 1700000003000, NULL) == 0 &&
        store_edge_put(w->st, "stable", EDGE_WAITING, &rev, "fast is red", 1700000004000, NULL) ==
            0 &&
        world_token(w, "t-build", "ci", "build") == 0 &&
        world_token(w, "t-admin", "root", "admin") == 0 &&
        world_token(w, "t-read", "looker", "read") == 0 && world_event(w, EVENT_CHANGE, 1) == 0 &&
        world_event(w, EVENT_WORKER, w->worker) == 0;
    return store_commit(w->st, NULL) == 0 && fine;
}

/* ---- the fake core */
static inline void *world_core(void *self)
{
    world *w = self;
    core_cmd *c;
    while ((c = pw_chan_recv_wait(w->commands))) {
        const msg_pair *p = c->props.v;
        if (c->kind == CMD_TOKEN_USED) { /* comes by itself; not what a test looks for */
            (void)atomic_fetch_add(&w->uses, 1);
            c->done(c, c->done_self);
            continue;
        }
        (void)pthread_mutex_lock(&w->lock);
        w->kind = c->kind;
        w->id = c->id;
        w->scopes = c->scopes;
        w->may = c->may;
        w->expires = c->expires;
        (void)snprintf(w->person, sizeof(w->person), "%s", c->person ? c->person : "-");
        (void)atomic_fetch_add(&w->asked, 1);
        (void)snprintf(w->seen, sizeof(w->seen), "%s|%s|%s|%s|%s|%s|%s=%s", c->idem ? c->idem : "-",
                       c->actor ? c->actor : "-", c->builder ? c->builder : "-",
                       c->branch ? c->branch : "-", c->reason ? c->reason : "-",
                       c->name ? c->name : "-", c->props.n ? p[0].name : "",
                       c->props.n ? p[0].value : "");
        bool mute = w->mute;
        (void)pthread_mutex_unlock(&w->lock);
        if (mute) {
            core_cmd_free(c);
            continue;
        }
        if (c->id == 404)
            core_cmd_fail(c, 404, "not_found", "there is no build 404");
        else if (c->id == 409)
            core_cmd_fail(c, 409, "conflict", "build 409 is finished: success");
        else if (c->kind == CMD_WHY_LIST) {
            const uint64_t *id = (const void *)c->data.p;
            c->status = 200;
            for (size_t i = 0; i < c->data.len / sizeof(*id); i++)
                (void)pw_buf_addf(&c->body,
                                  "%llu %d {\"id\":%llu,\"state\":\"waiting\","
                                  "\"reason\":\"so\"}\n",
                                  (unsigned long long)id[i], id[i] == WORLD_WAITING ? 5000 : -1,
                                  (unsigned long long)id[i]);
        } else {
            c->status = c->kind == CMD_WHY || c->kind == CMD_HEALTH ? 200 : 202;
            (void)pw_buf_adds(&c->body, c->kind == CMD_HEALTH
                                            ? "{\"status\":\"ok\",\"checks\":[{\"name\":"
                                              "\"repository p\",\"ok\":true,\"text\":\"\"}]}"
                                            : "{\"buildset\":7,\"requests\":[17]}");
        }
        c->done(c, c->done_self);
    }
    return NULL;
}

static inline void world_saw(world *w, char out[400], core_cmd_kind *kind, uint64_t *id)
{
    (void)pthread_mutex_lock(&w->lock);
    memcpy(out, w->seen, sizeof(w->seen));
    *kind = w->kind;
    *id = w->id;
    (void)pthread_mutex_unlock(&w->lock);
}

static inline void world_grew(void *self)
{
    web_logs_grew(((world *)self)->web);
}

static inline bool world_open(world *w, bool read_token)
{
    *w = (world){.dir = "/tmp/pawl-http-XXXXXX", .conf = w->conf};
    (void)pthread_mutex_init(&w->lock, NULL);
    if (!mkdtemp(w->dir) || crypt_init(NULL) < 0 || !(w->db = pw_path_join(w->dir, "pawl.db")) ||
        !(w->log_dir = pw_path_join(w->dir, "logs")) ||
        !(w->answers = pw_chan_new(64, free, NULL)) ||
        !(w->commands = pw_chan_new(8, NULL, NULL)) ||
        !(w->st = store_open(w->db, &pw_host_real, NULL)) ||
        !(w->log_store = logs_open(w->log_dir, &pw_host_real, w->answers, NULL)) ||
        logs_loaded(w->log_store, NULL) < 0 || !world_rows(w))
        return false;
    web_options o = {.listen = "127.0.0.1:0",
                     .read_token = read_token,
                     .conf = w->conf,
                     .db = w->db,
                     .log_store = w->log_store,
                     .tries = w->dir,
                     .commands = w->commands,
                     .gauges = &w->gauges,
                     .host = &pw_host_real};
    pw_err err = {0};
    if (!(w->web = web_start(&o, &err))) {
        printf("# %s\n", err.text);
        return false;
    }
    logs_on_growth(w->log_store, world_grew, w);
    w->core_runs = pthread_create(&w->core, NULL, world_core, w) == 0;
    return w->core_runs;
}

static inline void world_close(world *w)
{
    core_cmd *c;
    if (w->log_store)
        logs_on_growth(w->log_store, NULL, NULL);
    if (w->core_runs) {
        pw_chan_close(w->commands);
        (void)pthread_join(w->core, NULL);
    }
    w->web = web_stop(w->web);
    while (w->commands && (c = pw_chan_recv(w->commands)))
        core_cmd_free(c);
    w->log_store = logs_close(w->log_store);
    w->st = store_close(w->st);
    w->commands = pw_chan_free(w->commands);
    w->answers = pw_chan_free(w->answers);
    if (w->db)
        (void)pw_fs_remove_tree(w->dir, NULL);
    free(w->db);
    free(w->log_dir);
    (void)pthread_mutex_destroy(&w->lock);
}

/* ---- the client */
typedef struct reply {
    int status;
    pw_buf all; /* head and body */
    const char *body;
    size_t body_len;
} reply;

static inline int client_open(const world *w)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 5};
    in.sin_port = htons((uint16_t)strtoul(strrchr(web_address(w->web), ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + w->from)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        (w->from && bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0) ||
        connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0) {
        pw_closep(&fd);
        return -1;
    }
    return fd;
}

static inline bool client_send(int fd, const char *method, const char *path, const char *headers,
                               const char *body)
{
    PW_AUTO(pw_freep)
    char *text = pw_strf("%s %s HTTP/1.1\r\nHost: x\r\n%s", method, path, headers ? headers : "");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(64 << 20);
    if (!text)
        return false;
    (void)pw_buf_adds(&b, text);
    if (body)
        (void)pw_buf_addf(&b, "%sContent-Length: %zu\r\n",
                          strcasestr(text, "Content-Type:") ? ""
                                                            : "Content-Type: application/json\r\n",
                          strlen(body));
    (void)pw_buf_adds(&b, "\r\n");
    (void)pw_buf_adds(&b, body ? body : "");
    return !b.failed && pw_fs_write_all(fd, b.p, b.len, NULL) == 0;
}

/* Takes the frames of a chunked body away, in place. */
static inline size_t client_unchunk(char *p, size_t n)
{
    size_t out = 0, at = 0;
    while (at < n) {
        size_t len = strtoul(p + at, NULL, 16);
        const char *line = memmem(p + at, n - at, "\r\n", 2);
        if (!line || len == 0)
            break;
        at = (size_t)(line - p) + 2;
        if (at + len > n)
            len = n - at;
        memmove(p + out, p + at, len);
        out += len;
        at += len + 2;
    }
    return out;
}

static inline void reply_clear(reply *r)
{
    pw_buf_clear(&r->all);
}

static inline int call(const world *w, const char *method, const char *path, const char *headers,
                       const char *body, reply *r)
{
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_freep) char *heads = pw_strf("Connection: close\r\n%s", headers ? headers : "");
    reply_clear(r);
    *r = (reply){.all = PW_BUF(16 << 20), .body = ""};
    if (fd < 0 || !heads || !client_send(fd, method, path, heads, body))
        return -1;
    for (;;) {
        char *p = pw_buf_room(&r->all, 65536);
        ssize_t n = p ? recv(fd, p, 65535, 0) : -1;
        if (n <= 0)
            break;
        r->all.len += (size_t)n;
        r->all.p[r->all.len] = '\0';
    }
    char *end = r->all.len > 12 ? strstr(r->all.p, "\r\n\r\n") : NULL;
    if (!end)
        return -1;
    r->status = (int)strtol(r->all.p + 9, NULL, 10);
    r->body = end + 4;
    r->body_len = r->all.len - (size_t)(end + 4 - r->all.p);
    *end = '\0';
    if (strcasestr(r->all.p, "Transfer-Encoding: chunked")) {
        r->body_len = client_unchunk(end + 4, r->body_len);
        end[4 + r->body_len] = '\0';
    }
    return r->status;
}

static inline int get(const world *w, const char *path, reply *r)
{
    return call(w, "GET", path, NULL, NULL, r);
}

static inline bool has(const reply *r, const char *text)
{
    return strstr(r->body, text) != NULL;
}

static inline bool has_header(const reply *r, const char *text)
{
    return r->all.len > 0 && strcasestr(r->all.p, text) != NULL;
}

static inline bool is_error(const reply *r, const char *code)
{
    char text[80];
    (void)snprintf(text, sizeof(text), "{\"error\":{\"code\":\"%s\",\"message\":\"", code);
    return strncmp(r->body, text, strlen(text)) == 0;
}

/* Reads a stream until `text` was seen in what came since the last call. */
static inline bool until(int fd, pw_buf *b, const char *text)
{
    for (;;) {
        const char *at = b->len ? strstr(b->p, text) : NULL;
        if (at) {
            pw_buf_drop(b, (size_t)(at - b->p) + strlen(text));
            return true;
        }
        char *p = pw_buf_room(b, 4097);
        ssize_t n = p ? recv(fd, p, 4096, 0) : -1;
        if (n <= 0)
            return false;
        b->len += (size_t)n;
        b->p[b->len] = '\0';
    }
}
#endif
