/* /badge/BUILDER.svg */
#include <string.h>

#include "master/http/html.h"
#include "master/http/impl.h"

typedef struct pick {
    const char *project, *builder, *branch;
    pw_result result;
    pw_msec finished;
    bool main; /* a branch that is likely the main one was seen */
} pick;

static int on_latest(void *self, const reader_latest *l)
{
    pick *p = self;
    if (strcmp(l->builder, p->builder) != 0 || strcmp(l->project, p->project) != 0 ||
        (p->branch && strcmp(l->branch, p->branch) != 0))
        return 0;
    bool is_main = strcmp(l->branch, "master") == 0 || strcmp(l->branch, "main") == 0;
    if (p->result != PW_NO_RESULT &&
        (is_main < p->main || (is_main == p->main && l->finished <= p->finished)))
        return 0;
    p->result = l->result;
    p->finished = l->finished;
    p->main = is_main;
    return 0;
}

static void picture(pw_buf *b, const char *name, const char *word, const char *colour)
{
    size_t left = 7 * strlen(name) + 12, right = 7 * strlen(word) + 12;
    (void)pw_buf_addf(b,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"20\" "
                      "role=\"img\" aria-label=\"",
                      left + right);
    html_text(b, name);
    (void)pw_buf_addf(b,
                      ": %s\"><rect width=\"%zu\" height=\"20\" rx=\"3\" fill=\"#59606b\"/><rect "
                      "x=\"%zu\" width=\"%zu\" height=\"20\" rx=\"3\" "
                      "fill=\"%s\"/><g fill=\"#fff\" font-family=\"Verdana,sans-serif\" "
                      "font-size=\"11\"><text x=\"6\" y=\"14\">",
                      word, left + right, left, right, colour);
    html_text(b, name);
    (void)pw_buf_addf(b, "</text><text x=\"%zu\" y=\"14\">%s</text></g></svg>\n", left + 6, word);
}

void web_get_badge(web_req *q)
{
    static const char *const colours[] = {"#1b7a3a", "#8a5700", "#c0271f", "#59606b",
                                          "#7a35b8", "#0a6b80", "#59606b"};
    PW_AUTO(web_builder_clear) web_builder f = {0};
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(WEB_PARAM_BYTES);
    pw_err err = {0};
    const char *file = q->at.param[0];
    size_t n = strlen(file);
    if (n <= 4 || strcmp(file + n - 4, ".svg") != 0) {
        web_fail(q, 404, "not_found", "a badge is called BUILDER.svg");
        return;
    }
    (void)pw_buf_add(&name, file, n - 4);
    if (!web_reader(q) ||
        web_find_builder(q, pw_buf_str(&name), web_query_get(&q->query, "project"), &f) < 0)
        return;
    pick p = {.project = pw_buf_str(&f.found),
              .builder = f.name,
              .branch = web_query_get(&q->query, "branch"),
              .result = PW_NO_RESULT};
    if (reader_latest_all(q->rd, on_latest, &p, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    bool known = p.result != PW_NO_RESULT;
    q->status = 200;
    q->type = "image/svg+xml";
    q->tag = true;
    picture(&q->out, f.name, known ? pw_result_name(p.result) : "not built",
            known ? colours[p.result] : "#59606b");
}
