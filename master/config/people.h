/* people.h - what somebody may do: scopes as bits, roles as sets of scopes, and the people of the
 * configuration. Pure; any thread (a config is immutable). */
#ifndef PW_MASTER_CONFIG_PEOPLE_H
#define PW_MASTER_CONFIG_PEOPLE_H
#include "master/config/config.h"

/* What a token, a role or a route names. `admin` holds the others. */
enum {
    SCOPE_READ = 1,
    SCOPE_BUILD = 2,
    SCOPE_LAND = 4,
    SCOPE_OPERATE = 8,
    SCOPE_ADMIN = 16,
    SCOPE_ALL = 31,
    SCOPE_TEXT = 40 /* bytes of all their names */
};
/* The bits of blank- or comma-separated words; 0 and *ret_bad (borrowed, may be NULL; it ends at
 * the next separator) when one is none. `admin` gives all bits. */
unsigned scopes_parse(const char *words, const char **ret_bad);
/* "read build"; all of them are "admin" too, so that the text reads back as it was meant. */
const char *scopes_text(unsigned scopes, char out[SCOPE_TEXT]);
/* The person of that name; NULL: none. */
const config_person *config_find_person(const config *self, const char *name);
/* What is left of a token's scopes when it acts for a person (NULL: for nobody). False: the token
 * is dead, since the configuration has people, and this one is not among them any more. */
bool config_person_scopes(const config *self, const char *person, unsigned scopes,
                          unsigned *ret_scopes);
#endif
