/* Versions of tools: what is read out of an answer, and what no answer is. */
#include "worker/agent/tools.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "tests/tap.h"
#include "worker/agent/home.h"

static void versions(void)
{
    static const char *const cases[][2] = {
        {"gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022", "12.2.0"},
        {"Python 3.11.2\n", "3.11.2"},
        {"git version 2.39.5", "2.39.5"},
        {"v18.19.0\n", "18.19.0"},
        {"go version go1.21.3 linux/amd64", "1.21.3"},
        {"openjdk version \"17.0.15\" 2025-04-15\n", "17.0.15"},
        {"GNU Make 4.3.\n", "4.3"},
        {"Vendor\nTool 7\n", "7"},
        {"tool-12 x86_64 release 9", "9"},
        {"none at all\nmore", "none at all"},
        {"", ""},
        {"1", "1"},
        {"a 1 b 2.5", "2.5"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[TOOL_VERSION_MAX];
        tools_version(cases[i][0], out);
        ok(strcmp(out, cases[i][1]) == 0, "\"%.20s...\" is %s", cases[i][0], out);
    }
}

static const char *fact(const pw_list *f, const char *name)
{
    const msg_pair *v = f->v;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(v[i].name, name) == 0)
            return v[i].value;
    return NULL;
}

static void asked(void)
{
    static char sh[] = "/bin/sh", c[] = "-c", both[] = "echo x 1.2.3; echo y 9.9 >&2",
                only[] = "echo z 4.5 >&2", bad[] = "echo 6.7; exit 3", mute[] = "exit 0",
                gone[] = "/nonexistent/tool";
    char *argv[][3] = {{sh, c, both}, {sh, c, only}, {sh, c, bad}, {sh, c, mute}, {gone, c, c}};
    static char n0[] = "both", n1[] = "only", n2[] = "bad", n3[] = "mute", n4[] = "gone";
    conf_tool tools[] = {{n0, {argv[0], 3}},
                         {n1, {argv[1], 3}},
                         {n2, {argv[2], 3}},
                         {n3, {argv[3], 3}},
                         {n4, {argv[4], 1}}};
    worker_conf conf = {.tools = tools, .n_tools = 5};
    pw_list f = {NULL, 0};
    pw_err err = {0};
    if (tools_read(&conf, &f, &err) == 0) {
        const char *x = fact(&f, "tools.both"), *y = fact(&f, "tools.only");
        /* without memory for its words a tool is not known */
        ok(getenv("PW_TORTURE_REPORT") || (x && strcmp(x, "1.2.3") == 0), "what it prints");
        ok(getenv("PW_TORTURE_REPORT") || (y && strcmp(y, "4.5") == 0),
           "on stderr, when that is all");
        ok(!fact(&f, "tools.bad") && !fact(&f, "tools.mute") && !fact(&f, "tools.gone"),
           "one that fails, prints nothing, is not there: no fact");
    }
    facts_clear(&f);
}

int main(void)
{
    versions();
    asked();
    return tap_done();
}
