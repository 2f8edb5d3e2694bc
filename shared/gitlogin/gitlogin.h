/* gitlogin.h - credentials for the git program: files in a folder of the user's own, and variables
 * that name them. No value is in an argument, in an environment or in a text. One thread an object;
 * blocks for the microseconds of making some small files. */
#ifndef PW_SHARED_GITLOGIN_GITLOGIN_H
#define PW_SHARED_GITLOGIN_GITLOGIN_H
#include <stdbool.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum { GITLOGIN_ENV = 4 };

/* Borrowed texts; NULL: none. */
typedef struct gitlogin {
    const char *user, *password; /* http(s) */
    const char *key;             /* ssh: a private key */
    const char *key_file;        /* ... or where it is */
    const char *known_hosts;     /* ssh: lines of a known_hosts file */
    const char *known_hosts_file;
} gitlogin;

/* What git needs of it; {0} is one that needs nothing. */
typedef struct gitlogin_dir {
    char *path; /* owned; NULL: there are no files */
    /* owned "NAME=value"; NULL behind the last */
    char *env[GITLOGIN_ENV + 1];
    bool http; /* git is to be given -c credential.helper= */
} gitlogin_dir;

/* Whether the address is of ssh (ssh:// or HOST:PATH), of http(s). */
bool gitlogin_is_ssh(const char *url);
bool gitlogin_is_http(const char *url);
/* What is wrong with such a login for that address, in words that follow the key's name in a
 * message; NULL: nothing. */
const char *gitlogin_wrong(const gitlogin *l, const char *url);
/* Makes PARENT (0700) and a folder in it. What the address has no use for is not written. */
int gitlogin_open(const gitlogin *l, const char *url, const char *parent, gitlogin_dir *ret,
                  pw_err *err);
/* Removes the files. Idempotent. */
void gitlogin_close(gitlogin_dir *d);
/* Removes what killed processes left below PARENT. */
void gitlogin_sweep(const char *parent);

typedef enum gitlogin_trouble {
    GITLOGIN_OTHER,
    GITLOGIN_REFUSED, /* the server does not take it, or wants one */
    GITLOGIN_STRANGER /* ssh: the server's key is not known, or another one */
} gitlogin_trouble;
/* Why git failed, by what it said. */
gitlogin_trouble gitlogin_read(const char *said);
#endif
