#include "shared/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

static char dir[] = "/tmp/pawl-fs-XXXXXX";

/* A path in the test's folder; one of a few buffers, so that two can be used in one call. */
static const char *in(const char *name)
{
    static char paths[4][300];
    static unsigned next;
    char *p = paths[next++ % 4];

    (void)snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
    return p;
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static bool holds(const char *path, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);

    return pw_fs_read(path, 1000, &b, NULL) == 0 && strcmp(pw_buf_str(&b), want) == 0;
}

static void test_read(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100);
    PW_AUTO(pw_buf_clearp) pw_buf proc = PW_BUF(100000);
    pw_err err = {.code = PW_OK};

    ok(pw_fs_replace(in("f"), "0123456789", 10, 0600, &err) == 0, "written: %s", err.text);
    (void)pw_buf_adds(&b, "x");
    ok(pw_fs_read(in("f"), 9, &b, &err) == PW_ELIMIT && strcmp(pw_buf_str(&b), "x") == 0,
       "a byte too large, nothing is added");
    ok(pw_fs_read(in("f"), 10, &b, &err) == 0 && strcmp(pw_buf_str(&b), "x0123456789") == 0,
       "as large as allowed, appended");
    ok(pw_fs_read(in("none"), 10, &b, &err) == PW_ENOTFOUND && strstr(err.text, "none"), "absent");
    ok(pw_fs_read(dir, 10, &b, &err) == PW_ESYS && err.sys == EISDIR, "a folder is no file");
    pw_buf_clear(&b);
    pw_buf_init(&b, 9);
    ok(pw_fs_read(in("f"), 10, &b, &err) == PW_ELIMIT && b.len == 0 && !b.failed,
       "the buffer's own maximum counts too");
    pw_buf_clear(&b);
    pw_buf_init(&b, 10);
    ok(pw_fs_read(in("f"), 100, &b, &err) == 0 && b.len == 10, "and may be reached");
    ok(pw_fs_read("/proc/self/status", 100000, &proc, &err) == 0 &&
           strncmp(pw_buf_str(&proc), "Name:", 5) == 0,
       "a file whose size is not known");
}

static void test_replace(void)
{
    pw_err err = {.code = PW_OK};
    struct stat st;

    ok(pw_fs_replace(in("r"), "one", 3, 0640, &err) == 0 && holds(in("r"), "one"), "new file");
    ok(stat(in("r"), &st) == 0 && (st.st_mode & 0777) == 0640, "with its mode");
    ok(pw_fs_replace(in("r"), "", 0, 0600, &err) == 0 && holds(in("r"), ""), "replaced by nothing");
    ok(pw_fs_replace(in("no/r"), "x", 1, 0600, &err) == PW_ENOTFOUND, "no folder");
    ok(pw_fs_replace(in(""), "x", 1, 0600, &err) == PW_EINVAL, "no name");
    ok(mkdir(in("rd"), 0700) == 0 && mkdir(in("rd/full"), 0700) == 0, "a folder in the way");
    ok(pw_fs_replace(in("rd/full"), "x", 1, 0600, &err) == PW_ESYS, "is not replaced");
    ok(rmdir(in("rd/full")) == 0 && rmdir(in("rd")) == 0, "and no new file stays beside it");
    ok(chdir(dir) == 0 && pw_fs_replace("bare", "b", 1, 0600, &err) == 0 && holds(in("bare"), "b"),
       "a name without folder");
    ok(chdir("/") == 0, "back");
}

static void test_dirs(void)
{
    pw_err err = {.code = PW_OK};

    ok(pw_fs_mkdirs(in("a/b/c"), 0700, &err) == 0 && exists(in("a/b/c")), "folders: %s", err.text);
    ok(pw_fs_mkdirs(in("a//b/c/"), 0700, &err) == 0, "which exist already");
    ok(pw_fs_mkdirs("/", 0700, &err) == 0 && pw_fs_mkdirs("", 0700, &err) == PW_EINVAL,
       "root, none");
    ok(pw_fs_replace(in("a/file"), "x", 1, 0600, &err) == 0, "a file");
    ok(pw_fs_mkdirs(in("a/file"), 0700, &err) == PW_ECONFLICT, "a file is no folder");
    ok(pw_fs_mkdirs(in("a/file/x"), 0700, &err) < 0, "nor holds one");
    ok(pw_fs_sync_dir(in("a"), &err) == 0 && pw_fs_sync_dir(in("zz"), &err) == PW_ENOTFOUND,
       "sync");
    ok(pw_fs_free(dir) > 0 && pw_fs_free(in("zz")) == -1, "free bytes");
}

