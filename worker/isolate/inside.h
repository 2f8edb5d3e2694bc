/* inside.h - inside worker/isolate only. */
#ifndef PW_WORKER_ISOLATE_INSIDE_H
#define PW_WORKER_ISOLATE_INSIDE_H
#include "worker/isolate/isolate.h"

/* Refuses users that may be somebody's. */
int iso_user_add(iso_host *h, uid_t uid, gid_t gid, const char *name, pw_err *err);
/* The n characters are a number that an id can be. */
bool iso_number(const char *s, size_t n, uint64_t *ret);
#endif
