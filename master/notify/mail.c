/* A notice as a mail: headers, text and HTML, the end of the failing log. Everything is base64, so
 * that no line is too long, ends wrongly or begins with "From ". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "master/notify/message.h"

static const char *str(const json_value *o, const char *key, const char *otherwise)
{
    return json_str(json_get(o, key), otherwise);
}

static void base64(pw_buf *out, const char *s, size_t n, size_t line)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? (unsigned)p[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63],
                        i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '='};
        (void)pw_buf_add(out, four, 4);
        if (line && (i / 3 + 1) % (line / 4) == 0)
            (void)pw_buf_adds(out, "\r\n");
    }
    if (line)
        (void)pw_buf_adds(out, "\r\n");
}

/* A header's text as words of RFC 2047 of at most 45 bytes each, whole characters. */
static void words(pw_buf *out, const char *s)
{
    bool plain = strlen(s) < 60;
    for (const char *p = s; *p; p++)
        plain &= *p >= ' ' && *p < 127;
    if (plain && !strstr(s, "=?")) {
        (void)pw_buf_adds(out, s);
        return;
    }
    for (size_t n = strlen(s); n;) {
        size_t k = n > 45 ? 45 : n;
        while (k < n && k && ((unsigned char)s[k] & 0xC0) == 0x80)
            k--;
        if (!k)
            k = n > 45 ? 45 : n; /* no UTF-8 */
        (void)pw_buf_adds(out, "=?UTF-8?B?");
        base64(out, s, k, 0);
        (void)pw_buf_adds(out, "?=");
        s += k;
        n -= k;
        if (n)
            (void)pw_buf_adds(out, "\r\n ");
    }
}

/* <build.17.mail.1f0c@example.org>: the key of the outbox and the database that gave it. */
static void message_id(pw_buf *out, const char *key, uint64_t epoch, const char *from)
{
    const char *domain = strrchr(from, '@');
    (void)pw_buf_adds(out, "<");
    for (const char *p = key; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                     (*p >= 'A' && *p <= 'Z') || *p == '-' || *p == '_';
        (void)pw_buf_add(out, plain ? p : *p == '/' ? "." : "=", 1);
    }
    (void)pw_buf_addf(out, ".%" PRIx64 "%s>", epoch, domain ? domain : "@pawl");
}

static void date(pw_buf *out, pw_msec at)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char t[PW_TIME_MAX];
    (void)pw_time_text(at, t); /* 2026-11-20T12:43:01.123Z */
    unsigned month = (unsigned)((t[5] - '0') * 10 + (t[6] - '0'));
    (void)pw_buf_addf(out, "Date: %.2s %s %.4s %.8s +0000\r\n", t + 8,
                      months[month >= 1 && month <= 12 ? month - 1 : 0], t, t + 11);
}

/* All mails of a break have one subject, since some readers put together by that. */
static void subject(pw_buf *out, const json_value *body, bool reply)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(4000);
    const json_value *b = json_get(body, "build");
    int64_t first = json_int(json_get(b, "break"), 0);
    (void)pw_buf_addf(&text, "%s[%s] ", reply ? "Re: " : "", str(body, "site", "pawl"));
    if (first > 0)
        (void)pw_buf_addf(&text, "%s is broken on %s (build %lld)", str(b, "builder", "?"),
                          str(b, "branch", "?"), (long long)first);
    else
        (void)notify_line(body, &text);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 127)
            text.p[i] = ' ';
    out->failed |= text.failed;
    (void)pw_buf_adds(out, "Subject: ");
    words(out, pw_buf_str(&text));
    (void)pw_buf_adds(out, "\r\n");
}

static void part(pw_buf *out, const char *boundary, const char *type, const char *more,
                 const char *text, size_t n)
{
    (void)pw_buf_addf(out,
                      "--%s\r\nContent-Type: %s; charset=utf-8\r\n%sContent-Transfer-Encoding: "
                      "base64\r\n\r\n",
                      boundary, type, more);
    base64(out, text, n, 76);
}

static void headers(const json_value *body, const notify_more *m, const config_notify *t,
                    pw_msec at, pw_buf *out)
{
    char root[300];
    const char *key = str(body, "key", "?");
    bool reply = notify_root(body, t->name, root);
    (void)pw_buf_addf(out, "From: %s\r\nTo: ", t->from);
    for (size_t i = 0; i < t->to.n; i++)
        (void)pw_buf_addf(out, "%s%s", i ? ",\r\n " : "", t->to.v[i]);
    (void)pw_buf_adds(out, "\r\n");
    subject(out, body, reply);
    date(out, at);
    (void)pw_buf_adds(out, "Message-ID: ");
    message_id(out, key, m->epoch, t->from);
    (void)pw_buf_adds(out, "\r\n");
    if (reply) {
        (void)pw_buf_adds(out, "In-Reply-To: ");
        message_id(out, root, m->epoch, t->from);
        (void)pw_buf_adds(out, "\r\nReferences: ");
        message_id(out, root, m->epoch, t->from);
        (void)pw_buf_adds(out, "\r\n");
    }
    (void)pw_buf_adds(out, "Auto-Submitted: auto-generated\r\nX-Pawl-Key: ");
    words(out, key);
    (void)pw_buf_addf(out, "\r\nX-Pawl-Event: %s\r\nMIME-Version: 1.0\r\n",
                      str(body, "event", "?"));
}

int notify_mail(const json_value *body, const notify_more *m, const config_notify *t, pw_msec at,
                pw_buf *out)
{
    /* no base64 has a line like these */
    static const char mixed[] = "=_pawl-mixed", both[] = "=_pawl-alternative";
    PW_AUTO(pw_buf_clearp) pw_buf plain = PW_BUF(NOTIFY_TEXT_MAX), html = PW_BUF(NOTIFY_TEXT_MAX);
    size_t n = m->log ? strlen(m->log) : 0;
    if (notify_text(body, m, NOTIFY_PLAIN, &plain) < 0)
        return PW_ENOMEM;
    (void)pw_buf_adds(&html, "<!DOCTYPE html><html><body>\n");
    if (notify_text(body, m, NOTIFY_HTML, &html) < 0 || pw_buf_adds(&html, "</body></html>\n") < 0)
        return PW_ENOMEM;
    headers(body, m, t, at, out);
    (void)pw_buf_addf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n", mixed);
    (void)pw_buf_addf(out, "--%s\r\nContent-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n",
                      mixed, both);
    part(out, both, "text/plain", "", plain.p, plain.len);
    part(out, both, "text/html", "", html.p, html.len);
    (void)pw_buf_addf(out, "--%s--\r\n", both);
    if (n)
        part(out, mixed, "text/plain", "Content-Disposition: attachment; filename=\"log.txt\"\r\n",
             m->log, n);
    (void)pw_buf_addf(out, "--%s--\r\n", mixed);
    return out->failed ? PW_ENOMEM : 0;
}
