/* html.h - the frame of the one page that is rendered here, without script: the login. */
#ifndef PW_MASTER_HTTP_HTML_H
#define PW_MASTER_HTTP_HTML_H
#include "shared/base/buf.h"

extern const char html_style[];
/* Text of a page or an attribute; NULL is nothing. */
void html_text(pw_buf *b, const char *s);
void html_head(pw_buf *b, const char *title);
void html_foot(pw_buf *b);
#endif
