// A build: why it is red, its steps, the log, what it left, what changed.
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { del, get, post } from "../api.js";
import { count, duration, list, person, plural, rev7, size } from "../format.js";
import { iconOf, isOpen, isRed, stateOf, WORD } from "../state.js";
import { to, withQuery } from "../router.js";
import { useData, useTitle } from "../use.js";
import { go } from "../nav.js";
import { AskButton, Chip, Duration, Left, Progress, Section, StateIcon, Tag, Time, Trouble, Waiting } from "../parts/index.jsx";
import { Log } from "../log/log.jsx";
import * as link from "../log/link.js";

const TESTS = 10, CHANGES = 5;

export default function Build({ params, query }) {
  const id = +params.id, attempt = +query.attempt || null;
  const d = useData(`/builds/${params.id}`, { on: ["build", "step"], only: x => x.id === id || x.build === id, gap: 500 });
  const b = d.data, state = b ? stateOf(b) : "unknown";
  useTitle(b ? `${WORD[state]}: ${b.builder} #${b.id}` : `Build ${params.id}`, b ? iconOf(state) : "none");
  if (!b) {
    return <div class="head"><h1>Build {params.id}</h1>
      {d.error && d.error.status === 404 ? <p class="facts">There is no such build, or retention has removed it. <a href="/builds">All builds</a></p> : <Waiting of={d} what="The build" />}</div>;
  }
  return <Whole key={attempt || 0} b={b} state={state} params={params} attempt={attempt} d={d} />;
}

// the step that one wants to see: the one that is red, else what runs, else the last that printed something
function chosen(steps) {
  return steps.find(s => isRed(stateOf(s))) || steps.find(s => s.state === "running") || [...steps].reverse().find(s => s.lines > 0)
    || steps.find(s => s.state !== "waiting") || steps[0];
}

function Whole({ b, state, params, attempt, d }) {
  const old = useData(attempt ? `/builds/${b.id}/steps?attempt=${attempt}` : null);
  const steps = attempt ? (old.data ? old.data.items : []) : b.steps;
  const [name, setName] = useState(params.step || null), [target, setTarget] = useState(() => link.parse(location.hash));
  const [blame, setBlame] = useState(null), [kept, setKept] = useState(null);
  const stderr = !!name && name.endsWith(".stderr") && !steps.some(s => s.name === name), base = stderr ? name.slice(0, -7) : name;
  const step = (base && steps.find((s, i) => s.name === base || String(i) === base)) || chosen(steps);
  // what was chosen for the reader stays when the next step begins, but what runs is followed
  const [held, setHeld] = useState(null);
  useEffect(() => { if (step && (!held || !steps.some(s => s.name === held) || (steps.find(s => s.name === held).state === "done" && b.state !== "done"))) setHeld(step.name); });
  const shown = name ? step : steps.find(s => s.name === held) || step;
  const red = isRed(state), open = isOpen(state);
  const failed = useData(b.state === "done" ? `/builds/${b.id}/tests?result=failed&limit=${TESTS + 1}` : null);
  const changes = useData(`/builds/${b.id}/changes`);
  useEffect(() => {
    if (params.step) document.getElementById("log")?.scrollIntoView({ block: "start" });
  }, []);
  const select = useCallback((e, s, line) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    e.preventDefault();
    history.replaceState(history.state, "", withQuery(to.log(b.id, s), { attempt }) + (line ? `#L${line}` : ""));
    setName(s);
    setTarget(line ? { first: line, last: line } : null);
    document.getElementById("log")?.scrollIntoView({ block: "nearest" });
  }, [b.id, attempt]);
  const url = s => withQuery(to.log(b.id, s), { attempt });
  return (
    <>
      <Head b={b} state={state} open={open} changes={changes.data} d={d} onKept={setKept} />
      {d.error && <Trouble error={d.error} what="The build" again={d.reload} />}
      {attempt && attempt !== b.attempt && <div class="note kept"><span class="st retry"><i /></span><span>This is attempt {attempt} of {b.attempt}. <a href={to.build(b.id)}>Go to the last one</a></span></div>}
      {kept && <div class="note kept" role="status"><span class="st waiting"><i /></span><span>The work directory is on worker <b>{kept.worker}</b>{kept.hostname ? ` (${kept.hostname})` : ""}: <code>{kept.directory || "not told yet"}</code>, kept until <Time at={kept.until} />. Log in there and <code>cd</code> into it.</span></div>}
      <Notes items={b.annotations} />
      {red && <Cause b={b} steps={steps} blame={blame} tests={failed.data} changes={changes.data} select={select} url={url} />}
      <div class="build">
        <div class="side">
          <Section title="Steps" n={steps.length} more={b.started && <small><Duration from={b.started} to={b.finished} /></small>}>
            {steps.length ? <ol class="steps">{steps.map(s => (
              <li key={s.name}><a href={url(s.name)} aria-current={shown && s.name === shown.name ? "step" : undefined} onClick={e => select(e, s.name)} title={s.reason || undefined}>
                <StateIcon state={stateOf(s)} /><span class="cut">{s.name}</span><small><StepTime s={s} /></small></a></li>
            ))}</ol> : <p class="quiet">{b.state === "done" ? "No step was run." : "No worker has it yet."}</p>}
          </Section>
          <Artifacts b={b} attempt={attempt} />
          <Tests b={b} />
          <Properties b={b} />
          <Summary b={b} />
          {!red && changes.data && changes.data.items.length > 0 && <details><summary><h2>Since last green</h2><span class="dim">{changes.data.items.length}</span></summary><ChangeRows b={b} items={changes.data.items} /></details>}
          <Attempts b={b} attempt={attempt} />
        </div>
        {shown ? <Log key={`${shown.name} ${stderr} ${attempt || ""} ${b.attempt}`} build={b.id} step={shown} stderr={stderr} onStream={e => select(e, stderr ? shown.name : `${shown.name}.stderr`)} attempt={attempt} target={target} onBlame={setBlame} acts={<span class={`st ${stateOf(shown)}`}><i />{outcome(shown)}</span>} />
          : <section class="log" id="log" aria-label="Log"><p class="quiet pad">{"\u00a0"} There is no log yet.</p></section>}
      </div>
    </>
  );
}

