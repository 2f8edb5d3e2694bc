/* sql.h - all SQL of the house but the migrations: two tables of named statements, the writer's and
 * the readers'. Literals are put together here only, by the preprocessor; values are always bound.
 * sql_test.c prepares each one. Private. */
#ifndef PW_MASTER_STORE_SQL_H
#define PW_MASTER_STORE_SQL_H
#include "master/store/conn.h"
#include "master/store/sql_files.h"
#include "master/store/sql_pages.h"
#include "master/store/sql_retain.h"
#include "master/store/sql_sched.h"
#include "master/store/sql_trigger.h"
#include "master/store/sql_tries.h"

/* ---- columns, in the order in which rows.c reads them */
#define C_REQUEST                                                                                  \
    "r.id,r.buildset,r.builder,r.stamp,r.prio,r.state,r.created,r.build,r.rode_with,r.collapse,r." \
    "props"
#define C_BUILD                                                                                    \
    "b.id,b.request,b.builder,b.stamp,b.state,b.result,b.created,b.started,b.finished,b.worker,"   \
    "b.attempt,b.tries,b.reason"
#define C_ATTEMPT                                                                                  \
    "id,build,worker,state,offers,spool,boot,offered,ended,applied,applied_chain,stored,"          \
    "stored_chain,result,epoch,digest"
#define C_FRAME                                                                                    \
    "attempt,idx,stream,raw_pos,raw_len,first_line,lines,t_first,t_last,codec,segment,at,len"
#define C_LOG "attempt,idx,stream,bytes,lines,packed,sealed"
#define C_WORKER                                                                                   \
    "w.id,w.name,w.key,w.spool,w.boot,w.slots,w.tags,w.facts,w.version,w.created,w.seen,w.paused," \
    "w.draining,w.removed,w.quarantine,w.reason,w.who,w.strikes,w.rests,w.provider"
#define C_PROMOTION "id,edge,project,source,target,old,rev,state,reason,created,finished"
#define C_TOKEN "hash,id,name,scopes,person,creator,created,expires,used,revoked"
#define C_CHANGE "c.id,c.stamp,c.at,c.tip,c.forced,c.source,c.author,c.subject,c.files,c.note"

#define C_MESSAGE "id,key,target,state,tries,due,created,finished,reason"

/* ---- opening; application_id is "Pawl" */
#define SQL_OPEN(X)                                                                                \
    X(VERSION, "PRAGMA user_version")                                                              \
    X(APPLICATION, "PRAGMA application_id")                                                        \
    X(APPLICATION_SET, "PRAGMA application_id=1348564844")                                         \
    X(OBJECTS, "SELECT count(*) FROM sqlite_schema")                                               \
    X(PAGE_SIZE, "PRAGMA page_size=4096")                                                          \
    X(JOURNAL_WAL, "PRAGMA journal_mode=WAL")                                                      \
    X(SYNC_FULL, "PRAGMA synchronous=FULL")                                                        \
    X(JOURNAL_LIMIT, "PRAGMA journal_size_limit=67108864")                                         \
    X(FOREIGN_KEYS, "PRAGMA foreign_keys=OFF")                                                     \
    X(SECURE_DELETE, "PRAGMA secure_delete=FAST")                                                  \
    X(TEMP_STORE, "PRAGMA temp_store=MEMORY")                                                      \
    X(MIGRATE, "BEGIN EXCLUSIVE")                                                                  \
    X(VERSION_1, "PRAGMA user_version=1")                                                          \
    X(VERSION_2, "PRAGMA user_version=2")                                                          \
    X(VERSION_3, "PRAGMA user_version=3")                                                          \
    X(EPOCH_ADD, "INSERT INTO meta(key,value) VALUES('epoch',?1),('turn',0)")                      \
    X(EPOCH, "SELECT value FROM meta WHERE key='epoch'")                                           \
    X(TURN, "SELECT value FROM meta WHERE key='turn'")                                             \
    X(PAGES, "SELECT page_count FROM pragma_page_count")                                           \
    X(CHECK_ALL, "SELECT t.name,q.quick_check FROM sqlite_schema t,pragma_quick_check(t.name) q"   \
                 " WHERE t.type='table' AND q.quick_check<>'ok'")                                  \
    X(CHECK_META, "SELECT count(*) FROM meta")                                                     \
    X(CHECK_NAME, "SELECT max(id) FROM name")                                                      \
    X(CHECK_PROJECT, "SELECT max(id) FROM project")                                                \
    X(CHECK_BUILDER, "SELECT max(id) FROM builder")                                                \
    X(CHECK_STAMP, "SELECT max(id) FROM stamp")                                                    \
    X(CHECK_CHANGE, "SELECT max(id) FROM change")                                                  \
    X(CHECK_REQUEST, "SELECT max(id) FROM request")                                                \
    X(CHECK_BUILD, "SELECT max(id) FROM build")                                                    \
    X(CHECK_ATTEMPT, "SELECT max(id) FROM attempt")                                                \
    X(CHECK_WORKER, "SELECT max(id) FROM worker")                                                  \
    X(CHECK_EVENT, "SELECT max(seq) FROM event")

#define SQL_COMMIT(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(TURN_SET, "UPDATE meta SET value=?1 WHERE key='turn'")                                       \
    X(EPOCH_SET, "UPDATE meta SET value=?1 WHERE key='epoch'")

