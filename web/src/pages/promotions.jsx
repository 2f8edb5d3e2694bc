// Where each promoted branch stands, and what moved.
import { post } from "../api.js";
import { plural } from "../format.js";
import { edgeState } from "../state.js";
import { useData, useTitle } from "../use.js";
import { AskButton, Commit, Empty, Headline, ListState, More, Quiet, Rows, Section, StateIcon, Time, Waiting, useList } from "../parts/index.jsx";

export default function Promotions({ query }) {
  const q = new URLSearchParams(location.search).get("edge") || query.edge;
  const edges = useData("/promotions?edges=1&limit=200", { on: ["promotion", "build"] });
  const log = useList("/promotions", { edge: q, limit: 60 }, { on: ["promotion"], by: p => p.id });
  const all = edges.data ? edges.data.items.filter(e => !q || e.edge === q) : [], bad = all.filter(e => e.state === "diverged");
  useTitle("Promotions", bad.length ? "red" : "none");
  return (
    <>
      <Headline crumb="Promotions" facts={q && <span>Only <b>{q}</b> · <a href="/promotions">all edges</a></span>}>{!edges.data ? "Promotions" : bad.length ? <em>{plural(bad.length, "edge has", "edges have")} diverged.</em> : all.length ? "No edge has diverged." : "There is no promotion."}</Headline>
      <div class="stack">
        <Section title="Edges">
          <Waiting of={edges} what="The edges" />
          {edges.data && !all.length && <Empty title="Nothing is promoted"><code>promotions:</code> in <code>master.yaml</code> would fill this page: which branch follows which, once what is green.</Empty>}
          {all.length > 0 && <Rows items={all} by={e => e.edge} cls="edges" label="Edges">
            {e => <li key={e.edge}><StateIcon state={edgeState(e)} text={e.state} /><span class="cut"><a class="go" href={`/promotions?edge=${encodeURIComponent(e.edge)}`}>{e.edge}</a></span><span class="msg"><span class="cut" title={e.reason}>{e.reason || e.state}</span></span><span class="w1"><Commit rev={e.revision} /></span><span class="right dim nowrap"><Time at={e.at} /></span>
              <span class="acts"><AskButton small label="Look" scope="operate" why="a dry run: what would move, and why not" run={() => post(`/promotions/${encodeURIComponent(e.edge)}/run`, { dry_run: true })} done={a => `${e.edge}: ${a.data.reason}`} />
                <AskButton small label="Promote now" scope="operate" run={() => post(`/promotions/${encodeURIComponent(e.edge)}/run`, {})} done={a => `${e.edge} is looked at: ${a.data.reason}`} /></span></li>}
          </Rows>}
        </Section>
        <Section title="What moved">
          <ListState list={log} what="What moved"><Quiet>Nothing has moved yet.</Quiet></ListState>
          {log.items && log.items.length > 0 && <Rows items={log.items} by={p => p.id} cls="edges moved" what="promotion" label="What moved">
            {(p, gone) => <li key={p.id} class={gone ? "gone" : undefined}><StateIcon state={edgeState(p)} text={p.state} /><span class="cut">{p.edge}</span><span class="msg cut" title={p.reason}>{p.reason || (p.from ? <>from <Commit rev={p.from} /></> : "")}</span><span class="w1"><Commit rev={p.revision} /></span><span class="right dim nowrap"><Time at={p.at} /></span></li>}
          </Rows>}
          <More list={log} />
        </Section>
      </div>
    </>
  );
}
