/* sql_sched.h - the statements of messages, schedulers and builders that need each other; a part of
 * sql.h. */
#ifndef PW_MASTER_STORE_SQL_SCHED_H
#define PW_MASTER_STORE_SQL_SCHED_H

/* An expiry looks at the oldest rows only. */
#define SQL_OUTBOX(X)                                                                              \
    X(MESSAGE_ADD, "INSERT INTO outbox(key,target,body,state,tries,due,created)"                   \
                   " VALUES(?1,?2,?3,0,0,?4,?4) ON CONFLICT(key) DO NOTHING")                      \
    X(MESSAGE_NEXT, "SELECT " C_MESSAGE ",body FROM outbox INDEXED BY outbox_open"                 \
                    " WHERE target=?1 AND state<2 ORDER BY id LIMIT 1")                            \
    X(MESSAGE_GET, "SELECT " C_MESSAGE " FROM outbox WHERE id=?1")                                 \
    X(MESSAGE_STATE, "SELECT state FROM outbox WHERE id=?1")                                       \
    X(MESSAGE_SEND, "UPDATE outbox SET state=1,tries=tries+1 WHERE id=?1 AND state=0")             \
    X(MESSAGE_WAIT, "UPDATE outbox SET state=0,due=?2,reason=?3 WHERE id=?1 AND state=1")          \
    X(MESSAGE_END,                                                                                 \
      "UPDATE outbox SET state=?2,reason=?3,finished=?4 WHERE id=?1 AND state<>?2 AND state<>2")   \
    X(MESSAGE_AGAIN, "UPDATE outbox SET state=0,tries=0,due=?2,created=?2,finished=NULL"           \
                     " WHERE id=?1 AND (state=0 OR state=3)")                                      \
    X(MESSAGE_TARGETS, "SELECT target,sum(state=0),sum(state=1) FROM outbox"                       \
                       " INDEXED BY outbox_open WHERE state<2 GROUP BY target ORDER BY target")    \
    X(MESSAGES_GIVE_UP, "UPDATE outbox SET state=3,reason=?2,finished=?3 WHERE id IN"              \
                        " (SELECT id FROM outbox INDEXED BY outbox_open WHERE state<2"             \
                        " AND (?1 IS NULL OR target=?1)) AND state=0 AND created<?4")              \
    X(MESSAGES_EXPIRE, "DELETE FROM outbox WHERE id IN (SELECT id FROM (SELECT id,state,finished"  \
                       " FROM outbox WHERE id>0 ORDER BY id LIMIT ?2) WHERE state>=2"              \
                       " AND finished<?1)")                                                        \
    X(MESSAGE_BODY, "UPDATE outbox SET body=?2 WHERE id=?1 AND state=0")                           \
    X(MESSAGE_OTHERS, "SELECT body FROM outbox INDEXED BY outbox_open WHERE target=?1"             \
                      " AND state<2 AND id>?2 ORDER BY id LIMIT ?3")                               \
    X(MESSAGES_FOLD, "UPDATE outbox SET state=2,reason=?3,finished=?4 WHERE id IN"                 \
                     " (SELECT id FROM outbox INDEXED BY outbox_open WHERE target=?1"              \
                     " AND state<2 AND id>?2) AND state=0")                                        \
    X(MESSAGE_REMOTE, "UPDATE outbox SET remote=?2 WHERE id=?1")                                   \
    X(CHANGE_AUTHOR, "SELECT author FROM change WHERE stamp=?1 ORDER BY id DESC LIMIT 1")          \
    X(LATEST_GET, "SELECT build,result FROM latest WHERE builder=?1 AND branch=?2")

