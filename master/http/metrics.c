/* /metrics: the core's gauges and what the waker counted from events. */
#include <inttypes.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/reader_pages.h"

typedef struct metric {
    const char *name, *type, *help;
    size_t offset; /* into web_gauges */
} metric;
#define M(n, t, f, h)                                                                              \
    {                                                                                              \
        "pawl_" n, t, h, offsetof(web_gauges, f)                                                   \
    }
static const metric metrics[] = {
    M("turns_total", "counter", turns, "turns of the core that were committed"),
    M("turn_last_microseconds", "gauge", turn_us_last, "time of the last turn"),
    M("turn_max_microseconds", "gauge", turn_us_max, "longest turn since the start"),
    M("commits_failed_total", "counter", commits_failed,
      "commits that failed or whose outcome was unknown"),
    M("requests_waiting", "gauge", requests_waiting, "requests that no worker has taken"),
    M("builds_open", "gauge", builds_open, "builds that are not finished"),
    M("workers_connected", "gauge", workers_connected, "workers with a session"),
    M("workers_known", "gauge", workers_known, "workers that were added and not removed"),
    M("slots", "gauge", slots, "slots of connected workers"),
    M("slots_busy", "gauge", slots_busy, "slots that run a job"),
    M("journal_bytes_total", "counter", journal_bytes, "bytes of journals received"),
    M("log_bytes_total", "counter", log_bytes, "bytes of logs received"),
    M("messages_dropped_total", "counter", dropped_messages,
      "messages of workers that were not understood or not allowed"),
    M("alarms_total", "counter", alarms,
      "two agents with one key, jobs of another worker's, journals that differ"),
    M("outbox_waiting", "gauge", outbox_waiting, "outgoing messages that are not finished"),
    M("slow_callbacks_total", "counter", slow_callbacks, "callbacks of the core over 50 ms"),
};

static const uint64_t turn_ms[WEB_TURN_BUCKETS - 1] = {1, 5, 10, 25, 50, 100, 500};

void web_gauges_turn(web_gauges *g, uint64_t us)
{
    size_t i = 0;
    while (i < WEB_TURN_BUCKETS - 1 && us > turn_ms[i] * 1000)
        i++;
    atomic_fetch_add(&g->turns, 1);
    atomic_fetch_add(&g->turn_bucket[i], 1);
    atomic_fetch_add(&g->turn_us, us);
    atomic_store(&g->turn_us_last, us);
    if (us > atomic_load(&g->turn_us_max))
        atomic_store(&g->turn_us_max, us);
}

static void seconds(pw_buf *b, uint64_t ms)
{
    (void)pw_buf_addf(b, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
}

/* The sum and the buckets are read one after the other: a turn between may be in one of them. */
static void turns(const web_gauges *g, pw_buf *b)
{
    uint64_t n = 0;
    (void)pw_buf_adds(b, "# HELP pawl_turn_seconds time of turns of the core\n"
                         "# TYPE pawl_turn_seconds histogram\n");
    for (size_t i = 0; i < WEB_TURN_BUCKETS; i++) {
        n += atomic_load(&g->turn_bucket[i]);
        (void)pw_buf_adds(b, "pawl_turn_seconds_bucket{le=\"");
        if (i < WEB_TURN_BUCKETS - 1)
            seconds(b, turn_ms[i]);
        else
            (void)pw_buf_adds(b, "+Inf");
        (void)pw_buf_addf(b, "\"} %" PRIu64 "\n", n);
    }
    uint64_t us = atomic_load(&g->turn_us);
    (void)pw_buf_addf(
        b, "pawl_turn_seconds_sum %" PRIu64 ".%06" PRIu64 "\npawl_turn_seconds_count %" PRIu64 "\n",
        us / 1000000, us % 1000000, n);
}

/* A label's value: backslash, quote and line feed escaped. */
static void label(pw_buf *b, const char *name, const char *s)
{
    (void)pw_buf_addf(b, "%s=\"", name);
    for (; *s; s++) {
        if (*s == '\n')
            (void)pw_buf_add(b, "\\n", 2);
        else if (*s == '"' || *s == '\\')
            (void)pw_buf_addf(b, "\\%c", *s);
        else
            (void)pw_buf_add(b, s, 1);
    }
    (void)pw_buf_add(b, "\"", 1);
}

void web_targets_free(web_targets *l)
{
    for (web_targets *next; l; l = next) {
        next = l->older;
        for (size_t i = 0; i < l->n; i++)
            free(l->v[i].name);
        free(l);
    }
}

static void targets(const web_gauges *g, pw_buf *b)
{
    const web_targets *l = atomic_load(&g->targets);
    static const char *const names[] = {"sent", "given_up"};
    static const char *const help[] = {"messages that their target has taken",
                                       "messages that were given up"};
    for (int k = 0; k < 2 && l && l->n; k++) {
        (void)pw_buf_addf(b,
                          "# HELP pawl_outbox_%s_total %s\n# TYPE pawl_outbox_%s_total counter\n",
                          names[k], help[k], names[k]);
        for (size_t i = 0; i < l->n; i++) {
            const struct web_target *t = &l->v[i];
            (void)pw_buf_addf(b, "pawl_outbox_%s_total{", names[k]);
            label(b, "target", t->name);
            (void)pw_buf_addf(b, "} %" PRIu64 "\n", atomic_load(k ? &t->given_up : &t->sent));
        }
    }
}

static void tallies(web_hub *h, pw_buf *b)
{
    (void)pw_buf_adds(b, "# HELP pawl_builds_total builds finished since the start of the "
                         "master\n# TYPE pawl_builds_total counter\n");
    (void)pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->n_tallies; i++)
        for (int k = 0; k < 7; k++) {
            const web_tally *t = &h->tally[i];
            if (!t->by_result[k])
                continue;
            (void)pw_buf_adds(b, "pawl_builds_total{");
            label(b, "project", t->project);
            (void)pw_buf_add(b, ",", 1);
            label(b, "builder", t->builder);
            (void)pw_buf_addf(b, ",result=\"%s\"} %" PRIu64 "\n", web_results[k], t->by_result[k]);
        }
    uint64_t event = h->pumped, behind = h->told > h->pumped ? h->told - h->pumped : 0;
    size_t streams = h->streams, listeners = h->listeners;
    (void)pthread_mutex_unlock(&h->lock);
    (void)pw_buf_addf(
        b,
        "# HELP pawl_events_total events written\n# TYPE pawl_events_total "
        "counter\npawl_events_total %" PRIu64
        "\n# HELP pawl_streams connections that follow events or logs\n# TYPE pawl_streams gauge\n"
        "pawl_streams{kind=\"events\"} %zu\npawl_streams{kind=\"log\"} %zu\n",
        event, listeners, streams - listeners);
    (void)pw_buf_addf(b,
                      "# HELP pawl_events_behind events that listeners were not told yet\n"
                      "# TYPE pawl_events_behind gauge\npawl_events_behind %" PRIu64 "\n",
                      behind);
}

