/* marks.h - what the lines of a log say about its parts: groups (`::group::` of GitHub Actions,
 * `section_start` of GitLab) and remarks (`::error file=..,line=..::text`, `::warning ..`,
 * `::notice ..`). Fed line by line, without ANSI sequences; bounded, whatever the log is: what is
 * beyond the bounds is counted and not kept. Pure. Owned; one thread per object. */
#ifndef PW_SHARED_SCAN_MARKS_H
#define PW_SHARED_SCAN_MARKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/host.h"

enum {
    MARKS_GROUPS_MAX = 2000,
    MARKS_MAX = 1000,
    MARKS_DEPTH_MAX = 32, /* groups of GitLab lie in each other; deeper ones count as flat */
    MARKS_TITLE_MAX = 300,
    MARKS_TEXT_MAX = 1000,
    MARKS_LINE_MAX = 4096 /* of a line that is looked at */
};

typedef enum mark_kind { MARK_ERROR, MARK_WARNING, MARK_NOTICE, MARK_KINDS } mark_kind;
extern const char *const mark_kind_names[MARK_KINDS];

typedef struct mark_group {
    char *title;              /* owned */
    char *section;            /* owned; of GitLab; NULL: of GitHub */
    uint64_t line, last_line; /* last_line 0: not closed yet */
    pw_msec began, ended;
    uint64_t count[MARK_KINDS]; /* of remarks in it, also in groups inside */
    size_t depth;
} mark_group;
typedef struct mark {
    mark_kind kind;
    uint64_t line;
    char *file, *title, *text;  /* owned; file and title may be NULL */
    uint64_t file_line, column; /* 0: none */
} mark;

typedef struct marks {
    mark_group *group;
    size_t n_groups, cap_groups;
    mark *mark;
    size_t n_marks, cap_marks;
    uint64_t count[MARK_KINDS];
    uint64_t more_groups, more_marks; /* not kept */
    size_t open[MARKS_DEPTH_MAX];     /* indices of open groups, outermost first */
    size_t n_open;
    uint64_t section_line; /* the header of a GitLab section is what follows on this line */
    bool failed;           /* memory ran out */
} marks;

void marks_clear(marks *self);
/* Whether a line of these first bytes can be of interest; a quick look before the whole of it. */
bool marks_may(const char *p, size_t n);
/* A line, or what stands before a lone \r in one; `line` is its number from 1, t when it came. */
void marks_line(marks *self, uint64_t line, pw_msec t, const char *p, size_t n);
/* The last line was `line`: what is open ends there. */
void marks_end(marks *self, uint64_t line, pw_msec t);
/* "groups":[..],"marks":[..],... : members of a JSON object. */
void marks_json(const marks *self, pw_buf *b);

/* Drops ESC [ ... letter and ESC ] ... BEL (or ESC \), in place; the new length. A sequence ends
 * with its line at the latest. */
size_t marks_plain(char *p, size_t n);
#endif
