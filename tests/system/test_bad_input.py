"""Wrong configuration, wrong messages, damaged journals, a full disk: a stated error, never a crash."""
import glob, json, os, re, socket, subprocess, sys
import pytest
from conftest import BUILD, CONFIG, Repo, until

BASE = """name: t
projects:
  - {name: p, repository: "/srv/p.git"}
builders:
  - {name: b, project: p, steps: [{name: s, run: "true"}]}
schedulers:
  - {name: n, kind: nightly, project: p, cron: "30 2 * * *", zone: Europe/Berlin, builders: [b]}
promotions:
  - {name: e, kind: green, project: p, from: master, to: stable, builders: [b]}
"""
# what is replaced, by what, line:column of the error, a piece of its text
MISTAKES = {
    "unknown key": ("name: t", "name: t\nbuidlers: []", "2:1", "builders"),
    "unknown key in a builder": ("steps:", "stepz:", "5:", "steps"),
    "missing name": ("{name: p, repository", "{repository", "3:5", "name"),
    "missing repository": (', repository: "/srv/p.git"', "", "3:5", "repository"),
    "unknown project": ("name: b, project: p", "name: b, project: q", "5:", "q"),
    "unknown builder in a scheduler": ("zone: Europe/Berlin, builders: [b]", "zone: Europe/Berlin, builders: [c]", "7:", "c"),
    "unknown builder in a promotion": ("to: stable, builders: [b]", "to: stable, builders: [c]", "9:", "c"),
    "builder twice": ("schedulers:", "  - {name: b, project: p, steps: [{run: x}]}\nschedulers:", "6:", "b"),
    "cron out of range": ("30 2 * * *", "61 2 * * *", "7:", "minute"),
    "cron with four fields": ("30 2 * * *", "30 2 * *", "7:", ""),
    "unknown zone": ("Europe/Berlin", "Europe/Berlim", "7:", "Berlim"),
    "duration without unit": ("repository:", "poll: 60, repository:", "3:", "poll"),
    "unknown kind of scheduler": ("kind: nightly", "kind: nightli", "7:", "nightly"),
    "from is to": ("to: stable", "to: master", "9:", "master"),
    "unquoted tab": ("name: t", "name: t\n\tx: y", "2:", ""),
    "key twice": ("name: t", "name: t\nname: u", "2:1", "name"),
    "steps is text": ("steps: [{name: s, run: \"true\"}]", "steps: make", "5:", "steps"),
    "no steps": ("steps: [{name: s, run: \"true\"}]", "steps: []", "5:", "steps"),
    "a step that does nothing": ("{name: s, run: \"true\"}", "{name: s}", "5:", ""),
    "two kinds in a step": ("run: \"true\"", "run: \"true\", checkout: {}", "5:", ""),
    "secret in run": ("run: \"true\"", "run: \"echo ${secret:x}\"", "5:", "secret"),
    "retries too many": ("name: b, project: p", "name: b, project: p, retries: 1000", "5:", "retries"),
    "bad listen address": ("name: t", "name: t\nweb: {listen: nowhere}", "2:", "listen"),
    "beyond loopback without tls": ("name: t", "name: t\nweb: {listen: \"0.0.0.0:80\"}", "2:", "insecure"),
    "not supported yet": ("name: t", "name: t\ngates: []", "2:1", "gates"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_config_mistake(pawl, mistake):
    old, new, place, text = MISTAKES[mistake]
    assert old in BASE
    pawl.configure(BASE.replace(old, new, 1))
    p = subprocess.run([f"{BUILD}/pawl-master", "check", pawl.config], capture_output=True, text=True, timeout=30)
    assert p.returncode == 2, p.stdout
    line = p.stderr.splitlines()[0]
    assert line.startswith(f"{pawl.config}:{place}"), p.stderr
    assert re.match(r"^[^:]+:\d+:\d+: .+", line) and text in p.stderr
    assert pawl.start_master(wait=False).wait(timeout=30) == 2


def test_all_errors_at_once(pawl):
    pawl.configure(BASE.replace("Europe/Berlin", "Nowhere").replace("name: b, project: p", "name: b, project: q").replace("to: stable", "to: master"))
    p = subprocess.run([f"{BUILD}/pawl-master", "check", pawl.config], capture_output=True, text=True, timeout=30)
    assert [int(l.split(":")[1]) for l in p.stderr.splitlines()][:3] == [5, 7, 9], p.stderr


def test_no_configuration_says_what_to_write(pawl):
    p = subprocess.run([f"{BUILD}/pawl-master", "--state", pawl.state], capture_output=True, text=True, timeout=30)
    assert p.returncode == 2 and "master.yaml" in p.stderr


def test_second_master_on_a_state_is_refused(simple):
    p = subprocess.run([f"{BUILD}/pawl-master", "--config", simple.config, "--state", simple.state], capture_output=True, text=True, timeout=30)
    assert p.returncode == 1 and "another master" in p.stderr


def test_garbage_on_the_workers_port(simple):
    host, port = open(os.path.join(simple.state, "workers.addr")).read().strip()[6:].split(":")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4000), b"\xff\0\0\0\0\0\0\0\x01\x7f" + b"\x03\0NULL" + b"\0" * 48 + b"\0" * 4000):
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall(junk)
            s.settimeout(5)
            try:
                s.recv(100)
            except (socket.timeout, ConnectionError):
                pass
    simple.post("/force", {"builder": "any", "reason": "still alive", "branch": "master", "revision": "1" * 40})
    assert simple.master.poll() is None


