/* How a message reads: a heading, named values, lists and lines of a log, each written in the form
 * of its target. */
#include "master/notify/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void notify_more_clear(notify_more *m)
{
    free(m->step);
    free(m->log_url);
    free(m->log);
    free(m->thread);
    for (size_t i = 0; i < m->n_failing; i++)
        free(m->failing[i]);
    for (size_t i = 0; i < m->n_suspects; i++) {
        free(m->suspect[i].rev);
        free(m->suspect[i].author);
        free(m->suspect[i].subject);
    }
    *m = (notify_more){0};
}

/* ---- writing */
typedef struct writer {
    pw_buf *b;
    notify_form form;
} writer;

/* Text as text. code: between backquotes, where only these have a meaning. */
static void put(writer *w, const char *s, size_t n, bool code)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *as = NULL;
        char self[3] = {(char)c, '\0', '\0'};
        if (w->form == NOTIFY_HTML || w->form == NOTIFY_MRKDWN)
            as = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : NULL;
        if (w->form == NOTIFY_HTML && c == '"')
            as = "&quot;";
        if (w->form == NOTIFY_MARKDOWN && !code && strchr("\\`*_{}[]()<>#+!|~@", c) && c) {
            self[0] = '\\';
            self[1] = (char)c;
        }
        if (code && c == '`')
            as = "'";
        if ((c < ' ' && c != '\t') || c == 127)
            as = " ";
        (void)pw_buf_adds(w->b, as ? as : self);
    }
}

static void say(writer *w, const char *s)
{
    put(w, s, strlen(s), false);
}

static void raw(writer *w, const char *plain, const char *markdown, const char *html)
{
    (void)pw_buf_adds(w->b, w->form == NOTIFY_HTML    ? html
                            : w->form == NOTIFY_PLAIN ? plain
                                                      : markdown);
}

static void code(writer *w, const char *s)
{
    raw(w, "", "`", "<code>");
    put(w, *s ? s : " ", *s ? strlen(s) : 1, w->form != NOTIFY_PLAIN && w->form != NOTIFY_HTML);
    raw(w, "", "`", "</code>");
}

static void field(writer *w, const char *label, const char *value)
{
    if (!value)
        return;
    (void)pw_buf_adds(w->b, label);
    if (w->form == NOTIFY_PLAIN) {
        (void)pw_buf_adds(w->b, ": '");
        say(w, value);
        (void)pw_buf_adds(w->b, "'\n");
        return;
    }
    (void)pw_buf_adds(w->b, ": ");
    code(w, value);
    raw(w, "\n", "\n", "<br>\n");
}

static void heading(writer *w, const char *s)
{
    raw(w, "", w->form == NOTIFY_MRKDWN ? "*" : "**", "<p><strong>");
    say(w, s);
    raw(w, "\n", w->form == NOTIFY_MRKDWN ? "*\n" : "**\n", "</strong></p>\n");
}

/* The address is ours: nothing in it needs quoting but in HTML. */
static void link_to(writer *w, const char *url, const char *text)
{
    if (!url)
        return;
    if (w->form == NOTIFY_HTML) {
        (void)pw_buf_adds(w->b, "<a href=\"");
        say(w, url);
        (void)pw_buf_adds(w->b, "\">");
        say(w, text ? text : url);
        (void)pw_buf_adds(w->b, "</a><br>\n");
        return;
    }
    if (text)
        (void)pw_buf_addf(w->b, "%s: ", text);
    (void)pw_buf_addf(w->b, "%s\n", url);
}

static void item(writer *w, const char *first, const char *second)
{
    raw(w, "- ", "- ", "&bull; ");
    code(w, first);
    if (second) {
        (void)pw_buf_adds(w->b, " ");
        if (w->form == NOTIFY_PLAIN || w->form == NOTIFY_HTML)
            say(w, second);
        else
            code(w, second); /* where no name of a channel or a person has a meaning */
    }
    raw(w, "\n", "\n", "<br>\n");
}

