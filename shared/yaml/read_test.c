#include <stdlib.h>
#include <string.h>

#include "shared/yaml/yaml.h"
#include "tests/tap.h"

typedef struct fixture {
    yaml_doc *doc;
    const yaml_node *root;
    yaml_errors errors;
} fixture;

static void fixture_clear(fixture *f)
{
    f->doc = yaml_free(f->doc);
    yaml_errors_clear(&f->errors);
}

static bool open_text(fixture *f, const char *text)
{
    fixture_clear(f);
    f->doc = yaml_parse("f", text, strlen(text), &f->errors);
    f->root = f->doc ? yaml_root(f->doc) : NULL;
    return f->root;
}

/* The last error stands there and holds this text; it is dropped, so each check sees its own. */
static bool told(fixture *f, unsigned line, unsigned column, const char *part)
{
    bool is = false;
    if (f->errors.n == 1) {
        const yaml_error *e = &f->errors.v[0];
        is = e->line == line && e->column == column && strstr(e->text, part);
        if (!is)
            printf("# %u:%u: %s\n", e->line, e->column, e->text);
    }
    yaml_errors_clear(&f->errors);
    return is;
}

static void test_texts(fixture *f)
{
    PW_AUTO(pw_freep) char *s = NULL;
    PW_AUTO(pw_freep) char *keep = NULL;
    if (!open_text(f, "a: abcd\nl: [1]\nn:\ne: ''\n"))
        return;
    ok(yaml_get_str(f->root, "a", true, 4, &s, &f->errors) && s && strcmp(s, "abcd") == 0,
       "a text at its limit");
    ok(!yaml_get_str(f->root, "a", true, 3, &keep, &f->errors) && !keep &&
           told(f, 1, 4, "longer than 3"),
       "too long");
    ok(!yaml_get_str(f->root, "l", false, 9, &keep, &f->errors) &&
           told(f, 2, 4, "\"l\" must be a text, not a list"),
       "a list");
    ok(!yaml_get_str(f->root, "z", true, 9, &keep, &f->errors) &&
           told(f, 1, 1, "required key \"z\" is missing"),
       "missing");
    ok(yaml_get_str(f->root, "z", false, 9, &keep, &f->errors) && !keep && !f->errors.n,
       "absent and optional");
    ok(yaml_get_str(f->root, "n", false, 9, &keep, &f->errors) && !keep && !f->errors.n,
       "null and optional");
    ok(!yaml_get_str(f->root, "n", true, 9, &keep, &f->errors) &&
           told(f, 3, 3, "\"n\" must not be empty"),
       "null and required");
    ok(!yaml_get_str(f->root, "e", true, 9, &keep, &f->errors) &&
           told(f, 4, 4, "\"e\" must not be empty"),
       "empty");
    ok(yaml_get_str(f->root, "e", false, 9, &keep, &f->errors) && keep && !*keep,
       "an empty text where that is fine");
}

static void test_values(fixture *f)
{
    bool b = false;
    int64_t i = 5;
    pw_usec d = 5;
    uint64_t z = 5;
    int w = 7;
    static const char *const words[] = {"branch", "periodic", NULL};
    if (!open_text(f, "t: yes\nf: Off\nx: maybe\ni: 10\nj: 1x\nd: 20m\ns: 64K\nw: periodic\nv: "
                      "brnch\nu: zzzzzzz\nl: []\n"))
        return;
    ok(yaml_get_bool(f->root, "t", &b, &f->errors) && b, "yes");
    ok(yaml_get_bool(f->root, "f", &b, &f->errors) && !b, "Off");
    b = true;
    ok(!yaml_get_bool(f->root, "x", &b, &f->errors) && b &&
           told(f, 3, 4, "true or false, not \"maybe\""),
       "no bool");
    ok(yaml_get_int(f->root, "i", 10, 10, &i, &f->errors) && i == 10, "a number at both limits");
    ok(!yaml_get_int(f->root, "i", 11, 20, &i, &f->errors) &&
           told(f, 4, 4, "from 11 to 20, not \"10\""),
       "below");
    ok(!yaml_get_int(f->root, "i", 0, 9, &i, &f->errors) && told(f, 4, 4, "from 0 to 9"), "above");
    ok(!yaml_get_int(f->root, "j", 0, 9, &i, &f->errors) && i == 10 && told(f, 5, 4, "\"1x\""),
       "no number");
    ok(yaml_get_duration(f->root, "d", &d, &f->errors) && d == (pw_usec)20 * 60 * 1000000,
       "a duration");
    ok(!yaml_get_duration(f->root, "i", &d, &f->errors) && told(f, 4, 4, "duration like"),
       "a duration without unit");
    ok(yaml_get_size(f->root, "s", &z, &f->errors) && z == 65536, "a size");
    ok(!yaml_get_size(f->root, "d", &z, &f->errors) && told(f, 6, 4, "size like"), "no size");
    ok(!yaml_get_size(f->root, "l", &z, &f->errors) && told(f, 11, 4, "must be a size, not a list"),
       "a list");
    ok(yaml_get_enum(f->root, "w", words, &w, &f->errors) && w == 1, "a word");
    ok(!yaml_get_enum(f->root, "v", words, &w, &f->errors) && w == 1 &&
           told(f, 9, 4, "one of branch, periodic, not \"brnch\"; did you mean \"branch\"?"),
       "nearly a word");
    ok(!yaml_get_enum(f->root, "u", words, &w, &f->errors) && told(f, 10, 4, "not \"zzzzzzz\""),
       "no word");
    ok(yaml_get_enum(f->root, "none", words, &w, &f->errors) && w == 1 && !f->errors.n, "absent");
}

