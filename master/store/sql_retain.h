/* sql_retain.h - the statements of retention and pins; a part of sql.h. */
#ifndef PW_MASTER_STORE_SQL_RETAIN_H
#define PW_MASTER_STORE_SQL_RETAIN_H
#include "master/store/conn.h"

/* ---- retention; see retain.h. ?1 is a build (RETAIN_NEXT, RETAIN_LONE: ids above) */
#define B_ATTEMPTS "(SELECT id FROM attempt WHERE build=?1)"
#define SQL_RETAIN(X)                                                                              \
    X(RETAIN_NEXT,                                                                                 \
      "SELECT "                                                                                    \
      "b.id,b.builder,b.request,r.buildset,b.result,b.created,coalesce(b.finished,b.created),"     \
      "s.project,s.branch,EXISTS(SELECT 1 FROM pin p WHERE p.build=b.id),"                         \
      "EXISTS(SELECT 1 FROM attempt a WHERE a.build=b.id AND a.state<4)"                           \
      " OR EXISTS(SELECT 1 FROM request q WHERE q.buildset=r.buildset AND q.state<2),"             \
      "b.id=(SELECT max(id) FROM build) OR b.request=(SELECT max(id) FROM request)"                \
      " OR r.buildset=(SELECT max(id) FROM buildset)"                                              \
      " OR EXISTS(SELECT 1 FROM attempt a WHERE a.build=b.id AND a.id="                            \
      "(SELECT max(id) FROM attempt)),"                                                            \
      "(EXISTS(SELECT 1 FROM latest l WHERE l.builder=b.builder AND l.branch=s.branch"             \
      " AND l.build=b.id) OR EXISTS(SELECT 1 FROM decided d WHERE d.builder=b.builder"             \
      " AND d.branch=s.branch AND d.build=b.id)) AND EXISTS(SELECT 1 FROM tip t "                  \
      "WHERE t.project=s.project"                                                                  \
      " AND t.ref='refs/heads/'||s.branch),"                                                       \
      "(SELECT min(l.sealed) FROM attempt a CROSS JOIN log l ON l.attempt=a.id"                    \
      " WHERE a.build=b.id),"                                                                      \
      "EXISTS(SELECT 1 FROM attempt a CROSS JOIN artifact f ON f.attempt=a.id WHERE a.build=b.id)" \
      ",coalesce(s.proposal,0)=3"                                                                  \
      " FROM build b LEFT JOIN request r ON r.id=b.request LEFT JOIN stamp s ON s.id=b.stamp"      \
      " WHERE b.id>?1 AND b.state=4 ORDER BY b.id LIMIT ?2")                                       \
    X(RETAIN_NTH,                                                                                  \
      "SELECT b.id FROM (SELECT id,stamp,state FROM build WHERE builder=?1 ORDER BY id DESC"       \
      " LIMIT ?5) b CROSS JOIN stamp s ON s.id=b.stamp WHERE s.branch=?3 AND s.project=?2"         \
      " AND s.proposal<>3 AND b.state=4 ORDER BY b.id DESC LIMIT 1 OFFSET ?4")                     \
    X(RETAIN_NTH_RARE,                                                                             \
      "SELECT b.id FROM (SELECT id FROM stamp WHERE branch=?3 AND project=?2 AND proposal<>3"      \
      " ORDER BY id DESC LIMIT ?5) s CROSS JOIN build b ON b.stamp=s.id AND b.builder=?1"          \
      " WHERE b.state=4 ORDER BY b.id DESC LIMIT 1 OFFSET ?4")                                     \
    X(RETAIN_EDGE, "SELECT finished FROM promotion WHERE edge=?1 AND state=1"                      \
                   " ORDER BY id DESC LIMIT 1")                                                    \
    X(RETAIN_MARK, "UPDATE log SET sealed=2 WHERE sealed=1 AND attempt IN " B_ATTEMPTS)            \
    X(RETAIN_MARKED, "SELECT " C_LOG " FROM log WHERE sealed=2 AND attempt IN " B_ATTEMPTS)        \
    X(RETAIN_GOING, "SELECT " C_LOG " FROM log INDEXED BY log_going WHERE sealed=2 LIMIT ?1")      \
    X(RETAIN_GONE, "UPDATE log SET sealed=3 WHERE attempt=?1 AND idx=?2 AND stream=?3"             \
                   " AND sealed=2")                                                                \
    X(RETAIN_LOGS, "DELETE FROM log WHERE attempt IN " B_ATTEMPTS)                                 \
    X(RETAIN_STEPS, "DELETE FROM step WHERE attempt IN " B_ATTEMPTS)                               \
    X(RETAIN_PROPERTIES, "DELETE FROM property WHERE build=?1")                                    \
    X(RETAIN_JOB, "DELETE FROM job WHERE build=?1")                                                \
    X(RETAIN_ATTEMPTS, "DELETE FROM attempt WHERE build=?1")                                       \
    X(RETAIN_FILES, "UPDATE artifact SET expires=0 WHERE expires>0 AND attempt IN " B_ATTEMPTS)    \
    X(RETAIN_NOTES, "DELETE FROM note WHERE attempt IN " B_ATTEMPTS)                               \
    X(RETAIN_FACTS, "DELETE FROM ran_on WHERE attempt IN " B_ATTEMPTS)                             \
    X(RETAIN_REPORTS, "DELETE FROM report WHERE attempt IN " B_ATTEMPTS)                           \
    X(RETAIN_TESTS, "DELETE FROM test WHERE attempt IN " B_ATTEMPTS)                               \
    X(RETAIN_KEPT, "DELETE FROM kept WHERE build=?1")                                              \
    X(RETAIN_REMARK, "DELETE FROM remark WHERE build=?1")                                          \
    X(RETAIN_TASK, "DELETE FROM task WHERE request=?1")                                            \
    X(RETAIN_DECIDED, "DELETE FROM decided WHERE builder=?2 AND branch=?3 AND build=?1")           \
    X(RETAIN_LATEST, "DELETE FROM latest WHERE builder=?2 AND branch=?3 AND build=?1")             \
    X(RETAIN_BUILD, "DELETE FROM build WHERE id=?1")                                               \
    X(RETAIN_REQUEST, "DELETE FROM request WHERE id=?1")                                           \
    X(RETAIN_SET, "DELETE FROM buildset WHERE id=?1 AND NOT EXISTS"                                \
                  "(SELECT 1 FROM request WHERE buildset=?1)"                                      \
                  " AND id<(SELECT max(id) FROM buildset)")                                        \
    X(RETAIN_LONE,                                                                                 \
      "SELECT r.id,r.builder,r.buildset,r.created,r.state=2 AND r.build IS NULL"                   \
      " AND r.id<(SELECT max(id) FROM request)"                                                    \
      " AND r.buildset<(SELECT max(id) FROM buildset),s.project,s.branch"                          \
      " FROM request r LEFT JOIN stamp s ON s.id=r.stamp WHERE r.id>?1 ORDER BY r.id LIMIT ?2")    \
    X(PIN_PUT, "INSERT INTO pin(build,who,reason,at) VALUES(?1,?2,?3,?4)"                          \
               " ON CONFLICT(build) DO UPDATE SET who=excluded.who,reason=excluded.reason,"        \
               "at=excluded.at")                                                                   \
    X(PIN_DEL, "DELETE FROM pin WHERE build=?1")
#endif
