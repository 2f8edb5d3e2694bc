/* An agent as serve.c runs it, over the simulator's wire and files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "tests/sim/sim.h"

sim_worker sim_workers[SIM_WORKERS];

static int number_of(const sim_worker *w)
{
    return (int)(w - sim_workers);
}

static int wire_open(void *self, pw_err *err)
{
    sim_worker *w = self;
    (void)err;
    net_hang_up(w->peer);
    w->peer = net_dial(number_of(w));
    w->closed = false;
    return 0;
}

static void wire_close(void *self)
{
    ((sim_worker *)self)->closed = true;
}

static int wire_send(void *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n,
                     pw_err *err)
{
    sim_worker *w = self;
    if (disk_process_dead(w->process))
        return 0;
    if (!w->peer || w->closed)
        return pw_fail(err, PW_ENOTFOUND, "there is no connection");
    if (sim_pick(1000) == 0)
        return pw_fail(err, PW_EAGAIN, "the queue is full");
    (void)net_to_master(w->peer, head, head_n, bulk, bulk_n);
    return 0;
}

static int start_job(void *self, const char *job, pw_err *err)
{
    sim_worker *w = self;
    if (disk_process_dead(w->process))
        return 0;
    if (sim_pick(40) == 0)
        return pw_fail(err, PW_EAGAIN, "the zygote is not there yet");
    return runner_start(number_of(w), job, err);
}

static void sweep(void *self, const char *job)
{
    (void)self;
    (void)job;
}

static int64_t disk_free(void *self)
{
    return pw_fs_free(((sim_worker *)self)->home.path);
}

static uint64_t load_milli(void *self)
{
    (void)self;
    return 100;
}

int workers_prepare(void)
{
    for (int i = 0; i < SIM_WORKERS; i++) {
        sim_worker *w = &sim_workers[i];
        yaml_errors errors = {0};
        char text[400];
        int n = snprintf(text, sizeof(text),
                         "name: w%d\nslots: %d\ntags: [linux]\nspool: /sim/%d/spool\nlow_disk: "
                         "0\nmaster:\n  address: \"tcp://m:1\"\n"
                         "  key: \"rq:rM>}U?@Lns47E1%%kR.o@n%%FcmmsL/@{H8]yf7\"\n",
                         i, SIM_SLOTS, i + 1);
        w->process = -1;
        w->home.lock = -1;
        if (worker_conf_parse("/x", text, (size_t)n, &w->conf, &errors) < 0) {
            for (size_t k = 0; k < errors.n; k++)
                (void)fprintf(stderr, "worker.yaml: %s\n", errors.v[k].text);
            yaml_errors_clear(&errors);
            return -1;
        }
        yaml_errors_clear(&errors);
        memset(w->key, 0x40 + i, sizeof(w->key));
    }
    return 0;
}

void workers_clear(void)
{
    for (int i = 0; i < SIM_WORKERS; i++)
        worker_conf_clear(&sim_workers[i].conf);
}

static void bury(sim_worker *w)
{
    int p = w->process;
    disk_process_set(p);
    w->agent = agent_free(w->agent);
    home_close(&w->home);
    net_hang_up(w->peer);
    w->peer = 0;
    disk_process_set(-1);
    size_t left = disk_process_end(p);
    if (left)
        oracle_fail("an agent left %zu descriptors open", left);
    w->process = -1;
}

static void down(sim_worker *w, pw_usec for_us)
{
    if (w->process >= 0)
        bury(w);
    w->start_at = sim_now + for_us;
}

void worker_kill(int i, pw_usec for_us)
{
    sim_worker *w = &sim_workers[i];
    if (w->process >= 0)
        disk_process_kill(w->process);
    sim_trace("w%d: kill -9 of the agent", i);
    down(w, for_us);
}

void worker_stop(int i, pw_usec for_us)
{
    sim_worker *w = &sim_workers[i];
    sim_trace("w%d: the agent is stopped", i);
    if (w->agent) {
        disk_process_set(w->process);
        agent_stop(w->agent, "told to");
        disk_process_set(-1);
    }
    down(w, for_us);
}

void worker_power_cut(int i, pw_usec for_us)
{
    sim_worker *w = &sim_workers[i];
    sim_trace("w%d: power cut", i);
    oracle_set_back(i); /* what ended, but was not heard of, may be gone with its files */
    runners_power_cut(i);
    disk_power_cut(i + 1);
    down(w, for_us);
}

