"""Each reason for which a request waits, by a real situation; none is ever without one."""
import json, os, signal
from conftest import until

CONFIG = """
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
locks: [{{name: db}}, {{name: two, count: 2}}, {{name: rack, per: worker}}]
projects: [{{name: p, repository: "{repo}", poll: 1s}}]
builders:
  - {{name: plain, project: p, collapse: false, steps: [{{run: "{gate}"}}]}}
  - {{name: gpu, project: p, collapse: false, requires: {{tags: [gpu]}}, steps: [{{run: "true"}}]}}
  - {{name: huge, project: p, collapse: false, requires: {{memory: ">=900T", cpus: ">=1"}}, steps: [{{run: "true"}}]}}
  - {{name: odd, project: p, collapse: false, requires: "cpus >= 1 and nonsense == 'x'", steps: [{{run: "true"}}]}}
  - {{name: locked, project: p, collapse: false, locks: [db], steps: [{{run: "{gate}"}}]}}
  - {{name: count, project: p, collapse: false, locks: [{{name: two, mode: counting}}], steps: [{{run: "{gate}"}}]}}
  - {{name: alone, project: p, collapse: false, locks: [two], steps: [{{run: "true"}}]}}
  - {{name: racked, project: p, collapse: false, locks: [rack], steps: [{{run: "{gate}"}}]}}
  - {{name: short, project: p, collapse: false, steps: [{{run: "true"}}]}}
schedulers: [{{name: hand, kind: force, project: p}}]
"""


def begin(pawl, repo):
    repo.commit({"a": "1"}, "first")
    pawl.gate = os.path.join(pawl.dir, "gate")
    pawl.configure(CONFIG.format(repo=repo.bare, gate=f"while [ ! -e {pawl.gate} ]; do sleep 0.05; done"))
    pawl.start_master()
    until(lambda: force(pawl, "gpu", fine=False), 20, "the first look")


def force(pawl, builder, fine=True):
    status, text, _ = pawl.request("POST", "/force", {"builder": builder, "branch": "master", "reason": "r"})
    assert not fine or status == 202, text
    return json.loads(text)["requests"][0] if status == 202 else None


def why(pawl, request, cause, *texts):
    w = pawl.get(f"/requests/{request}/why")
    assert w["state"] == "waiting" and w["cause"] == cause, w
    for t in texts:
        assert t in w["reason"], w
    return w


def comes(pawl, request, cause, *texts):
    """The same, for what takes its time to become true."""
    def look():
        w = pawl.get(f"/requests/{request}/why")
        return w.get("cause") == cause and all(t in w["reason"] for t in texts)
    until(look, 60, f"request {request} to wait for {cause}: {texts}")
    return why(pawl, request, cause, *texts)


def runs(pawl, request):
    return until(lambda: next((b for b in pawl.builds("?limit=1000") if b["request"] == request and b["state"] == "running"), None), 30, f"request {request} to run")["id"]


def all_say(pawl):
    """Nothing that waits is without a reason, and nothing says that it could begin."""
    n = 0
    for r in pawl.get("/requests?limit=1000")["items"]:
        if r["state"] == "waiting":
            w = pawl.get(f"/requests/{r['id']}/why")
            assert w["reason"] and "unknown" not in w["reason"] and (w["state"] != "waiting" or w["cause"] != "next"), w
            n += 1
    return n


def test_workers(pawl, repo):
    begin(pawl, repo)
    r = force(pawl, "plain")
    why(pawl, r, "no_worker", "there is no worker")
    pawl.pawl("worker", "add", "w1")
    why(pawl, r, "worker", '"w1" has not joined yet')
    pawl.pawl("worker", "remove", "w1")
    pawl.start_worker("w2", tags="linux")
    runs(pawl, r)
    why(pawl, force(pawl, "gpu"), "worker", 'no worker has the tags "gpu"')
    why(pawl, force(pawl, "huge"), "worker", "no worker meets", '"memory >= 900T" does not hold on worker "w2"', "(memory is")
    why(pawl, force(pawl, "odd"), "worker", "\"nonsense == 'x'\" does not hold on worker \"w2\"", '"nonsense" is not known')
    second = force(pawl, "plain")
    pawl.pawl("worker", "pause", "w2", "--reason", "new disks")
    why(pawl, second, "worker", 'worker "w2" is paused by', "because new disks")
    pawl.pawl("worker", "resume", "w2")
    pawl.pawl("worker", "drain", "w2")
    why(pawl, second, "worker", 'worker "w2" is draining')
    pawl.pawl("worker", "resume", "w2")
    pawl.kill(pawl.workers["w2"])
    comes(pawl, second, "worker", 'no fitting worker is connected ("w2" would fit)')
    assert all_say(pawl) == 5
    with open(os.path.join(pawl.dir, "w2.yaml"), "a") as f:
        f.write("low_disk: 1000000G\n")
    pawl.start_worker("w2")
    comes(pawl, second, "worker", 'worker "w2" takes no new jobs')


