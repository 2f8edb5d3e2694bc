#!/usr/bin/python3
"""load.py: a thousand workers, two hundred running jobs, fifty MB of log a second against one master, for minutes.
Every build is looked at afterwards: result, attempts, bytes; the text of some is compared byte for byte."""
import argparse, hashlib, json, math, os, re, shutil, signal, subprocess, sys, tempfile, threading, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRAME = 64 * 1024


class Rest:
    def __init__(self, url, token):
        self.url, self.token = url, token

    def ask(self, method, path, body=None, raw=False):
        data = None if body is None else json.dumps(body).encode()
        req = urllib.request.Request(self.url + path, data=data, method=method,
                                     headers={"Authorization": "Bearer " + self.token, "Content-Type": "application/json"})
        with urllib.request.urlopen(req, timeout=60) as r:
            text = r.read()
        return text if raw else json.loads(text)


def memory(pid, key):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024 / 1e6


def cpu(pid):
    v = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def when(text):
    whole, _, milli = text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(milli) / 1000


def quantile(v, q):
    v = sorted(v)
    return v[max(0, math.ceil(q * len(v)) - 1)]


def repository(path):
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=path)
    os.makedirs(path)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "master", path], check=True, env=env)
    stream = "commit refs/heads/master\ncommitter A <a@b> 1760000000 +0000\ndata 1\nx\n"
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input=stream.encode(), check=True, env=env)
    return subprocess.run(["git", "-C", path, "rev-parse", "master"], check=True, env=env, capture_output=True, text=True).stdout.strip()


