/* hooks.h - what is known of the senders of webhooks, and whether a delivery is theirs. Pure. */
#ifndef PW_MASTER_HTTP_HOOKS_H
#define PW_MASTER_HTTP_HOOKS_H
#include <stdbool.h>
#include <stddef.h>

#include "master/core/cmd.h"
#include "shared/base/err.h"

enum { WEB_DELIVERY = 256 };
typedef struct web_hook_kind {
    const char *name;
    const char *signature; /* header */
    const char *prefix;    /* before the hex of the HMAC-SHA256; NULL: it is the secret itself */
    const char *delivery;  /* header with its id */
    const char *event;     /* header with its kind */
} web_hook_kind;
/* NULL: none. */
const web_hook_kind *web_hook_find(const char *name);
/* given: value of the signature's header, NULL none. In constant time. */
bool web_hook_verify(const web_hook_kind *k, const char *given, const void *secret,
                     size_t secret_len, const void *body, size_t n);
/* The id that a delivery is known by: the header's value, or the hash of the body. PW_EINVAL. */
int web_hook_delivery(const char *given, const void *body, size_t n, char out[WEB_DELIVERY],
                      pw_err *err);
/* What a delivery (JSON) tells of a proposal, if it does, into c: branch target title author fork.
 * PW_ENOMEM, or what json_parse says. */
int web_hook_facts(const char *kind, const char *body, size_t n, core_cmd *c, pw_err *err);
#endif
