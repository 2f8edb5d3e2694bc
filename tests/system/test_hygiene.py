"""After every step nothing of it lives, whatever it did to stay; limits of memory and processes; for each way that a machine may offer:
control groups as they are here (hybrid on most), v1 only, v2 only, none. v1 and v2 alone are made by what is mounted in a namespace of its own."""
import json, os, pytest, re, shutil, signal, subprocess, sys, uuid
from conftest import BUILD, CONFIG, until

CG = "/sys/fs/cgroup"
HYBRID = os.path.isdir(f"{CG}/unified/cgroup.procs".rsplit("/", 1)[0]) and os.path.isdir(f"{CG}/pids")
ROOT = os.geteuid() == 0
NEEDS = pytest.mark.skipif(not (ROOT and HYBRID), reason="needs root and a machine with both kinds of control groups")
# what the namespace of the worker looks like
HIDE = {
    "hybrid": "",
    "off": "",
    "none": f"for d in $(ls -d {CG}/*/); do umount $d 2>/dev/null || true; done; ",
    "v1": f"umount {CG}/unified; ",
    "v2": f"mkdir -p \"$2\"; mount --bind {CG}/unified \"$2\"; for d in $(ls -d {CG}/*/); do umount $d; done; umount {CG}; mount --move \"$2\" {CG}; ",
}
PATHS = [pytest.param(p, marks=NEEDS) if p != "off" else p for p in ("hybrid", "v1", "v2", "off")]

# Everything that Buildbot leaves running, and what it could not dream of. Names its pids in the file argv[1].
LEAKS = r'''
import ctypes, os, signal, sys, time
out = open(sys.argv[1], "a")
def start(f, *a):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            f(w, *a)
        finally:
            os._exit(0)
    os.close(w)
    for word in os.read(r, 100).split():
        out.write(f"{f.__name__} {int(word)}\n")
    os.close(r)
def ready(w):
    os.write(w, b"%d " % os.getpid())
    os.close(w)
def stay():
    while True:
        time.sleep(1000)
def deaf(w):
    for s in range(1, 65):
        try: signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError): pass
    ready(w); stay()
def session(w):
    os.setsid(); ready(w); stay()
def daemon(w):
    os.setsid()
    if os.fork(): os._exit(0)
    ready(w); stay()  # holds stdout
def hidden(w):
    os.setsid()
    if os.fork(): os._exit(0)
    ctypes.CDLL(None).prctl(15, b"kworker/0:1", 0, 0, 0)
    os.chdir("/")
    ready(w)
    for fd in range(256):
        try: os.close(fd)
        except OSError: pass
    stay()
def no_environment(w):
    os.setsid()
    if os.fork(): os._exit(0)
    ready(w)
    os.execve("/bin/sleep", ["[migration/0]", "1000"], {})
def stopped(w):
    ready(w); os.kill(os.getpid(), signal.SIGSTOP); stay()
def traced(w):
    pid = os.fork()
    if pid == 0: stay()
    ctypes.CDLL(None).ptrace(16, pid, None, None)
    os.write(w, b"%d " % pid); ready(w); stay()
def zombies(w):
    for _ in range(3):
        if os.fork() == 0: os._exit(0)
    ready(w); stay()
def racer(w):  # dies all the time, and always has a child by then
    ready(w)
    while os.fork() == 0: time.sleep(0.001)
    os._exit(0)
def moved(w):
    for d in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup"):
        try: open(d + "/cgroup.procs", "r+").write("0")
        except OSError: pass
    ready(w); stay()
def nested(w):
    for line in open("/proc/self/cgroup"):
        path = line.strip().split(":")[2]
        for root in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer"):
            try:
                if "pawl-" in path and os.path.exists(root + path): os.makedirs(root + path + "/a/b"); open(root + path + "/a/b/cgroup.procs", "r+").write("0")
            except OSError: pass
    ready(w); stay()
for f in (deaf, session, daemon, hidden, no_environment, stopped, traced, zombies, racer, moved, nested):
    if len(sys.argv) < 3 or f.__name__ in sys.argv[2:]:
        start(f)
out.close()
'''
BOMB = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"
BUILDERS = "  - {name: any, project: p, collapse: false, retries: 1, steps: [{name: go, run: \"$cmd\"}, {name: after, always_run: true, run: \"$then\"}], properties: {cmd: 'true', then: 'true'}}\n"


