import { test } from "node:test";
import assert from "node:assert/strict";
import { make, ApiError } from "../src/api.js";

const json = (data, status = 200, headers = {}) => new Response(data === null ? null : JSON.stringify(data), { status, headers: { "Content-Type": "application/json", ...headers } });
function server(answers) {
  const calls = [];
  return { calls, fetch: async (url, opts) => { calls.push([url, opts]); const a = answers.shift(); if (a instanceof Error) throw a; return a; } };
}

test("the first answer is given out once", async () => {
  const s = server([json({ n: 2 })]);
  const api = make({ fetch: s.fetch, first: { "/builds?branch=a%2Fb&limit=60": { n: 1 } } });
  assert.equal(api.peek("/builds?limit=60&branch=a/b").n, 1);
  assert.equal((await api.get("/builds?limit=60&branch=a/b")).data.n, 1);
  assert.equal(s.calls.length, 0);
  assert.equal((await api.get("/builds?limit=60&branch=a/b")).data.n, 2);
  assert.equal(s.calls[0][0], "/api/v1/builds?limit=60&branch=a/b");
});
test("a tag is sent, and 304 is the answer that is known", async () => {
  const s = server([json({ n: 1 }, 200, { ETag: 'W/"x"' }), new Response(null, { status: 304 }), json({ n: 2 }, 200, { ETag: 'W/"y"' })]);
  const api = make({ fetch: s.fetch });
  const a = await api.get("/x"), b = await api.get("/x"), c = await api.get("/x");
  assert.equal(s.calls[1][1].headers["If-None-Match"], 'W/"x"');
  assert.equal(a.data, b.data);
  assert.equal(c.data.n, 2);
});
test("writes carry the session's second secret", async () => {
  const s = server([json({ id: 1 }, 202), json({ id: 1 }, 202)]);
  const api = make({ fetch: s.fetch, first: { "/session": { csrf: "secret" } } });
  assert.equal((await api.post("/builds/1/retry", { failed: true })).status, 202);
  assert.equal(s.calls[0][1].headers["X-CSRF-Token"], "secret");
  assert.equal(s.calls[0][1].headers["Content-Type"], "application/json");
  assert.deepEqual(JSON.parse(s.calls[0][1].body), { failed: true });
  api.session({ csrf: null });
  await api.del("/tokens/3");
  assert.equal(s.calls[1][1].headers["X-CSRF-Token"], undefined);
  assert.equal(s.calls[1][1].method, "DELETE");
});
test("errors have the words of the server", async () => {
  const s = server([json({ error: { code: "conflict", message: "it is done" } }, 409), new TypeError("refused"), new Response("<html>", { status: 502, headers: { "Content-Type": "text/html" } }),
    new Response('{"half', { status: 200, headers: { "Content-Type": "application/json" } })]);
  const api = make({ fetch: s.fetch });
  const fails = async (p, want) => assert.rejects(p, e => { assert.ok(e instanceof ApiError); assert.deepEqual([e.status, e.code], want); assert.ok(e.message); return true; });
  await fails(api.post("/x"), [409, "conflict"]);
  await fails(api.get("/x"), [0, "unreachable"]);
  await fails(api.get("/x"), [502, "internal"]);
  await fails(api.get("/x"), [200, "broken"]);
});
test("who gives up hears so", async () => {
  const e = new Error("x");
  e.name = "AbortError";
  const api = make({ fetch: async () => { throw e; } });
  await assert.rejects(api.get("/x"), x => x.name === "AbortError");
});
