/* load.h - what the files of this folder share while a configuration is being read. The reader
 * borrows the nodes of documents that live until loading ends; the config under construction is
 * dropped when there is any error. */
#ifndef PW_MASTER_CONFIG_LOAD_H
#define PW_MASTER_CONFIG_LOAD_H
#include "master/config/config.h"
#include "master/config/outline.h"
#include "shared/job/job.h"
#include "shared/pipeline/read.h"

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
    CONFIG_PRIORITY_MAX = 1000000,
    CONFIG_NOTIFY_MAX = 100,
    CONFIG_TOKEN_MAX = 1000, /* bytes of what opens a target: it stands in a header */
    CONFIG_MAILS_MAX = 100,  /* addresses of a target */
    CONFIG_PARAMS_MAX = 50,
    CONFIG_CHOICES_MAX = 200,
    CONFIG_PROVIDERS_MAX = 20,
    CONFIG_MACHINES_MAX = 1000, /* of a provider */
    CONFIG_LOCKS_MAX = 1000,
    CONFIG_LOCK_COUNT_MAX = 100000,
    CONFIG_URL_MAX = 2000,
    CONFIG_FILES_MAX = 100,
    CONFIG_INCLUDE_DEPTH_MAX = 8,
    CONFIG_SECRETS_MAX = 1000,
    CONFIG_SECRET_MIN = PW_SECRET_MIN,
    CONFIG_SECRET_MAX = PW_SECRET_MAX,
};
#define CONFIG_NONE SIZE_MAX /* an index that an error was told about */

/* The items of one section over all files. */
typedef struct config_items {
    const yaml_node **v; /* owned array of borrowed nodes */
    size_t n;
} config_items;

typedef struct config_reader {
    config *c;
    yaml_errors *errors;
    pl_reader pl; /* the same errors, and these secrets */
    config_items projects, builders, schedulers, promotions, people, notify, providers, locks;
    const yaml_node *retention;                             /* NULL when no file has it */
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
/* What is right, but hardly meant: once all is read without an error. */
void config_warn(config_reader *r);
void config_read_promotions(config_reader *r);
void config_read_notify(config_reader *r);
void config_read_providers(config_reader *r);
/* ---- triggers.c: steps that name a scheduler; once all are read */
void config_check_triggers(config_reader *r);
void config_provider_clear(config_provider *p);
void config_read_locks(config_reader *r);
/* Tells when a lock is not declared, for a pl_reader; self: the config_reader. */
bool config_may_lock(void *self, const yaml_node *at, const char *name);
/* map: NULL when it is absent; keep_artifacts: of a project, else NULL */
void config_read_retention(config_reader *r, const yaml_node *map, config_retention *out,
                           pw_usec *keep_artifacts);

/* ---- secrets.c */
/* Tells when there is none of that name. */
bool config_check_secret(config_reader *r, const yaml_node *at, const char *name);
/* config_check_secret for a pl_reader; self: the config_reader. */
bool config_may_use(void *self, const yaml_node *at, const char *name, size_t *ret_n);
void config_hidden_clear(config_hidden *s);

/* ---- credentials.c */
void config_login_clear(config_login *l);
/* repository: NULL when it is wrong. */
void config_read_login(config_reader *r, const yaml_node *project, const char *repository,
                       config_login *l);

/* ---- param.c: `parameters` of a force scheduler */
void config_read_params(config_reader *r, const yaml_node *map, config_scheduler *s);
/* ---- outline.c: what a file says, added to *o */
void config_outline_file(const yaml_node *root, outline *o);

/* ---- load.c */
/* A path as seen from where the program runs: relative ones are relative to the file that names
 * them. Owned. */
char *config_beside(const char *file, const char *path);

/* ---- names.c; all add their errors; all are false only then. Values: shared/pipeline/read.h */
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
/* The same for a project with a pipeline file, whose builders differ by revision: names, none is
 * all. */
void config_get_builder_names(config_reader *r, const yaml_node *map, pl_strs *out);
/* Every builder of the project. */
void config_all_builders(config_reader *r, size_t project, size_t **out, size_t *out_n);
/* A branch's name as git allows it; absent is fine unless required. */
void config_get_branch(config_reader *r, const yaml_node *map, const char *key, bool required,
                       char **out);
/* The path as seen from the root; `file` is where it stands. NULL: no memory (told). */
char *config_absolute(config_reader *r, const char *file, const char *path);
#endif
