/* fixture.h - what the tests of this folder share: a scratch folder, a clock and randomness of
 * their own, one small world of a project, a builder, a stamp and builds. Tests only. */
#ifndef PW_MASTER_STORE_FIXTURE_H
#define PW_MASTER_STORE_FIXTURE_H
#include <stdlib.h>
#include <string.h>

#include "master/store/reader.h"
#include "shared/base/fs.h"

typedef struct fixture {
    char dir[64];
    char path[128]; /* dir + "/pawl.db" */
    uint64_t seed;
    pw_host host;
} fixture;

static inline pw_usec fixture_now(void *self)
{
    (void)self;
    return 1000000;
}
static inline pw_msec fixture_wall(void *self)
{
    (void)self;
    return 1700000000000;
}
static inline void fixture_random(void *self, void *buf, size_t n)
{
    fixture *f = self;

    for (size_t i = 0; i < n; i++) {
        f->seed = f->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        ((uint8_t *)buf)[i] = (uint8_t)(f->seed >> 56);
    }
}
static inline void fixture_init(fixture *f)
{
    *f = (fixture){.dir = "/tmp/pawl-store-XXXXXX",
                   .seed = 7,
                   .host = {fixture_now, fixture_wall, fixture_random, f}};
    if (!mkdtemp(f->dir))
        abort();
    memcpy(f->path, f->dir, strlen(f->dir) + 1);
    memcpy(f->path + strlen(f->dir), "/pawl.db", sizeof("/pawl.db"));
}
static inline void fixture_clear(fixture *f)
{
    (void)pw_fs_remove_tree(f->dir, NULL);
}
static inline store_rev fixture_rev(uint8_t n)
{
    store_rev r = {.n = 20};

    memset(r.id, n, r.n);
    return r;
}
/* A build of a stamp with its request and build set (ids build - 1 and build), waiting for a
 * worker. */
static inline int fixture_build(store *s, uint64_t build, uint64_t builder, uint64_t stamp,
                                pw_msec at)
{
    store_request r = {.id = build - 1,
                       .buildset = build,
                       .builder = builder,
                       .stamp = stamp,
                       .state = REQ_WAITING,
                       .created = at};
    store_build b = {.id = build,
                     .request = build - 1,
                     .builder = builder,
                     .stamp = stamp,
                     .state = BUILD_QUEUED,
                     .result = PW_NO_RESULT,
                     .created = at};
    int rc = store_buildset_add(s, build, "quick", "a push", "ann", stamp, at, NULL);

    if (rc == 0)
        rc = store_request_add(s, &r, NULL);
    if (rc == 0)
        rc = store_request_claim(s, r.id, build, NULL);
    return rc < 0 ? rc : store_build_add(s, &b, "job", 3, NULL);
}
/* The same, dispatched, run and finished. */
static inline int fixture_done(store *s, uint64_t build, uint64_t builder, uint64_t stamp,
                               const char *branch, pw_result result, pw_msec at)
{
    int rc = fixture_build(s, build, builder, stamp, at);

    if (rc == 0)
        rc = store_build_dispatch(s, build, 1, build, 1, NULL);
    if (rc == 0)
        rc = store_build_start(s, build, at + 1, NULL);
    if (rc == 0)
        rc = store_build_finish(s, build, result, NULL, at + 2, builder, branch, stamp, NULL);
    return rc < 0 ? rc : store_request_done(s, build - 1, 0, NULL);
}
#endif
