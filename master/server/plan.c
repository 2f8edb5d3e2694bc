#include "master/server/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config/outline.h"
#include "master/server/state.h"
#include "master/store/deep.h"
#include "shared/base/fs.h"

enum {
    TEXT_MAX = 64 * 1024 * 1024,
    SHOWN = 120, /* bytes of a value; of a longer one what is about the first difference */
    BEFORE = 30,
};

typedef struct plan {
    store_deep *rows;
    pw_buf *b;
    bool json, colour;
    size_t n, of[3];
} plan;

static const char *const words[] = {"added", "removed", "changed"};
static const char *const signs[] = {"+", "-", "~"};
static const char *const colours[] = {"\033[32m", "\033[31m", "\033[33m"};

/* ---- values, as far as they are shown */
static void shown(const outline_key *k, const outline_key *other, pw_buf *out)
{
    if (!k) {
        (void)pw_buf_adds(out, "(not set)");
        return;
    }
    if (k->hidden) {
        (void)pw_buf_adds(out, "(not shown)");
        return;
    }
    size_t n = strlen(k->text), from = 0;
    if (n > SHOWN && other && !other->hidden) {
        while (k->text[from] && k->text[from] == other->text[from])
            from++;
        from = from > BEFORE ? from - BEFORE : 0;
        while (from && ((unsigned char)k->text[from] & 0xc0) == 0x80)
            from--;
    }
    size_t left = n - from, part = left < SHOWN ? left : SHOWN;
    while (part < left && part && ((unsigned char)k->text[from + part] & 0xc0) == 0x80)
        part--;
    (void)pw_buf_adds(out, from ? "..." : "");
    for (size_t i = 0; i < part; i++) { /* no control bytes reach a terminal */
        char c = k->text[from + i];
        (void)pw_buf_addf(out, "%c", (unsigned char)c < ' ' || c == 127 ? ' ' : c);
    }
    (void)pw_buf_adds(out, part < left ? "..." : "");
}

/* ---- what it means for what is under way */
static void note(const plan *p, outline_change change, const outline_object *o, pw_buf *out)
{
    uint64_t waiting = 0, running = 0;
    if (strcmp(o->section, "builders") == 0 && p->rows) {
        const char *slash = strchr(o->name, '/');
        PW_AUTO(pw_freep)
        char *project = slash ? strndup(o->name, (size_t)(slash - o->name)) : NULL;
        if (!project ||
            store_deep_under_way(p->rows, project, slash + 1, &waiting, &running, NULL) < 0)
            return;
        if (change == OUTLINE_REMOVED && waiting)
            (void)pw_buf_addf(out, "%" PRIu64 " waiting requests end as cancelled", waiting);
        else if (change == OUTLINE_CHANGED && waiting)
            (void)pw_buf_addf(out, "%" PRIu64 " waiting requests are built by the new one",
                              waiting);
        if (change != OUTLINE_ADDED && running)
            (void)pw_buf_addf(out, "%s%" PRIu64 " running builds go on by their own job",
                              out->len ? "; " : "", running);
    } else if (strcmp(o->section, "projects") == 0 && change == OUTLINE_REMOVED) {
        (void)pw_buf_adds(out, "it is not watched any more; its builds stay");
    } else if (strcmp(o->section, "schedulers") == 0 && change == OUTLINE_REMOVED) {
        (void)pw_buf_adds(out, "a branch that waits to be quiet is not built by it");
    } else if (strcmp(o->section, "promotions") == 0 && change == OUTLINE_REMOVED) {
        (void)pw_buf_adds(out, "a push that is under way is looked after to its end");
    } else if (strcmp(o->section, "notify") == 0 && change == OUTLINE_REMOVED) {
        (void)pw_buf_adds(out, "what waits to be sent to it is given up");
    } else if (strcmp(o->section, "people") == 0 && change == OUTLINE_REMOVED) {
        (void)pw_buf_adds(out, "tokens of this person are good for nothing from then on");
    }
}

/* ---- one difference */
static void key_text(plan *p, const char *name, const outline_key *old, const outline_key *now)
{
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1024), b = PW_BUF(1024);
    shown(old, now, &a);
    shown(now, old, &b);
    if (p->json) {
        (void)pw_buf_adds(p->b, "{\"key\":");
        (void)pw_buf_json(p->b, name);
        (void)pw_buf_adds(p->b, ",\"old\":");
        (void)pw_buf_json(p->b, pw_buf_str(&a));
        (void)pw_buf_adds(p->b, ",\"new\":");
        (void)pw_buf_json(p->b, pw_buf_str(&b));
        (void)pw_buf_adds(p->b, "}");
        return;
    }
    (void)pw_buf_addf(p->b, "    %s: %s -> %s\n", name, pw_buf_str(&a), pw_buf_str(&b));
}

static void keys(plan *p, const outline_object *old, const outline_object *now)
{
    size_t n = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        const outline_object *mine = pass ? old : now, *other = pass ? now : old;
        for (size_t i = 0; i < mine->n; i++) {
            const outline_key *a = &mine->key[i], *b = outline_key_of(other, a->name);
            if (outline_key_same(a, b) || (pass && b))
                continue;
            if (p->json && n++)
                (void)pw_buf_adds(p->b, ",");
            key_text(p, a->name, pass ? a : b, pass ? b : a);
        }
    }
}

