import { test } from "node:test";
import assert from "node:assert/strict";
import { commitState, line, note, rowState } from "../src/line.js";
import { groupOf, grouped, parts } from "../src/cause.js";

const b = (builder, result, id = 1) => ({ id, builder, state: result === "running" ? "running" : "done", result: result === "running" ? null : result });
const c = (revision, ...builds) => ({ id: revision, revision, title: revision, builds, promoted: [] });

test("a commit is full, half, red, running or hollow", () => {
  const of = (...builds) => commitState(c("a", ...builds), ["fast", "slow"]);
  assert.equal(of(b("fast", "success"), b("slow", "warnings")), "full");
  assert.equal(of(b("fast", "success")), "half");
  assert.equal(of(b("fast", "success"), b("slow", "skipped")), "half", "what was skipped has not passed");
  assert.equal(of(b("fast", "running"), b("slow", "failure")), "red");
  assert.equal(of(b("fast", "running")), "run");
  assert.equal(of(), "hollow");
  assert.equal(of(b("fast", "cancelled")), "hollow");
  assert.equal(rowState(c("a", b("fast", "success"), b("slow", "running"))), "running");
});
test("the line goes from old to new, and knows where the edge stands", () => {
  const changes = ["e", "d", "c", "b", "a"].map(r => c(r, b("fast", "success")));
  const l = line(changes, ["fast"], { edge: "stable", revision: "b" }, 1000);
  assert.deepEqual(l.nodes.map(n => n.change.revision), ["a", "b", "c", "d", "e"]);
  assert.equal(l.at, 1);
  assert.ok(l.nodes.every((n, i) => i === 0 || n.x > l.nodes[i - 1].x) && l.nodes[4].x <= 1000 - 60);
  assert.equal(line(changes, ["fast"], { edge: "stable", revision: "zz" }, 1000).at, -1);
  assert.equal(line(changes, ["fast"], { edge: "stable", revision: null }, 250).nodes.length, 2, "as many as fit");
  assert.deepEqual(line([], [], { edge: "stable" }, 1000), { nodes: [], at: -1 });
});
test("what is written over a commit", () => {
  const n = (...builds) => ({ change: c("a", ...builds), state: commitState(c("a", ...builds), ["fast"]) });
  assert.equal(note(n(b("fast", "failure"), b("slow", "success"))), "fast red");
  assert.equal(note(n(b("fast", "running"))), "waits for fast");
  assert.equal(note(n(b("fast", "success"))), "");
});
test("requests are grouped by cause, those that need somebody first", () => {
  const r = (id, cause) => ({ id, why: cause && { cause, reason: "" } });
  const all = [r(1, "slots"), r(2, "lock"), r(3, "worker"), r(4, "a-cause-of-later"), r(5, null), r(6, "manual"), r(7, "testfix"), r(8, "needs")];
  assert.deepEqual(grouped(all).map(g => [g.key, g.items.map(x => x.id)]), [["you", [3, 6]], ["lock", [2]], ["needs", [8]], ["rule", [7]], ["slots", [1]], ["other", [4, 5]]]);
  assert.equal(groupOf({}), "other");
  assert.deepEqual(grouped([]), []);
});
test("the objects of a reason are links", () => {
  assert.deepEqual(parts('lock "db" is held by build 48219 (fast)'), ['lock "db" is held by ', { text: "build 48219", id: 48219, kind: "build" }, " (fast)"]);
  assert.deepEqual(parts("request 7 is before it"), [{ text: "request 7", id: 7, kind: "request" }, " is before it"]);
  assert.deepEqual(parts("rebuild 7"), ["rebuild 7"]);
  assert.deepEqual(parts(null), []);
});
