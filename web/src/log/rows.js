// Rows of the viewer and lines of the log: a closed group is one row, and so is what was left out. Pure.

// groups: of the index, by line; gaps: [{line, lines}]; closed: set of first lines of groups; total: lines
export class Rows {
  constructor({ groups = [], gaps = [], closed = new Set(), total = 0 } = {}) {
    this.total = total;
    this.heads = new Map(groups.map(g => [g.line, g]));
    this.gaps = new Map(gaps.filter(g => g.lines > 0).map(g => [g.line, g]));
    const hide = [];
    for (const g of groups) if (closed.has(g.line)) hide.push([g.line + 1, lastOf(g, total)]);
    for (const g of this.gaps.values()) hide.push([g.line + 1, g.line + g.lines - 1]);
    this.hidden = merge(hide, total); // [first, last, hidden lines before]
    this.closed = closed;
    const z = this.hidden[this.hidden.length - 1];
    this.count = total - (z ? z[2] + z[1] - z[0] + 1 : 0);
  }

  // row 0 .. count-1 -> line
  lineAt(row) {
    let a = 0, z = this.hidden.length; // first interval that begins behind the row
    while (a < z) {
      const m = (a + z) >> 1;
      if (this.hidden[m][0] - this.hidden[m][2] - 1 > row) z = m; else a = m + 1;
    }
    const h = this.hidden[a - 1];
    return row + 1 + (h ? h[2] + h[1] - h[0] + 1 : 0);
  }
  // a line inside a closed group has the row of its head
  rowOf(line) {
    const l = Math.max(1, Math.min(line, this.total));
    const h = this.before(l);
    if (!h) return l - 1;
    if (l <= h[1]) return h[0] - 2 - h[2];
    return l - 1 - h[2] - (h[1] - h[0] + 1);
  }
  // the last interval that begins at or before the line
  before(line) {
    let a = 0, z = this.hidden.length;
    while (a < z) {
      const m = (a + z) >> 1;
      if (this.hidden[m][0] > line) z = m; else a = m + 1;
    }
    return this.hidden[a - 1];
  }
  isHidden(line) {
    const h = this.before(line);
    return !!h && line <= h[1];
  }
  at(row) {
    const line = this.lineAt(row), group = this.heads.get(line), gap = this.gaps.get(line);
    if (gap) return { kind: "gap", line, gap };
    return group ? { kind: "fold", line, group, open: !this.closed.has(line) } : { kind: "line", line };
  }
}

export const lastOf = (g, total) => (g.lines === null ? total : Math.min(total, g.line + g.lines - 1));

function merge(list, total) {
  list.sort((a, b) => a[0] - b[0]);
  const out = [];
  let sum = 0;
  for (const [a, z0] of list) {
    const z = Math.min(z0, total);
    const last = out[out.length - 1];
    if (z < a || (last && z <= last[1])) continue;
    if (last && a <= last[1] + 1 && a > last[0]) {
      // what lies in another one or goes on behind it; the head of a group that stands at once behind a hidden part stays
      if (a <= last[1]) { sum += z - last[1]; last[1] = z; continue; }
    }
    out.push([a, z, sum]);
    sum += z - a + 1;
  }
  return out;
}

// Groups that are closed at first: those without a failure, once they have an end.
export function folded(groups, fails, total) {
  const closed = new Set();
  for (const g of groups) {
    if (g.failures > 0 || g.lines === null || g.lines < 3) continue;
    const end = lastOf(g, total);
    if (!fails.some(l => l >= g.line && l <= end)) closed.add(g.line);
  }
  return closed;
}
// What must be opened so that a line is seen.
export function around(groups, line, total) {
  return groups.filter(g => line > g.line && line <= lastOf(g, total)).map(g => g.line);
}
