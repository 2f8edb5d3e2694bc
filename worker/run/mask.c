/* mask.c - the search. Values are cut into pieces of at most MASK_PIECE bytes, so that looking at
 * one place costs little whatever a value holds. A table of byte pairs tells how far the search may
 * jump (Wu and Manber: where the third and fourth byte from here are a pair of no piece's first
 * four, none begins here); what it does not exclude is looked up by a hash of its first four bytes.
 */
#include "worker/run/mask.h"

#include <stdlib.h>
#include <string.h>

#include "worker/run/mask_forms.h"

enum {
    WINDOW = MASK_MIN, /* bytes of each piece that the tables know */
    PAIRS = 65536,
    HASH_BITS = 16,
    BUCKETS = 4096,
    BUCKET_SHIFT = 4, /* from hash to bucket */
    FOLDS_MIN = 16,   /* shorter base64 is not looked for across line breaks */
    FOLD_STARTS = 4,  /* a break may stand before any of the first four characters of a piece */
};

typedef struct piece {
    const uint8_t *p; /* into a form of the set */
    uint32_t n;
    uint32_t next; /* of its bucket, + 1; 0: the last */
    bool folds;
} piece;

typedef struct form {
    uint8_t *p; /* owned */
    size_t n;
} form;

_Static_assert(BUCKETS == 1 << (HASH_BITS - BUCKET_SHIFT) && PAIRS == 1 << HASH_BITS,
               "the tables below");

typedef struct tables {
    uint8_t jump[PAIRS];      /* by the third and fourth byte: 0 to 3 */
    uint8_t pair[PAIRS / 8];  /* bits: pairs that a piece begins with */
    uint8_t byte[256 / 8];    /* and single bytes */
    uint8_t seen[PAIRS / 8];  /* and hashes of four bytes */
    uint32_t bucket[BUCKETS]; /* first piece + 1 */
} tables;

struct mask_set {
    tables *t; /* owned; NULL: nothing is masked */
    form *form;
    size_t n_forms, cap_forms;
    piece *piece;
    size_t n_pieces, cap_pieces;
    size_t added; /* by lines */
};

static const char marker[] = "::add-mask::";
enum { MARKER = sizeof(marker) - 1 };

mask_set *mask_set_new(pw_err *err)
{
    mask_set *self = calloc(1, sizeof(*self));
    if (!self)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return self;
}

mask_set *mask_set_free(mask_set *self)
{
    if (!self)
        return NULL;
    for (size_t i = 0; i < self->n_forms; i++) {
        explicit_bzero(self->form[i].p, self->form[i].n);
        free(self->form[i].p);
    }
    free(self->form);
    free(self->piece);
    free(self->t);
    free(self);
    return NULL;
}

bool mask_set_empty(const mask_set *self)
{
    return self->n_pieces == 0;
}

/* ---- adding */

static inline unsigned hash4(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v * 0x9e3779b1U >> (32 - HASH_BITS);
}

static inline bool bit(const uint8_t *bits, unsigned at)
{
    return bits[at / 8] >> (at % 8) & 1;
}

static void set_bit(uint8_t *bits, unsigned at)
{
    bits[at / 8] = (uint8_t)(bits[at / 8] | 1 << (at % 8));
}

static void *grow(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    size_t want = *cap ? 2 * *cap : 64;
    void *more = reallocarray(v, want, size);
    if (more)
        *cap = want;
    return more;
}