function outcome(s) {
  if (s.state === "running") return "Running";
  if (s.state === "waiting") return "Waiting";
  if (s.exit_code) return `exit ${s.exit_code}`;
  if (s.signal) return `signal ${s.signal}`;
  return WORD[stateOf(s)];
}
function StepTime({ s }) {
  if (s.result === "skipped") return "skipped";
  if (!s.started) return "";
  return <Duration from={s.started} to={s.finished} />;
}

function Head({ b, state, open, changes, d, onKept }) {
  const own = changes && changes.items.find(c => c.revision === b.revision);
  const ask = (path, body) => post(`/builds/${b.id}/${path}`, body).then(a => { d.reload(); return a.data; });
  const again = a => { const n = a.requests.length; return `${n === 1 ? `Request ${a.requests[0]}` : `${n} requests`} asked for.`; };
  return (
    <div class="head">
      <p class="crumb"><a href={to.branch(b.project, b.branch)}>{b.project} / {b.branch}</a> / <a href={to.builder(b.builder, b.project)}>{b.builder}</a></p>
      <div class="title"><h1>{b.builder} #{b.id}</h1><Chip state={state}>{state === "waiting" && b.worker === null ? "Waiting for a worker" : undefined}</Chip></div>
      <p class="facts">
        <span>{own && own.subject ? <b>{own.subject} </b> : null}<code title={b.revision || undefined}>{rev7(b.revision)}</code>{own && own.author ? ` ${person(own.author)}` : ""}</span>
        <span>{said(b)} <Time at={b.created} suffix=" ago" />{KNOWN[b.reason] || !b.reason ? "" : <> (<b>{b.reason}</b>)</>}{b.finished && b.started ? <>, took <b><Duration from={b.started} to={b.finished} /></b>{b.usual_ms ? ` (usual ${duration(b.usual_ms)})` : ""}</> : null}</span>
        {open && b.started && <span>Runs <b><Duration from={b.started} /></b>{b.usual_ms ? <> of usual {duration(b.usual_ms)}: <b><Left from={b.started} usual={b.usual_ms} /></b></> : null}</span>}
        {b.worker && <span>Worker <b><a href={to.worker(b.worker)}>{b.worker}</a></b></span>}
        {b.attempt > 1 && <span>Attempt <b>{b.attempt}</b></span>}
        {b.request && <span><a href={to.request(b.request)}>Request {b.request}</a></span>}
        {b.pinned && <span title={b.pinned.reason || undefined}>Kept by <b>{b.pinned.who}</b></span>}
        {b.logs === "removed" && <span>Its logs were removed by retention</span>}
        {b.result_reason && !isRed(state) && state !== "success" && <span class="remark">{b.result_reason}</span>}
      </p>
      {open && b.started && b.usual_ms > 0 && <Progress from={b.started} usual={b.usual_ms} />}
      <div class="acts">
        {b.state !== "done" ? <AskButton label="Cancel" scope="build" run={reason => ask("cancel", reason ? { reason } : {})} done="The build is being cancelled."
          confirm={{ title: `Cancel ${b.builder} #${b.id}?`, text: "Its processes end; what it printed stays.", verb: "Cancel the build", reason: true }} />
          : <>
            {isRed(state) && b.steps.some(s => isRed(stateOf(s))) && <AskButton label="Retry what failed" main hook="retry" run={() => ask("retry", { failed: true })} done={again} undo={undoRetry} />}
            <AskButton label={isRed(state) ? "Retry all" : "Build again"} hook={isRed(state) ? undefined : "retry"} run={() => ask("retry", {})} done={again} undo={undoRetry} />
            {isRed(state) && <AskButton label="Enter its directory" scope="operate" run={() => ask("shell", {}).then(onKept)} />}
          </>}
        {b.pinned ? <AskButton label="Keep no longer" run={() => del(`/builds/${b.id}/pin`, {}).then(() => d.reload())} done="Retention may take it again." />
          : <AskButton label="Keep" why="Retention leaves the build and its logs alone" run={reason => ask("pin", reason ? { reason } : {})} done="The build and its logs are kept."
            confirm={{ title: `Keep ${b.builder} #${b.id}?`, text: "Retention leaves it and its logs alone until you say otherwise.", verb: "Keep the build", reason: true }} />}
      </div>
    </div>
  );
}
function undoRetry(a) { return Promise.all(a.requests.map(r => post(`/requests/${r}/cancel`, {}))).catch(() => {}); }
const KNOWN = { change: "Change", force: "Forced", retry: "Asked again", nightly: "By the clock", periodic: "By the clock" };
function said(b) {
  const word = KNOWN[b.reason];
  return word ? word + (b.who && b.reason !== "change" ? ` by ${b.who}` : "") : `Asked for${b.who ? ` by ${b.who}` : ""}`;
}

