// A button that asks the server for something, and a dialog for what cannot be undone.
import { useEffect, useRef, useState } from "preact/hooks";
import { can, me, useLive } from "../use.js";
import { nextId } from "./basic.jsx";
import { say } from "./toast.jsx";

// label; scope: the right that it needs; run(reason): does it; done: text, or fn(answer) that makes it; undo(answer);
// confirm: {title, text, verb, reason: true} asks first
export function AskButton({ label, scope = "build", run, done, undo, confirm, main, small, hook, why, off }) {
  const [busy, setBusy] = useState(false), [error, setError] = useState(null), [asking, setAsking] = useState(false);
  const who = me.use(), net = useLive();
  const ref = useRef(null), alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  const allowed = can(who, scope);
  const reason = !allowed ? `needs the right ${scope}` : net.lost ? "no connection to the master" : off;
  const act = async text => {
    const b = ref.current;
    if (b) b.style.minWidth = `${b.offsetWidth}px`; // it keeps its width
    setBusy(true);
    setError(null);
    try {
      const answer = await run(text);
      const words = typeof done === "function" ? done(answer) : done;
      if (words) say(words, { undo: undo && (() => undo(answer)) });
    } catch (e) {
      if (alive.current) setError(e.message);
      else say(e.message, { error: true });
    }
    if (alive.current) setBusy(false);
  };
  return (
    <span class="ask">
      <button ref={ref} class={`btn ${main ? "main" : ""} ${small ? "sm" : ""}`} disabled={!!reason} aria-busy={busy || undefined} title={reason || why || undefined}
        data-hook={hook} onClick={() => { if (!busy) { if (confirm) setAsking(true); else act(); } }}>
        {busy ? "Asking…" : label}
      </button>
      {error && <span class="refused" role="alert">{error}</span>}
      {asking && <Dialog title={confirm.title} verb={confirm.verb || label} text={confirm.text} reason={confirm.reason}
        onClose={() => setAsking(false)} onDo={text => { setAsking(false); act(text); }} />}
    </span>
  );
}

export function Dialog({ title, text, verb, reason, onDo, onClose, children, wide }) {
  const ref = useRef(null), id = nextIdOnce(), [why, setWhy] = useState("");
  useEffect(() => { const d = ref.current; if (!d.open) d.showModal(); return () => d.open && d.close(); }, []);
  return (
    <dialog ref={ref} aria-labelledby={id} class={wide ? "wide" : undefined} onClose={onClose} onClick={e => { if (e.target === ref.current) onClose(); }}>
      <form onSubmit={e => { e.preventDefault(); onDo(why); }}>
        <h2 id={id}>{title}</h2>
        {text && <p class="dim">{text}</p>}
        {children}
        {reason && <label class="field"><span>Reason</span><input value={why} required={reason === "must"} maxLength={500} autofocus onInput={e => setWhy(e.target.value)} /></label>}
        <div class="acts end"><button type="button" class="btn" onClick={onClose}>Leave it</button><button class="btn main">{verb}</button></div>
      </form>
    </dialog>
  );
}
function nextIdOnce() { const r = useRef(null); if (!r.current) r.current = nextId(); return r.current; }