#define SQL_NAMES(X)                                                                               \
    X(META_GET, "SELECT value FROM meta WHERE key=?1")                                             \
    X(META_PUT, "INSERT INTO meta(key,value) VALUES(?1,?2)"                                        \
                " ON CONFLICT(key) DO UPDATE SET value=excluded.value")                            \
    X(NAME_GET, "SELECT id FROM name WHERE text=?2")                                               \
    X(NAME_ADD, "INSERT INTO name(text) VALUES(?2)")                                               \
    X(PROJECT_GET, "SELECT id FROM project WHERE name=?2")                                         \
    X(PROJECT_ADD, "INSERT INTO project(name) VALUES(?2)")                                         \
    X(BUILDER_GET, "SELECT id FROM builder WHERE project=?1 AND name=?2")                          \
    X(BUILDER_ADD, "INSERT INTO builder(project,name) VALUES(?1,?2)")                              \
    X(STAMP_GET, "SELECT id FROM stamp WHERE rev=?1 AND project=?2 AND branch=?3")                 \
    X(STAMP_ADD, "INSERT INTO stamp(rev,project,branch) VALUES(?1,?2,?3)")                         \
    X(STAMP_ROW, "SELECT project,rev,branch FROM stamp WHERE id=?1")                               \
    X(HIGHEST, "SELECT (SELECT max(id) FROM build),(SELECT max(id) FROM request),"                 \
               "(SELECT max(id) FROM attempt),(SELECT max(id) FROM buildset),"                     \
               "(SELECT max(id) FROM change),(SELECT max(id) FROM promotion),"                     \
               "(SELECT max(seq) FROM event)")

#define SQL_CHANGES(X)                                                                             \
    X(TIPS, "SELECT ref,rev FROM tip WHERE project=?1 ORDER BY ref")                               \
    X(TIP_PUT, "INSERT INTO tip(project,ref,rev) VALUES(?1,?2,?3)"                                 \
               " ON CONFLICT(project,ref) DO UPDATE SET rev=excluded.rev")                         \
    X(TIP_DEL, "DELETE FROM tip WHERE project=?1 AND ref=?2")                                      \
    X(PROJECT_LOOKED, "SELECT looked,head FROM project WHERE id=?1")                               \
    X(PROJECT_LOOK, "UPDATE project SET looked=1,head=?2 WHERE id=?1")                             \
    X(CHANGE_KNOWN, "SELECT 1 FROM change WHERE stamp=?1 LIMIT 1")                                 \
    X(CHANGE_SEEN, "UPDATE change SET source=?2,author=coalesce(?3,author),subject=?4,files=?5,"   \
                   "forced=?6 WHERE stamp=?1 AND source='hand'")                                   \
    X(CHANGE_ADD, "INSERT INTO change(id,stamp,at,tip,forced,source,author,subject,files,note)"    \
                  " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")                                       \
    X(STAMP_PROPOSAL, "SELECT proposal FROM stamp WHERE id=?1")                                    \
    X(STAMP_PROPOSE, "UPDATE stamp SET proposal=?2 WHERE id=?1 AND proposal NOT IN (1,?2)")        \
    X(PROPOSAL_PUT, "INSERT INTO proposal(project,branch,target,title,author,fork,at)"             \
                    " VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT(project,branch) DO UPDATE SET"      \
                    " target=excluded.target,title=excluded.title,author=excluded.author,"         \
                    "fork=excluded.fork,at=excluded.at")                                           \
    X(PROPOSAL_GET, "SELECT target,title,author,fork FROM proposal WHERE project=?1"               \
                    " AND branch=?2")                                                              \
    X(QUIET_PUT, "INSERT INTO quiet(scheduler,branch,stamp,due,tagged,change)"                     \
                 " VALUES(?1,?2,?3,?4,?5,?6)"                                                      \
                 " ON CONFLICT(scheduler,branch) DO UPDATE SET stamp=excluded.stamp,"              \
                 "due=excluded.due,tagged=excluded.tagged,change=excluded.change")                 \
    X(QUIET_DEL, "DELETE FROM quiet WHERE scheduler=?1 AND branch=?2")                             \
    X(QUIETS, "SELECT scheduler,branch,stamp,due,tagged,change FROM quiet"                         \
              " ORDER BY scheduler,branch")                                                        \
    X(SCHEDULE_GET, "SELECT fired,stamp FROM schedule WHERE name=?1")                              \
    X(SCHEDULE_PUT, "INSERT INTO schedule(name,fired,stamp) VALUES(?1,?2,?3)"                      \
                    " ON CONFLICT(name) DO UPDATE SET fired=excluded.fired,stamp=excluded.stamp")

