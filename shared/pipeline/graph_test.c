/* Which builds there are of a builder, and which builders a push selects. */
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"
#include "tests/tap.h"

static pl_file *load(const char *text)
{
    yaml_errors e = {0};
    pl_rules rules = {0};
    pl_file *f = pl_load(".pawl.yaml", text, strlen(text), &rules, &e);
    for (size_t i = 0; i < e.n; i++)
        printf("# %u:%u: %s\n", e.v[i].line, e.v[i].column, e.v[i].text);
    yaml_errors_clear(&e);
    return f;
}

/* "NAME{a=1 b=2}" of each, one behind the other. */
static bool expands(const char *keys, const char *want)
{
    PW_AUTO(pw_freep) char *text = pw_strf("builders: {a: {steps: [{run: x}], %s}}", keys);
    PW_AUTO(pl_unrefp) pl_file *f = load(text);
    PW_AUTO(pw_buf_clearp) pw_buf got = PW_BUF(10000);
    pl_instances all;
    if (!f || pl_expand(&f->builders[0], &all, NULL) < 0)
        return false;
    for (size_t i = 0; i < all.n; i++) {
        const pl_instance *x = &all.v[i];
        (void)pw_buf_addf(&got, "%s%s{", i ? " " : "", x->name);
        for (size_t k = 0; k < x->n_values; k++)
            (void)pw_buf_addf(&got, "%s%s=%s", k ? " " : "", x->values[k].name, x->values[k].value);
        (void)pw_buf_adds(&got, "}");
        if (x->shards)
            (void)pw_buf_addf(&got, "%u/%u", x->shard, x->shards);
    }
    pl_instances_clear(&all);
    if (strcmp(pw_buf_str(&got), want) != 0)
        printf("# %s\n", pw_buf_str(&got));
    return strcmp(pw_buf_str(&got), want) == 0;
}

static void test_expand(void)
{
    ok(expands("retries: 1", "a{}"), "one is itself");
    ok(expands("shards: 1", "a[shard=1/1]{}1/1"), "one shard");
    ok(expands("shards: 2", "a[shard=1/2]{}1/2 a[shard=2/2]{}2/2"), "shards");
    ok(expands("matrix: {cc: [gcc, clang]}", "a[cc=gcc]{cc=gcc} a[cc=clang]{cc=clang}"), "an axis");
    ok(expands("matrix: {cc: [g, c], v: [3.10, 4]}, shards: 1",
               "a[cc=g,v=3.10,shard=1/1]{cc=g v=3.10}1/1 a[cc=g,v=4,shard=1/1]{cc=g v=4}1/1 "
               "a[cc=c,v=3.10,shard=1/1]{cc=c v=3.10}1/1 a[cc=c,v=4,shard=1/1]{cc=c v=4}1/1"),
       "all combinations; a number is the text that was written");
    ok(expands("matrix: {opt: [\"-O2 -g\", \"a/b\"]}",
               "a[opt=-O2_-g]{opt=-O2 -g} a[opt=a_b]{opt=a/b}"),
       "a value that a name cannot hold");
    ok(expands("matrix: {cc: [g, c], v: [1, 2], exclude: [{cc: g, v: 1}, {cc: c, v: 2}]}",
               "a[cc=g,v=2]{cc=g v=2} a[cc=c,v=1]{cc=c v=1}"),
       "exclude");
    /* the example of GitHub's documentation */
    ok(expands("matrix: {fruit: [apple, pear], animal: [cat, dog], include: [{color: green}, "
               "{color: pink, animal: cat}, {fruit: apple, shape: circle}, {fruit: banana}, "
               "{fruit: banana, animal: cat}]}",
               "a[fruit=apple,animal=cat,color=pink,shape=circle]{fruit=apple animal=cat "
               "color=pink shape=circle} "
               "a[fruit=apple,animal=dog,color=green,shape=circle]{fruit=apple animal=dog "
               "color=green shape=circle} "
               "a[fruit=pear,animal=cat,color=pink]{fruit=pear animal=cat color=pink} "
               "a[fruit=pear,animal=dog,color=green]{fruit=pear animal=dog color=green} "
               "a[fruit=banana]{fruit=banana} a[fruit=banana,animal=cat]{fruit=banana "
               "animal=cat}"),
       "include as users of GitHub know it");
    ok(expands("matrix: {include: [{cc: g}, {cc: c}]}", "a[cc=g]{cc=g} a[cc=c]{cc=c}"),
       "include alone");
}

