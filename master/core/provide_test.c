/* The rule over all small worlds: bounds hold, and it comes to rest. */
#include "master/core/provide.h"

#include "tests/tap.h"

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Every world of up to N of each. */
static void everywhere(void)
{
    enum { N = 4 };
    bool bounds = true, rest = true, enough = true, kept = true;
    size_t n = 0;
    provide_facts f;
    for (f.waiting = 0; f.waiting <= N; f.waiting++)
        for (f.slots = 1; f.slots <= 3; f.slots++)
            for (f.starting = 0; f.starting <= N; f.starting++)
                for (f.up = 0; f.up <= N; f.up++)
                    for (f.idle = 0; f.idle <= f.up; f.idle++)
                        for (f.leaving = 0; f.leaving <= 2; f.leaving++)
                            for (f.max = 1; f.max <= N; f.max++)
                                for (f.min = 0; f.min <= f.max; f.min++)
                                    for (int held = 0; held < 2; held++) {
                                        f.held = held;
                                        provide_plan p = provide_decide(&f);
                                        size_t all = f.starting + f.up + f.leaving;
                                        n++;
                                        bounds &= p.stop <= f.idle && (!p.start || !f.held) &&
                                                  (!p.start || all + p.start <= f.max);
                                        kept &= !p.stop || f.starting + f.up - p.stop >= f.min;
                                        size_t want = (f.waiting + f.slots - 1) / f.slots;
                                        if (!f.held && all < f.max)
                                            enough &= f.starting + p.start >=
                                                      min_of(want, f.starting + f.max - all);
                                        provide_facts g = f;
                                        g.starting += p.start;
                                        g.up -= p.stop;
                                        g.idle -= p.stop;
                                        g.leaving += p.stop;
                                        provide_plan q = provide_decide(&g);
                                        rest &= q.start == 0 && q.stop == 0;
                                    }
    ok(n > 90000, "%zu worlds", n);
    ok(bounds, "never more than max, none while held, none stopped that works");
    ok(kept, "min stay");
    ok(enough, "as many as wait, as far as there is room");
    ok(rest, "done once, there is nothing more to do");
}

int main(void)
{
    everywhere();
    provide_facts f = {.waiting = 8, .slots = 1, .max = 8};
    ok(provide_decide(&f).start == 8, "0 to 8");
    f = (provide_facts){.waiting = 8, .slots = 3, .starting = 1, .max = 8};
    ok(provide_decide(&f).start == 2, "slots count, and what is on its way");
    f = (provide_facts){.up = 8, .idle = 8, .slots = 1, .max = 8};
    ok(provide_decide(&f).stop == 8, "and back");
    f.waiting = 1;
    ok(provide_decide(&f).stop == 0, "not while something waits");
    f = (provide_facts){.slots = 1, .min = 2, .max = 8};
    ok(provide_decide(&f).start == 2, "min without any need");
    f = (provide_facts){.waiting = 9, .slots = 1, .leaving = 8, .max = 8};
    ok(provide_decide(&f).start == 0, "those that leave still take their place");
    return tap_done();
}
