#include "worker/spool/spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

static bool parse(const char *s, spool_job *j)
{
    return spool_job_parse(s, strlen(s), j);
}

static void names(void)
{
    char name[SPOOL_JOB_NAME];
    spool_job j = {0x0123456789abcdefULL, 17}, got = {1, 1};
    ok(!strcmp(spool_job_name(j, name), "0123456789abcdef-17"), "a job's name");
    ok(parse(name, &got) && got.epoch == j.epoch && got.attempt == 17, "read back");
    spool_job big = {UINT64_MAX, UINT64_MAX};
    ok(!strcmp(spool_job_name(big, name), "ffffffffffffffff-18446744073709551615"), "largest name");
    ok(parse(name, &got) && got.epoch == UINT64_MAX && got.attempt == UINT64_MAX,
       "largest read back");
    ok(parse("0000000000000000-0", &got) && !got.epoch && !got.attempt, "smallest");
    ok(!parse("ffffffffffffffff-18446744073709551616", &got), "one above the largest");
    ok(!parse("ffffffffffffffff-118446744073709551615", &got), "a digit too many");
    ok(!parse("0123456789abcdef-017", &got), "no second name by a leading zero");
    ok(!parse("0123456789abcdef-", &got) && !parse("0123456789abcdef", &got), "no attempt");
    ok(!parse("0123456789ABCDEF-1", &got) && !parse("0123456789abcdeg-1", &got),
       "hex is lower case");
    ok(!parse("0123456789abcdef-1x", &got) && !parse("0123456789abcdef--1", &got) &&
           !parse("0123456789abcdef/1", &got) && !parse("", &got),
       "other text");
    ok(spool_job_parse("0123456789abcdef-17.job", 19, &got) && got.attempt == 17, "n bytes only");
    PW_AUTO(pw_freep) char *a = spool_path_job("/s", j);
    PW_AUTO(pw_freep) char *b = spool_path_journal("/s", j);
    ok(a && !strcmp(a, "/s/jobs/0123456789abcdef-17.job"), "the job file");
    ok(b && !strcmp(b, "/s/jobs/0123456789abcdef-17.journal"), "the journal");
}

