/* retention.h - how long logs and builds are kept. What a branch's entry of a project says goes
 * before what the project says, that before a branch's entry at the top, that before the top. */
#ifndef PW_MASTER_CONFIG_RETENTION_H
#define PW_MASTER_CONFIG_RETENTION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/host.h"
#include "shared/scan/glob.h"

enum { RETAIN_BRANCHES_MAX = 100, RETAIN_KEEP_MAX = 1000000 };

typedef struct config_retain {
    pw_msec logs, builds; /* age at which they go; 0: never */
    pw_msec red; /* logs and builds of red builds are kept at least that long; 0: as others */
    uint64_t keep_last; /* of each builder on a branch the newest so many stay whole */
    bool has_logs, has_builds, has_red, has_keep_last; /* said, in the file */
    bool red_forever;
} config_retain;
typedef struct config_retention {
    config_retain all;
    struct config_retain_branch {
        glob_list *match; /* owned */
        config_retain rule;
    } * branch; /* owned */
    size_t n_branches;
} config_retention;

struct config;
/* project: index, or SIZE_MAX for one that the configuration has no more. */
config_retain config_retain_of(const struct config *self, size_t project, const char *branch);
/* The least age at which anything goes; 0: nothing ever does. */
pw_msec config_retain_least(const struct config *self);
void config_retention_clear(config_retention *r);
#endif
