// One branch: where the promoted branch stands and what holds it, commits by builders, streaks, edges.
import { useEffect, useRef, useState } from "preact/hooks";
import { post } from "../api.js";
import { count, duration, person, plural, rev7, some } from "../format.js";
import { line, note } from "../line.js";
import { branchState, edgeState, iconOf, isBad, stateOf, WORD } from "../state.js";
import { to, withQuery } from "../router.js";
import { useData, useTitle } from "../use.js";
import { AskButton, Chip, Commit, Empty, ForceButton, ListState, More, Quiet, Section, StateIcon, Time, Trouble, useList, useUsual } from "../parts/index.jsx";
import { columns, Commits } from "./commits.jsx";

export default function Branch({ params }) {
  const { project, branch } = params;
  const only = d => !d.branch || (d.branch === branch && d.project === project);
  const br = useData(withQuery("/branches", { project, branch }), { on: ["build", "promotion", "change", "config"], only });
  const log = useList("/console", { project, branch, limit: 60 }, { on: ["build", "change", "promotion"], only, by: c => c.id });
  const b = br.data && br.data.items.find(x => x.project === project && x.branch === branch);
  const state = b ? branchState(b) : "unknown", red = b ? b.builders.filter(isBad) : [];
  useTitle(b ? `${red.length ? "Red" : WORD[state]}: ${branch}` : branch, b ? iconOf(state) : "none");
  if (br.error && !br.data) return <Trouble error={br.error} what="The branch" again={br.reload} />;
  const names = b ? b.builders.map(x => x.builder) : [], cols = columns(log.items || [], names);
  const tip = log.items && log.items[0], since = red.map(x => x.red_since).filter(Boolean).sort()[0];
  const mine = b ? b.edges.filter(e => e.from === branch) : [];
  return (
    <>
      <div class="head">
        <p class="crumb"><a href="/branches">Branches</a> / <a href={withQuery("/branches", { project })}>{project}</a></p>
        <div class="title"><h1>{branch}</h1>{b && <Chip state={state}>{red.length ? `Red in ${some(red.map(x => x.builder))}` : b.state === "none" ? "Not built" : WORD[state]}</Chip>}</div>
        <p class="facts">
          {tip && <span>Tip <b><Commit rev={tip.revision} /> {person(tip.author)}, <Time at={tip.at} suffix=" ago" /></b></span>}
          {since && <span>Red since <b><Time at={since} suffix=" ago" /></b></span>}
          {b && <span>{plural(b.builders.length, "builder")}</span>}
        </p>
        <div class="acts">
          <ForceButton builders={names} project={project} branch={branch} />
          {mine.length === 1 && <Promote e={mine[0]} />}
        </div>
      </div>
      {br.data && !b && <Empty title="This branch is not known">No builder has built it, and no change was seen on it. A push to it, or a forced build, begins it.</Empty>}
      {mine.map((e, i) => <EdgeLine key={e.edge} e={e} changes={log.items || []} builders={names} drawn={i === 0} button={mine.length > 1} />)}
      {!(br.data && !b) && <div class="grid">
        <Section title="Commits">
          <ListState list={log} what="The list of commits"><Quiet>No change was seen on this branch yet.</Quiet></ListState>
          {log.items && log.items.length > 0 && <Commits items={log.items} builders={cols} edges={mine} />}
          <More list={log} />
        </Section>
        {b && <aside class="stack" aria-label="About this branch">
          <Section title="Builders">
            {b.builders.length ? <table><thead><tr><th>Builder</th><th>Streak</th><th class="num">Usual</th></tr></thead><tbody>
              {b.builders.map(x => <BuilderLine key={x.builder} x={x} project={project} />)}</tbody></table> : <Quiet>No builder has built it.</Quiet>}
          </Section>
          <Section title="Edges">
            {b.edges.length ? <ul class="rows feed">{b.edges.map(e => <li key={e.edge}><StateIcon state={edgeState(e)} text={e.state} />
              <span><a class="go" href={withQuery("/promotions", { edge: e.edge })}>{e.from} → {e.to}</a><br /><small>{e.reason}</small></span><small>{e.kind}</small></li>)}</ul> : <Quiet>Nothing promotes from or to this branch.</Quiet>}
          </Section>
        </aside>}
      </div>}
    </>
  );
}

function BuilderLine({ x, project }) {
  const usual = useUsual(x.builder, project), s = stateOf(x);
  return <tr><td><a class="plain" href={to.builder(x.builder, project)}><StateIcon state={s} /> {x.builder}</a></td>
    <td>{x.streak ? `${isBad(x) ? "red" : "green"} ${count(x.streak)}` : ""}</td><td class="num">{duration(usual)}</td></tr>;
}

