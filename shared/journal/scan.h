/* scan.h - inside shared/journal only: walking a journal file from its start. */
#ifndef PW_SHARED_JOURNAL_SCAN_H
#define PW_SHARED_JOURNAL_SCAN_H
#include "shared/journal/journal.h"

enum { JOURNAL_RECORD_MAX = JOURNAL_HEAD + JOURNAL_PAYLOAD_MAX + JOURNAL_TAIL };

/* What journal_survey reports, of an open file. */
int journal_scan(int fd, uint8_t start_kind, journal_summary *ret, pw_err *err);
/* *found = a right record begins somewhere in (bad, size): the damage at `bad` is inside, not a
 * torn end. `chain` is the value before the record at `bad`. */
int journal_scan_behind(int fd, uint64_t bad, uint64_t size, uint32_t chain, bool *ret_found,
                        pw_err *err);
#endif
