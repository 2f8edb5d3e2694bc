/* sql_trigger.h - the statements of steps that trigger; a part of sql.h. */
#ifndef PW_MASTER_STORE_SQL_TRIGGER_H
#define PW_MASTER_STORE_SQL_TRIGGER_H

#define C_TRIGGERED "build,step,buildset,attempt,depth,flags,result,reason"
#define SQL_TRIGGER(X)                                                                             \
    X(TRIGGERED_PUT, "INSERT OR REPLACE INTO triggered(" C_TRIGGERED ")"                           \
                     " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")                                           \
    X(TRIGGERED_GET, "SELECT " C_TRIGGERED " FROM triggered WHERE build=?1 AND step=?2")           \
    X(TRIGGERED_OF, "SELECT " C_TRIGGERED " FROM triggered WHERE build=?1 ORDER BY step")          \
    X(TRIGGERED_OPEN, "SELECT " C_TRIGGERED " FROM triggered INDEXED BY triggered_open"            \
                      " WHERE result IS NULL ORDER BY build,step")                                 \
    X(TRIGGERED_DEPTH, "SELECT depth FROM triggered WHERE buildset=?1 AND buildset>0 LIMIT 1")     \
    X(TRIGGERED_ATTEMPT, "UPDATE triggered SET attempt=?3 WHERE build=?1 AND step=?2")             \
    X(TRIGGERED_END, "UPDATE triggered SET result=?3 WHERE build=?1 AND step=?2"                   \
                     " AND result IS NULL")                                                        \
    X(TRIGGERED_BUILDS,                                                                            \
      "SELECT r.id,n.name,min(r.state,coalesce(q.state,2)),coalesce(r.build,q.build),"             \
      "b.state,b.result,coalesce(nullif(t.parent,0),r.builder),r.rode_with FROM request r"         \
      " CROSS JOIN builder n ON n.id=r.builder LEFT JOIN task t ON t.request=r.id"                 \
      " LEFT JOIN request q ON q.id=r.rode_with LEFT JOIN build b"                                 \
      " ON b.id=coalesce(r.build,q.build) WHERE r.buildset=?1 ORDER BY r.id LIMIT ?2")             \
    X(RETAIN_TRIGGERED, "DELETE FROM triggered WHERE build=?1")
#endif
