/* trigger.c - the step `trigger`: {scheduler, wait, properties, revision, cancel}. */
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/kinds.h"

enum { PROPERTIES_MAX = PW_WITH_MAX - 10 };

/* Each under "prop.NAME". */
static void properties(pl_reader *r, const yaml_node *map, pl_step *s)
{
    const yaml_node *v = yaml_node_value(map, "properties");
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_MAP) {
        yaml_fail(r->errors, v, "\"properties\" must be a mapping of names to texts");
        return;
    }
    if (yaml_node_count(v) > PROPERTIES_MAX) {
        yaml_fail(r->errors, v, "\"properties\" has more than %d entries", PROPERTIES_MAX);
        return;
    }
    for (size_t i = 0; i < yaml_node_count(v); i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(v, i, &key);
        const char *text = yaml_node_text(value);
        PW_AUTO(pw_freep) char *name = NULL;
        if (!pl_property_ok(r, key))
            continue;
        if (!text || strlen(text) > PL_VALUE_MAX)
            yaml_fail(r->errors, value, "a property is a text of at most %d bytes", PL_VALUE_MAX);
        else if (!(name = pw_strf("prop.%s", yaml_node_text(key))))
            r->errors->failed = true;
        else
            pl_add_with(r, s, name, text);
    }
}

/* The master alone does something: no program runs, so nothing else may stand beside it. */
void pl_read_trigger(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const keys[] = {"scheduler", "wait",   "properties",
                                       "revision",  "cancel", NULL};
    static const char *const others[] = {"shell", "dir",       "env",    "pty", "idle_timeout",
                                         "grace", "log_limit", "stderr", NULL};
    const yaml_node *v = yaml_node_get(map, "trigger");
    char *scheduler = NULL, *revision = NULL;
    bool wait = false, cancel = true;
    (void)secrets;
    for (size_t i = 0; others[i]; i++)
        if (yaml_node_key(map, others[i]))
            yaml_fail(r->errors, yaml_node_key(map, others[i]),
                      "\"%s\" has no use where \"trigger\" is: nothing runs here", others[i]);
    (void)pl_get_time(r, map, "timeout", PL_SECOND / 1000, &s->timeout);
    s->idle_timeout = 0;
    if (yaml_node_text(v)) {
        pl_add_with(r, s, "scheduler", yaml_node_text(v));
        return;
    }
    if (!yaml_check_map(v, "\"trigger\"", keys, r->errors))
        return;
    if (yaml_get_str(v, "scheduler", true, PW_NAME_MAX, &scheduler, r->errors) && scheduler)
        pl_add_with(r, s, "scheduler", scheduler);
    if (yaml_get_str(v, "revision", false, PW_NAME_MAX, &revision, r->errors) && revision)
        pl_add_with(r, s, "revision", revision);
    if (yaml_get_bool(v, "wait", &wait, r->errors) && wait)
        pl_add_with(r, s, "wait", "true");
    if (yaml_get_bool(v, "cancel", &cancel, r->errors) && !cancel)
        pl_add_with(r, s, "cancel", "false");
    if (yaml_node_value(v, "cancel") && !wait)
        yaml_fail(r->errors, yaml_node_key(v, "cancel"),
                  "\"cancel\" is for a step that waits: \"wait: true\"");
    free(scheduler);
    free(revision);
    properties(r, v, s);
}
