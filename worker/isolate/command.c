/* command.c - the commands that enter an isolation. What they show is listed, not what they hide:
 * a folder that nobody thought of is not there. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "worker/isolate/isolate.h"

typedef struct args {
    char ***list;
    pw_err *err;
    int rc;
} args;

static void add(args *a, const char *text)
{
    if (a->rc == 0)
        a->rc = iso_list_add(a->list, text, a->err);
}

static void add2(args *a, const char *one, const char *two)
{
    add(a, one);
    add(a, two);
}

static void add3(args *a, const char *one, const char *two, const char *three)
{
    add2(a, one, two);
    add(a, three);
}

/* The same path inside as outside. */
static void show(args *a, const char *how, const char *path)
{
    add3(a, how, path, path);
}

static bool below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

/* /bin and its like: links into /usr on most systems, folders on others. */
static void add_root(args *a, const char *path)
{
    char to[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) < 0)
        return;
    ssize_t n = S_ISLNK(st.st_mode) ? readlink(path, to, sizeof(to) - 1) : 0;
    if (n > 0) {
        to[n] = '\0';
        add3(a, "--symlink", to, path);
    } else if (S_ISDIR(st.st_mode)) {
        show(a, "--ro-bind", path);
    }
}

static void system_folders(args *a)
{
    static const char *const roots[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    char to[PATH_MAX];
    show(a, "--ro-bind", "/usr");
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        add_root(a, roots[i]);
    show(a, "--ro-bind", "/etc");
    show(a, "--ro-bind-try", "/opt");
    show(a, "--ro-bind-try", "/nix");
    /* a resolver that writes its file elsewhere */
    if (realpath("/etc/resolv.conf", to) && !below(to, "/etc"))
        show(a, "--ro-bind-try", to);
}

static bool shown(const iso_host *h, const char *path)
{
    static const char *const fixed[] = {"/usr", "/etc", "/opt", "/nix"};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (below(path, fixed[i]))
            return true;
    for (size_t i = 0; h->show && h->show[i]; i++)
        if (below(path, h->show[i]))
            return true;
    return false;
}

/* Folders of a list that would lead to what is hidden are covered again. */
static void cover(args *a, const iso_host *h, const iso_place *p)
{
    if (shown(h, p->spool))
        add2(a, "--tmpfs", p->spool);
    if (p->home && *p->home == '/' && p->home[1] && shown(h, p->home) && access(p->home, F_OK) == 0)
        add2(a, "--tmpfs", p->home);
    for (size_t i = 0; h->hide && h->hide[i]; i++)
        if (shown(h, h->hide[i]) && !below(h->hide[i], p->spool) && access(h->hide[i], F_OK) == 0)
            add3(a, "--ro-bind", "/dev/null", h->hide[i]);
}

static void bwrap(args *a, const iso_host *h, const iso_place *p, const char *dir, int status_fd)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", status_fd);
    add(a, "bwrap");
    add2(a, "--unshare-pid", "--unshare-ipc");
    add2(a, "--unshare-uts", "--unshare-cgroup-try");
    if (p->no_network)
        add(a, "--unshare-net");
    system_folders(a);
    for (size_t i = 0; h->show && h->show[i]; i++)
        show(a, "--ro-bind-try", h->show[i]);
    cover(a, h, p);
    add2(a, "--proc", "/proc");
    add2(a, "--dev", "/dev");
    /* one place for what is temporary, on the disk, and gone with the job */
    add3(a, "--bind", p->tmpdir, "/tmp");
    add3(a, "--bind", p->tmpdir, "/var/tmp");
    for (size_t i = 0; p->read && p->read[i]; i++)
        show(a, "--ro-bind-try", p->read[i]);
    show(a, "--bind", p->workdir);
    show(a, "--bind", p->tmpdir);
    add2(a, "--remount-ro", "/");
    add2(a, "--chdir", dir);
    if (status_fd >= 0)
        add2(a, "--json-status-fd", number);
    add(a, "--");
}

static void mount(args *a, const char *from, const char *to, const char *how)
{
    PW_AUTO(pw_freep) char *text = pw_strf("%s:%s:%s", from, to, how);
    if (!text) {
        a->rc = a->rc ? a->rc : pw_fail(a->err, PW_ENOMEM, "out of memory");
        return;
    }
    add2(a, "--volume", text);
}

/* Values of the environment go by podman's own: an argument is seen by all. */
static void podman(args *a, const iso_host *h, const iso_place *p, const char *dir,
                   const char *const *env)
{
    add2(a, "podman", "run");
    for (size_t i = 0; h->podman && h->podman[i]; i++)
        add(a, h->podman[i]);
    add3(a, "--rm", "--name", p->name);
    add2(a, "--log-driver", "none");
    add2(a, "--entrypoint", "");
    if (p->tty)
        add(a, "--tty");
    if (p->no_network)
        add2(a, "--network", "none");
    mount(a, p->workdir, p->workdir, "rw");
    mount(a, p->tmpdir, p->tmpdir, "rw");
    mount(a, p->tmpdir, "/tmp", "rw");
    for (size_t i = 0; p->read && p->read[i]; i++)
        if (access(p->read[i], F_OK) == 0)
            mount(a, p->read[i], p->read[i], "ro");
    add2(a, "--workdir", dir);
    for (size_t i = 0; env && env[i]; i++) {
        size_t n = strcspn(env[i], "=");
        PW_AUTO(pw_freep) char *name = strndup(env[i], n);
        /* the image has its own programs in its own places */
        if (name && strcmp(name, "PATH") != 0)
            add2(a, "--env", name);
        else if (!name)
            a->rc = a->rc ? a->rc : pw_fail(a->err, PW_ENOMEM, "out of memory");
    }
    add(a, p->image);
}

int iso_command(const iso_host *h, const iso_place *p, const char *const *argv, const char *dir,
                const char *const *env, int status_fd, char ***ret, pw_err *err)
{
    PW_AUTO(iso_list_freep) char **list = NULL;
    args a = {&list, err, 0};
    if (p->kind == ISO_BWRAP)
        bwrap(&a, h, p, dir, status_fd);
    else if (p->kind == ISO_PODMAN)
        podman(&a, h, p, dir, env);
    for (; *argv; argv++)
        add(&a, *argv);
    if (a.rc == 0)
        *ret = pw_take(list);
    return a.rc;
}
