#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/try.h"

enum { URL_LONGEST = 4096 };

/* HOST[:PORT]/PATH or, as scp has it, HOST:PATH; what stands before it is left out. */
static int remote_key(const char *s, bool scp, pw_buf *b)
{
    const char *end = s + strcspn(s, scp ? ":" : "/");
    const char *at = memrchr(s, '@', (size_t)(end - s));
    size_t host = strcspn(at ? at + 1 : s, scp ? ":" : ":/");
    for (size_t i = 0; i < host; i++) {
        char c = (char)tolower((unsigned char)(at ? at + 1 : s)[i]);
        (void)pw_buf_add(b, &c, 1);
    }
    (void)pw_buf_adds(b, "/");
    end += *end != '\0';
    return pw_buf_adds(b, end + strspn(end, "/"));
}

int try_url_key(const char *url, pw_buf *ret)
{
    const char *scheme = strstr(url, "://"), *colon = strchr(url, ':'), *slash = strchr(url, '/');
    size_t from = ret->len;
    if (strncmp(url, "file://", 7) == 0)
        url += 7;
    else if (scheme)
        (void)remote_key(scheme + 3, false, ret);
    else if (colon && (!slash || colon < slash))
        (void)remote_key(url, true, ret);
    if (ret->len == from && !ret->failed) { /* a path, as this machine has it */
        PW_AUTO(pw_freep) char *real = realpath(url, NULL);
        (void)pw_buf_adds(ret, real ? real : url);
    }
    while (ret->len > from && ret->p[ret->len - 1] == '/')
        ret->p[--ret->len] = '\0';
    if (ret->len > from + 4 && memcmp(ret->p + ret->len - 4, ".git", 4) == 0)
        ret->p[ret->len -= 4] = '\0';
    return ret->failed ? PW_ENOMEM : 0;
}

static bool same(const char *a, const char *b)
{
    PW_AUTO(pw_buf_clearp) pw_buf x = PW_BUF(URL_LONGEST);
    PW_AUTO(pw_buf_clearp) pw_buf y = PW_BUF(URL_LONGEST);
    return try_url_key(a, &x) == 0 && try_url_key(b, &y) == 0 && x.len && x.len == y.len &&
           memcmp(x.p, y.p, x.len) == 0;
}

int try_project(const json_value *projects, const char *const *urls, const char **ret,
                size_t *ret_url, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf names = PW_BUF(300);
    const char *found = NULL;
    size_t n = 0, url = 0;
    for (size_t i = 0; i < json_count(projects); i++) {
        const json_value *p = json_at(projects, i);
        const char *repository = json_str(json_get(p, "repository"), NULL);
        const char *name = json_str(json_get(p, "name"), "?");
        for (size_t k = 0; repository && urls[k]; k++) {
            if (!same(repository, urls[k]))
                continue;
            (void)pw_buf_addf(&names, "%s%s", n++ ? ", " : "", name);
            found = name;
            url = k;
            break;
        }
    }
    if (n > 1)
        return pw_fail(err, PW_ECONFLICT,
                       "several projects are of this repository: say which with --project: %s",
                       pw_buf_str(&names));
    if (!n)
        return pw_fail(err, PW_ENOTFOUND,
                       "no project of the master is of a remote of this work tree: name one with "
                       "--project, and what to build upon with --base");
    *ret = found;
    *ret_url = url;
    return 0;
}
