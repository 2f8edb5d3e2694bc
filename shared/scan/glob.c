#include "shared/scan/glob.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/scan/regex.h"

enum {
    ITEMS_MAX = 1000,
    ITEM_MAX = 1000,       /* bytes of one item */
    NAME_MAX_BYTES = 8192, /* longer names match nothing; a path on Linux has 4,096 at most */
};

enum tok_type {
    TOK_BYTE,
    TOK_ONE,  /* `?`: the first byte of a character, but not `byte` (the slash in a path) */
    TOK_SET,  /* `[...]` */
    TOK_CONT, /* any further bytes of the character that TOK_ONE or TOK_SET began */
    TOK_STAR, /* any bytes but slashes */
    TOK_ANY,  /* any bytes */
    TOK_DIRS, /* nothing, or any bytes up to a slash, with it */
};

struct tok {
    uint8_t type;
    uint8_t byte;
    uint16_t set; /* index into the item's sets */
};

struct byte_set {
    uint64_t bits[4];
};

struct item {
    bool exclude;
    regex *re;             /* owned; NULL for a glob */
    struct tok *toks;      /* owned; n_toks of them */
    struct byte_set *sets; /* owned */
    size_t n_toks, n_sets;
    size_t n_plain; /* the first so many tokens are plain bytes */
};

struct glob_list {
    struct item *items; /* owned */
    size_t n;
    bool only_excludes;
};

/* One item while it is read. */
struct reader {
    glob_kind kind;
    size_t number; /* of the item, from 1 */
    const char *text;
    size_t at; /* byte position, from 0 */
    struct item *it;
};

static int reader_fail(const struct reader *r, size_t at, const char *what, pw_err *err)
{
    return pw_fail(err, PW_EINVAL, "item %zu \"%.200s\", position %zu: %s", r->number, r->text,
                   at + 1, what);
}

static bool set_has(const struct byte_set *s, uint8_t c)
{
    return s->bits[c >> 6] >> (c & 63) & 1;
}

static void set_add(struct byte_set *s, uint8_t c)
{
    s->bits[c >> 6] |= UINT64_C(1) << (c & 63);
}

static void add_tok(struct item *it, enum tok_type type, uint8_t byte)
{
    it->toks[it->n_toks++] = (struct tok){.type = (uint8_t)type, .byte = byte};
}

/* One member of a class, an escape resolved. */
static int set_member(struct reader *r, uint8_t *ret_c, pw_err *err)
{
    uint8_t c = (uint8_t)r->text[r->at];
    if (c == '\\')
        c = (uint8_t)r->text[++r->at];
    if (!c)
        return reader_fail(r, r->at, "\"[\" is not closed", err);
    if (c >= 0x80)
        return reader_fail(r, r->at, "only ASCII characters may stand in \"[...]\"", err);
    r->at++;
    *ret_c = c;
    return 0;
}

/* r->at stands on the bracket. */
static int read_set(struct reader *r, pw_err *err)
{
    size_t open = r->at++, first;
    struct byte_set set = {{0}};
    bool negated = r->text[r->at] == '!' || r->text[r->at] == '^';
    if (negated)
        r->at++;
    for (first = r->at; r->text[r->at] != ']' || r->at == first;) {
        uint8_t from = 0, to;
        size_t start = r->at;
        if (!r->text[r->at])
            return reader_fail(r, open, "\"[\" is not closed", err);
        if (r->text[r->at] == '[' && r->text[r->at + 1] == ':')
            return reader_fail(r, r->at, "named classes are not supported", err);
        if (set_member(r, &from, err) < 0)
            return PW_EINVAL;
        to = from;
        if (r->text[r->at] == '-' && r->text[r->at + 1] && r->text[r->at + 1] != ']') {
            r->at++;
            if (set_member(r, &to, err) < 0)
                return PW_EINVAL;
        }
        if (to < from)
            return reader_fail(r, start, "the range runs backwards", err);
        for (unsigned c = from; c <= to; c++)
            set_add(&set, (uint8_t)c);
    }
    r->at++;
    if (negated) {
        for (size_t i = 0; i < 4; i++)
            set.bits[i] = ~set.bits[i];
        set.bits[2] = 0; /* 0x80..0xbf only continue a character */
    }
    if (r->kind == GLOB_PATH)
        set.bits['/' >> 6] &= ~(UINT64_C(1) << ('/' & 63));
    add_tok(r->it, TOK_SET, 0);
    r->it->toks[r->it->n_toks - 1].set = (uint16_t)r->it->n_sets;
    r->it->sets[r->it->n_sets++] = set;
    add_tok(r->it, TOK_CONT, 0);
    return 0;
}

