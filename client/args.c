#include "client/args.h"

#include <string.h>

#include "shared/base/num.h"

const arg_option args_global[] = {
    {"url", 0, "URL", "address of the master (PAWL_URL, or `url =` in ~/.config/pawl/config)"},
    {"token-file", 0, "FILE", "file with the access token"},
    {"ca", 0, "FILE", "certificates (PEM) that an https master is checked with (PAWL_CA)"},
    {"state", 0, "DIR",
     "state directory of a master on this machine: address and token come from there"},
    {"json", 0, NULL, "print the REST answer as it is"},
    {NULL, 0, NULL, NULL}};

static const arg_option *find(const arg_option *table, const char *name, size_t n, char letter)
{
    for (; table && table->name; table++)
        if (letter ? table->letter == letter
                   : strlen(table->name) == n && memcmp(table->name, name, n) == 0)
            return table;
    return NULL;
}

static int unknown(const command *c, const char *text, size_t n, pw_err *err)
{
    enum { NAMES = 32, NAME_MAX_BYTES = 64 };
    const char *names[NAMES + 1] = {NULL};
    char name[NAME_MAX_BYTES + 1];
    size_t k = 0;
    for (const arg_option *o = c->options; o && o->name && k < NAMES; o++)
        names[k++] = o->name;
    for (const arg_option *o = args_global; o->name && k < NAMES; o++)
        names[k++] = o->name;
    n = n < NAME_MAX_BYTES ? n : NAME_MAX_BYTES;
    memcpy(name, text, n);
    name[n] = '\0';
    const char *near = pw_nearest(name, names);
    return pw_fail(err, PW_EINVAL, "%s has no option --%s%s%s%s", c->name, name,
                   near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static int keep(args *a, const arg_option *o, const char *value, pw_err *err)
{
    if (a->n_given == ARGS_MAX)
        return pw_fail(err, PW_ELIMIT, "more than %d options", ARGS_MAX);
    a->given[a->n_given++] = (struct arg_given){o, value};
    return 0;
}

/* One argument that begins with a dash; *i moves over a value that is an argument of its own. */
static int option(args *a, int argc, char *const *argv, int *i, pw_err *err)
{
    const char *text = argv[*i], *value = NULL;
    const arg_option *o;
    if (text[1] == '-') {
        size_t n = strcspn(text + 2, "=");
        o = find(a->command->options, text + 2, n, 0);
        if (!o)
            o = find(args_global, text + 2, n, 0);
        if (!o)
            return unknown(a->command, text + 2, n, err);
        if (text[2 + n] == '=')
            value = text + 2 + n + 1;
    } else {
        o = find(a->command->options, "", 0, text[1]);
        if (!o)
            return pw_fail(err, PW_EINVAL, "%s has no option -%c", a->command->name, text[1]);
        if (text[2] && !o->value)
            return pw_fail(err, PW_EINVAL, "-%c takes no value; \"%.60s\" is not understood",
                           text[1], text);
        if (text[2])
            value = text + 2;
    }
    if (!o->value)
        return value ? pw_fail(err, PW_EINVAL, "--%s takes no value", o->name)
                     : keep(a, o, "", err);
    if (!value) {
        if (*i + 1 >= argc)
            return pw_fail(err, PW_EINVAL, "--%s needs a value: --%s %s", o->name, o->name,
                           o->value);
        value = argv[++*i];
    }
    return keep(a, o, value, err);
}

int args_parse(const command *c, int argc, char *const *argv, args *ret, pw_err *err)
{
    args a = {.command = c};
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0)) {
            a.help = true;
            *ret = a;
            return 0;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            int rc = option(&a, argc, argv, &i, err);
            if (rc < 0)
                return rc;
        } else if (a.n_words == c->max || a.n_words == ARGS_MAX) {
            return pw_fail(err, PW_EINVAL, "%s: unexpected argument \"%.100s\"; usage: pawl %s %s",
                           c->name, argv[i], c->name, c->words);
        } else {
            a.word[a.n_words++] = argv[i];
        }
    }
    if (a.n_words < c->min)
        return pw_fail(err, PW_EINVAL, "%s: something is missing; usage: pawl %s %s", c->name,
                       c->name, c->words);
    *ret = a;
    return 0;
}

const char *args_each(const args *a, const char *name, size_t *pos)
{
    while (*pos < a->n_given) {
        const struct arg_given *g = &a->given[(*pos)++];
        if (strcmp(g->option->name, name) == 0)
            return g->value;
    }
    return NULL;
}

const char *args_get(const args *a, const char *name)
{
    const char *last = NULL, *v;
    for (size_t pos = 0; (v = args_each(a, name, &pos));)
        last = v;
    return last;
}

static void option_help(const arg_option *o, pw_buf *b)
{
    char left[64];
    for (; o && o->name; o++) {
        char letter[5] = "    ";
        if (o->letter) {
            letter[0] = '-';
            letter[1] = o->letter;
            letter[2] = ',';
        }
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        (void)pw_buf_addf(b, "  %-26s %s\n", left, o->help);
    }
}

void args_help(const command *c, pw_buf *b)
{
    (void)pw_buf_addf(b, "usage: pawl %s %s\n%s.\n\n", c->name, c->words, c->help);
    option_help(c->options, b);
    (void)pw_buf_adds(b, c->options && c->options->name ? "\nFor all commands:\n"
                                                        : "For all commands:\n");
    option_help(args_global, b);
}

int args_id(const char *text, const char *what, uint64_t *ret, pw_err *err)
{
    uint64_t v;
    if (pw_parse_u64(text, &v, NULL) < 0 || v == 0)
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is not the number of a %s", text, what);
    *ret = v;
    return 0;
}
