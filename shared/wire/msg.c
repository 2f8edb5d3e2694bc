/* msg.c - the tables of all messages. Only optional fields may ever be added; a key is never used
 * for another meaning. */
#include "shared/wire/msg.h"

#include <string.h>

#include "shared/wire/walk.h"

enum { ID_MAX = 64, WHY_MAX = 1000 };

static const pw_field pair_fields[] = {
    PW_F_STR(msg_pair, name, "name", true, PW_NAME_MAX, "name"),
    PW_F_STR(msg_pair, value, "value", true, PW_VALUE_MAX, "value"),
};
const pw_schema msg_pair_schema = PW_SCHEMA("pair", msg_pair, pair_fields, "A name and its value.");

static const pw_field secret_fields[] = {
    PW_F_STR(msg_secret, name, "name", true, PW_NAME_MAX, "name, as the job has it"),
    PW_F_BIN(msg_secret, value, "value", true, PW_SECRET_MAX, "value, without zero bytes"),
};
const pw_schema msg_secret_schema = PW_SCHEMA(
    "secret", msg_secret, secret_fields,
    "A secret of a job. The agent hands it to the runner in a file of its own (0600) that "
    "the runner removes when it has read it; it is nowhere else on a disk.");

/* ---- worker -> master */

static const pw_field join_fields[] = {
    PW_F_STR(msg_join, name, "name", true, PW_NAME_MAX, "name that the worker asks for"),
    PW_F_BIN(msg_join, key, "key", true, PW_KEY_BYTES, "the worker's own public key"),
};
static const pw_schema join_schema =
    PW_SCHEMA("join", msg_join, join_fields,
              "A new worker, on a connection made with the one-time key of a join token.");

static const pw_field hello_job_fields[] = {
    PW_F_U64(msg_hello_job, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_hello_job, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_hello_job, start, "start", false, "first journal byte that the spool still has"),
    PW_F_U64(msg_hello_job, length, "length", false, "bytes of whole, right records"),
    PW_F_U64(msg_hello_job, state, "state", false,
             "0 spooled, 1 running, 2 ended, 3 held, 4 forgotten but kept"),
};
static const pw_schema hello_job_schema =
    PW_SCHEMA("hello.jobs", msg_hello_job, hello_job_fields, "A job in the worker's spool.");

static const pw_field hello_fields[] = {
    PW_F_U64(msg_hello, proto_min, "proto_min", true, "oldest protocol version spoken"),
    PW_F_U64(msg_hello, proto_max, "proto_max", true, "newest protocol version spoken"),
    PW_F_STRS(msg_hello, features, "features", false, PW_NAME_MAX, PW_PAIRS_MAX,
              "what jobs may demand by `must`"),
    PW_F_U64(msg_hello, nonce, "nonce", true, "random, names this connection of the agent"),
    PW_F_STR(msg_hello, spool, "spool", true, ID_MAX, "id of the spool folder, 32 hex digits"),
    PW_F_STR(msg_hello, boot, "boot", true, ID_MAX, "the machine's boot id"),
    PW_F_BIN(msg_hello, mark, "mark", false, PW_MARK_MAX, "newest mark that the master gave"),
    PW_F_STR(msg_hello, version, "version", false, ID_MAX, "version of the worker's program"),
    PW_F_U64(msg_hello, slots, "slots", true, "jobs that may run at the same time"),
    PW_F_STRS(msg_hello, tags, "tags", false, PW_NAME_MAX, PW_PAIRS_MAX, "the worker's tags"),
    PW_F_LIST(msg_hello, facts, "facts", false, PW_PAIRS_MAX, &msg_pair_schema,
              "os, arch, cpus, memory, hostname and what the operator added"),
    PW_F_LIST(msg_hello, jobs, "jobs", false, PW_HELLO_JOBS_MAX, &hello_job_schema,
              "everything in the spool that is not forgotten"),
};
static const pw_schema hello_schema =
    PW_SCHEMA("hello", msg_hello, hello_fields,
              "First message of a connection: who the worker is and what it holds.");

static const pw_field journal_fields[] = {
    PW_F_U64(msg_journal, session, "session", true, "session"),
    PW_F_U64(msg_journal, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_journal, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_journal, offset, "offset", true, "journal position of the first record"),
    PW_F_U64(msg_journal, chain, "chain", true, "crc chain value at that position"),
};
static const pw_schema journal_schema =
    PW_SCHEMA("journal", msg_journal, journal_fields,
              "Records of a job's journal. Frame 2: whole records from `offset` on.");

