"""Links that are dead without saying so, workers that come back too late, as two, or from the past (docs/reliability.md, "Dead links").
Real processes; links run through a proxy of this test."""
import json, os, re, select, shutil, signal, socket, subprocess, threading, time, urllib.request
import pytest
from conftest import BUILD, SLOW, Pawl, Repo, until

CONFIG = """
name: dead
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0", lost_after: {lost}}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
  - {{name: test, project: p, steps: [{{name: go, run: "{test}"}}]}}
  - {{name: any, project: p, collapse: false, properties: {{cmd: 'true'}}, steps: [{{name: go, run: "sh -c \\"$cmd\\""}}]}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [test]}}
promotions:
  - {{name: stable, kind: green, project: p, from: master, to: stable, builders: [test]}}
"""


def world(pawl, repo, lost="10m", test="true", workers=("w1",)):
    repo.commit({"file": "1\n"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, lost=lost, test=test))
    pawl.start_master()
    for w in workers:
        pawl.start_worker(w)
    return pawl


class Proxy:
    """Forwards connections to a port. In a hole it passes nothing either way and closes nothing; new connections get no answer."""

    def __init__(self, port):
        self.to, self.hole, self.stop = port, False, False
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.open = []  # pairs; a pair that was in a hole stays there
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        pairs, silent = {}, []
        while not self.stop:
            ready, _, _ = select.select([self.server] + ([] if self.hole else list(pairs)), [], [], 0.02)
            if self.hole and pairs:
                silent += [s for s in pairs]
                pairs = {}
            for s in ready:
                if s is self.server:
                    a, _ = s.accept()
                    if self.hole:
                        silent.append(a)
                        continue
                    b = socket.create_connection(("127.0.0.1", self.to))
                    pairs[a], pairs[b] = b, a
                elif s in pairs:
                    try:
                        data = s.recv(65536)
                        if data:
                            pairs[s].sendall(data)
                            continue
                    except OSError:
                        pass
                    other = pairs.pop(s)
                    pairs.pop(other, None)
                    s.close()
                    other.close()
        for s in silent + list(pairs) + [self.server]:
            s.close()

    def close(self):
        self.stop = True
        self.thread.join()


class Manager:
    """Listens as a service manager does: what an agent says of itself."""

    def __init__(self, path):
        self.path, self.said = path, []
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(path)
        self.s.setblocking(False)

    def states(self):
        """True for connected, false for not, without repetitions."""
        while True:
            try:
                text = self.s.recv(4096).decode()
            except BlockingIOError:
                break
            for status in re.findall(r"^STATUS=(.*)$", text, re.M):
                if status == "connected" or status.startswith("not connected"):
                    self.said.append(status == "connected")
        return self.said


class Events:
    """Worker states as the event stream tells them."""

    def __init__(self, pawl):
        self.seen, self.url = [], pawl.url + "/api/v1/events"
        self.answer = urllib.request.urlopen(urllib.request.Request(self.url, headers={"Authorization": "Bearer " + pawl.token()}), timeout=120)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        kind = None
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "worker":
                    self.seen.append(json.loads(line[6:]))
        except (OSError, ValueError, AttributeError):
            pass  # the test is over

    def changes(self, name):
        out = []
        for w in list(self.seen):
            if w["name"] == name and (not out or out[-1] != w["state"]):
                out.append(w["state"])
        return out


def through(pawl, name, port):
    """The worker's configuration names the proxy's port."""
    path = os.path.join(pawl.dir, name + ".yaml")
    text = open(path).read()
    with open(path, "w") as f:
        f.write(re.sub(r"(tcp://127\.0\.0\.1:)\d+", rf"\g<1>{port}", text))


def port_of(pawl):
    return int(open(os.path.join(pawl.state, "workers.addr")).read().strip().rsplit(":", 1)[1])


def metric(pawl, name):
    _, text, _ = pawl.request("GET", "/metrics")
    return float(re.search(rf"^pawl_{name} (\S+)$", text.decode(), re.M).group(1))


def force(pawl, cmd):
    until(lambda: pawl.get("/changes")["items"], 20, "the first change")
    return pawl.post("/force", {"builder": "any", "reason": "test", "properties": {"cmd": cmd}})["requests"][0]


def of(pawl, request):
    return next((b for b in pawl.builds("?limit=100") if b["request"] == request), None)


def log(pawl, build, attempt=None):
    status, body, _ = pawl.request("GET", f"/builds/{build}/log/go?raw=1" + (f"&attempt={attempt}" if attempt else ""))
    return body.decode() if status == 200 else None


