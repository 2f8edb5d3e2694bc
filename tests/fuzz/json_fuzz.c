/* JSON texts: what is read can be walked, and its text is read again. */
#include <stdlib.h>

#include "shared/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t walk(const json_value *v)
{
    size_t n = 1;
    for (size_t i = 0; i < json_count(v) && i < 100; i++) {
        const json_value *part = NULL;
        if (json_is_array(v))
            part = json_at(v, i);
        else if (!json_key(v, i, &part))
            abort();
        n += walk(part);
    }
    return n + (json_str(v, NULL) != NULL) + (json_int(v, 0) > 0) + json_bool(v, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const keys[] = {"name", "branch", NULL};
    pw_err err;
    PW_AUTO(json_freep) json_value *v = json_parse((const char *)data, len, &err);
    PW_AUTO(json_freep) json_value *again = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1 << 24);
    if (!v)
        return 0;
    if (json_check((const char *)data, len, &err) < 0)
        abort(); /* what the one takes the other takes too */
    (void)walk(v);
    (void)json_expect(v, keys, &err);
    if (json_text(v, &text) < 0)
        abort();
    again = json_parse(text.p, text.len, &err);
    if (!again)
        abort();
    return 0;
}
