/* Tokens and the audit trail: the writer's side and the readers'. */
#include <inttypes.h>
#include <stdio.h>

#include "master/store/fixture.h"
#include "tests/tap.h"

static pw_buf out;

static bool said(const char *want)
{
    bool same = strcmp(pw_buf_str(&out), want) == 0;
    if (!same)
        printf("# said %s\n", pw_buf_str(&out));
    pw_buf_reset(&out);
    return same;
}

static int on_token(void *self, const store_token *t)
{
    (void)self;
    return pw_buf_addf(&out, "%" PRIu64 "%c %s [%s] %s %s %" PRId64 " %" PRId64 " %" PRId64 ";",
                       t->id, t->hash[0], t->name, t->scopes, t->person ? t->person : "-",
                       t->creator, t->expires, t->used, t->revoked);
}

static int on_deed(void *self, const reader_deed *d)
{
    (void)self;
    return pw_buf_addf(&out, "%" PRIu64 " %s %s %s %s;", d->id, d->actor, d->action,
                       d->object ? d->object : "-", d->text ? d->text : "-");
}

static store_token token(char hash, const char *name, const char *person, pw_msec expires)
{
    store_token t = {.name = name,
                     .scopes = "read build",
                     .person = person,
                     .creator = "root",
                     .created = 5,
                     .expires = expires};
    memset(t.hash, hash, sizeof(t.hash));
    return t;
}

static void test_tokens(store *s)
{
    store_token a = token('a', "ci", NULL, 0), b = token('b', "hers", "ada", 99);
    uint8_t other[32];
    uint64_t id = 0;
    pw_err err;
    memset(other, 'c', sizeof(other));
    ok(store_begin(s, NULL) == 0 && store_token_add(s, &a, &id, NULL) == 0 && id == 1 &&
           store_token_add(s, &b, &id, NULL) == 0 && id == 2,
       "tokens get their numbers");
    ok(store_token_add(s, &a, &id, &err) == PW_ECONFLICT && id == 2, "one hash is one token: %s",
       err.text);
    ok(store_token_get(s, 2, on_token, NULL, NULL) == 0 &&
           said("2b hers [read build] ada root 99 0 0;"),
       "one");
    ok(store_token_get(s, 3, on_token, NULL, &err) == PW_ENOTFOUND, "none: %s", err.text);
    ok(store_token_anew(s, 2, other, NULL) == 0 &&
           store_token_get(s, 2, on_token, NULL, NULL) == 0 &&
           said("2c hers [read build] ada root 99 0 0;"),
       "another text for one that was not used");
    ok(store_token_used(s, 2, 100000, 60000, NULL) == 1 &&
           store_token_used(s, 2, 159999, 60000, NULL) == 0 &&
           store_token_used(s, 2, 160000, 60000, NULL) == 1,
       "its use is noted once a minute");
    ok(store_token_anew(s, 2, other, &err) == PW_ECONFLICT, "then it keeps its text: %s", err.text);
    ok(store_token_revoke(s, 2, 7, NULL) == 0 &&
           store_token_revoke(s, 2, 8, &err) == PW_ECONFLICT &&
           store_token_revoke(s, 9, 8, NULL) == PW_ECONFLICT,
       "revoked once: %s", err.text);
    ok(store_token_revoke(s, 1, 7, NULL) == 0 &&
           store_token_anew(s, 1, other, NULL) == PW_ECONFLICT,
       "one that is revoked gets no text either");
    for (int i = 0; i < 5; i++)
        (void)store_audit_add(s, i < 3 ? 1000 + i : 200000000 + i, i % 2 ? "bob" : "ann", "do",
                              i ? "x" : NULL, i == 4 ? "why" : NULL, NULL);
    ok(store_commit(s, NULL) == 0, "committed");
}

static void test_reading(reader *r)
{
    uint8_t hash[32];
    memset(hash, 'c', sizeof(hash));
    ok(reader_token(r, hash, on_token, NULL, NULL) == 0 &&
           said("2c hers [read build] ada root 99 160000 7;"),
       "by its hash, dead or not");
    memset(hash, 'b', sizeof(hash));
    ok(reader_token(r, hash, on_token, NULL, NULL) == PW_ENOTFOUND, "its first text is nobody's");
    ok(reader_tokens(r, 0, 1, on_token, NULL, NULL) == 0 &&
           said("2c hers [read build] ada root 99 160000 7;") &&
           reader_tokens(r, 2, 9, on_token, NULL, NULL) == 0 &&
           said("1a ci [read build] - root 0 0 7;"),
       "newest first, by pages");
    ok(reader_audit(r, NULL, 0, 0, 2, on_deed, NULL, NULL) == 0 &&
           said("5 ann do x why;4 bob do x -;") &&
           reader_audit(r, NULL, 0, 4, 9, on_deed, NULL, NULL) == 0 &&
           said("3 ann do x -;2 bob do x -;1 ann do - -;"),
       "the trail, newest first, by pages");
    ok(reader_audit(r, "bob", 0, 0, 9, on_deed, NULL, NULL) == 0 &&
           said("4 bob do x -;2 bob do x -;") &&
           reader_audit(r, "eve", 0, 0, 9, on_deed, NULL, NULL) == 0 && said(""),
       "of one actor");
    ok(reader_audit(r, NULL, 200000004, 0, 9, on_deed, NULL, NULL) == 0 &&
           said("5 ann do x why;") &&
           reader_audit(r, "bob", 1001, 0, 9, on_deed, NULL, NULL) == 0 &&
           said("4 bob do x -;2 bob do x -;"),
       "since");
}

int main(void)
{
    fixture f;
    fixture_init(&f);
    pw_buf_init(&out, 100000);
    store *s = store_open(f.path, &f.host, NULL);
    if (s)
        test_tokens(s);
    reader *r = s ? reader_open(f.path, NULL) : NULL;
    ok(r != NULL, "a reader");
    if (r)
        test_reading(r);
    reader_close(r);
    store_close(s);
    pw_buf_clear(&out);
    fixture_clear(&f);
    return tap_done();
}
