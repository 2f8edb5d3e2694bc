/* pawl cron: when a line fires next. Needs no master. */
#include "client/cmd_cron.h"

#include "client/commands.h"
#include "shared/base/num.h"
#include "shared/cron/cron.h"

enum { CRON_COUNT = 5 };

static int64_t floor_second(pw_msec t)
{
    return t / 1000 - (t % 1000 < 0);
}

int cron_times_text(const char *line, const char *zone, pw_msec from, uint64_t n, pw_buf *b,
                    pw_err *err)
{
    char at[CRON_TIME_MAX];
    pw_err why = {0};
    PW_AUTO(cron_freep) cron_line *c = cron_parse(line, &why);
    if (!c)
        return pw_fail(err, why.code == PW_ENOMEM ? PW_ENOMEM : PW_EINVAL,
                       "reading the cron line: %s", why.text);
    PW_AUTO(cron_zone_freep) cron_zone *z = cron_zone_open(zone, &why);
    if (!z)
        return pw_fail(err, why.code == PW_ENOTFOUND ? PW_EINVAL : why.code,
                       "looking up the time zone: %s", why.text);
    int64_t t = floor_second(from);
    for (uint64_t i = 0; i < n; i++) {
        t = cron_next(c, z, t);
        if (t < 0 && i == 0)
            return pw_fail(err, PW_ENOTFOUND, "\"%.100s\" does not fire within 8 years", line);
        if (t < 0)
            break;
        if (pw_buf_addf(b, "%s\n", cron_time_text(z, t, at)) < 0)
            return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return 0;
}

static int run_cron(client *c, const args *a, pw_err *err)
{
    const char *zone = args_get(a, "zone"), *from = args_get(a, "from"),
               *count = args_get(a, "count");
    pw_msec start = pw_wall(c->host);
    uint64_t n = CRON_COUNT;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)1024 * 1024);
    if (from && pw_time_parse(from, &start, NULL) < 0)
        return pw_fail(err, PW_EINVAL,
                       "--from: \"%.60s\" is not a time like 2026-11-20T12:43:01Z or "
                       "2026-11-20T12:43:01+01:00",
                       from);
    if (count && (pw_parse_u64(count, &n, NULL) < 0 || n < 1 || n > CRON_COUNT_MAX))
        return pw_fail(err, PW_EINVAL, "-n must be a number from 1 to %d, not \"%.60s\"",
                       CRON_COUNT_MAX, count);
    int rc = cron_times_text(a->word[0], zone ? zone : "UTC", start, n, &b, err);
    return rc < 0 ? rc : client_put(c, &b, err);
}

static const arg_option options[] = {
    {"zone", 0, "ZONE", "time zone of the line, as Europe/Berlin (default UTC)"},
    {"from", 0, "TIME", "print times after this one (default: now)"},
    {"count", 'n', "N", "how many (default 5)"},
    {NULL, 0, NULL, NULL}};
const command cmd_cron[] = {{"cron", "LINE [--zone Z] [--from TIME] [-n N]",
                             "When a cron line fires next", options, 1, 1, run_cron},
                            {NULL, NULL, NULL, NULL, 0, 0, NULL}};
