/* `provider`: what it may say, and what is told where. */
#include <string.h>

#include "master/config/config.h"
#include "tests/tap.h"

#define HEAD "projects: [{name: p, repository: /r}]\nprovider:\n  - "
#define CMDS "start: s, stop: t, list: l"

static config *load(const char *text, char *out, size_t cap)
{
    yaml_errors e = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    config *c = config_load_text("m.yaml", text, strlen(text), &e);
    (void)yaml_errors_text(&e, &b);
    (void)snprintf(out, cap, "%s", pw_buf_str(&b));
    yaml_errors_clear(&e);
    return c;
}

static void good(void)
{
    char out[4000];
    config *c = load(HEAD "{name: a, " CMDS "}\n", out, sizeof(out));
    ok(c != NULL, "the least %s", out);
    if (c) {
        const config_provider *p = &c->providers[0];
        ok(c->n_providers == 1 && p->slots == 1 && p->min == 0 && p->max == 8 &&
               p->idle == 300000000 && p->join_within == 600000000 && p->timeout == 60000000,
           "defaults");
        ok(p->start.n == 3 && strcmp(p->start.v[0], "/bin/sh") == 0 &&
               strcmp(p->start.v[2], "s") == 0,
           "a text is for the shell");
    }
    config_unref(c);
    c = load(HEAD "{name: a, start: [sbatch, job], stop: t, list: l, tags: [x, y], slots: 2, min: "
                  "1, max: 3, idle: 0s, join_within: 24h, timeout: 10m, env: {A: b}}\n",
             out, sizeof(out));
    ok(c && c->providers[0].start.n == 2 && c->providers[0].tags.n == 2 &&
           c->providers[0].min == 1 && c->providers[0].idle == 0 && c->providers[0].n_env == 1,
       "every key %s", out);
    config_unref(c);
}

static const struct {
    const char *text, *want;
} wrong[] = {
    {HEAD "{name: a, stop: t, list: l}\n", "m.yaml:3:5: \"start\" must be a command"},
    {HEAD "{name: a, start: [], stop: t, list: l}\n", ":3:22: the command of \"start\" is empty"},
    {HEAD "{name: a, start: {}, stop: t, list: l}\n", "\"start\" must be a command"},
    {HEAD "{name: a, start: '', stop: t, list: l}\n", "\"start\" must not be empty"},
    {HEAD "{name: a, " CMDS ", min: 9}\n", "\"min\" must not be above \"max\", which is 8"},
    {HEAD "{name: a, " CMDS ", max: 0}\n", "\"max\" must be a number from 1 to 1000"},
    {HEAD "{name: a, " CMDS ", slots: 257}\n", "\"slots\" must be a number from 1 to 256"},
    {HEAD "{name: a, " CMDS ", join_within: 25h}\n", "must be at most 24h"},
    {HEAD "{name: a, " CMDS ", timeout: 11m}\n", "must be at most 10m"},
    {HEAD "{name: a, " CMDS ", tags: ['a b']}\n", "a tag has visible characters"},
    {HEAD "{name: a, " CMDS ", maxx: 1}\n", "did you mean \"max\"?"},
    {HEAD "{name: a, " CMDS "}\n  - {name: a, " CMDS "}\n",
     ":4:12: a provider \"a\" exists already, in m.yaml:3"},
    {"secrets: {s: {env: HOME}}\n" HEAD "{name: a, " CMDS ", env: {A: '${secret:s}'}}\n",
     "takes no secrets"},
};

int main(void)
{
    char out[4000];
    good();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        config *c = load(wrong[i].text, out, sizeof(out));
        ok(!c && strstr(out, wrong[i].want), "told: %s", wrong[i].want);
        if (!strstr(out, wrong[i].want))
            printf("# %s\n", out);
        config_unref(c);
    }
    return tap_done();
}