static int add_piece(mask_set *self, const uint8_t *p, size_t n, bool folds, pw_err *err)
{
    uint32_t *bucket = &self->t->bucket[hash4(p) >> BUCKET_SHIFT];
    for (uint32_t at = *bucket; at; at = self->piece[at - 1].next) {
        const piece *old = &self->piece[at - 1];
        if (old->n == n && old->folds == folds && memcmp(old->p, p, n) == 0)
            return 0;
    }
    piece *more = grow(self->piece, self->n_pieces, &self->cap_pieces, sizeof(*more));
    if (!more)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    self->piece = more;
    more[self->n_pieces++] = (piece){.p = p, .n = (uint32_t)n, .next = *bucket, .folds = folds};
    *bucket = (uint32_t)self->n_pieces;
    /* with these as its third and fourth byte a piece begins so many bytes later */
    for (unsigned k = 0; k + 1 < WINDOW; k++) {
        uint8_t *jump = &self->t->jump[p[k] << 8 | p[k + 1]], by = (uint8_t)(WINDOW - 2 - k);
        if (*jump > by)
            *jump = by;
    }
    set_bit(self->t->seen, hash4(p));
    set_bit(self->t->byte, p[0]);
    set_bit(self->t->pair, (unsigned)(p[0] << 8 | p[1]));
    return 0;
}

/* A long form as pieces that cover it; the last one overlaps the one before. */
static int add_pieces(mask_set *self, const uint8_t *p, size_t n, bool folds, pw_err *err)
{
    int rc = 0;
    folds = folds && n >= FOLDS_MIN;
    for (size_t at = 0, done = 0; done < n && rc == 0; at += MASK_PIECE) {
        if (at + MASK_PIECE > n)
            at = n > MASK_PIECE ? n - MASK_PIECE : 0;
        size_t len = n - at < MASK_PIECE ? n - at : MASK_PIECE;
        for (size_t k = 0; k < (folds ? FOLD_STARTS : 1) && rc == 0; k++)
            rc = add_piece(self, p + at + k, len - k, folds, err);
        done = at + len;
    }
    return rc;
}

static int add_form(void *self_, const uint8_t *p, size_t n, bool folds, pw_err *err)
{
    mask_set *self = self_;
    if (n < MASK_MIN)
        return 0;
    for (size_t i = 0; i < self->n_forms; i++)
        if (self->form[i].n == n && memcmp(self->form[i].p, p, n) == 0)
            return folds ? add_pieces(self, self->form[i].p, n, true, err) : 0;
    form *more = grow(self->form, self->n_forms, &self->cap_forms, sizeof(*more));
    if (!more)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    self->form = more;
    uint8_t *copy = malloc(n);
    if (!copy)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    memcpy(copy, p, n);
    self->form[self->n_forms++] = (form){copy, n};
    return add_pieces(self, copy, n, folds, err);
}

int mask_set_add(mask_set *self, const void *value, size_t n, pw_err *err)
{
    if (n < MASK_MIN)
        return pw_fail(err, PW_EINVAL, "a value of less than %d bytes cannot be masked", MASK_MIN);
    if (!self->t) {
        self->t = calloc(1, sizeof(*self->t));
        if (!self->t)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        memset(self->t->jump, WINDOW - 1, sizeof(self->t->jump));
    }
    return mask_forms(value, n, add_form, self, err);
}

/* ---- looking at one place */

