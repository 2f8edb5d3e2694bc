/* serve.h - the agent on real sockets: loop, link, notes, signals. Used by main() only. Blocks
 * until a signal ends it. */
#ifndef PW_WORKER_AGENT_SERVE_H
#define PW_WORKER_AGENT_SERVE_H
#include "worker/agent/conf.h"

/* How the service manager is told; main() gives the real one. */
typedef struct serve_notify {
    void (*ready)(const char *status);
    void (*status)(const char *status);
    void (*stopping)(void);
} serve_notify;
/* Takes *conf (it is replaced at SIGHUP; clear it afterwards). PW_ECONFLICT: another agent uses
 * this spool. */
int serve(worker_conf *conf, const serve_notify *notify, pw_err *err);
#endif
