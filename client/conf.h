/* conf.h - ~/.config/pawl/config and the choice of master and token. Blocking file calls; results
 * are owned by the caller. */
#ifndef PW_CLIENT_CONF_H
#define PW_CLIENT_CONF_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

enum { CONF_FILE_MAX = 64 * 1024, CONF_TOKEN_MAX = 4096 };

typedef struct client_conf {
    char *url, *token_file; /* owned; NULL: not in the file */
} client_conf;
void client_conf_clear(client_conf *c);
/* Lines `key = value`; empty lines and lines that begin with # are skipped. Keys: url, token-file
 * (a path that begins with ~/ is relative to home, which may be NULL). PW_EINVAL: `FILE:LINE: what
 * is wrong`. */
int client_conf_parse(const char *file, const char *text, size_t n, const char *home,
                      client_conf *ret, pw_err *err);

/* Where the options, the environment and the files point to. */
typedef struct client_place {
    const char *url, *token_file, *state; /* options; NULL: not given */
    const char *env_url;                  /* PAWL_URL */
    const char *config;                   /* path of the configuration file; NULL: none */
    const char *home;
} client_place;
/* The address: --url, --state, PAWL_URL, the file, the default; the token: --token-file, --state,
 * and the file's only when the address is the file's (a token never goes to a master that it was
 * not meant for). *ret_token is NULL when there is none. A token file that others may read is
 * PW_EDENIED. */
int client_conf_choose(const client_place *p, char **ret_url, char **ret_token, pw_err *err);
/* First line of a small file; owned. */
int client_line_read(const char *path, char **ret, pw_err *err);
#endif
