/* deep_sql.h - the statements of those who look at a whole database file: backup, restore, doctor.
 * Not the server's: scans of whole tables are what they are for. Private; deep_test.c prepares each
 * one. */
#ifndef PW_MASTER_STORE_DEEP_SQL_H
#define PW_MASTER_STORE_DEEP_SQL_H
#include "master/store/conn.h"

#define DEEP_SQL(X)                                                                                \
    X(VERSION, "PRAGMA user_version")                                                              \
    X(APPLICATION, "PRAGMA application_id")                                                        \
    X(BEGIN, "BEGIN")                                                                              \
    X(COMMIT, "COMMIT")                                                                            \
    X(EXCLUSIVE, "PRAGMA locking_mode=EXCLUSIVE")                                                  \
    X(SYNC_OFF, "PRAGMA synchronous=OFF")                                                          \
    X(JOURNAL_OFF, "PRAGMA journal_mode=OFF")                                                      \
    X(JOURNAL_DELETE, "PRAGMA journal_mode=DELETE")                                                \
    X(EPOCH, "SELECT value FROM meta WHERE key='epoch'")                                           \
    X(TURN, "SELECT value FROM meta WHERE key='turn'")                                             \
    X(WORKERS_WITH_KEY, "SELECT count(*) FROM worker WHERE key IS NOT NULL AND removed=0")         \
    X(ANY_LOG, "SELECT EXISTS(SELECT 1 FROM log)")                                                 \
    X(CONFIG_LAST, "SELECT text FROM config ORDER BY gen DESC LIMIT 1")                            \
    X(WAITING, "SELECT count(*) FROM request r JOIN builder x ON x.id=r.builder JOIN project p"    \
               " ON p.id=x.project WHERE r.state=0 AND p.name=?1 AND x.name=?2")                   \
    X(UNDER_WAY, "SELECT count(*) FROM build b JOIN builder x ON x.id=b.builder JOIN project p"    \
                 " ON p.id=x.project WHERE b.state IN (1,2,3) AND p.name=?1 AND x.name=?2")        \
    X(SEGMENTS, "SELECT DISTINCT segment FROM frame ORDER BY segment")                             \
    X(SEALED, "SELECT attempt,idx,stream,bytes,lines,packed FROM log WHERE sealed=1"               \
              " ORDER BY attempt,idx,stream")                                                      \
    X(LOG_IS, "SELECT 1+sealed FROM log WHERE attempt=?1 AND idx=?2 AND stream=?3")                \
    X(FRAMES, "SELECT attempt,idx,stream,raw_pos,raw_len,first_line,lines,t_first,t_last,codec,"   \
              "segment,at,len FROM frame ORDER BY attempt,idx,stream,raw_pos")                     \
    X(FRAME_IS, "SELECT 1 FROM frame WHERE attempt=?1 AND idx=?2 AND stream=?3 AND raw_pos=?4")    \
    X(SEGMENT_IS, "SELECT 1 FROM frame WHERE segment=?1 LIMIT 1")                                  \
    X(ARTIFACTS, "SELECT attempt,file,step,kind,path,size,mode,sha256,state,at,expires"            \
                 " FROM artifact ORDER BY sha256,attempt,file")                                    \
    X(TRIES, "SELECT project,id FROM try ORDER BY id")                                             \
    X(SUM_IS, "SELECT 1 WHERE EXISTS(SELECT 1 FROM artifact WHERE sha256=?1)"                      \
              " OR EXISTS(SELECT 1 FROM artifact_gone WHERE sha256=?1)")                           \
    X(PART_IS, "SELECT 1 WHERE EXISTS(SELECT 1 FROM attempt WHERE id=?1 AND state<4)"              \
               " OR EXISTS(SELECT 1 FROM artifact WHERE attempt=?1 AND file=?2 AND state<>1)")     \
    X(INTEGRITY, "PRAGMA integrity_check(20)")                                                     \
    X(PROJECT_IS, "SELECT name FROM project WHERE id=?1")                                          \
    X(TOKEN_IS, "SELECT revoked IS NOT NULL OR coalesce(expires<?2,0) FROM token WHERE hash=?1")   \
    X(NEWEST_TIME, "SELECT max(coalesce((SELECT max(created) FROM build),0),"                      \
                   "coalesce((SELECT max(at) FROM event),0))")

