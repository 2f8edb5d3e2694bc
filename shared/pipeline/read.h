/* read.h - reading builders and steps from YAML. All errors are added to the reader's, with their
 * places; nothing that has an error may be used. What only its user can know (which secrets there
 * are) is asked by a callback. */
#ifndef PW_SHARED_PIPELINE_READ_H
#define PW_SHARED_PIPELINE_READ_H
#include "shared/pipeline/pipeline.h"
#include "shared/scan/glob.h"
#include "shared/yaml/yaml.h"

/* Bounds on what a file may ask for: generous, but a slip (a generated file, a merge gone wrong)
 * must not become jobs that nobody can send. */
enum {
    PL_STEPS_MAX = PW_STEPS_MAX,
    PL_PAIRS_MAX = PW_ENV_MAX,
    PL_GLOBS_MAX = 1000, /* what glob_parse() takes */
    PL_TAGS_MAX = 100,
    PL_ARGV_MAX = 1000,
    PL_VALUE_MAX = 32 * 1024, /* bytes of one value of env or properties */
    PL_BUILDER_BYTES_MAX =
        PW_JOB_MAX * 2 /
        3, /* texts of a builder: the job has to hold them, and the properties of a build */
    PL_STEP_NAME_MAX = 90, /* "-1000" or ".stderr" is put behind it, and file names end at 100 */
    PL_RETRIES_MAX = 100,
    PL_IMAGE_MAX = 250,     /* bytes of the name of a container's image */
    PL_DEPTH_MAX = 1000000, /* commits of a shallow checkout */
    PL_NEEDS_MAX = 100,
    PL_AXES_MAX = 10,
    PL_VALUES_MAX = 256,      /* of an axis */
    PL_MATRIX_VALUE_MAX = 80, /* bytes: it is a part of a name */
    PL_BUILDERS_MAX = 1000,   /* of a file of a repository */
    PL_BUILDS_MAX = 1000,     /* that they may be, over matrices and shards */
    PL_FILES_MAX = 20,
    PL_FILE_BYTES_MAX = 512 * 1024, /* of a file and all that it includes */
    PL_PATH_MAX = 500,
    PL_LOCKS_MAX = PW_LOCKS_MAX,
};
#define PL_SECOND ((pw_usec)1000000)
#define PL_TIME_MAX                                                                                \
    (365 * 24 * 3600 * PL_SECOND) /* sums with the clock stay far from the end of pw_usec */

typedef struct pl_reader {
    yaml_errors *errors;
    /* Whether a secret of that name may be used; if not, it is told at the node. *ret_n: its bytes.
     */
    bool (*secret)(void *self, const yaml_node *at, const char *name, size_t *ret_n);
    /* Whether that lock may be used; if not, it is told at the node. NULL: any. */
    bool (*lock)(void *self, const yaml_node *at, const char *name);
    void *self;
} pl_reader;

/* One builder. listed: it is an item of a list, with `name` and `project` that the caller reads;
 * else its name is the key before it, and the caller's too. False: it is no mapping. */
bool pl_read_builder(pl_reader *r, const yaml_node *map, bool listed, pl_builder *b);
/* Steps of one builder; `list` is the value of `steps`. */
void pl_read_steps(pl_reader *r, pl_builder *b, const yaml_node *list);

/* ---- matrix.c: `matrix` and `shards` */
void pl_read_matrix(pl_reader *r, const yaml_node *map, pl_builder *b);
bool pl_property_ok(pl_reader *r, const yaml_node *key);

/* ---- graph.c */
/* Once all are read: finds what `needs` names, among builders of the same project, and tells what
 * is not there and what needs itself. map[i]: the mapping of v[i]. */
void pl_resolve_needs(pl_reader *r, pl_builder *v, size_t n, const yaml_node *const *map);

/* ---- needs.c: tells of what v[at] takes of builds that it does not need, or that give it not */
void pl_check_mentions(pl_reader *r, const pl_builder *v, size_t at, const yaml_node *map);

