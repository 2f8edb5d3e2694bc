#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

#define DEEP 1000 /* levels: far more than the walk keeps open */

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

static void test_names(void)
{
    pw_err err = {.code = PW_OK};

    ok(mkdirat(at, "t", 0700) == 0 && touch(at, "t/a\nb") && touch(at, "t/-rf") &&
           touch(at, "t/...") && mkdirat(at, "t/\xff\x01 *", 0700) == 0 &&
           touch(at, "t/\xff\x01 */;"),
       "strange names");
    ok(removed("t", &err) && !exists("t"), "are removed: %s", err.text);
}

static void test_hard(void)
{
    pw_err err = {.code = PW_OK};
    struct stat st;

    ok(mkdirat(at, "t", 0700) == 0 && linkat(at, "keep/precious", at, "t/hard", 0) == 0 &&
           fchmodat(at, "keep/precious", 0640, 0) == 0,
       "a hard link to a file elsewhere");
    ok(removed("t", &err) && fstatat(at, "keep/precious", &st, 0) == 0 && st.st_nlink == 1 &&
           (st.st_mode & 0777) == 0640,
       "the file stays as it was");
}

/* Another process changes a folder for a link all the time. */
static void test_swapped(void)
{
    pw_err err = {.code = PW_OK};
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            (void)mkdirat(at, "t", 0700);
            (void)mkdirat(at, "t/d", 0700);
            (void)touch(at, "t/d/x");
            (void)renameat(at, "t/d", at, "aside");
            (void)!symlinkat("../keep", at, "t/d");
            (void)unlinkat(at, "t/d", 0);
            (void)renameat(at, "aside", at, "t/d");
        }
    }
    for (int i = 0; i < 10; i++) /* it may fail when it is filled again and again: that is told */
        (void)removed("t", &err);
    ok(pid > 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "a race");
    ok(exists("keep/precious"), "is not won");
    ok(removed("t", &err) && removed("aside", &err) && !exists("t"),
       "afterwards it can be removed");
}

static void test_protected(void)
{
    pw_err err = {.code = PW_OK};
    int flags = FS_IMMUTABLE_FL, append = FS_APPEND_FL;
    PW_AUTO(pw_closep) int fd = -1;
    PW_AUTO(pw_closep) int top = -1;

    ok(mkdirat(at, "t", 0700) == 0 && mkdirat(at, "t/d", 0700) == 0 && touch(at, "t/d/f") &&
           touch(at, "t/g"),
       "a tree");
    fd = openat(at, "t/d/f", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
        ok(removed("t", &err), "protected names # SKIP needs root and a file system that has them");
        return;
    }
    top = openat(at, "t/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok(top >= 0 && ioctl(top, FS_IOC_SETFLAGS, &append) == 0,
       "with an immutable file in a folder that only grows");
    ok(removed("t", &err) && !exists("t"), "is removed: %s", err.text);
}

/* A mount in the tree holds somebody else's files. In a namespace of its own, so that nothing
 * stays. */
static void test_mount(void)
{
    int status = -1;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        pw_err err = {.code = PW_OK};
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(77);
        if (chdir(dir) < 0 || mkdir("t", 0700) < 0 || mkdir("t/m", 0700) < 0 ||
            mount("keep", "t/m", NULL, MS_BIND, NULL) < 0)
            _exit(77);
        _exit(!removed("t", &err) && err.code == PW_ESYS && access("t/m/precious", F_OK) == 0 ? 0
                                                                                              : 1);
    }
    (void)waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        ok(true, "a mount in the tree # SKIP needs root");
    else
        ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a mount in the tree is not entered");
    ok(exists("keep/precious") && removed("t", NULL),
       "its files stay, and without it the tree goes");
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
    test_names();
    test_hard();
    test_swapped();
    test_protected();
    test_mount();
    test_as_nobody();
    (void)close(at);
    rc = pw_fs_remove_tree(dir, NULL);
    if (rc < 0) /* the one time that memory runs out may be here */
        rc = pw_fs_remove_tree(dir, NULL);
    ok(rc == 0 && access(dir, F_OK) < 0, "nothing is left");
    return tap_done();
}
