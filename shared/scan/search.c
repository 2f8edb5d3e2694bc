#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "shared/scan/search.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* steps over one line: 256 KiB of it under the worst patterns tried ended after 3 ms */
    STEPS = 100000,
    HEAP_KIB = 1024,
};

struct search {
    pcre2_code *code; /* owned, and so are the next two */
    pcre2_match_data *data;
    pcre2_match_context *limits;
    bool plain;
};

static bool plain(const char *p)
{
    static const char special[] = "^$.|?*+()[]{}\n\r";
    if (strncmp(p, "(?i)", 4) == 0)
        p += 4;
    for (; *p; p++) {
        if (*p == '\\') {
            if (!ispunct((unsigned char)*++p)) /* \d, \Q, \n, a letter of any kind */
                return false;
        } else if (strchr(special, *p)) {
            return false;
        }
    }
    return true;
}

search *search_new(const char *pattern, pw_err *err)
{
    size_t n = strlen(pattern), at = 0;
    int code = 0;
    if (n == 0 || n > SEARCH_PATTERN_MAX) {
        (void)pw_fail(err, PW_EINVAL, "a pattern has 1 to %d bytes", SEARCH_PATTERN_MAX);
        return NULL;
    }
    PW_AUTO(search_freep) search *self = calloc(1, sizeof(*self));
    if (!self || !(self->limits = pcre2_match_context_create(NULL))) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    (void)pcre2_set_match_limit(self->limits, STEPS);
    (void)pcre2_set_heap_limit(self->limits, HEAP_KIB);
    self->code = pcre2_compile((PCRE2_SPTR)pattern, n, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code,
                               &at, NULL);
    if (!self->code) {
        PCRE2_UCHAR text[200] = "";
        (void)pcre2_get_error_message(code, text, sizeof(text));
        (void)pw_fail(err, PW_EINVAL, "the pattern \"%.200s\" is wrong at position %zu: %s",
                      pattern, at + 1, (const char *)text);
        return NULL;
    }
    /* where it cannot be compiled to machine code the interpreter does the same, slower */
    (void)pcre2_jit_compile(self->code, PCRE2_JIT_COMPLETE);
    self->data = pcre2_match_data_create(1, NULL);
    if (!self->data) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->plain = plain(pattern);
    return pw_take(self);
}

bool search_plain(const search *self)
{
    return self->plain;
}

search *search_free(search *self)
{
    if (!self)
        return NULL;
    pcre2_match_data_free(self->data);
    pcre2_match_context_free(self->limits);
    pcre2_code_free(self->code);
    free(self);
    return NULL;
}

int search_line(search *self, const char *p, size_t n, pw_err *err)
{
    int rc = pcre2_match(self->code, (PCRE2_SPTR)p, n, 0, 0, self->data, self->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* its stack is 32 KiB; the interpreter has the heap */
        rc = pcre2_match(self->code, (PCRE2_SPTR)p, n, 0, PCRE2_NO_JIT, self->data, self->limits);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
        return rc >= 0;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return pw_fail(err, PW_ELIMIT, "the pattern takes too many steps over a line of %zu bytes", n);
}
