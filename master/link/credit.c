#include "master/link/credit.h"

#include "master/link/state.h"

static uint64_t share_of(uint64_t jobs)
{
    if (jobs <= SESSION_TOTAL_WINDOW / SESSION_JOB_WINDOW)
        return SESSION_JOB_WINDOW;
    /* a quarter is left for those that come next: the others hear of a smaller share only when it
     * has shrunk by a fifth */
    return SESSION_TOTAL_WINDOW / 4 * 3 / jobs;
}

uint64_t credit_window(uint64_t jobs, uint64_t others)
{
    uint64_t share = share_of(jobs);
    uint64_t left = SESSION_TOTAL_WINDOW > others ? SESSION_TOTAL_WINDOW - others : 0;
    return share < left ? share : left;
}

bool credit_too_much(uint64_t jobs, uint64_t window)
{
    uint64_t share = share_of(jobs);
    return window > share + share / 4;
}

/* Counted anew once a turn: attempts and sessions come and go in many places. Within a turn the sum
 * is only too high. */
static void count(sessions *self)
{
    core_attempt *a;
    if (self->credit_counted)
        return;
    self->credit_sum = self->credit_jobs = 0;
    for (size_t pos = 0; (a = core_attempt_each(self->core, &pos));) {
        if (!sessions_of_worker(self, a->worker)) {
            a->window = 0;
            continue;
        }
        self->credit_sum += a->window;
        self->credit_jobs++;
    }
    self->credit_counted = true;
}

uint64_t sessions_window(sessions *self, core_attempt *a)
{
    count(self);
    uint64_t others = self->credit_sum > a->window ? self->credit_sum - a->window : 0;
    a->window = credit_window(self->credit_jobs, others);
    self->credit_sum = others + a->window;
    return a->window;
}

void sessions_credit_tick(sessions *self)
{
    core_attempt *a;
    self->credit_counted = false;
    count(self);
    if (self->credit_sum == self->credit_jobs * SESSION_JOB_WINDOW)
        return;
    for (size_t pos = 0; (a = core_attempt_each(self->core, &pos));)
        if (credit_too_much(self->credit_jobs, a->window))
            sessions_ack(self, a);
    for (size_t pos = 0; (a = core_attempt_each(self->core, &pos));) {
        uint64_t others = self->credit_sum > a->window ? self->credit_sum - a->window : 0;
        uint64_t now = credit_window(self->credit_jobs, others);
        /* small steps are not worth a message: the next acknowledgement tells them */
        if (now > a->window && now / 2 >= a->window)
            sessions_ack(self, a);
    }
}
