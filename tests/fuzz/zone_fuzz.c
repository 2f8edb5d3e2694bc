/* Zone files from memory: stretches follow one another without end, and cron lines fire later and
 * later. */
#include <stdlib.h>
#include <string.h>

#include "shared/cron/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void walk(const cron_zone *z, int64_t at)
{
    for (int i = 0; i < 50 && at < CRON_TIME_LIMIT; i++) {
        cron_span s = cron_zone_span(z, at);
        if (s.from > at || s.to <= at || s.offset > CRON_OFFSET_MAX ||
            s.offset < -CRON_OFFSET_MAX || s.offset != cron_zone_offset(z, at))
            abort();
        at = s.to;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const lines[] = {"* * * * *", "*/7 1-2 * * *", "30 2 29 2 *",
                                        "0 */3 L * 1#2"};
    static const int64_t starts[] = {-CRON_TIME_LIMIT, -5000000000, 0, 1790000000, 190000000000};
    char shown[CRON_TIME_MAX];
    pw_err err;
    PW_AUTO(cron_zone_freep) cron_zone *z = cron_zone_parse(data, len, &err);
    if (!z)
        return 0;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        walk(z, starts[i]);
        for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++) {
            PW_AUTO(cron_freep) cron_line *line = cron_parse(lines[k], &err);
            int64_t at = starts[i];
            for (int n = 0; line && n < 3; n++) {
                int64_t next = cron_next(line, z, at);
                if (next == -1)
                    break;
                if (next <= at || strlen(cron_time_text(z, next, shown)) != 25)
                    abort();
                at = next;
            }
        }
    }
    return 0;
}
