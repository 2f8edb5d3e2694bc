/* sql_files.h - the statements of files and reports; a part of sql.h. */
#ifndef PW_MASTER_STORE_SQL_FILES_H
#define PW_MASTER_STORE_SQL_FILES_H

#define C_ARTIFACT "attempt,file,step,kind,path,size,mode,sha256,state,at,expires"
#define C_REPORT "step,format,path,tests,failed,skipped,reason"
#define C_TEST "n,step,suite,name,result,ms"

/* An expiry looks at the oldest rows only. */
#define SQL_FILES(X)                                                                               \
    X(ARTIFACT_ADD, "INSERT INTO artifact(" C_ARTIFACT ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,"  \
                    "?11)")                                                                        \
    X(ARTIFACT_OLD, "SELECT file,sha256 FROM artifact WHERE attempt=?1 AND kind=?2 AND path=?3")   \
    X(ARTIFACT_DEL, "DELETE FROM artifact WHERE attempt=?1 AND file=?2")                           \
    X(ARTIFACT_STATE, "UPDATE artifact SET state=?3 WHERE attempt=?1 AND file=?2 AND state=0")     \
    X(ARTIFACTS_OPEN, "SELECT " C_ARTIFACT " FROM artifact INDEXED BY artifact_open"               \
                      " WHERE state=0 ORDER BY attempt,file")                                      \
    X(ARTIFACT_NAMED, "SELECT 1 FROM artifact WHERE sha256=?1 LIMIT 1")                            \
    X(ARTIFACTS_EXPIRED, "SELECT attempt,file,sha256 FROM artifact INDEXED BY artifact_expires"    \
                         " WHERE expires<=?1 AND NOT EXISTS(SELECT 1 FROM attempt a"               \
                         " JOIN pin p ON p.build=a.build WHERE a.id=artifact.attempt)"             \
                         " ORDER BY expires LIMIT ?2")                                             \
    X(GONE_ADD, "INSERT INTO artifact_gone(sha256) VALUES(?1) ON CONFLICT DO NOTHING")             \
    X(GONE_DEL, "DELETE FROM artifact_gone WHERE sha256=?1")                                       \
    X(GONES, "SELECT sha256 FROM artifact_gone ORDER BY sha256 LIMIT ?1")                          \
    X(REPORT_ADD,                                                                                  \
      "INSERT INTO report(attempt,n," C_REPORT ") VALUES(?1,(SELECT coalesce(max(n),0)"            \
      "+1 FROM report WHERE attempt=?1),?2,?3,?4,?5,?6,?7,?8)")                                    \
    X(TEST_LAST, "SELECT coalesce(max(n),0) FROM test WHERE attempt=?1")                           \
    X(TEST_ADD, "INSERT INTO test(attempt,n,step,suite,name,result,ms)"                            \
                " VALUES(?1,?2,?3,?4,?5,?6,?7)")

#define READER_FILES(X)                                                                            \
    X(ARTIFACTS, "SELECT " C_ARTIFACT " FROM artifact WHERE attempt=?1 AND file>?2"                \
                 " ORDER BY file LIMIT ?3")                                                        \
    X(ARTIFACT_ONE,                                                                                \
      "SELECT " C_ARTIFACT " FROM artifact WHERE attempt=?1 AND kind=?2 AND path=?3")              \
    X(REPORTS, "SELECT " C_REPORT " FROM report WHERE attempt=?1 ORDER BY n")                      \
    X(TESTS, "SELECT " C_TEST " FROM test WHERE attempt=?1 AND n>?2 ORDER BY n LIMIT ?3")          \
    X(TESTS_BAD, "SELECT " C_TEST " FROM test INDEXED BY test_bad WHERE attempt=?1 AND result=1"   \
                 " AND n>?2 ORDER BY n LIMIT ?3")
#endif
