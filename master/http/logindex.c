/* Indices of logs that grow no more, as they were sent: one that is looked at again and again,
 * while a page is open, is not read again and again. Bounded in number and bytes. */
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"

enum { KEPT_BYTES = 256 * 1024 /* of one; a larger one is made anew each time */ };

bool web_index_kept(web_server *web, uint64_t attempt, uint32_t idx, uint32_t stream, pw_buf *ret)
{
    bool found = false;
    (void)pthread_mutex_lock(&web->pool_lock);
    for (size_t i = 0; i < WEB_INDICES && !found; i++) {
        const web_index *x = &web->index[i];
        found = x->text && x->attempt == attempt && x->idx == idx && x->stream == stream &&
                pw_buf_add(ret, x->text, x->len) == 0;
    }
    (void)pthread_mutex_unlock(&web->pool_lock);
    return found;
}

void web_index_keep(web_server *web, uint64_t attempt, uint32_t idx, uint32_t stream,
                    const pw_buf *text)
{
    char *copy = text->len && text->len <= KEPT_BYTES ? malloc(text->len) : NULL;
    if (!copy)
        return;
    memcpy(copy, text->p, text->len);
    (void)pthread_mutex_lock(&web->pool_lock);
    web_index *x = &web->index[web->next_index++ % WEB_INDICES]; /* the oldest goes */
    free(x->text);
    *x = (web_index){
        .text = copy, .len = text->len, .attempt = attempt, .idx = idx, .stream = stream};
    (void)pthread_mutex_unlock(&web->pool_lock);
}

void web_index_clear(web_server *web)
{
    for (size_t i = 0; i < WEB_INDICES; i++)
        free(web->index[i].text);
}
