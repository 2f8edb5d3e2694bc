#include "shared/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

#define THREADS 4
#define LINES 200

static char got[THREADS * LINES * 100];

/* What the log wrote since the last call. */
static const char *written(int fd)
{
    ssize_t n = pread(fd, got, sizeof(got) - 1, 0);

    got[n > 0 ? n : 0] = '\0';
    (void)!ftruncate(fd, 0);
    (void)lseek(fd, 0, SEEK_SET);
    return got;
}

static void test_lines(int fd)
{
    pw_log_open(PW_LOG_INFO, fd);
    errno = ENOTTY;
    pw_log(PW_LOG_INFO, "job_leased", "job=%d worker=%s", 7, "w1");
    ok(errno == ENOTTY, "errno stays");
    ok(strcmp(written(fd), "info job_leased job=7 worker=w1\n") == 0, "one line an event");
    pw_log(PW_LOG_DEBUG, "hidden", "a=1");
    ok(strcmp(written(fd), "") == 0, "above the level: nothing");
    pw_log(PW_LOG_ERROR, "bare", "%s", "");
    ok(strcmp(written(fd), "error bare\n") == 0, "an event without values");
    pw_log(PW_LOG_WARN, "hostile", "v=\"%s\"", "a\nerror fake x=1\r\t\x1b[2J\x7f\xc3\xbc");
    ok(strcmp(written(fd),
              "warn hostile v=\"a\\nerror fake x=1\\x0d\\t\\x1b[2J\\x7f\xc3\xbc\"\n") == 0,
       "control bytes are escaped");
    pw_log_open(PW_LOG_DEBUG, fd);
    pw_log(PW_LOG_DEBUG, "shown", "a=1");
    ok(strcmp(written(fd), "debug shown a=1\n") == 0, "at the level");
}

static void test_length(int fd)
{
    char text[3001];
    const char *line;
    size_t head = strlen("info long "), n;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pw_log(PW_LOG_INFO, "long", "%s", text);
    line = written(fd);
    n = strlen(line);
    ok(n == 2000 && strcmp(line + n - 5, "x...\n") == 0, "a long line is cut and marked");
    text[2000 - head - 4] = '\0';
    pw_log(PW_LOG_INFO, "long", "%s", text);
    line = written(fd);
    n = strlen(line);
    ok(n == 1997 && strcmp(line + n - 2, "x\n") == 0, "what just fits is not");
    memset(text, '\n', 1500);
    text[1500] = '\0';
    pw_log(PW_LOG_INFO, "long", "%s", text);
    line = written(fd);
    n = strlen(line);
    ok(n <= 2000 && strcmp(line + n - 6, "\\n...\n") == 0, "escapes count, and are not cut in two");
    memset(text, 'x', 2000);
    for (size_t i = 0; i + 1 < 2500; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    text[2500] = '\0';
    pw_log(PW_LOG_INFO, "long", "%s", text);
    line = written(fd);
    n = strlen(line);
    ok(n <= 2000 && strcmp(line + n - 6, "\xc3\xbc...\n") == 0, "nor are characters");
}

static void test_errors(int fd)
{
    pw_err err = {.code = PW_OK};

    errno = ENOSPC;
    (void)pw_fail_sys(&err, "writing file \"x y\"");
    pw_log_err(PW_LOG_ERROR, "write_failed", &err);
    ok(strncmp(written(fd), "error write_failed error=\"writing file 'x y'\" code=-6 sys=28", 57) ==
           0,
       "text, code and errno");
    ok(strstr(got, " cause=\"No space left on device\" at=") && strstr(got, "log_test.c:"),
       "errno text and place");
    (void)pw_fail(&err, PW_EINVAL, "bad");
    pw_log_err(PW_LOG_ERROR, "refused", &err);
    ok(strstr(written(fd), "error=\"bad\" code=-1 sys=0 at=") != NULL, "no errno, no cause");
}

static void test_journal(int fd)
{
    struct stat st;
    char stream[60];

    if (fstat(fd, &st) < 0)
        return;
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    ok(setenv("JOURNAL_STREAM", stream, 1) == 0, "stderr is the journal");
    pw_log_open(PW_LOG_INFO, fd);
    pw_log(PW_LOG_WARN, "e", "a=1");
    ok(strcmp(written(fd), "<4>warn e a=1\n") == 0, "the level stands before the line");
    ok(setenv("JOURNAL_STREAM", "1:x", 1) == 0, "it is not");
    pw_log_open(PW_LOG_INFO, fd);
    pw_log(PW_LOG_WARN, "e", "a=1");
    ok(strcmp(written(fd), "warn e a=1\n") == 0, "no level before it");
    (void)unsetenv("JOURNAL_STREAM");
}

static void *writer(void *self)
{
    for (int i = 0; i < LINES; i++)
        pw_log(PW_LOG_INFO, "thread", "id=%s n=%d end", (const char *)self, i);
    return NULL;
}

static void test_threads(int fd)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    int started = 0, lines = 0, wrong = 0;
    char *save = NULL;

    for (; started < THREADS; started++)
        if (pthread_create(&threads[started], NULL, writer, names[started]) != 0)
            break;
    for (int i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    (void)written(fd);
    for (char *l = strtok_r(got, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        lines++;
        wrong += strncmp(l, "info thread id=", 15) != 0 || strcmp(l + strlen(l) - 4, " end") != 0;
    }
    ok(lines == started * LINES && wrong == 0, "threads do not mix their lines");
}

int main(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0)
        return 1;
    test_lines(fd);
    test_length(fd);
    test_errors(fd);
    test_journal(fd);
    test_threads(fd);
    pw_log_open(PW_LOG_INFO, -1);
    (void)close(fd);
    return tap_done();
}