static void read_stars(struct reader *r)
{
    const char *s = r->text + r->at;
    size_t n = strspn(s, "*");
    struct item *it = r->it;
    bool at_part = it->n_toks == 0 || (it->toks[it->n_toks - 1].type == TOK_BYTE &&
                                       it->toks[it->n_toks - 1].byte == '/');
    r->at += n;
    if (r->kind == GLOB_BRANCH || n == 1) {
        add_tok(it, r->kind == GLOB_BRANCH ? TOK_ANY : TOK_STAR, 0);
    } else if (n == 2 && s[2] == '/' && (at_part || it->toks[it->n_toks - 1].type == TOK_DIRS)) {
        r->at++;
        add_tok(it, TOK_DIRS, 0);
    } else {
        add_tok(it, TOK_ANY, 0);
    }
}

static int read_glob(struct reader *r, pw_err *err)
{
    size_t len = strlen(r->text);
    struct item *it = r->it;
    /* a character gives at most two tokens, and a path that ends in `/` one more */
    it->toks = calloc(2 * len + 2, sizeof(*it->toks));
    it->sets = calloc(len + 1, sizeof(*it->sets));
    if (!it->toks || !it->sets)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (r->kind == GLOB_PATH && r->text[r->at] == '/')
        r->at++; /* `/doc/a` is doc/a at the root: names never begin with a slash */
    while (r->text[r->at]) {
        char c = r->text[r->at];
        if (c == '*') {
            read_stars(r);
        } else if (c == '?') {
            r->at++;
            add_tok(it, TOK_ONE, r->kind == GLOB_PATH ? '/' : 0);
            add_tok(it, TOK_CONT, 0);
        } else if (c == '[') {
            if (read_set(r, err) < 0)
                return PW_EINVAL;
        } else {
            if (c == '\\' && !(c = r->text[++r->at]))
                return reader_fail(r, r->at - 1, "nothing follows the \"\\\"", err);
            r->at++;
            add_tok(it, TOK_BYTE, (uint8_t)c);
        }
    }
    if (!it->n_toks)
        return reader_fail(r, r->at, "the pattern is empty", err);
    if (r->kind == GLOB_PATH && r->text[len - 1] == '/')
        add_tok(it, TOK_ANY, 0); /* a folder stands for all that is in it */
    while (it->n_plain < it->n_toks && it->toks[it->n_plain].type == TOK_BYTE)
        it->n_plain++;
    return 0;
}

/* The text between the slashes, `len` bytes. */
static int read_regex(struct reader *r, size_t len, pw_err *err)
{
    size_t at = 0;
    pw_err why = {0};
    r->it->re = regex_new(r->text + r->at, len, true, &at, &why);
    if (r->it->re)
        return 0;
    if (why.code == PW_ENOMEM)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return reader_fail(r, r->at + at, why.text, err);
}

static int read_item(glob_kind kind, size_t number, const char *text, struct item *it, pw_err *err)
{
    struct reader r = {.kind = kind, .number = number, .text = text, .it = it};
    size_t len = strnlen(text, ITEM_MAX + 1);
    if (len > ITEM_MAX)
        return pw_fail(err, PW_ELIMIT, "item %zu is longer than %d bytes", number, (int)ITEM_MAX);
    if (text[0] == '!') {
        it->exclude = true;
        r.at = 1;
    }
    if (len >= r.at + 2 && text[r.at] == '/' && text[len - 1] == '/') {
        size_t n = len - r.at - 2;
        r.at++;
        return read_regex(&r, n, err);
    }
    return read_glob(&r, err);
}

