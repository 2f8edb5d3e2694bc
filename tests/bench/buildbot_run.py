"""Debian's Buildbot 3.7 under measurement: one master, one worker (slots are max_builds), changes by its own sendchange, builds counted in
its database, whose times are whole seconds, so it is looked at often instead."""
import os, shutil, signal, socket, sqlite3, subprocess, time

from measure import HERE, Fail, cpu, memory, quantile, scratch, until

BUILDERS = 50       # one change starts a build of each
BUILDS = {1: 50, 4: 100, 16: 100}
CHANGES = 60        # samples of the latency
LOG_SIZE = 20_000_000


class Buildbot:
    def __init__(self, bench, slots=1, log="/dev/null"):
        if not shutil.which("buildbot") or not shutil.which("buildbot-worker"):
            raise Fail("Buildbot is not installed")
        self.dir = scratch(bench.dir, "buildbot")
        self.base, self.out = os.path.join(self.dir, "master"), os.path.join(self.dir, "stamp")
        with socket.socket() as s: # Buildbot cannot choose a free port by itself
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.env = dict(os.environ, HOME=self.dir, PATH="/usr/sbin:/usr/bin:/sbin:/bin", BENCH_PORT=str(self.port), BENCH_SLOTS=str(slots), BENCH_BUILDERS=str(BUILDERS), BENCH_LOG=log,
                        BENCH_STAMP=f"{bench.stamp}:{self.out}")
        self.master = self.worker = self.sender = self.db = None
        self.run("buildbot", "create-master", "-r", self.base)
        shutil.copy(os.path.join(HERE, "buildbot_master.cfg"), os.path.join(self.base, "master.cfg"))
        self.run("buildbot-worker", "create-worker", "-r", "--maxdelay", "2", os.path.join(self.dir, "worker"), f"127.0.0.1:{self.port}", "w", "secret")

    def run(self, *args):
        p = subprocess.run(args, cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if p.returncode:
            raise Fail(f"{args[0]} {args[1]}: {p.stderr}{p.stdout}")

    def start(self):
        """Seconds from exec to "BuildMaster is running"."""
        log = os.path.join(self.base, "twistd.log")
        seen = os.path.getsize(log) if os.path.exists(log) else 0
        begin = time.monotonic()
        self.master = subprocess.Popen(["buildbot", "start", "--nodaemon", self.base], env=self.env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def up():
            if self.master.poll() is not None:
                raise Fail("Buildbot's master ended at once, see " + log)
            if not os.path.exists(log):
                return False
            with open(log, errors="replace") as f:
                f.seek(seen)
                return "BuildMaster is running" in f.read()
        until(up, 60, "Buildbot's master", 0.005)
        took = time.monotonic() - begin
        self.db = sqlite3.connect(f"file:{self.base}/state.sqlite?mode=ro", uri=True, timeout=10)
        return took

    def start_worker(self):
        self.worker = subprocess.Popen(["buildbot-worker", "start", "--nodaemon", os.path.join(self.dir, "worker")], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connected(self):
        until(lambda: self.ask("SELECT count(*) FROM connected_workers"), 60, "Buildbot's worker", 0.05)

    def ask(self, sql):
        try:
            return self.db.execute(sql).fetchone()[0]
        except sqlite3.OperationalError as e: # its writer is faster than we wait, or the table is not made yet
            if "locked" in str(e):
                return 0
            raise Fail(f"Buildbot's database: {e}")

    def done(self):
        return self.ask("SELECT count(*) FROM builds WHERE complete_at IS NOT NULL")

    def green(self, n):
        good = self.ask("SELECT count(*) FROM builds WHERE results = 0")
        if good != n:
            raise Fail(f"{good} of {n} builds of Buildbot are green")

    def change(self, branch):
        self.run("buildbot", "sendchange", "--master", f"127.0.0.1:{self.port}", "--who", "ada", "--branch", branch, "--revision", str(time.time_ns()), "file")

    def close(self):
        if self.db:
            self.db.close()
        for p in (self.sender, self.worker, self.master):
            if p and p.poll() is None:
                p.send_signal(signal.SIGKILL)
                p.wait()


def noop(b):
    for n, builds in BUILDS.items():
        m = Buildbot(b, slots=n)
        try:
            m.start()
            for _ in range(builds // BUILDERS):
                m.change("noop")
            until(lambda: m.ask("SELECT count(*) FROM buildrequests") == builds, 60, "Buildbot's requests")
            used = cpu(m.master.pid)
            m.start_worker()
            until(lambda: m.ask("SELECT count(*) FROM builds"), 60, "Buildbot's first build")
            begin = time.monotonic()
            until(lambda: m.done() >= builds, 300, "Buildbot's builds", 0.05)
            rate, ms = builds / (time.monotonic() - begin), (cpu(m.master.pid) - used) / builds * 1000
            m.green(builds)
            b.say(f"buildbot noop {n}: {rate:.1f}/s, {ms:.0f} ms CPU")
            b.table.add("buildbot", f"noop{n}", rate)
            b.table.add("buildbot", f"noopcpu{n}", ms)
        finally:
            m.close()
    b.table.note(f"Buildbot's no-op builds: {BUILDERS} builders, one `buildbot sendchange` asks for one build of each; {' / '.join(map(str, BUILDS.values()))} "
                 "builds, max_builds of one worker for slots")


def latency(b):
    m = Buildbot(b)
    try:
        m.start()
        m.start_worker()
        m.connected()
        m.sender = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "buildbot_send.py"), f"127.0.0.1:{m.port}"], env=m.env, text=True,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        took, whole = [], []
        for k in range(CHANGES + 3):
            m.sender.stdin.write("lat\n")
            m.sender.stdin.flush()
            sent = int(m.sender.stdout.readline())
            if k >= 3:
                took.append((stamped(m, k) - sent) / 1e6)
            else:
                stamped(m, k)
        for k in range(5): # with the start of the command, as a hook of a repository would call it
            sent = time.time_ns()
            m.change("lat")
            whole.append((stamped(m, CHANGES + 3 + k) - sent) / 1e6)
        b.say(f"buildbot latency: p50 {quantile(took, .5):.0f} p99 {quantile(took, .99):.0f} ms of {len(took)}; with the start of sendchange {quantile(whole, .5):.0f} ms")
        b.table.add("buildbot", "lat50", quantile(took, .5))
        b.table.add("buildbot", "lat99", quantile(took, .99))
        b.table.note(f"Buildbot's latency: {CHANGES} changes by the class behind `buildbot sendchange`, kept running; by the command itself p50 {quantile(whole, .5):.0f} ms of {len(whole)}")
    finally:
        m.close()


def stamped(m, k):
    """When the step of change k ran; back when its build is finished."""
    until(lambda: os.path.exists(m.out), 60, f"the step of Buildbot's change {k}", 0.005)
    with open(m.out) as f:
        at = int(f.read())
    os.unlink(m.out)
    until(lambda: m.done() > k, 60, "Buildbot's build", 0.02)
    return at


def log(b):
    path = b.log(LOG_SIZE)
    m = Buildbot(b, log=path)
    try:
        m.start()
        m.start_worker()
        m.connected()
        m.change("log")
        until(lambda: m.ask("SELECT count(*) FROM steps WHERE started_at IS NOT NULL"), 60, "Buildbot's step")
        begin = time.monotonic()
        until(lambda: m.done() >= 1, 300, "Buildbot's build")
        rate = LOG_SIZE / 1e6 / (time.monotonic() - begin)
        m.green(1)
        master, worker = memory(m.master.pid, "VmHWM"), memory(m.worker.pid, "VmHWM")
        size = sum(os.path.getsize(os.path.join(m.base, f)) for f in os.listdir(m.base) if f.startswith("state.sqlite")) / 1e6
        b.say(f"buildbot log: {rate:.1f} MB/s, master {master:.0f} MB, worker {worker:.0f} MB, database {size:.1f} MB")
        b.table.add("buildbot", "log1", rate)
        b.table.add("buildbot", "logmem1", master)
        b.table.add("buildbot", "logagent1", worker)
        b.table.note(f"Buildbot's log has {LOG_SIZE // 1000000} MB only; its database grew to {size:.1f} MB by it")
    finally:
        m.close()


def idle(b):
    m = Buildbot(b)
    try:
        m.start()
        m.start_worker()
        m.connected()
        time.sleep(3)
        b.say(f"buildbot idle: master {memory(m.master.pid):.0f} MB, worker {memory(m.worker.pid):.0f} MB")
        b.table.add("buildbot", "idlemaster", memory(m.master.pid))
        b.table.add("buildbot", "idleworker", memory(m.worker.pid))
    finally:
        m.close()


def start(b):
    m = Buildbot(b)
    try:
        for _ in range(3):
            b.table.add("buildbot", "startempty", m.start() * 1000)
            m.close()
        b.say(f"buildbot start: {b.table.rows['startempty'].cell('buildbot')} ms")
    finally:
        m.close()


def rest(b):
    b.table.note("Buildbot's REST is not measured, as Debian has no buildbot-www; measured once with a stub of it: newest 50 builds 4.9 ms (median) at 5,000 builds")


SECTIONS = {"noop": noop, "latency": latency, "log": log, "idle": idle, "start": start, "rest": rest}
