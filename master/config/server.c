/* server.c - the parts about the master itself: `name`, `web`, `workers`. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"

typedef struct address {
    char host[256]; /* names end at 253 bytes */
    unsigned port;
} address;

static bool host_ok(const char *host, bool brackets)
{
    unsigned char in[16];
    if (brackets)
        return inet_pton(AF_INET6, host, in) == 1;
    if (strcmp(host, "*") == 0)
        return true;
    if (host[strspn(host, "0123456789.")] == '\0')
        return inet_pton(AF_INET, host, in) == 1;
    for (const char *p = host; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.')
            return false;
    return *host != '-' && *host != '.';
}

/* HOST:PORT or [IPv6]:PORT. */
static bool address_parse(const char *s, address *a)
{
    const char *colon = strrchr(s, ':');
    bool brackets = *s == '[';
    if (!colon || colon == s || (brackets && colon[-1] != ']'))
        return false;
    const char *from = s + brackets, *to = colon - brackets;
    size_t n = to > from ? (size_t)(to - from) : 0, digits = strlen(colon + 1);
    if (!n || n >= sizeof(a->host) || !digits || digits > 5 ||
        colon[1 + strspn(colon + 1, "0123456789")])
        return false;
    memcpy(a->host, from, n);
    a->host[n] = '\0';
    a->port = (unsigned)strtoul(colon + 1, NULL, 10);
    return a->port <= 65535 && host_ok(a->host, brackets);
}

static bool loopback(const char *host)
{
    unsigned char in[16];
    if (inet_pton(AF_INET, host, in) == 1)
        return in[0] == 127;
    return strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET6, host, in) == 1 && memcmp(in, &in6addr_loopback, sizeof(in)) == 0);
}

static bool url_ok(const char *s)
{
    const char *rest = strncmp(s, "http://", 7) == 0    ? s + 7
                       : strncmp(s, "https://", 8) == 0 ? s + 8
                                                        : "";
    return *rest && *rest != '/' && !pl_has_control(s) && !strpbrk(s, " \"'<>\\?#@`{}|^");
}

static void read_web(config_reader *r)
{
    static const char *const keys[] = {"listen",      "url",     "read",   "insecure", "tls",
                                       "user_header", "proxies", "limits", NULL};
    static const char *const later[] = {NULL}, *const reads[] = {"open", "token", NULL};
    const yaml_node *map = r->web;
    config *c = r->c;
    address a;
    int read = 0;
    if (!map || (!yaml_check_keys(map, "\"web\"", keys, later, r->errors) &&
                 yaml_node_type(map) != YAML_MAP))
        return;
    (void)yaml_get_enum(map, "read", reads, &read, r->errors);
    c->web_read_token = read == 1;
    config_read_web(r, map);
    bool insecure_ok = yaml_get_bool(map, "insecure", &c->web_insecure, r->errors);
    if (yaml_get_str(map, "listen", false, 300, &c->web_listen, r->errors) && c->web_listen) {
        const yaml_node *v = yaml_node_get(map, "listen");
        if (!address_parse(c->web_listen, &a))
            yaml_fail(r->errors, v, "\"listen\" must be HOST:PORT, not \"%.60s\"", c->web_listen);
        else if (insecure_ok && !c->web_insecure && !yaml_node_value(map, "tls") &&
                 !loopback(a.host))
            yaml_fail(r->errors, v,
                      "\"%s\" is reachable by others, and the page is plain HTTP: listen on "
                      "127.0.0.1 behind a proxy with TLS, give it a certificate with \"tls: {cert, "
                      "key}\", or say \"insecure: true\"",
                      c->web_listen);
    }
    if (!yaml_get_str(map, "url", false, 500, &c->web_url, r->errors) || !c->web_url)
        return;
    if (!url_ok(c->web_url))
        yaml_fail(r->errors, yaml_node_get(map, "url"),
                  "\"url\" must be like https://ci.example.org, not \"%.60s\"", c->web_url);
    for (size_t n = strlen(c->web_url); n && c->web_url[n - 1] == '/'; n--)
        c->web_url[n - 1] = '\0';
}

static bool tcp_parse(const char *s, address *a)
{
    return strncmp(s, "tcp://", 6) == 0 && address_parse(s + 6, a);
}

static void read_workers(config_reader *r)
{
    static const char *const keys[] = {"listen", "address", "lost_after", NULL}, *const later[] = {
                                                                                     NULL};
    const yaml_node *map = r->workers;
    config *c = r->c;
    address a;
    if (!map || (!yaml_check_keys(map, "\"workers\"", keys, later, r->errors) &&
                 yaml_node_type(map) != YAML_MAP))
        return;
    if (yaml_get_str(map, "listen", false, 300, &c->workers_listen, r->errors) &&
        c->workers_listen && !tcp_parse(c->workers_listen, &a))
        yaml_fail(r->errors, yaml_node_get(map, "listen"),
                  "\"listen\" must be tcp://HOST:PORT, not \"%.60s\"", c->workers_listen);
    if (yaml_get_str(map, "address", false, 300, &c->workers_address, r->errors) &&
        c->workers_address &&
        (!tcp_parse(c->workers_address, &a) || !a.port || strcmp(a.host, "*") == 0))
        yaml_fail(r->errors, yaml_node_get(map, "address"),
                  "\"address\" must be tcp://HOST:PORT as workers reach it, not \"%.60s\"",
                  c->workers_address);
    (void)pl_get_time(&r->pl, map, "lost_after", PL_SECOND, &c->lost_after);
}

void config_read_server(config_reader *r)
{
    config *c = r->c;
    c->lost_after = 600 * PL_SECOND;
    config_limits_default(&c->limits);
    if (r->name) {
        const char *name = yaml_node_text(r->name);
        if (!name || !*name || strlen(name) > 100 || pl_has_control(name))
            yaml_fail(r->errors, r->name, "\"name\" must be a text of 1 to 100 bytes");
        else
            c->name = pl_copy(&r->pl, name);
    }
    read_web(r);
    read_workers(r);
    if (!c->name)
        c->name = pl_copy(&r->pl, "pawl");
    if (!c->web_listen)
        c->web_listen = pl_copy(&r->pl, "127.0.0.1:8010");
    if (!c->workers_listen)
        c->workers_listen = pl_copy(&r->pl, "tcp://127.0.0.1:9989");
}
