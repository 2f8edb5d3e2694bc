import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { find, match, normal, parseQuery, to, withQuery } from "../src/router.js";
import { table } from "../src/pages/table.js";

test("patterns", () => {
  assert.deepEqual(match("/builds/{id}", "/builds/17"), { id: "17" });
  assert.equal(match("/builds/{id}", "/builds/"), null);
  assert.equal(match("/builds/{id}", "/builds/17/x"), null);
  assert.deepEqual(match("/branches/{project}/{branch...}", "/branches/a%20b/feature/x%2Fy"), { project: "a b", branch: "feature/x/y" });
  assert.equal(match("/branches/{project}/{branch...}", "/branches/a/"), null);
  assert.deepEqual(match("/builds/{id}", "/builds/%zz"), { id: "%zz" });
});
test("the table finds each page by the addresses that we make", () => {
  const page = url => find(table, url.split(/[?#]/)[0])?.page;
  assert.equal(page("/"), "home");
  assert.equal(page(to.branch("lp", "feature/a b/%")), "branch");
  assert.deepEqual(find(table, to.branch("l/p", "feature/a b/%")).params, { project: "l/p", branch: "feature/a b/%" });
  assert.equal(page(to.builder("fast/x", "lp")), "builder");
  assert.equal(page(to.build(17)), "build");
  assert.equal(page(to.log(17, "test/unit", 2207)), "build");
  assert.equal(page(to.request(3)), "request");
  assert.equal(page(to.worker("w 1")), "worker");
  assert.equal(page("/builds/"), "builds");
  assert.equal(page("/nothing"), undefined);
});
test("the server serves the same pages", () => {
  const c = readFileSync(new URL("../../master/http/routes.c", import.meta.url), "utf8");
  const served = [...c.matchAll(/\{"GET", "([^"]+)"[^}]*?web_page\}/g)].map(m => m[1]).concat([...c.matchAll(/\{"GET", "([^"]*\{[^"]+)",[^;]*?web_page\}/g)].map(m => m[1]));
  for (const [pattern] of table) assert.ok(served.includes(pattern.replace("{branch...}", "{path}")), pattern);
});
test("queries", () => {
  assert.equal(withQuery("/a", { x: 1, y: null, z: "", w: "b c" }), "/a?x=1&w=b+c");
  assert.equal(withQuery("/a", {}), "/a");
  assert.deepEqual(parseQuery("?a=1&b=x%20y"), { a: "1", b: "x y" });
});
test("one spelling for an address", () => {
  assert.equal(normal("/a/b%20c?y=2&x=a%2Fb"), normal("/a/b c?x=a/b&y=2"));
  assert.notEqual(normal("/a?x=1"), normal("/a?x=2"));
  assert.equal(normal("/a?"), "/a");
});
