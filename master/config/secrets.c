/* secrets.c - `secrets`: values that stand in files or in the master's environment, never in this
 * configuration's text. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/config/load.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum { READ_MAX = CONFIG_SECRET_MAX + 3 };

static const char *why(char out[100])
{
    return strerror_r(errno, out, 100);
}

/* ---- values */

/* A regular file that only its owner may read. -1: it was told why not. */
static int open_file(config_reader *r, const yaml_node *at, const char *name, const char *path)
{
    char text[100];
    struct stat st;
    /* not blocking: a FIFO would wait for somebody */
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        yaml_fail(r->errors, at, "secret \"%s\": \"%.200s\" cannot be read: %s", name, path,
                  why(text));
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        yaml_fail(r->errors, at, "secret \"%s\": \"%.200s\" is no regular file", name, path);
        return -1;
    }
    if (st.st_mode & 077) {
        yaml_fail(r->errors, at,
                  "secret \"%s\": \"%.200s\" is open to others than its owner (mode %04o): chmod "
                  "600 it, and change the secret if others were there",
                  name, path, (unsigned)st.st_mode & 07777);
        return -1;
    }
    int ret = fd;
    fd = -1;
    return ret;
}

/* Reads at most READ_MAX bytes; -1: it was told why not. */
static ssize_t read_file(config_reader *r, const yaml_node *at, const char *name, char *out)
{
    char text[100];
    size_t n = 0;
    PW_AUTO(pw_freep) char *path = config_beside(yaml_node_file(at), yaml_node_text(at));
    if (!path) {
        r->errors->failed = true;
        return -1;
    }
    PW_AUTO(pw_closep) int fd = open_file(r, at, name, path);
    for (ssize_t got = 1; fd >= 0 && got && n < READ_MAX; n += (size_t)got) {
        got = read(fd, out + n, READ_MAX - n);
        if (got < 0) {
            yaml_fail(r->errors, at, "secret \"%s\": \"%.200s\" cannot be read: %s", name, path,
                      why(text));
            return -1;
        }
    }
    return fd < 0 ? -1 : (ssize_t)n;
}

static ssize_t read_env(config_reader *r, const yaml_node *at, const char *name, char *out)
{
    const char *value = getenv(yaml_node_text(at));
    if (!value) {
        yaml_fail(r->errors, at, "secret \"%s\": the environment of this program has no \"%.100s\"",
                  name, yaml_node_text(at));
        return -1;
    }
    size_t n = strnlen(value, READ_MAX);
    memcpy(out, value, n);
    return (ssize_t)n;
}

static bool blank(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
        i++;
    return i == n;
}

/* The value without the line break behind it, as an object that is wiped when it goes. */
static void keep_value(config_reader *r, const yaml_node *at, config_hidden *s, const char *p,
                       size_t n)
{
    if (n && p[n - 1] == '\n')
        n -= n > 1 && p[n - 2] == '\r' ? 2 : 1;
    if (n < CONFIG_SECRET_MIN) {
        yaml_fail(r->errors, at,
                  "secret \"%s\" is shorter than %d bytes: it could not be masked in logs", s->name,
                  CONFIG_SECRET_MIN);
    } else if (n > CONFIG_SECRET_MAX) {
        yaml_fail(r->errors, at, "secret \"%s\" is longer than %d bytes", s->name,
                  CONFIG_SECRET_MAX);
    } else if (blank(p, n)) {
        yaml_fail(r->errors, at, "secret \"%s\" is nothing but blanks", s->name);
    } else if (memchr(p, '\0', n)) {
        yaml_fail(r->errors, at,
                  "secret \"%s\" has a zero byte in it, which no environment can hold", s->name);
    } else if ((s->p = pl_alloc(&r->pl, n + 1, 1))) {
        memcpy(s->p, p, n);
        s->n = n;
    }
}

