#include "worker/isolate/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/num.h"

enum { NOBODY = 65534, ENTRY_BYTES = 16384 };

static const char *const names[ISO_KINDS] = {"none", "user", "bwrap", "podman"};

const char *iso_kind_name(iso_kind k)
{
    return names[k];
}

bool iso_kind_parse(const char *word, iso_kind *ret)
{
    for (int i = 0; i < ISO_KINDS; i++)
        if (strcmp(word, names[i]) == 0) {
            *ret = (iso_kind)i;
            return true;
        }
    return false;
}

bool iso_parse(const char *text, iso_kind *ret, const char **ret_image)
{
    static const char podman[] = "podman:";
    enum { N = sizeof(podman) - 1 };
    iso_kind k;
    if (strncmp(text, podman, N) == 0) {
        /* it becomes an argument: neither an option nor two words */
        size_t n = strlen(text + N);
        if (n == 0 || n > ISO_IMAGE_MAX || text[N] == '-')
            return false;
        for (const char *p = text + N; *p; p++)
            if (*p <= ' ' || *p > '~')
                return false;
        *ret = ISO_PODMAN;
        *ret_image = text + N;
        return true;
    }
    if (!iso_kind_parse(text, &k) || k == ISO_PODMAN)
        return false;
    *ret = k;
    *ret_image = NULL;
    return true;
}

/* ---- lists */

size_t iso_list_len(char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

int iso_list_add(char ***list, const char *text, pw_err *err)
{
    size_t n = iso_list_len(*list);
    char **v = realloc(*list, (n + 2) * sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *list = v;
    v[n + 1] = NULL;
    v[n] = strdup(text);
    return v[n] ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

void iso_list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void iso_host_clear(iso_host *h)
{
    for (size_t i = 0; i < h->n_users; i++)
        free(h->users[i].name);
    free(h->users);
    iso_list_free(h->hide);
    iso_list_free(h->show);
    iso_list_free(h->podman);
    *h = (iso_host){0};
}

/* ---- users */

int iso_user_add(iso_host *h, uid_t uid, gid_t gid, const char *name, pw_err *err)
{
    if (h->n_users == ISO_USERS_MAX)
        return pw_fail(err, PW_ELIMIT, "more than %d users", ISO_USERS_MAX);
    /* all that runs under it is killed: it must be nobody else's */
    if (uid < ISO_UID_MIN || uid == NOBODY || uid == (uid_t)-1 || uid == geteuid())
        return pw_fail(err, PW_EINVAL,
                       "user \"%.60s\" (%u) is used by the system or the agent itself; make users "
                       "for jobs alone",
                       name, (unsigned)uid);
    for (size_t i = 0; i < h->n_users; i++)
        if (h->users[i].uid == uid)
            return pw_fail(err, PW_EINVAL, "user %u stands there twice", (unsigned)uid);
    iso_user *v = realloc(h->users, (h->n_users + 1) * sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    h->users = v;
    v[h->n_users] = (iso_user){uid, gid, strdup(name)};
    if (!v[h->n_users].name)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    h->n_users++;
    return 0;
}

bool iso_number(const char *s, size_t n, uint64_t *ret)
{
    char text[16];
    if (n == 0 || n >= sizeof(text))
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    return pw_parse_u64(text, ret, NULL) == 0 && *ret < UINT32_MAX;
}

int iso_user_parse(iso_host *h, const char *text, pw_err *err)
{
    const char *a = strchr(text, ':'), *b = a ? strchr(a + 1, ':') : NULL;
    uint64_t uid, gid;
    if (!b || !iso_number(text, (size_t)(a - text), &uid) ||
        !iso_number(a + 1, (size_t)(b - a) - 1, &gid) || !b[1])
        return pw_fail(err, PW_EINVAL, "\"%.100s\" is not UID:GID:NAME", text);
    return iso_user_add(h, (uid_t)uid, (gid_t)gid, b + 1, err);
}

/* ---- options */

static int option(char ***list, const char *name, const char *value, pw_err *err)
{
    int rc = iso_list_add(list, name, err);
    return rc < 0 ? rc : iso_list_add(list, value, err);
}

static int each_option(char ***list, const char *name, char *const *values, pw_err *err)
{
    int rc = 0;
    for (; values && *values && rc == 0; values++)
        rc = option(list, name, *values, err);
    return rc;
}

int iso_options(const iso_host *h, char ***list, pw_err *err)
{
    char kinds[64];
    size_t n = (size_t)snprintf(kinds, sizeof(kinds), "%s", names[h->first]);
    for (int k = 0; k < ISO_KINDS; k++) /* all four fit */
        if (h->offers[k] && k != (int)h->first)
            n += (size_t)snprintf(kinds + n, sizeof(kinds) - n, ",%s", names[k]);
    int rc = option(list, "--isolation", kinds, err);
    for (size_t i = 0; i < h->n_users && rc == 0; i++) {
        PW_AUTO(pw_freep)
        char *user = pw_strf("%u:%u:%s", (unsigned)h->users[i].uid, (unsigned)h->users[i].gid,
                             h->users[i].name);
        rc = user ? option(list, "--user", user, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    if (rc == 0)
        rc = each_option(list, "--hide", h->hide, err);
    if (rc == 0)
        rc = each_option(list, "--show", h->show, err);
    return rc == 0 ? each_option(list, "--podman", h->podman, err) : rc;
}

/* "none,bwrap": the first is the default. */
static bool read_offers(const char *text, iso_host *h)
{
    char word[16];
    bool first = true;
    h->offers[ISO_NONE] = false;
    while (*text) {
        size_t n = strcspn(text, ",");
        iso_kind k;
        if (n >= sizeof(word))
            return false;
        memcpy(word, text, n);
        word[n] = '\0';
        if (!iso_kind_parse(word, &k))
            return false;
        if (first)
            h->first = k;
        first = false;
        h->offers[k] = true;
        text += n + (text[n] == ',');
    }
    return !first;
}

bool iso_option(iso_host *h, const char *name, const char *value)
{
    if (strcmp(name, "--isolation") == 0)
        return read_offers(value, h);
    if (strcmp(name, "--user") == 0)
        return iso_user_parse(h, value, NULL) == 0;
    if (strcmp(name, "--hide") == 0)
        return iso_list_add(&h->hide, value, NULL) == 0;
    if (strcmp(name, "--show") == 0)
        return iso_list_add(&h->show, value, NULL) == 0;
    return strcmp(name, "--podman") == 0 && iso_list_add(&h->podman, value, NULL) == 0;
}
