/* param.c - `parameters` of a force scheduler: what people fill in, by type. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/base/num.h"

const char *const config_param_types[] = {[PARAM_STRING] = "string",     [PARAM_TEXT] = "text",
                                          [PARAM_INT] = "int",           [PARAM_BOOL] = "bool",
                                          [PARAM_CHOICE] = "choice",     [PARAM_BRANCH] = "branch",
                                          [PARAM_REVISION] = "revision", NULL};

static bool revision_ok(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return !s[n] && (n == 40 || n == 64);
}

static int choice(const config_param *p, const char *value, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf list = PW_BUF(400);
    for (size_t i = 0; i < p->choices.n; i++) {
        if (strcmp(p->choices.v[i], value) == 0)
            return 0;
        (void)pw_buf_addf(&list, "%s%s", i ? ", " : "", p->choices.v[i]);
    }
    return pw_fail(err, PW_EINVAL, "must be one of %s, not \"%.60s\"", pw_buf_str(&list), value);
}

int config_param_check(const config_param *p, const char *value, pw_err *err)
{
    int64_t number;
    if (strlen(value) > PL_VALUE_MAX)
        return pw_fail(err, PW_EINVAL, "is longer than %d bytes", PL_VALUE_MAX);
    switch (p->type) {
    case PARAM_TEXT:
        return 0;
    case PARAM_STRING:
        return strpbrk(value, "\r\n") ? pw_fail(err, PW_EINVAL, "must be one line") : 0;
    case PARAM_INT:
        return pw_parse_i64(value, &number, NULL) < 0
                   ? pw_fail(err, PW_EINVAL, "must be a whole number, not \"%.60s\"", value)
                   : 0;
    case PARAM_BOOL:
        return strcmp(value, "true") != 0 && strcmp(value, "false") != 0
                   ? pw_fail(err, PW_EINVAL, "must be true or false, not \"%.60s\"", value)
                   : 0;
    case PARAM_CHOICE:
        return choice(p, value, err);
    case PARAM_BRANCH:
        return config_branch_ok(value)
                   ? 0
                   : pw_fail(err, PW_EINVAL, "\"%.60s\" is no name of a branch", value);
    case PARAM_REVISION:
        return revision_ok(value)
                   ? 0
                   : pw_fail(err, PW_EINVAL, "\"%.70s\" is not a whole revision", value);
    }
    return pw_fail(err, PW_EINVAL, "is of an unknown type");
}

static void read_choices(config_reader *r, const yaml_node *map, config_param *p)
{
    const yaml_node *v = yaml_node_value(map, "choices");
    if (v && p->type != PARAM_CHOICE)
        yaml_fail(r->errors, yaml_node_key(map, "choices"),
                  "\"choices\" is for type choice, not %s", config_param_types[p->type]);
    else if (!yaml_get_strs(map, "choices", CONFIG_CHOICES_MAX, &p->choices.v, &p->choices.n,
                            r->errors))
        return;
    else if (p->type == PARAM_CHOICE && !p->choices.n)
        yaml_fail(r->errors, v ? v : map, "type choice needs \"choices\"");
}

static void read_param(config_reader *r, const yaml_node *map, const config_scheduler *s,
                       config_param *p)
{
    static const char *const keys[] = {"name",    "type",  "default", "required",
                                       "choices", "label", NULL};
    int type = PARAM_STRING;
    pw_err err = {0};
    if (!yaml_check_map(map, "a parameter", keys, r->errors) && yaml_node_type(map) != YAML_MAP)
        return;
    const yaml_node *name = yaml_node_value(map, "name");
    if (yaml_get_str(map, "name", true, PL_VALUE_MAX, &p->name, r->errors) && p->name &&
        pl_property_ok(&r->pl, name))
        for (const config_param *o = s->params; o < p; o++)
            if (o->name && strcmp(o->name, p->name) == 0)
                yaml_fail(r->errors, name, "parameter \"%s\" is there twice", p->name);
    if (!yaml_get_enum(map, "type", config_param_types, &type, r->errors))
        return;
    p->type = (config_param_type)type;
    (void)yaml_get_bool(map, "required", &p->required, r->errors);
    (void)yaml_get_str(map, "label", false, 1000, &p->label, r->errors);
    read_choices(r, map, p);
    if (!yaml_get_str(map, "default", false, PL_VALUE_MAX, &p->fallback, r->errors) ||
        !p->fallback || (p->type == PARAM_CHOICE && !p->choices.n))
        return;
    if (config_param_check(p, p->fallback, &err) < 0)
        yaml_fail(r->errors, yaml_node_value(map, "default"), "\"default\" %s", err.text);
    else if (p->required)
        yaml_fail(r->errors, yaml_node_key(map, "required"),
                  "a parameter with a \"default\" is never missing");
}

void config_read_params(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    const yaml_node *v = yaml_node_value(map, "parameters");
    size_t n = v ? yaml_node_count(v) : 0;
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_LIST || n > CONFIG_PARAMS_MAX) {
        yaml_fail(r->errors, v, "\"parameters\" must be a list of at most %d parameters",
                  CONFIG_PARAMS_MAX);
        return;
    }
    s->has_params = true;
    s->params = pl_alloc(&r->pl, n, sizeof(*s->params));
    for (size_t i = 0; s->params && i < n; i++)
        read_param(r, yaml_node_item(v, i), s, &s->params[s->n_params++]);
}