#define SQL_BUILDS(X)                                                                              \
    X(BUILDSET_ADD, "INSERT INTO buildset(id,scheduler,reason,who,stamp,created)"                  \
                    " VALUES(?1,?2,?3,?4,?5,?6)")                                                  \
    X(BUILDSET_SCHEDULED, "SELECT CASE WHEN who IS NULL THEN scheduler END FROM buildset"          \
                          " WHERE id=?1")                                                          \
    X(BUILDSET_REASON, "SELECT reason FROM buildset WHERE id=?1")                                  \
    X(REQUEST_ADD, "INSERT INTO request(id,buildset,builder,stamp,prio,state,created,build,"       \
                   "rode_with,collapse,props) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")         \
    X(REQUEST_CLAIM, "UPDATE request SET state=1,build=?2 WHERE id=?1 AND state=0")                \
    X(REQUEST_DONE, "UPDATE request SET state=2,rode_with=?2 WHERE id=?1 AND state<2")             \
    X(REQUEST_STATE, "SELECT state FROM request WHERE id=?1")                                      \
    X(REQUEST_GET, "SELECT " C_REQUEST " FROM request r WHERE id=?1")                              \
    X(REQUESTS_OPEN, "SELECT " C_REQUEST " FROM request r INDEXED BY request_open"                 \
                     " WHERE state<2 ORDER BY id")                                                 \
    X(BUILD_ADD, "INSERT INTO build(id,request,builder,stamp,state,result,created,started,"        \
                 "finished,worker,attempt,tries,reason)"                                           \
                 " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")                            \
    X(BUILD_DISPATCH, "UPDATE build SET state=1,worker=?2,attempt=?3,tries=?4"                     \
                      " WHERE id=?1 AND state=0")                                                  \
    X(BUILD_REQUEUE, "UPDATE build SET state=0,worker=NULL,attempt=NULL"                           \
                     " WHERE id=?1 AND state IN (1,2)")                                            \
    X(BUILD_START,                                                                                 \
      "UPDATE build SET state=2,started=coalesce(started,?2) WHERE id=?1 AND state=1")             \
    X(BUILD_FINISH, "UPDATE build SET state=4,result=?2,reason=?3,finished=?4"                     \
                    " WHERE id=?1 AND state<4")                                                    \
    X(BUILD_STATE, "SELECT state FROM build WHERE id=?1")                                          \
    X(BUILD_GET, "SELECT " C_BUILD " FROM build b WHERE id=?1")                                    \
    X(BUILDS_OPEN, "SELECT " C_BUILD " FROM build b INDEXED BY build_open"                         \
                   " WHERE state<4 ORDER BY id")                                                   \
    X(JOB_ADD, "INSERT INTO job(build,bytes) VALUES(?1,?2)")                                       \
    X(JOB_GET, "SELECT bytes FROM job WHERE build=?1")                                             \
    X(JOB_DEL, "DELETE FROM job WHERE build=?1")                                                   \
    X(LATEST_PUT, "INSERT INTO latest(builder,branch,build,result,stamp,finished)"                 \
                  " SELECT ?1,?2,?3,?4,?5,?6 FROM stamp WHERE id=?5 AND proposal=0"                \
                  " ON CONFLICT(builder,branch) DO UPDATE SET"                                     \
                  " build=excluded.build,result=excluded.result,stamp=excluded.stamp,"             \
                  "finished=excluded.finished WHERE excluded.build>=latest.build")                 \
    X(PROPERTY_PUT, "INSERT INTO property(build,name,value,source) VALUES(?1,?2,?3,?4)"            \
                    " ON CONFLICT(build,name) DO UPDATE SET value=excluded.value,"                 \
                    "source=excluded.source")                                                      \
    X(PROPERTY_GET, "SELECT v.value FROM name n JOIN property v ON v.name=n.id AND v.build=?1"     \
                    " WHERE n.text=?2")                                                            \
    X(NOTE_PUT, "INSERT INTO note(attempt,context,style,text,at) VALUES(?1,?2,?3,?4,?5)"           \
                " ON CONFLICT(attempt,context) DO UPDATE SET style=excluded.style,"                \
                "text=excluded.text,at=excluded.at")                                               \
    X(KEPT_PUT, "INSERT OR REPLACE INTO kept(build,worker,dir,until) VALUES(?1,?2,?3,?4)")         \
    X(KEPT_EXPIRE, "DELETE FROM kept WHERE until<=?1")                                             \
    X(KEPT_GET, "SELECT worker,dir,until FROM kept WHERE build=?1")                                \
    X(VERDICT, "SELECT b.id,b.result FROM stamp s CROSS JOIN build b ON b.stamp=s.id"              \
               " WHERE s.rev=?1 AND s.project=?2 AND s.proposal=0 AND b.builder=?3 AND b.state=4"  \
               " AND b.result IN (0,1,2) ORDER BY b.id DESC LIMIT 1")                              \
    X(VERDICT_BUILD, "SELECT 1 FROM stamp s CROSS JOIN build b ON b.stamp=s.id"                    \
                     " WHERE s.rev=?1 AND s.project=?2 AND s.proposal=0 AND b.builder=?3"          \
                     " AND b.state<4 LIMIT 1")                                                     \
    X(VERDICT_REQUEST, "SELECT 1 FROM request r CROSS JOIN stamp s ON s.id=r.stamp"                \
                       " WHERE r.builder=?3 AND r.state<2 AND r.state=0 AND s.rev=?1"              \
                       " AND s.project=?2 AND s.proposal=0 LIMIT 1")

#define SQL_ATTEMPTS(X)                                                                            \
    X(ATTEMPT_ADD, "INSERT INTO attempt(id,build,worker,state,offers,spool,boot,offered,ended,"    \
                   "applied,applied_chain,stored,stored_chain,result,digest,epoch)"                \
                   " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)")              \
    X(ATTEMPT_REOFFER, "UPDATE attempt SET offers=?2 WHERE id=?1")                                 \
    X(ATTEMPT_RUN, "UPDATE attempt SET state=1 WHERE id=?1 AND state=0")                           \
    X(ATTEMPT_CLOSE, "UPDATE attempt SET state=?2,result=?3,reason=?4,ended=?5"                    \
                     " WHERE id=?1 AND state IN (0,1)")                                            \
    X(ATTEMPT_FORGET, "UPDATE attempt SET state=4 WHERE id=?1 AND state IN (2,3)")                 \
    X(ATTEMPT_LOSE, "UPDATE attempt SET state=5 WHERE id=?1 AND state IN (2,3)")                   \
    X(ATTEMPT_OFFSETS, "UPDATE attempt SET applied=?2,applied_chain=?3,stored=?4,stored_chain=?5"  \
                       " WHERE id=?1")                                                             \
    X(ATTEMPT_STATE, "SELECT state FROM attempt WHERE id=?1")                                      \
    X(ATTEMPT_GET, "SELECT " C_ATTEMPT " FROM attempt WHERE id=?1")                                \
    X(ATTEMPTS_OPEN, "SELECT " C_ATTEMPT " FROM attempt INDEXED BY attempt_open"                   \
                     " WHERE state<4 ORDER BY id")                                                 \
    X(STEP_START,                                                                                  \
      "INSERT INTO step(attempt,idx,name,kind,state,started) VALUES(?1,?2,?3,?4,?5,?6)"            \
      " ON CONFLICT(attempt,idx) DO NOTHING")                                                      \
    X(STEP_END, "INSERT INTO step(attempt,idx,name,kind,state,started,result,finished,exit_code,"  \
                "signal,lines,bytes,cpu_ms,max_rss,reason,read_bytes,write_bytes)"                 \
                " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)"              \
                " ON CONFLICT(attempt,idx) DO UPDATE SET name=excluded.name,kind=excluded.kind,"   \
                "state=excluded.state,started=coalesce(excluded.started,started),"                 \
                "result=excluded.result,finished=excluded.finished,exit_code=excluded.exit_code,"  \
                "signal=excluded.signal,lines=excluded.lines,bytes=excluded.bytes,"                \
                "cpu_ms=excluded.cpu_ms,max_rss=excluded.max_rss,reason=excluded.reason,"          \
                "read_bytes=excluded.read_bytes,write_bytes=excluded.write_bytes")                 \
    X(STEPS_OVER_COUNT, "SELECT max(idx) FROM step WHERE attempt=?1 AND state=2")                  \
    X(BUILDER_USUAL, "SELECT avg(d) FROM (SELECT d FROM (SELECT finished-started AS d,result,"     \
                     "started FROM build WHERE builder=?1 ORDER BY id DESC LIMIT 100)"             \
                     " WHERE result IN (0,1,2) AND started NOT NULL LIMIT 10)")                    \
    X(STEPS_OVER, "UPDATE step SET state=2,result=?2,finished=?3,reason=?4"                        \
                  " WHERE attempt=?1 AND state<2")

