// The log viewer's pure modules.
import test from "node:test";
import assert from "node:assert/strict";
import { Blocks, BLOCK, KEPT } from "../src/log/blocks.js";
import { marked, parser, plain } from "../src/log/ansi.js";
import { contrast, groundColor, rgb, rule, textColor } from "../src/log/color.js";
import { around, folded, Rows } from "../src/log/rows.js";
import { bar, BAR_MAX, drawn, Heights, MOST } from "../src/log/scroll.js";
import { FAILURE, next, numbers, query, ranges, tally } from "../src/log/find.js";
import * as link from "../src/log/link.js";
import { nextMode, shown } from "../src/log/times.js";

const lines = (a, z) => Array.from({ length: z - a + 1 }, (_, i) => ({ line: a + i, time: "2026-11-20T12:00:00.000Z", text: `l${a + i}` }));

test("blocks: aligned, asked for once, the oldest go", () => {
  const b = new Blocks();
  assert.deepEqual(b.missing(390, 410, 1000), [0, 1]);
  b.asked.add(1);
  assert.deepEqual(b.missing(390, 410, 1000), [0]);
  b.put(lines(1, 400), { whole: 0, total: 1000 });
  b.put(lines(401, 800), { whole: 1, total: 1000 });
  assert.equal(b.get(400).text, "l400");
  assert.equal(b.get(401).text, "l401");
  assert.equal(b.get(801), null);
  for (let n = 2; n < 2 + KEPT - 1; n++) { b.missing(1, 1, 1e6); b.put(lines(n * BLOCK + 1, n * BLOCK + 1), { whole: n, total: 1e6 }); }
  assert.equal(b.map.size, KEPT);
  assert.ok(b.get(1), "what was looked at stays");
  assert.equal(b.get(401), null);
});
test("blocks: a tail that is not aligned, and the rest of its block", () => {
  const b = new Blocks();
  b.put(lines(700, 1000), { total: 1000 });
  assert.equal(b.get(1000).text, "l1000");
  assert.deepEqual(b.missing(700, 1000, 1000), []);
  assert.deepEqual(b.missing(690, 1000, 1000), [1]);
  assert.deepEqual(b.missing(990, 1040, 1000), []);
});
test("blocks: growth takes the last line back, gaps are told", () => {
  const b = new Blocks();
  b.put(lines(1, 5), { whole: 0, total: 5 });
  assert.deepEqual(b.missing(1, 5, 5), []);
  b.grown(5);
  assert.deepEqual(b.missing(1, 9, 9), [0]);
  b.put([...lines(1, 3), { line: 4, lines: 19, bytes: 1000, text: null }, ...lines(23, 24)], { whole: 0, total: 24 });
  assert.equal(b.get(3).text, "l3");
  assert.ok(b.get(4).gap && b.get(22).gap);
  assert.equal(b.get(23).text, "l23");
  b.put([], { whole: 2, total: 2000 });
  assert.ok(b.get(900).gap, "a block that the log has nothing of");
  assert.deepEqual(b.missing(801, 1200, 2000), []);
});

