/* load.c - from files to sections: includes, then the readers of the sections, then the verdict. */
#include "master/config/load.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"

/* Where a configuration of several files is kept as one text (config.text, the copy in the
 * database), its files stand behind each other: this line, then for each `#file BYTES PATH`, the
 * bytes, a line break. */
#define BUNDLE_HEAD "#pawl-files 1\n"

typedef struct source {
    char *path;       /* owned; as messages name it */
    char *id;         /* owned; the file itself, whatever path leads to it */
    char *copy;       /* owned; NULL when the text is borrowed */
    const char *text; /* borrowed from copy or from the caller */
    size_t n;
    yaml_doc *doc; /* owned; NULL while bundled and not included yet, or wrong */
    bool reading;  /* an include of it from below would be a circle */
} source;

typedef enum origin { FROM_DISK, FROM_BUNDLE, FROM_NOWHERE } origin; /* what includes may reach */

typedef struct loader {
    config_reader r;
    origin origin;
    source files[CONFIG_FILES_MAX]; /* in order of reading */
    size_t n;
    source bundle[CONFIG_FILES_MAX]; /* paths and texts only */
    size_t n_bundle;
} loader;

static const char *const top_keys[] = {
    "name",       "user",       "web",    "workers", "secrets",  "include", "projects",  "builders",
    "schedulers", "promotions", "people", "notify",  "provider", "locks",   "retention", NULL};
static const char *const top_later[] = {"gates", "duty", "triage", "credentials", NULL};

static void source_clear(source *s)
{
    free(s->path);
    free(s->id);
    free(s->copy);
    yaml_free(s->doc);
}

static void loader_clear(loader *l)
{
    for (size_t i = 0; i < l->n; i++)
        source_clear(&l->files[i]);
    for (size_t i = 0; i < l->n_bundle; i++)
        source_clear(&l->bundle[i]);
    free(l->r.projects.v);
    free(l->r.builders.v);
    free(l->r.schedulers.v);
    free(l->r.promotions.v);
    free(l->r.notify.v);
    free(l->r.providers.v);
    free(l->r.people.v);
    free(l->r.locks.v);
    config_unref(l->r.c);
}

static void loader_freep(loader **l)
{
    if (*l)
        loader_clear(*l);
    free(*l);
}

static bool out_of_memory(loader *l)
{
    l->r.errors->failed = true;
    return false;
}

/* Appends the items of a section; tells what is no list, and the first item beyond the limit. */
static void gather(loader *l, const yaml_node *root, const char *key, size_t max,
                   config_items *items)
{
    const yaml_node *v = yaml_node_value(root, key);
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_LIST) {
        yaml_fail(l->r.errors, v, "\"%s\" must be a list", key);
        return;
    }
    size_t n = yaml_node_count(v);
    if (items->n + n > max) {
        if (items->n <= max)
            yaml_fail(l->r.errors, yaml_node_item(v, max - items->n), "more than %zu %s", max, key);
        n = max - items->n;
    }
    const yaml_node **more = reallocarray(items->v, items->n + n + 1, sizeof(*more));
    if (!more) {
        (void)out_of_memory(l);
        return;
    }
    items->v = more;
    for (size_t i = 0; i < n; i++)
        items->v[items->n++] = yaml_node_item(v, i);
}

/* A section that one file only may have. */
static void single(loader *l, const yaml_node *root, const char *key, const yaml_node **value)
{
    const yaml_node *v = yaml_node_value(root, key);
    if (v && *value)
        yaml_fail(l->r.errors, yaml_node_key(root, key), "\"%s\" is given in %s:%u already", key,
                  yaml_node_file(*value), yaml_node_line(*value));
    else if (v)
        *value = v;
}

/* Files are few, so recursion is bounded by CONFIG_INCLUDE_DEPTH_MAX and CONFIG_FILES_MAX. */
static void read_file(loader *l, source *s, size_t depth);

