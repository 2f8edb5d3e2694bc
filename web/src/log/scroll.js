// Where rows stand, and what the scroll bar says of it. An element cannot be higher than about 17 million pixels: above
// 500,000 rows the bar maps in proportion, while wheel and keys still move by lines. Pure.
export const ROW = 20, BAR_ROWS = 500000, BAR_MAX = BAR_ROWS * ROW;

// Heights: 20 each, but for those measured otherwise (wrapped lines).
export class Heights {
  constructor(row = ROW) { this.row = row; this.map = new Map(); this.sorted = null; }
  set(r, h) {
    const old = this.map.get(r) ?? this.row;
    if (old === h) return false;
    if (h === this.row) this.map.delete(r); else this.map.set(r, h);
    this.sorted = null;
    return true;
  }
  get(r) { return this.map.get(r) ?? this.row; }
  clear() { this.map.clear(); this.sorted = null; }
  sums() {
    if (this.sorted) return this.sorted;
    const rows = [...this.map.keys()].sort((a, b) => a - b), before = [];
    let sum = 0;
    for (const r of rows) { before.push(sum); sum += this.map.get(r) - this.row; }
    before.push(sum);
    return (this.sorted = { rows, before });
  }
  // where row r begins
  top(r) {
    const { rows, before } = this.sums();
    let a = 0, z = rows.length;
    while (a < z) { const m = (a + z) >> 1; if (rows[m] < r) a = m + 1; else z = m; }
    return r * this.row + before[a];
  }
  // the row that is at y
  at(y, count) {
    let a = 0, z = Math.max(0, count - 1);
    while (a < z) { const m = (a + z + 1) >> 1; if (this.top(m) <= y) a = m; else z = m - 1; }
    return a;
  }
}

// content: its height; view: that of the frame
export function bar(content, view) {
  const height = Math.min(content, BAR_MAX), most = Math.max(0, content - view);
  return {
    height, most, exact: content <= BAR_MAX,
    // from the place of the bar to that in the content, and back
    toContent: y => (content <= BAR_MAX ? y : Math.min(most, y * (most / (height - view)))),
    toBar: y => (content <= BAR_MAX ? y : y * ((height - view) / most)),
  };
}
export const clamp = (v, a, z) => Math.max(a, Math.min(z, v));

// rows to draw: those in view and 50 either side, at most 600
export const AROUND = 50, MOST = 600;
export function drawn(heights, top, view, count) {
  if (!count) return [0, 0];
  const a = Math.max(0, heights.at(top, count) - AROUND);
  const z = Math.min(count, heights.at(top + view, count) + 1 + AROUND, a + MOST);
  return [a, z];
}
