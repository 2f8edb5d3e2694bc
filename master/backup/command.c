/* What people see of backup and restore. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/backup/backup.h"
#include "shared/base/buf.h"
#include "shared/crypt/crypt.h"

enum { SHOW_EVERY_US = 200000 };

typedef struct show {
    bool tty, shown;
    pw_usec last;
} show;

static void progress(void *p, const char *what, uint64_t done, uint64_t total)
{
    show *s = p;
    pw_usec now = pw_now(&pw_host_real);
    if (!s->tty || now - s->last < SHOW_EVERY_US)
        return;
    s->last = now;
    s->shown = true;
    if (total)
        (void)fprintf(stderr, "\r%s: %" PRIu64 " of %" PRIu64 " MiB \x1b[K", what, done >> 20,
                      total >> 20);
    else
        (void)fprintf(stderr, "\r%s: %" PRIu64 " MiB \x1b[K", what, done >> 20);
}

static void wipe(const show *s)
{
    if (s->shown)
        (void)fputs("\r\x1b[K", stderr);
}

static int failed(const char *what, const pw_err *err)
{
    char buf[128];
    const char *why = err->sys ? strerror_r(err->sys, buf, sizeof(buf)) : NULL;
    (void)fprintf(stderr, "pawl-master: %s: %s%s%s\n", what, err->text, why ? ": " : "",
                  why ? why : "");
    return 1;
}

static void warn_missing(const backup_report *r)
{
    if (r->missing)
        (void)fprintf(stderr,
                      "pawl-master: %" PRIu64
                      " files that the database names were not there when the backup was made, the "
                      "first is %s\n",
                      r->missing, r->first_missing);
}

static void print_json(const backup_report *r, const char *file, bool restored)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
    char made[PW_TIME_MAX];
    (void)pw_buf_adds(&b, "{\"file\":");
    (void)pw_buf_json(&b, file);
    (void)pw_buf_addf(
        &b,
        ",\"made\":\"%s\",\"schema\":%" PRIu64 ",\"epoch\":\"%016" PRIx64 "\",\"turn\":%" PRIu64
        ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"missing\":%" PRIu64,
        pw_time_text(r->made, made), r->schema, r->epoch, r->turn, r->files, r->bytes, r->missing);
    if (restored)
        (void)pw_buf_addf(&b, ",\"new_epoch\":\"%016" PRIx64 "\",\"messages_given_up\":%" PRIu64,
                          r->new_epoch, r->messages);
    else
        (void)pw_buf_addf(&b, ",\"packed\":%" PRIu64 ",\"copy_ms\":%" PRIu64, r->packed,
                          r->copy_us / 1000);
    (void)printf("%s}\n", pw_buf_str(&b));
}

int backup_command(const char *state, const char *file, bool mirrors, bool json)
{
    show s = {.tty = isatty(2) != 0};
    backup_options o = {.state = state,
                        .file = file,
                        .mirrors = mirrors,
                        .host = &pw_host_real,
                        .progress = progress,
                        .progress_self = &s};
    backup_report r = {0};
    pw_err err = {0};
    if (crypt_init(&err) < 0)
        return failed("backup", &err);
    int code = backup_make(&o, &r, &err);
    wipe(&s);
    if (code < 0)
        return failed("no backup was made", &err);
    warn_missing(&r);
    if (json)
        print_json(&r, file, false);
    else
        (void)printf("%s: %" PRIu64 " files, %" PRIu64 " MiB (%" PRIu64
                     " MiB packed), the state after turn %" PRIu64 "\n",
                     file, r.files, r.bytes >> 20, r.packed >> 20, r.turn);
    return 0;
}

int backup_restore_command(const char *state, const char *file, bool json)
{
    show s = {.tty = isatty(2) != 0};
    backup_options o = {.state = state,
                        .file = file,
                        .host = &pw_host_real,
                        .progress = progress,
                        .progress_self = &s};
    backup_report r = {0};
    pw_err err = {0};
    char made[PW_TIME_MAX];
    if (crypt_init(&err) < 0)
        return failed("restore", &err);
    int code = backup_restore(&o, &r, &err);
    wipe(&s);
    if (code < 0)
        return failed("nothing was restored", &err);
    warn_missing(&r);
    if (json) {
        print_json(&r, file, true);
        return 0;
    }
    (void)printf("restored %" PRIu64 " files (%" PRIu64 " MiB) of %s into %s\n", r.files,
                 r.bytes >> 20, pw_time_text(r.made, made), state);
    (void)printf("A new epoch has begun: ids go on 1,000,000 higher. Builds that were under way "
                 "stay with their workers;\nthose that began after the backup are unknown here: "
                 "workers hold them, and they are never counted.\n");
    if (r.messages)
        (void)printf("%" PRIu64 " outgoing messages that waited were given up: they may have been "
                     "sent after the backup.\n",
                     r.messages);
    (void)printf(
        "Next:\n"
        "  1. workers and tokens that were revoked after %s are valid again: revoke them\n"
        "  2. %s\n"
        "  3. start pawl-master (never the old one again), then run `pawl doctor --deep`\n",
        pw_time_text(r.made, made),
        r.has_config ? "look at the configuration (the last one that was used is in the "
                       "database, and is taken when the file is missing)"
                     : "put the configuration in its place");
    return 0;
}