def test_slots_place_and_estimate(pawl, repo):
    begin(pawl, repo)
    pawl.start_worker("w1", slots=2)
    first, second = force(pawl, "plain"), force(pawl, "plain")
    runs(pawl, first), runs(pawl, second)
    third, fourth = force(pawl, "plain"), force(pawl, "short")
    w = why(pawl, third, "slots", "all 2 slots of fitting workers are busy (2 of 2)", "number 1 in line")
    assert w["ahead"] == 0 and "eta_ms" not in w, "there is no history yet"
    assert why(pawl, fourth, "slots", "number 2 in line, 1 waiting before it")["ahead"] == 1
    open(pawl.gate, "w").close()
    for r in (first, second, third, fourth):
        assert pawl.build_of(r)["result"] == "success"
    os.unlink(pawl.gate)
    again = [force(pawl, "plain") for _ in range(3)]
    runs(pawl, again[0]), runs(pawl, again[1])
    w = why(pawl, again[2], "slots", "estimated to begin in")
    assert w["eta_ms"] >= 0
    assert pawl.pawl("why", str(again[2])).count("estimated") == 1


def test_locks(pawl, repo):
    begin(pawl, repo)
    pawl.start_worker("w1", slots=8)
    held = runs(pawl, force(pawl, "locked"))
    why(pawl, force(pawl, "locked"), "lock", f'lock "db" is held by build {held}')
    builds = sorted(runs(pawl, force(pawl, "count")) for _ in range(2))
    alone = force(pawl, "alone")
    why(pawl, alone, "lock", f'lock "two" is held by build {builds[0]}, build {builds[1]}')
    why(pawl, force(pawl, "count"), "lock", 'lock "two" is held by')
    pawl.post(f"/builds/{builds[0]}/cancel")
    behind = force(pawl, "count")
    comes(pawl, behind, "lock_turn", f'lock "two" goes to request {alone} first')
    held = runs(pawl, force(pawl, "racked"))
    why(pawl, force(pawl, "racked"), "lock", f'lock "rack" of worker "w1" is held by build {held}')
    assert all_say(pawl) >= 5
    open(pawl.gate, "w").close()
    until(lambda: all_say(pawl) == 1, 60, "all but the one without a worker to be built")


def test_people(pawl, repo):
    begin(pawl, repo)
    pawl.start_worker("w1")
    pawl.pawl("builder", "pause", "short", "--reason", "it is being mended")
    r = force(pawl, "short")
    why(pawl, r, "paused", 'builder "short" is paused by', "because it is being mended")
    pawl.pawl("builder", "resume", "short")
    assert pawl.build_of(r)["result"] == "success"
    assert pawl.get(f"/requests/{r}/why")["state"] == "done"


def test_lost_worker(pawl, repo):
    """A build that is to be repeated says which attempt it is."""
    begin(pawl, repo)
    pawl.start_worker("w1")
    r = force(pawl, "plain")
    b = runs(pawl, r)
    runner = [p for p in pawl.runners() if "pawl-run" in open(f"/proc/{p}/cmdline").read()]
    # the runner dies with its agent, and the agent that comes back is in another mood
    pawl.pawl("worker", "pause", "w1", "--reason", "looking at it")
    pawl.kill(pawl.workers["w1"])
    for p in runner:
        try:
            os.kill(p, signal.SIGKILL)
        except ProcessLookupError:
            pass
    pawl.start_worker("w1", wait=False)
    comes(pawl, r, "worker", 'worker "w1" is paused by', f"it is attempt 2 of build {b}")
