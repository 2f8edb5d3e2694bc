import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { hold } from "../src/hold.js";
import { KEYS, meaning } from "../src/keys.js";
import { branchState, icon, iconOf, isBad, stateOf, verdict, WORD, worst } from "../src/state.js";

const key = r => r.id;
test("a list that is looked at keeps its rows and their order", () => {
  const shown = [{ id: 3, s: "a" }, { id: 2, s: "a" }, { id: 1, s: "a" }], next = [{ id: 5 }, { id: 4 }, { id: 1, s: "b" }, { id: 3, s: "b" }];
  const held = hold(shown, next, false, key);
  assert.deepEqual(held.rows.map(r => [r.id, r.s, !!r.gone]), [[3, "b", false], [2, "a", true], [1, "b", false]]);
  assert.equal(held.news, 2);
  const later = hold(held.rows, [{ id: 2, s: "c" }], false, key);
  assert.equal(later.rows[1].gone, undefined, "it is back");
  assert.deepEqual(hold(held.rows, next, true, key), { rows: next, news: 0 });
  assert.deepEqual(hold(null, next, false, key), { rows: next, news: 0 });
  assert.deepEqual(hold([], next, false, key), { rows: next, news: 0 }, "an empty list hides nothing");
});
test("keys", () => {
  assert.deepEqual(meaning("/", {}, 0), ["search", null, {}]);
  assert.deepEqual(meaning("x", {}, 0), [null, null, {}]);
  const [, , s] = meaning("g", {}, 1000);
  assert.deepEqual(meaning("b", s, 1500), ["go", "/branches", {}]);
  assert.deepEqual(meaning("j", s, 1500), [null, null, {}], "no page has this key: nothing, not the next row");
  assert.deepEqual(meaning("j", s, 9000), ["next", null, {}]);
  assert.ok(KEYS.length > 5);
});
test("states", () => {
  assert.equal(stateOf({ state: "done", result: "failure" }), "failure");
  assert.equal(stateOf({ state: "finishing", result: null }), "running");
  assert.equal(stateOf({ state: "queued", attempt: 2 }), "retry");
  assert.equal(stateOf({ state: "waiting" }), "waiting");
  assert.equal(stateOf({ state: null, result: null }), "unknown");
  assert.equal(stateOf(null), "unknown");
  assert.equal(worst(["success", "running", "exception"]), "exception");
  assert.equal(worst(["skipped", "success", "unknown"]), "success");
  assert.equal(worst([]), "unknown");
  assert.equal(branchState({ state: "red", builders: [{ state: "done", result: "exception" }, { state: "done", result: "success" }] }), "exception");
  assert.equal(branchState({ state: "green", builders: [{ state: "done", result: "warnings" }] }), "warnings");
  assert.equal(branchState({ state: "none", builders: [] }), "unknown");
  for (const k of Object.keys(WORD)) assert.ok(["red", "green", "running", "none"].includes(iconOf(k)));
  assert.notEqual(icon("red"), icon("green"));
});
test("no style attribute and no inline handler in any page", () => {
  const walk = d => readdirSync(d, { withFileTypes: true }).flatMap(e => e.isDirectory() ? walk(new URL(`${e.name}/`, d)) : [new URL(e.name, d)]);
  const files = walk(new URL("../src/", import.meta.url)).filter(f => /\.jsx?$/.test(f.pathname));
  assert.ok(files.length > 20);
  for (const f of files) {
    const text = readFileSync(f, "utf8");
    assert.doesNotMatch(text, /\sstyle=[{"]/, f.pathname);
    assert.doesNotMatch(text, /dangerouslySetInnerHTML|\.innerHTML\s*=|\beval\(/, f.pathname);
  }
});
test("a builder is red as long as its last verdict is", () => {
  const x = { builder: "fast", build: 9, state: "running", result: null, red_since: "2026-11-20T12:00:00Z", first_red: 7, last: { build: 8, result: "failure" } };
  assert.equal(isBad(x), true);
  assert.deepEqual(verdict(x), { build: 8, state: "failure" });
  assert.equal(isBad({ ...x, red_since: null }), false);
  assert.deepEqual(verdict({ ...x, red_since: null }), { build: 9, state: "running" });
  assert.equal(branchState({ state: "red", builders: [x] }), "failure");
});
