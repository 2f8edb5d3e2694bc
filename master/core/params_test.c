/* Forms: what a forced build may be given. */
#include "master/core/fixture.h"

#include "tests/tap.h"

#define CONF                                                                                       \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: free, project: p, steps: [{run: x}]}, {name: a, project: p, properties: "   \
    "{base: builder}, steps: [{run: x}]}, {name: loose, project: p, steps: [{run: x}]}]\n"         \
    "schedulers:\n"                                                                                \
    "  - {name: deploy, kind: force, project: p, builders: [a], priority: 5, properties: {base: "  \
    "form, own: o}, parameters: [\n"                                                               \
    "     {name: level, type: int, default: 3}, {name: note, type: text}, {name: title, "          \
    "required: true},\n"                                                                           \
    "     {name: where, type: choice, choices: [here, there], default: here}, {name: dry, type: "  \
    "bool},\n"                                                                                     \
    "     {name: onto, type: branch}, {name: at, type: revision}]}\n"                              \
    "  - {name: second, kind: force, project: p, builders: [a, loose]}\n"

static int forced(world *w, say s)
{
    s.branch = "master";
    s.reason = "because";
    return ask(w, CMD_FORCE, s);
}

static void types(world *w)
{
    static const struct {
        const char *name, *value, *error;
    } rows[] = {
        {"level", "12x", "\"level\":\"must be a whole number, not \\\"12x\\\"\""},
        {"level", "-4", NULL},
        {"title", "two\nlines", "\"title\":\"must be one line\""},
        {"note", "two\nlines", NULL},
        {"where", "nowhere", "\"where\":\"must be one of here, there, not \\\"nowhere\\\"\""},
        {"where", "there", NULL},
        {"dry", "maybe", "\"dry\":\"must be true or false, not \\\"maybe\\\"\""},
        {"dry", "true", NULL},
        {"onto", "a..b", "\"onto\":\"\\\"a..b\\\" is no name of a branch\""},
        {"onto", "feature/x", NULL},
        {"at", "123", "\"at\":\"\\\"123\\\" is not a whole revision\""},
        {"at", "0123456789012345678901234567890123456789", NULL},
        {"colour", "red", "\"colour\":\"is no parameter of force scheduler \\\"deploy\\\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool title = strcmp(rows[i].name, "title") == 0;
        int status =
            forced(w, (say){.builder = "a",
                            .prop = {rows[i].name, rows[i].value, title ? NULL : "title", "t"}});
        ok(rows[i].error ? status == 400 && strstr(w->body, rows[i].error) : status == 202,
           "%s, row %zu: %s", rows[i].name, i, w->body);
    }
}

static void filled(world *w)
{
    char got[400];
    up(w, worker(w, "w1", 1), 7, 1);
    world_forget(w);
    uint64_t set = (forced(w, (say){.builder = "a", .prop = {"title", "t", "level", "9"}}),
                    told(w, "requests"));
    (void)ask(w, CMD_WHY, (say){.id = set});
    for (uint64_t i = 1; i < 40 && request(w, set).state == REQ_WAITING; i++)
        run(w, i, PW_SUCCESS);
    offered_props(w, got, sizeof(got));
    ok(strcmp(got, "base=form title=t level=9 where=here own=o ") == 0,
       "what is given, defaults, the scheduler's own, the builder's: %s", got);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return 1;
    look(w, 0, "master", 1);
    ok(forced(w, (say){.builder = "free", .prop = {"any", "thing"}}) == 202,
       "a builder without a form takes anything");
    ok(forced(w, (say){.builder = "loose", .prop = {"any", "thing"}}) == 202,
       "so does a form without parameters");
    ok(forced(w, (say){.builder = "a"}) == 400 &&
           strstr(w->body, "\"fields\":{\"title\":\"is required\"}"),
       "what is required is missing: %s", w->body);
    ok(forced(w, (say){.builder = "a", .prop = {"level", "x", "title", ""}}) == 400 &&
           strstr(w->body, "\"message\":\"\\\"level\\\" must be a whole number, not \\\"x\\\"; "
                           "\\\"title\\\" is required\""),
       "all errors at once: %s", w->body);
    ok(forced(w, (say){.builder = "a", .scheduler = "second", .prop = {"any", "thing"}}) == 202,
       "another form of the builder");
    ok(forced(w, (say){.builder = "a", .scheduler = "third"}) == 404 &&
           forced(w, (say){.builder = "free", .scheduler = "deploy"}) == 404,
       "one that it does not have");
    types(w);
    filled(w);
    return tap_done();
}
