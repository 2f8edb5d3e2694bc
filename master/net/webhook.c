/* The signed generic webhook. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "master/net/sender.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"
#include "shared/json/json.h"

void sender_header(sender_request *r, const char *name, const char *value)
{
    (void)snprintf(r->value[r->n], SENDER_VALUE, "%s", value);
    r->header[r->n] = (http_header){name, r->value[r->n]};
    r->n++;
}

void sender_token(sender_request *r, const char *name, const char *word, const net_job *j)
{
    (void)snprintf(r->value[r->n], SENDER_VALUE, "%s%.*s", word, (int)j->secret_len,
                   j->secret ? (const char *)j->secret : "");
    r->header[r->n] = (http_header){name, r->value[r->n]};
    r->n++;
}

static void ask(const net_job *j, sender_request *r)
{
    uint8_t mac[CRYPT_HASH];
    char text[10 + 2 * CRYPT_HASH] = "sha256=";
    r->method = "POST";
    sender_header(r, "Content-Type", "application/json");
    sender_header(r, "Idempotency-Key", j->key);
    sender_header(r, "Pawl-Event", j->event);
    if (!j->secret)
        return;
    crypt_hmac_sha256(j->secret, j->secret_len, j->body, j->body_len, mac);
    pw_hex(mac, sizeof(mac), text + strlen(text));
    sender_header(r, "Pawl-Signature-256", text);
}

/* The first line of an answer, for people. */
static void first_line(const pw_buf *b, char *out, size_t cap)
{
    const char *s = pw_buf_str(b);
    size_t n = strcspn(s, "\r\n"), k = 0;
    for (size_t i = 0; i < n && k + 1 < cap && k < 200; i++)
        out[k++] = isprint((unsigned char)s[i]) ? s[i] : '?';
    out[k] = '\0';
}

void sender_judge_status(net_job *j, const http_reply *r)
{
    char said[220];
    first_line(&r->body, said, sizeof(said));
    long s = r->status;
    j->retry_after = r->retry_after;
    if (!s) {
        j->outcome = r->sent ? NET_SILENT : NET_UNSENT;
        (void)snprintf(j->text, sizeof(j->text), "%s", r->text[0] ? r->text : "no answer");
        return;
    }
    (void)snprintf(j->text, sizeof(j->text), "HTTP %ld%s%s", s, *said ? ": " : "", said);
    if (s < 300)
        j->outcome = NET_TAKEN;
    else if (s < 400) {
        j->outcome = NET_REFUSED;
        (void)snprintf(j->text, sizeof(j->text),
                       "HTTP %ld: redirects are not followed: put the new address into \"url\"", s);
    } else if (s >= 500 || s == 408 || s == 425 || s == 429)
        j->outcome = NET_LATER;
    else
        j->outcome = NET_REFUSED;
}

void sender_explain(net_job *j, const http_reply *r, const char *key)
{
    PW_AUTO(json_freep) json_value *v = NULL;
    char said[220];
    if (j->outcome == NET_TAKEN || !r->status ||
        !(v = json_parse(pw_buf_str(&r->body), r->body.len, NULL)))
        return;
    const char *text = json_str(json_get(v, key), NULL);
    pw_buf b = PW_BUF(4000);
    if (text && pw_buf_adds(&b, text) == 0) {
        first_line(&b, said, sizeof(said));
        (void)snprintf(j->text, sizeof(j->text), "HTTP %ld: %s", r->status, said);
    }
    pw_buf_clear(&b);
}

static void judge(net_job *j, const http_reply *r)
{
    sender_judge_status(j, r);
    /* a conflict about our own key: an earlier try has arrived */
    if (r->status == 409 && (strcmp(r->key, j->key) == 0 || strstr(pw_buf_str(&r->body), j->key)))
        j->outcome = NET_TAKEN;
}

const sender sender_webhook = {ask, judge};
