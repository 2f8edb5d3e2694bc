/* limits.h - what one address or token may take: token buckets, and from which address a request
 * comes. Pure over facts but for the buckets' own memory, which is fixed. Not thread-safe: the
 * caller locks. */
#ifndef PW_MASTER_HTTP_LIMITS_H
#define PW_MASTER_HTTP_LIMITS_H
#include "master/config/config.h"

enum {
    WEB_KEY = 17, /* of whom: a kind and 16 bytes */
    WEB_BUCKETS = 512,
    WEB_BUCKET_WAYS = 8
};
/* An address (of IPv6 its /64: one machine has 2^64 of them) or a token (by its hash). */
typedef struct web_whom {
    uint8_t b[WEB_KEY];
} web_whom;
web_whom web_whom_address(const uint8_t addr[16]);
web_whom web_whom_token(const uint8_t hash[32]);

/* A bucket fills by `rate` a second up to `burst`; each request takes one. */
typedef struct web_bucket {
    web_whom key;
    bool used;
    int64_t left; /* millionths of a request */
    pw_usec at;
} web_bucket;
/* 4,096 at most are known; of eight that fall on one place the one that was idle longest is
 * forgotten, which is a full one in all but an attack from thousands of networks. */
typedef struct web_buckets {
    uint32_t seed; /* random: nobody can choose to fall on somebody's place */
    web_bucket v[WEB_BUCKETS][WEB_BUCKET_WAYS];
} web_buckets;
/* 0: taken; else how long until there is one again, and nothing was taken. */
pw_usec web_bucket_take(web_buckets *b, const web_whom *key, int64_t rate, int64_t burst,
                        pw_usec now);

/* Where a request comes from: its peer, or when the peer is a listed proxy the last address in
 * X-Forwarded-For (may be NULL) that is not one. */
void web_origin(const uint8_t peer[16], const char *forwarded, const config_net *proxies, size_t n,
                uint8_t ret[16]);
#endif