class World:
    """A master and a worker that sees the machine as `path` says, in a group that bounds all of it whatever our own limits do."""

    def __init__(self, pawl, repo, path, **keys):
        self.pawl, self.path, self.tag = pawl, path, uuid.uuid4().hex
        self.pids = os.path.join(pawl.dir, "pids")
        self.leaks = os.path.join(pawl.dir, "leaks.py")
        open(self.leaks, "w").write(LEAKS)
        open(os.path.join(pawl.dir, "bomb.py"), "w").write(BOMB)
        repo.commit({"a": "a\n"}, "first")
        pawl.configure(CONFIG.format(repo=repo.bare, builders=BUILDERS.replace("run: \"$cmd\"", "run: \"eval \\\"$cmd\\\"\"").replace("run: \"$then\"", "run: \"eval \\\"$then\\\"\""))
                       .replace("kind: branch", "kind: force").replace(", branches: [master]", "").replace("from: master, to: stable}", "from: master, to: stable, builders: [any]}"))
        pawl.start_master()
        self.spool = pawl.join("w1", slots=2)
        with open(os.path.join(pawl.dir, "w1.yaml"), "a") as f:
            f.write("cgroup: off\n" if path == "off" and "cgroup" not in keys else "")
            f.writelines(f"{k}: {v}\n" for k, v in keys.items())
        self.net = None
        if ROOT and os.path.isdir(f"{CG}/pids"):
            self.net = f"{CG}/pids/net-{self.tag[:12]}"
            os.mkdir(self.net)
            open(self.net + "/pids.max", "w").write("600")

    def start(self, wait=True, env=None):
        script = "set -e; " + (f"echo 0 >{self.net}/cgroup.procs; " if self.net else "") + HIDE[self.path] + 'exec "$0" --config "$1"'
        argv = ["sh", "-c", script, f"{BUILD}/pawl-worker", os.path.join(self.pawl.dir, "w1.yaml"), os.path.join(self.pawl.dir, "mnt")]
        p = self.pawl.workers["w1"] = self.pawl.spawn("worker-w1", (["unshare", "-m"] if HIDE[self.path] else []) + argv, env)
        if wait:
            until(lambda: p.poll() is not None or self.pawl.worker("w1")["state"] == "connected", 20, "the worker")
            assert p.poll() is None, self.pawl.log("worker-w1")
        return p

    def force(self, cmd, then="true"):
        body = {"builder": "any", "reason": "x", "properties": {"cmd": f"export TAG={self.tag}; {cmd}", "then": then}}

        def ask():  # refused until the repository was read
            status, text, _ = self.pawl.request("POST", "/force", body, {"Idempotency-Key": uuid.uuid4().hex})
            assert status in (202, 409), text
            return json.loads(text)["requests"] if status == 202 else None
        return until(ask, 20, "a build that can be asked for")[0]

    def run(self, cmd, then="true"):
        return self.pawl.build_of(self.force(cmd, then), 90)

    def leaked(self):
        with open(self.pids) as f:
            return [(n, int(p)) for n, p in (line.split() for line in f)]

    def living(self):
        """Processes of the job: those with our mark, and those that were named."""
        found = {p: n for n, p in (self.leaked() if os.path.exists(self.pids) else []) if exists(p)}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if f"TAG={self.tag}".encode() in open(f"/proc/{pid}/environ", "rb").read():
                    found[int(pid)] = "marked"
            except OSError:
                pass
        return found

    def groups(self):
        ident = open(os.path.join(self.spool, "id")).read()[:16]
        return [d for d, _, _ in os.walk(CG) if f"pawl-{ident}" in d or "pawl-probe" in d]

    def clean(self):
        until(lambda: not self.living(), 15, "the end of all processes") if self.living() else None
        until(lambda: not self.groups(), 15, "the end of all groups")

    def log(self, b, step="go"):
        return self.pawl.raw_log(b["id"], step).decode(errors="replace")

    def reason(self, b, step="go"):
        return next(s for s in self.pawl.get(f"/builds/{b['id']}")["steps"] if s["name"] == step)["reason"]

    def close(self):
        for pid in self.living():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.net:
            for p in self.pawl.children:
                if p.poll() is None:
                    p.terminate()
                    p.wait()
            for pid in open(self.net + "/cgroup.procs").read().split():
                os.kill(int(pid), signal.SIGKILL)
            until(lambda: not remove(self.net), 10, "the safety net's end")


