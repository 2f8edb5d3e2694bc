/* people.c - `people`: names, roles, logins at forges; scopes and roles as sets of bits. */
#include "master/config/people.h"

#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"

typedef struct word {
    const char *name;
    unsigned scopes;
} word;
static const word scope_words[] = {{"read", SCOPE_READ},
                                   {"build", SCOPE_BUILD},
                                   {"land", SCOPE_LAND},
                                   {"operate", SCOPE_OPERATE},
                                   {"admin", SCOPE_ALL}};
enum { SCOPES = sizeof(scope_words) / sizeof(scope_words[0]), ROLES = 4 };
/* in the order of `role_names` below */
static const unsigned role_scopes[ROLES] = {SCOPE_READ, SCOPE_READ | SCOPE_BUILD | SCOPE_LAND,
                                            SCOPE_READ | SCOPE_BUILD | SCOPE_LAND | SCOPE_OPERATE,
                                            SCOPE_ALL};
static const char *const role_names[] = {"reader", "developer", "operator", "admin", NULL};

/* ---- scopes */
unsigned scopes_parse(const char *words, const char **ret_bad)
{
    static const char blanks[] = " ,";
    unsigned scopes = 0;
    for (const char *p = words + strspn(words, blanks); *p; p += strspn(p, blanks)) {
        size_t n = strcspn(p, blanks), i = 0;
        while (i < SCOPES &&
               (strlen(scope_words[i].name) != n || memcmp(scope_words[i].name, p, n) != 0))
            i++;
        if (i == SCOPES) {
            if (ret_bad)
                *ret_bad = p;
            return 0;
        }
        scopes |= scope_words[i].scopes;
        p += n;
    }
    if (!scopes && ret_bad)
        *ret_bad = "";
    return scopes;
}

const char *scopes_text(unsigned scopes, char out[SCOPE_TEXT])
{
    size_t n = 0;
    for (size_t i = 0; i < SCOPES; i++) {
        /* admin's own bit stands for it: the others have theirs */
        unsigned bit = scope_words[i].scopes == SCOPE_ALL ? SCOPE_ADMIN : scope_words[i].scopes;
        size_t len = strlen(scope_words[i].name);
        if (!(scopes & bit))
            continue;
        if (n)
            out[n++] = ' ';
        memcpy(out + n, scope_words[i].name, len);
        n += len;
    }
    out[n] = '\0';
    return out;
}

/* ---- people */
const config_person *config_find_person(const config *self, const char *name)
{
    for (size_t i = 0; i < self->n_people; i++)
        if (strcmp(self->people[i].name, name) == 0)
            return &self->people[i];
    return NULL;
}

bool config_person_scopes(const config *self, const char *person, unsigned scopes,
                          unsigned *ret_scopes)
{
    const config_person *p = person ? config_find_person(self, person) : NULL;
    if (person && !p && self->people_given)
        return false;
    *ret_scopes = p ? scopes & p->scopes : scopes;
    return true;
}

static void read_roles(config_reader *r, const yaml_node *map, config_person *p)
{
    char **v = NULL;
    size_t n = 0;
    const yaml_node *list = yaml_node_value(map, "roles");
    if (!list) {
        yaml_fail(r->errors, map, "required key \"roles\" is missing");
        return;
    }
    if (!yaml_get_strs(map, "roles", CONFIG_ROLES_MAX, &v, &n, r->errors))
        return;
    for (size_t i = 0; i < n; i++) {
        const yaml_node *at = yaml_node_type(list) == YAML_LIST ? yaml_node_item(list, i) : list;
        size_t k = 0;
        while (k < ROLES && strcmp(role_names[k], v[i]) != 0)
            k++;
        if (k == ROLES)
            yaml_fail(r->errors, at,
                      "\"%.60s\" is no role: it must be one of reader, developer, operator, admin",
                      v[i]);
        else
            p->scopes |= role_scopes[k];
        free(v[i]);
    }
    free(v);
    if (n == 0)
        yaml_fail(r->errors, list, "\"roles\" must name at least one");
}

