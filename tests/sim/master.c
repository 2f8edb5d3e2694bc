/* The master as server.c runs it: its turns, its archive and checkpoint threads, over the
 * simulator's files and wires. What stands above (web) and beside it (sockets, git) is played. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/logs/impl.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "tests/sim/sim.h"

#define STATE "/sim/0/state"
#define CONF(needs, more)                                                                          \
    "name: ci\n"                                                                                   \
    "web: {listen: 127.0.0.1:0}\n"                                                                 \
    "workers: {listen: 'tcp://127.0.0.1:0', lost_after: 60s}\n"                                    \
    "projects: [{name: p, repository: /r.git, branches: [master, topic], poll: 20s}]\n"            \
    "builders:\n"                                                                                  \
    "  - {name: fast, project: p, retries: 2, steps: [{name: make, run: x}, {name: test, run: "    \
    "y}]}\n"                                                                                       \
    "  - {name: slow, project: p, retries: 2," needs " steps: [{name: make, run: x}, {name: "      \
    "test, run: y}]}\n" more                                                                       \
    "schedulers: [{name: on-push, kind: branch, project: p, quiet: 2s}]\n"                         \
    "promotions: [{name: stable, kind: green, project: p, from: master, to: stable, builders: "    \
    "[fast, slow]}]\n"
static const char conf_text[] = CONF("", "");
/* one needs the other, and two of a matrix follow both, whatever came of them */
static const char graph_text[] =
    CONF(" needs: [fast],",
         "  - {name: wide, project: p, retries: 2, needs: [slow], always_run: true, matrix: {x: "
         "[a, b]}, steps: [{name: make, run: x}, {name: test, run: y}]}\n");
bool sim_graph;

sim_master sim_mas = {.process = -1, .start_at = NEVER};
static config *conf, *conf_graph;
static disk_image *fresh;

/* ---- what the server's code reaches out to */
int __wrap_link_send(link_listener *self, uint64_t peer, const void *head, size_t head_len,
                     const void *bulk, size_t bulk_len, pw_err *err);
int __wrap_link_send(link_listener *self, uint64_t peer, const void *head, size_t head_len,
                     const void *bulk, size_t bulk_len, pw_err *err)
{
    (void)self;
    return disk_process_dead(sim_mas.process)
               ? 0
               : net_to_agent(peer, head, head_len, bulk, bulk_len, err);
}
void __wrap_pw_source_at(pw_source *s, pw_usec at);
void __wrap_pw_source_at(pw_source *s, pw_usec at)
{
    (void)s;
    sim_mas.tick_at = at < 0 ? NEVER : at;
}
uint64_t __wrap_pw_loop_slow(const pw_loop *l);
uint64_t __wrap_pw_loop_slow(const pw_loop *l)
{
    (void)l;
    return 0;
}
void __wrap_web_events(web_server *self, uint64_t seq);
void __wrap_web_events(web_server *self, uint64_t seq)
{
    (void)self;
    if (!disk_process_dead(sim_mas.process))
        oracle_announced(seq);
}
void __wrap_web_worker(web_server *self, uint64_t worker, bool connected, const char *gate);
void __wrap_web_worker(web_server *self, uint64_t worker, bool connected, const char *gate)
{
    (void)gate;
    (void)self;
    (void)worker;
    (void)connected;
}
void __wrap_web_look(web_server *self, uint64_t project, uint64_t failures, pw_msec next,
                     const char *trouble);
void __wrap_web_look(web_server *self, uint64_t project, uint64_t failures, pw_msec next,
                     const char *trouble)
{
    (void)self;
    (void)project;
    (void)failures;
    (void)next;
    (void)trouble;
}

