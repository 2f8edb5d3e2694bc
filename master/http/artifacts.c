/* Files that a build left: the list, one of them, all of them as a tar archive; its summary, and
 * what its test reports said. Of its last attempt, or of `attempt`. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/blobs/blobs.h"
#include "master/http/impl.h"
#include "master/http/tarball.h"
#include "master/store/files.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

enum { SUMMARY_MAX = 1024 * 1024, NAME_SHOWN = 150, LIST_MOST = 1000 };

static const char *const kinds[] = {"artifact", "report", "summary"};
static const char *const cases[] = {"passed", "failed", "skipped"};

/* The attempt that is meant; false: refused already. An open build without one yet has no files. */
static bool attempt_of(web_req *q, uint64_t *ret)
{
    pw_err err = {0};
    uint64_t id, nth = 0;
    *ret = 0;
    if (!web_id_param(q, 0, &id))
        return false;
    if (web_query_u64(&q->query, "attempt", &nth, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    if (!web_reader(q))
        return false;
    int r = reader_attempt_of(q->rd, id, nth, ret, &err);
    if (r == PW_ENOTFOUND && nth == 0)
        r = reader_build_one(q->rd, id, web_any_build, NULL, &err);
    if (r < 0)
        web_fail_err(q, &err);
    return r == 0;
}

/* ---- the list */
typedef struct list {
    pw_buf *b;
    size_t n, limit;
    uint64_t last;
    bool more;
} list;

static int on_file(void *self, const store_artifact *a)
{
    static const char *const states[] = {"stored", "stored", "damaged"};
    list *l = self;
    char hex[65], at[PW_TIME_MAX];
    if (l->n++ == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->last = a->file;
    pw_hex(a->sha256, sizeof(a->sha256), hex);
    web_open(l->b, NULL, '{');
    web_str(l->b, "path", a->path);
    web_str(l->b, "kind", kinds[a->kind < 3 ? a->kind : 0]);
    web_u64(l->b, "step", a->step);
    web_u64(l->b, "size", a->size);
    web_u64(l->b, "mode", a->mode);
    web_str(l->b, "sha256", hex);
    web_str(l->b, "state", states[a->state <= FILE_DAMAGED ? a->state : 0]);
    web_str(l->b, "expires", pw_time_text(a->expires, at));
    web_shut(l->b, '}');
    return 0;
}

void web_get_artifacts(web_req *q)
{
    pw_err err = {0};
    uint64_t attempt, before = 0;
    char cursor[WEB_CURSOR];
    list l = {0};
    if (web_query_page(&q->query, &l.limit, &before, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (!attempt_of(q, &attempt))
        return;
    l.b = web_json(q);
    web_open(l.b, NULL, '{');
    web_open(l.b, "items", '[');
    /* a cursor is the number of the last one, and 1: 0 is the beginning */
    int r = reader_artifacts(q->rd, attempt, (int64_t)before - 1, l.limit + 1, on_file, &l, &err);
    if (r < 0 && !l.more) {
        web_fail_err(q, &err);
        return;
    }
    web_shut(l.b, ']');
    web_cursor_text(l.last + 1, cursor);
    web_str(l.b, "next", l.more ? cursor : NULL);
    (void)pw_buf_adds(l.b, "}\n");
}

/* ---- one file */
typedef struct one {
    store_artifact a;
    bool found;
} one;

static int on_one(void *self, const store_artifact *a)
{
    one *o = self;
    o->a = *a;
    o->a.path = NULL;
    o->found = true;
    return 0;
}

/* What a browser may be told of it: never a page, never a script. */
static const char *type_of(const char *path)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".txt", "text/plain; charset=utf-8"},
                 {".log", "text/plain; charset=utf-8"},
                 {".md", "text/plain; charset=utf-8"},
                 {".xml", "text/plain; charset=utf-8"},
                 {".tap", "text/plain; charset=utf-8"},
                 {".json", "application/json"},
                 {".png", "image/png"},
                 {".gz", "application/gzip"}};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t k = strlen(types[i].end);
        if (n > k && strcmp(path + n - k, types[i].end) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static void disposition(web_req *q, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *slash = strrchr(path, '/');
    char name[NAME_SHOWN + 4];
    size_t n = 0;
    for (const char *p = slash ? slash + 1 : path; *p && n < NAME_SHOWN; p++)
        n += (size_t)snprintf(name + n, 4, strchr(plain, *p) ? "%c" : "%%%02X",
                              strchr(plain, *p) ? *p : (unsigned char)*p);
    name[n] = '\0';
    web_header(q, "Content-Disposition", "attachment; filename*=UTF-8''%s", name);
}

static void send_file(web_req *q, const char *path, const one *o)
{
    pw_err err = {0};
    char hex[65], tag[70];
    uint64_t first = 0, n = o->a.size;
    const char *range = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Range");
    const char *match = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "If-None-Match");
    const char *same = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "If-Range");
    struct stat st;
    pw_hex(o->a.sha256, sizeof(o->a.sha256), hex);
    (void)snprintf(tag, sizeof(tag), "\"%s\"", hex);
    if (o->a.state == FILE_DAMAGED) {
        web_fail(q, 500, "internal",
                 "the file \"%.200s\" is damaged: its bytes are not what they were", path);
        return;
    }
    PW_AUTO(pw_closep)
    int fd = blobs_read(q->web->files_dir, o->a.sha256, o->a.attempt, o->a.file, &err);
    if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != o->a.size) {
        pw_log(PW_LOG_ERROR, "artifact_missing",
               "attempt=%" PRIu64 " file=%" PRIu64 " reason=\"%s\"", o->a.attempt, o->a.file,
               fd < 0 ? err.text : "it has another size");
        web_fail(q, 500, "internal", "the bytes of \"%.200s\" are missing; see pawl doctor --deep",
                 path);
        return;
    }
    web_header(q, "ETag", "%s", tag);
    web_header(q, "Accept-Ranges", "bytes");
    disposition(q, path);
    q->type = type_of(path);
    q->status = 200;
    if (match && (strstr(match, tag) || strcmp(match, "*") == 0)) {
        q->status = 304;
        return;
    }
    if (range && (!same || strcmp(same, tag) == 0)) {
        int r = web_range(range, o->a.size, &first, &n);
        if (r < 0) {
            web_fail(q, 416, "bad_request", "the file has %" PRIu64 " bytes", o->a.size);
            web_header(q, "Content-Range", "bytes */%" PRIu64, o->a.size);
            return;
        }
        if (r > 0) {
            q->status = 206;
            web_header(q, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                       first + n - 1, o->a.size);
        } else {
            first = 0;
            n = o->a.size;
        }
    }
    q->file = fd;
    fd = -1;
    q->file_at = first;
    q->file_n = n;
}

void web_get_artifact(web_req *q)
{
    pw_err err = {0};
    uint64_t attempt;
    one o = {.found = false};
    if (!attempt_of(q, &attempt))
        return;
    const char *path = q->at.param[1];
    int r = PW_ENOTFOUND;
    for (uint64_t kind = 0; r == PW_ENOTFOUND && kind < 3; kind++)
        r = reader_artifact(q->rd, attempt, kind, path, on_one, &o, &err);
    if (r == PW_ENOTFOUND)
        web_fail(q, 404, "not_found", "this build left no file \"%.200s\"", path);
    else if (r < 0)
        web_fail_err(q, &err);
    else
        send_file(q, path, &o);
}

/* ---- all as one archive */
static int on_member(void *self, const store_artifact *a)
{
    return a->kind == PW_FILE_ARTIFACT ? tarball_add(self, a) : 0;
}

void web_get_tarball(web_req *q)
{
    pw_err err = {0};
    uint64_t attempt;
    if (!attempt_of(q, &attempt))
        return;
    if (!web_stream_begin(q->web, false)) {
        web_fail(q, 503, "unavailable", "too many read files already");
        return;
    }
    tarball *t = tarball_new(q->web);
    int r = t ? reader_artifacts(q->rd, attempt, -1, PW_FILES_MAX, on_member, t, &err) : PW_ENOMEM;
    if (r < 0) {
        if (t)
            tarball_free(t);
        else
            web_stream_end(q->web, false);
        web_fail(q, 500, "internal", "the archive cannot be made: %s",
                 err.code ? err.text : "out of memory");
        return;
    }
    q->status = 200;
    q->type = "application/x-tar";
    web_header(q, "Content-Disposition", "attachment; filename=\"build-%s.tar\"", q->at.param[0]);
    if (q->head) {
        tarball_free(t);
        return;
    }
    q->stream = tarball_read;
    q->stream_free = tarball_free;
    q->stream_self = t;
}

/* ---- the summary */
typedef struct summary {
    web_req *q;
    bool failed;
} summary;

static int on_summary(void *self, const store_artifact *a)
{
    summary *s = self;
    pw_buf *b = &s->q->out;
    if (a->kind != PW_FILE_SUMMARY || a->state == FILE_DAMAGED ||
        b->len + a->size > SUMMARY_MAX * 2)
        return 0;
    PW_AUTO(pw_closep)
    int fd = blobs_read(s->q->web->files_dir, a->sha256, a->attempt, a->file, NULL);
    char *p = fd < 0 ? NULL : pw_buf_room(b, a->size + 1);
    if (!p || pw_fs_pread_all(fd, p, a->size, 0, NULL) < 0) {
        s->failed = true;
        return 0;
    }
    b->len += a->size;
    if (a->size && b->p[b->len - 1] != '\n')
        (void)pw_buf_add(b, "\n", 1);
    return 0;
}

void web_get_summary(web_req *q)
{
    pw_err err = {0};
    uint64_t attempt;
    summary s = {.q = q};
    if (!attempt_of(q, &attempt))
        return;
    int r = reader_artifacts(q->rd, attempt, -1, PW_FILES_MAX, on_summary, &s, &err);
    if (r < 0) {
        web_fail_err(q, &err);
    } else if (s.failed) {
        pw_buf_reset(&q->out);
        web_fail(q, 500, "internal",
                 "the bytes of the summary are missing; see pawl doctor --deep");
    } else {
        q->status = 200;
        q->type = "text/plain; charset=utf-8";
        q->tag = true;
    }
}

/* ---- tests */
static int on_report(void *self, const rec_report *r)
{
    pw_buf *b = self;
    web_open(b, NULL, '{');
    web_u64(b, "step", r->step);
    web_str(b, "format", r->format);
    web_str(b, "path", r->path);
    web_u64(b, "tests", r->tests);
    web_u64(b, "failed", r->failed);
    web_u64(b, "skipped", r->skipped);
    web_str(b, "reason", r->reason);
    web_shut(b, '}');
    return 0;
}

static int on_case(void *self, uint64_t n, uint64_t step, const rec_case *c)
{
    list *l = self;
    if (l->n++ == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->last = n;
    web_open(l->b, NULL, '{');
    web_u64(l->b, "step", step);
    web_str(l->b, "suite", c->suite);
    web_str(l->b, "name", c->name);
    web_str(l->b, "result", cases[c->result < PW_CASES ? c->result : PW_CASE_FAILED]);
    web_u64(l->b, "ms", c->ms);
    web_shut(l->b, '}');
    return 0;
}

void web_get_tests(web_req *q)
{
    static const char *const words[] = {"failed", NULL};
    pw_err err = {0};
    uint64_t attempt, before = 0;
    int failed = -1;
    char cursor[WEB_CURSOR];
    list l = {0};
    if (web_query_page(&q->query, &l.limit, &before, &err) < 0 ||
        web_query_word(&q->query, "result", words, &failed, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (!attempt_of(q, &attempt))
        return;
    l.b = web_json(q);
    web_open(l.b, NULL, '{');
    web_open(l.b, "reports", '[');
    int r = reader_reports(q->rd, attempt, on_report, l.b, &err);
    web_shut(l.b, ']');
    web_open(l.b, "items", '[');
    if (r == 0)
        r = reader_tests(q->rd, attempt, failed == 0, before, l.limit + 1, on_case, &l, &err);
    if (r < 0 && !l.more) {
        web_fail_err(q, &err);
        return;
    }
    web_shut(l.b, ']');
    web_cursor_text(l.last, cursor);
    web_str(l.b, "next", l.more ? cursor : NULL);
    (void)pw_buf_adds(l.b, "}\n");
}