/* What a forge calls somebody. Unlike names, it may not be ours to choose. */
static bool login_ok(const char *s)
{
    return s && *s && strlen(s) <= 200 && !pl_has_control(s);
}

/* The same login of two people would make one act as the other. */
static void check_login(config_reader *r, const config_person *p, const config_pair *login,
                        const yaml_node *at)
{
    for (const config_person *q = r->c->people; q < p; q++)
        for (size_t i = 0; i < q->n_logins; i++)
            if (q->name && strcmp(q->logins[i].name, login->name) == 0 &&
                strcmp(q->logins[i].value, login->value) == 0)
                yaml_fail(r->errors, at, "\"%.100s\" is the login of \"%.100s\" already",
                          login->value, q->name);
}

static void read_logins(config_reader *r, const yaml_node *map, config_person *p)
{
    const yaml_node *v = yaml_node_value(map, "logins");
    if (!v)
        return;
    size_t n = yaml_node_type(v) == YAML_MAP ? yaml_node_count(v) : 0;
    if (yaml_node_type(v) != YAML_MAP || n > CONFIG_LOGINS_MAX) {
        yaml_fail(r->errors, v, "\"logins\" must be a mapping like {github: ada}, of at most %d",
                  CONFIG_LOGINS_MAX);
        return;
    }
    p->logins = pl_alloc(&r->pl, n, sizeof(*p->logins));
    for (size_t i = 0; p->logins && i < n; i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(v, i, &key);
        const char *forge = yaml_node_text(key), *login = yaml_node_text(value);
        size_t len = strspn(forge, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        if (forge[len] || len == 0 || len > 60) {
            yaml_fail(r->errors, key, "\"%.60s\" is no name of a forge: lower-case letters, digits",
                      forge);
            continue;
        }
        if (!login_ok(login)) {
            yaml_fail(r->errors, value, "\"%s\" must be a login of 1 to 200 bytes", forge);
            continue;
        }
        config_pair *one = &p->logins[p->n_logins];
        *one = (config_pair){pl_copy(&r->pl, forge), pl_copy(&r->pl, login)};
        if (!one->name || !one->value) {
            free(one->name);
            free(one->value);
            return; /* memory ran out, and it is told */
        }
        p->n_logins++;
        check_login(r, p, one, value);
    }
}

void config_read_people(config_reader *r)
{
    static const char *const keys[] = {"name", "roles", "logins", NULL}, *const later[] = {NULL};
    config *c = r->c;
    const config_items *items = &r->people;
    c->people = pl_alloc(&r->pl, items->n, sizeof(*c->people));
    for (size_t i = 0; c->people && i < items->n; i++) {
        const yaml_node *map = items->v[i];
        config_person *p = &c->people[c->n_people++];
        if (!yaml_check_keys(map, "a person", keys, later, r->errors) &&
            yaml_node_type(map) != YAML_MAP)
            continue;
        (void)config_get_name(r, map, &p->name);
        for (size_t k = 0; k < i; k++)
            config_check_unique(r, "person", items, i, p->name, c->people[k].name, k);
        read_roles(r, map, p);
        read_logins(r, map, p);
    }
}

/* ---- `user` */
void config_read_user(config_reader *r)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char others[] = "0123456789.-";
    if (!r->user)
        return;
    const char *s = yaml_node_text(r->user);
    size_t n = s ? strlen(s) : 0;
    bool good = n >= 1 && n <= 32 && strchr(letters, s[0]);
    for (size_t i = 0; good && i < n; i++)
        good = strchr(letters, s[i]) || strchr(others, s[i]);
    if (good)
        r->c->user = pl_copy(&r->pl, s);
    else
        yaml_fail(r->errors, r->user, "\"user\" must be the name of a user of this machine");
}
