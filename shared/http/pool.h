/* pool.h - many HTTP exchanges side by side on one thread, over curl's multi interface: for the one
 * thread that talks to others' servers. One thread per object, only http_pool_run blocks. Redirects
 * are not followed, certificates are checked, every exchange has a connection of its own (so that
 * curl never sends a request twice by itself). */
#ifndef PW_SHARED_HTTP_POOL_H
#define PW_SHARED_HTTP_POOL_H
#include <stdbool.h>

#include "shared/http/http.h"

enum { HTTP_POOL_BODY_MAX = 64 * 1024, HTTP_POOL_MOST = 1000 };

typedef struct http_pool http_pool;
http_pool *http_pool_new(pw_err *err);
/* Breaks off what is under way. */
http_pool *http_pool_free(http_pool *self);
PW_DEFINE_FREEP(http_pool, http_pool_free)

typedef struct http_request { /* all is copied */
    const char *method, *url;
    const http_header *header;
    size_t n_headers;
    const void *body;
    size_t body_len;
    pw_usec timeout; /* of all of it: name, connection, answer */
    const char *ca;  /* file of authorities (PEM); NULL: the system's */
    void *tag;       /* comes back with the answer */
    /* A mail instead, by SMTP to url (smtp: or smtps:): body is the message, method and headers
     * mean nothing. NULL: HTTP. */
    const char *mail_from;
    const char *const *mail_to;
    size_t n_mail_to;
    const char *user, *password; /* NULL: nobody in particular */
    bool starttls;               /* nothing is said without TLS */
} http_request;
/* What came of it. `text` never holds more of the address than host and port. */
typedef struct http_reply {
    void *tag;
    long status; /* 0: there was no answer, text says why; of a mail: the last one */
    bool sent;   /* a byte of the request may have left this machine; of a mail: of it itself */
    bool mailed; /* the server has taken the mail */
    pw_usec retry_after; /* 0: not given */
    char key[300];       /* header Idempotency-Key */
    pw_buf body;         /* owned; what is beyond HTTP_POOL_BODY_MAX is not read */
    char text[300];
} http_reply;
void http_reply_clear(http_reply *r);

/* PW_EFULL beyond HTTP_POOL_MOST. */
int http_pool_add(http_pool *self, const http_request *r, pw_err *err);
/* Works until something is finished, fd is readable (-1: none), or the time is over. */
int http_pool_run(http_pool *self, int fd, pw_usec most, pw_err *err);
/* The next finished exchange; false: none. */
bool http_pool_next(http_pool *self, http_reply *ret);
#endif
