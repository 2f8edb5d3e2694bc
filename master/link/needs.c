/* What running jobs ask for. Who may ask is decided here; what there is to give is others' (master/
 * server/gives.c), so that this folder knows neither repositories nor threads. */
#include <string.h>

#include "master/link/state.h"

enum { AGAIN_MS = 2000 };

void sessions_on_need(sessions *self, sessions_ask *ask, void *ask_self)
{
    self->ask = ask;
    self->ask_self = ask_self;
}

static void refuse(sessions *self, const session *s, const msg_need *m, const char *why,
                   uint64_t retry_ms)
{
    msg_blob b = {.session = s->id,
                  .epoch = m->epoch,
                  .attempt = m->attempt,
                  .ask = m->ask,
                  .offset = m->offset,
                  .error = (char *)(uintptr_t)why,
                  .retry_ms = retry_ms};
    sessions_queue(self, s->peer, PW_MSG_BLOB, &b, NULL, 0);
}

/* What is wrong with the question itself; NULL: nothing. */
static const char *malformed(const msg_need *m)
{
    if (m->what == PW_NEED_BUNDLE)
        return NULL;
    if (m->what != PW_NEED_LIST && m->what != PW_NEED_FILE)
        return "this master does not know what is asked for: it is older than the worker";
    if (!m->from || (m->what == PW_NEED_FILE && !m->name))
        return "the question names no build or no file";
    return NULL;
}

void needs_ask(sessions *self, const session *s, const msg_need *m)
{
    pw_err err = {0};
    const core_attempt *a = core_attempt_find(self->core, m->attempt);
    bool ours = a && a->epoch == m->epoch && a->worker == s->worker &&
                memcmp(a->spool, s->spool, sizeof(a->spool)) == 0;
    const char *wrong = malformed(m);
    int rc;
    if (!ours)
        refuse(self, s, m, "this master does not know that attempt", 0);
    else if (a->state > ATT_RUNNING)
        refuse(self, s, m, "this attempt is over", 0);
    else if (wrong)
        refuse(self, s, m, wrong, 0);
    else if (!self->ask)
        refuse(self, s, m, "this master gives nothing to jobs", 0);
    else if ((rc = self->ask(self->ask_self, a, m, &err)) < 0)
        refuse(self, s, m, err.text, rc == PW_ENOTFOUND ? 0 : AGAIN_MS);
}

void sessions_blob(sessions *self, const msg_blob *m, const void *p, size_t n)
{
    const core_attempt *a = core_attempt_find(self->core, m->attempt);
    const session *s = a ? sessions_of_worker(self, a->worker) : NULL;
    if (s && s->id == m->session && a->epoch == m->epoch)
        sessions_queue(self, s->peer, PW_MSG_BLOB, m, p, n);
}
