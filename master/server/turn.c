/* One turn: everything that is ready is applied, one commit, then the effects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/server/state.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

enum {
    TURN_COMMANDS = 256,
    TURN_ANSWERS = 64,
    RETRY_US = 1000000,
    SEAL_RETRY_US = 10000000,
    WAL_MAX = 32 * 1024 * 1024
};

static int send_frame(void *p, uint64_t peer, const void *head, size_t head_len, const void *bulk,
                      size_t bulk_len, pw_err *err)
{
    server *s = p;
    return link_send(s->listener, peer, head, head_len, bulk, bulk_len, err);
}

/* ---- loading */
/* A damaged row is named and left where it is; the other logs must not suffer for it. A file that
 * cannot be opened now may well be there later: then nothing is loaded, and all of it again. */
static int load_frame(void *p, const store_frame *f)
{
    pw_err err = {0};
    int r = logs_load_frame(p, f, &err);
    if (r != PW_ECORRUPT) {
        if (r < 0)
            pw_log_err(PW_LOG_ERROR, "log_segment", &err);
        return r;
    }
    pw_log_err(PW_LOG_ERROR, "frame_row_damaged", &err);
    return 0;
}

/* Complete logs whose sealing a crash or a full disk cut off. */
static int seal_left_over(void *p, const store_log *l)
{
    server *s = p;
    pw_err err = {0};
    if (!core_attempt_find(s->core, l->attempt) &&
        logs_seal_attempt(s->log_store, l->attempt, &err) < 0)
        pw_log_err(PW_LOG_WARN, "seal_failed", &err);
    return 0;
}

int turn_load(server *s, pw_err *err)
{
    if (!(s->st = store_open(s->db, &pw_host_real, err)) ||
        !(s->core = core_new(s->st, s->conf, &pw_host_real, err)))
        return err->code;
    int r;
    /* views of web threads hold it: it outlives a reload of the core, and goes back to what the
     * rows say */
    if (s->log_store)
        logs_reset(s->log_store);
    else if (!(s->log_store = logs_open(s->log_dir, &pw_host_real, s->log_answers, err)) ||
             state_keep_backups(s, err) < 0)
        return err->code;
    if ((r = store_frames_open(s->st, load_frame, s->log_store, err)) < 0 ||
        (r = logs_loaded(s->log_store, err)) < 0)
        return r;
    if (!(s->links =
              sessions_new(s->core, s->log_store, &pw_host_real, s->mark_key, send_frame, s, err)))
        return err->code;
    if (files_load(s, err) < 0)
        return err->code;
    gives_load(s);
    tries_sweep(s, !s->web);
    core_set_join(s->core, state_join_line, s);
    state_conditions(s);
    s->janitor_seen = atomic_load(&s->janitor.changes) - 1;
    r = core_commit(s->core, turn_apply, s, err);
    if (r < 0 || (r = store_logs_open(s->st, seal_left_over, s, err)) < 0)
        return r;
    return 0;
}

void turn_unload(server *s)
{
    s->links = sessions_free(s->links);
    s->core = core_free(s->core);
    s->st = store_close(s->st);
}

/* ---- effects */
void turn_apply(void *p, const core_effect *e)
{
    server *s = p;
    pw_err err = {0};
    switch (e->kind) {
    case CORE_OFFER:
    case CORE_CANCEL:
    case CORE_FORGET:
    case CORE_NOTE:
    case CORE_DROP:
        sessions_effect(s->links, e);
        break;
    case CORE_POLL:
    case CORE_HISTORY:
    case CORE_PIPELINE:
    case CORE_PUSH:
        repos_effect(s, e);
        break;
    case CORE_EVENT:
        s->event = e->id;
        break;
    case CORE_REPLY:
        if (pw_fault("cmd.answer"))
            core_cmd_fail(e->cmd, 503, "unavailable", "fault point cmd.answer");
        e->cmd->done(e->cmd, e->cmd->done_self);
        break;
    case CORE_SEND:
        outbox_effect(s, e);
        break;
    case CORE_PROVIDER:
        elastic_effect(s, e);
        break;
    case CORE_PRESENCE:
        web_worker(s->web, e->worker, e->id != 0, e->text);
        break;
    case CORE_REMOVE:
        if (logs_remove(s->log_store, (log_key){e->attempt, (uint32_t)e->index, (uint32_t)e->id},
                        &err) < 0)
            pw_log_err(PW_LOG_WARN, "log_not_removed", &err); /* asked for again by the next pass */
        break;
    case CORE_LOOKED:
        web_look(s->web, e->worker, e->attempt, (pw_msec)e->id, e->text);
        break;
    case CORE_UNTRY:
        tries_effect(s, e);
        break;
    case CORE_PUBLISH:
    case CORE_UNLINK:
        files_effect(s, e);
        break;
    case CORE_SEAL:
        files_effect(s, e);
        if (logs_seal_attempt(s->log_store, e->attempt, &err) < 0) {
            pw_log_err(PW_LOG_WARN, "seal_failed", &err);
            s->seal_at = pw_now(&pw_host_real) + SEAL_RETRY_US;
        }
        break;
    }
}

