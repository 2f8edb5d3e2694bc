/* pairs.c - the pairs of one mapping: `<<` merged in, keys given twice found. One sort by key
 * instead of comparing each with each: a hostile file may hold 100,000 keys. */
#include <stdlib.h>
#include <string.h>

#include "shared/yaml/node.h"

static int by_key(const void *a, const void *b)
{
    const yaml_pair *x = a, *y = b;
    int c = strcmp(x->key->text, y->key->text);
    if (c)
        return c;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int by_order(const void *a, const void *b)
{
    const yaml_pair *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_merge(const yaml_pair *p)
{
    return p->key->plain && strcmp(p->key->text, "<<") == 0;
}

/* How many pairs the value of `<<` brings; reports what is no mapping. */
static size_t merge_count(const yaml_node *value, yaml_errors *errors)
{
    size_t n = 0;
    if (value->type == YAML_MAP)
        return value->n;
    if (value->type != YAML_LIST) {
        yaml_fail(errors, value, "\"<<\" takes a mapping or a list of mappings");
        return 0;
    }
    for (size_t i = 0; i < value->n; i++) {
        if (value->items[i]->type == YAML_MAP)
            n += value->items[i]->n;
        else
            yaml_fail(errors, value->items[i], "\"<<\" takes a mapping or a list of mappings");
    }
    return n;
}

static void merge_from(const yaml_node *map, yaml_pair *all, size_t *n)
{
    for (size_t i = 0; i < map->n; i++) {
        all[*n] = map->pairs[i];
        all[*n].order = *n;
        (*n)++;
    }
}

/* Replaces the pairs `<<` by what they bring, behind the mapping's own. *ret_own: how many are its
 * own. */
static int merge(yaml_node *map, size_t *ret_own, yaml_errors *errors)
{
    size_t own = 0, total = 0, n;
    for (size_t i = 0; i < map->n; i++) {
        bool m = is_merge(&map->pairs[i]);
        own += !m;
        total += m ? merge_count(map->pairs[i].value, errors) : 1;
    }
    *ret_own = own;
    if (own == map->n)
        return 0;
    yaml_pair *all = calloc(total + 1, sizeof(*all));
    if (!all)
        return PW_ENOMEM;
    n = own;
    for (size_t i = 0, k = 0; i < map->n; i++) {
        const yaml_node *value = map->pairs[i].value;
        if (!is_merge(&map->pairs[i])) {
            all[k] = map->pairs[i];
            all[k].order = k;
            k++;
        } else if (value->type == YAML_MAP) {
            merge_from(value, all, &n);
        } else if (value->type == YAML_LIST) {
            for (size_t j = 0; j < value->n; j++)
                if (value->items[j]->type == YAML_MAP)
                    merge_from(value->items[j], all, &n);
        }
    }
    free(map->pairs);
    map->pairs = all;
    map->n = n;
    return 0;
}

int yaml_pairs_settle(yaml_node *map, yaml_errors *errors)
{
    size_t own, n = 0;
    const yaml_node *merged = NULL;
    for (size_t i = 0; i < map->n; i++) {
        map->pairs[i].order = i;
        if (!is_merge(&map->pairs[i]))
            continue;
        if (merged)
            yaml_fail(errors, map->pairs[i].key, "\"<<\" is given twice: write a list of mappings");
        merged = map->pairs[i].key;
    }
    if (merge(map, &own, errors) < 0)
        return PW_ENOMEM;
    if (!map->n)
        return 0;
    qsort(map->pairs, map->n, sizeof(*map->pairs), by_key);
    for (size_t i = 0; i < map->n; i++) {
        yaml_pair *p = &map->pairs[i], *first = n ? &map->pairs[n - 1] : NULL;
        if (!first || strcmp(first->key->text, p->key->text) != 0)
            map->pairs[n++] = *p;
        else if (p->order < own)
            yaml_fail(errors, p->key, "key \"%.60s\" is given twice, first in line %u",
                      p->key->text, first->key->line);
    }
    map->n = n;
    qsort(map->pairs, map->n, sizeof(*map->pairs), by_order);
    return 0;
}