#define SQL_LOGS(X)                                                                                \
    X(FRAME_ADD, "INSERT INTO frame(" C_FRAME ")"                                                  \
                 " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")                            \
    X(FRAMES_ALL, "SELECT " C_FRAME " FROM frame ORDER BY attempt,idx,stream,raw_pos")             \
    X(FRAMES_DEL, "DELETE FROM frame WHERE attempt=?1 AND idx=?2 AND stream=?3")                   \
    X(LOG_PUT, "INSERT INTO log(" C_LOG ") VALUES(?1,?2,?3,?4,?5,?6,?7)"                           \
               " ON CONFLICT(attempt,idx,stream) DO UPDATE SET bytes=excluded.bytes,"              \
               "lines=excluded.lines,packed=excluded.packed,sealed=excluded.sealed")               \
    X(LOG_SEAL, "UPDATE log SET sealed=1,packed=?4 WHERE attempt=?1 AND idx=?2 AND stream=?3")     \
    X(LOGS_OPEN, "SELECT " C_LOG " FROM log INDEXED BY log_open WHERE sealed=0"                    \
                 " ORDER BY attempt,idx,stream")

#define SQL_WORKERS(X)                                                                             \
    X(WORKER_BY_NAME, "SELECT id,removed FROM worker WHERE name=?1")                               \
    X(WORKER_ADD, "INSERT INTO worker(name,created) VALUES(?1,?2)")                                \
    X(WORKER_AGAIN, "UPDATE worker SET removed=0,key=NULL,paused=0,draining=0,quarantine=0,"       \
                    "reason=NULL,who=NULL,strikes=0,rests=0,provider=NULL,created=?2 WHERE id=?1") \
    X(WORKERS, "SELECT " C_WORKER " FROM worker w ORDER BY id")                                    \
    X(WORKER_HELLO, "UPDATE worker SET spool=?2,boot=?3,slots=?4,tags=?5,facts=?6,version=?7,"     \
                    "seen=?8 WHERE id=?1")                                                         \
    X(WORKER_SEEN, "UPDATE worker SET seen=?2 WHERE id=?1")                                        \
    X(WORKER_FLAGS, "UPDATE worker SET paused=?2,draining=?3,removed=?4,quarantine=?5,reason=?6,"  \
                    "who=?7 WHERE id=?1")                                                          \
    X(WORKER_KEY, "UPDATE worker SET key=?2 WHERE id=?1")                                          \
    X(ATTEMPT_FACTS, "INSERT INTO ran_on(attempt,facts) VALUES(?1,?2)")                            \
    X(WORKER_STRIKES, "UPDATE worker SET strikes=?2,rests=?3 WHERE id=?1")                         \
    X(WORKER_FACTS, "UPDATE worker SET facts=?2 WHERE id=?1")                                      \
    X(WORKER_PROVIDER, "UPDATE worker SET provider=?2 WHERE id=?1")                                \
    X(MACHINE_ADD, "INSERT INTO machine(provider,worker,state,created) VALUES(?1,?2,0,?3)")        \
    X(MACHINE_PUT, "UPDATE machine SET state=?2,handle=?3,reason=?4,finished=?5 WHERE id=?1")      \
    X(MACHINES_OPEN, "SELECT id,provider,worker,state,handle,created,reason FROM machine"          \
                     " INDEXED BY machine_open WHERE state<4 ORDER BY id")                         \
    X(ENROL_PUT, "INSERT INTO enrol(worker,key,expires) VALUES(?1,?2,?3) ON CONFLICT(worker)"      \
                 " DO UPDATE SET key=excluded.key,expires=excluded.expires,used=NULL")             \
    X(ENROL_USE, "UPDATE enrol SET used=?2 WHERE worker=?1")                                       \
    X(ENROL_USED, "SELECT used FROM enrol WHERE worker=?1")                                        \
    X(ENROL_DEL, "DELETE FROM enrol WHERE worker=?1")                                              \
    X(ENROLS, "SELECT worker,key,expires FROM enrol ORDER BY worker")

#define SQL_PROMOTIONS(X)                                                                          \
    X(PROMOTION_ADD, "INSERT INTO promotion(" C_PROMOTION ")"                                      \
                     " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")                                \
    X(PROMOTION_END,                                                                               \
      "UPDATE promotion SET state=?2,reason=?3,finished=?4 WHERE id=?1 AND state=0")               \
    X(PROMOTION_STATE, "SELECT state FROM promotion WHERE id=?1")                                  \
    X(PROMOTIONS_OPEN, "SELECT " C_PROMOTION " FROM promotion INDEXED BY promotion_open"           \
                       " WHERE state=0 ORDER BY id")                                               \
    X(EDGE_PUT, "INSERT INTO edge(name,state,rev,reason,at) VALUES(?1,?2,?3,?4,?5)"                \
                " ON CONFLICT(name) DO UPDATE SET state=excluded.state,rev=excluded.rev,"          \
                "reason=excluded.reason,at=excluded.at")

