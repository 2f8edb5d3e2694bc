import { test } from "node:test";
import assert from "node:assert/strict";
import { ago, count, duration, exact, list, person, plural, rev7, roughly, size, when } from "../src/format.js";

process.env.TZ = "UTC";

test("durations", () => {
  const want = [[0, "0 ms"], [850, "850 ms"], [9400, "9.4 s"], [9999, "9.9 s"], [47000, "47 s"], [167000, "2 m 47 s"], [3600000, "1 h 0 m"], [3 * 86400000, "3 d"], [-5, "0 ms"]];
  for (const [ms, text] of want) assert.equal(duration(ms), text);
  assert.equal(duration(null), "");
  assert.equal(duration(NaN), "");
  assert.equal(roughly(16 * 60000), "16 min");
  assert.equal(roughly(30000), "30 s");
});
test("sizes", () => {
  for (const [n, text] of [[0, "0 B"], [412, "412 B"], [412 * 1024, "412 K"], [1000, "1.0 K"], [2.5 * 1024 ** 3, "2.5 G"], [null, ""]]) assert.equal(size(n), text);
});
test("counts and plurals", () => {
  for (const [n, text] of [[0, "0"], [999, "999"], [1204, "1,204"], [1000000, "1,000,000"], [null, ""]]) assert.equal(count(n), text);
  assert.equal(plural(1, "branch is", "branches are"), "1 branch is");
  assert.equal(plural(1204, "build"), "1,204 builds");
  assert.equal(list(["a", "b", "c"]), "a, b and c");
  assert.equal(list(["a"]), "a");
});
test("people and commits", () => {
  assert.equal(person("Ada Lovelace <ada@example.org>"), "Ada Lovelace");
  assert.equal(person("<ada@example.org>"), "ada@example.org");
  assert.equal(person(null), "");
  assert.equal(rev7("7b9346bbfbd77cea"), "7b9346b");
  assert.equal(rev7(null), "");
});
test("times: relative up to a day, then a date", () => {
  const now = Date.parse("2026-11-20T12:00:00Z");
  for (const [t, text] of [["2026-11-20T11:59:58Z", "now"], ["2026-11-20T11:59:20Z", "40 s"], ["2026-11-20T11:33:00Z", "27 min"], ["2026-11-20T02:00:00Z", "10 h"],
    ["2026-11-19T11:00:00Z", "19 Nov"], ["2025-11-19T11:00:00Z", "19 Nov 2025"], [null, ""], ["x", ""]]) assert.equal(ago(t, now), text);
  assert.equal(when("2026-11-20T09:05:00Z", now), "09:05");
  assert.equal(when("2026-11-21T09:05:00Z", now), "21 Nov 09:05");
  assert.equal(exact("2026-11-20T11:33:40.123Z"), "20 Nov 2026 11:33:40 UTC+00:00");
  assert.equal(exact(null), "");
});
