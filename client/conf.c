#include "client/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/client.h"
#include "shared/base/fs.h"

void client_conf_clear(client_conf *c)
{
    free(c->url);
    free(c->token_file);
    *c = (client_conf){0};
}

static bool blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}

static void trim(const char **p, size_t *n)
{
    while (*n && blank(**p)) {
        ++*p;
        --*n;
    }
    while (*n && blank((*p)[*n - 1]))
        --*n;
}

/* One line without its end. */
static int line(const char *file, size_t number, const char *p, size_t n, const char *home,
                client_conf *c, pw_err *err)
{
    trim(&p, &n);
    if (!n || *p == '#')
        return 0;
    if (memchr(p, '\0', n))
        return pw_fail(err, PW_EINVAL, "%s:%zu: this is not a text file", file, number);
    const char *eq = memchr(p, '=', n);
    if (!eq)
        return pw_fail(err, PW_EINVAL, "%s:%zu: a line is `key = value`", file, number);
    const char *key = p, *value = eq + 1;
    size_t key_n = (size_t)(eq - p), value_n = n - key_n - 1;
    trim(&key, &key_n);
    trim(&value, &value_n);
    bool url = key_n == 3 && memcmp(key, "url", 3) == 0;
    if (!url && !(key_n == 10 && memcmp(key, "token-file", 10) == 0))
        return pw_fail(err, PW_EINVAL, "%s:%zu: unknown key \"%.*s\"; there are url and token-file",
                       file, number, (int)(key_n < 60 ? key_n : 60), key);
    char **slot = url ? &c->url : &c->token_file;
    if (!value_n)
        return pw_fail(err, PW_EINVAL, "%s:%zu: no value", file, number);
    if (*slot)
        return pw_fail(err, PW_EINVAL, "%s:%zu: given twice", file, number);
    bool in_home = !url && home && value_n > 1 && value[0] == '~' && value[1] == '/';
    *slot =
        in_home ? pw_strf("%s%.*s", home, (int)value_n - 1, value + 1) : strndup(value, value_n);
    return *slot ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

int client_conf_parse(const char *file, const char *text, size_t n, const char *home,
                      client_conf *ret, pw_err *err)
{
    client_conf c = {0};
    size_t number = 1;
    if (n > CONF_FILE_MAX)
        return pw_fail(err, PW_ELIMIT, "%s: larger than %d bytes", file, CONF_FILE_MAX);
    for (const char *p = text, *end = text + n; p < end; number++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
        int rc = line(file, number, p, len, home, &c, err);
        if (rc < 0) {
            client_conf_clear(&c);
            return rc;
        }
        p += len + (nl != NULL);
    }
    *ret = c;
    return 0;
}

int client_line_read(const char *path, char **ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CONF_TOKEN_MAX);
    int rc = pw_fs_read(path, CONF_TOKEN_MAX, &b, err);
    if (rc < 0)
        return rc;
    size_t n = strcspn(pw_buf_str(&b), "\r\n");
    if (!n)
        return pw_fail(err, PW_EINVAL, "%s: the first line is empty", path);
    *ret = strndup(pw_buf_str(&b), n);
    return *ret ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

static int token_read(const char *path, char **ret, pw_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return pw_fail_sys(err, "reading the token file %s", path);
    if (st.st_mode & 077)
        return pw_fail(err, PW_EDENIED,
                       "reading the token file %s: others may read it; run `chmod 600 %s`", path,
                       path);
    return client_line_read(path, ret, err);
}

static int read_file(const client_place *p, client_conf *c, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CONF_FILE_MAX);
    int rc = p->config ? pw_fs_read(p->config, CONF_FILE_MAX, &b, err) : PW_ENOTFOUND;
    if (rc == PW_ENOTFOUND)
        return 0;
    return rc < 0 ? rc : client_conf_parse(p->config, pw_buf_str(&b), b.len, p->home, c, err);
}

/* A line of a file in the state directory. */
static int state_line(const char *state, const char *name, bool secret, char **ret, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(state, name);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return secret ? token_read(path, ret, err) : client_line_read(path, ret, err);
}

static int choose(const client_place *p, const client_conf *c, char **url, char **token,
                  pw_err *err)
{
    bool failed = false;
    int rc = 0;
    if (p->url) {
        *url = pw_strdup(p->url, &failed);
    } else if (p->state) {
        rc = state_line(p->state, "web.addr", false, url, err);
        if (rc == PW_ENOTFOUND)
            return pw_fail(err, rc,
                           "finding the master: there is no %s/web.addr; does a master run there?",
                           p->state);
    } else {
        *url = pw_strdup(p->env_url ? p->env_url : c->url ? c->url : CLIENT_DEFAULT_URL, &failed);
    }
    if (rc < 0)
        return rc;
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (p->token_file)
        return token_read(p->token_file, token, err);
    if (p->state)
        return state_line(p->state, "admin.token", true, token, err);
    if (c->token_file && (!c->url || strcmp(c->url, *url) == 0))
        return token_read(c->token_file, token, err);
    return 0;
}

int client_conf_choose(const client_place *p, char **ret_url, char **ret_token, pw_err *err)
{
    client_conf c = {0};
    PW_AUTO(pw_freep) char *url = NULL;
    PW_AUTO(pw_freep) char *token = NULL;
    int rc = read_file(p, &c, err);
    if (rc == 0)
        rc = choose(p, &c, &url, &token, err);
    client_conf_clear(&c);
    if (rc < 0)
        return rc;
    *ret_url = pw_take(url);
    *ret_token = pw_take(token);
    return 0;
}
