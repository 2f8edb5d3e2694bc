"""The world of a run: a real master, agents with spools of their own behind the proxy, a repository; who may be killed, and who was."""
import glob, heapq, json, os, re, signal, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [p for p in (HERE, os.path.join(ROOT, "tests/system")) if p not in sys.path]
import conftest, netns, plan, proxy  # noqa: E402
from conftest import SLOW, alive, until  # noqa: E402,F401

STEP = f"exec {sys.executable} -S -E {HERE}/step.py"
CONFIG = """name: chaos
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0", address: "{address}"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
  - {{name: tree, project: p, retries: 100, steps: [checkout: {{}}, {{name: out, run: "{step} $(cat spec) {count}"}}]}}
  - {{name: also, project: p, retries: 100, steps: [checkout: {{mode: incremental}}, {{name: out, run: "{step} $(cat spec2) {count}"}}]}}
  - {{name: any, project: p, retries: 100, collapse: false, steps: [{{name: out, run: "{step} $spec {count}"}}], properties: {{spec: quiet-0}}}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master, db-devel, "feature/*"], builders: [tree, also]}}
promotions:
  - {{name: stable, kind: green, project: p, from: master, to: stable, builders: [tree, also]}}
  - {{name: db-stable, kind: green, project: p, from: db-devel, to: db-stable, builders: [tree]}}
"""
# what a reload may find: nothing of it is asked for by the load
VARIANTS = ["", "  - {{name: spare, project: p, manual: true, steps: [{{run: 'true'}}]}}\n", "  - {{name: spare, project: p, manual: true, steps: [{{run: 'false'}}]}}\n", ""]
# points where an error, not only a death, must leave no trace; a point that is not listed is only killed at
ERRORS = ("store.commit", "logs.sync", "logs.append", "logs.seal", "push.before", "push.after")


def fault_points():
    """{"master": {point: actions}, "agent": ...} as they stand in the sources."""
    found = {"master": {}, "agent": {}}
    for side, folders in (("master", ("master", "shared")), ("agent", ("worker", "shared"))):
        for folder in folders:
            for path in glob.glob(f"{ROOT}/{folder}/**/*.c", recursive=True):
                if path.endswith("_test.c") or (side == "master" and "/shared/journal/" in path):
                    continue
                for name in re.findall(r'\bpw_fault\("([a-z_.0-9]+)"\)', open(path).read()):
                    found[side][name] = ["kill", "kill", "pause"] + (["error"] if name in ERRORS else [])
    return found


class Record:
    """What was asked for, answered and done; the checker's half of the truth. Any thread."""

    def __init__(self):
        self.lock = threading.RLock()
        self.violations, self.counts = [], {}
        self.data = {"requests": {}, "clients": {}, "pushes": [], "runners": [], "armed": [], "events": [], "raw": {}}

    def violate(self, what):
        with self.lock:
            if what not in self.violations:
                self.violations.append(what)
                print("VIOLATION " + what, flush=True)

    def count(self, name, n=1):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + n

    def sum(self, prefix):
        with self.lock:
            return sum(n for k, n in self.counts.items() if k.startswith(prefix))

    def put(self, kind, *item):
        with self.lock:
            if isinstance(self.data[kind], dict):
                self.data[kind][item[0]] = item[1]
            else:
                self.data[kind].append(item[0] if len(item) == 1 else list(item))

    def save(self, path, **more):
        with self.lock:
            with open(path, "w") as f:
                json.dump(dict(self.data, **more), f, indent=0)