static void notes(const char *dir)
{
    pw_err err = {0};
    PW_AUTO(pw_closep) int a = spool_notes_open(dir, &err);
    PW_AUTO(pw_closep) int b = spool_notes_open(dir, &err);
    if (a < 0 || b < 0) {
        ok(false, "open notes: %s", err.text);
        return;
    }
    spool_note out[100];
    ok(spool_notes_get(a, out, 100) == 0, "nothing yet");
    for (uint64_t i = 0; i < 70; i++)
        spool_notes_put(b, (spool_note){{7, i}, i * 1000});
    ok(spool_notes_get(a, out, 3) == 3 && out[2].job.epoch == 7 && out[2].job.attempt == 2 &&
           out[2].length == 2000,
       "at most max");
    ok(spool_notes_get(a, out, 100) == 67 && out[66].job.attempt == 69 && out[66].length == 69000,
       "the rest, more than one read");
    for (uint64_t i = 0; i < 5000; i++)
        spool_notes_put(b, (spool_note){{1, i}, 0});
    int total = 0, n;
    while ((n = spool_notes_get(a, out, 100)) > 0)
        total += n;
    ok(total >= 2000 && total < 5000, "a full FIFO drops notes and blocks nobody");
    spool_notes_put(-1, (spool_note){{1, 1}, 1});
    ok(spool_notes_get(-1, out, 1) == 0, "a bad descriptor is no note");
    PW_AUTO(pw_freep) char *other = pw_path_join(dir, "other");
    PW_AUTO(pw_freep) char *fifo = pw_path_join(dir, "other/grown");
    if (!other || !fifo)
        return;
    ok(spool_notes_open(other, &err) == PW_ESYS, "no folder");
    (void)mkdir(other, 0700);
    PW_AUTO(pw_closep) int plain = open(fifo, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ok(plain >= 0 && spool_notes_open(other, &err) == PW_ECORRUPT,
       "a plain file in its place is told");
}

static void control(void)
{
    pw_err err = {0};
    char id[SPOOL_ID], text[SPOOL_TEXT_MAX + 1] = "old";
    (void)snprintf(id, sizeof(id), "%032lx", (unsigned long)getpid());
    spool_job j = {0xfeedULL, 3};
    spool_order order = (spool_order)0;
    ok(spool_control_send(id, j, SPOOL_CANCEL, "x", &err) == PW_ENOTFOUND, "no runner");
    PW_AUTO(pw_closep) int fd = spool_control_bind(id, j, &err);
    ok(fd >= 0, "bind");
    ok(spool_control_bind(id, j, &err) == PW_ECONFLICT, "a second runner is refused");
    PW_AUTO(pw_buf_clearp) pw_buf list = PW_BUF(16 * 1024 * 1024);
    ok(pw_fs_read("/proc/net/unix", list.max, &list, NULL) == 0 &&
           strstr(pw_buf_str(&list), "@pawl/") && !strstr(pw_buf_str(&list), id),
       "what all users of the machine can list does not tell the spool's id");
    ok(!spool_control_get(fd, &order, text) && !strcmp(text, "old"), "no order yet");
    ok(spool_control_send(id, j, SPOOL_CANCEL, "by ada", &err) == 0, "send");
    ok(spool_control_get(fd, &order, text) && order == SPOOL_CANCEL && !strcmp(text, "by ada"),
       "received");
    ok(spool_control_send(id, j, SPOOL_CANCEL, NULL, &err) == 0 &&
           spool_control_get(fd, &order, text) && !*text,
       "no text is an empty one");
    char longer[SPOOL_TEXT_MAX + 20];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    longer[SPOOL_TEXT_MAX] = 'b';
    ok(spool_control_send(id, j, SPOOL_CANCEL, longer, &err) == 0 &&
           spool_control_get(fd, &order, text) && strlen(text) == SPOOL_TEXT_MAX &&
           !strchr(text, 'b'),
       "a long text is cut");
    ok(spool_control_send(id, j, (spool_order)99, "?", &err) == 0 &&
           spool_control_send(id, j, SPOOL_CANCEL, "after", &err) == 0 &&
           spool_control_get(fd, &order, text) && !strcmp(text, "after"),
       "an unknown order is skipped");
    int sent = 0, rc = 0;
    while (sent < 5000 && (rc = spool_control_send(id, j, SPOOL_CANCEL, "again", &err)) == 0)
        sent++;
    ok(rc == PW_EAGAIN && sent > 0, "a full queue is told, not waited for");
    ok(spool_control_bind("short", j, &err) == PW_EINVAL, "a spool id has 32 digits");
    pw_closep(&fd);
    ok(spool_control_send(id, j, SPOOL_CANCEL, "x", &err) == PW_ENOTFOUND, "gone with its process");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char name[SPOOL_JOB_NAME];
    int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "pawl/%s/%s", id,
                     spool_job_name(j, name));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    PW_AUTO(pw_closep) int old = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ok(old >= 0 && bind(old, (struct sockaddr *)&sa, len) == 0 &&
           spool_control_send(id, j, SPOOL_CANCEL, "x", &err) == 0 &&
           recv(old, text, sizeof(text), MSG_DONTWAIT) == 2,
       "a runner of an older program is told");
    PW_AUTO(pw_closep) int next = spool_control_bind(id, j, &err);
    ok(next >= 0, "and its name is not in the way of a new one");
}

int main(void)
{
    char dir[] = "/tmp/pawl-spool-XXXXXX";
    if (!mkdtemp(dir)) {
        ok(false, "mkdtemp");
        return tap_done();
    }
    names();
    notes(dir);
    control();
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
