#!/usr/bin/python3
"""log_view.py [--bytes N] [--runs N]: how fast a log of 1 GiB is opened at its end, jumped in and searched: by the API, and in
Debian's Chromium on the page of its build, until the lines are painted. Prints a table; BUILD is the folder of the programs."""
import argparse, json, os, random, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
os.environ.setdefault("PAWL_BUILD", os.environ.get("BUILD", os.path.join(ROOT, "build/release")))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests/system")]
from conftest import Pawl, Repo  # noqa: E402
from measure import Http, quantile  # noqa: E402

CONFIG = """
name: bench
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 60s}}
builders:
  - {{name: big, project: p, steps: [{{name: go, run: {run}, log_limit: 4G, timeout: 20m}}]}}
"""
# lines of a compiler and of tests, of 40 to 200 bytes, no two alike; a needle near the end and one in the middle
AWK = r"""BEGIN { srand(1); n = 0; i = 0
  while (n < %d) { i++
    if (i %% 3 == 0) l = sprintf("[%%5d/99999] cc -O2 -Wall -Wextra -Ilib -c lib/part%%d/file_%%d.c -o build/lib/part%%d/file_%%d.o", i %% 99999, i %% 977, i, i %% 977, i)
    else if (i %% 3 == 1) l = sprintf("\033[32mok\033[0m %%d - unit %%d: case %%.6f takes %%d ms", i, i %% 4999, rand(), rand() * 1000)
    else l = sprintf("    at worker.run (lib/part%%d/run.c:%%d) with 0x%%08x%%08x and a value of %%.9f", i %% 977, i %% 5000, rand() * 4294967295, rand() * 4294967295, rand())
    if (i == 4000000) l = "the needle in the middle"
    n += length(l) + 1; print l }
  print "the needle at the end"; print "all is over" }"""


def timed(fn, runs):
    took = []
    for _ in range(runs):
        t = time.monotonic()
        fn()
        took.append((time.monotonic() - t) * 1000)
    return took


def by_api(p, build, lines, runs):
    http = Http(p.url)
    base = f"/api/v1/builds/{build}/log/go"

    def read(query):
        http.send("GET", base + query)
        status, head = http.head()
        body = b"".join(http.chunks(head))
        assert status == 200, (status, body[:200])
        return body

    def first(query):
        """Until the first number is there; the connection is left, as a page does that goes elsewhere."""
        h = Http(p.url)
        h.send("GET", base + query)
        _, head = h.head()
        text = b""
        for piece in h.chunks(head):
            text += piece
            if any(c in b"0123456789" for c in text.split(b"[", 1)[-1]):
                break
        h.close()
    rnd = random.Random(1)
    yield "open at the end: the last 400 lines", timed(lambda: read("?items=1&tail=400"), runs), 1000
    yield "jump: 400 lines from anywhere", timed(lambda: read(f"?items=1&from={rnd.randrange(1, lines - 400)}&lines=400"), 5 * runs), 200
    yield "find, first hit: a common word", timed(lambda: first("?numbers=1&limit=10000&grep=(?i)file_77"), runs), 1000
    yield "find, first hit: a word in the middle of the log", timed(lambda: first("?numbers=1&limit=10000&grep=(?i)needle%20in"), 3), None
    yield "find, all of the log: a word that it has once, at its end", timed(lambda: read("?numbers=1&limit=10000&grep=(?i)needle%20at"), 3), None
    yield "index of groups, not kept", timed(lambda: read("/index"), 1), None


