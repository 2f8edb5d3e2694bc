#include "client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void client_init(client *c, const pw_host *host)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size;
    *c = (client){.host = host, .out = stdout};
    c->tty = isatty(STDOUT_FILENO) == 1 && term && strcmp(term, "dumb") != 0;
    c->colour = c->tty && !(no_color && *no_color);
    if (c->tty)
        c->width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void client_clear(client *c)
{
    http_client_free(c->http);
    free(c->address);
    *c = (client){0};
}

int client_write(client *c, const char *p, size_t n, pw_err *err)
{
    if (fwrite(p, 1, n, c->out) != n || fflush(c->out) != 0)
        return pw_fail_sys(err, "writing the output");
    return 0;
}

int client_put(client *c, const pw_buf *text, pw_err *err)
{
    if (text->failed)
        return pw_fail(err, PW_ENOMEM, "writing the output: it is too large");
    return client_write(c, pw_buf_str(text), text->len, err);
}

void client_say(client *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(c->out, fmt, ap);
    va_end(ap);
    (void)fflush(c->out);
}

void client_pause(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}
