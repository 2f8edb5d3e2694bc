/* The programs' own objects on the virtual disk: what they promise to keep is kept when a process
 * is killed or the power fails at any of their calls, and the disk can show it when they do not. */
#include <stdlib.h>

#include "master/store/store.h"
#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/host.h"
#include "shared/journal/journal.h"
#include "tests/sim/disk_fixture.h"
#include "worker/agent/home.h"
#include "worker/spool/spool.h"

#define DB "/sim/0/state/pawl.db"
enum { COMMITS = 6 };

/* ---- a host of the test's own */
static pw_usec host_now(void *self)
{
    (void)self;
    return 1000000;
}
static pw_msec host_wall(void *self)
{
    (void)self;
    return 1700000000000;
}
static void host_random(void *self, void *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)pick(self, 256);
}
static uint64_t host_stream = 7;
static const pw_host host = {host_now, host_wall, host_random, &host_stream};

/* ---- small durable files */

static void test_replace(void)
{
    int bad = 0, old = 0, now = 0;
    uint64_t k;
    for (k = 1; k < 50; k++) {
        int p = begin(k);
        pw_err err = {0};
        bad += pw_fs_replace("/sim/0/f", "old text", 8, 0600, &err) < 0;
        disk_process_fuse(p, k, true);
        int rc = pw_fs_replace("/sim/0/f", "a newer and longer text", 23, 0600, &err);
        (void)power_cut();
        bool is_old = holds("/sim/0/f", "old text"),
             is_new = holds("/sim/0/f", "a newer and longer text");
        bad += !is_old && !is_new;
        bad += rc == 0 && !is_new;
        old += is_old;
        now += is_new;
        if (rc == 0)
            break;
    }
    ok(bad == 0 && old && now && k > 5, "pw_fs_replace is whole at each of %d calls", (int)k - 1);
    (void)begin(1);
    disk_capacity(0, 4096);
    pw_err err = {0};
    char big[10000] = {0};
    ok(pw_fs_replace("/sim/0/f", "x", 1, 0600, &err) == 0 &&
           pw_fs_replace("/sim/0/f", big, sizeof(big), 0600, &err) == PW_EFULL &&
           holds("/sim/0/f", "x"),
       "a full disk: %s", err.text);
    ok(pw_fs_free("/sim/0") == 0, "nothing is free");
}

static void test_tree(void)
{
    (void)begin(1);
    pw_err err = {0};
    ok(pw_fs_mkdirs("/sim/0/a/b/c", 0700, &err) == 0 && put("/sim/0/a/b/f", "x", true) &&
           put("/sim/0/a/g", "x", false),
       "a tree: %s", err.text);
    ok(pw_fs_remove_tree("/sim/0/a", &err) == 0 && !there("/sim/0/a"), "removed: %s", err.text);
    int fd = pw_fs_lock("/sim/0/lock", &err), p = disk_process_current();
    (void)disk_process_new(0);
    ok(fd >= 0 && pw_fs_lock("/sim/0/lock", &err) == PW_EAGAIN, "a lock file");
    disk_process_kill(p);
    int other = pw_fs_lock("/sim/0/lock", &err);
    ok(other >= 0, "free after its holder's death");
    ok(disk_process_end(p) == 1, "ended");
}

static void test_notes(void)
{
    spool_note out[4];
    (void)begin(1);
    int p = disk_process_current(), fd = spool_notes_open("/sim/0", NULL);
    (void)disk_process_new(0);
    int runner = spool_notes_open("/sim/0", NULL);
    spool_notes_put(runner, (spool_note){{1, 2}, 3});
    spool_notes_put(runner, (spool_note){{1, 4}, 5});
    disk_process_set(p);
    ok(spool_notes_get(fd, out, 4) == 2 && out[1].job.attempt == 4 && out[1].length == 5,
       "notes from a runner");
    ok(spool_notes_get(fd, out, 4) == 0, "read once");
}

