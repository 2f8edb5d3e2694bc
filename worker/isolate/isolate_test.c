#include "worker/isolate/isolate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

static void words(void)
{
    static const struct {
        const char *text;
        bool good;
        iso_kind kind;
        const char *image;
    } rows[] = {
        {"none", true, ISO_NONE, NULL},
        {"user", true, ISO_USER, NULL},
        {"bwrap", true, ISO_BWRAP, NULL},
        {"podman:debian:12", true, ISO_PODMAN, "debian:12"},
        {"podman", false, ISO_NONE, NULL},
        {"podman:", false, ISO_NONE, NULL},
        {"podman:--privileged", false, ISO_NONE, NULL},
        {"podman:a b", false, ISO_NONE, NULL},
        {"bwrap:x", false, ISO_NONE, NULL},
        {"", false, ISO_NONE, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        iso_kind k = ISO_NONE;
        const char *image = NULL;
        bool good = iso_parse(rows[i].text, &k, &image) == rows[i].good && k == rows[i].kind;
        ok(good &&
               (image && rows[i].image ? !strcmp(image, rows[i].image) : image == rows[i].image),
           "\"%s\"", rows[i].text);
    }
}

static void users(void)
{
    static const char *const bad[] = {"root",        "0",           "65534",     "70000-69999",
                                      "70000-90000", "nobody",      "70001",     "no-such-user-x",
                                      "-5",          "70000-7000x", "4294967295"};
    iso_host h = {0};
    pw_err err = {0};
    ok(iso_users_add(&h, "70000-70002", &err) == 0 && h.n_users == 3 && h.users[2].uid == 70002 &&
           h.users[2].gid == 70002 && !strcmp(h.users[2].name, "70002"),
       "a range");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = (pw_err){0};
        ok(iso_users_add(&h, bad[i], &err) == PW_EINVAL && h.n_users == 3, "\"%s\": %s", bad[i],
           err.text);
    }
    ok(iso_user_parse(&h, "70010:70011:pawl1", &err) == 0 && h.users[3].gid == 70011 &&
           !strcmp(h.users[3].name, "pawl1"),
       "as the runner is told");
    ok(iso_user_parse(&h, "70012:70011", &err) < 0 && iso_user_parse(&h, "x:1:y", &err) < 0 &&
           iso_user_parse(&h, "0:0:root", &err) < 0 && h.n_users == 4,
       "nothing else");
    iso_host_clear(&h);
}

/* Where in the list stand these words, one after the other; -1: nowhere. */
static int at(char *const *list, const char *a, const char *b, const char *c)
{
    for (int i = 0; list && list[i]; i++)
        if (!strcmp(list[i], a) && (!b || (list[i + 1] && !strcmp(list[i + 1], b))) &&
            (!c || (list[i + 1] && list[i + 2] && !strcmp(list[i + 2], c))))
            return i;
    return -1;
}

static void commands(void)
{
    static const char *const argv[] = {"/bin/sh", "-c", "x", NULL};
    static const char *const env[] = {"PATH=/bin", "TOKEN=hidden", NULL};
    char mirror[] = "/", *read[] = {mirror, NULL};
    iso_host h = {0};
    pw_err err = {0};
    PW_AUTO(iso_list_freep) char **l = NULL;
    PW_AUTO(iso_list_freep) char **m = NULL;
    (void)iso_list_add(&h.hide, "/etc/passwd", NULL); /* a key that lies where all may look */
    (void)iso_list_add(&h.hide, "/nowhere/key", NULL);
    (void)iso_list_add(&h.show, "/srv", NULL);
    iso_place p = {.kind = ISO_BWRAP,
                   .spool = "/srv/spool",
                   .workdir = "/srv/spool/work/1",
                   .tmpdir = "/srv/spool/work/1.tmp",
                   .home = "/usr",
                   .read = read,
                   .name = "pawl-x"};
    ok(iso_command(&h, &p, argv, "/srv/spool/work/1/sub", env, 7, &l, &err) == 0, "bwrap");
    int work = at(l, "--bind", p.workdir, p.workdir), spool = at(l, "--tmpfs", p.spool, NULL);
    int shown = at(l, "--ro-bind-try", "/srv", "/srv"), end = at(l, "--remount-ro", "/", "--chdir");
    ok(shown >= 0 && shown < spool && spool < work && work < end,
       "a folder that is shown does not show the spool, but the work directory");
    ok(at(l, "--tmpfs", "/usr", NULL) >= 0, "nor the agent's home");
    ok(at(l, "--ro-bind", "/dev/null", "/etc/passwd") >= 0 && at(l, "/nowhere/key", NULL, NULL) < 0,
       "keys are covered where they could be seen");
    ok(at(l, "--bind", p.tmpdir, "/tmp") >= 0 && at(l, "--unshare-net", NULL, NULL) < 0 &&
           at(l, "--json-status-fd", "7", NULL) > end && at(l, "--", "/bin/sh", "-c") > end,
       "its own /tmp; the network; the command last");
    p.no_network = true;
    p.kind = ISO_PODMAN;
    p.image = "debian:12";
    ok(iso_command(&h, &p, argv, "/srv/spool/work/1", env, -1, &m, &err) == 0 &&
           at(m, "--network", "none", NULL) > 0 && at(m, "debian:12", "/bin/sh", "-c") > 0 &&
           at(m, "--env", "TOKEN", NULL) > 0 && at(m, "--env", "PATH", NULL) < 0,
       "podman: names of the environment, no values");
    bool told = false;
    for (char **s = m; s && *s; s++)
        told = told || strstr(*s, "hidden");
    ok(!told, "a value is no argument");
    iso_host_clear(&h);
}

