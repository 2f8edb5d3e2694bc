/* ${secret:NAME}: where it may stand, and which a builder uses. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/pipeline/read.h"
#include "shared/wire/msg.h"

static const char mark[] = "${secret:";
enum { MARK = sizeof(mark) - 1 };

/* Adds a name once. */
static void note_name(pl_reader *r, pl_strs *to, const char *name)
{
    for (size_t i = 0; i < to->n; i++)
        if (strcmp(to->v[i], name) == 0)
            return;
    char **more = reallocarray(to->v, to->n + 1, sizeof(*more));
    if (!more) {
        r->errors->failed = true;
        return;
    }
    to->v = more;
    if ((more[to->n] = pl_copy(r, name)))
        to->n++;
}

void pl_use_secrets(pl_reader *r, const yaml_node *at, pl_strs *used)
{
    for (const char *p = yaml_node_text(at); p && (p = strstr(p, mark));) {
        size_t bytes = 0;
        const char *end = strchr(p += MARK, '}');
        PW_AUTO(pw_freep) char *name = end ? strndup(p, (size_t)(end - p)) : NULL;
        if (end && !name) {
            r->errors->failed = true;
            return;
        }
        if (!name || !pw_name_ok(name))
            yaml_fail(r->errors, at, "a secret is written ${secret:NAME}");
        else if (r->secret && r->secret(r->self, at, name, &bytes))
            note_name(r, used, name);
    }
}

void pl_check_secrets_fit(pl_reader *r, const yaml_node *map, const pl_strs *used)
{
    size_t sum = 0;
    for (size_t i = 0; i < used->n; i++) {
        size_t bytes = 0;
        if (r->secret && r->secret(r->self, map, used->v[i], &bytes))
            sum += strlen(used->v[i]) + bytes;
    }
    if (used->n > PW_SECRETS_MAX)
        yaml_fail(r->errors, map, "this builder uses more than %d secrets", PW_SECRETS_MAX);
    else if (sum > PW_SECRETS_BYTES)
        yaml_fail(r->errors, map, "the secrets of this builder are longer than %d bytes together",
                  PW_SECRETS_BYTES);
}

void pl_refuse_secrets(pl_reader *r, const yaml_node *n, bool run)
{
    const char *text = yaml_node_text(n);
    if (text && strstr(text, mark)) {
        if (run)
            yaml_fail(r->errors, n,
                      "a secret must not stand in \"run\": scripts are stored and shown; give it "
                      "by \"env\"");
        else
            yaml_fail(r->errors, n,
                      "a secret may stand in \"env\" of builders and steps, and in \"url\", "
                      "\"password\" and \"token\" of \"notify\" only");
    }
    for (size_t i = 0; yaml_node_type(n) == YAML_LIST && i < yaml_node_count(n); i++)
        pl_refuse_secrets(r, yaml_node_item(n, i), run);
    for (size_t i = 0; yaml_node_type(n) == YAML_MAP && i < yaml_node_count(n); i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(n, i, &key);
        const char *name = yaml_node_text(key);
        bool theirs = (strcmp(name, "env") == 0 && yaml_node_type(value) == YAML_MAP) ||
                      (strcmp(name, "notify") == 0 && yaml_node_type(value) == YAML_LIST);
        if (!theirs)
            pl_refuse_secrets(r, value, strcmp(name, "run") == 0);
    }
}
