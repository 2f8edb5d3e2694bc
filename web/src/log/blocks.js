// Lines of a log that are here: in blocks of 400, of which the 50 looked at last are kept. Pure.
import { parser } from "./ansi.js";

export const BLOCK = 400, KEPT = 50;

// block 0 holds the lines 1 .. 400
export const blockOf = line => Math.floor((line - 1) / BLOCK);
export const firstOf = block => block * BLOCK + 1;

export class Blocks {
  constructor() {
    this.map = new Map(); // block -> {rows, upto}; in the order in which they were looked at
    this.asked = new Set();
  }

  // null: not here (yet). {gap: true}: the log has none of it, it was left out
  get(line) {
    const b = this.map.get(blockOf(line));
    if (!b) return null;
    const row = b.rows[(line - 1) % BLOCK];
    if (row) return row;
    return line <= b.upto ? { line, gap: b.gap, text: "", spans: null } : null;
  }

  // Items of an answer, in their order; whole: block that it was asked for; total: lines of the log at that time, of which
  // the last may yet grow when the log does.
  put(items, { whole = null, total = 0 } = {}) {
    const ansi = parser();
    let last = -1;
    if (whole !== null) {
      const b = this.touch(whole);
      b.rows = [];
      b.upto = Math.min(firstOf(whole) + BLOCK - 1, total);
      b.gap = items.length === 0;
    }
    for (const it of items) {
      if (it.text === null) { this.gap(it); continue; }
      const n = blockOf(it.line);
      if (n !== last) last = n;
      const b = this.map.get(n) || this.touch(n);
      b.rows[(it.line - 1) % BLOCK] = { line: it.line, time: it.time, text: it.text, bytes: it.bytes, spans: ansi(it.text) };
    }
    this.trim();
  }
  gap(it) {
    const end = it.line + it.lines;
    for (let l = it.line; l < end && blockOf(l) === blockOf(it.line); l++) {
      const b = this.map.get(blockOf(l)) || this.touch(blockOf(l));
      b.rows[(l - 1) % BLOCK] = { line: l, gap: true, text: "", spans: null };
    }
  }
  touch(n) {
    const b = this.map.get(n) || { rows: [], upto: 0, gap: false };
    this.map.delete(n);
    this.map.set(n, b);
    return b;
  }
  trim() {
    while (this.map.size > KEPT) this.map.delete(this.map.keys().next().value);
  }

  // Blocks that must be asked for so that from .. to (of so many lines) are here; marks what is as looked at.
  missing(from, to, total) {
    const out = [];
    const end = Math.min(to, total);
    for (let n = blockOf(Math.max(1, from)); n <= blockOf(Math.max(1, end)); n++) {
      const a = Math.max(from, firstOf(n)), z = Math.min(end, firstOf(n) + BLOCK - 1);
      if (this.map.has(n)) this.touch(n);
      let lack = false;
      for (let l = a; l <= z && !lack; l++) lack = !this.get(l);
      if (lack && !this.asked.has(n)) out.push(n);
    }
    return out;
  }

  // The log grew: what was its last line may be longer now.
  grown(was) {
    const b = was > 0 && this.map.get(blockOf(was));
    if (!b) return;
    delete b.rows[(was - 1) % BLOCK];
    b.upto = Math.min(b.upto, was - 1);
  }
  clear() { this.map.clear(); this.asked.clear(); }
}
