/* state.h - the server's parts, private to the folder. */
#ifndef PW_MASTER_SERVER_STATE_H
#define PW_MASTER_SERVER_STATE_H
#include <pthread.h>
#include <stdatomic.h>

#include "master/core/core.h"
#include "master/git/git.h"
#include "master/http/http.h"
#include "master/link/sessions.h"
#include "master/logs/logs.h"
#include "master/net/net.h"
#include "master/provider/provider.h"
#include "master/server/server.h"
#include "shared/base/loop.h"
#include "shared/crypt/crypt.h"
#include "shared/link/link.h"

enum { TURN_SEALED = 64 };

/* Checkpoints run on a thread and a connection of their own, so that a turn never waits for one. */
typedef struct janitor {
    pthread_t thread;
    bool started;
    store_checkpointer *ck;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, work;
    char trouble[400];        /* under the lock: why the last pass failed; "": it did not */
    _Atomic unsigned changes; /* of trouble */
    _Atomic uint64_t wal;     /* bytes after the last pass */
} janitor;

typedef struct gives gives;
typedef struct server_try server_try; /* a command that waits for git */

typedef struct server {
    const server_options *options;
    const char *dir;
    char *db, *log_dir, *mirror_dir, *file_dir, *try_dir; /* owned */
    int lock;
    bool new_key;
    uint8_t secret[CRYPT_KEY], public[CRYPT_KEY], mark_key[CRYPT_KEY];
    config *conf, *conf_begun; /* the present one; that of the start, whose addresses are in use */
    pw_loop *loop;
    pw_chan *commands, *git_answers, *log_answers, *net_answers, *provider_answers, *file_answers;
    pw_chan *give_answers;
    store *st;
    logs *log_store;
    blobs *files;
    struct gives *gives;
    core *core; /* NULL after a failed commit, until it is loaded anew */
    sessions *links;
    git_service *git;
    provider_service *providers; /* NULL: no command of one was run yet */
    net_service *net;            /* NULL: nobody is to be told of anything */
    server_try *tries;           /* owned */
    uint64_t last_try;           /* highest number that was given; 0: not known */
    reader *net_reader;          /* of its thread */
    struct irc_desk *desk;       /* what people ask on IRC; NULL: nobody can */
    bool recording;              /* this turn has what came of a message */
    link_ctx *ctx;
    link_listener *listener;
    web_server *web;
    web_gauges gauges;
    janitor janitor;
    pw_source *tick;
    log_key sealed[TURN_SEALED]; /* of this turn */
    size_t n_sealed;
    bool pushed;           /* a push was answered in this turn */
    uint64_t event;        /* newest event of this turn, 0 none */
    char trouble[400];     /* why core is NULL */
    const char *lacks;     /* what ran out then: name of a check of /healthz */
    unsigned janitor_seen; /* janitor.changes that the core was told of */
    pw_usec retry_at;
    pw_usec publish_at;       /* files that could not be put in place are tried again; 0: none */
    pw_usec seal_at;          /* what could not be sealed is tried again; 0: nothing */
    const char *logs_trouble; /* STATE/logs was gone at the start; NULL: it was not */
    pw_usec reload_at;        /* the configuration is to be read anew then; 0: not */
    uint32_t reloads;         /* configurations of this process before the present one */
    char conf_trouble[400];   /* why the file's configuration is not the one in use; "": it is */
    char conf_pending[400];   /* what of it waits for a restart; "": nothing */
} server;

/* ---- state.c: what stands in the state directory */
/* Folders, lock, keys; refuses what cannot be right (integrity.c). new_key of the server: a lost
 * key is made anew, though workers know the old one. */
int state_open(server *s, const char *dir, pw_err *err);
int state_admin_token(server *s, pw_err *err);
int state_write_addresses(server *s, pw_err *err);
/* The address to listen on: a port taken for :0 is kept in the database and taken again. out has
 * 300 bytes. */
int state_listen_address(server *s, const char *configured, const char *key, char *out,
                         pw_err *err);
/* Files that a backup reads are not removed: its lock is told to the log store. */
int state_keep_backups(server *s, pw_err *err);
int state_keep_port(server *s, const char *key, const char *address, pw_err *err);
int state_join_line(void *self, const char *worker, const uint8_t secret[32], pw_msec expires,
                    pw_buf *line, pw_err *err);

/* ---- integrity.c: what a state directory must be before anything is made or opened in it */
/* Whose it is, whether a restore is half done, whether the database is there that the other files
 * speak of. Sets logs_trouble. */
int integrity_check(server *s, pw_err *err);
/* A key is missing: PW_ECORRUPT when workers know it. */
int integrity_key_missing(const server *s, const char *path, pw_err *err);
/* PW_EDENIED when others can read it. */
int integrity_mode(const char *path, pw_err *err);
/* The ways out of a damaged state, for stderr. */
void integrity_way_out(const char *dir);

/* ---- lastconf.c: the configuration that was good before (rules 7.3) */
/* The one in the database, since `path` (NULL: none was found) cannot be used because of `why`;
 * NULL when there is none. */