/* ---- life */
static void close_up(void)
{
    server *s = &sim_mas.s;
    git_job *j;
    core_cmd *c;
    janitor_stop(&s->janitor);
    s->links = sessions_free(s->links);
    s->log_store = logs_close(s->log_store);
    s->files = blobs_close(s->files);
    turn_unload(s);
    while (s->git_answers && (j = pw_chan_recv(s->git_answers)))
        git_job_free(j);
    while (s->commands && (c = pw_chan_recv(s->commands)))
        core_cmd_free(c);
    s->commands = pw_chan_free(s->commands);
    s->git_answers = pw_chan_free(s->git_answers);
    s->log_answers = pw_chan_free(s->log_answers);
    s->file_answers = pw_chan_free(s->file_answers);
    free(s->db);
    free(s->log_dir);
    free(s->file_dir);
    free(s->mirror_dir);
    pw_closep(&s->lock);
    config_unref(s->conf);
}

static void bury(pw_usec for_us)
{
    int p = sim_mas.process;
    disk_process_set(p);
    close_up();
    disk_process_set(-1);
    threads_drop(p);
    size_t left = disk_process_end(p);
    if (left)
        oracle_fail("a master left %zu descriptors open", left);
    sim_mas.process = -1;
    sim_mas.wake_at = 0;
    sim_mas.tick_at = sim_mas.thread_at = NEVER;
    sim_mas.start_at = sim_now + for_us;
    net_master_gone();
    remote_master_gone();
    people_master_gone();
}

static int open_up(server *s, pw_err *err)
{
    int r = state_open(s, STATE, err);
    if (r < 0 || !(s->commands = pw_chan_new(4096, NULL, err)) ||
        !(s->git_answers = pw_chan_new(65536, NULL, err)) ||
        !(s->log_answers = pw_chan_new(65536, free, err)) ||
        !(s->file_answers = pw_chan_new(65536, free, err)))
        return r < 0 ? r : err->code;
    if ((r = turn_load(s, err)) < 0)
        return r;
    /* logs are short here: so are the files that hold them, or none would ever be let go */
    s->log_store->segment_bytes =
        sim_chance(30) ? s->log_store->segment_bytes : 1 + sim_pick(20000);
    return janitor_start(&s->janitor, s->db, err);
}

static bool start(void)
{
    server *s = &sim_mas.s;
    pw_err err = {0};
    memset(s, 0, sizeof(*s));
    s->lock = -1;
    s->conf = config_ref(sim_graph ? conf_graph : conf);
    sim_mas.process = disk_process_new(0);
    sim_mas.start_at = NEVER;
    sim_mas.tick_at = sim_mas.thread_at = NEVER;
    sim_mas.starts++;
    if (open_up(s, &err) < 0) {
        sim_trace("the master does not start: %s", err.text);
        bury(sim_between(SEC, 10 * SEC));
        return false;
    }
    disk_process_set(-1);
    sim_trace("the master starts, turn %llu", (unsigned long long)store_turn(s->st));
    master_wake(sim_now);
    return true;
}

bool master_up(void)
{
    return sim_mas.process >= 0 && !disk_process_dead(sim_mas.process) && sim_mas.s.core;
}

const config *master_config(void)
{
    return conf;
}

void master_wake(pw_usec at)
{
    if (sim_mas.process >= 0 && (!sim_mas.wake_at || at < sim_mas.wake_at))
        sim_mas.wake_at = at;
}

void master_kill(pw_usec for_us)
{
    if (sim_mas.process < 0)
        return;
    sim_trace("kill -9 of the master");
    disk_process_kill(sim_mas.process);
    bury(for_us);
}

void master_stop(pw_usec for_us)
{
    if (sim_mas.process < 0)
        return;
    sim_trace("the master is stopped");
    bury(for_us);
}

void master_power_cut(pw_usec for_us)
{
    sim_trace("power cut of the master");
    disk_power_cut(0);
    if (sim_mas.process >= 0)
        bury(for_us);
}

pw_usec master_due(void)
{
    if (sim_mas.process < 0)
        return sim_mas.start_at;
    if (disk_process_dead(sim_mas.process))
        return sim_now;
    pw_usec due = sim_mas.tick_at;
    if (sim_mas.wake_at && sim_mas.wake_at < due)
        due = sim_mas.wake_at;
    if (sim_mas.thread_at == NEVER && threads_ready(sim_mas.process))
        sim_mas.thread_at =
            sim_now + (sim_chance(80) ? sim_between(50, 3 * MS) : sim_between(0, 2 * SEC));
    return sim_mas.thread_at < due ? sim_mas.thread_at : due;
}

