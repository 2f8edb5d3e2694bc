/* The table and its walker. */
#include "master/http/routes.h"
#include "master/http/schemas.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static int find(const char *method, const char *path, web_match *m)
{
    return web_route_find(web_routes, web_n_routes, method, path, m, NULL);
}

static void test_table(void)
{
    static const char *const scopes[] = {"", "read", "build", "operate", "admin"};
    size_t bad_scope = 0, bad_write = 0, twice = 0, lost = 0, nobody = 0;
    web_match m;
    for (size_t i = 0; i < web_n_routes; i++) {
        const web_route *r = &web_routes[i];
        char path[200];
        size_t n = 0, known = 0;
        for (size_t k = 0; k < sizeof(scopes) / sizeof(scopes[0]); k++)
            known += strcmp(scopes[k], r->scope) == 0;
        bad_scope += known != 1;
        /* these look by themselves: at a signature, at a token in a form, at a session */
        bool own = strncmp(r->pattern, "/hooks/", 7) == 0 || strcmp(r->pattern, "/login") == 0 ||
                   strcmp(r->pattern, "/logout") == 0;
        bad_write += strcmp(r->method, "GET") != 0 && !own &&
                     (strcmp(r->scope, "") == 0 || strcmp(r->scope, "read") == 0);
        nobody += (strcmp(r->method, "GET") == 0 || own) != (r->body == NULL);
        for (size_t k = 0; k < i; k++)
            twice += strcmp(web_routes[k].method, r->method) == 0 &&
                     strcmp(web_routes[k].pattern, r->pattern) == 0;
        for (const char *p = r->pattern; *p && n < sizeof(path) - 1; p++)
            if (*p == '{') {
                path[n++] = '7';
                p = strchr(p, '}');
            } else {
                path[n++] = *p;
            }
        path[n] = '\0';
        lost += find(r->method, path, &m) != 0 || m.route != r || !r->handler || !*r->summary;
    }
    ok(bad_scope == 0, "each scope is a known one");
    ok(bad_write == 0, "each write needs a scope that may write");
    ok(nobody == 0, "what writes says which keys its body has, what reads has none");
    ok(twice == 0, "no route twice");
    ok(lost == 0, "each route is found by a path of its pattern");
}

/* Types of a schema that are not those of JSON are schemas, too. */
static size_t unknown_types(const char *fields)
{
    static const char *const plain[] = {"integer", "string", "boolean", "time",
                                        "object",  "array",  "map",     "result"};
    size_t bad = 0;
    for (const char *p = fields; *p; p += strspn(p, " ")) {
        size_t all = strcspn(p, " "), name = *p == '+' ? 0 : strcspn(p, ":");
        const char *type = p + name + 1;
        size_t n = all - name - 1;
        while (n && strchr("?[]", type[n - 1]))
            n--;
        bool known = memchr(type, '|', n) || web_schema_find(type, n);
        for (size_t k = 0; k < sizeof(plain) / sizeof(plain[0]); k++)
            known = known || (n == strlen(plain[k]) && memcmp(plain[k], type, n) == 0);
        if (!known)
            printf("# no type \"%.*s\"\n", (int)n, type);
        bad += !known;
        p += all;
    }
    return bad;
}

static void test_answers(void)
{
    size_t bad = 0;
    for (size_t i = 0; i < web_n_routes; i++) {
        const char *name = web_routes[i].answer;
        size_t n = name ? strcspn(name, "[") : 0;
        const web_schema *s = name ? web_schema_find(name, n) : NULL;
        if (name && !s)
            printf("# no schema \"%s\"\n", name);
        bad += name && !s;
        bad += s ? unknown_types(s->fields) : 0;
    }
    ok(bad == 0, "each answer has a schema, of types that there are");
}

static void test_walk(void)
{
    web_match m;
    pw_err err = {0};
    char longest[WEB_PARAM_BYTES + 40] = "/api/v1/builders/";
    ok(find("GET", "/api/v1/builds/17/log/test%2Funit%20a", &m) == 0 && m.n == 2 &&
           strcmp(m.param[0], "17") == 0 && strcmp(m.param[1], "test/unit a") == 0,
       "parts are decoded one at a time");
    ok(find("GET", "/api/v1/builds/1+1", &m) == 0 && strcmp(m.param[0], "1+1") == 0,
       "a plus in a path is a plus");
    ok(find("GET", "/", &m) == 0 && m.n == 0, "the root");
    ok(find("GET", "", &m) == PW_EINVAL && find("GET", "*", &m) == PW_EINVAL, "no path");
    ok(find("GET", "//", &m) == PW_ENOTFOUND &&
           find("GET", "/api/v1/builds//steps", &m) == PW_ENOTFOUND,
       "an empty part is nothing");
    ok(find("GET", "/api/v1/builds/", &m) == PW_ENOTFOUND &&
           find("GET", "/api/v1", &m) == PW_ENOTFOUND &&
           find("GET", "/api/v1/build", &m) == PW_ENOTFOUND &&
           find("GET", "/api/v1/builds/1/steps/2", &m) == PW_ENOTFOUND,
       "almost is nothing");
    ok(find("GET", "/api/v1%2Fbuilds", &m) == PW_ENOTFOUND, "an encoded slash divides nothing");
    ok(find("GET", "/api/v1/builds/%4", &m) == PW_EINVAL &&
           find("GET", "/api/v1/builds/%", &m) == PW_EINVAL &&
           find("GET", "/api/v1/builds/%g0", &m) == PW_EINVAL &&
           find("GET", "/api/v1/builds/%00", &m) == PW_EINVAL &&
           find("GET", "/api/v1/builds/%41%4a%4A", &m) == 0 && strcmp(m.param[0], "AJJ") == 0,
       "percent-encoding");
    ok(web_route_find(web_routes, web_n_routes, "PUT", "/api/v1/workers", &m, &err) == PW_EDENIED &&
           strcmp(m.allow, "GET, POST") == 0,
       "a method too many: %s", m.allow);
    ok(find("get", "/api/v1/workers", &m) == PW_EDENIED, "methods are upper case");
    size_t n = strlen(longest);
    memset(longest + n, 'x', WEB_PARAM_BYTES - 1);
    longest[n + WEB_PARAM_BYTES - 1] = '\0';
    ok(find("GET", longest, &m) == 0 && strlen(m.param[0]) == WEB_PARAM_BYTES - 1,
       "the longest part");
    longest[n + WEB_PARAM_BYTES - 1] = 'x';
    longest[n + WEB_PARAM_BYTES] = '\0';
    ok(find("GET", longest, &m) == PW_EINVAL, "and a byte more");
}

static void test_words(void)
{
    ok(web_has_word("a bb! c", "bb", 2) && web_has_word("a bb! c", "c", 1) &&
           web_has_word("a", "a", 1),
       "a word of a list");
    ok(!web_has_word("a bb! c", "b", 1) && !web_has_word("", "a", 1) &&
           !web_has_word("a bb", "", 0) && !web_has_word("ab", "abc", 3),
       "no word of it");
}

int main(void)
{
    test_table();
    test_answers();
    test_walk();
    test_words();
    return tap_done();
}
