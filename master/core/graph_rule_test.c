#include "master/core/graph_rule.h"

#include <string.h>

#include "tests/tap.h"

int main(void)
{
    static const struct {
        bool always;
        const char *needs; /* each: o open, O open and bad, g good, b bad */
        graph_turn turn;
        size_t which;
    } t[] = {
        {false, "", GRAPH_RUN, 9},    {false, "g", GRAPH_RUN, 9},   {false, "gg", GRAPH_RUN, 9},
        {false, "o", GRAPH_WAIT, 0},  {false, "go", GRAPH_WAIT, 1}, {false, "b", GRAPH_SKIP, 0},
        {false, "ob", GRAPH_SKIP, 1}, {false, "O", GRAPH_SKIP, 0},  {false, "gb", GRAPH_SKIP, 1},
        {true, "", GRAPH_RUN, 9},     {true, "b", GRAPH_RUN, 9},    {true, "ob", GRAPH_WAIT, 0},
        {true, "bO", GRAPH_WAIT, 1},  {true, "gg", GRAPH_RUN, 9},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        graph_need need[4];
        size_t which = 9, n = strlen(t[i].needs);
        for (size_t k = 0; k < n; k++)
            need[k] = (graph_need){strchr("oO", t[i].needs[k]), strchr("bO", t[i].needs[k])};
        ok(graph_decide(t[i].always, need, n, &which) == t[i].turn && which == t[i].which, "%s%s",
           t[i].always ? "always " : "", t[i].needs);
    }
    static const bool good[] = {true, true, false, false, false, false, false};
    for (int r = 0; r < 7; r++)
        ok(graph_good((pw_result)r, false) == good[r] &&
               graph_good((pw_result)r, true) == (good[r] || r == PW_SKIPPED),
           "%s", pw_result_name((pw_result)r));
    ok(!graph_good(PW_NO_RESULT, true), "one that ended without a build");
    ok(strcmp(graph_word(PW_FAILURE), "failed") == 0 &&
           strcmp(graph_word(PW_NO_RESULT), "was cancelled") == 0,
       "words");
    return tap_done();
}
