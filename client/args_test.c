#include "client/args.h"

#include <string.h>

#include "client/cmd_force.h"
#include "client/commands.h"
#include "tests/tap.h"

static int parse(const char *name, int argc, const char *const *argv, args *a, pw_err *err)
{
    *err = (pw_err){0};
    return args_parse(commands_find(name), argc, (char *const *)(uintptr_t)argv, a, err);
}
#define PARSE(name, a, err, ...)                                                                   \
    parse((name), (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)),              \
          (const char *const[]){__VA_ARGS__}, (a), (err))

static void words_and_options(void)
{
    args a;
    pw_err err;
    ok(PARSE("builds", &a, &err, "--builder", "fast", "-n", "5") == 0 &&
           strcmp(args_get(&a, "builder"), "fast") == 0 && strcmp(args_get(&a, "limit"), "5") == 0,
       "values behind long and short options");
    ok(PARSE("builds", &a, &err, "--builder=a=b", "-n7") == 0 &&
           strcmp(args_get(&a, "builder"), "a=b") == 0 && strcmp(args_get(&a, "limit"), "7") == 0,
       "values joined to their options");
    ok(PARSE("builds", &a, &err, "--builder=", "--json") == 0 && !*args_get(&a, "builder") &&
           args_get(&a, "json"),
       "an empty value, a flag");
    ok(!args_get(&a, "branch"), "what was not given is NULL");
    ok(PARSE("builds", &a, &err, "--limit", "1", "--limit", "2") == 0 &&
           strcmp(args_get(&a, "limit"), "2") == 0,
       "the last one counts");
    ok(PARSE("log", &a, &err, "-f", "17/test", "--raw") == 0 && a.n_words == 1 &&
           strcmp(a.word[0], "17/test") == 0 && args_get(&a, "raw"),
       "words between options");
    ok(PARSE("cron", &a, &err, "--", "-x") == 0 && strcmp(a.word[0], "-x") == 0,
       "behind -- all are words");
    ok(PARSE("cron", &a, &err, "-") == 0 && strcmp(a.word[0], "-") == 0, "a lone dash is a word");
    ok(PARSE("force", &a, &err, "--nonsense", "--help") == PW_EINVAL,
       "what stands before --help is checked");
    ok(PARSE("force", &a, &err, "--help") == 0 && a.help, "--help needs no words");
}

static void refusals(void)
{
    args a;
    pw_err err;
    ok(PARSE("builds", &a, &err, "--bilder", "x") == PW_EINVAL &&
           strstr(err.text, "did you mean --builder?"),
       "an unknown option names a near one");
    ok(PARSE("builds", &a, &err, "--zzzzzzzzzzzz") == PW_EINVAL && !strstr(err.text, "mean"),
       "nothing near, nothing said");
    ok(PARSE("builds", &a, &err, "--builder") == PW_EINVAL && strstr(err.text, "needs a value"),
       "a value is missing");
    ok(PARSE("builds", &a, &err, "--json=1") == PW_EINVAL, "a flag takes no value");
    ok(PARSE("log", &a, &err, "-fx", "1") == PW_EINVAL, "a short flag takes none either");
    ok(PARSE("builds", &a, &err, "-z") == PW_EINVAL && strstr(err.text, "-z"), "an unknown letter");
    ok(PARSE("builds", &a, &err, "x") == PW_EINVAL && strstr(err.text, "unexpected argument"),
       "a word too many");
    ok(PARSE("worker", &a, &err, "add") == PW_EINVAL && strstr(err.text, "usage: pawl worker"),
       "a word too few");
    ok(args_parse(commands_find("why"), 0, NULL, &a, &err) == PW_EINVAL, "no words at all");
    const char *many[2 * (ARGS_MAX + 1)];
    for (size_t i = 0; i < ARGS_MAX + 1; i++) {
        many[2 * i] = "--prop";
        many[2 * i + 1] = "a=b";
    }
    ok(parse("force", 2 * (ARGS_MAX + 1), many, &a, &err) == PW_ELIMIT,
       "an option above the limit");
    many[2 * ARGS_MAX] = "builder";
    ok(parse("force", 2 * ARGS_MAX + 1, many, &a, &err) == 0 && a.n_given == ARGS_MAX,
       "options at the limit");
}

static void numbers(void)
{
    uint64_t v = 0;
    pw_err err = {0};
    ok(args_id("17", "build", &v, &err) == 0 && v == 17, "a number");
    ok(args_id("0", "build", &v, &err) == PW_EINVAL &&
           args_id("-1", "build", &v, &err) == PW_EINVAL &&
           args_id("17x", "build", &v, &err) == PW_EINVAL &&
           args_id("", "build", &v, &err) == PW_EINVAL &&
           args_id("18446744073709551616", "build", &v, &err) == PW_EINVAL && v == 17,
       "what is none");
    ok(strcmp(err.text, "\"18446744073709551616\" is not the number of a build") == 0,
       "the error quotes it");
}

static void force(void)
{
    args a;
    pw_err err;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    ok(PARSE("force", &a, &err, "fast", "--reason", "say \"why\"", "--prop", "a=1", "--branch",
             "x/y", "--prop", "b=c=d") == 0 &&
           force_body(&a, &b, &err) == 0,
       "force with everything");
    ok(b.failed || strcmp(pw_buf_str(&b), "{\"builder\":\"fast\",\"branch\":\"x/"
                                          "y\",\"properties\":{\"a\":\"1\",\"b\":\"c=d\"},"
                                          "\"reason\":\"say \\\"why\\\"\"}") == 0,
       "its JSON");
    pw_buf_reset(&b);
    ok(PARSE("force", &a, &err, "fast") == 0 && force_body(&a, &b, &err) == PW_EINVAL &&
           strstr(err.text, "--reason"),
       "no reason");
    pw_buf_reset(&b);
    ok(PARSE("force", &a, &err, "fast", "--reason", "r", "--prop", "novalue") == 0 &&
           force_body(&a, &b, &err) == PW_EINVAL && strstr(err.text, "novalue"),
       "a property without =");
    pw_buf_reset(&b);
    ok(PARSE("force", &a, &err, "fast", "--reason", "r", "--prop", "=x") == 0 &&
           force_body(&a, &b, &err) == PW_EINVAL,
       "a property without name");
}

static void tables(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
    ok(!commands_find("statsu") && commands_nearest("statsu") &&
           strcmp(commands_nearest("statsu"), "status") == 0,
       "the nearest command");
    commands_list(&b);
    ok(b.failed || (strstr(pw_buf_str(&b), "  status ") && strstr(pw_buf_str(&b), "  demo ")),
       "the list names the commands");
    pw_buf_reset(&b);
    args_help(commands_find("log"), &b);
    ok(b.failed ||
           (strstr(pw_buf_str(&b), "usage: pawl log ") && strstr(pw_buf_str(&b), "-f, --follow") &&
            strstr(pw_buf_str(&b), "--state DIR")),
       "the help of a command names its options and those of all");
}

int main(void)
{
    words_and_options();
    refusals();
    numbers();
    force();
    tables();
    return tap_done();
}
