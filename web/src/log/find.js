// What to look for, and going round in what was found. Pure.

const quote = s => s.replace(/[\\^$.|?*+()[\]{}#/-]/g, "\\$&");

// "text", or /expression/; null: nothing to look for. server: for PCRE2; here: for the lines in view, null when this browser
// does not understand it
export function query(text, { cased = false } = {}) {
  const m = /^\/(.+)\/(i?)$/.exec(text);
  if (!m && !text) return null;
  const body = m ? m[1] : quote(text), any = m ? m[2] === "i" : !cased;
  let here = null;
  try { here = new RegExp(body, any ? "giu" : "gu"); } catch {
    try { here = new RegExp(body, any ? "gi" : "g"); } catch { /* the server says what is wrong with it, if it is */ }
  }
  return { server: (any ? "(?i)" : "") + body, here };
}
export function ranges(here, text) {
  const out = [];
  if (!here) return out;
  here.lastIndex = 0;
  for (let m = here.exec(text); m && out.length < 200; m = here.exec(text)) {
    if (m[0] === "") { here.lastIndex++; continue; }
    out.push([m.index, m.index + m[0].length]);
  }
  return out;
}

// The place in a sorted list of lines that comes after (dir 1) or before (dir -1) a line; goes round.
export function next(lines, from, dir) {
  if (!lines.length) return -1;
  const i = lowest(lines, dir > 0 ? from + 1 : from);
  if (dir > 0) return i === lines.length ? 0 : i;
  return i === 0 ? lines.length - 1 : i - 1;
}
// the first that is at least `line`
export function lowest(lines, line) {
  let a = 0, z = lines.length;
  while (a < z) { const m = (a + z) >> 1; if (lines[m] < line) a = m + 1; else z = m; }
  return a;
}

// {"items":[17,18],"more":false,...} as it comes: numbers are told before the end of it is here
export function numbers() {
  let rest = "", inside = false, over = false, all = "";
  return chunk => {
    const out = [];
    all = over ? all + chunk : all;
    if (over) return { lines: out, more: /"more":true/.test(all), hard: /"too_hard":true/.test(all) };
    rest += chunk;
    if (!inside) {
      const i = rest.indexOf("[");
      if (i < 0) return { lines: out };
      inside = true;
      rest = rest.slice(i + 1);
    }
    const end = rest.indexOf("]"), cut = end >= 0 ? end : rest.lastIndexOf(",");
    if (cut > 0) for (const n of rest.slice(0, cut).split(",")) if (n) out.push(+n);
    if (end >= 0) { over = true; all = rest.slice(end); rest = ""; } else if (cut >= 0) rest = rest.slice(cut + 1);
    return { lines: out, more: over && /"more":true/.test(all), hard: over && /"too_hard":true/.test(all) };
  };
}

export const LIMIT = 10000;
// "3 of 1,922", "first 10,000", "none"
export function tally(hits, at, more, busy, count) {
  if (!hits) return "";
  if (!hits.length) return busy ? "looking…" : "none";
  const n = more ? `first ${count(hits.length)}` : count(hits.length) + (busy ? "…" : "");
  return at >= 0 ? `${count(at + 1)} of ${more ? "the " : ""}${n}` : more ? n : `${n} found`;
}

// Lines that look like the reason of a failure, where no pattern of the house says it.
export const FAILURE = String.raw`^(\s*)not ok\b(?!.*# (TODO|SKIP))|\b[Ee]rror( [A-Z]*\d+)?:|\bERROR\b|\b[Ff]atal( error)?:|\bFAIL(ED|URE)?\b|^E   |^Traceback \(most|\bpanic:|` +
  String.raw`\w(Error|Exception)\b(:|$)|Segmentation fault|\b([Cc]heck|[Aa]ssert(ion)?)\b.* failed|\*\*\* .*Error \d|undefined reference to|: (command )?not found$|No such file or directory|[Tt]imed out|timeout after`;
