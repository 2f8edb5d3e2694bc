#include "worker/agent/features.h"

#include <string.h>

size_t features_list(const worker_conf *conf, char *out[FEATURES_MAX])
{
    static char secrets[] = PW_FEATURE_SECRETS, source[] = PW_FEATURE_SOURCE;
    static char untrusted[] = "untrusted";
    size_t n = 0;
    while (n < JOB_KINDS) {
        out[n] = (char *)(uintptr_t)job_kind_name(n);
        n++;
    }
    out[n++] = secrets;
    out[n++] = source;
    if (conf->untrusted)
        out[n++] = untrusted;
    return n;
}

const char *features_missing(const worker_conf *conf, const pw_strs *must)
{
    char *have[FEATURES_MAX];
    size_t n = features_list(conf, have), k;
    for (size_t i = 0; i < must->n; i++) {
        for (k = 0; k < n && strcmp(must->v[i], have[k]) != 0;)
            k++;
        if (k == n)
            return must->v[i];
    }
    return NULL;
}
