// Never move what is being looked at. Rows change in place; order and number of rows change only when the list is free (at its
// top, nothing focused, selected or pointed at in it). Pure.

// shown: rows as drawn; next: rows as they are now; key(row). -> {rows, news}: what to draw, and how many new rows wait
export function hold(shown, next, free, key) {
  if (free || !shown || shown.length === 0) return { rows: next, news: 0 };
  const now = new Map(next.map(r => [key(r), r]));
  const rows = shown.map(r => {
    const k = key(r), n = now.get(k);
    now.delete(k);
    return n ? n : r.gone ? r : { ...r, gone: true };
  });
  return { rows, news: now.size };
}
