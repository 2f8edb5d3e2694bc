/* Mail: what the server's last answer means. The message itself was made before. */
#include <stdio.h>
#include <string.h>

#include "master/net/sender.h"

static void ask(const net_job *j, sender_request *r)
{
    (void)j;
    r->method = "MAIL";
}

static void judge(net_job *j, const http_reply *r)
{
    char said[220];
    size_t n = strcspn(r->text, "\r\n");
    (void)snprintf(said, sizeof(said), "%.*s", (int)(n < 200 ? n : 200), r->text);
    if (r->mailed) {
        j->outcome = NET_TAKEN;
        (void)snprintf(j->text, sizeof(j->text), "SMTP %ld", r->status);
        return;
    }
    (void)snprintf(j->text, sizeof(j->text), "SMTP%s%s", *said ? ": " : "",
                   *said ? said : "no answer");
    if (r->status >= 500 && r->status < 600)
        j->outcome = NET_REFUSED;
    else if (r->status >= 400 && r->status < 500)
        j->outcome = NET_LATER;
    else
        j->outcome = r->sent ? NET_SILENT : NET_UNSENT;
}

const sender sender_mail = {ask, judge};
