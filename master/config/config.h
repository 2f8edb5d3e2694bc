/* config.h - master.yaml as plain data. Loading reads the file and its includes, checks everything
 * and either gives a whole configuration or all errors with file:line:column; nothing half-checked
 * leaves this folder. A config is immutable after loading and shared by counting: builds run on by
 * the job that was frozen from the one they began with. Names are resolved: a scheduler's builders
 * are indices into `builders`. */
#ifndef PW_MASTER_CONFIG_CONFIG_H
#define PW_MASTER_CONFIG_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/config/retention.h"
#include "shared/base/host.h"
#include "shared/cron/cron.h"
#include "shared/job/result.h"
#include "shared/pipeline/pipeline.h"
#include "shared/scan/glob.h"
#include "shared/yaml/yaml.h"

typedef pl_pair config_pair;
typedef pl_strs config_strs;

/* A secret's value: n bytes, none of them zero, and a zero behind. Wiped when it is freed. */
typedef struct config_hidden {
    char *name, *p; /* owned */
    size_t n;
} config_hidden;

/* A network; addresses are 16 bytes, those of IPv4 as ::ffff:a.b.c.d. */
typedef struct config_net {
    uint8_t addr[16];
    unsigned bits;
} config_net;

/* What one address, one token, one request may take of the web server. */
typedef struct config_limits {
    uint64_t body;                   /* bytes of a request; webhooks have a bound of their own */
    uint64_t try_max;                /* bytes of what somebody tries */
    int64_t rate, burst;             /* requests of an address: per second, at once */
    int64_t token_rate, token_burst; /* the same, of a token */
    int64_t connections;             /* of an address */
    pw_usec request_time;            /* in which a request must be there to its end */
} config_limits;

/* With what git logs in. A password or key is in the configuration's secrets, named here. */
typedef struct config_login {
    char *ssh_key;     /* secret; NULL: none */
    char *user;        /* NULL: none */
    char *password;    /* secret; NULL: none */
    char *known_hosts; /* text of such a file; NULL: those of who runs the programs */
} config_login;

typedef struct config_project {
    char *name, *repository;
    glob_list *branches; /* of `branches`, default all */
    glob_list *tags;     /* of `tags`, default none */
    pw_usec poll;        /* default 60 s */
    bool build_first;
    bool from_master;        /* `source: master`: workers get revisions over the link */
    config_pair *properties; /* of every build */
    size_t n_properties;
    char *hook_secret;  /* name of the secret that webhooks are signed with; NULL: none */
    char *pipeline;     /* builders are of this file of the repository; NULL: of `builders` here */
    pl_allow allow;     /* what that file may ask for */
    config_login login; /* of `credentials` */
    pw_usec keep_artifacts;          /* retention: default 30 days */
    uint64_t files_max, files_bytes; /* that a build may leave; default 10,000, 4 GiB */
    config_retention retention;
} config_project;

typedef struct config_lock {
    char *name;
    bool per_worker; /* one on each worker, else one for all */
    int64_t count;   /* so many may hold it in mode counting */
} config_lock;

typedef pl_step config_step;
/* project: index of its project here */
typedef pl_builder config_builder;

typedef enum config_sched_kind {
    SCHED_BRANCH,
    SCHED_PERIODIC,
    SCHED_NIGHTLY,
    SCHED_FORCE,
    SCHED_PROPOSAL,
    SCHED_DEPENDENT,
    SCHED_TRIGGERED
} config_sched_kind;
extern const char *const config_sched_kinds[]; /* by kind, NULL-terminated */
/* What a newer commit cancels: each includes the one before. */
typedef enum config_supersede {
    SUPERSEDE_NONE,
    SUPERSEDE_QUEUED,
    SUPERSEDE_RUNNING
} config_supersede;
extern const char *const config_supersedes[];

