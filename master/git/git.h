/* git.h - the git thread: mirrors, what changed, histories and pushes. Transport is the `git`
 * program (children with a deadline, killed with the master); objects and graph questions are
 * libgit2 (the only module that includes it) on the bare mirrors in STATE/mirrors. One job per
 * repository at a time, in order; several repositories side by side would need several threads: a
 * slow one must not delay another, so children of different repositories run at the same time.
 * Requests are sent by the core's thread; answers come through a channel. All requests and answers
 * are plain owned data. */
#ifndef PW_MASTER_GIT_GIT_H
#define PW_MASTER_GIT_GIT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/chan.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

enum { GIT_REV = 65, GIT_COMMITS_MAX = 200, GIT_HISTORY_MAX = 1000, GIT_SHOW_MAX = 512 * 1024 };

typedef struct git_ref {
    char *name; /* refs/heads/master */
    char rev[GIT_REV];
} git_ref;
typedef struct git_commit {
    char rev[GIT_REV];
    char *author;  /* Name <mail> */
    char *subject; /* first line */
    /* changed paths against the first parent, one a line, at most 1,000; NULL unknown */
    char *files;
    pw_msec at;   /* committer time */
    bool skip;    /* its message says that it is not to be built: [ci skip] and the like */
    bool testfix; /* its message has [testfix], in any case */
} git_commit;
typedef struct git_moved { /* one ref that is not where it was */
    char *ref;
    char old[GIT_REV]; /* "" new */
    char rev[GIT_REV]; /* "" deleted */
    bool forced;       /* old is no ancestor of rev */
    /* first-parent commits after old, oldest first, the last one is rev; at most GIT_COMMITS_MAX
     * newest */
    git_commit *commit;
    size_t n_commits;
} git_moved;

typedef enum git_kind {
    GIT_POLL = 1,
    GIT_HISTORY,
    GIT_PUSH,
    GIT_SHOW,
    GIT_BUNDLE,
    GIT_TRY,  /* imports what somebody sent as refs/pawl/try/NUMBER, of which nobody else knows */
    GIT_UNTRY /* removes it; idempotent */
} git_kind;
/* The name of the revision in a bundle. */
#define GIT_BUNDLE_REF "refs/pawl/bundle"
/* With what git logs in; owned texts, NULL: none. Wiped when they are freed. */
typedef struct git_login {
    char *ssh_key, *known_hosts; /* what such files hold */
    char *user, *password;
} git_login;
/* One request and, filled in, its answer: the same object comes back. */
typedef struct git_job {
    git_kind kind;
    uint64_t project; /* row id; names the mirror STATE/mirrors/ID.git */
    char *name;       /* of the project, for people; NULL: none */
    char *repository;
    git_login login;
    uint64_t tag;    /* the asker's: edge, promotion */
    pw_usec timeout; /* of each child */

    git_ref *known; /* POLL: refs as last seen (heads and tags); BUNDLE: what need not be in it */
    size_t n_known;
    bool first; /* POLL: never seen before: no commits are listed ... */
    bool tips;  /* ... but the tips */
    /* POLL: proposals (see git_proposal) are looked at, too; never seen before: no commits */
    bool proposals, first_proposals;

    char *from, *to;   /* HISTORY: full ref names */
    char *ref;         /* PUSH: full ref name */
    char old[GIT_REV]; /* PUSH: lease, "" = must not exist */
    char rev[GIT_REV]; /* PUSH: object to push; SHOW, BUNDLE: of which revision */
    /* SHOW: file; a link is followed to nowhere, it counts as none. BUNDLE: where it is written */
    char *path;
    bool look_only;    /* PUSH: nothing is pushed */
    uint64_t number;   /* TRY, UNTRY */
    struct git_try {   /* TRY; `old` is its base: a commit of a branch or tag */
        char *file;    /* what was sent; removed whatever comes of it */
        bool patch;    /* as `git diff --binary` prints it; else a bundle with one tip */
        char *who;     /* whose it is, for its commit; NULL unknown */
        char *subject; /* of its commit */
    } try;

    /* answer */
    int code; /* 0, or a negative pw_code: text says why */
    char text[400];
    git_moved *moved; /* POLL */
    size_t n_moved;
    char *head; /* POLL: branch that the remote's HEAD names, NULL unknown */
    char from_rev[GIT_REV], to_rev[GIT_REV]; /* HISTORY: "" absent */
    bool to_in_from, from_in_to;             /* HISTORY: ancestry of the tips */
    char *shown;   /* SHOW: the file's bytes; NULL: the revision has no such file */
    uint64_t size; /* BUNDLE: its bytes, and their SHA-256 */
    uint8_t sum[32];
    size_t n_shown; /* at most GIT_SHOW_MAX + 1: then there is more */
    /* TRY: what stands at the ref: one commit, made here and so on no branch of anybody, on top of
     * those that were sent; files: against the base */
    git_commit tried;
    size_t n_tried; /* commits that were sent, on top of the base */
    bool unfit;     /* TRY: what was sent is to blame, and asking again will not help */
    struct git_candidate {
        char rev[GIT_REV];
        bool contains_to;
        /* HISTORY: first-parent chain of from, newest first, down to (not with) what is in `to` */
    } * candidate;
    size_t n_candidates;
    enum git_outcome {
        GIT_PUSHED = 1,   /* the ref points to (or contains) rev: done now, or found done */
        GIT_LOST_RACE,    /* the ref is elsewhere: nothing was pushed */
        GIT_REFUSED,      /* the server said no (hook, permission): text */
        GIT_UNKNOWN,      /* no answer: look again before doing anything */
        GIT_NOT_PUSHED    /* look_only: the ref is at `old` */
    } outcome;            /* PUSH */
    bool pushed_now;      /* PUSH: false = the ref was there already when we looked */
    char at_rev[GIT_REV]; /* PUSH: where the ref is now */
} git_job;
git_job *git_job_new(git_kind kind, pw_err *err);
git_job *git_job_free(git_job *j);
PW_DEFINE_FREEP(git_job, git_job_free)

/* A ref of a proposal: refs/pull/N/head or /merge (GitHub, Gitea), refs/merge-requests/N/..
 * (GitLab), refs/for/TARGET. They are no branches and no tags, and are told with the tip only. */
bool git_proposal(const char *ref);

/* Each bundle in STATE/tries, by its name there. False: it is no name of one. */
bool git_try_name(const char *name, uint64_t *ret_project, uint64_t *ret_number);

typedef struct git_service git_service;
/* Starts the thread(s). dir: STATE/mirrors; beside it, STATE/login has what git logs in with, while
 * it runs, and STATE/tries a bundle of each try, from which a mirror that is made anew gets it.
 * answers: borrowed; receives git_job pointers. */
git_service *git_start(const char *dir, pw_chan *answers, pw_err *err);
/* Kills children, ends the threads, frees queued jobs. */
git_service *git_stop(git_service *self);
/* Takes the job. PW_EFULL: too many wait (the job is freed). */
int git_send(git_service *self, git_job *job, pw_err *err);
#endif
