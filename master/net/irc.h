/* irc.h - one connection to IRC on a thread of its own: messages that are to be told go to its
 * channel, what people ask there is answered. IRC acknowledges nothing, but answers in order: a
 * PING behind a message whose PONG comes back says that the server has it. Private to this folder.
 */
#ifndef PW_MASTER_NET_IRC_H
#define PW_MASTER_NET_IRC_H
#include "master/net/net.h"

typedef struct irc irc;
/* Takes conf (emptied, also when it fails). answers, ops: borrowed. */
irc *irc_start(net_irc *conf, pw_chan *answers, const net_ops *ops, pw_err *err);
/* Ends the thread; what was not sent is answered so. */
irc *irc_stop(irc *self);
const net_irc *irc_conf(const irc *self);
/* Takes the job. */
void irc_send(irc *self, net_job *j);
#endif
