/* mask_ref.h - for the test and the fuzzer of mask.c: the same rule in the slowest and plainest
 * way, on the whole output at once. */
#ifndef PW_WORKER_RUN_MASK_REF_H
#define PW_WORKER_RUN_MASK_REF_H
#include <stdlib.h>
#include <string.h>

#include "worker/run/mask.h"
#include "worker/run/mask_forms.h"

enum { REF_MAX = 20000 };
typedef struct ref_form {
    uint8_t *p; /* owned */
    size_t n;
    bool folds;
} ref_form;
typedef struct ref_set {
    ref_form v[REF_MAX];
    size_t n;
    size_t added;
} ref_set;

static inline int ref_form_add(void *self, const uint8_t *p, size_t n, bool folds, pw_err *err)
{
    ref_set *r = self;
    (void)err;
    if (n < MASK_MIN)
        return 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].n == n && r->v[i].folds == folds && memcmp(r->v[i].p, p, n) == 0)
            return 0;
    if (r->n == REF_MAX)
        abort();
    uint8_t *copy = malloc(n);
    if (!copy)
        abort();
    memcpy(copy, p, n);
    r->v[r->n++] = (ref_form){copy, n, folds && n >= 16};
    return 0;
}

static inline void ref_add(ref_set *r, const void *value, size_t n)
{
    (void)mask_forms(value, n, ref_form_add, r, NULL);
}

static inline void ref_clear(ref_set *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].p);
    r->n = r->added = 0;
}

/* How many bytes of text the form takes, line breaks inside allowed if it folds; 0: it is not
 * there.
 */
static inline size_t ref_match(const uint8_t *form, size_t m, bool folds, const uint8_t *text,
                               size_t n)
{
    size_t at = 0;
    for (size_t k = 0; k < m; k++) {
        if (k && folds && at < n && text[at] == '\n')
            at++;
        else if (k && folds && at + 1 < n && text[at] == '\r' && text[at + 1] == '\n')
            at += 2;
        if (at >= n || text[at] != form[k])
            return 0;
        at++;
    }
    return at;
}

static inline void ref_try(const uint8_t *piece, size_t m, bool folds, const uint8_t *text,
                           size_t n, bool *covered)
{
    for (size_t i = 0; i < n; i++) {
        if (m >= MASK_MIN && n - i >= MASK_MIN && piece[0] == text[i] &&
            memcmp(piece, text + i, MASK_MIN) == 0) {
            size_t len = ref_match(piece, m, folds, text + i, n - i);
            if (len)
                memset(covered + i, true, len);
        }
    }
}

/* A long form is looked for in pieces, which may stand alone. */
static inline void ref_cover(const ref_form *f, const uint8_t *text, size_t n, bool *covered)
{
    for (size_t at = 0; at < f->n; at += MASK_PIECE) {
        size_t from = at, m = f->n < MASK_PIECE ? f->n : MASK_PIECE;
        if (from + m > f->n)
            from = f->n - m;
        for (size_t k = 0; k < (f->folds ? 4 : 1); k++)
            ref_try(f->p + from + k, m - k, f->folds, text, n, covered);
    }
}

static inline size_t ref_segment(const ref_set *r, const uint8_t *text, size_t n, uint8_t *out)
{
    bool *covered = calloc(n + 1, 1);
    size_t k = 0;
    if (!covered)
        abort();
    for (size_t i = 0; i < r->n; i++)
        ref_cover(&r->v[i], text, n, covered);
    for (size_t i = 0; i < n; i++) {
        if (!covered[i])
            out[k++] = text[i];
        else if (i == 0 || !covered[i - 1]) {
            memcpy(out + k, "***", 3);
            k += 3;
        }
    }
    free(covered);
    return k;
}

static inline size_t ref_unescape(const uint8_t *p, size_t n, uint8_t *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        bool three = n - i > 2;
        if (three && (memcmp(p + i, "%25", 3) == 0 || memcmp(p + i, "%0D", 3) == 0 ||
                      memcmp(p + i, "%0A", 3) == 0)) {
            out[k++] = p[i + 1] == '2' ? '%' : p[i + 2] == 'D' ? '\r' : '\n';
            i += 2;
        } else {
            out[k++] = p[i];
        }
    }
    return k;
}

/* What the whole output looks like; out has room for n + 16 bytes. Values of ::add-mask:: lines go
 * into the set. */
static inline size_t ref_mask(ref_set *r, const uint8_t *text, size_t n, uint8_t *out)
{
    static const char mark[] = "::add-mask::";
    size_t from = 0, k = 0, m = sizeof(mark) - 1;
    bool start = true;
    for (size_t i = 0; i < n; i++) {
        if (start && n - i >= m && memcmp(text + i, mark, m) == 0) {
            size_t end = i + m;
            while (end < n && text[end] != '\n' && text[end] != '\r')
                end++;
            size_t len = end - i - m;
            uint8_t *value = malloc(len + 1);
            if (!value)
                abort();
            k += ref_segment(r, text + from, i - from, out + k);
            size_t plain = ref_unescape(text + i + m, len, value);
            memcpy(out + k, mark, m);
            k += m;
            if (len < MASK_MIN)
                memcpy(out + k, text + i + m, len);
            else
                memcpy(out + k, "***", 3);
            k += len < MASK_MIN ? len : 3;
            if (len <= MASK_LINE_MAX && plain >= MASK_MIN && r->added < MASK_ADDED_MAX) {
                ref_add(r, value, plain);
                r->added++;
            }
            free(value);
            from = i = end;
            if (i == n)
                break;
        }
        start = text[i] == '\n' || text[i] == '\r';
    }
    return k + ref_segment(r, text + from, n - from, out + k);
}
#endif
