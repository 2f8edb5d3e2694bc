/* /api/v1/openapi.json, made from the table of routes. */
#include <string.h>

#include "master/http/impl.h"
#include "master/http/schemas.h"

/* What a route gives that is not JSON. */
static const struct media {
    const char *pattern, *type;
} medias[] = {
    {"/api/v1/builds/{id}/log/{step}", "text/plain"},
    {"/api/v1/builds/{id}/artifacts.tar", "application/x-tar"},
    {"/api/v1/builds/{id}/artifacts/{path}", "application/octet-stream"},
    {"/api/v1/builds/{id}/summary", "text/plain"},
    {"/api/v1/events", "text/event-stream"},
    {"/metrics", "text/plain"},
    {"/badge/{builder}", "image/svg+xml"},
    {"/atom/{project}", "application/atom+xml"},
};

/* Pages are for people; what is described is for programs. */
static bool described(const web_route *r)
{
    static const char *const roots[] = {"/api/",    "/hooks/", "/healthz",
                                        "/metrics", "/badge/", "/atom/"};
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        if (strncmp(r->pattern, roots[i], strlen(roots[i])) == 0)
            return true;
    return false;
}

static void param(pw_buf *b, const char *name, size_t n, const char *in)
{
    static const char numbers[] = "limit from lines tail offset attempt id build",
                      flags[] = "raw times follow edges why";
    bool path = strcmp(in, "path") == 0;
    web_open(b, NULL, '{');
    web_key(b, "name");
    (void)pw_buf_add(b, "\"", 1);
    (void)pw_buf_add(b, name, n);
    (void)pw_buf_add(b, "\"", 1);
    web_str(b, "in", in);
    if (path || web_has_word("q", name, n)) /* a search for nothing is a mistake */
        web_bool(b, "required", true);
    web_open(b, "schema", '{');
    if (web_has_word("limit", name, n)) {
        (void)pw_buf_addf(b, "\"type\":\"integer\",\"minimum\":1,\"maximum\":%d", WEB_LIMIT_MAX);
    } else if (web_has_word("since", name, n)) {
        web_schema_type(b, "time");
    } else {
        web_str(b, "type",
                web_has_word(numbers, name, n) ? "integer"
                : web_has_word(flags, name, n) ? "boolean"
                                               : "string");
    }
    web_shut(b, '}');
    web_shut(b, '}');
}

static void params(pw_buf *b, const web_route *r)
{
    web_open(b, "parameters", '[');
    for (const char *p = r->pattern; (p = strchr(p, '{')); p++)
        param(b, p + 1, strcspn(p + 1, "}"), "path");
    for (const char *p = r->query; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        param(b, p, n, "query");
        p += n;
    }
    web_shut(b, ']');
}

static void body(pw_buf *b, const char *keys)
{
    PW_AUTO(pw_buf_clearp) pw_buf required = PW_BUF(1000);
    (void)pw_buf_adds(
        b,
        ",\"requestBody\":{\"content\":{\"application/"
        "json\":{\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (const char *p = keys; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " "), k = strcspn(p, " !");
        bool flag = web_has_word("failed dry_run", p, k);
        web_key(b, NULL);
        (void)pw_buf_addf(b, "\"%.*s\":{\"type\":\"%s\"}", (int)k, p,
                          flag                               ? "boolean"
                          : web_has_word("properties", p, k) ? "object"
                          : web_has_word("scopes", p, k)     ? "array"
                                                             : "string");
        if (k < n)
            (void)pw_buf_addf(&required, "%s\"%.*s\"", required.len ? "," : "", (int)k, p);
        p += n;
    }
    (void)pw_buf_addf(b, "},\"required\":[%s]}}}}", pw_buf_str(&required));
}

static void answers(pw_buf *b, const web_route *r)
{
    size_t n = r->answer ? strlen(r->answer) : 0;
    bool list = n > 2 && strcmp(r->answer + n - 2, "[]") == 0;
    web_open(b, "responses", '{');
    bool made = r->answer && strcmp(r->answer, "NewToken") == 0;
    web_open(b, strcmp(r->method, "GET") == 0 ? "200" : made ? "201" : "202", '{');
    web_str(b, "description", "done");
    const char *type = r->answer ? "application/json" : NULL;
    for (size_t i = 0; !type && i < sizeof(medias) / sizeof(medias[0]); i++)
        if (strcmp(medias[i].pattern, r->pattern) == 0)
            type = medias[i].type;
    if (type)
        (void)pw_buf_addf(b, ",\"content\":{\"%s\":{\"schema\":{", type);
    if (list)
        (void)pw_buf_adds(b, "\"type\":\"object\",\"additionalProperties\":false,"
                             "\"required\":[\"items\",\"next\"],\"properties\":{\"items\":{");
    if (type)
        web_schema_type(b, r->answer ? r->answer : "string");
    if (list)
        (void)pw_buf_adds(b, "},\"next\":{\"type\":[\"string\",\"null\"]}}");
    if (type)
        (void)pw_buf_adds(b, "}}}");
    (void)pw_buf_adds(b, "},\"default\":{\"description\":\"refused\",\"content\":{\"application/"
                         "json\":{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}}");
}

static void operation(pw_buf *b, const web_route *r)
{
    char method[8] = "";
    for (size_t i = 0; i < sizeof(method) - 1 && r->method[i]; i++)
        method[i] = (char)(r->method[i] - 'A' + 'a');
    web_open(b, method, '{');
    web_str(b, "summary", r->summary);
    params(b, r);
    if (r->body)
        body(b, r->body);
    if (*r->scope && strcmp(r->scope, "read") != 0)
        (void)pw_buf_addf(b, ",\"security\":[{\"token\":[\"%s\"]}]", r->scope);
    answers(b, r);
    web_shut(b, '}');
}

static bool first_of_path(size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(web_routes[k].pattern, web_routes[i].pattern) == 0)
            return false;
    return true;
}

void web_get_openapi(web_req *q)
{
    pw_buf *b = web_json(q);
    (void)pw_buf_addf(b,
                      "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Pawl\",\"version\":\"%s\"},"
                      "\"servers\":[{\"url\":",
                      PW_VERSION);
    (void)pw_buf_json(b, q->web->url);
    (void)pw_buf_adds(b, "}],\"paths\":{");
    for (size_t i = 0; i < web_n_routes; i++) {
        if (!described(&web_routes[i]) || !first_of_path(i))
            continue;
        web_open(b, web_routes[i].pattern, '{');
        for (size_t k = i; k < web_n_routes; k++)
            if (strcmp(web_routes[k].pattern, web_routes[i].pattern) == 0)
                operation(b, &web_routes[k]);
        web_shut(b, '}');
    }
    (void)pw_buf_adds(b, "},\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\","
                         "\"scheme\":\"bearer\"}},\"schemas\":{");
    web_schemas(b);
    (void)pw_buf_adds(b, "}}}\n");
}
