// One stream of events a tab. A hidden tab closes it after a minute and looks at the state of all once a minute; shown again,
// it goes on from the last event that it has seen. make() takes clock, stream and page, so that tests need no browser.
export const HIDDEN_MS = 60000;
const BACK_MS = 1000, BACK_MAX_MS = 30000, LOST_MS = 5000;

export function make({ open, now, later, never, poll = () => {} }) {
  const fns = new Map(); // kind -> set of fn
  const watchers = new Set();
  let stream = null, lastId = null, tries = 0, timer = null, hideTimer = null, hidden = false, closed = false;
  // since: when the connection broke; seen: when something was last heard
  let state = { connected: false, lost: false, since: now(), seen: now(), sleeping: false };
  let lostTimer = null;

  function tell(change) {
    state = { ...state, ...change };
    for (const w of watchers) w(state);
  }
  function clear(t) { if (t !== null) never(t); return null; }

  function connect() {
    timer = clear(timer);
    if (closed || stream) return;
    stream = open(lastId, {
      opened() {
        tries = 0;
        lostTimer = clear(lostTimer);
        tell({ connected: true, lost: false, seen: now() });
      },
      event(kind, id, data) {
        if (id) lastId = id;
        state.seen = now();
        if (kind === "reset") { // the master was set back to an earlier state, or we were away too long: all is read anew
          for (const set of fns.values()) for (const f of set) f(null, null);
          return;
        }
        for (const k of [kind, "*"]) for (const f of fns.get(k) || []) f(data, id, kind);
      },
      broke() {
        stream = null;
        broken();
      },
    });
  }
  function broken() {
    if (closed || state.sleeping) return;
    if (state.connected || lostTimer === null) {
      if (state.connected) tell({ connected: false, since: now() });
      lostTimer = clear(lostTimer);
      lostTimer = later(() => { lostTimer = null; tell({ lost: true }); }, LOST_MS);
    }
    const wait = Math.min(BACK_MAX_MS, BACK_MS * 2 ** tries++);
    timer = clear(timer);
    timer = later(connect, wait);
  }
  function shut() {
    timer = clear(timer);
    lostTimer = clear(lostTimer);
    if (stream) { stream.close(); stream = null; }
  }
  function asleep() {
    hideTimer = null;
    shut();
    tell({ connected: false, lost: false, sleeping: true });
    const turn = () => { poll(); hideTimer = later(turn, HIDDEN_MS); };
    turn();
  }
  return {
    start: connect,
    stop() { closed = true; hideTimer = clear(hideTimer); shut(); },
    onEvent(kind, fn) {
      if (!fns.has(kind)) fns.set(kind, new Set());
      fns.get(kind).add(fn);
      return () => fns.get(kind).delete(fn);
    },
    watch(fn) { watchers.add(fn); fn(state); return () => watchers.delete(fn); },
    state: () => state,
    lastId: () => lastId,
    // the tab was hidden or shown
    visible(yes) {
      if (closed || yes === !hidden) return;
      hidden = !yes;
      hideTimer = clear(hideTimer);
      if (!yes) hideTimer = later(asleep, HIDDEN_MS);
      else if (state.sleeping) {
        tries = 0;
        tell({ sleeping: false, since: now() });
        connect();
      } else if (!stream) { tries = 0; connect(); } // no need to wait for the next try: somebody looks
    },
  };
}

const KINDS = ["change", "request", "build", "step", "worker", "promotion", "landing", "break", "switch", "config", "reset"];

// EventSource, opened by hand each time: its own way of coming again cannot be told to wait
export function openSource(lastId, on) {
  const s = new EventSource("/api/v1/events" + (lastId ? `?last_event_id=${encodeURIComponent(lastId)}` : ""));
  s.onopen = () => on.opened();
  s.onerror = () => { s.close(); on.broke(); };
  for (const k of KINDS)
    s.addEventListener(k, e => {
      let data = null;
      try { data = JSON.parse(e.data); } catch { /* no data is no reason to miss the event */ }
      on.event(k, e.lastEventId, data);
    });
  return { close: () => s.close() };
}

let polled = () => {};
export const live = make({
  open: openSource, now: () => Date.now(), later: (f, ms) => setTimeout(f, ms), never: t => clearTimeout(t), poll: () => polled(),
});
export const onPoll = fn => { polled = fn; };
export const onEvent = live.onEvent;
