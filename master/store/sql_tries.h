/* sql_tries.h - the statements of what people try; a part of sql.h. */
#ifndef PW_MASTER_STORE_SQL_TRIES_H
#define PW_MASTER_STORE_SQL_TRIES_H
#include "master/store/conn.h"

#define SQL_TRIES(X)                                                                               \
    X(TRY_ADD, "INSERT INTO try(id,project,stamp,base,who,size,at) VALUES(?1,?2,?3,?4,?5,?6,?7)")  \
    X(TRY_SET, "INSERT INTO try_set(try,buildset) SELECT id,?2 FROM try WHERE stamp=?1")           \
    X(TRY_DEL, "DELETE FROM try WHERE id=?1")                                                      \
    X(TRY_SETS_DEL, "DELETE FROM try_set WHERE try=?1")                                            \
    X(TRY_IS, "SELECT 1 FROM try WHERE id=?1 AND project=?2")                                      \
    X(TRY_HIGHEST, "SELECT coalesce(max(id),0) FROM try")                                          \
    X(TRIES_OVER, "SELECT id,project FROM try t WHERE NOT EXISTS(SELECT 1 FROM try_set s"          \
                  " CROSS JOIN buildset b ON b.id=s.buildset WHERE s.try=t.id)"                    \
                  " ORDER BY id LIMIT ?1")                                                         \
    X(STAMP_RELEASED, "SELECT released IS NOT NULL FROM stamp WHERE id=?1")                        \
    X(STAMP_RELEASE, "UPDATE stamp SET released=?2 WHERE id=?1 AND released IS NULL")
#endif
