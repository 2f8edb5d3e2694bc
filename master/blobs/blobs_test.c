#include "master/blobs/blobs.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/hash.h"
#include "tests/tap.h"

static char dir[] = "/tmp/pawl-blobs-XXXXXX", state[64], lock_path[64];
static pw_chan *answers;
static blobs *b;

static void sum_of(const char *text, uint8_t sum[BLOBS_SUM])
{
    crypt_sha256 *h = crypt_sha256_new(NULL);
    if (h) {
        crypt_sha256_add(h, text, strlen(text));
        crypt_sha256_end(h, sum);
    }
    crypt_sha256_free(h);
}

static void begin(void)
{
    pw_err err = {0};
    answers = pw_chan_new(16, free, &err);
    b = answers ? blobs_open(state, answers, &err) : NULL;
    if (b && blobs_keep_while(b, lock_path, &err) < 0)
        b = blobs_close(b);
    if (!b)
        printf("# %s\n", err.text);
}

static void end(void)
{
    b = blobs_close(b);
    answers = pw_chan_free(answers);
}

/* The next answer's code; 1: none came. */
static int next(int kind)
{
    struct pollfd p = {.fd = pw_chan_fd(answers), .events = POLLIN};
    blobs_answer *a = poll(&p, 1, 10000) == 1 ? pw_chan_recv(answers) : NULL;
    int code = a && (int)a->kind == kind ? a->code : 1;
    if (a && code < 0)
        printf("# %s\n", a->text);
    free(a);
    return code;
}

static bool has(const char *text, uint64_t attempt, uint64_t file)
{
    uint8_t sum[BLOBS_SUM];
    char got[100] = "";
    sum_of(text, sum);
    int fd = blobs_read(state, sum, attempt, file, NULL);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));
    pw_closep(&fd);
    return n == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0;
}

static bool there(const char *name)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(state, name);
    return path && access(path, F_OK) == 0;
}

static int put(uint64_t attempt, uint64_t file, const char *text)
{
    int r = blobs_append(b, attempt, file, 0, text, strlen(text), NULL);
    if (r == 0)
        r = blobs_whole(b, attempt, file, strlen(text), NULL);
    return r == 0 ? blobs_sync(b, NULL) : r;
}

static int publish(uint64_t attempt, uint64_t file, const char *text)
{
    uint8_t sum[BLOBS_SUM];
    sum_of(text, sum);
    return blobs_publish(b, attempt, file, strlen(text), sum, NULL) == 0 ? next(BLOBS_STORED) : 1;
}

static void one_file(void)
{
    ok(blobs_append(b, 1, 0, 0, "hel", 3, NULL) == 0 &&
           blobs_append(b, 1, 0, 3, "lo", 2, NULL) == 0,
       "two pieces");
    ok(blobs_append(b, 1, 0, 6, "x", 1, NULL) == PW_ECORRUPT, "a gap is refused");
    ok(blobs_append(b, 1, 0, 2, "llo", 3, NULL) == 0, "a piece that came before");
    ok(blobs_whole(b, 1, 0, 6, NULL) == PW_ECORRUPT, "it is not whole yet");
    ok(blobs_whole(b, 1, 0, 5, NULL) == 0 && blobs_sync(b, NULL) == 0, "whole and on disk");
    ok(has("hello", 1, 0), "read while it is incoming");
    ok(publish(1, 0, "hello") == 0 && !there("in/1-0"), "put in place");
    ok(has("hello", 1, 0), "read from there");
    ok(publish(1, 0, "hello") == 0, "asked again behind a crash: it is there");
    ok(put(2, 7, "hello") == 0 && publish(2, 7, "hello") == 0 && !there("in/2-7"),
       "the same bytes again are kept once");
    ok(put(2, 8, "") == 0 && has("", 2, 8) && publish(2, 8, "") == 0 && has("", 2, 8),
       "an empty file");
    ok(put(2, 9, "hellO") == 0 && publish(2, 9, "hello") == PW_ECORRUPT && there("in/2-9"),
       "another sum is damage, and stays where it is");
    ok(blobs_over(b, 2, NULL) == 0 && put(3, 0, "x") == 0 && publish(3, 0, "x") == 0 &&
           there("in/2-9"),
       "also when its attempt is over");
    ok(publish(4, 0, "never came") == PW_ECORRUPT, "what is not there is damage");
}

