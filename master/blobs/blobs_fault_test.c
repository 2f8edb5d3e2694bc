/* A sync that fails. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/blobs/blobs.h"
#include "shared/base/fs.h"
#include "shared/crypt/hash.h"
#include "tests/tap.h"

static char dir[] = "/tmp/pawl-blobs-XXXXXX";

int main(void)
{
    pw_err err = {0};
    uint8_t sum[BLOBS_SUM];
    (void)setenv("PW_FAULT", "blobs.sync:1=error,blobs.sync:3=error", 1);
    if (!mkdtemp(dir))
        return 1;
    PW_AUTO(pw_chan_freep) pw_chan *answers = pw_chan_new(4, free, &err);
    PW_AUTO(blobs_closep) blobs *b = answers ? blobs_open(dir, answers, &err) : NULL;
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, "in/1-0");
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(&err);
    if (!b || !path || !h)
        return 1;
    ok(blobs_append(b, 1, 0, 0, "abc", 3, NULL) == 0 && blobs_sync(b, NULL) < 0, "a sync fails");
    blobs_forget_unsynced(b);
    ok(access(path, F_OK) != 0, "a new file is made anew");
    ok(blobs_append(b, 1, 0, 3, "d", 1, NULL) == PW_ECORRUPT, "what came before counts no more");
    ok(blobs_append(b, 1, 0, 0, "abc", 3, NULL) == 0 && blobs_sync(b, NULL) == 0, "it comes again");
    ok(blobs_append(b, 1, 0, 3, "xyz", 3, NULL) == 0 && blobs_sync(b, NULL) < 0, "another fails");
    blobs_forget_unsynced(b);
    ok(access(path, F_OK) == 0 && blobs_append(b, 1, 0, 4, "e", 1, NULL) == PW_ECORRUPT,
       "what was on disk stays, the rest counts no more");
    ok(blobs_append(b, 1, 0, 3, "d", 1, NULL) == 0 && blobs_whole(b, 1, 0, 4, NULL) == 0 &&
           blobs_sync(b, NULL) == 0,
       "and comes again");
    crypt_sha256_add(h, "abcd", 4);
    crypt_sha256_end(h, sum);
    struct pollfd p = {.fd = pw_chan_fd(answers), .events = POLLIN};
    bool asked = blobs_publish(b, 1, 0, 4, sum, NULL) == 0 && poll(&p, 1, 10000) == 1;
    PW_AUTO(pw_freep) blobs_answer *a = pw_chan_recv(answers);
    ok(asked && a && a->code == 0, "its bytes are right");
    b = blobs_close(b);
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
