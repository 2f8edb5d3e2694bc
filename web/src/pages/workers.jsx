// Workers: those that need somebody first.
import { useState } from "preact/hooks";
import { post } from "../api.js";
import { count, plural, size } from "../format.js";
import { stateOf, workerState } from "../state.js";
import { to } from "../router.js";
import { can, me, useData, useTitle } from "../use.js";
import { AskButton, Dialog, Empty, Headline, Section, Square, Time, Waiting } from "../parts/index.jsx";

const WORD = { connected: "Idle", missing: "Missing", quarantined: "Quarantined", paused: "Paused", draining: "Draining", removed: "Removed", new: "New" };
const first = { missing: 0, quarantined: 1, new: 2, draining: 3, paused: 4, connected: 5, removed: 9 };
export const wordOf = w => w.state === "connected" && w.busy ? "Busy" : w.state === "connected" && w.gate ? "Full" : WORD[w.state] || w.state;
export const stateOfWorker = w => w.state === "connected" && w.gate ? "warnings" : workerState(w);

export default function Workers() {
  const ws = useData("/workers?limit=1000", { on: ["worker", "build"] });
  const run = useData("/builds?state=running&limit=1000", { on: ["build"] });
  const all = ((ws.data && ws.data.items) || []).filter(w => w.state !== "removed").sort((a, b) => (first[a.state] ?? 8) - (first[b.state] ?? 8) || !!b.gate - !!a.gate || a.name.localeCompare(b.name));
  const bad = all.filter(w => w.state === "missing" || w.state === "quarantined"), takes = all.filter(w => w.state === "connected" && !w.gate).length;
  const slots = all.reduce((n, w) => n + w.slots, 0), busy = all.reduce((n, w) => n + w.busy, 0);
  useTitle(bad.length ? `${bad.length} workers away` : "Workers", bad.length ? "red" : "none");
  return (
    <>
      <Headline crumb="Workers" facts={ws.data && <><span><b>{takes}</b> of {all.length} take work</span><span><b>{count(busy)}</b> of {count(slots)} slots busy</span></>} acts={<AddWorker />}>
        {!ws.data ? "Workers" : !all.length ? "There is no worker." : bad.length === 1 ? <em>{bad[0].name} is {bad[0].state}.</em> : bad.length ? <em>{bad.length} workers need you.</em> : takes === all.length ? (all.length === 1 ? "The worker takes work." : `All ${all.length} workers take work.`) : `${takes} of ${plural(all.length, "worker")} take work.`}
      </Headline>
      <Section title="All" n={ws.data ? all.length : null} more={<small>those that need you first</small>}>
        <Waiting of={ws} what="The list of workers" />
        {ws.data && !all.length && <Empty title="No worker has joined yet"><code>pawl worker add NAME</code>, or the button above, gives the line to run on a machine.</Empty>}
        {all.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Workers"><table><thead><tr><th>State</th><th>Worker</th><th>Slots</th><th class="num w2">Load</th><th class="num w2">Disk free</th><th class="w2">Tags</th><th class="w1">What it does</th><th class="w1"><span class="vh">Actions</span></th></tr></thead>
          <tbody>{all.map(w => <Line key={w.name} w={w} builds={run.data ? run.data.items.filter(b => b.worker === w.name) : []} />)}</tbody></table></div>}
      </Section>
    </>
  );
}

function Line({ w, builds }) {
  const f = w.facts || {};
  return (
    <tr>
      <td><span class={`st ${stateOfWorker(w)}`}><i />{wordOf(w)}</span></td>
      <td><a class="plain" href={to.worker(w.name)}><b>{w.name}</b></a><br /><small>{w.gate || (w.reason ? `${w.who ? `${w.who}: ` : ""}${w.reason}` : w.state === "missing" && w.last_seen ? <>seen <Time at={w.last_seen} suffix=" ago" /></> : f.os || "")}</small></td>
      <td><Slots w={w} builds={builds} /></td>
      <td class="num w2">{f.load || "–"}</td><td class="num w2">{f.disk ? size(Number(f.disk)) : "–"}</td>
      <td class="w2"><small>{w.tags.join(" ") || "–"}</small></td>
      <td class="w1">{builds.length ? builds.slice(0, 3).map((b, i) => <>{i ? ", " : ""}<a href={to.build(b.id)}>{b.builder} #{b.id}</a></>) : <span class="dim">–</span>}{builds.length > 3 ? ` and ${builds.length - 3} more` : ""}</td>
      <td class="right w1"><WorkerButtons w={w} small /></td>
    </tr>
  );
}
export function Slots({ w, builds }) {
  if (w.slots > 8) return <>{w.busy} of {w.slots}</>;
  return <span class="sqs" role="img" aria-label={`${w.busy} of ${w.slots} slots busy`}>{Array.from({ length: w.slots }, (_, i) => <Square key={i} state={i < w.busy ? stateOf(builds[i] || { state: "running" }) : "free"} />)}</span>;
}
export function WorkerButtons({ w, small }) {
  const url = `/workers/${encodeURIComponent(w.name)}`, resume = () => post(`${url}/resume`, {});
  const off = w.state === "paused" || w.state === "draining" || w.state === "quarantined";
  return <span class="acts">{off ? <AskButton small={small} label="Resume" scope="operate" run={resume} done={`${w.name} takes work.`} />
    : <><AskButton small={small} label="Pause" scope="operate" run={reason => post(`${url}/pause`, { reason })} done={`${w.name} is paused. Its builds go on; new ones wait.`} undo={resume} confirm={{ title: `Pause ${w.name}`, text: "Its builds go on; new ones wait or go elsewhere.", verb: "Pause it", reason: true }} />
      <AskButton small={small} label="Drain" scope="operate" run={reason => post(`${url}/drain`, { reason })} done={`${w.name} ends what it has, and takes nothing more.`} undo={resume} confirm={{ title: `Drain ${w.name}`, text: "It ends what it has and takes nothing more; then it can be switched off.", verb: "Drain it", reason: true }} /></>}</span>;
}
function AddWorker() {
  const [open, setOpen] = useState(false), [name, setName] = useState(""), [line, setLine] = useState(null), [error, setError] = useState(null), who = me.use();
  const add = async () => {
    setError(null);
    try { setLine((await post("/workers", { name })).data); } catch (e) { setError(e.message); }
  };
  const close = () => { setOpen(false); setLine(null); setName(""); setError(null); };
  return <>
    <button class="btn" disabled={!can(who, "admin")} title={can(who, "admin") ? undefined : "needs the right admin"} onClick={() => setOpen(true)}>Add a worker</button>
    {open && <Dialog title={line ? `Run this on ${line.name}` : "Add a worker"} verb={line ? "Done" : "Make its line"} onClose={close} onDo={() => line ? close() : add()} wide
      text={line ? "It works once, and only for an hour. It is shown here and nowhere else." : "The answer is the line to run on the machine."}>
      {line ? <p class="pad"><code class="quote copy" tabIndex={0}>{line.line}</code></p> : <label class="field"><span>Name</span><input value={name} required pattern="[A-Za-z0-9][A-Za-z0-9._\-]*" onInput={e => setName(e.target.value)} /></label>}
      {error && <p class="refused" role="alert">{error}</p>}
    </Dialog>}
  </>;
}
