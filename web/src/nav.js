// Going from page to page without loading: clicks on links of our own pages, back and forward with scroll restored.
import { find } from "./router.js";

let routes = [], listeners = new Set(), scrolls = new Map(), key = 0;

export function start(table) {
  routes = table;
  history.scrollRestoration = "manual";
  key = history.state?.key || Date.now();
  history.replaceState({ key }, "");
  addEventListener("popstate", e => {
    keep();
    key = e.state?.key || 0;
    tell(scrolls.get(key) ?? 0);
  });
  document.addEventListener("click", e => {
    const a = e.target.closest && e.target.closest("a[href]");
    if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    if (a.target || a.hasAttribute("download") || a.origin !== location.origin) return;
    if (!find(routes, a.pathname)) return;
    if (a.pathname === location.pathname && a.search === location.search && a.hash) return; // a place on this page
    e.preventDefault();
    go(a.pathname + a.search + a.hash);
  });
}

function keep() { scrolls.set(key, scrollY); }
function tell(scroll) { for (const f of listeners) f(scroll); }

export function onGo(fn) { listeners.add(fn); return () => listeners.delete(fn); }

export function go(url, { replace = false, scroll = 0 } = {}) {
  keep();
  if (!replace) key = Date.now() + Math.random();
  history[replace ? "replaceState" : "pushState"]({ key }, "", url);
  tell(replace ? null : scroll);
}
