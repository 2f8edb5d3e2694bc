#include "shared/notify/notify.h"

#include <stdio.h>
#include <systemd/sd-daemon.h>

enum { STATUS_MAX = 400 };

/* Each line of a notification is a field of its own: a line break in the status must not make
 * another one. */
static void notify(const char *field, const char *status)
{
    char text[STATUS_MAX + 64];
    int at = snprintf(text, sizeof(text), "%s%.*s", field, STATUS_MAX, status ? status : "");
    char *value = text;
    for (const char *f = field; *f; f++)
        value++;
    for (; value < text + at; value++)
        if ((unsigned char)*value < ' ')
            *value = ' ';
    (void)sd_notify(0,
                    text); /* nobody to tell is fine, and so is a full socket: the next one comes */
}

void pw_notify_ready(const char *status)
{
    notify("READY=1\nSTATUS=", status);
}

void pw_notify_status(const char *status)
{
    notify("STATUS=", status);
}

void pw_notify_stopping(void)
{
    notify("STOPPING=1", NULL);
}
