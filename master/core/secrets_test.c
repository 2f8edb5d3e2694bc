/* Which secrets a build gets, and where their values are not. */
#include "master/core/secrets.h"
#include "master/core/fixture.h"

#include "tests/tap.h"

#define WITH(secrets, branches)                                                                    \
    "projects: [{name: p, repository: /r.git, branches: " branches ", tags: [\"v*\"]}]\n" secrets  \
    "builders:\n"                                                                                  \
    "  - {name: plain, project: p, steps: [{run: x}]}\n"
#define SECRETS "secrets: {one: {env: PAWL_TEST_ONE}, two: {env: PAWL_TEST_TWO}}\n"
#define SHIP                                                                                       \
    "  - {name: ship, project: p, env: {A: \"${secret:two}\"}, steps: [{run: x, env: {B: "         \
    "\"${secret:one}\"}}]}\n"
static const char conf[] = WITH(SECRETS, "[\"*\"]") SHIP;

static bool is(const pw_list *l, size_t i, const char *name, const char *value)
{
    const msg_secret *s = l->v;
    return i < l->n && strcmp(s[i].name, name) == 0 && s[i].value.n == strlen(value) &&
           memcmp(s[i].value.p, value, s[i].value.n) == 0;
}

static void decision(void)
{
    PW_AUTO(config_unrefp) config *c = world_config(conf);
    char one[] = "one", two[] = "two", gone[] = "gone", *both[] = {two, one}, *lost[] = {one, gone};
    pw_list l = {0};
    pw_err err = {0};
    if (!c)
        return;
    secrets_facts f = {.trusted = true, .conf = c, .names = {both, 2}};
    ok(secrets_for(&f, &l, &err) == 0 && l.n == 2 && is(&l, 0, "two", "second-value") &&
           is(&l, 1, "one", "first-value"),
       "a trusted build gets what it names");
    secrets_clear(&l);
    f.names.n = 0;
    ok(secrets_for(&f, &l, &err) == 0 && l.n == 0, "and nothing else");
    f.trusted = false;
    ok(secrets_for(&f, &l, &err) == 0 && l.n == 0, "an untrusted one that needs none runs");
    f.names.n = 2;
    ok(secrets_for(&f, &l, &err) == PW_EDENIED && l.n == 0 && strstr(err.text, "\"two\"") &&
           strstr(err.text, "gets no secrets") && !strstr(err.text, "value"),
       "one that needs some gets none, and is told why");
    f = (secrets_facts){.trusted = true, .conf = c, .names = {lost, 2}};
    ok(secrets_for(&f, &l, &err) == PW_EINVAL && l.n == 0 && strstr(err.text, "\"gone\""),
       "one that is not there any more is refused whole");
}

static void trust(void)
{
    PW_AUTO(config_unrefp)
    config *c = world_config(WITH(SECRETS, "[master, \"db-*\"]"));
    if (!c)
        return;
    trust_facts f = {.project = c->projects, .branch = "master"};
    ok(secrets_trusted(&f), "a configured branch");
    f.branch = "db-devel";
    ok(secrets_trusted(&f), "by glob");
    f.branch = "v1.0";
    ok(secrets_trusted(&f), "a configured tag");
    f.branch = "feature/x";
    ok(!secrets_trusted(&f), "another branch");
    f = (trust_facts){.project = c->projects, .branch = "master", .foreign = true};
    ok(!secrets_trusted(&f), "what comes from elsewhere, for whichever branch");
    f.ours = true;
    ok(!secrets_trusted(&f), "also when more is said of it");
    f = (trust_facts){.project = c->projects, .branch = "pull/7", .ours = true};
    ok(secrets_trusted(&f), "a proposal of what is the tip of a configured branch");
    f = (trust_facts){.project = c->projects, .branch = "x", .foreign = true, .released = true};
    ok(secrets_trusted(&f), "whatever a person has released");
}

/* What the newest offer brought. */
static pw_list offered;
static void keep_secrets(void *self, const core_effect *e)
{
    (void)self;
    if (e->kind != CORE_OFFER)
        return;
    secrets_clear(&offered);
    job_secrets from = {.secrets = e->secrets}, to = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_SECRETS_MAX);
    if (pw_schema_encode(&job_secrets_schema, &from, &b, NULL) == 0 &&
        pw_schema_decode(&job_secrets_schema, b.p, b.len, &to, NULL) == 0)
        offered = to.secrets;
}

static bool job_has(const world *w, const char *text)
{
    const seen *o = last(w, CORE_OFFER);
    return o->job && memmem(o->job, o->job_len, text, strlen(text));
}

