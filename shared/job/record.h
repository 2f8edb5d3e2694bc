/* record.h - payloads of the journal's records (framing: shared/journal). All but `log` and
 * `artifact` are schema maps; these two are a fixed head, little endian, and then bytes which are
 * stored by the master as they are. */
#ifndef PW_SHARED_JOB_RECORD_H
#define PW_SHARED_JOB_RECORD_H
#include "shared/job/result.h"
#include "shared/wire/schema.h"

typedef enum pw_rec_kind {
    PW_REC_HEADER = 1,
    PW_REC_START,
    PW_REC_STEP_START,
    PW_REC_LOG,
    PW_REC_CUT,
    PW_REC_TEST,
    PW_REC_ARTIFACT,
    PW_REC_MATCH,
    PW_REC_PROPERTY,
    PW_REC_TRIGGER,
    PW_REC_NOTE,
    PW_REC_STEP_END,
    PW_REC_END,
    PW_REC_FILE,  /* a file is whole: its bytes stand in PW_REC_ARTIFACT records before it */
    PW_REC_REPORT /* what a test report says as a whole */
} pw_rec_kind;
enum { PW_REC_CRITICAL = 1 }; /* flag: a master that does not know the kind must stop there */

typedef struct rec_header { /* first record, written by the agent when it spools the job */
    uint64_t format;        /* 1 */
    uint64_t epoch, attempt;
    pw_bytes digest;
    uint64_t run; /* random id of this journal */
} rec_header;
typedef struct rec_start { /* written by the runner under its lock: the job has begun */
    uint64_t pid;
    uint64_t wall_ms;
    char *workdir;
} rec_start;
typedef struct rec_step_start {
    uint64_t step; /* index from 0 */
    uint64_t wall_ms;
} rec_step_start;
typedef struct rec_step_end {
    uint64_t step;
    uint64_t result;    /* pw_result */
    bool ran;           /* false: skipped */
    uint64_t exit_code; /* meaningful when ran and no signal */
    uint64_t signal;
    char *reason; /* NULL when there is nothing to say */
    uint64_t wall_ms;
    uint64_t cpu_ms, max_rss;         /* bytes */
    uint64_t lines, bytes;            /* of its output, all streams */
    uint64_t read_bytes, write_bytes; /* from and to disks, by all its processes */
} rec_step_end;
typedef struct rec_property {
    uint64_t step;
    char *name, *value;
} rec_property;
typedef struct rec_note { /* something that people should see beside the build */
    uint64_t step;
    char *context; /* a later one of the same context takes its place */
    char *style;   /* "info" "success" "warning" "error" */
    char *text;    /* Markdown */
} rec_note;
typedef struct rec_trigger { /* a scheduler of kind `triggered` is to build; critical */
    uint64_t step;
    char *scheduler;
    pw_list props;  /* msg_pair */
    char *revision; /* NULL: the build's own */
    bool wait;      /* the step ends with what is built */
    bool keep;      /* what it waits for goes on when its build ends before */
} rec_trigger;
typedef struct rec_end {
    uint64_t result; /* pw_result of the build */
    uint64_t wall_ms;
    char *reason;
    char *kept_dir; /* its work directory is kept for people; NULL: it is not */
    uint64_t kept_until_ms;
} rec_end;
typedef struct rec_cut { /* output left out of a log */
    uint64_t step, stream, position, bytes;
} rec_cut;
extern const pw_schema rec_header_schema, rec_start_schema, rec_step_start_schema,
    rec_step_end_schema, rec_property_schema, rec_note_schema, rec_trigger_schema, rec_end_schema,
    rec_cut_schema;
enum { PW_NOTE_MAX = 64 * 1024 }; /* bytes of a note's text */

enum { PW_STREAM_OUT = 0, PW_STREAM_ERR = 1, PW_STREAMS = 2 };
enum { PW_CODEC_RAW = 0, PW_CODEC_ZSTD = 1 };
enum { RECORD_LOG_HEAD = 48, PW_FRAME_RAW_MAX = 512 * 1024 };
typedef struct rec_log {
    uint16_t step;
    uint8_t stream;
    uint8_t codec;
    uint32_t raw_len;    /* bytes of output in the frame, 1..PW_FRAME_RAW_MAX */
    uint32_t lines;      /* line feeds in it */
    uint64_t raw_pos;    /* absolute position in that step's stream */
    uint64_t first_line; /* lines before it, so its first line is number first_line + 1 */
    uint64_t t_first_ms; /* wall clock of its first and last bytes */
    uint64_t t_last_ms;
    const uint8_t *frame; /* borrowed */
    size_t frame_len;
} rec_log;
/* Writes the head (RECORD_LOG_HEAD bytes). */
void rec_log_put_head(const rec_log *r, uint8_t out[RECORD_LOG_HEAD]);
/* Reads a payload and bounds every number (codec, stream, lengths; a raw frame's length must be
 * raw_len). */
int rec_log_get(const uint8_t *payload, size_t n, rec_log *out, pw_err *err);

/* ---- files that a step leaves: pieces in order, then one PW_REC_FILE. Both are critical. */
enum {
    RECORD_PIECE_HEAD = 16,
    PW_PIECE_MAX = 256 * 1024,
    PW_FILES_MAX = 100000, /* of one job */
    PW_PATH_MAX = 1000,
    PW_CASES_MAX = 256, /* of one record */
};
#define PW_FILE_MAX ((uint64_t)1 << 40) /* bytes of one file */
#define PW_FILE_KEEP_MAX_MS (UINT64_C(3650) * 24 * 3600 * 1000)
typedef struct rec_piece {
    uint32_t file; /* number in the job, from 0 */
    uint64_t position;
    const uint8_t *p; /* borrowed */
    size_t n;         /* 1..PW_PIECE_MAX */
} rec_piece;
void rec_piece_put_head(const rec_piece *r, uint8_t out[RECORD_PIECE_HEAD]);
int rec_piece_get(const uint8_t *payload, size_t n, rec_piece *out, pw_err *err);

typedef enum pw_file_kind {
    PW_FILE_ARTIFACT,
    PW_FILE_REPORT,
    PW_FILE_SUMMARY,
    PW_FILE_KINDS
} pw_file_kind;
typedef struct rec_file {
    uint64_t file, step, kind;
    char *path; /* see rec_path_ok() */
    uint64_t size, mode;
    pw_bytes sha256;
    uint64_t keep_ms; /* 0: as long as its project says */
} rec_file;
/* Relative, no part that is empty, "." or "..", 1..PW_PATH_MAX bytes of UTF-8 without control
 * characters. */
bool rec_path_ok(const char *path);
/* Bounds of every number, the path and the sum of a decoded record. */
int rec_file_check(const rec_file *r, pw_err *err);

typedef enum pw_case_result {
    PW_CASE_PASSED,
    PW_CASE_FAILED,
    PW_CASE_SKIPPED,
    PW_CASES
} pw_case_result;
typedef struct rec_case {
    char *suite, *name; /* suite may be NULL */
    uint64_t result;    /* pw_case_result */
    uint64_t ms;
} rec_case;
typedef struct rec_tests { /* PW_REC_TEST: cases of a step, in the order of its reports */
    uint64_t step;
    pw_list cases; /* rec_case */
} rec_tests;
typedef struct rec_report {
    uint64_t step;
    char *format; /* "junit" ... */
    char *path;
    uint64_t tests, failed, skipped;
    char *reason; /* why it could not be read; NULL: it could */
} rec_report;
extern const pw_schema rec_file_schema, rec_case_schema, rec_tests_schema, rec_report_schema;
#endif
