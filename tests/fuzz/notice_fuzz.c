/* What strangers bring into notices: lines of IRC servers, and names, subjects and output in texts.
 * A notice in HTML holds no tag but ours, one for Slack none at all, a mail no line but of its
 * form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "master/net/irc_line.h"
#include "master/notify/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void line(const char *s)
{
    irc_line l;
    char *text = strdup(s);
    size_t n = strlen(s);
    if (text && irc_parse(text, &l)) {
        if (!*l.command || l.n > IRC_PARAMS)
            abort();
        for (size_t i = 0; i < l.n; i++)
            if (l.param[i] < text || l.param[i] > text + n)
                abort();
        (void)irc_mask(l.who, l.command);
        (void)irc_asked(l.n ? l.param[l.n - 1] : "", l.who, true);
    }
    free(text);
}

static void form(const json_value *body, const char *s)
{
    static const char *const tags[] = {"<p>",    "</p>",       "<strong>", "</strong>",
                                       "<code>", "</code>",    "<br>",     "<pre>",
                                       "</pre>", "<a href=\"", "</a>"};
    char *text = (char *)s;
    notify_more m = {.step = text, .log = text, .log_url = text, .failing = {text}, .n_failing = 1};
    m.suspect[m.n_suspects++] = (notify_suspect){text, text, text};
    pw_buf html = PW_BUF(8 << 20), slack = PW_BUF(8 << 20), irc = PW_BUF(8 << 20);
    if (notify_text(body, &m, NOTIFY_HTML, &html) == 0)
        for (const char *p = html.p; (p = strchr(p, '<')); p++) {
            size_t i = 0;
            while (i < 11 && strncmp(p, tags[i], strlen(tags[i])) != 0)
                i++;
            if (i == 11)
                abort();
        }
    m.log_url = NULL;
    if (notify_text(body, &m, NOTIFY_MRKDWN, &slack) == 0 && strpbrk(slack.p, "<>"))
        abort();
    if (notify_irc(body, &m, &irc) == 0)
        for (const char *p = irc.p; *p; p += strcspn(p, "\n") + 1)
            if (strcspn(p, "\n") > 400 || strpbrk(irc.p, "\r\1"))
                abort();
    pw_buf_clear(&html);
    pw_buf_clear(&slack);
    pw_buf_clear(&irc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *s = malloc(len + 1);
    pw_buf b = PW_BUF(8 << 20);
    if (!s || len > 100000) {
        free(s);
        return 0;
    }
    memcpy(s, data, len);
    s[len] = '\0';
    line(s);
    (void)pw_buf_adds(
        &b, "{\"event\":\"break\",\"key\":\"k\",\"build\":{\"id\":1,\"break\":1,\"result\":"
            "\"failure\",\"builder\":");
    (void)pw_buf_json(&b, s);
    (void)pw_buf_adds(&b, ",\"branch\":");
    (void)pw_buf_json(&b, s);
    (void)pw_buf_adds(&b, ",\"reason\":");
    (void)pw_buf_json(&b, s);
    (void)pw_buf_adds(&b, ",\"revision\":\"0123456789ab\"}}");
    json_value *v = b.failed ? NULL : json_parse(b.p, b.len, NULL);
    if (v)
        form(v, s);
    json_free(v);
    pw_buf_clear(&b);
    free(s);
    return 0;
}
