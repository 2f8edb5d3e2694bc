// One request: what it waits for, and what would change it.
import { post } from "../api.js";
import { iconOf } from "../state.js";
import { to, withQuery } from "../router.js";
import { useData, useTitle } from "../use.js";
import { AskButton, Commit, Headline, Section, Time, Trouble, Why } from "../parts/index.jsx";
import { Starts } from "./requests.jsx";

export default function Request({ params }) {
  const id = Number(params.id), only = d => !d.id || d.id === id || d.request === id;
  const r = useData(`/requests/${params.id}`, { on: ["request", "build"], only });
  const why = useData(r.data && r.data.state !== "done" ? `/requests/${params.id}/why` : null, { on: ["request", "build", "worker"], gap: 2000 });
  useTitle(r.data ? `${r.data.state === "waiting" ? "Waiting" : "Request"}: ${r.data.builder} #${params.id}` : `Request ${params.id}`, iconOf(r.data && r.data.state === "waiting" ? "waiting" : "unknown"));
  if (r.error && !r.data) return <Trouble error={r.error} what={`Request ${params.id}`} again={r.reload} />;
  const d = r.data;
  if (!d) return null;
  const waits = d.state === "waiting";
  return (
    <>
      <Headline crumb={<><a href="/requests">Queue</a> / request {d.id}</>}
        facts={<><span>Builder <b><a href={to.builder(d.builder, d.project)}>{d.builder}</a></b></span><span>Branch <b><a href={to.branch(d.project, d.branch)}>{d.project} / {d.branch}</a></b></span>{d.revision && <span>Commit <b><Commit rev={d.revision} /></b></span>}<span>Asked <b><Time at={d.created} suffix=" ago" /></b></span></>}
        acts={waits && <>{why.data && why.data.cause === "manual" && <AskButton label="Start it" main run={() => post(`/requests/${d.id}/start`, {})} done={`Request ${d.id} starts.`} />}
          <AskButton label="Cancel the request" hook="cancel" run={() => post(`/requests/${d.id}/cancel`, { reason: "cancelled on the page" })} done={`Request ${d.id} is cancelled. It will not run.`} /></>}>
        {waits ? `${d.builder} waits.` : d.build ? <>{d.builder} has its build, <a href={to.build(d.build)}>#{d.build}</a>.</> : d.rode_with ? <>It rode with request <a href={to.request(d.rode_with)}>{d.rode_with}</a>.</> : "It is done, without a build."}
      </Headline>
      <div class="stack"><Section title="Why">
        <div class="pad">{why.error ? <Trouble error={why.error} what="The reason" again={why.reload} /> : why.data ? <p class="note"><span class="st waiting"><i /></span><span><Why why={why.data} /> {why.data.ahead > 0 && `${why.data.ahead} are before it. `}{why.data.eta_ms != null && <Starts r={{ starts_at: new Date(Date.now() + why.data.eta_ms).toISOString() }} />}</span></p>
          : d.state === "done" ? <p class="quiet">Nothing is left to do for it.</p> : null}</div>
      </Section>
      <Section title="What was asked"><dl class="kv"><dt>Reason</dt><dd>{d.reason || "–"}{d.who ? `, by ${d.who}` : ""}</dd><dt>Priority</dt><dd>{d.priority}</dd><dt>Build set</dt><dd>{d.buildset ?? "–"}</dd>{d.held && <><dt>Held</dt><dd>{d.held}</dd></>}
        <dt>Others</dt><dd><a href={withQuery("/builds", { builder: d.builder, branch: d.branch, project: d.project })}>builds of {d.builder} on {d.branch}</a></dd></dl></Section></div>
    </>
  );
}
