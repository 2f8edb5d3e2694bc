#include "master/http/limits.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static web_whom key_of(const char *text)
{
    config_net n = {0};
    ok(config_net_parse(text, &n), "%s is an address", text);
    return web_whom_address(n.addr);
}

static void test_bucket(web_buckets *b)
{
    web_whom a = key_of("192.0.2.1"), other = key_of("192.0.2.2");
    unsigned passed = 0;
    pw_usec now = 5000000;
    for (int i = 0; i < 10; i++)
        passed += web_bucket_take(b, &a, 2, 10, now) == 0;
    ok(passed == 10, "a burst of ten");
    ok(web_bucket_take(b, &a, 2, 10, now) == 500000, "the eleventh waits half a second");
    ok(web_bucket_take(b, &other, 2, 10, now) == 0, "another address is another one");
    ok(web_bucket_take(b, &a, 2, 10, now + 499999) == 1, "a microsecond too early");
    ok(web_bucket_take(b, &a, 2, 10, now + 500000) == 0, "in time");
    ok(web_bucket_take(b, &a, 2, 10, now + 500000) > 0, "one only");
    ok(web_bucket_take(b, &a, 2, 10, now) > 0, "a clock that goes back gives nothing");
    now += INT64_C(1) << 50;
    for (passed = 0; web_bucket_take(b, &a, 2, 10, now) == 0;)
        passed++;
    ok(passed == 10, "years of silence: a burst, not more");
}

static void test_many(web_buckets *b)
{
    web_whom one = key_of("198.51.100.7");
    unsigned fresh = 0;
    pw_usec now = 9000000;
    while (web_bucket_take(b, &one, 1, 5, now) == 0)
        ;
    for (unsigned i = 0; i < 3 * WEB_BUCKETS * WEB_BUCKET_WAYS; i++) {
        uint8_t hash[32] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
        web_whom k = web_whom_token(hash);
        fresh += web_bucket_take(b, &k, 1, 1, ++now) == 0;
        /* who keeps asking is not forgotten, however many others come */
        if (web_bucket_take(b, &one, 1, 5, now) == 0)
            fresh = 0;
    }
    ok(fresh == 3 * WEB_BUCKETS * WEB_BUCKET_WAYS, "thousands of tokens, each with its first one");
}

static void test_keys(void)
{
    web_whom a = key_of("2001:db8::1"), b = key_of("2001:db8::ffff:1"),
             c = key_of("2001:db8:0:1::1"), d = key_of("10.0.0.1"), e = key_of("10.0.0.2");
    ok(memcmp(&a, &b, sizeof(a)) == 0, "of IPv6 a network counts");
    ok(memcmp(&a, &c, sizeof(a)) != 0, "another network is another one");
    ok(memcmp(&d, &e, sizeof(d)) != 0, "of IPv4 an address");
}

static void test_nets(void)
{
    static const struct {
        const char *net, *addr;
        bool in;
    } t[] = {{"10.0.0.0/8", "10.255.255.255", true},
             {"10.0.0.0/8", "11.0.0.0", false},
             {"127.0.0.1", "127.0.0.1", true},
             {"127.0.0.1", "127.0.0.2", false},
             {"192.0.2.128/25", "192.0.2.128", true},
             {"192.0.2.128/25", "192.0.2.127", false},
             {"0.0.0.0/0", "203.0.113.9", true},
             {"0.0.0.0/0", "2001:db8::1", false},
             {"fd00::/8", "fdff::1", true},
             {"fd00::/8", "fe00::1", false},
             {"::/0", "10.0.0.1", true},
             {"::1", "::1", true},
             {"::ffff:10.0.0.0/104", "10.2.3.4", true}};
    static const char *const bad[] = {
        "",           "10.0.0.0/33", "10.0.0.0/",     "10.0.0/8",    "10.0.0.1 ",
        "fd00::/129", "10.0.0.0/-1", "proxy.example", "10.0.0.0/8/8"};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        config_net n = {0}, a = {0};
        ok(config_net_parse(t[i].net, &n) && config_net_parse(t[i].addr, &a) &&
               config_net_has(&n, 1, a.addr) == t[i].in,
           "%s %s %s", t[i].addr, t[i].in ? "is in" : "is not in", t[i].net);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        config_net n;
        ok(!config_net_parse(bad[i], &n), "\"%s\" is no network", bad[i]);
    }
}

static void test_origin(void)
{
    static const struct {
        const char *peer, *forwarded, *want;
    } t[] = {
        {"10.0.0.1", NULL, "10.0.0.1"},
        {"10.0.0.1", "203.0.113.5", "203.0.113.5"},
        {"203.0.113.9", "198.51.100.1", "203.0.113.9"}, /* no proxy: it may say what it likes */
        {"10.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"},
        {"10.0.0.1", "198.51.100.1,203.0.113.5 , 10.0.0.2", "203.0.113.5"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "unknown", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.5, unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "10.0.0.0/8", "10.0.0.1"},
        {"10.0.0.1", "203.0.113.5,", "10.0.0.1"},
        {"10.0.0.1", "2001:db8::7", "2001:db8::7"}};
    config_net proxy = {0};
    (void)config_net_parse("10.0.0.0/8", &proxy);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        config_net peer = {0}, want = {0};
        uint8_t got[16];
        (void)config_net_parse(t[i].peer, &peer);
        (void)config_net_parse(t[i].want, &want);
        web_origin(peer.addr, t[i].forwarded, &proxy, 1, got);
        ok(memcmp(got, want.addr, 16) == 0, "%s says \"%s\": %s", t[i].peer,
           t[i].forwarded ? t[i].forwarded : "-", t[i].want);
    }
}

int main(void)
{
    web_buckets *b = calloc(1, sizeof(*b));
    ok(b != NULL, "memory");
    if (b) {
        test_bucket(b);
        test_many(b);
    }
    free(b);
    test_keys();
    test_nets();
    test_origin();
    return tap_done();
}
