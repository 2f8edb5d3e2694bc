/* Requests, and why they wait: what only the core knows is asked with one command for a whole page
 * of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "shared/base/num.h"

/* Rows that one page looks through for those that are wanted: a page may be shorter than asked for,
 * and its cursor goes on behind what was looked at. */
enum { LOOK_MAX = 5000 };

typedef struct list {
    web_req *q;
    pw_buf *b;
    size_t n, limit, looked;
    uint64_t last;
    bool more;
    const char *project, *builder, *branch; /* NULL any */
    const char *why; /* lines of the core: "ID MS {...}"; NULL: not asked for */
    uint64_t *ids;   /* those of the page; NULL: not wanted */
} list;

static bool wanted(const list *l, const reader_request *r)
{
    const char *slash = l->builder ? strchr(l->builder, '/') : NULL;
    bool whole = slash && strncmp(r->project, l->builder, (size_t)(slash - l->builder)) == 0 &&
                 strlen(r->project) == (size_t)(slash - l->builder) &&
                 strcmp(r->builder, slash + 1) == 0;
    return (!l->project || strcmp(l->project, r->project) == 0) &&
           (!l->builder || whole || strcmp(l->builder, r->builder) == 0) &&
           (!l->branch || strcmp(l->branch, r->branch) == 0);
}

/* 1: this row is of the page; 0: it is not wanted; PW_ELIMIT: there is a next page. */
static int turn_of(list *l, const reader_request *r)
{
    bool want = wanted(l, r);
    if ((want && l->n == l->limit) || l->looked == LOOK_MAX) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->looked++;
    l->n += want;
    l->last = r->r.id;
    return want;
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
    int turn = turn_of(l, r);
    if (turn <= 0)
        return turn;
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
    int turn = turn_of(l, r);
    if (turn > 0)
        l->ids[l->n - 1] = r->r.id;
    return turn < 0 ? turn : 0;
}

static bool begin(web_req *q, list *l, uint64_t *ret_before, int *ret_state, bool *ret_why)
{
    pw_err err = {0};
    *l = (list){.q = q,
                .project = web_query_get(&q->query, "project"),
                .builder = web_query_get(&q->query, "builder"),
                .branch = web_query_get(&q->query, "branch")};
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

/* Rows that are asked for: one more tells whether there is a next page. */
static size_t rows(const list *l)
{
    return l->project || l->builder || l->branch ? LOOK_MAX + 1 : l->limit + 1;
}

static void put(list *l, int state, uint64_t before)
{
    pw_err err = {0};
    char cursor[WEB_CURSOR];
    l->b = web_json(l->q);
    web_open(l->b, NULL, '{');
    web_open(l->b, "items", '[');
    int r = reader_requests(l->q->rd, state, before, rows(l), on_request, l, &err);
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
    int r = c ? reader_requests(q->rd, state, before, rows(&l), on_id, &l, &err) : PW_ENOMEM;
    r = l.more ? 0 : r;
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
