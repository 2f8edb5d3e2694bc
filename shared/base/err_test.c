#include "shared/base/err.h"

#include <errno.h>
#include <string.h>

#include "tests/tap.h"

static void test_fail(void)
{
    pw_err err = {.code = PW_OK};
    int line;

    errno = ENOSPC;
    line = __LINE__ + 1;
    ok(pw_fail(&err, PW_ELIMIT, "job %d is too big", 7) == PW_ELIMIT, "returns the code");
    ok(err.code == PW_ELIMIT && err.sys == 0, "keeps the code, no errno");
    ok(strcmp(err.text, "job 7 is too big") == 0, "formats the text");
    ok(err.line == line && strstr(err.file, "err_test.c") != NULL, "knows its place");
    ok(errno == ENOSPC, "leaves errno alone");
    ok(pw_fail_sys(&err, "writing") == PW_ESYS && err.sys == ENOSPC, "takes errno along");
    ok(pw_fail(NULL, PW_EINVAL, "x") == PW_EINVAL, "needs no object");
}

static void test_context(void)
{
    pw_err err = {.code = PW_OK};
    char longer[600];

    (void)pw_fail(&err, PW_ENOTFOUND, "no such file");
    ok(pw_err_context(&err, "job %d", 3) == PW_ENOTFOUND, "context returns the code");
    ok(strcmp(err.text, "job 3: no such file") == 0, "context stands before the text");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    (void)pw_fail(&err, PW_EINVAL, "%s", longer);
    ok(strlen(err.text) == sizeof(err.text) - 1, "a long text is cut");
    (void)pw_err_context(&err, "%s", longer);
    ok(strlen(err.text) < sizeof(err.text) && strstr(err.text, "x: xxx") != NULL,
       "a long context is cut, the text stays");
    ok(pw_err_context(NULL, "x") == PW_EINVAL, "context needs no object");
}

int main(void)
{
    test_fail();
    test_context();
    return tap_done();
}
