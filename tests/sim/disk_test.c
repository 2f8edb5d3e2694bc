/* The contract of the virtual disk, line by line, by the calls that programs make. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "tests/sim/disk_fixture.h"

enum { SEEDS = 300 };

/* ---- what a power cut may do to bytes */

/* Four sectors of 'o', synced; 'n' over them, not synced. How many are new; -1: one is neither. */
static int new_sectors(uint64_t seed, bool sync)
{
    char old[2048], now[2048], got[4096];
    int n = 0;
    (void)begin(seed);
    memset(old, 'o', sizeof(old));
    memset(now, 'n', sizeof(now));
    if (!put_at("/sim/0/f", old, sizeof(old), 0, true) ||
        !put_at("/sim/0/f", now, sizeof(now), 0, sync))
        return -1;
    (void)power_cut();
    if (get("/sim/0/f", got, sizeof(got)) != (ssize_t)sizeof(old))
        return -1;
    for (size_t s = 0; s < 4; s++) {
        const char *p = got + 512 * s;
        if (memcmp(p, now, 512) == 0)
            n++;
        else if (memcmp(p, old, 512) != 0)
            return -1;
    }
    return n;
}

static void test_writes(void)
{
    int seen[5] = {0}, bad = 0, lost = 0;
    disk_figures f;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int n = new_sectors(seed, false);
        bad += n < 0;
        seen[n < 0 ? 0 : n]++;
        lost += new_sectors(seed, true) != 4;
    }
    disk_get_figures(&f);
    ok(bad == 0, "each sector is as before or as after");
    ok(seen[0] && seen[1] && seen[2] && seen[3] && seen[4], "any number of them is kept");
    ok(lost == 0, "what was synced is kept");
    ok(f.cuts == 1 && f.writes == 2 && f.syncs == 2 && f.bytes == 4096, "figures of a history");
}

/* Three writes to one sector: it is of some moment, never of the last without the first. */
static void test_sector_moments(void)
{
    int seen[4] = {0}, bad = 0;
    static const char *const moments[] = {"aaa", "baa", "bca", "bcd"};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int hit = -1;
        (void)begin(seed);
        if (!put("/sim/0/f", "aaa", true) || !put_at("/sim/0/f", "b", 1, 0, false) ||
            !put_at("/sim/0/f", "c", 1, 1, false) || !put_at("/sim/0/f", "d", 1, 2, false))
            bad++;
        (void)power_cut();
        for (int i = 0; i < 4; i++)
            if (holds("/sim/0/f", moments[i]))
                hit = i;
        if (hit < 0)
            bad++;
        else
            seen[hit]++;
    }
    ok(bad == 0 && seen[0] && seen[1] && seen[2] && seen[3], "a sector is of one moment");
}

static void test_lengths(void)
{
    int bad = 0, holes = 0, cut = 0, whole = 0;
    char got[4096], zero[512] = {0}, x[1500];
    memset(x, 'x', sizeof(x));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        (void)begin(seed);
        if (!put("/sim/0/f", "", true) || !put_at("/sim/0/f", x, sizeof(x), 0, false))
            bad++;
        (void)power_cut();
        ssize_t n = get("/sim/0/f", got, sizeof(got));
        bad += n != 0 && n != 512 && n != 1024 && n != 1500;
        cut += n == 512 || n == 1024;
        bool all = true;
        for (ssize_t at = 0; at < n; at += 512) {
            size_t size = n - at < 512 ? (size_t)(n - at) : 512;
            bool hole = memcmp(got + at, zero, size) == 0;
            bad += !hole && memcmp(got + at, x, size) != 0;
            holes += hole;
            all = all && !hole;
        }
        whole += n == 1500 && all;
    }
    ok(bad == 0, "the length follows what was kept");
    ok(cut && holes && whole, "short files, files with holes of zeros, whole files");
}

