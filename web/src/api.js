// Talking to the server. make() takes what it talks by, so that tests need no browser; the page's own is at the end.
import { normal } from "./router.js";

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const KEPT = 60; // answers whose tag is remembered

export function make({ fetch, first = {}, base = "/api/v1" }) {
  const early = new Map(Object.entries(first).map(([k, v]) => [normal(k), v]));
  const kept = new Map(); // url -> {etag, answer}
  let csrf = first["/session"]?.csrf || null;

  async function read(res) {
    const type = res.headers.get("Content-Type") || "";
    if (res.status === 204) return null;
    return type.startsWith("application/json") ? res.json() : res.text();
  }
  async function ask(path, opts) {
    let res;
    try {
      res = await fetch(base + path, { credentials: "same-origin", ...opts });
    } catch (e) {
      if (e.name === "AbortError") throw e;
      throw new ApiError(0, "unreachable", "the master does not answer");
    }
    if (res.status === 304) return { status: 304, headers: res.headers };
    let data;
    try {
      data = await read(res);
    } catch (e) {
      if (e.name === "AbortError") throw e;
      throw new ApiError(res.status, "broken", "the answer broke off");
    }
    if (!res.ok) {
      const e = data && data.error;
      throw new ApiError(res.status, e ? e.code : "internal", e ? e.message : `the master answered ${res.status}`);
    }
    return { data, headers: res.headers, status: res.status };
  }
  async function get(path, { signal, fresh } = {}) {
    const key = normal(path);
    if (!fresh && early.has(key)) {
      const data = early.get(key);
      early.delete(key);
      return { data, headers: new Headers(), status: 200 };
    }
    early.delete(key);
    const old = kept.get(key);
    const answer = await ask(path, { signal, headers: old ? { "If-None-Match": old.etag } : {} });
    if (answer.status === 304 && old) return old.answer;
    const etag = answer.headers.get("ETag");
    kept.delete(key);
    if (etag) {
      kept.set(key, { etag, answer });
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    }
    return answer;
  }
  async function write(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    if (csrf) headers["X-CSRF-Token"] = csrf;
    return ask(path, { method, headers, body: JSON.stringify(body || {}) });
  }
  return {
    get,
    post: (path, body) => write("POST", path, body),
    put: (path, body) => write("PUT", path, body),
    del: (path, body) => write("DELETE", path, body),
    // an answer that came with the page, without taking it
    peek: path => early.get(normal(path)),
    session(s) { csrf = s && s.csrf; },
  };
}

function firstOfPage() {
  const e = typeof document !== "undefined" && document.getElementById("first");
  if (!e) return {};
  try { return JSON.parse(e.textContent); } catch { return {}; }
}

export const first = firstOfPage();
const api = make({ fetch: (...a) => globalThis.fetch(...a), first });
export const { get, post, put, del, peek, session } = api;
