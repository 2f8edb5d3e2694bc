#include "master/doctor/findings.h"

#include <stdlib.h>
#include <string.h>

void findings_clear(findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].name);
        free(f->v[i].text);
        free(f->v[i].cure);
    }
    *f = (findings){0};
}

size_t findings_of(const findings *f, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += strcmp(f->v[i].name, name) == 0;
    return n;
}

void findings_add(findings *f, const char *name, finding_level level, const char *cure,
                  const char *fmt, ...)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8192);
    bool failed = false;
    va_list ap;
    va_start(ap, fmt);
    (void)pw_buf_vaddf(&b, fmt, ap);
    va_end(ap);
    if (level != FIND_OK && findings_of(f, name) >= FINDINGS_OF_A_KIND) {
        for (size_t i = f->n; i-- > 0;)
            if (strcmp(f->v[i].name, name) == 0) {
                f->v[i].more++;
                if (f->v[i].level < level) /* what is not listed must not be milder */
                    f->v[i].level = level;
                return;
            }
    }
    if (f->n == FINDINGS_MAX || b.failed) {
        f->failed = true;
        return;
    }
    struct finding x = {.name = pw_strdup(name, &failed),
                        .text = pw_strdup(pw_buf_str(&b), &failed),
                        .cure = pw_strdup(cure ? cure : "", &failed),
                        .level = level};
    if (failed) {
        free(x.name);
        free(x.text);
        free(x.cure);
        f->failed = true;
        return;
    }
    f->v[f->n++] = x;
}

bool findings_wrong(const findings *f)
{
    bool wrong = f->failed;
    for (size_t i = 0; i < f->n; i++)
        wrong |= f->v[i].level == FIND_WRONG;
    return wrong;
}

static const char *const words[] = {[FIND_OK] = "ok", [FIND_NOTE] = "note", [FIND_WRONG] = "wrong"};

static void more(const struct finding *x, pw_buf *b)
{
    if (x->more)
        (void)pw_buf_addf(b, " (and %zu more of this kind)", x->more);
}

/* Names and texts may come from files and rows: no control bytes reach a terminal. */
static void clean(pw_buf *b, const char *s)
{
    for (; *s; s++)
        (void)pw_buf_addf(b, "%c", (unsigned char)*s < ' ' || *s == 127 ? ' ' : *s);
}

void findings_text(const findings *f, pw_buf *b)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        (void)pw_buf_addf(b, "%-7s", words[x->level]);
        clean(b, x->name);
        (void)pw_buf_adds(b, ": ");
        clean(b, x->text);
        more(x, b);
        (void)pw_buf_adds(b, "\n");
        if (x->cure[0]) {
            (void)pw_buf_adds(b, "       cure: ");
            clean(b, x->cure);
            (void)pw_buf_adds(b, "\n");
        }
    }
}

void findings_json(const findings *f, pw_buf *b)
{
    (void)pw_buf_adds(b, "{\"items\":[");
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(16384);
        (void)pw_buf_adds(&text, x->text);
        more(x, &text);
        (void)pw_buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
        (void)pw_buf_json(b, x->name);
        (void)pw_buf_addf(b, ",\"level\":\"%s\",\"text\":", words[x->level]);
        (void)pw_buf_json(b, pw_buf_str(&text));
        (void)pw_buf_adds(b, ",\"cure\":");
        (void)pw_buf_json(b, x->cure);
        (void)pw_buf_adds(b, "}");
    }
    (void)pw_buf_adds(b, "]}\n");
}
