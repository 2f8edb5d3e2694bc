/* Small reports, each also byte by byte; and real ones of PAWL_TEST_DATA (default ../shared/data),
 * against counts that others computed. */
#include "worker/reports/report.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/json/json.h"
#include "tests/tap.h"

typedef struct got {
    pw_buf text;
} got;

static void on_case(void *self, const report_case *c)
{
    static const char *const words[] = {"passed", "failed", "skipped"};
    got *g = self;
    (void)pw_buf_addf(&g->text, "%s/%s=%s,%llu;", c->suite ? c->suite : "", c->name,
                      words[c->result], (unsigned long long)c->ms);
}

static int read_in(const char *format, const char *p, size_t n, size_t piece, got *g,
                   report_totals *t, pw_err *err)
{
    PW_AUTO(report_freep) report *r = report_new(format, on_case, g, err);
    if (!r)
        return err->code;
    for (size_t at = 0; at < n; at += piece)
        report_add(r, p + at, n - at < piece ? n - at : piece);
    return report_end(r, t, err);
}

static void check(const char *what, const char *format, const char *p, size_t n, const char *want,
                  const char *why)
{
    for (size_t piece = 1; piece <= n + 1; piece = piece == 1 ? 7 : piece == 7 ? n + 1 : n + 2) {
        got g = {PW_BUF(1000000)};
        report_totals t;
        pw_err err = {0};
        int rc = read_in(format, p, n, piece, &g, &t, &err);
        bool good = strcmp(pw_buf_str(&g.text), want) == 0 &&
                    (why ? rc == PW_ECORRUPT && strstr(err.text, why) != NULL : rc == 0);
        ok(good, "%s %s, %zu bytes at once", format, what, piece);
        if (!good)
            printf("# %d %s\n# %s\n", rc, err.text, pw_buf_str(&g.text));
        pw_buf_clear(&g.text);
    }
}

