#include "worker/run/mask.h"

#include <stdio.h>
#include <time.h>

#include "tests/tap.h"
#include "worker/run/mask_ref.h"

enum { OUT_MAX = 300000 };

/* Feeds text in pieces that end at cut[0], cut[1], ... and its end; the buffer is one as the runner
 * has it: what is done stands in front of what is held. Returns owned bytes with a zero behind. */
static char *feed(mask_set *set, const void *text, size_t n, const size_t *cut, size_t cuts,
                  size_t *ret_n, size_t *ret_most)
{
    uint8_t *buf = malloc(n + 16);
    mask_stream s = {0};
    size_t done = 0, held = 0, at = 0, most = 0;
    if (!buf)
        return NULL;
    for (size_t i = 0; i <= cuts; i++) {
        size_t to = i < cuts ? cut[i] : n;
        memcpy(buf + done + held, (const uint8_t *)text + at, to - at);
        done += mask_feed(&s, set, buf + done, held, to - at, i == cuts, &held);
        most = held > most ? held : most;
        at = to;
    }
    buf[done] = '\0';
    *ret_n = done;
    if (ret_most)
        *ret_most = most;
    return held ? (free(buf), NULL) : (char *)buf;
}

static mask_set *set_of(const char *const *values)
{
    mask_set *set = mask_set_new(NULL);
    for (size_t i = 0; values[i] && set; i++)
        if (mask_set_add(set, values[i], strlen(values[i]), NULL) < 0)
            return mask_set_free(set);
    return set;
}

/* Every way to cut the text once and, when it is short, twice. Returns 0 or the failing cut + 1. */
static size_t all_cuts(const char *const *values, const char *text, const char *want)
{
    size_t n = strlen(text), len = 0, bad = 0;
    bool adds = strstr(text, "::add-mask::"); /* then each time needs a set of its own */
    mask_set *set = set_of(values);
    for (size_t i = 0; i <= n && !bad; i++) {
        for (size_t k = i; k <= (n < 60 ? n : i) && !bad; k++) {
            const size_t cut[2] = {i, k};
            if (adds) {
                mask_set_free(set);
                set = set_of(values);
            }
            char *got = feed(set, text, n, cut, 2, &len, NULL);
            if (!got || strcmp(got, want) != 0 || len != strlen(want)) {
                printf("# cut at %zu and %zu: \"%s\"\n", i, k, got ? got : "-");
                bad = i + 1;
            }
            free(got);
        }
    }
    mask_set_free(set);
    return bad;
}

#define V(...) ((const char *const[]){__VA_ARGS__, NULL})
static const char pem[] =
    "-----BEGIN KEY-----\nMIIBVgIBADANBgkqh\nkiG9w0B/AQ==\nx\n-----END KEY-----";

