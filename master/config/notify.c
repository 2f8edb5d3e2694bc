/* notify.c - `notify`: whom to tell of what. Senders are kinds; each has its own keys. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "master/config/notify_kinds.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

const char *const config_event_names[] = {"start",       "build", "change",    "failure",
                                          "break",       "fixed", "promotion", "worker_missing",
                                          "worker_back", NULL};
_Static_assert(sizeof(config_event_names) / sizeof(config_event_names[0]) == CONFIG_EVENTS + 1,
               "a name for each event");

static void read_events(config_reader *r, const yaml_node *map, config_notify *n)
{
    static const char *const later[] = {"conflict", "report", "landing", "backout", NULL};
    const yaml_node *v = yaml_node_value(map, "events");
    if (!v || yaml_node_type(v) != YAML_LIST || !yaml_node_count(v)) {
        yaml_fail(
            r->errors, v ? v : map,
            "\"events\" must be a list of at least one of start, build, change, failure, break, "
            "fixed, promotion, worker_missing, worker_back");
        return;
    }
    for (size_t i = 0; i < yaml_node_count(v); i++) {
        const yaml_node *at = yaml_node_item(v, i);
        const char *word = yaml_node_text(at) ? yaml_node_text(at) : "";
        size_t k = 0, l = 0;
        while (config_event_names[k] && strcmp(config_event_names[k], word) != 0)
            k++;
        while (later[l] && strcmp(later[l], word) != 0)
            l++;
        const char *near = pw_nearest(word, config_event_names);
        if (config_event_names[k])
            n->events |= 1u << k;
        else if (later[l])
            yaml_fail(r->errors, at, "event \"%s\" is not supported by this version", word);
        else
            yaml_fail(r->errors, at, "there is no event \"%.60s\"%s%s%s", word,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
}

static bool url_ok(const char *s)
{
    const char *host = strncmp(s, "http://", 7) == 0    ? s + 7
                       : strncmp(s, "https://", 8) == 0 ? s + 8
                                                        : "";
    size_t n = strcspn(host, "/?#");
    return n && !memchr(host, '@', n) && strlen(s) <= CONFIG_URL_MAX && !pl_has_control(s) &&
           !strpbrk(s, " \"'<>\\`{}|^#");
}

/* The text with each ${secret:NAME} replaced by its value. */
static char *fill(config_reader *r, const char *text)
{
    static const char mark[] = "${secret:";
    pw_buf b = PW_BUF(CONFIG_URL_MAX + CONFIG_SECRET_MAX);
    for (const char *p; (p = strstr(text, mark)); text = strchr(p, '}') + 1) {
        const char *name = p + sizeof(mark) - 1;
        PW_AUTO(pw_freep) char *copy = strndup(name, strcspn(name, "}"));
        const config_hidden *s = copy ? config_secret(r->c, copy) : NULL;
        (void)pw_buf_add(&b, text, (size_t)(p - text));
        b.failed |= !s || !s->p || pw_buf_add(&b, s->p, s->n) < 0;
    }
    (void)pw_buf_adds(&b, text);
    r->errors->failed |= b.failed;
    char *whole = b.failed ? NULL : pw_buf_take(&b);
    if (b.p)
        explicit_bzero(b.p, b.cap);
    pw_buf_clear(&b);
    return whole;
}

static void read_url(config_reader *r, const yaml_node *map, config_notify *n)
{
    config_strs used = {0};
    PW_AUTO(pw_freep) char *text = NULL;
    const yaml_node *at = yaml_node_get(map, "url");
    size_t before = r->errors->told;
    if (!yaml_get_str(map, "url", true, CONFIG_URL_MAX, &text, r->errors) || !text)
        return;
    pl_use_secrets(&r->pl, at, &used);
    bool hidden = used.n > 0, whole = before == r->errors->told && !r->errors->failed;
    for (size_t i = 0; i < used.n; i++) {
        const config_hidden *s = config_secret(r->c, used.v[i]);
        whole &= s && s->p; /* what is wrong with a secret was told where it stands */
        free(used.v[i]);
    }
    free(used.v);
    n->url = whole ? fill(r, text) : NULL;
    if (n->url && !url_ok(n->url))
        yaml_fail(r->errors, at,
                  hidden ? "\"url\", with its secret, must be like https://chat.example.org/hook, "
                           "of at most %d bytes, without a user in it"
                         : "\"url\" must be like https://chat.example.org/hook, of at most %d "
                           "bytes, without a user in it",
                  CONFIG_URL_MAX);
}

/* A list of names of projects or builders (NAME or PROJECT/NAME), as indices. */
static size_t find(const config *c, bool builders, const char *name, bool *ret_several)
{
    const char *slash = builders ? strchr(name, '/') : NULL;
    size_t found = CONFIG_NONE, n = builders ? c->n_builders : c->n_projects;
    *ret_several = false;
    for (size_t i = 0; i < n; i++) {
        const char *own = builders ? c->builders[i].name : c->projects[i].name;
        size_t p = builders ? c->builders[i].project : i;
        const char *project = p == CONFIG_NONE ? NULL : c->projects[p].name;
        if (!own || strcmp(own, slash ? slash + 1 : name) != 0)
            continue;
        if (slash && (!project || strlen(project) != (size_t)(slash - name) ||
                      memcmp(project, name, (size_t)(slash - name)) != 0))
            continue;
        *ret_several |= found != CONFIG_NONE;
        found = i;
    }
    return found;
}

