/* Conditions as people and repositories write them: parsing ends with a place in the text, what
 * parses is evaluated over names of which some are known, and its parts lie in the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool lookup(void *self, const char *name, size_t n, expr_value *ret)
{
    static const char *const values[] = {"", "12", "2G", "true", "linux gpu", "x"};
    size_t i = n ? (unsigned char)name[0] % 7 : 6;
    (void)self;
    if (i == 6)
        return false;
    *ret = (expr_value){values[i], strlen(values[i])};
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    size_t at = 0, n = 0, pos = 0;
    pw_err err = {0}, why;
    const char *name;
    bool got = false;
    if (!text)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    expr *e = expr_parse(text, &at, &err);
    if (!e && (at > strlen(text) || !err.code))
        abort();
    if (e) {
        int r = expr_eval(e, lookup, NULL, &got, &err);
        bool fails = expr_failing(e, lookup, NULL, &at, &n, &why);
        if (fails != (r < 0 || !got))
            abort();
        if (fails && (at + n > strlen(text) || n == 0))
            abort();
        while (expr_name(e, &pos, &name, &n, &at))
            if (memcmp(text + at, name, n) != 0)
                abort();
    }
    (void)expr_free(e);
    free(text);
    return 0;
}
