"""Pawl under measurement: a master and workers on loopback in one folder, spoken to by command line and REST."""
import datetime, glob, json, os, signal, subprocess, threading, time

from measure import Fail, Http, below, cpu, folder_bytes, log_file, memory, quantile, scratch, sha256, uncache, until

SLOTS = (1, 4, 16)
REQUESTS = 2000      # no-op builds of one run
CHANGES = 200        # samples of the latency
TAIL_MS, TAIL_LINES = 5, 1600
LISTS = 1000         # lists of 50 builds
PACE = 0.004         # seconds between those beside builds: as fast as they go they would take one core from the builds
STORED = 1000000     # builds in the large database
LOG_SIZE = 200_000_000

CONFIG = """
name: bench
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1h}}
builders:
{builders}
schedulers:
  - {{name: start, kind: {start}}}
"""


def stamp_ms(text):
    """Milliseconds of an RFC 3339 time."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


class Pawl:
    def __init__(self, bench, name, builders, push=None, state=None):
        self.bin, self.dir = bench.bin, scratch(bench.dir, name)
        self.state = state or os.path.join(self.dir, "state")
        self.repo = os.path.join(self.dir, "repo.git")
        self.children, self.master, self.worker = [], None, {}
        self.env = dict(os.environ, HOME=self.dir, PATH="/usr/sbin:/usr/bin:/sbin:/bin", GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="Ada", GIT_AUTHOR_EMAIL="ada@example.org",
                        GIT_COMMITTER_NAME="Ada", GIT_COMMITTER_EMAIL="ada@example.org")
        for k in ("PAWL_URL", "PW_FAULT"):
            self.env.pop(k, None)
        self.commits = self.history(4 * (CHANGES + 5))
        self.next = 1
        self.set_branch(0)
        self.config = os.path.join(self.dir, "master.yaml")
        builders = "".join(f"  - {{name: {n}, project: p, collapse: false, requires: {{tags: [{tag}]}}, "
                           f"steps: [{{name: go, {step}}}]}}\n" for n, tag, step in builders)
        with open(self.config, "w") as f:
            f.write(CONFIG.format(repo=self.repo, builders=builders, start=f"branch, project: p, branches: [master], builders: [{push}]" if push else "force, project: p"))

    def git(self, *args, data=None):
        p = subprocess.run(["git", "-C", self.repo, *args], env=self.env, input=data, capture_output=True)
        if p.returncode:
            raise Fail(f"git {args[0]}: {p.stderr.decode()}")
        return p.stdout.decode()

    def history(self, n):
        """n commits, on no branch yet; ids oldest first."""
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", self.repo], env=self.env, check=True)
        text = "".join(f"commit refs/bench/all\ncommitter Ada <ada@example.org> {1760000000 + i} +0000\ndata <<E\nchange {i}\nE\n"
                       f"M 644 inline file\ndata <<E\n{i}\nE\n\n" for i in range(n))
        self.git("fast-import", "--quiet", data=text.encode())
        return self.git("rev-list", "--reverse", "refs/bench/all").split()

    def set_branch(self, i):
        with open(os.path.join(self.repo, "refs/heads/master.lock"), "w") as f: # what update-ref does, without its start
            f.write(self.commits[i] + "\n")
        os.rename(f.name, f.name[:-5])

    # ---- processes
    def spawn(self, name, argv):
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            p = subprocess.Popen(argv, cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        p.name = name
        self.children.append(p)
        return p

    def log(self, name):
        with open(os.path.join(self.dir, name + ".log"), errors="replace") as f:
            return f.read()[-2000:].strip()

    def start(self):
        """Seconds from exec to an answer of /healthz."""
        addr = os.path.join(self.state, "web.addr")
        if os.path.exists(addr):
            os.unlink(addr)
        argv = [f"{self.bin}/pawl-master", "--config", self.config, "--state", self.state]
        begin = time.monotonic()
        self.master = self.spawn("master", argv)
        while not os.path.exists(addr):
            if self.master.poll() is not None or time.monotonic() - begin > 60:
                raise Fail("the master did not start: " + self.log("master"))
            time.sleep(0.0002)
        with open(addr) as f:
            self.url = f.read().strip()
        probe = Http(self.url)
        while probe.ask("GET", "/healthz")[0] != 200:
            if time.monotonic() - begin > 60:
                raise Fail("the master is not healthy: " + self.log("master"))
            time.sleep(0.0002)
        took = time.monotonic() - begin
        probe.close()
        with open(os.path.join(self.state, "admin.token")) as f:
            self.token = f.read().strip()
        self.http = Http(self.url, self.token)
        return took

    def kill(self):
        self.http.close()
        self.master.kill()
        self.master.wait()

    def run(self, *args):
        p = subprocess.run(args, cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if p.returncode:
            raise Fail(f"{os.path.basename(args[0])} gave {p.returncode}: {p.stderr}{p.stdout}")
        return p.stdout

    def start_worker(self, name, slots):
        conf = os.path.join(self.dir, name + ".yaml")
        if not os.path.exists(conf):
            line = json.loads(self.run(f"{self.bin}/pawl", "--state", self.state, "--json", "worker", "add", name))["line"]
            self.run(f"{self.bin}/pawl-worker", "join", line.split()[-1], "--config", conf, "--spool",
                     os.path.join(self.dir, "spool-" + name), "--slots", str(slots), "--tags", name)
        p = self.worker[name] = self.spawn("worker-" + name, [f"{self.bin}/pawl-worker", "--config", conf])
        until(lambda: p.poll() is not None or self.state_of(name) == "connected", 20, f"worker {name}")
        if p.poll() is not None:
            raise Fail("the worker did not start: " + self.log("worker-" + name))
        return p

    def state_of(self, name):
        return next((w["state"] for w in self.http.json("/api/v1/workers")["items"] if w["name"] == name), None)

    def stop_worker(self, name):
        p = self.worker.pop(name)
        p.send_signal(signal.SIGTERM)
        p.wait(timeout=20)

    def close(self):
        left = {x for p in self.children if p.poll() is None for x in below(p.pid)}
        for p in self.children:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.children:
            try:
                p.wait(timeout=20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for pid in left: # runners outlive their agent on purpose
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    ours = self.dir.encode() in f.read()
                if ours:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    # ---- asking
    def force(self, builder, http=None):
        return (http or self.http).post("/api/v1/force", {"builder": builder, "project": "p", "branch": "master",
                                                          "revision": self.commits[0], "reason": "bench"})["requests"][0]

    def force_many(self, builder, n, threads=4):
        """Requests put in over several connections; returns their ids."""
        ids, wrong = [], []

        def some(k):
            http = Http(self.url, self.token)
            try:
                ids.extend([self.force(builder, http) for _ in range(k)])
            except (Fail, OSError) as e:
                wrong.append(e)
            http.close()
        every = [threading.Thread(target=some, args=(n // threads + (i < n % threads),)) for i in range(threads)]
        for t in every:
            t.start()
        for t in every:
            t.join()
        if wrong:
            raise Fail(str(wrong[0]))
        return set(ids)

    def finished(self, http=None):
        """Builds that this master has finished, from /metrics."""
        text = (http or self.http).get("/metrics").decode()
        return sum(float(x.rsplit(None, 1)[1]) for x in text.splitlines() if x.startswith("pawl_builds_total{"))

    def builds(self, requests):
        """Rows of these requests' builds, from the newest on."""
        rows, cursor = [], None
        while len(rows) < len(requests):
            page = self.http.json("/api/v1/builds?limit=1000" + (f"&cursor={cursor}" if cursor else ""))
            rows += [b for b in page["items"] if b["request"] in requests]
            cursor = page["next"]
            if not cursor:
                break
        return rows

    def build_of(self, request, timeout=300):
        def done():
            rows = self.builds({request})
            return rows[0] if rows and rows[0]["state"] == "done" else None
        return until(done, timeout, f"the build of request {request}", 0.05)

    def running(self, request):
        rows = self.builds({request})
        return rows[0] if rows and rows[0]["state"] in ("running", "finishing", "done") else None