/* What must hold between rows. Each gives the id of what is wrong, and a text; ?1 is the time in
 * milliseconds. */
#define DEEP_RULES(X)                                                                              \
    X(OFFSETS,                                                                                     \
      "SELECT id,'stored '||stored||' is above applied '||applied FROM attempt"                    \
      " WHERE stored>applied",                                                                     \
      "attempt")                                                                                   \
    X(ATTEMPT_BUILD,                                                                               \
      "SELECT a.id,'its build '||a.build||' is not there' FROM attempt a"                          \
      " WHERE NOT EXISTS(SELECT 1 FROM build b WHERE b.id=a.build)",                               \
      "attempt")                                                                                   \
    X(ATTEMPT_WORKER,                                                                              \
      "SELECT a.id,'its worker '||a.worker||' is not there' FROM attempt a"                        \
      " WHERE a.state<4 AND NOT EXISTS"                                                            \
      "(SELECT 1 FROM worker w WHERE w.id=a.worker)",                                              \
      "attempt")                                                                                   \
    X(ATTEMPT_TWO,                                                                                 \
      "SELECT build,count(*)||' attempts of it are live' FROM attempt"                             \
      " WHERE state IN (0,1) GROUP BY build HAVING count(*)>1",                                    \
      "build")                                                                                     \
    X(BUILD_REQUEST,                                                                               \
      "SELECT b.id,'its request '||b.request||' is not there' FROM build b"                        \
      " WHERE NOT EXISTS(SELECT 1 FROM request r WHERE r.id=b.request)",                           \
      "build")                                                                                     \
    X(BUILD_OPEN,                                                                                  \
      "SELECT b.id,'it is under way, and its request is done' FROM build b JOIN"                   \
      " request r ON r.id=b.request WHERE b.state<4 AND r.state=2",                                \
      "build")                                                                                     \
    X(BUILD_ATTEMPT,                                                                               \
      "SELECT b.id,'it is at a worker, and no attempt of it is live' FROM build b"                 \
      " WHERE b.state IN (1,2,3) AND NOT EXISTS(SELECT 1 FROM attempt a"                           \
      " WHERE a.build=b.id AND a.state IN (0,1))",                                                 \
      "build")                                                                                     \
    X(BUILD_DONE,                                                                                  \
      "SELECT b.id,'it is done, and attempt '||a.id||' of it is live' FROM build b"                \
      " JOIN attempt a ON a.build=b.id WHERE b.state=4 AND a.state IN (0,1)",                      \
      "build")                                                                                     \
    X(BUILD_RESULT,                                                                                \
      "SELECT id,'it is done without a result' FROM build"                                         \
      " WHERE state=4 AND result IS NULL",                                                         \
      "build")                                                                                     \
    X(BUILD_TWO,                                                                                   \
      "SELECT request,count(*)||' builds were made for it' FROM build"                             \
      " GROUP BY request HAVING count(*)>1",                                                       \
      "request")                                                                                   \
    X(REQUEST_BUILD,                                                                               \
      "SELECT r.id,'it is claimed, and its build '||coalesce(r.build,'')||"                        \
      "' is not there' FROM request r WHERE r.state=1 AND NOT EXISTS"                              \
      "(SELECT 1 FROM build b WHERE b.id=r.build)",                                                \
      "request")                                                                                   \
    X(REQUEST_OPEN,                                                                                \
      "SELECT r.id,'it is claimed, and its build '||b.id||' is done' FROM request r"               \
      " JOIN build b ON b.id=r.build WHERE r.state=1 AND b.state=4",                               \
      "request")                                                                                   \
    X(REQUEST_STAMP,                                                                               \
      "SELECT r.id,'its source stamp '||r.stamp||' is not there' FROM request r"                   \
      " WHERE NOT EXISTS(SELECT 1 FROM stamp s WHERE s.id=r.stamp)",                               \
      "request")                                                                                   \
    X(STEP_ATTEMPT,                                                                                \
      "SELECT attempt,'a step of it is there, the attempt is not' FROM step t"                     \
      " WHERE NOT EXISTS(SELECT 1 FROM attempt a WHERE a.id=t.attempt)",                           \
      "attempt")                                                                                   \
    X(LOG_ATTEMPT,                                                                                 \
      "SELECT attempt,'a log of it is there, the attempt is not' FROM log l"                       \
      " WHERE NOT EXISTS(SELECT 1 FROM attempt a WHERE a.id=l.attempt)",                           \
      "attempt")                                                                                   \
    X(FRAME_LOG,                                                                                   \
      "SELECT attempt,'output of it is there without its log' FROM frame f"                        \
      " WHERE NOT EXISTS(SELECT 1 FROM log l WHERE l.attempt=f.attempt AND"                        \
      " l.idx=f.idx AND l.stream=f.stream AND l.sealed=0)",                                        \
      "attempt")                                                                                   \
    X(FRAME_BYTES,                                                                                 \
      "SELECT f.attempt,'step '||f.idx||' has output up to '||max(f.raw_pos+"                      \
      "f.raw_len)||', its log ends at '||l.bytes FROM frame f JOIN log l ON"                       \
      " l.attempt=f.attempt AND l.idx=f.idx AND l.stream=f.stream"                                 \
      " GROUP BY f.attempt,f.idx,f.stream HAVING max(f.raw_pos+f.raw_len)>l.bytes",                \
      "attempt")                                                                                   \
    X(INTENT_TWO,                                                                                  \
      "SELECT max(id),count(*)||' pushes of \"'||target||'\" are open' FROM promotion"             \
      " WHERE state=0 GROUP BY project,target HAVING count(*)>1",                                  \
      "promotion")                                                                                 \
    X(INTENT_OLD,                                                                                  \
      "SELECT id,'the push of \"'||target||'\" is unfinished since '||"                            \
      "((?1-created)/60000)||' minutes' FROM promotion"                                            \
      " WHERE state=0 AND created<?1-3600000",                                                     \
      "promotion")                                                                                 \
    X(PIN_BUILD,                                                                                   \
      "SELECT build,'it is pinned, and not there' FROM pin p"                                      \
      " WHERE NOT EXISTS(SELECT 1 FROM build b WHERE b.id=p.build)",                               \
      "build")                                                                                     \
    X(CLOCK,                                                                                       \
      "SELECT w.id,'the clock of \"'||w.name||'\" was '||CASE WHEN t.started<a.offered"            \
      " THEN ((a.offered-t.started)/1000)||' s behind' ELSE ((t.started-a.ended)/1000)||"          \
      "' s ahead of' END||' the master''s at attempt '||a.id FROM (SELECT max(id) AS id"           \
      " FROM attempt WHERE state>=2 AND ended IS NOT NULL GROUP BY worker) m JOIN attempt a"       \
      " ON a.id=m.id JOIN worker w ON w.id=a.worker JOIN step t ON t.attempt=a.id"                 \
      " AND t.idx=0 WHERE w.removed=0 AND t.started IS NOT NULL AND"                               \
      " (t.started<a.offered-60000 OR t.started>a.ended+60000)",                                   \
      "worker")                                                                                    \
    X(TOKEN_OLD,                                                                                   \
      "SELECT id,'\"'||name||'\" has expired' FROM token"                                          \
      " WHERE revoked IS NULL AND expires<?1",                                                     \
      "token")                                                                                     \
    X(ENROL_OLD,                                                                                   \
      "SELECT e.worker,'the join token of \"'||w.name||'\" has expired unused'"                    \
      " FROM enrol e JOIN worker w ON w.id=e.worker"                                               \
      " WHERE e.used IS NULL AND w.removed=0 AND e.expires<?1",                                    \
      "worker")

#define DEEP_ENUM(name, ...) D_##name,
enum deep_stmt { DEEP_SQL(DEEP_ENUM) DEEP_RULES(DEEP_ENUM) DEEP_STMTS };
extern const sql_text deep_sql[DEEP_STMTS];
#endif