/* What schedulers wait for, and what people switched off. */
#define SQL_SCHED(X)                                                                               \
    X(BUILDSET_SCHEDULER, "SELECT n.text,b.stamp FROM buildset b JOIN name n ON n.id=b.scheduler"  \
                          " WHERE b.id=?1")                                                        \
    X(BUILDSET_PARENT, "UPDATE buildset SET parent=?2 WHERE id=?1")                                \
    X(BUILDSET_FOLLOW, "UPDATE buildset SET followed=1 WHERE id=?1 AND followed=0")                \
    X(REQUEST_RIDERS, "WITH RECURSIVE x(id,buildset) AS (SELECT id,buildset FROM request"          \
                      " WHERE rode_with=?1 AND stamp=?2 UNION SELECT r.id,r.buildset FROM x"       \
                      " CROSS JOIN request r ON r.rode_with=x.id WHERE r.stamp=?2)"                \
                      " SELECT DISTINCT buildset FROM x")                                          \
    X(BUILDSET_RESULTS,                                                                            \
      "SELECT coalesce(nullif(t.parent,0),r.builder),r.state,r.rode_with,"                         \
      "b.result,t.hold IS 3 FROM request r LEFT JOIN task t"                                       \
      " ON t.request=r.id LEFT JOIN build b ON b.id=r.build WHERE r.buildset=?1 ORDER BY r.id")    \
    X(CHANGE_NEWEST, "SELECT max(id) FROM change WHERE stamp=?1")                                  \
    X(PAUSED_PUT, "INSERT INTO paused(kind,name,reason,who,at) VALUES(?1,?2,?3,?4,?5)"             \
                  " ON CONFLICT(kind,name) DO UPDATE SET reason=excluded.reason,who=excluded.who," \
                  "at=excluded.at")                                                                \
    X(PAUSED_DEL, "DELETE FROM paused WHERE kind=?1 AND name=?2")                                  \
    X(PAUSED, "SELECT kind,name,reason,who,at FROM paused ORDER BY kind,name")                     \
    X(MISSED_PUT, "INSERT INTO missed(scheduler,branch,stamp,project,tagged,change)"               \
                  " VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(scheduler,branch) DO UPDATE SET"         \
                  " stamp=excluded.stamp,project=excluded.project,"                                \
                  "tagged=max(tagged,excluded.tagged),change=CASE WHEN change=0"                   \
                  " THEN excluded.change WHEN excluded.change=0 THEN change"                       \
                  " ELSE min(change,excluded.change) END")                                         \
    X(MISSED_DEL, "DELETE FROM missed WHERE scheduler=?1 AND (?2 IS NULL OR branch=?2)")           \
    X(MISSED, "SELECT branch,stamp,tagged,change FROM missed WHERE scheduler=?1 ORDER BY branch")  \
    X(DECIDED_PUT, "INSERT INTO decided(builder,branch,build,result,since) VALUES(?1,?2,?3,?4,?3)" \
                   " ON CONFLICT(builder,branch) DO UPDATE SET build=excluded.build,"              \
                   "since=CASE WHEN result=excluded.result THEN since ELSE excluded.build END,"    \
                   "result=excluded.result WHERE excluded.build>=build")                           \
    X(DECIDED_GET, "SELECT result,since FROM decided WHERE builder=?1 AND branch=?2")              \
    X(TESTFIX_PUT, "INSERT INTO testfix(request,project,branch,change,held)"                       \
                   " VALUES(?1,?2,?3,?4,?5) ON CONFLICT(request) DO UPDATE SET"                    \
                   " change=excluded.change,held=excluded.held")                                   \
    X(TESTFIX_DEL, "DELETE FROM testfix WHERE request=?1")                                         \
    X(TESTFIX_GET, "SELECT change,held FROM testfix WHERE request=?1")
