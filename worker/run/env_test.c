#include "worker/run/env.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static msg_pair props[] = {{(char *)"cc", (char *)"gcc"},
                           {(char *)"empty", (char *)""},
                           {(char *)"evil", (char *)"$(reboot) ${cc}"},
                           {(char *)"needs.fast.name", (char *)"dotted"},
                           {(char *)"branch", (char *)"forged"}};
static const job_spec job = {
    .build = 12,
    .attempt = 900,
    .try_no = 2,
    .branch = (char *)"main",
    .revision = (char *)"abc",
    .builder = (char *)"fast",
    .project = (char *)"pawl",
    .props = {.v = props, .n = 5},
};

static bool becomes(const char *text, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    return env_subst(&job, text, &b, NULL) == 0 && strcmp(pw_buf_str(&b), want) == 0;
}

static int fails(const char *text, const char *why)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    pw_err err = {0};
    int rc = env_subst(&job, text, &b, &err);
    return strstr(err.text, why) ? rc : 0;
}

static void test_subst(void)
{
    ok(becomes("", "") && becomes("plain $cc $ $$ {cc} }", "plain $cc $ $$ {cc} }"),
       "text without ${ stays");
    ok(becomes("${cc}", "gcc") && becomes("a${cc}b${cc}", "agccbgcc"), "a name is replaced");
    ok(becomes("${needs.fast.name}", "dotted"), "a name with dots");
    ok(becomes("${evil}", "$(reboot) ${cc}"), "a value is not read again");
    ok(becomes("${cc:-x}", "gcc") && becomes("${nope:-x}", "x") && becomes("${empty:-x}", "x"),
       "default");
    ok(becomes("${cc:+x}", "x") && becomes("${nope:+x}", "") && becomes("${empty:+x}", ""),
       "text if set");
    ok(becomes("${nope:-${cc}}", "gcc") && becomes("${nope:-a${cc:+${branch}}b}c", "amainbc"),
       "nested");
    ok(becomes("${nope:-}", "") && becomes("${empty}", ""), "empty is fine when it is said");
    ok(becomes("${branch} ${revision} ${builder} ${project}", "main abc fast pawl"),
       "what Pawl sets, no property hides it");
    ok(becomes("${build_id}/${attempt}", "12/2"), "numbers");
    ok(fails("${nope}", "unknown property \"nope\"") == PW_ENOTFOUND, "unknown name");
    ok(fails("${}", "unknown property \"\"") == PW_ENOTFOUND, "no name");
    ok(fails("${secret:token}", "unknown secret \"token\"") == PW_ENOTFOUND,
       "secrets are none of the properties");
    ok(fails("${cc", "without") == PW_EINVAL && fails("${a:-${b}", "without") == PW_EINVAL,
       "no end");
    ok(becomes("${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-deep}}}}}}}}", "deep"), "8 levels");
    ok(fails("${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-${a:-deep}}}}}}}}}", "deeper") == PW_ELIMIT,
       "9 levels");
    char big[1002];
    memset(big, 'x', 1001);
    big[1000] = '\0';
    ok(becomes(big, big), "as long as the limit");
    big[1000] = 'x';
    big[1001] = '\0';
    ok(fails(big, "too long") == PW_ELIMIT, "over the limit");
}

static void test_list(void)
{
    PW_AUTO(env_clear) env_list e = {0};
    int bad = 0;
    ok(env_set(&e, "A", "1", NULL) == 0 && env_set(&e, "AB", "2", NULL) == 0 &&
           env_set(&e, "A", "3", NULL) == 0,
       "set");
    ok(e.n == 2 && strcmp(e.v[0], "A=3") == 0 && strcmp(e.v[1], "AB=2") == 0 && !e.v[2],
       "replaced in place");
    ok(env_set(&e, "", "x", NULL) == PW_EINVAL && env_set(&e, "a=b", "x", NULL) == PW_EINVAL,
       "bad names");
    env_unset(&e, "A");
    env_unset(&e, "nope");
    ok(e.n == 1 && !env_get(&e, "A") && strcmp(env_get(&e, "AB"), "2") == 0 && !e.v[1], "unset");
    for (int i = 0; i < ENV_COUNT_MAX + 1; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "V%d", i);
        bad += env_set(&e, name, "", NULL) == PW_ELIMIT;
    }
    ok(bad == 2 && e.n == ENV_COUNT_MAX, "no more than the limit");
}

