/* Why a request is not running: the same questions that dispatch asks, answered in words. */
#include "master/core/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void answer(core_cmd *c, const char *state, const char *text)
{
    c->status = 200;
    (void)pw_buf_addf(&c->body, "{\"id\":%" PRIu64 ",\"state\":\"%s\",\"reason\":", c->id, state);
    (void)pw_buf_json(&c->body, text);
    (void)pw_buf_adds(&c->body, "}");
}

static size_t ahead_of(const core_builder *b, const core_request *r)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->heap[i]->key < r->key || (b->heap[i]->key == r->key && b->heap[i]->id < r->id);
    return n;
}

/* The worker that is nearest to taking it decides the text: the least lasting block. */
static void waiting(core *self, core_cmd *c, const core_request *r)
{
    const core_builder *b = r->builder;
    const core_worker *w, *nearest = NULL;
    core_block block = BLOCK_NONE;
    uint64_t slots = 0, busy = 0, workers = 0;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(2000);
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));) {
        core_block k = core_worker_block(self, w, r);
        if (k == BLOCK_REMOVED)
            continue;
        workers++;
        if (k == BLOCK_BUSY || k == BLOCK_NONE) {
            slots += w->row.slots;
            busy += w->busy;
        }
        if (!nearest || k == BLOCK_NONE || (block != BLOCK_NONE && k > block)) {
            nearest = w;
            block = k;
        }
    }
    if (r->held)
        (void)pw_buf_addf(&text,
                          "held by testfix since build %" PRIu64
                          ": it rides with the next change whose message has [testfix], or builds "
                          "when branch \"%s\" is green",
                          r->held, r->stamp->branch);
    else if (b->pause)
        core_pause_text(&text, "builder", b->name, b->pause);
    else if (core_why_full(self))
        (void)pw_buf_addf(&text, "the master begins no builds: %s", core_why_full(self));
    else if (!workers)
        (void)pw_buf_adds(&text, "there is no worker: add one with \"pawl worker add NAME\"");
    else if (block == BLOCK_NONE)
        (void)pw_buf_addf(&text, "it is next: worker \"%s\" takes it", nearest->row.name);
    else if (block == BLOCK_NEW)
        (void)pw_buf_addf(&text, "worker \"%s\" has not joined yet", nearest->row.name);
    else if (block == BLOCK_TAGS) {
        (void)pw_buf_adds(&text, "no worker has the tags");
        for (size_t i = 0; b->conf && i < b->conf->tags.n; i++)
            (void)pw_buf_addf(&text, " \"%s\"", b->conf->tags.v[i]);
    } else if (block == BLOCK_ISOLATION) {
        const char *isolation = NULL;
        (void)core_isolation_block(self, nearest, r, &isolation);
        (void)pw_buf_addf(&text, "no worker offers isolation \"%s\"%s", isolation ? isolation : "",
                          core_trusted(self, r) ? "" : ", which a build of untrusted code needs");
    } else if (block == BLOCK_UNTRUSTED)
        (void)pw_buf_adds(&text, "it is not from a configured branch of the project's own "
                                 "repository, and no worker takes such builds (\"untrusted: true\" "
                                 "in worker.yaml)");
    else if (block == BLOCK_OFFLINE)
        (void)pw_buf_addf(&text, "no fitting worker is connected (\"%s\" would fit)",
                          nearest->row.name);
    else if (block == BLOCK_PAUSED)
        (void)pw_buf_addf(&text, "worker \"%s\" is paused by %s: %s", nearest->row.name,
                          nearest->row.who ? nearest->row.who : "?",
                          nearest->row.reason ? nearest->row.reason : "no reason given");
    else if (block == BLOCK_DRAINING)
        (void)pw_buf_addf(&text, "worker \"%s\" is draining", nearest->row.name);
    else if (block == BLOCK_QUARANTINE) {
        char at[PW_TIME_MAX];
        (void)pw_buf_addf(&text, "worker \"%s\" is in quarantine until %s: %s", nearest->row.name,
                          pw_time_text(nearest->row.quarantine, at),
                          nearest->row.reason ? nearest->row.reason : "");
    } else if (block == BLOCK_GATE)
        (void)pw_buf_addf(&text, "worker \"%s\" takes no new jobs: %s", nearest->row.name,
                          nearest->gate);
    else if (block == BLOCK_REJECTED)
        (void)pw_buf_addf(&text,
                          "worker \"%s\" said no a moment ago; it is asked again after its next "
                          "sign of a free slot",
                          nearest->row.name);
    else
        (void)pw_buf_addf(&text,
                          "all %" PRIu64 " slots of fitting workers are busy (%" PRIu64
                          " of %" PRIu64 "), %zu waiting before it",
                          slots, busy, slots, ahead_of(b, r));
    PW_AUTO(pw_buf_clearp) pw_buf elastic = PW_BUF(2000);
    if ((!nearest || block != BLOCK_NONE) && !core_why_full(self))
        core_provider_why(self, b, &elastic);
    if (elastic.len &&
        (!nearest || block <= BLOCK_OFFLINE)) /* there will be a worker that is not there yet */
        pw_buf_reset(&text);
    if (elastic.len)
        (void)pw_buf_addf(&text, "%s%s", text.len ? "; " : "", pw_buf_str(&elastic));
    answer(c, "waiting", pw_buf_str(&text));
}

static void done(core *self, uint64_t id, char *text, size_t room)
{
    store_build b;
    if (store_build_get(self->st, id, &b, NULL) < 0) {
        (void)snprintf(text, room, "it is done: build %" PRIu64, id);
        return;
    }
    (void)snprintf(text, room, "it is done: build %" PRIu64 " (%s%s%s)", id,
                   pw_result_name(b.result), b.reason ? ": " : "", b.reason ? b.reason : "");
    store_build_clear(&b);
}

void core_why(core *self, core_cmd *c)
{
    core_request *r = pw_table_get(self->requests, c->id);
    core_build *b = pw_table_get(self->builds, c->id);
    store_request row;
    char text[300];
    if (!r && b)
        r = b->request;
    if (r && (r->pos || r->held)) {
        waiting(self, c, r);
    } else if (r && r->build && r->build->live) {
        (void)snprintf(text, sizeof(text), "it is build %" PRIu64 ", %s on worker \"%s\"",
                       r->build->id, r->build->live->any ? "running" : "sent to be run",
                       core_worker_name(self, r->build->live->worker));
        answer(c, "claimed", text);
    } else if (store_request_get(self->st, c->id, &row, NULL) == 0) {
        if (row.rode_with)
            (void)snprintf(text, sizeof(text), "it rode with request %" PRIu64, row.rode_with);
        else if (row.build)
            done(self, row.build, text, sizeof(text));
        else
            (void)snprintf(text, sizeof(text), "it was cancelled before it began");
        store_request_clear(&row);
        answer(c, "done", text);
    } else {
        core_cmd_fail(c, 404, "not_found", "there is no open request %" PRIu64, c->id);
    }
}