static bool make(const char *dir, const char *name, char **ret)
{
    *ret = pw_path_join(dir, name);
    int fd = *ret ? open(*ret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    return fd >= 0 && close(fd) == 0;
}

static void given(void)
{
    char dir[] = "/tmp/pawl-isolate-test.XXXXXX";
    PW_AUTO(pw_freep) char *a = NULL;
    PW_AUTO(pw_freep) char *b = NULL;
    PW_AUTO(pw_freep) char *link_to = NULL;
    iso_host h = {0};
    pw_err err = {0};
    struct stat st;
    if (geteuid() != 0 || !mkdtemp(dir))
        return;
    ok(iso_users_add(&h, "71990-71991", &err) == 0 && make(dir, "a", &a) && make(dir, "b", &b) &&
           (link_to = pw_path_join(dir, "l")) && symlink("/etc/hostname", link_to) == 0,
       "a folder");
    ok(iso_give(&h, dir, &h.users[0], &err) == 0 && a && lstat(a, &st) == 0 && st.st_uid == 71990 &&
           lstat(dir, &st) == 0 && st.st_uid == 71990,
       "is given: %s", err.text);
    ok(link_to && lstat(link_to, &st) == 0 && st.st_uid == 71990 &&
           stat("/etc/hostname", &st) == 0 && st.st_uid == 0,
       "a link, not what it leads to");
    ok(iso_give(&h, dir, &h.users[1], &err) == 0 && a && lstat(a, &st) == 0 && st.st_uid == 71991,
       "to the next user");
    ok(a && chown(a, 71995, 71995) == 0 && iso_give(&h, dir, &h.users[0], &err) == PW_EDENIED,
       "not what is a stranger's: %s", err.text);
    ok(a && chown(a, 0, 0) == 0 && b && unlink(b) == 0 && link(a, b) == 0 &&
           iso_give(&h, dir, &h.users[0], &err) == PW_EDENIED && lstat(a, &st) == 0 &&
           st.st_uid == 0,
       "nor what has another name: %s", err.text);
    (void)pw_fs_remove_tree(dir, NULL);
    iso_host_clear(&h);
}

static void taken(void)
{
    char dir[] = "/tmp/pawl-isolate-test.XXXXXX";
    iso_host h = {0};
    pw_err err = {0};
    const iso_user *one = NULL, *two = NULL, *three = NULL;
    if (geteuid() != 0 || !mkdtemp(dir))
        return;
    (void)iso_users_add(&h, "71990-71991", &err);
    PW_AUTO(pw_closep) int a = iso_user_take(&h, dir, 71991, &one, &err);
    PW_AUTO(pw_closep) int b = iso_user_take(&h, dir, 71991, &two, &err);
    int c = iso_user_take(&h, dir, 0, &three, &err);
    ok(a >= 0 && one->uid == 71991 && b >= 0 && two->uid == 71990, "the one that is preferred");
    ok(c == PW_EAGAIN && !three && strstr(err.text, "are taken"), "none is taken twice");
    pw_closep(&a);
    a = iso_user_take(&h, dir, 0, &three, &err);
    ok(a >= 0 && three->uid == 71991, "one that is free again");
    (void)pw_fs_remove_tree(dir, NULL);
    iso_host_clear(&h);
}

int main(void)
{
    words();
    users();
    commands();
    given();
    taken();
    return tap_done();
}