/* A spool is of a machine and a boot. */
static void test_home(void)
{
    spool_home h;
    pw_err err = {0};
    char id[SPOOL_ID];
    int p = begin(1);
    ok(home_open("/sim/0/spool", &h, &err) == 0 && !h.other_boot && !h.moved, "a spool: %s",
       err.text);
    memcpy(id, h.id, sizeof(id));
    (void)disk_process_new(0);
    ok(home_open("/sim/0/spool", &h, &err) == PW_ECONFLICT, "is one agent's");
    disk_process_set(p);
    home_close(&h);
    ok(disk_process_end(p) == 0, "closed");
    disk_image *image = disk_image_take(0);
    p = power_cut();
    ok(home_open("/sim/0/spool", &h, &err) == 0 && h.other_boot && !h.moved && !strcmp(h.id, id),
       "found after a power cut, which it sees: %s", err.text);
    home_close(&h);
    disk_image_put(1, image);
    (void)disk_process_new(1);
    ok(home_open("/sim/1/spool", &h, &err) == 0 && h.moved && strcmp(h.id, id) != 0,
       "its image on another machine is a moved one: %s", err.text);
    home_close(&h);
    (void)disk_image_free(image);
}

/* ---- journals */

static int append(journal_writer *w, int i, pw_err *err)
{
    char text[700];
    memset(text, 'a' + i % 26, sizeof(text));
    struct iovec v = {text, sizeof(text)};
    return journal_append(w, 3, 0, (uint64_t)i, &v, 1, err);
}

/* Ten records, the first `synced` of them synced, then the power fails. */
static void journal_history(uint64_t seed, int synced, uint64_t *ret_length, uint64_t *ret_cut)
{
    pw_err err = {0};
    (void)begin(seed);
    journal_writer *w = journal_create("/sim/0/j", &err);
    bool good = w != NULL;
    for (int i = 0; good && i < 10; i++) {
        good = append(w, i, &err) == 0;
        if (i + 1 == synced)
            good = good && journal_sync(w, &err) == 0;
    }
    (void)journal_writer_free(w);
    (void)power_cut();
    *ret_length = *ret_cut = UINT64_MAX;
    w = good ? journal_open_append("/sim/0/j", &err) : NULL;
    if (w) {
        *ret_length = journal_length(w);
        *ret_cut = journal_cut_bytes(w);
        if (append(w, 11, &err) < 0 || journal_sync(w, &err) < 0)
            *ret_length = UINT64_MAX;
    } else if (err.code == PW_ECORRUPT) {
        *ret_length = 0; /* good records behind a bad one: the agent's to mend */
    }
    (void)journal_writer_free(w);
}

static void test_journal(void)
{
    const uint64_t record = JOURNAL_HEAD + 700 + JOURNAL_TAIL;
    int bad = 0, torn = 0, corrupt = 0, whole = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t length, cut;
        journal_history(seed, 4, &length, &cut);
        bad += length == UINT64_MAX || (length > 0 && length < 4 * record) || length % record;
        torn += cut != UINT64_MAX && cut > 0;
        corrupt += length == 0;
        whole += length == 10 * record;
        journal_history(seed, 10, &length, &cut);
        bad += length != 10 * record || cut != 0;
    }
    ok(bad == 0, "synced records stay; a torn tail is cut and the journal goes on");
    ok(torn && whole && corrupt, "tails are torn, kept whole, or full of holes");
    int p = begin(1);
    pw_err err = {0};
    journal_writer *w = journal_create("/sim/0/j", &err);
    ok(w && !journal_lock_free("/sim/0/j"), "the writer has the lock");
    int q = disk_process_new(0);
    ok(!journal_open_append("/sim/0/j", &err) && err.code == PW_EAGAIN, "nobody else");
    disk_process_kill(p);
    ok(journal_lock_free("/sim/0/j"), "until it is dead");
    disk_process_set(p);
    ok(append(w, 1, &err) < 0, "it appends no more");
    (void)journal_writer_free(w);
    ok(disk_process_end(p) == 0, "and has left nothing open");
    disk_process_set(q);
    w = journal_open_append("/sim/0/j", &err);
    ok(w && journal_length(w) == 0 && append(w, 1, &err) == 0, "the next one goes on: %s",
       err.text);
    disk_capacity(0, 4096);
    int n = 1, rc = 0;
    while (n < 10 && (rc = append(w, n, &err)) == 0)
        n++;
    ok(rc == PW_EFULL && journal_length(w) == (uint64_t)n * record, "a full disk");
    disk_capacity(0, 0);
    ok(append(w, 2, &err) == 0 && journal_reserve(w, 5000, &err) == 0, "and room again");
    (void)journal_writer_free(w);
}