static void gauges(server *s, pw_usec spent)
{
    core_figures f;
    sessions_figures l;
    web_gauges *g = &s->gauges;
    core_get_figures(s->core, &f);
    sessions_get_figures(s->links, &l);
    web_gauges_turn(g, (uint64_t)spent);
    atomic_store(&g->requests_waiting, f.waiting);
    atomic_store(&g->builds_open, f.open);
    atomic_store(&g->workers_connected, f.connected);
    atomic_store(&g->workers_known, f.workers);
    atomic_store(&g->slots, f.slots);
    atomic_store(&g->slots_busy, f.busy);
    atomic_store(&g->journal_bytes, l.journal_bytes);
    atomic_store(&g->log_bytes, l.log_bytes);
    atomic_store(&g->dropped_messages, l.dropped);
    atomic_store(&g->alarms, l.alarms);
    outbox_gauges(s);
    atomic_store(&g->slow_callbacks, pw_loop_slow(s->loop));
    for (int i = 0; i < 7; i++)
        atomic_store(&g->builds_total[i], f.finished[i]);
}

/* A failed or unknown commit is a crash: model and sessions are thrown away and loaded anew from
 * the database. */
void turn_crash(server *s, const pw_err *err)
{
    (void)lacks_text(err, s->trouble);
    s->lacks = lacks_name(err);
    pw_log_err(PW_LOG_ERROR, "commit_failed", err);
    atomic_fetch_add(&s->gauges.commits_failed, 1);
    turn_unload(s);
    s->n_sealed = 0; /* sealed again after the next start: their frames are still in the segments */
    s->retry_at = pw_now(&pw_host_real) + RETRY_US;
    pw_source_at(s->tick, s->retry_at);
}

void turn_hook(pw_loop *loop, void *p)
{
    server *s = p;
    pw_err err = {0};
    (void)loop;
    if (!s->core)
        return;
    sessions_end_turn(s->links);
    pw_usec began = pw_now(&pw_host_real);
    unsigned changes = atomic_load(&s->janitor.changes);
    if (s->janitor.started && changes != s->janitor_seen) {
        char text[400];
        janitor_trouble(&s->janitor, text);
        core_condition(s->core, "checkpoint", text[0] ? text : NULL);
        s->janitor_seen = changes;
    }
    /* an effect that fails at once is an event of the next commit */
    for (int i = 0; i < 8 && core_dirty(s->core); i++) {
        if (core_commit(s->core, turn_apply, s, &err) < 0) {
            turn_crash(s, &err);
            return;
        }
        if (outbox_recorded(s)) {
            (void)pw_fail(&err, PW_ESYS, "fault outbox.recorded");
            turn_crash(s, &err);
            return;
        }
        gauges(s, pw_now(&pw_host_real) - began);
        janitor_wake(&s->janitor);
    }
    if (s->pushed)
        (void)pw_fault("promotion.recorded");
    s->pushed = false;
    sessions_flush(s->links);
    for (size_t i = 0; i < s->n_sealed; i++)
        if (!pw_fault("seal.committed")) /* the next start finds it out */
            logs_sealed(s->log_store, s->sealed[i]);
    s->n_sealed = 0;
    if (s->event) {
        web_events(s->web, s->event);
        s->event = 0;
    }
    /* a writer that never pauses keeps the WAL from starting over: pause once */
    if (atomic_load(&s->janitor.wal) > WAL_MAX) {
        uint64_t wal = 0;
        store_checkpointer *ck = store_checkpointer_open(s->db, &err);
        if (ck && store_checkpoint(ck, &wal, &err) == 0)
            atomic_store(&s->janitor.wal, 0);
        store_checkpointer_close(ck);
    }
    reload_if_due(s);
    if (s->core)
        pw_source_at(s->tick, core_deadline(s->core));
}

