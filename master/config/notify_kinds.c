/* notify_kinds.c - the keys of `notify` that only some kinds have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config/load.h"
#include "master/config/notify_kinds.h"
#include "shared/base/num.h"

#define B(kind) (1u << (kind))
#define STATUS (B(NOTIFY_GITHUB) | B(NOTIFY_GITLAB) | B(NOTIFY_GITEA))

const char *const config_notify_kinds[] = {
    "webhook",       "mattermost",   "slack",  "mail", "github-status",
    "gitlab-status", "gitea-status", "matrix", "irc",  NULL};
_Static_assert(sizeof(config_notify_kinds) / sizeof(config_notify_kinds[0]) == NOTIFY_KINDS + 1,
               "a name for each kind");

static const struct {
    const char *name;
    unsigned kinds, required;
} keys[] = {
    {"kind", ~0u, 0},
    {"name", ~0u, 0},
    {"projects", ~0u, 0},
    {"builders", ~0u, 0},
    {"branches", ~0u, 0},
    {"delivery", ~0u, 0},
    {"timeout", ~0u, 0},
    {"ca", ~0u, 0},
    {"events", ~STATUS, 0}, /* required too: told with the list of them */
    {"people", ~STATUS, 0},
    {"rate", ~STATUS, 0},
    {"quiet_hours", ~STATUS, 0},
    {"url", ~(B(NOTIFY_MAIL) | B(NOTIFY_IRC)), 0},
    {"secret", B(NOTIFY_WEBHOOK), 0},
    {"channel", B(NOTIFY_MATTERMOST) | B(NOTIFY_IRC), B(NOTIFY_IRC)},
    {"smtp", B(NOTIFY_MAIL), B(NOTIFY_MAIL)},
    {"starttls", B(NOTIFY_MAIL), 0},
    {"from", B(NOTIFY_MAIL), B(NOTIFY_MAIL)},
    {"to", B(NOTIFY_MAIL), B(NOTIFY_MAIL)},
    {"user", B(NOTIFY_MAIL) | B(NOTIFY_IRC), 0},
    {"password", B(NOTIFY_MAIL) | B(NOTIFY_IRC), 0},
    {"token", STATUS | B(NOTIFY_MATRIX), STATUS | B(NOTIFY_MATRIX)},
    {"repository", STATUS, STATUS},
    {"room", B(NOTIFY_MATRIX), B(NOTIFY_MATRIX)},
    {"server", B(NOTIFY_IRC), B(NOTIFY_IRC)},
    {"nick", B(NOTIFY_IRC), 0},
};
enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

bool config_notify_check_keys(config_reader *r, const yaml_node *map, config_notify_kind kind)
{
    static const char *const none[] = {NULL};
    const char *allowed[KEYS + 1];
    size_t n = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].kinds & B(kind))
            allowed[n++] = keys[i].name;
    allowed[n] = NULL;
    bool good = yaml_check_keys(map, "a target of \"notify\"", allowed, none, r->errors);
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].required & B(kind) && yaml_node_type(map) == YAML_MAP &&
            !yaml_node_value(map, keys[i].name))
            yaml_fail(r->errors, map, "a target of the kind \"%s\" needs \"%s\"",
                      config_notify_kinds[kind], keys[i].name);
    return good;
}

bool config_notify_is_status(config_notify_kind kind)
{
    return B(kind) & STATUS;
}

/* ---- what opens a target: its text is ${secret:NAME}, never the secret itself */
static void read_password(config_reader *r, const yaml_node *map, const char *key, char **out)
{
    static const char mark[] = "${secret:";
    PW_AUTO(pw_freep) char *text = NULL;
    const yaml_node *at = yaml_node_get(map, key);
    if (!yaml_get_str(map, key, false, 1000, &text, r->errors) || !text)
        return;
    size_t n = strlen(text), head = sizeof(mark) - 1;
    if (strncmp(text, mark, head) != 0 || text[n - 1] != '}' || strchr(text, '}') != text + n - 1) {
        yaml_fail(r->errors, at, "\"%s\" must be ${secret:NAME}: it does not stand in the file",
                  key);
        return;
    }
    text[n - 1] = '\0';
    if (!config_check_secret(r, at, text + head))
        return;
    const config_hidden *s = config_secret(r->c, text + head);
    if (s && s->p && (memchr(s->p, '\n', s->n) || memchr(s->p, '\0', s->n)))
        yaml_fail(r->errors, at, "\"%s\" must be of one line", key);
    else if (s && s->p && s->n > CONFIG_TOKEN_MAX)
        yaml_fail(r->errors, at, "\"%s\" must have at most %d bytes", key, CONFIG_TOKEN_MAX);
    *out = pl_copy(&r->pl, text + head);
}