static const struct {
    const char *what, *format, *text, *want, *why; /* why NULL: it is fine */
} small[] = {
    {"cases", "junit",
     "<?xml version=\"1.0\"?><testsuites><testsuite name=\"s\"><testcase classname=\"c\" "
     "name=\"a\" "
     "time=\"1.25\"/><testcase name=\"b\"><failure>no</failure></testcase><testcase name=\"d\">"
     "<skipped/></testcase><testcase name=\"e\"><error/></testcase></testsuite></testsuites>",
     "c/a=passed,1250;s/b=failed,0;s/d=skipped,0;s/e=failed,0;", NULL},
    {"repeated attempts", "junit",
     "<testsuite name=\"s\"><testcase "
     "name=\"a\"><flakyFailure/><rerunFailure/></testcase></testsuite>",
     "s/a=passed,0;", NULL},
    {"nested elements of the same name", "junit",
     "<testsuite name=\"s\"><testcase name=\"a\"><x><failure/></x></testcase></testsuite>",
     "s/a=passed,0;", NULL},
    {"none", "junit", "<testsuites/>", "", NULL},
    {"nothing at all", "junit", "", "", "line 1: no element found"},
    {"another document", "junit", "<html></html>", "", "neither <testsuites> nor <testsuite>"},
    {"cut off", "junit", "<testsuite name=\"s\"><testcase name=\"a\"/>\n<testc", "s/a=passed,0;",
     "line 2: "},
    {"laughs", "junit",
     "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><testsuite><testcase name=\"&b;\"/>"
     "</testsuite>",
     "", "declares entities"},
    {"a file of the machine", "junit",
     "<!DOCTYPE l [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><testsuite><testcase name=\"x\">&a;"
     "</testcase></testsuite>",
     "", "declares entities"},
    {"Windows", "junit",
     "<?xml version=\"1.0\" encoding=\"windows-1252\"?><testsuite><testcase "
     "name=\"\xe4\"/></testsuite>",
     "/\xc3\xa4=passed,0;", NULL},
    {"an encoding", "junit", "<?xml version=\"1.0\" encoding=\"ebcdic\"?><testsuite/>", "",
     "unknown encoding"},
    {"cases", "tap",
     "TAP version 13\n1..5\nok 1 - a\nnot ok 2 b\nok 3 # SKIP no\nnot ok 4 c # TODO later\nok\n",
     "/a=passed,0;/b=failed,0;/?=skipped,0;/c=skipped,0;/?=passed,0;", NULL},
    {"subtests", "tap",
     "# Subtest: x\n    ok 1 - in\n    not ok 2 - in\n    1..2\nnot ok 1 - x\n1..1\r\n",
     "/x=failed,0;", NULL},
    {"hashes", "tap", "ok 1 a \\# skip b\nokay\n1..1", "/a \\# skip b=passed,0;", NULL},
    {"all left out", "tap", "1..0 # SKIP no compiler\n", "", NULL},
    {"too few", "tap", "1..3\nok 1\n", "/?=passed,0;", "its plan is of 3 tests, and 1 came"},
    {"no plan", "tap", "ok 1\n", "/?=passed,0;", "it has no plan"},
    {"bail out", "tap", "1..2\nok 1\nBail out! no disk\nok 2\n", "/?=passed,0;",
     "Bail out! no disk"},
    {"cases", "gotest",
     "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"A\"}\n{\"Action\":\"pass\",\"Package\":"
     "\"p\",\"Test\":\"A\","
     "\"Elapsed\":0.5}\n{\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"B\",\"Elapsed\":1}\n{"
     "\"Action\":\"fail\","
     "\"Package\":\"p\"}\n{\"Action\":\"skip\",\"Package\":\"p\",\"Test\":\"C\"}\n{\"Action\":"
     "\"pass\",\"Package\":\"q\"}\n",
     "p/A=passed,500;p/B=failed,1000;p/C=skipped,0;", NULL},
    {"a package that does not compile", "gotest",
     "# p [p.test]\n{\"Action\":\"fail\",\"Package\":\"p\",\"Elapsed\":0}\n",
     "p/(package)=failed,0;", NULL},
    {"text", "gotest", "ok   p 0.1s\n", "", "it has no event"},
    {"half an event", "gotest", "{\"Action\":\"pass\n", "", "line 1: it is no event"},
    {"version 1", "subunit",
     "test: a\nsuccess: a\ntest: b\nfailure: b [\nsuccess: not this\n]\nskip: c\nerror: d [ "
     "multipart\nx\n]\nxfail e\n",
     "/a=passed,0;/b=failed,0;/c=skipped,0;/d=failed,0;/e=passed,0;", NULL},
};

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = UINT32_MAX;
    for (size_t i = 0; i < n; i++)
        for (int k = (c ^= p[i], 0); k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320U : 0);
    return ~c;
}

static size_t put_packet(char *out, unsigned flags, unsigned seconds, const char *id)
{
    uint8_t *p = (uint8_t *)out;
    size_t n = 0, k = strlen(id), size = 4 + 5 + 1 + k + 4;
    flags |= 0x2000 | 0x0800 | 0x0200;
    p[n++] = 0xb3;
    p[n++] = (uint8_t)(flags >> 8);
    p[n++] = (uint8_t)flags;
    p[n++] = (uint8_t)size;
    memset(p + n, 0, 3);
    n += 3;
    p[n++] = (uint8_t)seconds;
    p[n++] = 0;
    p[n++] = (uint8_t)k;
    memcpy(p + n, id, k);
    n += k;
    uint32_t c = crc(p, n);
    for (int i = 3; i >= 0; i--)
        p[n++] = (uint8_t)(c >> (8 * i));
    return n;
}

