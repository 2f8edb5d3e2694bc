/* The archive, and a backup and its way back over a small state; damage of every kind is refused.
 */
#include "master/backup/backup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/backup/tar.h"
#include "master/store/store.h"
#include "shared/base/fs.h"
#include "shared/crypt/crypt.h"
#include "tests/tap.h"

typedef struct world {
    char dir[64];
    char *state, *file, *back;
} world;

static void put(const char *dir, const char *name, const void *p, size_t n)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash)
        return;
    *slash = '\0';
    (void)pw_fs_mkdirs(path, 0700, NULL);
    *slash = '/';
    (void)pw_fs_replace(path, p, n, 0600, NULL);
}

static bool same(const world *w, const char *name)
{
    PW_AUTO(pw_freep) char *a = pw_path_join(w->state, name), *b = pw_path_join(w->back, name);
    PW_AUTO(pw_buf_clearp) pw_buf x = PW_BUF(1 << 22);
    PW_AUTO(pw_buf_clearp) pw_buf y = PW_BUF(1 << 22);
    return a && b && pw_fs_read(a, 1 << 22, &x, NULL) == 0 &&
           pw_fs_read(b, 1 << 22, &y, NULL) == 0 && x.len == y.len &&
           memcmp(pw_buf_str(&x), pw_buf_str(&y), x.len) == 0;
}

/* ---- the archive alone */
static void test_tar(const world *w)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(w->dir, "a.tar.zst");
    PW_AUTO(pw_freep) char *data = malloc(3000000);
    PW_AUTO(pw_closep)
    int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    PW_AUTO(tar_out_freep) tar_out *out = tar_out_new(fd, NULL);
    char name[TAR_NAME_MAX + 2];
    uint64_t bytes = 0;
    pw_err err = {0};
    if (!data || !out || fd < 0)
        return;
    for (size_t i = 0; i < 3000000; i++)
        data[i] = (char)(i * i >> 7);
    memset(name, 'n', sizeof(name));
    name[TAR_NAME_MAX] = '\0';
    bool fine = tar_out_member(out, "empty", 0, 1, &err) == 0 &&
                tar_out_member(out, "big", 3000000, 1, &err) == 0 &&
                tar_out_add(out, data, 2999999, &err) == 0 &&
                tar_out_member(out, "early", 1, 1, &err) == PW_EINVAL &&
                tar_out_add(out, data, 2, &err) == PW_EINVAL &&
                tar_out_add(out, data + 2999999, 1, &err) == 0 &&
                tar_out_member(out, name, 512, 1, &err) == 0 &&
                tar_out_add(out, data, 512, &err) == 0;
    ok(fine, "members are written: %s", err.text);
    name[TAR_NAME_MAX] = 'n';
    name[TAR_NAME_MAX + 1] = '\0';
    ok(tar_out_member(out, name, 0, 1, &err) == PW_EINVAL, "a name of %d bytes is too long",
       TAR_NAME_MAX + 1);
    name[TAR_NAME_MAX] = '\0';
    ok(tar_out_end(out, &bytes, &err) == 0 && bytes > 0 && lseek(fd, 0, SEEK_CUR) == (off_t)bytes,
       "the end");
    (void)lseek(fd, 0, SEEK_SET);
    PW_AUTO(tar_in_freep) tar_in *in = tar_in_new(fd, &err);
    tar_member m;
    if (!in)
        return;
    ok(tar_in_next(in, &m, &err) == 1 && strcmp(m.name, "empty") == 0 && m.size == 0, "empty");
    ok(tar_in_next(in, &m, &err) == 1 && strcmp(m.name, "big") == 0 && m.size == 3000000, "big");
    size_t at = 0;
    char piece[10000];
    for (int64_t k; (k = tar_in_read(in, piece, sizeof(piece), &err)) > 0; at += (size_t)k)
        if (memcmp(piece, data + at, (size_t)k) != 0)
            break;
    ok(at == 3000000, "its bytes are right");
    ok(tar_in_next(in, &m, &err) == 1 && strcmp(m.name, name) == 0 && m.size == 512,
       "the longest name");
    ok(tar_in_next(in, &m, &err) == 0, "the end (the unread member is skipped)");
}