static const source *bundled(const loader *l, const char *path)
{
    for (size_t i = 0; i < l->n_bundle; i++)
        if (strcmp(l->bundle[i].path, path) == 0)
            return &l->bundle[i];
    return NULL;
}

/* The text of an included file; false when it was told why not. s->path is set. */
static bool open_source(loader *l, source *s, const yaml_node *at)
{
    const source *b = bundled(l, s->path);
    if (b) {
        s->text = b->text;
        s->n = b->n;
        s->id = pw_strdup(s->path, &l->r.errors->failed);
        return s->id;
    }
    if (l->origin != FROM_DISK) {
        yaml_fail(l->r.errors, at, "\"%.200s\" cannot be included here: this text stands alone",
                  s->path);
        return false;
    }
    pw_err err = {0};
    pw_buf buf = PW_BUF(YAML_TEXT_MAX + 1);
    s->id = realpath(s->path, NULL);
    if (!s->id || pw_fs_read(s->path, YAML_TEXT_MAX, &buf, &err) < 0) {
        char why[100];
        int code = s->id ? err.sys : errno;
        yaml_fail(l->r.errors, at, "\"%.200s\" cannot be read: %s", s->path,
                  code ? strerror_r(code, why, sizeof(why)) : err.text);
        pw_buf_clear(&buf);
        return false;
    }
    s->n = buf.len;
    s->copy = pw_buf_take(&buf);
    s->text = s->copy ? s->copy : "";
    return true;
}

char *config_beside(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (*path == '/' || !slash)
        return strdup(path);
    return pw_strf("%.*s%s", (int)(slash - file) + 1, file, path);
}

static void include_one(loader *l, const yaml_node *at, size_t depth)
{
    const char *path = yaml_node_text(at);
    yaml_errors *errors = l->r.errors;
    if (!path || !*path || strlen(path) >= PATH_MAX || pl_has_control(path)) {
        yaml_fail(errors, at, "\"include\" must be a list of paths");
        return;
    }
    if (depth > CONFIG_INCLUDE_DEPTH_MAX) {
        yaml_fail(errors, at, "files include each other deeper than %d", CONFIG_INCLUDE_DEPTH_MAX);
        return;
    }
    if (l->n >= CONFIG_FILES_MAX) {
        yaml_fail(errors, at, "more than %d files", CONFIG_FILES_MAX);
        return;
    }
    source *s = &l->files[l->n];
    *s = (source){.path = config_beside(yaml_node_file(at), path)};
    if (!s->path) {
        (void)out_of_memory(l);
        return;
    }
    bool opened = open_source(l, s, at);
    for (size_t i = 0; opened && i < l->n; i++) {
        if (strcmp(l->files[i].id, s->id) != 0)
            continue;
        yaml_fail(errors, at,
                  l->files[i].reading ? "\"%.200s\" includes itself"
                                      : "\"%.200s\" is included already",
                  s->path);
        opened = false;
    }
    if (!opened) {
        source_clear(s);
        *s = (source){0};
        return;
    }
    l->n++;
    read_file(l, s, depth);
}

static void read_file(loader *l, source *s, size_t depth)
{
    config_reader *r = &l->r;
    s->doc = yaml_parse(s->path, s->text, s->n, r->errors);
    if (!s->doc)
        return;
    const yaml_node *root = yaml_root(s->doc), *v;
    if (!yaml_check_keys(root, "the file", top_keys, top_later, r->errors) &&
        yaml_node_type(root) != YAML_MAP)
        return;
    pl_refuse_secrets(&r->pl, root, false);
    single(l, root, "name", &r->name);
    single(l, root, "web", &r->web);
    single(l, root, "workers", &r->workers);
    single(l, root, "secrets", &r->secrets);
    single(l, root, "user", &r->user);
    single(l, root, "retention", &r->retention);
    gather(l, root, "projects", CONFIG_PROJECTS_MAX, &r->projects);
    gather(l, root, "builders", CONFIG_BUILDERS_MAX, &r->builders);
    gather(l, root, "schedulers", CONFIG_SCHEDULERS_MAX, &r->schedulers);
    gather(l, root, "promotions", CONFIG_PROMOTIONS_MAX, &r->promotions);
    gather(l, root, "notify", CONFIG_NOTIFY_MAX, &r->notify);
    gather(l, root, "provider", CONFIG_PROVIDERS_MAX, &r->providers);
    gather(l, root, "locks", CONFIG_LOCKS_MAX, &r->locks);
    r->c->people_given |= yaml_node_value(root, "people") != NULL;
    gather(l, root, "people", CONFIG_PEOPLE_MAX, &r->people);
    v = yaml_node_value(root, "include");
    s->reading = true;
    if (v && yaml_node_type(v) == YAML_LIST)
        for (size_t i = 0; i < yaml_node_count(v); i++)
            include_one(l, yaml_node_item(v, i), depth + 1);
    else if (v)
        include_one(l, v, depth + 1);
    s->reading = false;
}

