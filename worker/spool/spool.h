/* spool.h - what agent and runner agree on: where a job's files are, the notes that a runner gives,
 * and how it is reached.
 *
 *   SPOOL/id                     32 hex digits, made with the folder; lock: held by the agent;
 * worker.key, worker.yaml SPOOL/jobs/EPOCH-ATTEMPT.job      the job as sent (EPOCH 16 hex digits,
 * ATTEMPT decimal) SPOOL/jobs/EPOCH-ATTEMPT.journal  its journal; the flock on it is the right to
 * append SPOOL/kept/                  both files of jobs that the master said to forget, for
 * spool_keep SPOOL/grown                  FIFO: notes from runners, hints only
 *   SPOOL/cache/PROJECT/HASH.tar, .key
 *   SPOOL/work/PROJECT/BUILDER/N      work directories, N.lock beside each (flock held by the
 * runner that uses it), N.tmp (TMPDIR, emptied after each job) SPOOL/mirrors/               bare
 * clones, shared by builders A runner is reached by a datagram socket in the abstract namespace,
 * named after spool and job: it costs no file, and is gone with its process, so nobody is ever
 * reached by a stored pid. Both sides check the sender's uid. */
#ifndef PW_WORKER_SPOOL_SPOOL_H
#define PW_WORKER_SPOOL_SPOOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

enum { SPOOL_ID = 33, SPOOL_JOB_NAME = 48 };
#define SPOOL_CACHE_LIMIT (10ULL << 30) /* bytes of SPOOL/cache, if nobody says else */
typedef struct spool_job {
    uint64_t epoch, attempt;
} spool_job;
/* "0123456789abcdef-17" */
const char *spool_job_name(spool_job j, char out[SPOOL_JOB_NAME]);
bool spool_job_parse(const char *name, size_t n, spool_job *ret); /* exactly that form, n bytes */
/* SPOOL/jobs/NAME.job or .journal; new text, owned; NULL when memory ran out. */
char *spool_path_job(const char *spool, spool_job j);
char *spool_path_journal(const char *spool, spool_job j);
/* SPOOL/jobs/NAME.secrets (0600): the values of its secrets, from the agent's acceptance until the
 * runner has read it, which removes it before anything is started. */
char *spool_path_secrets(const char *spool, spool_job j);

/* ---- notes: 24 bytes each on the FIFO, so writes never mix */
typedef struct spool_note {
    spool_job job;
    uint64_t length; /* of the journal */
} spool_note;
/* Makes the FIFO if absent and opens it O_RDWR | O_NONBLOCK, so that no side ever sees EOF or
 * SIGPIPE. Returns the fd (owned). */
int spool_notes_open(const char *spool, pw_err *err);
/* A full FIFO is no error: notes are hints. */
void spool_notes_put(int fd, spool_note n);
/* Reads up to max notes; returns how many (0: none waiting). */
int spool_notes_get(int fd, spool_note *out, int max);

/* ---- control: agent -> runner */
typedef enum spool_order {
    SPOOL_CANCEL = 1,
    SPOOL_HERE, /* what it asked for (need.h): look */
    SPOOL_NOTE  /* "SEQ TEXT": what the master has to say to a step that asked */
} spool_order;
enum { SPOOL_TEXT_MAX = 4096 }; /* a note of the protocol, and its number */
/* The runner's end. Returns the fd (owned), PW_ECONFLICT when another holds the name. */
int spool_control_bind(const char *spool_id, spool_job j, pw_err *err);
/* Next order; false when none is waiting (or it came from another user). */
bool spool_control_get(int fd, spool_order *ret, char text[SPOOL_TEXT_MAX + 1]);
/* The agent's end: PW_ENOTFOUND when no runner listens under that name. */
int spool_control_send(const char *spool_id, spool_job j, spool_order order, const char *text,
                       pw_err *err);

/* ---- zygote: the agent sends one job name per SEQPACKET message to `pawl-run --serve SPOOL --fd
 * N`; the zygote forks one runner for each and says nothing. When the agent's
 * end closes it takes no more, and ends with its last runner. */
#endif
