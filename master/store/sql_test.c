/* Every statement is prepared on a fresh database; none may walk a whole table but the listed small
 * ones. */
#include "master/store/sql.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "tests/tap.h"

/* What a plan may SCAN: "table" (or its alias) as a word, for these statements only. Small are the
 * tables that grow with the configuration, not with the builds; an INDEX ..._open holds only what
 * is unfinished; frame is emptied as logs are sealed. */
static const struct {
    const char *stmt, *scan;
} allowed[] = {
    {"OBJECTS", "sqlite_master"},
    {"EPOCH_ADD", "2 CONSTANT ROWS"},
    {"CHECK_ALL", "t"},
    {"CHECK_ALL", "q VIRTUAL TABLE"},
    {"PAGES", "pragma_page_count"},
    {"CHECK_META", "meta"},
    {"HIGHEST", "CONSTANT ROW"},
    {"EVENT_RANGE", "CONSTANT ROW"},
    {"EVENTS_EXPIRE", "(subquery-2)"}, /* at most ?2 rows */
    {"HOOKS_NEW", "hook USING INDEX hook_new"},
    {"HOOKS_DONE", "hook USING INDEX hook_new"},
    {"HOOKS_EXPIRE", "(subquery-1)"}, /* at most ?2 rows */
    {"HOOKS_EXPIRE", "hook"},         /* in the order of the rows, ended by the limit */
    {"QUIETS", "quiet"},
    {"OUTBOX_GIVE_UP", "outbox"}, /* its open ones, at a restore */
    {"WORKERS", "worker"},
    {"WORKERS", "w"},
    {"ENROLS", "enrol"},
    {"CONFIG_LAST", "config"},
    {"FRAMES_ALL", "frame"},
    {"REQUESTS_OPEN", "r USING INDEX request_open"},
    {"REQUESTS_OPEN", "request USING INDEX request_open"},
    {"REQUESTS_OPEN", "r"},
    {"BUILDS_OPEN", "b USING INDEX build_open"},
    {"ATTEMPTS_OPEN", "attempt USING INDEX attempt_open"},
    {"LOGS_OPEN", "log USING INDEX log_open"},
    {"ARTIFACTS_OPEN", "artifact USING INDEX artifact_open"},
    {"GONES", "artifact_gone"},
    {"RETAIN_NTH", "b"},      /* at most ?5 rows */
    {"RETAIN_NTH_RARE", "s"}, /* likewise */
    {"RETAIN_GOING", "log USING INDEX log_going"},
    {"LOGS_GONE", "CONSTANT ROW"},
    {"PROMOTIONS_OPEN", "promotion USING INDEX promotion_open"},
    {"MESSAGE_TARGETS", "outbox USING INDEX outbox_open"},
    {"MESSAGES_GIVE_UP", "outbox USING INDEX outbox_open"},
    {"MESSAGES_EXPIRE", "(subquery-1)"}, /* at most ?2 rows */
    {"BUILDER_USUAL", "(subquery-1)"},   /* at most 10 rows */
    {"BUILDER_USUAL", "(subquery-2)"},   /* at most 100 */
    {"FOLLOWS", "r"},                    /* at most 2,000 rows */
    {"VERDICT_FOLLOWS", "f"},            /* one */
    {"TRIGGERED_OPEN", "triggered USING INDEX triggered_open"},
    {"GRAPHS", "graph"}, /* open sets only */
    {"EDGES", "edge"},
    {"PAUSED", "paused"},
    {"REQUEST_RIDERS", "x"}, /* what the walk itself found */
    {"HELD", "t"},           /* waiting requests of branches with [testfix] */
    {"LATEST", "l"},
    {"TIPS", "t"},
    {"TIPS", "p"},
    {"PROJECTS", "project"},
    {"BUILDERS", "x"},
    {"BUILDERS", "p"},
    {"BUILDER_IDS", "x"},
    {"BUILDER_IDS", "p"},
    {"BUILDS_PROJECT", "x"},
    {"BUILDS_PROJECT_BAD", "x"},
    {"BRANCH_SIZE", "(subquery-1)"}, /* at most 1,000 rows */
    {"CHANGES_RECENT", "c"},         /* as many as the reader looks at */
    {"CHANGES_PROJECT", "k"},        /* at most ?2 rows */
    {"CHANGES_BRANCH", "k"},         /* at most ?2 rows */
    {"OLDEST", "CONSTANT ROW"},
    {"OLDEST", "request USING INDEX request_open"},
    {"OLDEST", "outbox USING INDEX outbox_open"},
    {"BRANCH_BUILDS", "s"},          /* at most ?3 rows */
    {"BEHIND", "(subquery-1)"},      /* at most ?4 */
    {"GREEN_BEFORE", "s"},           /* at most ?6 */
    {"CHANGES_RANGE", "c"},          /* at most ?6 */
    {"USUAL", "(subquery-1)"},       /* at most 100 */
    {"USUAL_STEPS", "(subquery-1)"}, /* at most 100 */
    {"USUAL_STEPS", "b"},            /* at most 10 */
    {"TRIES_OVER", "t"},             /* those that are kept, after a pass of retention */
    {"MACHINES_OPEN", "machine USING INDEX machine_open"},
};

