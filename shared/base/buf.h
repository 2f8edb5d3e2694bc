/* buf.h - a growing byte buffer with a maximum. A NUL stands behind the last byte, so text can be
 * used as a C string. Owned by whoever holds the struct; one thread. An append that would pass
 * `max`, or that finds no memory, sets `failed`, leaves the content as it was and returns a
 * negative pw_code; later appends fail too, so a chain can be checked once. */
#ifndef PW_SHARED_BASE_BUF_H
#define PW_SHARED_BASE_BUF_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

typedef struct pw_buf {
    char *p; /* owned; NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* most bytes that len may reach */
    bool failed;
} pw_buf;

#define PW_BUF(maximum)                                                                            \
    {                                                                                              \
        .max = (maximum)                                                                           \
    }
void pw_buf_init(pw_buf *b, size_t max);
/* Frees the bytes and empties the buffer; max stays. */
void pw_buf_clear(pw_buf *b);
/* Empties it, keeps the memory. */
void pw_buf_reset(pw_buf *b);
int pw_buf_add(pw_buf *b, const void *p, size_t n);
int pw_buf_adds(pw_buf *b, const char *s);
int pw_buf_addf(pw_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int pw_buf_vaddf(pw_buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Makes room for n more bytes behind len; returns where to write them (add to len yourself), or
 * NULL. */
char *pw_buf_room(pw_buf *b, size_t n);
/* Drops the first n bytes. */
void pw_buf_drop(pw_buf *b, size_t n);
/* The text, never NULL ("" while empty). Borrowed until the next call. */
const char *pw_buf_str(const pw_buf *b);
/* Hands the bytes to the caller (owned, free()); the buffer is empty afterwards. NULL if it failed
 * or is empty. */
char *pw_buf_take(pw_buf *b);
/* A copy of s that free() frees; NULL stays NULL. *failed becomes true when memory ran out (never
 * set to false). */
char *pw_strdup(const char *s, bool *failed);
/* printf into new memory (owned); NULL when memory ran out. */
char *pw_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Bytes of the UTF-8 character that a text begins with (NUL-terminated); 0: it is none. */
size_t pw_utf8_len(const char *text);
/* JSON string with quotes; bytes that are not UTF-8 become U+FFFD. */
int pw_buf_json(pw_buf *b, const char *s);

static inline void pw_buf_clearp(pw_buf *b)
{
    pw_buf_clear(b);
}
static inline void pw_freep(void *p)
{
    free(*(void **)p);
    *(void **)p = NULL;
}
#endif
