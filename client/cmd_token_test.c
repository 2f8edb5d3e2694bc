/* What `pawl token create` asks for. */
#include "client/cmd_token.h"

#include <string.h>

#include "client/commands.h"
#include "tests/tap.h"

enum { NOW = 1700000000000 };

static bool body(const char *want, int argc, char *const *argv)
{
    args a;
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    int rc = args_parse(commands_find("token"), argc, argv, &a, &err);
    if (rc == 0)
        rc = token_body(&a, NOW, &b, &err);
    const char *got = rc == 0 ? pw_buf_str(&b) : err.text;
    if (strncmp(got, want, strlen(want)) == 0 && (rc < 0 || strlen(got) == strlen(want)))
        return true;
    printf("# got %s\n", got);
    return false;
}
#define BODY(want, ...)                                                                            \
    body(want, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                      \
         (char *const *)(uintptr_t)(const char *[]){__VA_ARGS__})

int main(void)
{
    ok(BODY("{\"name\":\"ci\"}", "create", "ci"), "a name alone");
    ok(BODY("{\"name\":\"ci\",\"scopes\":[\"read\",\"build\"],\"person\":\"ada\","
            "\"expires\":\"2023-11-15T22:13:20.000Z\"}",
            "create", "ci", "--scope", "read", "--person", "ada", "-s", "build", "--expires", "1d"),
       "all of it");
    ok(BODY("{\"name\":\"ci\",\"expires\":\"2026-11-20T12:43:01.000Z\"}", "create", "ci",
            "--expires", "2026-11-20T12:43:01Z"),
       "until a time");
    ok(BODY("--expires: \"90\" is neither a duration", "create", "ci", "--expires", "90"),
       "a number without a unit");
    ok(BODY("--expires: \"0s\" is neither", "create", "ci", "--expires", "0s"), "no time at all");
    return tap_done();
}
