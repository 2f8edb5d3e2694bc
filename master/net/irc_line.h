/* irc_line.h - lines of IRC, and who may be meant by a mask. Pure. */
#ifndef PW_MASTER_NET_IRC_LINE_H
#define PW_MASTER_NET_IRC_LINE_H
#include <stdbool.h>
#include <stddef.h>

enum { IRC_LINE = 512, IRC_TAGS = 8192, IRC_PARAMS = 15 };
typedef struct irc_line { /* borrows the text, which it cuts */
    char *who;            /* NICK!USER@HOST, or the server; "" not said */
    char *command;
    char *param[IRC_PARAMS];
    size_t n;
} irc_line;
/* A line without its end. False: it is none. */
bool irc_parse(char *text, irc_line *ret);
/* Case as IRC has it: {}|~ are the small ones of []\^. */
bool irc_same(const char *a, const char *b);
/* `*` and `?`, whatever the case. */
bool irc_mask(const char *mask, const char *who);
/* What is asked of us by a line in a channel ("pawl: status", "!pawl status") or to ourselves;
 * NULL: nothing. Borrowed. */
const char *irc_asked(const char *text, const char *nick, bool in_channel);
#endif