static bool is_bundle(const char *text, size_t n)
{
    size_t head = strlen(BUNDLE_HEAD);
    return n >= head && memcmp(text, BUNDLE_HEAD, head) == 0;
}

/* One file: its text as it is. Several: a bundle. */
static char *whole_text(const loader *l)
{
    pw_buf b = PW_BUF((size_t)CONFIG_FILES_MAX * (YAML_TEXT_MAX + PATH_MAX + 100));
    const source *main_file = &l->files[0];
    bool bundle = l->n > 1 || is_bundle(main_file->text, main_file->n);
    for (size_t i = 0; i < l->n; i++) {
        const source *s = &l->files[i];
        if (bundle) {
            if (i == 0)
                (void)pw_buf_adds(&b, BUNDLE_HEAD);
            (void)pw_buf_addf(&b, "#file %zu %s\n", s->n, s->path);
        }
        (void)pw_buf_add(&b, s->text, s->n);
        if (bundle)
            (void)pw_buf_adds(&b, "\n");
    }
    char *text = b.failed ? NULL : pw_buf_take(&b);
    pw_buf_clear(&b);
    return text;
}

static config *finish(loader *l)
{
    config_reader *r = &l->r;
    config_read_server(r);
    config_read_secrets(r); /* before all that names them */
    config_read_user(r);
    config_read_people(r);
    config_read_locks(r); /* before the builders that use them */
    config_read_projects(r);
    config_read_builders(r);
    config_read_schedulers(r);
    config_check_triggers(r);
    config_read_promotions(r);
    config_read_notify(r);
    config_read_providers(r);
    config_read_retention(r, r->retention, &r->c->retention, NULL);
    yaml_errors_sort(r->errors);
    if (yaml_errors_none(r->errors))
        config_warn(r);
    if (!yaml_errors_none(r->errors))
        return NULL;
    r->c->text = whole_text(l);
    if (!r->c->text) {
        (void)out_of_memory(l);
        return NULL;
    }
    return pw_take(r->c);
}

static loader *loader_new(yaml_errors *errors, origin from)
{
    loader *l = calloc(1, sizeof(*l));
    config *c = l ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        errors->failed = true;
        free(l);
        return NULL;
    }
    c->refs = 1;
    *l = (loader){.r = {.c = c, .errors = errors, .alone = from == FROM_NOWHERE}, .origin = from};
    l->r.pl = (pl_reader){
        .errors = errors, .secret = config_may_use, .lock = config_may_lock, .self = &l->r};
    return l;
}

config *config_load(const char *path, yaml_errors *errors)
{
    PW_AUTO(loader_freep) loader *l = loader_new(errors, FROM_DISK);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(YAML_TEXT_MAX + 1);
    pw_err err = {0};
    if (!l)
        return NULL;
    source *s = &l->files[l->n++];
    s->path = pw_strdup(path, &errors->failed);
    s->id = realpath(path, NULL);
    if (!s->id) /* a pipe has no path that leads to it, and can be read */
        s->id = pw_strdup(path, &errors->failed);
    if (!s->path || !s->id)
        return NULL;
    if (pw_fs_read(path, YAML_TEXT_MAX, &b, &err) < 0) {
        char why[100];
        yaml_errors_add(errors, path, 1, 1, "cannot be read: %s",
                        err.sys ? strerror_r(err.sys, why, sizeof(why)) : err.text);
        return NULL;
    }
    s->n = b.len;
    s->text = pw_buf_str(&b);
    read_file(l, s, 0);
    return finish(l);
}

