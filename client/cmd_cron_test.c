#include "client/cmd_cron.h"

#include <string.h>

#include "tests/tap.h"

static int times(const char *line, const char *zone, const char *from, uint64_t n, pw_buf *b,
                 pw_err *err)
{
    pw_msec at = 0;
    pw_buf_reset(b);
    *err = (pw_err){0};
    return pw_time_parse(from, &at, err) < 0 ? PW_EINVAL
                                             : cron_times_text(line, zone, at, n, b, err);
}

int main(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    pw_err err;
    ok(times("30 2 * * *", "UTC", "2026-11-20T12:00:00Z", 2, &b, &err) == 0 &&
           strcmp(pw_buf_str(&b), "2026-11-21T02:30:00+00:00\n2026-11-22T02:30:00+00:00\n") == 0,
       "one a line, with the offset");
    ok(times("0 12 * * *", "UTC", "2026-11-20T12:00:00Z", 1, &b, &err) == 0 &&
           strcmp(pw_buf_str(&b), "2026-11-21T12:00:00+00:00\n") == 0,
       "strictly after the time given");
    ok(times("0 12 * * *", "UTC", "2026-11-20T11:59:59.999Z", 1, &b, &err) == 0 &&
           strcmp(pw_buf_str(&b), "2026-11-20T12:00:00+00:00\n") == 0,
       "a part of a second is no second");
    ok(times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2, &b, &err) == 0 &&
           strcmp(pw_buf_str(&b), "2026-03-29T03:00:00+02:00\n2026-03-30T02:30:00+02:00\n") == 0,
       "a named zone, over the gap of spring");
    ok(times("61 * * * *", "UTC", "2026-11-20T12:00:00Z", 1, &b, &err) == PW_EINVAL &&
           strstr(err.text, "minute") && b.len == 0,
       "a wrong line");
    ok(times("0 0 * * *", "Europe/Nowhere", "2026-11-20T12:00:00Z", 1, &b, &err) == PW_EINVAL &&
           strstr(err.text, "Nowhere"),
       "a wrong zone");
    ok(times("0 0 31 2 *", "UTC", "2026-11-20T12:00:00Z", 1, &b, &err) == PW_ENOTFOUND,
       "a line that never fires");
    return tap_done();
}
