#!/usr/bin/python3
"""Measures retention: a database of N finished builds (default 100,000; fill_db.c) is thinned by a master, while /healthz, which
the core answers, is asked again and again. usage: retention.py [N]     programs: $BUILD (default build/release), with
`make V=release bench-bins`. Prints how long it took, how long answers and turns took meanwhile, and the size of the file."""
import os, shutil, sqlite3, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("PAWL_BUILD", os.environ.get("BUILD", os.path.join(ROOT, "build/release")))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
from conftest import BUILD, Pawl  # noqa: E402

CONFIG = """
name: bench
web: {{listen: "127.0.0.1:0", limits: {{requests_per_second: 10000, burst: 10000, token_requests_per_second: 10000, token_burst: 10000}}}}
workers: {{listen: "tcp://127.0.0.1:0"}}
retention: {{{rule}}}
projects: [{{name: project0, repository: "{dir}/none.git", poll: 1h}}]
builders: [{{name: builder0, project: project0, steps: [{{run: "true"}}]}}]
schedulers: [{{name: hand, kind: force, project: project0}}]
"""


def left(pawl):
    db = sqlite3.connect(f"file:{pawl.state}/pawl.db?mode=ro", uri=True)
    try:
        return db.execute("SELECT (SELECT count(*) FROM build), (SELECT count(*) FROM log WHERE sealed<3), (SELECT freelist_count FROM pragma_freelist_count)").fetchone()
    finally:
        db.close()


def measure(pawl, rule, done):
    pawl.configure(CONFIG.format(rule=rule, dir=pawl.dir))
    pawl.start_master()
    began, answers, looked = time.monotonic(), [], 0
    while True:
        at = time.monotonic()
        pawl.request("GET", "/healthz", token=False)
        answers.append((time.monotonic() - at) * 1000)
        if at - looked > 2:
            looked, now = at, left(pawl)
            if os.environ.get("SHOW"):
                print(f"{at - began:.0f} s: {now}", file=sys.stderr, flush=True)
            if done(now):
                break
        time.sleep(0.002)
    took = time.monotonic() - began
    text = pawl.request("GET", "/metrics", token=False)[1].decode()
    metrics = {l.split()[0]: float(l.split()[1]) for l in text.splitlines() if l and l[0] != "#" and "{" not in l}
    cpu = sum(float(x) for x in open(f"/proc/{pawl.master.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")
    answers.sort()
    print(f"{rule}: {took:.0f} s, {cpu:.1f} s CPU, left {now[0]} builds, {now[1]} logs, {now[2]} free pages; /healthz p50 {statistics.median(answers):.1f} ms, "
          f"p99 {answers[len(answers) * 99 // 100]:.1f} ms, max {answers[-1]:.1f} ms; longest commit {metrics['pawl_turn_max_microseconds'] / 1000:.1f} ms, "
          f"callbacks over 50 ms CPU: {metrics.get('pawl_slow_callbacks_total', 0):.0f}", flush=True)
    pawl.kill(pawl.master)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    path = tempfile.mkdtemp(prefix="pawl-retention-")
    pawl = Pawl(path)
    try:
        pawl.configure(CONFIG.format(rule="", dir=path))
        pawl.start_master()
        pawl.kill(pawl.master)
        for f in ("pawl.db", "pawl.db-wal", "pawl.db-shm"):
            if os.path.exists(os.path.join(pawl.state, f)):
                os.unlink(os.path.join(pawl.state, f))
        subprocess.run([os.path.join(BUILD, "tests/bench/fill_db"), os.path.join(pawl.state, "pawl.db"), str(n)], check=True, stdout=subprocess.DEVNULL)
        print(f"{n} builds, {os.path.getsize(os.path.join(pawl.state, 'pawl.db')) >> 20} MiB", flush=True)
        measure(pawl, "logs: forever", lambda now: True)
        measure(pawl, "logs: 1d, keep_last: 1", lambda now: now[1] < n // 2)
        measure(pawl, "logs: 1d, builds: 1d, keep_last: 1", lambda now: now[0] < n // 4)
        size = os.path.getsize(os.path.join(pawl.state, "pawl.db"))
        print(f"file {size >> 20} MiB afterwards, free pages are used again")
    finally:
        pawl.close()
        shutil.rmtree(path)


main()
