/* Readers of the database for the web threads. The library's threads have no number of their own,
 * so the readers lie in a pool: as many as there are threads, opened when first needed. */
#include "master/http/impl.h"

reader *web_reader_take(web_server *web, pw_err *err)
{
    reader *rd = NULL;
    (void)pthread_mutex_lock(&web->pool_lock);
    if (web->pooled > 0)
        rd = web->pool[--web->pooled];
    (void)pthread_mutex_unlock(&web->pool_lock);
    return rd ? rd : reader_open(web->db, err);
}

void web_reader_give(web_server *web, reader *rd)
{
    if (!rd)
        return;
    (void)pthread_mutex_lock(&web->pool_lock);
    if (web->pooled < WEB_THREADS) {
        web->pool[web->pooled++] = rd;
        rd = NULL;
    }
    (void)pthread_mutex_unlock(&web->pool_lock);
    reader_close(rd);
}