class Load:
    def __init__(self, a, where):
        self.a, self.dir, self.children = a, where, []
        self.rss, self.samples = 0, []

    def spawn(self, argv, out):
        p = subprocess.Popen(argv, cwd=self.dir, stdout=open(os.path.join(self.dir, out), "wb"), stderr=subprocess.STDOUT)
        self.children.append(p)
        return p

    def until(self, check, what, timeout=120):
        end = time.monotonic() + timeout
        while not check():
            for p in self.children:
                if p.poll() is not None:
                    raise SystemExit(f"load: a process ended while waiting for {what}; see {self.dir}")
            if time.monotonic() > end:
                raise SystemExit(f"load: {what} did not come in {timeout} s; see {self.dir}")
            time.sleep(0.05)

    def start(self):
        self.rev = repository(os.path.join(self.dir, "repo"))
        conf = os.path.join(self.dir, "master.yaml")
        with open(conf, "w") as f:
            f.write("name: load\nweb: {listen: 127.0.0.1:0}\nworkers: {listen: 'tcp://127.0.0.1:0'}\n"
                    f"projects: [{{name: p, repository: {self.dir}/repo, poll: 1h}}]\n"
                    "builders: [{name: load, project: p, collapse: false, steps: [{name: say, run: 'true'}]}]\n"
                    "schedulers: [{name: f, kind: force, project: p}]\n")
        state = os.path.join(self.dir, "state")
        build = self.a.build
        self.master = self.spawn([f"{build}/pawl-master", "--config", conf, "--state", state], "master.log")
        self.until(lambda: os.path.exists(f"{state}/web.addr") and os.path.exists(f"{state}/admin.token"), "the master")
        self.rest = Rest(open(f"{state}/web.addr").read().strip(), open(f"{state}/admin.token").read().strip())
        with open(os.path.join(self.dir, "tokens"), "w") as f:
            for i in range(self.a.workers):
                f.write(self.rest.ask("POST", "/api/v1/workers", {"name": f"w{i}"})["line"].split()[-1] + "\n")
        per_job = self.a.rate * 1e6 / self.a.running
        self.frames = max(1, round(per_job * self.a.job_seconds / FRAME))
        self.fleet = self.spawn([f"{build}/fleet", "tokens", "spools", str(self.frames), str(self.a.job_seconds)], "fleet.log")
        said = os.path.join(self.dir, "fleet.log")
        begin = time.monotonic()
        self.until(lambda: "joined" in open(said).read(), "joining", 300)
        self.joined = time.monotonic() - begin
        begin = time.monotonic()
        self.until(lambda: f"up {self.a.workers} " in open(said).read(), "all sessions", 120)
        self.connected = time.monotonic() - begin

    def watch(self):
        while not self.over:
            self.samples.append(memory(self.master.pid, "VmRSS"))
            time.sleep(1)

    def run(self):
        self.over = False
        t = threading.Thread(target=self.watch)
        t.start()
        waiting, self.requests = set(), []
        begin, cpu0 = time.monotonic(), cpu(self.master.pid)
        figures = lambda: {m.group(1): float(m.group(2)) for m in re.finditer(r"^(pawl_\w+) ([0-9.e+]+)$", self.rest.ask("GET", "/metrics", raw=True).decode(), re.M)}
        self.before = figures()
        try:
            while time.monotonic() - begin < self.a.seconds:
                open_now = len(self.rest.ask("GET", "/api/v1/builds?state=running&limit=1000")["items"])
                waiting_now = len(self.rest.ask("GET", "/api/v1/requests?state=waiting&limit=1000")["items"])
                for _ in range(max(0, min(20, self.a.running - open_now - waiting_now))):
                    self.requests += self.rest.ask("POST", "/api/v1/force", {"builder": "load", "revision": self.rev, "branch": "master", "reason": "load"})["requests"]
                time.sleep(0.2)
            self.took, self.cpu = time.monotonic() - begin, cpu(self.master.pid) - cpu0
            self.after = figures()
            self.until(lambda: all(r["state"] == "done" for r in self.rest.ask("GET", "/api/v1/requests?limit=1000")["items"]),
                       "the last builds", 60 + 3 * self.a.job_seconds)
        finally:
            self.over = True
            t.join()

    def check(self):
        """Every build, its bytes; the text of some."""
        builds, cursor = [], ""
        while cursor is not None:
            page = self.rest.ask("GET", "/api/v1/builds?limit=1000" + cursor)
            builds += page["items"]
            cursor = "&cursor=" + page["next"] if page["next"] else None
        bad, want = [], self.frames * FRAME
        digest = hashlib.sha256(open(os.path.join(self.dir, "frame.txt"), "rb").read() * self.frames).hexdigest()
        if len(builds) != len(self.requests):
            bad.append(f"{len(self.requests)} requests, {len(builds)} builds")
        for i, b in enumerate(builds):
            if b["result"] != "success" or b["attempt"] != 1:
                bad.append(f"build {b['id']}: {b['result']}, attempt {b['attempt']}")
            step = self.rest.ask("GET", f"/api/v1/builds/{b['id']}/steps")
            step = (step["items"] if isinstance(step, dict) else step)[0]
            if step["bytes"] != want:
                bad.append(f"build {b['id']}: {step['bytes']} bytes of {want}")
            if i % max(1, len(builds) // 50) == 0:
                text = self.rest.ask("GET", f"/api/v1/builds/{b['id']}/log/say?raw=1", raw=True)
                if hashlib.sha256(text).hexdigest() != digest:
                    bad.append(f"build {b['id']}: its log differs ({len(text)} bytes)")
        self.bytes = want * len(builds)
        queued = [when(b["started"]) - when(b["created"]) for b in builds]
        return builds, bad, queued

    def close(self):
        for p in reversed(self.children):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.children:
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--build", default=os.environ.get("BUILD", os.path.join(ROOT, "build/release")))
    ap.add_argument("--workers", type=int, default=1000)
    ap.add_argument("--running", type=int, default=200)
    ap.add_argument("--rate", type=float, default=50, help="MB of log a second, all jobs together")
    ap.add_argument("--seconds", type=int, default=300)
    ap.add_argument("--job-seconds", type=int, default=20)
    ap.add_argument("--keep", action="store_true")
    a = ap.parse_args()
    where = tempfile.mkdtemp(prefix="pawl-load-")
    load = Load(a, where)
    try:
        load.start()
        load.run()
        builds, bad, queued = load.check()
    finally:
        load.close()
        if not a.keep:
            shutil.rmtree(where, ignore_errors=True)
    moved = load.after.get("pawl_log_bytes_total", 0) - load.before.get("pawl_log_bytes_total", 0)
    print(f"load: {a.workers} workers joined in {load.joined:.1f} s, connected in {load.connected:.1f} s; {len(builds)} builds, "
          f"{a.running} at a time, {load.bytes / 1e6 / load.took:.1f} MB/s of log (stored {moved / 1e6 / load.took:.1f}) for {load.took:.0f} s")
    print(f"load: queue latency p50 {quantile(queued, .5) * 1000:.0f} ms, p99 {quantile(queued, .99) * 1000:.0f} ms, worst {max(queued) * 1000:.0f} ms; "
          f"master {max(load.samples):.0f} MB at most ({load.samples[len(load.samples) // 2]:.0f} in the middle), {load.cpu / load.took * 100:.0f} % of a core")
    for line in bad[:20]:
        print("load: " + line)
    print(f"load: {len(bad)} violations")
    return 1 if bad or not builds else 0


if __name__ == "__main__":
    sys.exit(main())