glob_list *glob_parse(glob_kind kind, char *const *items, size_t n, pw_err *err)
{
    PW_AUTO(glob_freep) glob_list *self = NULL;
    if (n > ITEMS_MAX) {
        (void)pw_fail(err, PW_ELIMIT, "%zu items are more than %d", n, (int)ITEMS_MAX);
        return NULL;
    }
    self = calloc(1, sizeof(*self));
    if (self)
        self->items = calloc(n + 1, sizeof(*self->items));
    if (!self || !self->items) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->only_excludes = n > 0;
    for (self->n = 0; self->n < n;) {
        struct item *it = &self->items[self->n++];
        if (read_item(kind, self->n, items[self->n - 1], it, err) < 0)
            return NULL;
        self->only_excludes = self->only_excludes && it->exclude;
    }
    return pw_take(self);
}

glob_list *glob_free(glob_list *self)
{
    if (!self)
        return NULL;
    for (size_t i = 0; i < self->n; i++) {
        regex_free(self->items[i].re);
        free(self->items[i].toks);
        free(self->items[i].sets);
    }
    free(self->items);
    free(self);
    return NULL;
}

/* ---- globs: all ways through the pattern at once, so the time is at most bytes x tokens ---- */

#define STATE_WORDS ((2 * ITEM_MAX + 2) / 64 + 1)
struct states {
    uint64_t bits[STATE_WORDS];
};

/* Adds state i, and those that are reached from it without a byte. */
static void states_add(struct states *s, const struct item *it, size_t i)
{
    for (;; i++) {
        s->bits[i >> 6] |= UINT64_C(1) << (i & 63);
        if (i == it->n_toks || it->toks[i].type < TOK_CONT)
            return;
    }
}

static void step(const struct item *it, size_t i, uint8_t c, struct states *next)
{
    const struct tok *t = &it->toks[i];
    switch ((enum tok_type)t->type) {
    case TOK_BYTE:
        if (t->byte == c)
            states_add(next, it, i + 1);
        return;
    case TOK_ONE:
        if ((c & 0xc0) != 0x80 && c != t->byte)
            states_add(next, it, i + 1);
        return;
    case TOK_SET:
        if (set_has(&it->sets[t->set], c))
            states_add(next, it, i + 1);
        return;
    case TOK_CONT:
        if ((c & 0xc0) == 0x80)
            states_add(next, it, i);
        return;
    case TOK_STAR:
        if (c != '/')
            states_add(next, it, i);
        return;
    case TOK_ANY:
        states_add(next, it, i);
        return;
    case TOK_DIRS: /* it may end only behind a slash */
        next->bits[i >> 6] |= UINT64_C(1) << (i & 63);
        if (c == '/')
            states_add(next, it, i + 1);
        return;
    }
}

static bool match_glob(const struct item *it, const char *name, size_t len)
{
    struct states a = {{0}}, b, *now = &a, *next = &b;
    size_t words = it->n_toks / 64 + 1;
    for (size_t i = 0; i < it->n_plain; i++)
        if (i >= len || (uint8_t)name[i] != it->toks[i].byte)
            return false;
    if (it->n_plain == it->n_toks)
        return len == it->n_toks;
    states_add(now, it, it->n_plain);
    for (size_t k = it->n_plain; k < len; k++) {
        struct states *swap = now;
        uint64_t any = 0;
        memset(next->bits, 0, words * sizeof(next->bits[0]));
        for (size_t w = 0; w < words; w++) {
            for (uint64_t left = now->bits[w]; left; left &= left - 1) {
                size_t i = w * 64 + (size_t)__builtin_ctzll(left);
                if (i < it->n_toks)
                    step(it, i, (uint8_t)name[k], next);
            }
        }
        for (size_t w = 0; w < words; w++)
            any |= next->bits[w];
        if (!any)
            return false;
        now = next;
        next = swap;
    }
    return now->bits[it->n_toks >> 6] >> (it->n_toks & 63) & 1;
}

bool glob_match(const glob_list *self, const char *name)
{
    size_t len = strnlen(name, NAME_MAX_BYTES + 1);
    if (len > NAME_MAX_BYTES)
        return false;
    for (size_t i = self->n; i-- > 0;) {
        const struct item *it = &self->items[i];
        if (it->re ? regex_match(it->re, name, len) : match_glob(it, name, len))
            return !it->exclude;
    }
    return self->only_excludes;
}
