// Forcing a build: the form that the builder's force scheduler has, typed; without one: branch, revision and reason.
import { useEffect, useState } from "preact/hooks";
import { get, post } from "../api.js";
import { list } from "../format.js";
import { to } from "../router.js";
import { can, me, useLive } from "../use.js";
import { go } from "../nav.js";
import { Dialog } from "./ask.jsx";
import { say } from "./toast.jsx";

export function ForceButton({ builders, project, branch, main, label = "Force a build" }) {
  const [open, setOpen] = useState(false), who = me.use(), net = useLive();
  const why = !can(who, "build") ? "needs the right build" : net.lost ? "no connection to the master" : !builders.length ? "no builder" : undefined;
  return <>
    <button class={`btn ${main ? "main" : ""}`} disabled={!!why} title={why} data-hook="force" onClick={() => setOpen(true)}>{label}</button>
    {open && <ForceDialog builders={builders} project={project} branch={branch} onClose={() => setOpen(false)} />}
  </>;
}

function ForceDialog({ builders, project, branch, onClose }) {
  const [name, setName] = useState(builders[0]), [info, setInfo] = useState(null), [which, setWhich] = useState(0);
  const [values, setValues] = useState({}), [fixed, setFixed] = useState({ branch: branch || "", revision: "", reason: "" });
  const [error, setError] = useState(null), [busy, setBusy] = useState(false);
  useEffect(() => {
    let off = false;
    setInfo(null);
    get(`/builders/${encodeURIComponent(name)}?project=${encodeURIComponent(project)}`).then(({ data }) => {
      if (off) return;
      setInfo(data);
      setWhich(0);
      setValues(start(data.force[0]));
    }, e => !off && setError(e.message));
    return () => { off = true; };
  }, [name]);
  const form = info && info.force[which], params = (form && form.parameters) || [];
  const own = params.filter(p => p.type !== "branch" && p.type !== "revision");
  const send = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    const body = { builder: name, project, reason: fixed.reason || "forced on the page" };
    if (fixed.branch) body.branch = fixed.branch;
    if (fixed.revision) body.revision = fixed.revision;
    if (form) body.scheduler = form.scheduler;
    const properties = {};
    for (const p of params) {
      const v = p.type === "branch" ? fixed.branch : p.type === "revision" ? fixed.revision : values[p.name];
      if (v !== undefined && v !== "" && v !== null) properties[p.name] = p.type === "int" ? Number(v) : v;
    }
    if (Object.keys(properties).length) body.properties = properties;
    try {
      const { data } = await post("/force", body);
      onClose();
      say(`Asked for: ${list(data.requests.map(r => `request ${r}`))}`);
      if (data.requests.length) go(to.request(data.requests[0]));
    } catch (e) { setError(e.message); setBusy(false); }
  };
  return (
    <Dialog title={`Force ${name}`} verb={busy ? "Asking…" : `Force ${name}`} onClose={onClose} onDo={send} wide>
      {builders.length > 1 && <label class="field"><span>Builder</span><select value={name} onChange={e => setName(e.target.value)}>{builders.map(b => <option key={b}>{b}</option>)}</select></label>}
      {info && info.force.length > 1 && <label class="field"><span>Form of</span><select value={which} onChange={e => { setWhich(Number(e.target.value)); setValues(start(info.force[e.target.value])); }}>
        {info.force.map((f, i) => <option key={f.scheduler} value={i}>{f.scheduler}</option>)}</select></label>}
      <label class="field"><span>Branch</span><input value={fixed.branch} placeholder="the main branch of the repository" spellcheck={false} onInput={e => setFixed({ ...fixed, branch: e.target.value })} /></label>
      <label class="field"><span>Revision</span><input value={fixed.revision} placeholder="its newest commit" spellcheck={false} pattern="[0-9a-fA-F]{4,64}" title="4 to 64 hexadecimal digits" onInput={e => setFixed({ ...fixed, revision: e.target.value })} /></label>
      {own.map(p => <Param key={p.name} p={p} value={values[p.name]} set={v => setValues({ ...values, [p.name]: v })} />)}
      <label class="field"><span>Reason</span><input value={fixed.reason} maxLength={500} placeholder="for the list of builds" onInput={e => setFixed({ ...fixed, reason: e.target.value })} /></label>
      {error && <p class="refused" role="alert">{error}</p>}
    </Dialog>
  );
}
function start(form) {
  return Object.fromEntries(((form && form.parameters) || []).filter(p => p.default !== null).map(p => [p.name, p.type === "bool" ? p.default === "true" : p.default]));
}
function Param({ p, value, set }) {
  const label = p.label || p.name, req = p.required ? { required: true } : {};
  if (p.type === "bool") return <label class="field check"><input type="checkbox" checked={!!value} onChange={e => set(e.target.checked)} /><span>{label}</span></label>;
  let input;
  if (p.type === "choice") input = <select value={value ?? ""} {...req} onChange={e => set(e.target.value)}>{!p.required && <option value="" />}{p.choices.map(c => <option key={c}>{c}</option>)}</select>;
  else if (p.type === "text") input = <textarea rows={3} {...req} onInput={e => set(e.target.value)}>{value}</textarea>;
  else input = <input type={p.type === "int" ? "number" : "text"} step={p.type === "int" ? 1 : undefined} value={value ?? ""} {...req} onInput={e => set(e.target.value)} />;
  return <label class="field"><span>{label}{p.required ? "" : " (may be empty)"}</span>{input}</label>;
}
