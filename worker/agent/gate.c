#include "worker/agent/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool gate_low(const worker_conf *conf, int64_t disk)
{
    return disk >= 0 && (uint64_t)disk < conf->low_disk;
}

void gate_text(const worker_conf *conf, int64_t disk, uint64_t spool_bytes, uint64_t load,
               bool draining, char out[GATE_MAX])
{
    out[0] = '\0';
    if (gate_low(conf, disk))
        (void)snprintf(out, GATE_MAX, "low disk: %" PRId64 " MiB free, %" PRIu64 " MiB wanted",
                       disk >> 20, conf->low_disk >> 20);
    else if (spool_bytes > conf->spool_limit)
        (void)snprintf(out, GATE_MAX, "the spool has more than %" PRIu64 " MiB",
                       conf->spool_limit >> 20);
    else if (conf->high_load && load / 1000 >= conf->high_load)
        (void)snprintf(out, GATE_MAX,
                       "high load: %" PRIu64 ".%02" PRIu64 ", less than %" PRIu64 " wanted",
                       load / 1000, load % 1000 / 10, conf->high_load);
    else if (draining)
        (void)snprintf(out, GATE_MAX, "draining");
}

bool gate_isolation(const worker_conf *conf, const char *isolation)
{
    size_t n = isolation ? strcspn(isolation, ":") : 0;
    for (size_t i = 0; i < conf->isolation.n; i++)
        if (n == 0 ||
            (strlen(conf->isolation.v[i]) == n && !strncmp(conf->isolation.v[i], isolation, n)))
            return true;
    return false;
}