/* An expiry looks at the oldest rows only, so that it costs the same when nothing is old enough;
 * the newest event stays. */
#define SQL_MISC(X)                                                                                \
    X(EVENT_ADD, "INSERT INTO event(seq,at,kind,id) VALUES(?1,?2,?3,?4)")                          \
    X(EVENTS_EXPIRE, "DELETE FROM event WHERE seq IN (SELECT seq FROM (SELECT seq,at FROM event"   \
                     " WHERE seq<(SELECT max(seq) FROM event) ORDER BY seq LIMIT ?2)"              \
                     " WHERE at<?1)")                                                              \
    X(IDEM_GET, "SELECT status,body FROM idem WHERE key=?1")                                       \
    X(IDEM_PUT, "INSERT INTO idem(key,at,status,body) VALUES(?1,?2,?3,?4) ON CONFLICT(key)"        \
                " DO UPDATE SET at=excluded.at,status=excluded.status,body=excluded.body")         \
    X(IDEM_EXPIRE, "DELETE FROM idem WHERE key IN (SELECT key FROM idem WHERE at<?1 ORDER BY at"   \
                   " LIMIT ?2)")                                                                   \
    X(AUDIT_ADD, "INSERT INTO audit(at,actor,action,object,text) VALUES(?1,?2,?3,?4,?5)")          \
    X(CONFIG_PUT, "INSERT INTO config(at,text) VALUES(?1,?2)")                                     \
    X(CONFIG_LAST, "SELECT gen,text FROM config ORDER BY gen DESC LIMIT 1")                        \
    X(TOKEN_PUT, "INSERT INTO token(hash,id,name,scopes,creator,created) VALUES(?1,(SELECT "       \
                 "coalesce(max(id),0)+1 FROM token),?2,?3,'master',?4) ON CONFLICT"                \
                 "(hash) DO UPDATE SET name=excluded.name,scopes=excluded.scopes,"                 \
                 "created=excluded.created,revoked=NULL")                                          \
    X(TOKEN_ADD, "INSERT INTO token(" C_TOKEN ") VALUES(?1,(SELECT coalesce(max(id),0)+1 FROM"     \
                 " token),?2,?3,?4,?5,?6,?7,NULL,NULL)")                                           \
    X(TOKEN_ID, "SELECT id FROM token WHERE hash=?1")                                              \
    X(TOKEN_ONE, "SELECT " C_TOKEN " FROM token WHERE id=?1")                                      \
    X(TOKEN_ANEW, "UPDATE token SET hash=?2 WHERE id=?1 AND used IS NULL AND revoked IS NULL")     \
    X(TOKEN_REVOKE, "UPDATE token SET revoked=?2 WHERE id=?1 AND revoked IS NULL")                 \
    X(TOKEN_USED, "UPDATE token SET used=?2 WHERE id=?1 AND (used IS NULL OR used<=?3)")           \
    X(OUTBOX_GIVE_UP, "UPDATE outbox INDEXED BY outbox_open SET state=3,finished=?1,reason="       \
                      "'restored from a backup: it may have been sent after it'"                   \
                      " WHERE state<2")

/* Webhooks, sessions of the page. */
#define SQL_WEB(X)                                                                                 \
    X(HOOK_ADD, "INSERT INTO hook(project,kind,delivery,event,at,body,state)"                      \
                " VALUES(?1,?2,?3,?4,?5,?6,0) ON CONFLICT(project,kind,delivery) DO NOTHING")      \
    X(HOOK_ID, "SELECT id FROM hook WHERE project=?1 AND kind=?2 AND delivery=?3")                 \
    X(HOOKS_NEW, "SELECT id,project FROM hook INDEXED BY hook_new WHERE state=0 ORDER BY id")      \
    X(HOOKS_DONE,                                                                                  \
      "UPDATE hook SET state=1,body=CASE WHEN length(body)>65536 THEN x'' ELSE body END"           \
      " WHERE id IN (SELECT id FROM hook INDEXED BY hook_new"                                      \
      " WHERE state=0 AND project=?1 AND id<=?2)")                                                 \
    X(HOOKS_TRIM, "DELETE FROM hook WHERE id IN (SELECT id FROM hook WHERE state<>0 AND"           \
                  " id<=(SELECT max(id) FROM hook)-?1 ORDER BY id LIMIT ?2)")                      \
    X(HOOKS_EXPIRE, "DELETE FROM hook WHERE id IN (SELECT id FROM (SELECT id,at FROM hook"         \
                    " ORDER BY id LIMIT ?2) WHERE at<?1)")                                         \
    X(SESSION_ADD, "INSERT INTO session(hash,token,created,expires) VALUES(?1,?2,?3,?4)")          \
    X(SESSION_DEL, "DELETE FROM session WHERE hash=?1")                                            \
    X(SESSIONS_EXPIRE, "DELETE FROM session WHERE hash IN (SELECT hash FROM session"               \
                       " WHERE expires<?1 ORDER BY expires LIMIT ?2)")

#define STORE_SQL(X)                                                                               \
    SQL_OPEN(X)                                                                                    \
    SQL_COMMIT(X)                                                                                  \
    SQL_NAMES(X)                                                                                   \
    SQL_CHANGES(X)                                                                                 \
    SQL_BUILDS(X)                                                                                  \
    SQL_ATTEMPTS(X)                                                                                \
    SQL_LOGS(X)                                                                                    \
    SQL_FILES(X)                                                                                   \
    SQL_WORKERS(X)                                                                                 \
    SQL_PROMOTIONS(X)                                                                              \
    SQL_MISC(X)                                                                                    \
    SQL_WEB(X)                                                                                     \
    SQL_OUTBOX(X)                                                                                  \
    SQL_RETAIN(X)                                                                                  \
    SQL_SCHED(X)                                                                                   \
    SQL_TRIGGER(X)                                                                                 \
    SQL_GRAPH(X)                                                                                   \
    SQL_TRIES(X)

