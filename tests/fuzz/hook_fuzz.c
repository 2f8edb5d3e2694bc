/* Deliveries of webhooks: the first line of the input is the kind and a value for each header, the
 * rest the body. Nothing verifies but what is signed; an id that is taken is fit for the database;
 * a body that the parser takes is taken by the check that stands before it. */
#include <stdlib.h>
#include <string.h>

#include "master/http/hooks.h"
#include "master/http/limits.h"
#include "master/http/origin.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"
#include "shared/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The next part of the line, ended by a tab; NULL when there is none. */
static const char *part(char **at)
{
    char *from = *at;
    if (!from)
        return NULL;
    *at = strchr(from, '\t');
    if (*at)
        *(*at)++ = '\0';
    return from;
}

static void sign(const web_hook_kind *k, const char *body, size_t n)
{
    char text[80] = "key";
    uint8_t mac[CRYPT_HASH];
    if (k->prefix) {
        crypt_hmac_sha256("key", 3, body, n, mac);
        memcpy(text, k->prefix, strlen(k->prefix) + 1);
        pw_hex(mac, sizeof(mac), text + strlen(text));
    }
    if (!web_hook_verify(k, text, "key", 3, body, n))
        abort();
    if (k->prefix && web_hook_verify(k, text, "key2", 4, body, n))
        abort();
}

static void headers(char *line, const char *body, size_t n)
{
    char id[WEB_DELIVERY];
    uint8_t from[16] = {[10] = 0xff, [11] = 0xff, [12] = 10}, to[16];
    config_net net = {.addr = {[10] = 0xff, [11] = 0xff, [12] = 10}, .bits = 104};
    const char *kind = part(&line), *signature = part(&line), *delivery = part(&line),
               *forwarded = part(&line), *site = part(&line), *origin = part(&line),
               *host = part(&line);
    const web_hook_kind *k = kind ? web_hook_find(kind) : NULL;
    if (k) {
        sign(k, body, n);
        /* the MAC of 128 bits and more is not guessed; a plain secret may be */
        if (k->prefix && web_hook_verify(k, signature, "key", 3, body, n))
            abort();
    }
    if (web_hook_delivery(delivery, body, n, id, NULL) == 0) {
        size_t k2 = strlen(id);
        if (k2 == 0 || k2 >= sizeof(id))
            abort();
        for (size_t i = 0; i < k2; i++)
            if (id[i] < 0x21 || id[i] > 0x7e)
                abort();
    }
    web_origin(from, forwarded, &net, 1, to);
    if (!forwarded && memcmp(from, to, 16) != 0)
        abort();
    if (web_same_origin(site, origin, host, "https://ci.example.org") && !site && !origin)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = len ? memchr(data, '\n', len) : NULL;
    size_t n = end ? (size_t)(end - data) : len;
    const char *body = end ? (const char *)end + 1 : "";
    size_t body_len = end ? len - n - 1 : 0;
    pw_err err;
    char *line = malloc(n + 1);
    if (!line)
        return 0;
    memcpy(line, data, n);
    line[n] = '\0';
    headers(line, body, body_len);
    free(line);
    int good = json_check(body, body_len, &err);
    PW_AUTO(json_freep) json_value *v = body_len < 4096 ? json_parse(body, body_len, &err) : NULL;
    if (v && good < 0)
        abort();
    return 0;
}