def figures(table):
    """All figures with the goals that this project set itself, in the order of the table."""
    large = f"{STORED:,} builds"
    for n, rate, ms in ((1, 500, 0.5), (4, None, None), (16, 1100, 0.3)):
        table.row(f"noop{n}", f"no-op builds, {n} in flight", "builds/s", rate and (">=", rate))
        table.row(f"noopcpu{n}", f"master CPU per no-op build, {n} in flight", "ms", ms and ("<=", ms))
    for q, goal in ((50, 4), (99, 8)):
        table.row(f"lat{q}", f"change by REST -> step's process runs, p{q}", "ms", ("<=", goal))
    for n, name, rate, master in ((1, "one 200 MB log", (">=", 300), 16), (4, "four 200 MB logs at once", None, 20)):
        table.row(f"log{n}", f"{name}, step start -> build done", "MB/s", rate)
        table.row(f"logmem{n}", f"{name}: peak memory of the master", "MB", ("<=", master))
        table.row(f"logrun{n}", f"{name}: of the runner", "MB", ("<=", 10))
        table.row(f"logagent{n}", f"{name}: of the agent", "MB", ("<=", 8))
        table.row(f"logstored{n}", f"{name}: stored for each", "MB", ("<=", 20))
    for q, goal in ((50, None), (99, 200)):
        table.row(f"tail{q}", f"live tail beside four logs, line printed -> seen, p{q}", "ms", goal and ("<=", goal))
    table.row("idlemaster", "idle memory of the master", "MB", ("<=", 10))
    table.row("idleworker", "idle memory of the worker", "MB", ("<=", 5))
    table.row("startempty", "start of the master on a new state folder", "ms", ("<=", 50))
    table.row("startcold", f"start on {large}, nothing cached, after kill -9", "ms", ("<=", 50))
    table.row("startwarm", f"start on {large}, cached, after kill -9", "ms")
    for key, beside in (("rest", "alone"), ("restbusy", "beside builds at full speed")):
        for q, goal in ((50, None), (99, 1)):
            table.row(f"{key}{q}", f"newest 50 of {large} by REST, {beside}, p{q}", "ms", goal and ("<=", goal))


