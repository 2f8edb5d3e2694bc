// The log viewer: <Log build step target .../>. It shows any part of a log of any length, and holds only what is in view.
import { Component } from "preact";
import { get } from "../api.js";
import { count, exact, size } from "../format.js";
import { kept } from "../use.js";
import { Blocks, BLOCK, blockOf, firstOf } from "./blocks.js";
import { parser } from "./ansi.js";
import { around, folded, lastOf, Rows } from "./rows.js";
import { bar, clamp, drawn, Heights, ROW } from "./scroll.js";
import { FAILURE, LIMIT, lowest, next, query, tally } from "./find.js";
import * as link from "./link.js";
import { make } from "./source.js";
import { nextMode, shown } from "./times.js";
import { Fold, Gap, Line } from "./line.jsx";

const WAIT_MS = 400, SOON_MS = 250, LATE_MS = 2000, FAILS = 1000, FEW = 2; // until the first picture is there without what would be nice to know; lines; requests at once
const LARGE = 64 * 1024 * 1024, TAIL = 1000000; // of a larger log nothing is waited for, and the reason is looked for in so many lines at its end
const GROW_MS = 400, IDLE_MS = 2000, LOST_MS = 5000;
const INDEX_MAX = 16 * 1024 * 1024; // while a longer log grows, its groups are not looked for again
const MARKED = /^(\x1b\[[\d;]*\w)*(::(group|error|warning)|section_(start|end):)/;

export class Log extends Component {
  constructor(props) {
    super(props);
    this.source = make({ fetch: (...a) => globalThis.fetch(...a), get, build: props.build, step: props.stderr ? `${props.step.name}.stderr` : props.step.name, attempt: props.attempt });
    this.ctl = new AbortController();
    this.blocks = new Blocks();
    this.heights = new Heights();
    Object.assign(this, { total: 0, bytes: 0, out: 0, done: false, opened: false, error: null, groups: [], gaps: [], closed: new Set(), fails: [], bad: new Set(), warned: new Set() });
    Object.assign(this, { anchor: { row: 0, off: 0 }, follow: false, seen: 0, want: [], flying: 0, set: 0, cursor: 0, picked: props.target ? { ...props.target, anchor: props.target.first } : null });
    Object.assign(this, { find: null, hits: null, hit: 0, more: false, looking: false, refused: null, cased: false, text: "" });
    this.rows = new Rows();
    this.times = kept("log.times") || "off";
    const w = kept("log.wrap");
    this.wrap = w ? w === "on" : matchMedia("(max-width: 640px)").matches;
  }

  // ---- life
  componentDidMount() {
    this.onKey = e => this.key(e);
    this.onHash = () => { const t = link.parse(location.hash); if (t) { this.picked = { ...t, anchor: t.first }; this.jump(t.first); } };
    this.onShow = () => { if (!document.hidden) this.poll(0); };
    this.onWheel = e => this.wheel(e);
    addEventListener("keydown", this.onKey);
    addEventListener("hashchange", this.onHash);
    document.addEventListener("visibilitychange", this.onShow);
    this.box.addEventListener("wheel", this.onWheel, { passive: false });
    this.sizer = new ResizeObserver(() => { if (this.box.clientWidth !== this.width) { this.width = this.box.clientWidth; if (this.wrap) this.heights.clear(); } this.draw(); });
    this.sizer.observe(this.box);
    this.open();
  }
  componentWillUnmount() {
    this.ctl.abort();
    this.seeker?.abort();
    clearTimeout(this.timer);
    clearTimeout(this.typing);
    cancelAnimationFrame(this.frame);
    this.sizer.disconnect();
    removeEventListener("keydown", this.onKey);
    removeEventListener("hashchange", this.onHash);
    document.removeEventListener("visibilitychange", this.onShow);
  }
  componentDidUpdate(was) {
    this.layout();
    // the step ended, says an event: what came last is there now
    if (was.step.state !== this.props.step.state) this.poll(0);
    if (was.step.result !== this.props.step.result && this.red && this.opened) { this.readIndex(); this.readFails(); }
    if (was.target !== this.props.target && this.props.target) {
      this.picked = { ...this.props.target, anchor: this.props.target.first };
      this.jump(this.props.target.first);
    }
  }
  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.setState({}); });
  }
  get red() { return this.props.step.result === "failure" || this.props.step.result === "exception"; }

  // ---- opening
  async open() {
    const { signal } = this.ctl, t = this.props.target;
    try {
      const n = t ? blockOf(t.first) : null;
      const first = this.source.items(t ? `from=${firstOf(n)}&lines=${BLOCK}` : `tail=${BLOCK}`, signal);
      const size = this.props.step.bytes, small = size !== null && size < LARGE;
      const early = small && [this.readIndex(), this.readFails()];
      const got = await first;
      this.take(got, n);
      const nice = Promise.all(early || [this.readIndex(), this.readFails()]);
      this.failsRead = nice;
      if (got.bytes < LARGE && got.bytes > 0) await Promise.race([nice, new Promise(r => setTimeout(r, WAIT_MS))]);
      if (signal.aborted) return;
      this.opened = true;
      this.foldFirst();
      const line = t ? t.first : this.blamed();
      if (line) this.jump(line);
      else this.end(this.props.step.state === "running" || !this.done);
      this.readOther();
      const began = Date.now();
      nice.then(() => { if (!signal.aborted) this.late(Date.now() - began < LATE_MS); });
    } catch (e) {
      if (e.name === "AbortError") return;
      this.opened = true;
      this.error = e;
      this.draw();
    }
    this.poll();
  }
  // a step may keep its standard error apart: a stream of its own
  async readOther() {
    if (this.props.stderr) return;
    const { signal } = this.ctl, step = `${this.props.step.name}.stderr`;
    const other = make({ fetch: (...a) => globalThis.fetch(...a), get, build: this.props.build, step, attempt: this.props.attempt });
    try {
      this.other = (await other.size(signal)).lines;
      if (!this.other) return;
      this.draw();
      await this.failsRead;
      if (!this.red || this.blamed() || !this.props.onBlame) return;
      await other.find(FAILURE, { limit: 1, signal, onLines: async ([line]) => {
        const { items } = await other.items(`from=${line}&lines=1`, signal);
        if (items[0]) this.props.onBlame({ step, line, text: items[0].text || "" });
      } });
    } catch { /* the page stands without it */ }
  }
  // What was known only after the first picture: the line that was gone to stays where it is, and once the reader has moved
  // nothing in view does.
  late(soon) {
    if (!this.rows.count) return;
    const go = soon && !this.touched && !this.cursor && this.blamed(), end = this.atEnd();
    const line = (!this.touched && this.cursor) || this.rows.lineAt(clamp(this.anchor.row, 0, this.rows.count - 1));
    const y = this.heights.top(this.rows.rowOf(line)) - this.top();
    const first = this.rows.lineAt(clamp(this.anchor.row, 0, this.rows.count - 1)), last = this.rows.lineAt(this.heights.at(this.top() + this.view(), this.rows.count));
    this.foldFirst(g => this.touched && g.line <= last && lastOf(g, this.total) >= first);
    if (go) this.jump(go);
    else if (end && !this.cursor) this.toEnd();
    else this.setTop(this.heights.top(this.rows.rowOf(line)) - y);
    this.draw();
  }
  foldFirst(but = () => false) {
    if (this.folded || !this.done || !this.groups.length) return;
    this.folded = true;
    this.closed = folded(this.groups.filter(g => !but(g)), this.fails, this.total);
    const t = this.props.target;
    if (t) for (const l of around(this.groups, t.first, this.total)) this.closed.delete(l);
    this.rows = this.makeRows();
    this.heights.clear();
  }
  async readIndex() {
    try {
      const x = await this.source.index(this.ctl.signal);
      const at = this.keep();
      this.groups = x.groups;
      this.gaps = x.gaps;
      this.indexed = x.lines;
      for (const m of x.marks) (m.kind === "error" ? this.bad : m.kind === "warning" ? this.warned : new Set()).add(m.line);
      this.errors = x.marks.filter(m => m.kind === "error").map(m => m.line);
      this.addFails(this.errors);
      if (this.opened) this.rebuild(at);
    } catch (e) { if (e.name !== "AbortError") this.groups = []; }
  }
  // lines that look like the reason, for a step that failed
  async readFails() {
    if (!this.red) return;
    try {
      await this.source.find(FAILURE, { limit: FAILS, from: this.total > TAIL ? this.total - TAIL : 1, signal: this.ctl.signal, onLines: l => this.addFails(l) });
    } catch { /* then there is no next failure to go to */ }
    this.tell();
  }
  addFails(lines) {
    if (!lines.length) return;
    this.fails = [...new Set([...this.fails, ...lines])].sort((a, b) => a - b);
    for (const l of lines) this.bad.add(l);
    this.tell();
    if (this.opened) this.draw();
  }
  blamed() { return this.red ? this.errors?.[0] || this.fails[0] || 0 : 0; }
  async tell() {
    const line = this.blamed();
    if (!line || this.told === line || !this.props.onBlame) return;
    this.told = line;
    try {
      const { items } = await this.source.items(`from=${line}&lines=1`, this.ctl.signal);
      if (this.told === line && items[0]) this.props.onBlame({ step: this.props.stderr ? `${this.props.step.name}.stderr` : this.props.step.name, line, text: items[0].text || "" });
    } catch { /* the page stands without it */ }
  }

  // ---- what the log is
  makeRows() { return new Rows({ groups: this.groups, gaps: this.gaps, closed: this.closed, total: this.total }); }
  take(got, whole = null) {
    const at = this.keep();
    const grew = got.lines !== this.total || got.bytes !== this.bytes;
    if (grew && this.total) this.blocks.grown(this.total);
    Object.assign(this, { total: got.lines, bytes: got.bytes, out: got.out, done: got.done, error: null });
    if (got.items) {
      this.blocks.put(got.items, { whole, total: got.lines });
      if (!this.done && got.items.some(i => i.text && i.line > (this.indexed || 0) && MARKED.test(i.text))) this.marks = true;
    }
    if (grew) { this.rows = this.makeRows(); if (this.follow) this.toEnd(); else this.restore(at); }
    this.draw();
    return grew;
  }
  rebuild(at = this.keep()) {
    this.rows = this.makeRows();
    this.heights.clear();
    if (this.follow) this.toEnd(); else this.restore(at);
    this.draw();
  }
  // the place in view, as a line, over a change of rows
  keep() { return this.rows.count ? { line: this.rows.lineAt(clamp(this.anchor.row, 0, this.rows.count - 1)), off: this.anchor.off, end: this.opened && this.atEnd() } : null; }
  restore(at) { if (at) this.anchor = { row: this.rows.rowOf(at.line), off: at.off }; }

  // ---- growing
  poll(wait) {
    clearTimeout(this.timer);
    if (this.done && wait !== 0) return;
    this.timer = setTimeout(() => this.look(), wait ?? GROW_MS);
  }
  async look() {
    if (document.hidden || this.looksNow || !this.opened) return;
    this.looksNow = true;
    let wait = this.idle = Math.min(IDLE_MS, (this.idle || GROW_MS) * 1.3);
    try {
      const was = this.done;
      if (this.take(await this.source.size(this.ctl.signal))) { wait = GROW_MS; this.idle = GROW_MS; }
      if (this.done && !was) { this.readOther(); await this.readIndex(); }
      else if (this.marks && this.bytes < INDEX_MAX) { this.marks = false; await this.readIndex(); }
    } catch (e) {
      this.looksNow = false;
      if (e.name === "AbortError") return;
      wait = LOST_MS / 5;
    }
    this.looksNow = false;
    if (!this.done) this.poll(wait);
  }
  ensure(a, z) {
    const want = new Set();
    for (let r = a; r < z; r++) {
      const line = this.rows.lineAt(r), n = blockOf(line);
      if (!this.blocks.get(line)) { if (!this.blocks.asked.has(n)) want.add(n); } else if (!want.has(n)) this.blocks.touch(n);
    }
    this.want = [...want];
    this.pull();
  }
  async pull() {
    while (this.flying < FEW && this.want.length) {
      const n = this.want.shift();
      if (this.blocks.asked.has(n)) continue;
      this.blocks.asked.add(n);
      this.flying++;
      this.source.items(`from=${firstOf(n)}&lines=${BLOCK}`, this.ctl.signal).then(got => {
        this.blocks.asked.delete(n);
        this.take(got, n);
      }, e => {
        if (e.name === "AbortError") return;
        // again when something is drawn the next time, but not at once
        setTimeout(() => { this.blocks.asked.delete(n); this.draw(); }, 1000);
      }).finally(() => { this.flying--; this.pull(); });
    }
  }

  // ---- scrolling
  view() { return this.box ? this.box.clientHeight : 0; }
  top() { return this.heights.top(this.anchor.row) + this.anchor.off; }
  bar() { return bar(this.heights.top(this.rows.count), this.view()); }
  setTop(y) {
    const t = clamp(y, 0, this.bar().most), row = this.heights.at(t, this.rows.count);
    this.anchor = { row, off: t - this.heights.top(row) };
  }
  toEnd() { this.setTop(Infinity); }
  atEnd() { return this.top() >= this.bar().most - 4; }
  end(follow) { this.follow = !!follow && !this.done; this.toEnd(); this.draw(); }
  letGo() {
    if (!this.follow) return;
    this.follow = false;
    this.seen = this.total;
  }
  moved(y) {
    this.touched = true;
    this.setTop(y);
    if (this.done) return;
    if (this.atEnd()) this.follow = true; else this.letGo();
  }
  onScroll() {
    const y = this.box.scrollTop;
    if (Math.abs(y - this.set) < 1.5) return;
    const b = this.bar(), by = y - this.set;
    this.set = y;
    // a finger moves by lines, the bar in proportion
    this.moved(b.exact ? y : this.touching ? this.top() + by : b.toContent(y));
    const [a, z] = this.shown || [0, 0], first = this.anchor.row, last = this.heights.at(this.top() + this.view(), this.rows.count);
    if (!b.exact || first < a + 10 || last > z - 10) this.draw(); else if (this.follow !== this.drawnFollow) this.draw();
  }
  wheel(e) {
    if (e.ctrlKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) return;
    if (e.deltaY < 0) { this.letGo(); if (this.drawnFollow) this.draw(); }
    const b = this.bar();
    if (b.exact) return;
    const by = e.deltaY * (e.deltaMode === 1 ? ROW : e.deltaMode === 2 ? this.view() : 1), t = this.top();
    if ((by < 0 && t <= 0) || (by > 0 && t >= b.most)) return;
    e.preventDefault();
    this.moved(t + by);
    this.draw();
  }
  layout() {
    if (!this.box) return;
    if (this.follow) this.toEnd();
    let changed = false;
    for (const el of this.pane.children) changed = this.heights.set(+el.dataset.r, el.offsetHeight || ROW) || changed;
    if (changed && this.follow) this.toEnd();
    const b = this.bar();
    if (this.spacer.style.height !== `${b.height}px`) this.spacer.style.height = `${b.height}px`;
    const t = clamp(this.top(), 0, b.most);
    const y = b.toBar(t);
    if (Math.abs(this.box.scrollTop - y) > 1) this.box.scrollTop = y;
    this.set = this.box.scrollTop;
    const first = this.shown ? this.shown[0] : 0;
    this.pane.style.transform = `translateY(${b.exact ? this.heights.top(first) : this.set + this.heights.top(first) - t}px)`;
    if (changed && !this.again) { this.again = true; this.draw(); } else this.again = false;
  }
  jump(line, above = 8) {
    if (!this.total) return;
    let open = false;
    for (const l of around(this.groups, line, this.total)) open = this.closed.delete(l) || open;
    if (open) { this.rows = this.makeRows(); this.heights.clear(); }
    this.letGo();
    this.follow = false;
    this.seen = this.total;
    this.cursor = Math.min(line, this.total);
    const row = this.rows.rowOf(line);
    this.anchor = { row: Math.max(0, row - above), off: 0 };
    this.setTop(this.top());
    this.draw();
  }
  // near the middle, if it is not in view already
  reveal(line) {
    const row = this.rows.rowOf(line), y = this.heights.top(row), t = this.top(), v = this.view();
    if (this.rows.isHidden(line)) return this.jump(line, Math.floor(v / ROW / 2));
    if (y < t) this.setTop(y);
    else if (y + ROW > t + v) this.setTop(y + ROW - v);
    this.draw();
    return undefined;
  }

  // ---- folds, links, lines
  toggle(group) {
    const at = this.keep();
    if (!this.closed.delete(group.line)) this.closed.add(group.line);
    // the head stays where it is
    const row = this.rows.rowOf(group.line), y = this.heights.top(row) - this.top();
    this.letGo();
    this.rows = this.makeRows();
    this.heights.clear();
    this.anchor = { row: this.rows.rowOf(group.line), off: 0 };
    this.setTop(this.top() - Math.max(0, y));
    if (y < 0) this.restore(at);
    this.draw();
  }
  pick(line, shift) {
    this.picked = link.pick(this.picked, line, shift);
    this.cursor = line;
    history.replaceState(history.state, "", this.source.page() + link.text(this.picked));
    this.draw();
  }
  onClick(e) {
    const a = e.target.closest("a[data-n]");
    if (!a || e.ctrlKey || e.metaKey || e.button) return;
    e.preventDefault();
    e.stopPropagation();
    this.pick(+a.dataset.n, e.shiftKey);
    this.box.focus({ preventScroll: true });
  }
  async all(line) {
    const row = this.blocks.get(line);
    if (!row || this.asking === line) return;
    this.asking = line;
    this.draw();
    try {
      const text = await this.source.whole(line, this.ctl.signal);
      const b = this.blocks.touch(blockOf(line));
      b.rows[(line - 1) % BLOCK] = { ...row, text, spans: parser()(text), all: true };
    } catch (e) { this.refused = e.message; }
    this.asking = 0;
    this.draw();
  }

  // ---- find
  onFind(text) {
    this.text = text;
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.seek(), 120);
    this.draw();
  }
  async seek() {
    this.seeker?.abort();
    const q = query(this.text, { cased: this.cased });
    Object.assign(this, { find: q && q.here, hits: q ? [] : null, hit: 0, more: false, looking: !!q, refused: null });
    this.sought = this.text;
    this.draw();
    if (!q) return;
    const me = this.seeker = new AbortController(), { signal } = me;
    const from = this.rows.count ? this.rows.lineAt(clamp(this.anchor.row, 0, this.rows.count - 1)) : 1;
    const go = line => { if (!this.hit && this.seeker === me) this.toHit(line); };
    // the next one from here is there long before all are counted; is there none, or none soon, it begins at the top
    let round = from <= BLOCK;
    const any = () => { round = true; if (this.seeker === me && this.hits.length) go(this.hits[0]); };
    const near = round ? Promise.resolve() : this.source.find(q.server, { limit: 1, from, signal, onLines: l => go(l[0]) }).then(any, () => {});
    const soon = setTimeout(any, SOON_MS);
    try {
      const end = await this.source.find(q.server, { limit: LIMIT, signal, onLines: l => {
        if (this.seeker !== me) return;
        this.hits = this.hits.concat(l);
        const i = lowest(this.hits, from);
        if (i < this.hits.length || round) go(this.hits[i < this.hits.length ? i : 0]);
        this.draw();
      } });
      await near;
      if (this.seeker !== me) return;
      this.more = end.more;
      if (end.hard) this.refused = "Some lines were not searched: the expression takes too many steps.";
      this.looking = false;
      if (this.hits.length) go(this.hits[0]);
    } catch (e) {
      if (e.name === "AbortError") return;
      this.looking = false;
      this.refused = e.message;
    } finally { clearTimeout(soon); }
    this.draw();
  }
  toHit(line) {
    this.hit = line;
    this.jump(line, Math.floor(this.view() / ROW / 3));
  }
  around(dir) {
    if (!this.hits || !this.hits.length) return;
    this.toHit(this.hits[next(this.hits, this.hit || this.cursor || 0, dir)]);
  }
  failure(dir) {
    const at = this.cursor || (this.rows.count ? this.rows.lineAt(clamp(this.anchor.row, 0, this.rows.count - 1)) : 0);
    const i = next(this.fails, at, dir);
    if (i >= 0) this.jump(this.fails[i]);
  }
  findKey(e) {
    if (e.key === "Enter") {
      e.preventDefault();
      if (this.text !== this.sought) { clearTimeout(this.typing); this.seek(); } else this.around(e.shiftKey ? -1 : 1);
    } else if (e.key === "Escape") { e.preventDefault(); this.box.focus({ preventScroll: true }); }
  }

  // ---- keys
  key(e) {
    if (e.defaultPrevented || e.metaKey || e.altKey) return;
    const inside = this.section.contains(e.target);
    if ((e.ctrlKey && e.key === "f") && inside && e.target !== this.finder) { e.preventDefault(); this.finder.focus(); this.finder.select(); return; }
    if (e.ctrlKey || kept("keys") === "off" || e.target.matches?.("input, textarea, select, dialog *")) return;
    const after = this.g && e.timeStamp - this.g < 1200; // the second key of "g h"
    this.g = e.key === "g" ? e.timeStamp : 0;
    if (after) return;
    const act = { f: () => this.failure(1), F: () => this.failure(-1), n: () => this.around(1), N: () => this.around(-1), t: () => this.setTimes(), w: () => this.setWrap(), e: () => this.end(true) }[e.key]
      || (e.target === this.box && this.boxKey(e));
    if (act) { e.preventDefault(); act(); }
  }
  boxKey(e) {
    const go = by => () => { this.letGo(); this.moved(this.top() + by); this.draw(); };
    const line = by => () => {
      const at = this.cursor ? this.rows.rowOf(this.cursor) : this.anchor.row - by;
      this.letGo();
      this.cursor = this.rows.lineAt(clamp(at + by, 0, this.rows.count - 1));
      this.reveal(this.cursor);
    };
    return { ArrowDown: line(1), ArrowUp: line(-1), PageDown: go(this.view() - 2 * ROW), PageUp: go(2 * ROW - this.view()), Home: () => { this.cursor = 1; this.letGo(); this.moved(0); this.draw(); },
      End: () => { this.cursor = this.total; this.end(true); },
      Enter: () => {
        if (!this.cursor) return;
        const at = this.rows.at(this.rows.rowOf(this.cursor));
        if (at.kind === "fold") this.toggle(at.group); else this.pick(this.cursor, e.shiftKey);
      } }[e.key];
  }
  setTimes() { this.times = nextMode(this.times); kept("log.times", this.times); this.heights.clear(); this.draw(); }
  setWrap() { this.wrap = !this.wrap; kept("log.wrap", this.wrap ? "on" : "off"); const at = this.keep(); this.heights.clear(); this.restore(at); this.draw(); }

  // ---- picture
  lineClass(line) {
    const p = this.picked;
    return [this.bad.has(line) && "bad", this.warned.has(line) && "warned", p && line >= p.first && line <= p.last && "sel", line === this.cursor && "here",
      this.hits && this.hit === line && "cur"].filter(Boolean).join(" ");
  }
  pane_() {
    if (!this.opened || !this.box) { this.shown = [0, 0]; return null; }
    const [a, z] = this.shown = drawn(this.heights, clamp(this.top(), 0, this.bar().most), this.view() || 600, this.rows.count), out = [];
    this.drawnFollow = this.follow;
    const began = Date.parse(this.props.step.started || "") || 0;
    for (let r = a; r < z; r++) {
      const at = this.rows.at(r), row = this.blocks.get(at.line);
      if (at.kind === "gap") out.push(<Gap key={`g${at.line}`} r={r} gap={at.gap} />);
      else if (at.kind === "fold") out.push(<Fold key={`f${at.line}`} r={r} group={at.group} open={at.open} depth={at.group.depth || 0} cls={this.lineClass(at.line)} onToggle={() => this.toggle(at.group)} />);
      else out.push(<Line key={at.line} n={at.line} r={r} row={row} cls={this.lineClass(at.line)} find={this.find} busy={this.asking === at.line} href={this.source.page(at.line)}
        time={this.times === "off" ? null : row ? shown(this.times, row.time, began) : ""} onAll={n => this.all(n)} />);
    }
    queueMicrotask(() => this.ensure(a, z));
    return out;
  }
  render({ step, acts, stderr, onStream }) {
    const running = !this.done && step.state === "running";
    const news = !this.done && !this.follow && this.opened && this.seen ? this.total - this.seen : 0;
    const i = this.hits && this.hit ? lowest(this.hits, this.hit) : -1;
    const find = tally(this.hits, i >= 0 && this.hits[i] === this.hit ? i : -1, this.more, this.looking, count);
    return (
      <section class="log" id="log" aria-labelledby="h-log" ref={e => { this.section = e; }}>
        <div class="logbar">
          <h2 id="h-log" class="cut">{step.name}</h2>{acts}
          {(stderr || this.other > 0) && onStream && <button class="btn sm" aria-pressed={stderr ? "true" : "false"} onClick={onStream}>Standard error{stderr ? "" : ` ${count(this.other)}`}</button>}
          {this.fails.length > 0 && <button class="btn sm" onClick={() => this.failure(1)}>Next failure <kbd class="w1">f</kbd></button>}
          <span class="gap" />
          <small class="tally" role="status">{this.refused ? <span class="bad">{this.refused}</span> : find}</small>
          <span class="finder"><input id="find" type="search" value={this.text} ref={e => { this.finder = e; }} placeholder={this.total ? `Find in ${count(this.total)} lines` : "Find"} aria-label="Find in the log"
            spellcheck={false} autocomplete="off" onInput={e => this.onFind(e.target.value)} onKeyDown={e => this.findKey(e)} />
            <button class="btn sm" aria-pressed={this.cased ? "true" : "false"} title="Upper and lower case differ" aria-label="Upper and lower case differ" onClick={() => { this.cased = !this.cased; this.seek(); }}>Aa</button></span>
          <button class="btn sm" aria-pressed={this.times === "off" ? "false" : "true"} onClick={() => this.setTimes()} title="Off, since the step began, clock (t)">{this.times === "clock" ? "Clock" : this.times === "elapsed" ? "Elapsed" : "Times"}</button>
          <button class="btn sm" aria-pressed={this.wrap ? "true" : "false"} onClick={() => this.setWrap()} title="Wrap long lines (w)">Wrap</button>
          <a class="btn sm w1" href={this.source.download} download={`${this.props.build}-${step.name.replace(/\W+/g, "-")}.log`}>Download</a>
        </div>
        <div class={`lines ${this.wrap ? "wrap" : ""} ${this.times !== "off" ? "times" : ""}`} tabIndex={0} role="region" aria-label={`Log of step ${step.name}`} ref={e => { this.box = e; }}
          onScroll={() => this.onScroll()} onClick={e => this.onClick(e)} onTouchStart={() => { this.touching = true; }} onTouchEnd={() => { this.touching = false; }}>
          <div class="spacer" ref={e => { this.spacer = e; }}><div class="pane" ref={e => { this.pane = e; }}>{this.pane_()}</div></div>
          {this.opened && !this.total && <p class="none">{this.error ? `The log could not be read: ${this.error.message}.` : running ? "Nothing was printed yet." : step.state === "waiting" ? "This step has not begun." : "This step printed nothing."}</p>}
        </div>
        {news > 0 && <div class="newsbox"><button class="btn sm news" onClick={() => this.end(true)}>{count(news)} new {news === 1 ? "line" : "lines"}, go to the end</button></div>}
        <div class="logfoot">
          <span>{count(this.total)} {this.total === 1 ? "line" : "lines"}, {size(this.bytes)}{this.out ? `, ${size(this.out)} left out` : ""}</span>
          <a href={this.source.text}>Raw text</a><a href={this.source.download} class="phone" download>Download</a>
          {running ? <span>{this.follow ? "Follows the end" : "Does not follow; e goes to the end"}</span> : step.finished && <span>Ended <time datetime={step.finished} title={exact(step.finished)}>{shown("clock", step.finished, 0)}</time></span>}
          <span class="w1">Click a number to link a line, shift-click for a range</span>
        </div>
      </section>
    );
  }
}
