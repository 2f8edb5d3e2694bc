// One bar a build, newest right. Green stands on the line, failure hangs below it, exception is a diamond below, cancelled a
// stub, running an outline: it reads without colour.
import { duration } from "../format.js";
import { WORD, stateOf } from "../state.js";
import { to } from "../router.js";
import { useEffect, useRef, useState } from "preact/hooks";

const STEP = 16, UP = 72, DOWN = 32, H = UP + DOWN + 8;

export function HistoryStrip({ items, usual }) {
  const box = useRef(null), [width, setWidth] = useState(0);
  useEffect(() => {
    const see = () => setWidth(box.current ? box.current.clientWidth : 0);
    see();
    const o = new ResizeObserver(see);
    o.observe(box.current);
    return () => o.disconnect();
  }, []);
  const fit = Math.max(1, Math.floor(width / STEP)), shown = items.slice(0, fit).reverse();
  const high = Math.max(usual || 0, ...shown.map(b => b.duration_ms || 0), 1);
  const x0 = width - shown.length * STEP;
  return (
    <div ref={box} class="stripbox">
      {width > 0 && (
        <svg class="strip" viewBox={`0 0 ${width} ${H}`} width={width} height={H} aria-label={`The last ${shown.length} builds, newest right`}>
          <line class="axis" x1={0} x2={width} y1={UP + 4} y2={UP + 4} />
          {shown.map((b, i) => <BarOf key={b.id} b={b} x={x0 + i * STEP + 3} high={high} />)}
        </svg>
      )}
    </div>
  );
}
function BarOf({ b, x, high }) {
  const s = stateOf(b), k = Math.sqrt(Math.min(1, (b.duration_ms || 0) / high));
  const up = Math.max(6, Math.round(k * UP)), down = Math.max(8, Math.round(k * DOWN)), y = UP + 4, w = 10;
  const name = `${b.id} ${WORD[s].toLowerCase()}${b.duration_ms != null ? `, ${duration(b.duration_ms)}` : ""}`;
  let shape;
  if (s === "failure") shape = <rect class="fail" x={x} y={y + 1} width={w} height={down} rx="1" />;
  else if (s === "exception") shape = <path class="exc" d={`M${x + 5} ${y + 3}l6 7-6 7-6-7z`} />;
  else if (s === "cancelled" || s === "skipped") shape = <rect class="off" x={x} y={y - 4} width={w} height="4" />;
  else if (s === "running" || s === "retry" || s === "waiting") shape = <rect class="runf" x={x + 1} y={y - 24} width={w - 2} height="23" rx="1" />;
  else shape = <rect class={s === "warnings" ? "warnf" : "ok"} x={x} y={y - up} width={w} height={up} rx="1" />;
  return <a href={to.build(b.id)} aria-label={name}><title>{name}</title><rect class="hit" x={x - 3} y="0" width={STEP} height={H} />{shape}</a>;
}