static const pw_field heartbeat_fields[] = {
    PW_F_U64(msg_heartbeat, session, "session", true, "session"),
    PW_F_U64(msg_heartbeat, sent_us, "sent_us", false,
             "the agent's clock; the master's next ping gives it back"),
    PW_F_U64(msg_heartbeat, free_slots, "free_slots", false, "slots without a job"),
    PW_F_U64(msg_heartbeat, load_milli, "load_milli", false, "1-minute load times 1000"),
    PW_F_U64(msg_heartbeat, disk_free, "disk_free", false, "free bytes in the spool's file system"),
    PW_F_STR(msg_heartbeat, gate, "gate", false, WHY_MAX, "why no new job should come now"),
    PW_F_U64(msg_heartbeat, wall_ms, "wall_ms", false,
             "its wall clock, ms since 1970: how far it is off is shown"),
};
static const pw_schema heartbeat_schema =
    PW_SCHEMA("heartbeat", msg_heartbeat, heartbeat_fields,
              "Sign of life and load, every 10 s and when asked.");

static const pw_field reject_fields[] = {
    PW_F_U64(msg_reject, session, "session", true, "session"),
    PW_F_U64(msg_reject, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_reject, attempt, "attempt", true, "attempt"),
    PW_F_STR(msg_reject, reason, "reason", true, WHY_MAX, "why, for people"),
    PW_F_U64(msg_reject, retry_ms, "retry_ms", false, "offer nothing before this time has passed"),
};
static const pw_schema reject_schema =
    PW_SCHEMA("reject", msg_reject, reject_fields,
              "The worker will not run this job; closes the attempt and uses no retry.");

static const pw_field bye_fields[] = {
    PW_F_U64(msg_bye, session, "session", true, "session"),
    PW_F_STR(msg_bye, reason, "reason", false, WHY_MAX, "why, for people"),
};
static const pw_schema bye_schema =
    PW_SCHEMA("bye", msg_bye, bye_fields, "The agent ends the session on purpose.");

/* ---- master -> worker */

static const pw_field joined_fields[] = {
    PW_F_STR(msg_joined, name, "name", true, PW_NAME_MAX, "name that the worker has from now on"),
};
static const pw_schema joined_schema =
    PW_SCHEMA("joined", msg_joined, joined_fields, "The key is enrolled; connect again with it.");

static const pw_field welcome_job_fields[] = {
    PW_F_U64(msg_welcome_job, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_welcome_job, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_welcome_job, verdict, "verdict", true, "1 resume, 2 forget, 3 hold"),
    PW_F_U64(msg_welcome_job, offset, "offset", false, "resume from this journal position"),
    PW_F_U64(msg_welcome_job, chain, "chain", false, "crc chain value at `offset`"),
    PW_F_U64(msg_welcome_job, window, "window", false,
             "unacknowledged bytes that may be under way for this job"),
    PW_F_BOOL(msg_welcome_job, cancel, "cancel", false, "closed here: end the job, ship the rest"),
};
static const pw_schema welcome_job_schema =
    PW_SCHEMA("welcome.jobs", msg_welcome_job, welcome_job_fields,
              "What becomes of one job that the hello listed.");

static const pw_field welcome_fields[] = {
    PW_F_U64(msg_welcome, session, "session", true,
             "random; stands in every later message of both sides"),
    PW_F_U64(msg_welcome, nonce, "nonce", true, "the agent's, given back"),
    PW_F_U64(msg_welcome, epoch, "epoch", true, "epoch of the master's database"),
    PW_F_BIN(msg_welcome, mark, "mark", false, PW_MARK_MAX,
             "opaque; keep the newest and return it in `hello`"),
    PW_F_U64(msg_welcome, proto, "proto", true, "protocol version of this session"),
    PW_F_U64(msg_welcome, heartbeat_ms, "heartbeat_ms", true, "time between heartbeats"),
    PW_F_U64(msg_welcome, window, "window", false,
             "unacknowledged bytes that may be under way for all jobs together"),
    PW_F_LIST(msg_welcome, jobs, "jobs", false, PW_HELLO_JOBS_MAX, &welcome_job_schema,
              "one verdict for each listed job"),
};
static const pw_schema welcome_schema =
    PW_SCHEMA("welcome", msg_welcome, welcome_fields, "Answer to `hello`: the session begins.");

static const pw_field refused_fields[] = {
    PW_F_U64(msg_refused, nonce, "nonce", false, "the agent's, given back"),
    PW_F_STR(msg_refused, reason, "reason", true, WHY_MAX, "why, for people"),
    PW_F_U64(msg_refused, retry_ms, "retry_ms", false, "try again after this time"),
};
static const pw_schema refused_schema =
    PW_SCHEMA("refused", msg_refused, refused_fields, "Answer to `hello` or `join`: no session.");

