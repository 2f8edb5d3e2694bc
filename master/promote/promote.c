#include "master/promote/promote.h"

#include <stdio.h>

/* Bytes of a name that a reason shows: two names, a revision and our words fit into 300. */
#define NAME "\"%.80s\""
#define REV "%.7s" /* what git shows, too */

/* A builder without a name was not filled in: nothing is known of it. */
static bool builder_green(const promote_facts *f, const promote_builder *b)
{
    return b->name && pw_result_green(b->result, f->allow_warnings);
}

/* An edge that requires nothing would move to anything: so nothing is green then. */
static bool candidate_green(const promote_facts *f, const promote_candidate *c)
{
    for (size_t i = 0; i < f->n_builders; i++)
        if (!builder_green(f, &c->builder[i]))
            return false;
    return f->n_builders > 0;
}

/* Without `to` there is nothing to be contained. */
static bool candidate_forward(const promote_facts *f, const promote_candidate *c)
{
    return !f->to_exists || c->contains_to;
}

static void why_builder(const promote_builder *b, const char *rev, char *text, size_t n)
{
    const char *name = b->name ? b->name : "?";

    if (pw_result_red(b->result))
        (void)snprintf(text, n, "builder " NAME " is red at " REV "%s", name, rev,
                       b->open ? ", and is built again" : "");
    else if (b->open)
        (void)snprintf(text, n, "waiting: builder " NAME " is not done at " REV, name, rev);
    else if (!b->name || b->result == PW_NO_RESULT)
        (void)snprintf(text, n, "waiting: builder " NAME " has no result at " REV, name, rev);
    else if (b->result == PW_WARNINGS)
        (void)snprintf(text, n, "builder " NAME " has warnings at " REV ", which are not allowed",
                       name, rev);
    else
        (void)snprintf(text, n,
                       "waiting: builder " NAME " ended as %s at " REV
                       ", which is neither green nor red",
                       name, pw_result_name(b->result), rev);
}

/* What keeps the newest revision back: a red builder says more than one that is still awaited. */
static void why_not(const promote_facts *f, promote_decision *ret)
{
    const promote_candidate *c = NULL;
    const promote_builder *b = NULL;

    for (size_t i = 0; i < f->n_candidates && !c; i++)
        if (candidate_forward(f, &f->candidate[i]))
            c = &f->candidate[i];
    if (!c) {
        (void)snprintf(ret->reason, sizeof(ret->reason),
                       "waiting: no revision of " NAME " contains " NAME, f->from, f->to);
        return;
    }
    if (f->n_builders == 0) {
        (void)snprintf(ret->reason, sizeof(ret->reason),
                       "waiting: no builder is required, so nothing can be green at " REV, c->rev);
        return;
    }
    for (size_t i = 0; i < f->n_builders; i++) {
        const promote_builder *x = &c->builder[i];
        if (builder_green(f, x))
            continue;
        if (!b || (!pw_result_red(b->result) && x->name && pw_result_red(x->result)))
            b = x;
    }
    if (b) /* it is: all green would have been promoted */
        why_builder(b, c->rev, ret->reason, sizeof(ret->reason));
}

static void move(const promote_facts *f, size_t i, promote_decision *ret)
{
    const char *rev = f->candidate[i].rev;
    const char *does = f->to_exists ? "moves to" : "is created at";

    ret->kind = PROMOTE_MOVE;
    ret->candidate = i;
    if (f->n_builders == 1)
        (void)snprintf(ret->reason, sizeof(ret->reason),
                       NAME " %s " REV ": builder " NAME " is green there", f->to, does, rev,
                       f->candidate[i].builder[0].name);
    else
        (void)snprintf(ret->reason, sizeof(ret->reason),
                       NAME " %s " REV ": all %zu builders are green there", f->to, does, rev,
                       f->n_builders);
}

void promote_decide(const promote_facts *f, promote_decision *ret)
{
    *ret = (promote_decision){.kind = PROMOTE_WAIT};
    if (!f->from_exists) {
        (void)snprintf(ret->reason, sizeof(ret->reason), "waiting: branch " NAME " does not exist",
                       f->from);
        return;
    }
    if (f->to_exists && f->same) {
        ret->kind = PROMOTE_DONE;
        (void)snprintf(ret->reason, sizeof(ret->reason),
                       "nothing new: " NAME " is where " NAME " is", f->to, f->from);
        return;
    }
    if (f->to_exists && (f->to_ahead || !f->related)) {
        ret->kind = PROMOTE_REFUSE;
        (void)snprintf(ret->reason, sizeof(ret->reason), NAME " %s " NAME ": it will not be moved",
                       f->to, f->to_ahead ? "is ahead of" : "has diverged from", f->from);
        return;
    }
    if (f->n_candidates == 0) {
        ret->kind = PROMOTE_DONE;
        (void)snprintf(ret->reason, sizeof(ret->reason),
                       "nothing new: " NAME " has no revision that " NAME " lacks", f->from, f->to);
        return;
    }
    /* what is behind the first one that will do is not looked at: it may not be filled in */
    for (size_t i = 0; i < f->n_candidates; i++) {
        const promote_candidate *c = &f->candidate[i];
        if (candidate_forward(f, c) && candidate_green(f, c)) {
            move(f, i, ret);
            return;
        }
    }
    why_not(f, ret);
}
