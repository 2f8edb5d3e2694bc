"""Schedulers end to end: dependent, testfix, supersede, forms, pauses."""
import json, os
from conftest import until

CONFIG = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
  - {{name: fast, project: p, collapse: false, retries: 0, steps: [checkout: {{}}, {{name: test, run: "sh test.sh $level $what"}}]}}
  - {{name: slow, project: p, collapse: false, steps: [checkout: {{}}, {{name: test, run: sh slow.sh}}]}}
schedulers:
{schedulers}
"""


def start(pawl, repo, schedulers, slots=2, files=None):
    repo.commit(dict({"test.sh": "echo fine\n", "slow.sh": "true\n"}, **(files or {})), "first")
    pawl.configure(CONFIG.format(repo=repo.bare, schedulers=schedulers))
    pawl.start_master()
    pawl.start_worker(slots=slots)


def of(pawl, builder, revision=None):
    return [b for b in pawl.builds("?limit=100" + (f"&revision={revision}" if revision else "")) if b["builder"] == builder]


def change(pawl, revision):
    return until(lambda: next((c for c in pawl.get("/changes")["items"] if c["revision"] == revision), None), 20, "the change")


def waiting(pawl):
    return pawl.get("/requests?state=waiting")["items"]


def test_dependent_is_built_once_after_a_green_set(pawl, repo):
    start(pawl, repo, "  - {name: push, kind: branch, project: p, builders: [fast]}\n"
                      "  - {name: behind, kind: dependent, project: p, after: push, builders: [slow]}\n")
    rev = repo.ref("master")
    b = pawl.built("slow", rev)
    assert b["result"] == "success" and b["reason"] == 'scheduler "push" was green', b
    red = repo.commit({"test.sh": "exit 1\n"}, "breaks")
    assert pawl.built("fast", red)["result"] == "failure"
    gate = os.path.join(pawl.dir, "gate")
    last = repo.commit({"test.sh": f"echo started > {gate}.seen; while [ ! -e {gate} ]; do sleep 0.05; done\n"}, "mends")
    until(lambda: os.path.exists(gate + ".seen"), 30, "the build")
    # the master dies while the last build of the set ends without it
    pawl.kill(pawl.master)
    open(gate, "w").close()
    for fault in ({"PW_FAULT": "set.green:1=kill"}, {"PW_FAULT": "store.committed:3=kill"}, None):
        pawl.start_master(env=fault)
        if fault:
            until(lambda: pawl.master.poll() is not None, 40, "the fault")
    assert pawl.built("slow", last)["result"] == "success"
    pawl.kill(pawl.master)
    pawl.start_master()
    until(lambda: not waiting(pawl) and all(b["state"] == "done" for b in pawl.builds()), 30, "rest")
    assert len(of(pawl, "slow", last)) == 1 and len(of(pawl, "slow", rev)) == 1 and not of(pawl, "slow", red)


def test_testfix_holds_a_red_branch(pawl, repo):
    start(pawl, repo, "  - {name: push, kind: branch, project: p, builders: [fast], testfix: true}\n")
    assert pawl.built("fast", repo.ref("master"))["result"] == "success"
    red = pawl.built("fast", repo.commit({"test.sh": "exit 1\n"}, "breaks"))
    assert red["result"] == "failure"
    held = repo.commit({"a": "1\n"}, "work")
    text = f"held by testfix since build {red['id']}"
    assert change(pawl, held)["held"] == text
    request = waiting(pawl)
    assert len(request) == 1 and request[0]["held"] == text, request
    assert text in pawl.pawl("why", str(request[0]["id"]))
    assert f"p master: {text}: 1 waiting" in pawl.pawl("status")
    assert [h["build"] for h in pawl.get("/status?branch=master")["held"]] == [red["id"]] and not pawl.get("/status?branch=side")["held"]
    assert text in pawl.request("PAGE", "/")[1].decode()
    pawl.kill(pawl.master)
    pawl.start_master()
    more = repo.commit({"a": "2\n"}, "more work")
    assert change(pawl, more)["held"] == text and not of(pawl, "fast", held) and not of(pawl, "fast", more)
    fix = repo.commit({"test.sh": "echo mended\n"}, "mend the tests\n\n[testfix] in the body counts, too")
    assert pawl.built("fast", fix)["result"] == "success"
    assert not of(pawl, "fast", held) and not of(pawl, "fast", more), "what was held rode with it"
    assert all(c["held"] is None for c in pawl.get("/changes")["items"])
    assert {r["rode_with"] for r in pawl.get("/requests")["items"] if r["revision"] in (held, more)} - {None}
    free = repo.commit({"a": "3\n"}, "work goes on")
    assert pawl.built("fast", free)["result"] == "success"


def test_testfix_is_opened_by_a_forced_build(pawl, repo):
    start(pawl, repo, "  - {name: push, kind: branch, project: p, builders: [fast], testfix: true}\n",
          files={"test.sh": "test -e $HOME/ok\n"})
    assert pawl.built("fast", repo.ref("master"))["result"] == "failure"
    held = repo.commit({"a": "1\n"}, "work")
    assert change(pawl, held)["held"]
    open(os.path.join(pawl.dir, "ok"), "w").close()
    pawl.pawl("force", "fast", "--reason", "the machine was broken", "--wait")
    assert pawl.built("fast", held)["result"] == "success"


def test_supersede_cancels_what_is_older(pawl, repo):
    start(pawl, repo, "  - {name: push, kind: branch, project: p, builders: [fast], supersede: running}\n",
          files={"test.sh": "exec sleep 300\n"})
    first = until(lambda: next(iter(b for b in pawl.builds() if b["state"] == "running"), None), 30, "the first build")
    newest = repo.commit({"test.sh": "echo quick\n"}, "newer")
    b = pawl.built("fast", newest)
    assert b["result"] == "success"
    old = pawl.get(f"/builds/{first['id']}")
    assert old["result"] == "cancelled" and old["result_reason"] == f"superseded by request {b['request']}", old
    until(lambda: not pawl.runners() or pawl.worker("w1")["busy"] == 0, 30, "the cancelled job's end")


def test_forms_of_forced_builds(pawl, repo):
    start(pawl, repo, "  - {name: form, kind: force, project: p, builders: [fast], parameters: [{name: level, type: int, default: 3, label: How much},\n"
                      "     {name: what, type: choice, choices: [all, some], required: true}]}\n", files={"test.sh": "echo $1 of $2\n"})
    until(lambda: pawl.get("/changes")["items"], 20, "the first look")
    form = pawl.get("/builders/fast")["force"]
    assert form == [{"scheduler": "form", "parameters": [
        {"name": "level", "type": "int", "label": "How much", "default": "3", "required": False, "choices": None},
        {"name": "what", "type": "choice", "label": None, "default": None, "required": True, "choices": ["all", "some"]}]}], form
    assert pawl.get("/builders/slow")["force"] == []
    status, body, _ = pawl.request("POST", "/force", {"builder": "fast", "reason": "r", "properties": {"level": "x", "colour": "red"}})
    fields = json.loads(body)["error"]["fields"]
    assert status == 400 and fields["level"] == 'must be a whole number, not "x"' and fields["what"] == "is required" and "no parameter" in fields["colour"], body
    assert '"level" must be a whole number' in pawl.pawl("force", "fast", "--reason", "r", "--prop", "what=all", "--prop", "level=x", code=1)
    request = pawl.post("/force", {"builder": "fast", "reason": "r", "properties": {"level": 7, "what": "some"}})["requests"][0]
    b = pawl.build_of(request)
    assert b["result"] == "success" and pawl.raw_log(b["id"], "test") == b"7 of some\n"


def test_pause_and_resume(pawl, repo):
    start(pawl, repo, "  - {name: push, kind: branch, project: p, builders: [fast]}\n")
    assert pawl.built("fast", repo.ref("master"))["result"] == "success"
    assert "needs --reason" in pawl.pawl("scheduler", "pause", "push", code=2)
    pawl.pawl("scheduler", "pause", "push", "--reason", "the move")
    pawl.pawl("builder", "pause", "p/slow", "--reason", "no licence")
    before = len(pawl.builds())
    one = repo.commit({"a": "1\n"}, "one")
    assert change(pawl, one)["held"] == 'scheduler "push" is paused'
    pawl.kill(pawl.master)
    pawl.start_master()
    two = repo.commit({"a": "2\n"}, "two")
    assert change(pawl, two)["held"] and len(pawl.builds()) == before
    paused = pawl.get("/schedulers")["items"][0]["paused"]
    assert paused["reason"] == "the move" and paused["who"] == "admin" and paused["at"], paused
    assert pawl.get("/builders/slow")["paused"]["reason"] == "no licence" and pawl.get("/builders/fast")["paused"] is None
    status = pawl.pawl("status")
    assert "scheduler push is paused by admin because the move" in status and "builder p/slow is paused by admin because no licence" in status
    assert "by admin: the move" in pawl.pawl("schedulers")
    until(lambda: pawl.worker("w1")["state"] == "connected", 20, "the worker")
    request = pawl.post("/force", {"builder": "slow", "reason": "r"})["requests"][0]
    assert pawl.get(f"/requests/{request}/why")["reason"] == 'builder "slow" is paused by admin because no licence'
    pawl.pawl("scheduler", "resume", "push")
    assert pawl.built("fast", two)["result"] == "success"
    assert not of(pawl, "fast", one) and pawl.get("/changes")["items"][0]["held"] is None
    pawl.pawl("builder", "resume", "slow")
    assert pawl.build_of(request)["result"] == "success"
    acts = [d["action"] for d in pawl.get("/audit")["items"]]
    assert [acts.count(a) for a in ("scheduler.pause", "scheduler.resume", "builder.pause", "builder.resume")] == [1, 1, 1, 1]
    assert pawl.request("POST", "/schedulers/push/stop", {})[0] == 404 and pawl.request("POST", "/schedulers/push/pause", {})[0] == 400
