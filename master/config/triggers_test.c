#include "master/config/load.h"

#include <string.h>

#include "tests/tap.h"

/* The first error of a configuration whose one step triggers that; "" when there is none. */
static void is(const char *scheduler, const char *want)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_freep)
    char *text = pw_strf("projects: [{name: p, repository: /r}, {name: q, repository: /r}]\n"
                         "builders:\n"
                         "  - {name: a, project: p, steps: [{run: x}, {trigger: \"%s\"}]}\n"
                         "  - {name: b, project: q, steps: [{run: x}]}\n"
                         "schedulers:\n"
                         "  - {name: own, kind: triggered, project: p}\n"
                         "  - {name: other, kind: triggered, project: q}\n"
                         "  - {name: hand, kind: force, project: p}\n",
                         scheduler);
    PW_AUTO(config_unrefp)
    config *c = text ? config_load_text(NULL, text, strlen(text), &e) : NULL;
    if (*want)
        ok(!c && e.n == 1 && e.v[0].line == 3 && strcmp(e.v[0].text, want) == 0, "%s: %s",
           scheduler, e.n ? e.v[0].text : "no error");
    else
        ok(c && !e.n, "%s is fine", scheduler);
}

int main(void)
{
    is("own", "");
    is("${which}", ""); /* seen when it runs */
    is("nobody", "there is no scheduler \"nobody\"");
    is("hand", "scheduler \"hand\" is of kind force, not triggered");
    is("other", "scheduler \"other\" is of another project");
    return tap_done();
}
