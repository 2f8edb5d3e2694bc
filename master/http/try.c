/* POST /try: what people have not pushed comes as a bundle or a patch. Large as it may be, it goes
 * to a file as it comes, never to memory; the file is the command's, and goes with its answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/http/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

enum {
    NAME_BYTES = 16,
    EXTEND_US = 1000000,      /* the deadline moves at most that often */
    BUILDERS_MAX = 64 * 1024, /* their names together */
};
#define ROOM_LEFT ((int64_t)64 * 1024 * 1024) /* for others, on the disk of the state */

struct web_upload {
    int fd;
    char *path; /* owned; NULL: the command's by now */
    pw_usec extended;
};

bool web_try_streams(const web_req *q)
{
    return q->at.route && q->at.route->handler == web_post_try &&
           web_has_type(MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Content-Type"),
                        "application/octet-stream");
}

void web_try_clear(web_req *q)
{
    struct web_upload *u = pw_take(q->upload);
    if (!u)
        return;
    pw_closep(&u->fd);
    if (u->path)
        (void)unlink(u->path);
    free(u->path);
    free(u);
}

/* ---- the file */
/* False: refused. */
static bool open_file(web_req *q)
{
    uint8_t random[NAME_BYTES];
    char name[2 * NAME_BYTES + 4] = "up-";
    struct web_upload *u = q->web->tries_dir ? calloc(1, sizeof(*u)) : NULL;
    q->web->host->random(q->web->host->self, random, sizeof(random));
    pw_hex(random, sizeof(random), name + 3);
    if (u) {
        u->fd = -1;
        u->path = pw_path_join(q->web->tries_dir, name);
    }
    if (!u || !u->path) {
        free(u);
        web_fail(q, 503, "unavailable", "out of memory");
        return false;
    }
    q->upload = u;
    u->fd = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (u->fd >= 0)
        return true;
    web_fail(q, 503, "unavailable", "what is tried cannot be kept: %s",
             errno == EMFILE || errno == ENFILE ? "too many files are open"
                                                : "its file cannot be made");
    free(pw_take(u->path));
    return false;
}

static bool room(web_req *q)
{
    const char *s = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Content-Length");
    uint64_t n = 0;
    int64_t left = pw_fs_free(q->web->tries_dir ? q->web->tries_dir : "/");
    if (!s || pw_parse_u64(s, &n, NULL) < 0 || left < 0 || n > INT64_MAX - (uint64_t)ROOM_LEFT ||
        (int64_t)n + ROOM_LEFT <= left)
        return true;
    web_fail(q, 503, "unavailable", "the master's disk has no room for it");
    return false;
}

void web_try_begin(web_req *q)
{
    if (room(q))
        (void)open_file(q);
}

static void put(web_req *q, const char *p, size_t n)
{
    pw_err err = {0};
    if (pw_fs_write_all(q->upload->fd, p, n, &err) == 0)
        return;
    web_fail(q, 503, "unavailable", "what is tried cannot be kept: %s",
             err.sys == ENOSPC ? "the disk is full" : err.text);
    q->discard = true;
}

void web_try_part(web_req *q, const char *data, size_t n)
{
    struct web_upload *u = q->upload;
    pw_usec now = pw_now(q->web->host);
    struct stat st;
    if (fstat(u->fd, &st) == 0 && (uint64_t)st.st_size + n > q->web->limits.try_max) {
        web_fail(
            q, 413, "too_large",
            "what is tried has at most %llu bytes: \"try\" in \"limits\" of master.yaml raises "
            "it",
            (unsigned long long)q->web->limits.try_max);
        q->discard = true;
        return;
    }
    put(q, data, n);
    if (now - u->extended < EXTEND_US) /* as long as something comes it may go on */
        return;
    u->extended = now;
    web_gate_reading(q, q->web->limits.request_time);
}

/* ---- base64, of either alphabet */
static int digit(unsigned char c)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '-' ? letters + 62 : c == '_' ? letters + 63 : strchr(letters, c);
    return c && at ? (int)(at - letters) : -1;
}

bool web_unbase64(char *s, size_t *ret_n)
{
    size_t n = 0, digits = 0, pad = 0;
    uint32_t bits = 0;
    for (const char *p = s; *p; p++) {
        int d = digit((unsigned char)*p);
        if (*p == '\n' || *p == '\r')
            continue;
        pad += *p == '=';
        if (*p == '=' && pad <= 2)
            continue;
        if (d < 0 || pad)
            return false;
        bits = bits << 6 | (uint32_t)d;
        if (++digits % 4 == 0) {
            s[n++] = (char)(bits >> 16 & 255);
            s[n++] = (char)(bits >> 8 & 255);
            s[n++] = (char)(bits & 255);
        }
    }
    if (digits % 4 == 1)
        return false;
    if (digits % 4 >= 2)
        s[n++] = (char)(digits % 4 == 2 ? bits >> 4 & 255 : bits >> 10 & 255);
    if (digits % 4 == 3)
        s[n++] = (char)(bits >> 2 & 255);
    *ret_n = n;
    return true;
}