static void read_secret(config_reader *r, const yaml_node *key, const yaml_node *map,
                        config_hidden *s)
{
    static const char *const keys[] = {"file", "env", NULL};
    if (!pw_name_ok(s->name)) {
        yaml_fail(r->errors, key,
                  "\"%.100s\" is no name: letters, digits and ._+=,@- only, at most 100, no dot in "
                  "front",
                  s->name);
        return;
    }
    if (yaml_node_type(map) != YAML_MAP) {
        yaml_fail(r->errors, map,
                  "secret \"%s\" must be {file: PATH} or {env: NAME}: values do not stand in this "
                  "file",
                  s->name);
        return;
    }
    if (!yaml_check_map(map, "a secret", keys, r->errors))
        return;
    const yaml_node *file = yaml_node_value(map, "file"), *env = yaml_node_value(map, "env");
    const yaml_node *at = file ? file : env;
    if (!file == !env || !yaml_node_text(at) || !*yaml_node_text(at)) {
        yaml_fail(r->errors, map, "secret \"%s\" must be {file: PATH} or {env: NAME}", s->name);
        return;
    }
    if (r->alone) {
        yaml_fail(r->errors, at, "secret \"%s\" cannot be read here: this text stands alone",
                  s->name);
        return;
    }
    char *value = pl_alloc(&r->pl, READ_MAX, 1);
    if (!value)
        return;
    ssize_t n = file ? read_file(r, at, s->name, value) : read_env(r, at, s->name, value);
    if (n >= 0)
        keep_value(r, at, s, value, (size_t)n);
    explicit_bzero(value, READ_MAX);
    free(value);
}

void config_read_secrets(config_reader *r)
{
    const yaml_node *map = r->secrets;
    if (!map)
        return;
    if (yaml_node_type(map) != YAML_MAP) {
        yaml_fail(r->errors, map,
                  "\"secrets\" must be a mapping of names to {file: PATH} or {env: "
                  "NAME}");
        return;
    }
    size_t n = yaml_node_count(map);
    if (n > CONFIG_SECRETS_MAX) {
        yaml_fail(r->errors, map, "\"secrets\" has more than %d entries", CONFIG_SECRETS_MAX);
        return;
    }
    r->c->secrets = pl_alloc(&r->pl, n, sizeof(*r->c->secrets));
    for (size_t i = 0; r->c->secrets && i < n; i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(map, i, &key);
        config_hidden *s = &r->c->secrets[r->c->n_secrets];
        s->name = pl_copy(&r->pl, yaml_node_text(key));
        if (!s->name)
            return;
        r->c->n_secrets++;
        read_secret(r, key, value, s);
    }
}

const config_hidden *config_secret(const config *self, const char *name)
{
    for (size_t i = 0; i < self->n_secrets; i++)
        if (strcmp(self->secrets[i].name, name) == 0)
            return &self->secrets[i];
    return NULL;
}

void config_hidden_clear(config_hidden *s)
{
    if (s->p)
        explicit_bzero(s->p, s->n);
    free(s->p);
    free(s->name);
}

/* ---- where they are used */

bool config_check_secret(config_reader *r, const yaml_node *at, const char *name)
{
    const config *c = r->c;
    if (config_secret(c, name))
        return true;
    PW_AUTO(pw_freep) const char **names = calloc(c->n_secrets + 1, sizeof(*names));
    for (size_t i = 0; names && i < c->n_secrets; i++)
        names[i] = c->secrets[i].name;
    const char *near = names ? pw_nearest(name, names) : NULL;
    if (near)
        yaml_fail(r->errors, at, "no secret \"%.60s\"; did you mean \"%s\"?", name, near);
    else
        yaml_fail(r->errors, at, "no secret \"%.60s\" in \"secrets\"", name);
    return false;
}

bool config_may_use(void *self, const yaml_node *at, const char *name, size_t *ret_n)
{
    config_reader *r = self;
    if (!config_check_secret(r, at, name))
        return false;
    *ret_n = config_secret(r->c, name)->n;
    return true;
}
