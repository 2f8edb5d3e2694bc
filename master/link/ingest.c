/* Journal ingest: records in order, two offsets (rules 5). State records act on the core in this
 * turn; log frames go to the log store, and `stored` moves over them when they are on disk. The end
 * record acts when everything before it is stored. */
#include "master/link/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"
#include "shared/job/record.h"
#include "shared/journal/journal.h"

enum { TROUBLE_US = 5000000 };

/* Told once, and again when it is another; nothing new is begun meanwhile. */
static void trouble(sessions *self, const pw_err *err)
{
    char text[600], why[100];
    const char *sys = err->sys > 0 ? strerror_r(err->sys, why, sizeof(why)) : NULL;
    (void)snprintf(text, sizeof(text), "%s%s%s", err->text, sys ? ": " : "", sys ? sys : "");
    if (!self->trouble_at)
        pw_log_err(PW_LOG_ERROR, "log_store", err);
    self->trouble_at = pw_now(self->host);
    self->took = false;
    core_full(self->core, text);
}

static void no_trouble(sessions *self)
{
    if (self->trouble_at)
        pw_log(PW_LOG_INFO, "log_store_again", "text=\"it takes output again\"");
    self->trouble_at = 0;
    core_full(self->core, NULL);
}

/* Of all disks that bytes go to. */
static bool room(const sessions *self)
{
    return logs_room(self->logs) && (!self->blobs || blobs_room(self->blobs));
}

/* Bytes that were refused come again by themselves. When nobody has any, the room that there is
 * decides, so that a disk that was cleared is noticed without output. */
void ingest_tick(sessions *self, pw_usec now)
{
    if (self->trouble_at && now - self->trouble_at > TROUBLE_US && room(self))
        no_trouble(self);
}

static bool has_pending(const sessions *self, uint64_t attempt, size_t from)
{
    for (size_t i = self->n_pend; i-- > from;)
        if (self->pend[i].attempt == attempt)
            return true;
    return false;
}

static int pend_room(sessions *self, pw_err *err)
{
    if (self->n_pend == self->cap_pend) {
        size_t cap = self->cap_pend ? 2 * self->cap_pend : 64;
        pending *v = realloc(self->pend, cap * sizeof(*v));
        if (!v)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        self->pend = v;
        self->cap_pend = cap;
    }
    return 0;
}

/* There is room. */
static void hold_frame(sessions *self, const core_attempt *a, uint64_t end, uint32_t chain,
                       const store_frame *f)
{
    pending p = {.attempt = a->id, .end = end, .chain = chain, .frame = *f};
    log_key key = {a->id, (uint32_t)f->idx, (uint32_t)f->stream};
    (void)logs_position(self->logs, key, &p.log_bytes, &p.log_lines, &p.log_packed);
    self->pend[self->n_pend++] = p;
}

static int apply_file(sessions *self, core_attempt *a, const journal_rec *rec, uint64_t end,
                      pw_err *err)
{
    pending p = {.what = rec->kind == PW_REC_FILE ? PEND_FILE : PEND_PIECE,
                 .attempt = a->id,
                 .end = end,
                 .chain = rec->chain};
    int r = pend_room(self, err);
    if (r == 0)
        r = rec->kind == PW_REC_FILE ? files_whole(self, a, rec, &p, err)
                                     : files_piece(self, a, rec, err);
    if (r == 0)
        self->pend[self->n_pend++] = p;
    else
        pending_clear(&p);
    return r;
}

static int apply_log(sessions *self, core_attempt *a, const journal_rec *rec, uint64_t end,
                     pw_err *err)
{
    rec_log r;
    store_frame f;
    int code = rec_log_get(rec->payload, rec->len, &r, err);
    if (code < 0)
        return code;
    /* room first: a frame in the store that nobody remembers would never be committed */
    if ((code = pend_room(self, err)) < 0)
        return code;
    code = logs_append(self->logs, a->id, &r, &f, err);
    if (code == PW_ECONFLICT)
        return 0;            /* stored already */
    if (code == PW_EPROTO) { /* output was left out before it (its cut record is below `stored`) */
        uint64_t bytes = 0, lines = 0, packed = 0;
        log_key key = {a->id, r.step, r.stream};
        (void)logs_position(self->logs, key, &bytes, &lines, &packed);
        if ((code = logs_cut(self->logs, key, bytes, r.raw_pos - bytes, r.first_line - lines,
                             err)) == 0)
            code = logs_append(self->logs, a->id, &r, &f, err);
    }
    if (code < 0)
        return code;
    self->took = true;
    self->fig.log_bytes += r.raw_len;
    hold_frame(self, a, end, rec->chain, &f);
    return 0;
}