/* The last lines that fit, each cut to its last NOTIFY_LINE bytes. */
static void log_end(writer *w, const char *log, size_t most)
{
    size_t n = log ? strlen(log) : 0;
    while (n && log[n - 1] == '\n')
        n--;
    if (!n)
        return;
    const char *from = log, *end = log + n;
    if (n > most) {
        const char *nl = memchr(end - most, '\n', most);
        from = nl && nl + 1 < end ? nl + 1 : end - most;
    }
    raw(w, "\n", "```\n", "<pre>");
    for (const char *p = from; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p), cut = len > NOTIFY_LINE ? len - NOTIFY_LINE : 0;
        while (cut && cut < len && ((unsigned char)p[cut] & 0xC0) == 0x80)
            cut++; /* not amid a character */
        put(w, p + cut, len - cut, w->form != NOTIFY_PLAIN && w->form != NOTIFY_HTML);
        (void)pw_buf_adds(w->b, "\n");
        p += len + 1;
    }
    raw(w, "\n", "```\n", "</pre>\n");
}

/* ---- what it says */
static const char *str(const json_value *o, const char *key)
{
    return json_str(json_get(o, key), NULL);
}

static const char *or_else(const char *s, const char *otherwise)
{
    return s ? s : otherwise;
}

static bool is(const json_value *o, const char *key, const char *word)
{
    return strcmp(json_str(json_get(o, key), ""), word) == 0;
}

static void build_line(const json_value *body, const json_value *b, pw_buf *out)
{
    const char *builder = or_else(str(b, "builder"), "?"), *branch = or_else(str(b, "branch"), "?");
    const char *result = or_else(str(b, "result"), "?"), *previous = str(b, "previous");
    if (is(body, "event", "start"))
        (void)pw_buf_addf(out, "%s has started on %s", builder, branch);
    else if (is(body, "event", "fixed"))
        (void)pw_buf_addf(out, "%s is green again on %s", builder, branch);
    else if (strcmp(result, "failure") == 0 &&
             (is(body, "event", "break") ||
              json_int(json_get(b, "break"), -1) == json_int(json_get(b, "id"), -2)))
        (void)pw_buf_addf(out, "%s is broken on %s", builder, branch);
    else if (strcmp(result, "failure") == 0 && !json_is_null(json_get(b, "break")))
        (void)pw_buf_addf(out, "%s is still broken on %s", builder, branch);
    else if (is(body, "event", "change") && previous)
        (void)pw_buf_addf(out, "%s on %s: %s, was %s", builder, branch, result, previous);
    else
        (void)pw_buf_addf(out, "%s on %s: %s", builder, branch, result);
}

int notify_line(const json_value *body, pw_buf *out)
{
    const json_value *b = json_get(body, "build"), *p = json_get(body, "promotion");
    const json_value *w = json_get(body, "worker");
    if (b)
        build_line(body, b, out);
    else if (p)
        (void)pw_buf_addf(out, "promotion to %s: %s", or_else(str(p, "to"), "?"),
                          or_else(str(p, "state"), "?"));
    else if (w)
        (void)pw_buf_addf(out, "worker %s is %s", or_else(str(w, "name"), "?"),
                          is(w, "state", "missing") ? "missing" : "back");
    return out->failed ? PW_ENOMEM : 0;
}

static bool bad(const json_value *b)
{
    return is(b, "result", "failure") || is(b, "result", "exception");
}

/* What stands first: the first failing test, else the builder. */
static void title(writer *w, const json_value *body, const notify_more *m)
{
    const json_value *b = json_get(body, "build"), *p = json_get(body, "promotion");
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(4000);
    const char *mark = "";
    if (b)
        mark = bad(b)                        ? "\U0001F4A3 "
               : is(b, "result", "success")  ? "\u2705 "
               : is(b, "result", "warnings") ? "\u26A0 "
                                             : "";
    else if (p)
        mark = is(p, "state", "done") ? "\u2705 " : "\u26A0 ";
    (void)pw_buf_adds(&text, mark);
    if (b && bad(b))
        (void)pw_buf_addf(&text, "%s FAILED",
                          m->n_failing ? m->failing[0] : or_else(str(b, "builder"), "?"));
    else
        (void)notify_line(body, &text);
    w->b->failed |= text.failed;
    heading(w, pw_buf_str(&text));
}