# ---- sections. Each takes the bench (folders, table) and adds its figures.
def noop(b):
    p = Pawl(b, "noop", [(f"noop{n}", f"w{n}", "run: ['true']") for n in SLOTS])
    try:
        p.start()
        for n in SLOTS:
            p.start_worker(f"w{n}", n)
            for _ in range(b.reps):
                rate, wall, ms, put = noop_run(p, f"noop{n}", f"w{n}")
                b.say(f"pawl noop {n}: {rate:.0f}/s by the builds' times, {wall:.0f}/s on the clock, {ms:.3f} ms CPU; {put:.0f} requests/s put in")
                b.table.add("pawl", f"noop{n}", rate)
                b.table.add("pawl", f"noopcpu{n}", ms)
            p.stop_worker(f"w{n}")
    finally:
        p.close()


def noop_run(p, builder, worker):
    p.http.post(f"/api/v1/workers/{worker}/pause", {"reason": "bench"})
    begin = time.monotonic()
    requests = p.force_many(builder, REQUESTS)
    put = REQUESTS / (time.monotonic() - begin)
    before, used, begin = p.finished(), cpu(p.master.pid), time.monotonic()
    p.http.post(f"/api/v1/workers/{worker}/resume", {"reason": "bench"})
    until(lambda: p.finished() >= before + REQUESTS, 300, f"{REQUESTS} builds", 0.05)
    wall, used = time.monotonic() - begin, cpu(p.master.pid) - used
    rows = p.builds(requests)
    bad = [r for r in rows if r["result"] != "success"]
    if len(rows) != REQUESTS or bad:
        raise Fail(f"{len(rows)} of {REQUESTS} builds, {len(bad)} not green: {bad[:1]}")
    span = max(stamp_ms(r["finished"]) for r in rows) - min(stamp_ms(r["started"]) for r in rows)
    return REQUESTS / (span / 1000), REQUESTS / wall, used / REQUESTS * 1000, put


