#include "shared/job/record.h"

#include "shared/base/num.h"
#include "shared/job/job.h"

enum { PATH_BYTES = 4096 };

static const pw_field header_fields[] = {
    PW_F_U64(rec_header, format, "format", true, "1"),
    PW_F_U64(rec_header, epoch, "epoch", true, "epoch of the attempt"),
    PW_F_U64(rec_header, attempt, "attempt", true, "attempt"),
    PW_F_BIN(rec_header, digest, "digest", true, PW_KEY_BYTES, "BLAKE2b-256 of the job"),
    PW_F_U64(rec_header, run, "run", true, "random id of this journal"),
};
const pw_schema rec_header_schema =
    PW_SCHEMA("header", rec_header, header_fields,
              "First record, written by the agent when it spools the job.");

static const pw_field start_fields[] = {
    PW_F_U64(rec_start, pid, "pid", true, "process id of the runner"),
    PW_F_U64(rec_start, wall_ms, "wall_ms", true, "wall clock"),
    PW_F_STR(rec_start, workdir, "workdir", false, PATH_BYTES, "the work directory"),
};
const pw_schema rec_start_schema =
    PW_SCHEMA("start", rec_start, start_fields, "The runner has begun the job.");

static const pw_field step_start_fields[] = {
    PW_F_U64(rec_step_start, step, "step", true, "index of the step, from 0"),
    PW_F_U64(rec_step_start, wall_ms, "wall_ms", true, "wall clock"),
};
const pw_schema rec_step_start_schema =
    PW_SCHEMA("step_start", rec_step_start, step_start_fields, "A step begins.");

static const pw_field step_end_fields[] = {
    PW_F_U64(rec_step_end, step, "step", true, "index of the step, from 0"),
    PW_F_U64(rec_step_end, result, "result", true, "result of the step"),
    PW_F_BOOL(rec_step_end, ran, "ran", false, "false: skipped"),
    PW_F_U64(rec_step_end, exit_code, "exit_code", false, "when it ran and got no signal"),
    PW_F_U64(rec_step_end, signal, "signal", false, "signal that ended it, 0 none"),
    PW_F_STR(rec_step_end, reason, "reason", false, PW_TEXT_MAX, "cause, for people"),
    PW_F_U64(rec_step_end, wall_ms, "wall_ms", true, "wall clock"),
    PW_F_U64(rec_step_end, cpu_ms, "cpu_ms", false, "processor time of all its processes"),
    PW_F_U64(rec_step_end, max_rss, "max_rss", false, "most memory of one process, bytes"),
    PW_F_U64(rec_step_end, lines, "lines", false, "lines of output, all streams"),
    PW_F_U64(rec_step_end, bytes, "bytes", false, "bytes of output, all streams"),
    PW_F_U64(rec_step_end, read_bytes, "read_bytes", false, "read from disks"),
    PW_F_U64(rec_step_end, write_bytes, "write_bytes", false, "written to disks"),
};
const pw_schema rec_step_end_schema =
    PW_SCHEMA("step_end", rec_step_end, step_end_fields, "A step ended or was skipped.");

static const pw_field property_fields[] = {
    PW_F_U64(rec_property, step, "step", true, "index of the step, from 0"),
    PW_F_STR(rec_property, name, "name", true, PW_NAME_MAX, "name"),
    PW_F_STR(rec_property, value, "value", true, PW_VALUE_MAX, "value"),
};
const pw_schema rec_property_schema =
    PW_SCHEMA("property", rec_property, property_fields, "A step set a property.");

static const pw_field note_fields[] = {
    PW_F_U64(rec_note, step, "step", true, "index of the step, from 0"),
    PW_F_STR(rec_note, context, "context", true, PW_NAME_MAX, "a later note takes its place"),
    PW_F_STR(rec_note, style, "style", true, 16, "`info`, `success`, `warning` or `error`"),
    PW_F_STR(rec_note, text, "text", true, PW_NOTE_MAX, "Markdown"),
};
const pw_schema rec_note_schema =
    PW_SCHEMA("note", rec_note, note_fields, "Something that people should see.");

static const pw_field trigger_fields[] = {
    PW_F_U64(rec_trigger, step, "step", true, "index of the step, from 0"),
    PW_F_STR(rec_trigger, scheduler, "scheduler", true, PW_NAME_MAX, "of kind `triggered`"),
    PW_F_LIST(rec_trigger, props, "props", false, PW_WITH_MAX, &msg_pair_schema,
              "properties of what is built"),
    PW_F_STR(rec_trigger, revision, "revision", false, PW_NAME_MAX, "absent: the build's own"),
    PW_F_BOOL(rec_trigger, wait, "wait", false, "the step ends with what is built"),
    PW_F_BOOL(rec_trigger, keep, "keep", false,
              "what it waits for goes on when its build ends before"),
};
const pw_schema rec_trigger_schema =
    PW_SCHEMA("trigger", rec_trigger, trigger_fields, "A step asks for other builds.");

