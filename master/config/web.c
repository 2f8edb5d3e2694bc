/* web.c - of `web`: the certificate, the header of a proxy, limits. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/base/num.h"

enum {
    PATH_BYTES = 2000,
    HEADER_BYTES = 60,
    PROXIES_MAX = 100,
    BODY_MIN = 1024,
    RATE_MAX = 1000000,
    CONNECTIONS_MAX = 2000 /* the web server has 2,048 in all */
};
#define BODY_MAX ((uint64_t)16 * 1024 * 1024)
/* a mistake must not fill the disk; it lies in a file, never in memory */
#define TRY_DEFAULT ((uint64_t)4 * 1024 * 1024 * 1024)
#define TRY_MIN ((uint64_t)1024 * 1024)
#define TRY_MAX (1024 * (uint64_t)1024 * 1024 * 1024)

/* ---- networks */
bool config_net_parse(const char *s, config_net *ret)
{
    char text[INET6_ADDRSTRLEN + 1];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    config_net net = {.bits = 128};
    size_t n = strcspn(s, "/");
    uint64_t bits = 0;
    if (n >= sizeof(text))
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    bool four = inet_pton(AF_INET, text, net.addr + 12) == 1;
    if (four)
        memcpy(net.addr, mapped, sizeof(mapped));
    else if (inet_pton(AF_INET6, text, net.addr) != 1)
        return false;
    if (s[n] && (pw_parse_u64(s + n + 1, &bits, NULL) < 0 || bits > (four ? 32 : 128)))
        return false;
    if (s[n])
        net.bits = (unsigned)bits + (four ? 96 : 0);
    *ret = net;
    return true;
}

bool config_net_has(const config_net *nets, size_t n, const uint8_t addr[16])
{
    for (size_t i = 0; i < n; i++) {
        unsigned whole = nets[i].bits / 8, rest = nets[i].bits % 8;
        uint8_t mask = (uint8_t)(0xff00 >> rest);
        if (memcmp(nets[i].addr, addr, whole) == 0 &&
            (!rest || ((nets[i].addr[whole] ^ addr[whole]) & mask) == 0))
            return true;
    }
    return false;
}

static void read_proxies(config_reader *r, const yaml_node *map)
{
    config *c = r->c;
    char **v = NULL;
    size_t n = 0;
    if (!yaml_get_strs(map, "proxies", PROXIES_MAX, &v, &n, r->errors) || n == 0)
        return;
    c->web_proxies = pl_alloc(&r->pl, n, sizeof(*c->web_proxies));
    for (size_t i = 0; i < n; i++) {
        if (c->web_proxies && !config_net_parse(v[i], &c->web_proxies[c->n_web_proxies++]))
            yaml_fail(r->errors, yaml_node_get(map, "proxies"),
                      "\"%.60s\" is no address and no network like 10.0.0.0/8", v[i]);
        free(v[i]);
    }
    free(v);
}

static void read_user_header(config_reader *r, const yaml_node *map)
{
    config *c = r->c;
    const yaml_node *v = yaml_node_get(map, "user_header");
    if (!yaml_get_str(map, "user_header", false, HEADER_BYTES, &c->web_user_header, r->errors) ||
        !c->web_user_header)
        return;
    const char *s = c->web_user_header;
    if (!*s || s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")])
        yaml_fail(r->errors, v,
                  "\"user_header\" must be the name of a header, like X-Forwarded-User");
    else if (c->n_web_proxies == 0)
        yaml_fail(r->errors, v,
                  "\"user_header\" needs \"proxies\": the addresses whose header is believed");
}

/* ---- TLS */
static void read_path(config_reader *r, const yaml_node *map, const char *key, char **out)
{
    PW_AUTO(pw_freep) char *s = NULL;
    if (!yaml_get_str(map, key, true, PATH_BYTES, &s, r->errors) || !s)
        return;
    if (!*s || pl_has_control(s))
        yaml_fail(r->errors, yaml_node_get(map, key), "\"%s\" must be the path of a file", key);
    else
        *out = config_absolute(r, yaml_node_file(map), s);
}

static void read_tls(config_reader *r, const yaml_node *map)
{
    static const char *const keys[] = {"cert", "key", NULL}, *const later[] = {NULL};
    const yaml_node *tls = yaml_node_value(map, "tls");
    if (!tls || (!yaml_check_keys(tls, "\"tls\"", keys, later, r->errors) &&
                 yaml_node_type(tls) != YAML_MAP))
        return;
    read_path(r, tls, "cert", &r->c->web_cert);
    read_path(r, tls, "key", &r->c->web_key);
}

/* ---- limits */
/* Bursts and rates are far above what pages, scripts and agents of people do; they bound what a
 * program gone wild, or one that means harm, takes from the others. */
void config_limits_default(config_limits *ret)
{
    *ret = (config_limits){.body = 1024 * 1024,
                           .try_max = TRY_DEFAULT,
                           .rate = 1000,
                           .burst = 10000,
                           .token_rate = 1000,
                           .token_burst = 10000,
                           .connections = 512,
                           .request_time = 30 * PL_SECOND};
}

static void read_limits(config_reader *r, const yaml_node *web)
{
    static const char *const keys[] =
        {"body",        "requests_per_second", "burst",        "token_requests_per_second",
         "token_burst", "connections",         "request_time", "try",
         NULL},
                             *const later[] = {NULL};
    const yaml_node *map = yaml_node_value(web, "limits");
    config_limits *l = &r->c->limits;
    if (!map || (!yaml_check_keys(map, "\"limits\"", keys, later, r->errors) &&
                 yaml_node_type(map) != YAML_MAP))
        return;
    if (yaml_get_size(map, "body", &l->body, r->errors) &&
        (l->body < BODY_MIN || l->body > BODY_MAX))
        yaml_fail(r->errors, yaml_node_get(map, "body"), "\"body\" must be from 1K to 16M");
    if (yaml_get_size(map, "try", &l->try_max, r->errors) &&
        (l->try_max < TRY_MIN || l->try_max > TRY_MAX))
        yaml_fail(r->errors, yaml_node_get(map, "try"), "\"try\" must be from 1M to 1024G");
    (void)yaml_get_int(map, "requests_per_second", 1, RATE_MAX, &l->rate, r->errors);
    (void)yaml_get_int(map, "burst", 1, RATE_MAX, &l->burst, r->errors);
    (void)yaml_get_int(map, "token_requests_per_second", 1, RATE_MAX, &l->token_rate, r->errors);
    (void)yaml_get_int(map, "token_burst", 1, RATE_MAX, &l->token_burst, r->errors);
    (void)yaml_get_int(map, "connections", 1, CONNECTIONS_MAX, &l->connections, r->errors);
    (void)pl_get_time(&r->pl, map, "request_time", PL_SECOND, &l->request_time);
}

void config_read_web(config_reader *r, const yaml_node *map)
{
    read_tls(r, map);
    read_proxies(r, map);
    read_user_header(r, map);
    read_limits(r, map);
}
