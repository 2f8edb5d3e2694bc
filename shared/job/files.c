/* Records of files and of what reports say. */
#include <string.h>

#include "shared/base/num.h"
#include "shared/job/job.h"
#include "shared/job/record.h"

enum { SUM_BYTES = 32, FORMAT_MAX = 32, CASE_MAX = 2000, MODE_MAX = 07777 };

static const pw_field file_fields[] = {
    PW_F_U64(rec_file, file, "file", true, "number of the file in the job, from 0"),
    PW_F_U64(rec_file, step, "step", true, "index of the step, from 0"),
    PW_F_U64(rec_file, kind, "kind", true, "0 artifact, 1 report, 2 summary"),
    PW_F_STR(rec_file, path, "path", true, PW_PATH_MAX, "relative path"),
    PW_F_U64(rec_file, size, "size", true, "bytes"),
    PW_F_U64(rec_file, mode, "mode", true, "permissions"),
    PW_F_BIN(rec_file, sha256, "sha256", true, SUM_BYTES, "SHA-256 of the bytes"),
    PW_F_U64(rec_file, keep_ms, "keep_ms", false, "how long it is kept, 0: as its project says"),
};
const pw_schema rec_file_schema =
    PW_SCHEMA("file", rec_file, file_fields, "A file that a step left; its bytes stand before.");

static const pw_field case_fields[] = {
    PW_F_STR(rec_case, suite, "suite", false, CASE_MAX, "suite or class"),
    PW_F_STR(rec_case, name, "name", true, CASE_MAX, "name"),
    PW_F_U64(rec_case, result, "result", false, "0 passed, 1 failed, 2 skipped"),
    PW_F_U64(rec_case, ms, "ms", false, "time it took"),
};
const pw_schema rec_case_schema = PW_SCHEMA("case", rec_case, case_fields, "A test case.");

static const pw_field tests_fields[] = {
    PW_F_U64(rec_tests, step, "step", true, "index of the step, from 0"),
    PW_F_LIST(rec_tests, cases, "cases", true, PW_CASES_MAX, &rec_case_schema, "the cases"),
};
const pw_schema rec_tests_schema =
    PW_SCHEMA("tests", rec_tests, tests_fields, "Test cases of a step's reports.");

static const pw_field report_fields[] = {
    PW_F_U64(rec_report, step, "step", true, "index of the step, from 0"),
    PW_F_STR(rec_report, format, "format", true, FORMAT_MAX, "`junit`, `tap`, `subunit`, `gotest`"),
    PW_F_STR(rec_report, path, "path", true, PW_PATH_MAX, "relative path"),
    PW_F_U64(rec_report, tests, "tests", false, "cases in it"),
    PW_F_U64(rec_report, failed, "failed", false, "of them failed"),
    PW_F_U64(rec_report, skipped, "skipped", false, "of them skipped"),
    PW_F_STR(rec_report, reason, "reason", false, PW_TEXT_MAX, "why it could not be read"),
};
const pw_schema rec_report_schema =
    PW_SCHEMA("report", rec_report, report_fields, "A report that was read.");

void rec_piece_put_head(const rec_piece *r, uint8_t out[RECORD_PIECE_HEAD])
{
    pw_put_le32(out, r->file);
    pw_put_le32(out + 4, 0);
    pw_put_le64(out + 8, r->position);
}

int rec_piece_get(const uint8_t *payload, size_t n, rec_piece *out, pw_err *err)
{
    if (n <= RECORD_PIECE_HEAD || n - RECORD_PIECE_HEAD > PW_PIECE_MAX)
        return pw_fail(err, PW_EPROTO, "artifact record of %zu bytes", n);
    rec_piece r = {.file = pw_le32(payload),
                   .position = pw_le64(payload + 8),
                   .p = payload + RECORD_PIECE_HEAD,
                   .n = n - RECORD_PIECE_HEAD};
    if (pw_le32(payload + 4) != 0)
        return pw_fail(err, PW_EPROTO, "artifact record of an unknown form");
    if (r.file >= PW_FILES_MAX || r.position > PW_FILE_MAX - r.n)
        return pw_fail(err, PW_ELIMIT, "artifact record has a number or position out of bounds");
    *out = r;
    return 0;
}

/* Length of the UTF-8 character at s; 0: none. */
static size_t utf8_char(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80             ? 1
               : (s[0] & 0xe0) == 0xc0 ? 2
               : (s[0] & 0xf0) == 0xe0 ? 3
               : (s[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fU >> n);
    if (n == 0)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fU);
    }
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    return control || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

bool rec_path_ok(const char *path)
{
    size_t all = strlen(path), n;
    if (all == 0 || all > PW_PATH_MAX)
        return false;
    for (const char *p = path; *p; p += n)
        if (!(n = utf8_char((const unsigned char *)p)))
            return false;
    for (const char *p = path;; p += n + 1) {
        n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (!p[n])
            return true;
    }
}

int rec_file_check(const rec_file *r, pw_err *err)
{
    if (r->file >= PW_FILES_MAX || r->step >= PW_STEPS_MAX || r->kind >= PW_FILE_KINDS ||
        r->size > PW_FILE_MAX || r->mode > MODE_MAX || r->keep_ms > PW_FILE_KEEP_MAX_MS)
        return pw_fail(err, PW_ELIMIT, "file record has a number out of bounds");
    if (r->sha256.n != SUM_BYTES)
        return pw_fail(err, PW_EPROTO, "file record has a sum of %zu bytes", r->sha256.n);
    if (!rec_path_ok(r->path))
        return pw_fail(err, PW_EPROTO, "file record has a path that leads elsewhere");
    return 0;
}
