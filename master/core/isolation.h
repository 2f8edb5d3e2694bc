/* isolation.h - what a build runs under, and where. Pure: facts in, an answer out. */
#ifndef PW_MASTER_CORE_ISOLATION_H
#define PW_MASTER_CORE_ISOLATION_H
#include <stdbool.h>

typedef struct isolation_facts {
    bool trusted;       /* see secrets_trusted() */
    const char *asked;  /* by the builder; NULL: what the worker names first */
    const char *offers; /* by the worker, "none,bwrap"; NULL: none */
    bool takes_untrusted;
} isolation_facts;

typedef enum isolation_answer {
    ISOLATION_FINE,
    ISOLATION_NOT_OFFERED,
    ISOLATION_UNTRUSTED /* the worker takes no builds of untrusted code */
} isolation_answer;
/* *ret: what it runs under, NULL: what the worker names first; set with every answer, borrowed from
 * the facts. Untrusted builds never get less than bwrap: of what they ask for only a container
 * counts. */
isolation_answer isolation_for(const isolation_facts *f, const char **ret);
#endif