static bool only_five(void *self, uint64_t attempt, uint64_t file)
{
    (void)self;
    return attempt == 5 && file == 0;
}

static void restart(void)
{
    ok(blobs_append(b, 5, 0, 0, "abcdef", 6, NULL) == 0 && blobs_sync(b, NULL) == 0 &&
           blobs_append(b, 5, 0, 6, "torn", 4, NULL) == 0 && put(6, 0, "left") == 0,
       "killed with pieces that were not synced");
    end();
    begin();
    if (!b)
        return;
    ok(blobs_sweep(b, only_five, NULL, NULL) == 0 && there("in/5-0") && !there("in/6-0"),
       "what nobody wants goes at the start");
    ok(blobs_append(b, 5, 0, 6, "g", 1, NULL) == 0 && blobs_whole(b, 5, 0, 7, NULL) == 0 &&
           blobs_sync(b, NULL) == 0 && publish(5, 0, "abcdefg") == 0 && has("abcdefg", 5, 0),
       "it goes on where it was on disk, what was behind is no part of it");
    ok(blobs_append(b, 8, 0, 0, "half", 4, NULL) == 0 && blobs_over(b, 8, NULL) == 0 &&
           put(9, 0, "y") == 0 && publish(9, 0, "y") == 0 && !there("in/8-0"),
       "what an attempt left unfinished goes with it");
}

static void removing(void)
{
    uint8_t sum[BLOBS_SUM];
    sum_of("hello", sum);
    int lock = pw_fs_lock_shared(lock_path, NULL);
    ok(lock >= 0 && blobs_remove(b, sum, NULL) == 0 && next(BLOBS_REMOVED) == PW_EAGAIN &&
           has("hello", 0, 0),
       "nothing is removed while a backup reads");
    pw_closep(&lock);
    ok(blobs_remove(b, sum, NULL) == 0 && next(BLOBS_REMOVED) == 0 && !has("hello", 0, 0),
       "removed");
    ok(blobs_remove(b, sum, NULL) == 0 && next(BLOBS_REMOVED) == 0, "again is no error");
    ok(put(11, 0, "hello") == 0 && blobs_remove(b, sum, NULL) == 0 && next(BLOBS_REMOVED) == 0 &&
           publish(11, 0, "hello") == 0 && has("hello", 11, 0),
       "a removal does not take what comes behind it");
}

static void many(void)
{
    bool good = true;
    for (uint64_t i = 0; i < 300; i++)
        good = good && blobs_append(b, 100 + i, 0, 0, "a", 1, NULL) == 0 &&
               (i % 50 != 49 || blobs_sync(b, NULL) == 0);
    for (uint64_t i = 0; i < 300; i++)
        good = good && blobs_append(b, 100 + i, 0, 1, "b", 1, NULL) == 0 &&
               (i % 50 != 49 || blobs_sync(b, NULL) == 0);
    ok(good && has("ab", 100, 0), "more files come in than may be open");
}

static void names(void)
{
    uint64_t a, f;
    ok(blobs_part_parse("12-3", &a, &f) && a == 12 && f == 3, "a name");
    ok(!blobs_part_parse("12", &a, &f) && !blobs_part_parse("a-1", &a, &f) &&
           !blobs_part_parse("1-2-3", &a, &f) && !blobs_part_parse("-", &a, &f),
       "others");
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(state, sizeof(state), "%s/artifacts", dir);
    (void)snprintf(lock_path, sizeof(lock_path), "%s/backup.lock", dir);
    begin();
    if (b) {
        names();
        one_file();
        restart();
        removing();
        many();
    }
    end();
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