static bool scan_allowed(const char *stmt, const char *detail)
{
    const char *what = detail + strlen("SCAN ");

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        size_t n = strlen(allowed[i].scan);
        if (strcmp(allowed[i].stmt, stmt) == 0 && strncmp(what, allowed[i].scan, n) == 0 &&
            (what[n] == '\0' || what[n] == ' '))
            return true;
    }
    /* W_BUILDER and W_PROJECT read the list of builders once */
    return strncmp(what, "builder", 7) == 0 && (what[7] == '\0' || what[7] == ' ');
}

/* Walks the plan; false, with a note, when it scans what it may not. */
static bool plan_ok(sqlite3 *db, const sql_text *t, bool show)
{
    PW_AUTO(pw_buf_clearp) pw_buf sql = PW_BUF(1 << 16);
    sqlite3_stmt *st = NULL;
    bool good = true;

    if (pw_buf_adds(&sql, "EXPLAIN QUERY PLAN ") < 0 || pw_buf_adds(&sql, t->sql) < 0 ||
        sqlite3_prepare_v2(db, sql.p, -1, &st, NULL) != SQLITE_OK)
        return false;
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(st, 3);
        bool bad = strncmp(detail, "SCAN ", 5) == 0 && !scan_allowed(t->name, detail);
        if (bad || show)
            printf("# %s: %s\n", t->name, detail);
        good = good && !bad;
    }
    (void)sqlite3_finalize(st);
    return good;
}

static void test_table(sqlite3 *db, const sql_text *text, size_t count)
{
    bool show = getenv("SHOW_PLANS") != NULL;

    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *st = NULL;
        int rc = sqlite3_prepare_v2(db, text[i].sql, -1, &st, NULL);
        ok(rc == SQLITE_OK && st, "%s is valid%s%s", text[i].name, rc ? ": " : "",
           rc ? sqlite3_errmsg(db) : "");
        (void)sqlite3_finalize(st);
        if (strncmp(text[i].sql, "PRAGMA", 6) != 0)
            ok(plan_ok(db, &text[i], show), "%s scans nothing large", text[i].name);
    }
}

/* The columns that rows.c counts on. */
static void test_columns(sqlite3 *db)
{
    static const struct {
        enum reader_stmt stmt;
        int columns;
    } want[] = {{R_BUILD_NAMES, 13 + 10},
                {R_BUILDS_ALL, 13 + 10},
                {R_BUILDS_BUILDER, 13 + 10},
                {R_REQUESTS, 11 + 9},
                {R_REQUESTS_OPEN, 11 + 9},
                {R_CHANGES, 10 + 5},
                {R_CHANGES_RANGE, 10 + 5},
                {R_WORKERS, 20 + 2},
                {R_STEPS, 17},
                {R_FRAMES, 13},
                {R_LOG, 7},
                {R_MESSAGES, 9},
                {R_PROMOTIONS, 11},
                {R_TOKEN, 10},
                {R_AUDIT, 6}};

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        sqlite3_stmt *st = NULL;
        (void)sqlite3_prepare_v2(db, reader_sql[want[i].stmt].sql, -1, &st, NULL);
        ok(sqlite3_column_count(st) == want[i].columns, "%s has %d columns",
           reader_sql[want[i].stmt].name, want[i].columns);
        (void)sqlite3_finalize(st);
    }
}

int main(void)
{
    sqlite3 *db = NULL;

    ok(sqlite3_open(":memory:", &db) == SQLITE_OK, "a database in memory");
    for (size_t i = 0; i < STORE_SCHEMA; i++)
        ok(sqlite3_exec(db, store_migrations[i].sql, NULL, NULL, NULL) == SQLITE_OK,
           "migration %zu applies", i + 1);
    ok(plan_ok(db, &(sql_text){"X", "SELECT * FROM build WHERE worker=1"}, false) == false,
       "a scan is found");
    test_table(db, store_sql, STORE_STMTS);
    test_table(db, reader_sql, READER_STMTS);
    test_columns(db);
    (void)sqlite3_close(db);
    return tap_done();
}
