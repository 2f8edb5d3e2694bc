#include "worker/run/sparse.h"

#include <string.h>

/* The next part of a path, of `n` bytes; NULL behind the last. Blind to "//", "/" at the end and
 * "." parts. */
static const char *part(const char **path, size_t *n)
{
    for (;;) {
        *path += strspn(*path, "/");
        const char *p = *path;
        *n = strcspn(p, "/");
        if (!*n)
            return NULL;
        *path += *n;
        if (*n != 1 || *p != '.')
            return p;
    }
}

bool sparse_path_ok(const char *path)
{
    size_t n, parts = 0;
    if (*path == '/')
        return false;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < ' ')
            return false;
    for (const char *p; (p = part(&path, &n)); parts++)
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
    return parts > 0;
}

/* Whether `a` is `b`, or a folder above it; depth: how many parts `a` has, at most. */
static bool covers(const char *a, const char *b, size_t depth)
{
    size_t n, m;
    const char *p, *q;
    for (size_t i = 0; i < depth && (p = part(&a, &n)); i++)
        if (!(q = part(&b, &m)) || m != n || memcmp(p, q, n) != 0)
            return false;
    return true;
}

/* The first `depth` parts of the path, as a folder. */
static void add(pw_buf *out, const char *before, const char *path, size_t depth, const char *after)
{
    size_t n;
    const char *p;
    (void)pw_buf_addf(out, "%s/", before);
    for (size_t i = 0; i < depth && (p = part(&path, &n)); i++) {
        for (size_t k = 0; k < n; k++)
            (void)pw_buf_addf(out, "%s%c", strchr("\\*?[", p[k]) ? "\\" : "", p[k]);
        (void)pw_buf_addf(out, "/");
    }
    (void)pw_buf_addf(out, "%s\n", after);
}

static size_t parts_of(const char *path)
{
    size_t n, parts = 0;
    while (part(&path, &n))
        parts++;
    return parts;
}

/* A folder that is taken whole with one that is named too, or that is named twice. */
static bool within_another(const char *const *f, size_t n_f, size_t i)
{
    size_t mine = parts_of(f[i]);
    for (size_t k = 0; k < n_f; k++) {
        size_t its = parts_of(f[k]);
        if (k != i && (its < mine || (its == mine && k < i)) && covers(f[k], f[i], its))
            return true;
    }
    return false;
}

/* Whether a folder before this one led through the same. */
static bool known_way(const char *const *f, size_t n_f, size_t i, size_t depth)
{
    for (size_t k = 0; k < i; k++)
        if (!within_another(f, n_f, k) && parts_of(f[k]) > depth && covers(f[i], f[k], depth))
            return true;
    return false;
}

void sparse_patterns(const char *const *f, size_t n_f, pw_buf *out)
{
    (void)pw_buf_addf(out, "/*\n!/*/\n");
    for (size_t i = 0; i < n_f; i++) {
        if (within_another(f, n_f, i))
            continue;
        size_t parts = parts_of(f[i]);
        for (size_t depth = 1; depth < parts; depth++)
            if (!known_way(f, n_f, i, depth)) {
                add(out, "", f[i], depth, "");
                add(out, "!", f[i], depth, "*/");
            }
        add(out, "", f[i], parts, "");
    }
}