def latency(b):
    out = os.path.join(b.dir, "latency", "stamp")
    p = Pawl(b, "latency", [("lat", "w1", f"run: [\"{b.stamp}\", \"{out}\"]")], push="lat")
    try:
        p.start()
        p.start_worker("w1", 1)
        until(lambda: p.http.json("/api/v1/projects")["items"], 20, "the project")
        time.sleep(0.5)
        for _ in range(b.reps):
            took = []
            for k in range(CHANGES + 3):
                i, p.next = p.next, p.next + 1
                p.set_branch(i) # as after a push; nobody looks at it before it is told
                sent = time.time_ns()
                answer = p.http.post("/api/v1/changes", {"project": "p", "branch": "master", "revision": p.commits[i]})
                if not answer["requests"]:
                    raise Fail(f"change {i} started no build: {answer}")
                until(lambda: os.path.exists(out), 20, f"the step of change {i}", 0.002)
                with open(out) as f:
                    at = int(f.read())
                os.unlink(out)
                if k >= 3: # the first ones warm it up
                    took.append((at - sent) / 1e6)
                time.sleep(0.08) # the look at the repository that a change sets off ends, and the build
            b.say(f"pawl latency: p50 {quantile(took, .5):.2f} p99 {quantile(took, .99):.2f} max {max(took):.2f} ms of {len(took)}")
            b.table.add("pawl", "lat50", quantile(took, .5))
            b.table.add("pawl", "lat99", quantile(took, .99))
    finally:
        p.close()


