// Filters are query parameters, so that a filtered list can be sent to a colleague.
import { withQuery } from "../router.js";
import { go } from "../nav.js";
import { useEffect, useRef, useState } from "preact/hooks";

export function Filters({ path, query, fields }) {
  const set = (k, v) => go(withQuery(path, { ...query, cursor: undefined, [k]: v }), { replace: true });
  return (
    <form class="filters" role="search" aria-label="Filter" onSubmit={e => e.preventDefault()}>
      {fields.map(([k, label, options]) => options
        ? <label key={k}><span class="vh">{label}</span><select value={query[k] || ""} onChange={e => set(k, e.target.value)}><option value="">{label}: any</option>{options.map(o => <option key={o} value={o}>{o}</option>)}</select></label>
        : <Text key={k} label={label} value={query[k] || ""} set={v => set(k, v)} />)}
      {fields.some(([k]) => query[k]) && <a class="btn sm" href={path}>Clear</a>}
    </form>
  );
}
function Text({ label, value, set }) {
  const [text, setText] = useState(value), timer = useRef(null);
  useEffect(() => { if (timer.current === null) setText(value); }, [value]);
  const on = e => {
    const v = e.target.value;
    setText(v);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => { timer.current = null; set(v.trim()); }, 300);
  };
  return <label><span class="vh">{label}</span><input type="search" placeholder={label} value={text} spellcheck={false} onInput={on} /></label>;
}
