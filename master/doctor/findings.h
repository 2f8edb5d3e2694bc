/* findings.h - what a look at the state directory found. The same words and form as `pawl doctor`
 * prints, which takes them over. Owned by the list; one thread. */
#ifndef PW_MASTER_DOCTOR_FINDINGS_H
#define PW_MASTER_DOCTOR_FINDINGS_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"

typedef enum finding_level { FIND_OK, FIND_NOTE, FIND_WRONG } finding_level;
enum {
    FINDINGS_MAX = 200,
    FINDINGS_OF_A_KIND = 20 /* of one name; the others are counted */
};
typedef struct findings {
    struct finding {
        char *name, *text, *cure; /* owned; cure "" when it is well */
        finding_level level;
        size_t more; /* of the same name, not listed */
    } v[FINDINGS_MAX];
    size_t n;
    bool failed; /* memory ran out */
} findings;
void findings_clear(findings *f);
void findings_add(findings *f, const char *name, finding_level level, const char *cure,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* How many of this name are listed. */
size_t findings_of(const findings *f, const char *name);
bool findings_wrong(const findings *f);
void findings_text(const findings *f, pw_buf *b);
/* {"items":[{"name","level","text","cure"}]} */
void findings_json(const findings *f, pw_buf *b);
#endif
