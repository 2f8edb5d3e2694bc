// The queue: what waits, by cause; what never starts as things are stands first.
import { useState } from "preact/hooks";
import { post } from "../api.js";
import { grouped } from "../cause.js";
import { plural, roughly } from "../format.js";
import { to } from "../router.js";
import { status, useClock, useData, useTitle } from "../use.js";
import { AskButton, BuildRows, Empty, Headline, ListState, More, Rows, Section, StateIcon, Time, Waiting, Why, useList } from "../parts/index.jsx";

export default function Requests() {
  const list = useList("/requests", { state: "waiting", why: 1, limit: 100 }, { on: ["request", "build", "worker"], gap: 2000, by: r => r.id });
  const run = useData("/builds?state=running&limit=100", { on: ["build"] }), st = status.use();
  const all = list.items || [], groups = grouped(all), you = groups.find(g => g.key === "you"), n = you ? you.items.length : 0;
  const oldest = all.reduce((t, r) => (!t || r.created < t ? r.created : t), null);
  useTitle(all.length ? `${list.next && st ? st.builds.waiting : all.length} wait` : "Queue", n ? "red" : run.data && run.data.items.length ? "running" : "none");
  return (
    <>
      <Headline crumb="Queue" facts={st && <><span><b>{st.workers.busy}</b> of {st.workers.slots} slots busy</span>{oldest && <span>Longest wait <b><Time at={oldest} /></b></span>}</>}>
        {list.items === undefined ? "Queue" : !all.length ? "Nothing waits." : <>{plural(list.next && st ? Math.max(st.builds.waiting, all.length) : all.length, "request waits", "requests wait")}. {n ? <em>{n === 1 ? "1 needs you" : list.next ? `At least ${n} need you` : `${n} need you`}.</em> : all.length === 1 ? "It starts by itself." : "All start by themselves."}</>}
      </Headline>
      <div class="stack">
        <ListState list={list} what="The queue"><Empty title="Nothing waits">Every request has its build. What is pushed or forced while all slots are busy would stand here, with the reason.</Empty></ListState>
        {groups.map(g => <Section key={g.key} title={g.title} n={g.items.length} more={g.hint && <small>{g.hint}</small>}><Some items={g.items} bad={g.key === "you"} /></Section>)}
        <More list={list} />
        <Section title="Running" n={run.data ? run.data.items.length : null} more={<small>by the usual duration</small>}>
          <Waiting of={run} what="What runs" rows={2} />
          {run.data && run.data.items.length > 0 && <BuildRows items={run.data.items} label="Running builds" />}
          {run.data && !run.data.items.length && <p class="quiet">Nothing runs.</p>}
        </Section>
      </div>
    </>
  );
}

const FEW = 12;
function Some({ items, bad }) {
  const [all, setAll] = useState(false);
  return <><QueueRows items={all ? items : items.slice(0, FEW)} bad={bad} />
    {!all && items.length > FEW && <p class="pad"><button class="btn" onClick={() => setAll(true)}>Show {items.length - FEW} more</button></p>}</>;
}
export function Starts({ r }) {
  const text = useClock(now => {
    if (!r.starts_at) return "";
    const ms = Date.parse(r.starts_at) - now;
    return ms <= 0 ? "any moment" : `in ${roughly(ms)}`;
  }, [r.starts_at]);
  return <span class="nowrap">{text || (r.why && r.why.cause === "manual" ? "by a person" : "")}</span>;
}
export function QueueRows({ items, bad }) {
  return (
    <Rows items={items} by={r => r.id} cls="queue" what="request" label="Requests">
      {(r, gone) => (
        <li key={r.id} class={gone ? "gone" : undefined}>
          <StateIcon state={bad ? "exception" : "waiting"} text="Waiting" />
          <span class="cut" title={`${r.builder} on ${r.project} / ${r.branch}`}><a class="go" href={to.request(r.id)}>{r.builder} {r.branch}</a></span>
          <span class="msg"><span class="cut" title={r.why && r.why.reason}>{r.why ? <Why why={r.why} /> : r.held || "waits"}</span></span>
          <span class="w1 dim nowrap">waits <Time at={r.created} /></span>
          <span class="right nowrap"><Starts r={r} /></span>
          <span class="w1 acts">
            {r.why && r.why.cause === "manual" && <AskButton small label="Start" run={() => post(`/requests/${r.id}/start`, {})} done={`Request ${r.id} starts.`} />}
            <AskButton small label="Cancel" run={() => post(`/requests/${r.id}/cancel`, { reason: "cancelled on the page" })} done={`Request ${r.id} is cancelled. It will not run.`} />
          </span>
        </li>
      )}
    </Rows>
  );
}
