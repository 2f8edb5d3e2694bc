#include "master/config/outline.h"

#include <string.h>

#include "tests/tap.h"

static outline of(const char *text)
{
    yaml_errors e = {0};
    outline o = {0};
    (void)outline_of("/x/master.yaml", text, strlen(text), &o, &e);
    yaml_errors_clear(&e);
    return o;
}

typedef struct seen {
    char text[1000];
} seen;

static void note(void *self, outline_change change, const outline_object *old,
                 const outline_object *now)
{
    static const char *const words[] = {"+", "-", "~"};
    seen *s = self;
    const outline_object *o = now ? now : old;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%s%s:%s ", words[change], o->section,
                   o->name);
}

static const char *compare(const char *a, const char *b, seen *s)
{
    outline old = of(a), now = of(b);
    *s = (seen){""};
    outline_compare(&old, &now, note, s);
    outline_clear(&old);
    outline_clear(&now);
    return s->text;
}

#define BASE                                                                                       \
    "name: x\nweb: {listen: \"127.0.0.1:1\"}\nbuilders: [{name: a, project: p, steps: [{run: "     \
    "x}]}, {name: a, project: q, steps: [{run: x}]}]\n"

static void test_compare(void)
{
    seen s;
    ok(strcmp(compare(BASE, BASE, &s), "") == 0, "the same");
    ok(strcmp(compare(BASE, "# c\n" BASE "\n", &s), "") == 0, "comments and blanks are nothing");
    ok(strcmp(
           compare(BASE,
                   "web: {\"listen\": 127.0.0.1:1}\nname: \"x\"\nbuilders:\n- {project: q, name: "
                   "a, steps: [{run: x}]}\n- name: a\n  project: p\n  steps: [run: x]\n",
                   &s),
           "") == 0,
       "nor is how it is written: %s", s.text);
    ok(strcmp(compare(BASE,
                      "name: y\nbuilders: [{name: a, project: p, steps: [{run: y}]}, {name: "
                      "b, project: p}]\n",
                      &s),
              "~name: ~builders:p/a +builders:p/b -web: -builders:q/a ") == 0,
       "added, changed, removed: %s", s.text);
    ok(strcmp(compare("a: &x {k: 1}\nprojects: [{name: p, <<: *x}]\n",
                      "projects: [{name: p, k: 1}]\n", &s),
              "-a: ") == 0,
       "anchors are what they stand for: %s", s.text);
    ok(strcmp(compare("gates: [{target: m, n: 1}]\n", "gates: [{target: m, n: 2}]\n", &s),
              "~gates:m ") == 0,
       "an object without a name: %s", s.text);
}

static void test_hidden(void)
{
    outline o = of("notify: [{name: n, url: \"https://x/T0KEN\", secret: s}]\n"
                   "projects: [{name: p, hook_secret: h, api_token: t}]\nsecrets: {s: {env: E}}\n");
    bool good = o.n == 3;
    for (size_t i = 0; good && i < o.n; i++)
        for (size_t k = 0; k < o.v[i].n; k++) {
            const char *name = o.v[i].key[k].name;
            bool hide = strcmp(name, "url") == 0 || strcmp(name, "secret") == 0 ||
                        strcmp(name, "api_token") == 0;
            good = good && o.v[i].key[k].hidden == hide;
        }
    ok(good, "what may be a secret is hidden, names of secrets are not");
    outline_clear(&o);
}

static void test_wrong(void)
{
    yaml_errors e = {0};
    outline o = {0};
    ok(outline_of("/x", "a: [", 4, &o, &e) < 0 && e.n == 1 && o.n == 0, "what is no YAML");
    yaml_errors_clear(&e);
}

int main(void)
{
    test_compare();
    test_hidden();
    test_wrong();
    return tap_done();
}