/* ---- the database */

/* How far a history of commits came; turn: of the last that was acknowledged. */
typedef struct story {
    bool opened, done;
    uint64_t turn;
} story;

static bool commit_one(store *s, int i, pw_err *err)
{
    char key[32], value[600];
    memset(value, 'a' + i % 26, sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    if (store_begin(s, err) < 0)
        return false;
    for (int k = 0; k < 8; k++) {
        (void)snprintf(key, sizeof(key), "key%d", (i * 7 + k) % 20);
        if (store_meta_put(s, key, value, err) < 0) {
            store_rollback(s);
            return false;
        }
    }
    (void)snprintf(value, sizeof(value), "%d", i);
    if (store_meta_put(s, "last", value, err) < 0 || store_commit(s, err) < 0) {
        store_rollback(s);
        return false;
    }
    return true;
}

/* Six commits with a checkpoint after every third, until something fails. */
static story tell(void)
{
    story t = {.turn = 0};
    pw_err err = {0};
    store *s = store_open(DB, &host, &err);
    store_checkpointer *c = s ? store_checkpointer_open(DB, &err) : NULL;
    uint64_t wal;
    if (s) {
        t.opened = true;
        t.turn = store_turn(s);
    }
    for (int i = 0; c && i < COMMITS; i++) {
        if (!commit_one(s, i, &err))
            break;
        t.turn = store_turn(s);
        if (i % 3 == 2)
            (void)store_checkpoint(c, &wal, &err);
        t.done = i == COMMITS - 1;
    }
    (void)store_checkpointer_close(c);
    (void)store_close(s);
    return t;
}

/* After it: sound, and no commit less than was acknowledged. A turn that was on its way may be
 * there. */
static bool sound(const story *t, bool *ret_lost)
{
    pw_err err = {0};
    store *s = store_open(DB, &host, &err);
    PW_AUTO(pw_buf_clearp) pw_buf last = PW_BUF(100);
    *ret_lost = false;
    if (!s) {
        *ret_lost = true;
        return false;
    }
    uint64_t turn = store_turn(s);
    int rc = store_meta_get(s, "last", &last, &err);
    char want[32];
    (void)snprintf(want, sizeof(want), "%llu", (unsigned long long)turn - 1);
    bool good = turn == 0 ? rc == PW_ENOTFOUND : rc == 0 && strcmp(pw_buf_str(&last), want) == 0;
    *ret_lost = turn < t->turn;
    (void)store_close(s);
    return good && turn <= t->turn + 1;
}

static disk_image *prepared; /* a machine with an empty database */

static int fresh(uint64_t seed)
{
    int p = begin(seed);
    disk_image_put(0, prepared);
    return p;
}

static bool prepare(void)
{
    pw_err err = {0};
    int p = begin(1);
    store *s = mkdir("/sim/0/state", 0700) == 0 ? store_open(DB, &host, &err) : NULL;
    if (!s)
        printf("# %s\n", err.text);
    bool good = s != NULL;
    (void)store_close(s);
    if (disk_process_end(p) != 0)
        good = false;
    prepared = disk_image_take(0);
    return good;
}

/* Kills the process, or cuts the power too, at the k-th change, every second one in the midst of
 * its write; returns how many k there were. */
static int at_every_change(bool power, int *bad, int *lost)
{
    for (int k = 1;; k++) {
        bool is_lost;
        int p = fresh((uint64_t)k);
        disk_process_fuse(p, (uint64_t)k, (k % 2 == 0) != power);
        story t = tell();
        if (!t.done)
            *bad += !disk_process_dead(p);
        *bad += disk_process_end(p) != 0;
        if (power)
            disk_power_cut(0);
        (void)disk_process_new(0);
        *bad += !sound(&t, &is_lost);
        *lost += is_lost;
        if (t.done)
            return k;
    }
}

static void test_store(void)
{
    int bad = 0, lost = 0, k = at_every_change(false, &bad, &lost);
    ok(bad == 0 && lost == 0 && k > 30, "killed at each of %d changes: sound, nothing lost", k - 1);
    k = at_every_change(true, &bad, &lost);
    ok(bad == 0 && lost == 0 && k > 30, "the power cut at each of %d changes", k - 1);
}

/* From nothing: the first open and its migrations. */
static void test_store_new(void)
{
    int bad = 0;
    uint64_t k;
    for (k = 1; k < 2000; k += 1 + k / 6) {
        bool is_lost;
        int p = begin(k);
        bad += mkdir("/sim/0/state", 0700) < 0 || !sync_dir("/sim/0");
        disk_process_fuse(p, k, true);
        pw_err err = {0};
        store *s = store_open(DB, &host, &err);
        bool opened = s != NULL;
        (void)store_close(s);
        bool whole = !disk_process_dead(p);
        bad += disk_process_end(p) != 0;
        disk_power_cut(0);
        (void)disk_process_new(0);
        story t = {.turn = 0};
        bad += !sound(&t, &is_lost);
        if (opened && whole)
            break;
    }
    ok(bad == 0 && k > 30 && k < 2000, "a database that is being made");
}

static void test_store_lies(void)
{
    int lost = 0, damaged = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        bool is_lost;
        (void)fresh(seed);
        disk_lies(0, true);
        int p = disk_process_current();
        disk_process_fuse(p, 45, false);
        story t = tell();
        (void)disk_process_end(p);
        disk_lies(0, false);
        (void)power_cut();
        damaged += !sound(&t, &is_lost);
        lost += is_lost;
    }
    ok(lost > 0, "a disk that lies loses commits (%d of 20; %d not sound)", lost, damaged);
}

