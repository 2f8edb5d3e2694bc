"""The main job: push, build on a worker, promote."""
import json, os, subprocess, time
from conftest import until, BUILD


def edge(pawl):
    return next(e for e in pawl.get("/promotions?edges=1")["items"] if e["edge"] == "stable")


def test_green_is_promoted_red_is_not(simple, repo):
    good = repo.git("rev-parse", "HEAD")
    b = simple.built("test", good)
    assert b["result"] == "success" and b["worker"] == "w1" and b["attempt"] == 1
    until(lambda: repo.ref("stable") == good, 20, "stable at the good revision")
    bad = repo.commit({"test.sh": "echo broken; exit 3\n"}, "break it")
    b = simple.built("test", bad)
    assert b["result"] == "failure" and b["reason"] == "change"
    steps = {s["name"]: s for s in simple.get(f"/builds/{b['id']}/steps")["items"]}
    assert steps["test"]["result"] == "failure" and steps["test"]["exit_code"] == 3
    assert "exit code 3" in steps["test"]["reason"]
    until(lambda: edge(simple)["state"] == "waiting" and "red" in edge(simple)["reason"], 20, "the reason why stable stays")
    assert repo.ref("stable") == good
    mended = repo.commit({"test.sh": "echo fine\n"}, "mend it")
    assert simple.built("test", mended)["result"] == "success"
    until(lambda: repo.ref("stable") == mended, 20, "stable at the mended revision")
    until(lambda: [p["revision"] for p in simple.get("/promotions")["items"] if p["state"] == "done"] == [mended, good], 20, "both moves recorded")
    # the move of stable is no reason to build: that very revision was built
    assert {b["branch"] for b in simple.builds()} == {"master"}


def test_log_is_what_the_step_printed(simple, repo):
    text = "one\ntwo\r\nthree\x1b[31mred\x1b[0m\n\nlast without end"
    rev = repo.commit({"out.txt": text, "test.sh": "cat out.txt\n"}, "print")
    b = simple.built("test", rev)
    assert simple.raw_log(b["id"], "test") == text.encode()
    out = subprocess.run([f"{BUILD}/pawl", "--state", simple.state, "log", f"{b['id']}/test", "--raw"], capture_output=True, timeout=60)
    assert out.returncode == 0 and out.stdout == text.encode()
    status, body, head = simple.request("GET", f"/builds/{b['id']}/log/test?from=2&lines=2")
    assert body == b"two\nthree\x1b[31mred\x1b[0m\n" and head["Pawl-Done"] in ("1", "true") and int(head["Pawl-Bytes"]) == len(text)


def test_pushed_in_between_is_never_promoted_unbuilt(simple, repo):
    first = repo.git("rev-parse", "HEAD")
    simple.built("test", first)
    gate = os.path.join(simple.dir, "gate")
    built = repo.commit({"test.sh": f"while [ ! -e {gate} ]; do sleep 0.05; done\n"}, "slow")
    until(lambda: any(b["revision"] == built and b["state"] == "running" for b in simple.builds()), 20, "the slow build")
    later = repo.commit({"test.sh": "exit 1\n"}, "pushed in between")
    open(gate, "w").close()
    assert simple.built("test", built)["result"] == "success"
    until(lambda: repo.ref("stable") == built, 20, "stable at what was built")
    assert simple.built("test", later)["result"] == "failure"
    assert repo.ref("stable") == built


def test_diverged_is_refused_and_said(simple, repo):
    first = repo.git("rev-parse", "HEAD")
    until(lambda: repo.ref("stable") == first, 30, "stable")
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit({"other": "x"}, "elsewhere", branch="stable")
    repo.git("checkout", "-q", "master")
    new = repo.commit({"more": "y"}, "on master")
    assert simple.built("test", new)["result"] == "success"
    until(lambda: edge(simple)["state"] == "diverged", 20, "diverged")
    assert "diverged" in edge(simple)["reason"] and repo.ref("stable") == side
    assert "diverged" in simple.pawl("promote", "stable", "--dry-run")


def test_force_why_and_wait(simple):
    until(lambda: simple.get("/status"), 10)
    until(lambda: simple.get("/changes")["items"], 20, "the first change")
    out = simple.pawl("force", "any", "--reason", "trying", "--prop", "cmd=echo forced; exit 4", "--wait", code=1)
    b = simple.builds("?builder=any")[0]
    assert b["result"] == "failure" and b["reason"] and simple.raw_log(b["id"], "go") == b"forced\n"
    assert b["who"] == "admin"
    simple.pawl("worker", "pause", "w1", "--reason", "maintenance")
    r = simple.post("/force", {"builder": "any", "reason": "waits"})["requests"][0]
    until(lambda: "paused" in simple.pawl("why", str(r)), 10, "why")
    assert "maintenance" in simple.pawl("why", str(r))
    simple.pawl("worker", "resume", "w1")
    assert simple.build_of(r)["result"] == "success"


