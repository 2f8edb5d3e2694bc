/* file.c - the file of a repository: its builders, what it includes, what its project permits. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/pipeline/read.h"

typedef struct loader {
    pl_reader r;
    const pl_rules *rules;
    pl_file *file;
    const yaml_node **map; /* of each builder, in the order of file->builders */
    size_t n;              /* builders gathered */
    const yaml_node **key;
    yaml_doc *doc[PL_FILES_MAX];
    char *path[PL_FILES_MAX];
    size_t n_docs, bytes;
    bool absent; /* a file is not here yet */
} loader;

bool pl_path_ok(const char *s)
{
    size_t n = strlen(s);
    if (!n || n > PL_PATH_MAX || pl_has_control(s))
        return false;
    for (const char *p = s;; p++) {
        size_t k = strcspn(p, "/");
        if (k == 0 || (k == 1 && p[0] == '.') || (k == 2 && p[0] == '.' && p[1] == '.') ||
            (k == 4 && strncasecmp(p, ".git", 4) == 0))
            return false;
        p += k;
        if (!*p)
            return true;
    }
}

/* ---- what the project permits */
static bool listed(const pl_strs *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], name) == 0)
            return true;
    return false;
}

static bool may_use(void *self, const yaml_node *at, const char *name, size_t *ret_n)
{
    loader *l = self;
    if (l->rules->allow && !listed(&l->rules->allow->secrets, name)) {
        yaml_fail(l->r.errors, at,
                  "secret \"%.60s\" is not allowed here: the project in master.yaml must have it "
                  "in \"allow: {secrets: [..]}\"",
                  name);
        return false;
    }
    *ret_n = l->rules->secret_size ? l->rules->secret_size(l->rules->self, name) : 0;
    return true;
}

static void check_each(loader *l, const yaml_node *v, const char *what, const glob_list *globs,
                       const pl_strs *names)
{
    size_t n = !v ? 0 : yaml_node_type(v) == YAML_LIST ? yaml_node_count(v) : 1;
    for (size_t i = 0; i < n; i++) {
        const yaml_node *at = yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v;
        if (yaml_node_type(at) == YAML_MAP) /* {name: db, mode: exclusive} */
            at = yaml_node_value(at, "name");
        const char *s = at ? yaml_node_text(at) : NULL;
        if (s && !(globs ? glob_match(globs, s) : listed(names, s)))
            yaml_fail(l->r.errors, at,
                      "%s \"%.60s\" is not allowed here: the project in master.yaml must have it "
                      "in \"allow: {%s: [..]}\"",
                      what, s,
                      strcmp(what, "isolation") == 0 ? what
                      : strcmp(what, "tag") == 0     ? "tags"
                                                     : "locks");
    }
}

static void check_allowed(loader *l, const yaml_node *map, pl_builder *b)
{
    const pl_allow *a = l->rules->allow;
    const yaml_node *requires = yaml_node_value(map, "requires"),
                    *steps = yaml_node_value(map, "steps"), *t = yaml_node_value(map, "timeout");
    char text[32];
    if (!a)
        return;
    if (a->tags && requires)
        check_each(l, yaml_node_value(requires, "tags"), "tag", a->tags, NULL);
    if (a->isolation)
        check_each(l, yaml_node_value(map, "isolation"), "isolation", a->isolation, NULL);
    check_each(l, yaml_node_value(map, "locks"), "lock", NULL, &a->locks);
    for (size_t i = 0; steps && i < yaml_node_count(steps); i++)
        if (yaml_node_type(steps) == YAML_LIST)
            check_each(l, yaml_node_value(yaml_node_item(steps, i), "locks"), "lock", NULL,
                       &a->locks);
    if (a->max_timeout && b->timeout > a->max_timeout) {
        if (t)
            yaml_fail(l->r.errors, t,
                      "\"timeout\" may be at most %s here (\"max_timeout\" of the "
                      "project in master.yaml)",
                      pw_duration_text(a->max_timeout, text));
        else
            b->timeout = a->max_timeout; /* nothing was asked for */
    }
}

/* ---- files */
static bool take_doc(loader *l, const char *path, const char *text, size_t n, const yaml_node *at);

static void include_one(loader *l, const yaml_node *at)
{
    const char *path = yaml_node_text(at);
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(PL_FILE_BYTES_MAX);
    if (!path || !pl_path_ok(path)) {
        yaml_fail(l->r.errors, at,
                  "\"include\" takes paths from the root of the repository, without \"..\"");
        return;
    }
    for (size_t i = 0; i < l->n_docs; i++) {
        if (strcmp(l->path[i], path) != 0)
            continue;
        yaml_fail(l->r.errors, at, "\"%.200s\" is read already", path);
        return;
    }
    int r = l->rules->read ? l->rules->read(l->rules->self, path, &text, &err)
                           : pw_fail(&err, PW_EINVAL, "nothing can be included here");
    if (r == PW_EAGAIN)
        l->absent = true;
    else if (r == PW_ENOMEM)
        l->r.errors->failed = true;
    else if (r < 0)
        yaml_fail(l->r.errors, at, "\"%.200s\" cannot be read: %s", path, err.text);
    else
        (void)take_doc(l, path, pw_buf_str(&text), text.len, at);
}

