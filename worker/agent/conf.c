#include "worker/agent/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/fs.h"
#include "worker/spool/spool.h"

enum { ADDRESS_MAX = 255, NAME_MAX_BYTES = 200, PATH_BYTES = 4000, KEY_FILE_MAX = 1024 };

static const char *const top_keys[] = {
    "name",      "master",     "key",           "spool",     "slots",     "tags",
    "isolation", "env_pass",   "spool_limit",   "low_disk",  "untrusted", "git",
    "cgroup",    "job_memory", "job_processes", "high_load", "tools",     "cache_limit",
    "users",     "show",       "podman",        NULL};
static const char *const master_keys[] = {"address", "key", NULL};
static const char *const git_keys[] = {"ssh_key", "known_hosts", NULL};

void worker_strs_clear(pw_strs *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (pw_strs){NULL, 0};
}

void worker_conf_clear(worker_conf *c)
{
    free(c->file);
    free(c->name);
    free(c->address);
    free(c->key);
    free(c->spool);
    free(c->ssh_key);
    free(c->known_hosts);
    worker_strs_clear(&c->tags);
    worker_strs_clear(&c->isolation);
    worker_strs_clear(&c->env_pass);
    for (size_t i = 0; i < c->n_tools; i++) {
        free(c->tools[i].name);
        worker_strs_clear(&c->tools[i].argv);
    }
    free(c->tools);
    iso_host_clear(&c->iso);
    memset(c, 0, sizeof(*c));
}

bool worker_word_ok(const char *s)
{
    size_t n = strlen(s);
    if (n < 1 || n > CONF_WORD_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] > '~' || s[i] == ',')
            return false;
    return true;
}

static bool env_name_ok(const char *s)
{
    if (!isalpha((unsigned char)s[0]) && s[0] != '_')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_')
            return false;
    return true;
}

static bool isolation_ok(const char *s)
{
    iso_kind k;
    return iso_kind_parse(s, &k);
}

static bool any_text(const char *s)
{
    return *s != '\0';
}

static bool folder_ok(const char *s)
{
    return s[0] == '/' && s[1] != '\0';
}

/* A list of words; each wrong one is told at its own place. */
static void get_words(const yaml_node *root, const char *key, bool (*good)(const char *),
                      const char *want, pw_strs *out, yaml_errors *errors)
{
    const yaml_node *v = yaml_node_get(root, key);
    if (!v || !yaml_get_strs(root, key, CONF_WORDS_MAX, &out->v, &out->n, errors))
        return;
    for (size_t i = 0; i < out->n; i++) {
        const yaml_node *at = yaml_node_item(v, i);
        if (!good(out->v[i]))
            yaml_fail(errors, at ? at : v, "\"%.60s\" in \"%s\" is not %s", out->v[i], key, want);
    }
}

static bool address_ok(const char *s)
{
    if (strncmp(s, "tcp://", 6) != 0)
        return false;
    const char *colon = strrchr(s + 6, ':');
    if (!colon || colon == s + 6 || !colon[1] || strlen(colon + 1) > 5)
        return false;
    for (const char *p = s; *p; p++)
        if (*p <= ' ' || *p > '~' || *p == ';')
            return false;
    long port = strtol(colon + 1, NULL, 10);
    return strspn(colon + 1, "0123456789") == strlen(colon + 1) && port >= 1 && port <= 65535;
}

static void get_master(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    const yaml_node *m = yaml_node_get(root, "master");
    if (!m) {
        yaml_fail(errors, root, "required key \"master\" is missing");
        return;
    }
    if (yaml_node_type(m) != YAML_MAP) {
        (void)yaml_check_map(m, "\"master\"", master_keys, errors);
        return;
    }
    (void)yaml_check_map(m, "\"master\"", master_keys, errors);
    if (yaml_get_str(m, "address", true, ADDRESS_MAX, &c->address, errors) && c->address &&
        !address_ok(c->address))
        yaml_fail(errors, yaml_node_get(m, "address"),
                  "\"address\" must be like tcp://ci.example.org:9989, not \"%.60s\"", c->address);
    char *key = NULL;
    if (yaml_get_str(m, "key", true, PATH_BYTES, &key, errors) && key &&
        !crypt_unz85(key, c->master_key))
        yaml_fail(errors, yaml_node_get(m, "key"),
                  "\"key\" must be the 40 characters of the master's public key");
    free(key);
}

static void get_git(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    const yaml_node *g = yaml_node_get(root, "git");
    char **const at[] = {&c->ssh_key, &c->known_hosts};
    if (!g || yaml_node_type(g) == YAML_NULL || !yaml_check_map(g, "\"git\"", git_keys, errors))
        return;
    for (int i = 0; i < 2; i++)
        if (yaml_get_str(g, git_keys[i], false, PATH_BYTES, at[i], errors) && *at[i] &&
            strpbrk(*at[i], "'\"\\$%"))
            yaml_fail(errors, yaml_node_get(g, git_keys[i]),
                      "\"%s\": ssh cannot be given a path with a quote, a backslash, $ or %%",
                      git_keys[i]);
}

