/* The schemas of answers, for /openapi.json: one line a schema, of words NAME:TYPE. TYPE is
 * integer, string, boolean, time, object (anything), map (of texts), result (of a build), another
 * schema, or words with "|" between (one of these). Behind it: "[]" a list of such, "?" it may be
 * null. "~" behind the name: it may be absent. "+NAME" takes over the words of another schema. What
 * a schema does not have, an answer must not have: tests/system/test_openapi.py looks at the
 * answers of a running master. */
#include "master/http/schemas.h"

#include <string.h>

#include "master/http/render.h"
#include "shared/job/job.h"

static const web_schema schemas[] = {
    /* ---- builds */
    {"Build", "id:integer request:integer? buildset:integer? builder:string project:string "
              "branch:string revision:string? reason:string? who:string? "
              "state:queued|dispatched|running|finishing|done result:result? "
              "result_reason:string? created:time? started:time? finished:time? worker:string? "
              "attempt:integer? retry_of:integer? triggered_by:integer? url:string"},
    {"WholeBuild", "+Build usual_ms:integer? logs:kept|removed pinned:Pin? properties:map "
                   "property_sources:map annotations:Note[] steps:TimedStep[]"},
    {"Pin", "who:string reason:string? at:time"},
    {"Note", "context:string style:string text:string at:time?"},
    {"Step", "name:string kind:string state:waiting|running|done result:result? reason:string? "
             "started:time? finished:time? exit_code:integer? signal:integer? lines:integer? "
             "bytes:integer? cpu_ms:integer? max_rss:integer? read_bytes:integer? "
             "write_bytes:integer?"},
    {"TimedStep", "+Step usual_ms:integer?"},
    {"Steps", "build:integer items:Step[] next:string?"},
    {"Since", "since:integer? items:Change[] more:boolean next:string?"},
    {"LogIndex", "groups:LogGroup[] marks:LogMark[] errors:integer warnings:integer "
                 "notices:integer more_groups:integer more_marks:integer gaps:LogGap[] "
                 "lines:integer"},
    {"LogGroup", "line:integer lines:integer? ms:integer? depth:integer failures:integer "
                 "warnings:integer title:string?"},
    {"LogMark", "line:integer kind:error|warning|notice text:string? title:string? file:string? "
                "file_line:integer? column:integer?"},
    {"LogGap", "line:integer lines:integer bytes:integer"},
    {"File", "path:string kind:string step:integer size:integer mode:integer sha256:string "
             "state:string expires:time"},
    {"Tests", "reports:Report[] items:Case[] next:string?"},
    {"Report", "step:integer format:string path:string tests:integer failed:integer "
               "skipped:integer reason:string?"},
    {"Case", "step:integer suite:string? name:string result:string ms:integer"},
    /* ---- what waits */
    {"Request", "id:integer buildset:integer? builder:string project:string branch:string "
                "revision:string? reason:string? who:string? priority:integer "
                "state:waiting|claimed|done build:integer? rode_with:integer? held:string? "
                "retry_of:integer? triggered_by:integer? "
                "created:time? why~:Why? starts_at~:time?"},
    {"Why", "id:integer state:waiting|claimed|done reason:string cause~:string ahead~:integer "
            "eta_ms~:integer"},
    {"Change", "id:integer project:string branch:string revision:string? author:string? "
               "subject:string? source:string? at:time? tip:boolean forced:boolean note:string? "
               "files:string[]? held:string?"},
    {"Worker", "name:string state:removed|missing|quarantined|draining|paused|connected|new "
               "slots:integer busy:integer tags:string[] facts:map version:string? "
               "last_seen:time? paused:boolean drained:boolean reason:string? who:string? "
               "gate:string? quarantine:time? skew_ms:integer? provider:string?"},
    {"Promotion", "id:integer? edge:string from:string? to:string? revision:string? at:time? "
                  "state:done|waiting|diverged|stopped reason:string?"},
    {"Judgement", "edge:string state:done|waiting|diverged|stopped reason:string?"},
    /* ---- what there is */
    {"Project", "name:string state:removed|new|failing|ok failures:integer trouble:string? "
                "next_look:time? builders:string[] branches:Tip[] repository:string?"},
    {"Tip", "name:string revision:string?"},
    {"Builder", "name:string project:string paused:Pause?"},
    {"WholeBuilder", "+Builder force:Form[] latest:Latest[]"},
    {"Pause", "reason:string? who:string? at:time"},
    {"Paused", "kind:builder|scheduler name:string +Pause"},
    {"Form", "scheduler:string parameters:Parameter[]?"},
    {"Parameter", "name:string type:string label:string? default:string? required:boolean "
                  "choices:string[]?"},
    {"Latest", "project:string branch:string builder:string build:integer result:result "
               "red:boolean revision:string? finished:time?"},
    {"Scheduler", "name:string kind:string project:string builders:string[] priority:integer "
                  "after:string? testfix:boolean supersede:string cron:string? zone:string? "
                  "every_ms:integer? quiet_ms:integer? branch:string? parameters:Parameter[]? "
                  "paused:Pause?"},
    {"Status", "red:integer items:Latest[] running:Build[] waiting:Request[] held:Held[] "
               "paused:Paused[] promotions:Promotion[] builds:BuildCount workers:WorkerCount "
               "version:string next:string?"},
    {"Held", "project:string branch:string reason:string? build:integer requests:integer "
             "oldest:time?"},
    {"BuildCount", "waiting:integer open:integer"},
    {"WorkerCount", "known:integer connected:integer slots:integer busy:integer"},
    /* ---- at a glance */
    {"Branch", "project:string branch:string revision:string? at:time? "
               "state:red|running|green|none builders:Standing[] edges:Edge[]"},
    {"Standing", "builder:string build:integer? state:queued|dispatched|running|finishing|done? "
                 "result:result? started:time? finished:time? streak:integer red_since:time? "
                 "first_red:integer? last:Decided?"},
    {"Decided", "build:integer result:result finished:time?"},
    {"Edge", "edge:string kind:string from:string to:string revision:string? behind:integer? "
             "state:done|waiting|diverged|stopped? reason:string? held_by:string[]"},
    {"Console", "id:integer project:string branch:string revision:string? author:string? "
                "title:string? at:time? promoted:string[] builds:Brief[]"},
    {"Brief", "builder:string id:integer state:queued|dispatched|running|finishing|done "
              "result:result? started:time? finished:time?"},
    {"History", "items:Past[] median_ms:integer? p95_ms:integer? per_day:Day[] next:string?"},
    {"Past", "id:integer branch:string revision:string? "
             "state:queued|dispatched|running|finishing|done result:result? started:time? "
             "finished:time? duration_ms:integer?"},
    {"Day", "day:string builds:integer red:integer"},
    {"Found", "kind:build|request|builder|branch|commit|worker text:string url:string"},
    {"Meta", "name:string? version:string page:string zone:string"},
    /* ---- what writes answer */
    {"Requests", "buildset:integer? requests:integer[] change~:integer"},
    {"Try", "buildset:integer requests:integer[] try:integer revision:string base:string "
            "commits:integer"},
    {"Id", "id:integer"},
    {"Kept", "build:integer worker:string hostname:string? directory:string until:time"},
    {"Hook", "hook:integer"},
    {"Name", "name:string busy~:integer"},
    {"Join", "name:string line:string expires:time"},
    /* ---- access */
    {"Session", "actor:string? how:string? scopes:string[] csrf:string?"},
    {"Token", "id:integer name:string state:string scopes:string[] person:string? creator:string "
              "created:time? expires:time? used:time? revoked:time?"},
    {"NewToken", "id:integer name:string scopes:string[] person:string? expires:time? "
                 "token:string"},
    {"Deed", "id:integer at:time actor:string action:string object:string? text:string?"},
    {"Message", "id:integer key:string target:string state:waiting|under_way|sent|given_up "
                "tries:integer created:time? due:time? finished:time? reason:string?"},
    /* ---- the master */
    {"Health", "status:ok|failing checks:Check[]"},
    {"Check", "name:string ok:boolean text:string"},
    {"OpenAPI", "openapi:string info:object servers:object[] paths:object components:object"},
    {"Error", "error:Refusal"},
    {"Refusal", "code:bad_request|unauthorized|forbidden|not_found|conflict|too_large|"
                "rate_limited|unavailable|internal message:string fields~:map"},
};

