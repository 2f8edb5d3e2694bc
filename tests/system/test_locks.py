"""Locks: what builds print proves that they never ran beside each other, whatever was killed meanwhile."""
import json, os, signal, time
from conftest import until, alive, SLOW

CONFIG = """
workers: {{listen: "tcp://127.0.0.1:0", lost_after: 2s}}
web: {{listen: "127.0.0.1:0"}}
locks: [{{name: db}}, {{name: two, count: 2}}]
projects: [{{name: p, repository: "{repo}", poll: 1s}}]
builders:
  - {{name: x, project: p, collapse: false, locks: [db], steps: [{{run: "{span}"}}]}}
  - {{name: y, project: p, collapse: false, steps: [{{run: "{span}", locks: [db]}}, {{name: after, run: "while [ -e {hold} ]; do sleep 0.05; done"}}]}}
  - {{name: c, project: p, collapse: false, locks: [{{name: two, mode: counting}}], steps: [{{run: "{span}"}}]}}
  - {{name: gate, project: p, collapse: false, locks: [db], steps: [{{run: "{span_gate}"}}]}}
  - {{name: low, project: p, locks: [db], steps: [{{run: "{span}"}}]}}
  - {{name: long, project: p, collapse: false, locks: [db], steps: [{{run: "echo $$ >{pid}; trap '' TERM; [ $attempt != 1 ] || sleep 300; {span}"}}]}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [low]}}
"""
SPAN = "date +%s%N; sleep 0.2; date +%s%N"


def begin(pawl, repo, workers=2, slots=4):
    repo.commit({"a": "1"}, "first")
    gate = os.path.join(pawl.dir, "gate")
    pawl.gate, pawl.hold, pawl.pid = gate, os.path.join(pawl.dir, "hold"), os.path.join(pawl.dir, "pid")
    pawl.configure(CONFIG.format(repo=repo.bare, span=SPAN, hold=pawl.hold, pid=pawl.pid,
                                 span_gate=f"date +%s%N; while [ ! -e {gate} ]; do sleep 0.05; done; date +%s%N"))
    pawl.start_master()
    for i in range(workers):
        pawl.start_worker(f"w{i + 1}", slots=slots)
    until(lambda: pawl.get("/projects")["items"] and force(pawl, "c"), 20, "the first look")


def force(pawl, builder):
    status, text, _ = pawl.request("POST", "/force", {"builder": builder, "branch": "master", "reason": "r"})
    return json.loads(text)["requests"][0] if status == 202 else None


def spans(pawl, requests, step="run"):
    """[begin, end] of each, as its log has it; of the last attempt."""
    found = []
    for r in requests:
        b = pawl.build_of(r, 120)
        assert b["result"] == "success", b
        found.append([int(n) for n in pawl.raw_log(b["id"], step).split()])
        assert len(found[-1]) == 2, found
    return sorted(found)


def together(found):
    """The most that were there at one time."""
    events = sorted([(a, 1) for a, _ in found] + [(b, -1) for _, b in found])
    most = now = 0
    for _, d in events:
        now += d
        most = max(most, now)
    return most


def why(pawl, request):
    return pawl.get(f"/requests/{request}/why")


def running(pawl, request):
    return next((b for b in pawl.builds("?limit=1000") if b["request"] == request and b["state"] == "running"), None)


def test_exclusive_never_overlap(pawl, repo):
    begin(pawl, repo)
    requests = [force(pawl, b) for b in ["x", "y"] * 6]
    others = [force(pawl, "c") for _ in range(8)]
    assert together(spans(pawl, requests)) == 1
    most = together(spans(pawl, others))
    assert most == 2, most


def test_never_overlap_while_all_is_killed(pawl, repo):
    begin(pawl, repo)
    requests = [force(pawl, b) for b in ["x", "y"] * 5]
    for i in range(4):
        until(lambda: len([r for r in requests if running(pawl, r)]) > 0 or all(b["state"] == "done" for b in pawl.builds("?limit=1000")), 30, "one runs")
        victim = ["master", "w1", "w2", "master"][i]
        if victim == "master":
            pawl.kill(pawl.master)
            pawl.start_master()
        else:
            pawl.kill(pawl.workers[victim])
            pawl.start_worker(victim)
    assert together(spans(pawl, requests)) == 1


def test_given_back_by_the_last_step_that_uses_it(pawl, repo):
    begin(pawl, repo)
    open(pawl.hold, "w").close()
    first = force(pawl, "y")
    until(lambda: running(pawl, first), 20, "the first")
    second = force(pawl, "x")
    assert pawl.build_of(second)["result"] == "success" and running(pawl, first), "the second ended while the first still runs"
    os.unlink(pawl.hold)
    assert together(spans(pawl, [first, second])) == 1


def test_priority_and_waiting_hold_no_worker(pawl, repo):
    begin(pawl, repo, workers=1, slots=2)
    first = force(pawl, "gate")
    until(lambda: running(pawl, first), 20, "the holder")
    repo.commit({"a": "2"}, "push")
    until(lambda: [r for r in pawl.get("/requests")["items"] if r["builder"].endswith("low") and r["state"] == "waiting"], 20, "the request of the push")
    low = next(r for r in pawl.get("/requests")["items"] if r["builder"].endswith("low"))["id"]
    forced = force(pawl, "x")
    for r in (low, forced):
        w = why(pawl, r)
        assert w["cause"] in ("lock", "lock_turn") and '"db"' in w["reason"], w
    # both wait for the lock, and the other slot is free for others
    assert pawl.build_of(force(pawl, "c"))["result"] == "success"
    open(pawl.gate, "w").close()
    order = spans(pawl, [forced]) + spans(pawl, [low])
    assert order == sorted(order), "what people force goes first"


def test_cancel(pawl, repo):
    begin(pawl, repo, workers=1)
    holder, second, third = force(pawl, "gate"), force(pawl, "x"), force(pawl, "x")
    until(lambda: running(pawl, holder), 20, "the holder")
    b = running(pawl, holder)["id"]
    assert f"held by build {b}" in why(pawl, second)["reason"]
    pawl.post(f"/requests/{second}/cancel")
    pawl.post(f"/builds/{b}/cancel")
    done = pawl.build_of(third)
    assert done["result"] == "success"
    assert pawl.get(f"/builds/{b}")["result"] == "cancelled"
    r = next(r for r in pawl.get("/requests?limit=100")["items"] if r["id"] == second)
    assert r["state"] == "done" and not r["build"]


def step_alive(pawl):
    try:
        return alive(int(open(pawl.pid).read()))
    except (OSError, ValueError):
        return False


def test_ends_when_its_master_is_gone(pawl, repo):
    """The limit that goes with the promise: lost_after, at least 30 s. Once the master is stopped, once master and agent are dead."""
    begin(pawl, repo, workers=1)
    request = force(pawl, "long")
    until(lambda: step_alive(pawl), 20, "the step")
    os.kill(pawl.master.pid, signal.SIGSTOP)
    pawl.kill(pawl.workers["w1"])
    began = time.monotonic()
    until(lambda: not step_alive(pawl), 60, "the end of the step")
    assert time.monotonic() - began > 20, "not before its time"
    os.kill(pawl.master.pid, signal.SIGCONT)
    pawl.start_worker("w1")
    b = pawl.build_of(request, 90)
    assert b["result"] == "success" and b["attempt"] == 2, b
    steps = pawl.get(f"/builds/{b['id']}/steps?attempt=1")["items"]
    assert steps[0]["result"] == "exception" and "exclusively" in steps[0]["reason"], steps
