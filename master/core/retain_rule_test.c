#include "master/core/retain_rule.h"

#include "tests/tap.h"

static retain_verdict decide(config_retain rule, retain_facts f)
{
    return retention_decide(&rule, &f, NULL);
}
#define RULE(...) ((config_retain){__VA_ARGS__})
#define BUILD(...) ((retain_facts){.result = PW_SUCCESS, __VA_ARGS__})

static void test_ages(void)
{
    ok(decide(RULE(0), BUILD(.age = INT64_MAX)) == RETAIN_WHOLE, "without a rule all is kept");
    ok(decide(RULE(.logs = 10), BUILD(.age = 10)) == RETAIN_WHOLE &&
           decide(RULE(.logs = 10), BUILD(.age = 11)) == RETAIN_ROWS,
       "logs at their age");
    ok(decide(RULE(.logs = 10, .builds = 20), BUILD(.age = 20)) == RETAIN_ROWS &&
           decide(RULE(.logs = 10, .builds = 20), BUILD(.age = 21)) == RETAIN_NOTHING &&
           decide(RULE(.builds = 20), BUILD(.age = 21)) == RETAIN_NOTHING,
       "builds at theirs");
    ok(decide(RULE(.logs = 10, .builds = 20), BUILD(.age = -5)) == RETAIN_WHOLE,
       "what ended in the future is young");
}

static void test_red(void)
{
    config_retain rule = {.logs = 10, .builds = 20, .red = 100};
    for (pw_result r = PW_SUCCESS; r <= PW_CANCELLED; r++) {
        bool red = r == PW_FAILURE || r == PW_EXCEPTION;
        retain_facts f = {.age = 50, .result = r};
        ok(decide(rule, f) == (red ? RETAIN_WHOLE : RETAIN_NOTHING), "%s at 50", pw_result_name(r));
        f.age = 101;
        ok(decide(rule, f) == RETAIN_NOTHING, "and at 101");
    }
    ok(decide(RULE(.logs = 200, .builds = 300, .red = 100),
              (retain_facts){.age = 250, .result = PW_FAILURE}) == RETAIN_ROWS,
       "red shortens nothing");
    ok(decide(RULE(.logs = 1, .builds = 2, .red_forever = true),
              (retain_facts){.age = 99, .result = PW_FAILURE}) == RETAIN_WHOLE,
       "red for ever");
}

/* Every combination: what must stay stays, and nothing goes for another reason than its age. */
static void test_all(void)
{
    config_retain rule = {.logs = 10, .builds = 20};
    bool good = true;
    for (unsigned i = 0; i < 1u << 7; i++) {
        retain_facts f = {.result = PW_SUCCESS,
                          .age = i & 1 ? (i & 2 ? 30 : 15) : 5,
                          .pinned = i & 4,
                          .open = i & 8,
                          .newest = i & 16,
                          .needed = i & 32,
                          .last = i & 64};
        const char *why = NULL;
        retain_verdict v = retention_decide(&rule, &f, &why);
        good = good && why && *why;
        if (f.pinned || f.open || f.last || f.age == 5)
            good = good && v == RETAIN_WHOLE;
        else if (f.age == 15 || f.newest || f.needed)
            good = good && v == RETAIN_ROWS;
        else
            good = good && v == RETAIN_NOTHING;
    }
    ok(good, "128 cases");
}

int main(void)
{
    test_ages();
    test_red();
    test_all();
    return tap_done();
}
