/* provider.h - what the files about elastic workers share, private to master/core. */
#ifndef PW_MASTER_CORE_PROVIDER_H
#define PW_MASTER_CORE_PROVIDER_H
#include "master/core/parts.h"

enum { PROVIDER_HANDLE = 201, PROVIDER_ABSENT = 2 /* lists in a row, before it counts as gone */ };
#define PROVIDER_PAUSE_MIN ((pw_usec)5000000) /* after a failure; doubled by each that follows */
#define PROVIDER_PAUSE_MAX ((pw_usec)300000000)
#define PROVIDER_LIST_EACH ((pw_usec)60000000) /* while there are machines */
#define PROVIDER_LIST_SOON ((pw_usec)3000000)  /* while it is not known what became of one */
#define PROVIDER_AWAY ((pw_usec)30000000)  /* a worker that just went missing: its machine, too? */
#define PROVIDER_SETTLE ((pw_usec)5000000) /* for a command that outlived its master */
#define PROVIDER_AGAIN                                                                             \
    ((pw_usec)60000000) /* one that was given back and stays is stopped again                      \
                         */

bool provider_has_tag(const core *self, const core_provider *p, const char *tag);
bool provider_fits(const core *self, const core_provider *p, const core_builder *b);
bool provider_joined(const core *self, const core_machine *m);
provide_facts provider_count(const core *self, size_t i);
/* Its row; reason NULL: as it was. */
bool provider_put(core *self, core_machine *m, machine_state to, const char *reason);
core_machine *provider_machine(const core *self, uint64_t id);
/* A command failed: it is not tried again before its time. */
void provider_failed(core *self, size_t i, core_provider_act act, const char *text);
void provider_well(core_provider *p, core_provider_act act);
/* A line for people: what was given up, and why. */
void provider_report(core *self, const core_machine *m, const char *action, const char *text);
/* The machine is gone, and its worker with it; m is gone afterwards. */
void provider_gone(core *self, core_machine *m, const char *reason);
/* One that is there though no row knows it: it gets a row, and is to be stopped. */
void provider_stray(core *self, size_t i, uint64_t worker, const char *handle, const char *reason);
#endif