static void subunit2(void)
{
    char b[300];
    size_t n = put_packet(b, 2, 1, "a");
    n += put_packet(b + n, 3, 3, "a");
    memcpy(b + n, "output", 6);
    n += 6;
    n += put_packet(b + n, 6, 4, "b");
    n += put_packet(b + n, 5, 4, "c");
    check("version 2", "subunit", b, n, "/a=passed,2000;/b=failed,0;/c=skipped,0;", NULL);
    check("version 2 cut off", "subunit", b, n - 1, "/a=passed,2000;/b=failed,0;",
          "ends inside a packet");
    b[n - 1] ^= 1;
    check("version 2 damaged", "subunit", b, n, "/a=passed,2000;/b=failed,0;", "wrong checksum");
}

static void bounds(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4000000);
    report_totals t;
    pw_err err = {0};
    got g = {PW_BUF(1000000)};
    (void)pw_buf_adds(&b, "<testsuite>");
    for (int i = 1; i < REPORT_DEPTH; i++)
        (void)pw_buf_adds(&b, "<a>");
    size_t fits = b.len;
    for (int i = 1; i < REPORT_DEPTH; i++)
        (void)pw_buf_adds(&b, "</a>");
    (void)pw_buf_adds(&b, "</testsuite>");
    ok(read_in("junit", b.p, b.len, b.len, &g, &t, &err) == 0, "the deepest");
    b.len = fits;
    (void)pw_buf_adds(&b, "<a>");
    ok(read_in("junit", b.p, b.len, b.len, &g, &t, &err) < 0 && strstr(err.text, "too deep"),
       "deeper");
    pw_buf_reset(&b);
    (void)pw_buf_adds(&b, "<testsuite><testcase name=\"");
    for (int i = 0; i < 3000000 / 10; i++)
        (void)pw_buf_adds(&b, "aaaaaaaaaa");
    ok(read_in("junit", b.p, b.len, 65536, &g, &t, &err) < 0 &&
           strstr(err.text, "longer than 1 MiB"),
       "a tag without end");
    pw_buf_reset(&b);
    (void)pw_buf_adds(&b, "1..1\nok 1 - ");
    for (int i = 0; i < 100000; i++)
        (void)pw_buf_adds(&b, "\xc3\xa4");
    ok(read_in("tap", b.p, b.len, b.len, &g, &t, &err) == 0 && t.tests == 1 &&
           g.text.len < REPORT_NAME_MAX + 30 && strstr(pw_buf_str(&g.text), "\xa4=passed"),
       "a long name is cut between characters");
    pw_buf_clear(&g.text);
    ok(!report_new("trx", NULL, NULL, &err) && err.code == PW_EINVAL, "an unknown kind");
}

/* ---- real ones */
static bool read_file(const char *dir, const char *name, pw_buf *b)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    pw_buf_reset(b);
    return path && pw_fs_read(path, (size_t)8 << 20, b, NULL) == 0;
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static void real_junit(const char *dir)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 << 20);
    size_t seen = 0, wrong = 0;
    if (!read_file(dir, "computed-xml-counts.json", &b))
        return;
    PW_AUTO(json_freep) json_value *all = json_parse(b.p, b.len, NULL);
    const json_value *files = json_get(all, "files"), *f;
    for (size_t i = 0; i < json_count(files); i++) {
        const char *name = json_key(files, i, &f), *root = json_str(json_get(f, "root"), "");
        report_totals t;
        pw_err err = {0};
        got g = {PW_BUF((size_t)64 << 20)};
        if (ends(name, ".gz") || !read_file(dir, name, &b))
            continue;
        bool junit = json_bool(json_get(f, "well_formed"), false) &&
                     (strcmp(root, "testsuites") == 0 || strcmp(root, "testsuite") == 0);
        int rc = read_in("junit", b.p, b.len, 4096, &g, &t, &err);
        uint64_t bad = (uint64_t)json_int(json_get(f, "with_failure"), 0) +
                       (uint64_t)json_int(json_get(f, "with_error"), 0);
        bool entities = rc < 0 && strstr(err.text, "entities");
        bool good = junit ? rc == 0 && t.tests == (uint64_t)json_int(json_get(f, "testcase"), 0) &&
                                t.failed <= bad && (bad == 0) == (t.failed == 0)
                          : rc < 0;
        seen++;
        if (!good && !entities) {
            wrong++;
            printf("# %s: %d %s: %llu tests, %llu failed\n", name, rc, err.text,
                   (unsigned long long)t.tests, (unsigned long long)t.failed);
        }
        pw_buf_clear(&g.text);
    }
    ok(seen > 100 && wrong == 0, "%zu real JUnit reports have the counts that others found", seen);
}

