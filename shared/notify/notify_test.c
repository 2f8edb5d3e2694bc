#include "shared/notify/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

static bool received(int fd, const char *want)
{
    char got[1024];
    ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
    if (n < 0)
        return !want;
    got[n] = '\0';
    return want && strcmp(got, want) == 0;
}

int main(void)
{
    (void)unsetenv("NOTIFY_SOCKET");
    pw_notify_ready("nobody listens");
    pw_notify_stopping();
    ok(true, "harmless without systemd");

    PW_AUTO(pw_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "pawl-notify-test-%d", (int)getpid());
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(at.sun_path + 1));
    ok(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0, "a manager that listens");
    char name[sizeof(at.sun_path) + 1];
    (void)snprintf(name, sizeof(name), "@%s", at.sun_path + 1);
    (void)setenv("NOTIFY_SOCKET", name, 1);

    pw_notify_ready("12 workers");
    ok(received(fd, "READY=1\nSTATUS=12 workers"), "ready");
    pw_notify_status("3 builds run");
    ok(received(fd, "STATUS=3 builds run"), "status");
    pw_notify_status("a\nSTOPPING=1\tb\x1b[31m\xc3\xa4");
    ok(received(fd, "STATUS=a STOPPING=1 b [31m\xc3\xa4"), "a status stays one line");
    pw_notify_status(NULL);
    ok(received(fd, "STATUS="), "no status");
    char status[402], want[500];
    memset(status, 'x', 400);
    status[400] = '\0';
    (void)snprintf(want, sizeof(want), "STATUS=%s", status);
    pw_notify_status(status);
    ok(received(fd, want), "longest status");
    memcpy(status + 400, "y", 2);
    pw_notify_status(status);
    ok(received(fd, want), "one byte more is cut");
    pw_notify_stopping();
    ok(received(fd, "STOPPING=1"), "stopping");
    ok(received(fd, NULL), "and nothing else");
    return tap_done();
}
