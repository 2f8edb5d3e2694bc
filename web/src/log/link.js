// #L12, #L12-L20. Pure.
export function parse(hash) {
  const m = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash || "");
  if (!m || +m[1] < 1) return null;
  const a = +m[1], b = m[2] ? Math.max(1, +m[2]) : a;
  return { first: Math.min(a, b), last: Math.max(a, b) };
}
export const text = r => (!r ? "" : r.first === r.last ? `#L${r.first}` : `#L${r.first}-L${r.last}`);
// a click on a number: from..line with shift, else the line alone
export const pick = (old, line, shift) => (shift && old ? { first: Math.min(old.anchor, line), last: Math.max(old.anchor, line), anchor: old.anchor }
  : { first: line, last: line, anchor: line });
