#include "client/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/show.h"

enum { GIT_MAJOR = 2, GIT_MINOR = 30, SKEW_S = 60 };
#define SPACE_LOW (INT64_C(2) * 1024 * 1024 * 1024)

void doctor_clear(doctor *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->finding[i].name);
        free(d->finding[i].text);
        free(d->finding[i].cure);
    }
    *d = (doctor){0};
}

void doctor_add(doctor *d, const char *name, doctor_level level, const char *cure, const char *fmt,
                ...)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8192);
    bool failed = false;
    va_list ap;
    va_start(ap, fmt);
    (void)pw_buf_vaddf(&b, fmt, ap);
    va_end(ap);
    if (d->n == DOCTOR_MAX || b.failed) {
        d->failed = true;
        return;
    }
    struct doctor_finding f = {pw_strdup(name, &failed), pw_strdup(pw_buf_str(&b), &failed),
                               pw_strdup(cure ? cure : "", &failed), level};
    if (failed) {
        free(f.name);
        free(f.text);
        free(f.cure);
        d->failed = true;
        return;
    }
    d->finding[d->n++] = f;
}

bool doctor_wrong(const doctor *d)
{
    bool wrong = d->failed;
    for (size_t i = 0; i < d->n; i++)
        wrong |= d->finding[i].level == DOCTOR_WRONG;
    return wrong;
}

static const char *const words[] = {
    [DOCTOR_OK] = "ok", [DOCTOR_NOTE] = "note", [DOCTOR_WRONG] = "wrong"};

void doctor_text(const doctor *d, bool colour, pw_buf *b)
{
    static const show_style styles[] = {SHOW_GOOD, SHOW_WARN, SHOW_BAD};
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->finding[i];
        show_styled(b, styles[f->level], colour, words[f->level]);
        (void)pw_buf_addf(b, "%*s", (int)(7 - strlen(words[f->level])), "");
        show_clean(b, f->name, 0);
        (void)pw_buf_adds(b, ": ");
        show_clean(b, f->text, 0);
        (void)pw_buf_adds(b, "\n");
        if (f->cure[0]) {
            (void)pw_buf_adds(b, "       cure: ");
            show_clean(b, f->cure, 0);
            (void)pw_buf_adds(b, "\n");
        }
    }
}

void doctor_json(const doctor *d, pw_buf *b)
{
    (void)pw_buf_adds(b, "{\"items\":[");
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->finding[i];
        (void)pw_buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
        (void)pw_buf_json(b, f->name);
        (void)pw_buf_addf(b, ",\"level\":\"%s\",\"text\":", words[f->level]);
        (void)pw_buf_json(b, f->text);
        (void)pw_buf_adds(b, ",\"cure\":");
        (void)pw_buf_json(b, f->cure);
        (void)pw_buf_adds(b, "}");
    }
    (void)pw_buf_adds(b, "]}\n");
}

/* ---- checks */

bool doctor_git_new(const char *text)
{
    static const char head[] = "git version ";
    char *end;
    if (strncmp(text, head, sizeof(head) - 1) != 0)
        return false;
    long major = strtol(text + sizeof(head) - 1, &end, 10);
    if (*end != '.')
        return false;
    long minor = strtol(end + 1, NULL, 10);
    return major > GIT_MAJOR || (major == GIT_MAJOR && minor >= GIT_MINOR);
}

void doctor_mode(doctor *d, const char *name, const char *path, unsigned mode, unsigned allowed)
{
    char cure[4200];
    if (!(mode & 0777 & ~allowed)) {
        doctor_add(d, name, DOCTOR_OK, NULL, "%s, mode %04o", path, mode & 0777);
        return;
    }
    (void)snprintf(cure, sizeof(cure), "chmod %04o %.4096s", allowed, path);
    doctor_add(d, name, DOCTOR_WRONG, cure, "%s has mode %04o: others can reach it", path,
               mode & 0777);
}

