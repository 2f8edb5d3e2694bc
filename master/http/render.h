/* render.h - rows as the JSON of the interface, written straight into a buffer. Field names and
 * their order are public. */
#ifndef PW_MASTER_HTTP_RENDER_H
#define PW_MASTER_HTTP_RENDER_H
#include "master/store/reader.h"
#include "shared/base/buf.h"

/* ---- parts: `key` NULL for an item of an array. A comma is added where one is due. */
void web_key(pw_buf *b, const char *key);
void web_open(pw_buf *b, const char *key, char bracket); /* '{' or '[' */
void web_shut(pw_buf *b, char bracket);
void web_str(pw_buf *b, const char *key, const char *s); /* NULL: null */
void web_u64(pw_buf *b, const char *key, uint64_t v);
void web_i64(pw_buf *b, const char *key, int64_t v);
void web_id(pw_buf *b, const char *key, uint64_t v); /* 0: null */
void web_bool(pw_buf *b, const char *key, bool v);
void web_null(pw_buf *b, const char *key);
void web_time(pw_buf *b, const char *key, pw_msec t); /* 0: null */
void web_rev(pw_buf *b, const char *key, const store_rev *r);
void web_result(pw_buf *b, const char *key, pw_result r);

/* ---- names of enums */
extern const char *const web_build_states[];   /* NULL-terminated */
extern const char *const web_request_states[]; /* likewise */
extern const char *const web_results[];        /* likewise */
const char *web_edge_state(edge_state s);
const char *web_promotion_state(promo_state s);

/* ---- objects. url: the web address in front of links */
void web_build_fields(pw_buf *b, const reader_build *r, const char *url); /* without braces */
void web_build(pw_buf *b, const reader_build *r, const char *url);
void web_step_fields(pw_buf *b, const store_step *s); /* without braces */
void web_step(pw_buf *b, const store_step *s);
void web_step_waiting(pw_buf *b, const char *name, const char *kind);        /* without braces */
void web_request_fields(pw_buf *b, const reader_request *r, uint64_t build); /* without braces */
void web_request(pw_buf *b, const reader_request *r, uint64_t build);
/* Why something is not built yet: [testfix] holds it since a build, or a scheduler is paused; else
 * null. */
void web_held(pw_buf *b, const char *key, uint64_t since, const char *paused);
void web_change(pw_buf *b, const reader_change *c);
typedef enum web_presence { WEB_MISSING, WEB_CONNECTED } web_presence;
const char *web_worker_state(const store_worker *w, web_presence p, pw_msec now);
void web_worker_row(pw_buf *b, const store_worker *w, uint64_t busy, web_presence p,
                    const char *gate, pw_msec now);
void web_promotion(pw_buf *b, const store_promotion *p);
void web_edge(pw_buf *b, const char *edge, edge_state state, const store_rev *rev,
              const char *reason, pw_msec at);
#endif
