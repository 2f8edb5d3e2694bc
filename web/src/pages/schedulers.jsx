// What asks for builds, and what is paused.
import { post } from "../api.js";
import { duration, plural } from "../format.js";
import { to } from "../router.js";
import { useData, useTitle } from "../use.js";
import { AskButton, Empty, Headline, Section, Time, Waiting } from "../parts/index.jsx";

function how(s) {
  return [s.cron ? `${s.cron}${s.zone ? ` ${s.zone}` : ""}` : "", s.every_ms ? `every ${duration(s.every_ms)}` : "", s.after ? `after ${s.after}` : "", s.branch ? `on ${s.branch}` : "", s.quiet_ms ? `quiet ${duration(s.quiet_ms)}` : "", s.testfix ? "test-fix mode" : "", s.supersede && s.supersede !== "none" ? `supersedes ${s.supersede}` : "", s.priority ? `priority ${s.priority}` : ""].filter(Boolean).join(", ");
}
export default function Schedulers() {
  const ss = useData("/schedulers?limit=1000", { on: ["switch", "config"] }), all = ss.data ? ss.data.items : [], off = all.filter(s => s.paused);
  useTitle("Schedulers", "none");
  const url = s => `/schedulers/${encodeURIComponent(s.name)}`;
  return (
    <>
      <Headline crumb="Schedulers">{!ss.data ? "Schedulers" : off.length ? `${plural(off.length, "scheduler is", "schedulers are")} paused.` : all.length ? "No scheduler is paused." : "There is no scheduler."}</Headline>
      <Section title="All" n={ss.data ? all.length : null}>
        <Waiting of={ss} what="The schedulers" />
        {ss.data && !all.length && <Empty title="Nothing asks for builds by itself"><code>schedulers:</code> in <code>master.yaml</code> would fill this page.</Empty>}
        {all.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Schedulers"><table><thead><tr><th>Scheduler</th><th>Kind</th><th>Project</th><th>Builders</th><th>How</th><th><span class="vh">Actions</span></th></tr></thead><tbody>
          {all.map(s => <tr key={s.name}><td><b>{s.name}</b>{s.paused && <><br /><small>paused by {s.paused.who} <Time at={s.paused.at} suffix=" ago" />{s.paused.reason ? `: ${s.paused.reason}` : ""}</small></>}</td><td>{s.kind}</td><td>{s.project}</td>
            <td class="breaks">{s.builders.slice(0, 6).map((b, i) => <>{i ? ", " : ""}<a href={to.builder(b, s.project)}>{b}</a></>)}{s.builders.length > 6 ? ` and ${s.builders.length - 6} more` : ""}</td><td>{how(s)}</td>
            <td class="right">{s.paused ? <AskButton small label="Resume" scope="operate" run={async () => { const a = await post(`${url(s)}/resume`, {}); ss.reload(); return a; }} done={`${s.name} asks for builds again.`} />
              : <AskButton small label="Pause" scope="operate" run={async reason => { const a = await post(`${url(s)}/pause`, { reason }); ss.reload(); return a; }} done={`${s.name} is paused.`} confirm={{ title: `Pause ${s.name}`, text: "It asks for no builds until it is resumed.", verb: "Pause it", reason: "must" }} />}</td></tr>)}
        </tbody></table></div>}
      </Section>
    </>
  );
}
