// One browser for all walks. Reads {"walk", "url", "token", "facts"} a line, answers {"host": [...]} or {"done"} or {"failed"}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import assert from "node:assert/strict";

const home = process.env.UI_HOME, shots = join(home, "shots");
const load = createRequire(join(home, "x.js"));
const { chromium } = load("playwright-core");
const axe = readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(shots, { recursive: true });

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = o => process.stdout.write(JSON.stringify(o) + "\n");
const hear = async () => { const { value, done } = await lines.next(); if (done) process.exit(0); return JSON.parse(value); };

const browser = await chromium.launch({ executablePath: process.env.UI_CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
say({ ready: browser.version() });

const LIGHT = { colorScheme: "light", viewport: { width: 1440, height: 900 } };
async function walk(job) {
  const context = await browser.newContext({ ...LIGHT, reducedMotion: "reduce", baseURL: job.url, timezoneId: "Europe/Berlin" });
  context.setDefaultTimeout(20000);
  const page = await context.newPage();
  const wrong = [], allowed = [];
  const watch = p => {
    p.on("console", m => { if (m.type() === "error" || m.type() === "warning") wrong.push(`${m.type()}: ${m.text()} (${m.location().url})`); });
    p.on("pageerror", e => wrong.push(`error: ${e.stack || e}`));
  };
  watch(page);
  const t = {
    page, context, assert, facts: job.facts,
    url: path => job.url + path,
    // what no page can do; see Site.do_NAME in site.py
    async host(...what) { say({ host: what }); const a = await hear(); if (a.error) throw new Error(`host ${what[0]}: ${a.error}`); return a.value; },
    // asks the API as an operator
    async api(path, opts = {}) {
      const r = await fetch(job.url + "/api/v1" + path, { ...opts, headers: { Authorization: `Bearer ${job.token}`, ...(opts.body ? { "Content-Type": "application/json" } : {}) }, body: opts.body && JSON.stringify(opts.body), method: opts.method || (opts.body ? "POST" : "GET") });
      const text = await r.text();
      if (!r.ok) throw new Error(`${path}: ${r.status} ${text}`);
      return JSON.parse(text);
    },
    // waits for a true answer of fn
    async until(fn, what, ms = 20000) {
      for (const end = Date.now() + ms; ;) {
        const got = await fn();
        if (got) return got;
        if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
        await new Promise(r => setTimeout(r, 25));
      }
    },
    async login() {
      await page.goto("/login");
      await page.fill('input[name="token"]', job.token);
      await Promise.all([page.waitForURL(u => !u.pathname.startsWith("/login")), page.click('button[type="submit"], button')]);
    },
    // errors of the console that belong to the walk: a master that is killed answers nobody
    allow(re) { allowed.push(re); },
    async shot(name) { await page.screenshot({ path: join(shots, `${name}.png`) }); },
    // axe and a picture in light, dark and on a phone
    async audit(name, { only = ["light", "dark", "phone"], full = true, skip = [] } = {}) {
      const found = [];
      for (const how of only) {
        await page.emulateMedia({ colorScheme: how === "dark" ? "dark" : "light" });
        await page.setViewportSize(how === "phone" ? { width: 390, height: 844 } : LIGHT.viewport);
        await page.evaluate(() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r))));
        await page.screenshot({ path: join(shots, `${name}-${how}.png`), fullPage: full });
        if (!(await page.evaluate("!!window.axe"))) await page.evaluate(axe);
        const out = await page.evaluate(o => window.axe.run(document, o), { resultTypes: ["violations"], rules: Object.fromEntries(skip.map(r => [r, { enabled: false }])),
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
        for (const v of out.violations) for (const n of v.nodes.slice(0, 4)) found.push(`${name} ${how}: ${v.id}: ${n.target.join(" ")}: ${(n.failureSummary || "").split("\n").slice(1).join(";").trim()}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) found.push(`${name} ${how}: the page is ${wide} px wider than its window`);
      }
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize(LIGHT.viewport);
      assert.deepEqual(found, [], `axe: ${name}`);
    },
    async newPage() { const p = await context.newPage(); watch(p); return p; },
  };
  const began = Date.now();
  try {
    const { default: fn } = await import(`./walks/${job.walk}.mjs`);
    await fn(t);
    const bad = wrong.filter(w => !allowed.some(re => re.test(w)));
    assert.deepEqual(bad, [], "errors on the console");
    say({ done: Date.now() - began });
  } catch (e) {
    await page.screenshot({ path: join(shots, `FAILED-${job.walk}.png`) }).catch(() => {});
    say({ failed: `${e.stack || e}\nconsole: ${wrong.join("\n")}\nat: ${page.url()}` });
  }
  await context.close();
}
for (;;) await walk(await hear());
