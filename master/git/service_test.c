#include "master/git/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A server that takes connections and never says a word; the fd, owned. */
static int silent(char url[64])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        pw_closep(&fd);
    (void)snprintf(url, 64, "git://127.0.0.1:%u/x", (unsigned)ntohs(a.sin_port));
    return fd;
}

static bool send_poll(fx *f, uint64_t project, const char *repo, uint64_t tag, pw_usec timeout)
{
    git_job *j = fx_job(f, GIT_POLL, repo);

    if (!j)
        return false;
    j->project = project;
    j->tag = tag;
    j->timeout = timeout;
    return git_send(f->service, j, NULL) == 0;
}

static void test_refused(fx *f)
{
    PW_AUTO(git_job_freep) git_job *j = NULL;

    f->project = 1;
    j = fx_ask(f, fx_job(f, GIT_POLL, "/nonexistent/repo.git"));
    ok(j && j->code < 0 && strstr(j->text, "/nonexistent/repo.git") &&
           strstr(j->text, "does not appear to be a git repository"),
       "an absent repository is named");
    git_job_free(j);
    j = fx_ask(f, fx_job(f, GIT_POLL, "--upload-pack=touch /tmp/x"));
    ok(j && j->code == PW_EINVAL && strstr(j->text, "dash"),
       "a repository that looks like an option");
    git_job_free(j);
    j = fx_ask(f, fx_job(f, GIT_POLL, ""));
    ok(j && j->code == PW_EINVAL, "no repository");
    git_job_free(j);
    j = fx_ask(f, fx_job(f, GIT_POLL, "/a\nb"));
    ok(j && j->code == PW_EINVAL, "a control byte");
    git_job_free(j);
    j = fx_ask(f, fx_job(f, GIT_POLL, "ext::sh -c exit% 1"));
    ok(j && j->code < 0 && strstr(j->text, "not allowed"), "a transport that runs commands");
    git_job_free(j);
    j = fx_ask(f, fx_job(f, GIT_POLL, "http://me:s3cret@127.0.0.1:1/x"));
    ok(j && j->code < 0 && strstr(j->text, "http://127.0.0.1:1/x") && !strstr(j->text, "s3cret"),
       "a password is not told");
    git_job_free(j);
    j = fx_ask(f, fx_job(f, (git_kind)9, "/x"));
    ok(j && j->code == PW_EINVAL, "no kind of job");
}

static void test_slow(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "fast");
    PW_AUTO(git_job_freep) git_job *j = NULL;
    char url[64];
    PW_AUTO(pw_closep) int fd = silent(url);
    bool sent = true;

    ok(fd >= 0 && repo && fx_commits(repo, "master", NULL, "m", 1),
       "a slow repository and a fast one");
    f->project = 10;
    j = fx_job(f, GIT_POLL, url);
    if (j)
        j->timeout = 200000;
    j = fx_ask(f, j);
    ok(j && j->code == PW_ETIMEDOUT && strstr(j->text, "no answer in 200ms") &&
           strstr(j->text, url),
       "a deadline");
    git_job_free(j);
    for (uint64_t i = 0; i < 3; i++)
        sent = sent && send_poll(f, 10 + i, url, i, FX_WAIT);
    for (uint64_t i = 0; i < 3; i++) /* behind a slow one, and not counted as others */
        sent = sent && send_poll(f, 10, url, i, FX_WAIT);
    sent = sent && send_poll(f, 20, repo, 100, FX_WAIT);
    ok(sent, "three slow ones, and a fast one behind them");
    j = sent ? pw_chan_recv_wait(f->answers) : NULL;
    ok(j && j->tag == 100 && j->code == 0 && j->n_moved == 1, "the fast one is not delayed");
    pw_usec from = pw_now(&pw_host_real);
    f->service = git_stop(f->service);
    ok(pw_now(&pw_host_real) - from < 20000000, "the end does not wait for the slow ones");
}

static void test_order(fx *f)
{
    PW_AUTO(pw_freep) char *repo = NULL;
    size_t right = 0, told = 0;
    uint64_t next[3] = {0};

    f->service = git_start(f->mirrors, f->answers, NULL);
    ok(f->service != NULL, "a second service");
    for (git_job *j = pw_chan_recv(f->answers); j; j = pw_chan_recv(f->answers))
        git_job_free(j);
    repo = fx_repo(f, "order");
    if (!f->service || !repo || !fx_commits(repo, "master", NULL, "m", 1))
        return;
    for (uint64_t i = 0; i < 30; i++)
        told += send_poll(f, 30 + i % 3, repo, i / 3, FX_WAIT);
    for (size_t i = 0; i < told; i++) {
        git_job *j = pw_chan_recv_wait(f->answers);
        right += j->code == 0 && j->tag == next[j->project - 30]++;
        git_job_free(j);
    }
    ok(told == 30 && right == 30, "the jobs of a repository are done in order");
}

static void test_full(fx *f)
{
    char url[64];
    __attribute__((unused)) PW_AUTO(pw_closep) int fd = silent(url);
    PW_AUTO(git_job_freep) git_job *more = fx_job(f, GIT_POLL, url);
    pw_err err = {0};
    int sent = 0;

    if (!f->service || !more)
        return;
    /* one is worked on, 1,000 wait */
    more->project = 40;
    while (sent < 1010 && send_poll(f, 40, url, 0, FX_WAIT))
        sent++;
    ok(sent == 1000 || sent == 1001, "the queue has an end (%d)", sent);
    ok(git_send(f->service, pw_take(more), &err) == PW_EFULL, "and then says so");
    f->service = git_stop(f->service);
    ok(git_stop(NULL) == NULL, "no service");
    ok(git_start("/dev/null/x", f->answers, &err) == NULL, "no folder");
}

/* Nobody reads the answers: the end must come all the same. */
static void test_unread(fx *f)
{
    pw_chan *narrow = pw_chan_new(1, fx_job_free, NULL);
    git_service *s = narrow ? git_start(f->mirrors, narrow, NULL) : NULL;

    for (uint64_t i = 0; s && i < 6; i++) {
        git_job *j = fx_job(f, GIT_POLL, "-");
        if (!j)
            break;
        j->project = i;
        (void)git_send(s, j, NULL);
    }
    ok(git_stop(s) == NULL, "a channel that is full does not hold the end");
    pw_chan_free(narrow);
}

int main(void)
{
    PW_AUTO(fx_clear) fx f;

    if (!fx_init(&f)) {
        ok(false, "a scratch folder and a service");
        return tap_done();
    }
    test_refused(&f);
    test_slow(&f);
    test_order(&f);
    test_full(&f);
    test_unread(&f);
    return tap_done();
}