// what an edge says in one sentence
function sentence(e) {
  const at = e.revision ? <>{e.to} is at <code>{rev7(e.revision)}</code></> : <>{e.to} does not exist yet</>;
  if (e.state === "done" && !e.behind) return <><b>{at}, the tip.</b></>;
  const behind = e.behind > 0 ? `, ${plural(e.behind, "commit")} behind` : "";
  return <><b>{at}{behind}.</b> {e.held_by && e.held_by.length ? `Held by ${some(e.held_by, 5)}. ` : ""}{e.reason}</>;
}
function Promote({ e, small }) {
  return <AskButton label="Try to promote" small={small} scope="operate" hook="promote" run={() => post(`/promotions/${encodeURIComponent(e.edge)}/run`, {})} done={a => `${e.edge}: ${a.data.reason}`} />;
}
function EdgeLine({ e, changes, builders, drawn, button }) {
  const box = useRef(null), [width, setWidth] = useState(0);
  useEffect(() => {
    if (!drawn) return undefined;
    const o = new ResizeObserver(() => setWidth(box.current ? box.current.clientWidth : 0));
    o.observe(box.current);
    return () => o.disconnect();
  }, []);
  const { nodes, at } = line(changes, builders, e, width), y = 52;
  const older = at < 0 && e.revision;
  return (
    <section class="line" aria-labelledby={`e-${e.edge}`}>
      <div class="sec"><h2 id={`e-${e.edge}`}>Where {e.to} stands</h2><span><small>edge <code>{e.edge}</code>: {e.kind}</small> {button && <Promote e={e} small />}</span></div>
      <p class="note"><StateIcon state={edgeState(e)} text={e.state} /><span>{sentence(e)}</span></p>
      {drawn && <div class="w1" ref={box}>
        {width > 0 && nodes.length > 1 && <svg viewBox={`0 0 ${width} 88`} height="88" width={width} role="img" aria-label={`Commits of ${e.from} from old to new. ${e.to} ${at >= 0 ? `stands at ${rev7(nodes[at].change.revision)}` : "stands at an older one"}.`}>
          {at >= 0 && <line class="done" x1="0" y1={y} x2={nodes[at].x} y2={y} />}
          <line class="rail" x1={at >= 0 ? nodes[at].x : 0} y1={y} x2={nodes[nodes.length - 1].x} y2={y} stroke-dasharray="5 5" />
          {nodes.map((n, i) => <Dot key={n.change.id} n={n} y={y} done={i <= at} />)}
          {nodes.map((n, i) => <text key={n.change.id} x={n.x} y="84" text-anchor="middle">{rev7(n.change.revision)}</text>)}
          {notes(nodes, at, e, width).map(t => <text key={t.x} x={t.x} y="32" text-anchor="middle" class={t.cls}>{t.text}</text>)}
          {at >= 0 && <Flag x={nodes[at].x} text={e.to} width={width} />}
          {older && <Flag x={64} text={`${e.to} ←`} width={width} />}
        </svg>}
      </div>}
    </section>
  );
}
// at most one text where there is room for it
function notes(nodes, at, e, width) {
  const out = [];
  let free = at >= 0 ? nodes[at].x + 76 : 140;
  nodes.forEach((n, i) => {
    if (i <= at) return;
    const last = i === nodes.length - 1, text = note(n, e) || (last ? "tip" : "");
    const half = text.length * 3.4;
    if (!text || n.x - half < free) return;
    free = n.x + half + 8;
    out.push({ x: Math.min(n.x, width - half - 4), text, cls: last && text === "tip" ? "flagt" : "" });
  });
  return out;
}
function Dot({ n, y, done }) {
  const { x, state } = n;
  const title = <title>{`${rev7(n.change.revision)} ${n.change.title || ""}`}</title>;
  if (state === "red") return <path class="fail" d={`M${x - 4} ${y - 9}h8l5 5v8l-5 5h-8l-5-5v-8z`}>{title}</path>;
  if (done || state === "full") return <circle class="ok" cx={x} cy={y} r="6">{title}</circle>;
  if (state === "half") return <g>{title}<circle class="dot" cx={x} cy={y} r="6" /><path class="ok" d={`M${x} ${y - 6}a6 6 0 0 0 0 12z`} /></g>;
  if (state === "run") return <g>{title}<circle class="dot" cx={x} cy={y} r="7" /><circle class="runf" cx={x} cy={y} r="7" /></g>;
  return <circle class="dot" cx={x} cy={y} r="4">{title}</circle>;
}
function Flag({ x, text, width }) {
  const cut = text.length > 22 ? `${text.slice(0, 21)}…` : text, w = Math.max(60, cut.length * 7 + 20), c = Math.max(w / 2 + 2, Math.min(width - w / 2 - 2, x));
  return <g><path class="flag" d={`M${c - w / 2 + 4} 6h${w - 8}a4 4 0 0 1 4 4v14a4 4 0 0 1-4 4h${-(c + w / 2 - 4 - (x + 6))}l-6 8-6-8h${-(x - 6 - (c - w / 2 + 4))}a4 4 0 0 1-4-4V10a4 4 0 0 1 4-4z`} /><text class="on" x={c} y="21" text-anchor="middle">{cut}</text></g>;
}
