#include "worker/agent/join.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/link/link.h"
#include "shared/wire/msg.h"

enum { REASON_MAX = 400 };

int join_tags(const char *text, pw_strs *ret, pw_err *err)
{
    pw_strs s = {calloc(CONF_WORDS_MAX, sizeof(char *)), 0};
    int rc = s.v ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
    for (const char *p = text; rc == 0 && p && *p;) {
        size_t n = strcspn(p, ",");
        char *word = strndup(p, n);
        if (!word)
            rc = pw_fail(err, PW_ENOMEM, "out of memory");
        else if (s.n == CONF_WORDS_MAX)
            rc = pw_fail(err, PW_ELIMIT, "more than %d tags", CONF_WORDS_MAX);
        else if (!worker_word_ok(word))
            rc = pw_fail(err, PW_EINVAL, "\"%.60s\" is no tag: 1 to 100 visible characters", word);
        if (rc == 0)
            s.v[s.n++] = word;
        else
            free(word);
        p += n + (p[n] == ',');
    }
    if (rc < 0) {
        worker_strs_clear(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

/* ---- talking to the master */

typedef struct talk {
    bool joined, refused, over;
    char name[PW_NAME_MAX + 1];
    char reason[REASON_MAX];
} talk;

static void on_in(void *self, const link_in *in)
{
    talk *t = self;
    pw_err err = {0};
    pw_msg m = {0};
    if (t->over)
        return;
    if (pw_msg_decode(in->head, in->head_len, &m, &err) < 0) {
        (void)snprintf(t->reason, sizeof(t->reason), "%s", err.text);
        t->over = true;
        return;
    }
    if (m.type == PW_MSG_JOINED) {
        t->joined = t->over = true;
        (void)snprintf(t->name, sizeof(t->name), "%s", m.u.joined.name);
    } else if (m.type == PW_MSG_REFUSED) {
        t->refused = t->over = true;
        (void)snprintf(t->reason, sizeof(t->reason), "the master refused: %s", m.u.refused.reason);
    }
    pw_msg_clear(&m);
}

static void on_down(void *self, const char *reason)
{
    talk *t = self;
    if (t->over)
        return;
    t->over = true;
    (void)snprintf(t->reason, sizeof(t->reason), "%s", reason);
}

static int wait_for(pw_loop *loop, talk *t, const char *address, pw_err *err)
{
    pw_usec end = pw_now(&pw_host_real) + JOIN_WAIT;
    while (!t->over) {
        pw_usec left = end - pw_now(&pw_host_real);
        if (left <= 0)
            return pw_fail(err, PW_ETIMEDOUT, "no answer from %s within 20 s", address);
        int rc = pw_loop_once(loop, left, err);
        if (rc < 0)
            return rc;
    }
    if (t->joined)
        return 0;
    /* a connection that ends says nothing of what the master has done */
    return pw_fail(err, t->refused ? PW_EDENIED : PW_EAGAIN, "%s", t->reason);
}

static int tell_master(const crypt_join *j, const uint8_t pub[CRYPT_KEY], pw_err *err)
{
    static const link_dialer_ops ops = {on_in, on_down};
    talk t = {0};
    uint8_t key[CRYPT_KEY];
    char name[PW_NAME_MAX + 1];
    memcpy(key, pub, sizeof(key));
    (void)snprintf(name, sizeof(name), "%s", j->name);
    msg_join m = {.name = name, .key = {key, sizeof(key)}};
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(PW_MSG_MAX);
    PW_AUTO(pw_loop_freep) pw_loop *loop = pw_loop_new(&pw_host_real, err);
    PW_AUTO(link_ctx_freep) link_ctx *ctx = loop ? link_ctx_new(err) : NULL;
    if (!ctx)
        return PW_ESYS;
    PW_AUTO(link_dialer_freep)
    link_dialer *d =
        link_dial(ctx, loop, j->address, j->master_key, j->secret, PW_MSG_MAX, &ops, &t, err);
    if (!d)
        return PW_ESYS;
    int rc = pw_msg_encode(PW_MSG_JOIN, &m, &head, err);
    if (rc == 0)
        rc = link_dialer_send(d, head.p, head.len, NULL, 0, err);
    if (rc == 0)
        rc = wait_for(loop, &t, j->address, err);
    if (rc == 0 && strcmp(t.name, j->name) != 0)
        rc = pw_fail(err, PW_EPROTO, "the master calls this worker \"%.100s\", not \"%.100s\"",
                     t.name, j->name);
    return rc;
}

/* ---- files */

/* Fills spool, key and file of *c. Made: the spool folder. */
static int choose_places(const join_options *o, worker_conf *c, pw_err *err)
{
    const char *spool = o->spool ? o->spool : CONF_DEFAULT_SPOOL;
    int rc = pw_fs_mkdirs(spool, 0700, err);
    if (rc < 0)
        return rc;
    c->spool = realpath(spool, NULL);
    if (!c->spool)
        return pw_fail_sys(err, "finding the spool %s", spool);
    bool etc = !o->spool && access("/etc/pawl", W_OK) == 0;
    c->key = pw_path_join(c->spool, "worker.key");
    c->file = o->config ? strdup(o->config)
              : etc     ? strdup(CONF_DEFAULT_ETC)
                        : pw_path_join(c->spool, "worker.yaml");
    if (!c->key || !c->file)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return 0;
}

/* A configuration that is there already is kept when it is of this very worker; its key and spool
 * count then. */
static int look_at_old(const join_options *o, const crypt_join *j, worker_conf *c, bool *ret_there,
                       pw_err *err)
{
    worker_conf old = {0};
    yaml_errors errors = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(CONF_FILE_MAX);
    *ret_there = false;
    int rc = worker_conf_read(c->file, &old, &errors, err);
    if (rc == PW_EINVAL) {
        (void)yaml_errors_text(&errors, &text);
        rc = pw_fail(err, PW_ECONFLICT, "%s exists and has errors; mend it or move it away: %.200s",
                     c->file, pw_buf_str(&text));
    }
    yaml_errors_clear(&errors);
    if (rc == PW_ENOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    if (strcmp(old.name, j->name) != 0 || strcmp(old.address, j->address) != 0 ||
        memcmp(old.master_key, j->master_key, CRYPT_KEY) != 0)
        rc = pw_fail(err, PW_ECONFLICT,
                     "%s belongs to worker \"%s\" of %s; move it away, or use --config and --spool",
                     c->file, old.name, old.address);
    else if (o->spool && strcmp(old.spool, c->spool) != 0)
        rc = pw_fail(err, PW_ECONFLICT,
                     "%s says that the spool is %s; move it away, or leave --spool out", c->file,
                     old.spool);
    if (rc < 0) {
        worker_conf_clear(&old);
        return rc;
    }
    worker_conf_clear(c);
    *c = old;
    *ret_there = true;
    return 0;
}

static int write_conf(const worker_conf *c, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CONF_FILE_MAX);
    assert(c->file);
    const char *slash = strrchr(c->file, '/');
    int rc = worker_conf_text(c, &b);
    if (rc < 0)
        return pw_fail(err, rc, "out of memory");
    if (slash && slash > c->file) {
        PW_AUTO(pw_freep) char *dir = strndup(c->file, (size_t)(slash - c->file));
        rc = dir ? pw_fs_mkdirs(dir, 0755, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return rc < 0 ? rc : pw_fs_replace(c->file, b.p, b.len, 0644, err);
}

/* The key that is to become the worker's: beside the one in use, which works until the master has
 * taken this one. One that is there already is of a join that was cut short: the master may know
 * it, and admits no other with the same token. */
static int next_key(const char *file, uint8_t pub[CRYPT_KEY], bool *ret_made, pw_err *err)
{
    uint8_t sec[CRYPT_KEY];
    int rc = worker_key_read(file, pub, sec, err);
    *ret_made = rc == PW_ENOTFOUND;
    if (rc == PW_ENOTFOUND)
        rc = worker_key_make(file, pub, sec, err);
    explicit_bzero(sec, sizeof(sec));
    return rc;
}

static int take_key(const char *next, const char *key, pw_err *err)
{
    const char *slash = strrchr(key, '/');
    PW_AUTO(pw_freep)
    char *dir = strndup(slash ? key : ".", slash ? (size_t)(slash - key) + (slash == key) : 1);
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (pw_fault("worker.key"))
        return pw_fail(err, PW_ESYS, "putting %s in place: fault asked for", key);
    if (rename(next, key) < 0)
        return pw_fail_sys(err, "putting %s in place; run the same line again", key);
    return pw_fs_sync_dir(dir, err);
}

/* The master has taken the key: the configuration, then the key. Until the key is in place, the
 * same line does all of it again. */
static int settle(const join_options *o, const crypt_join *j, worker_conf *c, bool there,
                  const char *next, pw_buf *told, pw_err *err)
{
    bool failed = false;
    int rc = 0;
    if (!there) {
        c->name = pw_strdup(j->name, &failed);
        c->address = pw_strdup(j->address, &failed);
        memcpy(c->master_key, j->master_key, CRYPT_KEY);
        c->slots = o->slots ? o->slots : 1;
        rc = failed ? pw_fail(err, PW_ENOMEM, "out of memory") : join_tags(o->tags, &c->tags, err);
        if (rc == 0)
            rc = write_conf(c, err);
        if (rc == 0 && pw_fault("join.config"))
            rc = pw_fail(err, PW_ESYS, "fault point join.config");
    } else if (o->tags || o->slots) {
        (void)pw_buf_addf(told, "%s was there already and is kept: set tags and slots in it\n",
                          c->file);
    }
    return rc < 0 ? rc : take_key(next, c->key, err);
}

static int run(const join_options *o, const crypt_join *j, worker_conf *c, pw_buf *told,
               pw_err *err)
{
    uint8_t pub[CRYPT_KEY];
    bool there = false, made = false;
    int rc = choose_places(o, c, err);
    if (rc == 0)
        rc = look_at_old(o, j, c, &there, err);
    PW_AUTO(pw_freep) char *next = rc == 0 ? pw_strf("%s.next", c->key) : NULL;
    if (rc == 0 && !next)
        rc = pw_fail(err, PW_ENOMEM, "out of memory");
    bool rotates = rc == 0 && access(c->key, F_OK) == 0;
    if (rc == 0)
        rc = next_key(next, pub, &made, err);
    if (rc == 0 && pw_fault("join.key"))
        rc = pw_fail(err, PW_ESYS, "fault point join.key");
    if (rc == 0 && (rc = tell_master(j, pub, err)) < 0) {
        (void)pw_err_context(err, "joining as \"%s\"", j->name);
        if (made && rc == PW_EDENIED) /* nobody knows it; after silence the master may */
            (void)unlink(next);
    }
    if (rc == 0 && pw_fault("join.joined"))
        rc = pw_fail(err, PW_ESYS, "fault point join.joined");
    if (rc == 0)
        rc = settle(o, j, c, there, next, told, err);
    if (rc < 0)
        return rc;
    if (rotates)
        (void)pw_buf_addf(
            told, "joined as %s with a new key; an agent that runs takes it by itself\n", j->name);
    else
        (void)pw_buf_addf(told, "joined as %s; now run:\n    pawl-worker --config %s\n", j->name,
                          c->file);
    return told->failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int join(const join_options *o, pw_buf *told, pw_err *err)
{
    crypt_join j;
    worker_conf c = {0};
    pw_strs tags = {NULL, 0};
    int rc = crypt_join_parse(o->token, &j, err);
    if (rc < 0)
        return pw_fail(
            err, PW_EINVAL,
            "the token cannot be used; copy the whole line that `pawl worker add` printed");
    if (j.expires <= pw_wall(&pw_host_real))
        rc = pw_fail(err, PW_EDENIED,
                     "the token for \"%s\" has expired; make another with `pawl worker add %s`",
                     j.name, j.name);
    if (rc == 0)
        rc = join_tags(o->tags, &tags, err); /* before anything is done */
    worker_strs_clear(&tags);
    if (rc == 0)
        rc = run(o, &j, &c, told, err);
    worker_conf_clear(&c);
    explicit_bzero(&j, sizeof(j));
    return rc;
}
