#include "master/store/rows.h"
#include "master/store/sched.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"

bool store_rev_parse(const char *hex, store_rev *ret)
{
    store_rev r = {0};
    size_t n = hex ? strlen(hex) : 0;

    if (n != 40 && n != 64)
        return false;
    r.n = (uint8_t)(n / 2);
    if (!pw_unhex(hex, r.id, r.n))
        return false;
    *ret = r;
    return true;
}

void store_rev_text(const store_rev *r, char out[2 * STORE_REV_MAX + 1])
{
    pw_hex(r->id, r->n <= STORE_REV_MAX ? r->n : 0, out);
}

bool store_rev_equal(const store_rev *a, const store_rev *b)
{
    return a->n == b->n && memcmp(a->id, b->id, a->n) == 0;
}

void store_change_clear(store_change *r)
{
    free(r->source);
    free(r->author);
    free(r->subject);
    free(r->files);
    free(r->note);
    *r = (store_change){0};
}

void store_request_clear(store_request *r)
{
    free(r->props);
    *r = (store_request){0};
}

void store_build_clear(store_build *r)
{
    free(r->reason);
    *r = (store_build){.result = PW_NO_RESULT};
}

void store_step_clear(store_step *r)
{
    free(r->name);
    free(r->reason);
    *r = (store_step){.result = PW_NO_RESULT};
}

void store_worker_clear(store_worker *r)
{
    free(r->name);
    free(r->tags);
    free(r->facts);
    free(r->version);
    free(r->reason);
    free(r->who);
    free(r->provider);
    *r = (store_worker){0};
}

void store_promotion_clear(store_promotion *r)
{
    free(r->edge);
    free(r->source);
    free(r->target);
    free(r->reason);
    *r = (store_promotion){0};
}

void row_request(const sql_cur *cur, store_request *ret)
{
    *ret = (store_request){
        .id = sql_col_u(cur, 0),
        .buildset = sql_col_u(cur, 1),
        .builder = sql_col_u(cur, 2),
        .stamp = sql_col_u(cur, 3),
        .prio = sql_col_i(cur, 4),
        .state = (req_state)sql_col_i(cur, 5),
        .created = sql_col_i(cur, 6),
        .build = sql_col_u(cur, 7),
        .rode_with = sql_col_u(cur, 8),
        .collapse = sql_col_i(cur, 9) != 0,
        .props = (uint8_t *)sqlite3_column_blob(cur->st, 10),
        .props_len = (size_t)sqlite3_column_bytes(cur->st, 10),
    };
}

void row_build(const sql_cur *cur, store_build *ret)
{
    *ret = (store_build){
        .id = sql_col_u(cur, 0),
        .request = sql_col_u(cur, 1),
        .builder = sql_col_u(cur, 2),
        .stamp = sql_col_u(cur, 3),
        .state = (build_state)sql_col_i(cur, 4),
        .result = sql_col_result(cur, 5),
        .created = sql_col_i(cur, 6),
        .started = sql_col_i(cur, 7),
        .finished = sql_col_i(cur, 8),
        .worker = sql_col_u(cur, 9),
        .attempt = sql_col_u(cur, 10),
        .tries = sql_col_u(cur, 11),
        .reason = sql_col_t(cur, 12),
    };
}

void row_attempt(const sql_cur *cur, store_attempt *ret)
{
    *ret = (store_attempt){
        .id = sql_col_u(cur, 0),
        .build = sql_col_u(cur, 1),
        .worker = sql_col_u(cur, 2),
        .state = (att_state)sql_col_i(cur, 3),
        .offers = sql_col_u(cur, 4),
        .offered = sql_col_i(cur, 7),
        .ended = sql_col_i(cur, 8),
        .applied = sql_col_u(cur, 9),
        .applied_chain = (uint32_t)sql_col_u(cur, 10),
        .stored = sql_col_u(cur, 11),
        .stored_chain = (uint32_t)sql_col_u(cur, 12),
        .result = sql_col_result(cur, 13),
        .epoch = sql_col_u(cur, 14),
    };
    (void)sql_col_bytes(cur, 5, ret->spool, sizeof(ret->spool));
    (void)sql_col_bytes(cur, 6, ret->boot, sizeof(ret->boot));
    (void)sql_col_bytes(cur, 15, ret->digest, sizeof(ret->digest));
}

void row_step(const sql_cur *cur, store_step *ret)
{
    *ret = (store_step){
        .attempt = sql_col_u(cur, 0),
        .idx = sql_col_u(cur, 1),
        .name = sql_col_t(cur, 2),
        .kind = sql_col_u(cur, 3),
        .state = (step_state)sql_col_i(cur, 4),
        .result = sql_col_result(cur, 5),
        .started = sql_col_i(cur, 6),
        .finished = sql_col_i(cur, 7),
        .exit_code = sql_col_null(cur, 8) ? -1 : sql_col_i(cur, 8),
        .signal = sql_col_u(cur, 9),
        .lines = sql_col_u(cur, 10),
        .bytes = sql_col_u(cur, 11),
        .cpu_ms = sql_col_u(cur, 12),
        .max_rss = sql_col_u(cur, 13),
        .reason = sql_col_t(cur, 14),
        .read_bytes = sql_col_u(cur, 15),
        .write_bytes = sql_col_u(cur, 16),
    };
}

