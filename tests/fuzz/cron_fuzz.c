/* Cron lines: firings rise, and are whole minutes. */
#include <stdlib.h>
#include <string.h>

#include "shared/cron/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[1200], shown[CRON_TIME_MAX];
    int64_t at = 0;
    PW_AUTO(cron_freep) cron_line *line = NULL;
    PW_AUTO(cron_zone_freep) cron_zone *utc = NULL;
    pw_err err;
    if (len < sizeof(at) || len - sizeof(at) >= sizeof(text))
        return 0;
    memcpy(&at, data, sizeof(at));
    memcpy(text, data + sizeof(at), len - sizeof(at));
    text[len - sizeof(at)] = '\0';
    line = cron_parse(text, &err);
    utc = cron_zone_open("UTC", &err);
    if (!line || !utc)
        return 0;
    for (int i = 0; i < 4; i++) {
        int64_t next = cron_next(line, utc, at);
        if (next == -1)
            break;
        if (next <= at || next % 60 != 0)
            abort();
        if (strlen(cron_time_text(utc, next, shown)) != 25)
            abort();
        at = next;
    }
    return 0;
}
