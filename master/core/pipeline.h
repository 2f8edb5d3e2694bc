/* pipeline.h - pipeline files of revisions, as the core has them. Private to master/core. */
#ifndef PW_MASTER_CORE_PIPELINE_H
#define PW_MASTER_CORE_PIPELINE_H
#include "master/core/parts.h"

typedef struct core_pipe_text {
    char *path, *text; /* text NULL: there is no such file */
} core_pipe_text;
typedef struct core_pipe {
    uint64_t id;
    size_t project;
    store_rev rev;
    core_pipe_text *text;
    size_t n_texts;
    char *wanted;  /* path that is read next; NULL: all is here, as file or errors */
    pl_file *file; /* NULL: errors */
    char *errors;  /* FILE:LINE:COLUMN: text, one a line */
    bool asking;
    pw_usec due;   /* when to ask again */
    char *trouble; /* why it could not be read; NULL: nothing is known */
    struct core_pipe *next;
} core_pipe;

/* make: its row is made when absent; else NULL then. NULL after a fault, too. */
core_pipe *core_pipe_open(core *self, size_t project, const store_rev *rev, bool make);
/* NULL: the configuration has no such file any more. */
core_pipe *core_pipe_by_id(core *self, uint64_t id);
/* Whether one of these files (one a line) is of the pipeline itself. */
bool core_pipe_touched(const core_pipe *p, const char *files);
/* make.c: the file is here, or wrong: what r stands for is made of it. */
void core_ask_resume(core *self, core_request *r, core_pipe *p);
#endif
