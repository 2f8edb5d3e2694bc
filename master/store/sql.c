#include "master/store/sql.h"

#define TEXT(id, text) {#id, text},
const sql_text store_sql[STORE_STMTS] = {STORE_SQL(TEXT)};
const sql_text reader_sql[READER_STMTS] = {READER_SQL(TEXT)};

/* The assembler takes the file as it is; the path is seen from the root, where make runs. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a declarator takes none */
#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".hidden " #symbol "\n.globl " #symbol "\n" #symbol ":\n"                              \
            ".incbin \"" file "\"\n.byte 0\n"                                                      \
            ".popsection\n");                                                                      \
    extern const char symbol[] __attribute__((visibility("hidden")))
/* NOLINTEND(bugprone-macro-parentheses) */

EMBED(pw_store_migration_0001, "master/store/migrations/0001_init.sql");
EMBED(pw_store_migration_0002, "master/store/migrations/0002_trust.sql");
EMBED(pw_store_migration_0003, "master/store/migrations/0003_builds.sql");

const sql_migration store_migrations[STORE_SCHEMA] = {{pw_store_migration_0001, S_VERSION_1},
                                                      {pw_store_migration_0002, S_VERSION_2},
                                                      {pw_store_migration_0003, S_VERSION_3}};
