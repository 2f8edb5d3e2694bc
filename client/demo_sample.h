/* demo_sample.h - inside of client/: the files of the demo's sample project, a small C library with
 * a test. Constant. */
#ifndef PW_CLIENT_DEMO_SAMPLE_H
#define PW_CLIENT_DEMO_SAMPLE_H

typedef enum sample_kind { SAMPLE_GOOD, SAMPLE_BROKEN, SAMPLE_MENDED, SAMPLE_KINDS } sample_kind;
typedef struct sample_file {
    const char *name, *text;
} sample_file;
/* The files that are the same in all commits; ends with a name of NULL. */
extern const sample_file sample_files[];
/* wordcount.c of each commit. */
extern const char *const sample_wordcount[SAMPLE_KINDS];
#endif
