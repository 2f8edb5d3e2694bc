/* http.h - the HTTP client over libcurl (the only module that includes it). Blocking calls for the
 * command line client. One thread per object. */
#ifndef PW_SHARED_HTTP_HTTP_H
#define PW_SHARED_HTTP_HTTP_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

typedef struct http_client http_client;
/* base: "http://127.0.0.1:8010"; token may be NULL. Copied. */
http_client *http_client_new(const char *base, const char *token, pw_err *err);
/* https: the certificate must come from an authority in this file (PEM) instead of the system's.
 * NULL: the system's. */
int http_client_ca(http_client *self, const char *file, pw_err *err);
http_client *http_client_free(http_client *self);
PW_DEFINE_FREEP(http_client, http_client_free)

typedef struct http_header {
    const char *name, *value;
} http_header;
typedef struct http_answer {
    long status;
    pw_buf body; /* owned: pw_buf_clear */
    char etag[128];
    char pawl_done[8]; /* Pawl-Done header */
    pw_msec date;      /* Date header; 0: none */
} http_answer;
/* method path(with query) body(may be NULL). The answer is filled whatever the status; a negative
 * code means that none came (text says the address and why). timeout for the whole exchange. */
int http_call(http_client *self, const char *method, const char *path, const http_header *headers,
              size_t n_headers, const void *body, size_t body_len, pw_usec timeout,
              http_answer *ret, pw_err *err);
void http_answer_clear(http_answer *a);
/* The same with the `size` bytes of a file (from its beginning on) as the body, which is sent piece
 * by piece, and only once the server says that it wants it. idle: longest time without a byte in
 * either direction. */
int http_upload(http_client *self, const char *method, const char *path, const http_header *headers,
                size_t n_headers, int fd, uint64_t size, pw_usec idle, http_answer *ret,
                pw_err *err);
/* Streams the body of a GET to `sink` as it comes; sink returns 0, or non-zero to end the transfer
 * (then the call returns 0). `idle` > 0: fails with PW_ETIMEDOUT after that long without a byte.
 * Returns the status. A status over 299 puts the body's text in err. */
typedef int http_sink(void *self, const char *p, size_t n);
long http_stream(http_client *self, const char *path, const http_header *headers, size_t n_headers,
                 pw_usec idle, http_sink *sink, void *sink_self, pw_err *err);
/* Percent-encodes one path or query part into b. */
int http_escape(pw_buf *b, const char *s);
#endif
