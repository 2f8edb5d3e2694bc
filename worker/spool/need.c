#include "worker/spool/need.h"

#include <inttypes.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"

char *spool_need_dir(const char *spool)
{
    return pw_path_join(spool, "needs");
}

char *spool_need_ask(const char *spool, spool_job j)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/needs/%s.ask", spool, spool_job_name(j, name));
}

char *spool_need_part(const char *spool, spool_job j, uint64_t seq)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/needs/%s.%" PRIu64 ".part", spool, spool_job_name(j, name), seq);
}

char *spool_need_got(const char *spool, spool_job j, uint64_t seq)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/needs/%s.%" PRIu64 ".got", spool, spool_job_name(j, name), seq);
}
