// Addresses and pages. Pure: the browser's part is in nav.js.

// {name}: one part of the path, decoded; {name...}: the rest, slashes and all
export function match(pattern, path) {
  const want = pattern.split("/"), have = path.split("/"), params = {};
  for (let i = 0; i < want.length; i++) {
    const w = want[i];
    if (w.startsWith("{") && w.endsWith("...}")) {
      const rest = have.slice(i).join("/");
      if (!rest) return null;
      params[w.slice(1, -4)] = decode(rest);
      return params;
    }
    if (i >= have.length) return null;
    if (w.startsWith("{")) {
      if (!have[i]) return null;
      params[w.slice(1, -1)] = decode(have[i]);
    } else if (w !== have[i]) return null;
  }
  return want.length === have.length ? params : null;
}

function decode(s) {
  try { return decodeURIComponent(s); } catch { return s; }
}

// routes: [[pattern, page]]; the first that fits
export function find(routes, path) {
  const p = path.length > 1 ? path.replace(/\/+$/, "") : path;
  for (const [pattern, page] of routes) {
    const params = match(pattern, p || "/");
    if (params) return { page, params, pattern };
  }
  return null;
}

export function parseQuery(search) {
  return Object.fromEntries(new URLSearchParams(search));
}

// null, undefined and "" are left out; the order is that of the object
export function withQuery(path, query) {
  const p = new URLSearchParams();
  for (const [k, v] of Object.entries(query || {})) if (v !== null && v !== undefined && v !== "") p.set(k, v);
  const s = p.toString();
  return s ? `${path}?${s}` : path;
}

const part = encodeURIComponent;
// a branch's slashes stay slashes: the path of its page reads like its name
export const to = {
  branch: (project, branch) => `/branches/${part(project)}/${branch.split("/").map(part).join("/")}`,
  builder: (name, project) => withQuery(`/builders/${part(name)}`, { project }),
  build: id => `/builds/${id}`,
  log: (id, step, line) => `/builds/${id}/log/${part(step)}${line ? `#L${line}` : ""}`,
  request: id => `/requests/${id}`,
  worker: name => `/workers/${part(name)}`,
  changes: project => withQuery("/changes", { project }),
};

// One spelling for an address of the API, so that the answers that come with the page are found
// whatever way its own address was written.
export function normal(url) {
  const [path, search = ""] = url.split("?");
  const p = [...new URLSearchParams(search)].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  return path.split("/").map(decode).join("/") + (p.length ? "?" + p.map(([k, v]) => `${k}=${v}`).join("&") : "");
}
