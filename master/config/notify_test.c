/* `notify`: what is read, which secrets go where, what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/config/config.h"
#include "master/config/load.h"
#include "tests/tap.h"

#define HEAD                                                                                       \
    "projects: [{name: p, repository: /r}, {name: q, repository: /s}]\n"                           \
    "builders: [{name: a, project: p, steps: [{run: x}]}, {name: b, project: p, steps: [{run: "    \
    "x}]},\n"                                                                                      \
    "  {name: b, project: q, steps: [{run: x}]}]\n"                                                \
    "secrets: {path: {env: NOTIFY_TEST_PATH}, sign: {env: NOTIFY_TEST_SIGN}}\n"
#define ONE(more) HEAD "notify: [{kind: webhook, " more "}]\n"
#define MAIL(more) HEAD "notify: [{kind: mail, events: [build], " more "}]\n"
#define URL "url: 'http://h/x', "

static const struct mistake {
    const char *text;
    unsigned line, column;
    const char *want;
} mistakes[] = {
    {HEAD "notify: {a: b}\n", 5, 9, "\"notify\" must be a list"},
    {HEAD "notify: [a]\n", 5, 10, "a target of \"notify\" must be a mapping, not a text"},
    {HEAD "notify: [{url: 'http://h/x', events: [build]}]\n", 5, 10,
     "\"kind\" is missing: webhook, mattermost"},
    {HEAD "notify: [{kind: telegram, url: x, events: [break]}]\n", 5, 17,
     "kind \"telegram\" is not supported by this version"},
    {HEAD "notify: [{kind: webhok}]\n", 5, 17,
     "\"kind\" must be one of webhook, mattermost, slack, mail, github-status"},
    {HEAD "notify: [{kind: slack, url: x, events: [break]}]\n", 5, 29,
     "\"url\" must be like https"},
    {MAIL("to: [a@b], from: c@d"), 5, 10, "a target of the kind \"mail\" needs \"smtp\""},
    {MAIL("smtp: 'h:25', to: [a@b], from: c@d"), 5, 46, "\"smtp\" must be like smtp://HOST:PORT"},
    {MAIL("smtp: 'smtp://h', to: [a], from: c@d"), 5, 63, "\"a\" is no address like"},
    {MAIL("smtp: 'smtp://h', to: ['a@b>'], from: c@d"), 5, 63, "\"a@b>\" is no address like"},
    {MAIL("smtp: 'smtp://h', to: a@b, from: c"), 5, 73, "\"from\" must be an address"},
    {MAIL("smtp: 'smtp://h', to: a@b, from: c@d, user: u"), 5, 10, "\"user\" and \"password\""},
    {MAIL("smtp: 'smtp://h', to: a@b, from: c@d, user: u, password: geheim"), 5, 97,
     "\"password\" must be ${secret:NAME}"},
    {MAIL("smtp: 'smtp://h', to: a@b, from: c@d, user: u, password: '${secret:sing}'"), 5, 97,
     "no secret \"sing\"; did you mean \"sign\"?"},
    {MAIL("smtp: 'smtp://h', starttls: false, to: a@b, from: c@d, user: u, password: "
          "'${secret:sign}'"),
     5, 10, "\"password\" without TLS"},
    {HEAD "notify: [{kind: github-status, repository: a/b, token: '${secret:sign}'}]\n", 5, 10,
     "\"projects\" must name the one"},
    {HEAD "notify: [{kind: gitea-status, projects: p, repository: a/b, token: '${secret:sign}'}]\n",
     5, 10, "a target of the kind \"gitea-status\" needs \"url\""},
    {HEAD "notify: [{kind: github-status, projects: p, repository: a, token: '${secret:sign}'}]\n",
     5, 57, "\"repository\" must be like OWNER/NAME"},
    {HEAD "notify: [{kind: github-status, projects: p, repository: a/b, token: '${secret:sign}', "
          "events: [build]}]\n",
     5, 87, "unknown key \"events\""},
    {HEAD "notify: [{kind: matrix, " URL
          "room: '#a:b', token: '${secret:sign}', events: [build]}]\n",
     5, 50, "\"room\" must be the id of a room"},
    {HEAD "notify: [{kind: irc, server: 'irc://h', channel: builds, events: [build]}]\n", 5, 50,
     "\"channel\" must be like #builds"},
    {HEAD "notify: [{kind: irc, server: 'irc://h', channel: '#b', nick: 'a b', events: [build]}]\n",
     5, 62, "\"nick\" is no name"},
    {HEAD "notify: [{kind: irc, server: 'irc://h', channel: '#b', password: '${secret:sign}', "
          "events: [build]}]\n",
     5, 10, "\"password\" needs ircs://"},
    {ONE(URL "events: [build], rate: 5"), 5, 68, "\"rate\" must be a mapping"},
    {ONE(URL "events: [build], rate: {per: 1m}"), 5, 68, "required key \"messages\" is missing"},
    {ONE(URL "events: [build], quiet_hours: {from: 22, to: '07:00'}"), 5, 82,
     "\"from\" must be a time of the day like"},
    {ONE(URL "events: [build], quiet_hours: {from: '22:00', to: '22:00'}"), 5, 75,
     "\"quiet_hours\" that begin and end"},
    {ONE(URL "events: [build], quiet_hours: {from: '22:00', to: '24:00'}"), 5, 95,
     "\"to\" must be a time of the day like"},
    {ONE(URL "events: [build], people: [ada]"), 5, 71, "no person \"ada\""},
    {ONE(URL "events: [build], people: bob") "people: [{name: bob, roles: [reader]}]\n", 5, 70,
     "\"bob\" has no \"mail\" among"},
    {ONE("events: [build]"), 5, 10, "required key \"url\" is missing"},
    {ONE("url: 'ftp://h/x', events: [build]"), 5, 31, "\"url\" must be like https://"},
    {ONE("url: 'http:///x', events: [build]"), 5, 31, "\"url\" must be like https://"},
    {ONE("url: 'http://u:p@h/x', events: [build]"), 5, 31, "\"url\" must be like https://"},
    {ONE("url: 'http://h/a b', events: [build]"), 5, 31, "\"url\" must be like https://"},
    {ONE("url: 'http://h/${secret:pth}', events: [build]"), 5, 31,
     "no secret \"pth\"; did you mean \"path\"?"},
    {ONE("url: 'ftp://h/${secret:path}', events: [build]"), 5, 31, "\"url\", with its secret"},
    {ONE(URL "name: '${secret:path}', events: [build]"), 5, 51, "a secret may stand in \"env\""},
    {ONE("url: 'http://h/x'"), 5, 10, "\"events\" must be a list of at least one of start"},
    {ONE(URL "events: []"), 5, 53, "\"events\" must be a list of at least one of start"},
    {ONE(URL "events: [biuld]"), 5, 54, "there is no event \"biuld\"; did you mean \"build\"?"},
    {ONE(URL "events: [report]"), 5, 54, "event \"report\" is not supported by this version"},
    {ONE(URL "events: [build], projects: [x]"), 5, 73, "no project \"x\""},
    {ONE(URL "events: [build], builders: [x]"), 5, 73, "no builder \"x\""},
    {ONE(URL "events: [build], builders: []"), 5, 72, "\"builders\" must name at least one"},
    {ONE(URL "events: [build], builders: [b]"), 5, 73, "several projects have a builder \"b\""},
    {ONE(URL "events: [build], builders: [x/b]"), 5, 73, "no builder \"x/b\""},
    {ONE(URL "events: [build], branches: []"), 5, 72, "\"branches\" must name at least one"},
    {ONE(URL "events: [build], delivery: once"), 5, 72,
     "\"delivery\" must be one of at_least_once, at_most_once, not \"once\""},
    {ONE(URL "events: [build], secret: sing"), 5, 70, "no secret \"sing\"; did you mean \"sign\"?"},
    {ONE(URL "events: [build], timeout: 0s"), 5, 71, "\"timeout\" must be at least 1s"},
    {ONE(URL "events: [build], timeout: 2m"), 5, 71, "\"timeout\" must be at most 1m"},
    {ONE(URL "events: [build], to: x"), 5, 62, "unknown key \"to\""},
    {HEAD "notify:\n  - {kind: webhook, " URL "events: [build]}\n"
          "  - {kind: webhook, name: webhook, " URL "events: [build]}\n",
     7, 5, "a target \"webhook\" exists already, in f.yaml:6"},
};

static void test_mistake(const struct mistake *m)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", m->text, strlen(m->text), &e);
    bool is = !c && e.n >= 1 && e.v[0].line == m->line && e.v[0].column == m->column &&
              strncmp(e.v[0].text, m->want, strlen(m->want)) == 0;
    ok(is, "refused: %s", m->want);
    for (size_t i = 0; !is && i < e.n; i++)
        printf("# %u:%u: %s\n", e.v[i].line, e.v[i].column, e.v[i].text);
}

static void test_right(void)
{
    static const char text[] = HEAD
        "notify:\n"
        "  - {kind: webhook, url: 'https://h/${secret:path}/${secret:path}?a=1', events: [build]}\n"
        "  - kind: webhook\n"
        "    name: chat\n"
        "    url: http://h\n"
        "    events: [failure, fixed, promotion, worker_missing]\n"
        "    projects: [q, p]\n"
        "    builders: [a, q/b]\n"
        "    branches: [master, 'v*']\n"
        "    delivery: at_most_once\n"
        "    secret: sign\n"
        "    timeout: 3s\n"
        "  - {kind: webhook, url: 'http://h/', events: [build, change, worker_back]}\n";
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", text, strlen(text), &e);
    for (size_t i = 0; i < e.n; i++)
        printf("# %u:%u: %s\n", e.v[i].line, e.v[i].column, e.v[i].text);
    ok(c && c->n_notify == 3, "three targets");
    if (!c || c->n_notify != 3)
        return;
    const config_notify *a = &c->notify[0], *b = &c->notify[1], *d = &c->notify[2];
    ok(strcmp(a->name, "webhook") == 0 && strcmp(b->name, "chat") == 0 &&
           strcmp(d->name, "webhook-2") == 0,
       "names are counted by kind");
    ok(strcmp(a->url, "https://h/hidden1/hidden1?a=1") == 0, "secrets are put into the address");
    ok(a->events == 1u << CONFIG_EV_BUILD && !a->n_projects && !a->n_builders && !a->branches &&
           !a->at_most_once && !a->secret && a->timeout == 10 * PL_SECOND,
       "what is not given");
    ok(b->events == (1u << CONFIG_EV_FAILURE | 1u << CONFIG_EV_FIXED | 1u << CONFIG_EV_PROMOTION |
                     1u << CONFIG_EV_WORKER_MISSING) &&
           d->events ==
               (1u << CONFIG_EV_BUILD | 1u << CONFIG_EV_CHANGE | 1u << CONFIG_EV_WORKER_BACK),
       "events");
    ok(b->n_projects == 2 && b->projects[0] == 1 && b->projects[1] == 0 && b->n_builders == 2 &&
           b->builders[0] == 0 && b->builders[1] == 2,
       "projects and builders are resolved");
    ok(b->branches && glob_match(b->branches, "v1") && !glob_match(b->branches, "x"), "branches");
    ok(b->at_most_once && b->secret && strcmp(b->secret, "sign") == 0 &&
           b->timeout == 3 * PL_SECOND,
       "delivery, secret, timeout");
    ok(!strstr(c->text, "hidden1"), "no value is in the kept text");
}

static void test_kinds(void)
{
    static const char text[] = HEAD
        "people: [{name: ada, roles: [reader], logins: {mail: ada@h, github: a}}]\n"
        "notify:\n"
        "  - {kind: slack, url: 'https://h/${secret:path}', events: [break], people: [ada], rate: "
        "{messages: 5, per: 10m}, quiet_hours: {from: '22:00', to: '06:30', zone: Europe/Berlin}}\n"
        "  - {kind: mail, smtp: 'smtp://mail.h:587', from: c@h, to: [a@h, b@h], user: u, password: "
        "'${secret:sign}', events: [break, fixed]}\n"
        "  - {kind: mail, smtp: 'smtp://127.0.0.1:25', from: c@h, to: a@h, events: [start]}\n"
        "  - {kind: github-status, projects: p, repository: a/b, token: '${secret:sign}'}\n"
        "  - {kind: matrix, url: 'https://m', room: '!r:m', token: '${secret:sign}', events: "
        "[break]}\n"
        "  - {kind: irc, server: 'ircs://i:6697', channel: '#b', events: [break]}\n";
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", text, strlen(text), &e);
    for (size_t i = 0; i < e.n; i++)
        printf("# %u:%u: %s\n", e.v[i].line, e.v[i].column, e.v[i].text);
    ok(c && c->n_notify == 6, "a target of each sort");
    if (!c || c->n_notify != 6)
        return;
    const config_notify *n = c->notify;
    ok(n[0].kind == NOTIFY_SLACK && n[0].mails.n == 1 && strcmp(n[0].mails.v[0], "ada@h") == 0 &&
           n[0].rate == 5 && n[0].rate_per == 600 * PL_SECOND && n[0].quiet_from == 22 * 60 &&
           n[0].quiet_to == 6 * 60 + 30 && n[0].quiet_zone,
       "people, rate, quiet hours");
    ok(n[1].kind == NOTIFY_MAIL && n[1].starttls && n[1].to.n == 2 &&
           strcmp(n[1].password, "sign") == 0 && strcmp(n[1].user, "u") == 0,
       "mail to elsewhere needs TLS");
    ok(n[2].kind == NOTIFY_MAIL && !n[2].starttls && n[2].events == 1u << CONFIG_EV_START,
       "mail to this machine does not");
    ok(n[3].kind == NOTIFY_GITHUB && strcmp(n[3].url, "https://api.github.com") == 0 &&
           strcmp(n[3].place, "a/b") == 0 &&
           n[3].events == (1u << CONFIG_EV_START | 1u << CONFIG_EV_BUILD),
       "states of commits are told from the start on");
    ok(n[4].kind == NOTIFY_MATRIX && strcmp(n[4].place, "!r:m") == 0, "a room");
    ok(n[5].kind == NOTIFY_IRC && strcmp(n[5].from, "pawl") == 0, "a nick");
}

/* 100 targets, and one more. */
static void test_limit(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    for (int more = 0; more < 2; more++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        pw_buf_reset(&b);
        (void)pw_buf_adds(&b, HEAD "notify:\n");
        for (int i = 0; i < CONFIG_NOTIFY_MAX + more; i++)
            (void)pw_buf_adds(&b, "  - {kind: webhook, " URL "events: [build]}\n");
        PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", pw_buf_str(&b), b.len, &e);
        ok(more ? !c && e.n == 1 && strcmp(e.v[0].text, "more than 100 notify") == 0 : c != NULL,
           "%d targets", CONFIG_NOTIFY_MAX + more);
    }
}

int main(void)
{
    (void)setenv("NOTIFY_TEST_PATH", "hidden1", 1);
    (void)setenv("NOTIFY_TEST_SIGN", "hidden2", 1);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        test_mistake(&mistakes[i]);
    test_right();
    test_kinds();
    test_limit();
    return tap_done();
}
