/* spool.c - names, notes and orders between agent and runner. See README.md. */
#include "worker/spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

enum {
    NOTE_BYTES = 24,
    NOTES_ONCE = 64, /* notes taken by one read(2) */
    EPOCH_DIGITS = 16,
    FOREIGN_MAX =
        64, /* datagrams of other users dropped by one call, so that they cannot hold us up */
};

const char *spool_job_name(spool_job j, char out[SPOOL_JOB_NAME])
{
    (void)snprintf(out, SPOOL_JOB_NAME, "%016" PRIx64 "-%" PRIu64, j.epoch, j.attempt);
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool spool_job_parse(const char *name, size_t n, spool_job *ret)
{
    spool_job j = {0, 0};
    if (n < EPOCH_DIGITS + 2 || n > EPOCH_DIGITS + 21 || name[EPOCH_DIGITS] != '-')
        return false;
    for (size_t i = 0; i < EPOCH_DIGITS; i++) {
        int d = hex_digit(name[i]);
        if (d < 0)
            return false;
        j.epoch = j.epoch << 4 | (uint64_t)d;
    }
    /* a leading zero would give one job two names */
    if (name[EPOCH_DIGITS + 1] == '0' && n > EPOCH_DIGITS + 2)
        return false;
    for (size_t i = EPOCH_DIGITS + 1; i < n; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        uint64_t d = (uint64_t)(name[i] - '0');
        if (j.attempt > (UINT64_MAX - d) / 10)
            return false;
        j.attempt = j.attempt * 10 + d;
    }
    *ret = j;
    return true;
}

char *spool_path_job(const char *spool, spool_job j)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/jobs/%s.job", spool, spool_job_name(j, name));
}

char *spool_path_journal(const char *spool, spool_job j)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/jobs/%s.journal", spool, spool_job_name(j, name));
}

char *spool_path_secrets(const char *spool, spool_job j)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/jobs/%s.secrets", spool, spool_job_name(j, name));
}

/* ---- notes */

int spool_notes_open(const char *spool, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, "grown");
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (mkfifo(path, 0600) < 0 && errno != EEXIST)
        return pw_fail_sys(err, "making the notes' FIFO %s", path);
    PW_AUTO(pw_closep) int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return pw_fail_sys(err, "opening the notes' FIFO %s", path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pw_fail_sys(err, "looking at the notes' FIFO %s", path);
    if (!S_ISFIFO(st.st_mode))
        return pw_fail(err, PW_ECORRUPT, "%s is no FIFO", path);
    int ret = fd;
    fd = -1;
    return ret;
}

void spool_notes_put(int fd, spool_note n)
{
    uint8_t raw[NOTE_BYTES];
    pw_put_le64(raw, n.job.epoch);
    pw_put_le64(raw + 8, n.job.attempt);
    pw_put_le64(raw + 16, n.length);
    ssize_t done;
    do
        done = write(fd, raw, sizeof(raw)); /* below PIPE_BUF: whole or not at all */
    while (done < 0 && errno == EINTR);
}

int spool_notes_get(int fd, spool_note *out, int max)
{
    uint8_t raw[NOTES_ONCE * NOTE_BYTES];
    int got = 0;
    while (got < max) {
        int want = max - got < NOTES_ONCE ? max - got : NOTES_ONCE;
        ssize_t n = read(fd, raw, (size_t)want * NOTE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < NOTE_BYTES)
            break;
        int notes = (int)(n / NOTE_BYTES);
        for (int i = 0; i < notes; i++, got++) {
            const uint8_t *p = raw + i * NOTE_BYTES;
            out[got] = (spool_note){{pw_le64(p), pw_le64(p + 8)}, pw_le64(p + 16)};
        }
        if (notes < want)
            break;
    }
    return got;
}

/* ---- control */

/* "\0pawl/HASH": the leading NUL puts it into the abstract namespace, which all users of the
 * machine share and which anybody can take names in and list. So the name tells neither the spool's
 * id, nor can it be told beforehand without it: nobody else takes it before the runner does. */
static int control_address(const char *spool_id, spool_job j, struct sockaddr_un *sa,
                           socklen_t *len, pw_err *err)
{
    char name[SPOOL_JOB_NAME], text[SPOOL_ID + SPOOL_JOB_NAME + 16], hex[2 * CRYPT_HASH + 1];
    uint8_t hash[CRYPT_HASH];
    memset(sa, 0, sizeof(*sa));
    sa->sun_family = AF_UNIX;
    if (strlen(spool_id) != SPOOL_ID - 1)
        return pw_fail(err, PW_EINVAL, "a spool id has %d digits", SPOOL_ID - 1);
    int n = snprintf(text, sizeof(text), "control %s %s", spool_id, spool_job_name(j, name));
    crypt_hash(text, (size_t)n, hash);
    pw_hex(hash, sizeof(hash), hex);
    n = snprintf(sa->sun_path + 1, sizeof(sa->sun_path) - 1, "pawl/%s", hex);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return 0;
}

