/* The head of a request, before anybody is asked who sent it: what two programs could read in two
 * ways is read in none. A proxy that takes another length for the body than we do would hand us a
 * stranger's bytes as a request of its own, with its word for who sent it. The connection ends with
 * the refusal, since where the next request begins is just what is not known. */
#include <string.h>
#include <strings.h>

#include "master/http/impl.h"

typedef struct head {
    const char *user; /* user_header, or NULL */
    size_t length, coding, host, authorization, named;
    const char *wrong;
} head;

static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return n > 0;
}

static enum MHD_Result on_line(void *self, enum MHD_ValueKind kind, const char *name, size_t n,
                               const char *value, size_t value_n)
{
    head *h = self;
    (void)kind, (void)value_n;
    if (!is_token(name, n))
        h->wrong = "a header's name has a character that none can have";
    else if (strcasecmp(name, "Content-Length") == 0)
        h->length++;
    else if (strcasecmp(name, "Host") == 0)
        h->host++;
    else if (strcasecmp(name, "Authorization") == 0)
        h->authorization++;
    else if (h->user && strcasecmp(name, h->user) == 0)
        h->named++;
    else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        h->coding++;
        if (!value || strcasecmp(value, "chunked") != 0)
            h->wrong = "the only Transfer-Encoding that is known is chunked";
    }
    return h->wrong ? MHD_NO : MHD_YES;
}

bool web_head_ok(web_req *q)
{
    head h = {.user = q->web->base ? q->web->base->web_user_header : NULL};
    (void)MHD_get_connection_values_n(q->con, MHD_HEADER_KIND, on_line, &h);
    if (h.wrong)
        ;
    else if (h.length + h.coding > 1)
        h.wrong = "Content-Length or Transfer-Encoding is said twice";
    else if (h.host > 1)
        h.wrong = "Host is said twice";
    else if (h.authorization > 1 || h.named > 1)
        h.wrong = "who sends it is said twice";
    if (!h.wrong)
        return true;
    web_fail(q, 400, "bad_request", "%s", h.wrong);
    q->close = true;
    return false;
}

static enum MHD_Result on_forwarded(void *self, enum MHD_ValueKind kind, const char *name, size_t n,
                                    const char *value, size_t value_n)
{
    pw_buf *b = self;
    (void)kind, (void)n;
    if (strcasecmp(name, "X-Forwarded-For") == 0) {
        (void)pw_buf_add(b, ",", 1);
        (void)pw_buf_add(b, value ? value : "", value ? value_n : 0);
    }
    return MHD_YES;
}

void web_head_forwarded(web_req *q, pw_buf *ret)
{
    (void)MHD_get_connection_values_n(q->con, MHD_HEADER_KIND, on_forwarded, ret);
}
