/* isolate.h - how a job is kept apart from the machine: `none`, `user` (a uid of its own), `bwrap`
 * (a name space with a read-only system), `podman:IMAGE`. What the machine can do, found by trying;
 * the commands that enter it; users that belong to one job at a time, of whom nothing is left
 * afterwards. Plain data; one thread. Blocking calls. */
#ifndef PW_WORKER_ISOLATE_ISOLATE_H
#define PW_WORKER_ISOLATE_ISOLATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/base/err.h"

typedef enum iso_kind { ISO_NONE, ISO_USER, ISO_BWRAP, ISO_PODMAN } iso_kind;
enum {
    ISO_KINDS = 4,
    ISO_USERS_MAX = 1024,
    ISO_IMAGE_MAX = 250,
    ISO_UID_MIN = 100, /* below are the system's own */
    ISO_PATHS_MAX = 64,
};

const char *iso_kind_name(iso_kind k); /* "podman" without its image */
/* "none", "user", "bwrap", "podman:IMAGE"; *ret_image (NULL: none) is borrowed from text. */
bool iso_parse(const char *text, iso_kind *ret, const char **ret_image);
/* The word of a list of offers: "podman" has no image there. */
bool iso_kind_parse(const char *word, iso_kind *ret);

typedef struct iso_user {
    uid_t uid;
    gid_t gid;
    char *name; /* owned */
} iso_user;

/* What a worker offers. All owned; lists of texts end with NULL. */
typedef struct iso_host {
    bool offers[ISO_KINDS];
    iso_kind first; /* what a job gets that asks for none */
    iso_user *users;
    size_t n_users;
    char **hide;   /* files that no job may see: keys */
    char **show;   /* folders that a bwrap job sees beside the system, read-only */
    char **podman; /* arguments for `podman run` */
} iso_host;
void iso_host_clear(iso_host *h);
/* Appends to a list of texts. */
int iso_list_add(char ***list, const char *text, pw_err *err);
size_t iso_list_len(char *const *list);
/* "pawl1" or "70000-70009" (or one number); names are looked up. PW_EINVAL says why not. */
int iso_users_add(iso_host *h, const char *text, pw_err *err);
/* "UID:GID:NAME", as pawl-run is told: no look at the system's users. */
int iso_user_parse(iso_host *h, const char *text, pw_err *err);

/* Options of pawl-run, in pairs: what the host is, as texts, appended; and one pair read. */
int iso_options(const iso_host *h, char ***list, pw_err *err);
bool iso_option(iso_host *h, const char *name, const char *value);

/* ---- check.c: at the agent's start */
/* Whether the machine can do what the host offers for so many jobs at once with this spool; each
 * user must be able to pass through the folders above it. The error says what is missing and the
 * cure. Also sets who may pass through the spool's own folders. */
int iso_check(const iso_host *h, const char *spool, uint64_t slots, pw_err *err);
/* A job under this kind needs a user of its own. */
bool iso_needs_user(const iso_host *h, iso_kind k);

/* ---- command.c: pure */
typedef struct iso_place {
    iso_kind kind;
    const char *image;
    bool no_network, tty;
    const char *spool, *workdir, *tmpdir, *home; /* home: of the agent, may be NULL */
    char *const *read;                           /* mirrors: seen, not written; may be NULL */
    const char *name;                            /* of the container */
} iso_place;
/* Appends to *ret (owned texts, NULL behind the last) the command that runs argv in `dir` there.
 * status_fd: where bwrap says how it went. env: its names are handed on to a container. */
int iso_command(const iso_host *h, const iso_place *p, const char *const *argv, const char *dir,
                const char *const *env, int status_fd, char ***ret, pw_err *err);
void iso_list_free(char **list);
static inline void iso_list_freep(char ***list)
{
    iso_list_free(*list);
    *list = NULL;
}

/* ---- users.c: by root */
/* A user that no other job has: `prefer` if it is free (0: none), else the first. Ends what still
 * runs under it. Returns the lock (owned), SPOOL/users/UID; PW_EAGAIN: all are taken. */
int iso_user_take(const iso_host *h, const char *spool, uid_t prefer, const iso_user **ret,
                  pw_err *err);
/* Ends every process of the user and removes what it has in /tmp, /var/tmp, /dev/shm and System V
 * memory. PW_EAGAIN: a process would not go. */
int iso_user_end(const iso_user *u, pw_err *err);
/* Makes the tree the user's. What has several names, or is somebody else's (neither root's nor of
 * a user of the host), is not given away: PW_EDENIED, then the tree is to be made anew. */
int iso_give(const iso_host *h, const char *dir, const iso_user *u, pw_err *err);
#endif
