/* tar.h - a tar archive through zstd, as backups are: written member by member, read back strictly.
 * Plain files only (and, inside, pax records for long names and sizes); anything else in an archive
 * is refused. What is written is readable by `tar --zstd`. Blocks; one thread; inside this folder.
 */
#ifndef PW_MASTER_BACKUP_TAR_H
#define PW_MASTER_BACKUP_TAR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum { TAR_NAME_MAX = 1024 };

typedef struct tar_out tar_out;
/* fd: borrowed, written from where it stands. */
tar_out *tar_out_new(int fd, pw_err *err);
tar_out *tar_out_free(tar_out *self);
PW_DEFINE_FREEP(tar_out, tar_out_free)
/* A member of exactly `size` bytes begins: tar_out_add gives them. */
int tar_out_member(tar_out *self, const char *name, uint64_t size, int64_t mtime, pw_err *err);
int tar_out_add(tar_out *self, const void *p, size_t n, pw_err *err);
/* The archive's end; everything is with the kernel. *ret_bytes: compressed. */
int tar_out_end(tar_out *self, uint64_t *ret_bytes, pw_err *err);

typedef struct tar_in tar_in;
typedef struct tar_member {
    char name[TAR_NAME_MAX + 1];
    uint64_t size;
} tar_member;
tar_in *tar_in_new(int fd, pw_err *err);
tar_in *tar_in_free(tar_in *self);
PW_DEFINE_FREEP(tar_in, tar_in_free)
/* The next member (what is left of the one before is skipped): 1, or 0 at the archive's end.
 * PW_ECORRUPT for anything that tar_out does not write, and for a file that ends before the end. */
int tar_in_next(tar_in *self, tar_member *ret, pw_err *err);
/* Up to cap bytes of the member; 0 at its end. */
int64_t tar_in_read(tar_in *self, void *p, size_t cap, pw_err *err);
/* Compressed bytes read so far. */
uint64_t tar_in_position(const tar_in *self);
#endif
