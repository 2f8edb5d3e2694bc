/* kind.h - the kinds of steps, in one table for all: rows of the database have their numbers, jobs
 * and pages their names, and a worker that knows a kind has the feature of that name. */
#ifndef PW_SHARED_JOB_KIND_H
#define PW_SHARED_JOB_KIND_H
#include "shared/job/job.h"

/* Numbers stand in databases: only add. */
enum {
    JOB_KIND_RUN,
    JOB_KIND_CHECKOUT,
    JOB_KIND_SET_PROPERTY,
    JOB_KIND_ANNOTATE,
    JOB_KIND_HTTP,
    JOB_KIND_CACHE,
    JOB_KIND_CACHE_SAVE, /* no key of a file: Pawl puts it behind the steps of who has a cache */
    JOB_KIND_ARTIFACTS,
    JOB_KIND_REPORTS,
    JOB_KIND_FETCH,
    JOB_KIND_TRIGGER,
    JOB_KINDS
};
enum { JOB_MUST_MAX = PW_PAIRS_MAX };

const char *job_kind_name(uint64_t kind); /* "run" for a number that is none */
/* Its number; JOB_KINDS: none. */
unsigned job_kind_number(const char *name);
/* What a worker must know to run this job: names, each once, that are constants or the job's.
 * Returns how many. */
size_t job_must(const job_spec *job, const char *out[JOB_MUST_MAX]);
#endif
