/* The configuration that was good before: a master whose file was broken while it was down goes on
 * with it, and says so (rules 7.3). */
#include <stdio.h>
#include <string.h>

#include "master/server/state.h"
#include "master/store/deep.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { TEXT_MAX = 64 * 1024 * 1024 };

config *lastconf_load(server *s, const char *dir, const char *path, const char *why)
{
    PW_AUTO(pw_freep) char *db = pw_path_join(dir, "pawl.db");
    PW_AUTO(pw_freep) char *own = path ? pw_strf("%s", path) : pw_path_join(dir, "master.yaml");
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(TEXT_MAX);
    PW_AUTO(store_deep_closep) store_deep *rows = db ? store_deep_open(db, NULL) : NULL;
    yaml_errors errors = {0};
    if (!own || !rows || store_deep_config(rows, &text, NULL) < 0)
        return NULL;
    config *c = config_load_text(own, pw_buf_str(&text), text.len, &errors);
    if (!c) {
        PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(65536);
        (void)yaml_errors_text(&errors, &said);
        (void)fprintf(stderr, "pawl-master: the last good configuration is not taken either:\n%s",
                      pw_buf_str(&said));
        yaml_errors_clear(&errors);
        return NULL;
    }
    yaml_errors_clear(&errors);
    (void)snprintf(
        s->conf_trouble, sizeof(s->conf_trouble),
        "%.250s%s: the last good one, out of the database, is in use. `pawl-master check "
        "FILE` names the errors",
        path ? path : why, path ? " cannot be used" : "");
    (void)fprintf(stderr, "pawl-master: %s\n", s->conf_trouble);
    pw_log(PW_LOG_ERROR, "last_good_configuration", "text=\"%s\"", s->conf_trouble);
    return c;
}

int lastconf_keep(server *s, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(TEXT_MAX);
    uint64_t gen;
    int r;
    if (s->conf_trouble[0] || !s->conf->text)
        return 0;
    r = store_config_last(s->st, &gen, &text, err);
    if (r == 0 && strcmp(pw_buf_str(&text), s->conf->text) == 0)
        return 0;
    if (r < 0 && r != PW_ENOTFOUND)
        return r;
    if ((r = store_begin(s->st, err)) < 0 ||
        (r = store_config_put(s->st, pw_wall(&pw_host_real), s->conf->text, NULL, err)) < 0 ||
        (r = store_commit(s->st, err)) < 0)
        store_rollback(s->st);
    return r;
}

void state_conditions(server *s)
{
    reload_conditions(s);
    core_condition(s->core, "logs", s->logs_trouble);
}
