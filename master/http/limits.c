#include "master/http/limits.h"

#include <string.h>

#include "shared/base/num.h"

#define ONE INT64_C(1000000)

web_whom web_whom_address(const uint8_t addr[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    web_whom k = {.b = {1}};
    memcpy(k.b + 1, addr, memcmp(addr, mapped, sizeof(mapped)) == 0 ? 16 : 8);
    return k;
}

web_whom web_whom_token(const uint8_t hash[32])
{
    web_whom k = {.b = {2}};
    memcpy(k.b + 1, hash, 16);
    return k;
}

static web_bucket *find(web_buckets *b, const web_whom *key, int64_t burst, pw_usec now)
{
    web_bucket *set = b->v[pw_crc32c(b->seed, key->b, sizeof(key->b)) % WEB_BUCKETS], *old = set;
    for (size_t i = 0; i < WEB_BUCKET_WAYS; i++) {
        if (set[i].used && memcmp(&set[i].key, key, sizeof(*key)) == 0)
            return &set[i];
        if (old->used && (!set[i].used || set[i].at < old->at))
            old = &set[i];
    }
    *old = (web_bucket){.key = *key, .used = true, .left = burst * ONE, .at = now};
    return old;
}

pw_usec web_bucket_take(web_buckets *b, const web_whom *key, int64_t rate, int64_t burst,
                        pw_usec now)
{
    web_bucket *v = find(b, key, burst, now);
    pw_usec since = now > v->at ? now - v->at : 0;
    /* a second of `rate` is rate * ONE millionths; a long silence fills it, without overflow */
    if (since >= burst * ONE / rate + 1)
        v->left = burst * ONE;
    else
        v->left += since * rate;
    if (v->left > burst * ONE)
        v->left = burst * ONE;
    v->at = now;
    if (v->left >= ONE) {
        v->left -= ONE;
        return 0;
    }
    return (ONE - v->left + rate - 1) / rate;
}

/* The last item of a list that ends at `end`; returns where it begins. */
static const char *item(const char *list, const char *end, char *out, size_t cap)
{
    const char *from = end;
    while (from > list && from[-1] != ',')
        from--;
    const char *p = from;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t n = (size_t)(end - p);
    if (n >= cap)
        n = 0;
    memcpy(out, p, n);
    out[n] = '\0';
    return from;
}

void web_origin(const uint8_t peer[16], const char *forwarded, const config_net *proxies, size_t n,
                uint8_t ret[16])
{
    config_net at;
    char text[64];
    memcpy(ret, peer, 16);
    if (!forwarded || !config_net_has(proxies, n, peer))
        return;
    for (const char *end = forwarded + strlen(forwarded);;) {
        const char *from = item(forwarded, end, text, sizeof(text));
        if (!config_net_parse(text, &at) || strchr(text, '/'))
            return; /* what stands before it was written by who knows whom */
        memcpy(ret, at.addr, 16);
        if (from == forwarded || !config_net_has(proxies, n, at.addr))
            return;
        end = from - 1;
    }
}
