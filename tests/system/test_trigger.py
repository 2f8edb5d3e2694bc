"""The step `trigger`: other builds asked for by a step, waited for or not; once, whatever is killed."""
import json, os, signal
import pytest
from conftest import SLOW, until

CONFIG = """
web: {{listen: "127.0.0.1:0", url: "http://ci.example.org"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
locks: [{{name: db}}]
projects: [{{name: p, repository: "{repo}", poll: 1s}}, {{name: q, repository: "{repo}", poll: 1h}}]
builders:
  - {{name: top, project: p, collapse: false, steps: [{{name: first, run: "true"}}, {{name: fire, trigger: {{scheduler: child, wait: true, properties: {{who: "from ${{builder}}"}}}}}}, {{name: after, run: "echo after"}}]}}
  - {{name: quick, project: p, collapse: false, steps: [{{name: fire, trigger: child}}, {{run: "echo went on"}}]}}
  - {{name: keep, project: p, collapse: false, steps: [{{name: fire, trigger: {{scheduler: child, wait: true, cancel: false}}}}]}}
  - {{name: late, project: p, collapse: false, steps: [{{name: fire, trigger: {{scheduler: child, wait: true}}, timeout: 1s}}]}}
  - {{name: circle, project: p, collapse: false, steps: [{{name: fire, trigger: {{scheduler: again, wait: true}}}}]}}
  - {{name: wrong, project: p, collapse: false, steps: [{{name: fire, trigger: "${{which}}"}}], properties: {{which: nobody}}}}
  - {{name: locked, project: p, collapse: false, locks: [db], steps: [{{name: fire, trigger: {{scheduler: guarded, wait: true}}}}]}}
  - {{name: low, project: p, collapse: false, steps: [{{name: say, run: "echo $who, ${{more}}; {gate}; exit $(cat {result})"}}], properties: {{who: nobody, more: nothing}}}}
  - {{name: guard, project: p, collapse: false, locks: [db], steps: [{{run: "true"}}]}}
  - {{name: far, project: q, collapse: false, steps: [{{run: "true"}}]}}
schedulers:
  - {{name: child, kind: triggered, project: p, builders: [low], properties: {{more: "of the scheduler"}}}}
  - {{name: again, kind: triggered, project: p, builders: [circle]}}
  - {{name: guarded, kind: triggered, project: p, builders: [guard]}}
  - {{name: elsewhere, kind: triggered, project: q}}
  - {{name: hand, kind: force, project: p}}
"""


def begin(pawl, repo, slots=1, worker=True, env=None, config=CONFIG, **more):
    repo.commit({"a": "1"}, "first")
    pawl.gate, pawl.result = os.path.join(pawl.dir, "gate"), os.path.join(pawl.dir, "result")
    with open(pawl.result, "w") as f:
        f.write("0")
    gate = f"while [ ! -e {pawl.gate} ]; do sleep 0.05; done"
    pawl.configure(config.format(repo=repo.bare, gate=gate, result=pawl.result, **more))
    pawl.start_master(env)
    if worker:
        pawl.start_worker("w1", slots=slots)
    until(lambda: force(pawl, "guard", fine=False), 20, "the first look")


def force(pawl, builder, fine=True, **props):
    status, text, _ = pawl.request("POST", "/force", {"builder": builder, "branch": "master", "reason": "r", "properties": props})
    assert not fine or status == 202, text
    return json.loads(text)["requests"][0] if status == 202 else None


def of(pawl, builder):
    return [b for b in pawl.builds("?limit=1000") if b["builder"].split("/")[-1] == builder]


def requests_of(pawl, builder):
    return [r for r in pawl.get("/requests?limit=1000")["items"] if r["builder"].split("/")[-1] == builder]


def running(pawl, builder, n=1):
    return until(lambda: (lambda v: v[0] if len(v) == n and v[0]["state"] == "running" else None)(of(pawl, builder)), 60, f"{builder} to run")


def go(pawl):
    open(pawl.gate, "w").close()


def steps(pawl, build):
    return {s["name"]: s for s in pawl.get(f"/builds/{build['id']}/steps")["items"]}


