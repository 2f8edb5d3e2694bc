// Commits by builders: the list of one branch, and the console over all.
import { person, when } from "../format.js";
import { rowState } from "../line.js";
import { stateOf, WORD } from "../state.js";
import { to } from "../router.js";
import { Rows, Square, StateIcon, Time } from "../parts/index.jsx";

// the builders that stand as columns, those with most builds first
export function columns(changes, known = []) {
  const n = new Map(known.map(k => [k, 1e6]));
  for (const c of changes) for (const b of c.builds) n.set(b.builder, (n.get(b.builder) || 0) + 1);
  return [...n.keys()].sort((a, b) => known.indexOf(a) - known.indexOf(b) || n.get(b) - n.get(a));
}

export function Commits({ items, builders, edges = [], place }) {
  const wide = builders.length <= 6, few = builders.slice(0, 16), size = wide ? "wide" : "tight";
  let below = new Set();
  const rows = [];
  for (const c of items) {
    for (const e of edges) if ((c.promoted || []).includes(e.edge) && !below.has(e.edge)) {
      rows.push({ mark: e.edge, edge: e, key: `m${e.edge}` });
      below.add(e.edge);
    }
    rows.push({ ...c, key: `c${c.id}`, below: below.size > 0 });
  }
  return (
    <Rows items={rows} by={r => r.key} cls={`commits ${place ? "placed" : ""}`} what="commit" label="Commits"
      head={wide && <li class="colhead" aria-hidden="true"><span /><span class="sha" /><span /><span class={`cols ${size}`}>{few.map(b => <span key={b} class="cut" title={b}>{b}</span>)}</span><span class="w1" /><span /></li>}>
      {(r, gone) => r.mark ? <Mark key={r.key} r={r} /> : (
        <li key={r.key} class={`${r.below ? "below" : ""} ${gone ? "gone" : ""}`}>
          <StateIcon state={rowState(r)} />
          <code class="sha dim" title={r.revision}>{(r.revision || "").slice(0, 7)}</code>
          <span class="cut" title={r.title}><a class="go" href={aim(r)}>{r.title || (r.revision || "").slice(0, 12)}</a>{place && <span class="dim"> {r.project} / {r.branch}</span>}{place && (r.promoted || []).map(e => <span key={e} class="tag" title={`${e} stands here`}>{e}</span>)}</span>
          <span class={`cols ${size}`}>{few.map(b => <Cell key={b} b={r.builds.find(x => x.builder === b)} name={b} rev={r.revision} />)}</span>
          <span class="dim w1 cut" title={r.author}>{person(r.author)}</span>
          <span class="dim right nowrap"><Time at={r.at} /></span>
        </li>
      )}
    </Rows>
  );
}
// the build that one wants to see: a red one, one that runs, else the newest
function aim(c) {
  const first = c.builds.find(b => ["failure", "exception"].includes(stateOf(b))) || c.builds.find(b => stateOf(b) === "running") || c.builds[0];
  return first ? to.build(first.id) : to.branch(c.project, c.branch);
}
function Cell({ b, name, rev }) {
  const s = stateOf(b), text = `${name} on ${(rev || "").slice(0, 7)}: ${WORD[s].toLowerCase()}`;
  return b ? <a href={to.build(b.id)} title={text} aria-label={text}><Square state={s} /></a> : <span title={text}><Square state="unknown" /></span>;
}
function Mark({ r }) {
  const e = r.edge;
  return (
    <li class="mark"><svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path class="flag" d="M1 8l6-6h8v12H7z" /></svg>
      <span><b>{e ? e.to : r.mark}</b> stands here {e && e.at && <span class="dim">· moved {when(e.at)}</span>}</span><a class="dim" href={`/promotions?edge=${encodeURIComponent(r.mark)}`}><small>Promotions</small></a></li>
  );
}