/* Bytes of a line break at p, 0: none. */
static size_t line_break(const uint8_t *p, size_t n)
{
    if (n && *p == '\n')
        return 1;
    return n > 1 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/* Where the piece ends in p[0..n); 0: not here. *live: all of p fits, and the piece is longer. */
static size_t folded(const piece *x, const uint8_t *p, size_t n, bool *live)
{
    size_t at = 0;
    for (size_t k = 0; k < x->n; k++) {
        if (k) {
            at += line_break(p + at, n - at);
            if (n - at == 1 && p[at] == '\r')
                at = n; /* half a break */
        }
        if (at == n) {
            *live = true;
            return 0;
        }
        if (p[at++] != x->p[k])
            return 0;
    }
    return at;
}

static size_t look(const mask_set *set, const uint8_t *p, size_t n, bool *live)
{
    size_t best = 0;
    for (uint32_t at = set->t->bucket[hash4(p) >> BUCKET_SHIFT]; at; at = set->piece[at - 1].next) {
        const piece *x = &set->piece[at - 1];
        size_t len = 0;
        if (x->folds)
            len = folded(x, p, n, live);
        else if (memcmp(x->p, p, x->n < n ? x->n : n) != 0)
            continue;
        else if (x->n > n)
            *live = true;
        else
            len = x->n;
        if (len > best)
            best = len;
    }
    return best;
}

/* Whether the last one to three bytes are what a piece begins with. */
static bool may_begin(const mask_set *set, const uint8_t *p, size_t n)
{
    if (!bit(set->t->byte, p[0]))
        return false;
    if (n == 1)
        return true;
    if (!bit(set->t->pair, (unsigned)(p[0] << 8 | p[1])))
        return false;
    for (size_t i = 0; n > 2 && i < set->n_pieces; i++)
        if (memcmp(set->piece[i].p, p, n) == 0)
            return true;
    return n == 2;
}

/* ---- masking */

static bool ends_line(uint8_t c)
{
    return c == '\n' || c == '\r';
}

typedef struct work {
    mask_stream *s;
    mask_set *set;
    uint8_t *p;
    size_t out;    /* bytes that are done */
    size_t from;   /* bytes before are done or covered */
    bool run;      /* a run of covered bytes is open */
    bool written;  /* and its *** stands already */
    size_t rs, re; /* where it begins and ends */
} work;

static void copy_to(work *w, size_t to)
{
    if (to <= w->from)
        return;
    if (w->out != w->from)
        memmove(w->p + w->out, w->p + w->from, to - w->from);
    w->out += to - w->from;
    w->from = to;
}

/* Bytes of the run are not looked at any more, or there are three of them behind us. */
static void write_run(work *w)
{
    copy_to(w, w->rs);
    if (!w->written) {
        memset(w->p + w->out, '*', 3);
        w->out += 3;
    }
    w->written = true;
    if (w->from < w->re)
        w->from = w->re;
}

static void cover(work *w, size_t from, size_t to)
{
    if (w->run && from <= w->re) {
        if (to > w->re)
            w->re = to;
        return;
    }
    if (w->run)
        write_run(w);
    w->run = true;
    w->written = false;
    w->rs = from;
    w->re = to;
}

/* Marks what is covered in [i, n). Returns the first byte from which on more output decides; n:
 * none. */
static size_t search(work *w, size_t i, size_t n, bool last)
{
    const uint8_t *p = w->p;
    const mask_set *set = w->set;
    const uint8_t *jump = set->t->jump;
    while (i + WINDOW <= n) {
        unsigned by = jump[p[i + 2] << 8 | p[i + 3]];
        if (by) {
            i += by;
            continue;
        }
        if (bit(set->t->seen, hash4(p + i))) {
            bool live = false;
            size_t len = look(set, p + i, n - i, &live);
            if (live && !last)
                return i;
            if (len)
                cover(w, i, i + len);
        }
        i++;
    }
    for (; i < n && !last; i++)
        if (may_begin(set, p + i, n - i))
            return i;
    return n;
}

/* p[i..n) without ::add-mask:: lines. Gives out what is decided; returns where the rest begins. */
static size_t segment(work *w, size_t i, size_t n, bool last)
{
    mask_stream *s = w->s;
    w->from = w->rs = i;
    w->run = w->written = s->run;
    w->re = i + s->cover;
    size_t hold = w->set->t ? search(w, i, n, last) : n;
    if (w->run && !w->written && w->re > hold && hold - w->rs < 3) {
        /* no room for *** before the held bytes: the run is found again */
        hold = w->rs;
        w->run = false;
    }
    if (hold > i) /* looked at before the *** may be written over it */
        s->mid_line = !ends_line(w->p[hold - 1]);
    if (w->run)
        write_run(w);
    s->run = w->run && w->re >= hold && !last;
    s->cover = s->run ? w->re - hold : 0;
    copy_to(w, hold);
    return hold;
}

/* ---- ::add-mask:: */

/* The next marker at the beginning of a line in p[i..n); n: none. mid: p[i] is not the first byte
 * of its line. */
static size_t find_marker(const uint8_t *p, size_t i, size_t n, bool mid)
{
    for (size_t at = i; at < n;) {
        const uint8_t *hit = memmem(p + at, n - at, marker, MARKER);
        if (!hit)
            break;
        at = (size_t)(hit - p);
        if (at == i ? !mid : ends_line(p[at - 1]))
            return at;
        at++;
    }
    return n;
}

/* Where the beginning of a marker stands at the end of p[i..n); n: none does. */
static size_t find_half(const uint8_t *p, size_t i, size_t n, bool mid)
{
    size_t most = n - i < MARKER - 1 ? n - i : MARKER - 1;
    for (size_t k = most; k; k--) {
        size_t at = n - k;
        if ((at == i ? !mid : ends_line(p[at - 1])) && memcmp(p + at, marker, k) == 0)
            return at;
    }
    return n;
}

static unsigned hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - 48U : c >= 'A' && c <= 'F' ? c - 55U : 99;
}