static const struct {
    const char *what;
    const char *value[6];
    const char *text, *want;
} cases[] = {
    {"nothing to mask in nothing", {"secret"}, "", ""},
    {"a value alone", {"secret"}, "secret", "***"},
    {"in the middle", {"secret"}, "a secret b\n", "a *** b\n"},
    {"at the very end, no line break", {"secret"}, "password: secret", "password: ***"},
    {"its beginning only", {"secret"}, "secre", "secre"},
    {"beginnings of it one after the other", {"secret"}, "sesecsecresecret!", "sesecsecre***!"},
    {"twice, apart and together", {"secret"}, "secret secretsecret.", "*** ***."},
    {"overlapping itself", {"aaaa"}, "aaaaaaa b aaa aaaab", "*** b aaa ***b"},
    {"overlapping itself by a part", {"abcab"}, "xabcabcabx", "x***x"},
    {"one is the beginning of another",
     {"pass", "password"},
     "pass passwor password passwords",
     "*** ***wor *** ***s"},
    {"one inside another",
     {"cret", "topsecrets"},
     "topsecrets secret topsecret",
     "*** se*** topse***"},
    {"one ends where another begins", {"firstone", "onesecond"}, "firstonesecond", "***"},
    {"a longer one that is not there", {"abcd", "abcdefgh"}, "abcdefg", "***efg"},
    {"four bytes", {"1234"}, "01234567", "0***567"},
    {"bytes that are no text",
     {"\xff\xfe\x80\x01"},
     "\x01\xff\xfe\x80\x01\x02\xff\xfe\x80",
     "\x01***\x02\xff\xfe\x80"},
    {"stars in it", {"a***b"}, "a***b***", "******"},
    {"the replacement is not looked at again", {"xsecretx"}, "xsecretx", "***"},
    {"lines of it", {"one-line\ntwo-line\nxy"}, "two-line\nxy\none-line", "***\nxy\n***"},
    {"whole", {"one-line\ntwo-line\nxy"}, "<one-line\ntwo-line\nxy>", "<***>"},
    {"whole, from a terminal", {"one-line\ntwo-line\nxy"}, "<one-line\r\ntwo-line\r\nxy>", "<***>"},
    {"CR LF in the value", {"one-line\r\nxy"}, "<one-line\r\nxy> one-line\nxy", "<***> ***\nxy"},
    {"blanks around a line of it",
     {"{\n  \"key\": 5\n    }\n}"},
     "    }\n \"key\": 5,",
     "    }\n ***,"},
    {"base64", {"secret-value"}, "c2VjcmV0LXZhbHVl", "***"},
    {"base64 behind one byte", {"secret-value"}, "eHNlY3JldC12YWx1ZQ==", "eH***Q=="},
    {"base64 behind two bytes", {"secret-value"}, "eHlzZWNyZXQtdmFsdWU=", "eHl***U="},
    {"base64, standard and URL alphabet",
     {"\x3f\x3f>>\x3f\x3f>>~~~~"},
     "Pz8+Pj8/Pj5+fn5+ Pz8-Pj8_Pj5-fn5-",
     "*** ***"},
    {"base64 across lines", {"secret-value-long"}, "c2VjcmV0LXZ\nhbHVlLWxvbm\r\nc=", "***\r\nc="},
    {"base64 with a break after its first character",
     {"secret-value-long"},
     "c\n2VjcmV0LXZhbHVlLWxvbmc=",
     "c\n***c="},
    {"base64 of what is too short to fold", {"secret"}, "c2Vj\ncmV0 c2VjcmV0", "c2Vj\ncmV0 ***"},
    {"%XX",
     {"p@ss word/ü"},
     "p%40ss%20word%2F%C3%BC p%40ss+word%2f%c3%bc p%40ss%20word/%C3%BC",
     "*** *** ***"},
    {"JSON",
     {"a\"b\\c\td/e\x01"},
     "{\"x\":\"a\\\"b\\\\c\\td/e\\u0001\"} a\\\"b\\\\c\\td\\/e\\u0001",
     "{\"x\":\"***\"} ***"},
    {"JSON, all in ASCII",
     {"gr\xc3\xbc\xc3\x9f"
      "e\xf0\x9f\x94\x91"},
     "gr\\u00fc\\u00dfe\\ud83d\\udd11 gr\\u00FC\\u00DFe\\uD83D\\uDD11",
     "*** ***"},
    {"JSON as Go writes it", {"a<b>&c"}, "a\\u003cb\\u003e\\u0026c", "***"},
    {"a line adds",
     {"other"},
     "tok\n::add-mask::token\ntoken other\n",
     "tok\n::add-mask::***\n*** ***\n"},
    {"a line adds, not before",
     {"other"},
     "token\n::add-mask::token\ntoken",
     "token\n::add-mask::***\n***"},
    {"a line adds, on a terminal",
     {"other"},
     "::add-mask::token\r\ntoken\r\n",
     "::add-mask::***\r\n***\r\n"},
    {"a line that is no first adds nothing",
     {"other"},
     "x ::add-mask::token\ntoken",
     "x ::add-mask::token\ntoken"},
    {"a line adds at the end", {"other"}, "::add-mask::token", "::add-mask::***"},
    {"too short a line",
     {"other"},
     "::add-mask::tok\ntok ::add-mask::",
     "::add-mask::tok\ntok ::add-mask::"},
    {"an empty line", {"other"}, "::add-mask::\n::add-mask::", "::add-mask::\n::add-mask::"},
    {"escapes in a line",
     {"other"},
     "::add-mask::one%0Atwo!%25\none\ntwo!%\none two!%",
     "::add-mask::***\n***\none ***"},
    {"what only looks like one",
     {"other"},
     "::add-mas\n::add-masks::x\n::group::other\n",
     "::add-mas\n::add-masks::x\n::group::***\n"},
    {"no value reaches over such a line",
     {"aaaa\n::add-mask::bbbb"},
     "aaaa\n::add-mask::bbbb\n",
     "***\n::add-mask::***\n"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ok(all_cuts(cases[i].value, cases[i].text, cases[i].want) == 0, "%s", cases[i].what);
}

static void test_lines_only(void)
{
    static const char *const none[] = {NULL};
    ok(all_cuts(none, "secret\n::add-mask::secret\nsecret\n", "secret\n::add-mask::***\n***\n") ==
           0,
       "a line adds where there was no value");
    ok(all_cuts(none, "no values :: at all\n:", "no values :: at all\n:") == 0, "without values");
}

static void test_multi_line(void)
{
    char text[200], want[200];
    (void)snprintf(text, sizeof(text), "cat key\n%s\ndone", pem);
    (void)snprintf(want, sizeof(want), "cat key\n***\ndone");
    ok(all_cuts(V(pem), text, want) == 0, "a key in a text");
    ok(all_cuts(V(pem), "kiG9w0B/AQ== x\n", "*** x\n") == 0, "one line of it");
}

static void test_hold(void)
{
    mask_set *set = set_of(V("secret", "sections\nof it"));
    uint8_t buf[64];
    mask_stream s = {0};
    size_t held = 0, n;
    memcpy(buf, "one\nsec", 7);
    n = mask_feed(&s, set, buf, 0, 7, false, &held);
    ok(n == 4 && held == 3, "only the beginning of a value is held back");
    n = mask_feed(&s, set, buf + 4, held, 0, false, &held);
    ok(n == 0 && held == 3, "and not given out because nothing comes");
    memcpy(buf + 7, "t", 1);
    n = mask_feed(&s, set, buf + 4, held, 1, false, &held);
    ok(n == 0 && held == 4, "it is held on while either may come");
    memcpy(buf + 8, "x\n:", 3);
    n = mask_feed(&s, set, buf + 4, held, 3, false, &held);
    ok(n == 6 && held == 1, "given out when none comes; the beginning of a marker is held");
    n = mask_feed(&s, set, buf + 10, held, 0, true, &held);
    ok(n == 1 && held == 0 && memcmp(buf, "one\nsectx\n:", 11) == 0, "all is out at the end");
    mask_set_free(set);
}

static void test_limits(void)
{
    pw_err err = {0};
    mask_set *set = mask_set_new(NULL);
    mask_stream s = {0};
    size_t held = 0, n, size = MASK_LINE_MAX + 12;
    char *buf = malloc(2 * size), small[] = "::add-mask::abc\n";
    ok(mask_set_add(set, "abc", 3, &err) == PW_EINVAL && mask_set_empty(set),
       "three bytes are refused");
    ok(mask_feed(&s, set, (uint8_t *)small, 0, 16, false, &held) == 16 && s.trouble == MASK_SHORT,
       "and told in a line");
    memset(buf, 'x', 2 * size);
    memcpy(buf, "::add-mask::", 12);
    s = (mask_stream){0};
    n = mask_feed(&s, set, (uint8_t *)buf, 0, size, false, &held);
    ok(n == 0 && held == size && s.trouble == MASK_FINE, "the longest line is held back");
    n = mask_feed(&s, set, (uint8_t *)buf, held, 1, false, &held);
    ok(n == 15 && held == 0 && s.trouble == MASK_LONG && memcmp(buf, "::add-mask::***", 15) == 0,
       "a longer one is not shown, and told");
    memcpy(buf, "rest\nnext", 9);
    n = mask_feed(&s, set, (uint8_t *)buf, 0, 9, true, &held);
    ok(n == 5 && memcmp(buf, "\nnext", 5) == 0 && mask_set_empty(set), "nor is its rest");
    s = (mask_stream){0};
    bool many = true;
    for (int i = 0; i <= MASK_ADDED_MAX; i++) {
        int len = snprintf(buf, size, "::add-mask::%06d\n", i);
        many = many && s.trouble == MASK_FINE;
        (void)mask_feed(&s, set, (uint8_t *)buf, 0, (size_t)len, false, &held);
    }
    ok(many && s.trouble == MASK_MANY, "%d lines add, one more is told", MASK_ADDED_MAX);
    char reason[] = "cannot start 000007";
    mask_text(set, reason);
    ok(strcmp(reason, "cannot start ***") == 0, "a text for people");
    free(buf);
    mask_set_free(set);
}

/* A value of 64 KiB, all forms of it, in one go and cut. */
static void test_long(void)
{
    enum { BIG = 64 * 1024 };
    uint32_t seed = 7;
    char *value = malloc(BIG + 1), *text = malloc(OUT_MAX);
    for (size_t i = 0; i < BIG; i++) {
        seed = seed * 1664525 + 1013904223;
        value[i] = (char)(seed >> 24);
        if (value[i] == '\n' || value[i] == '\r')
            value[i] = 'n';
    }
    mask_set *set = mask_set_new(NULL);
    ok(mask_set_add(set, value, BIG, NULL) == 0, "a value of 64 KiB");
    size_t n = (size_t)snprintf(text, 10, "before ");
    memcpy(text + n, value, BIG);
    memcpy(text + n + BIG, " after", 6);
    size_t cut[64], len = 0, most = 0;
    for (size_t i = 0; i < 64; i++)
        cut[i] = i * 1027 + 13;
    char *got = feed(set, text, n + BIG + 6, cut, 64, &len, &most);
    ok(got && strcmp(got, "before *** after") == 0, "is masked");
    ok(most <= MASK_HOLD_MAX, "and little is held: %zu", most);
    free(got);
    mask_set_free(set);
    free(value);
    free(text);
}

/* ---- random, against the reference */

static uint64_t state = 88172645463325252ULL;
static uint32_t dice(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

static size_t random_bytes(uint8_t *p, size_t n, uint32_t letters)
{
    static const char some[] = "ab\n\r:/\"+ %\\\xc3\xbc\x01";
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(letters > 14 ? dice(256) : (uint32_t)some[dice(letters)]);
    return n;
}

enum { VALUES = 4, VALUE_MAX = 300, TEXT_MAX = 4000 };
typedef struct round_in {
    uint8_t value[VALUES][VALUE_MAX], text[TEXT_MAX];
    size_t n_value[VALUES], n_values, n;
    size_t cut[40], cuts;
} round_in;

static int keep_form(void *self, const uint8_t *p, size_t n, bool folds, pw_err *err)
{
    round_in *in = self;
    (void)folds;
    (void)err;
    if (dice(12) == 0 && in->n + n + 200 < TEXT_MAX) {
        size_t from = dice(8) ? 0 : dice((uint32_t)n + 1), to = dice(8) ? n : from;
        if (folds && dice(2) && to > from + 1) { /* wrapped */
            size_t mid = from + 1 + dice((uint32_t)(to - from - 1));
            memcpy(in->text + in->n, p + from, mid - from);
            in->n += mid - from;
            in->text[in->n++] = '\n';
            from = mid;
        }
        memcpy(in->text + in->n, p + from, to - from);
        in->n += to - from;
        in->n += random_bytes(in->text + in->n, dice(4), 14);
    }
    return 0;
}

static void make_round(round_in *in)
{
    uint32_t letters = dice(3) ? 2 + dice(13) : 256;
    memset(in, 0, sizeof(*in));
    in->n_values = dice(VALUES + 1);
    for (size_t i = 0; i < in->n_values; i++)
        in->n_value[i] =
            random_bytes(in->value[i], dice(6) ? 4 + dice(20) : 4 + dice(VALUE_MAX - 4), letters);
    in->n = random_bytes(in->text, dice(100), letters);
    for (size_t i = 0; i < in->n_values; i++)
        (void)mask_forms(in->value[i], in->n_value[i], keep_form, in, NULL);
    if (dice(4) == 0) {
        static const char line[] = "\n::add-mask::";
        memcpy(in->text + in->n, line, sizeof(line) - 1);
        in->n += sizeof(line) - 1;
        in->n += random_bytes(in->text + in->n, dice(12), letters);
        in->n += random_bytes(in->text + in->n, dice(60), letters);
    }
    for (size_t at = 0; in->cuts < 40 && in->n; in->cuts++) {
        at += dice(dice(4) ? (uint32_t)in->n : 4);
        in->cut[in->cuts] = at = at < in->n ? at : in->n;
    }
}

static void test_random(unsigned rounds)
{
    static round_in in;
    static ref_set ref;
    static uint8_t want[TEXT_MAX + 100];
    unsigned good = 0, masked = 0;
    size_t held = 0;
    for (unsigned i = 0; i < rounds; i++) {
        size_t n = 0, most = 0;
        make_round(&in);
        mask_set *set = mask_set_new(NULL);
        for (size_t k = 0; k < in.n_values; k++) {
            (void)mask_set_add(set, in.value[k], in.n_value[k], NULL);
            ref_add(&ref, in.value[k], in.n_value[k]);
        }
        size_t m = ref_mask(&ref, in.text, in.n, want);
        char *got = feed(set, in.text, in.n, in.cut, in.cuts, &n, &most);
        bool same = got && n == m && memcmp(got, want, m) == 0;
        if (!same && good == i)
            printf("# round %u differs: %zu bytes, wanted %zu\n", i, n, m);
        good += same;
        masked += m != in.n;
        held = most > held ? most : held;
        free(got);
        mask_set_free(set);
        ref_clear(&ref);
    }
    ok(good == rounds, "%u random rounds are as the slow way gives them", rounds);
    ok(masked > rounds / 3, "%u of them had something to mask", masked);
    ok(held > 8 && held <= MASK_HOLD_MAX, "at most %zu bytes were held back", held);
}

/* ---- mask_test --bench */

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void bench(const char *what, mask_set *set, const uint8_t *text, size_t n)
{
    enum { CHUNK = 65536, TIMES = 20 };
    uint8_t *buf = malloc(CHUNK + MASK_LINE_MAX + 100);
    mask_stream s = {0};
    size_t held = 0, out = 0;
    double t0 = seconds(), copy;
    for (int i = 0; i < TIMES; i++)
        for (size_t at = 0; at + CHUNK <= n; at += CHUNK)
            memcpy(buf, text + at, CHUNK);
    copy = seconds() - t0;
    t0 = seconds();
    for (int i = 0; i < TIMES; i++) {
        for (size_t at = 0; at + CHUNK <= n; at += CHUNK) {
            memcpy(buf + held, text + at, CHUNK);
            size_t k = mask_feed(&s, set, buf, held, CHUNK, false, &held);
            out += k;
            memmove(buf, buf + k, held);
        }
    }
    double t = seconds() - t0 - copy;
    printf("%-34s %7.0f MB/s (%zu of %zu bytes left)\n", what,
           (double)(n / CHUNK * CHUNK) * TIMES / t / 1e6, out, n * TIMES);
    free(buf);
}

static int bench_all(void)
{
    enum { N = 16 << 20 };
    static const char *const words[] = {"gcc -O2 -Wall -c -o build/obj/",
                                        "main.c",
                                        "  CC      ",
                                        "shared/base/buf.o\n",
                                        "ok 17 - the answer is right\n",
                                        "2026-11-20T12:43:01.123Z INFO ",
                                        "https://example.org/api/v1/builds?limit=50",
                                        "warning: unused variable 'x'\n",
                                        "[ 43%] ",
                                        "\n"};
    uint8_t *text = malloc(N), *b64 = malloc(N);
    for (size_t i = 0; i < N;) {
        const char *w = words[dice(10)];
        for (; *w && i < N; w++)
            text[i++] = (uint8_t)*w;
    }
    for (size_t i = 0; i < N; i++)
        b64[i] =
            (uint8_t)(i % 77 == 76
                          ? '\n'
                          : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[dice(
                                64)]);
    mask_set *none = mask_set_new(NULL), *ten = mask_set_new(NULL), *hundred = mask_set_new(NULL);
    for (int i = 0; i < 100; i++) {
        char value[64];
        int len = snprintf(value, sizeof(value), "tok_%08x%08x%08x%08x", dice(1u << 31),
                           dice(1u << 31), dice(1u << 31), dice(1u << 31));
        if (i < 10)
            (void)mask_set_add(ten, value, (size_t)len, NULL);
        (void)mask_set_add(hundred, value, (size_t)len, NULL);
    }
    bench("build output, no secret", none, text, N);
    bench("build output, 10 secrets", ten, text, N);
    bench("build output, 100 secrets", hundred, text, N);
    bench("base64, 10 secrets", ten, b64, N);
    (void)mask_set_add(ten, pem, sizeof(pem) - 1, NULL);
    bench("build output, 10 and a key", ten, text, N);
    for (size_t i = 0; i + 40 < N; i += 40)
        memcpy(text + i, "tok_0000000000000000000000000000000000 \n", 40);
    bench("beginnings of secrets, 10", ten, text, N);
    mask_set_free(none);
    mask_set_free(ten);
    mask_set_free(hundred);
    free(text);
    free(b64);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return bench_all();
    test_cases();
    test_lines_only();
    test_multi_line();
    test_hold();
    test_limits();
    test_long();
    test_random(argc > 1 ? 100000 : 1000);
    return tap_done();
}
