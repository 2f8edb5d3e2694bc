#include "shared/job/record.h"

#include <stdlib.h>
#include <string.h>

#include "shared/job/job.h"
#include "tests/tap.h"

static void paths(void)
{
    static const char *const good[] = {"a",       "a/b",       "dist/x-1.0.tar.gz", "..a",
                                       "a..",     ".hidden/x", "mit Leerzeichen",   "\xc3\xa4",
                                       "a/.b/..c"};
    static const char *const bad[] = {
        "",       "/a",   "a/",   "a//b", ".",    "..",       "./a",          "a/..",     "../a",
        "a/../b", "a\nb", "\x7f", "a/.",  "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xc2\x85", "\xc3"};
    char longest[PW_PATH_MAX + 2];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ok(rec_path_ok(good[i]), "path %zu is fine", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(!rec_path_ok(bad[i]), "path %zu is refused", i);
    memset(longest, 'a', sizeof(longest));
    longest[PW_PATH_MAX] = '\0';
    ok(rec_path_ok(longest), "the longest path");
    longest[PW_PATH_MAX] = 'a';
    longest[PW_PATH_MAX + 1] = '\0';
    ok(!rec_path_ok(longest), "one byte more");
}

static void pieces(void)
{
    uint8_t *b = calloc(1, RECORD_PIECE_HEAD + PW_PIECE_MAX + 1);
    rec_piece p = {.file = 3, .position = 77}, r = {0};
    if (!b)
        return;
    rec_piece_put_head(&p, b);
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + 1, &r, NULL) == 0 && r.file == 3 && r.position == 77 &&
           r.n == 1 && r.p == b + RECORD_PIECE_HEAD,
       "a piece");
    ok(rec_piece_get(b, RECORD_PIECE_HEAD, &r, NULL) == PW_EPROTO, "an empty piece");
    ok(rec_piece_get(b, 3, &r, NULL) == PW_EPROTO, "half a head");
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + PW_PIECE_MAX, &r, NULL) == 0, "the longest");
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + PW_PIECE_MAX + 1, &r, NULL) == PW_EPROTO,
       "one byte more");
    p = (rec_piece){.file = PW_FILES_MAX - 1, .position = PW_FILE_MAX - 1};
    rec_piece_put_head(&p, b);
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + 1, &r, NULL) == 0, "the last byte of the last file");
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + 2, &r, NULL) == PW_ELIMIT, "one byte behind it");
    p.position = UINT64_MAX;
    rec_piece_put_head(&p, b);
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + 1, &r, NULL) == PW_ELIMIT, "no sum runs over");
    p = (rec_piece){.file = PW_FILES_MAX};
    rec_piece_put_head(&p, b);
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + 1, &r, NULL) == PW_ELIMIT, "a number too high");
    b[0] = b[1] = b[2] = b[3] = 0;
    b[5] = 1;
    ok(rec_piece_get(b, RECORD_PIECE_HEAD + 1, &r, NULL) == PW_EPROTO, "another form");
    free(b);
}

static void files(void)
{
    static char path[] = "a/b", bad[] = "../b";
    uint8_t sum[32] = {1};
    rec_file good = {.path = path, .size = PW_FILE_MAX, .mode = 07777, .sha256 = {sum, 32}},
             f = good;
    ok(rec_file_check(&f, NULL) == 0, "a file");
    f.size++;
    ok(rec_file_check(&f, NULL) == PW_ELIMIT, "too large");
    f = good, f.mode = 010000;
    ok(rec_file_check(&f, NULL) == PW_ELIMIT, "more than permissions");
    f = good, f.kind = PW_FILE_KINDS;
    ok(rec_file_check(&f, NULL) == PW_ELIMIT, "an unknown kind");
    f = good, f.step = PW_STEPS_MAX;
    ok(rec_file_check(&f, NULL) == PW_ELIMIT, "a step too far");
    f = good, f.sha256.n = 31;
    ok(rec_file_check(&f, NULL) == PW_EPROTO, "a short sum");
    f = good, f.path = bad;
    ok(rec_file_check(&f, NULL) == PW_EPROTO, "a path that leads out");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    rec_file back;
    ok(pw_schema_encode(&rec_file_schema, &good, &b, NULL) == 0 &&
           pw_schema_decode(&rec_file_schema, b.p, b.len, &back, NULL) == 0 &&
           strcmp(back.path, path) == 0 && back.size == good.size && back.sha256.p[0] == 1,
       "there and back");
    pw_schema_clear(&rec_file_schema, &back);
}

int main(void)
{
    paths();
    pieces();
    files();
    return tap_done();
}
