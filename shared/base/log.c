#include "shared/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_                                                                                  \
    2000 /* bytes of a line with its break: below PIPE_BUF, so lines of several threads do not mix \
          */

/* The one sink. Atomic, since a test may open it while a thread of an earlier test still ends. */
static struct {
    _Atomic int max;
    _Atomic int fd;
    _Atomic bool prefix;
} sink = {.max = PW_LOG_INFO, .fd = STDERR_FILENO};

/* systemd names the device and inode of the stream in JOURNAL_STREAM; stderr may have been
 * redirected since. */
static bool is_journal(int fd)
{
    const char *s = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    char *end;
    struct stat st;

    if (!s || fstat(fd, &st) < 0)
        return false;
    dev = strtoull(s, &end, 10);
    if (*end != ':')
        return false;
    ino = strtoull(end + 1, &end, 10);
    return *end == '\0' && dev == (unsigned long long)st.st_dev &&
           ino == (unsigned long long)st.st_ino;
}

void pw_log_open(pw_level max, int fd)
{
    int to = fd >= 0 ? fd : STDERR_FILENO;

    atomic_store(&sink.max, (int)max);
    atomic_store(&sink.fd, to);
    atomic_store(&sink.prefix, is_journal(to));
}

static const char *level_name(pw_level level)
{
    switch (level) {
    case PW_LOG_ERROR:
        return "error";
    case PW_LOG_WARN:
        return "warn";
    case PW_LOG_INFO:
        return "info";
    case PW_LOG_DEBUG:
        return "debug";
    }
    return "info";
}

/* Copies src into dst (room bytes), control bytes as \n, \t, \xHH; returns the bytes written. *cut:
 * did not fit. */
static size_t escape(char *dst, size_t room, const char *src, bool *cut)
{
    static const char digit[] = "0123456789abcdef";
    size_t at = 0;

    for (; *src; src++) {
        unsigned char c = (unsigned char)*src;
        char one[4] = {(char)c};
        size_t n = 1;
        if (c == '\n' || c == '\t') {
            one[0] = '\\';
            one[1] = c == '\n' ? 'n' : 't';
            n = 2;
        } else if (c < 0x20 || c == 0x7f) {
            one[0] = '\\';
            one[1] = 'x';
            one[2] = digit[c >> 4];
            one[3] = digit[c & 15];
            n = 4;
        }
        if (n > room - at) {
            *cut = true;
            break;
        }
        memcpy(dst + at, one, n);
        at += n;
    }
    /* a character that was cut in its middle goes as a whole */
    if (*cut && ((unsigned char)*src & 0xc0) == 0x80) {
        while (at > 0 && ((unsigned char)dst[at - 1] & 0xc0) == 0x80)
            at--;
        if (at > 0 && (unsigned char)dst[at - 1] >= 0xc0)
            at--;
    }
    return at;
}

void pw_log(pw_level level, const char *event, const char *fmt, ...)
{
    static const char mark[] = "...\n";
    char raw[LINE_MAX_ + 1], line[LINE_MAX_];
    size_t len, room = sizeof(line) - (sizeof(mark) - 1);
    int saved = errno, n;
    bool cut = false;
    va_list ap;

    if ((int)level > atomic_load(&sink.max))
        return;
    if (atomic_load(&sink.prefix))
        n = snprintf(line, room, "<%d>%s %.100s", (int)level, level_name(level), event);
    else
        n = snprintf(line, room, "%s %.100s", level_name(level), event);
    len = n > 0 ? (size_t)n : 0;
    raw[0] = '\0';
    va_start(ap, fmt);
    n = vsnprintf(raw, sizeof(raw), fmt, ap);
    va_end(ap);
    if (n > 0) {
        line[len++] = ' ';
        cut = (size_t)n >= sizeof(raw);
        len += escape(line + len, room - len, raw, &cut);
    }
    if (cut) {
        memcpy(line + len, mark, sizeof(mark) - 1);
        len += sizeof(mark) - 1;
    } else {
        line[len++] = '\n';
    }
    /* nobody can be told that the log is lost; waiting for it would stop the program */
    while (write(atomic_load(&sink.fd), line, len) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void pw_log_err(pw_level level, const char *event, const pw_err *err)
{
    char text[sizeof(err->text)], buf[128];
    const char *sys = "";
    size_t i = 0;

    for (; i < sizeof(text) - 1 && err->text[i]; i++) {
        text[i] = err->text[i];
        if (text[i] == '"') /* the value stands between quotes */
            text[i] = '\'';
    }
    text[i] = '\0';
    if (err->code == PW_ESYS || err->code == PW_EFULL)
        sys = err->sys > 0 ? strerror_r(err->sys, buf, sizeof(buf)) : "";
    pw_log(level, event, "error=\"%s\" code=%d sys=%d%s%s%s at=%s:%d", text, (int)err->code,
           err->sys, *sys ? " cause=\"" : "", sys, *sys ? "\"" : "", err->file ? err->file : "?",
           err->line);
}
