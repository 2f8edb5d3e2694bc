/* leave.c - what steps leave: artifacts and reports. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/job/record.h"
#include "shared/pipeline/read.h"

static const char *const formats[] = {"junit", "tap", "subunit", "gotest", NULL};
enum { FORMATS = 4 };

/* Beneath the work directory, whatever it matches. */
static bool glob_ok(const char *s)
{
    if (*s == '!')
        s++;
    if (*s == '/' && s[1] && s[strlen(s) - 1] == '/') /* a regular expression over the path */
        return true;
    if (!*s || *s == '/' || strlen(s) > PW_PATH_MAX || pl_has_control(s))
        return false;
    for (const char *p = s;; p++) {
        size_t n = strcspn(p, "/");
        if ((n == 2 && p[0] == '.' && p[1] == '.') || (n == 1 && p[0] == '.'))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

bool pl_get_files(pl_reader *r, const yaml_node *map, const char *key, pl_strs *out)
{
    const yaml_node *v = yaml_node_value(map, key);
    if (!yaml_get_strs(map, key, PL_GLOBS_MAX, &out->v, &out->n, r->errors))
        return false;
    if (!out->n) {
        yaml_fail(r->errors, v ? v : map, "\"%s\" must name at least one pattern of files", key);
        return false;
    }
    for (size_t i = 0; i < out->n; i++) {
        const yaml_node *at = yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v;
        pw_err err = {0};
        glob_list *g = NULL;
        if (!glob_ok(out->v[i]))
            yaml_fail(
                r->errors, at,
                "\"%.100s\" must be a path or pattern below the work directory, without \".\" "
                "and \"..\"",
                out->v[i]);
        else if (!strstr(out->v[i], "${") && !(g = glob_parse(GLOB_PATH, &out->v[i], 1, &err)))
            yaml_fail(r->errors, at, "%s", err.text);
        glob_free(g);
    }
    return true;
}

void pl_reports_free(pl_report *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].format);
        pl_strs_clear(&v[i].paths);
    }
    free(v);
}

/* {junit: GLOB | [GLOB..] | {paths: .., optional: true}, ..., optional: true} */
static void read_reports(pl_reader *r, const yaml_node *map, pl_step *s)
{
    static const char *const keys[] = {"junit", "tap", "subunit", "gotest", "optional", NULL};
    static const char *const inner[] = {"paths", "optional", NULL};
    const yaml_node *v = yaml_node_value(map, "reports");
    bool optional = false;
    if (!v || !yaml_check_keys(v, "\"reports\"", keys, NULL, r->errors))
        return;
    (void)yaml_get_bool(v, "optional", &optional, r->errors);
    if (!(s->reports = pl_alloc(r, FORMATS, sizeof(*s->reports))))
        return;
    for (size_t i = 0; i < FORMATS; i++) {
        const yaml_node *one = yaml_node_value(v, formats[i]);
        pl_report *p = &s->reports[s->n_reports];
        if (!one)
            continue;
        p->format = pl_copy(r, formats[i]);
        p->optional = optional;
        s->n_reports++;
        if (yaml_node_type(one) != YAML_MAP) {
            (void)pl_get_files(r, v, formats[i], &p->paths);
        } else if (yaml_check_keys(one, formats[i], inner, NULL, r->errors)) {
            (void)yaml_get_bool(one, "optional", &p->optional, r->errors);
            (void)pl_get_files(r, one, "paths", &p->paths);
        }
    }
    if (!s->n_reports)
        yaml_fail(r->errors, v,
                  "\"reports\" must name at least one of junit, tap, subunit, gotest");
}

void pl_read_leavings(pl_reader *r, const yaml_node *map, pl_step *s)
{
    if (yaml_node_value(map, "artifacts"))
        (void)pl_get_files(r, map, "artifacts", &s->artifacts);
    read_reports(r, map, s);
}

void pl_read_artifacts_step(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const keys[] = {"paths", "retention", "optional", NULL};
    const yaml_node *v = yaml_node_value(map, "artifacts");
    (void)secrets;
    pl_refuse_run_keys(r, map);
    if (yaml_node_key(map, "reports"))
        yaml_fail(r->errors, yaml_node_key(map, "reports"),
                  "\"reports\" stands beside \"run\", or is a step of its own");
    if (yaml_node_type(v) != YAML_MAP) {
        (void)pl_get_files(r, map, "artifacts", &s->artifacts);
        return;
    }
    if (!yaml_check_keys(v, "\"artifacts\"", keys, NULL, r->errors))
        return;
    (void)pl_get_files(r, v, "paths", &s->artifacts);
    (void)pl_get_time(r, v, "retention", 60 * PL_SECOND, &s->keep);
    if (s->keep > (pw_usec)PW_FILE_KEEP_MAX_MS * 1000)
        yaml_fail(r->errors, yaml_node_value(v, "retention"),
                  "\"retention\" must be at most 3650d");
    (void)yaml_get_bool(v, "optional", &s->optional, r->errors);
}

void pl_read_reports_step(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    (void)secrets;
    pl_refuse_run_keys(r, map);
    read_reports(r, map, s);
    if (!s->n_reports && !yaml_node_value(map, "reports"))
        yaml_fail(r->errors, yaml_node_key(map, "reports"), "\"reports\" must say where they are");
}