static void read_names(config_reader *r, const yaml_node *map, const char *key, bool builders,
                       size_t **out, size_t *out_n)
{
    config_strs s = {0};
    const yaml_node *v = yaml_node_value(map, key);
    bool several;
    if (!v || !yaml_get_strs(map, key, CONFIG_BUILDERS_MAX, &s.v, &s.n, r->errors))
        return;
    if (!s.n)
        yaml_fail(r->errors, v, "\"%s\" must name at least one, or be left out for all", key);
    *out = pl_alloc(&r->pl, s.n, sizeof(**out));
    for (size_t i = 0; i < s.n; i++) {
        const yaml_node *at = yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v;
        size_t k = find(r->c, builders, s.v[i], &several);
        if (several)
            yaml_fail(r->errors, at, "several projects have a builder \"%.60s\": say PROJECT/%.60s",
                      s.v[i], s.v[i]);
        else if (k == CONFIG_NONE)
            yaml_fail(r->errors, at, "no %s \"%.100s\"", builders ? "builder" : "project", s.v[i]);
        else if (*out)
            (*out)[(*out_n)++] = k;
        free(s.v[i]);
    }
    free(s.v);
}

/* `name`, else the kind, then kind-2, kind-3: the place in the list decides. */
static void read_name(config_reader *r, size_t i, const char *kind)
{
    const yaml_node *map = r->notify.v[i];
    config_notify *n = &r->c->notify[i];
    if (yaml_node_value(map, "name")) {
        (void)config_get_name(r, map, &n->name);
        return;
    }
    size_t nth = 1;
    for (size_t k = 0; k < i; k++)
        nth += !yaml_node_value(r->notify.v[k], "name") && r->c->notify[k].kind == n->kind;
    n->name = nth == 1 ? pl_copy(&r->pl, kind) : pw_strf("%s-%zu", kind, nth);
    r->errors->failed |= !n->name;
}

/* Whether a value of this key may hold a secret; the others are shown. */
static bool hides(const char *key)
{
    return strcmp(key, "url") == 0 || strcmp(key, "password") == 0 || strcmp(key, "token") == 0;
}

static void read_notify(config_reader *r, size_t i)
{
    static const char *const later[] = {"telegram", "forgejo-status", "ntfy",
                                        "gerrit",   "script",         NULL};
    static const char *const deliveries[] = {"at_least_once", "at_most_once", NULL};
    const yaml_node *map = r->notify.v[i];
    config_notify *n = &r->c->notify[i];
    int kind = 0, delivery = 0;
    n->timeout = 10 * PL_SECOND;
    if (yaml_node_type(map) == YAML_MAP && !yaml_node_value(map, "kind"))
        yaml_fail(r->errors, map, "\"kind\" is missing: webhook, mattermost, slack, mail ...");
    /* keys of other kinds are not wrong: their kind is not known yet */
    if (yaml_node_type(map) == YAML_MAP && yaml_node_value(map, "kind") &&
        !pl_get_kind(&r->pl, map, "kind", config_notify_kinds, later, &kind))
        return;
    n->kind = (config_notify_kind)kind;
    if (!config_notify_check_keys(r, map, n->kind) && yaml_node_type(map) != YAML_MAP)
        return;
    for (size_t k = 0; k < yaml_node_count(map); k++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(map, k, &key);
        if (!hides(yaml_node_text(key)))
            pl_refuse_secrets(&r->pl, value, false);
    }
    read_name(r, i, config_notify_kinds[kind]);
    if (!config_notify_is_status(n->kind))
        read_events(r, map, n);
    read_names(r, map, "projects", false, &n->projects, &n->n_projects);
    read_names(r, map, "builders", true, &n->builders, &n->n_builders);
    if (n->kind != NOTIFY_MAIL && n->kind != NOTIFY_IRC &&
        (!config_notify_is_status(n->kind) || yaml_node_value(map, "url")))
        read_url(r, map, n);
    pl_get_globs(&r->pl, map, "branches", GLOB_BRANCH, NULL, PL_GLOBS_EMPTY_WRONG, &n->branches);
    (void)yaml_get_enum(map, "delivery", deliveries, &delivery, r->errors);
    n->at_most_once = delivery == 1;
    if (yaml_get_str(map, "secret", false, 1000, &n->secret, r->errors) && n->secret)
        (void)config_check_secret(r, yaml_node_get(map, "secret"), n->secret);
    (void)pl_get_time(&r->pl, map, "timeout", PL_SECOND, &n->timeout);
    if (n->timeout > 60 * PL_SECOND)
        yaml_fail(r->errors, yaml_node_get(map, "timeout"), "\"timeout\" must be at most 1m");
    config_notify_read_kind(r, map, n);
}

void config_read_notify(config_reader *r)
{
    r->c->notify = pl_alloc(&r->pl, r->notify.n, sizeof(*r->c->notify));
    if (!r->c->notify)
        return;
    r->c->n_notify = r->notify.n;
    for (size_t i = 0; i < r->notify.n; i++)
        read_notify(r, i);
    for (size_t i = 0; i < r->notify.n; i++)
        for (size_t k = 0; k < i; k++) {
            const char *name = r->c->notify[i].name, *other = r->c->notify[k].name;
            if (name && other && strcmp(name, other) == 0)
                yaml_fail(r->errors, r->notify.v[i], "a target \"%.100s\" exists already, in %s:%u",
                          name, yaml_node_file(r->notify.v[k]), yaml_node_line(r->notify.v[k]));
        }
}
