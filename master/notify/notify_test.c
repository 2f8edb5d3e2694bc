/* Who hears of what, how it reads, and what is done after a try. */
#include "master/notify/notify.h"

#include <inttypes.h>
#include <string.h>

#include "tests/tap.h"

#define BIT(e) (1u << CONFIG_EV_##e)
#define N PW_NO_RESULT
#define S PW_SUCCESS
#define W PW_WARNINGS
#define F PW_FAILURE
#define E PW_EXCEPTION

static void events(void)
{
    static const struct {
        pw_result result, previous;
        unsigned want;
    } rows[] = {
        {S, N, BIT(BUILD)},
        {S, S, BIT(BUILD)},
        {S, W, BIT(BUILD) | BIT(CHANGE)},
        {S, F, BIT(BUILD) | BIT(CHANGE) | BIT(FIXED)},
        {W, N, BIT(BUILD)},
        {W, S, BIT(BUILD) | BIT(CHANGE)},
        {W, F, BIT(BUILD) | BIT(CHANGE) | BIT(FIXED)},
        {F, N, BIT(BUILD) | BIT(FAILURE)},
        {F, F, BIT(BUILD) | BIT(FAILURE)},
        {F, S, BIT(BUILD) | BIT(FAILURE) | BIT(CHANGE)},
        {E, S, BIT(BUILD) | BIT(FAILURE)}, /* says nothing of the code */
        {E, N, BIT(BUILD) | BIT(FAILURE)},
        {PW_CANCELLED, F, BIT(BUILD)},
        {PW_SKIPPED, F, BIT(BUILD)},
        {PW_RETRY, S, BIT(BUILD)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        notify_fact f = {
            .what = NOTIFY_BUILD, .result = rows[i].result, .previous = rows[i].previous};
        ok(notify_events(&f) == rows[i].want, "%s after %s", pw_result_name(f.result),
           pw_result_name(f.previous));
    }
    ok(notify_events(&(notify_fact){.what = NOTIFY_PROMOTION}) == BIT(PROMOTION), "a promotion");
    ok(notify_events(&(notify_fact){.what = NOTIFY_WORKER, .missing = true}) == BIT(WORKER_MISSING),
       "a worker is missing");
    ok(notify_events(&(notify_fact){.what = NOTIFY_WORKER}) == BIT(WORKER_BACK), "it is back");
}

static void wants(void)
{
    static char master[] = "master", v[] = "v*";
    char *globs[] = {master, v};
    size_t projects[] = {1, 2}, builders[] = {5};
    glob_list *g = glob_parse(GLOB_BRANCH, globs, 2, NULL);
    const struct {
        const char *name;
        config_notify t;
        notify_fact f;
        int want; /* -1: it does not hear of it */
    } rows[] = {
        {"every build", {.events = BIT(BUILD)}, {.result = S, .previous = N}, CONFIG_EV_BUILD},
        {"green is no failure", {.events = BIT(FAILURE)}, {.result = S, .previous = N}, -1},
        {"the more telling one",
         {.events = BIT(BUILD) | BIT(CHANGE) | BIT(FIXED) | BIT(FAILURE)},
         {.result = S, .previous = F},
         CONFIG_EV_FIXED},
        {"a failure is more than a change",
         {.events = BIT(CHANGE) | BIT(FAILURE)},
         {.result = F, .previous = S},
         CONFIG_EV_FAILURE},
        {"a change, where that was asked for",
         {.events = BIT(CHANGE) | BIT(FIXED)},
         {.result = F, .previous = S},
         CONFIG_EV_CHANGE},
        {"its project",
         {.events = BIT(BUILD), .projects = projects, .n_projects = 2},
         {.result = S, .project = 2},
         CONFIG_EV_BUILD},
        {"another project",
         {.events = BIT(BUILD), .projects = projects, .n_projects = 2},
         {.result = S, .project = 0},
         -1},
        {"a project that is gone",
         {.events = BIT(BUILD), .projects = projects, .n_projects = 2},
         {.result = S, .project = CONFIG_GONE},
         -1},
        {"its builder",
         {.events = BIT(BUILD), .builders = builders, .n_builders = 1},
         {.result = S, .builder = 5},
         CONFIG_EV_BUILD},
        {"another builder",
         {.events = BIT(BUILD), .builders = builders, .n_builders = 1},
         {.result = S, .builder = 4},
         -1},
        {"its branch",
         {.events = BIT(BUILD), .branches = g},
         {.result = S, .branch = "v2"},
         CONFIG_EV_BUILD},
        {"another branch", {.events = BIT(BUILD), .branches = g}, {.result = S, .branch = "x"}, -1},
        {"a promotion asks for no builder",
         {.events = BIT(PROMOTION), .builders = builders, .n_builders = 1, .branches = g},
         {.what = NOTIFY_PROMOTION, .branch = "master"},
         CONFIG_EV_PROMOTION},
        {"a promotion to another branch",
         {.events = BIT(PROMOTION), .branches = g},
         {.what = NOTIFY_PROMOTION, .branch = "x"},
         -1},
        {"a worker has no project and no branch",
         {.events = BIT(WORKER_MISSING), .projects = projects, .n_projects = 2, .branches = g},
         {.what = NOTIFY_WORKER, .missing = true},
         CONFIG_EV_WORKER_MISSING},
        {"back was not asked for", {.events = BIT(WORKER_MISSING)}, {.what = NOTIFY_WORKER}, -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        config_event e = CONFIG_EVENTS;
        bool yes = notify_wants(&rows[i].t, &rows[i].f, &e);
        ok(rows[i].want < 0 ? !yes : yes && (int)e == rows[i].want, "%s", rows[i].name);
    }
    glob_free(g);
}

static void is_body(const notify_fact *f, config_event e, const char *key, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    int r = notify_body(f, e, key, &b);
    bool is = r == 0 && strcmp(pw_buf_str(&b), want) == 0;
    ok(is, "the message of %s", key);
    if (!is)
        printf("# %d %s\n", r, pw_buf_str(&b));
    ok(r < 0 || strcmp(notify_body_event(pw_buf_str(&b)), config_event_names[e]) == 0,
       "its event is read back");
}

static void bodies(void)
{
    notify_fact f = {.what = NOTIFY_BUILD,
                     .site = "ci",
                     .url = "http://h",
                     .at = 1767225600000,
                     .id = 17,
                     .project_name = "p",
                     .builder_name = "b",
                     .branch = "a\"b",
                     .revision = "abcd",
                     .result = F,
                     .previous = S,
                     .reason = "step \"test\" failed",
                     .started = 1767225590000,
                     .finished = 1767225600000};
    is_body(
        &f, CONFIG_EV_FAILURE, "build/17/webhook",
        "{\"event\":\"failure\",\"key\":\"build/17/webhook\",\"at\":\"2026-01-01T00:00:00.000Z\","
        "\"site\":\"ci\",\"build\":{\"id\":17,\"project\":\"p\",\"builder\":\"b\",\"branch\":"
        "\"a\\\"b\",\"revision\":\"abcd\",\"result\":\"failure\",\"previous\":\"success\","
        "\"reason\":\"step \\\"test\\\" failed\",\"started\":\"2025-12-31T23:59:50.000Z\","
        "\"finished\":\"2026-01-01T00:00:00.000Z\",\"url\":\"http://h/builds/"
        "17\",\"author\":null,\"break\":null}}");
    f = (notify_fact){.what = NOTIFY_BUILD, .site = "ci", .id = 1, .result = S, .previous = N};
    is_body(&f, CONFIG_EV_BUILD, "k",
            "{\"event\":\"build\",\"key\":\"k\",\"at\":null,\"site\":\"ci\",\"build\":{\"id\":1,"
            "\"project\":null,\"builder\":null,\"branch\":null,\"revision\":null,\"result\":"
            "\"success\",\"previous\":null,\"reason\":null,\"started\":null,\"finished\":null,"
            "\"url\":null,\"author\":null,\"break\":null}}");
    f = (notify_fact){.what = NOTIFY_PROMOTION,
                      .site = "ci",
                      .id = 3,
                      .edge = "stable",
                      .project_name = "p",
                      .from = "master",
                      .branch = "stable",
                      .revision = "ab",
                      .state = "done",
                      .reason = "moved"};
    is_body(
        &f, CONFIG_EV_PROMOTION, "promotion/3/x",
        "{\"event\":\"promotion\",\"key\":\"promotion/3/x\",\"at\":null,\"site\":\"ci\","
        "\"promotion\":{\"id\":3,\"edge\":\"stable\",\"project\":\"p\",\"from\":\"master\",\"to\":"
        "\"stable\",\"old\":null,\"revision\":\"ab\",\"state\":\"done\",\"reason\":\"moved\"}}");
    f = (notify_fact){.what = NOTIFY_WORKER,
                      .site = "ci",
                      .worker = "w1",
                      .missing = true,
                      .since = 1767225600000};
    is_body(&f, CONFIG_EV_WORKER_MISSING, "k",
            "{\"event\":\"worker_missing\",\"key\":\"k\",\"at\":null,\"site\":\"ci\",\"worker\":{"
            "\"name\":\"w1\",\"state\":\"missing\",\"since\":\"2026-01-01T00:00:00.000Z\"}}");
    ok(strcmp(notify_body_event("{\"event\":\"buildx\"}"), "") == 0 &&
           strcmp(notify_body_event("x"), "") == 0 && strcmp(notify_body_event(""), "") == 0,
       "no event of ours");
}

static void after(void)
{
    enum { DAY = NOTIFY_GIVE_UP_MS };
    static const pw_usec sec = 1000000;
    static const struct {
        const char *name;
        notify_try t;
        notify_then want;
        pw_usec wait;
    } rows[] = {
        {"taken", {.answer = NOTIFY_TAKEN, .tries = 1}, NOTIFY_DONE, 0},
        {"taken, late", {.answer = NOTIFY_TAKEN, .tries = 9, .age = DAY}, NOTIFY_DONE, 0},
        {"taken, at most once", {NOTIFY_TAKEN, true, 1, 0, 0, 0}, NOTIFY_DONE, 0},
        {"refused", {.answer = NOTIFY_REFUSED, .tries = 1}, NOTIFY_GIVE_UP, 0},
        {"first failure", {.answer = NOTIFY_LATER, .tries = 1}, NOTIFY_WAIT, 1 * sec},
        {"second", {.answer = NOTIFY_LATER, .tries = 2}, NOTIFY_WAIT, 2 * sec},
        {"tenth", {.answer = NOTIFY_SILENT, .tries = 10}, NOTIFY_WAIT, 512 * sec},
        {"eleventh", {.answer = NOTIFY_UNSENT, .tries = 11}, NOTIFY_WAIT, 600 * sec},
        {"millionth", {.answer = NOTIFY_UNSENT, .tries = 1000000}, NOTIFY_WAIT, 600 * sec},
        {"jitter",
         {.answer = NOTIFY_LATER, .tries = 3, .jitter = 500},
         NOTIFY_WAIT,
         4 * sec - sec / 2},
        {"most jitter",
         {.answer = NOTIFY_LATER, .tries = 3, .jitter = 999},
         NOTIFY_WAIT,
         4 * sec - sec * 999 / 1000},
        {"the target asks for more",
         {.answer = NOTIFY_LATER, .tries = 1, .retry_after = 90 * sec},
         NOTIFY_WAIT,
         90 * sec},
        {"the target asks for less",
         {.answer = NOTIFY_LATER, .tries = 4, .retry_after = sec},
         NOTIFY_WAIT,
         8 * sec},
        {"the target asks for a year",
         {.answer = NOTIFY_LATER, .tries = 1, .retry_after = 365 * 86400 * sec},
         NOTIFY_WAIT,
         86400 * sec},
        {"almost a day",
         {.answer = NOTIFY_LATER, .tries = 9, .age = DAY - 1},
         NOTIFY_WAIT,
         256 * sec},
        {"a day", {.answer = NOTIFY_LATER, .tries = 9, .age = DAY}, NOTIFY_GIVE_UP, 0},
        {"a day unsent", {.answer = NOTIFY_UNSENT, .tries = 9, .age = DAY}, NOTIFY_GIVE_UP, 0},
        {"cut short", {.answer = NOTIFY_CUT_SHORT, .tries = 5}, NOTIFY_WAIT, 0},
        {"at most once: cut short", {NOTIFY_CUT_SHORT, true, 1, 0, 0, 0}, NOTIFY_GIVE_UP, 0},
        {"at most once: silent", {NOTIFY_SILENT, true, 1, 0, 0, 0}, NOTIFY_GIVE_UP, 0},
        {"at most once: an answer is an end",
         {NOTIFY_LATER, true, 1, 0, sec, 0},
         NOTIFY_GIVE_UP,
         0},
        {"at most once: never left", {NOTIFY_UNSENT, true, 2, 0, 0, 0}, NOTIFY_WAIT, 2 * sec},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pw_usec wait = 0;
        notify_then then = notify_after(&rows[i].t, &wait);
        ok(then == rows[i].want && wait == rows[i].wait, "%s: %d after %" PRId64 " us",
           rows[i].name, (int)then, wait);
    }
    ok(notify_troubled(NOTIFY_LATER) && notify_troubled(NOTIFY_SILENT) &&
           notify_troubled(NOTIFY_UNSENT) && !notify_troubled(NOTIFY_TAKEN) &&
           !notify_troubled(NOTIFY_REFUSED) && !notify_troubled(NOTIFY_CUT_SHORT),
       "trouble is the target's only");
}

int main(void)
{
    events();
    wants();
    bodies();
    after();
    return tap_done();
}