/* ---- readers. Lists of builds, newest first, give ids, and BUILD_NAMES then the row of one with
 * its names; the commonest two give the whole row at once, which is twice as fast. Their values: ?1
 * ids below, ?2 ids from, ?3 how many, ?4 state, ?5 result (-1: any), ?6 created from, ?7 worker,
 * ?8 builder, ?9 project (0: any), ?10 name of builders in several projects, ?11 branch, ?12
 * revision. What drives each walk is an index (its name); the rest of the filter is tested row by
 * row. */
#define W_REST                                                                                     \
    " AND b.id<?1 AND b.id>=?2 AND (?4<0 OR b.state=?4) AND (?5<0 OR b.result=?5)"                 \
    " AND b.created>=?6 AND (?7=0 OR b.worker=?7)"
#define W_BUILDER                                                                                  \
    " AND (?8=0 OR b.builder=?8) AND (?10 IS NULL OR b.builder IN"                                 \
    " (SELECT id FROM builder WHERE name=?10))"
#define W_PROJECT " AND (?9=0 OR b.builder IN (SELECT id FROM builder WHERE project=?9))"
#define W_NEWEST " ORDER BY b.id DESC LIMIT ?3"
#define C_BUILD_NAMES                                                                              \
    C_BUILD ",p.name,x.name,s.branch,w.name,bs.who,bs.reason,r.buildset,s.rev"                     \
            ",bs.retry_of,bs.parent"
#define J_BUILD                                                                                    \
    " FROM build b LEFT JOIN stamp s ON s.id=b.stamp LEFT JOIN builder x ON x.id=b.builder"        \
    " LEFT JOIN project p ON p.id=x.project LEFT JOIN worker w ON w.id=b.worker"                   \
    " LEFT JOIN request r ON r.id=b.request LEFT JOIN buildset bs ON bs.id=r.buildset"
#define C_REQUEST_NAMES                                                                            \
    ",p.name,x.name,s.branch,bs.who,bs.reason,s.rev,"                                              \
    "(SELECT t.held FROM testfix t WHERE t.request=r.id),bs.retry_of,bs.parent"
#define J_REQUEST                                                                                  \
    " FROM request r LEFT JOIN builder x ON x.id=r.builder LEFT JOIN project p ON p.id=x.project"  \
    " LEFT JOIN stamp s ON s.id=r.stamp LEFT JOIN buildset bs ON bs.id=r.buildset"
/* what holds a change: [testfix] since a build, a scheduler that is paused */
#define C_CHANGE_NAMES                                                                             \
    ",p.name,s.branch,s.rev,(SELECT min(t.held) FROM testfix t WHERE t.project=s.project"          \
    " AND t.branch=s.branch AND t.held>0 AND t.change<=c.id),(SELECT m.scheduler FROM missed m"    \
    " WHERE m.project=s.project AND m.branch=s.branch AND m.change>0 AND m.change<=c.id LIMIT 1)"
#define J_CHANGE " LEFT JOIN project p ON p.id=s.project"
#define C_WORKER_STATE                                                                             \
    ",(SELECT count(*) FROM attempt a WHERE a.worker=w.id AND a.state<4 AND a.state<2),"           \
    "EXISTS(SELECT 1 FROM enrol e WHERE e.worker=w.id)"

#define READER_BUILDS(X)                                                                           \
    X(BUILDS_ALL, "SELECT " C_BUILD_NAMES J_BUILD " WHERE 1" W_REST W_NEWEST)                      \
    X(BUILDS_BUILDER, "SELECT " C_BUILD_NAMES J_BUILD " WHERE b.builder=?8" W_REST W_NEWEST)       \
    X(BUILDS_BAD, "SELECT b.id FROM build b INDEXED BY build_bad WHERE b.builder=?8"               \
                  " AND b.result IN (2,4)" W_REST W_NEWEST)                                        \
    X(BUILDS_OPEN, "SELECT b.id FROM build b INDEXED BY build_open CROSS JOIN stamp s"             \
                   " ON s.id=b.stamp WHERE b.state<4" W_REST W_BUILDER W_PROJECT                   \
                   " AND (?11 IS NULL OR s.branch=?11)" W_NEWEST)                                  \
    X(BUILDS_REV, "SELECT b.id FROM stamp s CROSS JOIN build b ON b.stamp=s.id"                    \
                  " WHERE s.rev=?12 AND (?9=0 OR s.project=?9)"                                    \
                  " AND (?11 IS NULL OR s.branch=?11)" W_REST W_BUILDER W_NEWEST)                  \
    X(BUILDS_RECENT, "SELECT b.id,s.branch=?11 AND (?9=0 OR s.project=?9)" W_REST W_BUILDER        \
                     " FROM build b CROSS JOIN stamp s ON s.id=b.stamp WHERE b.id<?1 AND b.id>=?2" \
                     " ORDER BY b.id DESC")                                                        \
    X(BUILDS_RECENT_OF,                                                                            \
      "SELECT b.id,s.branch=?11" W_REST " FROM build b CROSS JOIN stamp s ON s.id=b.stamp"         \
      " WHERE b.builder=?8 AND b.id<?1 AND b.id>=?2 ORDER BY b.id DESC")                           \
    X(BUILDS_BRANCH, "SELECT b.id FROM stamp s CROSS JOIN build b ON b.stamp=s.id"                 \
                     " WHERE s.branch=?11 AND (?9=0 OR s.project=?9)" W_REST W_BUILDER W_NEWEST)   \
    X(BUILDS_BRANCH_OF, "SELECT b.id FROM stamp s CROSS JOIN build b ON b.stamp=s.id"              \
                        " AND b.builder=?8 WHERE s.branch=?11" W_REST W_NEWEST)                    \
    X(BUILDS_PROJECT, "SELECT t.id FROM builder x CROSS JOIN build t ON t.id IN"                   \
                      " (SELECT b.id FROM build b WHERE b.builder=x.id" W_REST W_NEWEST ")"        \
                      " WHERE (?9=0 OR x.project=?9) AND (?10 IS NULL OR x.name=?10)"              \
                      " ORDER BY t.id DESC LIMIT ?3")                                              \
    X(BUILDS_PROJECT_BAD, "SELECT t.id FROM builder x CROSS JOIN build t ON t.id IN"               \
                          " (SELECT b.id FROM build b INDEXED BY build_bad WHERE b.builder=x.id"   \
                          " AND b.result IN (2,4)" W_REST W_NEWEST ")"                             \
                          " WHERE (?9=0 OR x.project=?9) AND (?10 IS NULL OR x.name=?10)"          \
                          " ORDER BY t.id DESC LIMIT ?3")                                          \
    X(BRANCH_SIZE, "SELECT count(*) FROM (SELECT 1 FROM stamp WHERE branch=?11"                    \
                   " AND (?9=0 OR project=?9) LIMIT 1000)")                                        \
    X(BUILD_NAMES, "SELECT " C_BUILD_NAMES J_BUILD " WHERE b.id=?1")                               \
    X(BUILD_AT, "SELECT id,created FROM build WHERE id>=?1 ORDER BY id LIMIT 1")                   \
    X(BUILD_MAX, "SELECT max(id) FROM build")                                                      \
    X(PROJECT_ID, "SELECT id FROM project WHERE name=?1")                                          \
    X(WORKER_ID, "SELECT id FROM worker WHERE name=?1")                                            \
    X(BUILDER_IDS, "SELECT x.id FROM builder x JOIN project p ON p.id=x.project"                   \
                   " WHERE x.name=?1 AND (?2=0 OR x.project=?2) UNION"                             \
                   " SELECT x.id FROM builder x JOIN project p ON p.id=x.project"                  \
                   " WHERE p.name||'/'||x.name=?1 AND (?2=0 OR x.project=?2) ORDER BY 1 LIMIT 2")