static void refusals(web_gate *g, pw_buf *b)
{
    static const char *const why[WEB_GATE_COUNT] = {
        [WEB_GATE_RATE] = "rate",          [WEB_GATE_CONNECTIONS] = "connections",
        [WEB_GATE_SLOW] = "slow",          [WEB_GATE_SIGNATURE] = "signature",
        [WEB_GATE_HEADER] = "user_header", [WEB_GATE_CSRF] = "csrf",
    };
    (void)pw_buf_adds(b, "# HELP pawl_web_refused_total requests and connections that were "
                         "refused\n# TYPE pawl_web_refused_total counter\n");
    for (size_t i = 0; i < WEB_GATE_COUNT; i++)
        (void)pw_buf_addf(b, "pawl_web_refused_total{why=\"%s\"} %" PRIu64 "\n", why[i],
                          atomic_load(&g->refused[i]));
}

/* ---- from the database */
static void age(web_req *q, pw_buf *b, const char *name, const char *help, pw_msec since)
{
    pw_msec now = pw_wall(q->web->host);
    (void)pw_buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n%s ", name, help, name, name);
    seconds(b, since && now > since ? (uint64_t)(now - since) : 0);
    (void)pw_buf_add(b, "\n", 1);
}

static int put_red(void *self, const reader_latest *r)
{
    pw_buf *b = self;
    if (!pw_result_red(r->result))
        return 0;
    (void)pw_buf_adds(b, "pawl_red{");
    label(b, "project", r->project);
    (void)pw_buf_adds(b, ",");
    label(b, "branch", r->branch);
    (void)pw_buf_adds(b, ",");
    label(b, "builder", r->builder);
    (void)pw_buf_adds(b, "} 1\n");
    return 0;
}

static int put_edge(void *self, const char *edge, edge_state state, const store_rev *rev,
                    const char *reason, pw_msec at)
{
    pw_buf *b = self;
    (void)rev;
    (void)reason;
    (void)at;
    (void)pw_buf_adds(b, "pawl_edge{");
    label(b, "edge", edge);
    (void)pw_buf_addf(b, ",state=\"%s\"} 1\n", web_edge_state(state));
    return 0;
}

/* False: refused already. */
static bool from_rows(web_req *q)
{
    pw_err err = {0};
    pw_msec request = 0, message = 0;
    pw_buf *b = &q->out;
    if (!web_reader(q))
        return false;
    int r = reader_oldest(q->rd, &request, &message, &err);
    if (r == 0) {
        age(q, b, "pawl_requests_oldest_seconds", "age of the oldest request that waits", request);
        age(q, b, "pawl_outbox_oldest_seconds", "age of the oldest message that is not finished",
            message);
        (void)pw_buf_adds(b, "# HELP pawl_red builders that are red on a branch\n"
                             "# TYPE pawl_red gauge\n");
        r = reader_latest_all(q->rd, put_red, b, &err);
    }
    if (r == 0) {
        (void)pw_buf_adds(b, "# HELP pawl_edge promotions and their state\n"
                             "# TYPE pawl_edge gauge\n");
        r = reader_edges(q->rd, put_edge, b, &err);
    }
    if (r < 0)
        web_fail_err(q, &err);
    return r == 0;
}

void web_get_metrics(web_req *q)
{
    q->status = 200;
    q->type = "text/plain; version=0.0.4; charset=utf-8";
    (void)pw_buf_addf(&q->out,
                      "# HELP pawl_info version of the master\n# TYPE pawl_info "
                      "gauge\npawl_info{version=\"%s\"} 1\n",
                      PW_VERSION);
    for (size_t i = 0; q->web->gauges && i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const metric *m = &metrics[i];
        const _Atomic uint64_t *v = (const void *)((const char *)q->web->gauges + m->offset);
        (void)pw_buf_addf(&q->out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", m->name, m->help,
                          m->name, m->type, m->name, atomic_load(v));
    }
    if (!from_rows(q))
        return;
    if (q->web->gauges)
        turns(q->web->gauges, &q->out);
    web_refusals(q->web, &q->out);
    if (q->web->gauges)
        targets(q->web->gauges, &q->out);
    tallies(&q->web->hub, &q->out);
    refusals(&q->web->gate, &q->out);
}