static void test_store_full(void)
{
    pw_err err = {0};
    bool is_lost;
    (void)fresh(1);
    store *s = store_open(DB, &host, &err);
    story t = {.turn = 0};
    ok(s && commit_one(s, 0, &err), "a commit: %s", err.text);
    disk_capacity(0, 1);
    ok(!commit_one(s, 1, &err) && err.code == PW_EFULL, "no room for the next: %s", err.text);
    disk_capacity(0, 0);
    disk_fail(0, DISK_SYNC, 1, EIO);
    ok(!commit_one(s, 1, &err) && err.code == PW_ESYS, "a sync that fails: %s", err.text);
    ok(commit_one(s, 1, &err), "then it goes on: %s", err.text);
    t.turn = store_turn(s);
    int p = disk_process_current();
    disk_power_cut(0);
    (void)store_close(s);
    ok(disk_process_end(p) == 0, "a dead process has given back all");
    (void)disk_process_new(0);
    ok(sound(&t, &is_lost) && !is_lost, "nothing is lost");
}

/* The sync of a commit fails, the disk is full when it is closed: what the next start reads in the
 * WAL is in the kernel's memory only, and must not carry what is committed after it. */
static void test_store_sync_lost(void)
{
    int bad = 0, lost = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        pw_err err = {0};
        bool is_lost;
        int p = fresh(seed);
        store *s = store_open(DB, &host, &err);
        bad += !s || !commit_one(s, 0, &err);
        disk_fail(0, DISK_SYNC, 1, EIO);
        bad += !s || commit_one(s, 1, &err);
        disk_capacity(0, 1);
        (void)store_close(s);
        bad += disk_process_end(p) != 0;
        disk_capacity(0, 0);
        p = disk_process_new(0);
        s = store_open(DB, &host, &err);
        bad += !s || !commit_one(s, (int)store_turn(s), &err);
        story t = {.turn = s ? store_turn(s) : 0};
        disk_power_cut(0);
        (void)store_close(s);
        bad += disk_process_end(p) != 0;
        (void)disk_process_new(0);
        bad += !sound(&t, &is_lost);
        lost += is_lost;
    }
    ok(bad == 0 && lost == 0, "a commit behind one whose sync failed is safe (%d lost)", lost);
}