def remove(path):
    for d, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(d)
        except OSError:
            pass
    return os.path.exists(path)


def exists(pid):
    return os.path.exists(f"/proc/{pid}")


@pytest.fixture
def world(pawl, repo):
    made = []

    def make(path, start=True, **keys):
        made.append(World(pawl, repo, path, **keys))
        if start:
            made[-1].start()
        return made[-1]
    yield make
    for w in made:
        w.close()


def leak(w, *names):
    return f"/usr/bin/python3 {w.leaks} {w.pids} {' '.join(names)}"


@pytest.mark.parametrize("path", PATHS)
def test_green_step_leaves_nothing(world, path):
    w = world(path)
    kind = "none" if path == "off" else path
    assert facts(w).get("cgroup") == kind, (facts(w), w.pawl.log("worker-w1"))
    # the step after it sees itself alone below the runner: no zombie, nothing adopted
    b = w.run(leak(w), "read -r kids </proc/$PPID/task/$PPID/children || true; echo \"$kids\" is $$; test \"$kids\" = $$")
    assert b["result"] == "success", (b, w.log(b), w.log(b, "after"))
    pids = w.leaked()
    assert {n for n, _ in pids} == {"deaf", "session", "daemon", "hidden", "no_environment", "stopped", "traced", "zombies", "racer", "moved", "nested"}
    assert not w.living(), w.living()
    text = w.log(b)
    for name, pid in pids:
        if name != "racer":  # its pid was gone before
            assert f"killed process {pid} (" in text, (name, pid, text)
    assert "(kworker/0:1)" in text
    w.clean()


def facts(w):
    return w.pawl.worker("w1")["facts"]


@pytest.mark.parametrize("path", PATHS)
def test_runner_killed(world, path):
    w = world(path)
    r = w.force(f"test -e {w.pids} && exit 0; {leak(w)}; touch {w.pids}.all; sleep 1000")
    until(lambda: os.path.exists(w.pids + ".all"), 30, "the leaks")
    if path != "off":
        assert w.groups()
    runner = [p for p in w.pawl.runners() if b"--serve" in cmdline(p)]
    zygote = min(runner)
    for p in runner:
        if p != zygote:
            os.kill(p, signal.SIGKILL)
    b = w.pawl.build_of(r, 90)
    assert b["result"] == "success" and b["attempt"] == 2, b
    w.clean()


def cmdline(pid):
    try:
        return open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError:
        return b""


@pytest.mark.parametrize("path", PATHS)
def test_agent_and_runner_killed(world, path):
    """The next agent kills and removes what no one else knows of."""
    w = world(path)
    r = w.force(f"test -e {w.pids} && exit 0; {leak(w, 'deaf', 'session', 'hidden')}; touch {w.pids}.all; sleep 1000")
    until(lambda: os.path.exists(w.pids + ".all"), 30, "the leaks")
    pids = [p for p in w.pawl.runners() if b"--serve" in cmdline(p)]
    w.pawl.kill(w.pawl.workers["w1"])
    for p in pids:
        if exists(p):
            os.kill(p, signal.SIGKILL)
    assert w.living()
    w.start(wait=False)
    b = w.pawl.build_of(r, 90)
    assert b["result"] == "success" and b["attempt"] == 2, b
    w.clean()


@pytest.mark.parametrize("path", PATHS)
def test_timeout_ends_the_tree(world, path, repo):
    w = world(path)
    w.pawl.configure(open(w.pawl.config).read().replace("{name: go, ", "{name: go, timeout: 1s, grace: 1s, "))
    w.pawl.kill(w.pawl.master, signal.SIGTERM)
    w.pawl.start_master()
    b = w.run(leak(w, "deaf", "session", "stopped") + "; trap '' TERM; sleep 1000 & while :; do sleep 1000; done")
    assert b["result"] == "failure" and "timeout after 1s" in w.reason(b), b
    assert not w.living()
    w.clean()


@pytest.mark.parametrize("path", PATHS)
def test_fork_bomb(world, path):
    w = world(path, job_processes=64)
    b = w.run(f"/usr/bin/python3 {w.pawl.dir}/bomb.py")
    assert b["result"] == "failure" and w.reason(b) == "more than 64 processes", (b, w.reason(b))
    assert not w.living()
    b = w.run(f"(/usr/bin/python3 {w.pawl.dir}/bomb.py &) ; sleep 30")  # it is ended when the bomb is met
    assert not w.living() and b["result"] == "failure" and w.reason(b) == "more than 64 processes"
    b = w.run("true")
    assert b["result"] == "success" and w.pawl.workers["w1"].poll() is None
    w.clean()


