// One row of the log: a line, the head of a group, or what was left out.
import { Component } from "preact";
import { count, duration, size } from "../format.js";
import { marked } from "./ansi.js";
import { ranges } from "./find.js";
import { rule } from "./color.js";

// rules of colours that are no tokens, made when first seen
let sheet = null;
const made = new Set();
function need(cls) {
  for (const c of cls.split(" ")) {
    if (c[1] !== "-" || made.has(c)) continue;
    made.add(c);
    const text = rule(c);
    if (!text) continue;
    if (!sheet) {
      sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    }
    sheet.insertRule(text);
  }
}

function Pieces({ spans }) {
  return spans.map((s, i) => {
    if (s.cls) need(s.cls);
    const text = s.mark ? <mark key={i}>{s.text}</mark> : s.text;
    if (s.url) return <a key={i} href={s.url} class={s.cls || undefined} rel="noreferrer" tabIndex={-1}>{text}</a>;
    return s.cls ? <span key={i} class={s.cls}>{text}</span> : text;
  });
}

// what a remark of the step says, without its own marks
const REMARK = /^::(error|warning|notice|debug)(?: ([^:]*(?:::(?!.*::)[^:]*)?))?::(.*)$/;
const END = /^(::endgroup::|section_end:\d+:\S*)\s*$/;
function words(row) {
  if (row.text.charCodeAt(0) !== 58 && row.text[0] !== "s") return null;
  const m = REMARK.exec(row.text);
  if (m) {
    const at = Object.fromEntries((m[2] || "").split(",").map(p => p.split("=")));
    const place = at.file ? `${at.file}${at.line ? `:${at.line}` : ""}: ` : "";
    return [{ text: `${m[1]}: `, cls: m[1] === "error" ? "a1" : m[1] === "warning" ? "a3" : "a0" }, { text: place + m[3], cls: "" }];
  }
  return END.test(row.text) ? [{ text: "end of the group", cls: "a0" }] : null;
}

export class Line extends Component {
  shouldComponentUpdate(p) {
    const o = this.props;
    return p.row !== o.row || p.cls !== o.cls || p.time !== o.time || p.find !== o.find || p.n !== o.n || p.r !== o.r || p.busy !== o.busy;
  }
  render({ row, n, r, cls, time, find, href, busy, onAll }) {
    let body = null;
    if (!row) body = <i class="skl" />;
    else if (row.gap) body = <span class="a0">left out</span>;
    else {
      const spans = words(row) || row.spans || [{ text: row.text, cls: "" }];
      const plain = spans.length === 1 ? spans[0].text : spans.map(s => s.text).join("");
      const hit = find ? ranges(find, plain) : [];
      body = hit.length || spans.length > 1 || spans[0]?.cls || spans[0]?.url ? <Pieces spans={marked(spans, hit)} /> : plain;
    }
    return (
      <div class={`ln ${cls}`} id={`L${n}`} data-r={r}>
        <a href={href} tabIndex={-1} data-n={n}>{n}</a>
        {time !== null && <time>{time}</time>}
        <code>{body}{row && row.bytes && !row.all ? <button class="btn sm all" tabIndex={-1} onClick={() => onAll(n)}>{busy ? "Asking…" : `show all, ${size(row.bytes)}`}</button> : null}</code>
      </div>
    );
  }
}

export function Fold({ group, open, r, depth, cls, onToggle, onFocus }) {
  const facts = [group.lines !== null && `${count(group.lines)} lines`, group.ms ? duration(group.ms) : null,
    group.failures ? `${count(group.failures)} ${group.failures === 1 ? "failure" : "failures"}` : null].filter(Boolean).join(" · ");
  return (
    <button class={`fold d${Math.min(depth, 4)} ${cls}`} id={`L${group.line}`} data-r={r} aria-expanded={open ? "true" : "false"} onClick={onToggle} onFocus={onFocus}>
      <span class="cut">{group.title || "group"}</span><small>{facts}</small>
    </button>
  );
}

export function Gap({ gap, r }) {
  return <span class="gap-row" data-r={r}>{count(gap.lines)} lines, {size(gap.bytes)}, were left out here: the log is longer than its log_limit</span>;
}
