/* Texts of keys and join tokens: what is read has exactly one text. A fuzzer cannot guess the
 * token's checksum, so the input is also taken for its fields and sealed rightly. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TEXT_MAX = 2000, SUM = 4, FIXED = 1 + 8 + 2 * CRYPT_KEY, JOIN_RAW_MAX = 1200 };
static const char HEAD[] = "pawljoin_";

static void base64(const char *s)
{
    uint8_t raw[TEXT_MAX];
    char again[TEXT_MAX * 4 / 3 + 4];
    pw_err err;
    int64_t n = crypt_unbase64(s, raw, sizeof(raw), &err);
    if (n < 0)
        return;
    crypt_base64(raw, (size_t)n, again);
    if (strcmp(again, s) != 0)
        abort();
    if (n > 0 && crypt_unbase64(s, raw, (size_t)n - 1, &err) != PW_ELIMIT)
        abort(); /* one byte too few must be refused */
}

static void z85(const char *s)
{
    uint8_t key[CRYPT_KEY];
    char again[CRYPT_Z85];
    if (!crypt_unz85(s, key))
        return;
    crypt_z85(key, again);
    if (strcmp(again, s) != 0)
        abort();
}

static void join(const char *s, const char *must)
{
    static const char blanks[] = " \t\r\n";
    char again[CRYPT_JOIN_TEXT + 1];
    crypt_join j;
    pw_err err;
    size_t n;
    if (crypt_join_parse(s, &j, &err) < 0) {
        if (strlen(err.text) == 0)
            abort();
        return;
    }
    if (j.expires < 0 || strncmp(j.address, "tcp://", 6) != 0 || !j.name[0] ||
        crypt_join_text(&j, again, sizeof(again), &err) < 0)
        abort();
    s += strspn(s, blanks);
    n = strcspn(s, blanks);
    if (strlen(again) != n || strncmp(again, s, n) != 0 || (must && strcmp(again, must) != 0))
        abort();
}

/* Any bytes behind a right head, with the right checksum. */
static void sealed(const uint8_t *data, size_t len)
{
    uint8_t raw[JOIN_RAW_MAX + SUM], sum[CRYPT_HASH];
    char text[sizeof(HEAD) + (4 * sizeof(raw) + 2) / 3 + 1];
    if (len > JOIN_RAW_MAX)
        return;
    memcpy(raw, data, len);
    crypt_hash(raw, len, sum);
    memcpy(raw + len, sum, SUM);
    memcpy(text, HEAD, sizeof(HEAD) - 1);
    crypt_base64(raw, len + SUM, text + sizeof(HEAD) - 1);
    join(text, NULL);
    if (len > FIXED && raw[0] == 1) { /* a bit of the checksum decides */
        raw[len] ^= 1;
        crypt_base64(raw, len + SUM, text + sizeof(HEAD) - 1);
        crypt_join j;
        if (crypt_join_parse(text, &j, NULL) == 0)
            abort();
    }
}

/* Address and name as fields: what can be written can be read. */
static void written(const char *s)
{
    crypt_join j = {.expires = 1};
    char text[CRYPT_JOIN_TEXT + 1];
    const char *name = strchr(s, '\n');
    size_t n = name ? (size_t)(name - s) : 0;
    if (!name || n >= sizeof(j.address) || strlen(name + 1) >= sizeof(j.name))
        return;
    memcpy(j.address, s, n);
    memcpy(j.name, name + 1, strlen(name + 1));
    crypt_hash(s, n, j.secret);
    if (crypt_join_text(&j, text, sizeof(text), NULL) == 0) {
        crypt_join back;
        if (crypt_join_parse(text, &back, NULL) < 0 || strcmp(back.name, j.name) != 0 ||
            strcmp(back.address, j.address) != 0)
            abort();
        join(text, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *s;
    if (crypt_init(NULL) < 0 || len > TEXT_MAX || !(s = malloc(len + 1)))
        return 0;
    if (len > 0)
        memcpy(s, data, len);
    s[len] = '\0';
    base64(s);
    z85(s);
    join(s, NULL);
    written(s);
    sealed(data, len);
    free(s);
    return 0;
}
