/* JUnit XML: <testsuites> and <testsuite> hold <testcase>, which failed when it holds <failure> or
 * <error>, and was left out when it holds <skipped>. Attempts that were repeated (<rerunFailure>,
 * <flakyFailure>) are no failure. */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reports/impl.h"

typedef struct junit {
    XML_Parser x;
    int depth;
    int in_case; /* depth of the <testcase>; 0: not in one */
    bool failed, skipped;
    uint64_t ms;
    char suite[REPORT_NAME_MAX + 1]; /* of the innermost <testsuite> */
    char of[REPORT_NAME_MAX + 1];    /* class of the case, else its suite */
    char name[REPORT_NAME_MAX + 1];
    uint64_t fed; /* bytes since the last tag began */
} junit;
enum { TAG_MAX = 1024 * 1024, PIECE = 64 * 1024 };

static const char *attr(const XML_Char **a, const char *name)
{
    for (; a[0]; a += 2)
        if (strcmp(a[0], name) == 0)
            return a[1];
    return NULL;
}

/* Names may come with a prefix of a namespace. */
static bool is(const char *tag, const char *name)
{
    const char *colon = strrchr(tag, ':');
    return strcmp(colon ? colon + 1 : tag, name) == 0;
}

static void keep(char out[REPORT_NAME_MAX + 1], const char *s)
{
    size_t n = s ? strlen(s) : 0;
    if (n > REPORT_NAME_MAX) {
        n = REPORT_NAME_MAX;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    }
    if (n)
        memcpy(out, s, n);
    out[n] = '\0';
}

static void bad(report *r, const char *text)
{
    junit *j = r->state;
    report_bad(r, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(j->x), text);
    (void)XML_StopParser(j->x, XML_FALSE);
}

static void begin_tag(void *p, const XML_Char *tag, const XML_Char **a)
{
    report *r = p;
    junit *j = r->state;
    j->fed = 0;
    if (++j->depth > REPORT_DEPTH) {
        bad(r, "its elements are nested too deep");
    } else if (j->depth == 1 && !is(tag, "testsuites") && !is(tag, "testsuite")) {
        bad(r, "it is no JUnit report: its root is neither <testsuites> nor <testsuite>");
    } else if (is(tag, "testsuite") && !j->in_case) {
        keep(j->suite, attr(a, "name"));
    } else if (is(tag, "testcase") && !j->in_case) {
        const char *of = attr(a, "classname");
        j->in_case = j->depth;
        j->failed = j->skipped = false;
        j->ms = report_seconds(attr(a, "time"));
        keep(j->of, of && *of ? of : j->suite);
        keep(j->name, attr(a, "name"));
    } else if (j->in_case && j->depth == j->in_case + 1) {
        j->failed = j->failed || is(tag, "failure") || is(tag, "error");
        j->skipped = j->skipped || is(tag, "skipped");
    }
}

static void end_tag(void *p, const XML_Char *tag)
{
    report *r = p;
    junit *j = r->state;
    (void)tag;
    j->fed = 0;
    if (j->in_case == j->depth && j->depth > 0) {
        report_put(r, j->of, j->name,
                   j->failed    ? REPORT_FAILED
                   : j->skipped ? REPORT_SKIPPED
                                : REPORT_PASSED,
                   j->ms);
        j->in_case = 0;
    }
    j->depth--;
}

static void text(void *p, const XML_Char *s, int n)
{
    junit *j = ((report *)p)->state;
    (void)s, (void)n;
    j->fed = 0;
}

static void entity(void *p, const XML_Char *name, int parameter, const XML_Char *value, int n,
                   const XML_Char *base, const XML_Char *system, const XML_Char *public,
                   const XML_Char *notation)
{
    (void)name, (void)parameter, (void)value, (void)n, (void)base, (void)system, (void)public,
        (void)notation;
    bad(p, "it declares entities: that is not read");
}

/* Code pages of Windows and others of one byte: what is not ASCII is shown as Latin-1. */
static int other_encoding(void *p, const XML_Char *name, XML_Encoding *info)
{
    (void)p;
    if (strncasecmp(name, "windows-125", 11) != 0 && strncasecmp(name, "cp125", 5) != 0 &&
        strncasecmp(name, "iso-8859-", 9) != 0)
        return XML_STATUS_ERROR;
    for (int i = 0; i < 256; i++)
        info->map[i] = i;
    info->data = NULL;
    info->convert = NULL;
    info->release = NULL;
    return XML_STATUS_OK;
}

static int begin(report *r, pw_err *err)
{
    junit *j = r->state;
    if (!(j->x = XML_ParserCreate(NULL)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    XML_SetUserData(j->x, r);
    XML_SetElementHandler(j->x, begin_tag, end_tag);
    XML_SetCharacterDataHandler(j->x, text);
    XML_SetEntityDeclHandler(j->x, entity);
    XML_SetUnknownEncodingHandler(j->x, other_encoding, NULL);
    return 0;
}

static void feed(report *r, const char *p, size_t n, bool last)
{
    junit *j = r->state;
    if (XML_Parse(j->x, p, (int)n, last) == XML_STATUS_ERROR)
        report_bad(r, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(j->x),
                   XML_ErrorString(XML_GetErrorCode(j->x)));
}

static void bytes(report *r, const uint8_t *p, size_t n)
{
    junit *j = r->state;
    while (n > 0 && !r->bad) {
        size_t k = n < PIECE ? n : PIECE;
        j->fed += k;
        feed(r, (const char *)p, k, false);
        if (j->fed > TAG_MAX) /* expat keeps all of a tag or comment that has not ended */
            report_bad(r, "line %lu: something in it is longer than 1 MiB",
                       (unsigned long)XML_GetCurrentLineNumber(j->x));
        p += k;
        n -= k;
    }
}

static void end(report *r)
{
    feed(r, "", 0, true);
}

static void clear(report *r)
{
    junit *j = r->state;
    if (j && j->x)
        XML_ParserFree(j->x);
}

const report_kind report_junit = {.name = "junit",
                                  .size = sizeof(junit),
                                  .begin = begin,
                                  .bytes = bytes,
                                  .end = end,
                                  .clear = clear};
