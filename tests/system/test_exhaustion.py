"""Something runs out: it is said, nothing is damaged, and all goes on by itself when there is enough again."""
import json, os, pytest, resource, signal, sqlite3, subprocess, threading, time, urllib.request, uuid
from conftest import BUILD, SLOW, until
from machine import ROOT, Small, cgroup, open_files, preload, processes, soft_limit, write

CONFIG = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
  - {{name: test, project: p, steps: [checkout: {{}}, {{name: test, run: sh test.sh}}]}}
  - {{name: any, project: p, collapse: false, steps: [{{name: go, run: "sh -c \\"$cmd\\""}}], properties: {{cmd: 'true'}}}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [test]}}
"""
# incompressible, so that bytes of output are bytes of disk; the same for each who knows the seed
NOISE = "awk 'BEGIN{{srand({seed}); for (i = 0; i < {lines}; i++) {{s = \\\"\\\"; for (k = 0; k < 20; k++) s = s sprintf(\\\"%07d\\\", int(rand() * 10000000)); print s}}}}'"


def noise(seed, lines):
    return NOISE.format(seed=seed, lines=lines).replace('\\"', '"')


@pytest.fixture
def small(tmp_path, repo):
    if not ROOT:
        pytest.skip("needs root: a mount namespace with small file systems")
    p = Small(tmp_path)
    repo.commit({"test.sh": "echo hello\n"}, "first")
    p.configure(CONFIG.format(repo=repo.bare))
    yield p
    p.close()


def force(p, cmd="true", status=202):
    return p.post("/force", {"builder": "any", "reason": "full", "properties": {"cmd": cmd}}, status)


def health(p):
    status, body, _ = p.request("GET", "/healthz")
    return status, {c["name"]: c["text"] for c in json.loads(body)["checks"] if not c["ok"]}


def first_change(p):
    until(lambda: p.get("/changes")["items"], 30, "the first change")


CHECK = "import sqlite3, sys; print(sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute('PRAGMA integrity_check').fetchall())"


def sound(p):
    """From inside: SQLite does not find its way through /proc."""
    got = subprocess.run(p.enter("/usr/bin/python3", "-c", CHECK, p.inner_state + "/pawl.db"), capture_output=True, text=True, timeout=60)
    assert got.stdout.strip() == "[('ok',)]", got


def expected(cmd):
    return subprocess.run(["sh", "-c", cmd], capture_output=True, check=True).stdout


def command(tmp_path, name, text):
    """A script beside the test: no quoting twice."""
    path = tmp_path / name
    path.write_text(text)
    return f"sh {path}"


# ---- the master's disk
def test_no_room_for_the_database(small, tmp_path):
    small.mounts((small.inner_state, "12m"), (small.inner_state + "/logs", "64m"))
    small.start_master()
    first_change(small)
    small.start_worker(slots=2)
    go = tmp_path / "go"
    text = f"{noise(1, 2000)}; until [ -e {go} ]; do sleep 0.02; done; {noise(2, 2000)}\n"
    job = command(tmp_path, "job.sh", text)
    r = force(small, job)["requests"][0]
    until(lambda: [b for b in small.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    small.fill(small.inner_state)

    accepted = [r]

    def refused():
        status, body, _ = small.request("POST", "/force", {"builder": "any", "reason": "x"}, {"Idempotency-Key": str(uuid.uuid4())})
        if status == 202:
            accepted.extend(json.loads(body)["requests"])
        return json.loads(body)["error"] if status == 503 else None
    e = until(refused, 60, "a refusal")
    assert e["code"] == "unavailable" and "full" in e["message"], e
    checks = until(lambda: health(small)[1] if health(small)[0] == 503 else None, 30, "the check")
    assert "disk" in checks and "full" in checks["disk"], checks
    assert "commit_failed" in small.log("master")
    go.touch()  # the job goes on meanwhile, into its worker's spool
    small.empty(small.inner_state)
    until(lambda: health(small)[0] == 200, 60, "the master to go on by itself")
    b = small.build_of(r)
    assert (b["result"], b["attempt"]) == ("success", 1), b
    assert small.raw_log(b["id"], "go") == expected(text)
    assert small.build_of(force(small)["requests"][0])["result"] == "success"
    accepted.append(max(x["request"] for x in small.builds("?builder=any")))
    assert all(small.build_of(x)["result"] == "success" for x in accepted)
    assert len(small.builds("?builder=any&limit=1000")) == len(set(accepted)), "what was refused was not done"
    sound(small)


def test_no_room_for_logs(small, tmp_path):
    small.mounts((small.inner_state, "64m"), (small.inner_state + "/logs", "4m"))
    small.start_master()
    first_change(small)
    small.start_worker(slots=2)
    text = noise(3, 60000) + "\n"  # 8 MB into 4: zstd makes 3.6 of it
    more = noise(4, 60000) + "\n"
    small.fill(small.inner_state + "/logs", leave=1 << 20)
    r = [force(small, command(tmp_path, f"{i}.sh", t))["requests"][0] for i, t in enumerate((text, more))]
    checks = until(lambda: health(small)[1], 60, "the check")
    assert "No space left" in checks["log store"], checks
    status, body, _ = small.request("POST", "/force", {"builder": "any", "reason": "x"}, {"Idempotency-Key": "once"})
    assert status == 503 and "No space left" in json.loads(body)["error"]["message"], body
    assert small.pawl("status")  # reading goes on
    small.resize(small.inner_state + "/logs", "64m")
    small.empty(small.inner_state + "/logs")
    until(lambda: health(small)[0] == 200, 60, "the master to go on by itself")
    for x, t in zip(r, (text, more)):
        b = small.build_of(x, 120)
        assert (b["result"], b["attempt"]) == ("success", 1), b
        assert small.raw_log(b["id"], "go") == expected(t)
    sound(small)


def test_no_room_to_seal(small, tmp_path):
    """Output has its room, the file that it is to end in has not: it stays readable, and is sealed later."""
    logs = small.inner_state + "/logs"
    small.mounts((small.inner_state, "64m"), (logs, "32m"))
    small.start_master()
    first_change(small)
    small.start_worker()
    go = tmp_path / "go"
    text = noise(5, 40000)
    r = force(small, command(tmp_path, "job.sh", f"{text}; until [ -e {go} ]; do sleep 0.02; done\n"))["requests"][0]
    want = expected(text)
    b = until(lambda: next((b for b in small.builds("?builder=any") if b["state"] == "running"), None), 30, "the build to run")
    until(lambda: small.request("GET", f"/builds/{b['id']}/log/go?raw=1")[1] == want, 60, "all of its output")
    small.fill(logs)
    go.touch()
    b = small.build_of(r)
    assert b["result"] == "success"
    checks = until(lambda: health(small)[1], 60, "the check")
    assert "No space left" in checks.get("log archive", ""), checks
    assert small.raw_log(b["id"], "go") == want
    small.empty(logs)
    until(lambda: health(small)[0] == 200, 90, "the archive to go on by itself")
    assert small.raw_log(b["id"], "go") == want
    assert any(f.endswith(".log") for d, _, fs in os.walk(small.inside(logs)) for f in fs)


def test_a_start_on_a_full_disk(small):
    small.mounts((small.inner_state, "12m"))
    small.start_master()
    first_change(small)
    small.kill(small.master, signal.SIGTERM)  # which leaves no WAL with room in it
    small.fill(small.inner_state)
    p = small.start_master(wait=False)
    until(lambda: p.poll() is not None, 30, "the end of a start without room")
    assert p.returncode == 1
    said = small.log("master").splitlines()[-1]
    assert said.startswith("pawl-master: starting:") and ("full" in said or "No space left" in said), said
    small.empty(small.inner_state)
    small.start_master()
    assert health(small)[0] == 200
    sound(small)


# ---- the worker's disk
def why(p, request):
    return p.get(f"/requests/{request}/why")["reason"]


def test_a_low_disk_takes_no_jobs(small):
    spool = os.path.join(small.dir, "spool-w1")
    small.mounts((spool, "16m"))
    small.start_master()
    first_change(small)
    small.start_worker("w1")
    assert small.build_of(force(small)["requests"][0])["result"] == "success"
    small.fill(spool, leave=512 * 1024)
    until(lambda: "low disk" in why(small, force(small)["requests"][0]), 60, "the reason")
    r = force(small)["requests"][0]
    assert "low disk" in small.pawl("why", str(r)) and "MiB wanted" in why(small, r)
    assert any("low disk" in (w.get("gate") or "") for w in small.get("/workers")["items"]) and "low disk" in small.pawl("workers")
    small.empty(spool)
    assert small.build_of(r)["result"] == "success"
    assert not small.worker("w1").get("gate")


def test_no_room_in_the_spool(small, tmp_path):
    """A job that prints more than there is room for waits; another one goes on; the agent lives."""
    spool = os.path.join(small.dir, "spool-w1")
    small.mounts((spool, "24m"))
    small.start_master()
    first_change(small)
    agent = small.start_worker("w1", slots=2)
    big, go, go2 = noise(6, 60000), tmp_path / "go", tmp_path / "go2"
    r = force(small, command(tmp_path, "big.sh", f"touch {tmp_path}/up1; until [ -e {go} ]; do sleep 0.02; done; {big}\n"))["requests"][0]
    other = force(small, command(tmp_path, "other.sh", f"touch {tmp_path}/up2; until [ -e {go2} ]; do sleep 0.02; done; echo fine\n"))["requests"][0]
    until(lambda: os.path.exists(tmp_path / "up1") and os.path.exists(tmp_path / "up2"), 30, "both jobs")
    small.fill(spool, leave=600 * 1024)
    go.touch()
    room = lambda: os.statvfs(small.inside(spool))
    until(lambda: room().f_bavail * room().f_frsize < 300 * 1024, 30, "the job to use what was left")
    go2.touch()
    b = small.build_of(other)
    assert b["result"] == "success" and small.raw_log(b["id"], "go") == b"fine\n"
    assert [x["state"] for x in small.builds("?builder=any") if x["request"] == r] == ["running"]
    small.empty(spool)
    b = small.build_of(r, 90)
    assert (b["result"], b["attempt"]) == ("success", 1), b
    assert small.raw_log(b["id"], "go") == expected(big)
    assert agent.poll() is None


def test_no_room_for_long(small, tmp_path):
    """The job ends as exception with a plain reason, from the reserve; the retry elsewhere is its second attempt."""
    spool = os.path.join(small.dir, "spool-w1")
    small.mounts((spool, "24m"))
    small.start_master()
    first_change(small)
    agent = small.start_worker("w1")
    go = tmp_path / "go"
    text = f"touch {tmp_path}/up; until [ -e {go} ]; do sleep 0.02; done; {noise(7, 60000)}"
    r = force(small, command(tmp_path, "big.sh", text + "\n"))["requests"][0]
    until(lambda: os.path.exists(tmp_path / "up"), 30, "the job")
    small.fill(spool, leave=600 * 1024)
    go.touch()
    first = until(lambda: next((b for b in small.builds("?builder=any") if b["request"] == r and b["state"] == "queued"), None), 120, "the first attempt's end")
    assert "low disk" in until(lambda: why(small, r), 10)
    small.start_worker("w2")
    b = small.build_of(r, 120)
    assert b["id"] == first["id"] and (b["result"], b["attempt"], b["worker"]) == ("success", 2, "w2"), b
    assert "no room in the spool" in small.log("master")
    assert agent.poll() is None


# ---- descriptors
@pytest.fixture
def site(pawl, repo):
    repo.commit({"test.sh": "echo hello\n"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare))
    return pawl


def connect(p):
    import socket
    host, port = p.url.split("//")[1].split(":")
    s = socket.create_connection((host, int(port)), 10)
    s.setblocking(False)
    return s


def test_limits_are_raised_at_the_start(site, tmp_path):
    """The programs take what they are allowed, steps get what the agent was given."""
    lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    had = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, had[0]), had[1]))
    try:
        site.start_master()
        agent = site.start_worker()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, had)
    for p in (site.master, agent):
        soft, hard = resource.prlimit(p.pid, resource.RLIMIT_NOFILE)
        assert soft == min(hard, 1 << 20)
        assert f"files_limit soft={soft}" in site.log(p.name)
    first_change(site)
    b = site.build_of(force(site, "ulimit -n")["requests"][0])
    assert site.raw_log(b["id"], "go") == b"%d\n" % min(512, had[0])


def test_no_descriptors_for_the_master(site, tmp_path, repo):
    """Connections take the last one: what is open goes on, what needs one says so, and all is well when they are gone."""
    site.start_master()
    first_change(site)
    site.start_worker()
    go = tmp_path / "go"
    text = noise(8, 3000)
    r = force(site, command(tmp_path, "job.sh", f"echo a; until [ -e {go} ]; do sleep 0.02; done; {text}\n"))["requests"][0]
    until(lambda: [b for b in site.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    old = soft_limit(site.master.pid, resource.RLIMIT_NOFILE, open_files(site.master.pid) + 12)
    held = [connect(site) for _ in range(60)]
    try:
        until(lambda: open_files(site.master.pid) >= resource.prlimit(site.master.pid, resource.RLIMIT_NOFILE)[0] - 1, 20, "the last descriptor")
        repo.commit({"x": "1"}, "a push that nobody can look at")
        until(lambda: "Too many open files" in site.log("master"), 60, "what is missing to be told")
        go.touch()
    finally:
        for s in held:
            s.close()
    until(lambda: health(site)[0] == 200, 60, "the master to go on")
    b = site.build_of(r)
    assert (b["result"], b["attempt"]) == ("success", 1) and site.raw_log(b["id"], "go") == b"a\n" + expected(text)
    site.built("test", repo.git("rev-parse", "HEAD"))
    soft_limit(site.master.pid, resource.RLIMIT_NOFILE, old)
    assert site.master.poll() is None


def test_no_descriptors_to_open_the_database(site):
    """A commit that failed opens all anew, and cannot: it says so and goes on when it can."""
    import http.client
    site.start_master(env={"PW_FAULT": "store.commit:60"})
    first_change(site)
    pid = site.master.pid
    con = http.client.HTTPConnection(site.url.split("//")[1], timeout=30)  # open before there is no more room for one

    def ask(method, path, body=None):
        con.request(method, path, json.dumps(body) if body else None,
                    {"Authorization": "Bearer " + site.token(), "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())})
        a = con.getresponse()
        return a.status, json.loads(a.read())
    assert ask("GET", "/healthz")[0] == 200
    old = soft_limit(pid, resource.RLIMIT_NOFILE, 8)
    accepted = []

    def broken():
        status, body = ask("POST", "/api/v1/force", {"builder": "any", "reason": "x"})
        if status == 202:
            accepted.append(body["requests"][0])
        return "commit_failed" in site.log("master")
    until(broken, 60, "the planted failure")
    text = until(lambda: next((c["text"] for c in ask("GET", "/healthz")[1]["checks"] if c["name"] == "files"), None), 20, "the check")
    assert site.master.poll() is None and "Too many open files" in text, text
    soft_limit(pid, resource.RLIMIT_NOFILE, old)
    until(lambda: "loaded_again" in site.log("master"), 60, "the database to be opened again")
    until(lambda: health(site)[0] == 200, 30, "health")
    site.start_worker()
    assert accepted and all(site.build_of(r)["result"] == "success" for r in accepted)


def test_no_descriptors_for_the_agent(site, tmp_path):
    site.start_master()
    first_change(site)
    agent = site.start_worker("w1", slots=4)
    go = tmp_path / "go"
    runs = force(site, command(tmp_path, "job.sh", f"until [ -e {go} ]; do sleep 0.02; done; echo done\n"))["requests"][0]
    until(lambda: [b for b in site.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    old = soft_limit(agent.pid, resource.RLIMIT_NOFILE, open_files(agent.pid))
    waits = force(site)["requests"][0]
    until(lambda: "Too many open files" in site.log("worker-w1"), 30, "what is missing to be told")
    go.touch()
    assert site.build_of(runs)["result"] == "success", "what runs goes on"
    assert agent.poll() is None
    soft_limit(agent.pid, resource.RLIMIT_NOFILE, old)
    b = site.build_of(waits)
    assert b["result"] == "success", b


# ---- processes
def pids(group):
    return int(open(group + "/pids.current").read())


needs_pids = pytest.mark.skipif(not ROOT or not os.path.isdir("/sys/fs/cgroup/pids"), reason="needs root and a pids controller of version 1")


@needs_pids
def test_no_process_for_a_runner(site):
    """The zygote cannot fork: the job is given again, and runs when it can."""
    site.start_master()
    first_change(site)
    agent = site.start_worker()
    assert site.build_of(force(site)["requests"][0])["result"] == "success"
    with cgroup("pids") as group:
        zygote = until(lambda: processes("pawl-run", site.dir), 10, "the zygote")[0]
        until(lambda: len(processes("pawl-run", site.dir)) == 1, 20, "the last runner's end")
        for pid in (agent.pid, zygote):
            write(group + "/cgroup.procs", pid)
        write(group + "/pids.max", pids(group))
        r = force(site)["requests"][0]
        until(lambda: "fork_failed" in site.log("worker-w1"), 30, "the failure to be told")
        assert agent.poll() is None
        write(group + "/pids.max", "max")
        b = site.build_of(r, 90)
        assert b["result"] == "success", b
        site.kill(agent, signal.SIGTERM)
        until(lambda: not processes("pawl-run", site.dir), 20, "the zygote's end")


@needs_pids
def test_no_process_for_a_step(site):
    """The runner is there, its steps cannot be: an exception with the reason, tried again, and given up."""
    site.start_master()
    first_change(site)
    agent = site.start_worker()
    assert site.build_of(force(site)["requests"][0])["result"] == "success"
    with cgroup("pids") as group:
        until(lambda: len(processes("pawl-run", site.dir)) == 1, 20, "the last runner's end")
        zygote = processes("pawl-run", site.dir)[0]
        write(group + "/cgroup.procs", zygote)
        write(group + "/pids.max", pids(group) + 1)  # the runner
        b = site.build_of(force(site)["requests"][0], 90)
        assert b["result"] == "exception" and b["attempt"] == 3, b
        assert "making a process" in b["result_reason"] and "step \"go\"" in b["result_reason"], b
        write(group + "/pids.max", "max")
        assert site.build_of(force(site)["requests"][0], 60)["result"] == "success"
        assert agent.poll() is None
        site.kill(agent, signal.SIGTERM)
        until(lambda: not processes("pawl-run", site.dir), 20, "the zygote's end")


@needs_pids
def test_no_process_for_git(site, repo):
    site.start_master()
    first_change(site)
    site.start_worker()
    with cgroup("pids") as group:
        write(group + "/cgroup.procs", site.master.pid)
        write(group + "/pids.max", pids(group))
        rev = repo.commit({"x": "1"}, "nobody can look")
        until(lambda: "making a process for \"git\"" in site.log("master"), 30, "the reason in the log")
        status, body, _ = site.request("GET", "/healthz")
        checks = {c["name"]: c["text"] for c in json.loads(body)["checks"]}
        assert "making a process" in checks["repository p"], checks
        write(group + "/pids.max", "max")
        assert site.built("test", rev)["result"] == "success"
        site.kill(site.master, signal.SIGTERM)


# ---- memory
def test_no_memory_for_the_master(site, tmp_path):
    """Less address space than it would like: it refuses what it cannot do, and loses nothing that it took."""
    if SLOW > 1:
        pytest.skip("a sanitizer's address space cannot be limited")
    site.start_master()
    first_change(site)
    site.start_worker("w1", slots=2)
    text = noise(9, 20000)
    accepted = [force(site, command(tmp_path, "job.sh", text + "\n"))["requests"][0] for _ in range(2)]
    pid = site.master.pid
    size = int(open(f"/proc/{pid}/statm").read().split()[0]) * 4096
    old = soft_limit(pid, resource.RLIMIT_AS, size + 256 * 1024)
    refused = 0
    for _ in range(200):
        try:
            status, body, _ = site.request("POST", "/force", {"builder": "any", "reason": "m" * 2000, "properties": {"cmd": "true # " + "x" * 20000}},
                                           {"Idempotency-Key": str(uuid.uuid4())})
        except OSError:
            refused += 1
            continue
        if status == 202:
            accepted += json.loads(body)["requests"]
        else:
            assert status == 503, (status, body)
            refused += 1
    assert refused > 0, "the limit was none"
    died = site.master.poll() is not None
    if died:
        site.start_master()
    else:
        soft_limit(pid, resource.RLIMIT_AS, old)
    until(lambda: health(site)[0] == 200, 60, "the master to go on")
    for r in accepted:
        b = site.build_of(r, 200)
        assert b["result"] == "success", b
    for r in accepted[:2]:
        assert site.raw_log(site.build_of(r)["id"], "go") == expected(text)
    assert not died, site.log("master")[-1500:]


def test_no_memory_for_a_runner(site):
    if SLOW > 1:
        pytest.skip("a sanitizer's address space cannot be limited")
    site.start_master()
    first_change(site)
    agent = site.start_worker()
    assert site.build_of(force(site)["requests"][0])["result"] == "success"
    until(lambda: len(processes("pawl-run", site.dir)) == 1, 20, "the last runner's end")
    zygote = processes("pawl-run", site.dir)[0]
    size = int(open(f"/proc/{zygote}/statm").read().split()[0]) * 4096
    old = soft_limit(zygote, resource.RLIMIT_AS, size + 200 * 1024)
    b = site.build_of(force(site)["requests"][0], 90)
    assert b["result"] == "exception" and "memory" in b["result_reason"], b
    soft_limit(zygote, resource.RLIMIT_AS, old)
    assert site.build_of(force(site)["requests"][0], 60)["result"] == "success"
    assert agent.poll() is None


# ---- read-only
needs_preload = pytest.mark.skipif(SLOW > 1, reason="a sanitizer wants to be loaded first")


@needs_preload
def test_the_masters_disk_turns_read_only(site, tmp_path):
    stuck, go = tmp_path / "stuck", tmp_path / "go"
    ro = {"LD_PRELOAD": preload(str(tmp_path)), "RODISK_UNDER": site.state, "RODISK_WHEN": str(stuck)}
    site.start_master(env=ro)
    first_change(site)
    site.start_worker()
    text = noise(10, 3000)
    r = force(site, command(tmp_path, "job.sh", f"echo a; until [ -e {go} ]; do sleep 0.02; done; {text}\n"))["requests"][0]
    until(lambda: [b for b in site.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    running = site.builds("?builder=any")[0]["id"]
    until(lambda: site.request("GET", f"/builds/{running}/log/go?raw=1")[1] == b"a\n", 30, "its first line")  # else its writing fails before a commit does
    time.sleep(0.5)  # and its sync
    stuck.touch()
    status, body, _ = site.request("POST", "/force", {"builder": "any", "reason": "x"}, {"Idempotency-Key": "ro"})
    e = json.loads(body)["error"]
    assert status == 503 and e["code"] == "unavailable", body
    checks = until(lambda: health(site)[1], 30, "the check")
    assert "disk" in checks and ("ead-only" in checks["disk"] or "readonly" in checks["disk"]), checks
    first = checks["disk"]  # of the commit; then of the tries to open it again
    checks = until(lambda: next((c for c in [health(site)[1]] if c.get("core") != first), None), 30, "another try")
    assert "disk" in checks and ("ead-only" in checks["disk"] or "readonly" in checks["disk"]), checks
    go.touch()
    p = subprocess.Popen([f"{BUILD}/pawl-master", "--config", site.config, "--state", site.state + "2"], env=dict(site.env, **dict(ro, RODISK_UNDER=site.state)),
                         stderr=subprocess.PIPE, text=True, cwd=site.dir)
    said = p.communicate(timeout=30)[1]
    assert p.returncode == 1 and "ead-only" in said.splitlines()[-1], said
    stuck.unlink()
    until(lambda: health(site)[0] == 200, 60, "the master to go on by itself")
    b = site.build_of(r)
    assert (b["result"], b["attempt"]) == ("success", 1) and site.raw_log(b["id"], "go") == b"a\n" + expected(text)
    again = site.post("/force", {"builder": "any", "reason": "x"}, key="ro")["requests"][0]
    assert site.build_of(again)["result"] == "success", "what was refused can be asked again by the same key"


@needs_preload
def test_the_workers_disk_turns_read_only(site, tmp_path):
    stuck, go = tmp_path / "stuck", tmp_path / "go"
    spool = os.path.join(site.dir, "spool-w1")
    site.start_master()
    first_change(site)
    site.join("w1", slots=2)
    # the agent alone: runners do not inherit what is preloaded, they have their file open already
    agent = site.start_worker("w1", env={"LD_PRELOAD": preload(str(tmp_path)), "RODISK_UNDER": spool, "RODISK_WHEN": str(stuck)})
    r = force(site, command(tmp_path, "job.sh", f"echo a; until [ -e {go} ]; do sleep 0.02; done; echo b\n"))["requests"][0]
    until(lambda: [b for b in site.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    stuck.touch()
    waits = force(site)["requests"][0]
    until(lambda: "Read-only file system" in site.log("worker-w1"), 60, "the reason in the log")
    go.touch()
    b = site.build_of(r)
    assert b["result"] == "success" and site.raw_log(b["id"], "go") == b"a\nb\n"
    assert agent.poll() is None
    stuck.unlink()
    assert site.build_of(waits, 60)["result"] == "success"


# ---- the wall clock
FAKETIME = next((f for f in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1") if os.path.exists(f)), None)
needs_faketime = pytest.mark.skipif(not FAKETIME or SLOW > 1, reason="needs the package faketime, and no sanitizer")


def fake(path):
    return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(path), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


@needs_faketime
@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_the_clock_jumps_by_a_day(pawl, repo, tmp_path, jump):
    repo.commit({"test.sh": "echo hello\n"}, "first")
    soon = time.gmtime(time.time() + 2 * 3600)
    pawl.configure(CONFIG.format(repo=repo.bare).replace("schedulers:\n", "schedulers:\n"
                   f"  - {{name: night, kind: nightly, project: p, branch: master, cron: \"{soon.tm_min} {soon.tm_hour} * * *\", builders: [any]}}\n"))
    clocks = {"master": tmp_path / "master.time", "worker": tmp_path / "worker.time"}
    for c in clocks.values():
        c.write_text("+0")
    pawl.start_master(env=fake(clocks["master"]))
    first_change(pawl)
    pawl.start_worker(env=fake(clocks["worker"]))
    go = tmp_path / "go"
    r = pawl.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"until [ -e {go} ]; do sleep 0.02; done; echo done"}}, key="k1")["requests"][0]
    until(lambda: [b for b in pawl.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    connected = pawl.log("master").count("worker_connected")
    clocks["master"].write_text(jump)
    now = lambda: pawl.get("/workers")["items"][0]["last_seen"][:10]
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + (86400 if jump == "+1d" else -86400)))
    until(lambda: now() == day, 20, "the master to see the jump")
    again = pawl.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"until [ -e {go} ]; do sleep 0.02; done; echo done"}}, key="k1")["requests"][0]
    assert again == r, "the key is known"
    nights = lambda: [x for x in pawl.get("/requests?limit=1000")["items"] if x["reason"] == "nightly"]
    if jump == "+1d":
        until(nights, 30, "the night that was skipped")
    rev = repo.commit({"x": "1"}, "a push after the jump")
    until(lambda: [c for c in pawl.get("/changes")["items"] if c["revision"] == rev], 30, "the push to be seen")
    clocks["worker"].write_text("-1d" if jump == "+1d" else "+1d")
    go.touch()
    b = pawl.build_of(r)
    assert (b["result"], b["attempt"]) == ("success", 1), b
    pawl.built("test", rev)
    # longer than housekeeping waits, and than a silent session would live
    end = time.monotonic() + 35
    until(lambda: time.monotonic() > end, 60, "35 s with the clocks a day off")
    again = pawl.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"until [ -e {go} ]; do sleep 0.02; done; echo done"}}, key="k1")["requests"][0]
    assert again == r, "the key is still known"
    assert len(nights()) == (1 if jump == "+1d" else 0)
    clocks["master"].write_text("+0")
    clocks["worker"].write_text("+0")
    assert pawl.build_of(pawl.post("/force", {"builder": "any", "reason": "y"})["requests"][0])["result"] == "success"
    assert len(nights()) == (1 if jump == "+1d" else 0), "the way back fires nothing"
    assert pawl.log("master").count("worker_connected") == connected and "worker_missing" not in pawl.log("master")


def test_no_room_for_a_checkpoint(small):
    """The WAL has room of its own, the database cannot grow: it is said, nothing is lost, and the WAL is emptied later."""
    small.mounts((small.inner_state, "24m"))
    small.start_master()
    first_change(small)
    accepted = [force(small)["requests"][0] for _ in range(150)]  # the WAL has that size from now on
    written = lambda name: os.stat(os.path.join(small.state, name)).st_mtime_ns
    until(lambda: written("pawl.db") > written("pawl.db-wal"), 30, "all of it in the database")
    small.fill(small.inner_state)

    def stated():
        status, body, _ = small.request("POST", "/force", {"builder": "any", "reason": "y" * 1500}, {"Idempotency-Key": str(uuid.uuid4())})
        if status == 202:
            accepted.extend(json.loads(body)["requests"])
        return health(small)[1].get("checkpoint")
    assert "full" in until(stated, 60, "the check")
    assert small.log("master").count("checkpoint_failed") == 1, "said once"
    small.empty(small.inner_state)
    until(lambda: health(small)[0] == 200, 60, "the master to go on by itself")
    small.start_worker(slots=4)
    for r in accepted:
        assert small.build_of(r, 120)["result"] == "success"
    sound(small)
