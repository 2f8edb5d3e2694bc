/* Globs and regular expressions of a configuration against names of a repository: first byte the
 * kind, then items, one a line, an empty line, then the name. Time is bounded by the fuzzer's own
 * limit. A plain glob must agree with the simplest matcher that there is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/scan/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ITEMS = 1001, NAME_LIMIT = 300, PLAIN_LIMIT = 300 };

/* `*` and `?` only, one row of the table at a time. */
static bool simple(const char *glob, const char *name)
{
    bool row[NAME_LIMIT + 1] = {true}, next[NAME_LIMIT + 1];
    size_t n = strlen(name);
    for (; *glob; glob++) {
        next[0] = row[0] && *glob == '*';
        for (size_t i = 1; i <= n; i++)
            next[i] = *glob == '*' ? next[i - 1] || row[i]
                                   : row[i - 1] && (*glob == '?' || *glob == name[i - 1]);
        memcpy(row, next, sizeof(row));
    }
    return row[n];
}

static bool ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static void one(glob_kind kind, char *item, const char *name)
{
    size_t n = strlen(item);
    char *minus = malloc(n + 2), *both[2] = {item, minus};
    PW_AUTO(glob_freep) glob_list *plain = glob_parse(kind, both, 1, NULL);
    if (!minus || !plain || item[0] == '!') {
        free(minus);
        return;
    }
    minus[0] = '!';
    memcpy(minus + 1, item, n + 1);
    bool yes = glob_match(plain, name);
    if (n < 1000) { /* with the `!` it may be one byte too long */
        PW_AUTO(glob_freep) glob_list *none = glob_parse(kind, both, 2, NULL);
        PW_AUTO(glob_freep) glob_list *rest = glob_parse(kind, both + 1, 1, NULL);
        if (!none || !rest || glob_match(none, name) || glob_match(rest, name) != !yes)
            abort();
    }
    if (kind == GLOB_BRANCH && item[0] != '/' && n < PLAIN_LIMIT && strlen(name) <= NAME_LIMIT &&
        ascii(name) && !strpbrk(item, "[\\") && ascii(item) && simple(item, name) != yes)
        abort();
    free(minus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text, *name, *end, **items = calloc(ITEMS, sizeof(*items));
    size_t n = 0;
    pw_err err = {.code = PW_OK};
    if (len < 1 || !items || !(text = malloc(len))) {
        free(items);
        return 0;
    }
    glob_kind kind = data[0] & 1 ? GLOB_PATH : GLOB_BRANCH;
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    name = text + strlen(text);
    for (char *at = text; n < ITEMS && (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        if (end == at) {
            name = end + 1;
            break;
        }
        items[n++] = at;
    }
    PW_AUTO(glob_freep) glob_list *list = glob_parse(kind, items, n, &err);
    if (!list && (err.code == PW_OK || !err.text[0]))
        abort();
    if (list && n == 0 && glob_match(list, name))
        abort();
    if (list)
        (void)glob_match(list, name);
    for (size_t i = 0; i < n && i < 4; i++)
        one(kind, items[i], name);
    free(text);
    free(items);
    return 0;
}
