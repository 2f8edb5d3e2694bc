/* routes.h - the one table of what is served: method, path pattern, scope, query keys, body keys,
 * handler. The walker below is pure and takes any table, so a test and a fuzzer can drive it alone;
 * /openapi.json is made from the same table. */
#ifndef PW_MASTER_HTTP_ROUTES_H
#define PW_MASTER_HTTP_ROUTES_H
#include <stddef.h>

#include "shared/base/err.h"

typedef struct web_req web_req;
typedef void web_handler(web_req *q);
typedef struct web_route {
    const char *method; /* GET POST DELETE; HEAD is served as GET */
    /* "/api/v1/builds/{id}": a part in braces takes one part of the path, decoded */
    const char *pattern;
    /* what a token must have; "read": only where GET is closed; "": always open */
    const char *scope;
    const char *query; /* allowed keys, blank-separated */
    /* keys of the JSON body, blank-separated, "!" behind the required ones; NULL: no body */
    const char *body;
    const char *answer; /* name of the schema, for OpenAPI; NULL: text */
    const char *summary;
    web_handler *handler;
} web_route;
extern const web_route web_routes[];
extern const size_t web_n_routes;

enum { WEB_PARAMS = 3, WEB_PARAM_BYTES = 2048, WEB_ALLOW = 64 };
typedef struct web_match {
    const web_route *route;
    const char *param[WEB_PARAMS]; /* point into text */
    size_t n;
    char allow[WEB_ALLOW];      /* of a 405: "GET, POST" */
    char text[WEB_PARAM_BYTES]; /* decoded parts, each ended by NUL */
} web_match;
/* path: raw, without the query. PW_ENOTFOUND; PW_EDENIED: the path is served, the method is not
 * (allow says which are); PW_EINVAL: bad percent-encoding, a NUL, or too long. */
int web_route_find(const web_route *table, size_t n, const char *method, const char *path,
                   web_match *ret, pw_err *err);
/* Decodes %XX of n bytes into out (NUL-terminated, cap bytes). Plus is a blank when `plus`.
 * PW_EINVAL, PW_ELIMIT. */
int web_unescape(const char *s, size_t n, int plus, char *out, size_t cap, size_t *ret_len,
                 pw_err *err);
/* True when `word` is one of the blank-separated words (a "!" behind a word does not count). */
int web_has_word(const char *words, const char *word, size_t n);
#endif
