// Home: what is red, and what waits for what.
import { count, list, person, plural, rev7, some } from "../format.js";
import { branchState, edgeState, isBad, stateOf, verdict, WORD } from "../state.js";
import { to, withQuery } from "../router.js";
import { status, useData, useTitle } from "../use.js";
import { BuildRows, Chip, Commit, Empty, Headline, Quiet, Rows, Section, Square, StateIcon, Time, Waiting } from "../parts/index.jsx";

const CARDS = 5;
const LIVE = ["build", "promotion", "change", "config"];

export default function Home() {
  const st = status.use();
  const br = useData("/branches?limit=200", { on: LIVE });
  const run = useData("/builds?state=running&limit=30", { on: ["build"] });
  const all = br.data ? br.data.items : [];
  const red = byUrgency(all.filter(b => b.state === "red")), running = all.filter(b => b.state === "running").length;
  useTitle(red.length ? `${red.length} red` : "Pawl", red.length ? "red" : running ? "running" : br.data && all.some(b => b.state === "green") ? "green" : "none");
  const built = all.some(b => b.state !== "none");
  return (
    <>
      <Headline facts={st && <Facts st={st} />}>
        {!br.data ? (br.error ? "The branches could not be read." : "Pawl") : red.length ? <><em>{plural(red.length, "branch is", "branches are")} red.</em>{held(red)}</>
          : built ? "Nothing is red." : "Nothing was built yet."}
      </Headline>
      <div class="grid">
        <div class="stack">
          {red.length > 0 && <Section title="Red now" n={red.length}><div class="cards">{red.slice(0, CARDS).map(b => <RedCard key={`${b.project}/${b.branch}`} b={b} />)}</div>
            {red.length > CARDS && <p class="pad"><a href="/branches?state=red">{plural(red.length - CARDS, "more red branch", "more red branches")}</a></p>}</Section>}
          <Section title="Branches" n={all.length || null} more={<a href="/branches">All branches</a>}>
            <Waiting of={br} what="The list of branches" />
            {br.data && !all.length && <Empty title="No branch was seen yet">A project in <code>master.yaml</code> names a repository; its branches appear at the first look.</Empty>}
            {all.length > 0 && <BranchRows items={byUrgency(all.some(b => b.state !== "none") ? all.filter(b => b.state !== "none") : all).slice(0, 12)} />}
            {all.length > 12 && <p class="pad"><a href="/branches">{count(all.length - 12)} more branches</a></p>}
          </Section>
          <Section title="Running" n={run.data ? run.data.items.length : null} more={st && <a href="/requests">Queue: {st.builds.waiting ? plural(st.builds.waiting, "waits", "wait") : "nothing waits"}</a>}>
            <Waiting of={run} what="What runs" rows={3} />
            {run.data && (run.data.items.length ? <BuildRows items={run.data.items} label="Running builds" /> : <Quiet>Nothing runs.</Quiet>)}
          </Section>
        </div>
        <aside class="stack" aria-label="Today">
          {st && <Machines st={st} />}
          {st && st.promotions.length > 0 && <Section title="Promotions" more={<a href="/promotions">All</a>}><EdgeFeed items={st.promotions.slice(0, 8)} /></Section>}
          <Lately />
        </aside>
      </div>
    </>
  );
}

function held(red) {
  const names = [...new Set(red.flatMap(b => b.edges.filter(e => e.state !== "done" && (e.held_by || []).length).map(e => e.to)))];
  return names.length > 3 ? ` ${names.length} promoted branches are held.` : names.length ? ` ${list(names)} ${names.length === 1 ? "is" : "are"} held.` : "";
}
function Facts({ st }) {
  return <>
    <span>Running <b>{count(st.builds.open)}</b></span><span>Waiting <b>{count(st.builds.waiting)}</b></span>
    <span>Slots busy <b>{st.workers.busy} of {st.workers.slots}</b></span><span>Workers <b>{st.workers.connected} of {st.workers.known}</b></span>
  </>;
}

const rank = { failure: 0, exception: 1, running: 2, retry: 2, waiting: 3, warnings: 4, success: 5 };
export function byUrgency(all) {
  return [...all].sort((a, b) => (rank[branchState(a)] ?? 9) - (rank[branchState(b)] ?? 9) || (Date.parse(b.at || 0) || 0) - (Date.parse(a.at || 0) || 0));
}
// what holds it, in words
export function saying(b) {
  const edge = b.edges.find(e => e.state === "diverged") || b.edges.find(e => e.state !== "done") || b.edges[0];
  if (b.state === "none") return "not built yet";
  const busy = b.builders.filter(x => stateOf(x) === "running" || stateOf(x) === "waiting");
  if (b.state === "running" && busy.length) return `${b.builders.length - busy.length} of ${b.builders.length} builders done`;
  const bad = b.builders.filter(isBad).map(x => x.builder);
  if (!edge && bad.length) return `red in ${some(bad)}`;
  if (!edge) return "nothing promotes from here";
  if (edge.state === "done") return `${edge.to} is at the tip`;
  const behind = edge.behind > 0 ? `${edge.to} is ${count(edge.behind)} behind` : `${edge.to} waits`;
  return edge.held_by && edge.held_by.length ? `${behind}, held by ${some(edge.held_by)}` : edge.reason ? `${edge.to}: ${edge.reason}` : behind;
}
export function BranchRows({ items }) {
  return (
    <Rows items={items} by={b => `${b.project}\n${b.branch}`} cls="branches" what="branch" label="Branches"
      head={<li class="colhead" aria-hidden="true"><span /><span>Branch</span><span>What holds it</span><span class="w1">Builders</span><span class="right">Built</span></li>}>
      {(b, gone) => (
        <li key={`${b.project}/${b.branch}`} class={gone ? "gone" : undefined}>
          <StateIcon state={branchState(b)} />
          <span class="cut" title={`${b.project} / ${b.branch}`}><a class="go" href={to.branch(b.project, b.branch)}>{b.project} / {b.branch}</a></span>
          <span class="msg cut" title={saying(b)}>{saying(b)}</span>
          <span class="w1"><Squares builders={b.builders} /></span>
          <span class="right dim nowrap"><Time at={b.at} /></span>
        </li>
      )}
    </Rows>
  );
}
const MANY = 6;
export function Squares({ builders }) {
  const sorted = builders.length > MANY ? [...builders].sort((a, b) => (rank[stateOf(a)] ?? 9) - (rank[stateOf(b)] ?? 9)) : builders;
  return <span class="sqs" role="img" aria-label={builders.map(x => `${x.builder} ${WORD[stateOf(x)].toLowerCase()}`).join(", ") || "no builder"}>
    {sorted.slice(0, MANY).map(x => <span key={x.builder} title={`${x.builder}: ${WORD[stateOf(x)].toLowerCase()}`}><Square state={stateOf(x)} /></span>)}{builders.length > MANY && <small>+{builders.length - MANY}</small>}</span>;
}

