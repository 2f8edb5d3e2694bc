"""Each reason for which a request waits, by a real situation; none is ever without one."""
import json, os, re, signal
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


MORE = """
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, branches: [master, "side/*"]}}
  - {{name: f, repository: "{repo}", poll: 1s, branches: [master], pipeline: .pawl.yaml}}
builders:
  - {{name: plain, project: p, collapse: false, steps: [{{run: "{gate}"}}]}}
  - {{name: after, project: p, collapse: false, needs: [plain], steps: [{{run: "true"}}]}}
  - {{name: hand, project: p, collapse: false, manual: true, steps: [{{run: "true"}}]}}
  - {{name: boxed, project: p, collapse: false, isolation: "podman:none", steps: [{{run: "true"}}]}}
  - {{name: odd, project: p, collapse: false, retries: 0, steps: [{{run: "true", dir: nowhere}}]}}
  - {{name: red, project: p, steps: [{{run: "exit $(cat {result})"}}]}}
schedulers:
  - {{name: all, kind: branch, project: p, branches: ["side/one"], builders: [after, hand]}}
  - {{name: fix, kind: branch, project: p, branches: ["side/fix"], testfix: true, builders: [red]}}
  - {{name: hands, kind: force, project: p}}
  - {{name: files, kind: branch, project: f}}
"""


def waiting_of(pawl, builder):
    found = lambda: [r["id"] for r in pawl.get("/requests?limit=1000")["items"] if r["state"] == "waiting" and r["builder"].split("/")[-1] == builder]
    return until(found, 30, f"a waiting request of {builder}")[0]


def begin_more(pawl, repo, env=None):
    repo.commit({"a": "1", ".pawl.yaml": "builders: {b: {steps: [{run: 'true'}]}}\n"}, "first")
    pawl.gate, pawl.result = os.path.join(pawl.dir, "gate"), os.path.join(pawl.dir, "result")
    with open(pawl.result, "w") as f:
        f.write("1")
    pawl.configure(MORE.format(repo=repo.bare, result=pawl.result, gate=f"while [ ! -e {pawl.gate} ]; do sleep 0.05; done; echo end"))
    pawl.start_master(env)
    until(lambda: force(pawl, "boxed", fine=False), 20, "the first look")


def test_held_back(pawl, repo):
    """What keeps a request out of the line, or a worker from it."""
    begin_more(pawl, repo, {"PW_FAULT": "pipeline.read:1=error"})
    pawl.start_worker("w1", slots=4)
    why(pawl, waiting_of(pawl, "boxed"), "worker", 'no worker offers isolation "podman:none"')
    repo.commit({"a": "2"}, "second", branch="side/one")
    why(pawl, waiting_of(pawl, "after"), "needs", "plain")
    why(pawl, waiting_of(pawl, "hand"), "manual", "needs start by a person")
    repo.commit({"a": "3"}, "third", branch="side/fix")
    first = until(lambda: [b for b in pawl.builds() if b["builder"].endswith("red") and b["state"] == "done"], 60, "a red branch")[0]
    assert first["result"] == "failure"
    repo.commit({"a": "4"}, "fourth", branch="side/fix")
    why(pawl, waiting_of(pawl, "red"), "testfix", f"held by testfix since build {first['id']}")
    stranger = pawl.request("POST", "/force", {"builder": "plain", "branch": "elsewhere", "revision": repo.git("rev-parse", "HEAD"), "reason": "r"})
    assert stranger[0] == 202, stranger
    why(pawl, json.loads(stranger[1])["requests"][0], "worker", "it is not from a configured branch", "no worker takes such builds")
    assert all_say(pawl) >= 5
    repo.commit({"a": "5"}, "fifth")
    why(pawl, waiting_of(pawl, "pipeline"), "pipeline")


def test_quarantine_and_full(pawl, repo):
    begin_more(pawl, repo, {"PW_FAULT": "logs.append:1=error"})
    pawl.start_worker("w1", slots=1)
    for _ in range(3):
        assert pawl.build_of(force(pawl, "odd"))["result"] == "exception"
    r = force(pawl, "plain")
    comes(pawl, r, "worker", 'worker "w1" is in quarantine until')
    pawl.pawl("worker", "resume", "w1")
    runs(pawl, r)
    second = force(pawl, "plain")
    why(pawl, second, "slots")
    open(pawl.gate, "w").close()  # its output finds no room
    comes(pawl, second, "master", "the master begins no builds: ")
    assert pawl.build_of(second)["result"] == "success", "it goes on by itself"


def test_every_reason_has_its_situation():
    """The table of reasons against these tests, and no reason is a shrug."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    code = open(os.path.join(root, "master/core/why.c")).read()
    reasons = re.findall(r"REASON_([A-Z_]+)", open(os.path.join(root, "master/core/decide.h")).read().split("typedef enum core_reason")[1].split("}")[0])
    table = dict(re.findall(r'\[REASON_([A-Z_]+)\] = \{"([a-z_]+)"', code))
    assert sorted(table) == sorted(set(reasons)), "each reason has its words"
    here = open(os.path.abspath(__file__)).read()
    provoked = {w for line in here.splitlines() if re.match(r" +(?:w = |assert )?(?:why|comes)\(pawl, ", line) for w in re.findall(r', "([a-z_]+)"', line)}
    # what can begin begins when it is asked about; what lost its builder ends when the configuration is read
    assert set(table.values()) - provoked == {"next", "builder"}, provoked
    blocks = re.findall(r"BLOCK_([A-Z_]+)", open(os.path.join(root, "master/core/parts.h")).read().split("typedef enum core_block")[1].split("}")[0])
    cases = re.findall(r"case BLOCK_([A-Z_]+):", code)
    assert sorted(set(blocks)) == sorted(cases) and "default:" not in code.split("static void because_worker")[1].split("\n}\n")[0]
    assert "unknown" not in code and '"?"' not in code.replace('w->row.who : "?"', ""), "nothing answers that nobody knows"
