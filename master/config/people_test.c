/* Scopes, roles, and whom a token may act for. */
#include <string.h>

#include "master/config/people.h"
#include "tests/tap.h"

static config *load(const char *text)
{
    yaml_errors e = {0};
    config *c = config_load_text(NULL, text, strlen(text), &e);
    for (size_t i = 0; !c && i < e.n; i++)
        printf("# %s\n", e.v[i].text);
    yaml_errors_clear(&e);
    return c;
}

static void test_scopes(void)
{
    const char *bad = NULL;
    char text[SCOPE_TEXT];
    ok(scopes_parse("read build", NULL) == (SCOPE_READ | SCOPE_BUILD), "blanks");
    ok(scopes_parse("read,land , operate", NULL) == (SCOPE_READ | SCOPE_LAND | SCOPE_OPERATE),
       "commas");
    ok(scopes_parse("admin", NULL) == SCOPE_ALL, "admin holds the others");
    ok(scopes_parse("read administrator", &bad) == 0 && bad && strcmp(bad, "administrator") == 0,
       "one that is none");
    ok(scopes_parse("rea", &bad) == 0 && scopes_parse("Read", &bad) == 0, "nothing by halves");
    ok(scopes_parse("", &bad) == 0 && scopes_parse(" ,", NULL) == 0 && !*bad, "none at all");
    ok(strcmp(scopes_text(SCOPE_ALL, text), "read build land operate admin") == 0, "all fit");
    ok(strcmp(scopes_text(SCOPE_OPERATE, text), "operate") == 0, "one");
    for (unsigned s = 1; s < SCOPE_ADMIN; s++)
        if (scopes_parse(scopes_text(s, text), NULL) != s)
            ok(false, "%s reads back", text);
}

static void test_people(void)
{
    config *c = load("people:\n"
                     "  - {name: ada, roles: [admin], logins: {github: ada-l, gitlab: ada}}\n"
                     "  - {name: bob, roles: developer}\n"
                     "  - {name: eve, roles: [reader]}\n"
                     "  - {name: opa, roles: [operator, reader]}\n"
                     "user: pawl\n");
    unsigned s = 0;
    ok(c && c->n_people == 4 && c->people_given && strcmp(c->user, "pawl") == 0, "people");
    if (!c)
        return;
    ok(c->people[0].n_logins == 2 && strcmp(c->people[0].logins[1].name, "gitlab") == 0 &&
           strcmp(c->people[0].logins[1].value, "ada") == 0,
       "logins");
    ok(c->people[0].scopes == SCOPE_ALL &&
           c->people[1].scopes == (SCOPE_READ | SCOPE_BUILD | SCOPE_LAND) &&
           c->people[2].scopes == SCOPE_READ &&
           c->people[3].scopes == (SCOPE_ALL & ~(unsigned)SCOPE_ADMIN),
       "roles as scopes");
    ok(config_find_person(c, "eve") == &c->people[2] && !config_find_person(c, "ev"), "by name");
    ok(config_person_scopes(c, "bob", SCOPE_ALL, &s) && s == c->people[1].scopes,
       "a token is not more than its person");
    ok(config_person_scopes(c, "ada", SCOPE_READ, &s) && s == SCOPE_READ,
       "nor is the person's token more than it was made for");
    ok(config_person_scopes(c, "eve", SCOPE_BUILD, &s) && s == 0, "which may be nothing");
    ok(config_person_scopes(c, NULL, SCOPE_BUILD, &s) && s == SCOPE_BUILD, "a token of nobody");
    ok(!config_person_scopes(c, "zoe", SCOPE_ALL, &s), "one who left: dead");
    config_unref(c);
    c = load("people: []\n");
    ok(c && c->people_given && !config_person_scopes(c, "bob", SCOPE_ALL, &s),
       "an empty list is a list");
    config_unref(c);
    c = load("name: x\n");
    ok(c && !c->user && config_person_scopes(c, "bob", SCOPE_BUILD, &s) && s == SCOPE_BUILD,
       "without a list names are only names");
    config_unref(c);
}

int main(void)
{
    test_scopes();
    test_people();
    return tap_done();
}
