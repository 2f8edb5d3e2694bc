/* args.h - commands and their options as tables, and the one walker that reads a command line by
 * them. Pure. The result borrows from argv. */
#ifndef PW_CLIENT_ARGS_H
#define PW_CLIENT_ARGS_H
#include <stdbool.h>
#include <stddef.h>

#include "client/client.h"

typedef struct arg_option {
    const char *name;  /* without dashes; NULL ends the table */
    char letter;       /* 0: none */
    const char *value; /* what the help calls its value; NULL: a flag */
    const char *help;
} arg_option;

typedef struct args args;
typedef struct command {
    const char *name;
    const char *words;         /* the positional arguments as the help shows them; "" for none */
    const char *help;          /* one line */
    const arg_option *options; /* NULL: none of its own */
    size_t min, max;           /* positional arguments */
    /* The exit status (0, 1), or a negative code with err filled: PW_EINVAL ends with 2 (wrong
     * usage), others with 1. */
    int (*run)(client *c, const args *a, pw_err *err);
} command;

enum { ARGS_MAX = 64 }; /* positional arguments, and options given, each */
struct args {
    const command *command;
    const char *word[ARGS_MAX];
    size_t n_words;
    struct arg_given {
        const arg_option *option;
        const char *value; /* "" for a flag */
    } given[ARGS_MAX];
    size_t n_given;
    bool help; /* --help was among them; nothing else was checked then */
};

/* The options that stand before or behind any command: --url, --token-file, --state, --json. */
extern const arg_option args_global[];

/* argv: behind the command's name. PW_EINVAL says what is wrong, with the nearest option that
 * exists. */
int args_parse(const command *c, int argc, char *const *argv, args *ret, pw_err *err);
/* The last value given for this option; NULL when it was not given. */
const char *args_get(const args *a, const char *name);
/* The next value of an option that may come several times: *pos starts at 0. NULL at the end. */
const char *args_each(const args *a, const char *name, size_t *pos);
/* Help of one command. */
void args_help(const command *c, pw_buf *b);
/* Text that must be a whole number from 1 on; `what` names it in the error. */
int args_id(const char *text, const char *what, uint64_t *ret, pw_err *err);
#endif