def jobs(spool):
    return sorted(os.listdir(os.path.join(spool, "jobs")))


def test_m7_black_hole(pawl, repo):
    """Nothing passes, nothing is closed: both sides notice within 30 s, say so once, and go on where they were when it is over."""
    world(pawl, repo, workers=())
    names = ["w1", "w2", "w3"]
    proxies = {n: Proxy(port_of(pawl)) for n in names}
    managers = {n: Manager(os.path.join(pawl.dir, n + ".sock")) for n in names}
    try:
        for n in names:
            pawl.join(n)
            through(pawl, n, proxies[n].port)
            pawl.start_worker(n, env={"NOTIFY_SOCKET": managers[n].path})
        until(lambda: all(managers[n].states() == [True] for n in names), 10, "agents that say that they are connected")
        go, count = os.path.join(pawl.dir, "go"), os.path.join(pawl.dir, "count")
        until(lambda: all(b["state"] == "done" for b in pawl.builds()) and pawl.builds(), 20, "the first build")
        r = force(pawl, f"echo before; while [ ! -e {go} ]; do sleep 0.1; echo x >> {count}.beat; done; echo after; echo run >> {count}")
        until(lambda: of(pawl, r) and of(pawl, r)["state"] == "running" and (log(pawl, of(pawl, r)["id"]) or "") == "before\n", 20, "its output")
        events = Events(pawl)
        on = of(pawl, r)["worker"]
        holes = [on] + [n for n in names if n != on][:1]  # one at work, one idle; the third stays
        began = time.monotonic()
        for n in holes:
            proxies[n].hole = True
        until(lambda: all(pawl.worker(n)["state"] != "connected" for n in holes), 30, "the master to notice")
        until(lambda: all(managers[n].states()[1:] == [False] for n in holes), 30 - (time.monotonic() - began), "the agents to notice")
        beats = os.path.getsize(count + ".beat")
        until(lambda: os.path.getsize(count + ".beat") > beats, 5, "the job to go on")
        open(go, "w").close()
        until(lambda: os.path.exists(count), 5, "its end")
        assert of(pawl, r)["state"] == "running", "the master cannot know of it"
        for n in holes:
            proxies[n].hole = False
        b = pawl.build_of(r)
        assert b["result"] == "success" and b["attempt"] == 1 and open(count).read() == "run\n"
        assert log(pawl, b["id"]) == "before\nafter\n"
        until(lambda: all(managers[n].states() == [True, False, True] for n in holes), 30, "the agents' sessions")
        until(lambda: all(events.changes(n)[-1:] == ["connected"] for n in holes), 10, "the master's word of it")
        away = [s for s in events.changes(on) if s != "connected"]
        assert all(len([s for s in events.changes(n) if s != "connected"]) == 1 for n in holes), (away, [events.changes(n) for n in holes])
        other = [n for n in names if n not in holes][0]
        assert managers[other].states() == [True] and "missing" not in events.changes(other)
        assert len([x for x in pawl.builds("?builder=any") if x["request"] == r]) == 1
    finally:
        for p in proxies.values():
            p.close()


def test_fenced_result_is_kept_and_not_counted(pawl, repo):
    """A worker is away for longer than lost_after, another builds; what the first still brings is shown beside it and changes nothing."""
    go = os.path.join(pawl.dir, "go")
    script = (f"if mkdir {pawl.dir}/first 2>/dev/null; then echo first; while [ ! -e {go} ]; do sleep 0.05; done; echo late; echo left >> {pawl.dir}/left; exit 1; "
              "else echo second; fi")
    world(pawl, repo, lost="1s", test=script)
    rev = repo.git("rev-parse", "HEAD")
    b = until(lambda: next((b for b in pawl.builds(f"?revision={rev}") if b["state"] == "running"), None), 20, "a running build")
    until(lambda: log(pawl, b["id"]) == "first\n", 20, "its output")
    pawl.kill(pawl.workers["w1"])
    pawl.start_worker("w2")
    b = pawl.built("test", rev)
    assert (b["result"], b["attempt"], b["worker"]) == ("success", 2, "w2"), b
    until(lambda: repo.ref("stable") == rev, 30, "the promotion")
    open(go, "w").close()
    until(lambda: os.path.exists(os.path.join(pawl.dir, "left")), 20, "the late end")
    assert jobs(os.path.join(pawl.dir, "spool-w1")), "it is not delivered yet"
    pawl.start_worker("w1")
    until(lambda: not jobs(os.path.join(pawl.dir, "spool-w1")), 20, "its delivery")
    now = pawl.get(f"/builds/{b['id']}")
    assert (now["result"], now["attempt"], now["worker"]) == ("success", 2, "w2")
    assert log(pawl, b["id"]) == "second\n" == log(pawl, b["id"], 2)
    assert log(pawl, b["id"], 1) == "first\nlate\n"
    late, live = (pawl.get(f"/builds/{b['id']}/steps?attempt={n}") for n in (1, 2))
    late, live = late.get("items", late), live.get("items", live)
    assert [s["result"] for s in late] == ["failure"] and [s["result"] for s in live] == ["success"], (late, live)
    assert [p["state"] for p in pawl.get("/promotions")["items"]] == ["done"] and repo.ref("stable") == rev
    assert len(pawl.builds(f"?revision={rev}")) == 1