static void strs_free(char **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

static void test_lists(fixture *f)
{
    char **v = NULL;
    size_t n = 0;
    if (!open_text(f, "a: [x, '']\ns: one\nm: [x, [y]]\nk: {}\ne: []\n"))
        return;
    ok(yaml_get_strs(f->root, "a", 2, &v, &n, &f->errors) && n == 2 && strcmp(v[0], "x") == 0 &&
           !v[2],
       "a list");
    strs_free(v, n);
    v = NULL;
    n = 0;
    ok(!yaml_get_strs(f->root, "a", 1, &v, &n, &f->errors) && !v &&
           told(f, 1, 4, "more than 1 items"),
       "too many");
    ok(yaml_get_strs(f->root, "s", 1, &v, &n, &f->errors) && n == 1 && strcmp(v[0], "one") == 0,
       "one text is a list");
    strs_free(v, n);
    v = NULL;
    n = 0;
    ok(!yaml_get_strs(f->root, "m", 9, &v, &n, &f->errors) && !v &&
           told(f, 3, 8, "must be a text, not a list"),
       "a list in it");
    ok(!yaml_get_strs(f->root, "k", 9, &v, &n, &f->errors) &&
           told(f, 4, 4, "list of texts, not a mapping"),
       "a mapping");
    ok(yaml_get_strs(f->root, "e", 9, &v, &n, &f->errors) && v && n == 0, "an empty list is given");
    strs_free(v, n);
}

static void test_keys(fixture *f)
{
    static const char *const allowed[] = {"timeout", "name", NULL}, *const later[] = {"gates",
                                                                                      "duty", NULL};
    if (!open_text(f, "timout: 1\n"))
        return;
    ok(!yaml_check_map(f->root, "a builder", allowed, &f->errors) &&
           told(f, 1, 1, "unknown key \"timout\"; did you mean \"timeout\"?"),
       "nearly a key");
    if (!open_text(f, "name: 1\nxyzzyx: 1\n"))
        return;
    ok(!yaml_check_map(f->root, "a builder", allowed, &f->errors) &&
           told(f, 2, 1, "unknown key \"xyzzyx\"; a builder takes timeout, name"),
       "no key");
    if (!open_text(f, "gates: 1\nduty: ~\n"))
        return;
    ok(!yaml_check_keys(f->root, "the file", allowed, later, &f->errors) &&
           told(f, 1, 1, "\"gates\" is not supported by this version"),
       "a key of later, unless null");
    if (!open_text(f, "[name]"))
        return;
    ok(!yaml_check_map(f->root, "a builder", allowed, &f->errors) &&
           told(f, 1, 1, "a builder must be a mapping, not a list"),
       "no mapping");
    if (!open_text(f, "a: *x\n") &&
        f->errors.n == 1) /* an unknown alias is told; the document stays usable */
        ok(false, "the document is kept");
    else
        ok(f->root && told(f, 1, 4, "no anchor"), "an unknown alias");
    bool b = false;
    PW_AUTO(pw_freep) char *s = NULL;
    if (f->root) {
        ok(!yaml_get_str(f->root, "a", true, 9, &s, &f->errors) && f->errors.n == 0,
           "and nothing more is said of it");
        ok(yaml_get_bool(f->root, "a", &b, &f->errors), "it counts as not given");
    }
}

int main(void)
{
    PW_AUTO(fixture_clear) fixture f = {0};
    test_texts(&f);
    test_values(&f);
    test_lists(&f);
    test_keys(&f);
    return tap_done();
}