/* %25 %0D %0A as GitHub's runner knows them; others stay. In place. */
static size_t unescape(uint8_t *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n; out++) {
        unsigned c = p[i] == '%' && n - i > 2 ? hex(p[i + 1]) * 16 + hex(p[i + 2]) : 0;
        bool known = c == '%' || c == '\r' || c == '\n';
        p[out] = known ? (uint8_t)c : p[i];
        i += known ? 3 : 1;
    }
    return out;
}

static void put_marker(work *w, bool stars)
{
    memcpy(w->p + w->out, marker, MARKER); /* it moves towards the front, or stays */
    w->out += MARKER;
    if (stars)
        memset(w->p + w->out, '*', 3);
    w->out += stars ? 3 : 0;
}

/* The value p[from..to) of a whole line. Memory that runs out keeps it masked here and nowhere
 * else, so it is told. */
static void add_value(work *w, size_t from, size_t to)
{
    if (to - from < MASK_MIN) {
        w->s->trouble = MASK_SHORT;
        put_marker(w, false);
        w->from = from;
        copy_to(w, to);
        return;
    }
    size_t n = unescape(w->p + from, to - from);
    if (n < MASK_MIN)
        w->s->trouble = MASK_SHORT;
    else if (w->set->added == MASK_ADDED_MAX || mask_set_add(w->set, w->p + from, n, NULL) < 0)
        w->s->trouble = MASK_MANY;
    else
        w->set->added++;
    put_marker(w, true);
}

static size_t line_end(const uint8_t *p, size_t i, size_t n)
{
    while (i < n && !ends_line(p[i]))
        i++;
    return i;
}

/* The line that begins with a marker at i. Returns where its end is, or i when it is to be held. */
static size_t marker_line(work *w, size_t i, size_t n, bool last)
{
    size_t value = i + MARKER, eol = line_end(w->p, value, n);
    if (eol - value > MASK_LINE_MAX) {
        w->s->trouble = MASK_LONG;
        w->s->swallow = true;
        put_marker(w, true);
        return eol;
    }
    if (eol == n && !last)
        return i;
    add_value(w, value, eol);
    return eol;
}

size_t mask_feed(mask_stream *s, mask_set *set, uint8_t *p, size_t held, size_t n, bool end,
                 size_t *ret_held)
{
    work w = {.s = s, .set = set, .p = p};
    size_t i = 0, hold;
    n += held;
    for (;;) {
        if (s->swallow) {
            i = line_end(p, i, n);
            s->swallow = i == n;
        }
        size_t at = find_marker(p, i, n, s->mid_line);
        bool found = at < n;
        if (!found && !end)
            at = find_half(p, i, n, s->mid_line);
        hold = segment(&w, i, at, found || end);
        if (!found || (i = marker_line(&w, at, n, end)) == at)
            break;
        s->mid_line = true; /* its value is behind us, its end is not */
    }
    if (end)
        *s = (mask_stream){.trouble = s->trouble};
    memmove(p + w.out, p + hold, n - hold);
    *ret_held = n - hold;
    return w.out;
}

void mask_text(mask_set *set, char *text)
{
    mask_stream s = {0};
    size_t held;
    text[mask_feed(&s, set, (uint8_t *)text, 0, strlen(text), true, &held)] = '\0';
}
