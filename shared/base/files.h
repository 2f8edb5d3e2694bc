/* files.h - how many files a process may have open. Ten thousand workers are ten thousand sockets,
 * while the soft limit that a shell or a unit gives is 1,024: a server takes what it is allowed. */
#ifndef PW_SHARED_BASE_FILES_H
#define PW_SHARED_BASE_FILES_H
#include <stdint.h>
#include <sys/types.h>

#include "shared/base/err.h"

enum { PW_FILES_MOST = 1024 * 1024 }; /* "unlimited" is no number to prepare for */

/* Raises this process's soft limit to the hard one; logs what it is. Returns the soft limit that it
 * found, for programs that are to be started with it. Before threads; a failure changes nothing. */
uint64_t pw_files_raise(void);
/* Sets the soft limit of a process of ours. */
int pw_files_set(pid_t pid, uint64_t soft, pw_err *err);
#endif