void turn_tick(pw_loop *loop, void *p)
{
    server *s = p;
    pw_err err = {0};
    (void)loop;
    if (!s->core) {
        if (turn_load(s, &err) < 0 || outbox_open(s, &err) < 0) {
            (void)lacks_text(&err, s->trouble);
            s->lacks = lacks_name(&err);
            turn_unload(s);
            s->retry_at = pw_now(&pw_host_real) + RETRY_US;
            pw_source_at(s->tick, s->retry_at);
            return;
        }
        pw_log(PW_LOG_INFO, "loaded_again", "after=\"%s\"", s->trouble);
    }
    if (s->seal_at && pw_now(&pw_host_real) >= s->seal_at) {
        s->seal_at = 0;
        if (store_logs_open(s->st, seal_left_over, s, &err) < 0)
            pw_log_err(PW_LOG_WARN, "seal_failed", &err);
    }
    files_tick(s);
    gives_tick(s);
    core_tick(s->core);
    sessions_tick(s->links);
}

/* ---- what comes in */
static void refuse(server *s, core_cmd *c)
{
    if (c->kind == CMD_HEALTH) {
        c->status = 503;
        const char *names[] = {"core", s->lacks};
        (void)pw_buf_adds(&c->body, "{\"status\":\"failing\",\"checks\":[");
        for (size_t i = 0; i < 2; i++) {
            (void)pw_buf_addf(&c->body, "%s{\"name\":\"%s\",\"ok\":false,\"text\":", i ? "," : "",
                              names[i]);
            (void)pw_buf_json(&c->body, s->trouble);
            (void)pw_buf_adds(&c->body, "}");
        }
        (void)pw_buf_adds(&c->body, "]}");
    } else {
        core_cmd_fail(c, 503, "unavailable", "the master cannot work at the moment: %s",
                      s->trouble);
    }
    c->done(c, c->done_self);
}

void turn_commands(pw_loop *loop, int fd, uint32_t events, void *p)
{
    server *s = p;
    core_cmd *c;
    (void)loop, (void)fd, (void)events;
    for (int i = 0; i < TURN_COMMANDS && (c = pw_chan_recv(s->commands)); i++) {
        if (!s->core)
            refuse(s, c);
        else if (!tries_take(s, c))
            core_command(s->core, c);
    }
}

void turn_git(pw_loop *loop, int fd, uint32_t events, void *p)
{
    server *s = p;
    git_job *j;
    (void)loop, (void)fd, (void)events;
    for (int i = 0; i < TURN_ANSWERS && (j = pw_chan_recv(s->git_answers)); i++) {
        if (j->kind == GIT_BUNDLE)
            gives_bundled(s, j);
        else if (!tries_answer(s, j) && s->core)
            repos_answer(s, j);
        git_job_free(j);
    }
}

void turn_logs(pw_loop *loop, int fd, uint32_t events, void *p)
{
    server *s = p;
    logs_answer *a;
    (void)loop, (void)fd, (void)events;
    while (s->n_sealed < TURN_SEALED && (a = pw_chan_recv(s->log_answers))) {
        if (!s->core) {
            free(a);
            continue;
        }
        if (a->kind == LOGS_SYNCED) {
            sessions_synced(s->links, a->ticket, a->code, a->text);
        } else if (a->kind == LOGS_REMOVED) {
            core_log_removed(s->core, a->key.attempt, a->key.idx, a->key.stream, a->code == 0);
        } else if (a->code == 0) {
            core_condition(s->core, "log archive", NULL);
            core_log_sealed(s->core, a->key.attempt, a->key.idx, a->key.stream, a->packed);
            s->sealed[s->n_sealed++] = a->key; /* views use the file once the row is committed */
        } else {
            /* its frames stay where they are; what stands in the way may go */
            pw_log(PW_LOG_ERROR, "seal_failed", "attempt=%llu reason=\"%s\"",
                   (unsigned long long)a->key.attempt, a->text);
            core_condition(s->core, "log archive", a->text);
            s->seal_at = pw_now(&pw_host_real) + SEAL_RETRY_US;
        }
        free(a);
    }
}
