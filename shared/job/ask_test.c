#include "shared/job/ask.h"

#include <string.h>

#include "tests/tap.h"

static char from[] = "fast", name[] = "a/b";

/* Encoded and read again. */
static int there_and_back(uint64_t seq, job_ask_item *v, size_t n, job_ask *ret)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_ASK_MAX);
    job_ask a = {seq, {v, n}};
    pw_err err = {0};
    int rc = pw_schema_encode(&job_ask_schema, &a, &b, &err);
    return rc < 0 ? rc : job_ask_read(b.p, b.len, ret, &err);
}

static int code(uint64_t seq, job_ask_item *v, size_t n)
{
    job_ask a = {0};
    int rc = there_and_back(seq, v, n, &a);
    pw_schema_clear(&job_ask_schema, &a);
    return rc;
}

int main(void)
{
    char rev[] = "0123456789012345678901234567890123456789", *have[PW_HAVE_MAX + 1];
    job_ask_item list = {.what = PW_NEED_LIST, .from = from};
    job_ask_item file = {.what = PW_NEED_FILE, .from = from, .name = name, .size = 5};
    job_ask_item bundle = {.what = PW_NEED_BUNDLE, .have = {have, PW_HAVE_MAX}};
    job_ask_item two[2] = {file, file}, mixed[2] = {file, list}, wrong = file;
    job_ask got = {0};
    for (size_t i = 0; i <= PW_HAVE_MAX; i++)
        have[i] = rev;
    ok(code(1, &list, 1) == 0 && code(1, &file, 1) == 0 && code(1, two, 2) == 0, "right ones");
    ok(there_and_back(7, &bundle, 1, &got) == 0 && got.seq == 7 && got.items.n == 1, "a bundle");
    const job_ask_item *v = got.items.v;
    ok(v && v->have.n == PW_HAVE_MAX && strcmp(v->have.v[3], rev) == 0, "what it may build upon");
    pw_schema_clear(&job_ask_schema, &got);
    bundle.have.n++;
    ok(code(1, &bundle, 1) == PW_ELIMIT, "not more than that");
    ok(code(0, &list, 1) == PW_EINVAL && code(1, NULL, 0) == PW_EINVAL, "no number, nothing asked");
    ok(code(1, mixed, 2) == PW_EINVAL, "files alone");
    wrong.size = 0;
    ok(code(1, &wrong, 1) == PW_EINVAL, "no empty file");
    wrong.size = UINT64_MAX;
    ok(code(1, &wrong, 1) == PW_EINVAL, "nor one whose size leads to an overflow");
    wrong = file;
    wrong.name = NULL;
    ok(code(1, &wrong, 1) == PW_EINVAL, "nor one without a name");
    wrong.what = 9;
    ok(code(1, &wrong, 1) == PW_EINVAL, "nor what nobody knows");
    return tap_done();
}
