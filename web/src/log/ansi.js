// Colours of a terminal as pieces of text with classes, by ansi_up. The sixteen become our tokens (a0 .. a7 text, b0 .. b7
// ground); of 256 and true colours four bits a channel are kept, as c-f80 and k-f80, whose rules color.js makes: the policy
// allows no style attribute, and so there are at most 4096 of them.
import { AnsiUp } from "../../vendor/ansi_up/ansi_up.js";

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const TOKEN = Object.fromEntries(NAMES.flatMap((n, i) => [[`ansi-${n}`, i], [`ansi-bright-${n}`, i]]));
const GREY = "ansi-bright-black";

const hex = c => c.rgb.map(v => Math.round(v / 17).toString(16)).join("");

function classes(f) {
  const out = [];
  const own = f.bg && f.bg.class_name === "truecolor"; // on such a ground text is ink: it was moved to suit that
  if (f.bg) out.push(own ? `k-${hex(f.bg)}` : `b${TOKEN[f.bg.class_name]}`);
  if (f.fg && !own) out.push(f.fg.class_name === "truecolor" ? `c-${hex(f.fg)}` : f.fg.class_name === GREY ? "a0" : `a${TOKEN[f.fg.class_name]}`);
  if (f.bold) out.push("ab");
  if (f.faint) out.push("af");
  if (f.italic) out.push("ai");
  if (f.underline) out.push("au");
  return out.join(" ");
}

class Pieces extends AnsiUp {
  constructor() { super(); this.out = []; }
  transform_to_html(f) {
    const text = f.text.replace(BELL, "");
    if (text) this.out.push({ text, cls: classes(f) });
    return "";
  }
  process_hyperlink(p) {
    const scheme = p.url.split(":")[0];
    this.out.push({ text: p.text, cls: classes(this.with_state(p)), url: this.url_allowlist[scheme] ? p.url : undefined });
    return "";
  }
  plain() { return !this.fg && !this.bg && !this.bold && !this.faint && !this.italic && !this.underline; }
}

// what no font has a shape for; a tab has one, and the bell ends a link
const CONTROL = /[\x00-\x06\x08\x0b-\x1a\x1c-\x1f\x7f]/g;
const BELL = /\x07/g;

// For lines that follow each other: a colour lasts beyond the end of its line. null: nothing but text.
export function parser() {
  const p = new Pieces();
  return text => {
    const t = text.replace(CONTROL, "");
    if (t === text && t.indexOf("\x07") < 0 && t.indexOf("\x1b") < 0 && p.plain()) return null;
    p.out = [];
    p._buffer = ""; // what was cut in the line before is no part of this one
    p.ansi_to_html(t);
    return p.out;
  };
}
export const plain = row => (row.spans ? row.spans.map(s => s.text).join("") : row.text);

// own: {a: [start, end)} ranges in the plain text -> the pieces, divided, those inside with mark: true
export function marked(spans, ranges) {
  if (!ranges.length) return spans;
  const out = [];
  let at = 0, r = 0;
  for (const s of spans) {
    let i = 0;
    while (i < s.text.length) {
      while (r < ranges.length && ranges[r][1] <= at + i) r++;
      const [a, z] = ranges[r] || [Infinity, Infinity];
      const inside = at + i >= a;
      const end = Math.min(s.text.length, (inside ? z : a) - at);
      out.push({ ...s, text: s.text.slice(i, end), mark: inside || undefined });
      i = end;
    }
    at += s.text.length;
  }
  return out;
}
