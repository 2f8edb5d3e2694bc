// The small parts: state, time, sentence, section, what is empty, what went wrong.
import { exact, ago, duration } from "../format.js";
import { WORD } from "../state.js";
import { useClock, useLate } from "../use.js";

// shape and, for a screen reader, word
export function StateIcon({ state, text }) {
  return <span class={`st ${state}`} title={text || WORD[state]}><i /><span class="vh">{text || WORD[state]}</span></span>;
}
export function Chip({ state, children }) {
  return <span class={`st ${state} chip`}><i /><span class="cut">{children || WORD[state]}</span></span>;
}
// one of a row of many: a builder of a branch; the row says what it is
export function Square({ state }) {
  return <span class={`sq ${state}`} />;
}
export function Tag({ kind, children }) {
  return <span class={`tag ${kind || ""}`}>{children}</span>;
}

export function Time({ at, suffix }) {
  const text = useClock(now => ago(at, now), [at]);
  if (!at) return null;
  return <time datetime={typeof at === "number" ? new Date(at).toISOString() : at} title={exact(at)}>{text}{suffix && text !== "now" && /[a-z]$/.test(text) && !/\d{4}|[A-Z]/.test(text) ? suffix : ""}</time>;
}
// of something that is over, or (from) of what still runs: ticks
export function Duration({ ms, from, to }) {
  const text = useClock(now => from && !to ? duration(Math.floor((now - Date.parse(from)) / 1000) * 1000) : duration(ms ?? (from && to ? Date.parse(to) - Date.parse(from) : null)), [ms, from, to]);
  return <span class="nowrap">{text}</span>;
}

// The sentence that answers; its alarming part is an <em>.
export function Headline({ children, acts, facts, crumb }) {
  return (
    <div class="head">
      {crumb && <p class="crumb">{crumb}</p>}
      <h1 class="say">{children}</h1>
      {facts && <p class="facts">{facts}</p>}
      {acts && <div class="acts">{acts}</div>}
    </div>
  );
}
let ids = 0;
export function Section({ title, n, more, children, cls }) {
  const id = `h-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  return (
    <section aria-labelledby={id} class={cls}>
      <div class="sec"><h2 id={id}>{title}</h2>{n != null && <span class="n">{n}</span>}{more}</div>
      {children}
    </section>
  );
}
export function nextId() { return `i${++ids}`; }

export function Empty({ title, children }) {
  return <div class="empty"><b>{title}</b>{children}</div>;
}
// Empty, and good that it is.
export function Quiet({ children }) {
  return <p class="quiet">{children}</p>;
}
export function Trouble({ error, what, again }) {
  return (
    <div class="note" role="alert">
      <span class="st exception"><i /></span>
      <div><b>{what || "This"} could not be read:</b> {error.message}. {error.status === 401 ? <a href="/login">Log in</a>
        : again && <button class="btn sm" onClick={again}>Try again</button>}</div>
    </div>
  );
}
// What stands there until data is: nothing at first, then grey rows; or the error.
export function Waiting({ of, what, rows = 6 }) {
  const late = useLate(of.data === undefined && !of.error);
  if (of.error && of.data === undefined) return <Trouble error={of.error} what={what} again={of.reload} />;
  if (of.data !== undefined || !late) return null;
  return <div aria-busy="true" aria-label="Loading">{Array.from({ length: rows }, (_, i) => <span key={i} class={`sk ${["w8", "w6", "w4"][i % 3]}`} />)}</div>;
}

// how far it is, of what it usually takes; stops at 95 %
export function Progress({ from, usual, label }) {
  const pct = useClock(now => from && usual ? Math.min(95, Math.round(((now - Date.parse(from)) / usual) * 100)) : -1, [from, usual]);
  if (pct < 0) return null;
  return <Bar pct={pct} label={`${label || ""}${pct} percent of the usual time`} />;
}
export function Bar({ pct, kind = "f", label }) {
  return <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label={label}><rect class="t" width="100" height="6" rx="1" /><rect class={kind} width={pct} height="6" rx="1" /></svg>;
}
export function Left({ from, usual }) {
  const text = useClock(now => {
    if (!from) return "";
    const spent = now - Date.parse(from);
    if (!usual) return duration(Math.floor(spent / 1000) * 1000);
    const left = usual - spent, of = Math.abs(left);
    const s = of < 90000 ? `${Math.floor(of / 1000)} s` : `${Math.round(of / 60000)} min`;
    return left >= 0 ? `${s} left` : `${s} over`;
  }, [from, usual]);
  return <span class="nowrap">{text}</span>;
}
export function Commit({ rev }) {
  return rev ? <code title={rev}>{rev.slice(0, 7)}</code> : null;
}
