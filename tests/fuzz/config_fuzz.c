/* config_fuzz.c - any bytes as a configuration. Without a file name the text stands alone: includes
 * are refused, so nothing but the system's time zones is read. What loads must load again from the
 * copy it keeps. */
#include <stdlib.h>
#include <string.h>

#include "master/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PW_AUTO(yaml_errors_clear) yaml_errors errors = {0};
    PW_AUTO(yaml_errors_clear) yaml_errors again = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1 << 20);
    PW_AUTO(config_unrefp) config *c = config_load_text(NULL, (const char *)data, size, &errors);
    (void)yaml_errors_text(&errors, &text);
    if (!c != !yaml_errors_none(&errors))
        abort();
    if (!c)
        return 0;
    PW_AUTO(config_unrefp) config *copy = config_load_text(NULL, c->text, strlen(c->text), &again);
    if (!copy || copy->n_builders != c->n_builders || copy->n_schedulers != c->n_schedulers)
        abort();
    (void)config_find_builder(c, "fast");
    return 0;
}
