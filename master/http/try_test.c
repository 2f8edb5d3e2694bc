/* What people try, as it comes in: base64, bodies that go to files, what is refused. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/fixture.h"
#include "master/http/impl.h"

#define OCTETS "Authorization: Bearer t-build\r\nContent-Type: application/octet-stream\r\n"
#define JSON "Authorization: Bearer t-build\r\n"
#define BASE "0123456789012345678901234567890123456789"

static void base64(void)
{
    static const struct {
        const char *text, *want; /* NULL: none */
    } t[] = {{"", ""},        {"Zg==", "f"},           {"Zm8=", "fo"},
             {"Zm9v", "foo"}, {"Zm9vYmE=", "fooba"},   {"Zm9v\nYmFy\r\n", "foobar"},
             {"Zg", "f"},     {"Pj8-Pz8_", ">?>??\?"}, {"Pj8+Pz8/", ">?>??\?"},
             {"Z", NULL},     {"Zg===", NULL},         {"Zg==Zg==", NULL},
             {"Zm9v*", NULL}, {"Zm 9v", NULL}};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(pw_freep) char *s = strdup(t[i].text);
        size_t n = 0;
        bool good = s && web_unbase64(s, &n);
        ok(good == (t[i].want != NULL) &&
               (!good || (n == strlen(t[i].want) && memcmp(s, t[i].want, n) == 0)),
           "base64 %zu", i);
    }
}

static size_t left(const world *w)
{
    DIR *d = opendir(w->dir);
    size_t n = 0;
    for (const struct dirent *e; d && (e = readdir(d));)
        n += strncmp(e->d_name, "up-", 3) == 0;
    if (d)
        (void)closedir(d);
    return n;
}

static void bodies(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(call(w, "POST", "/api/v1/try?base=" BASE "&type=patch&builders=a,b&reason=why", OCTETS, "x",
            &r) == 202,
       "a body that is no JSON");
    ok(w->kind == CMD_TRY && strstr(w->seen, "|ci|") && strstr(w->seen, "|why|"), "%s", w->seen);
    ok(call(w, "POST", "/api/v1/try", JSON, "{\"base\":\"" BASE "\",\"bundle\":\"eA==\"}", &r) ==
           202,
       "one in JSON");
    ok(call(w, "POST", "/api/v1/try?base=" BASE, JSON, "{\"bundle\":\"eA==\"}", &r) == 400 &&
           has(&r, "application/octet-stream"),
       "a query is for the other form");
    ok(call(w, "POST", "/api/v1/try", JSON, "{\"patch\":7}", &r) == 400, "a text, or nothing");
    ok(call(w, "POST", "/api/v1/try?type=tar", OCTETS, "x", &r) == 400 && has(&r, "tar"), "a type");
    ok(call(w, "POST", "/api/v1/try?builders=a,,b", OCTETS, "x", &r) == 400, "names have letters");
    ok(call(w, "POST", "/api/v1/try?properties=[", OCTETS, "x", &r) == 400, "properties are JSON");
    ok(call(w, "POST", "/api/v1/try",
            "Authorization: Bearer t-read\r\n"
            "Content-Type: "
            "application/octet-stream\r\n",
            "x", &r) == 403,
       "who may");
    ok(call(w, "POST", "/api/v1/try",
            OCTETS "Expect: 100-continue\r\n"
                   "Content-Length: 9999999999999\r\n",
            NULL, &r) == 413 &&
           has(&r, "\\\"try\\\""),
       "what is too large is refused before it comes, and the limit named");
    ok(left(w) == 0, "no file is left of any of them");
}

int main(void)
{
    world w = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    base64();
    if (world_open(&w, false))
        bodies(&w);
    else
        ok(false, "no world");
    world_close(&w);
    return tap_done();
}
