#include "worker/run/writer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fault.h"

void writer_init(run_writer *w, journal_writer *journal, const pw_host *clock, spool_job job,
                 int notes)
{
    memset(w, 0, sizeof(*w));
    w->retry = 1000000;
    w->give_up = 60000000;
    w->journal = journal;
    w->clock = clock;
    w->job = job;
    w->notes = notes;
    w->start = pw_now(clock);
    w->note_at = w->start + WRITER_NOTE_FIRST_US;
    w->reserve_at = w->start + WRITER_RESERVE_AFTER_US;
    w->noted = journal_length(journal);
    pw_buf_init(&w->text, JOURNAL_PAYLOAD_MAX);
}

void writer_clear(run_writer *w)
{
    w->journal = journal_writer_free(w->journal);
    pw_buf_clear(&w->text);
}

/* Makes sure that `size` more bytes and the reserve behind them have room. Asks for more than that,
 * so that a long log does not ask for every frame. */
static int writer_make_room(run_writer *w, uint64_t size, pw_err *err)
{
    uint64_t want = journal_length(w->journal) + size + WRITER_RESERVE;
    pw_err why = {0};
    if (w->cannot_reserve || (w->reserved && want <= w->reserved))
        return 0;
    if (journal_reserve(w->journal, size + 2 * (uint64_t)WRITER_RESERVE, NULL) == 0) {
        w->reserved = want + WRITER_RESERVE;
        return 0;
    }
    if (journal_reserve(w->journal, size + WRITER_RESERVE, &why) == 0) {
        w->reserved = want;
        return 0;
    }
    if (why.sys == EOPNOTSUPP || why.sys == ENOSYS || why.sys == EINVAL) {
        w->cannot_reserve = true;
        return 0;
    }
    if (err)
        *err = why;
    return why.code;
}

static int writer_append(run_writer *w, pw_rec_kind kind, const struct iovec *iov, int n,
                         pw_err *err)
{
    pw_usec t = pw_now(w->clock) - w->start;
    if (pw_fault("run.append"))
        return pw_fail(err, PW_EFULL, "no room for a record");
    /* a master that does not know them must not go on as if there was nothing */
    uint8_t flags = kind == PW_REC_ARTIFACT || kind == PW_REC_FILE || kind == PW_REC_TRIGGER
                        ? PW_REC_CRITICAL
                        : 0;
    return journal_append(w->journal, (uint8_t)kind, flags, t > 0 ? (uint64_t)t : 0, iov, n, err);
}

int writer_record_once(run_writer *w, pw_rec_kind kind, const pw_schema *schema, const void *body,
                       pw_err *err)
{
    pw_buf_reset(&w->text);
    w->text.failed = false;
    int rc = pw_schema_encode(schema, body, &w->text, err);
    if (rc < 0)
        return rc;
    struct iovec iov = {.iov_base = w->text.p, .iov_len = w->text.len};
    return writer_append(w, kind, &iov, 1, err);
}

int writer_record(run_writer *w, pw_rec_kind kind, const pw_schema *schema, const void *body,
                  pw_err *err)
{
    pw_usec until = pw_now(w->clock) + w->give_up;
    for (;;) {
        pw_err why = {0};
        int rc = writer_record_once(w, kind, schema, body, &why);
        bool disk = rc == PW_EFULL || rc == PW_ESYS;
        if (rc == 0)
            return 0;
        if (!disk || pw_now(w->clock) >= until) {
            if (err)
                *err = why;
            return rc;
        }
        (void)poll(NULL, 0, (int)(w->retry / 1000));
    }
}

int writer_log(run_writer *w, const rec_log *log, pw_err *err)
{
    uint8_t head[RECORD_LOG_HEAD];
    uint64_t size = JOURNAL_HEAD + RECORD_LOG_HEAD + log->frame_len + JOURNAL_TAIL;
    struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof(head)},
                           {.iov_base = (void *)(uintptr_t)log->frame, .iov_len = log->frame_len}};
    bool due = w->reserved || journal_length(w->journal) + size > WRITER_RESERVE_ABOVE;
    int rc = due ? writer_make_room(w, size, err) : 0;
    if (rc < 0)
        return rc;
    rec_log_put_head(log, head);
    return writer_append(w, PW_REC_LOG, iov, 2, err);
}

int writer_piece(run_writer *w, const rec_piece *piece, pw_err *err)
{
    uint8_t head[RECORD_PIECE_HEAD];
    struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof(head)},
                           {.iov_base = (void *)(uintptr_t)piece->p, .iov_len = piece->n}};
    int rc = writer_make_room(w, JOURNAL_HEAD + sizeof(head) + piece->n + JOURNAL_TAIL, err);
    if (rc < 0)
        return rc;
    rec_piece_put_head(piece, head);
    return writer_append(w, PW_REC_ARTIFACT, iov, 2, err);
}

static void writer_note(run_writer *w, pw_usec now)
{
    w->noted = journal_length(w->journal);
    w->note_at = now + WRITER_NOTE_EVERY_US;
    spool_notes_put(w->notes, (spool_note){.job = w->job, .length = w->noted});
}

void writer_tick(run_writer *w, pw_usec now)
{
    if (journal_length(w->journal) != w->noted && now >= w->note_at)
        writer_note(w, now);
    if (!w->reserved && !w->cannot_reserve && now >= w->reserve_at &&
        writer_make_room(w, 0, NULL) < 0)
        w->reserve_at = now + w->retry;
}

pw_usec writer_due(const run_writer *w)
{
    pw_usec at = journal_length(w->journal) != w->noted ? w->note_at : -1;
    if (!w->reserved && !w->cannot_reserve && (at < 0 || w->reserve_at < at))
        at = w->reserve_at;
    return at;
}

void writer_finish(run_writer *w)
{
    uint64_t length = journal_length(w->journal);
    /* to the length that it has: the file system frees what was reserved behind it */
    if (w->reserved > length)
        (void)!ftruncate(journal_fd(w->journal), (off_t)length);
    writer_note(w, pw_now(w->clock));
}
