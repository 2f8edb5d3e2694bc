// States: name of the class, word, and what they mean together. Pure.
export const WORD = {
  success: "Success", warnings: "Warnings", failure: "Failed", exception: "Exception", retry: "Retrying",
  cancelled: "Cancelled", skipped: "Skipped", running: "Running", waiting: "Waiting", unknown: "Not built",
};

// of a build, a step, or an entry of a list that has `state` and `result`
export function stateOf(x) {
  if (!x) return "unknown";
  if (x.state === "done" || (!x.state && x.result)) return WORD[x.result] ? x.result : "unknown";
  if (x.state === "running" || x.state === "finishing" || x.state === "dispatched") return "running";
  if (x.state === "queued") return x.attempt > 1 ? "retry" : "waiting";
  if (x.state === "waiting" || x.state === "claimed") return "waiting";
  return "unknown";
}

export const isRed = s => s === "failure" || s === "exception";
export const isOpen = s => s === "running" || s === "waiting" || s === "retry";

// the one that is to be seen first; what was skipped beside a success says nothing
const order = ["failure", "exception", "retry", "running", "waiting", "warnings", "success", "cancelled", "skipped", "unknown"];
export function worst(states) {
  let at = order.length - 1;
  for (const s of states) {
    const i = order.indexOf(s);
    if (i >= 0 && i < at) at = i;
  }
  return order[at];
}

// A builder of a branch is red as long as its last verdict is, also while a newer build runs.
export const isBad = x => !!x.red_since || isRed(stateOf(x));
// the build to look at, and its state
export const verdict = x => (x.red_since && x.last ? { build: x.last.build, state: stateOf({ result: x.last.result }) } : { build: x.build, state: stateOf(x) });

// of a branch as /branches gives it: red wins over what runs, green is quiet
export function branchState(b) {
  const all = (b.builders || []).map(x => verdict(x).state);
  if (b.state === "red") return all.includes("failure") || !all.includes("exception") ? "failure" : "exception";
  if (b.state === "running") return "running";
  if (all.includes("exception")) return "exception";
  if (b.state === "green") return all.includes("warnings") ? "warnings" : "success";
  return worst(all);
}

export function workerState(w) {
  return { connected: w.busy > 0 ? "running" : "success", missing: "exception", quarantined: "exception", paused: "cancelled", draining: "retry",
    removed: "skipped", new: "waiting" }[w.state] || "unknown";
}

// of a promotion edge
export function edgeState(e) {
  return { done: "success", waiting: "waiting", diverged: "failure", stopped: "cancelled" }[e.state] || "unknown";
}

// the page's icon: a green disc, a red octagon, a blue ring
const shapes = {
  red: "%3Cpath fill='%23c0271f' d='M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z'/%3E",
  running: "%3Ccircle cx='8' cy='8' r='5.6' fill='none' stroke='%231c60c4' stroke-width='3.2'/%3E",
  green: "%3Ccircle cx='8' cy='8' r='7' fill='%231b7a3a'/%3E",
  none: "%3Ccircle cx='8' cy='8' r='5.6' fill='none' stroke='%23808792' stroke-width='2'/%3E",
};
export function icon(kind) {
  return `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E${shapes[kind] || shapes.none}%3C/svg%3E`;
}
export function iconOf(state) {
  return isRed(state) ? "red" : isOpen(state) ? "running" : state === "success" || state === "warnings" ? "green" : "none";
}