void doctor_health(doctor *d, const json_value *health)
{
    const json_value *checks = json_get(health, "checks");
    const char *status = json_str(json_get(health, "status"), "?");
    size_t wrong = 0;
    for (size_t i = 0; i < json_count(checks); i++) {
        const json_value *c = json_at(checks, i);
        const char *name = json_str(json_get(c, "name"), "?"),
                   *text = json_str(json_get(c, "text"), "");
        bool fine = json_bool(json_get(c, "ok"), true);
        wrong += !fine;
        if (!fine)
            doctor_add(d, name, DOCTOR_WRONG,
                       "see the log of pawl-master; it goes on by itself once the cause is gone",
                       "%s", text);
        else if (*text) /* told, but not the master's failure */
            doctor_add(
                d, name, DOCTOR_NOTE,
                strncmp(name, "held", 4) == 0
                    ? "they are of builds that this master does not know (after a restore) or "
                      "that another worker has; their files are in held/ of the spool, and go "
                      "after 30 days"
                    : "check its address and that the master's user may read it: git ls-remote "
                      "ADDRESS",
                "%s", text);
    }
    if (!wrong && strcmp(status, "ok") == 0)
        doctor_add(d, "health", DOCTOR_OK, NULL, "the master is well");
    else if (!wrong)
        doctor_add(d, "health", DOCTOR_WRONG, "see the log of pawl-master",
                   "the master says \"%s\"", status);
}

static const char *worker_cure(const char *state)
{
    static const struct {
        const char *state, *cure;
    } table[] = {
        {"new", "run the line that `pawl worker add` printed on the build machine, then start "
                "pawl-worker there"},
        {"missing", "start pawl-worker on that machine, or look at its log and its network"},
        {"quarantined", "its last jobs failed by its own fault: look at its log and disk; `pawl "
                        "worker resume NAME` takes it back at once"},
        {"draining", "`pawl worker resume NAME` when it may take jobs again"},
        {"paused", "`pawl worker resume NAME` when it may take jobs again"}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].state, state) == 0)
            return table[i].cure;
    return NULL;
}

void doctor_workers(doctor *d, const json_value *items)
{
    size_t connected = 0, known = 0;
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *w = json_at(items, i);
        const char *state = json_str(json_get(w, "state"), "?"),
                   *name = json_str(json_get(w, "name"), "?");
        bool fine = strcmp(state, "connected") == 0;
        const char *reason = json_str(json_get(w, "reason"), "");
        if (strcmp(state, "removed") == 0)
            continue;
        known++;
        connected += fine;
        if (!fine)
            doctor_add(
                d, "worker",
                strcmp(state, "missing") == 0 || strcmp(state, "quarantined") == 0 ? DOCTOR_WRONG
                                                                                   : DOCTOR_NOTE,
                worker_cure(state), "%s is %s%s%s", name, state, *reason ? ": " : "", reason);
    }
    if (connected)
        doctor_add(d, "workers", DOCTOR_OK, NULL, "%zu of %zu connected", connected, known);
    else
        doctor_add(d, "workers", DOCTOR_WRONG,
                   known ? "start pawl-worker on a build machine"
                         : "pawl worker add NAME, and run the line that it prints",
                   known ? "none of %zu is connected: nothing is built"
                         : "there is none: nothing is built",
                   known);
}

void doctor_date(doctor *d, pw_msec date, pw_msec now)
{
    int64_t skew = (now - date) / 1000;
    if (date && (skew > SKEW_S || skew < -SKEW_S))
        doctor_add(d, "clock", DOCTOR_WRONG,
                   "run a time service (systemd-timesyncd, chrony) on both machines",
                   "this machine's clock and the master's differ by %" PRId64 " s", skew);
    else if (date)
        doctor_add(d, "clock", DOCTOR_OK, NULL, "agrees with the master's");
}

void doctor_take(doctor *d, const json_value *answer)
{
    const json_value *items = json_get(answer, "items");
    if (!json_is_array(items))
        doctor_add(d, "deep", DOCTOR_WRONG, "install the same version of pawl and pawl-master",
                   "pawl-master doctor gives no findings");
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *x = json_at(items, i);
        const char *level = json_str(json_get(x, "level"), "?");
        doctor_add(d, json_str(json_get(x, "name"), "?"),
                   strcmp(level, "ok") == 0     ? DOCTOR_OK
                   : strcmp(level, "note") == 0 ? DOCTOR_NOTE
                                                : DOCTOR_WRONG,
                   json_str(json_get(x, "cure"), ""), "%s", json_str(json_get(x, "text"), ""));
    }
}

void doctor_space(doctor *d, const char *path, int64_t bytes)
{
    if (bytes < 0)
        doctor_add(d, "disk", DOCTOR_NOTE, "check that the folder exists",
                   "the free space of %s is not known", path);
    else if (bytes < SPACE_LOW)
        doctor_add(d, "disk", DOCTOR_WRONG, "free some space, or move the state to a larger disk",
                   "%" PRId64 " MiB are free at %s", bytes / 1048576, path);
    else
        doctor_add(d, "disk", DOCTOR_OK, NULL, "%" PRId64 " GiB are free at %s", bytes / 1073741824,
                   path);
}
