/* conf.h - worker.yaml: read with all its errors at once, and written by `pawl-worker join`. Plain
 * data, owned by whoever holds the struct. Blocking file calls. */
#ifndef PW_WORKER_AGENT_CONF_H
#define PW_WORKER_AGENT_CONF_H
#include <stdbool.h>
#include <stdint.h>

#include "shared/crypt/crypt.h"
#include "shared/wire/msg.h"
#include "shared/yaml/yaml.h"
#include "worker/cgroup/cgroup.h"
#include "worker/isolate/isolate.h"

enum {
    CONF_FILE_MAX = 256 * 1024,
    CONF_SLOTS_MAX = PW_SLOTS_MAX,
    CONF_WORDS_MAX = 64, /* tags; names in env_pass */
    CONF_WORD_BYTES = 100,
    CONF_PROCESSES = 4096, /* of one job: wide builds have some hundred, a fork bomb soon all */
    CONF_PROCESSES_MIN = 16,
    CONF_TOOLS_MAX = 32,
    CONF_TOOL_ARGS = 32,
    CONF_LOAD_MAX = 100000,
    CONF_PROCESSES_MAX = 4194304, /* the most pids that Linux has */
};
#define CONF_MEMORY_MIN (16ULL << 20) /* less does not even run git */
#define CONF_DEFAULT_ETC "/etc/pawl/worker.yaml"
#define CONF_DEFAULT_SPOOL "/var/lib/pawl/worker"

/* A program whose version is a fact. */
typedef struct conf_tool {
    char *name;
    pw_strs argv;
} conf_tool;

typedef struct worker_conf {
    char *file; /* where it was read from */
    char *name;
    char *address; /* of the master */
    uint8_t master_key[CRYPT_KEY];
    char *key; /* file of this worker's key pair; absolute, or relative to where the program runs */
    char *spool;
    uint64_t slots;
    pw_strs tags, isolation, env_pass;
    uint64_t spool_limit, low_disk, cache_limit; /* bytes */
    bool untrusted;
    cgroup_mode cgroup;
    cgroup_limits limits; /* of each job */
    /* files with which git logs in where a job has nothing; NULL: git's own means */
    char *ssh_key, *known_hosts;
    uint64_t high_load; /* 1-minute load from which on no new job is taken; 0: any */
    conf_tool *tools;   /* owned */
    size_t n_tools;
    iso_host iso; /* `isolation` once more, with all that belongs to it */
} worker_conf;

void worker_conf_clear(worker_conf *c);
/* *ret is written only when all is well. PW_ENOTFOUND: no such file; PW_EINVAL: *errors says
 * everything that is wrong. */
int worker_conf_read(const char *file, worker_conf *ret, yaml_errors *errors, pw_err *err);
/* The same from text. Relative paths in it are relative to the folder of `file`. */
int worker_conf_parse(const char *file, const char *text, size_t n, worker_conf *ret,
                      yaml_errors *errors);
/* Appends the text of a worker.yaml with what join knows; the rest stays at its default. */
int worker_conf_text(const worker_conf *c, pw_buf *b);

/* The worker's key pair: a file of two lines, Z85 public and secret. PW_ENOTFOUND, PW_EDENIED when
 * others may read it, PW_ECORRUPT when it is no key pair. */
int worker_key_read(const char *file, uint8_t pub[CRYPT_KEY], uint8_t sec[CRYPT_KEY], pw_err *err);
/* Makes a new pair and the file (0600, durable). */
int worker_key_make(const char *file, uint8_t pub[CRYPT_KEY], uint8_t sec[CRYPT_KEY], pw_err *err);
/* A tag or the like: 1 to 100 visible ASCII characters without comma. */
bool worker_word_ok(const char *s);
void worker_strs_clear(pw_strs *s);
#endif