def test_removed_worker_is_out_at_once(simple):
    simple.pawl("worker", "remove", "w1")
    until(lambda: not any(w["name"] == "w1" and w["state"] == "connected" for w in simple.get("/workers")["items"]), 20, "gone")
    # its key opens nothing any more
    until(lambda: "know" in simple.log("worker-w1") or "refused" in simple.log("worker-w1"), 40, "the agent is told")


def test_token_is_good_once(simple):
    line = json.loads(simple.pawl("--json", "worker", "add", "w2"))["line"].split()[-1]
    def join(name, spool):
        return subprocess.run([f"{BUILD}/pawl-worker", "join", line, "--config", os.path.join(simple.dir, name), "--spool", os.path.join(simple.dir, spool)],
                              capture_output=True, text=True, timeout=60, env=simple.env)
    assert join("a.yaml", "a").returncode == 0
    again = join("b.yaml", "b")
    assert again.returncode == 1 and "used" in again.stderr
    bad = subprocess.run([f"{BUILD}/pawl-worker", "join", "nonsense", "--config", os.path.join(simple.dir, "c.yaml"), "--spool", os.path.join(simple.dir, "c")],
                         capture_output=True, text=True, timeout=60)
    assert bad.returncode in (1, 2) and "token" in bad.stderr and not os.path.exists(os.path.join(simple.dir, "c.yaml"))


def test_damaged_journal_is_an_exception_and_retried(simple):
    until(lambda: [b for b in simple.builds("?builder=test") if b["state"] == "done"], 20, "the first build")
    gate = os.path.join(simple.dir, "gate")
    r = simple.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"seq 1 2000; while [ ! -e {gate} ]; do sleep 0.05; done; echo end"}})["requests"][0]
    until(lambda: any(b["request"] == r and b["state"] == "running" for b in simple.builds("?builder=any")), 20, "running")
    simple.kill(simple.workers["w1"])
    others = lambda: [p for p in simple.runners() if p != simple.master.pid]
    for p in others():
        try:
            os.kill(p, 9)
        except ProcessLookupError:
            pass
    until(lambda: not others(), 20, "the runner's death")
    until(lambda: len(glob.glob(os.path.join(simple.dir, "spool-w1/jobs/*.journal"))) == 1, 10, "one journal")
    (journal,) = glob.glob(os.path.join(simple.dir, "spool-w1/jobs/*.journal"))
    with open(journal, "r+b") as f:
        f.truncate(os.path.getsize(journal) - 3)
    open(gate, "w").close()
    simple.start_worker(wait=False)
    b = simple.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 2
    assert simple.raw_log(b["id"], "go").endswith(b"2000\nend\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_on_the_master(pawl, repo):
    os.makedirs(pawl.state)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", pawl.state], capture_output=True).returncode != 0:
        pytest.skip("mount is not allowed here")
    try:
        repo.commit({"x": "1"}, "first")
        pawl.configure(CONFIG.format(repo=repo.bare, builders="  - {name: any, project: p, collapse: false, steps: [{name: go, run: \"sh -c \\\"$cmd\\\"\"}], properties: {cmd: 'true'}}\n"))
        pawl.start_master()
        pawl.start_worker()
        until(lambda: pawl.get("/changes")["items"], 20, "the first change")
        first = pawl.post("/force", {"builder": "any", "reason": "x"})["requests"][0]
        assert pawl.build_of(first)["result"] == "success"
        filler = os.path.join(pawl.state, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        status, body, _ = pawl.request("POST", "/force", {"builder": "any", "reason": "no room"})
        for _ in range(200):  # the WAL may still have room for some turns
            if status != 202:
                break
            status, body, _ = pawl.request("POST", "/force", {"builder": "any", "reason": "no room", "properties": {"pad": "x" * 20000}})
        assert status == 503 and b"unavailable" in body, (status, body)
        assert pawl.request("GET", "/healthz")[0] == 503
        assert pawl.master.poll() is None
        os.unlink(filler)
        until(lambda: pawl.request("GET", "/healthz")[0] == 200, 30, "it goes on by itself")
        r = pawl.post("/force", {"builder": "any", "reason": "room again"})["requests"][0]
        assert pawl.build_of(r, 120)["result"] == "success"
    finally:
        pawl.close()
        subprocess.run(["umount", "-l", pawl.state])
