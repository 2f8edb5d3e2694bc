/* impl.h - what the two clients of this folder share: the blocking one (http.c) and the pool. */
#ifndef PW_SHARED_HTTP_IMPL_H
#define PW_SHARED_HTTP_IMPL_H
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

/* No control characters. */
bool http_is_clean(const char *s);
/* Whether an address is loopback by its text: those never go by a proxy. */
bool http_is_local(const char *url);
/* Adds "name: value" to a list for curl; refuses what would break out of the line. */
int http_add_header(struct curl_slist **list, const char *name, const char *value, pw_err *err);
/* Makes curl leave a header out that it would add by itself: "Expect:". */
int http_drop_header(struct curl_slist **list, const char *name_colon, pw_err *err);
/* Copies a header's value out of a line if it has that name; one that does not fit is left out. */
void http_keep_header(const char *p, size_t n, const char *name, char *out, size_t max);
#endif
