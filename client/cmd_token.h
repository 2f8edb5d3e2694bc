/* cmd_token.h - the body of a new token, apart from sending it. Pure. */
#ifndef PW_CLIENT_CMD_TOKEN_H
#define PW_CLIENT_CMD_TOKEN_H
#include "client/args.h"

/* now: what --expires 90d counts from. PW_EINVAL names the option. */
int token_body(const args *a, pw_msec now, pw_buf *b, pw_err *err);
#endif
