/* `credentials` of projects: what they may hold, what is refused and where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/config/config.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

static char dir[64], file[100];

static void put(const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    if (!path || pw_fs_replace(path, text, strlen(text), 0600, NULL) < 0)
        printf("# %s not written\n", name);
}

static config *load(const char *url, const char *credentials, yaml_errors *e)
{
    PW_AUTO(pw_freep)
    char *text = pw_strf("secrets: {key: {file: key}, pass: {file: pass}}\n"
                         "projects: [{name: p, repository: \"%s\",\n credentials: %s}]\n",
                         url, credentials);
    return config_load_text(file, text, strlen(text), e);
}

static void test_good(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp)
    config *c = load("git@h:p.git", "{ssh_key: key, known_hosts: hosts}", &e);
    ok(c && strcmp(c->projects[0].login.ssh_key, "key") == 0 && !c->projects[0].login.user &&
           strcmp(c->projects[0].login.known_hosts, "h ssh-ed25519 AAAA\n") == 0 &&
           config_login_given(&c->projects[0].login),
       "a key, and known hosts from a file beside the configuration");
    config_unref(pw_take(c));
    c = load("https://h/p.git", "{user: bot, password: pass}", &e);
    ok(c && strcmp(c->projects[0].login.user, "bot") == 0 &&
           strcmp(c->projects[0].login.password, "pass") == 0,
       "a user and a password");
    config_unref(pw_take(c));
    c = load("ssh://git@h/p.git", "{known_hosts: \"h ssh-rsa AAAA\"}", &e);
    ok(c && strcmp(c->projects[0].login.known_hosts, "h ssh-rsa AAAA") == 0,
       "known hosts as they are, without a key");
    config_unref(pw_take(c));
    c = load("/srv/p.git", "null", &e);
    ok(c && !config_login_given(&c->projects[0].login), "none");
}

static const struct wrong {
    const char *url, *credentials, *text;
} wrongs[] = {
    {"git@h:p", "{ssh_key: kee}", "did you mean \"key\""},
    {"git@h:p", "{ssh_key: none}", "no secret \"none\""},
    {"git@h:p", "{sshkey: key}", "did you mean \"ssh_key\""},
    {"git@h:p", "{user: u, password: pass}", "over ssh it takes an \"ssh_key\""},
    {"https://h/p", "{ssh_key: key}", "which is for ssh"},
    {"https://h/p", "{user: u}", "need a \"password\", too"},
    {"https://h/p", "{password: pass}", "need a \"user\", too"},
    {"https://h/p", "{user: u, password: key}", "has several lines"},
    {"https://bob@h/p", "{user: u, password: pass}", "leave it out there"},
    {"https://h/p", "{}", "must be {ssh_key: SECRET} or"},
    {"https://h/p", "{user: u, password: pass, known_hosts: hosts}", "is for ssh"},
    {"/srv/p.git", "{user: u, password: pass}", "are for repositories over ssh"},
    {"git://h/p", "{ssh_key: key}", "are for repositories over ssh"},
    {"git@h:p", "{ssh_key: key, known_hosts: absent}", "there is no such file"},
    {"git@h:p", "{ssh_key: key, known_hosts: empty}", "has no line of a host"},
    {"git@h:p", "{ssh_key: key, known_hosts: \"h ssh-rsa\"}", "has no line of a host"},
    {"git@h:p", "secret", "must be"},
};

static void test_wrong(void)
{
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        const struct wrong *w = &wrongs[i];
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(config_unrefp) config *c = load(w->url, w->credentials, &e);
        ok(!c && e.n == 1 && e.v[0].line == 3 && strstr(e.v[0].text, w->text), "%s %s: %s", w->url,
           w->credentials, e.n ? e.v[0].text : "taken");
    }
}

int main(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/pw-conf-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(file, sizeof(file), "%s/master.yaml", dir);
    put("key", "-----BEGIN\nabc\n");
    put("pass", "hunter22\n");
    put("hosts", "h ssh-ed25519 AAAA\n");
    put("empty", "# nothing\n\n");
    test_good();
    test_wrong();
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
