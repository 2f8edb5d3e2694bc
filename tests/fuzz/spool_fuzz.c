/* Names of files in a spool: a job has exactly one name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "worker/spool/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char name[SPOOL_JOB_NAME];
    spool_job j = {1, 2};
    /* without a NUL behind it: n decides where the name ends */
    char *text = malloc(len ? len : 1);
    if (!text)
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    if (spool_job_parse(text, len, &j)) {
        (void)spool_job_name(j, name);
        if (strlen(name) != len || memcmp(name, text, len) != 0)
            abort();
    } else if (j.epoch != 1 || j.attempt != 2) {
        abort(); /* a failure has no effect */
    }
    free(text);
    if (len < 16)
        return 0;
    spool_job want = {pw_le64(data), pw_le64(data + 8)};
    (void)spool_job_name(want, name);
    if (!spool_job_parse(name, strlen(name), &j) || j.epoch != want.epoch ||
        j.attempt != want.attempt ||
        spool_job_parse(name, strlen(name) - 1, &j) != (want.attempt > 9))
        abort();
    return 0;
}
