"""kill -9 of master or agent in the middle of a running build: it goes on, finishes once, its log has no gap and no double line."""
import json, os, pytest, signal, time, urllib.request
from conftest import until

STEP = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line number $i of the known output; [ $((i % 20)) -ne 0 ] || sleep 0.05; done; echo run >> {count}"
KNOWN = "".join(f"line number {i} of the known output\n" for i in range(1, 401)).encode()


def started(pawl, count):
    until(lambda: pawl.get("/changes")["items"], 20, "the first change")
    r = pawl.post("/force", {"builder": "any", "reason": "kill", "properties": {"cmd": STEP.format(count=count)}})["requests"][0]
    return r


def midway(pawl, r):
    def lines():
        b = next((b for b in pawl.builds("?builder=any") if b["request"] == r), None)
        if not b or b["state"] != "running":
            return None
        status, body, _ = pawl.request("GET", f"/builds/{b['id']}/log/go?raw=1")
        return b if status == 200 and body.count(b"\n") > 40 else None
    return until(lines, 30, "output of the running build")


def check(pawl, r, count):
    b = pawl.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 1, b
    assert pawl.raw_log(b["id"], "go") == KNOWN
    assert open(count).read() == "run\n"
    assert [x["id"] for x in pawl.builds("?builder=any")].count(b["id"]) == 1
    assert len([x for x in pawl.builds("?builder=any") if x["request"] == r]) == 1


@pytest.mark.parametrize("times", [1, 3])
def test_kill_master(simple, times):
    count = os.path.join(simple.dir, "count")
    r = started(simple, count)
    midway(simple, r)
    for _ in range(times):
        simple.kill(simple.master)
        simple.start_master()
    check(simple, r, count)


@pytest.mark.parametrize("times", [1, 3])
def test_kill_agent(simple, times):
    count = os.path.join(simple.dir, "count")
    r = started(simple, count)
    midway(simple, r)
    for _ in range(times):
        simple.kill(simple.workers["w1"])
        simple.start_worker(wait=False)
    check(simple, r, count)


def test_kill_both_until_it_ends(simple):
    count = os.path.join(simple.dir, "count")
    r = started(simple, count)
    midway(simple, r)
    simple.kill(simple.master)
    simple.kill(simple.workers["w1"])
    until(lambda: os.path.exists(count), 60, "the job's end without master and agent")
    simple.start_worker(wait=False)
    simple.start_master()
    check(simple, r, count)


def test_kill_runner_is_an_exception_and_retried(simple):
    count = os.path.join(simple.dir, "count")
    r = started(simple, count)
    b = midway(simple, r)
    pids = [p for p in simple.runners() if b"--serve" in open(f"/proc/{p}/cmdline", "rb").read()]
    zygote = min(pids)
    runner = [p for p in pids if p != zygote]
    assert runner, pids
    for p in runner:
        os.kill(p, signal.SIGKILL)
    b = simple.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 2
    assert simple.raw_log(b["id"], "go") == KNOWN
    assert open(count).read() == "run\n", "the first attempt's step was ended with its runner"


def test_promotion_survives_kill(simple, repo):
    """The master dies after the push took effect and before it was recorded: the intent is resolved by looking."""
    rev = repo.git("rev-parse", "HEAD")
    until(lambda: repo.ref("stable") == rev, 30, "stable")
    simple.kill(simple.master)
    simple.start_master(env={"PW_FAULT": "push.after:1=kill"})
    new = repo.commit({"x": "1"}, "next")
    until(lambda: simple.master.poll() is not None, 40, "the planted death")
    assert repo.ref("stable") == new
    simple.start_master()
    rows = until(lambda: [p for p in simple.get("/promotions")["items"] if p["revision"] == new and p["state"] == "done"], 40, "the record")
    assert len(rows) == 1 and len([p for p in simple.get("/promotions")["items"] if p["revision"] == new]) == 1


def test_events_have_no_gap_over_a_restart(simple):
    until(lambda: simple.get("/changes")["items"], 20, "the first change")

    def read(last, want, timeout=20):
        h = {"Last-Event-ID": last} if last else {}
        got, req = [], urllib.request.Request(simple.url + "/api/v1/events", headers=h)
        end = time.monotonic() + timeout
        with urllib.request.urlopen(req, timeout=timeout) as a:
            cur = {}
            while time.monotonic() < end:
                line = a.readline().decode().rstrip("\n")
                if line.startswith(("id: ", "event: ", "data: ")):
                    k, v = line.split(": ", 1)
                    cur[k] = v
                elif line == "" and cur:
                    got.append(cur)
                    if want(cur):
                        return got
                    cur = {}
        raise AssertionError("no such event")

    import threading
    first = {}
    t = threading.Thread(target=lambda: first.update(x=read(None, lambda e: e.get("event") == "build" and json.loads(e["data"])["state"] == "done")))
    t.start()
    end = time.monotonic() + 20
    while t.is_alive() and time.monotonic() < end:
        simple.build_of(simple.post("/force", {"builder": "any", "reason": "e"})["requests"][0])
        t.join(0.2)
    last = first["x"][-1]["id"]
    r = simple.post("/force", {"builder": "any", "reason": "while nobody listens"})["requests"][0]
    b = simple.build_of(r)
    simple.kill(simple.master)
    simple.start_master()
    got = read(last, lambda e: e.get("event") == "build" and json.loads(e["data"])["id"] == b["id"] and json.loads(e["data"])["state"] == "done")
    seq = [int(e["id"].split(".")[1]) for e in got if "id" in e]
    assert seq == list(range(int(last.split(".")[1]) + 1, seq[-1] + 1))
