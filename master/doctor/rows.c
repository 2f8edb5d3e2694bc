/* The database page by page and rule by rule, and all output that it names. */
#include <inttypes.h>
#include <string.h>

#include "master/doctor/look.h"
#include "master/logs/check.h"
#include "shared/base/fs.h"

static const char restore_cure[] =
    "move the state away and restore the newest backup (pawl-master restore FILE); without one: "
    "sqlite3 pawl.db .recover | sqlite3 new.db";

static int page(void *p, const char *text)
{
    const look *l = p;
    findings_add(l->f, "database", FIND_WRONG, restore_cure, "%s/pawl.db: %s", l->o->state, text);
    return 0;
}

static int rule(void *p, const char *name, const char *kind, uint64_t id, const char *text)
{
    static const struct {
        const char *rule, *name, *cure;
        finding_level level;
    } known[] = {
        {"INTENT_OLD", "promotion",
         "look at the repository: it is resolved as soon as the ref can be read (git ls-remote "
         "ADDRESS)",
         FIND_WRONG},
        {"TOKEN_OLD", "token", "revoke it, or make a new one for who uses it", FIND_NOTE},
        {"ENROL_OLD", "join token", "pawl worker add NAME gives a new one", FIND_NOTE},
        {"CLOCK", "clock", "run a time service (systemd-timesyncd, chrony) on that machine",
         FIND_WRONG},
    };
    const look *l = p;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].rule, name) == 0) {
            findings_add(l->f, known[i].name, known[i].level, known[i].cure, "%s %" PRIu64 ": %s",
                         kind, id, text);
            return 0;
        }
    findings_add(l->f, "rows", FIND_WRONG,
                 "keep the state directory and report it; a restore of the newest backup goes back "
                 "to before it",
                 "%s %" PRIu64 ": %s (rule %s)", kind, id, text, name);
    return 0;
}

void look_database(look *l)
{
    pw_err err = {0};
    if (!l->rows)
        return;
    if (store_deep_integrity(l->rows, page, l, &err) < 0)
        (void)page(l, err.text);
    /* over damaged pages the rules would tell what is not so */
    if (findings_of(l->f, "database"))
        return;
    findings_add(l->f, "database", FIND_OK, NULL, "every page of %s/pawl.db is sound", l->o->state);
    if (store_deep_rules(l->rows, l->now, rule, l, &err) < 0)
        (void)page(l, err.text);
    if (!findings_of(l->f, "rows"))
        findings_add(l->f, "rows", FIND_OK, NULL, "they agree with each other");
}

/* ---- output */
typedef struct output {
    look *l;
    logs_check *c;
    uint64_t logs, frames;
} output;

static const char lost_cure[] =
    "put the file back from a backup (tar --zstd -xf BACKUP logs/...); the build's result is not "
    "touched";

static int sealed(void *p, const store_log *row)
{
    output *x = p;
    pw_err err = {0};
    x->logs++;
    int r = logs_check_sealed(x->c, row, &err);
    if (r < 0)
        findings_add(x->l->f, "logs", FIND_WRONG, lost_cure,
                     "the log of attempt %" PRIu64 " step %" PRIu64 "%s (logs/%02x/%" PRIu64
                     "-%" PRIu64 "-%" PRIu64 ".log): %s",
                     row->attempt, row->idx, row->stream ? " stderr" : "",
                     (unsigned)(row->attempt % 256), row->attempt, row->idx, row->stream, err.text);
    return 0;
}

static int frame(void *p, const store_frame *row)
{
    output *x = p;
    pw_err err = {0};
    x->frames++;
    int r = logs_check_frame(x->c, row, &err);
    if (r < 0)
        findings_add(x->l->f, "logs", FIND_WRONG, lost_cure,
                     "the log of attempt %" PRIu64 " step %" PRIu64 "%s: %s", row->attempt,
                     row->idx, row->stream ? " stderr" : "", err.text);
    return 0;
}

void look_output(look *l)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(l->o->state, "logs");
    pw_err err = {0};
    output x = {.l = l};
    if (!l->rows || !dir || findings_of(l->f, "database") > 1)
        return;
    PW_AUTO(logs_check_freep) logs_check *c = logs_check_new(dir, &err);
    if (!c) {
        l->f->failed = true;
        return;
    }
    x.c = c;
    /* In one snapshot, while nothing that it names is removed: the caller holds the backups' lock
     */
    if (store_deep_begin(l->rows, &err) < 0 || store_deep_sealed(l->rows, sealed, &x, &err) < 0 ||
        store_deep_frames(l->rows, frame, &x, &err) < 0)
        (void)page(l, err.text);
    store_deep_end(l->rows);
    if (!findings_of(l->f, "logs"))
        findings_add(l->f, "logs", FIND_OK, NULL,
                     "%" PRIu64 " sealed logs and %" PRIu64 " frames were read whole", x.logs,
                     x.frames);
}
