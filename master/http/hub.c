/* The waker: one thread that sleeps until the core says that there is news, reads the new events
 * once for everybody, and resumes the connections that wait. It also gives up commands that got no
 * answer, and has silent streams say that they live. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/http/impl.h"
#include "shared/base/log.h"

/* Events are told in bursts, one a turn of the core: without listeners only counting hangs on them.
 */
enum { GAP_LISTENED_US = 5000, GAP_ALONE_US = 100000, GAP_LOGS_US = 20000, RETRY_US = 1000000 };

static pw_usec least(pw_usec a, pw_usec b)
{
    return a < b ? a : b;
}

/* ---- waiting */
static void enlist(web_wait **list, web_wait *w)
{
    w->next = *list;
    w->prev = list;
    if (w->next)
        w->next->prev = &w->next;
    *list = w;
}

static void unlist(web_wait *w)
{
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->prev = NULL;
}

bool web_wait_begin(web_server *web, web_wait *w, uint64_t seen, uint64_t generation)
{
    web_hub *h = &web->hub;
    bool wait;
    (void)pthread_mutex_lock(&h->lock);
    if (w->logs)
        /* first counted, then looked: whoever adds output does it the other way */
        (void)atomic_fetch_add(&h->followers, 1);
    wait = !h->stop && !(w->events && h->pumped != seen) &&
           !(w->logs && logs_generation(web->log_store) != generation) &&
           atomic_load(&web->access) == w->access;
    if (wait) {
        w->ping = false;
        MHD_suspend_connection(w->con);
        enlist(&h->waiting, w);
    } else if (w->logs) {
        (void)atomic_fetch_sub(&h->followers, 1);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return wait;
}

uint64_t web_seen(web_server *web, bool *ret_stop)
{
    (void)pthread_mutex_lock(&web->hub.lock);
    uint64_t seen = web->hub.pumped;
    *ret_stop = web->hub.stop;
    (void)pthread_mutex_unlock(&web->hub.lock);
    return seen;
}

bool web_stream_begin(web_server *web, bool listener)
{
    web_hub *h = &web->hub;
    (void)pthread_mutex_lock(&h->lock);
    bool room = h->streams < WEB_STREAMS && !h->stop;
    h->streams += room;
    h->listeners += room && listener;
    if (room)
        (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
    return room;
}

static void ring_empty(web_hub *h)
{
    for (; h->ring_n > 0; h->ring_n--) {
        web_event_drop(&h->ring[h->ring_first]);
        h->ring_first = (h->ring_first + 1) % WEB_RING;
    }
    h->ring_bytes = 0;
    h->ring_from = h->pumped;
}

void web_stream_end(web_server *web, bool listener)
{
    web_hub *h = &web->hub;
    (void)pthread_mutex_lock(&h->lock);
    h->streams--;
    h->listeners -= listener;
    if (h->listeners == 0)
        ring_empty(h);
    (void)pthread_mutex_unlock(&h->lock);
}

void web_request_begin(web_server *web)
{
    (void)pthread_mutex_lock(&web->hub.lock);
    web->hub.requests++;
    (void)pthread_mutex_unlock(&web->hub.lock);
}

void web_request_end(web_server *web)
{
    web_hub *h = &web->hub;
    (void)pthread_mutex_lock(&h->lock);
    if (--h->requests == 0 && h->stop)
        (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
}

/* ---- called by others */
void web_events(web_server *self, uint64_t seq)
{
    if (!self)
        return;
    (void)pthread_mutex_lock(&self->hub.lock);
    if (seq != self->hub.told) {
        self->hub.told = seq;
        (void)pthread_cond_signal(&self->hub.wake);
    }
    (void)pthread_mutex_unlock(&self->hub.lock);
}

void web_logs_grew(web_server *self)
{
    if (!self || atomic_load(&self->hub.followers) == 0)
        return;
    (void)pthread_mutex_lock(&self->hub.lock);
    if (!self->hub.logs_grew) {
        self->hub.logs_grew = true;
        (void)pthread_cond_signal(&self->hub.wake);
    }
    (void)pthread_mutex_unlock(&self->hub.lock);
}

/* The table holds the gate of each that is here, "" when it takes jobs. */
void web_worker(web_server *self, uint64_t worker, bool connected, const char *gate)
{
    if (!self)
        return;
    bool failed = false;
    char *text = connected ? pw_strdup(gate ? gate : "", &failed) : NULL;
    web_hub *h = &self->hub;
    (void)pthread_mutex_lock(&h->lock);
    if (!h->present)
        h->present = pw_table_new(NULL);
    if (h->present) {
        free(pw_table_get(h->present, worker));
        if (!text || pw_table_put(h->present, worker, text, NULL) < 0) {
            (void)pw_table_del(h->present, worker);
            free(text);
        }
        text = NULL;
    }
    (void)pthread_mutex_unlock(&h->lock);
    free(text);
}

web_presence web_worker_presence(web_server *web, uint64_t worker, char gate[WEB_GATE])
{
    web_hub *h = &web->hub;
    gate[0] = '\0';
    (void)pthread_mutex_lock(&h->lock);
    /* nobody tells: all that is known is whether any worker is there */
    const char *text = h->present ? pw_table_get(h->present, worker) : NULL;
    bool here = h->present ? text != NULL
                           : !web->gauges || atomic_load(&web->gauges->workers_connected) > 0;
    if (text)
        (void)snprintf(gate, WEB_GATE, "%s", text);
    (void)pthread_mutex_unlock(&h->lock);
    return here ? WEB_CONNECTED : WEB_MISSING;
}

void web_access_changed(web_server *web)
{
    web_hub *h = &web->hub;
    (void)pthread_mutex_lock(&h->lock);
    (void)atomic_fetch_add(&web->access, 1);
    h->ping_at = 1; /* all are woken, and see whether they may stay */
    (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
}

/* ---- the thread */
/* Resumes who is woken by what happened; the lock is let go meanwhile. All are taken out first: one
 * that is resumed may wait again at once, and must not be met a second time. */
static void wake(web_hub *h, bool by_event, bool by_log, bool ping)
{
    web_wait *chain = NULL, *next;
    for (web_wait *w = h->waiting; w; w = next) {
        next = w->next;
        if (!(by_event && w->events) && !(by_log && w->logs) && !ping)
            continue;
        w->ping = ping;
        unlist(w);
        if (w->logs)
            (void)atomic_fetch_sub(&h->followers, 1);
        w->next = chain;
        chain = w;
    }
    (void)pthread_mutex_unlock(&h->lock);
    for (web_wait *w = chain; w; w = next) {
        next = w->next; /* once resumed, it may end */
        MHD_resume_connection(w->con);
    }
    (void)pthread_mutex_lock(&h->lock);
}

static void expire(web_hub *h, pw_usec now, bool all)
{
    struct MHD_Connection *con;
    pw_usec next;
    while ((con = web_ask_expire(h, now, all, &next))) {
        (void)pthread_mutex_unlock(&h->lock);
        MHD_resume_connection(con);
        (void)pthread_mutex_lock(&h->lock);
    }
}

static void sleep_until(web_hub *h, pw_usec now, pw_usec at)
{
    struct timespec t;
    if (at == INT64_MAX) {
        (void)pthread_cond_wait(&h->wake, &h->lock);
        return;
    }
    /* deadlines are of the host's clock, the condition's clock is the system's: only the difference
     * counts */
    pw_usec left = at > now ? at - now : 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    left += t.tv_nsec / 1000;
    t.tv_sec += (time_t)(left / 1000000);
    t.tv_nsec = (long)(left % 1000000) * 1000;
    (void)pthread_cond_timedwait(&h->wake, &h->lock, &t);
}

/* Does what is due. Called with the lock, which it lets go meanwhile. */
static void look(web_server *web, pw_usec now)
{
    web_hub *h = &web->hub;
    if (h->told != h->pumped && h->pump_at <= now) {
        (void)pthread_mutex_unlock(&h->lock);
        int r = web_pump(web);
        (void)pthread_mutex_lock(&h->lock);
        h->pump_at = now + (r < 0 ? RETRY_US : h->listeners > 0 ? GAP_LISTENED_US : GAP_ALONE_US);
        if (r >= 0)
            wake(h, true, false, false);
    }
    if (h->logs_grew && h->logs_at <= now) {
        h->logs_grew = false;
        h->logs_at = now + GAP_LOGS_US;
        wake(h, false, true, false);
    }
    if (h->streams == 0)
        h->ping_at = 0;
    else if (h->ping_at == 0)
        h->ping_at = now + WEB_PING_US;
    else if (h->ping_at <= now) {
        h->ping_at = now + WEB_PING_US;
        wake(h, false, false, true);
    }
    expire(h, now, false);
    web_gate_sweep(web, now);
}

/* When something is due next; with the lock, which must not be let go before the sleep. */
static pw_usec due(web_server *web)
{
    web_hub *h = &web->hub;
    pw_usec next = web_gate_due(web), ask = INT64_MAX;
    (void)web_ask_expire(h, INT64_MIN, false, &ask);
    next = least(next, ask);
    if (h->told != h->pumped)
        next = least(next, h->pump_at);
    if (h->logs_grew)
        next = least(next, h->logs_at);
    if (h->streams > 0)
        next = least(next, h->ping_at); /* 0: not set yet, so at once */
    return next;
}

static void *run(void *self)
{
    web_server *web = self;
    web_hub *h = &web->hub;
    (void)pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        look(web, pw_now(web->host));
        pw_usec next = due(web);
        if (!h->stop && next > pw_now(web->host))
            sleep_until(h, pw_now(web->host), next);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return NULL;
}

int web_hub_start(web_server *web, pw_err *err)
{
    web_hub *h = &web->hub;
    pthread_attr_t attr;
    int r = reader_event_last(h->rd, &h->told, err);
    if (r < 0)
        return r;
    h->pumped = h->ring_from = h->told;
    if (pthread_attr_init(&attr) != 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)pthread_attr_setstacksize(&attr, WEB_STACK);
    errno = pthread_create(&h->thread, &attr, run, web);
    (void)pthread_attr_destroy(&attr);
    if (errno)
        return pw_fail_sys(err, "starting a thread of the web server");
    h->started = true;
    return 0;
}

void web_hub_stop(web_server *web)
{
    web_hub *h = &web->hub;
    (void)pthread_mutex_lock(&h->lock);
    h->stop = true;
    (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
    if (h->started)
        (void)pthread_join(h->thread, NULL);
    h->started = false;
    (void)pthread_mutex_lock(&h->lock);
    wake(h, false, false, true);
    expire(h, 0, true);
    pw_usec limit = pw_now(web->host) + WEB_STOP_US, now;
    while (h->requests > 0 && (now = pw_now(web->host)) < limit)
        sleep_until(h, now, limit);
    (void)pthread_mutex_unlock(&h->lock);
}

void web_hub_clear(web_server *web)
{
    web_hub *h = &web->hub;
    web_ask *a;
    ring_empty(h);
    while ((a = h->asks)) { /* their commands lie in the channel still and are freed with it */
        h->asks = a->next;
        free(a);
    }
    for (size_t i = 0; i < h->n_tallies; i++) {
        free(h->tally[i].project);
        free(h->tally[i].builder);
    }
    free(h->tally);
    char *gate;
    for (size_t pos = 0; h->present && (gate = pw_table_next(h->present, &pos));)
        free(gate);
    h->present = pw_table_free(h->present);
    web_looks_clear(h);
    h->rd = reader_close(h->rd);
}