static void test_truncate(void)
{
    int seen[4] = {0}, bad = 0;
    char a[1024];
    memset(a, 'a', sizeof(a));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        char got[2048];
        (void)begin(seed);
        int fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (write(fd, a, sizeof(a)) != 1024 || fsync(fd) < 0 || ftruncate(fd, 3) < 0 ||
            pwrite(fd, "bb", 2, 3) != 2)
            bad++;
        (void)close(fd);
        (void)power_cut();
        ssize_t n = get("/sim/0/f", got, sizeof(got));
        if (n == 1024 && memcmp(got, a, 1024) == 0)
            seen[0]++;
        else if (n == 3 && memcmp(got, "aaa", 3) == 0)
            seen[1]++;
        else if (n == 5 && memcmp(got, "aaabb", 5) == 0)
            seen[2]++;
        else
            bad++;
    }
    ok(bad == 0 && seen[0] && seen[1] && seen[2], "a cut of the length, and what came after it");
    (void)begin(1);
    int fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char got[8] = "........";
    ok(write(fd, a, 600) == 600 && ftruncate(fd, 2) == 0 && ftruncate(fd, 5) == 0 &&
           pread(fd, got, 8, 0) == 5 && memcmp(got, "aa\0\0\0...", 8) == 0,
       "longer again: zeros");
    ok(close(fd) == 0, "closed");
}

/* ---- what a power cut may do to names */

static void test_new_names(void)
{
    int seen[4] = {0}, bad = 0, lost = 0, above = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        (void)begin(seed);
        bad += !put("/sim/0/a", "", false) || !put("/sim/0/b", "", false) ||
               !put("/sim/0/c", "", false);
        (void)power_cut();
        int n = there("/sim/0/a") + there("/sim/0/b") + there("/sim/0/c");
        bad += (n < 3 && there("/sim/0/c")) || (n < 2 && there("/sim/0/b"));
        seen[n]++;
        (void)begin(seed);
        bad += !put("/sim/0/a", "", true) || !put("/sim/0/b", "", false);
        lost += !sync_dir("/sim/0") || !put("/sim/0/c", "x", true);
        (void)power_cut();
        lost += !there("/sim/0/a") || !there("/sim/0/b") || !holds("/sim/0/c", "x");
        (void)begin(seed);
        bad += mkdir("/sim/0/d", 0700) < 0 || mkdir("/sim/0/d/e", 0700) < 0;
        above += !put("/sim/0/d/e/f", "x", true);
        (void)power_cut();
        above += !holds("/sim/0/d/e/f", "x");
    }
    ok(bad == 0, "new names are kept in order of time");
    ok(seen[0] && seen[1] && seen[2] && seen[3], "any number of them");
    ok(lost == 0, "what the folder's or the file's sync kept stays");
    ok(above == 0, "with the new folders that lead to it");
}

static void test_renames(void)
{
    int seen[2] = {0}, bad = 0, lost = 0, across[2] = {0}, swapped[2] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        (void)begin(seed);
        bad += !put("/sim/0/a", "new", true) || !put("/sim/0/b", "old", true) ||
               mkdir("/sim/0/d", 0700) < 0 || !put("/sim/0/m", "m", true) ||
               !put("/sim/0/x", "x", true) || !put("/sim/0/y", "y", true) || !sync_dir("/sim/0");
        bad += rename("/sim/0/a", "/sim/0/b") < 0;
        bad += rename("/sim/0/m", "/sim/0/d/m") < 0 || !put("/sim/0/d/z", "", false);
        bad += renameat2(AT_FDCWD, "/sim/0/x", AT_FDCWD, "/sim/0/y", RENAME_EXCHANGE) < 0;
        (void)power_cut();
        bool moved = holds("/sim/0/b", "new");
        bad += moved ? there("/sim/0/a") : !holds("/sim/0/b", "old") || !holds("/sim/0/a", "new");
        seen[moved]++;
        bool gone = holds("/sim/0/d/m", "m");
        bad += gone == holds("/sim/0/m", "m");
        across[gone]++;
        bad += !gone && there("/sim/0/d/z"); /* the later without the earlier */
        bool swap = holds("/sim/0/x", "y");
        bad += swap ? !holds("/sim/0/y", "x") : !holds("/sim/0/y", "y") || !holds("/sim/0/x", "x");
        swapped[swap]++;
        lost += !put("/sim/0/p", "p", true) || rename("/sim/0/p", "/sim/0/d/q") < 0 ||
                !sync_dir("/sim/0/d");
        (void)power_cut();
        lost += !holds("/sim/0/d/q", "p") || there("/sim/0/p");
    }
    ok(bad == 0, "a rename is done or not");
    ok(seen[0] && seen[1] && across[0] && across[1] && swapped[0] && swapped[1], "both happen");
    ok(lost == 0, "the sync of one of its folders keeps it in both");
}

