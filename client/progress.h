/* progress.h - how a build goes on, as lines; and waiting for it. On a terminal one block of lines
 * (build, then a line a step) that is drawn anew in its place; elsewhere a plain line whenever
 * something began or ended. The texts are pure functions. */
#ifndef PW_CLIENT_PROGRESS_H
#define PW_CLIENT_PROGRESS_H
#include "client/client.h"
#include "shared/json/json.h"

/* how long a master may be away while its build is waited for */
enum { PROGRESS_POLL_MS = 300, PROGRESS_PATIENCE_S = 120 };

/* The word for a build (step NULL) or one of its steps: the result once it is done, else the state.
 * A step that was running when its build ended (by a cancel, by the loss of its worker) ended with
 * it, and so has the build's result. */
const char *progress_word(const json_value *build, const json_value *step);
/* When the step ended; that of the build for such a step. */
const json_value *progress_end(const json_value *build, const json_value *step);

/* The block: appends it and returns how many lines it has. tick moves the spinner. Lines are cut at
 * width - 1 columns (0: whole). */
size_t progress_block(const json_value *build, pw_msec now, unsigned tick, bool colour, int width,
                      pw_buf *b);
/* What was told so far in plain lines; a zeroed one is a fresh start. */
typedef struct progress_told {
    pw_buf steps; /* a byte a step: 0 nothing, 1 began, 2 ended */
    char state[16];
} progress_told;
void progress_told_clear(progress_told *t);
/* Appends lines for what is new. */
void progress_lines(const json_value *build, pw_msec now, progress_told *told, pw_buf *b);
/* 0: green (success, warnings), 1: anything else. */
int progress_exit(const json_value *build);

/* Waits until the request has a build; tells why it waits whenever that changes. PW_ECONFLICT: it
 * ended without a build. */
int progress_request(client *c, uint64_t request, uint64_t *ret_build, pw_err *err);
/* Waits until the build is done and shows how it goes. Returns progress_exit() or a negative code.
 */
int progress_build(client *c, uint64_t build, pw_err *err);
#endif
