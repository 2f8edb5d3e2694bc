/* Frame 1 of a message, every table of ours, and the walk that stands before msgpack-c. What
 * decodes must encode again. */
#include <stdlib.h>

#include "shared/job/ask.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "shared/wire/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void one(const pw_schema *sc, const uint8_t *data, size_t len, pw_buf *b)
{
    union { /* room for any of the structs */
        pw_msg msg;
        job_spec spec;
        job_step step;
        rec_step_end end;
        uint8_t bytes[1024];
    } out;
    if (sc->size > sizeof(out))
        abort();
    if (pw_schema_decode(sc, data, len, &out, NULL) < 0)
        return;
    if (pw_msgpack_check(data, len, NULL) < 0)
        abort(); /* decode let through what the walk refuses */
    pw_buf_reset(b);
    if (pw_schema_encode(sc, &out, b, NULL) < 0)
        abort();
    pw_schema_clear(sc, &out);
    if (pw_schema_decode(sc, b->p, b->len, &out, NULL) < 0)
        abort();
    pw_schema_clear(sc, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const pw_schema *const more[] = {
        &msg_pair_schema,  &job_step_schema,       &job_spec_schema,     &rec_header_schema,
        &rec_start_schema, &rec_step_start_schema, &rec_step_end_schema, &rec_property_schema,
        &rec_end_schema,   &rec_cut_schema,        &job_files_schema,    &job_ask_schema,
        &job_got_schema,
    };
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(16 * PW_MSG_MAX);
    pw_msg m;
    (void)pw_msgpack_check(data, len, NULL);
    if (pw_msg_decode(data, len, &m, NULL) == 0) {
        if (pw_msg_encode(m.type, &m.u, &b, NULL) < 0)
            abort();
        pw_msg_clear(&m);
    }
    for (pw_msg_type t = PW_MSG_JOIN; t < PW_MSG_TYPES; t++)
        one(pw_msg_schema(t), data, len, &b);
    job_ask ask;
    if (job_ask_read(data, len, &ask, NULL) == 0)
        pw_schema_clear(&job_ask_schema, &ask);
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        one(more[i], data, len, &b);
    return 0;
}