/* ---- a state */
static uint64_t make_state(const world *w)
{
    PW_AUTO(pw_freep) char *db = pw_path_join(w->state, "pawl.db");
    PW_AUTO(pw_freep) char *big = calloc(1, 700000);
    (void)pw_fs_mkdirs(w->state, 0700, NULL);
    PW_AUTO(store_closep) store *st = store_open(db, &pw_host_real, NULL);
    if (!st || !big)
        return 0;
    const store_frame f = {.attempt = 5, .raw_len = 3, .len = 3, .segment = 7, .codec = 0};
    const store_log open = {.attempt = 5, .bytes = 3, .packed = 3};
    const store_log sealed = {.attempt = 4, .bytes = 9, .packed = 9, .sealed = true};
    const store_log gone = {.attempt = 3, .bytes = 9, .packed = 9, .sealed = true};
    bool fine = store_begin(st, NULL) == 0 && store_log_put(st, &open, NULL) == 0 &&
                store_frame_add(st, &f, NULL) == 0 && store_log_put(st, &sealed, NULL) == 0 &&
                store_log_put(st, &gone, NULL) == 0 &&
                store_config_put(st, 1, "name: x\n", NULL, NULL) == 0 &&
                store_commit(st, NULL) == 0;
    put(w->state, "keys/master.secret", "secret", 6);
    put(w->state, "admin.token", "token", 5);
    put(w->state, "master.yaml", "name: x\n", 8);
    put(w->state, "logs/seg/00000007.seg", "abc", 3);
    put(w->state, "logs/seg/00000008.seg", "not named", 9);
    put(w->state, "logs/04/4-0-0.log", "sealed log", 10);
    put(w->state, "mirrors/1.git/objects/pack/p.pack", big, 700000);
    put(w->state, "mirrors/1.git/packed-refs", "refs", 4);
    put(w->state, "web.addr", "http://x", 8);
    return fine ? store_epoch(st) : 0;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static int restore(const world *w, backup_report *r, pw_err *err)
{
    *err = (pw_err){0};
    const backup_options o = {.state = w->back, .file = w->file, .host = &pw_host_real};
    (void)pw_fs_remove_tree(w->back, NULL);
    return backup_restore(&o, r, err);
}

static void test_round(const world *w, uint64_t epoch)
{
    backup_options o = {.state = w->state, .file = w->file, .mirrors = true, .host = &pw_host_real};
    backup_report r = {0};
    pw_err err = {0};
    struct stat st;
    ok(backup_make(&o, &r, &err) == 0 && r.epoch == epoch && r.turn == 1, "made: %s", err.text);
    ok(stat(w->file, &st) == 0 && (st.st_mode & 0777) == 0600 && (uint64_t)st.st_size == r.packed,
       "one file, of nobody else's business");
    ok(r.missing == 1 && has(r.first_missing, "logs/03/3-0-0.log") && r.files == 8,
       "what a row names and is not there is told: %s", r.first_missing);
    PW_AUTO(pw_freep)
    char *left = pw_strf("%s.tmp", w->file), *copy = pw_strf("%s.db.tmp", w->file);
    ok(access(left, F_OK) < 0 && access(copy, F_OK) < 0, "nothing is left beside it");
    ok(restore(w, &r, &err) == 0 && r.epoch == epoch && r.new_epoch && r.new_epoch != epoch,
       "restored: %s", err.text);
    ok(same(w, "keys/master.secret") && same(w, "admin.token") && same(w, "master.yaml") &&
           same(w, "logs/seg/00000007.seg") && same(w, "logs/04/4-0-0.log") &&
           same(w, "mirrors/1.git/objects/pack/p.pack"),
       "byte for byte");
    PW_AUTO(pw_freep)
    char *extra = pw_path_join(w->back, "logs/seg/00000008.seg"),
         *mark = pw_path_join(w->back, "restoring"),
         *key = pw_path_join(w->back, "keys/master.secret"), *db = pw_path_join(w->back, "pawl.db");
    ok(access(extra, F_OK) < 0 && access(mark, F_OK) < 0, "and nothing else");
    ok(stat(key, &st) == 0 && (st.st_mode & 0777) == 0600, "the key is 0600");
    PW_AUTO(store_closep) store *back = store_open(db, &pw_host_real, &err);
    ok(back && store_epoch(back) == r.new_epoch && store_turn(back) == 1, "the new epoch stands");
    back = store_close(back);
    const backup_options again = {.state = w->back, .file = w->file, .host = &pw_host_real};
    ok(backup_restore(&again, &r, &err) == PW_ECONFLICT && has(err.text, "not empty"),
       "a state that is there is not touched: %s", err.text);
}

static void test_refused(const world *w)
{
    const backup_options o = {.state = w->back, .file = w->file, .host = &pw_host_real};
    backup_report r = {0};
    pw_err err = {0};
    (void)pw_fs_remove_tree(w->back, NULL);
    (void)pw_fs_mkdirs(w->back, 0700, NULL);
    PW_AUTO(pw_freep) char *lock = pw_path_join(w->back, "lock");
    PW_AUTO(pw_closep) int fd = pw_fs_lock(lock, NULL);
    ok(backup_restore(&o, &r, &err) == PW_ECONFLICT && has(err.text, "a master runs"),
       "beside a master: %s", err.text);
    pw_closep(&fd);
    put(w->back, "restoring", "x", 1);
    put(w->back, "pawl.db", "half", 4);
    ok(backup_restore(&o, &r, &err) == 0, "what a restore left half done is done anew");
    const backup_options none = {.state = w->dir, .file = w->file, .host = &pw_host_real};
    ok(backup_make(&none, &r, &err) == PW_ENOTFOUND, "no state: %s", err.text);
    const backup_options nowhere = {
        .state = w->state, .file = "/nonexistent/folder/x", .host = &pw_host_real};
    ok(backup_make(&nowhere, &r, &err) == PW_ENOTFOUND && has(err.text, "/nonexistent"),
       "no folder: %s", err.text);
    PW_AUTO(pw_freep) char *tmp = pw_strf("%s.tmp", w->file);
    __attribute__((unused)) PW_AUTO(pw_closep) int other = pw_fs_lock(tmp, NULL);
    const backup_options twice = {.state = w->state, .file = w->file, .host = &pw_host_real};
    ok(backup_make(&twice, &r, &err) == PW_EAGAIN, "two at once: %s", err.text);
    (void)unlink(tmp);
}

/* The file cut at many places, and with bytes flipped: each time refused, nothing left behind. */
static void test_damage(const world *w)
{
    PW_AUTO(pw_buf_clearp) pw_buf whole = PW_BUF(1 << 22);
    backup_report r = {0};
    pw_err err = {0};
    size_t refused = 0, tried = 0, clean = 0, named = 0;
    if (pw_fs_read(w->file, 1 << 22, &whole, NULL) < 0)
        return;
    for (size_t i = 0; i < 20; i++, tried++) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 22);
        size_t at = whole.len * i / 20;
        (void)pw_buf_add(&b, whole.p, i % 2 ? at : whole.len);
        if (i % 2 == 0)
            b.p[at] = (char)(b.p[at] ^ 0x55);
        (void)pw_fs_replace(w->file, pw_buf_str(&b), b.len, 0600, NULL);
        int code = restore(w, &r, &err);
        /* a flip may hit what zstd does not use: then all sums must be right */
        refused += code == PW_ECORRUPT || (code == 0 && i % 2 == 0 && same(w, "logs/04/4-0-0.log"));
        named += code == PW_ECORRUPT && has(err.text, w->file) && has(err.text, "member \"");
        if (code != PW_ECORRUPT && code != 0)
            printf("# at %zu: %d %s\n", at, code, err.text);
        PW_AUTO(pw_freep) char *lock = pw_path_join(w->back, "lock");
        clean += code == 0 || (unlink(lock) == 0 && rmdir(w->back) == 0);
    }
    ok(refused == tried, "%zu of %zu damaged files are refused", refused, tried);
    ok(named >= tried / 2, "with the member's name: %s", err.text);
    ok(clean == tried, "and nothing of them is left");
    (void)pw_fs_replace(w->file, whole.p, whole.len, 0600, NULL);
    ok(restore(w, &r, &err) == 0, "the whole one is taken: %s", err.text);
}

