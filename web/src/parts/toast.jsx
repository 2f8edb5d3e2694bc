// What came of what one did: bottom right, spoken, takes no focus. Errors stay until closed.
import { cell } from "../use.js";

const all = cell([]);
let n = 0;
export function say(text, { error = false, undo } = {}) {
  const id = ++n;
  all.set([...all.get(), { id, text, error, undo }].slice(-5));
  if (!error) setTimeout(() => drop(id), undo ? 12000 : 6000);
}
const drop = id => all.set(all.get().filter(t => t.id !== id));

export function Toasts() {
  const list = all.use();
  return (
    <div class="toasts" role="status">
      {list.map(t => (
        <div class={`toast ${t.error ? "bad" : ""}`} key={t.id}>
          <span>{t.text}</span>
          {t.undo && <button class="btn sm" onClick={() => { drop(t.id); t.undo(); }}>Undo</button>}
          {t.error && <button class="btn sm" onClick={() => drop(t.id)}>Close</button>}
        </div>
      ))}
    </div>
  );
}
