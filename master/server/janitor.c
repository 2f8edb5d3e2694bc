#include <string.h>
#include <time.h>

#include "master/server/state.h"
#include "shared/base/log.h"

/* Between passes: each writes the pages that changed since the last one, and hot pages change in
 * every turn. Measured: passes each 100 ms cost a tenth of the master's CPU; at 1,000 builds/s the
 * WAL grows by some 15 MB in 250 ms. */
enum { PAUSE_MS = 250 };

/* With the lock. It is told once, and once when it is over: a full disk fails each pass. */
static void tell(janitor *j, const pw_err *err)
{
    char text[400] = "";
    if (err)
        (void)lacks_text(err, text);
    if (strcmp(text, j->trouble) == 0)
        return;
    memcpy(j->trouble, text, sizeof(text));
    atomic_fetch_add(&j->changes, 1);
    if (err)
        pw_log_err(PW_LOG_WARN, "checkpoint_failed", err);
}

void janitor_trouble(janitor *j, char out[400])
{
    pthread_mutex_lock(&j->lock);
    memcpy(out, j->trouble, sizeof(j->trouble));
    pthread_mutex_unlock(&j->lock);
}

static void *run(void *p)
{
    janitor *j = p;
    pw_err err = {0};
    pthread_mutex_lock(&j->lock);
    while (!j->stop) {
        if (!j->work) {
            pthread_cond_wait(&j->wake, &j->lock);
            continue;
        }
        j->work = false;
        pthread_mutex_unlock(&j->lock);
        uint64_t wal = 0;
        bool failed = store_checkpoint(j->ck, &wal, &err) < 0;
        if (!failed)
            atomic_store(&j->wal, wal);
        pthread_mutex_lock(&j->lock);
        tell(j, failed ? &err : NULL);
        j->work = j->work || failed; /* again, whether or not somebody writes */
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PAUSE_MS * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        while (!j->stop && pthread_cond_timedwait(&j->wake, &j->lock, &until) == 0)
            ; /* however often a turn asks for one */
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

int janitor_start(janitor *j, const char *db, pw_err *err)
{
    if (!(j->ck = store_checkpointer_open(db, err)))
        return err->code;
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        j->ck = store_checkpointer_close(j->ck);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    /* a wall clock that is set back by a day would make a pause of 250 ms one of a day */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_cond_init(&j->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    j->stop = j->work = false;
    int r = pthread_create(&j->thread, NULL, run, j);
    if (r != 0) {
        store_checkpointer_close(j->ck);
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, r, "starting the checkpoint thread");
    }
    j->started = true;
    return 0;
}

void janitor_stop(janitor *j)
{
    if (!j->started)
        return;
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    (void)pthread_join(j->thread, NULL);
    store_checkpointer_close(j->ck);
    (void)pthread_mutex_destroy(&j->lock);
    (void)pthread_cond_destroy(&j->wake);
    j->started = false;
}

void janitor_wake(janitor *j)
{
    if (!j->started)
        return;
    pthread_mutex_lock(&j->lock);
    if (!j->work) {
        j->work = true;
        pthread_cond_signal(&j->wake);
    }
    pthread_mutex_unlock(&j->lock);
}