/* One state record. Malformed content is an error of the worker's, never ours. */
static int apply_state(sessions *self, core_attempt *a, const journal_rec *rec, uint64_t end,
                       pw_err *err)
{
    int r = 0;
    union {
        rec_header header;
        rec_step_start step_start;
        rec_step_end step_end;
        rec_property property;
        rec_note note;
        rec_trigger trigger;
        rec_cut cut;
    } u;
    switch (rec->kind) {
    case PW_REC_HEADER: /* an id never means two pieces of work, whatever came back from a backup */
        if ((r = pw_schema_decode(&rec_header_schema, rec->payload, rec->len, &u.header, err)) < 0)
            return r;
        if (u.header.epoch != a->epoch || u.header.attempt != a->id || u.header.digest.n != 32 ||
            memcmp(u.header.digest.p, a->digest, 32) != 0)
            r = pw_fail(err, PW_ECORRUPT, "the journal is of another job");
        pw_schema_clear(&rec_header_schema, &u.header);
        return r;
    case PW_REC_START:
        core_att_started(self->core, a);
        return 0;
    case PW_REC_STEP_START:
        if ((r = pw_schema_decode(&rec_step_start_schema, rec->payload, rec->len, &u.step_start,
                                  err)) == 0)
            core_att_step_started(self->core, a, &u.step_start);
        return r;
    case PW_REC_STEP_END:
        if ((r = pw_schema_decode(&rec_step_end_schema, rec->payload, rec->len, &u.step_end, err)) <
            0)
            return r;
        core_att_step_ended(self->core, a, &u.step_end);
        pw_schema_clear(&rec_step_end_schema, &u.step_end);
        return 0;
    case PW_REC_PROPERTY:
        if ((r = pw_schema_decode(&rec_property_schema, rec->payload, rec->len, &u.property, err)) <
            0)
            return r;
        core_att_property(self->core, a, &u.property);
        pw_schema_clear(&rec_property_schema, &u.property);
        return 0;
    case PW_REC_NOTE:
        if ((r = pw_schema_decode(&rec_note_schema, rec->payload, rec->len, &u.note, err)) < 0)
            return r;
        core_att_note(self->core, a, &u.note);
        pw_schema_clear(&rec_note_schema, &u.note);
        return 0;
    case PW_REC_TRIGGER:
        if ((r = pw_schema_decode(&rec_trigger_schema, rec->payload, rec->len, &u.trigger, err)) <
            0)
            return r;
        core_att_trigger(self->core, a, &u.trigger);
        pw_schema_clear(&rec_trigger_schema, &u.trigger);
        return 0;
    case PW_REC_CUT: {
        if ((r = pw_schema_decode(&rec_cut_schema, rec->payload, rec->len, &u.cut, err)) < 0)
            return r;
        /* the next frame's position says the same; a log that ends in a cut has nothing behind it
         * to place */
        return 0;
    }
    case PW_REC_TEST:
        return files_tests(self, a, rec, err);
    case PW_REC_REPORT:
        return files_report(self, a, rec, err);
    case PW_REC_END:
        pw_schema_clear(&rec_end_schema, &a->end);
        if ((r = pw_schema_decode(&rec_end_schema, rec->payload, rec->len, &a->end, err)) == 0)
            a->end_at = end;
        return r;
    default:
        if (!(rec->flags & PW_REC_CRITICAL))
            return 0; /* known to a newer runner only: passed over, its bytes are acknowledged */
        return pw_fail(err, PW_EAGAIN, "record of kind %u needs a newer master", rec->kind);
    }
}