static void test_whole(void)
{
    PW_AUTO(pw_closep) int fd = open(in("w"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char got[6] = "";
    pw_err err = {.code = PW_OK};

    ok(pw_fs_write_all(fd, "abcdef", 6, &err) == 0, "written whole");
    ok(pw_fs_pread_all(fd, got, 5, 1, &err) == 0 && memcmp(got, "bcdef", 5) == 0, "read in place");
    ok(pw_fs_pread_all(fd, got, 6, 1, &err) == PW_ECORRUPT, "a file that ends too early");
    ok(pw_fs_write_all(-1, "x", 1, &err) == PW_ESYS && err.sys == EBADF, "no file");
    pw_closep(&fd);
    ok(fd == -1, "closed");
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ok(pw_fs_write_all(fd, "x", 1, &err) == PW_EFULL && err.sys == ENOSPC, "a full disk");
}

static void test_paths(void)
{
    static const char *const bad[] = {"",     "/",    "/a",     "a/",     "a//b", "..",
                                      "../a", "a/..", "a/../b", "a/b/..", "//"};
    static const char *const good[] = {"a", "a/b", "...", "..a", "a..", ".a/b.."};
    char longer[PATH_MAX + 1];
    PW_AUTO(pw_freep) char *path = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pw_err err = {.code = PW_OK};
        path = pw_path_join_beneath("/base", bad[i], &err);
        ok(!path && err.code == PW_EINVAL, "refused: \"%s\"", bad[i]);
        pw_freep(&path);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        path = pw_path_join_beneath("/base", good[i], NULL);
        ok(path && strncmp(path, "/base/", 6) == 0 && strcmp(path + 6, good[i]) == 0, "good: %s",
           good[i]);
        pw_freep(&path);
    }
    memset(longer, 'x', PATH_MAX);
    longer[PATH_MAX] = '\0';
    ok(!pw_path_join_beneath("/base", longer, NULL), "too long");
    path = pw_path_join_beneath("/base", longer + 1, NULL);
    ok(path != NULL, "as long as may be");
    pw_freep(&path);
    path = pw_path_join("/base/", "n");
    ok(path && strcmp(path, "/base/n") == 0, "one slash is enough");
}

static void test_names(void)
{
    char longer[102];

    memset(longer, 'x', 101);
    longer[101] = '\0';
    ok(pw_name_ok("a") && pw_name_ok("Az09._+=,@-") && pw_name_ok("-a"), "good names");
    ok(!pw_name_ok("") && !pw_name_ok(".") && !pw_name_ok("..") && !pw_name_ok(".a"), "dots");
    ok(!pw_name_ok("a/b") && !pw_name_ok("a b") && !pw_name_ok("a\n") && !pw_name_ok("\xc3\xbc"),
       "other bytes");
    ok(!pw_name_ok(longer) && pw_name_ok(longer + 1), "101 and 100 bytes");
}

static void test_beneath(void)
{
    pw_err err = {.code = PW_OK};
    PW_AUTO(pw_closep) int fd = -1;

    ok(pw_fs_mkdirs(in("b/c"), 0700, NULL) == 0 && symlink("c", in("b/l")) == 0,
       "a folder, a link");
    fd = pw_fs_open_beneath(dir, "b/c/new", O_WRONLY | O_CREAT, 0600, &err);
    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "a file beneath: %s", err.text);
    ok(pw_fs_open_beneath(dir, "b/l/new", O_RDONLY, 0, &err) == PW_ESYS, "not through a link");
    ok(pw_fs_open_beneath(dir, "b/l", O_RDONLY, 0, &err) == PW_ESYS, "nor to one");
    ok(pw_fs_open_beneath(dir, "b/c/x", O_RDONLY, 0, &err) == PW_ENOTFOUND &&
           pw_fs_open_beneath(dir, "b/x/y", O_RDONLY, 0, &err) == PW_ENOTFOUND,
       "absent");
    ok(pw_fs_open_beneath(dir, "b/../b", O_RDONLY, 0, &err) == PW_EINVAL &&
           pw_fs_open_beneath(dir, "/b", O_RDONLY, 0, NULL) == PW_EINVAL,
       "names that lead out");
}