void row_frame(const sql_cur *cur, store_frame *ret)
{
    *ret = (store_frame){
        .attempt = sql_col_u(cur, 0),
        .idx = sql_col_u(cur, 1),
        .stream = sql_col_u(cur, 2),
        .raw_pos = sql_col_u(cur, 3),
        .raw_len = sql_col_u(cur, 4),
        .first_line = sql_col_u(cur, 5),
        .lines = sql_col_u(cur, 6),
        .t_first = sql_col_i(cur, 7),
        .t_last = sql_col_i(cur, 8),
        .codec = sql_col_u(cur, 9),
        .segment = sql_col_u(cur, 10),
        .at = sql_col_u(cur, 11),
        .len = sql_col_u(cur, 12),
    };
}

void row_log(const sql_cur *cur, store_log *ret)
{
    *ret = (store_log){
        .attempt = sql_col_u(cur, 0),
        .idx = sql_col_u(cur, 1),
        .stream = sql_col_u(cur, 2),
        .bytes = sql_col_u(cur, 3),
        .lines = sql_col_u(cur, 4),
        .packed = sql_col_u(cur, 5),
        .sealed = sql_col_i(cur, 6) != 0,
        .gone = sql_col_i(cur, 6) > 1,
    };
}

void row_worker(const sql_cur *cur, store_worker *ret)
{
    *ret = (store_worker){
        .id = sql_col_u(cur, 0),
        .name = sql_col_t(cur, 1),
        .slots = sql_col_u(cur, 5),
        .tags = sql_col_t(cur, 6),
        .facts = sql_col_t(cur, 7),
        .version = sql_col_t(cur, 8),
        .created = sql_col_i(cur, 9),
        .seen = sql_col_i(cur, 10),
        .paused = sql_col_i(cur, 11) != 0,
        .draining = sql_col_i(cur, 12) != 0,
        .removed = sql_col_i(cur, 13) != 0,
        .quarantine = sql_col_i(cur, 14),
        .reason = sql_col_t(cur, 15),
        .who = sql_col_t(cur, 16),
        .strikes = sql_col_u(cur, 17),
        .rests = sql_col_u(cur, 18),
        .provider = sql_col_t(cur, 19),
    };
    ret->has_key = sql_col_bytes(cur, 2, ret->key, sizeof(ret->key));
    (void)sql_col_bytes(cur, 3, ret->spool, sizeof(ret->spool));
    (void)sql_col_bytes(cur, 4, ret->boot, sizeof(ret->boot));
}

void row_promotion(const sql_cur *cur, store_promotion *ret)
{
    *ret = (store_promotion){
        .id = sql_col_u(cur, 0),
        .edge = sql_col_t(cur, 1),
        .project = sql_col_u(cur, 2),
        .source = sql_col_t(cur, 3),
        .target = sql_col_t(cur, 4),
        .state = (promo_state)sql_col_i(cur, 7),
        .reason = sql_col_t(cur, 8),
        .created = sql_col_i(cur, 9),
        .finished = sql_col_i(cur, 10),
    };
    sql_col_rev(cur, 5, &ret->old);
    sql_col_rev(cur, 6, &ret->rev);
}

void row_token(const sql_cur *cur, store_token *ret)
{
    *ret = (store_token){.id = sql_col_u(cur, 1),
                         .name = sql_col_text(cur, 2),
                         .scopes = sql_col_text(cur, 3),
                         .person = sql_col_t(cur, 4),
                         .creator = sql_col_text(cur, 5),
                         .created = sql_col_i(cur, 6),
                         .expires = sql_col_i(cur, 7),
                         .used = sql_col_i(cur, 8),
                         .revoked = sql_col_i(cur, 9)};
    (void)sql_col_bytes(cur, 0, ret->hash, sizeof(ret->hash));
}

void row_message(const sql_cur *cur, store_message *ret)
{
    *ret = (store_message){
        .id = sql_col_u(cur, 0),
        .key = sql_col_t(cur, 1),
        .target = sql_col_t(cur, 2),
        .state = (msg_state)sql_col_i(cur, 3),
        .tries = sql_col_u(cur, 4),
        .due = sql_col_i(cur, 5),
        .created = sql_col_i(cur, 6),
        .finished = sql_col_i(cur, 7),
        .reason = sql_col_t(cur, 8),
    };
}

void row_paused(const sql_cur *cur, store_paused *ret)
{
    *ret = (store_paused){.kind = (store_pausable)sql_col_i(cur, 0),
                          .name = sql_col_text(cur, 1),
                          .reason = sql_col_text(cur, 2),
                          .who = sql_col_text(cur, 3),
                          .at = sql_col_i(cur, 4)};
}

void row_change(const sql_cur *cur, store_change *ret)
{
    *ret = (store_change){
        .id = sql_col_u(cur, 0),
        .stamp = sql_col_u(cur, 1),
        .at = sql_col_i(cur, 2),
        .tip = sql_col_i(cur, 3) != 0,
        .forced = sql_col_i(cur, 4) != 0,
        .source = sql_col_t(cur, 5),
        .author = sql_col_t(cur, 6),
        .subject = sql_col_t(cur, 7),
        .files = sql_col_t(cur, 8),
        .note = sql_col_t(cur, 9),
    };
}

int row_request_own(store_request *r, pw_err *err)
{
    uint8_t *props = NULL;

    if (r->props) {
        props = malloc(r->props_len);
        if (!props)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        memcpy(props, r->props, r->props_len);
    }
    r->props = props;
    return 0;
}

int row_build_own(store_build *r, pw_err *err)
{
    bool failed = false;

    r->reason = pw_strdup(r->reason, &failed);
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}
