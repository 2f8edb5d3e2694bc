// Rows of builds, and lists whose rows do not move under the reader.
import { person } from "../format.js";
import { stateOf, isOpen } from "../state.js";
import { to } from "../router.js";
import { useHeld, useData } from "../use.js";
import { get } from "../api.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { Commit, Duration, Left, Progress, StateIcon, Time } from "./basic.jsx";

export function Rows({ items, by, cls, head, children, what = "row", label }) {
  const held = useHeld(items, by);
  return (
    <div>
      {held.news > 0 && <button class="btn sm news" onClick={held.show}>{held.news} new {held.news === 1 ? what : `${what}s`}</button>}
      <ul class={`rows ${cls || ""}`} ref={held.box} aria-label={label}>
        {head}
        {held.rows.map(r => children(r, r.gone))}
      </ul>
    </div>
  );
}

// what a builder usually takes; asked once for all rows of it, and again after five minutes
const usuals = new Map();
export function useUsual(builder, project) {
  const url = builder ? `/builders/${encodeURIComponent(builder)}/history?limit=50&project=${encodeURIComponent(project)}` : null;
  const [usual, set] = useState(null);
  useEffect(() => {
    if (!url) return undefined;
    let off = false, u = usuals.get(url);
    if (!u || Date.now() - u.at > 300000) {
      u = { at: Date.now(), answer: get(url).then(a => a.data.median_ms, () => null) };
      usuals.set(url, u);
    }
    u.answer.then(ms => { if (!off) set(ms); });
    return () => { off = true; };
  }, [url]);
  return usual;
}

// what was committed, by revision: of the newest changes, asked once for all rows
export function useSubjects() {
  const { data } = useData("/changes?limit=300", { on: ["change"], gap: 5000 });
  const map = useRef({ data: null, by: new Map() });
  if (data && map.current.data !== data) map.current = { data, by: new Map(data.items.map(c => [c.revision, c])) };
  return map.current.by;
}

export function BuildRow({ b, gone, place = true, change }) {
  const state = stateOf(b), open = isOpen(state);
  const usual = useUsual(open ? b.builder : null, b.project);
  return (
    <li class={gone ? "gone" : undefined}>
      <StateIcon state={state} />
      <span class="cut"><a class="go" href={to.build(b.id)}>{b.builder} #{b.id}</a></span>
      <span class="msg cut" title={[b.result_reason, change && change.subject].filter(Boolean).join("\n") || undefined}>{change && change.subject ? change.subject : words(b)} <span class="dim"><Commit rev={b.revision} />{change && change.author ? ` ${person(change.author)}` : ""}{change && b.reason !== "change" ? ` · ${words(b)}` : ""}{b.attempt > 1 ? ` · attempt ${b.attempt}` : ""}{b.result_reason && state !== "success" ? ` · ${b.result_reason}` : ""}</span></span>
      <span class="cut w1 dim" title={`${b.project} / ${b.branch}`}>{place ? `${b.project} / ${b.branch}` : b.worker || ""}</span>
      <span class="w1 right dim">{open && usual ? <Progress from={b.started} usual={usual} label={`${b.builder} #${b.id}: `} /> : !open && b.started ? <Duration from={b.started} to={b.finished} /> : null}</span>
      <span class="right dim nowrap">{open ? b.started ? <Left from={b.started} usual={usual} /> : <Time at={b.created} /> : <Time at={b.finished || b.created} />}</span>
    </li>
  );
}
function words(b) {
  return ({ change: "a change", force: "forced", retry: "again", nightly: "by the clock", periodic: "by the clock" }[b.reason] || b.reason || "") + (b.who ? ` by ${b.who}` : "");
}
export function BuildRows({ items, place, label }) {
  const subjects = useSubjects();
  return <Rows items={items} by={b => b.id} cls="builds" what="build" label={label}>{(b, gone) => <BuildRow key={b.id} b={b} gone={gone} place={place} change={subjects.get(b.revision)} />}</Rows>;
}