config *lastconf_load(server *s, const char *dir, const char *path, const char *why);
/* Remembers the present one, when it is another than the last. */
int lastconf_keep(server *s, pw_err *err);
/* Conditions of /healthz that a core loaded anew must be told. */
void state_conditions(server *s);

/* ---- turn.c */
void turn_hook(pw_loop *loop, void *self);
void turn_tick(pw_loop *loop, void *self);
void turn_commands(pw_loop *loop, int fd, uint32_t events, void *self);
void turn_git(pw_loop *loop, int fd, uint32_t events, void *self);
void turn_logs(pw_loop *loop, int fd, uint32_t events, void *self);
/* Opens store, logs and core; used at start and after a failed commit. */
int turn_load(server *s, pw_err *err);
void turn_unload(server *s);
/* Whatever the model held is in doubt: it is thrown away, and loaded anew from the database. */
void turn_crash(server *s, const pw_err *err);
void turn_apply(void *self, const core_effect *e); /* core_effect_cb; self: the server */

/* ---- files.c: between the core and the store of files */
/* Opens it, and asks for what a crash cut off; after each load of the core. */
int files_load(server *s, pw_err *err);
void files_effect(server *s, const core_effect *e);
void files_tick(server *s);
void turn_files(pw_loop *loop, int fd, uint32_t events, void *self);

/* ---- gives.c: between jobs that ask for something and those who have it */
int gives_open(server *s, pw_err *err);
void gives_close(server *s);
/* After each load of the core. */
void gives_load(server *s);
void gives_tick(server *s);
/* A bundle was made, or not. */
void gives_bundled(server *s, const git_job *j);
void turn_gives(pw_loop *loop, int fd, uint32_t events, void *self);

/* ---- outbox.c: between the core's messages and the net service */
int outbox_prepare(server *s, const config *conf, pw_err *err);
/* Messages may leave: the web address is known. After each load of the core. */
int outbox_open(server *s, pw_err *err);
void outbox_effect(server *s, const core_effect *e);
void turn_net(pw_loop *loop, int fd, uint32_t events, void *self);
/* After a commit; true: a fault point wants it to count as failed. */
bool outbox_recorded(server *s);
void outbox_gauges(server *s);
void outbox_close(server *s);

/* ---- details.c: what a notice says beside the facts of its message */
/* The job takes what is needed to prepare it on the thread of the net service. */
int details_ask(server *s, const config *conf, const config_notify *n, net_job *j, pw_err *err);
int details_prepare(void *self, net_job *j, pw_err *err); /* of net_ops; self: the server */

/* ---- irc.c: what people ask on IRC, and whether they may */
/* The connections of the configuration, and who may ask what from now on. */
int irc_connect(server *s, const config *conf, pw_err *err);
/* Of net_ops; self: the server. */
void irc_asked_by(void *self, const char *target, const char *who, const char *text,
                  const _Atomic bool *stop, pw_buf *answer);
bool irc_over(void *self, uint64_t request, pw_buf *answer);
void irc_close(server *s); /* after the net service */

/* ---- elastic.c: between the core's elastic workers and the commands of providers */
void elastic_effect(server *s, const core_effect *e);
void turn_providers(pw_loop *loop, int fd, uint32_t events, void *self);
void elastic_close(server *s);

/* ---- reload.c: SIGHUP */
/* Appends the keys that differ and are read at the start only: "web.listen, user". */
void reload_need_restart(const config *now, const config *next, pw_buf *ret);
void reload_ask(server *s);
/* Between two turns: reads the configuration if it is time, and swaps it for the present one. */
void reload_if_due(server *s);
/* The conditions that a core which was loaded anew must be told. */
void reload_conditions(server *s);

/* ---- repos.c: between the core's effects and the git service */
void repos_effect(server *s, const core_effect *e);
void repos_answer(server *s, const git_job *j);
/* The project's mirror, repository and login, by the configuration of now. */
void repos_of(const server *s, git_job *j, size_t project, bool *bad);

/* ---- tries.c: what people try, until it is imported */
/* True: it is taken, and answered later; false: the core answers it as it is. */
bool tries_take(server *s, core_cmd *c);
/* False: it is another kind of answer. */
bool tries_answer(server *s, git_job *j);
void tries_effect(server *s, const core_effect *e);
/* After each load of the core: what no row names goes. start: of the program, when nobody is
 * sending anything. */
void tries_sweep(server *s, bool start);
void tries_free(server *s);

/* ---- janitor.c */
int janitor_start(janitor *j, const char *db, pw_err *err);
void janitor_stop(janitor *j);
void janitor_wake(janitor *j);
/* Copies why the last pass failed ("": it did not). */
void janitor_trouble(janitor *j, char out[400]);

/* ---- lacks.c */
/* What of the machine ran out, by an error's code and errno: "disk" "memory" "files" "processes",
 * else "database". */
const char *lacks_name(const pw_err *err);
/* The error with the system's reason, as people read it. out has 400 bytes. */
const char *lacks_text(const pw_err *err, char *out);
#endif
