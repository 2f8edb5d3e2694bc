/* regex.h - one regular expression: PCRE2 with JIT, under limits, so that no pattern and no text
 * can hold up who asks. Immutable after parsing, so any thread may match; matching takes no memory
 * from the heap in the common case. */
#ifndef PW_SHARED_SCAN_REGEX_H
#define PW_SHARED_SCAN_REGEX_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum { REGEX_TEXT_MAX = 32 * 1024 }; /* longer texts match nothing */
typedef struct regex regex;
/* whole: it must match all of a text, else it may match anywhere in it. On failure *ret_at is the
 * byte of the pattern (from 0) that is wrong. */
regex *regex_new(const char *pattern, size_t n, bool whole, size_t *ret_at, pw_err *err);
regex *regex_free(regex *self);
PW_DEFINE_FREEP(regex, regex_free)
/* False also for text that is no UTF-8 where the pattern would need it, and when a limit is
 * reached. */
bool regex_match(const regex *self, const char *text, size_t n);
#endif
