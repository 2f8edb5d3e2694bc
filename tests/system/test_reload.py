"""SIGHUP: another configuration while everything goes on (PROTOCOL 7.3)."""
import json, os, pytest, signal, sqlite3, threading, time
from conftest import until

CONFIG = """
name: test
web: {{listen: "127.0.0.1:{web}"}}
workers: {{listen: "tcp://127.0.0.1:0", lost_after: {lost}}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
{builders}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [{pushed}]}}
{promotions}
"""
STABLE = "promotions:\n  - {name: stable, kind: green, project: p, from: master, to: stable, builders: [test]}\n"
TEST = "  - {name: test, project: p, steps: [checkout: {}, {name: test, run: sh test.sh}]}\n"


def builder(name, run, more=""):
    return f"  - {{name: {name}, project: p, collapse: false, steps: [{{name: go, run: {json.dumps(run)}}}]{more}}}\n"


class Site:
    def __init__(self, pawl, repo):
        self.pawl, self.repo = pawl, repo
        repo.commit({"test.sh": "echo hello\n"}, "first")

    def write(self, builders, promotions="", lost="10m", web=0, pushed="test"):
        self.pawl.configure(CONFIG.format(repo=self.repo.bare, builders=TEST + builders, promotions=promotions, lost=lost, web=web, pushed=pushed))

    def generation(self):
        db = sqlite3.connect(f"file:{self.pawl.state}/pawl.db?mode=ro", uri=True)
        try:
            return db.execute("SELECT max(gen), count(*) FROM config").fetchone()[0] or 0
        finally:
            db.close()

    def hup(self):
        self.pawl.master.send_signal(signal.SIGHUP)

    def reload(self, *args, **kw):
        """Writes another configuration and waits until it is in force."""
        before = self.generation()
        self.write(*args, **kw)
        self.hup()
        until(lambda: self.generation() > before, 20, "the next generation")
        until(lambda: self.pawl.log("master").count("configuration_read") >= self.generation() - self.first, 20, "the swap")

    def start(self, *args, **kw):
        self.write(*args, **kw)
        self.pawl.start_master()
        self.first = self.generation()
        until(lambda: self.pawl.get("/changes")["items"], 20, "the first change")

    def force(self, name):
        return self.pawl.post("/force", {"builder": name, "reason": "reload"})["requests"][0]

    def health(self):
        status, body, _ = self.pawl.request("GET", "/healthz")
        return status, {c["name"]: c for c in json.loads(body)["checks"]}


@pytest.fixture
def site(pawl, repo):
    return Site(pawl, repo)


def audit(pawl, action):
    return [a for a in pawl.get("/audit?limit=1000")["items"] if a["action"] == action]