static void build(writer *w, const json_value *body, const json_value *b, const notify_more *m,
                  size_t log_max)
{
    char text[300];
    const char *rev = str(b, "revision");
    if (bad(b)) {
        (void)pw_buf_addf(w->b, is(b, "result", "exception") ? "Build exception" : "Build failure");
        (void)pw_buf_adds(w->b, w->form == NOTIFY_PLAIN ? " '" : " ");
        if (w->form == NOTIFY_PLAIN)
            say(w, or_else(str(b, "builder"), "?"));
        else
            code(w, or_else(str(b, "builder"), "?"));
        raw(w, "'\n", "\n", "<br>\n");
    }
    field(w, "Repo", str(b, "project"));
    field(w, "Branch", str(b, "branch"));
    field(w, "Event", str(body, "event"));
    if (rev) {
        (void)snprintf(text, sizeof(text), "%.12s", rev);
        field(w, "Revision", text);
    }
    field(w, "Reason", str(b, "reason"));
    link_to(w, str(b, "url"), NULL);
    if (!bad(b))
        return;
    field(w, "Step", m->step);
    link_to(w, m->log_url, "Log");
    if (m->n_failing) {
        (void)snprintf(text, sizeof(text), "Failing tests (%" PRIu64 "):", m->failed);
        say(w, text);
        raw(w, "\n", "\n", "<br>\n");
        for (size_t i = 0; i < m->n_failing; i++)
            item(w, m->failing[i], NULL);
        if (m->failed > m->n_failing) {
            (void)snprintf(text, sizeof(text), "and %" PRIu64 " more", m->failed - m->n_failing);
            say(w, text);
            raw(w, "\n", "\n", "<br>\n");
        }
    }
    log_end(w, m->log, log_max);
    if (m->n_suspects) {
        say(w, "Suspects (since the last green build):");
        raw(w, "\n", "\n", "<br>\n");
    }
    for (size_t i = 0; i < m->n_suspects; i++) {
        const notify_suspect *s = &m->suspect[i];
        (void)snprintf(text, sizeof(text), "%.80s%s%.200s", or_else(s->author, ""),
                       s->author && s->subject ? ": " : "", or_else(s->subject, ""));
        char short_rev[13];
        (void)snprintf(short_rev, sizeof(short_rev), "%s", s->rev);
        item(w, short_rev, *text ? text : NULL);
    }
    if (m->more_suspects) {
        say(w, "and older ones");
        raw(w, "\n", "\n", "<br>\n");
    }
}

static void promotion(writer *w, const json_value *p)
{
    char text[13];
    (void)snprintf(text, sizeof(text), "%s", or_else(str(p, "revision"), "?"));
    field(w, "Repo", str(p, "project"));
    field(w, "Edge", str(p, "edge"));
    field(w, "From", str(p, "from"));
    field(w, "To", str(p, "to"));
    field(w, "Revision", text);
    field(w, "Reason", str(p, "reason"));
}

/* "and 12 more", and what the first of them are. */
static void folded(writer *w, const json_value *body)
{
    const json_value *others = json_get(body, "others");
    int64_t more = json_int(json_get(body, "more"), 0);
    char text[60];
    if (more <= 0)
        return;
    (void)snprintf(text, sizeof(text), "and %" PRId64 " more:", more);
    say(w, text);
    raw(w, "\n", "\n", "<br>\n");
    for (size_t i = 0; i < json_count(others); i++) {
        PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(4000);
        w->b->failed |= notify_line(json_at(others, i), &line) < 0;
        item(w, pw_buf_str(&line), NULL);
        link_to(w, str(json_get(json_at(others, i), "build"), "url"), NULL);
    }
    if ((uint64_t)more > json_count(others)) {
        say(w, "...");
        raw(w, "\n", "\n", "<br>\n");
    }
}

static int write_all(const json_value *body, const notify_more *m, notify_form form, size_t log_max,
                     pw_buf *out)
{
    writer w = {out, form};
    const json_value *b = json_get(body, "build"), *p = json_get(body, "promotion");
    title(&w, body, m);
    if (b)
        build(&w, body, b, m, log_max);
    else if (p)
        promotion(&w, p);
    else
        field(&w, "Since", str(json_get(body, "worker"), "since"));
    folded(&w, body);
    return out->failed ? PW_ENOMEM : 0;
}

int notify_text(const json_value *body, const notify_more *m, notify_form form, pw_buf *out)
{
    return write_all(body, m, form, NOTIFY_LOG_CHAT, out);
}

bool notify_root(const json_value *body, const char *target, char out[300])
{
    const json_value *b = json_get(body, "build");
    int64_t first = json_int(json_get(b, "break"), 0);
    if (first <= 0 || first == json_int(json_get(b, "id"), 0))
        return false;
    (void)snprintf(out, 300, "build/%" PRId64 "/%s", first, target);
    return true;
}