/* What each job may take, and by which means it is held. */
static void get_limits(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    static const char *const modes[] = {"auto", "require", "off", NULL};
    int mode = CGROUP_AUTO;
    int64_t n = CONF_PROCESSES;
    if (yaml_get_enum(root, "cgroup", modes, &mode, errors))
        c->cgroup = (cgroup_mode)mode;
    if (yaml_get_size(root, "job_memory", &c->limits.memory, errors) && c->limits.memory &&
        c->limits.memory < CONF_MEMORY_MIN)
        yaml_fail(errors, yaml_node_get(root, "job_memory"),
                  "\"job_memory\" must be 0 (no limit) or at least 16M");
    if (yaml_get_int(root, "job_processes", 0, CONF_PROCESSES_MAX, &n, errors) && n &&
        n < CONF_PROCESSES_MIN)
        yaml_fail(errors, yaml_node_get(root, "job_processes"),
                  "\"job_processes\" must be 0 (no limit) or at least %d", CONF_PROCESSES_MIN);
    c->limits.processes = (uint64_t)n;
    c->limits.by_default = yaml_node_get(root, "job_processes") == NULL;
}

static bool tool_name_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n >= 1 && n <= 60 && !s[n];
}

/* `gcc --version`: words, without a shell; a list where a word has blanks. */
static void get_tool(const yaml_node *map, const char *name, conf_tool *t, yaml_errors *errors)
{
    const yaml_node *v = yaml_node_get(map, name);
    pw_strs words = {NULL, 0};
    bool failed = false;
    if (!yaml_get_strs(map, name, CONF_TOOL_ARGS, &words.v, &words.n, errors))
        return;
    if (yaml_node_type(v) == YAML_SCALAR && words.n == 1) {
        t->argv.v = calloc(CONF_TOOL_ARGS + 1, sizeof(char *));
        failed = !t->argv.v;
        for (const char *p = words.v[0] + strspn(words.v[0], " ");
             !failed && *p && t->argv.n < CONF_TOOL_ARGS;) {
            size_t n = strcspn(p, " ");
            t->argv.v[t->argv.n] = strndup(p, n);
            failed = !t->argv.v[t->argv.n++];
            p += n + strspn(p + n, " ");
        }
        worker_strs_clear(&words);
    } else {
        t->argv = words;
    }
    t->name = pw_strdup(name, &failed);
    errors->failed |= failed;
    if (!failed && (!t->argv.n || !t->argv.v[0][0]))
        yaml_fail(errors, v, "the command of tool \"%.60s\" is empty", name);
}

static void get_tools(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    const yaml_node *map = yaml_node_value(root, "tools");
    if (!map)
        return;
    size_t n = yaml_node_count(map);
    if (yaml_node_type(map) != YAML_MAP || n > CONF_TOOLS_MAX) {
        yaml_fail(errors, map,
                  "\"tools\" must be a mapping of at most %d names to commands, as gcc: gcc "
                  "--version",
                  CONF_TOOLS_MAX);
        return;
    }
    c->tools = calloc(n ? n : 1, sizeof(*c->tools));
    errors->failed |= !c->tools;
    for (size_t i = 0; c->tools && i < n; i++) {
        const yaml_node *key = NULL;
        (void)yaml_node_pair(map, i, &key);
        if (!tool_name_ok(yaml_node_text(key)))
            yaml_fail(errors, key, "\"%.60s\" is no name of a tool: 1 to 60 of a-z 0-9 _",
                      yaml_node_text(key));
        else
            get_tool(map, yaml_node_text(key), &c->tools[c->n_tools++], errors);
    }
}

static void get_users(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    pw_strs users = {NULL, 0};
    get_words(root, "users", any_text, "the name of a user, or a range like 70000-70009", &users,
              errors);
    for (size_t i = 0; i < users.n; i++) {
        const yaml_node *list = yaml_node_get(root, "users"), *at = yaml_node_item(list, i);
        pw_err err = {0};
        if (users.v[i][0] && iso_users_add(&c->iso, users.v[i], &err) < 0)
            yaml_fail(errors, at ? at : list, "\"users\": %s", err.text);
    }
    worker_strs_clear(&users);
}

static void get_texts(const yaml_node *root, const char *key, bool (*good)(const char *),
                      const char *want, char ***out, yaml_errors *errors)
{
    pw_strs words = {NULL, 0};
    get_words(root, key, good, want, &words, errors);
    for (size_t i = 0; i < words.n; i++)
        if (iso_list_add(out, words.v[i], NULL) < 0)
            errors->failed = true;
    worker_strs_clear(&words);
}