/* What people fill in to force a build (param.c). */
typedef enum config_param_type {
    PARAM_STRING,
    PARAM_TEXT,
    PARAM_INT,
    PARAM_BOOL,
    PARAM_CHOICE,
    PARAM_BRANCH,
    PARAM_REVISION
} config_param_type;
extern const char *const config_param_types[];
typedef struct config_param {
    char *name;
    config_param_type type;
    char *fallback; /* of `default`; NULL: none */
    bool required;
    config_strs choices; /* of PARAM_CHOICE */
    char *label;         /* NULL: none */
} config_param;
/* Whether the text is a value of this parameter. PW_EINVAL says what it must be. */
int config_param_check(const config_param *p, const char *value, pw_err *err);
typedef struct config_scheduler {
    char *name;
    config_sched_kind kind;
    size_t project;
    size_t *builders; /* indices; all of the project when the file names none */
    size_t n_builders;
    pl_strs names;           /* of a project with a pipeline file; none: all of it */
    glob_list *branches;     /* branch, proposal (of its target): default all */
    bool merge;              /* proposal: what the forge merged, else the head */
    pw_usec quiet;           /* branch: tree stable timer */
    glob_list *paths;        /* NULL: any */
    glob_list *paths_ignore; /* NULL: none */
    glob_list *authors;      /* NULL: any */
    bool fail_fast;          /* a red builder cancels the others of its set */
    int64_t priority;
    config_pair *properties;
    size_t n_properties;
    pw_usec every;   /* periodic */
    cron_line *cron; /* nightly */
    cron_zone *zone; /* nightly, default UTC */
    char *cron_text, *zone_name;
    char *branch;               /* periodic, nightly: NULL = the remote's HEAD */
    bool only_if_changed;       /* nightly */
    size_t after;               /* dependent: index of the scheduler that it follows */
    bool testfix;               /* branch: while red, only changes with [testfix] build */
    config_supersede supersede; /* branch, dependent */
    bool has_params;            /* force: nothing but `params` can be given */
    config_param *params;
    size_t n_params;
} config_scheduler;

typedef struct config_promotion {
    char *name;
    size_t project;
    char *from, *to;
    size_t *builders; /* green: required ones */
    size_t n_builders;
    pl_strs names; /* of a project with a pipeline file; none: all that it requires */
    pw_usec every; /* at most once in that time; 0: at once */
    bool allow_warnings;
} config_promotion;

typedef struct config_person { /* see people.h for what the scopes mean */
    char *name;
    unsigned scopes;     /* of its roles */
    config_pair *logins; /* forge and login there */
    size_t n_logins;
} config_person;

/* What can be told; the more telling ones stand last among those of a build. */
typedef enum config_event {
    CONFIG_EV_START,
    CONFIG_EV_BUILD,
    CONFIG_EV_CHANGE,
    CONFIG_EV_FAILURE,
    CONFIG_EV_BREAK,
    CONFIG_EV_FIXED,
    CONFIG_EV_PROMOTION,
    CONFIG_EV_WORKER_MISSING,
    CONFIG_EV_WORKER_BACK,
    CONFIG_EVENTS
} config_event;
typedef enum config_notify_kind {
    NOTIFY_WEBHOOK,
    NOTIFY_MATTERMOST,
    NOTIFY_SLACK,
    NOTIFY_MAIL,
    NOTIFY_GITHUB,
    NOTIFY_GITLAB,
    NOTIFY_GITEA,
    NOTIFY_MATRIX,
    NOTIFY_IRC,
    NOTIFY_KINDS
} config_notify_kind;
typedef struct config_notify {
    char *name;
    config_notify_kind kind;
    char *url;        /* may hold a secret: never shown; of mail and irc: the server's address */
    unsigned events;  /* 1 << config_event */
    size_t *projects; /* indices; none: all */
    size_t *builders; /* likewise */
    size_t n_projects, n_builders;
    glob_list *branches; /* NULL: all */
    config_strs mails;   /* only builds whose change was written from one of these; none: all */
    bool at_most_once;
    char *secret;    /* name of the secret that messages are signed with; NULL: not signed */
    pw_usec timeout; /* of one try; default 10 s */
    char *password;  /* name of the secret that opens the target (token, password); NULL: none */
    char *user;      /* mail and irc: the account of that password; NULL: none */
    char *from;      /* mail: sender; irc: nick */
    char *place;     /* channel, room, repository; NULL: what the address means */
    config_strs to;  /* mail: addresses */
    char *ca;        /* file of authorities (PEM) instead of the system's; NULL: these */
    bool starttls;   /* mail: not a word before TLS */
    uint64_t rate;   /* messages in rate_per; 0: as many as there are */
    pw_usec rate_per;
    int quiet_from, quiet_to; /* minutes of the day; the same: there are no quiet hours */
    cron_zone *quiet_zone;    /* owned; NULL: UTC */
} config_notify;