// ---- why it is red
function Cause({ b, steps, blame, tests, changes, select, url }) {
  const bad = steps.filter(s => isRed(stateOf(s))), first = bad[0];
  const names = tests ? tests.items : [], all = tests ? tests.reports.reduce((n, r) => n + r.failed, 0) : 0, total = tests ? tests.reports.reduce((n, r) => n + r.tests, 0) : 0;
  const head = all ? `${plural(all, "test")} failed` : first ? `${bad.length === 1 ? "Step" : "Steps"} ${list(bad.map(s => s.name))} ${b.result === "exception" ? "could not be run" : "failed"}` : b.result_reason || WORD[stateOf(b)];
  const items = changes ? changes.items : [];
  const rest = all - Math.min(TESTS, names.length);
  return (
    <section class={`why ${b.result === "exception" ? "exc" : ""}`} aria-labelledby="h-why">
      <h2 id="h-why">{head}</h2>
      <p>{evidence(b, first, changes)}</p>
      {blame && <a class="quote" href={`${url(blame.step)}#L${blame.line}`} onClick={e => select(e, blame.step, blame.line)} title={blame.text}>{blame.line} &nbsp;<b>{bare(blame.text)}</b></a>}
      {(names.length > 0 || items.length > 0) && (
        <div class="two">
          {names.length > 0 && <Section title="Failing tests" n={count(all)} more={<small>of {count(total)}</small>}>
            <ul class="rows tests">{names.slice(0, TESTS).map((t, i) => (
              <li key={i}><StateIcon state="failure" /><span class="cut" title={t.name}><span class="mono">{t.name}</span><br /><small>{t.suite || `step ${t.step}`}{t.ms ? ` · ${duration(t.ms)}` : ""}</small></span></li>
            ))}</ul>
            {rest > 0 && <p class="pad"><a href={`/api/v1/builds/${b.id}/tests?result=failed&limit=1000`}>{count(rest)} more</a></p>}
          </Section>}
          {items.length > 0 && <Section title={changes.since ? "Since last green" : "Changes"} n={items.length} more={changes.since && <a href={to.build(changes.since)}>Last green #{changes.since}</a>}><ChangeRows b={b} items={items} /></Section>}
        </div>
      )}
    </section>
  );
}
function bare(s) {
  const t = s.replace(/\x1b\[[\d;]*[A-Za-z]/g, ""), m = /^::error(?: ([^:]*))?::(.*)$/.exec(t);
  const at = m ? Object.fromEntries((m[1] || "").split(",").map(p => p.split("="))) : {};
  return ((at.file ? `${at.file}${at.line ? `:${at.line}` : ""}: ` : "") + (m ? m[2] : t)).trim() || "(an empty line)";
}
function evidence(b, first, changes) {
  const parts = [];
  if (b.result_reason && !/^step \S+ failed$/.test(b.result_reason)) parts.push(`${b.result_reason[0].toUpperCase()}${b.result_reason.slice(1)}.`);
  else if (first && (first.exit_code || first.signal)) parts.push(`Step ${first.name} ended with ${outcome(first)}.`);
  if (changes) {
    const revs = [...new Set(changes.items.map(c => rev7(c.revision)))];
    if (!changes.since) parts.push(`${b.builder} was never green on ${b.branch} before.`);
    else if (revs.length === 0) parts.push("Nothing changed since the last green build: the same revision was green before.");
    else if (revs.length === 1) parts.push(`It was green before ${revs[0]}.`);
    else parts.push(revs.length <= 3 ? `It was green before ${list(revs)}.` : `${count(revs.length)} commits came since the last green build.`);
  }
  return parts.join(" ");
}
function ChangeRows({ b, items }) {
  const [all, setAll] = useState(false);
  return <>
    <ul class="rows tests">{(all ? items : items.slice(0, CHANGES)).map(c => (
      <li key={c.id}><StateIcon state={c.revision === b.revision ? stateOf(b) : "unknown"} text={c.revision === b.revision ? "built here" : "not built by this builder"} />
        <span class="cut" title={c.subject || undefined}><a class="go" href={`${to.branch(c.project, c.branch)}`}>{c.subject || rev7(c.revision)}</a><br /><small><code>{rev7(c.revision)}</code> {person(c.author)} · <Time at={c.at} /></small></span>
        {c.revision === b.revision ? <Tag>built here</Tag> : <Tag kind="dash">possible</Tag>}</li>
    ))}</ul>
    {!all && items.length > CHANGES && <p class="pad"><button class="btn sm" onClick={() => setAll(true)}>{count(items.length - CHANGES)} more</button></p>}
  </>;
}

function Notes({ items }) {
  if (!items || !items.length) return null;
  const state = s => ({ error: "failure", warning: "warnings", success: "success", info: "unknown" }[s] || "unknown");
  return <div class="notes">{items.map(n => <div class="note" key={n.context}><StateIcon state={state(n.style)} text={n.style || "note"} /><span class="remark">{n.text}</span></div>)}</div>;
}

// ---- aside; what costs a question is asked for when it is opened
function useOpen() {
  const [open, setOpen] = useState(false);
  return [open, e => setOpen(e.currentTarget.open)];
}
function Artifacts({ b, attempt }) {
  const q = attempt ? { attempt } : {};
  const d = useData(b.started ? withQuery(`/builds/${b.id}/artifacts`, { ...q, limit: 200 }) : null, { on: ["build"], only: x => x.id === b.id });
  const files = d.data ? d.data.items.filter(f => f.kind !== "summary") : [];
  if (!files.length) return null;
  return (
    <details open={files.length <= 6}><summary><h2>Artifacts</h2><span class="dim">{count(files.length)}{d.data.next ? "+" : ""}</span></summary>
      <ul class="rows feed">{files.map(f => (
        <li key={f.path}><span /><a class="go cut" title={f.path} href={withQuery(`/api/v1/builds/${b.id}/artifacts/${f.path.split("/").map(encodeURIComponent).join("/")}`, q)}>{f.path}</a><small>{size(f.size)}</small></li>
      ))}</ul>
      {files.length > 1 && <p><a href={withQuery(`/api/v1/builds/${b.id}/artifacts.tar`, q)}>All as one archive</a></p>}
    </details>
  );
}
function Tests({ b }) {
  const d = useData(b.state === "done" ? `/builds/${b.id}/tests?limit=1` : null);
  const reports = d.data ? d.data.reports : [];
  if (!reports.length) return null;
  const sum = k => reports.reduce((n, r) => n + r[k], 0);
  return (
    <details><summary><h2>Tests</h2><span class="dim">{count(sum("tests"))}{sum("failed") ? `, ${count(sum("failed"))} failed` : ""}</span></summary>
      <ul class="rows feed">{reports.map(r => <li key={r.path}><StateIcon state={r.reason ? "warnings" : r.failed ? "failure" : "success"} /><span class="cut" title={r.path}>{r.path}<br /><small>{r.reason || `${count(r.tests)} tests, ${count(r.failed)} failed, ${count(r.skipped)} skipped`}</small></span><small>{r.format}</small></li>)}</ul>
      <p><a href={`/api/v1/builds/${b.id}/tests?limit=1000`}>All results</a></p>
    </details>
  );
}
function Properties({ b }) {
  const names = Object.keys(b.properties || {}).sort();
  if (!names.length) return null;
  return (
    <details><summary><h2>Properties</h2><span class="dim">{names.length}</span></summary>
      <dl class="kv">{names.map(n => [<dt key={n} class="cut" title={n}>{n}</dt>, <dd><code>{b.properties[n]}</code> <small>{b.property_sources[n]}</small></dd>])}</dl></details>
  );
}
function Summary({ b }) {
  const [open, toggle] = useOpen();
  const [text, setText] = useState(null);
  useEffect(() => {
    if (!open) return;
    get(`/builds/${b.id}/summary`, { fresh: true }).then(({ data }) => setText(data || ""), e => setText(e.message));
  }, [open, b.state]);
  if (!b.started) return null;
  return <details onToggle={toggle}><summary><h2>Summary</h2></summary>{open && text !== null && (text ? <pre>{text}</pre> : <p class="quiet">No step wrote into <code>$PAWL_SUMMARY</code>.</p>)}</details>;
}
function Attempts({ b, attempt }) {
  const now = attempt || b.attempt, ns = useMemo(() => Array.from({ length: Math.min(b.attempt || 0, 20) }, (_, i) => b.attempt - i), [b.attempt]);
  return (
    <details><summary><h2>Attempts</h2><span class="dim">{b.attempt || 0}</span></summary>
      {b.attempt > 1 ? <ul class="rows feed">{ns.map(n => <li key={n}><StateIcon state={n === b.attempt ? stateOf(b) : "retry"} /><a class="go" href={n === b.attempt ? to.build(b.id) : withQuery(to.build(b.id), { attempt: n })} aria-current={n === now ? "true" : undefined}
        onClick={e => { if (n === b.attempt) { e.preventDefault(); go(to.build(b.id)); } }}>Attempt {n}</a><small>{n === now ? "shown" : ""}</small></li>)}</ul>
        : <p class="quiet">{b.attempt ? "This is the first attempt." : "It was not tried yet."}</p>}
    </details>
  );
}
