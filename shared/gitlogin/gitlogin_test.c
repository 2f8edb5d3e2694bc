#include "shared/gitlogin/gitlogin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"
#include "tests/tap.h"

#define HOST "http://git.example.org:81/p.git"
static const gitlogin http = {.user = "bot", .password = "p w'$d"};

/* What the answerer says to a question; NULL: nothing. */
static char *ask(const gitlogin_dir *d, const char *question)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(d->path, "ask");
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1000);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(1000);
    const char *const argv[] = {path, question, NULL}, *const env[] = {NULL};
    pw_spawn what = {.argv = argv, .env = env, .in = -1, .out = -1, .err = -1};
    if (pw_spawn_run(&what, NULL, 10000000, &out, &said, NULL) != 0)
        return NULL;
    return pw_buf_take(&out);
}

static bool says(const gitlogin_dir *d, const char *question, const char *want)
{
    PW_AUTO(pw_freep) char *got = ask(d, question);
    return want ? got && strcmp(got, want) == 0 : !got;
}

static mode_t mode_of(const gitlogin_dir *d, const char *name)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(d->path, name);
    struct stat st;
    return path && stat(path, &st) == 0 ? st.st_mode & 0777 : 0;
}

static void test_http(const char *parent)
{
    PW_AUTO(gitlogin_close) gitlogin_dir d = {0};
    ok(gitlogin_open(&http, HOST, parent, &d, NULL) == 0 && d.http && d.env[0] && !d.env[1] &&
           strncmp(d.env[0], "GIT_ASKPASS=/", 13) == 0,
       "http: an answerer is named, nothing else");
    ok(mode_of(&d, "") == 0700 && mode_of(&d, "password") == 0600 && mode_of(&d, "ask") == 0700,
       "open to nobody else");
    ok(says(&d, "Username for 'http://git.example.org:81': ", "bot\n") &&
           says(&d, "Password for 'http://bot@git.example.org:81': ", "p w'$d\n"),
       "its server is answered");
    static const char *const others[] = {"Password for 'http://bot@evil.org:81': ",
                                         "Password for 'https://bot@git.example.org:81': ",
                                         "Password for 'http://bot@git.example.org': ",
                                         "Password for 'http://x@git.example.org:81': @evil.org': ",
                                         "Password for 'http://x@git.example.org:81'@evil.org': ",
                                         "Username for 'http://git.example.org:81': x",
                                         ""};
    bool quiet = true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        quiet &= says(&d, others[i], NULL);
    ok(quiet, "nobody else is");
    char *path = strdup(d.path);
    gitlogin_close(&d);
    ok(path && access(path, F_OK) < 0 && !d.path && !d.env[0], "closed, its files are gone");
    gitlogin_close(&d);
    free(path);
}

static void test_ssh(const char *parent)
{
    const gitlogin l = {.key = "-----BEGIN\nabc", .known_hosts = "h ssh-ed25519 AAAA"};
    const gitlogin files = {.key_file = "/k/id", .known_hosts_file = "/k/hosts"};
    const gitlogin bad = {.key_file = "/k/i'd"};
    PW_AUTO(gitlogin_close) gitlogin_dir d = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    pw_err err = {0};
    ok(gitlogin_open(&l, "git@h:p.git", parent, &d, NULL) == 0 && !d.http &&
           strstr(d.env[0], "StrictHostKeyChecking=yes") && strstr(d.env[0], d.path) &&
           strstr(d.env[0], "GlobalKnownHostsFile=/dev/null") && !strstr(d.env[0], "BEGIN"),
       "ssh: the key is named by its file");
    PW_AUTO(pw_freep) char *key = pw_path_join(d.path, "key");
    ok(mode_of(&d, "key") == 0600 && pw_fs_read(key, 1000, &b, NULL) == 0 &&
           strcmp(pw_buf_str(&b), "-----BEGIN\nabc\n") == 0,
       "with the line break at its end that ssh wants");
    gitlogin_close(&d);
    ok(gitlogin_open(&files, "ssh://git@h/p", parent, &d, NULL) == 0 &&
           strstr(d.env[0], "-i '/k/id'") && strstr(d.env[0], "\"/k/hosts\""),
       "files of the user are used in place");
    gitlogin_close(&d);
    ok(gitlogin_open(&bad, "ssh://h/p", parent, &d, &err) == PW_EINVAL && !d.path &&
           strstr(err.text, "/k/i'd"),
       "a path that ssh could misread is refused");
    ok(gitlogin_open(&l, "/srv/p.git", parent, &d, NULL) == 0 && !d.path && !d.env[0] &&
           gitlogin_open(&l, HOST, parent, &d, NULL) == 0 && !d.path,
       "what has no use for it gets nothing");
}

static void test_wrong(void)
{
    const gitlogin ssh = {.key = "k"};
    ok(!gitlogin_wrong(&http, HOST) && !gitlogin_wrong(&http, "https://[::1]:8/p") &&
           !gitlogin_wrong(&ssh, "git@h:p") && !gitlogin_wrong(&ssh, "ssh://h:22/p"),
       "logins that fit");
    ok(gitlogin_wrong(&http, "git@h:p") && gitlogin_wrong(&ssh, HOST) &&
           gitlogin_wrong(&ssh, "/srv/p") && gitlogin_wrong(&http, "git://h/p") &&
           gitlogin_wrong(&http, "http://bob@h/p") && gitlogin_wrong(&http, "http://h\"x/p"),
       "and such that do not");
    ok(gitlogin_is_ssh("h:p") && !gitlogin_is_ssh("ext::sh") && !gitlogin_is_ssh("./h:p") &&
           !gitlogin_is_ssh("file:///p") && !gitlogin_is_http("httpx://h/p"),
       "kinds of addresses");
}

static void test_read(void)
{
    ok(gitlogin_read("x\nfatal: Authentication failed for 'http://h/'\n") == GITLOGIN_REFUSED &&
           gitlogin_read("git@h: Permission denied (publickey).\r\n") == GITLOGIN_REFUSED &&
           gitlogin_read("FATAL: R any r bot DENIED by fallthru\n") == GITLOGIN_REFUSED,
       "refused");
    ok(gitlogin_read("No ED25519 host key is known for h and you have requested strict checking.\n"
                     "Host key verification failed.\n") == GITLOGIN_STRANGER,
       "a server that is not known");
    ok(gitlogin_read("fatal: unable to access: Connection refused") == GITLOGIN_OTHER, "neither");
}

int main(void)
{
    char dir[] = "/tmp/pw-gitlogin-XXXXXX";
    if (!mkdtemp(dir))
        return 1;
    PW_AUTO(pw_freep) char *parent = pw_path_join(dir, "login");
    PW_AUTO(pw_freep) char *left = pw_path_join(parent, "login-left");
    test_http(parent);
    test_ssh(parent);
    test_wrong();
    test_read();
    ok(pw_fs_mkdirs(left, 0700, NULL) == 0, "left by a killed process");
    gitlogin_sweep(parent);
    ok(access(parent, F_OK) < 0, "swept");
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
