#include "worker/agent/home.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

enum { SMALL_FILE = 4096 };

static const char *const folders[] = {"jobs",    "kept",  "held", "work",
                                      "mirrors", "cache", "tmp",  "needs"};

/* The first line of a small file, without its end. PW_ENOTFOUND when there is none. */
static int read_line(const char *path, char *out, size_t cap, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(SMALL_FILE);
    int rc = pw_fs_read(path, SMALL_FILE, &b, err);
    if (rc < 0)
        return rc;
    size_t n = strcspn(pw_buf_str(&b), "\n");
    if (n >= cap)
        return pw_fail(err, PW_ECORRUPT, "%s has a line of %zu bytes", path, n);
    memcpy(out, pw_buf_str(&b), n);
    out[n] = '\0';
    return 0;
}

static int write_line(const char *spool, const char *name, const char *text, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, name);
    PW_AUTO(pw_freep) char *line = pw_strf("%s\n", text);
    if (!path || !line)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return pw_fs_replace(path, line, strlen(line), 0600, err);
}

/* A line of a file in the spool; absent gives "". */
static int stored_line(const char *spool, const char *name, char *out, size_t cap, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, name);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    out[0] = '\0';
    int rc = read_line(path, out, cap, err);
    return rc == PW_ENOTFOUND ? 0 : rc;
}

/* A name for this machine that says nothing to others; "" when the system has no machine id. */
static void machine_name(char out[2 * CRYPT_HASH + 1])
{
    char id[128] = "", text[160];
    uint8_t hash[CRYPT_HASH];
    out[0] = '\0';
    if (read_line("/etc/machine-id", id, sizeof(id), NULL) < 0 || !id[0])
        return;
    int n = snprintf(text, sizeof(text), "pawl spool %s", id);
    crypt_hash(text, (size_t)n, hash);
    pw_hex(hash, sizeof(hash), out);
}

static int get_id(spool_home *h, pw_err *err)
{
    char id[80], machine[2 * CRYPT_HASH + 1], was[2 * CRYPT_HASH + 1];
    uint8_t raw[(SPOOL_ID - 1) / 2];
    int rc = stored_line(h->path, "id", id, sizeof(id), err);
    if (rc == 0)
        rc = stored_line(h->path, "machine", was, sizeof(was), err);
    if (rc < 0)
        return rc;
    machine_name(machine);
    h->moved = id[0] && was[0] && machine[0] && strcmp(was, machine) != 0;
    if (id[0] && !pw_unhex(id, raw, sizeof(raw)))
        return pw_fail(err, PW_ECORRUPT, "%s/id holds no spool id", h->path);
    if (!id[0] || h->moved) {
        crypt_random(raw, sizeof(raw));
        pw_hex(raw, sizeof(raw), id);
        rc = write_line(h->path, "id", id, err);
    }
    memcpy(h->id, id, SPOOL_ID);
    /* last, so that a start that is cut short finds the spool moved again */
    if (rc == 0 && !h->moved && machine[0] && strcmp(was, machine) != 0)
        rc = write_line(h->path, "machine", machine, err);
    return rc;
}

static int get_boot(spool_home *h, pw_err *err)
{
    char was[HOME_BOOT];
    /* without it nobody could tell a power cut from a restart of the agent: no agent then */
    int rc = read_line("/proc/sys/kernel/random/boot_id", h->boot, sizeof(h->boot), err);
    if (rc == 0)
        rc = stored_line(h->path, "boot", was, sizeof(was), err);
    if (rc < 0)
        return rc;
    h->other_boot = was[0] && strcmp(was, h->boot) != 0;
    return strcmp(was, h->boot) ? write_line(h->path, "boot", h->boot, err) : 0;
}

static int make_folders(spool_home *h, const char *spool, pw_err *err)
{
    int rc = pw_fs_mkdirs(spool, 0700, err);
    if (rc < 0)
        return rc;
    h->path = realpath(spool, NULL);
    if (!h->path)
        return errno == ENOMEM ? pw_fail(err, PW_ENOMEM, "out of memory")
                               : pw_fail_sys(err, "finding the spool %s", spool);
    for (size_t i = 0; rc == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        PW_AUTO(pw_freep) char *dir = pw_path_join(h->path, folders[i]);
        rc = dir ? pw_fs_mkdirs(dir, 0700, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return rc;
}

static int take_lock(spool_home *h, pw_err *err)
{
    PW_AUTO(pw_freep) char *lock = pw_path_join(h->path, "lock");
    if (!lock)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    h->lock = pw_fs_lock_soon(lock, err);
    if (h->lock == PW_EAGAIN)
        return pw_fail(err, PW_ECONFLICT, "another agent uses this spool: %s", h->path);
    return h->lock < 0 ? h->lock : 0;
}

static int get_mark(spool_home *h, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(h->path, "mark");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(SMALL_FILE);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_read(path, SMALL_FILE, &b, err);
    if (rc == PW_ENOTFOUND)
        return 0;
    if (rc == 0 && b.len <= HOME_MARK_MAX &&
        b.len > 0) { /* another length is no mark: as if there were none */
        memcpy(h->mark, b.p, b.len);
        h->mark_n = b.len;
    }
    return rc;
}

/* What is no number was never written by us: as if there were none. */
static int get_epoch(spool_home *h, pw_err *err)
{
    char text[32];
    int rc = stored_line(h->path, "epoch", text, sizeof(text), err);
    if (rc == PW_ECORRUPT)
        rc = 0;
    else if (rc == 0 && text[0])
        (void)pw_parse_u64(text, &h->epoch, NULL);
    return rc;
}

int home_open(const char *spool, spool_home *ret, pw_err *err)
{
    spool_home h = {.lock = -1};
    int rc = make_folders(&h, spool, err);
    if (rc == 0)
        rc = take_lock(&h, err);
    if (rc == 0)
        rc = pw_fs_sweep(h.path, err);
    if (rc == 0)
        rc = get_id(&h, err);
    if (rc == 0)
        rc = get_boot(&h, err);
    if (rc == 0)
        rc = get_mark(&h, err);
    if (rc == 0)
        rc = get_epoch(&h, err);
    if (rc < 0) {
        home_close(&h);
        return rc;
    }
    *ret = h;
    return 0;
}

void home_close(spool_home *h)
{
    free(h->path);
    h->path = NULL;
    pw_closep(&h->lock);
}

int home_settled(spool_home *h, pw_err *err)
{
    char machine[2 * CRYPT_HASH + 1];
    machine_name(machine);
    if (!h->moved || !machine[0])
        return 0;
    h->moved = false;
    return write_line(h->path, "machine", machine, err);
}

int home_mark(spool_home *h, const void *mark, size_t n, pw_err *err)
{
    if (n == 0 || n > HOME_MARK_MAX || (n == h->mark_n && !memcmp(mark, h->mark, n)))
        return 0;
    PW_AUTO(pw_freep) char *path = pw_path_join(h->path, "mark");
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_replace(path, mark, n, 0600, err);
    if (rc < 0)
        return rc;
    memcpy(h->mark, mark, n);
    h->mark_n = n;
    return 0;
}

int home_epoch(spool_home *h, uint64_t epoch, pw_err *err)
{
    char text[32];
    if (epoch == h->epoch)
        return 0;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)epoch);
    int rc = write_line(h->path, "epoch", text, err);
    if (rc == 0)
        h->epoch = epoch;
    return rc;
}