static void test_removals(void)
{
    int seen[2] = {0}, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        (void)begin(seed);
        lost += !put("/sim/0/a", "x", true) || unlink("/sim/0/a") < 0;
        (void)power_cut();
        bool back = there("/sim/0/a");
        seen[back]++;
        lost += back && !holds("/sim/0/a", "x");
        lost += !put("/sim/0/a", "x", true) || unlink("/sim/0/a") < 0 || !sync_dir("/sim/0");
        (void)power_cut();
        lost += there("/sim/0/a");
    }
    ok(lost == 0 && seen[0] && seen[1],
       "a removed file comes back whole, until its folder is synced");
}

/* ---- processes */

static void test_kill(void)
{
    char got[8];
    int p = begin(1), fd, other;
    fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ok(write(fd, "abc", 3) == 3 && flock(fd, LOCK_EX | LOCK_NB) == 0, "written and locked");
    int q = disk_process_new(0);
    ok(q != p && disk_process_current() == q, "a second process");
    other = open("/sim/0/f", O_RDWR | O_CLOEXEC);
    ok(flock(other, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK, "the lock is the first's");
    disk_process_kill(p);
    ok(disk_process_dead(p) && !disk_process_dead(q), "the first is dead");
    ok(flock(other, LOCK_EX | LOCK_NB) == 0, "its lock is free");
    ok(holds("/sim/0/f", "abc"), "and nothing that it wrote is lost");
    disk_process_set(p);
    ok(write(fd, "x", 1) < 0 && errno == EIO && read(fd, got, 1) < 0 && errno == EIO,
       "it writes and reads no more");
    ok(unlink("/sim/0/f") < 0 && errno == EIO && open("/sim/0/f", O_RDONLY) < 0 && errno == EIO &&
           fsync(fd) < 0 && errno == EIO && rename("/sim/0/f", "/sim/0/g") < 0 && errno == EIO &&
           mkdir("/sim/0/d", 0700) < 0 && errno == EIO && open("/sim/0/n", O_RDONLY) < 0 &&
           errno == EIO,
       "nor anything else");
    ok(close(fd) == 0, "but closes");
    ok(disk_process_end(p) == 0, "nothing was left open");
    disk_process_set(q);
    ok(disk_process_end(q) == 1 && disk_process_current() == -1, "the second left one");
    ok(holds("/sim/0/f", "abc"), "nobody reads");
    ok(put("/sim/0/f", "by nobody", true), "and writes");
}

static void test_fuse(void)
{
    int p = begin(3), fd;
    disk_figures f;
    disk_process_fuse(p, 3, false);
    fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ok(write(fd, "abc", 3) == 3, "two changes");
    ok(there("/sim/0/f") && holds("/sim/0/f", "abc"), "looking is none");
    ok(write(fd, "def", 3) < 0 && errno == EIO && disk_process_dead(p), "the third kills");
    (void)disk_process_new(0);
    ok(holds("/sim/0/f", "abc"), "and is not done");
    disk_get_figures(&f);
    ok(f.kills == 1, "one kill");
    int seen[4] = {0};
    for (uint64_t seed = 0; seed < 50; seed++) {
        char got[8];
        p = begin(seed);
        disk_process_fuse(p, 2, true);
        fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        (void)!write(fd, "abc", 3);
        (void)disk_process_new(0);
        ssize_t n = get("/sim/0/f", got, sizeof(got));
        if (n >= 0 && n < 4)
            seen[n]++;
    }
    ok(seen[0] && seen[1] && seen[2] && !seen[3], "a write done in part");
}

static void test_locks(void)
{
    int a, b, p = begin(1);
    a = open("/sim/0/l", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    b = open("/sim/0/l", O_RDWR | O_CLOEXEC);
    ok(flock(a, LOCK_SH | LOCK_NB) == 0 && flock(b, LOCK_SH | LOCK_NB) == 0, "shared by two");
    ok(flock(a, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK, "not alone");
    ok(flock(b, LOCK_UN) == 0 && flock(a, LOCK_EX | LOCK_NB) == 0, "alone");
    ok(flock(b, LOCK_SH | LOCK_NB) < 0 && flock(b, LOCK_EX) < 0 && errno == EDEADLK,
       "also against the same process; nobody waits for ever");
    ok(close(a) == 0 && flock(b, LOCK_EX | LOCK_NB) == 0, "until it is closed");
    ok(disk_process_end(p) == 1, "ended");
}

/* ---- faults */

static void test_capacity(void)
{
    char a[8192] = {1};
    struct statvfs v;
    int fd;
    (void)begin(1);
    ok(statvfs("/sim/0", &v) == 0 && v.f_bavail * v.f_frsize > UINT64_C(1) << 38, "endless");
    disk_capacity(0, 3 * 4096);
    fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ok(write(fd, a, sizeof(a)) == 8192 && statvfs("/sim/0/f", &v) == 0 && v.f_bavail == 1 &&
           v.f_blocks == 3,
       "two blocks of three");
    ok(write(fd, a, 8192) == 4096, "what fits");
    ok(write(fd, a, 1) < 0 && errno == ENOSPC, "and no more");
    ok(pwrite(fd, a, 8192, 0) == 8192, "what has its room may change");
    ok(mkdir("/sim/0/d", 0700) < 0 && errno == ENOSPC, "a folder takes room");
    ok(ftruncate(fd, 4096) == 0 && mkdir("/sim/0/d", 0700) == 0, "given back");
    ok(fallocate(fd, FALLOC_FL_KEEP_SIZE, 4096, 8192) < 0 && errno == ENOSPC &&
           fallocate(fd, FALLOC_FL_KEEP_SIZE, 4096, 4096) == 0,
       "room behind the end");
    struct stat st;
    ok(fstat(fd, &st) == 0 && st.st_size == 4096 && st.st_blocks == 16, "the length stays");
    ok(unlink("/sim/0/f") == 0 && statvfs("/sim/0", &v) == 0 && v.f_bavail == 0,
       "an open file keeps its room");
    ok(close(fd) == 0 && statvfs("/sim/0", &v) == 0 && v.f_bavail == 2, "a closed one does not");
}

static void test_failures(void)
{
    char got[8];
    disk_figures f;
    int fd;
    (void)begin(1);
    ok(put("/sim/0/f", "abc", true), "a file");
    disk_fail(0, DISK_OPEN, 2, EMFILE);
    fd = open("/sim/0/f", O_RDWR | O_CLOEXEC);
    ok(fd >= 0 && open("/sim/0/f", O_RDWR | O_CLOEXEC) < 0 && errno == EMFILE && there("/sim/0/f"),
       "the second open fails");
    disk_fail(0, DISK_READ, 1, EIO);
    ok(pread(fd, got, 3, 0) < 0 && errno == EIO && pread(fd, got, 3, 0) == 3, "a read, once");
    disk_fail(0, DISK_WRITE, 1, ENOSPC);
    ok(pwrite(fd, "x", 1, 0) < 0 && errno == ENOSPC && holds("/sim/0/f", "abc"), "a write");
    disk_fail(0, DISK_RENAME, 1, EIO);
    ok(rename("/sim/0/f", "/sim/0/g") < 0 && errno == EIO && there("/sim/0/f"), "a rename");
    disk_fail(0, DISK_WRITE, 1, EIO);
    disk_fail(0, DISK_WRITE, 1, 0);
    ok(pwrite(fd, "x", 1, 0) == 1, "taken back");
    disk_fail(1, DISK_WRITE, 1, EIO);
    ok(pwrite(fd, "a", 1, 0) == 1, "another machine's");
    disk_get_figures(&f);
    ok(f.failed == 4, "four failed");
    disk_fail(0, DISK_READ, 1, EIO);
    disk_process_set(-1);
    ok(holds("/sim/0/f", "abc"), "nobody's calls never fail");
}

static void test_failed_sync(void)
{
    int lost = 0, bad = 0, fd;
    for (uint64_t seed = 0; seed < 100; seed++) {
        (void)begin(seed);
        fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        bad += write(fd, "old", 3) != 3 || fsync(fd) < 0 || pwrite(fd, "new", 3, 0) != 3 ||
               pwrite(fd, "far", 3, 1000) != 3;
        disk_fail(0, DISK_SYNC, 1, EIO);
        bad += fsync(fd) == 0 || errno != EIO;
        char got[1003];
        bad += pread(fd, got, 1003, 0) != 1003 || memcmp(got, "new", 3) != 0;
        bad += fsync(fd) < 0; /* there is nothing dirty: it tells so, and is wrong */
        (void)close(fd);
        (void)power_cut();
        char after[2000];
        ssize_t n = get("/sim/0/f", after, sizeof(after));
        lost += n == 1003 && memcmp(after, "old", 3) == 0 && after[1000] == '\0';
    }
    ok(bad == 0, "after a failed sync the bytes read as before");
    ok(lost == 100, "but are gone at the next power cut, whatever is synced later");
    (void)begin(1);
    fd = open("/sim/0/f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ok(write(fd, "aaaa", 4) == 4 && fsync(fd) == 0 && pwrite(fd, "b", 1, 0) == 1, "dirty");
    disk_fail(0, DISK_SYNC, 1, EIO);
    ok(fdatasync(fd) < 0 && pwrite(fd, "c", 1, 1) == 1 && fdatasync(fd) == 0, "failed, then fine");
    (void)close(fd);
    (void)power_cut();
    ok(holds("/sim/0/f", "bcaa"), "a sector that is written again is written whole");
}

static void test_names_apart(void)
{
    int lost = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        (void)begin(seed);
        disk_names_apart(0, true);
        bool good = put("/sim/0/f", "x", true) && sync_dir("/sim/0") && put("/sim/0/g", "y", true);
        (void)power_cut();
        lost += !good || !holds("/sim/0/f", "x") ? -1000 : access("/sim/0/g", F_OK) < 0;
    }
    ok(lost > 0, "where names stand apart a file is safe with its folder only");
}

static void test_lies(void)
{
    int lost = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        (void)begin(seed);
        disk_lies(0, true);
        lost += !put("/sim/0/f", "x", true) || !sync_dir("/sim/0");
        disk_lies(0, false);
        (void)power_cut();
        lost += !holds("/sim/0/f", "x");
    }
    ok(lost > 0, "a disk that lies loses what it called synced");
}

/* ---- digest, images */

static uint64_t run(uint64_t seed, bool other)
{
    (void)begin(seed);
    (void)mkdir("/sim/0/d", 0700);
    (void)put("/sim/0/d/a", "some text", true);
    (void)put("/sim/0/d/b", other ? "more text" : "more test", false);
    (void)rename("/sim/0/d/b", "/sim/0/c");
    return disk_digest();
}

static void test_digest(void)
{
    uint64_t a = run(1, false);
    ok(a == run(1, false) && a != run(1, true), "equal runs, equal digests");
    (void)sync_dir("/sim/0");
    ok(disk_digest() != a, "durability counts");
}

static void test_images(void)
{
    int p = begin(1), fd;
    ok(mkdir("/sim/0/d", 0700) == 0 && put("/sim/0/d/a", "one", false) &&
           put("/sim/0/b", "two", false) && mkfifo("/sim/0/d/p", 0600) == 0,
       "files");
    disk_image *image = disk_image_take(0);
    fd = open("/sim/0/b", O_RDWR | O_CLOEXEC);
    ok(unlink("/sim/0/d/a") == 0 && pwrite(fd, "2", 1, 0) == 1 && put("/sim/0/c", "x", true),
       "changed");
    disk_process_kill(p);
    disk_image_put(0, image);
    ok(close(fd) == 0 && disk_process_end(p) == 0, "a descriptor of before");
    (void)power_cut();
    ok(holds("/sim/0/d/a", "one") && holds("/sim/0/b", "two") && !there("/sim/0/c") &&
           there("/sim/0/d/p"),
       "as it was, and durable");
    (void)begin(1);
    disk_image_put(1, image);
    (void)disk_process_new(1);
    ok(holds("/sim/1/d/a", "one"), "on another machine's disk");
    ok(!disk_image_free(image), "freed");
}

/* ---- the calls */

static void test_folders(void)
{
    static const char *const want[] = {".", "..", "z", "a", "m"};
    const struct dirent *e;
    int n = 0, bad = 0;
    (void)begin(1);
    ok(mkdir("/sim", 0700) < 0 && errno == EEXIST && mkdir("/sim/0", 0700) < 0 && errno == EEXIST,
       "the top is there");
    ok(mkdir("/sim/0/d", 0750) == 0 && put("/sim/0/d/z", "", true) &&
           mkdir("/sim/0/d/a", 0700) == 0 && put("/sim/0/d/m", "", true),
       "made");
    DIR *d = opendir("/sim/0/d/");
    ok(d && dirfd(d) >= DISK_FD, "open");
    while ((e = readdir(d))) {
        bad += n >= 5 || strcmp(e->d_name, want[n]) != 0;
        n++;
        if (strcmp(e->d_name, "z") == 0)
            bad += unlinkat(dirfd(d), "z", 0) < 0;
    }
    ok(n == 5 && bad == 0, "in order of creation; names may go meanwhile");
    rewinddir(d);
    for (n = 0; readdir(d);)
        n++;
    ok(n == 4 && closedir(d) == 0, "read again");
    int fd = open("/sim/0/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int here = openat(fd, ".", O_RDONLY | O_CLOEXEC), up = openat(fd, "../d/a", O_RDONLY);
    struct stat a, b;
    ok(fstat(fd, &a) == 0 && fstat(here, &b) == 0 && a.st_ino == b.st_ino && S_ISDIR(a.st_mode) &&
           (a.st_mode & 0777) == 0750,
       "\".\" of a descriptor");
    ok(fstatat(fd, "a", &a, AT_SYMLINK_NOFOLLOW) == 0 && fstat(up, &b) == 0 && a.st_ino == b.st_ino,
       "\"..\"");
    ok(unlinkat(fd, "a", 0) < 0 && errno == EISDIR && rmdir("/sim/0/d") < 0 && errno == ENOTEMPTY &&
           unlinkat(fd, "m", AT_REMOVEDIR) < 0 && errno == ENOTDIR,
       "refused");
    ok(unlinkat(fd, "a", AT_REMOVEDIR) == 0 && openat(up, "x", O_CREAT | O_RDWR, 0600) < 0 &&
           errno == ENOENT,
       "nothing is made in a removed folder");
    ok(close(fd) == 0 && close(here) == 0 && close(up) == 0 && close(up) < 0 && errno == EBADF,
       "closed once");
}

static void test_paths(void)
{
    char *path, text[] = "/sim/0/.t.XXXXXX";
    struct stat st;
    int fd;
    (void)begin(1);
    ok(mkdir("/sim/0/d", 0700) == 0 && put("/sim/0/f", "x", true), "a folder and a file");
    path = realpath("/sim/0//d/../d/./", NULL);
    ok(path && strcmp(path, "/sim/0/d") == 0, "a real path");
    free(path);
    ok(!realpath("/sim/0/none", NULL) && errno == ENOENT, "of nothing");
    ok(open("/sim/0/f/x", O_RDONLY) < 0 && errno == ENOTDIR && open("/sim/0/no/x", O_RDONLY) < 0 &&
           errno == ENOENT && open("/sim/9/x", O_RDONLY | O_CREAT, 0600) < 0 && errno == ENOENT &&
           open("/sim/0/d", O_RDWR) < 0 && errno == EISDIR &&
           open("/sim/0/f", O_RDWR | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST &&
           open("/sim/0/f", O_RDONLY | O_DIRECTORY) < 0 && errno == ENOTDIR,
       "what cannot be opened");
    ok(access("/sim/0/f", F_OK) == 0 && access("/sim/0/g", F_OK) < 0 && errno == ENOENT, "access");
    fd = mkostemp(text, O_CLOEXEC);
    ok(fd >= DISK_FD && there(text) && strcmp(text, "/sim/0/.t.XXXXXX") != 0, "a new name: %s",
       text);
    ok(fchmod(fd, 0640) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0640 &&
           fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0,
       "its mode");
    ok(renameat2(AT_FDCWD, text, AT_FDCWD, "/sim/0/f", RENAME_NOREPLACE) < 0 && errno == EEXIST &&
           rename(text, "/sim/0/d") < 0 && errno == EISDIR &&
           rename("/sim/0/d", "/sim/0/d/e") < 0 && errno == EINVAL && rename(text, "/tmp/x") < 0 &&
           errno == EXDEV && rename("/sim/0/no", text) < 0 && errno == ENOENT,
       "names that are not changed");
    ok(open("/sim/1/f", O_RDONLY) < 0 && errno == EACCES, "another machine's files");
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    ok(fd >= 0 && fd < DISK_FD && write(fd, "x", 1) == 1 && close(fd) == 0, "the system's files");
}

static void test_fifo(void)
{
    char got[8];
    struct stat st;
    int a, b, p = begin(1);
    ok(mkfifo("/sim/0/p", 0600) == 0 && mkfifo("/sim/0/p", 0600) < 0 && errno == EEXIST, "a FIFO");
    a = open("/sim/0/p", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ok(fstat(a, &st) == 0 && S_ISFIFO(st.st_mode), "is one");
    ok(read(a, got, 8) < 0 && errno == EAGAIN, "empty");
    (void)disk_process_new(0);
    b = open("/sim/0/p", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ok(write(b, "abc", 3) == 3 && write(b, "de", 2) == 2, "written by another process");
    disk_process_set(p);
    ok(read(a, got, 4) == 4 && memcmp(got, "abcd", 4) == 0 && read(a, got, 4) == 1, "read");
    ok(write(a, "x", 1) == 1, "a byte");
    (void)power_cut();
    a = open("/sim/0/p", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ok(a < 0 || (read(a, got, 1) < 0 && errno == EAGAIN), "gone with its processes");
}

static void test_system(void)
{
    char a[64] = "", b[64] = "", c[64] = "", id[64] = "", other[64] = "";
    struct iovec v[2] = {{a, 0}, {b, 0}};
    (void)begin(1);
    ok(get("/proc/sys/kernel/random/boot_id", a, 63) > 30, "a boot has a name");
    ok(get("/proc/sys/kernel/random/boot_id", b, 63) > 30 && strcmp(a, b) == 0, "always the same");
    ok(get("/etc/machine-id", id, 63) == 33, "a machine too");
    (void)disk_process_new(1);
    ok(get("/etc/machine-id", other, 63) == 33 && strcmp(id, other) != 0, "each its own");
    (void)power_cut();
    ok(get("/proc/sys/kernel/random/boot_id", c, 63) > 30 && strcmp(a, c) != 0 &&
           get("/etc/machine-id", other, 63) == 33 && strcmp(id, other) == 0,
       "another boot of the same machine");
    ok(open("/etc/machine-id", O_RDWR) < 0 && errno == EACCES, "not to be written");
    int fd = open("/sim/0/f", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    v[0].iov_len = 3;
    v[1].iov_len = 4;
    ok(pwritev(fd, v, 2, 0) == 7 && lseek(fd, 0, SEEK_END) == 7 && lseek(fd, 1, SEEK_SET) == 1 &&
           write(fd, "z", 1) == 1 && lseek(fd, 0, SEEK_CUR) == 8,
       "several parts, positions, appending");
    ok(close(fd) == 0, "closed");
}

int main(void)
{
    test_writes();
    test_sector_moments();
    test_lengths();
    test_truncate();
    test_new_names();
    test_renames();
    test_removals();
    test_kill();
    test_fuse();
    test_locks();
    test_capacity();
    test_failures();
    test_failed_sync();
    test_lies();
    test_names_apart();
    test_digest();
    test_images();
    test_folders();
    test_paths();
    test_fifo();
    test_system();
    (void)begin(0);
    return tap_done();
}