static void each(void *self, outline_change change, const outline_object *old,
                 const outline_object *now)
{
    plan *p = self;
    const outline_object *o = now ? now : old;
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(1024);
    if (!o) /* what neither has did not change */
        return;
    const outline_object none = {.section = o->section, .name = o->name};
    bool whole = !*o->name; /* a section that is no list: what is added to it are keys */
    note(p, change, o, &said);
    if (p->json) {
        (void)pw_buf_addf(p->b, "%s{\"section\":", p->n ? "," : "");
        (void)pw_buf_json(p->b, o->section);
        (void)pw_buf_adds(p->b, ",\"name\":");
        (void)pw_buf_json(p->b, o->name);
        (void)pw_buf_addf(p->b, ",\"change\":\"%s\",\"note\":", words[change]);
        (void)pw_buf_json(p->b, pw_buf_str(&said));
        (void)pw_buf_adds(p->b, ",\"keys\":[");
    } else {
        (void)pw_buf_addf(p->b, "%s%s %s%s%s%s%s%s%s\n", p->colour ? colours[change] : "",
                          signs[change], o->section, *o->name ? " " : "", o->name,
                          p->colour ? "\033[0m" : "", said.len ? "   (" : "", pw_buf_str(&said),
                          said.len ? ")" : "");
    }
    if (change == OUTLINE_CHANGED || whole)
        keys(p, old ? old : &none, now ? now : &none);
    if (p->json)
        (void)pw_buf_adds(p->b, "]}");
    p->n++;
    p->of[change]++;
}

/* ---- the whole */
static int tell_errors(const yaml_errors *e, const char *file)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(1024 * 1024);
    (void)yaml_errors_text(e, &said);
    (void)fputs(said.len ? pw_buf_str(&said) : "pawl-master: out of memory\n", stderr);
    (void)fprintf(stderr, "pawl-master: %s: a reload would change nothing\n", file);
    return 2;
}

static void restart(const plan *p, const char *file, const config *next, const pw_buf *last,
                    pw_buf *ret)
{
    yaml_errors ignored = {0}; /* a secret of then may be gone: then this is not known */
    PW_AUTO(config_unrefp)
    config *now = last->len ? config_load_text(file, pw_buf_str(last), last->len, &ignored) : NULL;
    yaml_errors_clear(&ignored);
    if (now)
        reload_need_restart(now, next, ret);
    if (ret->len && !p->json)
        (void)pw_buf_adds(ret, ": needs a restart of the master; the old value counts until then");
}

static int compare(plan *p, const char *file, const config *next, const pw_buf *last)
{
    yaml_errors errors = {0};
    outline old = {0}, now = {0};
    PW_AUTO(pw_buf_clearp) pw_buf later = PW_BUF(4096);
    int r = outline_of(file, next->text, strlen(next->text), &now, &errors);
    if (r == 0 && last->len)
        r = outline_of(file, pw_buf_str(last), last->len, &old, &errors);
    if (p->json)
        (void)pw_buf_adds(p->b, "{\"items\":[");
    if (r == 0)
        outline_compare(&old, &now, each, p);
    restart(p, file, next, last, &later);
    if (p->json) {
        (void)pw_buf_adds(p->b, "],\"next\":null,\"restart\":");
        (void)pw_buf_json(p->b, pw_buf_str(&later));
        (void)pw_buf_adds(p->b, "}\n");
    } else if (p->n) {
        (void)pw_buf_addf(p->b, "%s%s%zu added, %zu changed, %zu removed\n", pw_buf_str(&later),
                          later.len ? "\n" : "", p->of[OUTLINE_ADDED], p->of[OUTLINE_CHANGED],
                          p->of[OUTLINE_REMOVED]);
    } else {
        (void)pw_buf_adds(p->b, "nothing changes\n");
    }
    outline_clear(&old);
    outline_clear(&now);
    if (r < 0)
        (void)fprintf(stderr, "pawl-master: %s\n", errors.n ? errors.v[0].text : "out of memory");
    yaml_errors_clear(&errors);
    return r < 0 || p->b->failed ? 1 : 0;
}

int plan_command(const char *state, const char *file, bool json)
{
    pw_err err = {0};
    yaml_errors errors = {0};
    PW_AUTO(pw_buf_clearp) pw_buf last = PW_BUF(TEXT_MAX), b = PW_BUF(TEXT_MAX);
    PW_AUTO(config_unrefp) config *next = config_load(file, &errors);
    int status = next ? 0 : tell_errors(&errors, file);
    yaml_errors_clear(&errors);
    if (!next)
        return status;
    PW_AUTO(pw_freep) char *db = pw_path_join(state, "pawl.db");
    PW_AUTO(store_deep_closep) store_deep *rows = db ? store_deep_open(db, &err) : NULL;
    int r = rows ? store_deep_config(rows, &last, &err) : (int)err.code;
    if (r < 0 && r != PW_ENOTFOUND) {
        (void)fprintf(stderr, "pawl-master: comparing with the configuration in %s: %s\n", state,
                      err.text);
        return 1;
    }
    if (!rows) {
        (void)fprintf(stderr,
                      "pawl-master: there is no database in %s: name the master's state directory "
                      "with --state DIR\n",
                      state);
        return 1;
    }
    plan p = {.rows = rows,
              .b = &b,
              .json = json,
              .colour = !json && isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
    status = compare(&p, file, next, &last);
    (void)fputs(pw_buf_str(&b), stdout);
    return status;
}
