/* Lines of a log, as a step may print them: bounds hold, groups lie within the log and in each
 * other, counts agree with what is kept. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/scan/marks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    marks m = {0};
    uint64_t line = 1, kept = 0, said = 0;
    char *copy = malloc(len + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, len);
    for (size_t at = 0; at < len;) {
        size_t n = 0;
        while (at + n < len && copy[at + n] != '\n' && copy[at + n] != '\r')
            n++;
        size_t plain = marks_plain(copy + at, n);
        if (plain > n)
            abort();
        marks_line(&m, line, (pw_msec)line, copy + at, plain);
        line += at + n < len && copy[at + n] == '\n';
        at += n + 1;
    }
    marks_end(&m, line, (pw_msec)line);
    for (size_t i = 0; i < m.n_groups; i++)
        if (m.group[i].last_line < m.group[i].line || m.group[i].last_line > line ||
            strlen(m.group[i].title) > MARKS_TITLE_MAX || m.group[i].depth >= MARKS_DEPTH_MAX)
            abort();
    for (int k = 0; k < MARK_KINDS; k++)
        said += m.count[k];
    kept = m.n_marks + m.more_marks;
    if (kept != said || m.n_open || m.n_marks > MARKS_MAX || m.n_groups > MARKS_GROUPS_MAX)
        abort();
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)32 << 20);
    marks_json(&m, &b);
    if (b.failed)
        abort();
    marks_clear(&m);
    free(copy);
    return 0;
}