static void offers(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    w->ops.effect = keep_secrets;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    (void)force(w, "ship");
    ok(count(w, CORE_OFFER) == 1 && offered.n == 2 && is(&offered, 0, "two", "second-value") &&
           is(&offered, 1, "one", "first-value"),
       "an offer brings the values");
    ok(job_has(w, "${secret:one}") && !job_has(w, "first-value") && !job_has(w, "second-value"),
       "the job only names them");
    PW_AUTO(pw_buf_clearp) pw_buf row = PW_BUF(PW_JOB_MAX);
    ok(w->st && store_job_get(w->st, 2, &row, NULL) == 0 && row.len &&
           !memmem(row.p, row.len, "first-value", 11),
       "and so does its row");
    (void)setenv("PAWL_TEST_ONE", "rotated-value", 1);
    world_restart(w, conf);
    secrets_clear(&offered);
    up(w, id, 7, 1);
    if (att(w, 1))
        core_att_reoffer(w->core, att(w, 1));
    (void)world_go(w);
    ok(count(w, CORE_OFFER) == 2 && is(&offered, 1, "one", "rotated-value"),
       "offered again it has them as they are now");
    start(w, 1);
    end(w, 1, PW_EXCEPTION);
    ok(count(w, CORE_OFFER) == 3 && last(w, CORE_OFFER)->attempt == 2 && offered.n == 2,
       "so has the next attempt");
    world_restart(w, WITH("", "[\"*\"]") "  - {name: ship, project: p, steps: [{run: x}]}\n");
    up(w, id, 7, 1);
    if (att(w, 2))
        core_att_reoffer(w->core, att(w, 2));
    (void)world_go(w);
    ok(done(w, 2, PW_EXCEPTION) &&
           strstr(build(w, 2).reason, "not in the configuration any more") &&
           count(w, CORE_OFFER) == 3 && !att(w, 2) && figures(w).busy == 0,
       "without its secret it ends, and its slot is free: %s", build(w, 2).reason);
    (void)setenv("PAWL_TEST_ONE", "first-value", 1);
    secrets_clear(&offered);
}

/* As up(), with other facts. */
static void up_as(world *w, uint64_t id, const char *facts)
{
    core_hello h = {.slots = 4, .tags = "linux fast", .facts = facts, .version = "1"};
    bool rebooted = false;
    fill(h.spool, 16, 7);
    fill(h.boot, 16, 1);
    core_worker_up(w->core, id, &h, &rebooted);
    (void)world_go(w);
}

/* With what a checkout logs in. */
static void credentials(void)
{
    PW_AUTO(world_freep)
    world *w =
        world_new("projects: [{name: p, repository: \"http://h/r.git\", branches: [master],\n"
                  "  credentials: {user: bot, password: two}}]\n" SECRETS "builders:\n"
                  "  - {name: ship, project: p, env: {A: \"${secret:two}\"}, steps: [checkout: "
                  "{}]}\n"
                  "  - {name: plain, project: p, steps: [checkout: {}]}\n"
                  "  - {name: none, project: p, steps: [{run: x}]}\n");
    say other = {.builder = "plain",
                 .branch = "mine",
                 .revision = "1111111111111111111111111111111111111111",
                 .reason = "r"};
    if (!w)
        return;
    w->ops.effect = keep_secrets;
    look(w, 0, "master", 1);
    up_as(w, worker(w, "w1", 4), "isolation=none,bwrap\nuntrusted=true");
    (void)force(w, "plain");
    ok(offered.n == 1 && is(&offered, 0, "two", "second-value") && job_has(w, "git_password") &&
           job_has(w, "bot") && !job_has(w, "second-value"),
       "a checkout of a trusted build gets the project's credentials");
    secrets_clear(&offered);
    (void)force(w, "ship");
    ok(offered.n == 1 && is(&offered, 0, "two", "second-value"),
       "a secret in two places is sent once");
    secrets_clear(&offered);
    (void)force(w, "none");
    ok(offered.n == 0 && !job_has(w, "git_password"), "what checks nothing out gets none");
    ok(ask(w, CMD_FORCE, other) == 202 && count(w, CORE_OFFER) == 4 && offered.n == 0 &&
           !job_has(w, "git_password"),
       "what is not trusted runs without");
    secrets_clear(&offered);
}

static void untrusted(void)
{
    PW_AUTO(world_freep) world *w = world_new(WITH(SECRETS, "[master]") SHIP);
    if (!w)
        return;
    w->ops.effect = keep_secrets;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 2);
    say s = {.builder = "ship",
             .branch = "mine",
             .revision = "1111111111111111111111111111111111111111",
             .reason = "r"};
    ok(ask(w, CMD_FORCE, s) == 202, "forced for a branch that is not configured");
    ok(ask(w, CMD_WHY, (say){.id = 1}) == 200 && strstr(w->body, "untrusted: true"),
       "it waits for a worker that takes such builds: %s", w->body);
    up_as(w, id, "isolation=none\nuntrusted=true");
    ok(ask(w, CMD_WHY, (say){.id = 1}) == 200 &&
           strstr(w->body, "no worker offers isolation \\\"bwrap\\\""),
       "and can keep them apart: %s", w->body);
    up_as(w, id, "isolation=none,bwrap\nuntrusted=true");
    ok(done(w, 2, PW_EXCEPTION) && strstr(build(w, 2).reason, "gets no secrets") &&
           count(w, CORE_OFFER) == 0,
       "it ends with the reason: %s", build(w, 2).reason);
    s.builder = "plain";
    ok(ask(w, CMD_FORCE, s) == 202 && count(w, CORE_OFFER) == 1 && offered.n == 0,
       "what needs none is built");
    job_spec spec = {0};
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(PW_JOB_MAX);
    ok(store_job_get(w->st, 4, &job, NULL) == 0 &&
           pw_schema_decode(&job_spec_schema, job.p, job.len, &spec, NULL) == 0 && spec.untrusted &&
           spec.isolation && strcmp(spec.isolation, "bwrap") == 0,
       "under bwrap, though its builder asks for nothing");
    pw_schema_clear(&job_spec_schema, &spec);
    secrets_clear(&offered);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    (void)setenv("PAWL_TEST_ONE", "first-value", 1);
    (void)setenv("PAWL_TEST_TWO", "second-value", 1);
    decision();
    trust();
    offers();
    credentials();
    untrusted();
    return tap_done();
}
