/* Masking of secrets: first byte the number of values, then each as a length byte and its bytes, a
 * byte that says how the rest is cut, the output. However it is cut, it must come out as the slow
 * way gives it, and no value may be left in it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/run/mask_ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TEXT_LIMIT = 4000, VALUES = 4 };

typedef struct input {
    const uint8_t *value[VALUES];
    size_t n_value[VALUES], n_values;
    uint8_t cut;
    const uint8_t *text;
    size_t n;
} input;

static bool read_input(const uint8_t *p, size_t n, input *in)
{
    if (n < 2)
        return false;
    size_t want = *p++ % (VALUES + 1);
    for (n--; want && n; want--) {
        size_t size = *p < n - 1 ? *p : n - 1;
        in->value[in->n_values] = p + 1;
        in->n_value[in->n_values++] = size;
        p += 1 + size;
        n -= 1 + size;
    }
    if (!n)
        return false;
    in->cut = *p;
    in->text = p + 1;
    in->n = n - 1;
    return in->n <= TEXT_LIMIT;
}

static size_t in_pieces(mask_set *set, const input *in, uint8_t *out)
{
    mask_stream s = {0};
    size_t done = 0, held = 0, at = 0;
    unsigned step = in->cut;
    do {
        size_t n = step % 61 + 1;
        step = step * 37 + 11;
        n = n < in->n - at ? n : in->n - at;
        memcpy(out + done + held, in->text + at, n);
        at += n;
        done += mask_feed(&s, set, out + done, held, n, at == in->n, &held);
        if (held > MASK_HOLD_MAX && !memmem(out + done, held, "::add-mask::", 12))
            abort();
    } while (at < in->n);
    if (held)
        abort();
    return done;
}

/* What `***` is part of, or line breaks inside base64, is not the value itself; nor is what reaches
 * into the word of the lines that add values. */
static void check_gone(const input *in, const uint8_t *out, size_t n)
{
    for (size_t i = 0; i < in->n_values; i++)
        if (in->n_value[i] >= MASK_MIN && !memchr(in->value[i], '*', in->n_value[i]) &&
            !memchr(in->value[i], ':', in->n_value[i]) &&
            !memmem("::add-mask::", 12, in->value[i], in->n_value[i]) &&
            memmem(out, n, in->value[i], in->n_value[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static ref_set ref;
    input in = {.n_values = 0};
    if (!read_input(data, len, &in))
        return 0;
    uint8_t *out = malloc(in.n + 1), *want = malloc(in.n + 32);
    mask_set *set = mask_set_new(NULL);
    if (!out || !want || !set)
        abort();
    for (size_t i = 0; i < in.n_values; i++) {
        int rc = mask_set_add(set, in.value[i], in.n_value[i], NULL);
        if ((rc == 0) != (in.n_value[i] >= MASK_MIN))
            abort();
        if (rc == 0)
            ref_add(&ref, in.value[i], in.n_value[i]);
    }
    size_t n = in_pieces(set, &in, out), m = ref_mask(&ref, in.text, in.n, want);
    if (n != m || memcmp(out, want, m) != 0)
        abort();
    check_gone(&in, out, n);
    mask_set_free(set);
    ref_clear(&ref);
    free(out);
    free(want);
    return 0;
}
