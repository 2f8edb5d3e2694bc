#include "master/store/names.h"

#include <stdio.h>

#include "tests/tap.h"

static void test_names(void)
{
    PW_AUTO(names_freep) names *n = names_new(NULL);
    char text[32];
    uint64_t last = 0;

    if (!n)
        return;
    names_put(n, NAMES_BUILDER, 1, "linux", 5);
    names_put(n, NAMES_BUILDER, 2, "linux", 6);
    names_put(n, NAMES_TEXT, 1, "linux", 7);
    ok(names_get(n, NAMES_BUILDER, 1, "linux") == 5 &&
           names_get(n, NAMES_BUILDER, 2, "linux") == 6 &&
           names_get(n, NAMES_TEXT, 1, "linux") == 7 && names_get(n, NAMES_TEXT, 1, "linu") == 0,
       "kind, parent and text make a name");
    names_put(n, NAMES_TEXT, 1, "linux", 8);
    ok(names_get(n, NAMES_TEXT, 1, "linux") == 8, "the last id counts");
    for (uint64_t i = 0; i < NAMES_MAX - 3; i++) {
        (void)snprintf(text, sizeof(text), "n%d", (int)i);
        names_put(n, NAMES_TEXT, 0, text, i + 1);
        last = i + 1;
    }
    ok(names_get(n, NAMES_BUILDER, 1, "linux") == 5 && names_get(n, NAMES_TEXT, 0, text) == last,
       "all are there at the limit");
    names_put(n, NAMES_TEXT, 0, "more", 1);
    ok(names_get(n, NAMES_BUILDER, 1, "linux") == 0 && names_get(n, NAMES_TEXT, 0, "more") == 1,
       "one more empties it");
    names_forget(n);
    ok(names_get(n, NAMES_TEXT, 0, "more") == 0, "all is forgotten");
}

int main(void)
{
    test_names();
    return tap_done();
}
