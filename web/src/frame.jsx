// What is around every page: head with search, what is red and the connection; foot; keys.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api.js";
import { ago, zone } from "./format.js";
import { KEYS, meaning } from "./keys.js";
import { go } from "./nav.js";
import { kept, me, meta, newVersion, status, useClock, useLive } from "./use.js";
import { Toasts } from "./parts/index.jsx";

const NAV = [
  ["home", "/", "Home"], ["branches", "/branches", "Branches"], ["changes", "/changes", "Changes"], ["builders", "/builders", "Builders"],
  ["requests", "/requests", "Queue"], ["landings", "/landings", "Landing"], ["breaks", "/breaks", "Breaks"], ["tests", "/tests", "Tests"],
  ["workers", "/workers", "Workers"],
];
const UNDER = { branch: "branches", builder: "builders", build: "builders", builds: "builders", request: "requests", worker: "workers" };

export function Frame({ page, children }) {
  const [menu, setMenu] = useState(false), [help, setHelp] = useState(false), [search, setSearch] = useState(false);
  const fresh = newVersion.use();
  useEffect(() => setMenu(false), [children]);
  useKeys({ help: () => setHelp(true), search: () => setSearch(true) });
  return (
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <header class="top">
        <a class="brand" href="/" aria-label="Pawl, home"><Logo />pawl <Name /></a>
        <Nav page={UNDER[page] || page} open={menu} />
        <div class="tools">
          <button class="find" aria-label="Search" onClick={() => setSearch(true)}><Glass /><span>Search</span><kbd>/</kbd></button>
          <Live />
          <ThemeButton />
          <Who />
          <button class="btn sm menu" aria-expanded={menu ? "true" : "false"} aria-controls="nav" onClick={() => setMenu(!menu)}>Menu</button>
        </div>
      </header>
      <Lost />
      {fresh && <div class="band">This master has new pages. <button class="btn sm" onClick={() => location.reload()}>Reload for the new version</button></div>}
      <main id="main" tabIndex={-1}>{children}</main>
      <Foot onHelp={() => setHelp(true)} />
      <Toasts />
      {help && <Help onClose={() => setHelp(false)} />}
      {search && <Search onClose={() => setSearch(false)} />}
    </>
  );
}