/* Takes a bundle apart; false when it is damaged. */
static bool unbundle(loader *l, const char *text, size_t n)
{
    const char *at = text + strlen(BUNDLE_HEAD), *end = text + n;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t len = line ? (size_t)(line - at) : 0;
        if (!line || len < 9 || len > PATH_MAX + 40 || memcmp(at, "#file ", 6) != 0 ||
            l->n_bundle >= CONFIG_FILES_MAX)
            return false;
        PW_AUTO(pw_freep) char *head = strndup(at + 6, len - 6);
        if (!head)
            return out_of_memory(l);
        char *path = strchr(head, ' ');
        uint64_t bytes;
        if (!path || !path[1])
            return false;
        *path++ = '\0';
        if (pw_parse_u64(head, &bytes, NULL) < 0 || bytes >= (uint64_t)(end - line - 1) ||
            line[1 + bytes] != '\n')
            return false;
        source *s = &l->bundle[l->n_bundle++];
        *s = (source){
            .path = pw_strdup(path, &l->r.errors->failed), .text = line + 1, .n = (size_t)bytes};
        if (!s->path)
            return false;
        at = line + 1 + bytes + 1;
    }
    return l->n_bundle;
}

static bool loader_text(loader *l, const char *file, const char *text, size_t n,
                        yaml_errors *errors);

config *config_load_text(const char *file, const char *text, size_t n, yaml_errors *errors)
{
    bool bundle = is_bundle(text, n);
    PW_AUTO(loader_freep)
    loader *l = loader_new(errors, bundle ? FROM_BUNDLE : file ? FROM_DISK : FROM_NOWHERE);
    return l && loader_text(l, file, text, n, errors) ? finish(l) : NULL;
}

int outline_of(const char *file, const char *text, size_t n, outline *ret, yaml_errors *errors)
{
    yaml_errors ignored = {0}; /* of keys: an older version may have taken others */
    PW_AUTO(loader_freep)
    loader *l = loader_new(&ignored, is_bundle(text, n) ? FROM_BUNDLE : FROM_DISK);
    bool read = l && loader_text(l, file, text, n, &ignored);
    outline o = {0};
    for (size_t i = 0; read && i < l->n; i++) {
        if (l->files[i].doc)
            config_outline_file(yaml_root(l->files[i].doc), &o);
        else
            read = false;
    }
    if (!read || o.failed) {
        yaml_errors_add(errors, file, 1, 1, "%s",
                        o.failed || !l ? "out of memory" : "the configuration cannot be read");
        outline_clear(&o);
    } else {
        *ret = o;
    }
    yaml_errors_clear(&ignored);
    return read && !o.failed ? 0 : PW_EINVAL;
}

/* Reads the text and what it includes. */
static bool loader_text(loader *l, const char *file, const char *text, size_t n,
                        yaml_errors *errors)
{
    const char *name = file ? file : "-";
    bool bundle = l->origin == FROM_BUNDLE;
    if (bundle && !unbundle(l, text, n)) {
        yaml_errors_add(errors, name, 1, 1, "the stored configuration is damaged");
        return false;
    }
    source *s = &l->files[l->n++];
    s->text = text;
    s->n = n;
    if (bundle) {
        name = l->bundle[0].path;
        s->text = l->bundle[0].text;
        s->n = l->bundle[0].n;
    }
    s->path = pw_strdup(name, &errors->failed);
    s->id = l->origin == FROM_DISK ? realpath(name, NULL) : NULL;
    if (!s->id)
        s->id = pw_strdup(name, &errors->failed);
    if (!s->path || !s->id)
        return false;
    read_file(l, s, 0);
    return true;
}
