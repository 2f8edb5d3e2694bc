/* PUSH: moves one ref of a foreign repository from `old` to `rev`, or not at all. It looks before
 * it pushes, so that a push whose success was never recorded is found done, and it looks again
 * after whatever did not clearly succeed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

#define LOOKS 2        /* a ref that moves between looking and fetching is looked at again */
#define REASON_MAX 160 /* bytes of git's own reason */
#define SHORT "%.10s"

enum said {
    SAID_NOTHING,  /* the push did not get that far, or was cut off */
    SAID_OK,       /* the ref was moved */
    SAID_SAME,     /* it was there already */
    SAID_REJECTED, /* not where the lease says */
    SAID_REFUSED   /* the server does not want it */
};

struct push {
    gw *w;
    git_oid rev;
    bool has_rev;
    bool there; /* the ref points to, or contains, rev */
    char reason[REASON_MAX];
};

static void conclude(git_job *j, enum git_outcome outcome, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void conclude(git_job *j, enum git_outcome outcome, const char *fmt, ...)
{
    va_list ap;

    j->outcome = outcome;
    va_start(ap, fmt);
    (void)vsnprintf(j->text, sizeof(j->text), fmt, ap);
    va_end(ap);
}

static int check(const git_job *j, pw_err *err)
{
    if (!gw_ref_ok(j->ref))
        return pw_fail(err, PW_EINVAL, "\"%.200s\" is no branch or tag", j->ref ? j->ref : "");
    if (!gw_rev_ok(j->rev) || (j->old[0] && !gw_rev_ok(j->old)))
        return pw_fail(err, PW_EINVAL, "\"%.64s\" or \"%.64s\" is no revision", j->rev, j->old);
    return 0;
}

/* Where is the ref? Fills at_rev and p->there. Fetches when that takes objects that the mirror
 * lacks. */
static int look(struct push *p, pw_err *err)
{
    gw *w = p->w;
    git_job *j = w->job;

    for (int i = 0; i < LOOKS; i++) {
        PW_AUTO(gw_refs_clear) gw_refs refs = {0};
        git_oid at;
        int rc = gw_refs_remote(w, j->ref, &refs, NULL, err);
        if (rc < 0)
            return rc;
        p->there = false;
        j->at_rev[0] = '\0';
        if (refs.n > 0)
            memcpy(j->at_rev, refs.v[0].rev, sizeof(j->at_rev));
        p->has_rev = gw_graph_has(w, j->rev, &p->rev);
        bool has_at = !j->at_rev[0] || gw_graph_has(w, j->at_rev, &at);
        if (!p->has_rev || !has_at) {
            rc = gw_mirror_fetch(w, err);
            if (rc < 0)
                return rc;
            p->has_rev = gw_graph_has(w, j->rev, &p->rev);
            has_at = !j->at_rev[0] || gw_graph_has(w, j->at_rev, &at);
        }
        if (!has_at)
            continue;
        /* all of `at` is in the mirror: a revision that is not, is not in `at` */
        if (!j->at_rev[0] || !p->has_rev)
            return 0;
        rc = gw_graph_contains(w, &at, &p->rev, err);
        p->there = rc == 1;
        return rc < 0 ? rc : 0;
    }
    return pw_fail(err, PW_EAGAIN, "\"%.100s\" of \"%s\" moves while it is read", j->ref, w->name);
}

/* So that HISTORY sees it before the next poll. The poll repairs what fails here. */
static void note_in_mirror(const gw *w)
{
    git_reference *ref = NULL;
    git_oid id;

    if (git_oid_fromstr(&id, w->job->at_rev) == 0 &&
        git_reference_create(&ref, w->repo, w->job->ref, &id, 1, NULL) < 0)
        pw_log(PW_LOG_DEBUG, "git_mirror_ref", "ref=\"%s\" not updated", w->job->ref);
    git_reference_free(ref);
}

static void lost_race(git_job *j)
{
    if (!j->at_rev[0])
        conclude(j, GIT_LOST_RACE, "\"%.200s\" does not exist any more", j->ref);
    else if (!j->old[0])
        conclude(j, GIT_LOST_RACE, "\"%.200s\" exists already, at " SHORT, j->ref, j->at_rev);
    else
        conclude(j, GIT_LOST_RACE, "\"%.200s\" is at " SHORT ", not at " SHORT, j->ref, j->at_rev,
                 j->old);
}

/* Before the push: concludes when nothing is to be pushed; returns 1 then, 0 to go on. */
static int decide(struct push *p, pw_err *err)
{
    git_job *j = p->w->job;
    git_oid old;
    int rc;

    if (p->there) {
        conclude(j, GIT_PUSHED, "\"%.200s\" contains " SHORT " already", j->ref, j->rev);
        note_in_mirror(p->w);
        return 1;
    }
    if (strcmp(j->at_rev, j->old) != 0) {
        lost_race(j);
        return 1;
    }
    if (j->look_only) {
        conclude(j, GIT_NOT_PUSHED, "\"%.200s\" is where it was", j->ref);
        return 1;
    }
    if (!p->has_rev) {
        conclude(j, GIT_REFUSED, "revision " SHORT " is not in the repository", j->rev);
        return 1;
    }
    if (!j->old[0])
        return 0;
    if (!gw_graph_has(p->w, j->old, &old))
        return pw_fail(err, PW_ECORRUPT, "the mirror of \"%s\" lacks %s", p->w->name, j->old);
    rc = gw_graph_contains(p->w, &p->rev, &old, err);
    if (rc < 0 || rc == 1)
        return rc < 0 ? rc : 0;
    /* a lease alone would rewind it */
    conclude(j, GIT_LOST_RACE, "moving \"%.200s\" from " SHORT " to " SHORT " is no fast-forward",
             j->ref, j->old, j->rev);
    return 1;
}

/* The line of our ref: "<flag>\t<from>:<to>\t<summary> (<reason>)". */
static enum said read_porcelain(struct push *p, const char *out)
{
    const char *ref = p->w->job->ref;

    for (const char *s = out; *s; s += strcspn(s, "\n"), s += *s == '\n') {
        const char *end = s + strcspn(s, "\n");
        const char *to, *text, *reason;
        if (s[0] == '\n' || s[1] != '\t')
            continue;
        to = memchr(s + 2, ':', (size_t)(end - s - 2));
        if (!to || strncmp(to + 1, ref, strlen(ref)) != 0 || to[1 + strlen(ref)] != '\t')
            continue;
        text = to + strlen(ref) + 2;
        if (*s == ' ' || *s == '+' || *s == '*')
            return SAID_OK;
        if (*s == '=')
            return SAID_SAME;
        reason = memchr(text, '(', (size_t)(end - text));
        if (reason && end > reason + 1)
            (void)snprintf(p->reason, sizeof(p->reason), "%.*s", (int)(end - reason - 2),
                           reason + 1);
        if (strcmp(p->reason, "unpacker error") == 0)
            return SAID_NOTHING; /* the objects did not arrive: trouble on the way, nobody's no */
        return strncmp(text, "[remote rejected]", 17) == 0 ? SAID_REFUSED : SAID_REJECTED;
    }
    return SAID_NOTHING;
}

/* The lines that a hook wrote, in one. */
static void add_remote_lines(pw_buf *b, const char *said)
{
    for (const char *s = said; *s; s += strcspn(s, "\n"), s += *s == '\n') {
        size_t n = strcspn(s, "\n");
        if (strncmp(s, "remote:", 7) != 0)
            continue;
        for (s += 7, n -= 7; n > 0 && *s == ' '; s++)
            n--;
        while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\r'))
            n--;
        if (n > 0 && b->len + n + 2 < b->max) {
            (void)pw_buf_adds(b, ": ");
            (void)pw_buf_add(b, s, n);
        }
    }
}

/* The server does not let us, and says so without looking at the push. The last are gitolite's,
 * GitHub's and GitLab's of keys, and Gitea's. */
static bool denied(const char *said)
{
    static const char *const words[] = {"ermission denied",     "denied to",
                                        "uthentication failed", "returned error: 403",
                                        "dubious ownership",    "could not read Username",
                                        " DENIED by ",          "marked as read only",
                                        "not allowed to push",  " have write access"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(said, words[i]))
            return true;
    return false;
}

static int run(struct push *p, int lock, enum said *ret_said, pw_buf *said, pw_err *err)
{
    git_job *j = p->w->job;
    PW_AUTO(pw_freep) char *lease = pw_strf("--force-with-lease=%s:%s", j->ref, j->old);
    PW_AUTO(pw_freep) char *spec = pw_strf("%s:%s", j->rev, j->ref);
    const char *args[] = {"push",
                          "--porcelain",
                          "--no-verify",
                          "--no-follow-tags",
                          "--recurse-submodules=no",
                          lease,
                          "--",
                          j->repository,
                          spec,
                          NULL};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    int rc;

    if (!lease || !spec)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (pw_fault("push.before"))
        return pw_fail(err, PW_ESYS, "fault: no push to \"%s\"", p->w->name);
    rc = gw_child(p->w, args, lock, &out, said, err);
    if (pw_fault("push.after"))
        return pw_fail(err, PW_ESYS, "fault: no answer to a push to \"%s\"", p->w->name);
    *ret_said = rc >= 0 ? read_porcelain(p, pw_buf_str(&out)) : SAID_NOTHING;
    /* "moved" counts only when git itself is content */
    if (rc > 0 && (*ret_said == SAID_OK || *ret_said == SAID_SAME))
        *ret_said = SAID_NOTHING;
    return rc;
}

/* What did not clearly succeed: the ref itself knows. rc, *err: of the push. */
static int look_again(struct push *p, enum said how, int rc, pw_buf *said, pw_err *err)
{
    git_job *j = p->w->job;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(sizeof(j->text) - 1);
    bool no = rc >= 0 && denied(pw_buf_str(said));
    pw_err mine = {0};

    gw_child_clean(p->w, said);
    add_remote_lines(&text, pw_buf_str(said));
    if (how == SAID_NOTHING)
        rc = gw_child_fail(p->w, "pushing to", rc, said, err);
    if (rc == PW_EAGAIN)
        return rc; /* the program ends */
    if (look(p, &mine) < 0) {
        if (how != SAID_NOTHING && err)
            *err = mine;
        return how != SAID_NOTHING ? (int)mine.code : rc;
    }
    if (p->there) {
        j->pushed_now = how == SAID_NOTHING;
        conclude(j, GIT_PUSHED, "\"%.200s\" contains " SHORT, j->ref, j->rev);
        note_in_mirror(p->w);
        return 0;
    }
    if (strcmp(j->at_rev, j->old) != 0 || how == SAID_REJECTED) {
        lost_race(j);
        return 0;
    }
    if (how == SAID_REFUSED || no) {
        conclude(j, GIT_REFUSED, "the server refuses to move \"%.100s\": %s%s", j->ref,
                 how == SAID_REFUSED ? p->reason
                 : err               ? err->text
                                     : "denied",
                 pw_buf_str(&text));
        return 0;
    }
    return rc < 0 ? rc : pw_fail(err, PW_EAGAIN, "no answer to the push of \"%.100s\"", j->ref);
}

int gw_push(gw *w, pw_err *err)
{
    git_job *j = w->job;
    struct push p = {.w = w};
    PW_AUTO(pw_closep) int lock = -1;
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    enum said how = SAID_NOTHING;
    pw_err mine = {0};
    int rc = check(j, err);

    if (rc == 0)
        rc = gw_mirror_open(w, err);
    if (rc < 0)
        return rc;
    lock = gw_mirror_lock(w, err);
    if (lock < 0)
        return lock;
    rc = look(&p, err);
    if (rc == 0)
        rc = decide(&p, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = run(&p, lock, &how, &said, &mine);
    if (how == SAID_OK) {
        memcpy(j->at_rev, j->rev, sizeof(j->at_rev));
        j->pushed_now = true;
        conclude(j, GIT_PUSHED, "\"%.200s\" moved to " SHORT, j->ref, j->rev);
        note_in_mirror(w);
        return 0;
    }
    rc = look_again(&p, how, rc, &said, &mine);
    if (rc < 0 && err)
        *err = mine;
    return rc;
}