/* A patch may stand there as git prints it. False: refused. */
static bool take_content(web_req *q, core_cmd *c, const json_value *body)
{
    const char *patch = json_str(json_get(body, "patch"), NULL),
               *bundle = json_str(json_get(body, "bundle"), NULL);
    if (!patch == !bundle) {
        web_fail(q, 400, "bad_request",
                 "the body: either \"patch\" or \"bundle\" must be there, "
                 "as a text");
        return false;
    }
    PW_AUTO(pw_freep) char *text = strdup(patch ? patch : bundle);
    size_t n = text ? strlen(text) : 0;
    if (!text) {
        web_fail(q, 503, "unavailable", "out of memory");
        return false;
    }
    if (!(patch && strstr(patch, "diff --git ")) && !web_unbase64(text, &n)) {
        web_fail(q, 400, "bad_request", "the body: \"%s\" must be base64%s",
                 patch ? "patch" : "bundle", patch ? ", or begin with \"diff --git\"" : "");
        return false;
    }
    c->patch = patch != NULL;
    if (!open_file(q))
        return false;
    put(q, text, n);
    return q->status == 0;
}

/* ---- the command */
static bool take_text(web_req *q, const char *s, const char *key, size_t max, char **ret)
{
    bool failed = false;
    if (!s)
        return true;
    if (strlen(s) > max) {
        web_fail(q, 400, "bad_request", "\"%s\" has more than %zu bytes", key, max);
        return false;
    }
    free(*ret);
    *ret = pw_strdup(s, &failed);
    if (failed)
        web_fail(q, 503, "unavailable", "out of memory");
    return !failed;
}

static bool add_builder(web_req *q, pw_buf *b, const char *s, size_t n)
{
    if (!n || memchr(s, '\n', n)) {
        web_fail(q, 400, "bad_request", "\"builders\" must be names of builders");
        return false;
    }
    if (pw_buf_addf(b, "%s%.*s", b->len ? "\n" : "", (int)n, s) < 0) {
        web_fail(q, 400, "bad_request", "\"builders\" has too many names");
        return false;
    }
    return true;
}

static bool from_query(web_req *q, core_cmd *c, pw_buf *builders)
{
    const web_query *k = &q->query;
    static const char *const types[] = {"bundle", "patch", NULL};
    const char *names = web_query_get(k, "builders"), *props = web_query_get(k, "properties");
    int type = 0;
    pw_err err = {0};
    if (web_query_word(k, "type", types, &type, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    c->patch = type == 1;
    for (const char *s = names; s && *s;) {
        size_t n = strcspn(s, ",");
        if (!add_builder(q, builders, s, n))
            return false;
        s += n + (s[n] == ',');
    }
    PW_AUTO(json_freep) json_value *object = props ? json_parse(props, strlen(props), &err) : NULL;
    if ((props && !object) || web_take_properties(object, &c->props, &err) < 0) {
        web_fail(q, 400, "bad_request", "\"properties\": %s", err.text);
        return false;
    }
    return take_text(q, web_query_get(k, "project"), "project", PW_NAME_MAX, &c->project) &&
           take_text(q, web_query_get(k, "branch"), "branch", 1000, &c->branch) &&
           take_text(q, web_query_get(k, "base"), "base", 100, &c->base) &&
           take_text(q, web_query_get(k, "reason"), "reason", WEB_TEXT, &c->reason);
}

static bool from_body(web_req *q, core_cmd *c, const json_value *body, pw_buf *builders)
{
    const json_value *names = json_get(body, "builders");
    if (q->query.n) {
        web_fail(q, 400, "bad_request",
                 "the query is for bodies of the type application/octet-stream");
        return false;
    }
    if (!json_is_null(names) && !json_is_array(names)) {
        web_fail(q, 400, "bad_request", "the body: \"builders\" must be a list");
        return false;
    }
    for (size_t i = 0; i < json_count(names); i++) {
        const char *s = json_str(json_at(names, i), "");
        if (!add_builder(q, builders, s, strlen(s)))
            return false;
    }
    return take_text(q, json_str(json_get(body, "base"), NULL), "base", 100, &c->base) &&
           take_content(q, c, body);
}

void web_post_try(web_req *q)
{
    PW_AUTO(pw_buf_clearp) pw_buf builders = PW_BUF(BUILDERS_MAX);
    PW_AUTO(json_freep) json_value *body = NULL;
    bool streams = web_try_streams(q);
    PW_AUTO(core_cmd_freep) core_cmd *c = web_command(q, CMD_TRY, &body);
    if (!c || !(streams ? from_query(q, c, &builders) : from_body(q, c, body, &builders)))
        return;
    c->builders = builders.len ? pw_buf_take(&builders) : NULL;
    if (pw_fault("try.stored")) {
        web_fail(q, 503, "unavailable", "fault point try.stored");
        return;
    }
    c->upload = pw_take(q->upload->path);
    web_ask_send(q, pw_take(c));
}
