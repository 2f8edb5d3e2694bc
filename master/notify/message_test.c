/* How notices read, in each form; that nothing of a stranger becomes markup; when they may leave.
 */
#include "master/notify/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/notify/notify.h"
#include "tests/tap.h"

#define BUILD(event, id, result, previous, broken)                                                 \
    "{\"event\":\"" event "\",\"key\":\"build/" id "/t\",\"at\":\"2026-01-02T03:04:05.000Z\","     \
    "\"site\":\"ci\",\"build\":{\"id\":" id                                                        \
    ",\"project\":\"p\",\"builder\":\"unit\",\"branch\":\"master\",\"revision\":"                  \
    "\"0123456789abcdef0123456789abcdef01234567\",\"result\":" result ",\"previous\":" previous    \
    ",\"reason\":null,\"url\":\"http://h/builds/" id "\",\"author\":null,\"break\":" broken "}}"

static json_value *parse(const char *s)
{
    return json_parse(s, strlen(s), NULL);
}

static char *dup(const char *s)
{
    bool failed = false;
    return pw_strdup(s, &failed);
}

static notify_more more(void)
{
    notify_more m = {
        .failed = 7, .n_failing = 1, .n_suspects = 1, .more_suspects = true, .epoch = 255};
    m.step = dup("test");
    m.log_url = dup("http://h/log");
    m.log = dup("begun\n<b> ``` @all\n");
    m.failing[0] = dup("s: test_login");
    m.suspect[0] =
        (notify_suspect){dup("fedcba9876543210"), dup("Ada <a@h>"), dup("x *y* <!here>")};
    return m;
}

static void is_text(const char *body, notify_form form, const char *want, const char *what)
{
    PW_AUTO(json_freep) json_value *v = parse(body);
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(NOTIFY_TEXT_MAX);
    notify_more m = more();
    if (!v || !m.step || !m.log_url || !m.log || !m.failing[0] || !m.suspect[0].rev ||
        !m.suspect[0].author || !m.suspect[0].subject || notify_text(v, &m, form, &out) < 0) {
        ok(true, "no memory"); /* make torture */
    } else {
        bool is = strcmp(pw_buf_str(&out), want) == 0;
        ok(is, "%s", what);
        if (!is)
            printf("# is:\n%s# should be:\n%s", pw_buf_str(&out), want);
    }
    notify_more_clear(&m);
}

static void texts(void)
{
    static const char red[] = BUILD("break", "17", "\"failure\"", "\"success\"", "17");
    is_text(red, NOTIFY_PLAIN,
            "\U0001F4A3 s: test_login FAILED\nBuild failure 'unit'\nRepo: 'p'\nBranch: 'master'\n"
            "Event: 'break'\nRevision: '0123456789ab'\nhttp://h/builds/17\nStep: 'test'\n"
            "Log: http://h/log\nFailing tests (7):\n- s: test_login\nand 6 more\n\nbegun\n"
            "<b> ``` @all\n\nSuspects (since the last green build):\n"
            "- fedcba987654 Ada <a@h>: x *y* <!here>\nand older ones\n",
            "a break, as text");
    is_text(red, NOTIFY_MARKDOWN,
            "**\U0001F4A3 s: test\\_login FAILED**\nBuild failure `unit`\nRepo: `p`\n"
            "Branch: `master`\nEvent: `break`\nRevision: `0123456789ab`\nhttp://h/builds/17\n"
            "Step: `test`\nLog: http://h/log\nFailing tests \\(7\\):\n- `s: test_login`\n"
            "and 6 more\n```\nbegun\n<b> ''' @all\n```\n"
            "Suspects \\(since the last green build\\):\n"
            "- `fedcba987654` `Ada <a@h>: x *y* <!here>`\nand older ones\n",
            "for Mattermost");
    is_text(red, NOTIFY_MRKDWN,
            "*\U0001F4A3 s: test_login FAILED*\nBuild failure `unit`\nRepo: `p`\n"
            "Branch: `master`\nEvent: `break`\nRevision: `0123456789ab`\nhttp://h/builds/17\n"
            "Step: `test`\nLog: http://h/log\nFailing tests (7):\n- `s: test_login`\nand 6 more\n"
            "```\nbegun\n&lt;b&gt; ''' @all\n```\nSuspects (since the last green build):\n"
            "- `fedcba987654` `Ada &lt;a@h&gt;: x *y* &lt;!here&gt;`\nand older ones\n",
            "for Slack");
    is_text(
        red, NOTIFY_HTML,
        "<p><strong>\U0001F4A3 s: test_login FAILED</strong></p>\nBuild failure "
        "<code>unit</code><br>\nRepo: <code>p</code><br>\nBranch: <code>master</code><br>\n"
        "Event: <code>break</code><br>\nRevision: <code>0123456789ab</code><br>\n"
        "<a href=\"http://h/builds/17\">http://h/builds/17</a><br>\nStep: <code>test</code><br>\n"
        "<a href=\"http://h/log\">Log</a><br>\nFailing tests (7):<br>\n"
        "&bull; <code>s: test_login</code><br>\nand 6 more<br>\n<pre>begun\n&lt;b&gt; ``` @all\n"
        "</pre>\nSuspects (since the last green build):<br>\n&bull; <code>fedcba987654</code> "
        "Ada &lt;a@h&gt;: x *y* &lt;!here&gt;<br>\nand older ones<br>\n",
        "as HTML");
    is_text(BUILD("fixed", "20", "\"success\"", "\"failure\"", "17"), NOTIFY_PLAIN,
            "\u2705 unit is green again on master\nRepo: 'p'\nBranch: 'master'\nEvent: 'fixed'\n"
            "Revision: '0123456789ab'\nhttp://h/builds/20\n",
            "what is mended needs no details");
    is_text(
        "{\"event\":\"promotion\",\"key\":\"k\",\"promotion\":{\"edge\":\"e\",\"project\":\"p\","
        "\"from\":\"m\",\"to\":\"s\",\"revision\":\"0123456789abcdef\",\"state\":\"lost\","
        "\"reason\":\"x\"},\"more\":12,\"others\":[" BUILD("build", "3", "\"success\"", "null",
                                                           "null") "]}",
        NOTIFY_PLAIN,
        "\u26A0 promotion to s: lost\nRepo: 'p'\nEdge: 'e'\nFrom: 'm'\nTo: 's'\n"
        "Revision: '0123456789ab'\nReason: 'x'\nand 12 more:\n- unit on master: success\n"
        "http://h/builds/3\n...\n",
        "a promotion, and others with it");
}

