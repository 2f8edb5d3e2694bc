/* Output cannot be kept: nothing new is begun, and whoever asks is told why. */
#include "master/core/fixture.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, collapse: false, steps: [{run: "
                           "make}]}]\n"
                           "schedulers: [{name: push, kind: branch, project: p}]\n";

static void full(world *w, const char *text)
{
    if (w->core)
        core_full(w->core, text);
    (void)world_go(w);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return tap_done();
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 2);
    uint64_t runs = force(w, "unit");
    start(w, 1);
    full(w, "no space left");
    say s = {.builder = "unit", .branch = "master", .reason = "r", .idem = "k"};
    ok(ask(w, CMD_FORCE, s) == 503 && strstr(w->body, "unavailable") &&
           strstr(w->body, "no space left"),
       "nobody may ask for a build");
    ok(ask(w, CMD_HEALTH, (say){0}) == 503 && strstr(w->body, "\"log store\",\"ok\":false"),
       "health says so");
    push(w, 0, "master", 1, 2);
    ok(figures(w).waiting == 1 && count(w, CORE_OFFER) == 1, "a push waits");
    uint64_t waits = runs + 2;
    ok(ask(w, CMD_WHY, (say){.id = waits}) == 200 && strstr(w->body, "begins no builds"),
       "why says so");
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = waits, .reason = "x"}) == 202, "it can be cancelled");
    end(w, 1, PW_SUCCESS);
    ok(request(w, runs).state == REQ_DONE, "what runs ends");
    push(w, 0, "master", 2, 3);
    ok(count(w, CORE_OFFER) == 1, "and nothing takes its place");
    full(w, NULL);
    ok(count(w, CORE_OFFER) == 2, "until there is room");
    ok(ask(w, CMD_FORCE, s) == 202 && ask(w, CMD_HEALTH, (say){0}) == 200,
       "the same key may ask again");
    return tap_done();
}
