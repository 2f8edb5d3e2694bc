// Duration and builds a day, by uPlot; the same numbers as a table for those who cannot see them. A file of its own.
import uPlot from "uplot";
import { useEffect, useRef, useState } from "preact/hooks";
import { count, duration, exact, when } from "../format.js";
import { go } from "../nav.js";
import { to } from "../router.js";
import { Section } from "./basic.jsx";

const H = 200;
function colours() {
  const s = getComputedStyle(document.documentElement), probe = document.createElement("i");
  document.body.append(probe);
  const of = name => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
  const c = { ink: of("--ink"), ink2: of("--ink2"), line: of("--line"), fail: of("--fail"), exc: of("--exc"), ok: of("--ok-soft"), sans: s.getPropertyValue("--sans") };
  probe.remove();
  return c;
}

function usePlot(make, deps) {
  const box = useRef(null), [theme, again] = useState(0);
  useEffect(() => {
    const redraw = () => again(n => n + 1), m = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("theme", redraw);
    m.addEventListener("change", redraw);
    return () => { removeEventListener("theme", redraw); m.removeEventListener("change", redraw); };
  }, []);
  useEffect(() => {
    const el = box.current, plot = make(el, colours(), el.clientWidth);
    const o = new ResizeObserver(() => plot.setSize({ width: el.clientWidth, height: H }));
    o.observe(el);
    return () => { o.disconnect(); plot.destroy(); };
  }, [...deps, theme]);
  return box;
}
const axis = (c, more) => ({ stroke: c.ink2, font: `12px ${c.sans}`, grid: { stroke: c.line, width: 1 }, ticks: { show: false }, ...more });

export function Plots({ h }) {
  const done = h.items.filter(i => i.finished && i.duration_ms != null).slice().reverse();
  return <div class="two">
    {done.length > 1 && <Durations items={done} median={h.median_ms} p95={h.p95_ms} />}
    {h.per_day && h.per_day.length > 1 && <Days days={h.per_day} />}
  </div>;
}

function Durations({ items, median, p95 }) {
  const [at, setAt] = useState(null);
  const good = i => i.result === "success" || i.result === "warnings";
  const box = usePlot((el, c, width) => {
    const x = items.map((_, i) => i), ok = items.map(i => good(i) ? i.duration_ms / 1000 : null), bad = items.map(i => i.result === "failure" || i.result === "exception" ? i.duration_ms / 1000 : null);
    const plot = new uPlot({
      width, height: H, legend: { show: false }, padding: [8, 8, 0, 0],
      cursor: { y: false, points: { size: 8 } },
      scales: { x: { time: false }, y: { range: (u, lo, hi) => [0, (hi || 1) * 1.1] } },
      axes: [axis(c, { size: 24, space: 120, grid: { show: false }, values: (u, v) => v.map(n => items[n] ? when(items[n].finished) : "") }),
        axis(c, { size: 64, space: 64, values: (u, v) => v.map(n => n === 0 ? "0" : duration(n * 1000).replace(/ 0 s$/, "")) })],
      series: [{}, { stroke: c.ink, width: 1.5, spanGaps: true, points: { show: false } },
        { stroke: c.fail, fill: c.fail, width: 0, paths: () => null, points: { show: true, size: 7, fill: c.fail } },
        { stroke: c.ink2, width: 1, dash: [2, 4], points: { show: false } }, { stroke: c.ink2, width: 1, dash: [6, 4], points: { show: false } }],
      hooks: { setCursor: [u => setAt(u.cursor.idx ?? null)] },
    }, [x, ok, bad, x.map(() => median != null ? median / 1000 : null), x.map(() => p95 != null ? p95 / 1000 : null)], el);
    plot.over.addEventListener("click", () => { const i = plot.cursor.idx; if (i != null && items[i]) go(to.build(items[i].id)); });
    return plot;
  }, [items.length, items[items.length - 1].id, median]);
  const b = at != null && items[at];
  return (
    <Section title="Duration" more={<small aria-live="off">{b ? `#${b.id} ${b.result}, ${duration(b.duration_ms)}, ${when(b.finished)}` : "median dotted, p95 dashed, red points failed"}</small>}>
      <div class="uplot-box" ref={box} role="img" aria-label={`Duration of the last ${items.length} builds; median ${duration(median)}${p95 != null ? `, p95 ${duration(p95)}` : ""}. The table below has the numbers.`} />
      <Numbers head={["Build", "Result", "Finished", "Took"]} rows={items.slice().reverse().map(i => [<a href={to.build(i.id)}>#{i.id}</a>, i.result, exact(i.finished), duration(i.duration_ms)])} />
    </Section>
  );
}

function Days({ days }) {
  const sorted = [...days].sort((a, b) => a.day < b.day ? -1 : 1), [at, setAt] = useState(null);
  const box = usePlot((el, c, width) => new uPlot({
    width, height: H, legend: { show: false }, padding: [8, 8, 0, 0], cursor: { y: false, points: { show: false } },
    scales: { x: { time: false, range: () => [-0.6, sorted.length - 0.4] }, y: { range: (u, lo, hi) => [Math.min(0, lo) * 1.1, Math.max(1, hi) * 1.1] } },
    axes: [axis(c, { size: 24, space: 80, grid: { show: false }, values: (u, v) => v.map(n => Number.isInteger(n) && sorted[n] ? sorted[n].day.slice(5) : "") }),
      axis(c, { size: 48, space: 64, values: (u, v) => v.map(n => Number.isInteger(n) ? count(Math.abs(n)) : "") })],
    series: [{}, { fill: c.ok, stroke: c.ok, width: 0, paths: uPlot.paths.bars({ size: [0.7, 24] }), points: { show: false } },
      { fill: c.fail, stroke: c.fail, width: 0, paths: uPlot.paths.bars({ size: [0.7, 24] }), points: { show: false } }],
    hooks: { setCursor: [u => setAt(u.cursor.idx ?? null)] },
  }, [sorted.map((_, i) => i), sorted.map(d => d.builds - d.red), sorted.map(d => d.red ? -d.red : null)], el), [sorted.length, JSON.stringify(sorted[sorted.length - 1])]);
  const d = at != null && sorted[at];
  return (
    <Section title="Builds a day" more={<small aria-live="off">{d ? `${d.day}: ${count(d.builds)}, ${count(d.red)} red` : "red hangs"}</small>}>
      <div class="uplot-box" ref={box} role="img" aria-label={`Builds a day over ${sorted.length} days. The table below has the numbers.`} />
      <Numbers head={["Day", "Builds", "Red"]} rows={sorted.slice().reverse().map(x => [x.day, count(x.builds), count(x.red)])} />
    </Section>
  );
}
function Numbers({ head, rows }) {
  const [open, setOpen] = useState(false);
  return <details onToggle={e => setOpen(e.target.open)}><summary>As a table</summary>
    {open && <div class="scroll tall" tabIndex={0} role="region" aria-label="Numbers"><table><thead><tr>{head.map(x => <th key={x}>{x}</th>)}</tr></thead><tbody>{rows.map((r, i) => <tr key={i}>{r.map((c, k) => <td key={k}>{c}</td>)}</tr>)}</tbody></table></div>}</details>;
}
