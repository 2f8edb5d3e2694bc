#include "master/core/isolation.h"

#include <string.h>

#include "master/core/parts.h"
#include "master/core/secrets.h"

static const char container[] = "podman:";

/* The list names kinds: a container's image is left out. */
static bool offered(const char *offers, const char *kind)
{
    size_t n = strcspn(kind, ":");
    for (const char *p = offers; p && *p;) {
        size_t k = strcspn(p, ",");
        if (k == n && memcmp(p, kind, n) == 0)
            return true;
        p += k;
        p += *p == ',';
    }
    return false;
}

isolation_answer isolation_for(const isolation_facts *f, const char **ret)
{
    bool apart = f->asked && (strcmp(f->asked, "bwrap") == 0 ||
                              strncmp(f->asked, container, sizeof(container) - 1) == 0);
    const char *kind = f->trusted || apart ? f->asked : "bwrap";
    *ret = kind;
    if (!f->trusted && !f->takes_untrusted)
        return ISOLATION_UNTRUSTED;
    return !kind || offered(f->offers, kind) ? ISOLATION_FINE : ISOLATION_NOT_OFFERED;
}

/* ---- the facts of a request and a worker */

/* The value of a fact, cut; "" when the worker told none. */
static void fact(const core_worker *w, const char *name, char *out, size_t room)
{
    size_t n = strlen(name);
    const char *p = w->row.facts;
    out[0] = '\0';
    for (; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strncmp(p, name, n) == 0 && p[n] == '=') {
            size_t len = strcspn(p + n + 1, "\n");
            if (len >= room)
                len = room - 1;
            memcpy(out, p + n + 1, len);
            out[len] = '\0';
            return;
        }
}

bool core_trusted(const core *self, const core_request *r)
{
    trust_facts from = {.branch = r->stamp->branch};
    if (!r->builder->conf || r->builder->project >= self->conf->n_projects)
        return false;
    from.project = self->project[r->builder->project].conf;
    from.foreign = r->stamp->proposal == CORE_PROPOSED || r->stamp->proposal == CORE_TRIED;
    from.released = r->stamp->released;
    from.ours = r->stamp->proposal == CORE_PROPOSED_OURS;
    return secrets_trusted(&from);
}

core_block core_isolation_block(const core *self, const core_worker *w, const core_request *r,
                                const char **ret)
{
    char offers[64], takes[8];
    fact(w, "isolation", offers, sizeof(offers));
    fact(w, "untrusted", takes, sizeof(takes));
    isolation_facts f = {.trusted = core_trusted(self, r),
                         .asked = r->builder->conf ? r->builder->conf->isolation : NULL,
                         .offers = offers[0] ? offers : "none",
                         .takes_untrusted = strcmp(takes, "true") == 0};
    isolation_answer a = isolation_for(&f, ret);
    return a == ISOLATION_FINE          ? BLOCK_NONE
           : a == ISOLATION_NOT_OFFERED ? BLOCK_ISOLATION
                                        : BLOCK_UNTRUSTED;
}