static void lines(void)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {BUILD("start", "1", "null", "null", "null"), "unit has started on master"},
        {BUILD("build", "1", "\"success\"", "null", "null"), "unit on master: success"},
        {BUILD("change", "2", "\"warnings\"", "\"success\"", "null"),
         "unit on master: warnings, was success"},
        {BUILD("failure", "2", "\"failure\"", "\"success\"", "2"), "unit is broken on master"},
        {BUILD("failure", "3", "\"failure\"", "\"failure\"", "2"),
         "unit is still broken on master"},
        {BUILD("failure", "3", "\"exception\"", "\"failure\"", "null"),
         "unit on master: exception"},
        {BUILD("fixed", "4", "\"success\"", "\"failure\"", "2"), "unit is green again on master"},
        {"{\"event\":\"worker_missing\",\"worker\":{\"name\":\"w\",\"state\":\"missing\"}}",
         "worker w is missing"},
        {"{\"event\":\"worker_back\",\"worker\":{\"name\":\"w\",\"state\":\"back\"}}",
         "worker w is back"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        PW_AUTO(json_freep) json_value *v = parse(rows[i].body);
        PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1000);
        ok(!v || notify_line(v, &out) < 0 || strcmp(pw_buf_str(&out), rows[i].want) == 0, "%s: %s",
           rows[i].want, pw_buf_str(&out));
    }
}

static void roots(void)
{
    char key[300] = "";
    PW_AUTO(json_freep)
    json_value *first = parse(BUILD("break", "17", "\"failure\"", "null", "17"));
    PW_AUTO(json_freep) json_value *then = parse(BUILD("fixed", "19", "\"success\"", "null", "17"));
    PW_AUTO(json_freep)
    json_value *none = parse(BUILD("build", "19", "\"success\"", "null", "null"));
    ok(!notify_root(first, "t", key) && !notify_root(none, "t", key), "the first is the root");
    ok(!then || (notify_root(then, "t", key) && strcmp(key, "build/17/t") == 0),
       "later ones refer to it: %s", key);
}

static void forms(void)
{
    static const struct {
        config_notify_kind kind;
        const char *result, *want;
    } rows[] = {
        {NOTIFY_GITHUB, "null", "pending"},        {NOTIFY_GITHUB, "\"success\"", "success"},
        {NOTIFY_GITHUB, "\"failure\"", "failure"}, {NOTIFY_GITEA, "\"exception\"", "error"},
        {NOTIFY_GITEA, "\"warnings\"", "success"}, {NOTIFY_GITLAB, "null", "running"},
        {NOTIFY_GITLAB, "\"failure\"", "failed"},  {NOTIFY_GITLAB, "\"cancelled\"", "canceled"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1000], context[120] = "", state[20] = "";
        (void)snprintf(
            text, sizeof(text),
            "{\"build\":{\"id\":5,\"builder\":\"u\",\"result\":%s,\"url\":\"http://h\"}}",
            rows[i].result);
        PW_AUTO(json_freep) json_value *v = parse(text);
        PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1000);
        ok(!v || (notify_status(v, rows[i].kind, context, state, &out) &&
                  strcmp(context, "pawl/u") == 0 && strcmp(state, rows[i].want) == 0 &&
                  (out.failed || strstr(out.p, "\"target_url\":\"http://h\""))),
           "%s is %s", rows[i].result, state);
    }
    PW_AUTO(json_freep) json_value *red = parse(BUILD("break", "17", "\"failure\"", "null", "17"));
    PW_AUTO(pw_buf_clearp) pw_buf irc = PW_BUF(10000);
    notify_more m = more();
    if (red && m.failing[0] && m.suspect[0].rev && m.suspect[0].author &&
        notify_irc(red, &m, &irc) == 0)
        ok(strcmp(pw_buf_str(&irc),
                  "unit is broken on master: s: test_login FAILED - http://h/builds/17 "
                  "[build/17/t]\nsuspects: fedcba987654 Ada <a@h> ...\n") == 0,
           "lines of IRC: %s", pw_buf_str(&irc));
    notify_more_clear(&m);
}