@pytest.mark.parametrize("path", PATHS)
def test_memory(world, path):
    w = world(path, job_memory="64M")
    hog = "/usr/bin/python3 -c 'import time; a = [bytearray(1 << 20) for i in range(300)]; time.sleep(1000)'"
    for cmd in (hog, hog + " || true; exec sleep 1000", hog + " & wait"):
        b = w.run(cmd)
        assert b["result"] == "failure" and w.reason(b) == "memory limit of 64M reached", (cmd, b, w.reason(b))
        assert not w.living()
    b = w.run("/usr/bin/python3 -c 'a = bytearray(10 << 20)'")
    assert b["result"] == "success" and w.pawl.workers["w1"].poll() is None
    w.clean()


@pytest.mark.parametrize("path", ["hybrid", "off"])
def test_output_held_by_a_stranger(world, path):
    """The step ends when its process does; who is no process of it is named, and left alone."""
    w = world(path)
    r = w.force(f"echo before; echo $$ >{w.pids}.tmp; mv {w.pids}.tmp {w.pids}.step; until test -e {w.pids}.held; do sleep 0.05; done; echo last")
    until(lambda: os.path.exists(w.pids + ".step"), 30, "the step")
    pid = int(open(w.pids + ".step").read())
    p = subprocess.Popen([sys.executable, "-c", f"import time; f = open('/proc/{pid}/fd/1', 'w'); open('{w.pids}.held', 'w'); time.sleep(1000)"])
    try:
        b = w.pawl.build_of(r, 60)
        assert b["result"] == "success" and p.poll() is None
        text = w.log(b)
        assert text.startswith("before\nlast\n") and f"pawl: the output is still held open by process {p.pid} (" in text, text
    finally:
        p.kill()
        p.wait()


def test_require_fails_with_the_reason(world):
    w = world("none" if ROOT and HYBRID else "hybrid", start=False, cgroup="require")
    if not (ROOT and HYBRID):
        pytest.skip("needs root to hide the control groups")
    p = w.start(wait=False)
    assert p.wait(20) == 1
    text = w.pawl.log("worker-w1")
    assert '"cgroup: require"' in text and "does not give control groups: cgroup v2 is not mounted" in text, text


@NEEDS
def test_require_names_the_missing_controller(world):
    w = world("v2", start=False, cgroup="require", job_memory="1G")
    assert w.start(wait=False).wait(20) == 1
    assert "does not give the memory controller for job_memory" in w.pawl.log("worker-w1")


@NEEDS
def test_none_is_told(world):
    w = world("none")
    assert facts(w)["cgroup"] == "none"
    assert re.search(r"warn\w* cgroup kind=none .*missing=.cgroup v2 is not mounted", w.pawl.log("worker-w1"))
    b = w.run(leak(w, "deaf", "daemon", "racer"))
    assert b["result"] == "success" and not w.living()


@NEEDS
@pytest.mark.parametrize("point", ["cgroup.made", "cgroup.close"])
def test_killed_at_the_group(world, point):
    """Before the job is begun: the same attempt is run later, in the group that was left. After its steps: the next attempt."""
    w = world("hybrid", start=False)
    w.start(env={"PW_FAULT": f"{point}:1=kill"})
    r = w.force(f"echo x >>{w.pids}.runs")
    if point == "cgroup.made":
        until(w.groups, 30, "the group of a dead runner")
    else:
        until(lambda: any(b["attempt"] > 1 for b in w.pawl.builds()), 60, "the next attempt")
    w.pawl.kill(w.pawl.workers["w1"], signal.SIGTERM)
    w.start()
    b = w.pawl.build_of(r, 90)
    runs = open(w.pids + ".runs").read().count("x")
    if point == "cgroup.made":
        assert b["result"] == "success" and b["attempt"] == 1 and runs == 1, b
    else:
        assert b["attempt"] == 2 and runs == 2, (b, runs)
    w.clean()


