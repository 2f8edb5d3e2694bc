"""What a step can see and do under each isolation: other jobs' files, the agent's key, the system, other processes, the network; and
that nothing of it is left, however it ends. `user`, and `bwrap` of an agent that is root, need root; podman an image made of busybox."""
import json, os, pytest, shutil, signal, subprocess, tempfile, uuid
from conftest import BUILD, CONFIG, Pawl, Repo, alive, until

ROOT = os.geteuid() == 0
FIRST = 70000 + os.getpid() % 5000 * 4  # uids that nobody has


def why_not(mode):
    if mode == "user":
        return None if ROOT else "needs root: another user's rights"
    if mode == "bwrap" and not shutil.which("bwrap"):
        return "needs bubblewrap"
    if mode == "podman":
        if not (ROOT and shutil.which("podman") and os.path.exists("/bin/busybox")):
            return "needs root, podman and busybox-static"
        p = subprocess.run(["podman", "run", *PODMAN, "--rm", IMAGE, "/bin/true"], capture_output=True, text=True) if image() else None
        return None if p and p.returncode == 0 else f"podman cannot run a container here: {p.stderr if p else 'no image'}"
    return None


# what podman needs on a machine whose control groups are of both kinds
PODMAN = ["--runtime", "/usr/sbin/runc", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"] if os.path.exists("/usr/sbin/runc") else []
IMAGE = "localhost/pawl-test-busybox:2"


def image():
    """An image with a shell, made here: nothing is fetched."""
    if subprocess.run(["podman", "image", "exists", IMAGE]).returncode == 0:
        return True
    with tempfile.TemporaryDirectory() as d:
        os.makedirs(d + "/bin")
        shutil.copy("/bin/busybox", d + "/bin/busybox")
        for name in "sh true cat ls id sleep touch echo env kill wc test grep rm".split():
            os.symlink("busybox", f"{d}/bin/{name}")
        for name in ("tmp", "etc", "proc", "dev", "sys"):
            os.makedirs(f"{d}/{name}")
        tar = subprocess.Popen(["tar", "-C", d, "-c", "."], stdout=subprocess.PIPE)
        p = subprocess.run(["podman", "import", "-", IMAGE], stdin=tar.stdout, capture_output=True)
        tar.wait()
        return p.returncode == 0


def modes(*names):
    return pytest.mark.parametrize("mode", names, indirect=True)


@pytest.fixture
def mode(request):
    reason = why_not(request.param)
    if reason:
        pytest.skip(reason)
    return request.param


@pytest.fixture
def place():
    """Users of jobs must be able to pass: pytest's own folders are closed."""
    d = tempfile.mkdtemp(prefix="pawl-isolation-")
    os.chmod(d, 0o755)
    yield d
    shutil.rmtree(d, ignore_errors=True)


BUILDER = ('  - {{name: {name}, project: p, collapse: false, retries: 0, {more}steps: [{{checkout: {{}}}}, {{name: go, {step}run: "eval \\"$cmd\\""}}, '
           '{{name: after, always_run: true, run: "eval \\"$then\\""}}], properties: {{cmd: "true", then: "true"}}}}\n')


class World:
    """A master, and a worker that offers some isolation."""

    def __init__(self, place, offers, slots=2, more="", step="", builders=(), first=True, branches=None, **keys):
        self.pawl = Pawl(place)
        self.repo = Repo(os.path.join(place, "repo"))
        self.rev = self.repo.commit({"a": "content\n"}, "first")
        text = "".join(BUILDER.format(name=n, more=m, step=step) for n, m in (builders or [("any", more)]))
        conf = CONFIG.format(repo=self.repo.bare, builders=text).replace("kind: branch", "kind: force").replace(", branches: [master]", "")
        conf = conf.replace("from: master, to: stable}", "from: master, to: stable, builders: [any]}")
        self.pawl.configure(conf.replace("poll: 1s", f"poll: 1s, branches: {branches}") if branches else conf)
        self.pawl.start_master()
        self.spool = self.pawl.join("w1", slots=slots)
        self.users = [FIRST, FIRST + slots - 1]
        need = "user" in offers or (ROOT and "bwrap" in offers)
        with open(os.path.join(place, "w1.yaml"), "a") as f:
            f.write(f"isolation: [{', '.join(offers)}]\n" + (f"users: [{self.users[0]}-{self.users[1]}]\n" if need else ""))
            if "podman" in offers:
                f.write(f"podman: {json.dumps(PODMAN)}\n")
            f.writelines(f"{k}: {v}\n" for k, v in keys.items())
        if first:
            self.start()

    def start(self, env=None):
        return self.pawl.start_worker("w1", env=env)

    def force(self, cmd, then="true", builder="any", **more):
        body = dict({"builder": builder, "reason": "x", "properties": {"cmd": cmd, "then": then}}, **more)

        def ask():  # refused until the repository was read
            status, text, _ = self.pawl.request("POST", "/force", body, {"Idempotency-Key": uuid.uuid4().hex})
            assert status in (202, 409), text
            return json.loads(text)["requests"] if status == 202 else None
        return until(ask, 20, "a build that can be asked for")[0]

    def run(self, cmd, then="true", **more):
        return self.pawl.build_of(self.force(cmd, then, **more), 90)

    def log(self, b, step="go"):
        return self.pawl.raw_log(b["id"], step).decode(errors="replace")

    def step(self, b, step="go"):
        return next(s for s in self.pawl.get(f"/builds/{b['id']}")["steps"] if s["name"] == step)

    def theirs(self):
        """Processes of the users of jobs."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                text = open(f"/proc/{pid}/status").read()
            except OSError:
                continue
            uid = int(text.split("\nUid:\t")[1].split()[0])
            if self.users[0] <= uid <= self.users[1] and "\nState:\tZ" not in text:
                found.append(int(pid))
        return found

    def file(self, name):
        return os.path.join(self.pawl.dir, name)

    def close(self):
        w, m = self.pawl.workers.get("w1"), self.pawl.master
        if w and w.poll() is None and m.poll() is None:  # a cancelled job ends after its build, with its control group
            until(lambda: not os.listdir(self.spool + "/jobs"), 20, "the end of all jobs")
        self.pawl.close()
        left = [f for d in ("/tmp", "/var/tmp", "/dev/shm") for f in os.listdir(d) if owner(f"{d}/{f}") in range(self.users[0], self.users[1] + 1)]
        assert not self.theirs() and not left, (self.theirs(), left)


def owner(path):
    try:
        return os.lstat(path).st_uid
    except OSError:
        return -1


@pytest.fixture
def world(place):
    made = []

    def make(offers, **more):
        made.append(World(place, offers, **more))
        return made[-1]
    yield make
    for w in made:
        w.close()


def asks(mode):
    return f"podman:{IMAGE}" if mode == "podman" else mode


def offer(mode):
    return ["none", mode] if mode != "none" else ["none"]


def test_environment_of_a_step(world):
    """The agent's own variables are a list; the rest is Pawl's."""
    w = world(["none"], first=False)
    w.start(env={"FORGOTTEN": "1", "TZ": "UTC", "LANG": "C", "LOGNAME": "x", "USER": "x"})
    b = w.run("env | sed 's/=.*//' | sort -u")
    names = set(w.log(b).split())
    pawl = {f"PAWL_{n}" for n in "BUILD_ID BUILD_URL BUILDER PROJECT BRANCH REVISION REASON ATTEMPT WORKER WORKDIR JOB".split()} | {"PAWL", "CI"}
    agent = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ"}
    assert pawl <= names and agent <= names and "TMPDIR" in names and "FORGOTTEN" not in names, names
    others = {n for n in names - pawl - agent if not n.startswith("PAWL_")}
    assert others <= {"TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "LC_ALL", "cmd", "then", "PW_FAULT", "PW_FAULT_SEEN"}, others


def test_usage_is_recorded(world):
    w = world(["none"])
    b = w.run("head -c 8388608 /dev/zero >big; sync big; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    s = w.step(b)
    assert s["cpu_ms"] > 0 and s["max_rss"] > 100000 and s["read_bytes"] is not None, s
    fs = subprocess.run(["stat", "-f", "-c", "%T", w.spool], capture_output=True, text=True).stdout.strip()
    assert s["write_bytes"] >= (0 if fs == "tmpfs" else 8388608), (fs, s)


SEE = r"""
say() { if eval "$2" >/dev/null 2>&1; then echo "$1 yes"; else echo "$1 no"; fi; }
say checkout 'test "$(cat a)" = content'
say write 'echo x >mine'
say tmp 'echo x >$TMPDIR/t && echo x >/tmp/t-$$ && rm /tmp/t-$$'
say key 'cat %(key)s'
say jobs 'ls %(spool)s/jobs'
say spool 'test -n "$(ls %(spool)s | grep -v -e work -e mirrors)"'
say work 'ls %(spool)s/work/p | grep other'
say other 'cat %(other)s/secret'
say etc 'echo x >/etc/pawl-isolation-test'
say usr 'echo x >/usr/pawl-isolation-test'
say shadow 'cat /etc/shadow'
say root 'ls /root'
say others 'test -e /proc/%(agent)d/cmdline'
say kill 'kill -0 %(agent)d'
say home 'echo x >$HOME/.x'
say stdout 'echo x >/dev/stdout'
say null 'echo x >/dev/null'
say network 'test $(wc -l </proc/net/dev) -gt 3'
"""
YES = {"none": "checkout write tmp key jobs spool work other etc usr shadow root others kill home stdout null network",
       "user": "checkout write tmp others home stdout null network",
       "bwrap": "checkout write tmp home stdout null network",
       "podman": "checkout write tmp home stdout null network etc"}  # of the container's own, gone with it


@modes("none", "user", "bwrap", "podman")
def test_what_a_step_sees(world, mode):
    w = world(offer(mode), builders=[("any", f"isolation: \"{asks(mode)}\", "), ("other", f"isolation: \"{asks(mode)}\", ")])
    r = w.force(f"echo hidden >secret; pwd; until test -e $PWD/go; do sleep 0.1; done", builder="other")
    other = os.path.join(w.spool, "work/p/other/1")
    until(lambda: os.path.exists(other + "/secret"), 30, "the other job")
    env = {"key": os.path.join(w.spool, "worker.key"), "spool": w.spool, "other": other, "agent": w.pawl.workers["w1"].pid}
    b = w.run(SEE.replace("\n", "; ").replace("; ; ", "; ").strip("; ") % env)
    open(other + "/go", "w")
    try:
        assert w.pawl.build_of(r)["result"] == "success" and b["result"] == "success", (b, w.log(b))
        got = dict(line.split() for line in w.log(b).splitlines() if line.count(" ") == 1)
        yes = set(YES[mode].split()) - (set() if ROOT else {"etc", "usr", "shadow", "root"})
        assert {k for k, v in got.items() if v == "yes"} == yes and len(got) == 18, got
        assert w.pawl.worker("w1")["facts"]["isolation"] == ",".join(offer(mode))
    finally:
        for f in ("/etc/pawl-isolation-test", "/usr/pawl-isolation-test"):
            if os.path.exists(f):
                os.unlink(f)


@modes("bwrap", "podman")
def test_no_network(world, mode):
    w = world(offer(mode), more=f"isolation: \"{asks(mode)}\", network: false, ")
    b = w.run("test $(wc -l </proc/net/dev) -eq 3 && cat a")  # two lines of heading and lo; the checkout was before
    assert b["result"] == "success" and w.log(b) == "content\n", (b, w.log(b))


@modes("user", "bwrap", "podman")
def test_leftovers_end_with_the_step(world, mode):
    w = world(offer(mode), more=f"isolation: \"{asks(mode)}\", ")
    b = w.run("(trap '' TERM HUP; sleep 1000 >/dev/null 2>&1 </dev/null & ); (sleep 1001 & ); echo done")
    assert b["result"] == "success" and w.log(b).startswith("done\n"), (b, w.log(b))
    if mode != "podman":
        assert w.log(b).count("left behind by this step") >= 2, w.log(b)
        assert "(sleep)" in w.log(b) or "(sh)" in w.log(b), w.log(b)  # the shell that was about to become it
    assert not w.theirs() and not sleeping(w)
    # a step that leaves nothing is not told of
    b = w.run("sh -c 'exit 0'; echo done")
    assert w.log(b) == "done\n", w.log(b)


def sleeping(w):
    """Processes with a mark of this world, whoever's they are."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if w.spool.encode() in open(f"/proc/{pid}/environ", "rb").read() and alive(pid) and b"sleep\x00" in open(f"/proc/{pid}/cmdline", "rb").read():
                found.append(int(pid))
        except OSError:
            pass
    return found


@modes("user", "bwrap", "podman")
def test_timeout_inside(world, mode):
    """TERM first, to all of it; whoever ignores that is killed after grace."""
    w = world(offer(mode), more=f"isolation: \"{asks(mode)}\", ", step="timeout: 1s, grace: 1s, ")
    b = w.run("(trap '' TERM; sleep 1000 & ); trap '' TERM; while :; do sleep 1; done")
    assert b["result"] == "failure" and w.step(b)["reason"] == "timeout after 1s", (b, w.step(b))
    assert not w.theirs() and not sleeping(w)
    if mode != "podman":  # a container's first process has no default for TERM
        b = w.run("trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done")
        assert "bye" in w.log(b) and w.step(b)["reason"] == "timeout after 1s", w.log(b)


@modes("user", "bwrap", "podman")
def test_cancel_inside(world, mode):
    w = world(offer(mode), more=f"isolation: \"{asks(mode)}\", ", step="grace: 1s, ")
    r = w.force("(trap '' TERM; sleep 1000 & ); trap '' TERM; touch ready; while :; do sleep 1; done")
    mark = os.path.join(w.spool, "work/p/any/1/ready")
    until(lambda: os.path.exists(mark), 30, "the step")
    build = next(b["id"] for b in w.pawl.builds() if b["request"] == r)
    w.pawl.post(f"/builds/{build}/cancel", {"reason": "enough"})
    b = w.pawl.build_of(r)
    assert b["result"] == "cancelled", b
    until(lambda: not w.theirs() and not sleeping(w), 20, "the end of all processes")


@modes("user", "bwrap")
def test_runner_killed_inside(world, mode):
    """With its zygote too: the agent finds what is left by its group and its mark."""
    w = world(offer(mode), builders=[("any", f"isolation: {mode}, retries: 2, ".replace("retries: 2, ", ""))])
    r = w.force("touch ready; (trap '' TERM; setsid sleep 1000 & ); sleep 1000")
    mark = os.path.join(w.spool, "work/p/any/1/ready")
    until(lambda: os.path.exists(mark), 30, "the step")
    for pid in w.pawl.runners():
        try:
            if b"--serve" in open(f"/proc/{pid}/cmdline", "rb").read():
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    b = w.pawl.build_of(r, 60)
    assert b["result"] == "exception", b
    until(lambda: not w.theirs() and not sleeping(w), 20, "the end of all processes")
    assert w.run("cat a")["result"] == "success"


@modes("user", "bwrap")
def test_checkout_is_inside(world, mode):
    """What a build leaves in its work tree for git to run is run without the agent's rights."""
    w = world(offer(mode), more=f"isolation: {mode}, ")
    key = os.path.join(w.spool, "worker.key")
    took = os.path.join(w.spool, "took")
    evil = f"#!/bin/sh\\ncat {key} >$PWD/.git/stolen; touch {took}; id -u >$PWD/.git/who\\n"
    b = w.run(f"printf '{evil}' >.git/evil; chmod +x .git/evil; git config core.fsmonitor $PWD/.git/evil; git config core.hooksPath $PWD/.git")
    assert b["result"] == "success", w.log(b)
    b = w.run("ls -l .git/stolen .git/who; cat .git/who; test ! -s .git/stolen; cat a")
    assert b["result"] == "success" and not os.path.exists(took), w.log(b)
    if ROOT:
        assert f"\n{w.users[0]}\n" in w.log(b), w.log(b)  # it ran, and was nobody


@modes("user")
def test_user_leaves_nothing(world, mode):
    """Not in shared folders, not in memory, not as a process; the next job with that user meets nothing of the one before."""
    w = world(["user"], slots=1, builders=[("any", ""), ("next", "")])
    b = w.run("touch /tmp/left-$PAWL_BUILD_ID /var/tmp/left-$PAWL_BUILD_ID /dev/shm/left-$PAWL_BUILD_ID; mkdir -p /tmp/d-$PAWL_BUILD_ID/x; ipcmk -M 4096 >/dev/null; id -u; "
              "echo hello >kept; chmod 777 . kept")
    assert b["result"] == "success" and w.log(b).split()[0] == str(w.users[0]), w.log(b)
    left = os.path.join(w.spool, "work/p/any/1")
    st = os.stat(left)
    assert st.st_uid == 0 and st.st_mode & 0o777 == 0o700, oct(st.st_mode)
    assert str(w.users[0]) not in subprocess.run(["ipcs", "-m"], capture_output=True, text=True).stdout
    b = w.run(f"id -u; cat {left}/kept 2>/dev/null || echo closed; ls /tmp", builder="next")
    assert w.log(b).split()[:2] == [str(w.users[0]), "closed"] and "left-" not in w.log(b) and "d-" not in w.log(b).split(), w.log(b)
    b = w.run("cat kept; echo more >>kept")
    assert b["result"] == "failure", "a clean checkout removed it"


@modes("user")
def test_two_users_at_once(world, mode):
    w = world(["user"], slots=2)
    a, b = (w.force("id -u; touch here; until test -e go; do sleep 0.1; done") for _ in range(2))
    dirs = [os.path.join(w.spool, f"work/p/any/{n}") for n in (1, 2)]
    until(lambda: all(os.path.exists(d + "/here") for d in dirs), 30, "both jobs")
    uids = {os.stat(d).st_uid for d in dirs}
    assert uids == set(w.users)
    for d in dirs:
        open(d + "/go", "w")
    assert {w.log(w.pawl.build_of(r)).strip() for r in (a, b)} == {str(u) for u in uids}


@modes("user")
def test_hard_link_is_not_given_away(world, mode):
    """A work directory changes hands; what has another name elsewhere does not."""
    w = world(["none", "user"], slots=1, builders=[("any", "")])
    victim = w.file("victim")
    with open(victim, "w") as f:
        f.write("mine\n")
    os.chmod(victim, 0o600)
    assert w.run(f"ln {victim} trap")["result"] == "success"  # as the agent: isolation none
    w.pawl.kill(w.pawl.workers["w1"], signal.SIGTERM)
    conf = w.file("w1.yaml")
    text = open(conf).read().replace("isolation: [none, user]", "isolation: [user]")
    open(conf, "w").write(text)
    w.start()
    b = w.run("id -u; ls")
    assert b["result"] == "success" and os.stat(victim).st_uid == os.geteuid() and "trap" not in w.log(b), w.log(b)


@modes("user", "bwrap")
def test_isolation_changes_hands(world, mode):
    """One work directory under one isolation after the other."""
    w = world(["none", mode], slots=1, builders=[("any", "")])
    conf = w.file("w1.yaml")
    for offers in (["none", mode], [mode, "none"], ["none", mode], [mode, "none"]):
        text = "\n".join(f"isolation: [{', '.join(offers)}]" if line.startswith("isolation:") else line for line in open(conf).read().split("\n"))
        open(conf, "w").write(text)
        os.kill(w.pawl.workers["w1"].pid, signal.SIGHUP)
        until(lambda: w.pawl.worker("w1")["facts"]["isolation"] == ",".join(offers) and w.pawl.worker("w1")["state"] == "connected", 20, "the new configuration")
        b = w.run("cat a; mkdir -p sub/dir; echo x >sub/dir/f; ls /root >/dev/null 2>&1 && echo open || echo closed")
        assert b["result"] == "success" and w.log(b) == ("content\nopen\n" if offers[0] == "none" and ROOT else "content\nclosed\n"), (offers, w.log(b), w.log(b, "checkout"))


@modes("bwrap")
def test_status_of_a_step(world, mode):
    w = world(["bwrap"], builders=[("any", "")])
    for cmd, reason in (("exit 3", "exit code 3"), ("kill -9 $$", "exit code 137")):
        b = w.run(cmd)
        assert b["result"] == "failure" and w.step(b)["reason"] == reason, w.step(b)


@modes("bwrap")
def test_cannot_be_entered_is_our_fault(world, mode):
    """A machine that stops allowing it: the job is not run with less."""
    w = world(["bwrap"], builders=[("any", "")])
    assert w.run("true")["result"] == "success"
    fake = w.file("bin")
    os.mkdir(fake)
    with open(fake + "/bwrap", "w") as f:
        f.write("#!/bin/sh\ntest -e $0.works && exec /usr/bin/bwrap \"$@\"\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    os.chmod(fake + "/bwrap", 0o755)
    open(fake + "/bwrap.works", "w")
    w.pawl.kill(w.pawl.workers["w1"], signal.SIGTERM)
    w.start(env={"PATH": f"{fake}:{os.environ['PATH']}"})
    os.unlink(fake + "/bwrap.works")
    b = w.run("echo ran >$PAWL_WORKDIR/ran")
    assert b["result"] == "exception" and "isolation bwrap could not be entered" in w.step(b, "checkout")["reason"], (b, w.step(b, "checkout"))
    assert not os.path.exists(os.path.join(w.spool, "work/p/any/1/ran")) and "Permission denied" in w.log(b, "checkout")


# ---- refused at the start, with the reason

def refused(w, text, path=None, code=1, before=()):
    """Starts the joined worker w1 with other lines for isolation: it ends at once."""
    conf = w.file("w1.yaml")
    with open(conf) as f:
        kept = [line for line in f.read().split("\n") if not line.startswith(("isolation:", "users:", "slots:"))]
    other = w.file("other.yaml")
    with open(other, "w") as f:
        f.write("\n".join(kept).rstrip("\n") + "\n" + text)
    p = subprocess.run([*before, f"{BUILD}/pawl-worker", "--config", other], capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, **({"PATH": path} if path else {})))
    assert p.returncode == code, p.stderr
    return p.stderr


def test_wrong_words_are_refused(world):
    w = world(["none"], first=False)
    text = refused(w, "isolation: [chroot]\nusers: [root, no-such-user-x, 70000-60000]\nshow: [relative]\n", code=2)
    for what in ('"chroot" in "isolation" is not one of none, user, bwrap, podman', "is used by the system or the agent",
                 'there is no user "no-such-user-x"', "is no range", "absolute path"):
        assert sum("other.yaml:" in line and what in line for line in text.splitlines()) == 1, (what, text)


@pytest.mark.skipif(not ROOT, reason="needs root: as another user it is refused for that reason")
def test_users_are_asked_for(world, place):
    w = world(["none"], first=False)
    assert 'needs "users": a user for each job' in refused(w, "isolation: [user]\n")
    assert '"users" has 1 for 3 slots' in refused(w, f"isolation: [user]\nusers: ['{FIRST}']\nslots: 3\n")
    os.chmod(place, 0o700)
    assert f"{place} is closed to other users" in refused(w, f"isolation: [user]\nusers: ['{FIRST}']\n")


def test_missing_programs_are_told(world):
    w = world(["none"], first=False)
    users = f"users: ['{FIRST}']\n" if ROOT else ""
    empty = w.file("empty")
    os.mkdir(empty)
    assert "isolation bwrap: program \"bwrap\" not found; install bubblewrap" in refused(w, "isolation: [bwrap]\n" + users, path=empty)
    assert "isolation podman: program \"podman\" not found" in refused(w, "isolation: [podman]\n" + users, path=empty)


@pytest.mark.skipif(not ROOT, reason="needs root to become nobody")
def test_user_needs_root(world):
    w = world(["none"], first=False)
    for d, _, files in os.walk(w.spool):
        for f in [d, *(os.path.join(d, f) for f in files)]:
            os.chown(f, 65534, 65534)
    text = refused(w, "isolation: [none, user]\nusers: ['70001']\n", before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    assert "needs an agent that runs as root" in text, text


# ---- on the master: who gets the job

def why(w, request):
    return w.pawl.get(f"/requests/{request}/why")["reason"]


def test_no_worker_offers_it(world):
    w = world(["none"], more="isolation: bwrap, ")
    r = w.force("true")
    until(lambda: why(w, r) == 'no worker offers isolation "bwrap"', 20, "the reason")


@modes("bwrap")
def test_untrusted_builds(world, mode):
    """Code that nobody answers for: only where it is allowed, never with less than bwrap, in a work directory of its own."""
    w = world(["none", "bwrap"], slots=1, builders=[("any", "")], branches="[master]")
    w.repo.commit({"a": "stranger\n"}, "of a stranger", branch="stranger")
    until(lambda: "stranger" in w.repo.git("ls-remote", w.repo.bare), 10, "the branch")
    rev = w.repo.git("rev-parse", "HEAD")
    assert w.run("echo mine >kept; ls /root >/dev/null && echo open", **{"branch": "master"})["result"] == ("success" if ROOT else "failure")
    r = w.force("cat a; pwd; ls /root >/dev/null 2>&1 && echo open || echo closed", branch="stranger", revision=rev)
    until(lambda: "untrusted: true" in why(w, r), 20, "the reason")
    with open(w.file("w1.yaml"), "a") as f:
        f.write("untrusted: true\n")
    os.kill(w.pawl.workers["w1"].pid, signal.SIGHUP)
    b = w.pawl.build_of(r)
    lines = w.log(b).split("\n")
    assert b["result"] == "success" and lines[0] == "stranger" and lines[1].endswith("/work/p/any%untrusted/1") and lines[2] == "closed", (b, lines)
    b = w.run("ls; touch left", branch="stranger", revision=rev)
    assert b["result"] == "success" and w.log(b).split() == ["a"], w.log(b)
    b = w.run("ls", branch="stranger", revision=rev)
    assert w.log(b).split() == ["a"], w.log(b)
    b = w.run("pwd", branch="master", revision=w.rev)
    assert w.log(b).strip().endswith("/work/p/any/1")