static void gather_builders(loader *l, const yaml_node *v)
{
    if (yaml_node_type(v) != YAML_MAP) {
        yaml_fail(l->r.errors, v, "\"builders\" must be a mapping of names to builders");
        return;
    }
    for (size_t i = 0; i < yaml_node_count(v); i++) {
        const yaml_node *key = NULL, *map = yaml_node_pair(v, i, &key);
        const char *name = yaml_node_text(key);
        if (l->n == PL_BUILDERS_MAX) {
            yaml_fail(l->r.errors, key, "more than %d builders", PL_BUILDERS_MAX);
            return;
        }
        if (!pw_name_ok(name))
            yaml_fail(l->r.errors, key,
                      "\"%.100s\" is no name of a builder: letters, digits and "
                      "._+=,@- only, at most 100, no dot in front",
                      name);
        else if (strcmp(name, "pipeline") == 0)
            yaml_fail(l->r.errors, key,
                      "\"pipeline\" is the name under which errors of this file are told");
        for (size_t k = 0; k < l->n; k++)
            if (strcmp(yaml_node_text(l->key[k]), name) == 0)
                yaml_fail(l->r.errors, key, "builder \"%.60s\" is in %s:%u already", name,
                          yaml_node_file(l->key[k]), yaml_node_line(l->key[k]));
        l->key[l->n] = key;
        l->map[l->n++] = map;
    }
}

/* Deep as files include each other, which PL_FILES_MAX bounds. */
static bool take_doc(loader *l, const char *path, const char *text, size_t n, const yaml_node *at)
{
    static const char *const keys[] = {"builders", "include", NULL};
    l->bytes += n;
    if (l->n_docs == PL_FILES_MAX || l->bytes > PL_FILE_BYTES_MAX) {
        if (at && l->n_docs == PL_FILES_MAX)
            yaml_fail(l->r.errors, at, "more than %d files", PL_FILES_MAX);
        else
            yaml_errors_add(l->r.errors, path, 1, 1,
                            "the file and all that it includes are longer than %d bytes",
                            PL_FILE_BYTES_MAX);
        return false;
    }
    yaml_doc *doc = yaml_parse(path, text, n, l->r.errors);
    if (!doc)
        return false;
    char *copy = pl_copy(&l->r, path);
    if (!copy) {
        yaml_free(doc);
        return false;
    }
    l->path[l->n_docs] = copy;
    l->doc[l->n_docs++] = doc;
    const yaml_node *root = yaml_root(doc), *v;
    if (!yaml_check_keys(root, "a pipeline file", keys, NULL, l->r.errors) &&
        yaml_node_type(root) != YAML_MAP)
        return false;
    pl_refuse_secrets(&l->r, root, false);
    if ((v = yaml_node_value(root, "builders")))
        gather_builders(l, v);
    if ((v = yaml_node_value(root, "include"))) {
        size_t many = yaml_node_type(v) == YAML_LIST ? yaml_node_count(v) : 1;
        for (size_t i = 0; i < many; i++)
            include_one(l, yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v);
    }
    return true;
}

/* ---- builders */
static void count_builds(loader *l)
{
    const pl_allow *a = l->rules->allow;
    size_t most = a && a->max_builds ? a->max_builds : PL_BUILDS_MAX, sum = 0;
    for (size_t i = 0; i < l->n && sum <= most; i++) {
        pl_instances all;
        if (pl_expand(&l->file->builders[i], &all, NULL) < 0) {
            l->r.errors->failed = true;
            return;
        }
        sum += all.n;
        pl_instances_clear(&all);
        if (sum > most)
            yaml_fail(l->r.errors, l->key[i], "with this builder there are more than %zu builds%s",
                      most,
                      a && a->max_builds ? " (\"max_builds\" of the project in master.yaml)" : "");
    }
}

static void read_builders(loader *l)
{
    pl_file *f = l->file;
    f->builders = pl_alloc(&l->r, l->n, sizeof(*f->builders));
    if (!f->builders)
        return;
    f->n_builders = l->n;
    for (size_t i = 0; i < l->n; i++) {
        pl_builder *b = &f->builders[i];
        b->name = pl_copy(&l->r, yaml_node_text(l->key[i]));
        if (pl_read_builder(&l->r, l->map[i], false, b))
            check_allowed(l, l->map[i], b);
    }
    pl_resolve_needs(&l->r, f->builders, f->n_builders, l->map);
    if (!l->n)
        yaml_fail(l->r.errors, yaml_root(l->doc[0]),
                  "there is no builder: \"builders\" is missing "
                  "or empty");
    if (yaml_errors_none(l->r.errors))
        count_builds(l);
}

pl_file *pl_load(const char *file, const char *text, size_t n, const pl_rules *rules,
                 yaml_errors *errors)
{
    loader l = {.r = {.errors = errors, .secret = may_use, .self = &l}, .rules = rules};
    l.file = pl_alloc(&l.r, 1, sizeof(*l.file));
    l.map = pl_alloc(&l.r, PL_BUILDERS_MAX, sizeof(*l.map));
    l.key = pl_alloc(&l.r, PL_BUILDERS_MAX, sizeof(*l.key));
    if (l.file && l.map && l.key) {
        l.file->refs = 1;
        if (take_doc(&l, file, text, n, NULL) && !l.absent)
            read_builders(&l);
    }
    for (size_t i = 0; i < l.n_docs; i++) {
        yaml_free(l.doc[i]);
        free(l.path[i]);
    }
    free(l.map);
    free(l.key);
    yaml_errors_sort(errors);
    if (!l.file || l.absent || !yaml_errors_none(errors))
        return l.file ? pl_unref(l.file) : NULL;
    return l.file;
}
