/* search.h - one regular expression over lines of output (PCRE2 with JIT, bytes that are not UTF-8
 * match nothing). Each try is bounded, so no pattern holds a thread: what goes beyond is told, not
 * taken for "does not match". Owned; one thread per object. */
#ifndef PW_SHARED_SCAN_SEARCH_H
#define PW_SHARED_SCAN_SEARCH_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum { SEARCH_PATTERN_MAX = 1000 };

typedef struct search search;
/* PW_EINVAL names what is wrong with it and where. */
search *search_new(const char *pattern, pw_err *err);
search *search_free(search *self);
PW_DEFINE_FREEP(search, search_free)
/* 1: the line holds it; 0: it does not. PW_ELIMIT: this line took too many steps. PW_ENOMEM. */
int search_line(search *self, const char *p, size_t n, pw_err *err);
/* The pattern is plain text (perhaps behind "(?i)") without an end of line in it: it is found in
 * many lines together exactly when it is found in one of them. */
bool search_plain(const search *self);
#endif