/* The name that runners of older programs took: an upgrade finds them running. */
static void old_address(const char *spool_id, const char *name, struct sockaddr_un *sa,
                        socklen_t *len)
{
    memset(sa, 0, sizeof(*sa));
    sa->sun_family = AF_UNIX;
    int n = snprintf(sa->sun_path + 1, sizeof(sa->sun_path) - 1, "pawl/%s/%s", spool_id, name);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static bool nobody(ssize_t done)
{
    return done < 0 && (errno == ECONNREFUSED || errno == ENOENT);
}

int spool_control_bind(const char *spool_id, spool_job j, pw_err *err)
{
    struct sockaddr_un sa;
    socklen_t len;
    char name[SPOOL_JOB_NAME];
    int rc = control_address(spool_id, j, &sa, &len, err);
    if (rc < 0)
        return rc;
    PW_AUTO(pw_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return pw_fail_sys(err, "making the control socket of job %s", spool_job_name(j, name));
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return pw_fail_sys(err, "asking for senders on job %s", spool_job_name(j, name));
    if (bind(fd, (struct sockaddr *)&sa, len) < 0) {
        if (errno == EADDRINUSE)
            return pw_fail(err, PW_ECONFLICT, "job %s has a runner already",
                           spool_job_name(j, name));
        return pw_fail_sys(err, "binding the control socket of job %s", spool_job_name(j, name));
    }
    int ret = fd;
    fd = -1;
    return ret;
}

/* The sender's uid as the kernel vouches for it; root may always give orders. */
static bool sender_ok(struct msghdr *mh)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
            continue;
        struct ucred cred;
        memcpy(&cred, CMSG_DATA(c), sizeof(cred));
        return cred.uid == geteuid() || cred.uid == 0;
    }
    return false;
}

bool spool_control_get(int fd, spool_order *ret, char text[SPOOL_TEXT_MAX + 1])
{
    for (int dropped = 0; dropped < FOREIGN_MAX; dropped++) {
        uint8_t raw[1 + SPOOL_TEXT_MAX];
        union {
            char buf[CMSG_SPACE(sizeof(struct ucred))];
            struct cmsghdr align;
        } ctl;
        struct iovec iov = {raw, sizeof(raw)};
        struct msghdr mh = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = ctl.buf,
                            .msg_controllen = sizeof(ctl.buf)};
        /* foreign descriptors do not fit into ctl: the kernel closes them */
        ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n < 1 || !sender_ok(&mh) || raw[0] < SPOOL_CANCEL || raw[0] > SPOOL_NOTE)
            continue;
        memcpy(text, raw + 1, (size_t)n - 1);
        text[n - 1] = '\0';
        *ret = (spool_order)raw[0];
        return true;
    }
    return false;
}

int spool_control_send(const char *spool_id, spool_job j, spool_order order, const char *text,
                       pw_err *err)
{
    struct sockaddr_un sa;
    socklen_t len;
    char name[SPOOL_JOB_NAME];
    uint8_t raw[1 + SPOOL_TEXT_MAX];
    int rc = control_address(spool_id, j, &sa, &len, err);
    if (rc < 0)
        return rc;
    size_t n = text ? strnlen(text, SPOOL_TEXT_MAX) : 0;
    raw[0] = (uint8_t)order;
    if (n)
        memcpy(raw + 1, text, n);
    PW_AUTO(pw_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return pw_fail_sys(err, "making a socket for an order to job %s", spool_job_name(j, name));
    ssize_t done = sendto(fd, raw, n + 1, MSG_NOSIGNAL, (struct sockaddr *)&sa, len);
    if (nobody(done)) {
        old_address(spool_id, spool_job_name(j, name), &sa, &len);
        done = sendto(fd, raw, n + 1, MSG_NOSIGNAL, (struct sockaddr *)&sa, len);
    }
    if (done >= 0)
        return 0;
    if (nobody(done))
        return pw_fail(err, PW_ENOTFOUND, "job %s has no runner", spool_job_name(j, name));
    if (errno == EAGAIN)
        return pw_fail(err, PW_EAGAIN, "the runner of job %s has unread orders",
                       spool_job_name(j, name));
    return pw_fail_sys(err, "sending an order to job %s", spool_job_name(j, name));
}
