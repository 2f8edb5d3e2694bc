/* mask_forms.h - the ways in which a value appears in output. */
#ifndef PW_WORKER_RUN_MASK_FORMS_H
#define PW_WORKER_RUN_MASK_FORMS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

/* One form; borrowed during the call. folds: line breaks may stand in it anywhere. Negative ends
 * the walk. */
typedef int mask_form(void *self, const uint8_t *p, size_t n, bool folds, pw_err *err);
/* Tells every form of a value, some of them twice; among them the value itself. */
int mask_forms(const uint8_t *value, size_t n, mask_form *fn, void *self, pw_err *err);
#endif