static void test_lock(void)
{
    pw_err err = {.code = PW_OK};
    PW_AUTO(pw_closep) int a = pw_fs_lock(in("lock"), &err);
    PW_AUTO(pw_closep) int b = -1;

    ok(a >= 0 && (fcntl(a, F_GETFD) & FD_CLOEXEC), "locked");
    ok(pw_fs_lock(in("lock"), &err) == PW_EAGAIN, "only once");
    pw_closep(&a);
    b = pw_fs_lock(in("lock"), &err);
    ok(b >= 0, "until it is closed");
    pw_closep(&b);
    a = pw_fs_lock_shared(in("lock"), &err);
    b = pw_fs_lock_shared(in("lock"), &err);
    ok(a >= 0 && b >= 0, "many share it");
    pw_closep(&a);
    ok(pw_fs_lock(in("lock"), &err) == PW_EAGAIN, "and nobody has it alone meanwhile");
    pw_closep(&b);
    a = pw_fs_lock(in("lock"), &err);
    ok(a >= 0, "afterwards one has");
    ok(pw_fs_lock(in("zz/lock"), &err) == PW_ENOTFOUND, "no folder");
}

static void test_sweep(void)
{
    pw_err err = {.code = PW_OK};
    const char *kept[] = {"sweep/f", "sweep/.f.abc12", "sweep/.f.abc-12", "sweep/f.abc123",
                          "sweep/..abc123"};
    bool there = true;

    (void)mkdir(in("sweep"), 0700);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        (void)pw_fs_replace(in(kept[i]), "x", 1, 0600, &err);
    (void)pw_fs_replace(in("sweep/.f.abcXY9"), "x", 1, 0600, &err);
    (void)mkdir(in("sweep/.d.abc123"), 0700);
    ok(exists(in("sweep/.f.abcXY9")) && pw_fs_sweep(in("sweep"), &err) == 0 &&
           !exists(in("sweep/.f.abcXY9")),
       "half a replacement is removed: %s", err.text);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        there = there && exists(in(kept[i]));
    ok(there && exists(in("sweep/.d.abc123")), "and nothing else");
    ok(pw_fs_sweep(in("none"), &err) == PW_ENOTFOUND, "a folder that is absent is told");
}

/* The lock is held by a child for a moment, as after its parent was killed. */
static void test_lock_soon(void)
{
    pw_err err = {.code = PW_OK};
    int ready[2], status = 0;
    char c = 0;

    if (pipe(ready) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        int fd = pw_fs_lock(in("soon"), NULL);
        (void)!write(ready[1], "x", 1);
        (void)poll(NULL, 0, 30);
        _exit(fd >= 0 ? 0 : 1);
    }
    (void)!read(ready[0], &c, 1);
    ok(pw_fs_lock(in("soon"), &err) == PW_EAGAIN, "held by another");
    PW_AUTO(pw_closep) int fd = pw_fs_lock_soon(in("soon"), &err);
    ok(fd >= 0, "and let go a moment later: %s", err.text);
    ok(waitpid(pid, &status, 0) == pid && status == 0 &&
           pw_fs_lock_soon(in("soon"), &err) == PW_EAGAIN,
       "one that is kept is told");
    (void)close(ready[0]);
    (void)close(ready[1]);
}

int main(void)
{
    int rc;

    if (!mkdtemp(dir))
        return 1;
    test_read();
    test_sweep();
    test_lock_soon();
    test_replace();
    test_dirs();
    test_whole();
    test_paths();
    test_names();
    test_beneath();
    test_lock();
    rc = pw_fs_remove_tree(dir, NULL);
    if (rc < 0) /* the one time that memory runs out may be here */
        rc = pw_fs_remove_tree(dir, NULL);
    ok(rc == 0 && !exists(dir), "nothing is left");
    return tap_done();
}