/* What belongs to isolation, beside the list itself. */
static void get_isolation(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    get_words(root, "isolation", isolation_ok, "one of none, user, bwrap, podman", &c->isolation,
              errors);
    get_users(root, c, errors);
    get_texts(root, "show", folder_ok, "the absolute path of a folder", &c->iso.show, errors);
    get_texts(root, "podman", any_text, "an argument", &c->iso.podman, errors);
}

/* The same as the runner is told it; paths are absolute by now. */
static void settle_isolation(worker_conf *c, yaml_errors *errors)
{
    for (size_t i = c->isolation.n; i-- > 0;) {
        iso_kind k = ISO_NONE;
        if (iso_kind_parse(c->isolation.v[i], &k)) {
            c->iso.offers[k] = true;
            c->iso.first = k;
        }
    }
    if (iso_list_add(&c->iso.hide, c->key ? c->key : "", NULL) < 0 ||
        (c->ssh_key && iso_list_add(&c->iso.hide, c->ssh_key, NULL) < 0))
        errors->failed = true;
}

/* Makes *path absolute against the folder of the file, if it is relative. */
static void resolve(const char *file, char **path, yaml_errors *errors)
{
    const char *slash = strrchr(file, '/');
    if (!*path || **path == '/' || !slash)
        return;
    char *full = pw_strf("%.*s/%s", (int)(slash - file), file, *path);
    if (!full) {
        errors->failed = true;
        return;
    }
    free(*path);
    *path = full;
}

static void fill_defaults(worker_conf *c, yaml_errors *errors)
{
    bool failed = false;
    if (!c->spool)
        c->spool = pw_strdup(CONF_DEFAULT_SPOOL, &failed);
    if (!c->key && c->spool)
        c->key = pw_path_join(c->spool, "worker.key");
    if (!c->isolation.n) {
        worker_strs_clear(&c->isolation);
        c->isolation.v = calloc(1, sizeof(char *));
        if (c->isolation.v && (c->isolation.v[0] = strdup("none")))
            c->isolation.n = 1;
    }
    if (failed || !c->key || !c->isolation.n)
        errors->failed = true;
}

static void get_all(const yaml_node *root, worker_conf *c, yaml_errors *errors)
{
    int64_t slots = 1;
    (void)yaml_check_map(root, "worker.yaml", top_keys, errors);
    if (yaml_get_str(root, "name", true, NAME_MAX_BYTES, &c->name, errors) && c->name)
        for (const char *p = c->name; *p; p++)
            if ((unsigned char)*p < ' ' || *p == 0x7f) {
                yaml_fail(errors, yaml_node_get(root, "name"),
                          "\"name\" holds a control character");
                break;
            }
    get_master(root, c, errors);
    (void)yaml_get_str(root, "key", false, PATH_BYTES, &c->key, errors);
    (void)yaml_get_str(root, "spool", false, PATH_BYTES, &c->spool, errors);
    (void)yaml_get_int(root, "slots", 1, CONF_SLOTS_MAX, &slots, errors);
    c->slots = (uint64_t)slots;
    get_words(root, "tags", worker_word_ok, "a tag: 1 to 100 visible characters without comma",
              &c->tags, errors);
    get_isolation(root, c, errors);
    get_words(root, "env_pass", env_name_ok, "the name of an environment variable", &c->env_pass,
              errors);
    c->spool_limit = 20ULL << 30;
    c->low_disk = 2ULL << 30;
    c->cache_limit = SPOOL_CACHE_LIMIT;
    (void)yaml_get_size(root, "cache_limit", &c->cache_limit, errors);
    (void)yaml_get_size(root, "spool_limit", &c->spool_limit, errors);
    (void)yaml_get_size(root, "low_disk", &c->low_disk, errors);
    (void)yaml_get_bool(root, "untrusted", &c->untrusted, errors);
    int64_t load = 0;
    (void)yaml_get_int(root, "high_load", 0, CONF_LOAD_MAX, &load, errors);
    c->high_load = (uint64_t)load;
    get_limits(root, c, errors);
    get_tools(root, c, errors);
    get_git(root, c, errors);
}

int worker_conf_parse(const char *file, const char *text, size_t n, worker_conf *ret,
                      yaml_errors *errors)
{
    PW_AUTO(yaml_freep) yaml_doc *doc = yaml_parse(file, text, n, errors);
    if (!doc)
        return PW_EINVAL;
    const yaml_node *root = yaml_root(doc);
    worker_conf c = {0};
    if (yaml_node_type(root) == YAML_MAP) {
        get_all(root, &c, errors);
        c.file = pw_strdup(file, &errors->failed);
        resolve(file, &c.key, errors);
        resolve(file, &c.spool, errors);
        resolve(file, &c.ssh_key, errors);
        resolve(file, &c.known_hosts, errors);
        fill_defaults(&c, errors);
        settle_isolation(&c, errors);
    } else {
        (void)yaml_check_map(root, "worker.yaml", top_keys, errors);
    }
    if (errors->n || errors->failed) {
        worker_conf_clear(&c);
        return PW_EINVAL;
    }
    *ret = c;
    return 0;
}

