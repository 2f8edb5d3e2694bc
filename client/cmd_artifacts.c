/* pawl artifacts: files that a build left; their sums are checked when they are got. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/hash.h"

#define IDLE_US (INT64_C(120) * 1000000)

typedef struct getting {
    int fd;
    crypt_sha256 *hash;
    uint64_t size;
    pw_err *err;
    int code;
} getting;

static int on_bytes(void *self, const char *p, size_t n)
{
    getting *g = self;
    crypt_sha256_add(g->hash, p, n);
    g->size += n;
    g->code = pw_fs_write_all(g->fd, p, n, g->err);
    return g->code;
}

static int make_folders(const char *path, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = pw_strf("%s", path);
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *strrchr(dir, '/') = '\0';
    return *dir ? pw_fs_mkdirs(dir, 0777, err) : 0;
}

/* Into a file beside, and only then under its name. */
static int get_to(client *c, uint64_t build, const json_value *item, const char *to, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *hash = crypt_sha256_new(err);
    PW_AUTO(pw_freep) char *part = pw_strf("%s.part", to);
    PW_AUTO(pw_closep) int fd = -1;
    uint8_t sum[CRYPT_HASH];
    char hex[2 * CRYPT_HASH + 1];
    pw_err why = {0};
    http_client *http = rest_client(c, err);
    if (!http || !hash || !part)
        return err->code ? (int)err->code : pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = make_folders(to, err);
    if (rc < 0)
        return rc;
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return pw_fail_sys(err, "cannot write %s", part);
    (void)pw_buf_addf(&path, "/api/v1/builds/%" PRIu64 "/artifacts", build);
    rest_part(&path, json_str(json_get(item, "path"), ""));
    getting g = {.fd = fd, .hash = hash, .err = &why};
    long got = http_stream(http, pw_buf_str(&path), NULL, 0, IDLE_US, on_bytes, &g, &why);
    if (got < 0 || got > 299 || g.code < 0) {
        (void)unlink(part);
        *err = why;
        return g.code < 0 ? g.code : got < 0 ? (int)got : PW_EPROTO;
    }
    crypt_sha256_end(hash, sum);
    pw_hex(sum, sizeof(sum), hex);
    if (strcmp(hex, json_str(json_get(item, "sha256"), "")) != 0) {
        (void)unlink(part);
        return pw_fail(err, PW_ECORRUPT, "what came of %s has another sum: %s", to, hex);
    }
    if (json_int(json_get(item, "mode"), 0) & 0111)
        (void)fchmod(fd, 0777 & (mode_t)json_int(json_get(item, "mode"), 0));
    if (rename(part, to) < 0)
        return pw_fail_sys(err, "cannot rename %s", part);
    return 0;
}

typedef struct wish {
    client *c;
    uint64_t build;
    const char *path, *dir; /* NULL: all; only listed */
    size_t n;
} wish;

/* PATH, or all below it. */
static bool meant(const wish *w, const char *path)
{
    size_t n = w->path ? strlen(w->path) : 0;
    while (n > 0 && w->path[n - 1] == '/')
        n--;
    return !n || (strncmp(path, w->path, n) == 0 && (!path[n] || path[n] == '/'));
}

static int one(wish *w, const json_value *item, pw_err *err)
{
    const char *path = json_str(json_get(item, "path"), "");
    int64_t size = json_int(json_get(item, "size"), 0);
    if (!meant(w, path) ||
        (!w->path && w->dir && strcmp(json_str(json_get(item, "kind"), ""), "summary") == 0))
        return 0;
    w->n++;
    if (!w->dir) {
        client_say(w->c, "%12" PRId64 "  %.12s  %s\n", size, json_str(json_get(item, "sha256"), ""),
                   path);
        return 0;
    }
    PW_AUTO(pw_freep) char *to = pw_path_join_beneath(w->dir, path, err);
    if (!to)
        return err->code;
    int rc = get_to(w->c, w->build, item, to, err);
    if (rc == 0)
        client_say(w->c, "%s\n", to);
    return rc;
}

static int run_artifacts(client *c, const args *a, pw_err *err)
{
    wish w = {.c = c, .path = a->n_words > 1 ? a->word[1] : NULL, .dir = args_get(a, "output")};
    PW_AUTO(pw_buf_clearp) pw_buf cursor = PW_BUF(200);
    int rc = args_id(a->word[0], "build", &w.build, err);
    do {
        PW_AUTO(rest_answer_clear) rest_answer r = {0};
        PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
        if (rc < 0)
            return rc;
        (void)pw_buf_addf(&path, "/api/v1/builds/%" PRIu64 "/artifacts?limit=1000", w.build);
        rest_query(&path, "cursor", cursor.len ? pw_buf_str(&cursor) : NULL);
        if ((rc = rest_get(c, pw_buf_str(&path), &r, err)) < 0)
            return rc;
        if (c->json)
            return rest_raw(c, &r, err);
        const json_value *items = json_get(r.value, "items");
        for (size_t i = 0; rc == 0 && i < json_count(items); i++)
            rc = one(&w, json_at(items, i), err);
        pw_buf_reset(&cursor);
        (void)pw_buf_adds(&cursor, json_str(json_get(r.value, "next"), ""));
    } while (rc == 0 && cursor.len);
    if (rc == 0 && w.path && !w.n)
        rc = pw_fail(err, PW_ENOTFOUND, "build %" PRIu64 " left no file \"%s\"", w.build, w.path);
    return rc;
}

static const arg_option options[] = {{"output", 'o', "DIR", "get them into this folder"},
                                     {NULL, 0, NULL, NULL}};
const command cmd_artifacts[] = {
    {"artifacts", "BUILD [PATH] [-o DIR]", "Files that a build left", options, 1, 2, run_artifacts},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