def test_two_agents_with_one_key(pawl, repo):
    """The older one stays while it answers; when it does not, the newer wins. Never both."""
    world(pawl, repo)
    spool = os.path.join(pawl.dir, "spool-w1")
    same = subprocess.run([f"{BUILD}/pawl-worker", "--config", os.path.join(pawl.dir, "w1.yaml")], env=pawl.env, capture_output=True, text=True, timeout=30)
    assert same.returncode != 0 and "another agent uses this spool" in same.stdout + same.stderr
    copy = spool + "-copy"
    os.mkdir(copy, 0o700)
    shutil.copy2(os.path.join(spool, "worker.key"), copy)
    with open(os.path.join(pawl.dir, "w1.yaml")) as f, open(os.path.join(pawl.dir, "copy.yaml"), "w") as g:
        g.write(f.read().replace(spool, copy))
    assert metric(pawl, "alarms_total") == 0
    manager = Manager(os.path.join(pawl.dir, "copy.sock"))
    first = pawl.workers["w1"]
    second = pawl.spawn("worker-copy", [f"{BUILD}/pawl-worker", "--config", os.path.join(pawl.dir, "copy.yaml")], {"NOTIFY_SOCKET": manager.path})
    until(lambda: metric(pawl, "alarms_total") >= 1, 20, "the alarm")
    r = force(pawl, f"echo $PPID; echo on >> {pawl.dir}/count")
    assert pawl.build_of(r)["result"] == "success" and True not in manager.states(), "the first one works, the second does not"
    os.kill(first.pid, signal.SIGSTOP)
    try:
        until(lambda: manager.states() == [True], 30, "the second to win")
        assert pawl.worker("w1")["state"] == "connected"
        assert pawl.build_of(force(pawl, "true"))["result"] == "success"
    finally:
        os.kill(first.pid, signal.SIGCONT)
    alarms = metric(pawl, "alarms_total")
    until(lambda: metric(pawl, "alarms_total") > alarms, 30, "the first one's turn to be refused")
    assert manager.states() == [True] and second.poll() is None
    assert open(os.path.join(pawl.dir, "count")).read() == "on\n"


