/* mask.h - secrets leave no trace in what a job tells: every occurrence of a value, and of its
 * usual encodings, becomes `***`.
 *
 * A mask_set holds the values of one job; a mask_stream is one output that is searched as it comes.
 * All bytes that belong to any occurrence are covered; each longest run of covered bytes becomes
 * one
 * `***`. So overlapping, nested and repeated values need no order among themselves, and no piece of
 * one is left over. What is searched for: the value; each of its lines of at least MASK_MIN bytes,
 * without blanks around; with CR LF; base64 in all three alignments, both alphabets, also wrapped
 * by line breaks, without the characters that depend on neighbours; %XX; JSON escapes.
 *
 * A line `::add-mask::VALUE` adds a value from the next line on and is itself shown as
 * `::add-mask::***` (%25 %0D %0A in it stand for % CR LF). It is a border: no occurrence reaches
 * over it.
 *
 * Only what may become an occurrence is held back, at most MASK_HOLD_MAX bytes (or one line that
 * begins with ::add-mask::), until more output decides or the stream ends; then the beginning of a
 * value that never came whole is given out as it is. Quiet never gives out held bytes.
 *
 * The searched text never grows, so it is masked in place. One thread. */
#ifndef PW_WORKER_RUN_MASK_H
#define PW_WORKER_RUN_MASK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum {
    MASK_MIN = 4,     /* bytes of a value; shorter ones would blacken whole logs */
    MASK_PIECE = 128, /* longer values are searched in pieces of that size */
    MASK_HOLD_MAX = 3 * MASK_PIECE,
    MASK_LINE_MAX = 16 * 1024, /* bytes of a value that a line adds */
    MASK_ADDED_MAX = 1000,     /* values that lines add in one job */
};

typedef struct mask_set mask_set;
mask_set *mask_set_new(pw_err *err);
/* Wipes what it knew. */
mask_set *mask_set_free(mask_set *self);
PW_DEFINE_FREEP(mask_set, mask_set_free)
/* Copies the value. PW_EINVAL: shorter than MASK_MIN. Idempotent. */
int mask_set_add(mask_set *self, const void *value, size_t n, pw_err *err);
/* Whether nothing is to be masked yet. */
bool mask_set_empty(const mask_set *self);

typedef enum mask_trouble { MASK_FINE, MASK_SHORT, MASK_LONG, MASK_MANY } mask_trouble;
typedef struct mask_stream {
    bool mid_line; /* the first held byte is not the first of a line */
    bool run; /* `***` stands at the end of what was given out, for the next `cover` bytes too */
    bool swallow; /* inside an ::add-mask:: line that is too long */
    size_t cover;
    mask_trouble trouble; /* why the newest ::add-mask:: was ignored; the caller tells and clears */
} mask_stream;
/* p[0..held) was held back by the last call, p[held..held+n) is new. Returns how many bytes at p
 * are done; *ret_held bytes behind them are held back. end: nothing more comes, so nothing is held;
 * the stream is as new then. */
size_t mask_feed(mask_stream *s, mask_set *set, uint8_t *p, size_t held, size_t n, bool end,
                 size_t *ret_held);
/* A text for people, in place. */
void mask_text(mask_set *set, char *text);
#endif
