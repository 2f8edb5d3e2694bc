/* When a message may leave: quiet hours and the rate; and several told in one. */
#include <inttypes.h>
#include <string.h>

#include "master/notify/notify.h"

enum { DAY_S = 24 * 3600 };

pw_msec notify_quiet(const config_notify *t, pw_msec now)
{
    if (t->quiet_from == t->quiet_to)
        return 0;
    int64_t at = now / 1000;
    int64_t local = at + (t->quiet_zone ? cron_zone_offset(t->quiet_zone, at) : 0);
    int64_t second = (local % DAY_S + DAY_S) % DAY_S;
    int64_t from = t->quiet_from * 60, to = t->quiet_to * 60;
    bool quiet = from < to ? second >= from && second < to : second >= from || second < to;
    if (!quiet)
        return 0;
    int64_t left = (to - second + DAY_S) % DAY_S;
    /* a change to summer time may lie between: looked at again when that is over */
    return left * 1000 - now % 1000;
}

pw_usec notify_rate(const config_notify *t, notify_window *w, pw_usec now, uint64_t waiting,
                    bool *ret_fold)
{
    *ret_fold = false;
    if (!t->rate)
        return 0;
    if (w->end && now >= w->end)
        *w = (notify_window){0};
    if (w->n >= t->rate)
        return w->end - now;
    *ret_fold = waiting > t->rate - w->n;
    /* the last place of a window is for all that wait; before it, those that have room go alone */
    if (*ret_fold && w->n + 1 < t->rate)
        *ret_fold = w->n == 0;
    return 0;
}

void notify_rate_count(const config_notify *t, notify_window *w, pw_usec now)
{
    if (!t->rate)
        return;
    if (!w->end)
        w->end = now + t->rate_per;
    w->n++;
}

int notify_fold(const char *body, const char *const *others, size_t n, uint64_t more, pw_buf *out)
{
    size_t len = strlen(body);
    if (len < 2 || body[len - 1] != '}')
        return PW_EINVAL;
    (void)pw_buf_add(out, body, len - 1);
    (void)pw_buf_addf(out, ",\"more\":%" PRIu64 ",\"others\":[", more);
    for (size_t i = 0; i < n && i < NOTIFY_OTHERS; i++) {
        (void)pw_buf_adds(out, i ? "," : "");
        (void)pw_buf_adds(out, others[i]);
    }
    (void)pw_buf_adds(out, "]}");
    return out->failed ? PW_ENOMEM : 0;
}