PAGE = r"""
const [url, build, lines, runs, home] = process.argv.slice(2);
import { createRequire } from "node:module";
const { chromium } = createRequire(home + "/x.js")("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const out = { open: [], jump: [], find: [], heap: 0, frames: [] };
// painted: the frame after the one in which it was there
const painted = (page, text) => page.evaluate(t => new Promise(done => {
  const look = () => [...document.querySelectorAll(".lines .ln")].some(l => l.textContent.includes(t)) ? requestAnimationFrame(() => setTimeout(() => done(performance.now()))) : setTimeout(look, 1);
  look();
}), text);
for (let i = 0; i < +runs; i++) {
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  await page.goto(`${url}/builds/${build}`, { waitUntil: "commit" });
  out.open.push(await painted(page, "the needle at the end"));
  for (let k = 0; k < 5; k++) {
    const n = 1 + Math.floor(((k + 0.37 + i * 0.11) % 5) / 5 * (+lines - 1000));
    const t = await page.evaluate(l => { const a = performance.now(); location.hash = `#L${l}`; return a; }, n);
    out.jump.push(await page.evaluate(([l, a]) => new Promise(done => {
      const look = () => { const e = document.getElementById(`L${l}`); return e && e.querySelector("code").textContent ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - a))) : setTimeout(look, 1); };
      look();
    }), [n, t]));
  }
  const t = await page.evaluate(() => { const f = document.getElementById("find"); f.focus(); f.value = "file_77"; f.dispatchEvent(new Event("input", { bubbles: true })); return performance.now(); });
  out.find.push(await page.evaluate(a => new Promise(done => {
    const look = () => document.querySelector(".ln.cur mark") ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - a))) : setTimeout(look, 1);
    look();
  }), t));
  if (i === 0) { // two seconds of wheel: the longest time between two frames
    await page.evaluate(() => { document.getElementById("find").value = ""; document.getElementById("find").dispatchEvent(new Event("input", { bubbles: true })); location.hash = "#L1000000"; });
    await page.waitForSelector("#L1000000 code");
    await page.locator(".lines").hover();
    await page.evaluate(() => { window.gaps = []; let was = performance.now(); const f = t => { gaps.push(t - was); was = t; requestAnimationFrame(f); }; requestAnimationFrame(f); });
    for (let k = 0; k < 60; k++) { await page.mouse.wheel(0, 240); await new Promise(r => setTimeout(r, 16)); }
    out.frames = await page.evaluate(() => gaps.slice(2));
    out.heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
  }
  await page.context().close();
}
console.log(JSON.stringify(out));
await browser.close();
"""


def in_browser(p, build, lines, runs, folder):
    home = os.path.join(ROOT, "build/ui")
    if not os.path.isdir(os.path.join(home, "node_modules/playwright-core")) or not shutil.which("node"):
        print("the page is not measured: `make ui-test` gets what it needs")
        return
    script = os.path.join(folder, "page.mjs")
    with open(script, "w") as f:
        f.write(PAGE)
    got = json.loads(subprocess.run(["node", script, p.url, str(build), str(lines), str(runs), home], capture_output=True, text=True, check=True, timeout=300).stdout)
    yield "page: from the address to the last lines painted", got["open"], 1000
    yield "page: jump to a line, painted", got["jump"], 200
    yield "page: find, from the key to the first hit painted", got["find"], 1000
    yield "page: between two frames under the wheel", got["frames"], None
    print(f"memory of the page's scripts: {got['heap'] / 1e6:.0f} MB")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--bytes", type=int, default=1 << 30)
    a.add_argument("--runs", type=int, default=10)
    a = a.parse_args()
    folder = tempfile.mkdtemp(prefix="pawl-log-", dir=os.environ.get("TMPDIR"))
    p = Pawl(folder)
    try:
        repo = Repo(os.path.join(folder, "repo"))
        repo.commit({"a": "1"}, "first")
        with open(os.path.join(folder, "lines.awk"), "w") as f:
            f.write(AWK % a.bytes)
        p.configure(CONFIG.format(repo=repo.bare, run=json.dumps(f"awk -f {folder}/lines.awk")))
        p.start_master()
        p.start_worker()
        b = p.build_of(p.post("/force", {"builder": "big", "branch": "master", "reason": "bench"})["requests"][0], 600)
        assert b["result"] == "success", b
        step = next(s for s in p.get(f"/builds/{b['id']}/steps")["items"] if s["name"] == "go")
        print(f"{step['bytes'] / 2**30:.2f} GiB in {step['lines']:,} lines")
        print(f"{'':58} {'p50':>9} {'p99':>9}   goal")
        for make in (by_api(p, b["id"], step["lines"], a.runs), in_browser(p, b["id"], step["lines"], a.runs, folder)):
            for what, ms, bound in make:
                worst = quantile(ms, 0.99)
                print(f"{what:58} {quantile(ms, 0.5):6.0f} ms {worst:6.0f} ms   {f'< {bound} ms, ' + ('reached' if worst < bound else 'NOT reached') if bound else ''}".rstrip(), flush=True)
    finally:
        p.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