test("ansi: tokens, many colours as classes, no markup", () => {
  const p = parser();
  assert.equal(p("plain <b> & \t tab"), null);
  assert.deepEqual(p("a\x1b[31mred\x1b[1mbold\x1b[0mend"), [{ text: "a", cls: "" }, { text: "red", cls: "a1" }, { text: "bold", cls: "a1 ab" }, { text: "end", cls: "" }]);
  assert.deepEqual(p("\x1b[38;5;208mo\x1b[48;2;10;20;30mx\x1b[0m"), [{ text: "o", cls: "c-f80" }, { text: "x", cls: "k-112" }]);
  assert.deepEqual(p("\x1b[90mgrey\x1b[0m"), [{ text: "grey", cls: "a0" }]);
  assert.deepEqual(p("\x1b]8;;javascript:alert(1)\x07here\x1b]8;;\x07"), [{ text: "here", cls: "", url: undefined }]);
  assert.equal(p("\x1b]8;;https://e.org/\x07here\x1b]8;;\x07")[0].url, "https://e.org/");
});
test("ansi: a colour lasts into the next line, a cut sequence does not", () => {
  const p = parser();
  p("\x1b[32mone");
  assert.deepEqual(p("two"), [{ text: "two", cls: "a2" }]);
  p("\x1b[0m");
  assert.deepEqual(p("three\x1b["), [{ text: "three", cls: "" }]);
  assert.equal(p("four"), null);
  assert.deepEqual(p("\x1b[Kx\x07\x08y"), [{ text: "xy", cls: "" }]);
});
test("ansi: what was found divides the pieces", () => {
  assert.deepEqual(marked([{ text: "ab", cls: "x" }, { text: "cd", cls: "" }], [[1, 3]]),
    [{ text: "a", cls: "x", mark: undefined }, { text: "b", cls: "x", mark: true }, { text: "c", cls: "", mark: true }, { text: "d", cls: "", mark: undefined }]);
  assert.equal(plain({ text: "\x1b[1mx", spans: [{ text: "x", cls: "ab" }] }), "x");
});
test("colours can be read, whatever they were", () => {
  for (const c of ["000", "fff", "f80", "ff0", "00f", "888", "0f0", "f0f"]) {
    for (const g of ["ffffff", "f6f7f8", "eef0f2", "fdeae8", "fbf0d9"]) assert.ok(contrast(rgb(textColor(c, "light").slice(1)), rgb(g)) >= 4.5, `${c} on ${g}`);
    for (const g of ["101214", "17191c", "1f2226", "33191a", "2b2412"]) assert.ok(contrast(rgb(textColor(c, "dark").slice(1)), rgb(g)) >= 4.5, `${c} on ${g}`);
    assert.ok(contrast(rgb(groundColor(c, "light").slice(1)), rgb("171a1f")) >= 4.5);
    assert.ok(contrast(rgb(groundColor(c, "dark").slice(1)), rgb("e6e8eb")) >= 4.5);
  }
  assert.match(rule("c-f80"), /^\.lines \.c-f80\{color:light-dark\(#[0-9a-f]{6},#[0-9a-f]{6}\)\}$/);
  assert.equal(rule("a1"), null);
  assert.equal(rule("c-f80}x{"), null);
});

const groups = [{ line: 3, lines: 4, failures: 0 }, { line: 7, lines: 5, failures: 0 }, { line: 9, lines: 2, failures: 0 }, { line: 20, lines: null, failures: 0 }];
test("rows: a closed group is one row", () => {
  const r = new Rows({ groups, closed: new Set([3, 7]), total: 30 });
  assert.equal(r.count, 30 - 3 - 4);
  assert.deepEqual([0, 1, 2, 3, 4, 22].map(i => r.lineAt(i)), [1, 2, 3, 7, 12, 30]);
  assert.equal(r.rowOf(5), 2);
  assert.equal(r.rowOf(10), 3);
  assert.equal(r.rowOf(12), 4);
  assert.ok(r.isHidden(4) && !r.isHidden(3) && !r.isHidden(12));
  assert.equal(r.at(2).kind, "fold");
  assert.equal(r.at(2).open, false);
  for (let i = 0; i < r.count; i++) assert.equal(r.rowOf(r.lineAt(i)), i);
});
test("rows: gaps are one row each, and all of it fits each other at random", () => {
  const r = new Rows({ gaps: [{ line: 4, lines: 19 }], total: 24 });
  assert.equal(r.count, 6);
  assert.deepEqual([0, 2, 3, 4, 5].map(i => r.lineAt(i)), [1, 3, 4, 23, 24]);
  assert.equal(r.at(3).kind, "gap");
  let seed = 7;
  const rnd = n => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  for (let k = 0; k < 300; k++) {
    const total = 1 + rnd(60), gs = [];
    for (let l = 1; l <= total; l++) if (rnd(5) === 0) gs.push({ line: l, lines: rnd(9) === 0 ? null : 1 + rnd(12), failures: 0 });
    const closed = new Set(gs.filter(() => rnd(2)).map(g => g.line));
    const x = new Rows({ groups: gs, closed, total });
    const seen = [];
    for (let l = 1; l <= total; l++) if (!gs.some(g => closed.has(g.line) && l > g.line && l <= (g.lines === null ? total : g.line + g.lines - 1))) seen.push(l);
    assert.equal(x.count, seen.length);
    seen.forEach((l, i) => { assert.equal(x.lineAt(i), l); assert.equal(x.rowOf(l), i); });
  }
});
test("rows: closed at first is what has no failure; a link opens what is around it", () => {
  assert.deepEqual([...folded(groups, [8], 30)], [3]);
  assert.deepEqual([...folded([{ line: 3, lines: 4, failures: 1 }], [], 30)], []);
  assert.deepEqual(around(groups, 10, 30), [7, 9]);
  assert.deepEqual(around(groups, 25, 30), [20]);
});

test("scroll: exact up to 500,000 rows, then in proportion", () => {
  const s = bar(500000 * 20, 800);
  assert.ok(s.exact && s.height === BAR_MAX && s.toContent(777) === 777);
  const m = bar(22_000_000 * 20, 800);
  assert.equal(m.height, BAR_MAX);
  assert.equal(m.toContent(0), 0);
  assert.equal(Math.round(m.toContent(BAR_MAX - 800)), 22_000_000 * 20 - 800);
  assert.ok(Math.abs(m.toContent(m.toBar(123456789)) - 123456789) < 1);
});
test("scroll: heights that were measured", () => {
  const h = new Heights();
  assert.equal(h.top(100), 2000);
  h.set(3, 60);
  h.set(10, 40);
  assert.equal(h.top(3), 60);
  assert.equal(h.top(4), 120);
  assert.equal(h.top(11), 280);
  assert.equal(h.at(119, 100), 3);
  assert.equal(h.at(120, 100), 4);
  assert.equal(h.at(1e9, 100), 99);
  h.set(3, 20);
  assert.equal(h.top(4), 80);
  assert.deepEqual(drawn(h, 0, 400, 1000), [0, 70]);
  assert.deepEqual(drawn(new Heights(), 20000, 400, 1010), [950, 1010]);
  assert.deepEqual(drawn(h, 0, 400, 0), [0, 0]);
  const [a, z] = drawn(new Heights(), 100000, 100000, 100000);
  assert.ok(z - a <= MOST);
});

test("find: what is typed, regular expressions, going round", () => {
  assert.deepEqual(query("a.b(c").server, "(?i)a\\.b\\(c");
  assert.deepEqual(query("a.b", { cased: true }).server, "a\\.b");
  assert.deepEqual(query("/^x+/").server, "^x+");
  assert.deepEqual(query("/^x+/i").server, "(?i)^x+");
  assert.equal(query(""), null);
  assert.equal(query("/a(b/").here, null);
  assert.deepEqual(ranges(query("na").here, "Banana"), [[2, 4], [4, 6]]);
  assert.deepEqual(ranges(query("/x*/").here, "axxb"), [[1, 3]]);
  assert.deepEqual(ranges(query("a-b/c").here, "A-B/C"), [[0, 5]]);
  assert.equal(next([5, 9, 20], 9, 1), 2);
  assert.equal(next([5, 9, 20], 20, 1), 0);
  assert.equal(next([5, 9, 20], 5, -1), 2);
  assert.equal(next([5, 9, 20], 10, -1), 1);
  assert.equal(next([], 1, 1), -1);
});
test("find: numbers as they come, whatever the pieces", () => {
  const all = '{"items":[17,180,1922],"more":true,"next":null,"too_hard":true}\n';
  for (let cut = 1; cut < all.length; cut++) {
    const n = numbers(), a = n(all.slice(0, cut)), z = n(all.slice(cut));
    assert.deepEqual([...a.lines, ...z.lines], [17, 180, 1922], `cut at ${cut}`);
    assert.ok(z.more && z.hard, `cut at ${cut}`);
  }
  assert.deepEqual(numbers()('{"items":[],"more":false,"next":null}'), { lines: [], more: false, hard: false });
  const c = n => String(n);
  assert.equal(tally(null), "");
  assert.equal(tally([], -1, false, true, c), "looking…");
  assert.equal(tally([], -1, false, false, c), "none");
  assert.equal(tally([1, 2], 0, false, false, c), "1 of 2");
  assert.equal(tally([1, 2], -1, true, false, c), "first 2");
  assert.equal(tally([1, 2], 1, true, false, c), "2 of the first 2");
});
test("find: lines that tell of a failure", () => {
  const re = new RegExp(FAILURE);
  for (const l of ["not ok 417 - conflict", "a.c:3:1: error: expected ';'", "make: *** [Makefile:3: test] Error 1", "FAILED tests/a.py::b", "AssertionError: x",
    "Traceback (most recent call last):", "panic: oh", "Segmentation fault (core dumped)", "#   t.c:212: check failed: n == 1", "sh: 1: foo: not found", "ERROR: no",
    "test.c:7: error TS2304: no", "E   assert 1 == 2", "--- FAIL: TestX (0.00s)", "cat: x: No such file or directory"]) assert.ok(re.test(l), l);
  for (const l of ["ok 12 - error handling", "0 failed, 12 passed", "checking for error.h... yes", "compiling errors.c", "not ok 3 # TODO later", "# 738 passed, 0 failed"]) assert.ok(!re.test(l), l);
});
test("links", () => {
  assert.deepEqual(link.parse("#L12"), { first: 12, last: 12 });
  assert.deepEqual(link.parse("#L20-L12"), { first: 12, last: 20 });
  assert.equal(link.parse("#L0"), null);
  assert.equal(link.parse("#top"), null);
  assert.equal(link.text({ first: 2, last: 9 }), "#L2-L9");
  const a = link.pick(null, 5, false);
  assert.equal(link.text(link.pick(a, 2, true)), "#L2-L5");
  assert.equal(link.text(link.pick(link.pick(a, 2, true), 9, true)), "#L5-L9");
});
test("times of lines", () => {
  const t0 = Date.parse("2026-11-20T10:00:00.000Z");
  assert.equal(shown("off", "2026-11-20T10:01:02.900Z", t0), "");
  assert.equal(shown("elapsed", "2026-11-20T10:01:02.900Z", t0), "01:02");
  assert.equal(shown("elapsed", "2026-11-20T12:01:02.900Z", t0), "2:01:02");
  assert.match(shown("clock", "2026-11-20T10:01:02.900Z", t0), /^\d\d:01:02$/);
  assert.deepEqual(["off", "elapsed", "clock"].map(nextMode), ["elapsed", "clock", "off"]);
});
