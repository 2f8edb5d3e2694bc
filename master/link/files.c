/* Files that steps left, in a journal: pieces, and then the record that makes a file of them. Its
 * row is committed when all its bytes are on disk, with the offset behind it (rules 5.2, 5.3). */
#include <stdlib.h>
#include <string.h>

#include "master/link/state.h"

void pending_clear(pending *p)
{
    if (p->file)
        free((char *)(uintptr_t)p->file->path);
    free(p->file);
    p->file = NULL;
}

int files_piece(sessions *self, core_attempt *a, const journal_rec *rec, pw_err *err)
{
    rec_piece piece;
    int r = rec_piece_get(rec->payload, rec->len, &piece, err);
    if (r < 0)
        return r;
    if (!self->blobs)
        return pw_fail(err, PW_EAGAIN, "this master keeps no files");
    r = blobs_append(self->blobs, a->id, piece.file, piece.position, piece.p, piece.n, err);
    if (r == 0) {
        self->took = true;
        self->fig.log_bytes += piece.n;
    }
    return r;
}

int files_whole(sessions *self, core_attempt *a, const journal_rec *rec, pending *p, pw_err *err)
{
    rec_file f;
    int r = pw_schema_decode(&rec_file_schema, rec->payload, rec->len, &f, err);
    if (r < 0)
        return r;
    if ((r = rec_file_check(&f, err)) == 0)
        r = self->blobs ? blobs_whole(self->blobs, a->id, f.file, f.size, err)
                        : pw_fail(err, PW_EAGAIN, "this master keeps no files");
    if (r == 0 && !(p->file = calloc(1, sizeof(*p->file))))
        r = pw_fail(err, PW_ENOMEM, "out of memory");
    if (r == 0) {
        *p->file = (store_artifact){.attempt = a->id,
                                    .file = f.file,
                                    .step = f.step,
                                    .kind = f.kind,
                                    .path = f.path,
                                    .size = f.size,
                                    .mode = f.mode,
                                    .keep = (pw_msec)f.keep_ms};
        memcpy(p->file->sha256, f.sha256.p, sizeof(p->file->sha256));
        f.path = NULL; /* taken */
    }
    pw_schema_clear(&rec_file_schema, &f);
    return r;
}

int files_tests(sessions *self, core_attempt *a, const journal_rec *rec, pw_err *err)
{
    rec_tests t;
    int r = pw_schema_decode(&rec_tests_schema, rec->payload, rec->len, &t, err);
    if (r < 0)
        return r;
    if (t.step >= PW_STEPS_MAX)
        r = pw_fail(err, PW_ELIMIT, "test record of step %llu", (unsigned long long)t.step);
    else
        core_att_tests(self->core, a, &t);
    pw_schema_clear(&rec_tests_schema, &t);
    return r;
}

int files_report(sessions *self, core_attempt *a, const journal_rec *rec, pw_err *err)
{
    rec_report p;
    int r = pw_schema_decode(&rec_report_schema, rec->payload, rec->len, &p, err);
    if (r < 0)
        return r;
    if (p.step >= PW_STEPS_MAX)
        r = pw_fail(err, PW_ELIMIT, "report record of step %llu", (unsigned long long)p.step);
    else
        core_att_report(self->core, a, &p);
    pw_schema_clear(&rec_report_schema, &p);
    return r;
}
