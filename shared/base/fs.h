/* fs.h - files: whole reads and writes, durable replacement, paths that stay beneath a folder.
 * Blocking calls. */
#ifndef PW_SHARED_BASE_FS_H
#define PW_SHARED_BASE_FS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

/* Closes and sets to -1; for PW_AUTO. */
void pw_closep(int *fd);
/* Reads a whole file of at most `max` bytes into b (appended). PW_ENOTFOUND when absent, PW_ELIMIT
 * when larger. */
int pw_fs_read(const char *path, size_t max, pw_buf *b, pw_err *err);
/* Writes a new file beside, syncs it, renames it over `path`, syncs the folder. */
int pw_fs_replace(const char *path, const void *p, size_t n, mode_t mode, pw_err *err);
/* Removes from a folder what a pw_fs_replace that was cut off left there. Only while nobody else
 * can be replacing a file of it. What cannot be removed stays. */
int pw_fs_sweep(const char *path, pw_err *err);
int pw_fs_write_all(int fd, const void *p, size_t n, pw_err *err);
/* PW_ECORRUPT when the file ends before */
int pw_fs_pread_all(int fd, void *p, size_t n, off_t at, pw_err *err);
/* mkdir -p; an existing folder is fine. */
int pw_fs_mkdirs(const char *path, mode_t mode, pw_err *err);
int pw_fs_sync_dir(const char *path, pw_err *err);
/* Removes a tree without following links out of it. Absent is fine. */
int pw_fs_remove_tree(const char *path, pw_err *err);
/* base/name, where name is relative and has no "..", no empty part and no NUL: PW_EINVAL else. New
 * text, owned. */
char *pw_path_join_beneath(const char *base, const char *name, pw_err *err);
/* Opens base/name following no link below base, whatever the folders on the way have become: a job
 * may have replaced them. `name` as for pw_path_join_beneath(). Returns the fd (owned, O_CLOEXEC)
 * or a negative code, errno in err; PW_ENOTFOUND when absent. */
int pw_fs_open_beneath(const char *base, const char *name, int flags, mode_t mode, pw_err *err);
/* base/name without checks, for names that are ours. New text, owned; NULL when memory ran out. */
char *pw_path_join(const char *base, const char *name);
/* True when `s` is usable as one file name: 1..100 bytes of [A-Za-z0-9._+=,@-], not starting with
 * '.'. */
bool pw_name_ok(const char *s);
/* Free bytes on the file system of `path`; -1 when unknown. */
int64_t pw_fs_free(const char *path);
/* Takes an exclusive flock without waiting; returns the fd (owned, O_CLOEXEC), PW_EAGAIN when
 * another holds it. Makes the file. */
int pw_fs_lock(const char *path, pw_err *err);
/* The same lock, shared, waited for: many may hold it, and none who wants it alone. */
int pw_fs_lock_shared(const char *path, pw_err *err);
/* The same, but tries for 0.4 s: a process that was killed while it started a child leaves the lock
 * to it until the child has become its program. For locks that a whole process holds. */
int pw_fs_lock_soon(const char *path, pw_err *err);
#endif
