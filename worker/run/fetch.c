/* `fetch`: files that a needed build left, into the work directory. The list of them comes first,
 * then what its patterns choose, some hundred files at a time. Each is held against its sum while
 * it is copied, so what is there is right, or the step says that it is not. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/crypt/hash.h"
#include "shared/job/record.h"
#include "shared/scan/glob.h"
#include "worker/run/ask.h"
#include "worker/run/inside.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"

enum { PIECE = 256 * 1024, NAME_MAX_BYTES = 4000 };
#define LIST_MAX ((uint64_t)64 << 20)
#define BATCH_BYTES ((uint64_t)256 << 20) /* they lie in the spool meanwhile */

typedef struct fetch {
    run_job *r;
    step_result *out;
    char *root; /* owned: where they go, whole path */
    char *from; /* borrowed */
    uint8_t *piece;
    crypt_sha256 *hash;
    uint64_t files, bytes;
} fetch;

static int fail_err(const fetch *f, pw_result result, const pw_err *err)
{
    step_fail_err(f->out, result, err);
    return -1;
}

/* ---- the list */
static int get_list(const fetch *f, job_files *ret)
{
    job_ask_item item = {.what = PW_NEED_LIST, .from = f->from};
    ask_part part = {.fd = -1};
    pw_err err = {0};
    int rc = ask_master(f->r, &item, 1, &part, f->out);
    if (rc < 0) {
        if (part.refused) /* the code's fault, and its author's to mend */
            f->out->result = PW_FAILURE;
        return -1;
    }
    PW_AUTO(pw_freep) uint8_t *p = part.size <= LIST_MAX ? malloc(part.size + 1) : NULL;
    if (!p)
        rc = pw_fail(&err, PW_ENOMEM, "out of memory");
    if (rc == 0)
        rc = pw_fs_pread_all(part.fd, p, (size_t)part.size, 0, &err);
    if (rc == 0)
        rc = pw_schema_decode(&job_files_schema, p, (size_t)part.size, ret, &err);
    ask_done(f->r, &part);
    return rc < 0 ? fail_err(f, PW_EXCEPTION, &err) : 0;
}

/* Which of them: the patterns with their properties in place; NULL: told, or all (*ret_all). */
static glob_list *patterns(const fetch *f, const job_step *s, bool *ret_all)
{
    PW_AUTO(pw_freep) char **v = calloc(s->paths.n + 1, sizeof(*v));
    pw_err err = {0};
    glob_list *g = NULL;
    size_t n = 0;
    int rc = v ? 0 : pw_fail(&err, PW_ENOMEM, "out of memory");
    *ret_all = s->paths.n == 0;
    for (; rc == 0 && n < s->paths.n; n++) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_GLOBS_MAX);
        rc = env_subst(&f->r->spec, s->paths.v[n], &b, &err);
        if (rc == 0 && !(v[n] = strdup(pw_buf_str(&b))))
            rc = pw_fail(&err, PW_ENOMEM, "out of memory");
        if (rc < 0)
            break;
    }
    if (rc == 0 && n)
        g = glob_parse(GLOB_PATH, v, n, &err);
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    if (!g && !*ret_all)
        (void)fail_err(f, PW_FAILURE, &err);
    return g;
}

/* Those that are wanted to the front; how many. */
static size_t choose(job_files *l, const glob_list *g)
{
    job_file *v = l->files.v;
    size_t n = 0;
    for (size_t i = 0; i < l->files.n; i++) {
        if (!rec_path_ok(v[i].path) || v[i].sum.n != CRYPT_HASH || (g && !glob_match(g, v[i].path)))
            continue;
        job_file one = v[i];
        v[i] = v[n];
        v[n++] = one;
    }
    return n;
}