class World(conftest.Pawl):
    def __init__(self, path, record, workers=3, slots=2, use_netns=False):
        super().__init__(path)
        self.record, self.slots = record, slots
        self.names = plan.WORKERS[:workers]
        self.count_file = os.path.join(self.dir, "executions")
        self.procs, self.dead, self.armed, self.stops = {}, {}, {}, {}
        self.timers, self.n_timers = [], 0
        self.build, self.halt, self.pausing = conftest.BUILD, False, False
        self.old = False  # the programs are those of the past
        self.lock = threading.RLock()
        self.repo = conftest.Repo(os.path.join(self.dir, "repo"))
        self.repo.git("config", "core.logAllRefUpdates", "always", cwd=self.repo.bare)
        self.proxy = proxy.Proxy(self.upstream)
        self.net = netns.Netns() if use_netns else None
        self.gates = {n: self.proxy.gate(n, self.net.host if self.net and n == self.names[-1] else "127.0.0.1") for n in self.names}

    def upstream(self):
        try:
            host, port = open(os.path.join(self.state, "workers.addr")).read().strip()[len("tcp://"):].rsplit(":", 1)
            return host, int(port)
        except (OSError, ValueError):
            return None

    # ---- beginning and end
    def write_config(self, variant=0):
        text = CONFIG.format(address=self.gates[self.names[0]], repo=self.repo.bare, step=STEP, count=self.count_file)
        text = text.replace("schedulers:\n", VARIANTS[variant].format() + "schedulers:\n")
        with open(self.config + ".new", "w") as f:
            f.write(text)
        os.rename(self.config + ".new", self.config)

    def begin(self):
        self.write_config()
        self.proxy.start()
        self.start("master")
        self.ready()
        for n in self.names:
            self.join(n, slots=self.slots)
            path = os.path.join(self.dir, n + ".yaml")
            text = open(path).read()
            for gate in self.gates.values():
                text = text.replace(gate, self.gates[n])
            with open(path, "w") as f:
                f.write(text)
            self.start(n)
        until(lambda: all(w["state"] == "connected" for w in self.get("/workers")["items"]), 30, "the workers")

    def ready(self):
        addr = os.path.join(self.state, "web.addr")
        until(lambda: os.path.exists(addr) or self.procs["master"].poll() is not None, 30, "the master's address")
        assert self.procs["master"].poll() is None, self.log("master")
        self.url = open(addr).read().strip()
        until(self.answers, 30, "the master's answer")

    def answers(self):
        try:
            return self.request("GET", "/status")[0] == 200
        except OSError:
            return False

    def start(self, name, fault=None):
        with self.lock:
            env = {"PW_FAULT": fault} if fault else {}
            if name == "master":
                argv = [f"{self.build}/pawl-master", "--config", self.config, "--state", self.state]
            else:
                argv = [f"{self.build}/pawl-worker", "--config", os.path.join(self.dir, name + ".yaml")]
                if self.net and name == self.names[-1]:
                    argv = self.net.wrap(argv)
            self.procs[name] = self.spawn(name, argv, env)
            self.children = [p for p in self.children if p.poll() is None]
            self.dead.pop(name, None)
            self.armed[name] = fault
            if fault and name != "master" and fault.endswith("=pause") and not self.pausing:
                self.pausing = True
                self.later(1.0, self.wake_runners)
            if fault and name != "master":
                self.record.put("armed", name, time.time() * 1000, None, self.procs[name].pid)

    def living(self, name):
        p = self.procs.get(name)
        return p if p is not None and name not in self.dead and p.poll() is None else None

    def ended(self, name):
        """Its armed time is over; runners that it started may still carry the fault."""
        for a in self.record.data["armed"]:
            if a[3] == self.procs[name].pid and a[2] is None:
                a[2] = time.time() * 1000

    def kill9(self, name):
        with self.lock:
            p = self.living(name)
            if not p:
                return False
            self.dead[name] = True
            p.kill()
            p.wait()
            self.stops.pop(name, None)
            self.ended(name)
            return True

    def stop(self, name, seconds):
        with self.lock:
            p = self.living(name)
            if not p or name in self.stops:
                return False
            p.send_signal(signal.SIGSTOP)
            self.stops[name] = p
        self.later(seconds, lambda: self.cont(name, p))
        return True

    def cont(self, name, p):
        with self.lock:
            if self.stops.get(name) is p:
                del self.stops[name]
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)

    def wake_runners(self):
        """Runners inherit a pause from their agent, and nobody else stops them."""
        for name in self.names:
            for pid, _ in serving(os.path.join(self.dir, "spool-" + name)):
                if state_of(pid) == "T":
                    self.record.count("pauses of runner")
                    try:
                        os.kill(pid, signal.SIGCONT)
                    except ProcessLookupError:
                        pass
        if not self.halt:
            self.later(1.0, self.wake_runners)

    # ---- time
    def later(self, seconds, fn):
        with self.lock:
            self.n_timers += 1
            heapq.heappush(self.timers, (time.monotonic() + seconds, self.n_timers, fn))

    def turn(self):
        """Runs what is due, looks who died. Main thread."""
        while True:
            with self.lock:
                if not self.timers or self.timers[0][0] > time.monotonic():
                    break
                _, _, fn = heapq.heappop(self.timers)
            fn()
        for name in list(self.procs):
            self.look(name)
        if self.proxy.broken:
            raise AssertionError("the proxy broke: " + self.proxy.broken)

    def look(self, name):
        with self.lock:
            p, fault = self.procs[name], self.armed.get(name)
            if name in self.dead:
                return
            if p.poll() is None:
                if fault and fault.endswith("=pause") and name not in self.stops and state_of(p.pid) == "T":
                    self.record.count("pauses " + fault.split(":")[0])
                    self.stops[name] = p
                    self.later(1.0, lambda: self.cont(name, p))
                return
            self.stops.pop(name, None)
            self.ended(name)
            if fault and p.returncode == -9:
                self.record.count(f"kills at {fault.split(':')[0]}")
            elif fault and fault.endswith("=error") and p.returncode == 1:
                self.record.count(f"ends by error at {fault.split(':')[0]}")
            else:
                self.record.violate(f"{name} ended by itself with {p.returncode}{' (' + fault + ')' if fault else ''}: {self.log(name)[-3000:]}")
            self.start(name)

    def heal(self):
        """Everything runs, nothing is armed, the network is good."""
        with self.lock:
            due, self.timers = self.timers, []
            for t in due:
                t[2]()
            for name, p in list(self.stops.items()):
                self.cont(name, p)
        self.proxy.heal()
        if self.net:
            self.net.heal()
        for name in list(self.procs):
            p = self.living(name)
            if p and state_of(p.pid) == "T":
                p.send_signal(signal.SIGCONT)
            if p and self.armed.get(name):
                self.kill9(name)
            if not self.living(name):
                self.start(name)

    def finish(self):
        """Stops all in order; what does not stop or stays behind is a violation."""
        for name in reversed(list(self.procs)):
            p = self.procs[name]
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
            try:
                if p.wait(timeout=20 * SLOW) != 0:
                    self.record.violate(f"{name} ended with {p.returncode}: {self.log(name)[-3000:]}")
            except subprocess.TimeoutExpired:
                self.record.violate(f"{name} did not stop")
                p.kill()
                p.wait()
        for name in self.procs:
            text = self.log(name)
            if re.search("AddressSanitizer|runtime error:|LeakSanitizer", text):
                self.record.violate(f"{name}: {text[-6000:]}")
        end = time.monotonic() + 10 * SLOW
        while self.runners() and time.monotonic() < end:
            time.sleep(0.05)
        for pid in self.runners():
            self.record.violate(f"process {pid} was left behind: {cmdline(pid)}")

    def close(self):
        """Also after a failure: nothing of the run stays on the machine, files apart."""
        for p in self.procs.values():
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.kill()
                p.wait()
        for pid in self.runners():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.proxy.thread.is_alive():
            self.proxy.stop()
        if self.net:
            self.net.close()


# ---- processes
def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def cmdline(pid):
    try:
        return open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def children_of(pid):
    """Of all its threads; cheap enough to be asked in a loop."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            found += [int(x) for x in open(path).read().split()]
        except OSError:
            pass
    return found


def serving(spool):
    """Processes `pawl-run --serve SPOOL`: the zygote and runners, each with the job whose journal it holds open (None: a zygote)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        words = cmdline(pid).split(" ")
        if len(words) < 3 or not words[0].endswith("pawl-run") or words[1:3] != ["--serve", spool]:
            continue
        job = None
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                m = re.search(r"/jobs/([0-9a-f]{16})-(\d+)\.journal$", os.readlink(f"/proc/{pid}/fd/{fd}"))
                job = (m.group(1), int(m.group(2))) if m else job
        except OSError:
            continue
        found.append((int(pid), job))
    return sorted(found)
