// One worker: what it is, what it does, what it did.
import { del } from "../api.js";
import { size } from "../format.js";
import { iconOf } from "../state.js";
import { useData, useTitle } from "../use.js";
import { go } from "../nav.js";
import { AskButton, BuildRows, Chip, Empty, ListState, More, Quiet, Section, Time, Trouble, useList } from "../parts/index.jsx";
import { Slots, stateOfWorker, WorkerButtons, wordOf } from "./workers.jsx";

export default function Worker({ params }) {
  const ws = useData("/workers?limit=1000", { on: ["worker", "build"] });
  const builds = useList("/builds", { worker: params.name, limit: 40 }, { on: ["build"], only: b => !b.worker || b.worker === params.name, by: b => b.id });
  const w = ws.data && ws.data.items.find(x => x.name === params.name);
  useTitle(w ? `${wordOf(w)}: ${w.name}` : params.name, w ? iconOf(stateOfWorker(w)) : "none");
  if (ws.error && !ws.data) return <Trouble error={ws.error} what="The worker" again={ws.reload} />;
  if (ws.data && !w) return <><div class="head"><h1 class="say">{params.name}</h1></div><Empty title="There is no such worker"><a href="/workers">All workers</a></Empty></>;
  if (!w) return null;
  const f = w.facts || {}, bytes = new Set(["memory", "disk"]);
  return (
    <>
      <div class="head">
        <p class="crumb"><a href="/workers">Workers</a></p>
        <div class="title"><h1>{w.name}</h1><Chip state={stateOfWorker(w)}>{wordOf(w)}</Chip></div>
        <p class="facts"><span>Slots <b>{w.busy} of {w.slots} busy</b> <Slots w={w} builds={[]} /></span><span>Seen <b><Time at={w.last_seen} suffix=" ago" /></b></span>{w.tags.length > 0 && <span>Tags <b>{w.tags.join(", ")}</b></span>}{w.provider && <span>Started by <b>{w.provider}</b></span>}
          {(w.gate || w.reason) && <span><b>{w.gate || w.reason}</b>{w.who && !w.gate ? `, by ${w.who}` : ""}</span>}</p>
        <div class="acts"><WorkerButtons w={w} /><AskButton label="Remove" scope="admin" run={async reason => { const a = await del(`/workers/${encodeURIComponent(w.name)}`, { reason }); go("/workers"); return a; }} done={`${w.name} is removed.`}
          confirm={{ title: `Remove ${w.name}`, text: "Its key is nobody's from then on, and its builds begin again elsewhere. It cannot come back without joining anew.", verb: `Remove ${w.name}`, reason: "must" }} /></div>
      </div>
      <div class="grid">
        <Section title="Its builds">
          <ListState list={builds} what="Its builds"><Quiet>It has built nothing yet.</Quiet></ListState>
          {builds.items && builds.items.length > 0 && <BuildRows items={builds.items} label={`Builds on ${w.name}`} />}
          <More list={builds} />
        </Section>
        <aside aria-label="About this worker"><Section title="Facts"><dl class="kv">{Object.entries(f).map(([k, v]) => <><dt key={k}>{k}</dt><dd class="breaks">{bytes.has(k) ? size(Number(v)) : v}</dd></>)}<dt>version</dt><dd>{w.version || "–"}</dd></dl></Section></aside>
      </div>
    </>
  );
}
