/* How the looks at the repositories go: told by the core, held here for `GET /projects`. */
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/http/render.h"

typedef struct look {
    uint64_t failures;
    pw_msec next;
    char *trouble; /* owned; NULL: none */
} look;

static void look_free(look *k)
{
    if (k)
        free(k->trouble);
    free(k);
}

void web_look(web_server *self, uint64_t project, uint64_t failures, pw_msec next,
              const char *trouble)
{
    bool failed = false;
    if (!self)
        return;
    web_hub *h = &self->hub;
    look *k = malloc(sizeof(*k));
    if (!k)
        return; /* the next one is told again */
    *k = (look){failures, next, pw_strdup(trouble, &failed)};
    (void)pthread_mutex_lock(&h->lock);
    if (!h->looks)
        h->looks = pw_table_new(NULL);
    if (h->looks) {
        look_free(pw_table_get(h->looks, project));
        if (pw_table_put(h->looks, project, k, NULL) == 0)
            k = NULL;
        else
            (void)pw_table_del(h->looks, project);
    }
    (void)pthread_mutex_unlock(&h->lock);
    look_free(k);
}

void web_looks_clear(web_hub *h)
{
    look *k;
    for (size_t pos = 0; h->looks && (k = pw_table_next(h->looks, &pos));)
        look_free(k);
    h->looks = pw_table_free(h->looks);
}

void web_look_put(web_server *self, pw_buf *b, uint64_t project, bool watched)
{
    web_hub *h = &self->hub;
    (void)pthread_mutex_lock(&h->lock);
    const look *k = watched && h->looks ? pw_table_get(h->looks, project) : NULL;
    web_str(b, "state", !watched ? "removed" : !k ? "new" : k->failures ? "failing" : "ok");
    web_u64(b, "failures", k ? k->failures : 0);
    web_str(b, "trouble", k ? k->trouble : NULL);
    if (k)
        web_time(b, "next_look", k->next);
    else
        web_null(b, "next_look");
    (void)pthread_mutex_unlock(&h->lock);
}
