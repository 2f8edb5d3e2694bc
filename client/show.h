/* show.h - text for people: aligned tables, times, durations, results, colours. Pure: everything is
 * appended to a pw_buf. What comes from a master may hold anything: control characters are shown as
 * `?`, so that nobody writes to the terminal by the name of a branch. */
#ifndef PW_CLIENT_SHOW_H
#define PW_CLIENT_SHOW_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"
#include "shared/base/host.h"
#include "shared/json/json.h"

typedef enum show_style {
    SHOW_PLAIN,
    SHOW_GOOD,
    SHOW_BAD,
    SHOW_WARN,
    SHOW_BUSY,
    SHOW_DIM,
    SHOW_BOLD
} show_style;
/* Columns that UTF-8 text takes (each code point one). */
size_t show_width(const char *s);
/* Text without control characters, cut to `max` columns with an ellipsis (0: whole). */
void show_clean(pw_buf *b, const char *s, size_t max);
/* The same in a colour when `colour` is set. */
void show_styled(pw_buf *b, show_style style, bool colour, const char *s);
/* How a result or state of a build, step, worker or promotion looks. */
show_style show_style_of(const char *state);

/* ---- tables: first the heads, then row by row, cell by cell */
enum { SHOW_COLUMNS = 12 };
typedef struct show_table {
    size_t columns;
    const char *head[SHOW_COLUMNS]; /* borrowed */
    bool right[SHOW_COLUMNS];
    struct show_cell *cell; /* owned; rows x columns */
    size_t n, cap;
    bool failed;
} show_table;
/* heads: "BUILD", ...; a head that begins with `>` aligns its column to the right. NULL-terminated.
 */
void show_table_init(show_table *t, const char *const *heads);
void show_table_clear(show_table *t);
void show_cell(show_table *t, show_style style, const char *text); /* NULL is shown as - */
void show_cellf(show_table *t, show_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends the table, columns two blanks apart; the last one is cut at `width` columns (0: not at
 * all). No rows: nothing. */
int show_table_text(const show_table *t, bool colour, int width, pw_buf *b);

/* ---- times */
/* "12s ago", "3m ago", "5h ago", "2d ago", "in 20s"; "now" within a second. */
const char *show_ago(pw_msec now, pw_msec then, char out[32]);
/* A time of the REST interface: relative when `relative`, else as it is; "-" for null. */
const char *show_when(const json_value *time, bool relative, pw_msec now, char out[40]);
/* "450ms", "12s", "3m 05s", "2h 07m". */
const char *show_span(pw_msec ms, char out[32]);
/* From started to finished (or now while it runs); "-" before it started. */
const char *show_took(const json_value *started, const json_value *finished, pw_msec now,
                      char out[32]);
/* The first 8 characters of a revision; "-" for none. */
const char *show_rev(const json_value *rev, char out[9]);
#endif
