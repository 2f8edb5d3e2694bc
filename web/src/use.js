// What pages share: data that stays fresh, the clock, who is asking, the title.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, peek, first } from "./api.js";
import { onEvent, live } from "./live.js";
import { hold } from "./hold.js";
import { icon } from "./state.js";

// An answer of the API, asked for again when events of these kinds come (at most once in `gap` ms). Old content stays until new
// is here; with another path it goes, unless `keep`. What takes long is asked for less often: a tenth of the time at most.
export function useData(path, { on = [], only, gap = 1000, keep = false } = {}) {
  const [s, set] = useState(() => ({ path, data: path ? peek(path) : undefined, error: null }));
  const ref = useRef({});
  useEffect(() => {
    if (!path) return undefined;
    const me = { off: false, busy: false, again: false, last: 0, took: 0, timer: null, ctl: new AbortController() };
    ref.current = me;
    const load = async fresh => {
      if (me.busy) { me.again = true; return; }
      me.busy = true;
      const began = Date.now();
      try {
        const { data, headers } = await get(path, { signal: me.ctl.signal, fresh });
        if (!me.off) set(o => (o.path === path && o.data === data && !o.error ? o : { path, data, headers, error: null }));
      } catch (error) {
        if (!me.off && error.name !== "AbortError") set(o => ({ path, data: o.path === path || keep ? o.data : undefined, error }));
      }
      me.busy = false;
      me.last = Date.now();
      me.took = me.last - began;
      if (me.again && !me.off) { me.again = false; soon(); }
    };
    const soon = () => {
      if (me.timer !== null) return;
      me.timer = setTimeout(() => { me.timer = null; if (!me.off) load(true); }, Math.max(250, me.last + Math.max(gap, 10 * me.took) - Date.now()));
    };
    me.reload = () => load(true);
    load(false);
    const offs = on.map(k => onEvent(k, data => { if (!data || !only || only(data)) soon(); }));
    if (on.length) offs.push(onEvent("reset", soon));
    // what was missed while there was no connection
    let was = live.state().connected;
    if (on.length) offs.push(live.watch(st => { if (st.connected && !was) soon(); was = st.connected; }));
    return () => {
      me.off = true;
      me.ctl.abort();
      clearTimeout(me.timer);
      offs.forEach(f => f());
    };
  }, [path]);
  const mine = s.path === path || keep;
  return { data: mine ? s.data : undefined, headers: s.headers, error: s.path === path ? s.error : null, reload: () => ref.current.reload?.() };
}

// True when it has taken long enough to be worth showing that something is on its way.
export function useLate(waiting, ms = 300) {
  const [late, set] = useState(false);
  useEffect(() => {
    if (!waiting) { set(false); return undefined; }
    const t = setTimeout(() => set(true), ms);
    return () => clearTimeout(t);
  }, [waiting]);
  return waiting && late;
}

// ---- one clock for all
const ticks = new Set();
let ticking = null;
function tick() { const now = Date.now(); for (const f of ticks) f(now); }
export function onTick(fn) {
  ticks.add(fn);
  if (ticking === null) ticking = setInterval(tick, 1000);
  return () => { ticks.delete(fn); if (!ticks.size) { clearInterval(ticking); ticking = null; } };
}
// The text that fn(now) makes; drawn again only when it changes.
export function useClock(fn, deps) {
  const [text, set] = useState(() => fn(Date.now()));
  useEffect(() => { set(fn(Date.now())); return onTick(now => set(fn(now))); }, deps);
  return text;
}

// ---- a value that parts far apart look at
export function cell(value) {
  const fns = new Set();
  return {
    get: () => value,
    set(v) { value = v; for (const f of [...fns]) f(v); },
    use() {
      const [v, set] = useState(value);
      useEffect(() => { set(value); fns.add(set); return () => fns.delete(set); }, []);
      return v;
    },
  };
}
export const me = cell(first["/session"] || { actor: null, scopes: [] });
export const status = cell(first["/status"] || null);
export const meta = cell(first["/meta"] || null);
export const newVersion = cell(false);
export const can = (who, scope) => !!who && (who.scopes.includes(scope) || who.scopes.includes("admin"));

export function useLive() {
  const [s, set] = useState(live.state());
  useEffect(() => live.watch(set), []);
  return s;
}

// ---- title and icon by state; the page's own answer wins over the state of all
export function useTitle(text, kind) {
  useEffect(() => {
    if (text) document.title = text.endsWith("Pawl") ? text : `${text} · Pawl`;
    setIcon(kind);
  }, [text, kind]);
}
export function setIcon(kind) {
  const link = document.querySelector('link[rel="icon"]');
  if (link && link.getAttribute("href") !== icon(kind)) link.href = icon(kind);
}

// ---- rows that do not move under the reader
export function useHeld(items, key) {
  const shown = useRef(null), box = useRef(null);
  const [, again] = useState(0);
  let out = { rows: items || [], news: 0 };
  if (items) {
    out = hold(shown.current, items, isFree(box.current), key);
    shown.current = out.rows;
  }
  return { rows: out.rows, news: out.news, box, show: () => { shown.current = null; again(n => n + 1); } };
}
function isFree(box) {
  if (!box) return true;
  if (box.matches(":hover") || box.contains(document.activeElement)) return false;
  const sel = document.getSelection();
  if (sel && !sel.isCollapsed && sel.anchorNode && box.contains(sel.anchorNode)) return false;
  return box.getBoundingClientRect().top > -40; // its top is in view
}

// ---- choices that the browser keeps
export function kept(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch { /* a browser that keeps nothing is one, too */ }
  return value;
}
