/* load.h - what the files of this folder share while a configuration is being read. The reader
 * borrows the nodes of documents that live until loading ends; the config under construction is
 * dropped when there is any error. */
#ifndef PW_MASTER_CONFIG_LOAD_H
#define PW_MASTER_CONFIG_LOAD_H
#include "master/config/config.h"
#include "shared/job/job.h"

/* Bounds on what a file may ask for. The file is written by the administrator, so they are
 * generous; they keep a slip (a generated file, a merge gone wrong) from becoming a master that
 * does not come up. */
enum {
    CONFIG_PROJECTS_MAX = 1000,
    CONFIG_BUILDERS_MAX = 1000,
    CONFIG_SCHEDULERS_MAX = 1000,
    CONFIG_PROMOTIONS_MAX = 1000,
    CONFIG_PEOPLE_MAX = 10000,
    CONFIG_ROLES_MAX = 10,
    CONFIG_LOGINS_MAX = 20,
    CONFIG_STEPS_MAX = PW_STEPS_MAX,
    CONFIG_PAIRS_MAX = PW_ENV_MAX,
    CONFIG_GLOBS_MAX = 1000, /* what glob_parse() takes */
    CONFIG_TAGS_MAX = 100,
    CONFIG_ARGV_MAX = 1000,
    CONFIG_VALUE_MAX = 32 * 1024, /* bytes of one value of env or properties */
    CONFIG_BUILDER_BYTES_MAX =
        PW_JOB_MAX * 2 /
        3, /* texts of a builder: the job has to hold them, and the properties of a build */
    CONFIG_STEP_NAME_MAX =
        90, /* "-1000" or ".stderr" is put behind it, and file names end at 100 */
    CONFIG_RETRIES_MAX = 100,
    CONFIG_PRIORITY_MAX = 1000000,
    CONFIG_DEPTH_MAX = 1000000, /* commits of a shallow checkout */
    CONFIG_NOTIFY_MAX = 100,
    CONFIG_URL_MAX = 2000,
    CONFIG_FILES_MAX = 100,
    CONFIG_INCLUDE_DEPTH_MAX = 8,
    CONFIG_SECRETS_MAX = 1000,
    CONFIG_SECRET_MIN = PW_SECRET_MIN,
    CONFIG_SECRET_MAX = PW_SECRET_MAX,
};
#define CONFIG_SECOND ((pw_usec)1000000)
#define CONFIG_TIME_MAX                                                                            \
    (365 * 24 * 3600 * CONFIG_SECOND) /* sums with the clock stay far from the end of pw_usec */
#define CONFIG_NONE SIZE_MAX          /* an index that an error was told about */

/* The items of one section over all files. */
typedef struct config_items {
    const yaml_node **v; /* owned array of borrowed nodes */
    size_t n;
} config_items;

typedef struct config_reader {
    config *c;
    yaml_errors *errors;
    config_items projects, builders, schedulers, promotions, people, notify;
    const yaml_node *name, *web, *workers, *secrets, *user; /* values, NULL when no file has them */
    bool alone; /* the text has no place: nothing beside it may be read */
} config_reader;

void config_read_server(config_reader *r);
void config_read_secrets(config_reader *r);
void config_read_people(config_reader *r);
void config_read_user(config_reader *r);
/* Of `web`: `tls`, `user_header`, `proxies`, `limits`. */
void config_read_web(config_reader *r, const yaml_node *map);
void config_read_projects(config_reader *r);
void config_read_builders(config_reader *r);
void config_read_schedulers(config_reader *r);
void config_read_promotions(config_reader *r);
void config_read_notify(config_reader *r);
/* Steps of one builder; `list` is the value of `steps`. */
void config_read_steps(config_reader *r, config_builder *b, const yaml_node *list);

/* ---- secrets.c */
/* Tells when there is none of that name. */
bool config_check_secret(config_reader *r, const yaml_node *at, const char *name);
/* Checks each ${secret:NAME} in a text, adds the names to *used. */
void config_use_secrets(config_reader *r, const yaml_node *at, config_strs *used);
/* Tells when they are too many for one job; `map`: of the builder. */
void config_check_secrets_fit(config_reader *r, const yaml_node *map, const config_strs *used);
/* Tells every ${secret:..} that stands elsewhere than in an `env`. run: n is the value of `run`. */
void config_refuse_secrets(config_reader *r, const yaml_node *n, bool run);
void config_hidden_clear(config_hidden *s);

/* ---- load.c */
/* A path as seen from where the program runs: relative ones are relative to the file that names
 * them. Owned. */
char *config_beside(const char *file, const char *path);

/* ---- values that several kinds of objects have (names.c, values.c). All add their errors; all are
 * false only then. */
void *config_alloc(config_reader *r, size_t n, size_t size);
char *config_copy(config_reader *r, const char *s);
/* `name`, required. *out is set also when the name is not a good one, so that what refers to it is
 * not told too. */
bool config_get_name(config_reader *r, const yaml_node *map, char **out);
/* Tells when `name` at items[i] is used already; names[] are those before. */
void config_check_unique(config_reader *r, const char *what, const config_items *items, size_t i,
                         const char *name, const char *earlier, size_t at);
/* `project`, required: its index, or CONFIG_NONE. */
size_t config_get_project(config_reader *r, const yaml_node *map);
/* `builders`: absent or "all" is all of the project; so is an empty list if `empty_is_all`. */
void config_get_builders(config_reader *r, const yaml_node *map, size_t project, bool empty_is_all,
                         size_t **out, size_t *out_n);
/* Every builder of the project. */
void config_all_builders(config_reader *r, size_t project, size_t **out, size_t *out_n);
/* A branch's name as git allows it; absent is fine unless required. */
void config_get_branch(config_reader *r, const yaml_node *map, const char *key, bool required,
                       char **out);
/* One word of words[]; a word of later[] is not supported by this version. */
bool config_get_kind(config_reader *r, const yaml_node *map, const char *key,
                     const char *const *words, const char *const *later, int *out);
bool config_get_time(config_reader *r, const yaml_node *map, const char *key, pw_usec min,
                     pw_usec *out);
typedef enum config_pairs_kind { CONFIG_ENV, CONFIG_PROPERTIES } config_pairs_kind;
/* secrets: gets the names of those that an `env` uses. */
void config_get_pairs(config_reader *r, const yaml_node *map, const char *key,
                      config_pairs_kind kind, config_strs *secrets, config_pair **out,
                      size_t *out_n);
typedef enum config_globs_empty {
    GLOBS_EMPTY_WRONG,
    GLOBS_EMPTY_NONE,
    GLOBS_EMPTY_NULL
} config_globs_empty;
/* A list of globs; `otherwise` (one glob, or NULL for the empty list) stands for an absent key. */
void config_get_globs(config_reader *r, const yaml_node *map, const char *key, glob_kind kind,
                      const char *otherwise, config_globs_empty empty, glob_list **out);
/* The path as seen from the root; `file` is where it stands. NULL: no memory (told). */
char *config_absolute(config_reader *r, const char *file, const char *path);
/* Whether any byte is a control character. */
bool config_has_control(const char *s);
#endif