static const pw_field end_fields[] = {
    PW_F_U64(rec_end, result, "result", true, "result of the build"),
    PW_F_U64(rec_end, wall_ms, "wall_ms", true, "wall clock"),
    PW_F_STR(rec_end, reason, "reason", false, PW_TEXT_MAX, "cause, for people"),
    PW_F_STR(rec_end, kept_dir, "kept_dir", false, PATH_BYTES,
             "the work directory, kept for people"),
    PW_F_U64(rec_end, kept_until_ms, "kept_until_ms", false, "until then, wall clock"),
};
const pw_schema rec_end_schema =
    PW_SCHEMA("end", rec_end, end_fields, "Last record: the job is over.");

static const pw_field cut_fields[] = {
    PW_F_U64(rec_cut, step, "step", true, "index of the step, from 0"),
    PW_F_U64(rec_cut, stream, "stream", true, "0 output, 1 standard error"),
    PW_F_U64(rec_cut, position, "position", true, "where in the stream bytes are missing"),
    PW_F_U64(rec_cut, bytes, "bytes", true, "how many"),
};
const pw_schema rec_cut_schema =
    PW_SCHEMA("cut", rec_cut, cut_fields, "Output that was left out of a log.");

/* The head: u16 step | u8 stream | u8 codec | u32 raw_len | u32 lines | u32 zero | u64 raw_pos |
 * u64 first_line | u64 t_first_ms | u64 t_last_ms */
void rec_log_put_head(const rec_log *r, uint8_t out[RECORD_LOG_HEAD])
{
    out[0] = (uint8_t)r->step;
    out[1] = (uint8_t)(r->step >> 8);
    out[2] = r->stream;
    out[3] = r->codec;
    pw_put_le32(out + 4, r->raw_len);
    pw_put_le32(out + 8, r->lines);
    pw_put_le32(out + 12, 0);
    pw_put_le64(out + 16, r->raw_pos);
    pw_put_le64(out + 24, r->first_line);
    pw_put_le64(out + 32, r->t_first_ms);
    pw_put_le64(out + 40, r->t_last_ms);
}

/* Times and positions become signed 64-bit numbers, in microseconds, further on: sums must not run
 * over. */
static bool bounded(const rec_log *r)
{
    const uint64_t time_max = INT64_MAX / 1000;
    return r->raw_pos <= INT64_MAX - PW_FRAME_RAW_MAX && r->first_line <= r->raw_pos &&
           r->t_first_ms <= time_max && r->t_last_ms <= time_max;
}

int rec_log_get(const uint8_t *payload, size_t n, rec_log *out, pw_err *err)
{
    if (n <= RECORD_LOG_HEAD)
        return pw_fail(err, PW_EPROTO, "log record of %zu bytes holds no frame", n);
    rec_log r = {
        .step = (uint16_t)(payload[0] | payload[1] << 8),
        .stream = payload[2],
        .codec = payload[3],
        .raw_len = pw_le32(payload + 4),
        .lines = pw_le32(payload + 8),
        .raw_pos = pw_le64(payload + 16),
        .first_line = pw_le64(payload + 24),
        .t_first_ms = pw_le64(payload + 32),
        .t_last_ms = pw_le64(payload + 40),
        .frame = payload + RECORD_LOG_HEAD,
        .frame_len = n - RECORD_LOG_HEAD,
    };
    if (r.step >= PW_STEPS_MAX || r.stream >= PW_STREAMS)
        return pw_fail(err, PW_EPROTO, "log record names step %u, stream %u", (unsigned)r.step,
                       (unsigned)r.stream);
    if (r.codec != PW_CODEC_RAW && r.codec != PW_CODEC_ZSTD)
        return pw_fail(err, PW_EPROTO, "log record has the unknown codec %u", (unsigned)r.codec);
    if (r.raw_len == 0 || r.raw_len > PW_FRAME_RAW_MAX || r.lines > r.raw_len)
        return pw_fail(err, PW_ELIMIT, "log record claims %u bytes with %u lines",
                       (unsigned)r.raw_len, (unsigned)r.lines);
    if (r.codec == PW_CODEC_RAW && r.frame_len != r.raw_len)
        return pw_fail(err, PW_EPROTO, "log record has %zu raw bytes and claims %u", r.frame_len,
                       (unsigned)r.raw_len);
    if (!bounded(&r))
        return pw_fail(err, PW_ELIMIT, "log record has a position or time out of bounds");
    *out = r;
    return 0;
}
