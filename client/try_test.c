/* Whose repository a work tree is of. */
#include "client/try.h"

#include <string.h>

#include "tests/tap.h"

static bool key_is(const char *url, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    bool fine = try_url_key(url, &b) == 0 && strcmp(pw_buf_str(&b), want) == 0;
    if (!fine)
        printf("# %s: %s\n", url, pw_buf_str(&b));
    return fine;
}

static void keys(void)
{
    static const char *const one[] = {"https://git.example.org/team/app.git",
                                      "https://ann@git.example.org/team/app",
                                      "http://ann:word@GIT.example.org:8080/team/app.git/",
                                      "ssh://git@git.example.org:2222/team/app.git",
                                      "git@git.example.org:team/app.git",
                                      "git.example.org:/team/app",
                                      "git://git.example.org/team/app.git"};
    for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++)
        ok(key_is(one[i], "git.example.org/team/app"), "%s", one[i]);
    ok(key_is("/no/such/repo.git", "/no/such/repo") &&
           key_is("file:///no/such/repo.git/", "/no/such/repo"),
       "paths");
    ok(key_is("/tmp/../tmp", "/tmp"), "as the machine has them");
    ok(key_is("https://h/app.git.git", "h/app.git"), "one ending");
}

static void projects(void)
{
    static const char text[] =
        "[{\"name\":\"a\",\"repository\":\"https://h/a.git\"},{\"name\":\"b\",\"repository\":null},"
        "{\"name\":\"c\",\"repository\":\"ssh://git@h/"
        "c\"},{\"name\":\"d\",\"repository\":\"git@h:c\"}]";
    PW_AUTO(json_freep) json_value *v = json_parse(text, strlen(text), NULL);
    const char *const fork[] = {"https://h/fork/a", "git@h:a.git", NULL};
    const char *const two[] = {"https://h/c.git", NULL};
    const char *const none[] = {NULL};
    const char *name = NULL;
    size_t url = 9;
    pw_err err = {0};
    ok(try_project(v, fork, &name, &url, &err) == 0 && strcmp(name, "a") == 0 && url == 1,
       "by the remote that is its repository");
    ok(try_project(v, two, &name, &url, &err) == PW_ECONFLICT && strstr(err.text, "c, d"),
       "several are told");
    ok(try_project(v, none, &name, &url, &err) == PW_ENOTFOUND && strstr(err.text, "--project"),
       "none");
}

int main(void)
{
    keys();
    projects();
    return tap_done();
}