#define STEPS "steps: [{run: x}]"
#define B(name, keys) "  " name ": {" STEPS ", " keys "}\n"

/* names of what is selected, in the order of the file */
static bool selects(const char *builders, const char *marked, const char *files, const char *want)
{
    PW_AUTO(pw_freep) char *text = pw_strf("builders:\n%s", builders);
    PW_AUTO(pl_unrefp) pl_file *f = load(text);
    PW_AUTO(pw_buf_clearp) pw_buf got = PW_BUF(1000);
    bool in[20];
    if (!f)
        return false;
    for (size_t i = 0; i < f->n_builders; i++)
        in[i] = !marked || strstr(marked, f->builders[i].name);
    pl_select(f->builders, f->n_builders, files, in);
    for (size_t i = 0; i < f->n_builders; i++)
        if (in[i])
            (void)pw_buf_addf(&got, "%s%s", got.len ? " " : "", f->builders[i].name);
    if (strcmp(pw_buf_str(&got), want) != 0)
        printf("# %s\n", pw_buf_str(&got));
    return strcmp(pw_buf_str(&got), want) == 0;
}

static void test_select(void)
{
    static const char graph[] =
        B("lib", "run_if_changed: [\"lib/**\"]") B("gen", "run_if_changed: [\"gen/**\"]")
            B("app", "run_if_changed: [\"app/**\"], needs: [lib]")
                B("it", "run_if_changed: [\"it/**\"], needs: [app, gen]")
                    B("doc", "run_if_changed: [\"doc/**\", \"!doc/old/**\"]")
                        B("sweep", "run_if_changed: [\"never\"], always_run: true");
    ok(selects(graph, NULL, NULL, "lib gen app it doc sweep"), "what changed is not known: all");
    ok(selects(graph, NULL, "", "sweep"), "nothing changed: clean-up builders only");
    ok(selects(graph, NULL, "README\n", "sweep"), "nothing that any depends on");
    ok(selects(graph, NULL, "doc/a\n", "doc sweep"), "one");
    ok(selects(graph, NULL, "doc/old/a\n", "sweep"), "an excluded path");
    ok(selects(graph, NULL, "README\ndoc/a", "doc sweep"), "the last line without its end");
    ok(selects(graph, NULL, "it/a\n", "lib gen app it sweep"), "what it needs, however far");
    ok(selects(graph, NULL, "lib/a\n", "lib gen app it sweep"),
       "what depends on it, and what that needs");
    ok(selects(graph, NULL, "gen/a\n", "lib gen app it sweep"), "the same from the other side");
    ok(selects(graph, "doc", "lib/a\n", ""), "only out of those that were asked for");
    ok(selects(graph, "lib app", "lib/a\n", "lib app"), "dependents that were asked for");
    ok(selects(B("a", "run_if_changed: [x]") B("b", "needs: [a]"), NULL, "y\n", "a b"),
       "a builder without globs always runs, and what it needs");
    ok(selects(B("a", "retries: 0") B("b", "run_if_changed: [x], needs: [a]"), NULL, "y\n", "a b"),
       "one that needs a builder that runs depends on it");
    ok(selects(B("a", "run_if_changed: [x]") B("b", "run_if_changed: [z], needs: [a], "
                                                    "always_run: true"),
               NULL, "y\n", "a b"),
       "a clean-up builder brings what it needs");
}

int main(void)
{
    test_expand();
    test_select();
    return tap_done();
}
