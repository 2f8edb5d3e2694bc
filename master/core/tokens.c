/* Tokens of the API. The text of one exists in the answer that tells it and nowhere else: the row
 * has its hash, and what is kept under the Idempotency-Key is its id. When that request is repeated
 * since the answer was lost, the token gets another text, and the lost one is good for nothing. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "master/config/people.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

static int next_token(const core *self, char text[CRYPT_TOKEN_TEXT + 1], uint8_t hash[CRYPT_HASH])
{
    uint8_t raw[CRYPT_TOKEN_RANDOM];
    self->host->random(self->host->self, raw, sizeof(raw));
    crypt_token_of(raw, text);
    crypt_hash(text, strlen(text), hash);
    explicit_bzero(raw, sizeof(raw));
    return 0;
}

static void put_text(pw_buf *b, const char *key, const char *value)
{
    (void)pw_buf_addf(b, ",\"%s\":", key);
    if (value)
        (void)pw_buf_json(b, value);
    else
        (void)pw_buf_adds(b, "null");
}

static void put_answer(core_cmd *c, const store_token *t, const char *text)
{
    char at[PW_TIME_MAX];
    pw_buf *b = &c->body;
    const char *p = t->scopes;
    pw_buf_reset(b);
    (void)pw_buf_addf(b, "{\"id\":%" PRIu64, t->id);
    put_text(b, "name", t->name);
    (void)pw_buf_adds(b, ",\"scopes\":[");
    for (size_t n; *p; p += n + strspn(p + n, " ")) {
        n = strcspn(p, " ");
        (void)pw_buf_addf(b, "%s\"%.*s\"", p == t->scopes ? "" : ",", (int)n, p);
    }
    (void)pw_buf_adds(b, "]");
    put_text(b, "person", t->person);
    put_text(b, "expires", t->expires ? pw_time_text(t->expires, at) : NULL);
    put_text(b, "token", text);
    (void)pw_buf_adds(b, "}");
    c->status = 201;
}

/* False: refused already. */
static bool may_make(core *self, core_cmd *c)
{
    char lacking[SCOPE_TEXT];
    if (!c->name || !pw_name_ok(c->name))
        core_cmd_fail(c, 400, "bad_request",
                      "a token's name has 1 to 100 letters, digits and . _ + = , @ -");
    else if (c->person && !pw_name_ok(c->person))
        core_cmd_fail(c, 400, "bad_request", "\"%.100s\" is no name of a person", c->person);
    else if (c->person && self->conf->people_given && !config_find_person(self->conf, c->person))
        core_cmd_fail(c, 404, "not_found", "there is no person \"%s\" in the configuration",
                      c->person);
    else if (!c->scopes)
        core_cmd_fail(c, 400, "bad_request",
                      "a token needs scopes: read, build, land, operate, admin");
    else if (c->scopes & ~c->may)
        core_cmd_fail(c, 403, "forbidden",
                      "nobody gives what he does not have himself: %s has not \"%s\"",
                      c->actor ? c->actor : "?", scopes_text(c->scopes & ~c->may, lacking));
    else if (c->expires && c->expires <= pw_wall(self->host))
        core_cmd_fail(c, 400, "bad_request", "\"expires\" is in the past");
    else
        return true;
    return false;
}

void core_cmd_token_add(core *self, core_cmd *c)
{
    pw_err err = {0};
    char text[CRYPT_TOKEN_TEXT + 1], scopes[SCOPE_TEXT];
    if (!may_make(self, c) || !core_turn(self))
        return;
    store_token t = {.name = c->name,
                     .scopes = scopes_text(c->scopes, scopes),
                     .person = c->person,
                     .creator = c->actor ? c->actor : "?",
                     .created = pw_wall(self->host),
                     .expires = c->expires};
    next_token(self, text, t.hash);
    if (core_ok(self, store_token_add(self->st, &t, &t.id, &err), &err) &&
        core_audit(self, c, "token.create", c->name)) {
        free(c->keep);
        c->keep = pw_strf("%" PRIu64, t.id);
        if (c->keep)
            put_answer(c, &t, text);
        else
            (void)core_nomem(self);
    }
    explicit_bzero(text, sizeof(text));
}

typedef struct again {
    core_cmd *c;
    const char *text;
} again;

static int on_again(void *self, const store_token *t)
{
    again *a = self;
    put_answer(a->c, t, a->text);
    return 0;
}

void core_token_again(core *self, core_cmd *c, const char *kept)
{
    pw_err err = {0};
    char text[CRYPT_TOKEN_TEXT + 1];
    uint8_t hash[CRYPT_HASH];
    uint64_t id = 0;
    again a = {c, text};
    if (pw_parse_u64(kept, &id, &err) < 0 || !core_turn(self)) {
        (void)core_ok(self, err.code, &err);
        return;
    }
    next_token(self, text, hash);
    int r = store_token_anew(self->st, id, hash, &err);
    if (r == PW_ECONFLICT)
        core_cmd_fail(c, 409, "conflict",
                      "this request made token %" PRIu64 " already, and it was used or revoked "
                      "since: its text is told once",
                      id);
    else if (core_ok(self, r, &err))
        (void)core_ok(self, store_token_get(self->st, id, on_again, &a, &err), &err);
    explicit_bzero(text, sizeof(text));
}

static int on_name(void *self, const store_token *t)
{
    pw_buf *b = self;
    return pw_buf_addf(b, "%s%s", t->revoked ? "!" : "", t->name);
}

void core_cmd_token_revoke(core *self, core_cmd *c)
{
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000);
    int r = store_token_get(self->st, c->id, on_name, &name, &err);
    if (r == PW_ENOTFOUND) {
        core_cmd_fail(c, 404, "not_found", "there is no token %" PRIu64, c->id);
        return;
    }
    if (!core_ok(self, r, &err))
        return;
    if (pw_buf_str(&name)[0] == '!') {
        core_cmd_fail(c, 409, "conflict", "token %" PRIu64 " is revoked already", c->id);
        return;
    }
    if (core_turn(self) &&
        core_ok(self, store_token_revoke(self->st, c->id, pw_wall(self->host), &err), &err) &&
        core_audit(self, c, "token.revoke", pw_buf_str(&name))) {
        c->status = 202;
        (void)pw_buf_addf(&c->body, "{\"id\":%" PRIu64 "}", c->id);
    }
}

void core_cmd_token_used(core *self, core_cmd *c)
{
    pw_err err = {0};
    c->status = 200;
    if (core_turn(self))
        (void)core_ok(
            self, store_token_used(self->st, c->id, pw_wall(self->host), CORE_TOKEN_USED_MS, &err),
            &err);
}
