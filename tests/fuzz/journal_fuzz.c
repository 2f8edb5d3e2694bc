/* Journal bytes as they come over the link, and log records. A fuzzer cannot guess checksums, so
 * the input is also cut into payloads and framed rightly, to reach what reads them. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/job/record.h"
#include "shared/journal/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void log_record(const uint8_t *p, size_t n)
{
    rec_log r;
    uint8_t head[RECORD_LOG_HEAD];
    if (rec_log_get(p, n, &r, NULL) < 0)
        return;
    if (r.frame != p + RECORD_LOG_HEAD || r.frame_len != n - RECORD_LOG_HEAD ||
        r.raw_len > PW_FRAME_RAW_MAX || r.step >= 1000)
        abort();
    rec_log_put_head(&r, head);
    if (memcmp(head, p, 12) != 0 || memcmp(head + 16, p + 16, RECORD_LOG_HEAD - 16) != 0)
        abort();
}

/* Walks twice, whole and record by record: both must agree. */
static void walk(const uint8_t *p, size_t n, uint32_t chain)
{
    uint32_t value = chain;
    bool bad;
    journal_rec r;
    size_t at = 0, whole = journal_whole(p, n, &value, &bad);
    int k;
    if (whole > n)
        abort();
    while ((k = journal_parse(p + at, n - at, chain, &r, NULL)) > 0) {
        if (r.size != (size_t)k || r.payload + r.len > p + n || r.len > JOURNAL_PAYLOAD_MAX)
            abort();
        if (r.kind == PW_REC_LOG)
            log_record(r.payload, r.len);
        chain = r.chain;
        at += r.size;
    }
    if (at != whole || bad != (k < 0) || chain != value)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    log_record(data, len);
    walk(data, len, 0);
    /* one length byte before each payload */
    uint8_t *p = malloc(len * (JOURNAL_HEAD + JOURNAL_TAIL) + 1);
    uint8_t before[4] = {0};
    size_t n = 0;
    if (!p)
        return 0;
    for (size_t at = 0; at < len;) {
        size_t size = data[at++];
        size = size > len - at ? len - at : size;
        pw_put_le32(p + n, (uint32_t)size);
        pw_put_le64(p + n + 4, PW_REC_LOG);
        memcpy(p + n + JOURNAL_HEAD, data + at, size);
        pw_put_le32(p + n + JOURNAL_HEAD + size,
                    pw_crc32c(pw_crc32c(0, before, 4), p + n, JOURNAL_HEAD + size));
        memcpy(before, p + n + JOURNAL_HEAD + size, 4);
        n += JOURNAL_HEAD + size + JOURNAL_TAIL;
        at += size;
    }
    uint32_t chain = 0;
    bool bad;
    if (journal_whole(p, n, &chain, &bad) != n || bad)
        abort();
    walk(p, n, 0);
    free(p);
    return 0;
}
