/* /api/v1/openapi.json, made from the table of routes. */
#include <string.h>

#include "master/http/impl.h"

typedef struct schema {
    const char *name;
    const char *fields; /* NAME:TYPE, blank-separated; "?" behind the type: may be null */
} schema;
static const schema schemas[] = {
    {"Build", "id:integer request:integer? buildset:integer? builder:string project:string "
              "branch:string revision:string? reason:string? who:string? "
              "state:string result:string? result_reason:string? created:time started:time? "
              "finished:time? worker:string? attempt:integer? url:string "
              "properties:object property_sources:object steps:array logs:string pinned:object?"},
    {"Step", "name:string kind:string state:string result:string? reason:string? started:time? "
             "finished:time? exit_code:integer? signal:integer? "
             "lines:integer? bytes:integer? cpu_ms:integer? max_rss:integer? "
             "read_bytes:integer? write_bytes:integer?"},
    {"LogIndex", "groups:array marks:array errors:integer warnings:integer notices:integer "
                 "more_groups:integer more_marks:integer gaps:array lines:integer"},
    {"Request", "id:integer buildset:integer? builder:string project:string branch:string "
                "revision:string? reason:string? who:string? "
                "priority:integer state:string build:integer? rode_with:integer? held:string? "
                "created:time"},
    {"File", "path:string kind:string step:integer size:integer mode:integer sha256:string "
             "state:string expires:time"},
    {"Tests", "reports:array items:array next:string?"},
    {"Change", "id:integer project:string branch:string revision:string? author:string? "
               "subject:string? source:string? at:time tip:boolean "
               "forced:boolean note:string? files:array? held:string?"},
    {"Worker", "name:string state:string slots:integer busy:integer tags:array facts:object "
               "version:string? last_seen:time? paused:boolean drained:boolean "
               "reason:string? who:string? gate:string? quarantine:time? skew_ms:integer? "
               "provider:string?"},
    {"Promotion", "id:integer? edge:string from:string? to:string? revision:string? at:time? "
                  "state:string reason:string?"},
    {"Project", "name:string state:string failures:integer trouble:string? next_look:time? "
                "builders:array branches:array"},
    {"Builder", "name:string project:string paused:object? force:array latest:array"},
    {"Scheduler", "name:string kind:string project:string builders:array priority:integer "
                  "after:string? testfix:boolean supersede:string cron:string? zone:string? "
                  "every_ms:integer? quiet_ms:integer? branch:string? parameters:array? "
                  "paused:object?"},
    {"Status", "red:integer items:array running:array waiting:array held:array paused:array "
               "promotions:array builds:object workers:object version:string"},
    {"Requests", "buildset:integer? requests:array change:integer"},
    {"Id", "id:integer"},
    {"Kept", "build:integer worker:string hostname:string? directory:string until:time"},
    {"Hook", "hook:integer"},
    {"Session", "actor:string? how:string? scopes:array csrf:string?"},
    {"Name", "name:string"},
    {"Join", "name:string line:string expires:time"},
    {"Token", "id:integer name:string state:string scopes:array person:string? creator:string "
              "created:time expires:time? used:time? revoked:time?"},
    {"NewToken", "id:integer name:string scopes:array person:string? expires:time? token:string"},
    {"Deed", "id:integer at:time actor:string action:string object:string? text:string?"},
    {"Message", "id:integer key:string target:string state:string tries:integer created:time "
                "due:time? finished:time? reason:string?"},
    {"Why", "id:integer state:string reason:string"},
    {"Branch", "project:string branch:string revision:string? at:time? state:string builders:array "
               "edges:array"},
    {"Console", "id:integer project:string branch:string revision:string? author:string? "
                "title:string? at:time promoted:array builds:array"},
    {"History", "items:array median_ms:integer? p95_ms:integer? per_day:array next:string?"},
    {"Since", "since:integer? items:array more:boolean next:string?"},
    {"Found", "kind:string text:string url:string"},
    {"Meta", "name:string? version:string page:string zone:string"},
    {"Health", "status:string checks:array"},
    {"OpenAPI", ""},
    {"Error", "error:object"},
};

static void put_type(pw_buf *b, const char *type, size_t n, bool null)
{
    bool is_time = n == 4 && memcmp(type, "time", 4) == 0;
    char name[16] = "string";
    if (!is_time && n < sizeof(name)) {
        memcpy(name, type, n);
        name[n] = '\0';
    }
    web_key(b, "type");
    if (null)
        (void)pw_buf_addf(b, "[\"%s\",\"null\"]", name);
    else
        (void)pw_buf_addf(b, "\"%s\"", name);
    if (is_time)
        web_str(b, "format", "date-time");
}

static void put_schema(pw_buf *b, const schema *s)
{
    web_open(b, s->name, '{');
    web_str(b, "type", "object");
    web_open(b, "properties", '{');
    for (const char *p = s->fields; *p; p += strspn(p, " ")) {
        size_t all = strcspn(p, " "), n = strcspn(p, ":");
        bool null = p[all - 1] == '?';
        web_key(b, NULL);
        (void)pw_buf_add(b, "\"", 1);
        (void)pw_buf_add(b, p, n);
        (void)pw_buf_add(b, "\":{", 3);
        put_type(b, p + n + 1, all - n - 1 - null, null);
        web_shut(b, '}');
        p += all;
    }
    web_shut(b, '}');
    web_shut(b, '}');
}

static void param(pw_buf *b, const char *name, size_t n, const char *in)
{
    static const char numbers[] = "limit from lines tail offset attempt id",
                      flags[] = "raw times follow edges why";
    bool path = strcmp(in, "path") == 0;
    web_open(b, NULL, '{');
    web_key(b, "name");
    (void)pw_buf_add(b, "\"", 1);
    (void)pw_buf_add(b, name, n);
    (void)pw_buf_add(b, "\"", 1);
    web_str(b, "in", in);
    if (path)
        web_bool(b, "required", true);
    web_open(b, "schema", '{');
    web_str(b, "type",
            web_has_word(numbers, name, n) ? "integer"
            : web_has_word(flags, name, n) ? "boolean"
                                           : "string");
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
    if (list)
        (void)pw_buf_addf(b,
                          ",\"content\":{\"application/"
                          "json\":{\"schema\":{\"type\":\"object\",\"properties\":{\"items\":{"
                          "\"type\":\"array\",\"items\":{"
                          "\"$ref\":\"#/components/schemas/"
                          "%.*s\"}},\"next\":{\"type\":[\"string\",\"null\"]}}}}}",
                          (int)(n - 2), r->answer);
    else if (r->answer)
        (void)pw_buf_addf(b,
                          ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/"
                          "schemas/%s\"}}}",
                          r->answer);
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
        if (!first_of_path(i))
            continue;
        web_open(b, web_routes[i].pattern, '{');
        for (size_t k = i; k < web_n_routes; k++)
            if (strcmp(web_routes[k].pattern, web_routes[i].pattern) == 0)
                operation(b, &web_routes[k]);
        web_shut(b, '}');
    }
    (void)pw_buf_adds(b, "},\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\","
                         "\"scheme\":\"bearer\"}},\"schemas\":{");
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
        put_schema(b, &schemas[i]);
    (void)pw_buf_adds(b, "}}}\n");
}