/* Moves `stored`, acts on the end record when it is reached. a may be gone afterwards. */
static void advance(sessions *self, core_attempt *a, uint64_t stored, uint32_t chain)
{
    uint64_t id = a->id;
    if (a->end_at && stored >= a->end_at)
        core_att_ended(self->core, a, &a->end);
    if (stored < a->applied || stored < a->received)
        core_att_offsets(self->core, a, a->received > a->applied ? a->received : a->applied,
                         a->received > a->applied ? a->received_chain : a->applied_chain, stored,
                         chain);
    else
        core_att_offsets(self->core, a, stored, chain, stored, chain);
    /* known from an older session, synced only now */
    if ((a = core_attempt_find(self->core, id)) && a->received < a->stored) {
        a->received = a->stored;
        a->received_chain = a->stored_chain;
    }
    if ((a = core_attempt_find(self->core, id)))
        sessions_ack(self, a);
}

static int apply_all(sessions *self, core_attempt *a, uint64_t at, uint32_t chain, const uint8_t *p,
                     size_t n, bool *ret_state, pw_err *err)
{
    journal_rec rec;
    while (n > 0) {
        int size = journal_parse(p, n, chain, &rec, err);
        if (size == 0)
            return pw_fail(err, PW_EAGAIN, "a journal message ends inside a record");
        if (size < 0)
            return size;
        uint64_t end = at + rec.size;
        /* known; the chain is held against ours where the known part ends */
        if (end <= a->received) {
            if (end == a->received && rec.chain != a->received_chain)
                return pw_fail(err, PW_ECORRUPT, "the journal is not the one that we know");
        } else if (at < a->received) { /* no record of ours ends there */
            return pw_fail(err, PW_ECORRUPT, "the journal is not the one that we know");
        } else {
            int r = 0;
            if (rec.kind == PW_REC_LOG) {
                r = apply_log(self, a, &rec, end, err);
            } else if (rec.kind == PW_REC_ARTIFACT || rec.kind == PW_REC_FILE) {
                r = apply_file(self, a, &rec, end, err);
            } else if (end > a->applied || rec.kind == PW_REC_END) {
                r = apply_state(self, a, &rec, end, err);
                *ret_state = true;
            }
            if (r < 0)
                return r;
            a->received = end;
            a->received_chain = rec.chain;
        }
        at = end;
        chain = rec.chain;
        p += rec.size;
        n -= rec.size;
    }
    return 0;
}

void ingest_journal(sessions *self, session *s, const msg_journal *m, const uint8_t *bulk, size_t n)
{
    pw_err err = {0};
    bool state = false;
    core_attempt *a = core_attempt_find(self->core, m->attempt);
    self->fig.journal_bytes += n;
    if (!a || a->epoch != m->epoch || a->worker != s->worker ||
        memcmp(a->spool, s->spool, 16) != 0) {
        self->fig.dropped++;
        return; /* resync said what becomes of it */
    }
    if (m->offset > a->received) { /* a gap: tell where we stand */
        sessions_ack(self, a);
        return;
    }
    uint64_t before = a->received;
    int r = m->offset == a->received && m->chain != a->received_chain
                ? pw_fail(&err, PW_ECORRUPT, "the journal is not the one that we know")
                : apply_all(self, a, m->offset, (uint32_t)m->chain, bulk, n, &state, &err);
    bool ours = r == PW_EFULL || r == PW_ESYS || r == PW_ENOMEM;
    /* no repetition will make it better: it is cancelled, and the next resync says `hold` */
    if (r < 0 && !ours && r != PW_EAGAIN && a->received == before) {
        msg_cancel c = {s->id, a->epoch, a->id, err.text};
        msg_refused again = {s->nonce, err.text, 200};
        core_att_other(self->core, a, err.text);
        sessions_queue(self, s->peer, PW_MSG_CANCEL, &c, NULL, 0);
        sessions_queue(self, s->peer, PW_MSG_REFUSED, &again, NULL, 0);
        sessions_end(self, s, err.text);
        return;
    }
    if (ours) { /* our trouble: nothing is acknowledged, the agent asks again */
        trouble(self, &err);
    } else if (r < 0) {
        self->fig.alarms++;
        pw_log(PW_LOG_ERROR, "bad_journal",
               "worker=\"%s\" attempt=%" PRIu64 " offset=%" PRIu64 " reason=\"%s\"",
               core_worker_name(self->core, s->worker), a->id, a->received, err.text);
    }
    if (a->received == before) {
        if (r == 0) /* all of it is known: the answer to it was lost */
            sessions_ack(self, a);
        return;
    }
    a->any = true;
    if (state && pw_fault("ingest.applied")) {
        (void)pw_fail(&err, PW_ESYS, "applying records: fault point ingest.applied");
        core_break(self->core, &err);
        return;
    }
    if (!has_pending(self, a->id, 0))
        advance(self, a, a->received, a->received_chain);
    else if (state)
        core_att_offsets(self->core, a, a->received > a->applied ? a->received : a->applied,
                         a->received > a->applied ? a->received_chain : a->applied_chain, a->stored,
                         a->stored_chain);
}

