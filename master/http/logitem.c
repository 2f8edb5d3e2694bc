/* Lines of a log as a page shows them: each with its number and time, as it looks at its end, cut
 * when it is long; and what was left out. */
#include <inttypes.h>

#include "master/http/logtext.h"

int log_item_half(log_text *t, pw_err *err)
{
    log_item *it = &t->item;
    if (t->held.len == 0) /* \r\r: what stood there still stands there */
        return 0;
    it->any = true;
    it->whole = t->whole;
    it->pos = t->line_pos;
    pw_buf_reset(&it->text);
    size_t n = t->held.len < LOG_ITEM_MAX + 4 ? t->held.len : LOG_ITEM_MAX + 4;
    return pw_buf_add(&it->text, t->held.p, n) < 0 ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

/* Not in the middle of a character, and without what would end the text. */
static int put_text(pw_buf *out, const char *p, size_t n, pw_err *err)
{
    char text[LOG_ITEM_MAX + 1];
    size_t cut = n;
    if (n > LOG_ITEM_MAX) {
        cut = LOG_ITEM_MAX;
        while (cut > LOG_ITEM_MAX - 4 && ((unsigned char)p[cut] & 0xc0) == 0x80)
            cut--;
    }
    for (size_t i = 0; i < cut; i++)
        text[i] = p[i] ? p[i] : (char)0xff; /* which is no character and is told as such */
    text[cut] = '\0';
    return pw_buf_json(out, text) < 0 ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int log_item_end(log_text *t, log_view *v, pw_err *err)
{
    log_item *it = &t->item;
    bool was = it->any && t->held.len == 0;
    const pw_buf *b = was ? &it->text : &t->held;
    uint64_t whole = was ? it->whole : t->whole;
    char time[PW_TIME_MAX];
    pw_msec at = 0;
    int r = v ? log_view_time(v, was ? it->pos : t->line_pos, &at, err) : 0;
    (void)pw_buf_addf(&t->out, "%s{\"line\":%" PRIu64 ",\"time\":\"%s\"", t->matches++ ? "," : "",
                      t->line, pw_time_text(at, time));
    if (whole > LOG_ITEM_MAX)
        (void)pw_buf_addf(&t->out, ",\"bytes\":%" PRIu64, whole);
    (void)pw_buf_adds(&t->out, ",\"text\":");
    if (r == 0)
        r = put_text(&t->out, pw_buf_str(b), b->len, err);
    (void)pw_buf_adds(&t->out, "}");
    it->any = false;
    pw_buf_reset(&it->text);
    return r;
}

void log_item_gap(log_text *t, uint64_t first, uint64_t last, uint64_t bytes)
{
    uint64_t lines = last >= first ? last - first + 1 : 0;
    if (t->form == LOG_ITEMS)
        (void)pw_buf_addf(&t->out,
                          "%s{\"line\":%" PRIu64 ",\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64
                          ",\"text\":null}",
                          t->matches++ ? "," : "", first, lines, bytes);
    else
        (void)pw_buf_addf(&t->gaps,
                          "%s{\"line\":%" PRIu64 ",\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64 "}",
                          t->gaps.len ? "," : "", first, lines, bytes);
}