static disk_image *image[SIM_WORKERS];

void workers_forget_images(void)
{
    for (int i = 0; i < SIM_WORKERS; i++)
        image[i] = disk_image_free(image[i]);
}

void worker_image(int i, pw_usec for_us)
{
    sim_worker *w = &sim_workers[i];
    if (!image[i]) {
        sim_trace("w%d: its disk is copied", i);
        image[i] = disk_image_take(i + 1);
        return;
    }
    bool boots = sim_chance(50);
    sim_trace("w%d: its disk is set back%s", i, boots ? ", it boots" : "");
    oracle_set_back(i);
    runners_power_cut(i);
    if (w->process >= 0)
        disk_process_kill(w->process);
    if (boots)
        disk_power_cut(i + 1);
    down(w, for_us);
    disk_image_put(i + 1, image[i]);
    image[i] = disk_image_free(image[i]);
}

static void start(int i)
{
    sim_worker *w = &sim_workers[i];
    pw_err err = {0};
    char spool[32];
    (void)snprintf(spool, sizeof(spool), "/sim/%d/spool", i + 1);
    agent_deps deps = {.host = &pw_host_real,
                       .wire = {wire_open, wire_close, wire_send, w},
                       .start = start_job,
                       .sweep = sweep,
                       .disk_free = disk_free,
                       .load_milli = load_milli,
                       .self = w};
    w->process = disk_process_new(i + 1);
    w->start_at = NEVER;
    w->closed = true;
    if (home_open(spool, &w->home, &err) < 0 ||
        !(w->agent = agent_new(&w->conf, &w->home, &deps, &err))) {
        sim_trace("w%d: the agent does not start: %s", i, err.text);
        w->home.lock = w->home.path ? w->home.lock : -1;
        bury(w);
        w->start_at = sim_now + sim_between(SEC, 10 * SEC);
    } else {
        sim_trace("w%d: the agent starts, %zu jobs", i, jobs_open(agent_jobs(w->agent)));
    }
    disk_process_set(-1);
}

/* After each call: a fuse may have gone off. */
static void after(int i)
{
    sim_worker *w = &sim_workers[i];
    disk_process_set(-1);
    if (w->process >= 0 && disk_process_dead(w->process))
        worker_kill(i, sim_between(10 * MS, 5 * SEC));
    else if (w->closed && w->peer) {
        net_hang_up(w->peer);
        w->peer = 0;
    }
}

void worker_input(int i, uint64_t peer, const void *head, size_t n, const void *bulk, size_t bulk_n)
{
    sim_worker *w = &sim_workers[i];
    if (!w->agent || w->peer != peer || w->closed)
        return;
    disk_process_set(w->process);
    agent_input(w->agent, head, n, bulk_n ? bulk : NULL, bulk_n);
    after(i);
}

void worker_lost(int i, uint64_t peer, const char *why)
{
    sim_worker *w = &sim_workers[i];
    if (!w->agent || w->peer != peer || w->closed)
        return;
    disk_process_set(w->process);
    agent_lost(w->agent, why);
    after(i);
}

void worker_note(int i, spool_note n)
{
    sim_worker *w = &sim_workers[i];
    int before = disk_process_current();
    if (w->agent && !disk_process_dead(w->process)) {
        disk_process_set(w->process);
        agent_note(w->agent, n);
        disk_process_set(before); /* a fuse is looked at in its next round */
    }
}

pw_usec worker_due(int i)
{
    const sim_worker *w = &sim_workers[i];
    if (!w->agent)
        return w->start_at;
    if (disk_process_dead(w->process))
        return sim_now;
    pw_usec due = agent_due(w->agent);
    return due < 0 ? NEVER : due < sim_now ? sim_now : due;
}

void worker_run(int i)
{
    sim_worker *w = &sim_workers[i];
    if (!w->agent) {
        start(i);
    } else if (!disk_process_dead(w->process)) {
        disk_process_set(w->process);
        agent_tick(w->agent);
    }
    after(i);
}