const web_schema *web_schema_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
        if (strlen(schemas[i].name) == n && memcmp(schemas[i].name, name, n) == 0)
            return &schemas[i];
    return NULL;
}

static bool is(const char *type, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(type, word, n) == 0;
}

/* "type": what, or what and null. */
static void put_plain(pw_buf *b, const char *what, bool null)
{
    (void)pw_buf_addf(b, null ? "\"type\":[\"%s\",\"null\"]" : "\"type\":\"%s\"", what);
}

static void put_choice(pw_buf *b, const char *type, size_t n, bool null)
{
    put_plain(b, "string", null);
    (void)pw_buf_adds(b, ",\"enum\":[");
    for (const char *end = type + n; type < end;) {
        const char *bar = memchr(type, '|', (size_t)(end - type));
        size_t k = (size_t)((bar ? bar : end) - type);
        web_key(b, NULL);
        (void)pw_buf_addf(b, "\"%.*s\"", (int)k, type);
        type += k + (bar != NULL);
    }
    (void)pw_buf_adds(b, null ? ",null]" : "]");
}

/* The inside of a schema object. */
static void put_type(pw_buf *b, const char *type, size_t n)
{
    static const char *const plain[] = {"integer", "string", "boolean", "object", "array"};
    bool null = n > 0 && type[n - 1] == '?';
    n -= null;
    if (n > 2 && memcmp(type + n - 2, "[]", 2) == 0) {
        put_plain(b, "array", null);
        (void)pw_buf_adds(b, ",\"items\":{");
        put_type(b, type, n - 2);
        (void)pw_buf_adds(b, "}");
        return;
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (is(type, n, plain[i])) {
            put_plain(b, plain[i], null);
            return;
        }
    if (is(type, n, "time")) {
        put_plain(b, "string", null);
        (void)pw_buf_adds(b, ",\"format\":\"date-time\"");
    } else if (is(type, n, "map")) {
        put_plain(b, "object", null);
        (void)pw_buf_adds(b, ",\"additionalProperties\":{\"type\":\"string\"}");
    } else if (is(type, n, "result")) {
        PW_AUTO(pw_buf_clearp) pw_buf names = PW_BUF(400);
        for (size_t i = 0; web_results[i]; i++)
            (void)pw_buf_addf(&names, "%s%s", i ? "|" : "", web_results[i]);
        put_choice(b, pw_buf_str(&names), names.len, null);
    } else if (memchr(type, '|', n)) {
        put_choice(b, type, n, null);
    } else if (null) {
        (void)pw_buf_addf(b,
                          "\"anyOf\":[{\"$ref\":\"#/components/schemas/%.*s\"},"
                          "{\"type\":\"null\"}]",
                          (int)n, type);
    } else {
        (void)pw_buf_addf(b, "\"$ref\":\"#/components/schemas/%.*s\"", (int)n, type);
    }
}

void web_schema_type(pw_buf *b, const char *type)
{
    put_type(b, type, strlen(type));
}

static void put_fields(pw_buf *b, const char *fields, pw_buf *required)
{
    for (const char *p = fields; *p; p += strspn(p, " ")) {
        size_t all = strcspn(p, " "), n = strcspn(p, ":");
        if (*p == '+') {
            const web_schema *base = web_schema_find(p + 1, all - 1);
            if (base)
                put_fields(b, base->fields, required);
        } else {
            bool maybe = p[n - 1] == '~';
            web_key(b, NULL);
            (void)pw_buf_addf(b, "\"%.*s\":{", (int)(n - maybe), p);
            put_type(b, p + n + 1, all - n - 1);
            (void)pw_buf_adds(b, "}");
            if (!maybe)
                (void)pw_buf_addf(required, "%s\"%.*s\"", required->len ? "," : "", (int)n, p);
        }
        p += all;
    }
}

void web_schemas(pw_buf *b)
{
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        PW_AUTO(pw_buf_clearp) pw_buf required = PW_BUF(4000);
        web_open(b, schemas[i].name, '{');
        web_str(b, "type", "object");
        web_bool(b, "additionalProperties", false);
        web_open(b, "properties", '{');
        put_fields(b, schemas[i].fields, &required);
        web_shut(b, '}');
        (void)pw_buf_addf(b, ",\"required\":[%s]", pw_buf_str(&required));
        web_shut(b, '}');
    }
}