function Name() { const m = meta.use(); return m && m.name ? <span class="cut">{m.name}</span> : null; }
function Nav({ page, open }) {
  const s = status.use();
  const red = s ? new Set((s.items || []).filter(i => i.red).map(i => `${i.project}/${i.branch}`)).size : 0;
  const n = { requests: s && s.builds.waiting, branches: red };
  return (
    <nav class={`nav ${open ? "open" : ""}`} id="nav" aria-label="Pages">
      {NAV.map(([k, url, word]) => (
        <a key={k} href={url} aria-current={k === page ? "page" : undefined}>{word}
          {n[k] > 0 && <b class={k === "branches" ? "hot" : ""} aria-label={k === "branches" ? `${n[k]} red` : `${n[k]} waiting`}>{n[k]}</b>}</a>
      ))}
    </nav>
  );
}
function Live() {
  const s = useLive();
  return s.lost ? <span class="live off">lost</span> : <span class={`live ${s.connected ? "" : "dim"}`} title="Changes appear by themselves">{s.connected ? "live" : "…"}</span>;
}
function Lost() {
  const s = useLive();
  const text = useClock(now => s.lost ? `Connection lost ${ago(s.since, now)} ago. What you see is from ${new Date(s.seen).toLocaleTimeString()}.` : "", [s.lost, s.since]);
  return <div role="status" class={s.lost ? "band warn" : "vh"}>{s.lost ? text : ""}</div>;
}
export function dark() {
  const t = document.documentElement.dataset.theme;
  return t ? t === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
export function setTheme(t) {
  if (t) document.documentElement.dataset.theme = t;
  else delete document.documentElement.dataset.theme;
  kept("theme", t || null);
  dispatchEvent(new Event("theme"));
}
function ThemeButton() {
  return <button class="icon w1" aria-label="Switch between light and dark" title="Light, dark" onClick={() => setTheme(dark() ? "light" : "dark")}>
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.6" /><path d="M8 2v12a6 6 0 0 0 0-12z" fill="currentColor" /></svg></button>;
}
function Who() {
  const w = me.use();
  return w.actor ? <a class="who cut w1" href="/settings" title={`You are ${w.actor}: ${w.scopes.join(", ")}`}>{w.actor}</a> : <a class="who w1" href="/login">Log in</a>;
}
function Foot({ onHelp }) {
  const m = meta.use(), s = status.use(), w = me.use();
  return (
    <footer class="foot">
      <span>Pawl {(m && m.version) || (s && s.version)}</span><span>Times in {Intl.DateTimeFormat().resolvedOptions().timeZone || zone()}</span>
      <a href="/builds">All builds</a><a href="/promotions">Promotions</a><a href="/schedulers">Schedulers</a><a href="/notices">Notices</a><a href="/audit">Audit</a><a href="/settings">Settings</a>
      <a href="/api/v1/openapi.json">API</a><button class="link" onClick={onHelp}>Keys ?</button>
      {!w.actor && <a href="/login">Log in</a>}
    </footer>
  );
}

function Modal({ label, children, onClose }) {
  const ref = useRef(null);
  useEffect(() => { ref.current.showModal(); }, []);
  return <dialog ref={ref} aria-label={label} onClose={onClose} onClick={e => { if (e.target === ref.current) onClose(); }}>{children}</dialog>;
}
function Help({ onClose }) {
  return (
    <Modal label="Keys" onClose={onClose}>
      <h2>Keys</h2>
      <dl>{KEYS.map(([k, v]) => [<dt key={k}>{k.split(" ").map((x, i) => <>{i ? " " : ""}<kbd>{x}</kbd></>)}</dt>, <dd>{v}</dd>])}</dl>
      <form method="dialog"><button class="btn">Close</button></form>
    </Modal>
  );
}
function Search({ onClose }) {
  const [q, setQ] = useState(""), [found, setFound] = useState(null), [at, setAt] = useState(0), [error, setError] = useState(null);
  useEffect(() => {
    const text = q.trim();
    if (!text) { setFound(null); return undefined; }
    const ctl = new AbortController();
    const t = setTimeout(async () => {
      try {
        const { data } = await get(`/search?q=${encodeURIComponent(text)}`, { signal: ctl.signal });
        setFound(data.items); setAt(0); setError(null);
      } catch (e) { if (e.name !== "AbortError") { setFound(null); setError(e); } }
    }, 120);
    return () => { clearTimeout(t); ctl.abort(); };
  }, [q]);
  const open = i => {
    const hit = found && found[i];
    if (hit) { onClose(); go(hit.url); } else if (/^#?\d+$/.test(q.trim())) { onClose(); go(`/builds/${q.trim().replace("#", "")}`); }
  };
  const key = e => {
    const d = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (d && found && found.length) { e.preventDefault(); setAt((at + d + found.length) % found.length); }
  };
  return (
    <Modal label="Search" onClose={onClose}>
      <form onSubmit={e => { e.preventDefault(); open(at); }}>
        <label><h2>Go to a build, branch, builder, worker or commit</h2>
          <input type="search" class="full" value={q} placeholder="48213, master, 9be41c7…" autofocus onInput={e => setQ(e.target.value)} onKeyDown={key}
            role="combobox" aria-expanded={found ? "true" : "false"} aria-controls="hits" aria-activedescendant={found && found[at] ? `hit${at}` : undefined} /></label>
        <ul class="hits" id="hits" role="listbox" aria-label="Found">
          {(found || []).map((h, i) => <li key={h.url} id={`hit${i}`} role="option" aria-selected={i === at ? "true" : "false"} class={i === at ? "at" : ""}
            onClick={() => open(i)}><span class="dim">{h.kind}</span><span class="cut">{h.text}</span></li>)}
        </ul>
        <p class="dim" role="status">{error ? error.message : found && !found.length ? "Nothing has this name or number." : !q ? "Enter opens the first." : ""}</p>
      </form>
    </Modal>
  );
}

// ---- keys of the whole page; off while typing
function useKeys({ help, search }) {
  const state = useRef({});
  useEffect(() => {
    const on = e => {
      if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || kept("keys") === "off") return;
      if (e.target.matches && e.target.matches("input:not([type=checkbox], [type=radio]), textarea, select, dialog, dialog *")) return;
      const [what, arg, next] = meaning(e.key, state.current, Date.now());
      state.current = next;
      if (!what) return;
      if (what === "search") { // a log on the page has its own search
        const finder = document.getElementById("find");
        e.preventDefault();
        if (finder) finder.focus(); else search();
      } else if (what === "help") { e.preventDefault(); help(); }
      else if (what === "go") { e.preventDefault(); go(arg); }
      else if (what === "retry") document.querySelector("[data-hook=retry]")?.click();
      else if (step(what === "next" ? 1 : -1)) e.preventDefault();
    };
    addEventListener("keydown", on);
    return () => removeEventListener("keydown", on);
  }, []);
}
function step(d) {
  const all = [...document.querySelectorAll("main .rows > li a.go")].filter(a => a.offsetParent);
  if (!all.length) return false;
  const i = all.indexOf(document.activeElement), a = all[Math.max(0, Math.min(all.length - 1, i + d))];
  a.focus({ preventScroll: true });
  a.closest("li").scrollIntoView({ block: "nearest" });
  return true;
}

function Logo() {
  return <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><path fill="currentColor" d="M1 18.5V12l6 4.2V12l6 4.2V12l6 4.2v2.3z" /><circle cx="3.6" cy="4" r="2.6" fill="currentColor" /><path d="M3.6 4 11.4 13" fill="none" stroke="currentColor" stroke-width="2.2" /></svg>;
}
function Glass() {
  return <svg width="14" height="14" viewBox="0 0 14 14" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" aria-hidden="true"><circle cx="6" cy="6" r="4.4" /><path d="M9.4 9.4 13 13" /></svg>;
}
