#include "shared/job/ask.h"

enum { TEXT_MAX = 1000 };

static const pw_field item_fields[] = {
    PW_F_U64(job_ask_item, what, "what", true, "as in `need`"),
    PW_F_STR(job_ask_item, from, "from", false, PW_NAME_MAX, "the needed build"),
    PW_F_STR(job_ask_item, name, "name", false, PW_NEED_NAME_MAX, "path of the file"),
    PW_F_STRS(job_ask_item, have, "have", false, PW_REV_MAX, PW_HAVE_MAX,
              "commits that are here already"),
    PW_F_U64(job_ask_item, size, "size", false, "bytes of a file"),
};
static const pw_schema item_schema =
    PW_SCHEMA("ask.items", job_ask_item, item_fields, "One thing that a job asks for.");

static const pw_field ask_fields[] = {
    PW_F_U64(job_ask, seq, "seq", true, "number of the question"),
    PW_F_LIST(job_ask, items, "items", true, PW_ASK_ITEMS_MAX, &item_schema, "what it asks for"),
};
const pw_schema job_ask_schema =
    PW_SCHEMA("ask", job_ask, ask_fields, "What a runner asks of its agent.");

static const pw_field got_fields[] = {
    PW_F_U64(job_got, seq, "seq", true, "number of the question"),
    PW_F_STR(job_got, error, "error", false, TEXT_MAX, "why there is nothing"),
    PW_F_BOOL(job_got, ours, "ours", false, "the worker's trouble"),
    PW_F_BIN(job_got, sum, "sum", false, PW_SUM_BYTES, "SHA-256 of what came"),
};
const pw_schema job_got_schema = PW_SCHEMA("got", job_got, got_fields, "The agent's answer.");

static bool item_ok(const job_ask_item *i, size_t n)
{
    switch (i->what) {
    case PW_NEED_LIST:
        return n == 1 && i->from;
    case PW_NEED_FILE:
        return i->from && i->name && i->size > 0 && i->size <= UINT64_MAX / 2 / PW_ASK_ITEMS_MAX;
    case PW_NEED_BUNDLE:
        return n == 1;
    default:
        return false;
    }
}

int job_ask_read(const void *p, size_t n, job_ask *ret, pw_err *err)
{
    if (n > PW_ASK_MAX)
        return pw_fail(err, PW_ELIMIT, "a question of a job is longer than %d bytes", PW_ASK_MAX);
    int rc = pw_schema_decode(&job_ask_schema, p, n, ret, err);
    if (rc < 0)
        return rc;
    const job_ask_item *v = ret->items.v;
    bool good = ret->seq > 0 && ret->items.n > 0;
    for (size_t i = 0; i < ret->items.n && good; i++)
        good = item_ok(&v[i], ret->items.n);
    if (good)
        return 0;
    pw_schema_clear(&job_ask_schema, ret);
    return pw_fail(err, PW_EINVAL, "a question of a job makes no sense");
}
