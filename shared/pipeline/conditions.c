/* conditions.c - `requires` of builders and `if` of steps: read from YAML into shared/expr. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/pipeline/read.h"

/* Where byte `at` of a scalar stands: exact as long as it is written on one line. */
static void fail_inside(pl_reader *r, const yaml_node *n, size_t at, const char *what)
{
    const char *text = yaml_node_text(n);
    unsigned column = yaml_node_column(n);
    if (!strchr(text, '\n') && at < 10000)
        column += (unsigned)at + (yaml_node_plain(n) ? 0 : 1);
    yaml_errors_add(r->errors, yaml_node_file(n), yaml_node_line(n), column,
                    "condition \"%.100s\", character %zu: %s", text, at + 1, what);
}

expr *pl_read_expr(pl_reader *r, const yaml_node *n, const char *key)
{
    size_t at = 0;
    pw_err err = {0};
    const char *text = yaml_node_text(n);
    if (!text || !text[strspn(text, " \t\r\n")]) {
        yaml_fail(r->errors, n, "\"%s\" must be a condition, as in \"%s: branch == 'master'\"", key,
                  key);
        return NULL;
    }
    expr *e = expr_parse(text, &at, &err);
    if (!e && err.code == PW_ENOMEM)
        r->errors->failed = true;
    else if (!e)
        fail_inside(r, n, at, err.text);
    return e;
}

/* ---- requires: {..} */
static bool is_number(const char *s)
{
    size_t at;
    PW_AUTO(pw_freep) char *text = pw_strf("0 == %s", s);
    expr *e = *s >= '0' && *s <= '9' && text ? expr_parse(text, &at, NULL) : NULL;
    (void)expr_free(e);
    return e;
}

static void add_text(pw_buf *b, const char *s)
{
    (void)pw_buf_adds(b, "'");
    for (; *s; s++)
        (void)pw_buf_addf(b, "%s%c", *s == '\'' ? "'" : "", *s);
    (void)pw_buf_adds(b, "'");
}

static void add_value(pw_buf *b, const char *s, bool number)
{
    if (number)
        (void)pw_buf_adds(b, s);
    else
        add_text(b, s);
}

/* `memory: ">=2G"`, `os: linux`: a comparison, "==" where none is written. */
static bool add_compare(pw_buf *b, const char *name, const char *text)
{
    static const char *const ops[] = {"==", "!=", "<=", ">=", "=~", "<", ">", NULL};
    const char *op = "==";
    for (size_t i = 0; ops[i]; i++) {
        if (strncmp(text, ops[i], strlen(ops[i])) != 0)
            continue;
        op = ops[i];
        text += strlen(op);
        text += strspn(text, " ");
        break;
    }
    (void)pw_buf_addf(b, "%s %s ", name, op);
    add_value(b, text, strcmp(op, "=~") != 0 && is_number(text));
    return *text;
}

static void add_any_of(pl_reader *r, pw_buf *b, const char *name, const yaml_node *list)
{
    (void)pw_buf_addf(b, "%s in (", name);
    for (size_t i = 0; i < yaml_node_count(list); i++) {
        const char *text = yaml_node_text(yaml_node_item(list, i));
        if (!text)
            yaml_fail(r->errors, yaml_node_item(list, i), "\"%s\" of \"requires\" must list texts",
                      name);
        (void)pw_buf_adds(b, i ? ", " : "");
        add_value(b, text ? text : "", text && is_number(text));
    }
    (void)pw_buf_adds(b, ")");
}

static bool fact_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    size_t at;
    expr *e = !s[n] && *s ? expr_parse(s, &at, NULL) : NULL;
    (void)expr_free(e);
    return e && !(*s >= '0' && *s <= '9') && strcmp(s, "true") != 0 && strcmp(s, "false") != 0;
}

static void read_tags(pl_reader *r, const yaml_node *map, pl_builder *b)
{
    if (!yaml_get_strs(map, "tags", PL_TAGS_MAX, &b->tags.v, &b->tags.n, r->errors))
        return;
    const yaml_node *tags = yaml_node_value(map, "tags");
    for (size_t i = 0; i < b->tags.n; i++)
        if (!pw_name_ok(b->tags.v[i]))
            yaml_fail(r->errors, yaml_node_type(tags) == YAML_LIST ? yaml_node_item(tags, i) : tags,
                      "\"%.100s\" is no tag", b->tags.v[i]);
}

/* One key of the map. Each is parsed alone, so that its error stands at it. */
static void read_fact(pl_reader *r, const yaml_node *key, const yaml_node *v, pw_buf *all)
{
    const char *name = yaml_node_text(key), *text = yaml_node_text(v);
    PW_AUTO(pw_buf_clearp) pw_buf one = PW_BUF(EXPR_TEXT_MAX);
    pw_err err = {0};
    size_t at = 0;
    if (!fact_ok(name)) {
        yaml_fail(r->errors, key, "\"%.60s\" is no name of a fact: letters, digits, _ and .", name);
        return;
    }
    if (yaml_node_type(v) == YAML_LIST && yaml_node_count(v))
        add_any_of(r, &one, name, v);
    else if (!text || !add_compare(&one, name, text)) {
        yaml_fail(r->errors, v,
                  "\"%.60s\" of \"requires\" must be a text like \">=2G\", or a list of texts",
                  name);
        return;
    }
    expr *e = expr_parse(pw_buf_str(&one), &at, &err);
    if (!e)
        yaml_fail(r->errors, v, "\"%.60s\" of \"requires\", read as \"%.100s\": %s", name,
                  pw_buf_str(&one), err.text);
    (void)expr_free(e);
    if (pw_buf_addf(all, "%s%s", all->len ? " and " : "", pw_buf_str(&one)) < 0)
        yaml_fail(r->errors, v, "\"requires\" is too long");
}

void pl_read_requires(pl_reader *r, const yaml_node *map, pl_builder *b)
{
    const yaml_node *v = yaml_node_value(map, "requires");
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(EXPR_TEXT_MAX);
    size_t errors = r->errors->told, at;
    if (v && yaml_node_type(v) == YAML_SCALAR)
    b->requires = pl_read_expr(r, v, "requires");
    if (!v || yaml_node_type(v) == YAML_SCALAR)
        return;
    if (yaml_node_type(v) != YAML_MAP) {
        yaml_fail(r->errors, v,
                  "\"requires\" is a mapping like {tags: [linux], memory: \">=2G\"}, or a "
                  "condition");
        return;
    }
    read_tags(r, v, b);
    for (size_t i = 0; i < yaml_node_count(v); i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(v, i, &key);
        if (strcmp(yaml_node_text(key), "tags") != 0)
            read_fact(r, key, value, &all);
    }
    if (all.failed)
        r->errors->failed |= r->errors->told == errors;
    else if (all.len && r->errors->told == errors && !r->errors->failed &&
             !(b->requires = expr_parse(pw_buf_str(&all), &at, NULL)))
        r->errors->failed = true; /* its parts are right, so memory ran out */
}

void pl_read_cond(pl_reader *r, const yaml_node *map, pl_step *s)
{
    const yaml_node *v = yaml_node_value(map, "if");
    expr *e = v ? pl_read_expr(r, v, "if") : NULL;
    if (e)
        s->cond = pl_copy(r, expr_text(e));
    (void)expr_free(e);
}