/* ---- a file */
/* Folders on the way to it, below the root; a link on the way is none of ours. */
static int make_folders(const fetch *f, const char *path, pw_err *err)
{
    char dir[PW_PATH_MAX + 1];
    struct stat st;
    for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
        (void)snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
        PW_AUTO(pw_closep) int at = pw_fs_open_beneath(f->root, dir, O_PATH | O_NOFOLLOW, 0, NULL);
        if (at >= 0 && fstat(at, &st) == 0 && S_ISDIR(st.st_mode))
            continue;
        if (at >= 0)
            return pw_fail(err, PW_EINVAL, "\"%.200s\" is in the way, and no folder", dir);
        PW_AUTO(pw_freep) char *whole = pw_path_join_beneath(f->root, dir, err);
        if (!whole)
            return err->code;
        if (mkdir(whole, 0755) < 0)
            return pw_fail_sys(err, "cannot make folder \"%.200s\"", dir);
        int rc = inside_own(f->r, whole, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What was there goes: writing to it could be writing to what it is a link of. */
static int make_file(const fetch *f, const char *path, pw_err *err)
{
    int rc = make_folders(f, path, err);
    if (rc < 0)
        return rc;
    const char *slash = strrchr(path, '/');
    PW_AUTO(pw_freep) char *dir = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep)
    int at = slash ? pw_fs_open_beneath(f->root, dir, O_RDONLY | O_DIRECTORY, 0, err)
                   : open(f->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0)
        return pw_fail_sys(err, "cannot open the folder of \"%.200s\"", path);
    const char *name = slash ? slash + 1 : path;
    if (unlinkat(at, name, 0) < 0 && errno != ENOENT)
        return pw_fail_sys(err, "cannot replace \"%.200s\"", path);
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? pw_fail_sys(err, "cannot write \"%.200s\"", path) : fd;
}

static int copy(const fetch *f, const job_file *file, const ask_part *part, uint64_t begin, int to,
                pw_err *err)
{
    crypt_sha256_reset(f->hash);
    for (uint64_t at = 0; at < file->size;) {
        size_t n = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
        int rc = pw_fs_pread_all(part->fd, f->piece, n, (off_t)(begin + at), err);
        if (rc == 0)
            rc = pw_fs_write_all(to, f->piece, n, err);
        if (rc < 0)
            return rc;
        crypt_sha256_add(f->hash, f->piece, n);
        at += n;
    }
    uint8_t sum[CRYPT_HASH];
    crypt_sha256_end(f->hash, sum);
    return memcmp(sum, file->sum.p, sizeof(sum)) == 0
               ? 0
               : pw_fail(err, PW_ECORRUPT, "\"%.200s\" came damaged", file->path);
}

static int put(fetch *f, const job_file *file, const ask_part *part, uint64_t begin, pw_err *err)
{
    const iso_user *u = f->r->in.user;
    PW_AUTO(pw_closep) int to = make_file(f, file->path, err);
    if (to < 0)
        return to;
    int rc = copy(f, file, part, begin, to, err);
    if (rc < 0)
        return rc;
    if (u && fchown(to, u->uid, u->gid) < 0)
        return pw_fail_sys(err, "cannot hand over \"%.200s\"", file->path);
    /* never as somebody else than who runs it */
    if (fchmod(to, (mode_t)(file->mode & 0777)) < 0)
        return pw_fail_sys(err, "cannot set the permissions of \"%.200s\"", file->path);
    f->files++;
    f->bytes += file->size;
    return 0;
}

/* ---- a batch: files up to `n`, of which those with bytes are asked for */
static int put_all(fetch *f, const job_file *v, size_t n, const ask_part *part, pw_err *err)
{
    uint64_t at = 0, files = f->files, bytes = f->bytes;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = put(f, &v[i], part, at, err);
        at += v[i].size;
    }
    if (rc < 0) {
        f->files = files;
        f->bytes = bytes;
    }
    return rc;
}

static int batch(fetch *f, const job_file *v, size_t n)
{
    PW_AUTO(pw_freep) job_ask_item *item = calloc(n + 1, sizeof(*item));
    size_t asked = 0;
    pw_err err = {0};
    int rc = item ? 0 : pw_fail(&err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == 0; i++)
        if (v[i].size)
            item[asked++] = (job_ask_item){
                .what = PW_NEED_FILE, .from = f->from, .name = v[i].path, .size = v[i].size};
    for (int i = 0; rc == 0 && i < ASK_TRIES; i++) {
        ask_part part = {.fd = -1};
        if (asked && ask_master(f->r, item, asked, &part, f->out) < 0)
            return -1;
        err = (pw_err){0};
        int done = put_all(f, v, n, &part, &err);
        ask_done(f->r, &part);
        if (done == 0)
            return 0;
        if (done != PW_ECORRUPT)
            break;
    }
    return fail_err(f, err.code == PW_EINVAL ? PW_FAILURE : PW_EXCEPTION, &err);
}