static void real_tap(const char *dir)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 << 20);
    PW_AUTO(pw_freep) char *sub = pw_path_join(dir, "tap");
    size_t seen = 0, wrong = 0;
    DIR *d = sub ? opendir(sub) : NULL;
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        if (!ends(e->d_name, ".tap"))
            continue;
        PW_AUTO(pw_freep) char *expected = pw_strf("%s.expected.json", e->d_name);
        report_totals t;
        pw_err err = {0};
        got g = {PW_BUF((size_t)64 << 20)};
        if (!read_file(sub, expected, &b))
            continue;
        PW_AUTO(json_freep) json_value *v = json_parse(b.p, b.len, NULL);
        const json_value *r = json_get(v, "final_results_tapjs");
        if (!json_is_object(r) || !read_file(sub, e->d_name, &b))
            continue;
        int rc = read_in("tap", b.p, b.len, 100, &g, &t, &err);
        bool fine = json_bool(json_get(r, "ok"), false);
        seen++;
        /* what tapjs takes for wrong, we do: a failed test, or a report that does not hold */
        bool counts = t.tests == (uint64_t)json_int(json_get(r, "count"), -1);
        if (!counts || (fine && (rc < 0 || t.failed))) {
            wrong++;
            printf("# %s: %d %s: %llu tests\n", e->d_name, rc, err.text,
                   (unsigned long long)t.tests);
        }
        pw_buf_clear(&g.text);
    }
    if (d)
        (void)closedir(d);
    ok(seen > 30 && wrong == 0, "%zu real TAP reports have the counts that tapjs found", seen);
}

static void real_gotest(const char *dir)
{
    static const char *const names[] = {"105-panic", "107-skip", "108-paniclate", "112-parallel"};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 << 20);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        PW_AUTO(pw_freep) char *name = pw_strf("go-test/%s.gojson.txt", names[i]);
        PW_AUTO(pw_freep) char *xml = pw_strf("go-test/%.3s-report.xml", names[i]);
        report_totals a, c;
        got g = {PW_BUF((size_t)64 << 20)};
        pw_err err = {0};
        int x =
            name && read_file(dir, name, &b) ? read_in("gotest", b.p, b.len, 77, &g, &a, &err) : -1;
        int y =
            xml && read_file(dir, xml, &b) ? read_in("junit", b.p, b.len, 77, &g, &c, &err) : -1;
        ok(x == 0 && y == 0 && (a.failed == 0) == (c.failed == 0) && a.skipped == c.skipped,
           "%s fails as in the XML that was made of it", names[i]);
        pw_buf_clear(&g.text);
    }
}

int main(void)
{
    const char *data = getenv("PAWL_TEST_DATA");
    PW_AUTO(pw_freep) char *dir = pw_path_join(data ? data : "../shared/data", "reports");
    struct stat st;
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
        check(small[i].what, small[i].format, small[i].text, strlen(small[i].text), small[i].want,
              small[i].why);
    subunit2();
    bounds();
    if (dir && stat(dir, &st) == 0) {
        real_junit(dir);
        real_tap(dir);
        real_gotest(dir);
    } else {
        ok(true, "real reports # SKIP PAWL_TEST_DATA names no folder with reports");
    }
    return tap_done();
}
