/* One request from its first line to its answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "master/http/impl.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

web_req *web_req_new(web_server *web, struct MHD_Connection *con, const char *uri)
{
    web_req *q = calloc(1, sizeof(*q));
    bool failed = false;
    if (!q)
        return NULL;
    q->web = web;
    q->con = con;
    q->file = -1;
    web_request_begin(web);
    q->conn = web_gate_conn(con);
    web_gate_reading(q, web->limits.request_time);
    q->uri = pw_strdup(uri, &failed);
    pw_buf_init(&q->in, WEB_HOOK_BODY_MAX);
    pw_buf_init(&q->out, WEB_OUT_MAX);
    if (failed || !q->conn) {
        web_req_free(q);
        return NULL;
    }
    return q;
}

void web_req_free(web_req *q)
{
    if (!q)
        return;
    web_ask_drop(q);
    web_try_clear(q);
    web_gate_body_end(q);
    if (q->stream_self)
        q->stream_free(q->stream_self);
    web_reader_give(q->web, q->rd);
    web_query_clear(&q->query);
    pw_closep(&q->file);
    pw_buf_clear(&q->in);
    pw_buf_clear(&q->out);
    free(q->uri);
    config_unref(q->conf);
    web_request_end(q->web);
    free(q);
}

/* ---- answers */
void web_fail(web_req *q, int status, const char *code, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pw_buf_clear(&q->out);
    q->out.failed = false;
    q->status = status;
    q->type = "application/json";
    q->tag = false;
    (void)pw_buf_addf(&q->out, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    (void)pw_buf_json(&q->out, text);
    (void)pw_buf_adds(&q->out, "}}\n");
}

void web_fail_err(web_req *q, const pw_err *err)
{
    switch (err->code) {
    case PW_ENOTFOUND:
        web_fail(q, 404, "not_found", "%s", err->text);
        return;
    case PW_EINVAL:
    case PW_ELIMIT:
        web_fail(q, 400, "bad_request", "%s", err->text);
        return;
    case PW_ECONFLICT:
        web_fail(q, 409, "conflict", "%s", err->text);
        return;
    case PW_EAGAIN:
    case PW_EFULL:
    case PW_ETIMEDOUT:
    case PW_ENOMEM:
        web_fail(q, 503, "unavailable", "%s", err->text);
        return;
    default:
        pw_log_err(PW_LOG_ERROR, "web_failed", err);
        web_fail(q, 500, "internal", "%s", err->text);
    }
}

void web_header(web_req *q, const char *name, const char *fmt, ...)
{
    va_list ap;
    if (q->n_headers == WEB_HEADERS)
        return;
    q->header[q->n_headers].name = name;
    va_start(ap, fmt);
    (void)vsnprintf(q->header[q->n_headers].value, sizeof(q->header[0].value), fmt, ap);
    va_end(ap);
    q->n_headers++;
}

pw_buf *web_json(web_req *q)
{
    q->status = 200;
    q->type = "application/json";
    q->tag = true;
    return &q->out;
}

reader *web_reader(web_req *q)
{
    pw_err err = {0};
    if (!q->rd && !(q->rd = web_reader_take(q->web, &err)))
        web_fail_err(q, &err);
    return q->rd;
}

bool web_id_param(web_req *q, size_t i, uint64_t *ret)
{
    if (i < q->at.n && pw_parse_u64(q->at.param[i], ret, NULL) == 0 && *ret > 0 &&
        *ret <= INT64_MAX)
        return true;
    web_fail(q, 404, "not_found", "\"%.60s\" is not the number of anything",
             i < q->at.n ? q->at.param[i] : "");
    return false;
}

bool web_has_type(const char *given, const char *type)
{
    size_t n = strlen(type);
    return given && strncasecmp(given, type, n) == 0 && (!given[n] || strchr("; \t", given[n]));
}

/* ---- the beginning: route, token, query; what is refused here has its body read and dropped */
size_t web_req_body_max(const web_req *q)
{
    if (web_try_streams(q))
        return (size_t)q->web->limits.try_max;
    return q->at.route && q->at.route->handler == web_post_hook ? (size_t)WEB_HOOK_BODY_MAX
                                                                : (size_t)q->web->limits.body;
}

static void check_size(web_req *q)
{
    const char *s = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Content-Length");
    uint64_t n = 0;
    if (s && pw_parse_u64(s, &n, NULL) == 0 && n > web_req_body_max(q))
        web_fail(q, 413, "too_large", "%s has at most %zu bytes%s",
                 web_try_streams(q) ? "what is tried" : "a request", web_req_body_max(q),
                 web_try_streams(q) ? ": \"try\" in \"limits\" of master.yaml raises it" : "");
}

static void look_at(web_req *q, const char *method)
{
    pw_err err = {0};
    char *raw = strchr(q->uri, '?');
    if (raw)
        *raw++ = '\0';
    q->raw_query = raw;
    int r =
        web_route_find(web_routes, web_n_routes, q->head ? "GET" : method, q->uri, &q->at, &err);
    if (r == PW_EDENIED) {
        web_fail(q, 405, "bad_request", "%s", err.text);
        web_header(q, "Allow", "%s", q->at.allow);
    } else if (r < 0) {
        web_fail_err(q, &err);
    } else if (!web_auth(q)) {
        web_ask_login(q);
    } else if (web_guard_write(q, method)) {
        if (web_query_parse(&q->query, raw, q->at.route->query, &err) < 0)
            web_fail_err(q, &err);
        else
            check_size(q);
        if (!q->status && q->at.route->handler == web_post_hook)
            web_hook_begin(q);
        if (!q->status && web_try_streams(q))
            web_try_begin(q);
    }
}

void web_req_begin(web_req *q, const char *method)
{
    q->head = strcmp(method, "HEAD") == 0;
    bool fine = web_head_ok(q); /* before any other refusal: those leave the connection open */
    if (web_gate_request(q) && fine)
        look_at(q, method);
    q->discard = q->status != 0;
    web_reader_give(q->web, pw_take(q->rd)); /* not held while a slow client sends its body */
}

/* ---- the end */
static bool not_modified(web_req *q)
{
    char tag[48];
    const char *known = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "If-None-Match");
    uint32_t crc = pw_crc32c(0, q->out.p, q->out.len);
    (void)snprintf(tag, sizeof(tag), "W/\"%zx-%08" PRIx32 "%08" PRIx32 "\"", q->out.len, crc,
                   pw_crc32c(~crc, q->out.p, q->out.len));
    web_header(q, "ETag", "%s", tag);
    return known && (strcmp(known, "*") == 0 || strstr(known, tag + 2));
}