static int all_batches(fetch *f, const job_file *v, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint64_t bytes = 0, names = 0;
        size_t k = i;
        while (k < n && k - i < PW_ASK_ITEMS_MAX &&
               (k == i || (bytes + v[k].size <= BATCH_BYTES && names < PW_ASK_MAX / 2))) {
            bytes += v[k].size;
            names += strlen(v[k].path) + strlen(f->from) + 64;
            k++;
        }
        if (batch(f, v + i, k - i) < 0)
            return -1;
        i = k;
    }
    return 0;
}

/* ---- the step */
static int open_root(fetch *f, const char *to)
{
    pw_err err = {0};
    bool failed = false;
    if (!*to || strcmp(to, ".") == 0) {
        f->root = pw_strdup(f->r->workdir, &failed);
        return failed ? fail_err(f, PW_EXCEPTION, &(pw_err){.text = "out of memory"}) : 0;
    }
    size_t n = strlen(to);
    PW_AUTO(pw_freep) char *with = pw_strf("%s/", to);
    if (!with || n > PW_PATH_MAX || !rec_path_ok(to)) {
        step_fail(f->out, PW_FAILURE, "to: \"%.200s\" is not a path inside the work directory", to);
        return -1;
    }
    f->root = pw_strdup(f->r->workdir, &failed);
    int rc = failed ? pw_fail(&err, PW_ENOMEM, "out of memory") : make_folders(f, with, &err);
    free(f->root);
    f->root = rc < 0 ? NULL : pw_path_join_beneath(f->r->workdir, to, &err);
    return f->root ? 0 : fail_err(f, err.code == PW_EINVAL ? PW_FAILURE : PW_EXCEPTION, &err);
}

static void run(fetch *f, const job_step *s, const char *to)
{
    job_files list = {0};
    bool all = false;
    glob_list *g = patterns(f, s, &all);
    if ((!g && !all) || open_root(f, to) < 0 || get_list(f, &list) < 0) {
        if (s->optional && f->out->result == PW_FAILURE && f->root) {
            with_say(f->r, "%s", f->out->reason);
            *f->out = (step_result){.result = PW_SUCCESS};
        }
        glob_free(g);
        return;
    }
    size_t n = choose(&list, g);
    if (!n) {
        char text[RUN_REASON_MAX];
        (void)snprintf(text, sizeof(text), "build \"%.100s\" left no file%s%.100s%s%s", f->from,
                       all ? "" : " that matches \"", all ? "" : s->paths.v[0], all ? "" : "\"",
                       s->paths.n > 1 ? " or the other patterns of \"paths\"" : "");
        with_say(f->r, "%s", text);
        if (!s->optional)
            step_fail(f->out, PW_FAILURE, "%s", text);
    } else if (all_batches(f, list.files.v, n) == 0) {
        with_say(f->r, "%" PRIu64 " files with %" PRIu64 " bytes of \"%s\"", f->files, f->bytes,
                 f->from);
    }
    glob_free(g);
    pw_schema_clear(&job_files_schema, &list);
}

void step_fetch(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                step_result *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf from = PW_BUF(PW_NAME_MAX + 1);
    PW_AUTO(pw_buf_clearp) pw_buf to = PW_BUF(NAME_MAX_BYTES);
    fetch f = {.r = r, .out = out};
    pw_err err = {0};
    (void)index, (void)env, (void)dir;
    if (with_text(r, s, "from", &from, &err) < 0 || with_text(r, s, "to", &to, &err) < 0) {
        step_fail_err(out, PW_FAILURE, &err);
        return;
    }
    f.from = from.p ? from.p : (char *)(uintptr_t) "";
    f.piece = malloc(PIECE);
    f.hash = crypt_sha256_new(&err);
    if (!f.piece || !f.hash)
        step_fail(out, PW_EXCEPTION, "out of memory");
    else
        run(&f, s, pw_buf_str(&to));
    free(f.piece);
    free(f.root);
    (void)crypt_sha256_free(f.hash);
}
