import { test } from "node:test";
import assert from "node:assert/strict";
import { make, HIDDEN_MS } from "../src/live.js";

// a clock that is turned by hand, and streams that do what the test says
function world() {
  const w = { t: 1000, timers: [], streams: [], polls: 0 };
  w.later = (f, ms) => { const x = { at: w.t + ms, f }; w.timers.push(x); return x; };
  w.never = x => { w.timers = w.timers.filter(y => y !== x); };
  w.run = ms => {
    const end = w.t + ms;
    for (;;) {
      const next = w.timers.filter(x => x.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      w.never(next);
      w.t = next.at;
      next.f();
    }
    w.t = end;
  };
  w.live = make({
    open: (id, on) => { const s = { id, on, closed: false, close() { this.closed = true; } }; w.streams.push(s); return s; },
    now: () => w.t, later: w.later, never: w.never, poll: () => w.polls++,
  });
  w.last = () => w.streams[w.streams.length - 1];
  return w;
}

test("events reach who asked for them, by kind and all", () => {
  const w = world(), got = [];
  const off = w.live.onEvent("build", d => got.push(["build", d.id]));
  w.live.onEvent("*", (d, id, kind) => got.push([kind, id]));
  w.live.start();
  w.last().on.opened();
  w.last().on.event("build", "e.1", { id: 7 });
  off();
  w.last().on.event("build", "e.2", { id: 8 });
  assert.deepEqual(got, [["build", 7], ["build", "e.1"], ["build", "e.2"]]);
  assert.equal(w.live.lastId(), "e.2");
});
test("a break: lost after five seconds, again with back-off, from the last event on", () => {
  const w = world();
  w.live.start();
  w.last().on.opened();
  w.last().on.event("build", "e.5", {});
  w.last().on.broke();
  assert.equal(w.live.state().lost, false);
  w.run(1000);
  assert.equal(w.streams.length, 2);
  assert.equal(w.last().id, "e.5");
  const opened = [w.t];
  for (let i = 0; i < 7; i++) {
    const n = w.streams.length;
    w.last().on.broke();
    while (w.streams.length === n) w.run(500);
    opened.push(w.t);
  }
  assert.equal(w.live.state().lost, true);
  const gaps = opened.slice(1).map((t, i) => t - opened[i]);
  assert.deepEqual(gaps, [2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  w.last().on.opened();
  assert.deepEqual([w.live.state().lost, w.live.state().connected], [false, true]);
  w.last().on.broke();
  w.run(1000);
  assert.equal(w.last().id, "e.5", "and quick again after a good one");
});
test("a short break is never called lost", () => {
  const w = world(), seen = [];
  w.live.watch(s => seen.push(s.lost));
  w.live.start();
  w.last().on.opened();
  w.last().on.broke();
  w.run(1000);
  w.last().on.opened();
  w.run(20000);
  assert.ok(!seen.includes(true));
});
test("no master at the very start is lost, too", () => {
  const w = world();
  w.live.start();
  w.last().on.broke();
  w.run(1000);
  w.last().on.broke();
  w.run(4500);
  assert.equal(w.live.state().lost, true);
});
test("a hidden tab closes its stream after a minute, looks once a minute, and goes on when shown", () => {
  const w = world();
  w.live.start();
  w.last().on.opened();
  w.last().on.event("build", "e.9", {});
  w.live.visible(false);
  w.run(HIDDEN_MS - 1);
  assert.equal(w.last().closed, false);
  w.run(1);
  assert.equal(w.last().closed, true);
  assert.equal(w.polls, 1);
  w.run(3 * HIDDEN_MS);
  assert.equal(w.polls, 4);
  assert.equal(w.live.state().lost, false, "it sleeps, it is not lost");
  assert.equal(w.streams.length, 1);
  w.live.visible(true);
  assert.equal(w.streams.length, 2);
  assert.equal(w.last().id, "e.9");
  w.run(10 * HIDDEN_MS);
  assert.equal(w.polls, 4);
});
test("a tab that is hidden for a moment keeps its stream", () => {
  const w = world();
  w.live.start();
  w.last().on.opened();
  w.live.visible(false);
  w.run(30000);
  w.live.visible(true);
  w.run(10 * HIDDEN_MS);
  assert.deepEqual([w.streams.length, w.last().closed, w.polls], [1, false, 0]);
});
test("a reset has everybody read anew", () => {
  const w = world(), got = [];
  w.live.onEvent("build", d => got.push(d));
  w.live.onEvent("worker", d => got.push(d));
  w.live.start();
  w.last().on.opened();
  w.last().on.event("reset", "f.1", {});
  assert.deepEqual(got, [null, null]);
});
test("stopped is stopped", () => {
  const w = world();
  w.live.start();
  w.live.stop();
  w.run(100000);
  assert.deepEqual([w.streams.length, w.last().closed, w.timers.length], [1, true, 0]);
});