/* The bytes are not on disk: the frames are dropped, their sessions end, resync asks for the
 * journals again from `stored`. */
static void sync_failed(sessions *self, const char *text)
{
    pw_err err = {0};
    (void)pw_fail(&err, PW_ESYS, "%s", text);
    trouble(self, &err);
    pw_log(PW_LOG_ERROR, "log_sync_failed", "reason=\"%s\"", text);
    logs_forget_unsynced(self->logs);
    if (self->blobs)
        blobs_forget_unsynced(self->blobs);
    for (size_t i = 0; i < self->n_pend; i++) {
        core_attempt *a = core_attempt_find(self->core, self->pend[i].attempt);
        session *s = a ? sessions_of_worker(self, a->worker) : NULL;
        if (a) {
            a->received = a->stored;
            a->received_chain = a->stored_chain;
            if (a->end_at > a->stored)
                a->end_at = 0;
        }
        if (s) {
            msg_refused m = {s->nonce, (char *)(uintptr_t) "the master could not write its logs",
                             1000};
            sessions_queue(self, s->peer, PW_MSG_REFUSED, &m, NULL, 0);
            sessions_end(self, s, "the log store failed");
        }
        pending_clear(&self->pend[i]);
    }
    self->n_pend = 0;
}

void sessions_end_turn(sessions *self)
{
    size_t i = self->n_pend;
    while (i > 0 && self->pend[i - 1].ticket == 0)
        i--;
    if (i == self->n_pend)
        return;
    if (pw_fault("ingest.appended")) {
        sync_failed(self, "fault point ingest.appended");
        return;
    }
    uint64_t ticket = logs_sync(self->logs);
    for (; i < self->n_pend; i++)
        self->pend[i].ticket = ticket;
}

void sessions_synced(sessions *self, uint64_t ticket, int code, const char *text)
{
    size_t n = 0;
    bool lost = pw_fault("ingest.synced");
    if (code < 0 || lost) {
        sync_failed(self, lost ? "fault point ingest.synced" : text);
        return;
    }
    /* a small frame may still fit where a large one did not */
    if (self->trouble_at && self->took && room(self))
        no_trouble(self);
    while (n < self->n_pend && self->pend[n].ticket && self->pend[n].ticket <= ticket)
        n++;
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        const pending *p = &self->pend[i];
        const store_frame *f = &p->frame;
        const core_attempt *of = core_attempt_find(self->core, p->attempt);
        if (p->file && of)
            core_att_file(self->core, of, p->file);
        if (p->what != PEND_FRAME)
            continue;
        core_att_frame(self->core, f);
        bool last = true; /* one row of the log for all its frames in this batch */
        for (size_t k = i + 1; k < n && last; k++)
            last = self->pend[k].what != PEND_FRAME || self->pend[k].frame.attempt != f->attempt ||
                   self->pend[k].frame.idx != f->idx || self->pend[k].frame.stream != f->stream;
        if (last) {
            store_log row = {.attempt = f->attempt,
                             .idx = f->idx,
                             .stream = f->stream,
                             .bytes = p->log_bytes,
                             .lines = p->log_lines,
                             .packed = p->log_packed};
            core_att_log(self->core, &row);
        }
    }
    /* each attempt once, at its last frame in the batch */
    for (size_t i = 0; i < n; i++) {
        const pending *p = &self->pend[i];
        bool last = true;
        for (size_t k = i + 1; k < n && last; k++)
            last = self->pend[k].attempt != p->attempt;
        core_attempt *a = last ? core_attempt_find(self->core, p->attempt) : NULL;
        if (!a)
            continue;
        if (has_pending(self, a->id, n))
            advance(self, a, p->end, p->chain);
        else
            advance(self, a, a->received, a->received_chain);
    }
    for (size_t i = 0; i < n; i++)
        pending_clear(&self->pend[i]);
    self->n_pend -= n;
    memmove(self->pend, self->pend + n, self->n_pend * sizeof(*self->pend));
}