static bool has(const env_list *e, const char *name, const char *value)
{
    const char *v = env_get(e, name);
    return v && strcmp(v, value) == 0;
}

static void test_build(void)
{
    PW_AUTO(env_clear) env_list e = {0};
    char *base[] = {(char *)"PATH=/bin", (char *)"TMPDIR=/old", (char *)"PAWL_BUILDER=forged",
                    (char *)"junk", NULL};
    msg_pair jenv[] = {{(char *)"X", (char *)"job"}, {(char *)"Y", (char *)"${cc}"}};
    msg_pair senv[] = {{(char *)"X", (char *)"step-${branch}"},
                       {(char *)"PAWL_REVISION", (char *)"forged"}};
    job_spec j = job;
    job_step s = {.script =
                      (char *)"echo $cc ${evil} $Cc $nope \\${branch}x $branchx ${empty:-1} $"};
    env_place place = {.base = base, .workdir = "/w", .tmpdir = "/t"};
    j.env = (pw_list){.v = jenv, .n = 2};
    s.env = (pw_list){.v = senv, .n = 2};
    ok(env_build(&e, &place, &j, &s, NULL) == 0, "built");
    ok(has(&e, "PATH", "/bin") && has(&e, "TMPDIR", "/t") && has(&e, "CI", "true") &&
           has(&e, "PAWL", "true"),
       "base");
    ok(has(&e, "X", "step-main") && has(&e, "Y", "gcc"), "step over job, properties replaced");
    ok(has(&e, "cc", "gcc") && has(&e, "evil", "$(reboot) ${cc}") && has(&e, "branch", "main"),
       "named properties");
    ok(has(&e, "empty", ""), "a property in a form of the shell");
    ok(!env_get(&e, "nope") && !env_get(&e, "branchx") && !env_get(&e, "revision") &&
           !env_get(&e, "project"),
       "no others");
    ok(has(&e, "PAWL_BUILDER", "fast") && has(&e, "PAWL_REVISION", "abc"),
       "what Pawl sets cannot be forged");
    ok(has(&e, "PAWL_BUILD_ID", "12") && has(&e, "PAWL_ATTEMPT", "900") &&
           has(&e, "PAWL_WORKDIR", "/w"),
       "own ones");
    ok(has(&e, "PAWL_SHARD", "1") && has(&e, "PAWL_SHARDS", "1"), "one of one");
    ok(has(&e, "PAWL_REASON", "") && e.v[e.n] == NULL,
       "absent text is empty, the list ends in NULL");
    env_clear(&e);
    j.shard = 2;
    j.shards = 3;
    ok(env_build(&e, &place, &j, &s, NULL) == 0 && has(&e, "PAWL_SHARD", "2") &&
           has(&e, "PAWL_SHARDS", "3"),
       "a shard");
    env_clear(&e);
    pw_err err = {0};
    senv[0].value = (char *)"${nope}";
    ok(env_build(&e, &place, &j, &s, &err) == PW_ENOTFOUND && strstr(err.text, "env X"),
       "an unknown name says where");
    env_clear(&e);
    s = (job_step){.argv = {.v = (char *[]){(char *)"make", (char *)"CC=$cc"}, .n = 2}};
    ok(env_build(&e, &place, &j, &s, NULL) == 0 && has(&e, "cc", "gcc"), "names in an argv");
}

int main(void)
{
    test_subst();
    test_list();
    test_build();
    return tap_done();
}
