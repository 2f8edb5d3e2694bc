/* html.h - the parts of the pages: escaped text, links, states as shape, word and colour. */
#ifndef PW_MASTER_HTTP_HTML_H
#define PW_MASTER_HTTP_HTML_H
#include "shared/base/buf.h"
#include "shared/base/host.h"
#include "shared/job/result.h"

extern const char html_style[];
/* Text of a page or an attribute; NULL is nothing. */
void html_text(pw_buf *b, const char *s);
/* One part of a path. */
void html_part(pw_buf *b, const char *s);
void html_head(pw_buf *b, const char *title, unsigned refresh_s);
void html_foot(pw_buf *b);
/* A state: result, or the word of a state without one ("running", "waiting", "queued"). */
void html_state(pw_buf *b, pw_result r, const char *word);
const char *html_word(pw_result r);
/* "2 m 47 s"; "" for a negative span. */
void html_span(pw_buf *b, pw_msec ms);
/* "3 m ago" with the exact time as its title. */
void html_ago(pw_buf *b, pw_msec at, pw_msec now);
/* A link to a build: "#17". */
void html_build(pw_buf *b, uint64_t id);
#endif
