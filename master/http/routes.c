/* What is served. One line a route; OpenAPI is made from it. */
#include "master/http/impl.h"

#define API "/api/v1"
#define PAGE "limit cursor"

const web_route web_routes[] = {
    /* method, pattern, scope, query, body, answer, summary, handler */
    {"GET", API "/status", "read", "project branch", NULL, "Status", "What is red, running and waiting", web_get_status},
    {"GET", API "/projects", "read", PAGE, NULL, "Project[]", "Projects with their builders and branches", web_get_projects},
    {"GET", API "/builders", "read", "project " PAGE, NULL, "Builder[]", "Builders", web_get_builders},
    {"GET", API "/builders/{name}", "read", "project", NULL, "Builder", "A builder and its latest result on each branch", web_get_builder},
    {"GET", API "/builds", "read", "project builder branch revision result state worker since " PAGE, NULL, "Build[]", "Builds, newest first",
     web_get_builds},
    {"GET", API "/builds/{id}", "read", "", NULL, "Build", "A build with its properties and steps", web_get_build},
    {"GET", API "/builds/{id}/steps", "read", "attempt", NULL, "Step[]", "The steps of a build", web_get_steps},
    {"GET", API "/builds/{id}/log/{step}", "read", "from lines tail grep raw follow attempt", NULL, NULL,
     "Output of a step, by its name or index; STEP.stderr is its second stream", web_get_log},
    {"POST", API "/builds/{id}/retry", "build", "", "failed reason", "Requests", "Build it again", web_post_retry},
    {"POST", API "/builds/{id}/cancel", "build", "", "reason", "Id", "Cancel a build", web_post_cancel},
    {"GET", API "/requests", "read", "state " PAGE, NULL, "Request[]", "Requests, newest first", web_get_requests},
    {"GET", API "/requests/{id}", "read", "", NULL, "Request", "A request", web_get_request},
    {"GET", API "/requests/{id}/why", "read", "", NULL, "Why", "Why a request is not running", web_get_why},
    {"POST", API "/requests/{id}/cancel", "build", "", "reason", "Id", "Cancel a request", web_post_cancel_request},
    {"POST", API "/force", "build", "", "builder! project branch revision properties reason", "Requests", "Force a build", web_post_force},
    {"GET", API "/changes", "read", "project branch " PAGE, NULL, "Change[]", "Changes, newest first", web_get_changes},
    {"POST", API "/changes", "build", "", "project branch! revision! reason", "Requests", "Tell of a change", web_post_change},
    {"GET", API "/workers", "read", PAGE, NULL, "Worker[]", "Workers", web_get_workers},
    {"POST", API "/workers", "admin", "", "name!", "Join", "Add a worker; the answer has the line to run there", web_post_worker},
    {"POST", API "/workers/{name}/{action}", "operate", "", "reason", "Name", "pause, resume or drain a worker", web_post_worker_action},
    {"DELETE", API "/workers/{name}", "admin", "", "reason", "Name", "Remove a worker", web_delete_worker},
    {"GET", API "/promotions", "read", "edge edges " PAGE, NULL, "Promotion[]", "What was promoted; with edges=1 where each edge stands",
     web_get_promotions},
    {"POST", API "/promotions/{edge}/run", "operate", "", "dry_run reason", "Promotion", "Look at an edge now", web_post_promote},
    {"GET", API "/events", "read", "last_event_id", NULL, NULL, "Server-sent events", web_get_events},
    {"GET", API "/openapi.json", "read", "", NULL, "OpenAPI", "This description", web_get_openapi},
    {"GET", "/healthz", "", "", NULL, "Health", "Whether the master is well", web_get_health},
    {"GET", "/metrics", "read", "", NULL, NULL, "Figures for Prometheus", web_get_metrics},
    {"GET", "/badge/{builder}", "read", "project branch", NULL, NULL, "BUILDER.svg: its state as a picture", web_get_badge},
    {"GET", "/", "read", "", NULL, NULL, "Status page", web_page_home},
    {"GET", "/builds/{id}", "read", "", NULL, NULL, "Page of a build", web_page_build},
    {"GET", "/style.css", "", "", NULL, NULL, "Style of the pages", web_page_style},
};
const size_t web_n_routes = sizeof(web_routes) / sizeof(web_routes[0]);