static void turn(void)
{
    server *s = &sim_mas.s;
    sim_mas.wake_at = 0;
    sim_mas.turns++;
    if (sim_mas.tick_at <= sim_now) {
        sim_mas.tick_at = NEVER;
        turn_tick(NULL, s);
    }
    (void)net_take(1 + (size_t)sim_pick(40));
    turn_commands(NULL, -1, 0, s);
    turn_git(NULL, -1, 0, s);
    turn_logs(NULL, -1, 0, s);
    turn_files(NULL, -1, 0, s);
    turn_hook(NULL, s);
    if (!s->core && sim_mas.tick_at == NEVER)
        sim_mas.tick_at = sim_now + SEC;
}

void master_run(void)
{
    if (sim_mas.process < 0) {
        (void)start();
        return;
    }
    disk_process_set(sim_mas.process);
    if (!disk_process_dead(sim_mas.process) && sim_mas.thread_at <= sim_now) {
        sim_mas.thread_at = NEVER;
        threads_run(sim_mas.process);
        master_wake(sim_now);
    }
    if (!disk_process_dead(sim_mas.process) &&
        ((sim_mas.wake_at && sim_mas.wake_at <= sim_now) || sim_mas.tick_at <= sim_now))
        turn();
    disk_process_set(-1);
    oracle_turn();
    if (disk_process_dead(sim_mas.process)) {
        sim_trace("the master died");
        bury(sim_between(10 * MS, 5 * SEC));
    }
}

/* ---- a state directory with keys and workers, made once by the code that makes real ones */
static int make_workers(pw_err *err)
{
    PW_AUTO(store_closep) store *st = store_open(STATE "/pawl.db", &pw_host_real, err);
    int r = st ? store_begin(st, err) : err->code;
    for (int i = 0; r == 0 && i < SIM_WORKERS; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "w%d", i);
        r = store_worker_add(st, name, 1, &sim_workers[i].row, err);
        if (r == 0)
            r = store_worker_join(st, sim_workers[i].row, sim_workers[i].key, err);
    }
    return r < 0 ? r : store_commit(st, err);
}

static uint64_t no_chance(void *self, uint64_t n)
{
    (void)self;
    (void)n;
    return 0;
}

int master_prepare(void)
{
    yaml_errors errors = {0};
    pw_err err = {0};
    server s = {.lock = -1};
    conf = config_load_text(NULL, conf_text, sizeof(conf_text) - 1, &errors);
    conf_graph = config_load_text(NULL, graph_text, sizeof(graph_text) - 1, &errors);
    for (size_t i = 0; i < errors.n; i++)
        (void)fprintf(stderr, "master.yaml:%u: %s\n", errors.v[i].line, errors.v[i].text);
    yaml_errors_clear(&errors);
    if (!conf)
        return -1;
    disk_reset(no_chance, NULL);
    int p = disk_process_new(0);
    int r = state_open(&s, STATE, &err);
    if (r == 0)
        r = make_workers(&err);
    pw_closep(&s.lock);
    free(s.db);
    free(s.log_dir);
    free(s.file_dir);
    free(s.mirror_dir);
    disk_process_set(-1);
    (void)disk_process_end(p);
    if (r < 0)
        (void)fprintf(stderr, "preparing: %s\n", err.text);
    else
        fresh = disk_image_take(0);
    return r;
}

void master_prepared_clear(void)
{
    fresh = disk_image_free(fresh);
    conf = config_unref(conf);
    conf_graph = config_unref(conf_graph);
}

void master_reset(void)
{
    disk_image_put(0, fresh);
    sim_mas =
        (sim_master){.process = -1, .start_at = sim_now, .tick_at = NEVER, .thread_at = NEVER};
}
