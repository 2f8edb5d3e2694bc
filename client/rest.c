#include "client/rest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/conf.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum { TIMEOUT_S = 30, KEY_BYTES = 16, FIRST_PAUSE_MS = 100 };
/* without a byte: the master takes its time to take in what is large, and gives up before */
#define UPLOAD_US (INT64_C(1000) * 1000000)

void rest_answer_clear(rest_answer *a)
{
    pw_buf_clear(&a->text);
    json_free(a->value);
    *a = (rest_answer){0};
}

/* Fills c->address; *ret_token is owned. */
static int find_master(client *c, char **ret_token, pw_err *err)
{
    const char *home = getenv("HOME"), *env_url = getenv("PAWL_URL");
    PW_AUTO(pw_freep) char *config = home && *home ? pw_strf("%s/.config/pawl/config", home) : NULL;
    client_place p = {.url = c->url,
                      .token_file = c->token_file,
                      .state = c->state,
                      .config = config,
                      .home = home,
                      .env_url = env_url && *env_url ? env_url : NULL};
    return client_conf_choose(&p, &c->address, ret_token, err);
}

http_client *rest_client(client *c, pw_err *err)
{
    PW_AUTO(pw_freep) char *token = NULL;
    if (c->http)
        return c->http;
    if (find_master(c, &token, err) < 0)
        return NULL;
    size_t n = strlen(c->address);
    while (n && c->address[n - 1] == '/')
        c->address[--n] = '\0';
    c->http = http_client_new(c->address, token, err);
    if (token)
        explicit_bzero(token, strlen(token));
    const char *env = getenv("PAWL_CA"), *ca = c->ca ? c->ca : env && *env ? env : NULL;
    if (c->http && http_client_ca(c->http, ca, err) < 0)
        c->http = http_client_free(c->http);
    return c->http;
}

bool rest_passing(int code)
{
    return code == PW_ESYS || code == PW_ETIMEDOUT || code == PW_EAGAIN;
}

static int code_of(long status)
{
    switch (status) {
    case 404:
        return PW_ENOTFOUND;
    case 401:
    case 403:
        return PW_EDENIED;
    case 409:
        return PW_ECONFLICT;
    case 503:
        return PW_EAGAIN;
    default:
        return PW_EPROTO;
    }
}

/* The master's own words, else the status. */
static int refused(const client *c, const http_answer *h, pw_err *err)
{
    PW_AUTO(json_freep) json_value *v = json_parse(pw_buf_str(&h->body), h->body.len, NULL);
    const char *why = json_str(json_get(json_get(v, "error"), "message"), NULL);
    int code = code_of(h->status);
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(8192);
    if (!why)
        (void)pw_buf_addf(&text, "%s answered with status %ld", c->address, h->status);
    for (const char *p = why; p && *p; p++) /* it goes to a terminal */
        (void)pw_buf_add(&text, (unsigned char)*p < 0x20 || *p == 0x7f ? " " : p, 1);
    if (h->status == 401 && !c->token_file && !c->state)
        (void)pw_buf_adds(
            &text, "; name a token with --token-file FILE, or --state DIR on the master's machine");
    return pw_fail(err, (pw_code)code, "%s", pw_buf_str(&text));
}

static int send_file(http_client *http, const char *path, const char *file, const char *key,
                     http_answer *ret, pw_err *err)
{
    const http_header headers[] = {{"Idempotency-Key", key},
                                   {"Content-Type", "application/octet-stream"}};
    PW_AUTO(pw_closep) int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return pw_fail_sys(err, "reading \"%s\"", file);
    return http_upload(http, "POST", path, headers, 2, fd, (uint64_t)st.st_size, UPLOAD_US, ret,
                       err);
}

/* file: instead of a body; NULL: none */
static int once(client *c, const char *method, const char *path, const char *body, const char *file,
                const char *key, rest_answer *ret, pw_err *err)
{
    http_answer h = {0};
    const http_header headers[] = {{"Idempotency-Key", key}};
    http_client *http = rest_client(c, err);
    if (!http)
        return err && err->code ? (int)err->code : PW_ENOMEM;
    int rc = file ? send_file(http, path, file, key, &h, err)
                  : http_call(http, method, path, headers, key ? 1 : 0, body,
                              body ? strlen(body) : 0, (pw_usec)TIMEOUT_S * 1000000, &h, err);
    if (rc < 0)
        return rc;
    if (h.status >= 200 && h.status < 300) {
        *ret = (rest_answer){.text = h.body,
                             .done =
                                 strcmp(h.pawl_done, "true") == 0 || strcmp(h.pawl_done, "1") == 0};
        h.body = (pw_buf){0};
        if (ret->text.len && (*ret->text.p == '{' || *ret->text.p == '['))
            ret->value = json_parse(ret->text.p, ret->text.len, NULL);
        rc = 0;
    } else {
        rc = refused(c, &h, err);
    }
    http_answer_clear(&h);
    return rc;
}

static int repeat(client *c, const char *method, const char *path, const char *body,
                  const char *file, rest_answer *ret, pw_err *err)
{
    uint8_t random[KEY_BYTES];
    char key[2 * KEY_BYTES + 1];
    bool writes = strcmp(method, "GET") != 0;
    pw_err mine = {0};
    pw_err *e = err ? err : &mine;
    int rc = 0, pause = FIRST_PAUSE_MS;
    c->host->random(c->host->self, random, sizeof(random));
    pw_hex(random, sizeof(random), key);
    for (int i = 0; i < REST_TRIES; i++, pause *= 2) {
        if (i)
            client_pause(pause);
        *e = (pw_err){0};
        rc = once(c, method, path, body, file, writes ? key : NULL, ret, e);
        if (rc >= 0 || !writes || !c->http || !(rest_passing(rc) || (rc == PW_EPROTO && e->sys)))
            break;
    }
    return rc;
}

int rest_call(client *c, const char *method, const char *path, const char *body, rest_answer *ret,
              pw_err *err)
{
    return repeat(c, method, path, body, NULL, ret, err);
}

int rest_upload(client *c, const char *path, const char *file, rest_answer *ret, pw_err *err)
{
    return repeat(c, "POST", path, NULL, file, ret, err);
}

int rest_get(client *c, const char *path, rest_answer *ret, pw_err *err)
{
    return rest_call(c, "GET", path, NULL, ret, err);
}

int rest_post(client *c, const char *path, const char *body, rest_answer *ret, pw_err *err)
{
    return rest_call(c, "POST", path, body ? body : "{}", ret, err);
}

int rest_raw(client *c, const rest_answer *a, pw_err *err)
{
    int rc = client_put(c, &a->text, err);
    if (rc == 0 && (!a->text.len || a->text.p[a->text.len - 1] != '\n'))
        client_say(c, "\n");
    return rc;
}

void rest_query(pw_buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    (void)pw_buf_addf(path, "%c%s=", path->len && strchr(pw_buf_str(path), '?') ? '&' : '?', name);
    if (http_escape(path, value) < 0)
        path->failed = true;
}

void rest_part(pw_buf *path, const char *part)
{
    (void)pw_buf_adds(path, "/");
    if (http_escape(path, part) < 0)
        path->failed = true;
}

void rest_field(pw_buf *b, const char *name, const char *value)
{
    if (!value)
        return;
    (void)pw_buf_adds(b, b->len > 1 && b->p[b->len - 1] != '{' ? "," : "");
    (void)pw_buf_json(b, name);
    (void)pw_buf_adds(b, ":");
    (void)pw_buf_json(b, value);
}
