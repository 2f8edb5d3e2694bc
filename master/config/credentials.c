/* credentials.c - `credentials` of a project: with what git logs in at its repository. The values
 * are secrets, named here; the known hosts are no secret, and are read with the file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/base/fs.h"
#include "shared/gitlogin/gitlogin.h"

enum { USER_MAX = 200, HOSTS_MAX = 64 * 1024 };

void config_login_clear(config_login *l)
{
    free(l->ssh_key);
    free(l->user);
    free(l->password);
    free(l->known_hosts);
}

bool config_login_given(const config_login *l)
{
    return l->ssh_key || l->password || l->known_hosts;
}

/* Whether any line names a host with its key. */
static bool has_host(const char *s)
{
    for (; *s; s += strcspn(s, "\n"), s += *s == '\n') {
        size_t n = strcspn(s, "\n"), first = strcspn(s, " \t\n");
        size_t gap = strspn(s + first, " \t");
        size_t second = strcspn(s + first + gap, " \t\n");
        if (*s != '#' && first > 0 && second > 0 && first + gap + second < n)
            return true;
    }
    return false;
}

/* A line of such a file has blanks in it, so what has none is a path. */
static void read_hosts(config_reader *r, const yaml_node *map, config_login *l)
{
    const yaml_node *at = yaml_node_get(map, "known_hosts");
    char *given = NULL;
    if (!yaml_get_str(map, "known_hosts", false, HOSTS_MAX, &given, r->errors) || !given)
        return;
    if (strpbrk(given, " \t\n")) {
        l->known_hosts = given;
    } else {
        PW_AUTO(pw_freep) char *path = config_beside(yaml_node_file(at), given);
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(HOSTS_MAX);
        pw_err err = {0};
        char why[100];
        free(given);
        if (!path) {
            r->errors->failed = true;
            return;
        }
        if (r->alone) {
            yaml_fail(r->errors, at, "\"known_hosts\" cannot be read here: this text stands alone");
            return;
        }
        if (pw_fs_read(path, HOSTS_MAX, &b, &err) < 0) {
            yaml_fail(r->errors, at, "\"known_hosts\": \"%.200s\" cannot be read: %s", path,
                      err.code == PW_ENOTFOUND ? "there is no such file"
                      : err.sys                ? strerror_r(err.sys, why, sizeof(why))
                                               : err.text);
            return;
        }
        l->known_hosts = pl_copy(&r->pl, pw_buf_str(&b));
    }
    if (l->known_hosts && !has_host(l->known_hosts))
        yaml_fail(r->errors, at,
                  "\"known_hosts\" has no line of a host, its key's type and its key, as "
                  "\"ssh-keyscan HOST\" prints them");
}

/* The name of a secret whose value has one line. */
static void check_password(config_reader *r, const yaml_node *map, const char *name)
{
    const yaml_node *at = yaml_node_get(map, "password");
    if (!config_check_secret(r, at, name))
        return;
    const config_hidden *s = config_secret(r->c, name);
    if (s->p && strpbrk(s->p, "\r\n"))
        yaml_fail(r->errors, at, "secret \"%.60s\" has several lines: that is no password", name);
}

void config_read_login(config_reader *r, const yaml_node *project, const char *repository,
                       config_login *l)
{
    static const char *const keys[] = {"ssh_key", "user", "password", "known_hosts", NULL};
    const yaml_node *map = yaml_node_value(project, "credentials");
    size_t before = r->errors->told;
    if (!map || yaml_node_type(map) == YAML_NULL)
        return;
    if (!yaml_check_map(map, "\"credentials\"", keys, r->errors))
        return;
    if (yaml_get_str(map, "ssh_key", false, 1000, &l->ssh_key, r->errors) && l->ssh_key)
        (void)config_check_secret(r, yaml_node_get(map, "ssh_key"), l->ssh_key);
    if (yaml_get_str(map, "password", false, 1000, &l->password, r->errors) && l->password)
        check_password(r, map, l->password);
    if (yaml_get_str(map, "user", false, USER_MAX, &l->user, r->errors) && l->user &&
        (!*l->user || pl_has_control(l->user)))
        yaml_fail(r->errors, yaml_node_get(map, "user"), "\"user\" is no name of a user");
    read_hosts(r, map, l);
    if (r->errors->told > before || !repository)
        return;
    if (!l->user != !l->password) {
        yaml_fail(r->errors, map, "\"credentials\" with a \"%s\" need a \"%s\", too",
                  l->user ? "user" : "password", l->user ? "password" : "user");
        return;
    }
    if (!config_login_given(l)) {
        yaml_fail(r->errors, map,
                  "\"credentials\" must be {ssh_key: SECRET} or {user: NAME, password: SECRET}");
        return;
    }
    const gitlogin login = {.user = l->user, .password = l->password, .key = l->ssh_key};
    const char *wrong = gitlogin_wrong(&login, repository);
    if (wrong)
        yaml_fail(r->errors, map, "\"credentials\" %s", wrong);
    else if (l->known_hosts && !gitlogin_is_ssh(repository))
        yaml_fail(r->errors, yaml_node_get(map, "known_hosts"), "\"known_hosts\" is for ssh");
}
