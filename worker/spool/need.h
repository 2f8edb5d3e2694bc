/* need.h - where a runner's questions to the master and their answers lie:
 *
 *   SPOOL/needs/EPOCH-ATTEMPT.ask        the question (job_ask), written by the runner
 *   SPOOL/needs/EPOCH-ATTEMPT.SEQ.part   what came so far, written by the agent
 *   SPOOL/needs/EPOCH-ATTEMPT.SEQ.got    the answer (job_got): the part is whole, or never will be
 *
 * The runner says by a note on the FIFO, now and again while it waits, that there is a question;
 * the agent says by an order to the runner that there is an answer. Both are hints, the files
 * count: so either of them may be killed. The runner removes the files; the agent those of runners
 * that died. */
#ifndef PW_WORKER_SPOOL_NEED_H
#define PW_WORKER_SPOOL_NEED_H
#include "worker/spool/spool.h"

/* The length in a note that says so: no journal has it. */
#define SPOOL_NOTE_ASK UINT64_MAX

/* New text, owned; NULL when memory ran out. */
char *spool_need_dir(const char *spool);
char *spool_need_ask(const char *spool, spool_job j);
char *spool_need_part(const char *spool, spool_job j, uint64_t seq);
char *spool_need_got(const char *spool, spool_job j, uint64_t seq);
#endif
