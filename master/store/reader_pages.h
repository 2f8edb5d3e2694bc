/* reader_pages.h - what pages show at a glance. As reader.h: callbacks get borrowed rows, a
 * negative answer ends the walk; each walk is bounded whatever the size of the database. */
#ifndef PW_MASTER_STORE_READER_PAGES_H
#define PW_MASTER_STORE_READER_PAGES_H
#include "master/store/reader.h"

/* Branches of a project as the repository last showed them, by name; after: those behind this one,
 * "" all. */
int reader_branches(reader *self, uint64_t project, const char *after,
                    int (*cb)(void *, const char *branch, const store_rev *rev), void *cb_self,
                    pw_err *err);
/* Where a branch stands; at: when that was seen, 0 not known. PW_ENOTFOUND */
int reader_tip(reader *self, uint64_t project, const char *branch, store_rev *ret, pw_msec *ret_at,
               pw_err *err);
/* Newest green or red build of each builder on a branch, by builder. top: the builder that it is a
 * part of, else itself. */
typedef struct reader_standing {
    const char *builder, *top;
    uint64_t build;
    pw_result result;
    pw_msec finished;
    /* red: the first build since when it is, 0 not known; since_at: when that one finished */
    uint64_t since;
    pw_msec since_at;
} reader_standing;
int reader_branch_latest(reader *self, uint64_t project, const char *branch,
                         int (*cb)(void *, const reader_standing *), void *cb_self, pw_err *err);
typedef struct reader_brief {
    uint64_t id;
    const char *builder, *top;
    build_state state;
    pw_result result;
    pw_msec started, finished;
} reader_brief;
/* Builds of the newest `revisions` revisions of a branch, newest first. */
int reader_branch_builds(reader *self, uint64_t project, const char *branch, size_t revisions,
                         int (*cb)(void *, const reader_brief *), void *cb_self, pw_err *err);
/* Builds of a source stamp, oldest first. */
int reader_stamp_builds(reader *self, uint64_t stamp, int (*cb)(void *, const reader_brief *),
                        void *cb_self, pw_err *err);
/* PW_ENOTFOUND: nothing was decided about it yet. */
int reader_edge_one(reader *self, const char *edge,
                    int (*cb)(void *, const char *edge, edge_state state, const store_rev *rev,
                              const char *reason, pw_msec at),
                    void *cb_self, pw_err *err);
/* How many recorded changes of the branch came after this revision, max at most. PW_ENOTFOUND: the
 * revision is none of the branch's. */
int reader_behind(reader *self, uint64_t project, const char *branch, const store_rev *rev,
                  uint64_t max, uint64_t *ret, pw_err *err);
/* The last green build of the same builder on the same branch before this one, 0: none among the
 * 1,000 revisions before; and the changes since then up to this build's, newest first. PW_ENOTFOUND
 * when there is no such build. */
int reader_green_before(reader *self, uint64_t build, uint64_t *ret, pw_err *err);
int reader_build_changes(reader *self, uint64_t build, uint64_t green, size_t limit,
                         int (*cb)(void *, const reader_change *), void *cb_self, pw_err *err);
/* Median time of the last green builds of the same builder before this one; -1: none. And of each
 * step of them, by name. */
int reader_usual(reader *self, uint64_t build, pw_msec *ret, pw_err *err);
int reader_usual_steps(reader *self, uint64_t build,
                       int (*cb)(void *, const char *step, pw_msec ms), void *cb_self, pw_err *err);
/* Revisions that begin with these hexadecimal digits (4 to 64 of them; PW_EINVAL else). */
int reader_commits(reader *self, const char *prefix, size_t limit,
                   int (*cb)(void *, const char *project, const char *branch, const store_rev *rev,
                             const char *subject),
                   void *cb_self, pw_err *err);
/* When what still waits was made first: requests, messages; 0 none. */
int reader_oldest(reader *self, pw_msec *ret_request, pw_msec *ret_message, pw_err *err);
/* "" when there is none; cut at the buffer's end. */
int reader_project_name(reader *self, uint64_t project, char *out, size_t cap, pw_err *err);
/* Names to ids; PW_ENOTFOUND. */
int reader_project_named(reader *self, const char *name, uint64_t *ret, pw_err *err);
#endif