def test_idempotency_key(simple):
    until(lambda: simple.get("/changes")["items"], 20, "the first change")
    body = {"builder": "any", "reason": "once"}
    a = simple.post("/force", body, key="k1")
    b = simple.post("/force", body, key="k1")
    c = simple.post("/force", body, key="k2")
    assert a == b and c["requests"] != a["requests"]
    simple.build_of(c["requests"][0])
    assert len(simple.builds("?builder=any")) == 2


def test_ten_pushes_between_polls_are_all_recorded(simple, repo):
    simple.built("test", repo.git("rev-parse", "HEAD"))
    revs = [repo.commit({"n": str(i)}, f"number {i}", push=False) for i in range(10)]
    repo.git("push", "-q", "origin", "HEAD:master")
    simple.built("test", revs[-1])
    seen = [c["revision"] for c in simple.get("/changes?limit=50")["items"]]
    assert all(seen.count(r) == 1 for r in revs)
    assert not any(b["revision"] in revs[:-1] for b in simple.builds("?limit=100"))


def test_cancel_ends_the_step(simple):
    until(lambda: simple.get("/changes")["items"], 20, "the first change")
    r = simple.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": "echo $$ > pid; exec sleep 1000"}})["requests"][0]
    b = until(lambda: next((b for b in simple.builds("?builder=any") if b["request"] == r and b["state"] == "running"), None), 20, "running")
    simple.pawl("cancel", str(b["id"]))
    assert simple.build_of(r)["result"] == "cancelled"
    until(lambda: simple.worker("w1")["busy"] == 0, 30, "the slot")
    until(lambda: not any(b"sleep\0001000" in open(f"/proc/{p}/cmdline", "rb").read() for p in simple.runners() if os.path.exists(f"/proc/{p}")), 20, "the step's end")


def test_cancelled_build_tells_of_its_steps(pawl, repo):
    """The steps of a cancelled build end too, and a red result that was known stays known."""
    from conftest import CONFIG
    repo.commit({"x": "1"}, "first")
    steps = "steps: [{name: one, run: \"sh -c \\\"$cmd\\\"\"}, {name: two, run: \"true\"}]"
    pawl.configure(CONFIG.format(repo=repo.bare, builders="  - {name: any, project: p, " + steps + ", properties: {cmd: 'exit 1'}}\n"))
    pawl.start_master()
    pawl.start_worker()
    until(lambda: any(b["state"] == "done" and b["result"] == "failure" for b in pawl.builds()), 30, "the red build")
    assert "red" in pawl.pawl("status").lower()
    r = pawl.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": "sleep 1000"}})["requests"][0]
    b = until(lambda: next((b for b in pawl.builds() if b["request"] == r and b["state"] == "running"), None), 20, "running")
    pawl.pawl("cancel", str(b["id"]))
    until(lambda: [(s["name"], s["state"], s["result"]) for s in pawl.get(f"/builds/{b['id']}/steps")["items"]] ==
          [("one", "done", "cancelled"), ("two", "done", "skipped")], 20, "the steps' ends")
    assert pawl.get("/status")["red"] == 1


PAIRS = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
  - {{name: gone, repository: "{repo}.absent", poll: 1s}}
builders:
  - {{name: focal, project: p, steps: [checkout: {{}}, {{name: test, run: sh test.sh focal}}]}}
  - {{name: jammy, project: p, steps: [checkout: {{}}, {{name: test, run: sh test.sh jammy}}]}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master, db-devel]}}
promotions:
  - {{name: stable, kind: green, project: p, from: master, to: stable, builders: [focal, jammy]}}
  - {{name: db-stable, kind: green, project: p, from: db-devel, to: db-stable, builders: [focal]}}
"""


def test_branch_pairs_and_several_required_builders(pawl, repo):
    """Two pairs of branches: each green moves its own; one builder red of two required holds its pair only. A repository that
    cannot be read delays nobody."""
    first = repo.commit({"test.sh": "true\n"}, "first")
    repo.git("push", "-q", "origin", "HEAD:db-devel")
    pawl.configure(PAIRS.format(repo=repo.bare))
    pawl.start_master()
    pawl.start_worker(slots=2)
    until(lambda: repo.ref("stable") == first and repo.ref("db-stable") == first, 30, "both at the first revision")
    half = repo.commit({"test.sh": "[ $1 = focal ]\n"}, "red on jammy")
    repo.git("push", "-q", "origin", "HEAD:db-devel")
    until(lambda: repo.ref("db-stable") == half, 30, "db-stable needs focal only")
    until(lambda: {b["builder"]: b["result"] for b in pawl.builds(f"?revision={half}&branch=master&state=done")} ==
          {"focal": "success", "jammy": "failure"}, 30, "one red, one green on master")
    until(lambda: "jammy" in edge(pawl)["reason"], 20, "the reason")
    assert repo.ref("stable") == first
    health = json.loads(pawl.request("GET", "/healthz")[1])
    assert health["status"] == "ok" and any("absent" in c["text"] for c in health["checks"])
