/* tarball.h - files of a build as a tar archive (POSIX, pax headers for long names), made while it
 * is sent: one descriptor and a list of names. */
#ifndef PW_MASTER_HTTP_TARBALL_H
#define PW_MASTER_HTTP_TARBALL_H
#include "master/http/impl.h"
#include "master/store/files.h"

typedef struct tarball tarball;
/* A stream of the server's was begun for it; it ends with it. */
tarball *tarball_new(web_server *web);
void tarball_free(void *self);
int tarball_add(tarball *self, const store_artifact *a);
ssize_t tarball_read(void *self, uint64_t pos, char *to,
                     size_t max); /* MHD_ContentReaderCallback */

/* The head of a member: 512 bytes, or with a pax header before it. Appended. */
int tarball_head(pw_buf *b, const char *path, uint64_t size, uint64_t mode, pw_msec at);
#endif