#define READER_ONE_BUILD(X)                                                                        \
    X(JOB, "SELECT bytes FROM job WHERE build=?1")                                                 \
    X(REMARK, "SELECT text FROM remark WHERE build=?1")                                            \
    X(ATTEMPT_LAST, "SELECT id FROM attempt WHERE build=?1 ORDER BY id DESC LIMIT 1")              \
    X(ATTEMPT_NTH, "SELECT id FROM attempt WHERE build=?1 ORDER BY id LIMIT 1 OFFSET ?2")          \
    X(STEPS, "SELECT t.attempt,t.idx,n.text,t.kind,t.state,t.result,t.started,t.finished,"         \
             "t.exit_code,t.signal,t.lines,t.bytes,t.cpu_ms,t.max_rss,t.reason,"                   \
             "t.read_bytes,t.write_bytes"                                                          \
             " FROM step t LEFT JOIN name n ON n.id=t.name WHERE t.attempt=?1 ORDER BY t.idx")     \
    X(PROPERTIES, "SELECT n.text,v.value,v.source FROM property v JOIN name n ON n.id=v.name"      \
                  " WHERE v.build=?1 ORDER BY n.text")                                             \
    X(NOTES, "SELECT context,style,text,at FROM note WHERE attempt=?1 ORDER BY at,context")        \
    X(ATTEMPT_FACTS, "SELECT n.text FROM ran_on r JOIN name n ON n.id=r.facts WHERE r.attempt=?1") \
    X(PIN, "SELECT who,reason,at FROM pin WHERE build=?1")                                         \
    X(LOGS_GONE, "SELECT EXISTS(SELECT 1 FROM attempt a CROSS JOIN log l ON l.attempt=a.id"        \
                 " WHERE a.build=?1 AND l.sealed>1)")                                              \
    X(LOG, "SELECT " C_LOG " FROM log WHERE attempt=?1 AND idx=?2 AND stream=?3")                  \
    X(FRAMES, "SELECT " C_FRAME " FROM frame WHERE attempt=?1 AND idx=?2 AND stream=?3"            \
              " ORDER BY raw_pos")

