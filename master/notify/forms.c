/* The forms in which targets take a message: JSON of chats and forges, lines of IRC. */
#include <stdio.h>
#include <string.h>

#include "master/notify/message.h"

static const char *str(const json_value *o, const char *key, const char *otherwise)
{
    return json_str(json_get(o, key), otherwise);
}

/* "key": text, as JSON. */
static void pair(pw_buf *out, const char *before, const char *key, const char *text)
{
    (void)pw_buf_addf(out, "%s\"%s\":", before, key);
    (void)pw_buf_json(out, text);
}

int notify_chat(const json_value *body, const notify_more *m, const config_notify *t, pw_buf *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(NOTIFY_TEXT_MAX);
    if (notify_text(body, m, t->kind == NOTIFY_SLACK ? NOTIFY_MRKDWN : NOTIFY_MARKDOWN, &text) < 0)
        return PW_ENOMEM;
    /* what tells two of the same apart from one and another */
    (void)pw_buf_addf(&text, "`%s`\n", str(body, "key", "?"));
    out->failed |= text.failed;
    pair(out, "{", "text", pw_buf_str(&text));
    if (t->place)
        pair(out, ",", "channel", t->place);
    (void)pw_buf_adds(out, "}");
    return out->failed ? PW_ENOMEM : 0;
}

int notify_matrix(const json_value *body, const notify_more *m, pw_buf *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf plain = PW_BUF(NOTIFY_TEXT_MAX), html = PW_BUF(NOTIFY_TEXT_MAX);
    if (notify_text(body, m, NOTIFY_PLAIN, &plain) < 0 ||
        notify_text(body, m, NOTIFY_HTML, &html) < 0)
        return PW_ENOMEM;
    pair(out, "{", "msgtype", "m.text");
    pair(out, ",", "body", pw_buf_str(&plain));
    pair(out, ",", "format", "org.matrix.custom.html");
    pair(out, ",", "formatted_body", pw_buf_str(&html));
    pair(out, ",", "org.pawl.key", str(body, "key", ""));
    if (m->thread) {
        pair(out, ",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"is_falling_back\":true,",
             "event_id", m->thread);
        pair(out, ",\"m.in_reply_to\":{", "event_id", m->thread);
        (void)pw_buf_adds(out, "}}");
    }
    (void)pw_buf_adds(out, "}");
    return out->failed ? PW_ENOMEM : 0;
}

/* ---- IRC: a line of the protocol has 512 bytes, with everything */
static void irc_line(pw_buf *out, const char *s, const char *end)
{
    enum { LINE = 380 };
    size_t n = strlen(s), tail = strlen(end);
    if (n + tail > LINE) {
        n = LINE - tail;
        while (n && ((unsigned char)s[n] & 0xC0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        (void)pw_buf_add(out, c < ' ' || c == 127 ? " " : &s[i], 1);
    }
    (void)pw_buf_addf(out, "%s\n", end);
}

int notify_irc(const json_value *body, const notify_more *m, pw_buf *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(8000);
    const json_value *b = json_get(body, "build");
    const char *key = str(body, "key", "?"), *url = str(b, "url", NULL);
    char end[300], more[60] = "";
    int64_t n = json_int(json_get(body, "more"), 0);
    (void)snprintf(end, sizeof(end), " [%.200s]", key);
    (void)notify_line(body, &line);
    if (m->n_failing)
        (void)pw_buf_addf(&line, ": %.200s FAILED", m->failing[0]);
    else if (m->step)
        (void)pw_buf_addf(&line, ": step %.100s", m->step);
    if (n > 0)
        (void)snprintf(more, sizeof(more), ", and %lld more", (long long)n);
    (void)pw_buf_adds(&line, more);
    if (url)
        (void)pw_buf_addf(&line, " - %.200s", url);
    irc_line(out, pw_buf_str(&line), end);
    if (m->n_suspects) {
        pw_buf_reset(&line);
        (void)pw_buf_adds(&line, "suspects:");
        for (size_t i = 0; i < m->n_suspects && i < 3; i++)
            (void)pw_buf_addf(&line, "%s %.12s %.80s", i ? "," : "", m->suspect[i].rev,
                              m->suspect[i].author ? m->suspect[i].author : "");
        irc_line(out, pw_buf_str(&line), m->n_suspects > 3 || m->more_suspects ? " ..." : "");
    }
    return out->failed || line.failed ? PW_ENOMEM : 0;
}

/* ---- states of commits */
bool notify_status(const json_value *body, config_notify_kind kind, char *context, char *state,
                   pw_buf *out)
{
    static const struct {
        const char *result, *github, *gitlab;
    } states[] = {{"success", "success", "success"},  {"warnings", "success", "success"},
                  {"failure", "failure", "failed"},   {"exception", "error", "failed"},
                  {"cancelled", "error", "canceled"}, {"skipped", "success", "success"}};
    const json_value *b = json_get(body, "build");
    bool gitlab = kind == NOTIFY_GITLAB;
    const char *result = str(b, "result", NULL), *is = gitlab ? "running" : "pending";
    const char *said = result ? result : "running";
    char text[140];
    if (!b)
        return false;
    for (size_t i = 0; result && i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(result, states[i].result) == 0)
            is = gitlab ? states[i].gitlab : states[i].github;
    (void)snprintf(context, 120, "pawl/%.110s", str(b, "builder", "?"));
    (void)snprintf(state, 20, "%s", is);
    (void)snprintf(text, sizeof(text), "%s, build %lld", said,
                   (long long)json_int(json_get(b, "id"), 0));
    pair(out, "{", "state", is);
    pair(out, ",", gitlab ? "name" : "context", context);
    pair(out, ",", "description", text);
    if (str(b, "url", NULL))
        pair(out, ",", "target_url", str(b, "url", ""));
    (void)pw_buf_adds(out, "}");
    return true;
}
