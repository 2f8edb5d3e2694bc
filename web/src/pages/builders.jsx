// All builders, those that are red or paused first.
import { plural, some } from "../format.js";
import { isRed, stateOf, worst } from "../state.js";
import { to } from "../router.js";
import { status, useData, useTitle } from "../use.js";
import { Empty, Headline, Rows, Section, StateIcon, Square, Waiting } from "../parts/index.jsx";

export default function Builders() {
  const bs = useData("/builders?limit=1000", { on: ["config", "switch"] }), st = status.use();
  const latest = new Map();
  for (const i of (st && st.items) || []) {
    const k = `${i.project}\n${i.builder}`;
    latest.set(k, [...(latest.get(k) || []), i]);
  }
  const all = ((bs.data && bs.data.items) || []).map(b => {
    const on = (latest.get(`${b.project}\n${b.name}`) || []).map(i => ({ ...i, state: stateOf({ result: i.result }) }));
    return { ...b, on, red: on.filter(i => isRed(i.state)), state: worst(on.map(i => i.state)) };
  }).sort((a, b) => b.red.length - a.red.length || !!b.paused - !!a.paused || a.project.localeCompare(b.project) || a.name.localeCompare(b.name));
  const red = all.filter(b => b.red.length), paused = all.filter(b => b.paused);
  useTitle(red.length ? `${red.length} builders red` : "Builders", red.length ? "red" : "none");
  return (
    <>
      <Headline crumb="Builders" facts={bs.data && <><span>{plural(all.length, "builder")}</span>{paused.length > 0 && <span><b>{paused.length}</b> paused</span>}<span><a href="/builds">All builds</a></span></>}>
        {!bs.data ? "Builders" : red.length ? <><em>{plural(red.length, "builder is", "builders are")} red.</em></> : all.length ? "No builder is red." : "There is no builder."}
      </Headline>
      <Section title="All">
        <Waiting of={bs} what="The list of builders" />
        {bs.data && !all.length && <Empty title="No builder yet"><code>builders:</code> in <code>master.yaml</code>, or in the <code>.pawl.yaml</code> of a repository, would fill this list.</Empty>}
        {all.length > 0 && <Rows items={all} by={b => `${b.project}\n${b.name}`} cls="builders" what="builder" label="Builders">
          {b => <li key={`${b.project}/${b.name}`}><StateIcon state={b.paused ? "cancelled" : b.state} text={b.paused ? "Paused" : undefined} />
            <span class="cut" title={b.name}><a class="go" href={to.builder(b.name, b.project)}>{b.name}</a> <span class="dim">{b.project}</span></span>
            <span class="msg cut">{b.paused ? `paused by ${b.paused.who || "somebody"}${b.paused.reason ? `: ${b.paused.reason}` : ""}` : b.red.length ? `red on ${some(b.red.map(i => i.branch), 4)}` : b.on.length ? `green on ${plural(b.on.length, "branch", "branches")}` : "has built nothing yet"}</span>
            <span class="w1"><span class="sqs" role="img" aria-label={b.on.map(i => `${i.branch} ${i.state}`).join(", ") || "nothing built"}>{[...b.red, ...b.on.filter(i => !isRed(i.state))].slice(0, 6).map(i => <span key={i.branch} title={`${i.branch}: ${i.state}`}><Square state={i.state} /></span>)}{b.on.length > 6 && <small>+{b.on.length - 6}</small>}</span></span></li>}
        </Rows>}
      </Section>
    </>
  );
}
