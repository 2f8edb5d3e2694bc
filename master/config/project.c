/* project.c - `projects`: repositories to watch. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config/load.h"
#include "shared/base/fs.h"
#include "shared/job/record.h"

static const char *const project_keys[] = {"name",       "repository",  "branches",  "tags",
                                           "poll",       "build_first", "source",    "hook_secret",
                                           "allow",      "credentials", "retention", "artifacts",
                                           "properties", "pipeline",    NULL};

enum { REPOSITORY_MAX = 2000 };

/* The path as seen from the root: repositories are handed to workers and to git, which have other
 * directories. */
char *config_absolute(config_reader *r, const char *file, const char *path)
{
    char cwd[PATH_MAX];
    const char *slash = strrchr(file, '/');
    size_t n = slash ? (size_t)(slash - file) + 1 : 0;
    char *out;
    if (*path == '/')
        return pl_copy(&r->pl, path);
    if (*file == '/')
        out = pw_strf("%.*s%s", (int)n, file, path);
    else
        out = pw_strf("%s/%.*s%s", getcwd(cwd, sizeof(cwd)) ? cwd : ".", (int)n, file, path);
    if (!out)
        r->errors->failed = true;
    return out;
}

/* of a user's name in a URL: none is so long, no token is shorter */
enum { TOKEN_MIN = 20 };

/* What is wrong with SCHEME://REST, or NULL. */
static const char *url_wrong(const char *s, const char *rest)
{
    static const char *const schemes[] = {"https", "http", "ssh", "git", "file", NULL};
    size_t n = (size_t)(rest - s) - 3, host = strcspn(rest, "/");
    const char *at = memchr(rest, '@', host), *colon = memchr(rest, ':', host);
    bool known = false;
    for (size_t i = 0; schemes[i]; i++)
        known |= strlen(schemes[i]) == n && strncmp(s, schemes[i], n) == 0;
    if (!known)
        return "is of no scheme that is known (https, http, ssh, git, file)";
    if (at && colon && colon < at)
        return "has a password in it; secrets do not belong into this file, but into \"secrets\" "
               "and \"credentials\"";
    /* GitHub, GitLab and others take a token for the name, and so does whoever reads the work tree,
     * where git keeps the URL */
    if (at && strncmp(s, "http", 4) == 0 && (size_t)(at - rest) >= TOKEN_MIN)
        return "has what looks like a token in it; secrets do not belong into this file, but into "
               "\"secrets\" and \"credentials\"";
    if (strncmp(s, "file:", 5) == 0 ? *rest != '/' : !host || !rest[host])
        return "is not complete";
    return NULL;
}

/* A URL, git's HOST:PATH, or a path (relative to the file). `ext::command` and options are what
 * must not pass. */
static void check_repository(config_reader *r, const yaml_node *map, config_project *p)
{
    const yaml_node *v = yaml_node_get(map, "repository");
    const char *s = p->repository, *scheme = strstr(s, "://"), *wrong = NULL;
    size_t word = strcspn(s, ":/");
    if (*s == '-' || pl_has_control(s))
        wrong = "is no repository";
    else if (s[word] == ':' && s[word + 1] == ':')
        wrong = "names a helper program; that is not allowed";
    else if (scheme && scheme == s + word)
        wrong = url_wrong(s, scheme + 3);
    else if (s[word] == ':' && (!word || !s[word + 1]))
        wrong = "is not complete";
    if (wrong) {
        yaml_fail(r->errors, v, "\"repository\" %s", wrong);
        return;
    }
    if (s[word] == ':')
        return;
    char *path = config_absolute(r, yaml_node_file(v), s);
    if (path) {
        free(p->repository);
        p->repository = path;
    }
}

