/* Certificate and key of the listener. The library takes them as text and does the rest by GnuTLS;
 * the text must stay as long as it runs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/http/impl.h"
#include "shared/base/fs.h"

enum { PEM_MAX = 256 * 1024 };

static int read_pem(const char *path, const char *what, const char *mark, pw_buf *b, pw_err *err)
{
    int r = pw_fs_read(path, PEM_MAX, b, err);
    if (r < 0) {
        pw_err_context(err, "the %s of the web server", what);
        return r;
    }
    if (!memmem(pw_buf_str(b), b->len, mark, strlen(mark)) || memchr(pw_buf_str(b), 0, b->len))
        return pw_fail(err, PW_EINVAL, "\"%s\" is no %s in PEM form", path, what);
    return 0;
}

int web_tls_load(web_server *self, const char *cert, const char *key, pw_err *err)
{
    struct stat st;
    int r;
    if (!cert || !key)
        return 0;
    if (stat(key, &st) < 0)
        return pw_fail_sys(err, "the key of the web server, \"%s\"", key);
    /* a group may read it: Debian's ssl-cert. Nobody else may, and only the owner may write. */
    if (st.st_mode & (S_IRWXO | S_IWGRP))
        return pw_fail(
            err, PW_EDENIED,
            "the key of the web server, \"%s\", is open to others (mode %03o): chmod 600", key,
            (unsigned)(st.st_mode & 0777));
    if ((r = read_pem(cert, "certificate", "-----BEGIN CERTIFICATE-----", &self->cert, err)) < 0 ||
        (r = read_pem(key, "private key", "PRIVATE KEY-----", &self->key, err)) < 0)
        return r;
    self->tls = true;
    return 0;
}

void web_tls_clear(web_server *self)
{
    if (self->key.p)
        explicit_bzero(self->key.p, self->key.len);
    pw_buf_clear(&self->key);
    pw_buf_clear(&self->cert);
}
