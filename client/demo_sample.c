#include "client/demo_sample.h"

#include <stddef.h>

static const char header[] =
    "/* wordcount.h - counts lines, words and bytes of a text, as wc(1) does. */\n"
    "#ifndef WORDCOUNT_H\n"
    "#define WORDCOUNT_H\n"
    "#include <stddef.h>\n"
    "\n"
    "struct wordcount {\n"
    "    size_t lines, words, bytes;\n"
    "};\n"
    "struct wordcount wordcount(const char *text, size_t n);\n"
    "#endif\n";

static const char test[] =
    "#include <stdio.h>\n"
    "#include <string.h>\n"
    "\n"
    "#include \"wordcount.h\"\n"
    "\n"
    "static int failed, done;\n"
    "\n"
    "static void is(const char *text, const char *what, size_t got, size_t want, int line)\n"
    "{\n"
    "    done++;\n"
    "    if (got == want)\n"
    "        return;\n"
    "    failed++;\n"
    "    printf(\"test_wordcount.c:%d: error: %s of %s: expected %zu, got %zu\\n\", line, what, "
    "text, want, got);\n"
    "}\n"
    "\n"
    "#define COUNTS(text, l, w)                              \\\n"
    "    do {                                                \\\n"
    "        struct wordcount c = wordcount(text, strlen(text)); \\\n"
    "        is(#text, \"lines\", c.lines, l, __LINE__);        \\\n"
    "        is(#text, \"words\", c.words, w, __LINE__);        \\\n"
    "        is(#text, \"bytes\", c.bytes, strlen(text), __LINE__); \\\n"
    "    } while (0)\n"
    "\n"
    "int main(void)\n"
    "{\n"
    "    COUNTS(\"\", 0, 0);\n"
    "    COUNTS(\"one\", 0, 1);\n"
    "    COUNTS(\"one two\", 0, 2);\n"
    "    COUNTS(\"one  two\\tthree\", 0, 3);\n"
    "    COUNTS(\"  leading\", 0, 1);\n"
    "    COUNTS(\"trailing \", 0, 1);\n"
    "    COUNTS(\"a line\\n\", 1, 2);\n"
    "    COUNTS(\"two\\nlines\\n\", 2, 2);\n"
    "    printf(\"%d of %d checks passed\\n\", done - failed, done);\n"
    "    return failed != 0;\n"
    "}\n";

static const char makefile[] = "CFLAGS = -std=c11 -O2 -Wall -Wextra\n"
                               "\n"
                               "all: libwordcount.a\n"
                               "\n"
                               "libwordcount.a: wordcount.o\n"
                               "\t$(AR) rcs $@ $^\n"
                               "wordcount.o: wordcount.c wordcount.h\n"
                               "test_wordcount: test_wordcount.c libwordcount.a\n"
                               "\t$(CC) $(CFLAGS) -o $@ $^\n"
                               "\n"
                               "test: test_wordcount\n"
                               "\t./test_wordcount\n"
                               "clean:\n"
                               "\trm -f *.o *.a test_wordcount\n"
                               ".PHONY: all test clean\n";

static const char readme[] =
    "# wordcount\n"
    "\n"
    "A small library that counts lines, words and bytes, for `pawl demo`. `make test` tests it.\n";

const sample_file sample_files[] = {{"wordcount.h", header},
                                    {"test_wordcount.c", test},
                                    {"Makefile", makefile},
                                    {"README.md", readme},
                                    {NULL, NULL}};

#define HEAD                                                                                       \
    "#include \"wordcount.h\"\n"                                                                   \
    "\n"                                                                                           \
    "#include <ctype.h>\n"                                                                         \
    "\n"                                                                                           \
    "static int blank(const char *text, size_t i)\n"                                               \
    "{\n"                                                                                          \
    "    return isspace((unsigned char)text[i]);\n"                                                \
    "}\n"                                                                                          \
    "\n"                                                                                           \
    "struct wordcount wordcount(const char *text, size_t n)\n"                                     \
    "{\n"                                                                                          \
    "    struct wordcount c = {0, 0, n};\n"                                                        \
    "    for (size_t i = 0; i < n; i++) {\n"                                                       \
    "        c.lines += text[i] == '\\n';\n"

const char *const sample_wordcount[SAMPLE_KINDS] = {
    [SAMPLE_GOOD] = HEAD "        c.words += !blank(text, i) && (i == 0 || blank(text, i - 1)); /* "
                         "a word begins here */\n"
                         "    }\n"
                         "    return c;\n"
                         "}\n",
    /* the mistake: behind the last blank there need not be a word */
    [SAMPLE_BROKEN] = HEAD
    "        c.words += i > 0 && blank(text, i) && !blank(text, i - 1); /* a word ends here */\n"
    "    }\n"
    "    c.words += n > 0; /* the last one ends with the text */\n"
    "    return c;\n"
    "}\n",
    [SAMPLE_MENDED] = HEAD
    "        c.words += i > 0 && blank(text, i) && !blank(text, i - 1); /* a word ends here */\n"
    "    }\n"
    "    c.words += n > 0 && !blank(text, n - 1); /* the last one ends with the text */\n"
    "    return c;\n"
    "}\n",
};
