/* The outbox over the wire: who may see it, filters, pages, what people can say, figures. */
#include "master/http/fixture.h"

#include "master/http/impl.h"
#include "master/store/outbox.h"

static const char root[] = "Authorization: Bearer t-admin\r\n";

static bool rows(world *w)
{
    uint64_t id[4] = {0};
    static const char *const keys[] = {"build/1/a", "build/1/b", "build/2/a", "build/3/a"};
    static const char *const targets[] = {"a", "b", "a", "a"};
    bool good = store_begin(w->st, NULL) == 0;
    for (size_t i = 0; i < 4 && good; i++)
        good = store_message_add(w->st, keys[i], targets[i], "{\"secret\":1}", 1700000000000,
                                 &id[i], NULL) == 0;
    return good && store_message_end(w->st, id[0], MSG_SENT, NULL, 1700000001000, NULL) == 0 &&
           store_message_end(w->st, id[1], MSG_GIVEN_UP, "HTTP 404", 1700000002000, NULL) == 0 &&
           store_message_send(w->st, id[2], NULL) == 0 && store_commit(w->st, NULL) == 0;
}

static void lists(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(call(w, "GET", "/api/v1/outbox", root, NULL, &r) == 200 &&
           has(&r,
               "{\"items\":[{\"id\":4,\"key\":\"build/3/a\",\"target\":\"a\",\"state\":\"waiting\","
               "\"tries\":0,\"created\":\"2023-11-14T22:13:20.000Z\",\"due\":"
               "\"2023-11-14T22:13:20.000Z\",\"finished\":null,\"reason\":null}") &&
           has(&r, "\"state\":\"under_way\",\"tries\":1") &&
           has(&r, "\"state\":\"given_up\",\"tries\":0,\"created\":\"2023-11-14T22:13:20.000Z\","
                   "\"due\":"
                   "null,\"finished\":\"2023-11-14T22:13:22.000Z\",\"reason\":\"HTTP 404\"") &&
           !has(&r, "secret"),
       "all of them, newest first, without their bodies");
    ok(call(w, "GET", "/api/v1/outbox?state=sent", root, NULL, &r) == 200 && has(&r, "build/1/a") &&
           !has(&r, "build/1/b") && !has(&r, "build/2/a"),
       "by state");
    ok(call(w, "GET", "/api/v1/outbox?target=b", root, NULL, &r) == 200 && has(&r, "build/1/b") &&
           !has(&r, "build/1/a"),
       "by target");
    ok(call(w, "GET", "/api/v1/outbox?state=gone", root, NULL, &r) == 400, "no such state");
    ok(call(w, "GET", "/api/v1/outbox?limit=1", root, NULL, &r) == 200 && has(&r, "build/3/a") &&
           !has(&r, "build/2/a") && !has(&r, "\"next\":null"),
       "by pages");
    ok(call(w, "GET", "/api/v1/outbox", NULL, NULL, &r) == 401, "not without a token");
}

static void says(world *w)
{
    static const char json[] =
        "Authorization: Bearer t-admin\r\nContent-Type: application/json\r\n";
    PW_AUTO(reply_clear) reply r = {0};
    char text[400];
    core_cmd_kind kind;
    uint64_t id;
    (void)call(w, "POST", "/api/v1/outbox/7/retry", json, "{}", &r);
    world_saw(w, text, &kind, &id);
    ok(kind == CMD_OUTBOX_RETRY && id == 7, "retry");
    (void)call(w, "POST", "/api/v1/outbox/8/drop", json, "{\"reason\":\"no use\"}", &r);
    world_saw(w, text, &kind, &id);
    ok(kind == CMD_OUTBOX_DROP && id == 8, "drop");
    ok(call(w, "POST", "/api/v1/outbox/8/burn", json, "{}", &r) == 404, "nothing else");
    ok(call(w, "POST", "/api/v1/outbox/x/drop", json, "{}", &r) >= 400, "an id is a number");
    ok(call(w, "POST", "/api/v1/outbox/8/drop", NULL, "{}", &r) == 401, "not without a token");
}

static void figures(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(call(w, "GET", "/metrics", root, NULL, &r) == 200 && has(&r, "pawl_outbox_waiting 5\n") &&
           has(&r, "pawl_outbox_sent_total{target=\"a\"} 3\n") &&
           has(&r, "pawl_outbox_given_up_total{target=\"b\"} 2\n"),
       "figures");
}

int main(void)
{
    world w = {0};
    web_targets *targets = calloc(1, sizeof(*targets) + 2 * sizeof(targets->v[0]));
    if (!world_open(&w, false)) {
        ok(false, "a master");
        world_close(&w);
        web_targets_free(targets);
        return tap_done();
    }
    atomic_store(&w.gauges.outbox_waiting, 5);
    for (; targets && targets->n < 2; targets->n++)
        targets->v[targets->n].name = strdup(targets->n ? "b" : "a");
    if (targets) {
        atomic_store(&targets->v[0].sent, 3);
        atomic_store(&targets->v[1].given_up, 2);
    }
    atomic_store(&w.gauges.targets, targets);
    ok(rows(&w), "rows");
    lists(&w);
    says(&w);
    figures(&w);
    world_close(&w);
    web_targets_free(targets);
    return tap_done();
}
