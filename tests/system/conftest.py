"""Real processes on loopback in a scratch directory, spoken to only as users do: command line, REST, git, files."""
import json, os, re, shutil, signal, subprocess, tempfile, time, urllib.error, urllib.request, uuid
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PAWL_BUILD", os.path.join(ROOT, "build/release"))
SLOW = 4 if "san" in BUILD else 1  # sanitizers cost time


def until(check, timeout=30, what="condition"):
    """Waits for a true answer, with a deadline; no test sleeps for a fixed time."""
    end = time.monotonic() + timeout * SLOW
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"timed out waiting for {what}")
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Repo:
    """A bare repository and a work tree that pushes to it."""

    def __init__(self, path):
        self.bare, self.tree = path + ".git", path
        self.env = dict(os.environ, HOME=os.path.dirname(path), GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="Ada", GIT_AUTHOR_EMAIL="ada@example.org",
                        GIT_COMMITTER_NAME="Ada", GIT_COMMITTER_EMAIL="ada@example.org")
        self.git("init", "-q", "--bare", "-b", "master", self.bare, cwd="/")
        self.git("init", "-q", "-b", "master", self.tree, cwd="/")
        self.git("remote", "add", "origin", self.bare)

    def git(self, *args, cwd=None):
        p = subprocess.run(["git", *args], cwd=cwd or self.tree, env=self.env, capture_output=True, text=True)
        assert p.returncode == 0, f"git {args}: {p.stderr}"
        return p.stdout.strip()

    def commit(self, files, message="change", push=True, branch="master"):
        for name, text in files.items():
            path = os.path.join(self.tree, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        if push:
            self.git("push", "-q", "origin", f"HEAD:{branch}")
        return self.git("rev-parse", "HEAD")

    def ref(self, branch):
        p = subprocess.run(["git", "rev-parse", "-q", "--verify", f"refs/heads/{branch}"], cwd=self.bare, env=self.env, capture_output=True, text=True)
        return p.stdout.strip() or None


class Pawl:
    def __init__(self, path):
        self.dir = str(path)
        self.state = os.path.join(self.dir, "state")
        self.config = os.path.join(self.dir, "master.yaml")
        self.children, self.master, self.workers = [], None, {}
        self.folders = []  # outside of dir
        self.env = dict(os.environ, HOME=self.dir)
        for k in ("PAWL_URL", "PW_FAULT"):
            self.env.pop(k, None)

    # ---- processes
    def spawn(self, name, argv, env=None):
        log = open(os.path.join(self.dir, name + ".log"), "ab")
        p = subprocess.Popen(argv, cwd=self.dir, env=dict(self.env, **(env or {})), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        p.name = name
        self.children.append(p)
        return p

    def log(self, name):
        with open(os.path.join(self.dir, name + ".log"), errors="replace") as f:
            return f.read()

    def configure(self, text):
        with open(self.config, "w") as f:
            f.write(text)

    def start_master(self, env=None, wait=True):
        for f in ("web.addr", "workers.addr"):
            try:
                os.unlink(os.path.join(self.state, f))
            except FileNotFoundError:
                pass
        self.master = self.spawn("master", [f"{BUILD}/pawl-master", "--config", self.config, "--state", self.state], env)
        if wait:
            until(lambda: self.master.poll() is not None or os.path.exists(os.path.join(self.state, "web.addr")), 20, "the master's address")
            assert self.master.poll() is None, self.log("master")
            self.url = open(os.path.join(self.state, "web.addr")).read().strip()
        return self.master

    def join(self, name, slots=1, tags=None):
        line = self.pawl("--json", "worker", "add", name)
        token = json.loads(line)["line"].split()[-1]
        spool = os.path.join(self.dir, "spool-" + name)
        argv = [f"{BUILD}/pawl-worker", "join", token, "--config", os.path.join(self.dir, name + ".yaml"), "--spool", spool, "--slots", str(slots)]
        p = subprocess.run(argv + (["--tags", tags] if tags else []), cwd=self.dir, env=self.env, capture_output=True, text=True, timeout=60)
        assert p.returncode == 0, p.stderr
        return spool

    def join_untrusted(self, name="w1", **join):
        """A worker that takes builds of untrusted code: it needs bubblewrap and, when it is root, users who can pass to its spool."""
        if not shutil.which("bwrap"):
            pytest.skip("needs bubblewrap: builds of untrusted code run under it")
        spool = self.join(name, **join)
        conf = os.path.join(self.dir, name + ".yaml")
        top = tempfile.mkdtemp(prefix="pawl-untrusted-")  # pytest's own folders are closed to others
        os.chmod(top, 0o755)
        self.folders.append(top)
        shutil.move(spool, top)
        text = open(conf).read().replace(spool, os.path.join(top, os.path.basename(spool)))
        first = 50000 + os.getpid() % 4000 * 4
        with open(conf, "w") as f:
            f.write(text + "isolation: [none, bwrap]\nuntrusted: true\n" + (f"users: [{first}-{first + 3}]\n" if os.geteuid() == 0 else ""))
        return os.path.join(top, os.path.basename(spool))

    def start_worker(self, name="w1", wait=True, env=None, **join):
        if not os.path.exists(os.path.join(self.dir, name + ".yaml")):
            self.join(name, **join)
        p = self.workers[name] = self.spawn("worker-" + name, [f"{BUILD}/pawl-worker", "--config", os.path.join(self.dir, name + ".yaml")], env)
        if wait:
            until(lambda: p.poll() is not None or self.worker(name)["state"] == "connected", 20, f"worker {name}")
            assert p.poll() is None, self.log("worker-" + name)
        return p

    def worker(self, name):
        return next(w for w in self.get("/workers")["items"] if w["name"] == name)

    def kill(self, p, sig=signal.SIGKILL):
        p.send_signal(sig)
        p.wait(timeout=30 * SLOW)
        if sig == signal.SIGTERM:
            assert p.returncode == 0, f"{p.name} ended with {p.returncode}: {self.log(p.name)[-2000:]}"

    def runners(self):
        """Processes that live in this test's spools: runners, steps, zygotes."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                cmd = open(f"/proc/{pid}/cmdline", "rb").read() + open(f"/proc/{pid}/environ", "rb").read()
            except OSError:
                continue
            if any((d + "/").encode() in cmd for d in [self.dir, *self.folders]) and int(pid) != os.getpid() and alive(pid):
                found.append(int(pid))
        return found

    def close(self):
        for p in self.children:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        bad = []
        for p in self.children:
            try:
                p.wait(timeout=20 * SLOW)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                bad.append(f"{p.name} did not stop")
            text = self.log(p.name)
            if "AddressSanitizer" in text or "runtime error:" in text or "LeakSanitizer" in text:
                bad.append(f"{p.name}: {text[-6000:]}")
        for pid in self.runners():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for d in self.folders:
            shutil.rmtree(d, ignore_errors=True)
        assert not bad, "\n".join(bad)

    # ---- asking
    def pawl(self, *args, code=0, timeout=60):
        p = subprocess.run([f"{BUILD}/pawl", "--state", self.state, *args], cwd=self.dir, env=self.env, capture_output=True, text=True,
                           timeout=timeout * SLOW, stdin=subprocess.DEVNULL)
        assert p.returncode == code, f"pawl {args} gave {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout if code == 0 else p.stdout + p.stderr

    def token(self):
        return open(os.path.join(self.state, "admin.token")).read().strip()

    def request(self, method, path, body=None, headers=None, token=True):
        h = {"Authorization": "Bearer " + self.token()} if token else {}
        h.update(headers or {})
        data = json.dumps(body).encode() if body is not None else None
        if data is not None:
            h.setdefault("Content-Type", "application/json")
        url = self.url + (path if path.startswith(("/healthz", "/metrics", "/badge", "/atom")) or path == "/" or path.startswith("/builds/") and method == "PAGE" else "/api/v1" + path)
        r = urllib.request.Request(url, data=data, headers=h, method="GET" if method == "PAGE" else method)
        try:
            with urllib.request.urlopen(r, timeout=30 * SLOW) as a:
                return a.status, a.read(), a.headers
        except urllib.error.HTTPError as e:
            return e.code, e.read(), e.headers

    def get(self, path):
        status, body, _ = self.request("GET", path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def post(self, path, body=None, status=202, key=None):
        got, text, _ = self.request("POST", path, body or {}, {"Idempotency-Key": key or str(uuid.uuid4())})
        assert got == status, (path, got, text)
        return json.loads(text)

    def builds(self, query=""):
        return self.get("/builds" + query)["items"]

    def build_of(self, request, timeout=60):
        """The finished build of a request."""
        def done():
            for b in self.builds("?limit=1000"):
                if b["request"] == request:
                    return b if b["state"] == "done" else None
        return until(done, timeout, f"the build of request {request}")

    def built(self, builder, revision, timeout=60):
        return until(lambda: next((b for b in self.builds(f"?revision={revision}") if b["builder"].split("/")[-1] == builder and b["state"] == "done"), None),
                     timeout, f"{builder} at {revision}")

    def raw_log(self, build, step):
        status, body, _ = self.request("GET", f"/builds/{build}/log/{step}?raw=1")
        assert status == 200, body
        return body


CONFIG = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
{builders}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master]}}
promotions:
  - {{name: stable, kind: green, project: p, from: master, to: stable}}
"""


@pytest.fixture
def pawl(tmp_path):
    p = Pawl(tmp_path)
    yield p
    p.close()


@pytest.fixture
def repo(tmp_path):
    return Repo(str(tmp_path / "repo"))


@pytest.fixture
def simple(pawl, repo):
    """A master with one builder that runs ./test.sh of the revision, and one connected worker with two slots."""
    repo.commit({"test.sh": "echo hello\n"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders="  - {name: test, project: p, steps: [checkout: {}, {name: test, run: sh test.sh}]}\n"
                                                            "  - {name: any, project: p, collapse: false, manual: false, steps: [{name: go, run: \"sh -c \\\"$cmd\\\"\"}], properties: {cmd: 'true'}}\n"
                                                            .replace("manual: false, ", "")).replace("from: master, to: stable}", "from: master, to: stable, builders: [test]}")
                   .replace("branches: [master]}", "branches: [master], builders: [test]}"))
    pawl.start_master()
    pawl.start_worker(slots=2)
    return pawl