/* ---- file.c: the file of a repository */
typedef struct pl_rules {
    /* NULL: nothing is known of the project (no master is asked): all that one could allow is. */
    const pl_allow *allow;
    /* Bytes of a secret's value; NULL: not known. */
    size_t (*secret_size)(void *self, const char *name);
    /* A file of the same revision, by its path from the root of the repository, for `include`. 0,
     * PW_EAGAIN: it is not here yet (pl_load() gives NULL then, go on asking for others), else why
     * not. NULL: nothing can be included. */
    int (*read)(void *self, const char *path, pw_buf *out, pw_err *err);
    void *self;
} pl_rules;
/* NULL: there is an error, or a file is not here yet. file: its path in the repository, for
 * messages. */
pl_file *pl_load(const char *file, const char *text, size_t n, const pl_rules *rules,
                 yaml_errors *errors);
/* Whether that can be the path of a file in a repository: relative, without "." and "..". */
bool pl_path_ok(const char *path);
/* ---- conditions.c */
void pl_read_requires(pl_reader *r, const yaml_node *map, pl_builder *b);
/* `if` of a step. */
void pl_read_cond(pl_reader *r, const yaml_node *map, pl_step *s);
/* A condition of its own; NULL: it was told what is wrong. Owned. */
expr *pl_read_expr(pl_reader *r, const yaml_node *n, const char *key);

/* ---- locks.c */
/* `locks` of a builder (until 0), or of its step number `until` (from 1). */
void pl_read_locks(pl_reader *r, const yaml_node *map, pl_builder *b, size_t until);
/* ---- step.c: tells of keys that only a step with `run` has */
void pl_refuse_run_keys(pl_reader *r, const yaml_node *map);

/* ---- leave.c: what steps leave */
/* `artifacts` and `reports` beside `run`. */
void pl_read_leavings(pl_reader *r, const yaml_node *map, pl_step *s);
void pl_read_artifacts_step(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s);
void pl_read_reports_step(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s);
void pl_reports_free(pl_report *v, size_t n);
/* Globs beneath the work directory: a text or a list, at least one. */
bool pl_get_files(pl_reader *r, const yaml_node *map, const char *key, pl_strs *out);

/* ---- unset.c */
typedef struct pl_known { /* properties that others than the builder set; all borrowed */
    const struct pl_known_list {
        const pl_pair *v;
        size_t n;
    } * v;
    size_t n;
    const char *const *names;
    size_t n_names;
} pl_known;
/* Adds a warning for each `run` that names a property that nothing sets; map: of the builder. */
void pl_warn_unset(yaml_errors *warnings, const yaml_node *map, const pl_builder *b,
                   const pl_known *k);

/* ---- secrets.c */
/* Checks each ${secret:NAME} in a text, adds the names to *used. */
void pl_use_secrets(pl_reader *r, const yaml_node *at, pl_strs *used);
/* Tells when they are too many for one job; `map`: of the builder. */
void pl_check_secrets_fit(pl_reader *r, const yaml_node *map, const pl_strs *used);
/* Tells every ${secret:..} that stands elsewhere than in an `env`. run: n is the value of `run`. */
void pl_refuse_secrets(pl_reader *r, const yaml_node *n, bool run);

/* ---- values.c: values that several kinds of objects have. All add their errors; all are false
 * only then. */
void *pl_alloc(pl_reader *r, size_t n, size_t size);
char *pl_copy(pl_reader *r, const char *s);
/* One word of words[]; a word of later[] is not supported by this version. */
bool pl_get_kind(pl_reader *r, const yaml_node *map, const char *key, const char *const *words,
                 const char *const *later, int *out);
bool pl_get_time(pl_reader *r, const yaml_node *map, const char *key, pw_usec min, pw_usec *out);
typedef enum pl_pairs_kind { PL_ENV, PL_PROPERTIES } pl_pairs_kind;
/* secrets: gets the names of those that an `env` uses. */
void pl_get_pairs(pl_reader *r, const yaml_node *map, const char *key, pl_pairs_kind kind,
                  pl_strs *secrets, pl_pair **out, size_t *out_n);
typedef enum pl_globs_empty {
    PL_GLOBS_EMPTY_WRONG,
    PL_GLOBS_EMPTY_NONE,
    PL_GLOBS_EMPTY_NULL
} pl_globs_empty;
/* A list of globs; `otherwise` (one glob, or NULL for the empty list) stands for an absent key. */
void pl_get_globs(pl_reader *r, const yaml_node *map, const char *key, glob_kind kind,
                  const char *otherwise, pl_globs_empty empty, glob_list **out);
/* Whether any byte is a control character. */
bool pl_has_control(const char *s);
#endif
