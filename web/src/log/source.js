// What the viewer asks the server for. make() takes fetch, so that tests need no server.
import { numbers } from "./find.js";

export function make({ fetch, get, build, step, attempt }) {
  const path = `/builds/${build}/log/${encodeURIComponent(step)}`;
  const at = attempt ? `&attempt=${attempt}` : "";
  const sizes = h => ({ lines: +h.get("Pawl-Lines") || 0, bytes: +h.get("Pawl-Bytes") || 0, out: +h.get("Pawl-Left-Out") || 0, done: h.get("Pawl-Done") === "true" });
  const raw = (q, opts) => fetch(`/api/v1${path}?${q}${at}`, { credentials: "same-origin", ...opts });
  async function fail(res) {
    let text = `the master answered ${res.status}`;
    try { text = (await res.json()).error.message; } catch { /* then that */ }
    throw Object.assign(new Error(text), { status: res.status });
  }
  return {
    path,
    async items(q, signal) {
      const { data, headers } = await get(`${path}?items=1&${q}${at}`, { signal, fresh: true });
      return { items: data.items, ...sizes(headers) };
    },
    async size(signal) {
      const res = await raw("raw=1", { method: "HEAD", signal });
      if (!res.ok) throw Object.assign(new Error(`the master answered ${res.status}`), { status: res.status });
      return sizes(res.headers);
    },
    async index(signal) { return (await get(`${path}/index${at ? "?" + at.slice(1) : ""}`, { signal, fresh: true })).data; },
    async whole(line, signal) {
      const res = await raw(`raw=1&from=${line}&lines=1`, { signal });
      if (!res.ok) await fail(res);
      return (await res.text()).replace(/\r*\n$/, "").replace(/^[^]*\r(?=[^\r])/, "");
    },
    // the numbers of lines that it finds, told as they come: onLines(lines); returns {more, hard}
    async find(pattern, { limit, from = 1, signal, onLines }) {
      const res = await raw(`numbers=1&limit=${limit}&from=${from}&grep=${encodeURIComponent(pattern)}`, { signal });
      if (!res.ok) await fail(res);
      const read = numbers(), text = new TextDecoder(), body = res.body.getReader();
      let end = {};
      for (;;) {
        const { value, done } = await body.read();
        if (done) break;
        end = read(text.decode(value, { stream: true }));
        if (end.lines.length) onLines(end.lines);
      }
      return { more: !!end.more, hard: !!end.hard };
    },
    // links for people
    page: line => `${path}${line ? `#L${line}` : ""}`,
    download: `/api/v1${path}?raw=1${at}`,
    text: `/api/v1${path}${at ? "?" + at.slice(1) : ""}`,
  };
}
