/* Facts of a worker: lines k=v, as its row has them. Lines without = are nobody's. */
#include "master/core/parts.h"

#include <stdlib.h>
#include <string.h>

enum { FACTS_MAX = 128 * 1024, PROPS_MAX = 2 * PW_PAIRS_MAX };

/* The line of a name; NULL: there is none. */
static const char *find(const char *facts, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = facts; p && *p;) {
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return p;
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    return NULL;
}

bool core_fact_get(const char *facts, const char *name, char *out, size_t cap)
{
    const char *p = find(facts, name);
    if (!p)
        return false;
    p += strlen(name) + 1;
    size_t n = strcspn(p, "\n");
    n = n < cap ? n : cap - 1;
    memcpy(out, p, n);
    out[n] = '\0';
    return true;
}

int core_fact_set(char **facts, const char *name, const char *value, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(FACTS_MAX);
    const char *old = *facts ? *facts : "", *line = find(old, name);
    size_t before = line ? (size_t)(line - old) : strlen(old);
    const char *after = line ? line + strcspn(line, "\n") : "";
    if (line && strncmp(line + strlen(name) + 1, value, strlen(value)) == 0 &&
        line + strlen(name) + 1 + strlen(value) == after)
        return 0;
    (void)pw_buf_add(&b, old, before);
    (void)pw_buf_addf(&b, "%s%s=%s%s", !line && before ? "\n" : "", name, value, after);
    char *text = b.failed ? NULL : pw_buf_take(&b);
    if (!text)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    free(*facts);
    *facts = text;
    return 0;
}

/* What is another number with each heartbeat tells nothing of a build; who the worker is has a
 * property of its own. */
static bool moves(const char *name, size_t n)
{
    static const char *const names[] = {"disk", "load", "skew_ms"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return true;
    return false;
}

/* worker_NAME, with _ for whatever a property's name may not have: tools.gcc is worker_tools_gcc.
 */
static char *prop_name(const char *name, size_t n)
{
    char *p = pw_strf("worker_%.*s", (int)n, name);
    for (char *c = p; c && *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        else if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", *c))
            *c = '_';
    }
    return p;
}

int core_fact_props(const char *facts, pw_list *ret, pw_err *err)
{
    msg_pair *v = calloc(PROPS_MAX, sizeof(*v));
    pw_list list = {v, 0};
    bool failed = v == NULL;
    for (const char *p = facts; !failed && p && *p && list.n < PROPS_MAX;) {
        size_t n = strcspn(p, "\n"), k = strcspn(p, "=\n");
        if (k > 0 && k < n && k <= PW_NAME_MAX - 10 && !moves(p, k)) {
            v[list.n].name = prop_name(p, k);
            v[list.n].value = strndup(p + k + 1, n - k - 1);
            failed = !v[list.n].name || !v[list.n].value;
            list.n++;
        }
        p += n;
        p += *p == '\n';
    }
    if (failed) {
        if (v)
            core_props_clear(&list);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *ret = list;
    return 0;
}

int core_fact_still(const char *facts, pw_buf *out)
{
    for (const char *p = facts; p && *p;) {
        size_t n = strcspn(p, "\n"), k = strcspn(p, "=\n");
        if (k > 0 && k < n && !moves(p, k) &&
            (pw_buf_adds(out, out->len ? "\n" : "") < 0 || pw_buf_add(out, p, n) < 0))
            return PW_ENOMEM;
        p += n;
        p += *p == '\n';
    }
    return 0;
}