// What is red on one branch, why, and what it holds.
function RedCard({ b }) {
  const bad = b.builders.filter(isBad), x = bad[0] && { ...bad[0], build: verdict(bad[0]).build };
  const build = useData(x && x.build ? `/builds/${x.build}` : null);
  const since = useData(x && (x.first_red || x.build) ? `/builds/${x.first_red || x.build}/changes` : null);
  if (!x) return null;
  const holds = b.edges.filter(e => (e.held_by || []).length).map(e => e.to), id = `red-${x.build}`;
  const suspects = since.data ? since.data.items : [];
  return (
    <article class="card break" aria-labelledby={id}>
      <div>
        <div class="title"><Chip state={branchState(b)}>Red</Chip><h3 id={id}><a href={to.branch(b.project, b.branch)}>{b.project} / {b.branch}</a></h3>
          <span class="dim">{some(bad.map(y => y.builder))} · since <Time at={x.red_since || x.finished} suffix=" ago" /></span></div>
        <a class="quote" href={to.build(x.build)}>{build.data && build.data.result_reason ? <b>{build.data.result_reason}</b> : `${x.builder} #${x.build}`}</a>
        <p class="facts">
          {suspects.length > 0 && <span>{suspects.length === 1 ? "Suspect" : "Suspects"} {suspects.slice(0, 3).map((c, i) => <span key={c.id}>{i ? ", " : ""}<b>{person(c.author)}</b> <Commit rev={c.revision} /></span>)}{suspects.length > 3 ? ` and ${suspects.length - 3} more` : ""}</span>}
          <span>Holds <b>{holds.length ? some(holds, 5) : "nothing"}</b></span>
        </p>
      </div>
      <div class="clock"><span class="big">{x.streak || 1}</span><small>{(x.streak || 1) === 1 ? "red build" : "red builds in a row"}</small><br />
        {x.first_red && x.first_red !== x.build && <a href={to.build(x.first_red)}><small>first #{x.first_red}</small></a>}</div>
    </article>
  );
}

function Machines({ st }) {
  const w = st.workers, away = w.known - w.connected;
  return <Section title="Workers" more={<a href="/workers">All workers</a>}>
    {w.known === 0 ? <Quiet>No worker has joined. <code>pawl worker add NAME</code> prints the line to run there.</Quiet>
      : <dl class="kv"><dt>Connected</dt><dd>{w.connected} of {w.known}{away > 0 && w.connected < w.known ? ` · ${away} away` : ""}</dd><dt>Slots</dt><dd>{w.busy} of {w.slots} busy</dd></dl>}
  </Section>;
}
export function EdgeFeed({ items }) {
  return <ul class="rows feed">{items.map(e => (
    <li key={e.edge}><StateIcon state={edgeState(e)} text={e.state} /><span><a class="go" href={withQuery("/promotions", { edge: e.edge })}>{e.edge}</a><br /><small>{e.reason || e.state}</small></span><small><Time at={e.at} /></small></li>
  ))}</ul>;
}
// what went red and what moved, newest first
function Lately() {
  const bad = useData("/builds?result=failure&limit=6", { on: ["build"] }), moved = useData("/promotions?limit=6", { on: ["promotion"] });
  const rows = [
    ...((bad.data && bad.data.items) || []).map(b => ({ key: `b${b.id}`, at: b.finished, state: stateOf(b), go: to.build(b.id), head: `${b.builder} #${b.id} went red`, tail: <>on {b.branch} at <code>{rev7(b.revision)}</code></> })),
    ...((moved.data && moved.data.items) || []).filter(p => p.state === "done" && p.revision).map(p => ({ key: `p${p.id}`, at: p.at, state: "success", go: withQuery("/promotions", { edge: p.edge }), head: `${p.to ? "" : ""}${p.edge} moved`, tail: <>to <code>{rev7(p.revision)}</code></> })),
  ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, 8);
  return <Section title="Lately">
    {rows.length === 0 ? bad.data && <Quiet>Nothing went red, nothing moved.</Quiet>
      : <ul class="rows feed">{rows.map(r => <li key={r.key}><StateIcon state={r.state} /><span><a class="go" href={r.go}>{r.head}</a> <span class="dim">{r.tail}</span></span><small><Time at={r.at} /></small></li>)}</ul>}
  </Section>;
}
