#include "shared/http/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/http/impl.h"

struct http_wire {
    CURL *easy; /* owned */
    bool global;
    _Atomic bool *stop;
    curl_socket_t fd;
    char text[CURL_ERROR_SIZE];
};

static int on_progress(void *p, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const http_wire *self = p;
    (void)a, (void)b, (void)c, (void)d;
    return self->stop && atomic_load(self->stop);
}

static bool set_options(http_wire *self, const char *url, const char *ca, pw_usec timeout)
{
    unsigned failed = 0;
    long ms = timeout / 1000 > INT_MAX ? INT_MAX : (long)(timeout / 1000);
#define SET(option, value) (failed |= curl_easy_setopt(self->easy, (option), (value)) != CURLE_OK)
    SET(CURLOPT_ERRORBUFFER, self->text);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_CONNECT_ONLY, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSL_ENABLE_ALPN, 0L); /* it is no HTTP that will be spoken */
    if (ca)
        SET(CURLOPT_CAINFO, ca);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_CONNECTTIMEOUT_MS, ms);
    SET(CURLOPT_TIMEOUT_MS, ms);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, self);
#undef SET
    return !failed;
}

http_wire *http_wire_open(const char *address, bool tls, const char *ca, pw_usec timeout,
                          _Atomic bool *stop, pw_err *err)
{
    char url[400];
    PW_AUTO(http_wire_closep) http_wire *self = calloc(1, sizeof(*self));
    if (self) {
        self->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
        self->easy = self->global ? curl_easy_init() : NULL;
    }
    (void)snprintf(url, sizeof(url), "%s://%s/", tls ? "https" : "http", address);
    if (!self || !self->easy) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->stop = stop;
    if (!set_options(self, url, ca, timeout)) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    CURLcode rc = curl_easy_perform(self->easy);
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(self->easy, CURLINFO_ACTIVESOCKET, &self->fd);
    if (rc != CURLE_OK || self->fd == CURL_SOCKET_BAD) {
        (void)pw_fail(err, rc == CURLE_OUT_OF_MEMORY ? PW_ENOMEM : PW_EAGAIN, "%s",
                      self->text[0] ? self->text : curl_easy_strerror(rc));
        return NULL;
    }
    return pw_take(self);
}

http_wire *http_wire_close(http_wire *self)
{
    if (!self)
        return NULL;
    if (self->easy)
        curl_easy_cleanup(self->easy);
    if (self->global)
        curl_global_cleanup();
    free(self);
    return NULL;
}

static bool wait_for(const http_wire *self, short events, pw_usec timeout)
{
    struct pollfd p = {.fd = self->fd, .events = events};
    return poll(&p, 1, (int)(timeout / 1000)) > 0;
}

int http_wire_send(http_wire *self, const char *p, size_t n, pw_usec timeout, pw_err *err)
{
    while (n) {
        size_t k = 0;
        CURLcode rc = curl_easy_send(self->easy, p, n, &k);
        if (rc == CURLE_AGAIN && !wait_for(self, POLLOUT, timeout))
            return pw_fail(err, PW_ETIMEDOUT, "the server does not read");
        if (rc != CURLE_OK && rc != CURLE_AGAIN)
            return pw_fail(err, PW_EAGAIN, "the connection broke: %s", curl_easy_strerror(rc));
        p += k;
        n -= k;
    }
    return 0;
}

int64_t http_wire_recv(http_wire *self, char *buf, size_t cap, pw_usec timeout, pw_err *err)
{
    for (bool waited = false;; waited = true) {
        size_t k = 0;
        CURLcode rc = curl_easy_recv(self->easy, buf, cap, &k);
        if (rc == CURLE_OK && k > 0)
            return (int64_t)k;
        if (rc == CURLE_OK)
            return pw_fail(err, PW_ENOTFOUND, "the server closed the connection");
        if (rc != CURLE_AGAIN)
            return pw_fail(err, PW_EAGAIN, "the connection broke: %s", curl_easy_strerror(rc));
        if (waited || !wait_for(self, POLLIN, timeout))
            return 0;
    }
}
