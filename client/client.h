/* client.h - what every command of pawl gets: the chosen options, the terminal, and the way to the
 * master. Owned by main(); one thread. Nothing is dialled before the first call of rest.h, so that
 * commands without a master work without one. */
#ifndef PW_CLIENT_CLIENT_H
#define PW_CLIENT_CLIENT_H
#include <stdbool.h>
#include <stdio.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/host.h"
#include "shared/http/http.h"

#define CLIENT_DEFAULT_URL                                                                         \
    "http://127.0.0.1:8010" /* where a master listens that was not told otherwise */

typedef struct client {
    const pw_host *host;
    FILE *out;
    const char *url, *token_file, *state, *ca; /* options; borrowed, NULL when not given */
    bool json;
    bool tty;    /* out is a terminal: relative times, progress */
    bool colour; /* tty, and NO_COLOR is not set */
    int width;   /* columns of the terminal; 0: do not cut */

    char *address;     /* owned: the master's URL once it was looked up */
    http_client *http; /* owned; NULL until the first call */
} client;

/* Looks at stdout and the environment. */
void client_init(client *c, const pw_host *host);
void client_clear(client *c);
/* Writes to out and flushes it. PW_ESYS when it could not. */
int client_write(client *c, const char *p, size_t n, pw_err *err);
int client_put(client *c, const pw_buf *text, pw_err *err);
/* Text and flush, for lines that tell how something goes on. Failures to write show in the exit
 * status of the whole. */
void client_say(client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Waits ms milliseconds (for polling). */
void client_pause(int ms);
#endif