static const pw_field job_fields[] = {
    PW_F_U64(msg_job, session, "session", true, "session"),
    PW_F_U64(msg_job, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_job, attempt, "attempt", true, "attempt"),
    PW_F_BIN(msg_job, digest, "digest", true, PW_KEY_BYTES, "BLAKE2b-256 of frame 2"),
    PW_F_STRS(msg_job, must, "must", false, PW_NAME_MAX, PW_PAIRS_MAX,
              "features without which the worker must reject"),
    PW_F_U64(msg_job, window, "window", false,
             "unacknowledged bytes that may be under way for this job"),
    PW_F_LIST(msg_job, secrets, "secrets", false, PW_SECRETS_MAX, &msg_secret_schema,
              "values of the secrets that the job names; with them goes the feature `secrets`"),
    PW_F_BOOL(msg_job, lent, "lent", false, "it takes the slot of a job there that waits for it"),
};
static const pw_schema job_schema =
    PW_SCHEMA("job", msg_job, job_fields,
              "An offer. Frame 2: the job exactly as it was frozen; its digest covers no secret.");

static const pw_field ack_item_fields[] = {
    PW_F_U64(msg_ack_item, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_ack_item, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_ack_item, stored, "stored", false, "journal bytes that are durable here"),
    PW_F_U64(msg_ack_item, window, "window", false,
             "unacknowledged bytes that may be under way for this job"),
};
static const pw_schema ack_item_schema =
    PW_SCHEMA("ack.items", msg_ack_item, ack_item_fields, "How far one journal is stored.");

static const pw_field ack_fields[] = {
    PW_F_U64(msg_ack, session, "session", true, "session"),
    PW_F_LIST(msg_ack, items, "items", true, PW_ACK_MAX, &ack_item_schema, "one for each journal"),
    PW_F_BIN(msg_ack, mark, "mark", false, PW_MARK_MAX,
             "opaque; keep the newest and return it in `hello`"),
};
static const pw_schema ack_schema =
    PW_SCHEMA("ack", msg_ack, ack_fields, "Sent after the commit that stored the records.");

static const pw_field note_fields[] = {
    PW_F_U64(msg_note, session, "session", true, "session"),
    PW_F_U64(msg_note, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_note, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_note, seq, "seq", true, "number of the note; known ones are ignored"),
    PW_F_STR(msg_note, text, "text", true, PW_TEXT_MAX, "what the job must hear"),
};
static const pw_schema note_schema =
    PW_SCHEMA("note", msg_note, note_fields,
              "For a running job; repeated at each resync until the journal holds it.");

static const pw_field cancel_fields[] = {
    PW_F_U64(msg_cancel, session, "session", true, "session"),
    PW_F_U64(msg_cancel, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_cancel, attempt, "attempt", true, "attempt"),
    PW_F_STR(msg_cancel, reason, "reason", false, WHY_MAX, "why, for people"),
};
static const pw_schema cancel_schema =
    PW_SCHEMA("cancel", msg_cancel, cancel_fields, "End the job; the attempt is closed already.");

static const pw_field forget_fields[] = {
    PW_F_U64(msg_forget, session, "session", true, "session"),
    PW_F_U64(msg_forget, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_forget, attempt, "attempt", true, "attempt"),
};
static const pw_schema forget_schema =
    PW_SCHEMA("forget", msg_forget, forget_fields,
              "The journal is stored to its end: the spool entry may go aside.");

static const pw_field drain_fields[] = {
    PW_F_U64(msg_drain, session, "session", true, "session"),
};
static const pw_schema drain_schema =
    PW_SCHEMA("drain", msg_drain, drain_fields, "Take no new job, finish those that run.");

static const pw_field ping_fields[] = {
    PW_F_U64(msg_ping, session, "session", true, "session"),
    PW_F_U64(msg_ping, echo_us, "echo_us", false, "`sent_us` of the newest heartbeat"),
    PW_F_BOOL(msg_ping, ask, "ask", false, "answer with a heartbeat at once"),
};
static const pw_schema ping_schema =
    PW_SCHEMA("ping", msg_ping, ping_fields, "Sign of life of the master, echo of a heartbeat.");

static const pw_field need_fields[] = {
    PW_F_U64(msg_need, session, "session", true, "session"),
    PW_F_U64(msg_need, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_need, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_need, ask, "ask", true, "number of the question, given back"),
    PW_F_U64(msg_need, what, "what", true,
             "1 the list of files that a needed build left, 2 one of them, 3 the job's revision as "
             "a git bundle"),
    PW_F_STR(msg_need, from, "from", false, PW_NAME_MAX, "1, 2: the needed build"),
    PW_F_STR(msg_need, name, "name", false, PW_NEED_NAME_MAX, "2: path of the file"),
    PW_F_STRS(msg_need, have, "have", false, PW_REV_MAX, PW_HAVE_MAX,
              "3: commits that the worker has, which the bundle may build upon"),
    PW_F_U64(msg_need, offset, "offset", false, "first byte that is wanted"),
};
static const pw_schema need_schema =
    PW_SCHEMA("need", msg_need, need_fields,
              "What a running job asks for: a piece of at most 131072 bytes. One question of a job "
              "is under way at a time; it may be repeated.");

