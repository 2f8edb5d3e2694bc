#include "master/link/resync.h"

#include "tests/tap.h"

int main(void)
{
    /* all 32 combinations of the flags with offsets that are fine: each verdict follows from the
     * first rule that applies */
    for (unsigned m = 0; m < 32; m++) {
        resync_fact f = {.this_epoch = m & 1,
                         .open = m & 2,
                         .forgotten = m & 4,
                         .ours = m & 8,
                         .closed = m & 16,
                         .applied = 100,
                         .stored = 50,
                         .length = 100,
                         .start = 0};
        resync_verdict want = !(m & 1)   ? RESYNC_HOLD
                              : !(m & 2) ? (m & 4 ? RESYNC_FORGET : RESYNC_HOLD)
                              : !(m & 8) ? RESYNC_HOLD_ALARM
                              : m & 16   ? RESYNC_RESUME_CANCEL
                                         : RESYNC_RESUME;
        ok(resync_decide(&f) == want, "flags %u", m);
    }
    resync_fact f = {
        .this_epoch = true, .open = true, .ours = true, .applied = 100, .stored = 50, .length = 99};
    ok(resync_decide(&f) == RESYNC_LOST, "a journal shorter than what was applied is lost");
    f.length = 100;
    ok(resync_decide(&f) == RESYNC_RESUME, "as long as what was applied is enough");
    f.start = 50;
    ok(resync_decide(&f) == RESYNC_RESUME, "bytes below stored may be gone");
    f.start = 51;
    ok(resync_decide(&f) == RESYNC_LOST, "bytes above stored may not");
    for (unsigned m = 0; m < 16; m++) {
        resync_absent a = {.same_spool = m & 1, .any = m & 2, .this_epoch = m & 4, .closed = m & 8};
        resync_fate want = !(m & 1)                         ? FATE_WAIT
                           : (m & 2) || !(m & 4) || (m & 8) ? FATE_LOST
                                                            : FATE_REOFFER;
        ok(resync_absent_decide(&a) == want, "absent, flags %u", m);
    }
    return tap_done();
}
