/* origin.h - whether a write that a browser's cookie (or a proxy's header) vouches for was sent by
 * our own page. Pure. */
#ifndef PW_MASTER_HTTP_ORIGIN_H
#define PW_MASTER_HTTP_ORIGIN_H
#include <stdbool.h>

/* Headers of the request, NULL when absent; url: of this server, without a slash at its end. A
 * browser says Sec-Fetch-Site (over https and on loopback) or Origin; who says neither is not
 * believed. */
bool web_same_origin(const char *fetch_site, const char *origin, const char *host, const char *url);
#endif
