/* The state directory: lock, keys, tokens, the addresses in use. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/server/state.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

static int load_key(const server *s, const char *dir, const char *name, uint8_t key[CRYPT_KEY],
                    bool curve, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(200);
    char text[CRYPT_Z85 + 1];
    uint8_t pub[CRYPT_KEY];
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int r = integrity_mode(path, err);
    if (r == 0)
        r = pw_fs_read(path, 200, &b, err);
    if (r == PW_ENOTFOUND) {
        if (!s->new_key && (r = integrity_key_missing(s, path, err)) < 0)
            return r;
        if (curve)
            crypt_keypair(pub, key);
        else
            crypt_random(key, CRYPT_KEY);
        crypt_z85(key, text);
        text[CRYPT_Z85 - 1] = '\n';
        return pw_fs_replace(path, text, CRYPT_Z85, 0600, err);
    }
    if (r < 0)
        return r;
    if (b.len < CRYPT_Z85 - 1 || (b.p[CRYPT_Z85 - 1] = '\0', !crypt_unz85(b.p, key)))
        return pw_fail(err, PW_ECORRUPT, "\"%s\" is not a key of 40 characters", path);
    return 0;
}

static int open_folders(const char *dir, pw_err *err)
{
    static const char *const folders[] = {"logs", "artifacts", "mirrors", "tries", "keys"};
    int r = 0;
    for (size_t i = 0; r >= 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, folders[i]);
        r = path ? pw_fs_mkdirs(path, 0700, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return r;
}

int state_open(server *s, const char *dir, pw_err *err)
{
    int r = pw_fs_mkdirs(dir, 0700, err);
    s->dir = dir;
    if (r < 0)
        return r;
    PW_AUTO(pw_freep) char *lock = pw_path_join(dir, "lock");
    PW_AUTO(pw_freep) char *keys = pw_path_join(dir, "keys");
    s->db = pw_path_join(dir, "pawl.db");
    s->log_dir = pw_path_join(dir, "logs");
    s->file_dir = pw_path_join(dir, "artifacts");
    s->mirror_dir = pw_path_join(dir, "mirrors");
    s->try_dir = pw_path_join(dir, "tries");
    if (!lock || !keys || !s->db || !s->log_dir || !s->mirror_dir || !s->file_dir || !s->try_dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if ((s->lock = pw_fs_lock_soon(lock, err)) < 0)
        return s->lock == PW_EAGAIN
                   ? pw_fail(err, PW_ECONFLICT, "another master runs on \"%s\"", dir)
                   : s->lock;
    if ((r = integrity_check(s, err)) < 0 || (r = open_folders(dir, err)) < 0 ||
        (r = pw_fs_sweep(dir, err)) < 0 || (r = pw_fs_sweep(keys, err)) < 0 ||
        (r = load_key(s, keys, "master.secret", s->secret, true, err)) < 0 ||
        (r = load_key(s, keys, "mark.secret", s->mark_key, false, err)) < 0)
        return r;
    crypt_public(s->secret, s->public);
    return 0;
}

int state_admin_token(server *s, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(s->dir, "admin.token");
    char text[CRYPT_TOKEN_TEXT + 2];
    uint8_t hash[CRYPT_HASH];
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (access(path, F_OK) == 0) {
        pw_err why = {0};
        if (integrity_mode(path, &why) < 0)
            pw_log_err(PW_LOG_WARN, "admin_token_readable", &why);
        return 0;
    }
    crypt_token(text);
    size_t n = strlen(text);
    crypt_hash(text, n, hash);
    /* the row first: a file without its row would be a token that nobody knows */
    int r = store_begin(s->st, err);
    if (r < 0 ||
        (r = store_token_put(s->st, hash, "admin", "read build land operate admin",
                             pw_wall(&pw_host_real), err)) < 0 ||
        (r = store_audit_add(s->st, pw_wall(&pw_host_real), "master", "token.create", "admin",
                             "the token of a new state directory", err)) < 0 ||
        (r = store_commit(s->st, err)) < 0) {
        store_rollback(s->st);
        return r;
    }
    text[n] = '\n';
    return pw_fs_replace(path, text, n + 1, 0600, err);
}

static int write_line(server *s, const char *name, const char *line, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(s->dir, name);
    PW_AUTO(pw_freep) char *text = pw_strf("%s\n", line);
    if (!path || !text)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return pw_fs_replace(path, text, strlen(text), 0644, err);
}

int state_write_addresses(server *s, pw_err *err)
{
    int r = write_line(s, "workers.addr", link_listener_address(s->listener), err);
    return r < 0 ? r : write_line(s, "web.addr", web_address(s->web), err);
}

static bool any_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon && (strcmp(colon, ":0") == 0 || strcmp(colon, ":*") == 0);
}

int state_listen_address(server *s, const char *configured, const char *key, char *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf port = PW_BUF(16);
    (void)snprintf(out, 300, "%s", configured);
    if (!any_port(configured))
        return 0;
    int r = store_meta_get(s->st, key, &port, err);
    if (r == PW_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    (void)snprintf(out, 300, "%.*s:%s", (int)(strrchr(configured, ':') - configured), configured,
                   pw_buf_str(&port));
    return 1;
}

int state_keep_port(server *s, const char *key, const char *address, pw_err *err)
{
    int r = store_begin(s->st, err);
    if (r < 0 || (r = store_meta_put(s->st, key, strrchr(address, ':') + 1, err)) < 0 ||
        (r = store_commit(s->st, err)) < 0)
        store_rollback(s->st);
    return r;
}

/* What workers are told to dial. */
static void workers_address(const server *s, char out[256])
{
    const char *bound = link_listener_address(s->listener);
    const char *port = strrchr(bound, ':') + 1;
    if (s->conf->workers_address)
        (void)snprintf(out, 256, "%s", s->conf->workers_address);
    else if (strncmp(bound, "tcp://127.", 10) == 0 || !s->conf->name)
        (void)snprintf(out, 256, "%s", bound);
    else
        (void)snprintf(out, 256, "tcp://%s:%s", s->conf->name, port);
}

int state_join_line(void *self, const char *worker, const uint8_t secret[32], pw_msec expires,
                    pw_buf *line, pw_err *err)
{
    const server *s = self;
    crypt_join j = {.expires = expires};
    char text[CRYPT_JOIN_TEXT];
    workers_address(s, j.address);
    memcpy(j.master_key, s->public, CRYPT_KEY);
    memcpy(j.secret, secret, CRYPT_KEY);
    (void)snprintf(j.name, sizeof(j.name), "%s", worker);
    int r = crypt_join_text(&j, text, sizeof(text), err);
    return r < 0 ? r : pw_buf_addf(line, "pawl-worker join %s", text);
}
