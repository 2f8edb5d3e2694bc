/* impl.h - what the files of this folder share. A `gw` (git work) is one job on its way through a
 * thread: it holds the mirror's libgit2 object, which stays on that thread. Texts of errors never
 * hold the password of a URL. */
#ifndef PW_MASTER_GIT_IMPL_H
#define PW_MASTER_GIT_IMPL_H
/* libgit2 has a type of the name of a struct of git.h */
#define git_commit lg2_commit
#include <git2.h>
#undef git_commit

#include "master/git/git.h"
#include "shared/base/buf.h"
#include "shared/gitlogin/gitlogin.h"

enum {
    GW_LOCK_PERIOD = 20, /* ms between two looks at a lock that another process holds */
    GW_FILES_MAX = 1000, /* changed paths that are listed of one commit */
    GW_TOTAL_MAX =
        5000, /* commits listed by one poll; above it, only the new tips: a repository that is
               * pushed anew with thousands of branches must not fill the memory */
    GW_REFS_MAX = 200000, /* heads and tags of one repository */
    GW_PROPOSALS_MAX =
        500, /* of which one poll fetches the objects; the next one does the others */
};
#define GW_FILES_BYTES (size_t)(64 * 1024) /* text of those paths */
#define GW_LIST_BYTES                                                                              \
    (size_t)(32 * 1024 * 1024)            /* answer of ls-remote: GW_REFS_MAX names of 120 bytes */
#define GW_SAID_BYTES (size_t)(64 * 1024) /* what a child says on stderr */

typedef struct gw {
    git_job *job;         /* borrowed */
    char *mirror;         /* owned: DIR/ID.git */
    git_repository *repo; /* owned; NULL: not open */
    int stop_fd;          /* readable: the service ends */
    const char *index;    /* borrowed: GIT_INDEX_FILE of the next children; NULL none */
    bool made;            /* the mirror is a new one: it lacks what no repository has */
    bool local;           /* the repository is a path of this machine */
    char name[200];       /* the repository, for people */
    gitlogin_dir login;   /* owned: files for the children */
    char *user; /* owned: "user:password@" of its URL, which children may repeat; NULL none */
} gw;
/* Where the files of logins are: beside the mirrors. New text; NULL: no memory. */
char *gw_login_dir(const char *mirrors);
int gw_init(gw *w, const char *dir, int stop_fd, git_job *job, pw_err *err);
void gw_clear(gw *w);
/* Frees what a POLL has found so far. */
void gw_forget_moves(git_job *j);

/* ---- child.c: the git program */
/* Runs `git --git-dir=MIRROR ARGS`; returns the exit code, PW_ETIMEDOUT, PW_EAGAIN when the service
 * ends, or another code. keep: a descriptor that the child holds, too; -1 none. */
int gw_child(const gw *w, const char *const *args, int keep, pw_buf *out, pw_buf *said,
             pw_err *err);
/* The same, with a standard input. */
int gw_child_in(const gw *w, const char *const *args, int keep, int in, pw_buf *out, pw_buf *said,
                pw_err *err);
/* The one line of stderr that tells most, as an error: "attempt on repository: line". rc: what
 * gw_child returned. */
int gw_child_fail(const gw *w, const char *attempt, int rc, pw_buf *said, pw_err *err);
/* Removes the user of the URL wherever the child repeats it, and control bytes. */
void gw_child_clean(const gw *w, pw_buf *said);
/* Sleeps; false when the service ends. */
bool gw_sleep(const gw *w, int ms);

/* ---- mirror.c */
/* Opens it, made on demand. PW_ECORRUPT: gw_mirror_remake may help. */
int gw_mirror_open(gw *w, pw_err *err);
/* Opens one that exists: PW_ENOTFOUND else. */
int gw_mirror_open_existing(gw *w, pw_err *err);
/* Removes it and makes an empty one. */
int gw_mirror_remake(gw *w, pw_err *err);
/* Fetches all heads and tags, and forgets those that are gone. PW_ECORRUPT when it fails because
 * the mirror is damaged. */
int gw_mirror_fetch(gw *w, pw_err *err);
/* Fetches refs by their names, n at most GW_FETCH_REFS. */
enum { GW_FETCH_REFS = 100 };
int gw_mirror_fetch_refs(gw *w, const git_ref *const *ref, size_t n, pw_err *err);
/* After a failed child: PW_ECORRUPT when the mirror is to blame, else `rc`, and *err stays. deep:
 * its objects are looked at, too. */
