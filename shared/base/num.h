/* num.h - numbers in text and bytes: bounded parsing, durations and sizes as users write them,
 * little endian, crc32c, hex. */
#ifndef PW_SHARED_BASE_NUM_H
#define PW_SHARED_BASE_NUM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/host.h"

/* Whole text, decimal, no sign and no blanks for u64; PW_EINVAL with a text that quotes it. */
int pw_parse_u64(const char *s, uint64_t *ret_v, pw_err *err);
int pw_parse_i64(const char *s, int64_t *ret_v, pw_err *err);
/* "500ms" "90s" "20m" "1h" "7d" "0s"; a number without unit is refused (but "0" is fine). In
 * microseconds. */
int pw_parse_duration(const char *s, pw_usec *ret_v, pw_err *err);
/* "64K" "512M" "2G" "100" (bytes), powers of 1024. */
int pw_parse_size(const char *s, uint64_t *ret_v, pw_err *err);
/* Shortest exact form, e.g. "90s", "1h"; for plans and pages. */
const char *pw_duration_text(pw_usec v, char out[32]);

/* start with 0; SSE4.2 where there is one, same result without */
uint32_t pw_crc32c(uint32_t crc, const void *p, size_t n);
/* The same by a table: what runs where there is no SSE4.2, public so that a test can compare. */
uint32_t pw_crc32c_soft(uint32_t crc, const void *p, size_t n);

void pw_hex(const void *p, size_t n, char *out); /* out has 2n+1 bytes; lower case */
/* Whole text of exactly 2n hex digits; false else. */
bool pw_unhex(const char *s, void *out, size_t n);

static inline uint32_t pw_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t pw_le64(const uint8_t *p)
{
    return (uint64_t)pw_le32(p) | (uint64_t)pw_le32(p + 4) << 32;
}
static inline void pw_put_le32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}
static inline void pw_put_le64(uint8_t *p, uint64_t v)
{
    pw_put_le32(p, (uint32_t)v);
    pw_put_le32(p + 4, (uint32_t)(v >> 32));
}
/* Closest of a NULL-terminated list to `s` by edit distance, when near enough to be meant; else
 * NULL. For "did you mean". */
const char *pw_nearest(const char *s, const char *const *list);
#endif