/* ---- when */
static void when(void)
{
    static const struct {
        int from, to;
        pw_msec at, want; /* minutes of 1970-01-01 */
    } rows[] = {
        {22 * 60, 7 * 60, 21 * 60 + 59, 0},
        {22 * 60, 7 * 60, 22 * 60, 9 * 60},
        {22 * 60, 7 * 60, 6 * 60, 60},
        {22 * 60, 7 * 60, 7 * 60, 0},
        {12 * 60, 13 * 60, 12 * 60 + 1, 59},
        {12 * 60, 13 * 60, 13 * 60, 0},
        {0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        config_notify t = {.quiet_from = rows[i].from, .quiet_to = rows[i].to};
        ok(notify_quiet(&t, rows[i].at * 60000) == rows[i].want * 60000, "quiet hours, row %zu", i);
    }
    PW_AUTO(cron_zone_freep) cron_zone *z = cron_zone_open("Asia/Kolkata", NULL);
    config_notify t = {.quiet_from = 0, .quiet_to = 60, .quiet_zone = z};
    ok(!z || notify_quiet(&t, (18 * 60 + 30) * 60000) == 3600000, "in a zone's own time");
    config_notify r = {.rate = 3, .rate_per = 1000};
    notify_window w = {0};
    bool fold;
    ok(notify_rate(&r, &w, 5, 1, &fold) == 0 && !fold, "the first goes");
    notify_rate_count(&r, &w, 5);
    ok(notify_rate(&r, &w, 6, 9, &fold) == 0 && !fold, "the second, while there is room");
    notify_rate_count(&r, &w, 6);
    ok(notify_rate(&r, &w, 7, 8, &fold) == 0 && fold, "the last place is for all that wait");
    notify_rate_count(&r, &w, 7);
    ok(notify_rate(&r, &w, 8, 1, &fold) == 997, "then nothing until the window ends");
    ok(notify_rate(&r, &w, 1005, 4, &fold) == 0 && fold, "a new one begins with what has piled up");
    static const char *const others[] = {"{\"a\":1}", "{\"b\":2}"};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1000);
    ok(notify_fold("{\"x\":{}}", others, 2, 5, &out) < 0 ||
           strcmp(out.p, "{\"x\":{},\"more\":5,\"others\":[{\"a\":1},{\"b\":2}]}") == 0,
       "several in one");
}

static void mails(void)
{
    PW_AUTO(json_freep)
    json_value *red = parse(BUILD("failure", "19", "\"failure\"", "null", "17"));
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1 << 20);
    static char from[] = "pawl@h", name[] = "t", one[] = "a@b", two[] = "c@d";
    char *to[] = {one, two};
    config_notify t = {.name = name, .from = from, .to = {to, 2}};
    notify_more m = more();
    if (red && m.log && m.failing[0] && notify_mail(red, &m, &t, 1767323045000, &out) == 0) {
        static const char head[] =
            "From: pawl@h\r\nTo: a@b,\r\n c@d\r\nSubject: Re: [ci] unit is broken on master (build "
            "17)\r\nDate: 02 Jan 2026 03:04:05 +0000\r\nMessage-ID: <build.19.t.ff@h>\r\n"
            "In-Reply-To: <build.17.t.ff@h>\r\nReferences: <build.17.t.ff@h>\r\n"
            "Auto-Submitted: auto-generated\r\nX-Pawl-Key: build/19/t\r\nX-Pawl-Event: failure\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_pawl-mixed\"\r\n\r\n";
        ok(strncmp(out.p, head, sizeof(head) - 1) == 0, "the head of a mail");
        size_t longest = 0;
        for (char *p = out.p, *nl; (nl = strstr(p, "\r\n")); p = nl + 2)
            longest = (size_t)(nl - p) > longest ? (size_t)(nl - p) : longest;
        ok(longest <= 100, "no line is long: %zu", longest);
    }
    notify_more_clear(&m);
}

int main(void)
{
    texts();
    lines();
    roots();
    forms();
    when();
    mails();
    return tap_done();
}