#define READER_LISTS(X)                                                                            \
    X(REQUESTS, "SELECT " C_REQUEST C_REQUEST_NAMES J_REQUEST                                      \
                " WHERE r.id<?1 AND (?3<0 OR r.state=?3) ORDER BY r.id DESC LIMIT ?2")             \
    X(REQUESTS_OPEN,                                                                               \
      "SELECT " C_REQUEST C_REQUEST_NAMES " FROM (SELECT * FROM request INDEXED BY request_open"   \
      " WHERE state<2 AND state=?3 AND id<?1 ORDER BY id DESC LIMIT ?2) r"                         \
      " LEFT JOIN builder x ON x.id=r.builder LEFT JOIN project p"                                 \
      " ON p.id=x.project LEFT JOIN stamp s ON s.id=r.stamp LEFT JOIN buildset bs"                 \
      " ON bs.id=r.buildset ORDER BY r.id DESC")                                                   \
    X(REQUEST_ONE, "SELECT " C_REQUEST C_REQUEST_NAMES J_REQUEST " WHERE r.id=?1")                 \
    X(CHANGES, "SELECT " C_CHANGE C_CHANGE_NAMES " FROM change c CROSS JOIN stamp s"               \
               " ON s.id=c.stamp" J_CHANGE " WHERE c.id<?1 AND (?3=0 OR s.project=?3)"             \
               " ORDER BY c.id DESC LIMIT ?2")                                                     \
    X(CHANGES_RECENT, "SELECT c.id,s.project=?3 FROM change c CROSS JOIN stamp s"                  \
                      " ON s.id=c.stamp WHERE c.id<?1 ORDER BY c.id DESC")                         \
    X(CHANGES_PROJECT,                                                                             \
      "SELECT " C_CHANGE C_CHANGE_NAMES " FROM (SELECT k.id FROM stamp s"                          \
      " CROSS JOIN change k ON k.stamp=s.id WHERE s.project=?3"                                    \
      " AND k.id<?1 ORDER BY k.id DESC LIMIT ?2) k"                                                \
      " CROSS JOIN change c ON c.id=k.id CROSS JOIN stamp s ON s.id=c.stamp" J_CHANGE              \
      " ORDER BY c.id DESC")                                                                       \
    X(CHANGES_BRANCH,                                                                              \
      "SELECT " C_CHANGE C_CHANGE_NAMES " FROM (SELECT k.id FROM stamp s"                          \
      " CROSS JOIN change k ON k.stamp=s.id WHERE s.branch=?4"                                     \
      " AND (?3=0 OR s.project=?3) AND k.id<?1 ORDER BY k.id DESC LIMIT ?2) k"                     \
      " CROSS JOIN change c ON c.id=k.id CROSS JOIN stamp s ON s.id=c.stamp" J_CHANGE              \
      " ORDER BY c.id DESC")                                                                       \
    X(CHANGE_ONE, "SELECT " C_CHANGE C_CHANGE_NAMES " FROM change c LEFT JOIN stamp s"             \
                  " ON s.id=c.stamp" J_CHANGE " WHERE c.id=?1")                                    \
    X(WORKERS, "SELECT " C_WORKER C_WORKER_STATE " FROM worker w ORDER BY w.name")                 \
    X(WORKER_ONE, "SELECT " C_WORKER C_WORKER_STATE " FROM worker w WHERE w.id=?1")                \
    X(PROMOTIONS, "SELECT " C_PROMOTION " FROM promotion WHERE id<?1 ORDER BY id DESC LIMIT ?2")   \
    X(PROMOTIONS_EDGE, "SELECT " C_PROMOTION " FROM promotion WHERE edge=?3 AND id<?1"             \
                       " ORDER BY id DESC LIMIT ?2")                                               \
    X(MESSAGE_REMOTE, "SELECT remote FROM outbox WHERE key=?1")                                    \
    X(MESSAGES, "SELECT " C_MESSAGE " FROM outbox WHERE id<?1 AND (?3<0 OR state=?3)"              \
                " AND (?4 IS NULL OR target=?4) ORDER BY id DESC LIMIT ?2")                        \
    X(PROMOTION_ONE, "SELECT " C_PROMOTION " FROM promotion WHERE id=?1")                          \
    X(EDGES, "SELECT name,state,rev,reason,at FROM edge ORDER BY name")                            \
    X(LATEST, "SELECT p.name,x.name,l.branch,l.build,l.result,s.rev,l.finished FROM latest l"      \
              " LEFT JOIN builder x ON x.id=l.builder LEFT JOIN project p ON p.id=x.project"       \
              " LEFT JOIN stamp s ON s.id=l.stamp ORDER BY p.name,l.branch,x.name")                \
    X(TIPS, "SELECT p.name,t.ref,t.rev FROM tip t JOIN project p ON p.id=t.project"                \
            " ORDER BY p.name,t.ref")                                                              \
    X(PROJECTS, "SELECT id,name FROM project ORDER BY name")                                       \
    X(BUILDERS, "SELECT x.id,p.name,x.name FROM builder x JOIN project p ON p.id=x.project"        \
                " ORDER BY p.name,x.name")                                                         \
    X(EVENTS, "SELECT seq,at,kind,id FROM event WHERE seq>?1 ORDER BY seq LIMIT ?2")               \
    X(EVENT_RANGE, "SELECT (SELECT min(seq) FROM event),(SELECT max(seq) FROM event)")             \
    X(PAUSED, "SELECT kind,name,reason,who,at FROM paused ORDER BY kind,name")                     \
    X(HELD, "SELECT p.name,t.branch,min(t.held),count(*),min(r.created) FROM testfix t"            \
            " JOIN request r ON r.id=t.request LEFT JOIN project p ON p.id=t.project"              \
            " WHERE t.held>0 GROUP BY p.name,t.branch ORDER BY p.name,t.branch")                   \
    X(TOKEN, "SELECT " C_TOKEN " FROM token WHERE hash=?1")                                        \
    X(SESSION, "SELECT token,expires FROM session WHERE hash=?1")                                  \
    X(TOKENS, "SELECT " C_TOKEN " FROM token WHERE id<?1 ORDER BY id DESC LIMIT ?2")               \
    X(AUDIT, "SELECT id,at,actor,action,object,text FROM audit WHERE id<?1 ORDER BY id DESC")      \
    X(AUDIT_ACTOR, "SELECT id,at,actor,action,object,text FROM audit WHERE actor=?2 AND id<?1"     \
                   " ORDER BY id DESC")                                                            \
    X(EPOCH, "SELECT value FROM meta WHERE key='epoch'")                                           \
    X(VERSION, "PRAGMA user_version")                                                              \
    X(BEGIN, "BEGIN")                                                                              \
    X(COMMIT, "COMMIT")

#define READER_SQL(X)                                                                              \
    READER_BUILDS(X)                                                                               \
    READER_ONE_BUILD(X)                                                                            \
    READER_FILES(X)                                                                                \
    READER_LISTS(X)                                                                                \
    READER_PAGES(X)

#define SQL_STORE_ENUM(name, sql) S_##name,
#define SQL_READER_ENUM(name, sql) R_##name,
enum store_stmt { STORE_SQL(SQL_STORE_ENUM) STORE_STMTS };
enum reader_stmt { READER_SQL(SQL_READER_ENUM) READER_STMTS };
extern const sql_text store_sql[STORE_STMTS];
extern const sql_text reader_sql[READER_STMTS];

/* The migrations, embedded from migrations/NNNN_*.sql when the program was built; number i brings
 * version i to i + 1. */
typedef struct sql_migration {
    const char *sql;
    enum store_stmt version; /* sets user_version */
} sql_migration;
extern const sql_migration store_migrations[STORE_SCHEMA];
#endif