class Peaks(threading.Thread):
    """Largest VmHWM of agent and runners, sampled while they live."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.runner, self.over = agent, 0.0, False

    def run(self):
        while not self.over:
            for pid, name in below(self.agent).items():
                if name == "pawl-run":
                    try:
                        self.runner = max(self.runner, memory(pid, "VmHWM"))
                    except (OSError, Fail):
                        pass # it has just ended
            time.sleep(0.1)

    def end(self):
        self.over = True
        self.join()
        return self.runner


def log(b):
    path = b.log()
    want = sha256(path)
    for n in (1, 4):
        for k in range(b.reps if n == 1 else 1):
            p = Pawl(b, "log", [("log", "w4", f"run: [cat, \"{path}\"]")])
            try:
                log_run(b, p, n, want)
            finally:
                p.close()


def log_run(b, p, n, want):
    p.start()
    agent = p.start_worker("w4", 4)
    peaks = Peaks(agent.pid)
    peaks.start()
    requests = [p.force("log") for _ in range(n)]
    rows = [p.build_of(r) for r in requests]
    runner = peaks.end()
    begin = min(stamp_ms(p.http.json(f"/api/v1/builds/{r['id']}/steps")["items"][0]["started"]) for r in rows)
    rate = n * LOG_SIZE / 1e6 / ((max(stamp_ms(r["finished"]) for r in rows) - begin) / 1000)
    peak, agent_peak = memory(p.master.pid, "VmHWM"), memory(agent.pid, "VmHWM")
    # sealing moves frames from the segment to a file of their own, so wait until nothing changes
    stored, same, folder = 0, 0, os.path.join(p.state, "logs")
    while same < 10:
        now = folder_bytes(folder, without="seg")
        same, stored = (same + 1 if now == stored and now else 0), now
        time.sleep(0.1)
    segment = folder_bytes(folder) - stored
    for r in rows:
        if r["result"] != "success":
            raise Fail(f"build {r['id']}: {r['result']}, {r['reason']}")
        got = read_back(p, r["id"])
        if got != want:
            raise Fail(f"the log of build {r['id']} read back is not what was printed")
    b.say(f"pawl log x{n}: {rate:.0f} MB/s, master {peak:.1f} MB (now, after reading back, {memory(p.master.pid, 'VmHWM'):.1f}), agent {agent_peak:.1f}, "
          f"runner {runner:.1f}, stored {stored / n / 1e6:.1f} MB each (beside {segment / 1e6:.0f} MB in the open segment); read back the same")
    for key, value in ((f"log{n}", rate), (f"logmem{n}", peak), (f"logrun{n}", runner), (f"logagent{n}", agent_peak), (f"logstored{n}", stored / n / 1e6)):
        b.table.add("pawl", key, value)


def read_back(p, build):
    import hashlib
    h = hashlib.sha256()
    http = Http(p.url)
    http.send("GET", f"/api/v1/builds/{build}/log/go?raw=1")
    status, head = http.head()
    if status != 200:
        raise Fail(f"reading the log gave {status}")
    for piece in http.chunks(head):
        h.update(piece)
    http.close()
    return h.hexdigest()


def tail(b):
    path, stop = b.log(), os.path.join(b.dir, "tail", "stop")
    flood = f"log_limit: 20G, run: \"while [ ! -e {stop} ]; do cat {path}; done\""
    p = Pawl(b, "tail", [("flood", "w5", flood), ("slow", "w5", f"run: [\"{b.stamp}\", '-r', '{TAIL_MS}', '{TAIL_LINES}']")])
    try:
        p.start()
        p.start_worker("w5", 5)
        for _ in range(b.reps):
            if os.path.exists(stop):
                os.unlink(stop)
            floods = [p.force("flood") for _ in range(4)]
            for r in floods:
                until(lambda: p.running(r), 20, "a flood")
            request = p.force("slow")
            build = until(lambda: p.running(request), 20, "the slow step", 0.002)["id"]
            took = follow(p, build)
            open(stop, "w").close()
            rows = [p.build_of(r) for r in floods]
            size = sum(s["bytes"] or 0 for r in rows for s in p.http.json(f"/api/v1/builds/{r['id']}/steps")["items"])
            span = (max(stamp_ms(r["finished"]) for r in rows) - min(stamp_ms(r["started"]) for r in rows)) / 1000
            b.say(f"pawl tail: p50 {quantile(took, .5):.1f} p99 {quantile(took, .99):.1f} max {max(took):.1f} ms of {len(took)} lines, "
                  f"beside {size / 1e6 / span:.0f} MB/s")
            b.table.add("pawl", "tail50", quantile(took, .5))
            b.table.add("pawl", "tail99", quantile(took, .99))
    finally:
        if os.path.isdir(os.path.dirname(stop)):
            open(stop, "w").close()
        p.close()


def follow(p, build):
    """Milliseconds from print to arrival of each line; those printed before the viewer came are left out."""
    http, come = Http(p.url), []
    begin = time.time_ns()
    http.send("GET", f"/api/v1/builds/{build}/log/go?raw=1&follow=1")
    status, head = http.head()
    if status != 200:
        raise Fail(f"following the log gave {status}")
    for piece in http.chunks(head):
        come.append((time.time_ns(), piece))
    http.close()
    text, took, lines = b"", [], 0
    for at, piece in come:
        text += piece
        *whole, text = text.split(b"\n")
        for line in whole:
            number, printed = map(int, line.split())
            if number != lines:
                raise Fail(f"line {lines} is missing from the followed log, {number} came")
            lines += 1
            if printed > begin:
                took.append((at - printed) / 1e6)
    if lines != TAIL_LINES or len(took) < TAIL_LINES // 2:
        raise Fail(f"{lines} of {TAIL_LINES} lines came, {len(took)} of them live")
    return took


def idle(b):
    for _ in range(b.reps):
        p = Pawl(b, "idle", [("noop", "w1", "run: ['true']")])
        try:
            p.start()
            agent = p.start_worker("w1", 1)
            p.build_of(p.force("noop")) # one build, so that all is in use that one needs
            time.sleep(3)
            helper = sum(memory(x) for x in below(agent.pid))
            own = [memory(x, "RssAnon") for x in (p.master.pid, agent.pid)]
            b.say(f"pawl idle: master {memory(p.master.pid):.1f} MB ({own[0]:.1f} its own, the rest pages of program and libraries), "
                  f"agent {memory(agent.pid):.1f} MB ({own[1]:.1f}), beside it pawl-run --serve {helper:.1f} MB")
            b.table.add("pawl", "idlemaster", memory(p.master.pid))
            b.table.add("pawl", "idleworker", memory(agent.pid))
        finally:
            p.close()


def start(b):
    for _ in range(max(b.reps, 3)):
        p = Pawl(b, "start", [("noop", "w1", "run: ['true']")])
        try:
            b.table.add("pawl", "startempty", p.start() * 1000)
        finally:
            p.close()
    p, state = Pawl(b, "start", [("noop", "w1", "run: ['true']")], state=b.million()), ""
    try:
        p.start()
        for key in ("startcold", "startwarm"):
            for _ in range(max(b.reps, 3)):
                p.kill()
                if key == "startcold":
                    state = uncache(glob.glob(p.state + "/*") + [f"{p.bin}/pawl-master"])
                    time.sleep(0.2)
                b.table.add("pawl", key, p.start() * 1000)
    finally:
        p.close()
    b.table.note(f"cold start: {state}")
    b.say(f"pawl start: empty {b.table.rows['startempty'].cell('pawl')}, cold {b.table.rows['startcold'].cell('pawl')} ({state}), "
          f"warm {b.table.rows['startwarm'].cell('pawl')} ms")


def rest(b):
    p = Pawl(b, "rest", [("noop", "w16", "run: ['true']")], state=b.million())
    try:
        p.start()
        p.start_worker("w16", 16)
        http = Http(p.url, p.token)
        if len(http.json("/api/v1/builds?limit=50")["items"]) != 50:
            raise Fail("the list has no 50 builds")
        rates = []
        for _ in range(b.reps):
            took = lists(http, lambda k: k < LISTS)
            b.table.add("pawl", "rest50", quantile(took, .5))
            b.table.add("pawl", "rest99", quantile(took, .99))
            p.http.post("/api/v1/workers/w16/pause", {"reason": "bench"})
            p.force_many("noop", 2 * REQUESTS)
            before, begin = p.finished(), time.monotonic()
            p.http.post("/api/v1/workers/w16/resume", {"reason": "bench"})
            busy = []
            while p.finished() < before + 2 * REQUESTS:
                busy += lists(http, lambda k: k < 20, PACE)
                if time.monotonic() - begin > 120:
                    raise Fail("the builds beside the lists do not end")
            rate = 2 * REQUESTS / (time.monotonic() - begin)
            b.table.add("pawl", "restbusy50", quantile(busy, .5))
            b.table.add("pawl", "restbusy99", quantile(busy, .99))
            rates.append(rate)
            b.say(f"pawl rest: alone p50 {quantile(took, .5):.3f} p99 {quantile(took, .99):.3f} ms of {len(took)}; beside {rate:.0f} builds/s "
                  f"p50 {quantile(busy, .5):.3f} p99 {quantile(busy, .99):.3f} ms of {len(busy)}")
        b.table.note(f"lists beside builds: one each {PACE * 1000:.0f} ms, while {' / '.join(f'{x:,.0f}' for x in rates)} builds/s were finished")
    finally:
        p.close()


def lists(http, more, pace=0.0):
    took = []
    while more(len(took)):
        time.sleep(pace)
        begin = time.perf_counter()
        http.get("/api/v1/builds?limit=50")
        took.append((time.perf_counter() - begin) * 1000)
    return took


SECTIONS = {"noop": noop, "latency": latency, "log": log, "tail": tail, "idle": idle, "start": start, "rest": rest}