def test_agent_from_an_old_disk_image(pawl, repo):
    """The spool as it was: what has ended meanwhile is not run and not counted again, what goes on is lost and built anew."""
    world(pawl, repo, workers=())
    pawl.start_worker("w1", slots=2)
    spool, go = os.path.join(pawl.dir, "spool-w1"), os.path.join(pawl.dir, "go")
    until(lambda: all(b["state"] == "done" for b in pawl.builds()) and pawl.builds(), 20, "the first build")
    wait = f"while [ ! -e {go} ]; do sleep 0.05; done"
    ends = force(pawl, f"echo one; {wait}; echo run >> {pawl.dir}/ends")
    stays = force(pawl, f"echo $PAWL_ATTEMPT >> {pawl.dir}/stays; echo one; while [ ! -e {go}2 ]; do sleep 0.05; [ ! -e {go} ] || echo more; done; echo end >> {pawl.dir}/stays")
    for r in (ends, stays):
        until(lambda: of(pawl, r) and log(pawl, of(pawl, r)["id"]) == "one\n", 20, "output")
    pawl.kill(pawl.workers["w1"])
    subprocess.run(["cp", "-a", spool, spool + "-image"], check=True)
    pawl.start_worker("w1")
    open(go, "w").close()
    assert pawl.build_of(ends)["result"] == "success"
    later = [force(pawl, f"echo {n}") for n in (1, 2)]
    assert [pawl.build_of(r)["result"] for r in later] == ["success"] * 2
    until(lambda: (log(pawl, of(pawl, stays)["id"]) or "").count("more") > 20, 20, "more output")
    until(lambda: len(jobs(spool)) == 2, 20, "only the job that runs")
    before = {b["id"]: b for b in pawl.builds("?limit=100") if b["state"] == "done"}
    # the machine dies, and comes back as it was
    pawl.kill(pawl.workers["w1"])
    for pid in pawl.runners():
        if pid != pawl.master.pid:
            os.kill(pid, signal.SIGKILL)
    os.rename(spool, spool + "-lost")
    os.rename(spool + "-image", spool)
    assert len(jobs(spool)) == 4
    pawl.start_worker("w1")
    open(go + "2", "w").close()
    b = pawl.build_of(stays)
    assert b["result"] == "success" and b["attempt"] == 2
    until(lambda: not jobs(spool), 20, "the old image's jobs to be settled")
    assert len(os.listdir(os.path.join(spool, "held"))) == 2, "the journal that is not the one we know is kept for people"
    assert {b["id"]: b for b in pawl.builds("?limit=100") if b["id"] in before} == before
    assert open(os.path.join(pawl.dir, "ends")).read() == "run\n"
    ran = open(os.path.join(pawl.dir, "stays")).read().split()
    assert len(ran) == 3 and ran[0] != ran[1] and ran[2] == "end", "one attempt that died, and another"


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/etc/machine-id"), reason="a machine id of its own needs root and /etc/machine-id")
def test_spool_on_another_machine(pawl, repo):
    """A disk in another machine is another spool: its jobs are held, the master is told of them, the build is repeated."""
    world(pawl, repo, lost="2s")
    spool, go = os.path.join(pawl.dir, "spool-w1"), os.path.join(pawl.dir, "go")
    until(lambda: all(b["state"] == "done" for b in pawl.builds()) and pawl.builds(), 20, "the first build")
    r = force(pawl, f"echo $PAWL_ATTEMPT >> {pawl.dir}/ran; echo one; while [ ! -e {go} ]; do sleep 0.05; done")
    until(lambda: of(pawl, r) and log(pawl, of(pawl, r)["id"]) == "one\n", 20, "output")
    old = open(os.path.join(spool, "id")).read()
    pawl.kill(pawl.workers["w1"])
    for pid in pawl.runners():
        if pid != pawl.master.pid:
            os.kill(pid, signal.SIGKILL)
    with open(os.path.join(pawl.dir, "machine-id"), "w") as f:
        f.write("0123456789abcdef0123456789abcdef\n")
    pawl.workers["w1"] = pawl.spawn("worker-w1", ["unshare", "-m", "sh", "-c", f"mount --bind {pawl.dir}/machine-id /etc/machine-id && exec {BUILD}/pawl-worker --config {pawl.dir}/w1.yaml"])
    until(lambda: pawl.worker("w1")["state"] == "connected" and open(os.path.join(spool, "id")).read() != old, 20, "another spool id")
    until(lambda: metric(pawl, "alarms_total") >= 1, 10, "the alarm for its held job")
    assert len(os.listdir(os.path.join(spool, "held"))) == 2
    open(go, "w").close()
    b = pawl.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 2
    assert len(set(open(os.path.join(pawl.dir, "ran")).read().split())) == 2
    assert len(os.listdir(os.path.join(spool, "held"))) == 2, "still for people to look at"


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) * 1024


def test_silent_connections_cost_little(pawl, repo):
    """Strangers that connect and say nothing: bounded memory, workers are served meanwhile, and the connections are closed."""
    world(pawl, repo)
    assert pawl.build_of(force(pawl, "true"))["result"] == "success"
    before, socks = rss(pawl.master.pid), []
    try:
        for _ in range(200):
            socks.append(socket.create_connection(("127.0.0.1", port_of(pawl)), timeout=10))
        for s in socks:
            assert s.recv(1), "libzmq greets each"
        each = (rss(pawl.master.pid) - before) / len(socks)
        print(f"{each / 1024:.0f} KiB for each silent connection")
        assert each < 100 * 1024 * SLOW
        assert pawl.build_of(force(pawl, "true"))["result"] == "success"
        open_ones = list(socks)

        def closed():
            for s in select.select(open_ones, [], [], 0)[0]:
                if not s.recv(4096):
                    open_ones.remove(s)
            return not open_ones
        until(closed, 25, "the master to close them")
    finally:
        for s in socks:
            s.close()
    assert pawl.build_of(force(pawl, "true"))["result"] == "success"