/* Every answer has them, refusals too. `same-origin` for the referrer, not `no-referrer`: that
 * would make the Origin of our own forms "null", and they could not be told from those of others.
 */
static void guard_lines(const web_req *q, struct MHD_Response *r)
{
    bool page = q->type && strncmp(q->type, "text/html", 9) == 0;
    /* badges are made to be shown by other sites; style and badge are the same for all */
    bool badge = q->type && strcmp(q->type, "image/svg+xml") == 0;
    bool same_for_all = badge || (q->type && strcmp(q->type, "text/css") == 0);
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "X-Frame-Options", "DENY");
    (void)MHD_add_response_header(
        r, "Content-Security-Policy",
        page ? "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
               "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
             : "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
               "sandbox");
    (void)MHD_add_response_header(r, "Referrer-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Cross-Origin-Opener-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Cross-Origin-Resource-Policy",
                                  badge ? "cross-origin" : "same-origin");
    (void)MHD_add_response_header(r, "Cache-Control",
                                  q->secret ? "no-store"
                                  : q->forever && q->status < 400
                                      ? "public, max-age=31536000, immutable"
                                  : same_for_all ? "no-cache"
                                                 : "private, no-cache");
    if (q->web->https)
        (void)MHD_add_response_header(r, "Strict-Transport-Security", "max-age=31536000");
}

static void head_lines(const web_req *q, struct MHD_Response *r)
{
    guard_lines(q, r);
    if (q->type && q->status != 304)
        (void)MHD_add_response_header(r, "Content-Type", q->type);
    if (q->status == 401)
        (void)MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"pawl\"");
    if (q->close)
        (void)MHD_add_response_header(r, "Connection", "close");
    for (size_t i = 0; i < q->n_headers; i++)
        (void)MHD_add_response_header(r, q->header[i].name, q->header[i].value);
}

enum MHD_Result web_req_reply(web_req *q)
{
    static char nothing[1];
    struct MHD_Response *r;
    web_reader_give(q->web, pw_take(q->rd));
    if (q->stream && q->status < 300) {
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, q->stream, q->stream_self,
                                              q->stream_free);
        if (r)
            q->stream_self = NULL;
    } else if (q->file >= 0 && q->status < 300) {
        r = MHD_create_response_from_fd_at_offset64(q->file_n, q->file, q->file_at);
        if (r)
            q->file = -1;
    } else {
        if (q->out.failed || q->status == 0)
            web_fail(q, 500, "internal", "the answer could not be made: %s",
                     q->out.failed ? "it is too large, or memory ran out" : "nothing answers");
        web_refused(q);
        if (q->tag && q->status == 200 && not_modified(q)) {
            q->status = 304;
            pw_buf_clear(&q->out);
        }
        size_t n = q->out.len;
        char *p = pw_buf_take(&q->out);
        r = p ? MHD_create_response_from_buffer(n, p, MHD_RESPMEM_MUST_FREE)
              : MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
        if (!r)
            free(p);
    }
    if (!r)
        return MHD_NO;
    head_lines(q, r);
    enum MHD_Result ret = MHD_queue_response(q->con, (unsigned)q->status, r);
    MHD_destroy_response(r);
    return ret;
}