int worker_conf_read(const char *file, worker_conf *ret, yaml_errors *errors, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CONF_FILE_MAX);
    int rc = pw_fs_read(file, CONF_FILE_MAX, &b, err);
    if (rc < 0)
        return rc;
    rc = worker_conf_parse(file, pw_buf_str(&b), b.len, ret, errors);
    return rc < 0 ? pw_fail(err, rc, "%s has errors", file) : 0;
}

static void add_words(pw_buf *b, const char *key, const pw_strs *words)
{
    (void)pw_buf_addf(b, "%s: [", key);
    for (size_t i = 0; i < words->n; i++) {
        (void)pw_buf_adds(b, i ? ", " : "");
        (void)pw_buf_json(b, words->v[i]);
    }
    (void)pw_buf_adds(b, "]\n");
}

int worker_conf_text(const worker_conf *c, pw_buf *b)
{
    char key[CRYPT_Z85];
    crypt_z85(c->master_key, key);
    (void)pw_buf_adds(b,
                      "# written by `pawl-worker join`; all keys stand in docs/worker.md\nname: ");
    (void)pw_buf_json(b, c->name);
    (void)pw_buf_adds(b, "\nmaster:\n  address: ");
    (void)pw_buf_json(b, c->address);
    (void)pw_buf_adds(b, "\n  key: ");
    (void)pw_buf_json(b, key);
    (void)pw_buf_adds(b, "\nkey: ");
    (void)pw_buf_json(b, c->key);
    (void)pw_buf_adds(b, "\nspool: ");
    (void)pw_buf_json(b, c->spool);
    (void)pw_buf_addf(b, "\nslots: %llu\n", (unsigned long long)c->slots);
    add_words(b, "tags", &c->tags);
    return b->failed ? PW_ENOMEM : 0;
}

/* ---- the key pair */

static bool key_line(const char **p, uint8_t key[CRYPT_KEY])
{
    char line[CRYPT_Z85];
    size_t n = strcspn(*p, "\r\n");
    if (n != CRYPT_Z85 - 1)
        return false;
    memcpy(line, *p, n);
    line[n] = '\0';
    *p += n + strspn(*p + n, "\r\n");
    return crypt_unz85(line, key);
}

int worker_key_read(const char *file, uint8_t pub[CRYPT_KEY], uint8_t sec[CRYPT_KEY], pw_err *err)
{
    struct stat st;
    if (stat(file, &st) < 0)
        return errno == ENOENT
                   ? pw_fail(err, PW_ENOTFOUND,
                             "there is no key file %s (`pawl-worker join` makes it)", file)
                   : pw_fail_sys(err, "looking at the key file %s", file);
    if (st.st_mode & 077)
        return pw_fail(err, PW_EDENIED, "the key file %s may be read by others; chmod 600 it",
                       file);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(KEY_FILE_MAX);
    int rc = pw_fs_read(file, KEY_FILE_MAX, &b, err);
    if (rc < 0)
        return rc;
    uint8_t p[CRYPT_KEY], s[CRYPT_KEY], check[CRYPT_KEY];
    const char *text = pw_buf_str(&b);
    bool good = key_line(&text, p) && key_line(&text, s) && !*text;
    if (good) {
        crypt_public(s, check);
        good = crypt_equal(p, check, CRYPT_KEY);
    }
    if (!good)
        return pw_fail(err, PW_ECORRUPT, "the key file %s holds no key pair", file);
    memcpy(pub, p, CRYPT_KEY);
    memcpy(sec, s, CRYPT_KEY);
    return 0;
}

int worker_key_make(const char *file, uint8_t pub[CRYPT_KEY], uint8_t sec[CRYPT_KEY], pw_err *err)
{
    uint8_t p[CRYPT_KEY], s[CRYPT_KEY];
    char text[2 * CRYPT_Z85];
    crypt_keypair(p, s);
    crypt_z85(p, text);
    text[CRYPT_Z85 - 1] = '\n';
    crypt_z85(s, text + CRYPT_Z85);
    text[2 * CRYPT_Z85 - 1] = '\n';
    int rc = pw_fs_replace(file, text, sizeof(text), 0600, err);
    if (rc < 0)
        return rc;
    memcpy(pub, p, CRYPT_KEY);
    memcpy(sec, s, CRYPT_KEY);
    return 0;
}
