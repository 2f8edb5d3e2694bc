// The entry: the frame around every page, the router, what is live.
import "../css/main.css";
import { render, Component } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { first, get, session } from "./api.js";
import { find, parseQuery } from "./router.js";
import { live, onEvent, onPoll } from "./live.js";
import { onGo, start } from "./nav.js";
import { me, meta, status, setIcon, kept, newVersion } from "./use.js";
import { table } from "./pages/table.js";
import { Frame } from "./frame.jsx";
import { Trouble } from "./parts/index.jsx";
import home from "./pages/home.jsx";
import branches from "./pages/branches.jsx";
import branch from "./pages/branch.jsx";
import changes from "./pages/changes.jsx";
import builders from "./pages/builders.jsx";
import builder from "./pages/builder.jsx";
import builds from "./pages/builds.jsx";
import build from "./pages/build.jsx";
import requests from "./pages/requests.jsx";
import request from "./pages/request.jsx";
import workers from "./pages/workers.jsx";
import worker from "./pages/worker.jsx";
import { landings, breaks, tests } from "./pages/later.jsx";

// Pages that are seldom the first come as a file of their own.
function later(name) {
  let Part = null;
  return function Later(props) {
    const [, again] = useState(0), [error, setError] = useState(null);
    useEffect(() => { if (!Part) import("./pages/seldom.jsx").then(m => { Part = m[name]; again(1); }, setError); }, []);
    return Part ? <Part {...props} /> : error ? <Trouble error={error} what="This page" again={() => location.reload()} /> : null;
  };
}
const [promotions, schedulers, notices, audit, settings] = ["promotions", "schedulers", "notices", "audit", "settings"].map(later);

const pages = {
  home, branches, branch, changes, builders, builder, builds, build, requests, request, workers, worker, promotions, schedulers,
  landings, breaks, tests, notices, audit, settings,
};

function here() {
  const at = find(table, location.pathname);
  return { at, query: parseQuery(location.search), url: location.pathname + location.search };
}

class Guard extends Component {
  constructor() { super(); this.state = { error: null }; }
  static getDerivedStateFromError(error) { return { error }; }
  componentDidCatch(e) { console.error(e); }
  render({ children }, { error }) { return error ? <Trouble error={{ message: String(error.message || error) }} what="This page" /> : children; }
}

function App() {
  const [place, setPlace] = useState(here()), [scroll, setScroll] = useState(null);
  useEffect(() => onGo(y => { setPlace(here()); setScroll(y === null ? null : { y }); }), []);
  // a page that was left is scrolled where it was as soon as it is as high again
  useLayoutEffect(() => {
    if (!scroll) return undefined;
    if (location.hash && !scroll.y) return undefined;
    let tries = 0, timer;
    const set = () => { scrollTo(0, scroll.y); if (scrollY < scroll.y - 2 && ++tries < 20) timer = setTimeout(set, 50); };
    set();
    return () => clearTimeout(timer);
  }, [scroll]);
  useEffect(() => {
    const h = document.querySelector("main h1");
    if (scroll && h && !location.hash) { h.tabIndex = -1; h.focus({ preventScroll: true }); }
  }, [place.at && place.at.pattern, place.url]);
  const Page = place.at ? pages[place.at.page] : Nothing;
  return (
    <Frame page={place.at ? place.at.page : ""}>
      <Guard key={place.at ? place.at.pattern + JSON.stringify(place.at.params) : ""}>
        <Page params={place.at ? place.at.params : {}} query={place.query} first={first} path={location.pathname} />
      </Guard>
    </Frame>
  );
}
function Nothing() {
  return <div class="head"><h1 class="say">There is no such page</h1><p class="facts"><a href="/">Home</a></p></div>;
}

// ---- the state of all, for head, title and icon
let busy = false, again = false, timer = null;
async function readStatus() {
  if (busy) { again = true; return; }
  busy = true;
  try { status.set((await get("/status", { fresh: true })).data); } catch { /* the frame says that the connection is lost */ }
  busy = false;
  if (again) { again = false; soon(); }
}
function soon() { if (timer === null) timer = setTimeout(() => { timer = null; readStatus(); }, 1000); }
async function readMeta() {
  try {
    const { data } = await get("/meta", { fresh: true });
    const old = meta.get();
    if (old && old.page && data.page !== old.page) newVersion.set(true);
    else meta.set(data);
  } catch { /* an older master has none */ }
}

const theme = kept("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
session(first["/session"]);
start(table);
for (const k of ["build", "request", "worker", "promotion", "switch", "config", "reset"]) onEvent(k, soon);
onPoll(() => readStatus().then(() => {
  const s = status.get();
  if (s && document.hidden) setIcon(s.red ? "red" : s.builds.open ? "running" : "green");
}));
let met = false;
live.watch(s => {
  if (!s.connected) return;
  if (met) { readStatus(); readMeta(); } // again there: perhaps another master, with other pages
  met = true;
});
document.addEventListener("visibilitychange", () => live.visible(!document.hidden));
addEventListener("pagehide", () => live.stop());
addEventListener("pageshow", e => { if (e.persisted) location.reload(); });
if (!first["/session"]) get("/session").then(({ data }) => { session(data); me.set(data); }, () => {});
if (!status.get()) readStatus();
if (!meta.get()) readMeta();
const app = document.getElementById("app");
app.textContent = "";
render(<App />, app);
live.start();
