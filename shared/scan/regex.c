#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "shared/scan/regex.h"

#include <stdint.h>
#include <stdlib.h>

enum {
    /* Steps of one regular expression over one text. On names of 8 KiB the worst patterns tried
     * ended after 3 ms with JIT, 30 ms in the interpreter; a real name needs under 1,000 steps. */
    MATCH_LIMIT = 100000,
    HEAP_LIMIT_KIB = 1024,
    ARENA = 1024, /* the contexts and data of one match take 136 bytes */
};

struct regex {
    pcre2_code *code;            /* owned */
    pcre2_match_context *limits; /* owned; only read while matching, so threads share it */
};

regex *regex_new(const char *pattern, size_t n, bool whole, size_t *ret_at, pw_err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
                       PCRE2_NEVER_BACKSLASH_C |
                       (whole ? (uint32_t)PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0);
    *ret_at = 0;
    if (!n) {
        (void)pw_fail(err, PW_EINVAL, "the regular expression is empty");
        return NULL;
    }
    PW_AUTO(regex_freep) regex *self = calloc(1, sizeof(*self));
    if (self)
        self->code = pcre2_compile((PCRE2_SPTR)pattern, n, options, &code, &at, NULL);
    if (self && !self->code && code != PCRE2_ERROR_HEAP_FAILED) {
        PCRE2_UCHAR text[120];
        if (pcre2_get_error_message(code, text, sizeof(text)) < 0)
            text[0] = '\0';
        *ret_at = at;
        (void)pw_fail(err, PW_EINVAL, "%s", (const char *)text);
        return NULL;
    }
    if (self && self->code)
        self->limits = pcre2_match_context_create(NULL);
    if (!self || !self->limits) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    (void)pcre2_set_match_limit(self->limits, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(self->limits, HEAP_LIMIT_KIB);
    /* where the system forbids executable memory the interpreter does the same under the same
     * limits, only slower */
    (void)pcre2_jit_compile(self->code, PCRE2_JIT_COMPLETE);
    return pw_take(self);
}

regex *regex_free(regex *self)
{
    if (!self)
        return NULL;
    pcre2_code_free(self->code);
    pcre2_match_context_free(self->limits);
    free(self);
    return NULL;
}

/* Memory of one match: the common case needs nothing from the heap, so it cannot fail for want of
 * memory. */
struct arena {
    size_t used;
    _Alignas(max_align_t) char bytes[ARENA];
};

static void *arena_get(PCRE2_SIZE n, void *self)
{
    struct arena *a = self;
    size_t rounded = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    void *p;
    if (n > ARENA || rounded > ARENA - a->used)
        return malloc(n);
    p = a->bytes + a->used;
    a->used += rounded;
    return p;
}

static void arena_put(void *p, void *self)
{
    struct arena *a = self;
    if ((uintptr_t)p < (uintptr_t)a->bytes || (uintptr_t)p >= (uintptr_t)(a->bytes + ARENA))
        free(p);
}

bool regex_match(const regex *self, const char *text, size_t n)
{
    struct arena arena = {.used = 0};
    if (n > REGEX_TEXT_MAX)
        return false;
    pcre2_general_context *memory = pcre2_general_context_create(arena_get, arena_put, &arena);
    pcre2_match_data *data = memory ? pcre2_match_data_create(1, memory) : NULL;
    int rc = PCRE2_ERROR_NOMEMORY;
    if (data) {
        rc = pcre2_match(self->code, (PCRE2_SPTR)text, n, 0, 0, data, self->limits);
        if (rc ==
            PCRE2_ERROR_JIT_STACKLIMIT) /* its stack is 32 KiB; the interpreter has the heap */
            rc = pcre2_match(self->code, (PCRE2_SPTR)text, n, 0, PCRE2_NO_JIT, data, self->limits);
    }
    pcre2_match_data_free(data);
    pcre2_general_context_free(memory);
    return rc >= 0;
}
