#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

#define DEEP 90 /* levels: more than the walk keeps open, twice */

static char dir[] = "/tmp/pawl-tree-XXXXXX";
static int at; /* the open test folder */

static bool exists(const char *name)
{
    struct stat st;

    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool touch(int in, const char *name)
{
    PW_AUTO(pw_closep) int fd = openat(in, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    return fd >= 0;
}

static bool removed(const char *name, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);

    return path && pw_fs_remove_tree(path, err) == 0;
}

static void test_plain(void)
{
    pw_err err = {.code = PW_OK};

    ok(removed("absent", &err), "an absent one is fine");
    ok(touch(at, "file") && removed("file", &err) && !exists("file"), "a file");
    ok(mkdirat(at, "t", 0700) == 0 && mkdirat(at, "t/a", 0700) == 0 &&
           mkdirat(at, "t/b", 0700) == 0,
       "a tree");
    ok(touch(at, "t/x") && touch(at, "t/a/x") && touch(at, "t/b/..x"), "with files");
    ok(removed("t", &err) && !exists("t"), "is removed: %s", err.text);
}

static void test_links(void)
{
    pw_err err = {.code = PW_OK};

    ok(mkdirat(at, "keep", 0700) == 0 && touch(at, "keep/precious"), "a folder elsewhere");
    ok(mkdirat(at, "t", 0700) == 0 && symlinkat("../keep", at, "t/link") == 0 &&
           symlinkat("nowhere", at, "t/dangling") == 0,
       "links to it");
    ok(removed("t", &err) && !exists("t"), "the links are removed");
    ok(exists("keep/precious"), "what they point to is not");
    ok(symlinkat("keep", at, "top") == 0 && removed("top", &err) && !exists("top"),
       "a link as the top");
    ok(exists("keep/precious"), "is not followed either");
}

static void test_forbidding(void)
{
    pw_err err = {.code = PW_OK};

    ok(mkdirat(at, "t", 0700) == 0 && mkdirat(at, "t/ro", 0700) == 0 &&
           mkdirat(at, "t/ro/none", 0700) == 0 && touch(at, "t/ro/none/x"),
       "a tree");
    ok(fchmodat(at, "t/ro/none", 0, 0) == 0 && fchmodat(at, "t/ro", 0500, 0) == 0 &&
           fchmodat(at, "t", 0400, 0) == 0,
       "that forbids everything");
    ok(removed("t", &err) && !exists("t"), "is removed: %s", err.text);
}

static void test_deep(void)
{
    pw_err err = {.code = PW_OK};
    int fd = dup(at), n = 0;

    for (; n < DEEP; n++) {
        int below;
        if (mkdirat(fd, "deep", 0700) < 0 || !touch(fd, "a") || !touch(fd, "z"))
            break;
        below = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (below < 0)
            break;
        (void)close(fd);
        fd = below;
    }
    (void)close(fd);
    ok(n == DEEP, "a deep tree");
    ok(removed("deep", &err) && !exists("deep"), "is removed: %s", err.text);
}

static void test_wide(void)
{
    pw_err err = {.code = PW_OK};
    char name[30];
    bool made = mkdirat(at, "wide", 0700) == 0;

    for (int i = 0; i < 150 && made; i++) {
        (void)snprintf(name, sizeof(name), "wide/%d", i);
        made = i % 3 ? touch(at, name) : mkdirat(at, name, 0700) == 0;
    }
    ok(made, "a wide tree");
    ok(removed("wide", &err) && !exists("wide"), "is removed: %s", err.text);
}

/* As root nothing forbids anything: the same once more without that. */
static void test_as_nobody(void)
{
    if (geteuid() != 0)
        return;
    if (fchown(at, 65534, 65534) < 0 || seteuid(65534) < 0)
        return;
    test_forbidding();
    ok(seteuid(0) == 0, "root again");
}

int main(void)
{
    int rc;

    if (!mkdtemp(dir))
        return 1;
    at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    test_plain();
    test_links();
    test_forbidding();
    test_deep();
    test_wide();
    test_as_nobody();
    (void)close(at);
    rc = pw_fs_remove_tree(dir, NULL);
    if (rc < 0) /* the one time that memory runs out may be here */
        rc = pw_fs_remove_tree(dir, NULL);
    ok(rc == 0 && access(dir, F_OK) < 0, "nothing is left");
    return tap_done();
}
