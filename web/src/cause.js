// Why requests wait, in groups. Pure.
export const GROUPS = [
  ["you", "Needs you", "will not start as things are"],
  ["lock", "Waiting for a lock", ""],
  ["needs", "Waiting for another build", ""],
  ["rule", "Held by a rule", ""],
  ["slots", "Waiting for a slot", ""],
  ["other", "Waiting", ""],
];
const GROUP = {
  no_worker: "you", worker: "you", manual: "you", paused: "you", builder: "you", master: "you",
  lock: "lock", lock_turn: "lock", needs: "needs", pipeline: "needs", testfix: "rule", slots: "slots", next: "slots",
};
export function groupOf(r) {
  return (r.why && GROUP[r.why.cause]) || "other";
}
export function grouped(items) {
  return GROUPS.map(([key, title, hint]) => ({ key, title, hint, items: items.filter(r => groupOf(r) === key) })).filter(g => g.items.length);
}

// The sentence cut where it names builds, so that each is a link: [text, {build: id}, text]
export function parts(reason) {
  const out = [];
  let at = 0;
  for (const m of (reason || "").matchAll(/\b(?:build|request) (\d+)\b/g)) {
    if (m.index > at) out.push(reason.slice(at, m.index));
    out.push({ text: m[0], id: Number(m[1]), kind: m[0].split(" ")[0] });
    at = m.index + m[0].length;
  }
  if (at < (reason || "").length) out.push(reason.slice(at));
  return out;
}
