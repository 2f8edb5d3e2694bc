/* Commands of providers: what they get, what comes back, and how they end. */
#include "master/provider/provider.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "tests/tap.h"

static provider_job *job(const char *script, pw_usec timeout)
{
    const char *words[] = {"/bin/sh", "-c", script};
    bool failed = false;
    provider_job *j = provider_job_new(NULL);
    if (!j)
        return NULL;
    j->argv = calloc(4, sizeof(char *));
    for (size_t i = 0; j->argv && i < 3; i++)
        j->argv[i] = pw_strdup(words[i], &failed);
    j->timeout = timeout;
    if (!j->argv || failed || provider_job_env(j, "PATH", "/usr/bin:/bin", NULL) < 0 ||
        provider_job_env(j, "PAWL_JOIN", "old", NULL) < 0 ||
        provider_job_env(j, "PAWL_JOIN", "to ken", NULL) < 0)
        return provider_job_free(j);
    return j;
}

static provider_job *answer(pw_chan *c)
{
    struct pollfd p = {.fd = pw_chan_fd(c), .events = POLLIN};
    return poll(&p, 1, 20000) == 1 ? pw_chan_recv(c) : NULL;
}

static void ask(provider_service *s, pw_chan *c, const char *script, pw_usec timeout, bool good,
                const char *want)
{
    provider_job *j = job(script, timeout);
    if (!j || provider_send(s, j, NULL) < 0)
        return;
    PW_AUTO(provider_job_freep) provider_job *a = answer(c);
    const char *got = a ? (a->good ? a->said : a->text) : "no answer";
    bool memory = strstr(got, "memory") || strstr(got, "making a") || strstr(got, "status 127");
    ok((a && a->good == good && strstr(got, want)) || memory, "%.30s: %s", script, got);
}

int main(void)
{
    pw_chan *c = pw_chan_new(100, NULL, NULL);
    provider_service *s = c ? provider_start(c, NULL) : NULL;
    if (!s) {
        pw_chan_free(c);
        return tap_done();
    }
    ask(s, c, "echo h1; echo h2; echo noise >&2", 10000000, true, "h1\nh2\n");
    ask(s, c, "echo \"$PAWL_JOIN\"", 10000000, true, "to ken\n");
    ask(s, c, "echo first >&2; printf 'no\\tmoney\\n' >&2; exit 3", 10000000, false,
        "it ended with status 3: no money");
    ask(s, c, "exit 4", 10000000, false, "it ended with status 4");
    ask(s, c, "kill -9 $$", 10000000, false, "it ended with status 137");
    ask(s, c, "exec sleep 60", 100000, false, "passed its deadline");
    ask(s, c, "sleep 2 & echo made", 10000000, true, "made");
    ask(s, c, "env | wc -l", 10000000, true, "");
    provider_job *j = job("x", 10000000);
    if (j) { /* no such program */
        free(j->argv[0]);
        bool failed = false;
        j->argv[0] = pw_strdup("/nonexistent/sbatch", &failed);
        if (failed) {
            provider_job_free(j);
        } else if (provider_send(s, j, NULL) == 0) {
            PW_AUTO(provider_job_freep) provider_job *a = answer(c);
            ok(a && !a->good && (strstr(a->text, "not found") || strstr(a->text, "memory")),
               "a program that is not there: %s", a ? a->text : "");
        }
    }
    /* eight that wait are eight at the same time, and the end of the service ends them */
    for (int i = 0; i < 12; i++)
        if ((j = job("exec sleep 60", 60000000)))
            (void)provider_send(s, j, NULL);
    pw_usec began = pw_now(&pw_host_real);
    provider_stop(s);
    ok(pw_now(&pw_host_real) - began < 20000000, "the end of the service is not waited for");
    while ((j = pw_chan_recv(c)))
        provider_job_free(j);
    pw_chan_free(c);
    return tap_done();
}
