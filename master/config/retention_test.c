#include "master/config/config.h"

#include <string.h>

#include "tests/tap.h"

static config *load(const char *text, char why[400])
{
    yaml_errors errors = {0};
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(65536);
    config *c = config_load_text("/t.yaml", text, strlen(text), &errors);
    (void)yaml_errors_text(&errors, &said);
    (void)snprintf(why, 400, "%s", pw_buf_str(&said));
    yaml_errors_clear(&errors);
    return c;
}

#define DAY (INT64_C(24) * 3600 * 1000)
#define REST                                                                                       \
    "builders: [{name: b, project: p, steps: [{run: x}]}, {name: b, project: q, steps: [{run: "    \
    "x}]}]\n"

static void test_rules(void)
{
    char why[400];
    PW_AUTO(config_unrefp)
    config *c = load("retention: {logs: 30d, builds: forever, branches: [{match: \"release/*\", "
                     "logs: forever}]}\n"
                     "projects:\n"
                     "  - {name: p, repository: /r, retention: {keep_last: 5, red: 60d, branches: "
                     "[{match: [\"tmp/*\", \"!tmp/x\"], logs: 1d, builds: 2d}, {match: \"*\", "
                     "keep_last: 7}]}}\n"
                     "  - {name: q, repository: /r, retention: {red: forever, builds: 90d}}\n" REST,
                     why);
    ok(c != NULL, "a configuration with retention %s", why);
    if (!c)
        return;
    config_retain a = config_retain_of(c, 0, "master"), b = config_retain_of(c, 0, "tmp/y"),
                  d = config_retain_of(c, 0, "release/1"), e = config_retain_of(c, 1, "master"),
                  f = config_retain_of(c, SIZE_MAX, "master");
    ok(a.logs == 30 * DAY && a.builds == 0 && a.keep_last == 7 && a.red == 60 * DAY,
       "top, then project, then its branches");
    ok(b.logs == DAY && b.builds == 2 * DAY && b.keep_last == 5 &&
           config_retain_of(c, 0, "tmp/x").builds == 0,
       "the first entry that matches");
    ok(d.logs == 0 && d.keep_last == 7, "forever goes before a shorter age");
    ok(e.red_forever && e.builds == 90 * DAY && e.logs == 30 * DAY && !a.red_forever,
       "another project");
    ok(f.logs == 30 * DAY && f.builds == 0 && f.keep_last == 0, "one that is gone");
    ok(config_retain_least(c) == DAY, "the least age");
}

static void test_none(void)
{
    char why[400];
    PW_AUTO(config_unrefp) config *c = load("projects: [{name: p, repository: /r}]\n", why);
    ok(c && config_retain_least(c) == 0 && config_retain_of(c, 0, "x").logs == 0,
       "without it all is kept");
}

static void test_wrong(void)
{
    static const struct {
        const char *text, *said;
    } wrong[] = {
        {"retention: {log: 1d}\n", "unknown key \"log\"; did you mean"},
        {"retention: {logs: 500ms}\n", "1:19: \"logs\" must be from 1s to 36500d"},
        {"retention: {builds: ever}\n", "1:21: "},
        {"retention: {logs: 2d, builds: 1d}\n", "1:13: logs cannot be kept longer"},
        {"retention: {keep_last: -1}\n", "1:24: "},
        {"retention: {branches: x}\n", "1:23: \"branches\" must be a list"},
        {"retention: {branches: [{logs: 1d}]}\n", "1:24: \"match\" is missing"},
        {"retention: []\n", "1:12: "},
        {"projects: [{name: p, repository: /r, retention: {branches: [{match: \"/(/\"}]}}]\n",
         "1:69: "},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char why[400];
        PW_AUTO(config_unrefp) config *c = load(wrong[i].text, why);
        ok(!c && strstr(why, wrong[i].said), "%s", why);
    }
}

int main(void)
{
    test_rules();
    test_none();
    test_wrong();
    return tap_done();
}