/* What a pipeline file of the repository may ask for. */
static void read_allow(config_reader *r, const yaml_node *map, config_project *p)
{
    static const char *const keys[] = {"tags",       "isolation",   "secrets",  "locks",
                                       "max_builds", "max_timeout", "triggers", NULL};
    const yaml_node *v = yaml_node_value(map, "allow"), *list;
    pl_allow *a = &p->allow;
    int64_t builds = 0;
    if (!v ||
        (!yaml_check_keys(v, "\"allow\"", keys, NULL, r->errors) && yaml_node_type(v) != YAML_MAP))
        return;
    pl_get_globs(&r->pl, v, "tags", GLOB_BRANCH, NULL, PL_GLOBS_EMPTY_NULL, &a->tags);
    pl_get_globs(&r->pl, v, "isolation", GLOB_BRANCH, NULL, PL_GLOBS_EMPTY_NULL, &a->isolation);
    if (yaml_get_int(v, "max_builds", 1, PL_BUILDS_MAX, &builds, r->errors))
        a->max_builds = (size_t)builds;
    (void)pl_get_time(&r->pl, v, "max_timeout", PL_SECOND, &a->max_timeout);
    (void)yaml_get_strs(v, "triggers", CONFIG_SECRETS_MAX, &a->triggers.v, &a->triggers.n,
                        r->errors);
    if (yaml_get_strs(v, "locks", CONFIG_SECRETS_MAX, &a->locks.v, &a->locks.n, r->errors) &&
        (list = yaml_node_value(v, "locks")))
        for (size_t i = 0; i < a->locks.n; i++)
            (void)config_may_lock(
                r, yaml_node_type(list) == YAML_LIST ? yaml_node_item(list, i) : list,
                a->locks.v[i]);
    if (yaml_get_strs(v, "secrets", CONFIG_SECRETS_MAX, &a->secrets.v, &a->secrets.n, r->errors) &&
        (list = yaml_node_value(v, "secrets")))
        for (size_t i = 0; i < a->secrets.n; i++)
            (void)config_check_secret(
                r, yaml_node_type(list) == YAML_LIST ? yaml_node_item(list, i) : list,
                a->secrets.v[i]);
}

/* How much one build may leave. */
static void read_artifacts(config_reader *r, const yaml_node *map, config_project *p)
{
    static const char *const keys[] = {"count", "size", NULL};
    const yaml_node *v = yaml_node_value(map, "artifacts");
    int64_t count = 10000;
    p->files_bytes = (uint64_t)4 << 30;
    if (v && (yaml_check_keys(v, "\"artifacts\"", keys, NULL, r->errors) ||
              yaml_node_type(v) == YAML_MAP)) {
        (void)yaml_get_int(v, "count", 0, PW_FILES_MAX, &count, r->errors);
        if (yaml_get_size(v, "size", &p->files_bytes, r->errors) && p->files_bytes > PW_FILE_MAX)
            yaml_fail(r->errors, yaml_node_value(v, "size"), "\"size\" must be at most 1024G");
    }
    p->files_max = (uint64_t)count;
}

static void read_project(config_reader *r, size_t i)
{
    static const char *const sources[] = {"origin", "master", NULL}, *const none[] = {NULL};
    const yaml_node *map = r->projects.v[i];
    config_project *p = &r->c->projects[i];
    int source = 0;
    p->poll = 60 * PL_SECOND;
    if (!yaml_check_keys(map, "a project", project_keys, NULL, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    (void)config_get_name(r, map, &p->name);
    for (size_t k = 0; k < i; k++)
        config_check_unique(r, "project", &r->projects, i, p->name, r->c->projects[k].name, k);
    if (yaml_get_str(map, "repository", true, REPOSITORY_MAX, &p->repository, r->errors))
        check_repository(r, map, p);
    pl_get_globs(&r->pl, map, "branches", GLOB_BRANCH, "*", PL_GLOBS_EMPTY_WRONG, &p->branches);
    pl_get_globs(&r->pl, map, "tags", GLOB_BRANCH, NULL, PL_GLOBS_EMPTY_NONE, &p->tags);
    (void)pl_get_time(&r->pl, map, "poll", PL_SECOND, &p->poll);
    (void)yaml_get_bool(map, "build_first", &p->build_first, r->errors);
    if (pl_get_kind(&r->pl, map, "source", sources, none, &source))
        p->from_master = source == 1;
    if (yaml_get_str(map, "hook_secret", false, 1000, &p->hook_secret, r->errors) && p->hook_secret)
        (void)config_check_secret(r, yaml_node_get(map, "hook_secret"), p->hook_secret);
    read_allow(r, map, p);
    pl_get_pairs(&r->pl, map, "properties", PL_PROPERTIES, NULL, &p->properties, &p->n_properties);
    if (yaml_get_str(map, "pipeline", false, PL_PATH_MAX, &p->pipeline, r->errors) && p->pipeline &&
        !pl_path_ok(p->pipeline))
        yaml_fail(r->errors, yaml_node_get(map, "pipeline"),
                  "\"pipeline\" is the path of a file in the repository, without \"..\"");
    config_read_login(r, map, p->repository, &p->login);
    p->keep_artifacts = 30 * 24 * 3600 * PL_SECOND;
    config_read_retention(r, yaml_node_value(map, "retention"), &p->retention, &p->keep_artifacts);
    read_artifacts(r, map, p);
}

void config_read_projects(config_reader *r)
{
    r->c->projects = pl_alloc(&r->pl, r->projects.n, sizeof(*r->c->projects));
    if (!r->c->projects)
        return;
    r->c->n_projects = r->projects.n;
    for (size_t i = 0; i < r->projects.n; i++)
        read_project(r, i);
}
