/* wire.h - a plain stream of bytes to a server, with TLS or without, over curl (which brings TLS
 * along): for protocols that curl does not speak. One thread per object. */
#ifndef PW_SHARED_HTTP_WIRE_H
#define PW_SHARED_HTTP_WIRE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

typedef struct http_wire http_wire;
/* Connects; blocks at most `timeout`, or until *stop (borrowed, may be NULL). address: HOST:PORT.
 * ca: file of authorities (PEM); NULL: the system's. */
http_wire *http_wire_open(const char *address, bool tls, const char *ca, pw_usec timeout,
                          _Atomic bool *stop, pw_err *err);
http_wire *http_wire_close(http_wire *self);
PW_DEFINE_FREEP(http_wire, http_wire_close)
/* All of it, or a negative code: PW_ETIMEDOUT when the other side does not read. */
int http_wire_send(http_wire *self, const char *p, size_t n, pw_usec timeout, pw_err *err);
/* Waits at most `timeout` for bytes; 0: none came. PW_ENOTFOUND: the other side has closed. */
int64_t http_wire_recv(http_wire *self, char *buf, size_t cap, pw_usec timeout, pw_err *err);
#endif