int gw_mirror_suspect(const gw *w, bool deep, int rc, pw_err *err);
/* Takes the push lock, waiting for the job's timeout; returns the fd, owned. */
int gw_mirror_lock(const gw *w, pw_err *err);
/* After a fetch that changed many refs: one file instead of one each, which every later look would
 * have to read. */
void gw_mirror_pack_refs(const gw *w);

/* ---- refs.c */

/* Refs, sorted by name. */
typedef struct gw_refs {
    git_ref *v; /* owned */
    size_t n, cap;
    char *head; /* owned: branch that HEAD names; NULL unknown */
} gw_refs;
void gw_refs_clear(gw_refs *r);
int gw_refs_add(gw_refs *r, const char *name, size_t len, const char *rev, pw_err *err);
void gw_refs_sort(gw_refs *r);
/* The answer of ls-remote. only: take just this ref; NULL: heads and tags. */
int gw_refs_parse(gw_refs *r, const char *text, const char *only, pw_err *err);
/* Those of the mirror. peel: tags as the commits that they stand for (others are left out), else as
 * the refs say. */
int gw_refs_mirror(const gw *w, bool peel, gw_refs *r, pw_err *err);
/* proposals: gets those, NULL: not asked for. */
int gw_refs_remote(const gw *w, const char *only, gw_refs *r, gw_refs *proposals, pw_err *err);
/* Those among the lines of ls-remote. */
int gw_refs_parse_proposals(gw_refs *r, const char *text, pw_err *err);
bool gw_ref_is_branch(const char *name);
bool gw_rev_ok(const char *rev); /* 40 hex digits, lower case */
/* refs/heads/ or refs/tags/, and a name that git allows. */
bool gw_ref_ok(const char *name);

/* ---- graph.c: questions to the mirror */
/* The failed libgit2 call as pw_err; a lost object is PW_ECORRUPT. Call it on the same thread,
 * before the next call. */
int gw_graph_fail(const gw *w, const char *attempt, int rc, pw_err *err);
/* Whether the mirror has this commit, or a tag of one: ret is the commit. */
bool gw_graph_has(const gw *w, const char *rev, git_oid *ret);
/* 1 when `in` is `rev` or a descendant of it, 0 not. Both must be in the mirror. */
int gw_graph_contains(const gw *w, const git_oid *in, const git_oid *rev, pw_err *err);
/* First-parent commits from tip, newest first, at most max, without those that can be reached from
 * any of `hide`. */
int gw_graph_chain(const gw *w, const git_oid *tip, const git_oid *hide, size_t n_hide, size_t max,
                   git_oid **ret, size_t *ret_n, pw_err *err);
/* Of a chain: how many, from the newest on, contain rev. Older than the first that does not, none
 * can. */
int gw_graph_containing(const gw *w, const git_oid *chain, size_t n, const git_oid *rev,
                        size_t *ret, pw_err *err);
/* Paths that differ, one a line; NULL: too many. */
int gw_graph_files(const gw *w, const git_oid *before, const git_oid *now, char **ret, pw_err *err);
/* Author, subject, changed files of a commit. */
int gw_graph_commit(const gw *w, const git_oid *id, git_commit *ret, pw_err *err);

/* ---- proposals.c */
/* Adds the moves of proposals to the job's. remote: as listed now. */
int gw_proposals(gw *w, gw_refs *remote, pw_err *err);

/* ---- poll.c */
/* A new move at the end of the job's; NULL: no memory. */
git_moved *gw_move_add(git_job *j, const char *ref, const char *old, const char *now);

/* ---- the three kinds. The answer goes into the job. */
int gw_poll(gw *w, pw_err *err);
int gw_history(gw *w, pw_err *err);
int gw_push(gw *w, pw_err *err);
/* show.c */
int gw_show(gw *w, pw_err *err);
/* Opens the mirror and finds the job's revision; one that is not there yet (told of by hand) is
 * fetched once. */
int gw_commit_find(gw *w, git_oid *ret, pw_err *err);
/* bundle.c */
int gw_bundle(gw *w, pw_err *err);
/* try.c */
int gw_try(gw *w, pw_err *err);
int gw_untry(gw *w, pw_err *err);
/* After a fetch into a mirror that was made anew: what people try is not in the repository. */
void gw_tries_restore(gw *w);
#endif
