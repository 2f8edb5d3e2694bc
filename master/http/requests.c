/* Requests, and why they wait: what only the core knows is asked with one command for a whole page
 * of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "shared/base/num.h"

typedef struct list {
    web_req *q;
    pw_buf *b;
    size_t n, limit;
    uint64_t last;
    bool more;
    const char *why; /* lines of the core: "ID MS {...}"; NULL: not asked for */
    uint64_t *ids;   /* those of the page; NULL: not wanted */
} list;

/* True when there is room for this row; else there is a next page. */
static bool room(list *l, uint64_t id)
{
    if (l->n == l->limit) {
        l->more = true;
        return false;
    }
    l->n++;
    l->last = id;
    return true;
}

/* What the core said of one; it may have come after the core was asked. */
static void put_why(list *l, uint64_t id)
{
    char begin[32];
    int n = snprintf(begin, sizeof(begin), "%llu ", (unsigned long long)id);
    const char *at = l->why;
    while (at && strncmp(at, begin, (size_t)n) != 0) {
        at = strchr(at, '\n');
        at += at != NULL;
    }
    if (!at) {
        web_null(l->b, "why");
        web_null(l->b, "starts_at");
        return;
    }
    char *json;
    long long ms = strtoll(at + n, &json, 10);
    json += *json == ' ';
    web_key(l->b, "why");
    (void)pw_buf_add(l->b, json, strcspn(json, "\n"));
    web_time(l->b, "starts_at", ms < 0 ? 0 : pw_wall(l->q->web->host) + ms);
}

static int on_request(void *self, const reader_request *r)
{
    list *l = self;
    if (!room(l, r->r.id))
        return PW_ELIMIT;
    if (!l->why) {
        web_request(l->b, r, web_request_build(l->q->rd, r));
        return 0;
    }
    web_open(l->b, NULL, '{');
    web_request_fields(l->b, r, web_request_build(l->q->rd, r));
    put_why(l, r->r.id);
    web_shut(l->b, '}');
    return 0;
}

static int on_id(void *self, const reader_request *r)
{
    list *l = self;
    l->ids[l->n++] = r->r.id;
    return 0;
}

static bool begin(web_req *q, list *l, uint64_t *ret_before, int *ret_state, bool *ret_why)
{
    pw_err err = {0};
    *l = (list){.q = q};
    *ret_state = -1;
    *ret_why = false;
    if (web_query_word(&q->query, "state", web_request_states, ret_state, &err) < 0 ||
        web_query_flag(&q->query, "why", ret_why, &err) < 0 ||
        web_query_page(&q->query, &l->limit, ret_before, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    if (*ret_why && l->limit > CORE_WHY_MAX) {
        web_fail(q, 400, "bad_request", "with \"why\", \"limit\" must be 1 to %d", CORE_WHY_MAX);
        return false;
    }
    return web_reader(q) != NULL;
}

static void put(list *l, int state, uint64_t before)
{
    pw_err err = {0};
    char cursor[WEB_CURSOR];
    l->b = web_json(l->q);
    web_open(l->b, NULL, '{');
    web_open(l->b, "items", '[');
    int r = reader_requests(l->q->rd, state, before, l->limit + 1, on_request, l, &err);
    if (r < 0 && !l->more) {
        web_fail_err(l->q, &err);
        return;
    }
    web_shut(l->b, ']');
    web_cursor_text(l->last, cursor);
    web_str(l->b, "next", l->more ? cursor : NULL);
    (void)pw_buf_adds(l->b, "}\n");
}

/* After the core's answer, which lies in the buffer of the answer. The page begins where it began
 * when the core was asked: ids only grow. */
static void with_why(web_req *q)
{
    list l;
    uint64_t before;
    int state;
    bool why;
    PW_AUTO(pw_freep) char *said = pw_buf_take(&q->out);
    pw_buf_init(&q->out, WEB_OUT_MAX);
    q->status = 0;
    if (!begin(q, &l, &before, &state, &why))
        return;
    l.why = said ? said : "";
    put(&l, state, before);
}

void web_get_requests(web_req *q)
{
    pw_err err = {0};
    list l;
    uint64_t before, ids[CORE_WHY_MAX];
    int state;
    bool why;
    if (!begin(q, &l, &before, &state, &why))
        return;
    if (!why) {
        put(&l, state, before);
        return;
    }
    l.ids = ids;
    core_cmd *c = core_cmd_new(CMD_WHY_LIST, &err);
    int r = c ? reader_requests(q->rd, state, before, l.limit, on_id, &l, &err) : PW_ENOMEM;
    if (r == 0 && pw_buf_add(&c->data, (const char *)ids, l.n * sizeof(ids[0])) < 0)
        r = pw_fail(&err, PW_ENOMEM, "out of memory");
    if (r < 0) {
        core_cmd_free(c);
        web_fail_err(q, &err);
        return;
    }
    q->then = with_why;
    web_ask_send(q, c);
}

static int on_one(void *self, const reader_request *r)
{
    web_req *q = self;
    web_request(web_json(q), r, web_request_build(q->rd, r));
    return 0;
}

void web_get_request(web_req *q)
{
    pw_err err = {0};
    uint64_t id;
    if (web_id_param(q, 0, &id) && web_reader(q) &&
        reader_request_one(q->rd, id, on_one, q, &err) < 0)
        web_fail_err(q, &err);
}
