/* Addresses: the route table and the query behind it. What was found is decoded text without NUL; a
 * query that was read gives back each key once. */
#include <stdlib.h>
#include <string.h>

#include "master/http/query.h"
#include "master/http/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const methods[] = {"GET", "POST", "DELETE", "PUT"};
    web_match m;
    web_query q = {0};
    size_t limit;
    uint64_t before;
    char *path = len > 1 ? malloc(len) : NULL;
    if (!path)
        return 0;
    memcpy(path, data + 1, len - 1);
    path[len - 1] = '\0';
    char *raw = strchr(path, '?');
    if (raw)
        *raw++ = '\0';
    int r = web_route_find(web_routes, web_n_routes, methods[data[0] % 4], path, &m, NULL);
    if ((r == 0) != (m.route != NULL && r == 0) || (r == PW_EDENIED && !*m.allow))
        abort();
    for (size_t i = 0; r == 0 && i < m.n; i++)
        if (m.param[i] < m.text || m.param[i] + strlen(m.param[i]) >= m.text + sizeof(m.text))
            abort();
    if (web_query_parse(&q, raw, r == 0 ? m.route->query : "limit cursor grep from", NULL) == 0) {
        for (size_t i = 0; i < q.n; i++)
            if (web_query_get(&q, q.item[i].key) != q.item[i].value)
                abort();
        if (web_query_page(&q, &limit, &before, NULL) == 0 && (limit < 1 || limit > WEB_LIMIT_MAX))
            abort();
    }
    web_query_clear(&q);
    free(path);
    return 0;
}
