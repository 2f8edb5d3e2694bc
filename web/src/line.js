// The line of commits of a branch, as it is drawn. Pure.
import { isOpen, isRed, stateOf, worst } from "./state.js";

// full: all builders are good on it; half: some are, some are missing; red; run; hollow: nothing is known
export function commitState(change, builders) {
  const mine = new Map(change.builds.map(b => [b.builder, stateOf(b)]));
  const states = [...mine.values()];
  if (states.some(isRed)) return "red";
  if (states.some(isOpen)) return "run";
  const good = builders.filter(n => ["success", "warnings"].includes(mine.get(n))).length;
  if (good === 0) return "hollow";
  return good === builders.length ? "full" : "half";
}

// what a row of the list of commits shows
export function rowState(change) {
  return worst(change.builds.map(stateOf));
}

// changes: newest first. -> {nodes: [{change, state, x, promoted: [edge]}] old to new, at: index of where `edge` stands, -1 when
// it is older than all of them}
export function line(changes, builders, edge, width, most = 12) {
  const shown = changes.slice(0, Math.max(2, Math.min(most, Math.floor(width / 92)))).reverse();
  const step = shown.length > 1 ? (width - 140) / (shown.length - 1) : 0;
  const nodes = shown.map((change, i) => ({ change, state: commitState(change, builders), x: Math.round(70 + i * step) }));
  let at = -1;
  nodes.forEach((n, i) => { if ((edge.revision && n.change.revision === edge.revision) || (n.change.promoted || []).includes(edge.edge)) at = i; });
  return { nodes, at };
}

// What is written over a commit that is newer than where the edge stands; "" for most.
export function note(node, edge) {
  if (node.state === "red") return `${node.change.builds.filter(b => isRed(stateOf(b))).map(b => b.builder).slice(0, 2).join(", ")} red`;
  if (node.state === "run") return `waits for ${node.change.builds.filter(b => isOpen(stateOf(b))).map(b => b.builder).slice(0, 2).join(", ")}`;
  return "";
}