/* Who makes and takes back elastic workers. A command that the file gives as one text is run by
 * /bin/sh -c. */
typedef struct config_provider {
    char *name; /* its workers are NAME-1, NAME-2 ... */
    config_strs start, stop, list;
    config_strs tags;
    config_pair *env; /* of the commands, beside what every provider's have */
    size_t n_env;
    uint64_t slots, min, max;
    pw_usec idle, join_within, timeout;
} config_provider;

typedef struct config {
    char *name;
    char *user;               /* whom a master that was started as root becomes; NULL: it stays */
    char *web_listen;         /* "127.0.0.1:8010" */
    char *web_url;            /* NULL: from the address in use */
    bool web_read_token;      /* read: token */
    bool web_insecure;        /* plain HTTP beyond loopback is allowed */
    char *web_cert, *web_key; /* TLS: files in PEM form, absolute; NULL: plain HTTP */
    char *web_user_header;    /* header in which a proxy names the person; NULL: none */
    config_net *web_proxies;  /* whose header counts */
    size_t n_web_proxies;
    config_limits limits;
    char *workers_listen;  /* "tcp://127.0.0.1:9989" */
    char *workers_address; /* what workers are told; NULL: derived */
    pw_usec lost_after;    /* default 10 min */
    config_project *projects;
    size_t n_projects;
    config_builder *builders;
    size_t n_builders;
    /* a project without one got its default `branch` scheduler, named after the project */
    config_scheduler *schedulers;
    size_t n_schedulers;
    config_promotion *promotions;
    size_t n_promotions;
    config_lock *locks;
    size_t n_locks;
    config_notify *notify;
    size_t n_notify;
    config_provider *providers;
    size_t n_providers;
    config_hidden *secrets; /* see config_secret() */
    size_t n_secrets;
    config_retention retention; /* of all projects; theirs goes before it */
    config_person *people;
    size_t n_people;
    bool people_given; /* there is a list: who is not in it is nobody */
    char *warnings;    /* lines for people, as errors are; NULL: none */
    char *text;        /* the files as read, for the database's last good copy */
    unsigned refs;     /* shared: config_ref / config_unref, atomic */
} config;

/* Reads path (and includes). NULL when anything is wrong; then errors has at least one entry. Keys
 * that interfaces.md names but this version does not act on are errors too ("not supported yet"),
 * never silently ignored. */
config *config_load(const char *path, yaml_errors *errors);
/* The same from text; `file` is used in messages and as the base of relative paths. NULL: the text
 * has no place and must not include anything. A config.text of several files is read back from
 * itself, without the disk. */
config *config_load_text(const char *file, const char *text, size_t n, yaml_errors *errors);
config *config_ref(config *self);
config *config_unref(config *self);
PW_DEFINE_FREEP(config, config_unref)

/* "10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8". False: none of these. */
bool config_net_parse(const char *s, config_net *ret);
bool config_net_has(const config_net *nets, size_t n, const uint8_t addr[16]);
/* What holds where the file says nothing. */
void config_limits_default(config_limits *ret);

/* The rules of git-check-ref-format for a name below refs/heads/, of at most 255 bytes. */
bool config_branch_ok(const char *name);
/* Index of a builder by "NAME" (unique among projects) or "PROJECT/NAME"; -1 when absent, -2 when
 * several have it. */
int64_t config_find_builder(const config *self, const char *name);
/* Index of a lock; -1 when it is not declared. */
int64_t config_find_lock(const config *self, const char *name);
int64_t config_find_project(const config *self, const char *name);
/* "build" "change" ...; NULL-terminated */
extern const char *const config_event_names[];
/* Whether anything is given. */
bool config_login_given(const config_login *l);
/* The secret of that name, borrowed from the configuration; NULL: there is none. */
const config_hidden *config_secret(const config *self, const char *name);
#endif
