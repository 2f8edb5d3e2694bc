/* notify.h - tells systemd how the service stands (sd_notify); harmless without systemd. The only
 * module that includes it. */
#ifndef PW_SHARED_NOTIFY_NOTIFY_H
#define PW_SHARED_NOTIFY_NOTIFY_H
void pw_notify_ready(const char *status);
void pw_notify_status(const char *status);
void pw_notify_stopping(void);
#endif