def test_off_and_limits_are_checked(pawl, tmp_path):
    conf = tmp_path / "w.yaml"
    conf.write_text("name: w\nmaster: {address: 'tcp://127.0.0.1:1', key: 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'}\ncgroup: perhaps\njob_memory: 5M\njob_processes: 3\n")
    p = subprocess.run([f"{BUILD}/pawl-worker", "--config", str(conf)], capture_output=True, text=True)
    assert p.returncode == 2
    assert 'w.yaml:3:' in p.stderr and 'w.yaml:4:' in p.stderr and 'w.yaml:5:' in p.stderr and '"job_memory" must be 0 (no limit) or at least 16M' in p.stderr, p.stderr


def test_what_a_step_gets(world):
    w = world("off", start=False)
    w.start(env={"LEAKED_FROM_AGENT": "secret", "TZ": "UTC"})
    b = w.run("umask; readlink /proc/$$/fd/0; wc -c </dev/stdin; echo env=${LEAKED_FROM_AGENT:-none},$TZ,$CI,$PAWL; ls -A $TMPDIR | wc -l; touch $TMPDIR/left; "
              "stat -c %a $TMPDIR; echo $TMPDIR; ls /proc/$$/fd | tr '\\n' ' '; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    lines = w.log(b).split("\n")
    assert b["result"] == "success", (b, lines)
    assert lines[:4] == ["0022", "/dev/null", "0", "env=none,UTC,true,true"], lines
    assert lines[4:6] == ["2", "700"] and os.listdir(lines[6]) == [], lines  # the folders for artifacts and summary; emptied after the job
    assert not set(lines[7].split()) - {"0", "1", "2", "3", "4", "10", "255"}, lines  # nothing of the runner's; 3 and 4: the pipe it makes
    step = next(s for s in w.pawl.get(f"/builds/{b['id']}")["steps"] if s["name"] == "go")
    assert step["cpu_ms"] > 0 and step["max_rss"] > 100000, step


def test_two_runners_two_directories(world):
    w = world("off")
    mark = os.path.join(w.pawl.dir, "both")
    a, b = (w.force(f"pwd >>{mark}; until [ $(wc -l <{mark}) -ge 2 ]; do sleep 0.05; done") for _ in range(2))
    assert w.pawl.build_of(a)["result"] == w.pawl.build_of(b)["result"] == "success"
    dirs = open(mark).read().split()
    assert len(set(dirs)) == 2 and {os.path.basename(d) for d in dirs} == {"1", "2"}, dirs


NSPAWN = os.environ.get("PAWL_TEST_NSPAWN") or shutil.which("systemd-nspawn")


@pytest.mark.skipif(not (ROOT and NSPAWN), reason="needs root and systemd-nspawn (or its path in PAWL_TEST_NSPAWN)")
def test_pure_v2(world, tmp_path):
    """A worker in a container whose manager gives it cgroup v2 alone."""
    w = world("v2", start=False)
    top, ours = tmp_path / "container", not os.path.exists("/run/systemd/nspawn")
    for d in ("usr", "etc", "tmp", "proc", "sys", "dev", "run", "var"):
        (top / d).mkdir(parents=True)
    for d in ("bin", "lib", "lib64", "sbin"):
        (top / d).symlink_to(f"usr/{d}")
    (top / "etc/os-release").write_text("ID=test\n")
    argv = [NSPAWN, "-q", "--register=no", "--keep-unit", "-M", f"pawl-{w.tag[:12]}", "-D", str(top), "--bind-ro=/usr", f"--bind-ro={BUILD}", f"--bind={w.pawl.dir}",
            f"{BUILD}/pawl-worker", "--config", os.path.join(w.pawl.dir, "w1.yaml")]
    p = w.pawl.spawn("worker-w1", argv, {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
    try:
        until(lambda: p.poll() is not None or w.pawl.worker("w1")["state"] == "connected", 20, "the worker")
        assert p.poll() is None, w.pawl.log("worker-w1")
        assert facts(w)["cgroup"] == "v2"
        b = w.run(leak(w))
        text = w.log(b)
        assert b["result"] == "success", (b, text)
        for name, pid in w.leaked():  # these are pids of the container
            assert name == "racer" or f"killed process {pid} (" in text, (name, pid, text)
        os.rename(w.pids, w.pids + ".inside")
        b = w.run("sed 's/.* //' " + w.pids + ".inside | while read p; do ! test -e /proc/$p; done")
        assert b["result"] == "success" and not w.living()
        until(lambda: not w.groups(), 15, "the end of all groups")
    finally:
        p.terminate()
        p.wait(20)
        if ours:
            shutil.rmtree("/run/systemd/nspawn", ignore_errors=True)