def test_one_slot_waits_and_result_rolls_up(pawl, repo):
    """The build that waits lends its slot: one worker with one slot is enough."""
    begin(pawl, repo)
    r = force(pawl, "top")
    child = running(pawl, "low")
    assert of(pawl, "top")[0]["state"] == "running" and child["reason"].startswith("triggered by build")
    w = pawl.worker("w1")
    assert (w["slots"], w["busy"]) == (1, 2), w
    other = force(pawl, "guard")
    assert pawl.get(f"/requests/{other}/why")["cause"] == "slots", "a slot that is lent is no slot for others"
    go(pawl)
    b = pawl.build_of(r)
    assert b["result"] == "success"
    assert pawl.raw_log(child["id"], "say") == b"from top, of the scheduler\n"
    log = pawl.raw_log(b["id"], "fire").decode()
    assert f"low: build {child['id']}: success, http://ci.example.org/builds/{child['id']}" in log and "waiting for it" in log, log
    assert pawl.raw_log(b["id"], "after") == b"after\n"
    assert pawl.build_of(other)["result"] == "success"
    with open(pawl.result, "w") as f:
        f.write("3")
    b = pawl.build_of(force(pawl, "top"))
    assert b["result"] == "failure" and steps(pawl, b)["fire"]["reason"] == "what it triggered ended with failure"
    assert len(of(pawl, "low")) == 2


def test_why_and_cancel(pawl, repo):
    begin(pawl, repo, slots=8)
    r = force(pawl, "top")
    low = running(pawl, "low")
    top = of(pawl, "top")[0]
    pawl.pawl("worker", "pause", "w1", "--reason", "looking")
    pawl.post(f"/builds/{low['id']}/cancel")
    assert pawl.build_of(r)["result"] == "cancelled", "the worst of what it waits for is its own"
    pawl.pawl("worker", "resume", "w1")
    r = force(pawl, "top")
    low = running(pawl, "low", 2)
    top = of(pawl, "top")[0]
    pawl.post(f"/builds/{top['id']}/cancel")
    low = pawl.build_of(low["request"])
    assert low["result"] == "cancelled" and f"build {top['id']}, which waited for it, ended" in pawl.get(f"/requests/{low['request']}/why")["reason"]
    # a triggered request that cannot run says who waits for it
    pawl.pawl("builder", "pause", "low", "--reason", "mending")
    r = force(pawl, "top")
    waits = until(lambda: [x for x in requests_of(pawl, "low") if x["state"] == "waiting"], 30, "the request")[0]["id"]
    top = of(pawl, "top")[0]
    why = pawl.get(f"/requests/{waits}/why")
    assert why["cause"] == "paused" and f'; build {top["id"]} waits for it on worker "w1" and lends it its slot' in why["reason"], why
    pawl.post(f"/requests/{waits}/cancel")
    assert pawl.build_of(r)["result"] == "cancelled"
    # two that wait for each other's lock: said, and mended by a cancel
    r = force(pawl, "locked")
    waits = until(lambda: [x for x in requests_of(pawl, "guard") if x["state"] == "waiting"], 30, "the request")[0]["id"]
    b = of(pawl, "locked")[0]
    why = pawl.get(f"/requests/{waits}/why")
    assert why["cause"] == "lock" and f"held by build {b['id']}, which waits for this very request" in why["reason"], why
    pawl.post(f"/builds/{b['id']}/cancel")
    until(lambda: not [x for x in requests_of(pawl, "guard") if x["state"] == "waiting"], 30, "the end of it")


def test_no_wait_refused_timeout(pawl, repo):
    begin(pawl, repo, slots=12)
    r = force(pawl, "quick")
    b = pawl.build_of(r)
    assert b["result"] == "success" and b"low: request" in pawl.raw_log(b["id"], "fire")
    low = running(pawl, "low")
    # one that keeps what it triggered, and one that gives up
    pawl.pawl("worker", "add", "w2")
    go(pawl)
    assert pawl.build_of(low["request"])["result"] == "success"
    os.unlink(pawl.gate)
    force(pawl, "keep")
    low = running(pawl, "low", 2)
    keep = of(pawl, "keep")[0]
    pawl.post(f"/builds/{keep['id']}/cancel")
    go(pawl)
    assert pawl.build_of(low["request"])["result"] == "success", "by choice it goes on"
    os.unlink(pawl.gate)
    b = pawl.build_of(force(pawl, "late"))
    assert b["result"] == "failure" and steps(pawl, b)["fire"]["reason"] == "timeout after 1s"
    until(lambda: of(pawl, "low")[0]["result"] == "cancelled", 30, "the end of what nobody waits for")
    for name, text in (("nobody", 'there is no scheduler "nobody"'), ("elsewhere", 'scheduler "elsewhere" is of another project'),
                       ("hand", 'scheduler "hand" is of kind force, not triggered')):
        b = pawl.build_of(force(pawl, "wrong", which=name))
        assert b["result"] == "failure" and steps(pawl, b)["fire"]["reason"] == text, b
    pawl.pawl("scheduler", "pause", "child", "--reason", "no more")
    b = pawl.build_of(force(pawl, "quick"))
    assert b["result"] == "failure" and "is paused by" in steps(pawl, b)["fire"]["reason"]
    b = pawl.build_of(force(pawl, "circle"))
    assert b["result"] == "failure" and len(of(pawl, "circle")) == 9, "a circle has an end"
    deepest = of(pawl, "circle")[0]
    assert steps(pawl, deepest)["fire"]["reason"] == "builds trigger each other more than 8 deep"


