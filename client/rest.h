/* rest.h - calls to the master's REST interface. Blocks. An answer that is not 2xx becomes an error
 * with the master's own words. Every POST carries a fresh Idempotency-Key and is sent again with
 * the same key when the connection failed, so that a master which starts anew in that moment
 * neither loses nor doubles it. */
#ifndef PW_CLIENT_REST_H
#define PW_CLIENT_REST_H
#include "client/client.h"
#include "shared/json/json.h"

/* tries of a POST: 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s between them */
enum { REST_PATH_MAX = 4096, REST_TRIES = 6 };

typedef struct rest_answer {
    pw_buf text;       /* the body as it came */
    json_value *value; /* the same, parsed; NULL when it is no JSON */
    bool done;         /* Pawl-Done: true (logs) */
} rest_answer;
void rest_answer_clear(rest_answer *a);

/* The connection, made with the first call. Borrowed. */
http_client *rest_client(client *c, pw_err *err);
/* path: behind the address, "/api/v1/builds?limit=5". body: JSON, NULL for none. *ret is only
 * written on success; clear it. Codes: PW_ENOTFOUND 404, PW_EDENIED 401 403, PW_ECONFLICT 409,
 * PW_EAGAIN 503, PW_EPROTO other refusals; PW_ESYS, PW_ETIMEDOUT: there was no answer. */
int rest_get(client *c, const char *path, rest_answer *ret, pw_err *err);
int rest_post(client *c, const char *path, const char *body, rest_answer *ret, pw_err *err);
/* POST with a file as the body (application/octet-stream). */
int rest_upload(client *c, const char *path, const char *file, rest_answer *ret, pw_err *err);
int rest_call(client *c, const char *method, const char *path, const char *body, rest_answer *ret,
              pw_err *err);
/* True for errors of a connection that may pass when the master starts anew. */
bool rest_passing(int code);
/* Prints the body unchanged, with a line break behind it when it has none. */
int rest_raw(client *c, const rest_answer *a, pw_err *err);

/* ---- pieces of requests. All append; errors stay in the buffer (`failed`). */
/* name=value with escaping, behind ? or &; nothing when value is NULL. */
void rest_query(pw_buf *path, const char *name, const char *value);
/* /part, escaped (a / too). */
void rest_part(pw_buf *path, const char *part);
/* "name": "value" into the object that b holds ("{" at first); nothing when value is NULL. */
void rest_field(pw_buf *b, const char *name, const char *value);
#endif