/* Builders that need each other. */
#define SQL_GRAPH(X)                                                                               \
    X(BUILDER_PARENT, "UPDATE builder SET parent=?2 WHERE id=?1 AND parent IS NOT ?2")             \
    X(BUILDER_ROW, "SELECT project,name,parent FROM builder WHERE id=?1")                          \
    X(BUILDSET_RETRY, "UPDATE buildset SET retry_of=?2 WHERE id=?1")                               \
    X(TASK_ADD, "INSERT INTO task(request,stamp,parent,hold,pipeline,follows)"                     \
                " VALUES(?1,?2,?3,?4,?5,?6)")                                                      \
    X(TASK_HOLD, "UPDATE task SET hold=?2 WHERE request=?1")                                       \
    X(TASK_GET, "SELECT request,stamp,parent,hold,pipeline,follows FROM task WHERE request=?1")    \
    X(GRAPH_ADD, "INSERT INTO graph(buildset,fail_fast) VALUES(?1,?2)")                            \
    X(GRAPH_DEL, "DELETE FROM graph WHERE buildset=?1")                                            \
    X(GRAPHS, "SELECT buildset,fail_fast FROM graph ORDER BY buildset")                            \
    X(NEED_ADD, "INSERT OR IGNORE INTO need(buildset,builder,needs,optional)"                      \
                " VALUES(?1,?2,?3,?4)")                                                            \
    X(NEED_DEL, "DELETE FROM need WHERE buildset=?1")                                              \
    X(NEEDS, "SELECT builder,needs,optional FROM need WHERE buildset=?1 ORDER BY builder,needs")   \
    X(SET_REQUESTS, "SELECT r.id,r.builder,coalesce(t.parent,0),r.state,r.rode_with,r.build,"      \
                    "b.result,coalesce(t.hold,0) FROM request r LEFT JOIN task t"                  \
                    " ON t.request=r.id LEFT JOIN build b ON b.id=r.build"                         \
                    " WHERE r.buildset=?1 ORDER BY r.id")                                          \
    X(REGARDED_PUT, "INSERT INTO regarded(scheduler,branch,project,change)"                        \
                    " SELECT ?1,?2,?3,max(id) FROM change WHERE stamp=?4 HAVING max(id) NOT NULL"  \
                    " ON CONFLICT(scheduler,branch) DO UPDATE SET project=excluded.project,"       \
                    "change=excluded.change")                                                      \
    X(REGARDED_GET, "SELECT change,(SELECT max(id) FROM change) FROM regarded WHERE scheduler=?1"  \
                    " AND branch=?2 AND project=?3")                                               \
    X(REGARDED_DEL, "DELETE FROM regarded WHERE project=?1 AND branch=?2")                         \
    X(CHANGES_SINCE, "SELECT c.files,c.forced FROM change c CROSS JOIN stamp s ON s.id=c.stamp"    \
                     " WHERE c.id>?1 AND s.branch=?2 AND s.project=?3 AND s.proposal=0"            \
                     " ORDER BY c.id")                                                             \
    X(FOLLOWS, "SELECT r.id FROM (SELECT id,stamp FROM request WHERE builder=?1 AND id<?2"         \
               " ORDER BY id DESC LIMIT 2000) r CROSS JOIN stamp s ON s.id=r.stamp"                \
               " WHERE s.branch=?3 AND s.proposal=0 AND NOT EXISTS(SELECT 1 FROM task t"           \
               " WHERE t.request=r.id AND t.hold=3) ORDER BY r.id DESC LIMIT 1")                   \
    X(VERDICT_FOLLOWS, "SELECT r.state,r.rode_with,b.id,b.result FROM (SELECT t.follows AS id"     \
                       " FROM stamp s CROSS JOIN build u ON u.stamp=s.id AND u.builder=?3"         \
                       " CROSS JOIN task t ON t.request=u.request AND t.hold=3"                    \
                       " WHERE s.rev=?1 AND s.project=?2 AND s.proposal=0 ORDER BY u.id DESC"      \
                       " LIMIT 1) f CROSS JOIN request r ON r.id=f.id LEFT JOIN build b"           \
                       " ON b.id=r.build")                                                         \
    X(PIPELINE_GET, "SELECT id FROM pipeline WHERE project=?1 AND rev=?2 AND path=?3")             \
    X(PIPELINE_ADD, "INSERT INTO pipeline(project,rev,path) VALUES(?1,?2,?3)")                     \
    X(PIPELINE_ROW, "SELECT project,rev,path FROM pipeline WHERE id=?1")                           \
    X(PIPELINE_PUT, "INSERT OR REPLACE INTO pipeline_text(pipeline,path,text) VALUES(?1,?2,?3)")   \
    X(PIPELINE_TEXTS, "SELECT path,text FROM pipeline_text WHERE pipeline=?1 ORDER BY path")       \
    X(ASKED_ADD, "INSERT INTO asked(request,flags,change,names,files) VALUES(?1,?2,?3,?4,?5)")     \
    X(ASKED_GET, "SELECT flags,change,names,files FROM asked WHERE request=?1")                    \
    X(ASKED_DEL, "DELETE FROM asked WHERE request=?1")                                             \
    X(REMARK_ADD, "INSERT INTO remark(build,text) VALUES(?1,?2)")                                  \
    X(VERDICT_PARTS, "SELECT DISTINCT r.builder FROM stamp s CROSS JOIN task t"                    \
                     " INDEXED BY task_parent ON t.stamp=s.id AND t.parent=?3 AND t.parent>0"      \
                     " CROSS JOIN request r ON r.id=t.request WHERE s.rev=?1 AND s.project=?2"     \
                     " AND s.proposal=0")
#endif