/* Members that no backup has. */
static void test_hostile(const world *w)
{
    static const char *const names[] = {"../evil", "/etc/evil", "keys/../../evil", "evil",
                                        "keys/",   "web.addr",  "logs//x"};
    static const char head[] =
        "{\"format\":1,\"version\":\"0\",\"made\":\"2026-01-01T00:00:00.000Z\","
        "\"schema\":1,\"epoch\":\"0000000000000001\",\"turn\":1}";
    backup_report r = {0};
    pw_err err = {0};
    size_t refused = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint64_t bytes;
        PW_AUTO(pw_closep) int fd = open(w->file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        PW_AUTO(tar_out_freep) tar_out *out = tar_out_new(fd, NULL);
        if (!out)
            return;
        (void)tar_out_member(out, "pawl-backup.json", sizeof(head) - 1, 0, NULL);
        (void)tar_out_add(out, head, sizeof(head) - 1, NULL);
        (void)tar_out_member(out, names[i], 1, 0, NULL);
        (void)tar_out_add(out, "x", 1, NULL);
        (void)tar_out_end(out, &bytes, NULL);
        int code = restore(w, &r, &err);
        refused += (code == PW_ECORRUPT || code == PW_EINVAL) && has(err.text, names[i]);
        if (code != PW_ECORRUPT)
            printf("# %s: %d %s\n", names[i], code, err.text);
    }
    ok(refused == sizeof(names) / sizeof(names[0]), "%zu hostile names are refused", refused);
}

int main(void)
{
    world w = {.dir = "/tmp/pawl-backup-XXXXXX"};
    pw_err err = {0};
    if (crypt_init(&err) < 0 || !mkdtemp(w.dir))
        return 1;
    w.state = pw_path_join(w.dir, "state");
    w.file = pw_path_join(w.dir, "b.tar.zst");
    w.back = pw_path_join(w.dir, "back");
    if (w.state && w.file && w.back) {
        test_tar(&w);
        uint64_t epoch = make_state(&w);
        ok(epoch != 0, "a state");
        test_round(&w, epoch);
        test_refused(&w);
        test_damage(&w);
        test_hostile(&w);
    }
    (void)pw_fs_remove_tree(w.dir, NULL);
    free(w.state);
    free(w.file);
    free(w.back);
    return tap_done();
}