def test_builder_changes_while_it_builds(site, tmp_path):
    gate = tmp_path / "go"
    wait = f"until [ -e {gate} ]; do sleep 0.02; done; echo from the OLD one"
    site.start(builder("any", wait))
    site.pawl.start_worker()
    old = site.force("any")
    until(lambda: [b for b in site.pawl.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    new = site.force("any")  # waits behind it, and is not made yet
    connected = site.pawl.log("master").count("worker_connected")
    site.reload(builder("any", "echo from the new one"))
    assert site.pawl.worker("w1")["state"] == "connected"
    gate.touch()
    one, two = site.pawl.build_of(old), site.pawl.build_of(new)
    assert (one["result"], one["attempt"], two["result"]) == ("success", 1, "success")
    assert site.pawl.raw_log(one["id"], "go") == b"from the OLD one\n"
    assert site.pawl.raw_log(two["id"], "go") == b"from the new one\n"
    assert site.pawl.log("master").count("worker_connected") == connected, "sessions outlive a reload"
    deed = audit(site.pawl, "config.reload")
    assert len(deed) == 1 and deed[0]["actor"] == "SIGHUP" and "generation" in deed[0]["text"]


def test_builder_removed_added_and_back(site, tmp_path):
    gate = tmp_path / "go"
    wait = builder("slow", f"until [ -e {gate} ]; do sleep 0.02; done")
    site.start(wait + builder("gone", "true"))
    site.pawl.start_worker()
    runs = site.force("slow")
    until(lambda: [b for b in site.pawl.builds("?builder=slow") if b["state"] == "running"], 30, "the build to run")
    waits = [site.force("gone") for _ in range(3)]
    site.reload(builder("added", "echo added"))
    for r in waits:
        b = site.pawl.build_of(r)
        assert b["result"] == "cancelled" and "removed from the configuration" in b["result_reason"], b
    assert "removed from the configuration" in site.pawl.pawl("why", str(waits[0]))
    site.pawl.post("/force", {"builder": "gone", "reason": "?"}, status=404)
    gate.touch()
    assert site.pawl.build_of(runs)["result"] == "success", "what runs goes on by its own job"
    assert site.pawl.build_of(site.force("added"))["result"] == "success"
    site.reload(builder("gone", "echo back"))
    b = site.pawl.build_of(site.force("gone"))
    assert b["result"] == "success" and site.pawl.raw_log(b["id"], "go") == b"back\n"


def test_bb9135_builders_and_workers_that_come_back_work(site):
    """bb#9135: a builder that was removed and added again by a reconfiguration never got a worker, and nothing was logged. Here both
    work at once: the builder three times removed and added, its worker removed and added again under its old name between them."""
    site.start(builder("back", "echo 0"))
    site.pawl.start_worker("w1")
    assert site.pawl.build_of(site.force("back"))["result"] == "success"
    for i in range(1, 4):
        waits = []
        site.reload("")
        site.pawl.post("/force", {"builder": "back", "reason": "gone"}, status=404)
        if i == 2:  # the worker too, while its builder is away
            site.pawl.pawl("worker", "remove", "w1")
            until(lambda: site.pawl.workers["w1"].poll() is not None or site.pawl.worker("w1")["state"] == "removed", 30, "the worker to be gone")
            site.pawl.kill(site.pawl.workers["w1"])
            os.unlink(os.path.join(site.pawl.dir, "w1.yaml"))
        site.reload(builder("back", f"echo {i}"))
        waits = [site.force("back") for _ in range(2)]
        if i == 2:
            assert "worker" in site.pawl.pawl("why", str(waits[0]))
            site.pawl.start_worker("w1")
        for r in waits:
            b = site.pawl.build_of(r)
            assert (b["result"], b["attempt"], b["worker"]) == ("success", 1, "w1") and site.pawl.raw_log(b["id"], "go") == b"%d\n" % i, b
    assert len({b["id"] for b in site.pawl.builds("?builder=back")}) == 7, "history is that of one builder"


def test_a_bad_file_changes_nothing(site):
    site.start(builder("any", "echo fine"))
    site.pawl.start_worker()
    gen = site.generation()
    with open(site.pawl.config) as f:
        good = f.read()
    site.pawl.configure(good.replace("collapse: false", "colapse: false").replace("poll: 1s", "poll: soon"))
    site.hup()
    until(lambda: site.health()[0] == 503, 20, "the condition")
    check = site.health()[1]["configuration"]
    assert not check["ok"] and "master.yaml:" in check["text"] and "stays in force" in check["text"], check
    assert "stays in force" in site.pawl.pawl("doctor", code=1), "pawl doctor says so too"
    log = site.pawl.log("master")
    assert "colapse" in log and "poll" in log and log.count("configuration_error") == 2, log
    assert site.pawl.build_of(site.force("any"))["result"] == "success"
    assert site.generation() == gen
    os.unlink(site.pawl.config)
    site.hup()
    until(lambda: site.pawl.log("master").count("configuration_kept") == 2, 20, "the missing file to be told")
    assert site.health()[0] == 503
    site.pawl.configure(good)
    site.hup()
    until(lambda: site.health()[0] == 200, 20, "a good one to end the condition")


def test_what_needs_a_restart_is_said(site):
    site.start(builder("any", "true"))
    url = site.pawl.url
    site.reload(builder("other", "true"), web=1)
    status, checks = site.health()
    assert status == 200 and "web.listen" in checks["configuration"]["text"] and "needs a restart" in checks["configuration"]["text"]
    assert site.pawl.url == url and "configuration_needs_restart" in site.pawl.log("master")
    assert {b["name"].split("/")[-1] for b in site.pawl.get("/builders")["items"]} >= {"other"}
    site.reload(builder("third", "true"), web=1)
    assert "web.listen" in site.health()[1]["configuration"]["text"], "still so"
    site.reload(builder("third", "true"), web=0)
    assert site.health()[1]["configuration"]["text"] == ""


def hook(repo, text):
    path = os.path.join(repo.bare, "hooks", "pre-receive")
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


@pytest.mark.parametrize("reaches", [True, False])
def test_promotion_removed_with_an_open_intent(site, repo, tmp_path, reaches):
    """The push is under way: it is neither forgotten nor made again, and its end is what happened to the branch."""
    inside, go = tmp_path / "inside", tmp_path / "go"
    site.start("", STABLE)
    hook(repo, f"touch {inside}; until [ -e {go} ]; do sleep 0.02; done; {'exit 0' if reaches else 'kill -9 $PPID; exit 1'}\n")
    site.pawl.start_worker()
    rev = repo.git("rev-parse", "HEAD")
    until(inside.exists, 40, "the push to be under way")
    site.reload("")
    hook(repo, "exit 0\n")
    go.touch()
    row = until(lambda: next((p for p in site.pawl.get("/promotions")["items"] if p["state"] in ("done", "stopped")), None), 60, "the intent's end")
    assert (repo.ref("stable") == rev) == reaches
    if reaches:
        assert row["state"] == "done"
    else:
        assert row["state"] == "stopped" and "removed from the configuration" in row["reason"], row
    assert len(site.pawl.get("/promotions")["items"]) == 1
    site.reload("", STABLE)  # and back
    until(lambda: repo.ref("stable") == rev, 40, "the promotion that came back")


def test_lost_after_changes(site, tmp_path):
    """A worker that is away is given up by the limit of now; its silence from before counts."""
    gate = tmp_path / "go"
    site.start(builder("any", f"echo x; until [ -e {gate} ]; do sleep 0.02; done"))
    site.pawl.start_worker("w1")
    r = site.force("any")
    until(lambda: [b for b in site.pawl.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    os.kill(site.pawl.workers["w1"].pid, signal.SIGKILL)
    until(lambda: site.pawl.worker("w1")["state"] == "missing", 60, "the worker to be missing")
    site.pawl.start_worker("w2")
    site.reload(builder("any", "true"), lost="1s")
    gate.touch()
    b = site.pawl.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 2 and b["worker"] == "w2", b


@pytest.mark.parametrize("point", ["config.before", "config.swapped"])
@pytest.mark.parametrize("how", ["kill", "error"])
def test_killed_inside(site, point, how, tmp_path):
    gate = tmp_path / "go"
    old, new = builder("any", f"until [ -e {gate} ]; do sleep 0.02; done; echo old"), builder("other", "echo new")
    site.write(old + builder("gone", "true"))
    site.pawl.start_master(env={"PW_FAULT": f"{point}:1={how}"})
    site.first = site.generation()
    until(lambda: site.pawl.get("/changes")["items"], 20, "the first change")
    site.pawl.start_worker()
    runs = site.force("any")
    until(lambda: [b for b in site.pawl.builds("?builder=any") if b["state"] == "running"], 30, "the build to run")
    waits = site.force("gone")
    site.write(new)
    site.hup()
    if how == "kill":
        until(lambda: site.pawl.master.poll() is not None, 30, "the planted death")
        site.pawl.start_master()
    until(lambda: site.generation() > site.first, 40, "the new configuration")
    until(lambda: site.pawl.request("GET", "/healthz")[0] == 200, 40, "the master to go on")
    gate.touch()
    b = site.pawl.build_of(waits)
    assert b["result"] == "cancelled" and "removed" in b["result_reason"]
    b = site.pawl.build_of(runs)
    assert (b["result"], b["attempt"]) == ("success", 1) and site.pawl.raw_log(b["id"], "go") == b"old\n"
    assert site.pawl.build_of(site.force("other"))["result"] == "success"


def test_many_reloads_under_load(site, repo):
    """Twenty reloads while builds run and requests arrive: each request has one result, each log is whole, every push is seen once."""
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i of it; [ $((i % 60)) -ne 0 ] || sleep 0.02; done"
    known = "".join(f"line {i} of it\n" for i in range(1, 301)).encode()
    site.start(builder("load", script), STABLE)
    site.pawl.start_worker("w1", slots=3)
    site.pawl.start_worker("w2", slots=3)
    requests, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            requests.append(site.force("load"))
            time.sleep(0.03)
    t = threading.Thread(target=ask)
    t.start()
    revs = []
    try:
        for i in range(20):
            if i % 5 == 0:
                revs.append(repo.commit({"n": str(i)}, f"change {i}"))
            until(lambda: len(requests) > 2 * i, 60, "load")
            site.reload(builder("load", script) + (builder("extra", "true") if i % 2 else ""), STABLE if i % 3 else STABLE + "\n# again\n")
    finally:
        stop.set()
        t.join()
    seen = set()
    for r in requests:
        b = site.pawl.build_of(r, 240)
        assert (b["result"], b["attempt"]) == ("success", 1), b
        assert site.pawl.raw_log(b["id"], "go") == known
        seen.add(b["id"])
    assert len(seen) == len(requests)
    until(lambda: repo.ref("stable") == revs[-1], 60, "the promotion of the newest")
    changes = [c["revision"] for c in site.pawl.get("/changes?limit=1000")["items"]]
    assert all(changes.count(v) == 1 for v in revs), changes
    moved = [p["revision"] for p in site.pawl.get("/promotions?limit=1000")["items"]]
    assert len(moved) == len(set(moved)), moved
    assert site.pawl.log("master").count("worker_missing") == 0
