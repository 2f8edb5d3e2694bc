// A list by cursor: the first page stays fresh, more is asked for by a button.
import { useEffect, useState } from "preact/hooks";
import { get } from "../api.js";
import { withQuery } from "../router.js";
import { useData } from "../use.js";
import { Trouble, Waiting } from "./basic.jsx";

export function useList(path, query, opts) {
  const url = path && withQuery(path, query);
  const d = useData(url, { keep: true, ...opts });
  const [more, setMore] = useState({ url, items: [], next: undefined, busy: false, error: null });
  useEffect(() => setMore({ url, items: [], next: undefined, busy: false, error: null }), [url]);
  const mine = more.url === url ? more : { items: [], next: undefined };
  const next = mine.next !== undefined ? mine.next : d.data && d.data.next;
  const key = opts && opts.by;
  const head = d.data ? d.data.items : undefined;
  const seen = key && head ? new Set(head.map(key)) : null;
  const items = head && (mine.items.length ? head.concat(seen ? mine.items.filter(i => !seen.has(key(i))) : mine.items) : head);
  const load = async () => {
    setMore(m => ({ ...m, busy: true, error: null }));
    try {
      const { data } = await get(withQuery(path, { ...query, cursor: next }));
      setMore(m => ({ url, items: (m.url === url ? m.items : []).concat(data.items), next: data.next, busy: false, error: null }));
    } catch (error) { setMore(m => ({ ...m, busy: false, error })); }
  };
  return { ...d, items, next, more: load, busy: mine.busy, moreError: mine.error };
}
export function More({ list }) {
  if (list.moreError) return <Trouble error={list.moreError} what="More" again={list.more} />;
  if (!list.next) return null;
  return <p class="pad"><button class="btn" aria-busy={list.busy || undefined} onClick={() => !list.busy && list.more()}>{list.busy ? "Asking…" : "Show more"}</button></p>;
}
export function ListState({ list, what, children }) {
  if (list.items === undefined) return <Waiting of={list} what={what} />;
  return <>{list.error && <Trouble error={list.error} what={what} again={list.reload} />}{list.items.length === 0 ? children : null}</>;
}