def test_kills(pawl, repo):
    """Master, agent and both are killed while a build waits; then its runner: the next attempt takes over what is there."""
    begin(pawl, repo)
    r = force(pawl, "top")
    low = running(pawl, "low")
    pawl.kill(pawl.master)
    pawl.start_master()
    until(lambda: pawl.worker("w1")["state"] == "connected", 30, "the worker")
    other = force(pawl, "guard")
    assert pawl.get(f"/requests/{other}/why")["cause"] == "slots", "still lent, and still one slot"
    pawl.post(f"/requests/{other}/cancel")
    pawl.kill(pawl.workers["w1"])
    pawl.start_worker("w1")
    pawl.kill(pawl.master)
    go(pawl)  # it ends while nobody hears it
    pawl.start_master()
    b = pawl.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 1 and len(of(pawl, "low")) == 1
    os.unlink(pawl.gate)
    r = force(pawl, "top")
    low = running(pawl, "low", 2)
    top = of(pawl, "top")[0]
    for p in pawl.runners():
        if runner_of(pawl, p, top):
            os.kill(p, signal.SIGKILL)
    until(lambda: of(pawl, "top")[0]["state"] == "queued", 60, "the end of the first attempt")
    assert low["state"] == "running", "what it waited for goes on, and now has the slot for itself"
    go(pawl)
    b = pawl.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 2 and len(of(pawl, "low")) == 2, "taken over, not triggered again"
    # a retry by people is another build: it triggers anew
    again = pawl.post(f"/builds/{b['id']}/retry")["requests"][0]
    assert pawl.get(f"/requests/{again}")["retry_of"] == b["id"]
    repeated = pawl.build_of(again)
    assert repeated["result"] == "success" and len(of(pawl, "low")) == 3
    assert repeated["retry_of"] == b["id"] and b["retry_of"] is None and b["triggered_by"] is None
    assert of(pawl, "low")[0]["triggered_by"] == repeated["id"]
    assert f"repeats    build {b['id']}\n" in pawl.pawl("build", str(repeated["id"]))
    assert f"triggered  by build {repeated['id']}\n" in pawl.pawl("build", str(of(pawl, "low")[0]["id"]))


def runner_of(pawl, pid, build):
    """Whether that runner works in a folder of the build's builder."""
    work = os.path.join(pawl.dir, "spool-w1", "work", "p", build["builder"].split("/")[-1])
    try:
        return any(os.path.realpath(f"/proc/{pid}/fd/{fd}").startswith(work + "/") for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


@pytest.mark.parametrize("who, point", [("master", "trigger.applied"), ("master", "note.send"), ("worker", "note.received")])
def test_fault_points(pawl, repo, who, point):
    """Killed between what was asked and what was answered: one set, one answer."""
    begin(pawl, repo, worker=False, env={"PW_FAULT": f"{point}:1=kill"} if who == "master" else None)
    go(pawl)
    w = pawl.start_worker("w1", env={"PW_FAULT": f"{point}:1=kill"} if who == "worker" else None)
    r = force(pawl, "top")
    dies = pawl.master if who == "master" else w
    until(lambda: dies.poll() is not None, 30, f"the death at {point}")
    pawl.start_master() if who == "master" else pawl.start_worker("w1")
    b = pawl.build_of(r)
    assert b["result"] == "success" and b["attempt"] == 1 and len(of(pawl, "low")) == 1


def test_untrusted(pawl, repo):
    """A proposal's build triggers what its project allows, and nothing else."""
    text = CONFIG.replace('projects: [{{name: p, repository: "{repo}", poll: 1s}}', 'projects: [{{name: p, repository: "{repo}", poll: 1s, branches: [main], allow: {{triggers: [child]}}}}')
    begin(pawl, repo, worker=False, config=text)
    pawl.join_untrusted("w1", slots=2)
    pawl.start_worker("w1")
    b = pawl.build_of(force(pawl, "quick"))
    assert b["result"] == "success", "allowed by name"
    running(pawl, "low")
    b = pawl.build_of(force(pawl, "locked"))
    assert b["result"] == "failure" and "a build of untrusted code may not trigger scheduler \"guarded\"" in steps(pawl, b)["fire"]["reason"]
