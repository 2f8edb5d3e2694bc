/* ask.h - what a runner asks of its agent, to be had from the master, and the agent's answer: two
 * files in the spool. Plain data with one table each, like the job. */
#ifndef PW_SHARED_JOB_ASK_H
#define PW_SHARED_JOB_ASK_H
#include "shared/wire/msg.h"

enum {
    PW_ASK_ITEMS_MAX = 500,   /* of one question */
    PW_ASK_MAX = 1024 * 1024, /* bytes of it, encoded */
    PW_GOT_MAX = 16 * 1024,   /* of the answer */
};

typedef struct job_ask_item {
    uint64_t what; /* pw_need */
    char *from, *name;
    pw_strs have;
    uint64_t size; /* PW_NEED_FILE: its bytes, not 0; else not known */
} job_ask_item;
typedef struct job_ask {
    uint64_t seq;  /* of the job, from 1: names what comes */
    pw_list items; /* job_ask_item: either files, or one of another kind; their bytes come behind
                      each other in one file */
} job_ask;
typedef struct job_got {
    uint64_t seq;
    char *error;  /* why there is nothing; NULL: it is all there */
    bool ours;    /* that is the worker's trouble, not the master's word */
    pw_bytes sum; /* of an item of unknown size: SHA-256 as the master told it */
} job_got;
extern const pw_schema job_ask_schema, job_got_schema;
/* Reads a question and holds it against what is said above. *ret is to be cleared. */
int job_ask_read(const void *p, size_t n, job_ask *ret, pw_err *err);
#endif