/* ---- addresses */
/* SCHEME://HOST[:PORT], of two schemes. */
static bool server_ok(const char *s, const char *plain, const char *tls)
{
    size_t n = strlen(plain), m = strlen(tls);
    const char *host = strncmp(s, plain, n) == 0 ? s + n : strncmp(s, tls, m) == 0 ? s + m : "";
    return *host && strlen(s) <= 300 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") ==
               strlen(host);
}

static void read_server(config_reader *r, const yaml_node *map, const char *key, const char *plain,
                        const char *tls, char **out)
{
    if (yaml_get_str(map, key, false, 300, out, r->errors) && *out && !server_ok(*out, plain, tls))
        yaml_fail(r->errors, yaml_node_get(map, key),
                  "\"%s\" must be like %sHOST:PORT, or %sHOST:PORT with TLS", key, plain, tls);
}

static bool here(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

/* LOCAL@DOMAIN without anything that a header or a command of SMTP could take for its own. */
static bool mail_ok(const char *s)
{
    const char *at = strrchr(s, '@');
    if (!at || at == s || !at[1] || strlen(s) > 250)
        return false;
    for (const char *p = s; *p; p++)
        if (*p <= ' ' || *p == 127 || strchr("<>()[],;:\\\"", *p))
            return false;
    return true;
}

static void read_mail(config_reader *r, const yaml_node *map, config_notify *n)
{
    read_server(r, map, "smtp", "smtp://", "smtps://", &n->url);
    if (yaml_get_str(map, "from", false, 250, &n->from, r->errors) && n->from && !mail_ok(n->from))
        yaml_fail(r->errors, yaml_node_get(map, "from"),
                  "\"from\" must be an address like pawl@example.org");
    const yaml_node *to = yaml_node_value(map, "to");
    if (to && yaml_get_strs(map, "to", CONFIG_MAILS_MAX, &n->to.v, &n->to.n, r->errors)) {
        if (!n->to.n)
            yaml_fail(r->errors, to, "\"to\" must name at least one address");
        for (size_t i = 0; i < n->to.n; i++)
            if (!mail_ok(n->to.v[i]))
                yaml_fail(r->errors, yaml_node_type(to) == YAML_LIST ? yaml_node_item(to, i) : to,
                          "\"%.60s\" is no address like ada@example.org", n->to.v[i]);
    }
    n->starttls = n->url && !here(n->url);
    (void)yaml_get_bool(map, "starttls", &n->starttls, r->errors);
    bool tls = n->starttls || (n->url && strncmp(n->url, "smtps:", 6) == 0);
    if (n->url && n->password && !tls && !here(n->url))
        yaml_fail(r->errors, map, "\"password\" without TLS would be told to everybody on the way");
    if (!n->user != !yaml_node_value(map, "password"))
        yaml_fail(r->errors, map, "\"user\" and \"password\" go together");
}

static bool irc_word(const char *s, const char *more)
{
    for (const char *p = s; *p; p++)
        if (*p <= ' ' || *p == 127 || strchr(",:!@*?", *p) || strchr(more, *p))
            return false;
    return *s && *s != '-' && (*s < '0' || *s > '9') && strlen(s) <= 50;
}

static void read_irc(config_reader *r, const yaml_node *map, config_notify *n)
{
    read_server(r, map, "server", "irc://", "ircs://", &n->url);
    if (yaml_get_str(map, "nick", false, 30, &n->from, r->errors)) {
        if (!n->from)
            n->from = pl_copy(&r->pl, "pawl");
        else if (!irc_word(n->from, "#&+"))
            yaml_fail(r->errors, yaml_node_get(map, "nick"), "\"nick\" is no name that IRC allows");
    }
    if (n->place && (!strchr("#&+", *n->place) || !irc_word(n->place, "")))
        yaml_fail(r->errors, yaml_node_get(map, "channel"), "\"channel\" must be like #builds");
    if (n->user && !yaml_node_value(map, "password"))
        yaml_fail(r->errors, map, "\"user\" and \"password\" go together");
    if (n->url && n->password && strncmp(n->url, "irc:", 4) == 0 && !here(n->url))
        yaml_fail(r->errors, map,
                  "\"password\" needs ircs://: without TLS everybody on the way "
                  "would read it");
}

static void read_status(config_reader *r, const yaml_node *map, config_notify *n)
{
    static const char *const urls[] = {
        [NOTIFY_GITHUB] = "https://api.github.com", [NOTIFY_GITLAB] = "https://gitlab.com"};
    n->events = B(CONFIG_EV_START) | B(CONFIG_EV_BUILD);
    if (!yaml_node_value(map, "url") && n->kind == NOTIFY_GITEA)
        yaml_fail(r->errors, map, "a target of the kind \"gitea-status\" needs \"url\"");
    else if (!yaml_node_value(map, "url"))
        n->url = pl_copy(&r->pl, urls[n->kind]);
    if (n->place && (strspn(n->place, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789._-/") != strlen(n->place) ||
                     !strchr(n->place, '/') || strstr(n->place, "..")))
        yaml_fail(r->errors, yaml_node_get(map, "repository"),
                  "\"repository\" must be like OWNER/NAME");
    if (n->n_projects != 1 && !(n->n_projects == 0 && r->c->n_projects == 1))
        yaml_fail(r->errors, map, "\"projects\" must name the one whose repository that is");
}

/* ---- when */
static bool read_clock(config_reader *r, const yaml_node *map, const char *key, int *out)
{
    const yaml_node *v = yaml_node_value(map, key);
    const char *s = v ? yaml_node_text(v) : NULL;
    char h[3] = "", m[3] = "";
    uint64_t hour = 99, minute = 99;
    if (s && strlen(s) == 5 && s[2] == ':') {
        (void)snprintf(h, sizeof(h), "%.2s", s);
        (void)snprintf(m, sizeof(m), "%.2s", s + 3);
        if (pw_parse_u64(h, &hour, NULL) < 0 || pw_parse_u64(m, &minute, NULL) < 0)
            hour = 99;
    }
    if (hour > 23 || minute > 59) {
        yaml_fail(r->errors, v ? v : map, "\"%s\" must be a time of the day like \"22:00\"", key);
        return false;
    }
    *out = (int)(hour * 60 + minute);
    return true;
}

static void read_quiet(config_reader *r, const yaml_node *map, config_notify *n)
{
    static const char *const words[] = {"from", "to", "zone", NULL}, *const none[] = {NULL};
    const yaml_node *v = yaml_node_value(map, "quiet_hours");
    PW_AUTO(pw_freep) char *zone = NULL;
    pw_err err = {0};
    if (!v ||
        (!yaml_check_keys(v, "\"quiet_hours\"", words, none, r->errors) &&
         yaml_node_type(v) != YAML_MAP) ||
        !read_clock(r, v, "from", &n->quiet_from) || !read_clock(r, v, "to", &n->quiet_to))
        return;
    if (n->quiet_from == n->quiet_to)
        yaml_fail(r->errors, v, "\"quiet_hours\" that begin and end at the same time are none");
    if (!yaml_get_str(v, "zone", false, 100, &zone, r->errors) || !zone)
        return;
    if (!(n->quiet_zone = cron_zone_open(zone, &err)))
        yaml_fail(r->errors, yaml_node_get(v, "zone"), "%s", err.text);
}

static void read_rate(config_reader *r, const yaml_node *map, config_notify *n)
{
    static const char *const words[] = {"messages", "per", NULL}, *const none[] = {NULL};
    const yaml_node *v = yaml_node_value(map, "rate");
    int64_t count = 0;
    if (!v ||
        (!yaml_check_keys(v, "\"rate\"", words, none, r->errors) && yaml_node_type(v) != YAML_MAP))
        return;
    n->rate_per = 60 * PL_SECOND;
    (void)pl_get_time(&r->pl, v, "per", PL_SECOND, &n->rate_per);
    if (n->rate_per > 24 * 3600 * PL_SECOND)
        yaml_fail(r->errors, yaml_node_get(v, "per"), "\"per\" must be at most 24h");
    if (!yaml_node_value(v, "messages"))
        yaml_fail(r->errors, v, "required key \"messages\" is missing");
    else if (yaml_get_int(v, "messages", 1, 10000, &count, r->errors))
        n->rate = (uint64_t)count;
}

/* ---- people: their addresses, as commits have them */
static void read_people(config_reader *r, const yaml_node *map, config_notify *n)
{
    config_strs s = {0};
    const yaml_node *v = yaml_node_value(map, "people");
    size_t room = 0;
    if (!v || !yaml_get_strs(map, "people", CONFIG_MAILS_MAX, &s.v, &s.n, r->errors))
        return;
    if (!s.n)
        yaml_fail(r->errors, v, "\"people\" must name at least one, or be left out for all");
    for (size_t i = 0; i < r->c->n_people; i++)
        room += r->c->people[i].n_logins;
    n->mails.v = pl_alloc(&r->pl, room ? room : 1, sizeof(*n->mails.v));
    for (size_t i = 0; n->mails.v && i < s.n; i++) {
        const yaml_node *at = yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v;
        const config_person *p = NULL;
        size_t before = n->mails.n;
        for (size_t k = 0; k < r->c->n_people && !p; k++)
            if (r->c->people[k].name && strcmp(r->c->people[k].name, s.v[i]) == 0)
                p = &r->c->people[k];
        for (size_t k = 0; p && k < p->n_logins && n->mails.n < room; k++)
            if (strcmp(p->logins[k].name, "mail") == 0 &&
                (n->mails.v[n->mails.n] = pl_copy(&r->pl, p->logins[k].value)))
                n->mails.n++;
        if (!p)
            yaml_fail(r->errors, at, "no person \"%.60s\"", s.v[i]);
        else if (n->mails.n == before && !r->errors->failed)
            yaml_fail(r->errors, at,
                      "\"%.60s\" has no \"mail\" among its \"logins\": by that address commits are "
                      "known",
                      s.v[i]);
    }
    pl_strs_clear(&s);
}

static void read_ca(config_reader *r, const yaml_node *map, config_notify *n)
{
    PW_AUTO(pw_freep) char *file = NULL;
    const yaml_node *at = yaml_node_get(map, "ca");
    if (!yaml_get_str(map, "ca", false, 1000, &file, r->errors) || !file)
        return;
    n->ca = config_absolute(r, yaml_node_file(at), file);
    if (n->ca && access(n->ca, R_OK) < 0)
        yaml_fail(r->errors, at, "the file \"%.200s\" cannot be read", n->ca);
}

void config_notify_read_kind(config_reader *r, const yaml_node *map, config_notify *n)
{
    static const char *const place[] = {"channel", "repository", "room"};
    read_password(r, map, "password", &n->password);
    if (!n->password)
        read_password(r, map, "token", &n->password);
    for (size_t i = 0; i < sizeof(place) / sizeof(place[0]) && !n->place; i++)
        if (yaml_get_str(map, place[i], false, 250, &n->place, r->errors) && n->place &&
            (!*n->place || pl_has_control(n->place)))
            yaml_fail(r->errors, yaml_node_get(map, place[i]), "\"%s\" must be a name", place[i]);
    if (yaml_get_str(map, "user", false, 250, &n->user, r->errors) && n->user &&
        (!*n->user || pl_has_control(n->user)))
        yaml_fail(r->errors, yaml_node_get(map, "user"), "\"user\" must be a name");
    read_ca(r, map, n);
    if (n->kind == NOTIFY_MAIL)
        read_mail(r, map, n);
    else if (n->kind == NOTIFY_IRC)
        read_irc(r, map, n);
    else if (config_notify_is_status(n->kind))
        read_status(r, map, n);
    if (n->kind == NOTIFY_MATRIX && n->place && *n->place != '!')
        yaml_fail(r->errors, yaml_node_get(map, "room"),
                  "\"room\" must be the id of a room, like !abc:example.org");
    if (!config_notify_is_status(n->kind)) {
        read_quiet(r, map, n);
        read_rate(r, map, n);
        read_people(r, map, n);
    }
}
