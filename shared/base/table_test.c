#include "shared/base/table.h"

#include "tests/tap.h"

static int values[3000];

static void test_basics(void)
{
    PW_AUTO(pw_table_freep) pw_table *t = pw_table_new(NULL);
    size_t pos = 0;

    ok(t != NULL, "made");
    if (!t)
        return;
    ok(pw_table_get(t, 0) == NULL && pw_table_del(t, 1) == NULL, "an empty table has nothing");
    ok(pw_table_next(t, &pos) == NULL && pw_table_count(t) == 0, "and nothing to walk");
    ok(pw_table_put(t, 0, &values[0], NULL) == 0 && pw_table_get(t, 0) == &values[0], "id 0");
    ok(pw_table_put(t, UINT64_MAX, &values[1], NULL) == 0, "the largest id");
    ok(pw_table_put(t, 0, &values[2], NULL) == 0 && pw_table_count(t) == 2, "replaced");
    pos = 0;
    ok(pw_table_next(t, &pos) == &values[2] && pw_table_next(t, &pos) == &values[1],
       "a replaced one keeps its place");
    ok(pw_table_put(t, 5, NULL, NULL) == PW_EINVAL, "no NULL");
    ok(pw_table_del(t, 0) == &values[2] && pw_table_get(t, 0) == NULL, "deleted");
    ok(pw_table_del(t, 0) == NULL && pw_table_count(t) == 1, "only once");
    pos = 0;
    ok(pw_table_next(t, &pos) == &values[1] && !pw_table_next(t, &pos), "one is left");
    ok(pw_table_free(NULL) == NULL, "free of nothing");
}

/* Against a plain array, with ids that share their low bits. */
static void test_many(void)
{
    PW_AUTO(pw_table_freep) pw_table *t = pw_table_new(NULL);
    static bool in[3000];
    size_t count = 0, pos = 0;
    int wrong = 0, last = -1, *v;
    uint32_t seed = 1;

    for (int round = 0; t && round < 40000; round++) {
        size_t i;
        uint64_t id;
        seed = seed * 1664525 + 1013904223;
        i = (seed >> 8) % 3000;
        id = (uint64_t)i << 40;
        if (pw_table_get(t, id) != (in[i] ? &values[i] : NULL))
            wrong++;
        if (in[i]) {
            wrong += pw_table_del(t, id) != &values[i];
            in[i] = false;
            count--;
        } else if (pw_table_put(t, id, &values[i], NULL) == 0) {
            values[i] = round;
            in[i] = true;
            count++;
        }
        wrong += pw_table_count(t) != count;
    }
    ok(wrong == 0, "agrees with an array");
    while (t && (v = pw_table_next(t, &pos))) {
        wrong += *v <= last;
        last = *v;
        count--;
    }
    ok(wrong == 0 && count == 0, "is walked in order of insertion, each once");
}

static void test_delete_while_walking(void)
{
    PW_AUTO(pw_table_freep) pw_table *t = pw_table_new(NULL);
    size_t pos = 0;
    int seen = 0, sum = 0, *v;

    for (uint64_t i = 0; t && i < 100; i++) {
        values[i] = (int)i;
        if (pw_table_put(t, i, &values[i], NULL) < 0)
            return;
    }
    while (t && (v = pw_table_next(t, &pos))) {
        seen++;
        sum += *v;
        (void)pw_table_del(t, (uint64_t)*v);                           /* itself */
        (void)pw_table_del(t, *v % 10 == 0 ? (uint64_t)*v + 5 : 1000); /* and one that comes */
    }
    ok(seen == 90 && sum == 4950 - 500 && pw_table_count(t) == 0, "deleting meanwhile is fine");
}

static void test_queue(void)
{
    PW_AUTO(pw_table_freep) pw_table *t = pw_table_new(NULL);
    int wrong = 0;

    /* first in, first out, for long: the deleted ones must not pile up */
    for (uint64_t i = 0; t && i < 100000; i++) {
        size_t pos = 0;
        if (pw_table_put(t, i, &values[i % 3000], NULL) < 0)
            return;
        if (i < 10)
            continue;
        wrong += pw_table_next(t, &pos) != &values[(i - 10) % 3000];
        wrong += pw_table_del(t, i - 10) != &values[(i - 10) % 3000];
    }
    ok(wrong == 0 && (!t || pw_table_count(t) == 10), "used as a queue");
}

int main(void)
{
    test_basics();
    test_many();
    test_delete_while_walking();
    test_queue();
    return tap_done();
}
