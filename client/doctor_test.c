#include "client/doctor.h"

#include <string.h>

#include "tests/tap.h"

static bool has(const doctor *d, doctor_level level, const char *part)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->finding[i].level == level && strstr(d->finding[i].text, part))
            return true;
    return d->failed;
}

static void versions(void)
{
    ok(doctor_git_new("git version 2.39.5\n") && doctor_git_new("git version 2.30.0") &&
           doctor_git_new("git version 3.0"),
       "new enough");
    ok(!doctor_git_new("git version 2.29.9") && !doctor_git_new("git version 1.99") &&
           !doctor_git_new("git version x") && !doctor_git_new(""),
       "too old, or not understood");
}

static void files(void)
{
    PW_AUTO(doctor_clear) doctor d = {0};
    doctor_mode(&d, "state", "/s", 040700, 0700);
    ok(has(&d, DOCTOR_OK, "0700") && (d.failed || !doctor_wrong(&d)), "a private folder");
    doctor_mode(&d, "token", "/s/t", 0100640, 0600);
    ok(has(&d, DOCTOR_WRONG, "0640") && doctor_wrong(&d), "a token that others may read");
    ok(d.failed || strcmp(d.finding[1].cure, "chmod 0600 /s/t") == 0, "the cure is the command");
    doctor_space(&d, "/s", INT64_C(2147483648));
    doctor_space(&d, "/s", INT64_C(2147483647));
    doctor_space(&d, "/s", -1);
    ok(has(&d, DOCTOR_OK, "2 GiB") && has(&d, DOCTOR_WRONG, "2047 MiB") &&
           has(&d, DOCTOR_NOTE, "not known"),
       "space: enough, too little, unknown");
}

static void masters(void)
{
    static const char text[] =
        "{\"status\":\"failing\",\"checks\":[{\"name\":\"core\",\"ok\":true,\"text\":\"\"},"
        "{\"name\":\"disk\",\"ok\":false,\"text\":\"no room\"},{\"name\":\"repository "
        "p\",\"ok\":true,\"text\":\"gone\"}]}";
    static const char list[] =
        "[{\"name\":\"a\",\"state\":\"connected\",\"last_seen\":\"2026-11-20T12:00:00.000Z\"},"
        "{\"name\":\"b\",\"state\":\"missing\"},{\"name\":\"c\",\"state\":\"paused\",\"reason\":"
        "\"new disk\"},{\"name\":\"d\",\"state\":\"removed\"}]";
    PW_AUTO(doctor_clear) doctor d = {0};
    PW_AUTO(json_freep) json_value *v = json_parse(text, sizeof(text) - 1, NULL);
    PW_AUTO(json_freep) json_value *w = json_parse(list, sizeof(list) - 1, NULL);
    pw_msec seen = 0;
    if (!v || !w || pw_time_parse("2026-11-20T12:00:00Z", &seen, NULL) < 0)
        return;
    doctor_health(&d, v);
    ok(has(&d, DOCTOR_WRONG, "no room") && has(&d, DOCTOR_NOTE, "gone"),
       "what fails, and what is only told");
    doctor_workers(&d, w);
    doctor_date(&d, seen, seen + 60999);
    ok(has(&d, DOCTOR_OK, "1 of 3 connected") && has(&d, DOCTOR_WRONG, "b is missing") &&
           has(&d, DOCTOR_NOTE, "c is paused: new disk"),
       "workers");
    ok(has(&d, DOCTOR_OK, "agrees"), "a minute apart is fine");
    doctor_date(&d, seen, seen + 61000);
    ok(has(&d, DOCTOR_WRONG, "differ by 61 s"), "a second more is not");
    doctor_date(&d, seen + 61000, seen);
    ok(has(&d, DOCTOR_WRONG, "differ by -61 s"), "on either side");
    size_t before = d.n;
    doctor_date(&d, 0, seen);
    ok(d.n == before, "an answer without a date says nothing");
    doctor_workers(&d, NULL);
    ok(has(&d, DOCTOR_WRONG, "there is none"), "no worker at all");
}

/* What pawl-master found is taken over; what is no list of findings is no silence. */
static void taken(void)
{
    static const char text[] =
        "{\"items\":[{\"name\":\"modes\",\"level\":\"wrong\",\"text\":\"0644\",\"cure\":\"chmod\"},"
        "{\"name\":\"logs\",\"level\":\"ok\",\"text\":\"read\",\"cure\":\"\"},"
        "{\"name\":\"orphan\",\"level\":\"note\",\"text\":\"one\",\"cure\":\"rm\"}]}";
    PW_AUTO(doctor_clear) doctor d = {0};
    PW_AUTO(doctor_clear) doctor none = {0};
    PW_AUTO(json_freep) json_value *v = json_parse(text, sizeof(text) - 1, NULL);
    if (!v)
        return;
    doctor_take(&d, v);
    ok(has(&d, DOCTOR_WRONG, "0644") && has(&d, DOCTOR_OK, "read") && has(&d, DOCTOR_NOTE, "one"),
       "findings are taken over");
    ok(d.failed || strcmp(d.finding[0].cure, "chmod") == 0, "with their cures");
    doctor_take(&none, NULL);
    ok(doctor_wrong(&none), "no findings at all are wrong");
}

static void texts(void)
{
    PW_AUTO(doctor_clear) doctor d = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    doctor_add(&d, "git", DOCTOR_OK, NULL, "version %d", 2);
    doctor_add(&d, "disk", DOCTOR_WRONG, "buy one", "full\n");
    doctor_text(&d, false, &b);
    ok(d.failed || b.failed ||
           strcmp(pw_buf_str(&b),
                  "ok     git: version 2\nwrong  disk: full?\n       cure: buy one\n") == 0,
       "for people");
    pw_buf_reset(&b);
    doctor_json(&d, &b);
    ok(d.failed || b.failed ||
           strcmp(pw_buf_str(&b), "{\"items\":[{\"name\":\"git\",\"level\":\"ok\",\"text\":"
                                  "\"version 2\",\"cure\":\"\"},"
                                  "{\"name\":\"disk\",\"level\":\"wrong\",\"text\":\"full\\n\","
                                  "\"cure\":\"buy one\"}]}\n") == 0,
       "for programs");
    PW_AUTO(doctor_clear) doctor many = {0};
    for (int i = 0; i <= DOCTOR_MAX; i++)
        doctor_add(&many, "n", DOCTOR_OK, NULL, "%d", i);
    ok(many.failed && many.n <= DOCTOR_MAX && doctor_wrong(&many),
       "too many findings are no silent success");
}

int main(void)
{
    versions();
    files();
    masters();
    taken();
    texts();
    return tap_done();
}
