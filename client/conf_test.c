#include "client/conf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/client.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

static int parse(const char *text, client_conf *c, pw_err *err)
{
    client_conf_clear(c);
    *err = (pw_err){0};
    return client_conf_parse("F", text, strlen(text), "/home/me", c, err);
}

static bool is(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void parsing(void)
{
    PW_AUTO(client_conf_clear) client_conf c = {0};
    pw_err err;
    ok(parse("", &c, &err) == 0 && !c.url && !c.token_file, "an empty file");
    ok(parse("# c\n\n  url =  http://h:1  \r\ntoken-file=~/t k\n", &c, &err) == 0 &&
           is(c.url, "http://h:1") && is(c.token_file, "/home/me/t k"),
       "comments, blanks, line ends, the home folder");
    ok(parse("url = http://h/?a=b", &c, &err) == 0 && is(c.url, "http://h/?a=b"),
       "only the first = counts; no line end is needed");
    ok(parse("url http://h\n", &c, &err) == PW_EINVAL && strncmp(err.text, "F:1: ", 5) == 0,
       "no =");
    ok(parse("\nurl = a\nurl = b\n", &c, &err) == PW_EINVAL &&
           strncmp(err.text, "F:3: given twice", 16) == 0,
       "twice");
    ok(parse("user = x\n", &c, &err) == PW_EINVAL && strstr(err.text, "\"user\""),
       "an unknown key");
    ok(parse("url =\n", &c, &err) == PW_EINVAL, "no value");
    ok(client_conf_parse("F", "url = a\0b", 9, NULL, &c, &err) == PW_EINVAL, "a zero byte");
    static char large[CONF_FILE_MAX + 1];
    memset(large, '\n', sizeof(large));
    ok(client_conf_parse("F", large, CONF_FILE_MAX, NULL, &c, &err) == 0 &&
           client_conf_parse("F", large, CONF_FILE_MAX + 1, NULL, &c, &err) == PW_ELIMIT,
       "the largest file, and one byte more");
    ok(client_conf_parse("F", "token-file = ~/x", 16, NULL, &c, &err) == 0 &&
           is(c.token_file, "~/x"),
       "no home folder known");
}

typedef struct places {
    char dir[64];
    char *config, *token, *state;
} places;

static void places_clear(places *p)
{
    (void)pw_fs_remove_tree(p->dir, NULL);
    free(p->config);
    free(p->token);
    free(p->state);
}

static bool put(const char *dir, const char *name, const char *text, mode_t mode)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    return path && pw_fs_replace(path, text, strlen(text), mode, NULL) == 0 &&
           chmod(path, mode) == 0;
}

static void choosing(void)
{
    PW_AUTO(places_clear) places p = {.dir = "/tmp/pawl-conf-test.XXXXXX"};
    if (!mkdtemp(p.dir))
        return;
    p.config = pw_path_join(p.dir, "config");
    p.token = pw_path_join(p.dir, "token");
    p.state = pw_path_join(p.dir, "state");
    PW_AUTO(pw_freep) char *conf = pw_strf("url = http://conf:1\ntoken-file = %s\n", p.token);
    if (!p.config || !p.token || !p.state || !conf)
        return;
    bool made = put(p.dir, "config", conf, 0644) && put(p.dir, "token", "secret\nrest\n", 0600) &&
                pw_fs_mkdirs(p.state, 0700, NULL) == 0 &&
                put(p.state, "web.addr", "http://state:2\n", 0644) &&
                put(p.state, "admin.token", "admin\n", 0600);
    ok(made, "files are made");
    static const struct {
        const char *name;
        bool option, state, env, file; /* what is given */
        const char *url, *token;
    } table[] = {
        {"nothing", false, false, false, false, CLIENT_DEFAULT_URL, NULL},
        {"the file", false, false, false, true, "http://conf:1", "secret"},
        {"the environment before the file, without the file's token", false, false, true, true,
         "http://env:3", NULL},
        {"the state before the environment", false, true, true, true, "http://state:2", "admin"},
        {"--url before all, with the state's token", true, true, true, true, "http://opt:4",
         "admin"},
        {"--url alone gets no token of another master", true, false, true, true, "http://opt:4",
         NULL}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        PW_AUTO(pw_freep) char *url = NULL;
        PW_AUTO(pw_freep) char *token = NULL;
        client_place at = {.url = table[i].option ? "http://opt:4" : NULL,
                           .state = table[i].state ? p.state : NULL,
                           .env_url = table[i].env ? "http://env:3" : NULL,
                           .config = table[i].file ? p.config : NULL};
        ok(client_conf_choose(&at, &url, &token, NULL) == 0 && is(url, table[i].url) &&
               is(token, table[i].token),
           "%s", table[i].name);
    }
    PW_AUTO(pw_freep) char *url = NULL;
    PW_AUTO(pw_freep) char *token = NULL;
    pw_err err = {0};
    client_place at = {.url = "http://opt:4", .token_file = p.token};
    ok(chmod(p.token, 0640) == 0 && client_conf_choose(&at, &url, &token, &err) == PW_EDENIED &&
           strstr(err.text, "chmod 600") && !url,
       "a token that others may read is refused");
    at = (client_place){.state = p.dir};
    ok(client_conf_choose(&at, &url, &token, &err) == PW_ENOTFOUND && strstr(err.text, "web.addr"),
       "a folder that is no master's state");
    ok(put(p.state, "web.addr", "\n", 0644), "an empty address");
    at.state = p.state;
    ok(client_conf_choose(&at, &url, &token, &err) == PW_EINVAL, "is refused");
}

int main(void)
{
    parsing();
    choosing();
    return tap_done();
}