static const pw_field blob_fields[] = {
    PW_F_U64(msg_blob, session, "session", true, "session"),
    PW_F_U64(msg_blob, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(msg_blob, attempt, "attempt", true, "attempt"),
    PW_F_U64(msg_blob, ask, "ask", true, "number of the question"),
    PW_F_U64(msg_blob, offset, "offset", false, "position of the first byte of frame 2"),
    PW_F_U64(msg_blob, size, "size", false, "bytes of the whole"),
    PW_F_BIN(msg_blob, sum, "sum", false, PW_SUM_BYTES, "SHA-256 of the whole"),
    PW_F_STR(msg_blob, error, "error", false, WHY_MAX, "why there is nothing, for people"),
    PW_F_U64(msg_blob, retry_ms, "retry_ms", false,
             "with `error`: ask again after this time; 0: it stays so"),
};
static const pw_schema blob_schema =
    PW_SCHEMA("blob", msg_blob, blob_fields,
              "Answer to `need`. Frame 2: bytes of the whole from `offset` on.");

/* ---- dispatch */

static const pw_schema *const by_type[PW_MSG_TYPES] = {
    [PW_MSG_JOIN] = &join_schema,       [PW_MSG_HELLO] = &hello_schema,
    [PW_MSG_JOURNAL] = &journal_schema, [PW_MSG_HEARTBEAT] = &heartbeat_schema,
    [PW_MSG_REJECT] = &reject_schema,   [PW_MSG_BYE] = &bye_schema,
    [PW_MSG_JOINED] = &joined_schema,   [PW_MSG_WELCOME] = &welcome_schema,
    [PW_MSG_REFUSED] = &refused_schema, [PW_MSG_JOB] = &job_schema,
    [PW_MSG_ACK] = &ack_schema,         [PW_MSG_NOTE] = &note_schema,
    [PW_MSG_CANCEL] = &cancel_schema,   [PW_MSG_FORGET] = &forget_schema,
    [PW_MSG_DRAIN] = &drain_schema,     [PW_MSG_PING] = &ping_schema,
    [PW_MSG_NEED] = &need_schema,       [PW_MSG_BLOB] = &blob_schema,
};

const pw_schema *pw_msg_schema(pw_msg_type type)
{
    return (unsigned)type < PW_MSG_TYPES ? by_type[type] : NULL;
}

int pw_msg_decode(const void *data, size_t len, pw_msg *out, pw_err *err)
{
    const char *name;
    size_t n;
    memset(out, 0, sizeof(*out));
    if (len > PW_MSG_MAX)
        return pw_fail(err, PW_ELIMIT, "a message has %zu bytes, the limit is %d", len, PW_MSG_MAX);
    int r = pw_wire_type(data, len, &name, &n, err);
    if (r < 0)
        return r;
    for (pw_msg_type t = PW_MSG_JOIN; t < PW_MSG_TYPES; t++) {
        const pw_schema *sc = by_type[t];
        if (strlen(sc->name) != n || memcmp(sc->name, name, n) != 0)
            continue;
        r = pw_wire_decode_typed(sc, data, len, &out->u, err);
        if (r == 0)
            out->type = t;
        return r;
    }
    return pw_fail(err, PW_EPROTO, "a message has the unknown type \"%.*s\"",
                   (int)(n < 40 ? n : 40), name);
}

int pw_msg_encode(pw_msg_type type, const void *body, pw_buf *b, pw_err *err)
{
    const pw_schema *sc = pw_msg_schema(type);
    size_t before = b->len;
    if (!sc)
        return pw_fail(err, PW_EINVAL, "there is no message type %d", (int)type);
    int r = pw_wire_encode_typed(sc, body, b, err);
    if (r == 0 && b->len - before > PW_MSG_MAX) {
        r = pw_fail(err, PW_ELIMIT, "message \"%s\" has %zu bytes, the limit is %d", sc->name,
                    b->len - before, PW_MSG_MAX);
        b->len = before;
        b->p[before] = '\0';
    }
    return r;
}

void pw_msg_clear(pw_msg *m)
{
    const pw_schema *sc = m ? pw_msg_schema(m->type) : NULL;
    if (sc)
        pw_schema_clear(sc, &m->u);
    if (m)
        m->type = 0;
}
