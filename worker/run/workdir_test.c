#include "worker/run/workdir.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

static bool names(const char *name, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    return workdir_name(name, &b) == 0 && strcmp(pw_buf_str(&b), want) == 0;
}

static void test_names(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1000);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    char longer[400];
    ok(names("fast", "fast") && names("a.b_c-d+e=f,g@h", "a.b_c-d+e=f,g@h"), "plain names stay");
    ok(names("slow[cc=gcc,shard=1/2]", "slow%5Bcc=gcc,shard=1%2F2%5D"), "brackets and slash");
    ok(names("..", "%2E.") && names(".git", "%2Egit") && names("", "%"),
       "dots in front and nothing");
    ok(names("50%", "50%25") && names("\xc3\xa4 b\n", "%C3%A4%20b%0A"), "percent and bytes");
    memset(longer, '/', 399);
    longer[399] = '\0';
    (void)workdir_name(longer, &a);
    longer[398] = 'x';
    (void)workdir_name(longer, &b);
    ok(a.len <= WORKDIR_NAME_MAX && b.len <= WORKDIR_NAME_MAX, "long names fit into a file name");
    ok(a.len && b.len && strcmp(pw_buf_str(&a), pw_buf_str(&b)) != 0, "and stay different");
}

static void test_take(const char *spool)
{
    PW_AUTO(pw_freep) char *one = NULL;
    PW_AUTO(pw_freep) char *two = NULL;
    PW_AUTO(pw_freep) char *again = NULL;
    PW_AUTO(pw_freep) char *want = pw_strf("%s/work/p/a%%2Fb/1", spool);
    PW_AUTO(pw_closep) int a = workdir_take(spool, "p", "a/b", false, 1, &one, NULL);
    PW_AUTO(pw_closep) int b = workdir_take(spool, "p", "a/b", false, 1, &two, NULL);
    ok(a >= 0 && b >= 0 && want && one && strcmp(one, want) == 0 && access(one, W_OK) == 0,
       "the first is 1");
    ok(two && strcmp(two + strlen(two) - 2, "/2") == 0, "the second is 2");
    pw_closep(&a);
    PW_AUTO(pw_closep) int c = workdir_take(spool, "p", "a/b", false, 1, &again, NULL);
    ok(c >= 0 && again && one && strcmp(again, one) == 0, "a free one is used again, lowest first");
}

static void test_links(const char *spool)
{
    struct stat st;
    pw_err err = {0};
    PW_AUTO(pw_freep) char *one = NULL;
    PW_AUTO(pw_freep) char *again = NULL;
    PW_AUTO(pw_freep) char *base = pw_strf("%s/work/p/links", spool);
    PW_AUTO(pw_closep) int a = workdir_take(spool, "p", "links", false, 1, &one, NULL);
    pw_closep(&a);
    ok(one && rmdir(one) == 0 && symlink("/", one) == 0, "a job puts a link in its place");
    PW_AUTO(pw_closep) int b = workdir_take(spool, "p", "links", false, 1, &again, NULL);
    ok(b >= 0 && again && lstat(again, &st) == 0 && S_ISDIR(st.st_mode), "it is a folder again");
    pw_closep(&b);
    pw_freep(&again);
    PW_AUTO(pw_freep) char *moved = pw_strf("%s.moved", base ? base : "");
    ok(base && moved && rename(base, moved) == 0 && symlink(moved, base) == 0,
       "or moves all of its builder's away");
    PW_AUTO(pw_closep) int c = workdir_take(spool, "p", "links", false, 1, &again, &err);
    ok(c == PW_ECONFLICT && strstr(err.text, "work/p/links"), "refused, naming it: %s", err.text);
}

static void test_tmp(const char *spool)
{
    struct stat st;
    PW_AUTO(pw_freep) char *work = pw_strf("%s/w", spool);
    PW_AUTO(pw_freep) char *dir = work ? workdir_tmp(work, NULL) : NULL;
    PW_AUTO(pw_freep) char *inside = dir ? pw_strf("%s/x/y", dir) : NULL;
    ok(dir && stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700, "TMPDIR is private");
    ok(inside && pw_fs_mkdirs(inside, 0755, NULL) == 0, "something in it");
    PW_AUTO(pw_freep) char *again = work ? workdir_tmp(work, NULL) : NULL;
    ok(again && inside && access(inside, F_OK) < 0, "what a dead runner left is gone");
    ok(inside && pw_fs_mkdirs(inside, 0755, NULL) == 0 && workdir_tmp_empty(dir, NULL) == 0 &&
           access(inside, F_OK) < 0 && access(dir, F_OK) == 0,
       "emptied, kept");
    ok(dir && workdir_tmp_empty(dir, NULL) == 0, "and once more");
    ok(dir && rmdir(dir) == 0 && symlink("/", dir) == 0 && workdir_tmp_empty(dir, NULL) == 0 &&
           lstat(dir, &st) == 0 && S_ISDIR(st.st_mode),
       "a link put in its place is replaced, not followed");
}

int main(void)
{
    char spool[] = "/tmp/pawl-workdir-test.XXXXXX";
    if (!mkdtemp(spool))
        return 1;
    test_names();
    test_take(spool);
    test_links(spool);
    test_tmp(spool);
    (void)pw_fs_remove_tree(spool, NULL);
    return tap_done();
}
