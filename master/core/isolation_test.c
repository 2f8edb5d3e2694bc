#include "master/core/isolation.h"

#include <stddef.h>
#include <string.h>

#include "tests/tap.h"

static bool is(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int main(void)
{
    static const struct {
        bool trusted;
        const char *asked, *offers;
        bool takes;
        isolation_answer answer;
        const char *isolation, *what;
    } rows[] = {
        {true, NULL, "none", false, ISOLATION_FINE, NULL, "nothing asked: the worker's first"},
        {true, "none", "none,bwrap", false, ISOLATION_FINE, "none", "none"},
        {true, "none", "bwrap", false, ISOLATION_NOT_OFFERED, "none", "none is not offered"},
        {true, "bwrap", "none,bwrap", false, ISOLATION_FINE, "bwrap", "bwrap"},
        {true, "bwrap", "none,user", false, ISOLATION_NOT_OFFERED, "bwrap", "bwrap is not"},
        {true, "bwrap", "none,bwrapper", false, ISOLATION_NOT_OFFERED, "bwrap", "whole words"},
        {true, "user", "", false, ISOLATION_NOT_OFFERED, "user", "an empty offer"},
        {true, "podman:debian:12", "podman", false, ISOLATION_FINE, "podman:debian:12",
         "any image"},
        {false, NULL, "none,bwrap", true, ISOLATION_FINE, "bwrap", "untrusted: bwrap at least"},
        {false, "none", "none,bwrap", true, ISOLATION_FINE, "bwrap", "whatever it asks for"},
        {false, "user", "user,bwrap", true, ISOLATION_FINE, "bwrap", "a user is less"},
        {false, "podman:x", "bwrap,podman", true, ISOLATION_FINE, "podman:x", "a container counts"},
        {false, "podman", "bwrap,podman", true, ISOLATION_FINE, "bwrap", "one without image not"},
        {false, NULL, "none", true, ISOLATION_NOT_OFFERED, "bwrap", "never less than bwrap"},
        {false, "none", "none", true, ISOLATION_NOT_OFFERED, "bwrap", "not even when asked"},
        {false, "bwrap", "none,bwrap", false, ISOLATION_UNTRUSTED, "bwrap",
         "only where it is allowed"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        isolation_facts f = {rows[i].trusted, rows[i].asked, rows[i].offers, rows[i].takes};
        const char *got = "unset";
        isolation_answer a = isolation_for(&f, &got);
        ok(a == rows[i].answer && is(got, rows[i].isolation), "%s", rows[i].what);
    }
    return tap_done();
}
