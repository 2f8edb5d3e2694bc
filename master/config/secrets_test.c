/* `secrets`: from files and the environment, where they may be used, what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/config/config.h"
#include "master/config/load.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

static char dir[64], file[100];

static char *put(const char *name, const char *text, size_t n, mode_t mode)
{
    char *path = pw_path_join(dir, name);
    if (path && (pw_fs_replace(path, text, n, 0600, NULL) < 0 || chmod(path, mode) < 0))
        printf("# %s not written\n", path);
    return path;
}

static void put_text(const char *name, const char *text)
{
    free(put(name, text, strlen(text), 0600));
}

static config *load(const char *text, yaml_errors *e)
{
    return config_load_text(file, text, strlen(text), e);
}

static bool value_is(const config *c, const char *name, const char *want)
{
    const config_hidden *s = config_secret(c, name);
    return s && s->n == strlen(want) && memcmp(s->p, want, s->n + 1) == 0;
}

#define HEAD                                                                                       \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "secrets: {token: {file: token}, other: {env: PAWL_TEST_SECRET}}\n"

static void test_values(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    put_text("token", "hunter22\n");
    put_text("crlf", "hunter22\r\n");
    put_text("two", "hunter22\n\n");
    put_text("pem", "a b\nc d\n");
    PW_AUTO(config_unrefp)
    config *c = load("secrets: {token: {file: token}, other: {env: PAWL_TEST_SECRET}, crlf: {file: "
                     "crlf},\n  two: {file: two}, pem: {file: pem}}\n",
                     &e);
    ok(c && c->n_secrets == 5, "five secrets");
    if (!c)
        return;
    ok(value_is(c, "token", "hunter22") && value_is(c, "crlf", "hunter22"),
       "from a file beside the configuration, without its line break");
    ok(value_is(c, "two", "hunter22\n") && value_is(c, "pem", "a b\nc d"), "only the last one");
    ok(value_is(c, "other", "from-the-environment"), "from the environment");
    ok(!config_secret(c, "none"), "no other");
    ok(!strstr(c->text, "hunter22") && !strstr(c->text, "from-the-env"), "no value is in the text");
}

static void test_uses(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp)
    config *c =
        load("projects: [{name: p, repository: /r.git, hook_secret: other, allow: {secrets: "
             "[token]}}, {name: q, repository: /q.git}]\n"
             "secrets: {token: {file: token}, other: {env: PAWL_TEST_SECRET}}\n"
             "builders:\n"
             "  - name: b\n"
             "    project: p\n"
             "    env: {A: \"Bearer ${secret:token}\", B: \"${branch}\"}\n"
             "    steps: [{run: x}, {run: x, env: {C: \"${secret:other}${secret:token}\"}}]\n"
             "  - {name: d, project: p, env: {A: x}, steps: [{run: x}]}\n",
             &e);
    ok(c != NULL, "secrets in env: %s", e.n ? e.v[0].text : "");
    if (!c)
        return;
    const config_builder *b = c->builders;
    ok(b->secrets.n == 2 && strcmp(b->secrets.v[0], "token") == 0 &&
           strcmp(b->secrets.v[1], "other") == 0 && b[1].secrets.n == 0,
       "a builder knows which it uses");
    ok(strcmp(b->env[0].value, "Bearer ${secret:token}") == 0, "its env names them only");
    ok(strcmp(c->projects[0].hook_secret, "other") == 0 && !c->projects[1].hook_secret &&
           c->projects[0].allow.secrets.n == 1 && c->projects[1].allow.secrets.n == 0,
       "a project's");
}

static const struct {
    const char *text;
    unsigned line, column;
    const char *want;
} wrong[] = {
    {"secrets: [a]\n", 1, 10, "\"secrets\" must be a mapping"},
    {"secrets: {token: hunter22}\n", 1, 18, "values do not stand in this file"},
    {"secrets: {token: {}}\n", 1, 18, "must be {file: PATH} or {env: NAME}"},
    {"secrets: {token: {file: token, env: X}}\n", 1, 18, "must be {file: PATH} or {env: NAME}"},
    {"secrets: {token: {value: hunter22}}\n", 1, 19, "unknown key \"value\""},
    {"secrets: {\"a b\": {file: token}}\n", 1, 11, "\"a b\" is no name"},
    {"secrets: {token: {file: absent}}\n", 1, 25, "absent\" cannot be read: No such file"},
    {"secrets: {token: {env: PAWL_TEST_NONE}}\n", 1, 24, "has no \"PAWL_TEST_NONE\""},
    {"secrets: {token: {file: group}}\n", 1, 25, "(mode 0640): chmod 600"},
    {"secrets: {token: {file: all}}\n", 1, 25, "open to others than its owner (mode 0604)"},
    {"secrets: {token: {file: written}}\n", 1, 25, "open to others"},
    {"secrets: {token: {file: .}}\n", 1, 25, "no regular file"},
    {"secrets: {token: {file: fifo}}\n", 1, 25, "no regular file"},
    {"secrets: {token: {file: short}}\n", 1, 25, "is shorter than 4 bytes"},
    {"secrets: {token: {file: empty}}\n", 1, 25, "is shorter than 4 bytes"},
    {"secrets: {token: {file: long}}\n", 1, 25, "is longer than 65536 bytes"},
    {"secrets: {token: {file: blank}}\n", 1, 25, "nothing but blanks"},
    {"secrets: {token: {file: zero}}\n", 1, 25, "has a zero byte"},
    {HEAD "builders: [{name: b, project: p, env: {A: \"${secret:tokem}\"}, steps: [{run: x}]}]\n",
     3, 43, "no secret \"tokem\"; did you mean \"token\"?"},
    {HEAD "builders: [{name: b, project: p, steps: [{run: x, env: {A: \"${secret:zzz}\"}}]}]\n", 3,
     60, "no secret \"zzz\" in \"secrets\""},
    {HEAD "builders: [{name: b, project: p, env: {A: \"${secret:token\"}, steps: [{run: x}]}]\n", 3,
     43, "a secret is written ${secret:NAME}"},
    {HEAD
     "builders: [{name: b, project: p, env: {A: \"${secret:token:-x}\"}, steps: [{run: x}]}]\n",
     3, 43, "a secret is written ${secret:NAME}"},
    {HEAD "builders: [{name: b, project: p, steps: [{run: \"echo ${secret:token}\"}]}]\n", 3, 48,
     "must not stand in \"run\""},
    {HEAD "builders: [{name: b, project: p, steps: [{run: [echo, \"${secret:token}\"]}]}]\n", 3, 55,
     "must not stand in \"run\""},
    {HEAD "builders: [{name: b, project: p, steps: [{run: x, dir: \"${secret:token}\"}]}]\n", 3, 56,
     "in \"env\" of builders and steps, and"},
    {HEAD "builders: [{name: b, project: p, properties: {a: \"${secret:token}\"}, steps: [{run: "
          "x}]}]\n",
     3, 50, "in \"env\" of builders and steps, and"},
    {HEAD "builders: [{name: b, project: p, properties: {env: \"${secret:token}\"}, steps: [{run: "
          "x}]}]\n",
     3, 52, "in \"env\" of builders and steps, and"},
    {HEAD "name: \"${secret:token}\"\n", 3, 7, "in \"env\" of builders and steps, and"},
    {"projects: [{name: p, repository: /r.git, hook_secret: tokem}]\nsecrets: {token: {file: "
     "token}}\n",
     1, 55, "no secret \"tokem\"; did you mean \"token\"?"},
    {"projects: [{name: p, repository: /r.git, allow: {secrets: [token, x]}}]\nsecrets: {token: "
     "{file: token}}\n",
     1, 67, "no secret \"x\""},
    {"projects: [{name: p, repository: /r.git, allow: {tag: [x]}}]\n", 1, 50,
     "did you mean \"tags\"?"},
};

static void test_wrong(void)
{
    free(put("group", "hunter22", 8, 0640));
    free(put("all", "hunter22", 8, 0604));
    free(put("written", "hunter22", 8, 0620));
    free(put("zero", "hunter\0002", 8, 0600));
    put_text("short", "abc\n");
    put_text("empty", "");
    put_text("blank", "    \n\t\n");
    char *big = malloc(CONFIG_SECRET_MAX + 2), *fifo = pw_path_join(dir, "fifo");
    memset(big, 'x', CONFIG_SECRET_MAX + 2);
    free(put("long", big, CONFIG_SECRET_MAX + 1, 0600));
    ok(fifo && mkfifo(fifo, 0600) == 0, "files");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        config *c = load(wrong[i].text, &e);
        bool is = !c && e.n >= 1 && e.v[0].line == wrong[i].line &&
                  e.v[0].column == wrong[i].column && strstr(e.v[0].text, wrong[i].want) &&
                  !strstr(e.v[0].text, "hunter");
        ok(is, "%u:%u %.60s", wrong[i].line, wrong[i].column, wrong[i].want);
        if (!is && e.n)
            printf("# got %u:%u: %s\n", e.v[0].line, e.v[0].column, e.v[0].text);
        config_unref(c);
    }
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    big[CONFIG_SECRET_MAX] = '\n';
    free(put("big", big, CONFIG_SECRET_MAX + 1, 0600));
    config *c = load("secrets: {big1: {file: big}}\n", &e);
    ok(c && c->secrets[0].n == CONFIG_SECRET_MAX, "64 KiB are taken");
    config_unref(c);
    c = load(
        "projects: [{name: p, repository: /r.git}]\n"
        "secrets: {big1: {file: big}, big2: {file: big}}\n"
        "builders: [{name: b, project: p, env: {A: \"${secret:big1}\", B: \"${secret:big2}\"}, "
        "steps: [{run: x}]}]\n",
        &e);
    ok(!c && e.n == 1 && strstr(e.v[0].text, "longer than 131072 bytes together"),
       "what does not fit into one message is told");
    free(big);
    free(fifo);
}

/* As many as one message takes, and one more. */
static void test_many(void)
{
    for (unsigned n = PW_SECRETS_MAX; n <= PW_SECRETS_MAX + 1; n++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
        (void)pw_buf_adds(&b, "projects: [{name: p, repository: /r.git}]\nsecrets:\n");
        for (unsigned i = 0; i < n; i++)
            (void)pw_buf_addf(&b, "  s%u: {file: token}\n", i);
        (void)pw_buf_adds(&b,
                          "builders:\n  - {name: b, project: p, steps: [{run: x}], env: {A: \"");
        for (unsigned i = 0; i < n; i++)
            (void)pw_buf_addf(&b, "${secret:s%u}", i);
        (void)pw_buf_adds(&b, "\"}}\n");
        config *c = load(pw_buf_str(&b), &e);
        if (n == PW_SECRETS_MAX)
            ok(c && c->builders[0].secrets.n == n, "%u secrets of a builder", n);
        else
            ok(!c && e.n == 1 && strstr(e.v[0].text, "more than 64 secrets"), "%u are told", n);
        config_unref(c);
    }
}

static void test_alone(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    static const char text[] = "secrets: {token: {file: /etc/hostname}}\n";
    config *c = config_load_text(NULL, text, strlen(text), &e);
    ok(!c && e.n == 1 && strstr(e.v[0].text, "stands alone"), "a text without a place reads none");
    config_unref(c);
}

/* A configuration of several files is kept as one text; the values are read from beside them. */
static void test_copy(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    put_text("more.yaml", "secrets: {token: {file: token}}\n");
    PW_AUTO(config_unrefp) config *c = load("include: [more.yaml]\n", &e);
    ok(c && value_is(c, "token", "hunter22") && !strstr(c->text, "hunter22"),
       "from an included file");
    PW_AUTO(config_unrefp)
    config *again = c ? config_load_text(file, c->text, strlen(c->text), &e) : NULL;
    ok(again && value_is(again, "token", "hunter22"), "and from the copy of both");
}

int main(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/pawl-secrets-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(file, sizeof(file), "%s/master.yaml", dir);
    (void)setenv("PAWL_TEST_SECRET", "from-the-environment\n", 1);
    test_values();
    test_uses();
    test_wrong();
    test_many();
    test_alone();
    test_copy();
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
