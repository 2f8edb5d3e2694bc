/* sql_pages.h - the statements of what pages show at a glance: branches, what was built of a
 * change, what something usually takes. A part of sql.h. Each is driven by an index and bounded by
 * a number of rows, whatever the size of `build`. Private. */
#ifndef PW_MASTER_STORE_SQL_PAGES_H
#define PW_MASTER_STORE_SQL_PAGES_H

#define C_BRIEF "b.id,x.name,coalesce(y.name,x.name),b.state,b.result,b.started,b.finished"
#define J_BRIEF " LEFT JOIN builder x ON x.id=b.builder LEFT JOIN builder y ON y.id=x.parent"

#define READER_PAGES(X)                                                                            \
    X(OLDEST, "SELECT (SELECT min(created) FROM request INDEXED BY request_open"                   \
              " WHERE state<2 AND state=0),(SELECT min(created) FROM outbox"                       \
              " INDEXED BY outbox_open WHERE state<2)")                                            \
    X(PROJECT_NAME, "SELECT name FROM project WHERE id=?1")                                        \
    X(BRANCHES, "SELECT ref,rev FROM tip WHERE project=?1 AND ref>?2 AND ref<'refs/heads0'"        \
                " ORDER BY ref")                                                                   \
    X(TIP, "SELECT t.rev,(SELECT c.at FROM stamp s CROSS JOIN change c ON c.stamp=s.id"            \
           " WHERE s.rev=t.rev AND s.project=?1 AND s.branch=?3 LIMIT 1) FROM tip t"               \
           " WHERE t.project=?1 AND t.ref=?2")                                                     \
    X(BRANCH_LATEST, "SELECT x.name,coalesce(y.name,x.name),l.build,l.result,l.finished,d.since,"  \
                     "(SELECT b.finished FROM build b WHERE b.id=d.since),d.result"                \
                     " FROM builder x CROSS JOIN latest l ON l.builder=x.id AND l.branch=?2"       \
                     " LEFT JOIN decided d ON d.builder=x.id AND d.branch=?2"                      \
                     " LEFT JOIN builder y ON y.id=x.parent WHERE x.project=?1 ORDER BY x.name")   \
    X(BRANCH_BUILDS, "SELECT " C_BRIEF " FROM (SELECT id FROM stamp WHERE branch=?2"               \
                     " AND project=?1 AND proposal=0 ORDER BY id DESC LIMIT ?3) s"                 \
                     " CROSS JOIN build b ON b.stamp=s.id" J_BRIEF " ORDER BY b.id DESC")          \
    X(STAMP_BUILDS, "SELECT " C_BRIEF " FROM build b" J_BRIEF " WHERE b.stamp=?1 ORDER BY b.id")   \
    X(EDGE_ONE, "SELECT name,state,rev,reason,at FROM edge WHERE name=?1")                         \
    X(BEHIND, "SELECT count(*) FROM (SELECT 1 FROM stamp s CROSS JOIN change c ON c.stamp=s.id"    \
              " WHERE s.branch=?2 AND s.project=?1 AND s.id>?3 LIMIT ?4)")                         \
    X(STAMP_ID, "SELECT id FROM stamp WHERE rev=?3 AND project=?1 AND branch=?2")                  \
    X(BUILD_PLACE, "SELECT b.builder,b.stamp,s.project,s.branch FROM build b JOIN stamp s"         \
                   " ON s.id=b.stamp WHERE b.id=?1")                                               \
    X(GREEN_BEFORE, "SELECT b.id,b.stamp FROM (SELECT id FROM stamp WHERE branch=?2"               \
                    " AND project=?1 AND proposal=0 AND id<=?4 ORDER BY id DESC LIMIT ?6) s"       \
                    " CROSS JOIN build b ON b.stamp=s.id AND b.builder=?3 WHERE b.id<?5"           \
                    " AND b.state=4 AND b.result IN (0,1) ORDER BY b.id DESC LIMIT 1")             \
    X(CHANGE_UPTO, "SELECT c.id FROM stamp s CROSS JOIN change c ON c.stamp=s.id"                  \
                   " WHERE s.branch=?2 AND s.project=?1 AND s.id<=?3 ORDER BY s.id DESC LIMIT 1")  \
    X(CHANGES_RANGE, "SELECT " C_CHANGE C_CHANGE_NAMES " FROM (SELECT * FROM change WHERE id>?3"   \
                     " AND id<=?4 ORDER BY id DESC LIMIT ?6) c CROSS JOIN stamp s"                 \
                     " ON s.id=c.stamp" J_CHANGE " WHERE s.branch=?2 AND s.project=?1"             \
                     " ORDER BY c.id DESC LIMIT ?5")                                               \
    X(USUAL, "SELECT d FROM (SELECT finished-started AS d,result FROM build WHERE builder=?1"      \
             " AND id<?2 ORDER BY id DESC LIMIT 100) WHERE result IN (0,1) AND d NOT NULL"         \
             " LIMIT 20")                                                                          \
    X(USUAL_STEPS, "SELECT n.text,t.finished-t.started FROM (SELECT attempt FROM (SELECT attempt," \
                   "result FROM build WHERE builder=?1 AND id<?2 ORDER BY id DESC LIMIT 100)"      \
                   " WHERE result IN (0,1) LIMIT 10) b CROSS JOIN step t ON t.attempt=b.attempt"   \
                   " LEFT JOIN name n ON n.id=t.name WHERE t.state=2 AND t.finished NOT NULL"      \
                   " AND t.started NOT NULL ORDER BY 1,2")                                         \
    X(COMMITS, "SELECT p.name,s.branch,s.rev,(SELECT c.subject FROM change c WHERE c.stamp=s.id"   \
               " LIMIT 1) FROM stamp s JOIN project p ON p.id=s.project"                           \
               " WHERE s.rev>=?1 AND s.rev<=?2 ORDER BY s.rev,s.id LIMIT ?3")
#endif