/* Two processes on one database: SQLite's locks and shared memory go by process. */
static void test_store_two(void)
{
    pw_err err = {0};
    bool is_lost;
    int p = fresh(1);
    store *a = store_open(DB, &host, &err);
    ok(a && commit_one(a, 0, &err), "the first");
    int q = disk_process_new(0);
    store *b = store_open(DB, &host, &err);
    ok(b && store_turn(b) == 1, "the second sees its commit: %s", err.text);
    disk_process_set(p);
    ok(store_begin(a, &err) == 0 && store_meta_put(a, "x", "1", &err) == 0, "the first writes");
    disk_process_set(q);
    ok(store_begin(b, &err) == PW_EAGAIN, "the second must wait: %s", err.text);
    store_rollback(b);
    disk_process_set(p);
    disk_process_fuse(p, 2, true);
    ok(store_commit(a, &err) < 0 && disk_process_dead(p), "the first dies while it commits");
    (void)store_close(a); /* its code goes on for a while */
    disk_process_set(q);
    PW_AUTO(pw_buf_clearp) pw_buf x = PW_BUF(100);
    ok(store_meta_get(b, "x", &x, &err) == PW_ENOTFOUND, "the second sees nothing of it");
    ok(commit_one(b, 1, &err), "and commits: %s", err.text);
    story t = {.turn = store_turn(b)};
    ok(disk_process_end(p) == 0, "the first has left nothing");
    disk_power_cut(0);
    (void)store_close(b);
    (void)disk_process_end(q);
    (void)disk_process_new(0);
    ok(sound(&t, &is_lost) && !is_lost, "the commit is there after a power cut");
}

/* Files of the system stay the system's. */
static void test_outside(void)
{
    char memory[] = "/dev/shm/pawl-sim-XXXXXX", tmp[] = "/tmp/pawl-sim-XXXXXX", path[64];
    char *dir = access("/dev/shm", W_OK) == 0 ? memory : tmp; /* real syncs take their time */
    pw_err err = {0};
    (void)begin(1);
    if (!mkdtemp(dir))
        abort();
    (void)snprintf(path, sizeof(path), "%s/pawl.db", dir);
    store *s = store_open(path, &host, &err);
    ok(s && commit_one(s, 0, &err), "a database elsewhere: %s", err.text);
    (void)store_close(s);
    disk_process_set(-1);
    ok(there(path) && pw_fs_remove_tree(dir, &err) == 0, "is a file of the system");
}

/* A connection that closes must not take the WAL away from another. */
static void test_store_close(void)
{
    pw_err err = {0};
    bool is_lost;
    int p = fresh(1);
    store *s = store_open(DB, &host, &err);
    store_checkpointer *c = store_checkpointer_open(DB, &err);
    ok(s && c && commit_one(s, 0, &err), "two connections: %s", err.text);
    (void)store_checkpointer_close(c);
    ok(there(DB "-wal"), "one closes");
    ok(commit_one(s, 1, &err), "the other commits: %s", err.text);
    story t = {.turn = store_turn(s)};
    disk_power_cut(0);
    (void)store_close(s);
    (void)disk_process_end(p);
    (void)disk_process_new(0);
    ok(sound(&t, &is_lost) && !is_lost, "which is kept");
    ok(!there(DB "-wal"), "the last to close takes the WAL away");
}

static void test_equal(void)
{
    uint64_t digest[2];
    for (int i = 0; i < 2; i++) {
        host_stream = 5;
        (void)fresh(42);
        disk_process_fuse(disk_process_current(), 40, true);
        (void)tell();
        (void)disk_process_end(disk_process_current());
        (void)power_cut();
        (void)tell();
        digest[i] = disk_digest();
    }
    ok(digest[0] == digest[1], "equal runs, equal bytes");
}

int main(void)
{
    disk_reset(pick, &stream);
    ok(disk_vfs_register() == 0 && disk_vfs_register() == 0, "SQLite's files");
    ok(prepare(), "a database");
    test_replace();
    test_tree();
    test_notes();
    test_home();
    test_journal();
    test_store();
    test_store_new();
    test_store_lies();
    test_store_full();
    test_store_sync_lost();
    test_store_two();
    test_store_close();
    test_outside();
    test_equal();
    (void)begin(0);
    prepared = disk_image_free(prepared);
    return tap_done();
}
