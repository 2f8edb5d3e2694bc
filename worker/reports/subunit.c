/* subunit: version 2 is packets (0xB3, flags, length, fields, CRC-32), version 1 is lines. The
 * first byte tells. What stands between packets is the tests' own output. */
#include <stdlib.h>
#include <string.h>

#include "worker/reports/impl.h"

enum {
    SIGNATURE = 0xb3,
    PACKET_MAX = 4 * 1024 * 1024, /* the format's own bound */
    PACKET_MIN = 8,
    F_ID = 0x0800,
    F_TIME = 0x0200,
    VERSION = 0x2000,
};
typedef enum status {
    S_NONE,
    S_EXISTS,
    S_RUNNING,
    S_SUCCESS,
    S_UXSUCCESS,
    S_SKIP,
    S_FAIL,
    S_XFAIL
} status;

typedef struct subunit {
    int version;  /* 0: not known yet */
    bool details; /* version 1: until a line of "]" */
    uint8_t *p;   /* owned: the packet so far */
    size_t n, cap;
    uint64_t began_ms; /* when the last test began */
    char began[REPORT_NAME_MAX + 1];
} subunit;

/* ---- version 1 */
static void line(report *r, char *s, size_t n)
{
    static const struct {
        const char *word;
        report_result result;
    } words[] = {{"successful", REPORT_PASSED}, {"success", REPORT_PASSED},
                 {"failure", REPORT_FAILED},    {"error", REPORT_FAILED},
                 {"uxsuccess", REPORT_FAILED},  {"skip", REPORT_SKIPPED},
                 {"xfail", REPORT_PASSED}};
    subunit *u = r->state;
    if (u->details) {
        u->details = strcmp(s, "]") != 0;
        return;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t k = strlen(words[i].word);
        if (strncmp(s, words[i].word, k) != 0 || (s[k] != ':' && s[k] != ' '))
            continue;
        char *name = s + k + 1 + strspn(s + k + 1, " ");
        static const char multi[] = " [ multipart";
        size_t len = n - (size_t)(name - s), m = sizeof(multi) - 1;
        if (len > 2 && strcmp(name + len - 2, " [") == 0) {
            name[len - 2] = '\0';
            u->details = true;
        } else if (len > m && strcmp(name + len - m, multi) == 0) {
            name[len - m] = '\0';
            u->details = true;
        }
        report_put(r, NULL, name, words[i].result, 0);
        return;
    }
}

/* ---- version 2 */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t c = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~c;
}

/* A number of 1 to 4 bytes at *at; false: it is cut off. */
static bool number(const uint8_t *p, size_t n, size_t *at, uint32_t *ret)
{
    if (*at >= n)
        return false;
    size_t more = p[*at] >> 6;
    uint32_t v = p[*at] & 0x3f;
    if (n - *at <= more)
        return false;
    for (size_t i = 1; i <= more; i++)
        v = v << 8 | p[*at + i];
    *at += 1 + more;
    *ret = v;
    return true;
}

/* The packet p[0..n) is whole; its end is before the checksum. */
static void packet(report *r, const uint8_t *p, size_t n)
{
    subunit *u = r->state;
    char id[REPORT_NAME_MAX + 1] = "";
    unsigned flags = (unsigned)p[1] << 8 | p[2];
    size_t at = 3, end = n - 4;
    uint32_t v;
    uint64_t ms = 0;
    uint32_t want = (uint32_t)p[end] << 24 | (uint32_t)p[end + 1] << 16 |
                    (uint32_t)p[end + 2] << 8 | p[end + 3];
    if (crc32_of(p, end) != want) {
        report_bad(r, "a packet of it has a wrong checksum");
        return;
    }
    if (!number(p, end, &at, &v))
        return;
    if (flags & F_TIME) {
        if (end - at < 4)
            return;
        ms = ((uint64_t)p[at] << 24 | (uint64_t)p[at + 1] << 16 | (uint64_t)p[at + 2] << 8 |
              p[at + 3]) *
             1000;
        at += 4;
        if (!number(p, end, &at, &v))
            return;
        ms += v / 1000000;
    }
    if (!(flags & F_ID))
        return;
    if (!number(p, end, &at, &v) || v > end - at) {
        report_bad(r, "a packet of it has a name that is longer than itself");
        return;
    }
    size_t k = v < REPORT_NAME_MAX ? v : REPORT_NAME_MAX;
    memcpy(id, p + at, k);
    id[k] = '\0';
    status s = flags & 7;
    if (s == S_RUNNING) {
        memcpy(u->began, id, sizeof(id));
        u->began_ms = ms;
    }
    uint64_t took =
        u->began_ms && ms > u->began_ms && strcmp(u->began, id) == 0 ? ms - u->began_ms : 0;
    if (s >= S_SUCCESS)
        report_put(r, NULL, id,
                   s == S_SKIP                       ? REPORT_SKIPPED
                   : s == S_FAIL || s == S_UXSUCCESS ? REPORT_FAILED
                                                     : REPORT_PASSED,
                   took);
}

static bool room(report *r, size_t more)
{
    subunit *u = r->state;
    if (u->n + more <= u->cap)
        return true;
    size_t cap = u->cap ? 2 * u->cap : 4096;
    while (cap < u->n + more)
        cap *= 2;
    uint8_t *p = realloc(u->p, cap);
    if (!p) {
        report_bad(r, "out of memory");
        return false;
    }
    u->p = p;
    u->cap = cap;
    return true;
}

/* Takes whole packets off the front. */
static void packets(report *r)
{
    subunit *u = r->state;
    size_t from = 0;
    while (!r->bad && from < u->n) {
        const uint8_t *p = memchr(u->p + from, SIGNATURE, u->n - from);
        uint32_t size;
        size_t at = 3;
        from = p ? (size_t)(p - u->p) : u->n;
        size_t left = u->n - from;
        if (left < PACKET_MIN)
            break;
        if ((((unsigned)p[1] << 8 | p[2]) & 0xf000) != VERSION) {
            from++;
            continue;
        }
        if (!number(p, left, &at, &size) || size < PACKET_MIN || size > PACKET_MAX)
            report_bad(r, "a packet of it has an impossible length");
        else if (size > left)
            break;
        else
            packet(r, p, size), from += size;
    }
    memmove(u->p, u->p + from, u->n - from);
    u->n -= from;
}

static void bytes(report *r, const uint8_t *p, size_t n)
{
    subunit *u = r->state;
    if (!u->version)
        u->version = p[0] == SIGNATURE ? 2 : 1;
    if (u->version == 1) {
        report_lines(r, p, n);
        return;
    }
    while (n > 0 && !r->bad) {
        size_t k = n < 65536 ? n : 65536;
        if (!room(r, k))
            return;
        memcpy(u->p + u->n, p, k);
        u->n += k;
        packets(r);
        p += k;
        n -= k;
    }
}

static void end(report *r)
{
    subunit *u = r->state;
    if (u->version == 1)
        report_last_line(r);
    else if (u->n && u->p[0] == SIGNATURE)
        report_bad(r, "it ends inside a packet");
}

static void clear(report *r)
{
    subunit *u = r->state;
    if (u)
        free(u->p);
}

const report_kind report_subunit = {.name = "subunit",
                                    .size = sizeof(subunit),
                                    .bytes = bytes,
                                    .line = line,
                                    .end = end,
                                    .clear = clear};
