/* Random calls: the same on a virtual disk and on the system's give the same answers; and what a
 * power cut leaves of random writes is of moments that were. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/file.h>

#include "shared/base/fs.h"
#include "tests/sim/disk_fixture.h"

enum { STEPS = 10000, NAMES = 8, OPEN = 4, BYTES = 6000, MOMENTS = 40 };

/* ---- the same calls on both */

static char real_top[] = "/tmp/pawl-sim-XXXXXX";

typedef struct pair {
    int fd[2]; /* ours, the system's */
} pair;
static pair files[OPEN];

static const char *path_at(int which, int n)
{
    static const char *const parts[NAMES] = {"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/f"};
    static char paths[2][2][100];
    static unsigned next;
    char *p = paths[which][next++ % 2];
    (void)snprintf(p, sizeof(paths[0][0]), "%s/%s", which ? real_top : "/sim/0", parts[n]);
    return p;
}

/* What the answer to a step is: the value, or the error. */
static long answer(long rc)
{
    return rc < 0 ? -(long)errno : rc;
}

static long step_name(int which, int op, int a, int b)
{
    static const unsigned how[] = {0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    const char *from = path_at(which, a), *to = path_at(which, b);
    struct stat st;
    switch (op) {
    case 0:
        return answer(mkdir(from, 0700));
    case 1:
        return answer(rmdir(from));
    case 2:
        return answer(unlink(from));
    case 3:
        return answer(renameat2(AT_FDCWD, from, AT_FDCWD, to, how[(a + b) % 3]));
    case 4:
        return stat(from, &st) < 0 ? -(long)errno
               : S_ISREG(st.st_mode)
                   ? (long)(st.st_mode & 0777) << 32 | (long)st.st_size << 2 | (long)st.st_nlink
                   : -1000;
    default:
        return answer(access(from, F_OK));
    }
}

static long step_open(int which, int slot, int name, int flags)
{
    int *fd = &files[slot].fd[which];
    if (*fd >= 0)
        (void)close(*fd);
    *fd = open(path_at(which, name), flags | O_CLOEXEC, 0640);
    return *fd < 0 ? -(long)errno : 0;
}

static long step_file(int which, int op, int fd, size_t n, off_t at)
{
    static char data[BYTES], got[2][BYTES];
    struct stat st;
    uint64_t sum = 0;
    ssize_t r;
    memset(data, 'a' + (int)(at % 26), n);
    switch (op) {
    case 0:
        return answer(pwrite(fd, data, n, at));
    case 1:
        return answer(write(fd, data, n));
    case 2:
        return answer(ftruncate(fd, at));
    case 3: /* positions in folders mean nothing */
        return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : answer(lseek(fd, at, (int)(n % 3)));
    case 4:
        return answer(fchmod(fd, (mode_t)(n & 0777) | 0600));
    case 5:
        return answer(flock(fd, (n % 3 == 0 ? LOCK_UN : n % 3 == 1 ? LOCK_SH : LOCK_EX) | LOCK_NB));
    case 6:
        return answer(fallocate(fd, n % 2 ? FALLOC_FL_KEEP_SIZE : 0, at, (off_t)n));
    default:
        r = op == 7 ? pread(fd, got[which], n, at) : read(fd, got[which], n);
        for (ssize_t i = 0; i < r; i++)
            sum = sum * 31 + (uint8_t)got[which][i];
        return r < 0 ? -(long)errno : (long)(sum & 0xffffff) << 16 | (long)r;
    }
}

static long names_in(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    long sum = 0;
    if (!d)
        return -(long)errno;
    while ((e = readdir(d))) {
        long h = e->d_type;
        for (const char *p = e->d_name; *p; p++)
            h = h * 31 + *p;
        sum += h; /* in any order */
    }
    return closedir(d) == 0 ? sum : -1;
}

static int one_step(uint64_t *s)
{
    static const int modes[] = {O_RDWR | O_CREAT,
                                O_RDONLY,
                                O_WRONLY,
                                O_RDWR | O_CREAT | O_EXCL,
                                O_RDWR | O_CREAT | O_TRUNC,
                                O_RDWR | O_APPEND,
                                O_RDONLY | O_DIRECTORY};
    int kind = (int)pick(s, 8), op = (int)pick(s, 9), a = (int)pick(s, NAMES);
    int b = (int)pick(s, NAMES), slot = (int)pick(s, OPEN);
    size_t n = 1 + (size_t)pick(s, BYTES - 1);
    off_t at = (off_t)pick(s, 3 * BYTES);
    long r[2];
    for (int which = 0; which < 2; which++) {
        if (kind < 2)
            r[which] = step_name(which, op % 6, a, b);
        else if (kind == 2)
            r[which] = step_open(which, slot, a, modes[b % 7]);
        else if (kind == 3)
            r[which] = names_in(path_at(which, op % 2 ? 2 : 5));
        else
            r[which] = step_file(which, op, files[slot].fd[which], n, at);
    }
    if (r[0] == r[1] || (r[0] == -EIO && r[1] == -EIO))
        return 0;
    printf("# kind %d, op %d, names %d %d, n %zu, at %ld: %ld, the system %ld\n", kind, op, a, b, n,
           (long)at, r[0], r[1]);
    return 1;
}

static void test_same(void)
{
    uint64_t s = 11;
    int differ = 0;
    (void)begin(1);
    for (int i = 0; i < OPEN; i++)
        files[i] = (pair){{-1, -1}};
    if (!mkdtemp(real_top))
        abort();
    for (int i = 0; i < STEPS && differ < 5; i++)
        differ += one_step(&s);
    ok(differ == 0, "%d calls, the same answers as the system's", STEPS);
    for (int i = 0; i < OPEN; i++)
        for (int which = 0; which < 2; which++)
            if (files[i].fd[which] >= 0)
                (void)close(files[i].fd[which]);
    ok(pw_fs_remove_tree(real_top, NULL) == 0, "removed");
}

/* ---- power cuts */

typedef struct moment {
    size_t len;
    uint8_t p[3 * BYTES]; /* zeros behind the end */
} moment;
static moment moments[MOMENTS + 1];

/* Random writes and cuts of a length, all moments noted since the last sync. Returns how many. */
static int write_randomly(uint64_t *s, int fd)
{
    int n = 0, steps = 1 + (int)pick(s, MOMENTS - 1);
    for (int i = 0; i < steps; i++) {
        moment *m = &moments[n + 1];
        *m = moments[n];
        size_t size = 1 + (size_t)pick(s, 2000);
        size_t at = (size_t)pick(s, m->len + 1000);
        uint8_t data[2000];
        int op = (int)pick(s, 8);
        if (at + size > sizeof(m->p))
            continue;
        if (op == 0) {
            if (fsync(fd) < 0)
                return -1;
            moments[0] = moments[n];
            n = 0;
            continue;
        }
        if (op == 1) {
            if (ftruncate(fd, (off_t)at) < 0)
                return -1;
            if (at < m->len)
                memset(m->p + at, 0, m->len - at);
            m->len = at;
        } else {
            memset(data, 'a' + (int)pick(s, 26), size);
            if (pwrite(fd, data, size, (off_t)at) != (ssize_t)size)
                return -1;
            memcpy(m->p + at, data, size);
            m->len = m->len > at + size ? m->len : at + size;
        }
        n++;
    }
    return n;
}

/* Whether some moment held these bytes there. */
static bool was(const uint8_t *p, size_t at, size_t size, int n)
{
    for (int i = 0; i <= n; i++)
        if (memcmp(moments[i].p + at, p, size) == 0)
            return true;
    return false;
}

static bool plausible(int n)
{
    uint8_t got[sizeof(moments[0].p) + 1];
    ssize_t len = get("/sim/0/f", got, sizeof(got));
    size_t low = SIZE_MAX, high = 0;
    for (int i = 0; i <= n; i++) {
        low = moments[i].len < low ? moments[i].len : low;
        high = moments[i].len > high ? moments[i].len : high;
    }
    if (len < 0 || (size_t)len < low || (size_t)len > high)
        return false;
    for (size_t at = 0; at < (size_t)len; at += 512) {
        size_t size = (size_t)len - at < 512 ? (size_t)len - at : 512;
        if (!was(got + at, at, size, n))
            return false;
    }
    return true;
}

static void test_cuts(void)
{
    uint64_t s = 5;
    int bad = 0;
    disk_figures f;
    for (int i = 0; i < 400; i++) {
        (void)begin((uint64_t)i);
        memset(&moments[0], 0, sizeof(moments[0]));
        int fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        bad += fsync(fd) < 0;
        int n = write_randomly(&s, fd);
        bad += n < 0 || close(fd) < 0;
        (void)power_cut();
        bad += n >= 0 && !plausible(n);
        (void)power_cut();
        bad += n >= 0 && !plausible(n);
    }
    disk_get_figures(&f);
    ok(bad == 0, "400 power cuts: every sector is of a moment that was");
    ok(f.cuts == 2, "and a second one finds nothing to lose");
}

int main(void)
{
    test_same();
    test_cuts();
    (void)begin(0);
    return tap_done();
}
