/* secrets.h - which secrets a build gets. Pure: facts in, a list or a refusal out. */
#ifndef PW_MASTER_CORE_SECRETS_H
#define PW_MASTER_CORE_SECRETS_H
#include "master/config/config.h"
#include "shared/wire/msg.h"

typedef struct secrets_facts {
    /* whether the revision is the project's own: see secrets_trusted(). What others wrote would
     * send the values to them. */
    bool trusted;
    const config *conf; /* has the values as they are now: a job names them only */
    pw_strs names;      /* what the job asks for; borrowed */
} secrets_facts;

/* Where a revision comes from. */
typedef struct trust_facts {
    const config_project *project;
    const char *branch; /* or tag, that it is built for */
    bool foreign;       /* not from the project's repository: try, proposals */
    bool ours;          /* proposed, and at the tip of a configured branch of the project's own */
    bool released;      /* a person who may said that this very revision is to be trusted */
} trust_facts;
/* From a branch or tag of the project's own repository that it is configured for, or released. */
bool secrets_trusted(const trust_facts *f);
/* *ret: list of msg_secret with every name, in that order, owned: secrets_clear(). PW_EDENIED: the
 * build is not trusted and needs one; PW_EINVAL: the configuration has it no more; the text is for
 * people and names no value. A build that needs none gets none. */
int secrets_for(const secrets_facts *f, pw_list *ret, pw_err *err);
/* Wipes and frees. */
void secrets_clear(pw_list *secrets);
#endif
