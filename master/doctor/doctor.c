#include "master/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/doctor/look.h"
#include "shared/base/fs.h"
#include "shared/crypt/crypt.h"

static void open_rows(look *l)
{
    PW_AUTO(pw_freep) char *db = pw_path_join(l->o->state, "pawl.db");
    pw_err err = {0};
    l->rows = db ? store_deep_open(db, &err) : NULL;
    if (!l->rows)
        findings_add(l->f, "database", FIND_WRONG,
                     err.code == PW_ENOTFOUND
                         ? "start pawl-master with this --state, or restore a backup into it"
                         : "move the state away and restore the newest backup (pawl-master restore "
                           "FILE); without one: sqlite3 pawl.db .recover | sqlite3 new.db",
                     "%s", err.text);
}

/* The kernel's list is read: a lock that this process took for a moment would keep a master from
 * starting. */
static bool master_runs(const char *state)
{
    PW_AUTO(pw_freep) char *lock = pw_path_join(state, "lock");
    PW_AUTO(pw_buf_clearp) pw_buf locks = PW_BUF(16 * 1024 * 1024);
    struct stat st;
    char inode[64];
    if (!lock || stat(lock, &st) < 0 || pw_fs_read("/proc/locks", locks.max, &locks, NULL) < 0)
        return false;
    (void)snprintf(inode, sizeof(inode), ":%llu 0 EOF", (unsigned long long)st.st_ino);
    for (const char *line = pw_buf_str(&locks); *line; line += strcspn(line, "\n") + 1) {
        const char *at = strstr(line, inode);
        if (at && at < line + strcspn(line, "\n") && strstr(line, "FLOCK"))
            return true;
        if (!line[strcspn(line, "\n")])
            break;
    }
    return false;
}

static void load_config(look *l)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF((size_t)64 * 1024 * 1024);
    PW_AUTO(pw_freep) char *place = pw_path_join(l->o->state, "master.yaml");
    yaml_errors errors = {0};
    if (l->o->config && (l->conf = config_load(l->o->config, &errors))) {
        findings_add(l->f, "configuration", FIND_OK, NULL, "%s", l->o->config);
    } else if (l->o->config) {
        (void)yaml_errors_text(&errors, &said);
        findings_add(l->f, "configuration", FIND_WRONG,
                     "correct what `pawl-master check FILE` names: a start would use the last good "
                     "one, out of the database",
                     "%.*s", (int)strcspn(pw_buf_str(&said), "\n"), pw_buf_str(&said));
    } else if (place && l->rows && store_deep_config(l->rows, &text, NULL) == 0 &&
               (l->conf = config_load_text(place, pw_buf_str(&text), text.len, &errors))) {
        findings_add(
            l->f, "configuration", FIND_NOTE,
            "name it with --config FILE, where pawl-master runs with that",
            "no file was found: the last one that was used, out of the database, is looked "
            "at");
    } else {
        findings_add(l->f, "configuration", FIND_WRONG,
                     "write STATE/master.yaml or /etc/pawl/master.yaml, or name it with --config",
                     "there is none");
    }
    yaml_errors_clear(&errors);
}

static void deep(look *l)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(l->o->state, "backup.lock");
    PW_AUTO(pw_closep) int kept = -1;
    look_database(l);
    /* as for a backup: what the rows name is not removed while it is read */
    if (path && access(path, F_OK) == 0)
        kept = pw_fs_lock_shared(path, NULL);
    look_output(l);
    look_files(l);
    pw_closep(&kept);
    load_config(l);
    look_strays(l);
    look_repositories(l);
}

int doctor_look(const doctor_options *o, findings *f, pw_err *err)
{
    look l = {.o = o, .f = f, .now = pw_wall(o->host)};
    look_place(&l);
    if (access(o->state, R_OK | X_OK) == 0) {
        l.running = master_runs(o->state);
        open_rows(&l);
        look_space(&l);
        look_clock(&l);
        look_backup(&l);
        look_token(&l);
        if (o->deep)
            deep(&l);
    }
    l.rows = store_deep_close(l.rows);
    config_unref(l.conf);
    return f->failed ? pw_fail(err, PW_ENOMEM, "doctor: out of memory, or too many findings") : 0;
}

int doctor_command(const char *state, const char *file, bool deeply, bool json)
{
    PW_AUTO(findings_clear) findings f = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    const doctor_options o = {
        .state = state, .config = file, .deep = deeply, .host = &pw_host_real};
    pw_err err = {0};
    if (crypt_init(&err) < 0 || doctor_look(&o, &f, &err) < 0) {
        (void)fprintf(stderr, "pawl-master: %s\n", err.text);
        return 1;
    }
    if (json)
        findings_json(&f, &b);
    else
        findings_text(&f, &b);
    (void)fputs(pw_buf_str(&b), stdout);
    return findings_wrong(&f) ? 1 : 0;
}
