// One builder: is it red, is it slower than usual; its history, its queue, its builds.
import { useEffect, useRef, useState } from "preact/hooks";
import { post } from "../api.js";
import { count, duration, plural, some } from "../format.js";
import { iconOf, isRed, stateOf, worst } from "../state.js";
import { withQuery } from "../router.js";
import { useData, useTitle } from "../use.js";
import { AskButton, BuildRows, Chip, Filters, ForceButton, HistoryStrip, ListState, More, Quiet, Section, Time, Trouble, Waiting, useList } from "../parts/index.jsx";
import { QueueRows } from "./requests.jsx";

export default function Builder({ params, query, path }) {
  const name = params.name, { project, branch } = query, url = `/builders/${encodeURIComponent(name)}`;
  const only = d => !d.builder || d.builder === name;
  const b = useData(withQuery(url, { project }), { on: ["build", "switch", "config"], only });
  const proj = project || (b.data && b.data.project);
  const history = useData(b.data ? withQuery(`${url}/history`, { limit: 200, project, branch }) : null, { on: ["build"], only, gap: 2000 });
  const queue = useData(b.data ? "/requests?state=waiting&why=1&limit=100" : null, { on: ["request", "build"], gap: 2000 });
  const builds = useList("/builds", { builder: name, project: proj, branch, limit: 40 }, { on: ["build"], only, by: x => x.id });
  const latest = b.data ? b.data.latest.map(l => ({ ...l, s: stateOf({ result: l.result }) })) : [], red = latest.filter(l => isRed(l.s));
  const state = b.data && b.data.paused ? "cancelled" : worst(latest.map(l => l.s));
  useTitle(red.length ? `Red: ${name}` : name, b.data ? iconOf(state) : "none");
  if (b.error && !b.data) return <Trouble error={b.error} what="The builder" again={b.reload} />;
  const h = history.data, over = h ? h.items.filter(i => i.result && !["cancelled", "skipped"].includes(i.result)) : [];
  const good = over.filter(i => i.result === "success" || i.result === "warnings").length;
  const mine = queue.data ? queue.data.items.filter(r => r.builder === name && (!proj || r.project === proj)) : null;
  return (
    <>
      <div class="head">
        <p class="crumb"><a href="/builders">Builders</a>{proj ? ` / ${proj}` : ""}</p>
        <div class="title"><h1>{name}</h1>{b.data && <Chip state={state}>{b.data.paused ? "Paused" : red.length ? `Red on ${some(red.map(l => l.branch), 2)}` : undefined}</Chip>}</div>
        <p class="facts">{b.data && b.data.paused ? <span>Paused by <b>{b.data.paused.who}</b> <Time at={b.data.paused.at} suffix=" ago" />{b.data.paused.reason ? `: ${b.data.paused.reason}` : ""}</span> : null}
          {latest.length > 0 && <span>Builds <b>{plural(latest.length, "branch", "branches")}</b></span>}{branch && <span>Only <b>{branch}</b> · <a href={withQuery(path, { project })}>all branches</a></span>}</p>
        {b.data && <div class="acts">
          <ForceButton builders={[name]} project={b.data.project} branch={branch} main />
          {b.data.paused
            ? <AskButton label="Resume" scope="operate" run={() => post(`${url}/resume`, { project: b.data.project })} done={`${name} takes requests again.`} />
            : <AskButton label="Pause" scope="operate" run={reason => post(`${url}/pause`, { project: b.data.project, reason })} done={`${name} is paused. Requests wait; running builds go on.`}
              undo={() => post(`${url}/resume`, { project: b.data.project })} confirm={{ title: `Pause ${name}`, text: "Its requests wait; what runs goes on.", verb: "Pause it", reason: "must" }} />}
        </div>}
      </div>
      {h && over.length > 0 && <div class="stat">
        <div><span class="big">{(100 * good / over.length).toFixed(good === over.length ? 0 : 1)} %</span><small>green, last {plural(over.length, "build")}</small></div>
        <div><span class="big">{duration(h.median_ms) || "–"}</span><small>usual{h.p95_ms != null ? `; p95 ${duration(h.p95_ms)}` : ""}</small></div>
        {h.per_day && h.per_day.length > 0 && <div><span class="big">{count(h.per_day.reduce((n, d) => Math.max(n, d.builds), 0))}</span><small>builds on its busiest day</small></div>}
      </div>}
      <div class="stack">
        <Section title="Last builds" more={<small>green stands, red hangs, height is duration</small>}>
          <Waiting of={history} what="Its history" rows={3} />
          {h && (h.items.length ? <HistoryStrip items={h.items} usual={h.p95_ms} /> : <Quiet>It has built nothing yet. A push to its branches, or a forced build, would fill this.</Quiet>)}
        </Section>
        {h && over.length > 1 && <Plots h={h} />}
        <Section title="Queue" n={mine ? mine.length : null}>
          <Waiting of={queue} what="Its queue" rows={2} />
          {mine && (mine.length ? <QueueRows items={mine} /> : <Quiet>Nothing waits for it.</Quiet>)}
        </Section>
        <Section title="Builds" more={<Filters path={path} query={query} fields={[["branch", "Branch"]]} />}>
          <ListState list={builds} what="Its builds"><Quiet>No build{branch ? ` on ${branch}` : ""} yet.</Quiet></ListState>
          {builds.items && builds.items.length > 0 && <BuildRows items={builds.items} label={`Builds of ${name}`} />}
          <More list={builds} />
        </Section>
      </div>
    </>
  );
}

// the plots come as a file of their own, when they are in reach
function Plots({ h }) {
  const box = useRef(null), [Part, setPart] = useState(null), [error, setError] = useState(null);
  useEffect(() => {
    const o = new IntersectionObserver(e => {
      if (!e.some(x => x.isIntersecting)) return;
      o.disconnect();
      import("../parts/plots.jsx").then(m => setPart(() => m.Plots), setError);
    }, { rootMargin: "300px" });
    o.observe(box.current);
    return () => o.disconnect();
  }, []);
  return <div ref={box} class="plots">{Part ? <Part h={h} /> : error ? <Trouble error={error} what="The plots" /> : null}</div>;
}
