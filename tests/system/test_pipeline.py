"""Builders that need each other, from master.yaml and from the file of a repository, with the real programs."""
import pytest
from conftest import until

CONFIG = """
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, pipeline: .pawl.yaml, allow: {{max_builds: 20}}}}
{more}
"""
FILE = """
builders:
  fast:
    steps: [{checkout: {}}, {name: t, run: "cat result; test $(cat result) = ok"}]
  slow:
    needs: [fast]
    matrix: {cc: [gcc, clang]}
    shards: 2
    steps: [{name: t, run: "echo $cc $PAWL_SHARD of $PAWL_SHARDS"}]
  deploy: {needs: [slow], manual: true, steps: [{name: t, run: "echo deployed"}]}
  sweep: {needs: [slow], always_run: true, required: false, steps: [{name: t, run: "echo swept"}]}
"""


def latest(pawl, rev):
    """Builds of a revision by builder's name; of several of one builder the newest."""
    return {b["builder"]: b for b in reversed(pawl.builds(f"?revision={rev}"))}


def requests(pawl, rev, state="waiting"):
    return {r["builder"]: r for r in pawl.get(f"/requests?state={state}&limit=1000")["items"] if r["revision"] == rev}


@pytest.fixture
def piped(pawl, repo):
    def start(file=FILE, more="", files=None, slots=4):
        repo.commit({"README": "x"})
        pawl.configure(CONFIG.format(repo=repo.bare, more=more))
        pawl.start_master()
        pawl.start_worker(slots=slots)
        until(lambda: pawl.get("/projects")["items"][0]["state"] == "ok", what="the first look")
        return repo.commit({".pawl.yaml": file, "result": "ok\n", **(files or {})})

    return start


def done(pawl, rev, builders, timeout=60):
    def check():
        b = latest(pawl, rev)
        return b if all(n in b and b[n]["state"] == "done" for n in builders) else None

    return until(check, timeout, f"{builders} of {rev}")


SLOW = [f"slow[cc={cc},shard={s}/2]" for cc in ("gcc", "clang") for s in (1, 2)]


def test_pipeline(pawl, piped, repo):
    """needs, matrix, shards, always_run and manual of the file at the built revision."""
    rev = piped()
    b = done(pawl, rev, ["fast", *SLOW, "sweep"])
    assert {b[n]["result"] for n in ["fast", *SLOW, "sweep"]} == {"success"}
    assert pawl.raw_log(b["slow[cc=clang,shard=2/2]"]["id"], "t") == b"clang 2 of 2\n"
    assert all(b[n]["started"] >= b["fast"]["finished"] for n in SLOW), "nobody begins before what it needs is over"
    assert b["sweep"]["started"] >= max(b[n]["finished"] for n in SLOW)
    r = requests(pawl, rev)["deploy"]
    assert "needs start by a person" in pawl.get(f"/requests/{r['id']}/why")["reason"]
    assert "deploy" not in b
    pawl.pawl("start", str(r["id"]))
    assert done(pawl, rev, ["deploy"])["deploy"]["result"] == "success"
    # a red need: what needs it is skipped, what cleans up runs
    red = repo.commit({"result": "bad\n"})
    b = done(pawl, red, ["fast", *SLOW, "deploy", "sweep"])
    assert b["fast"]["result"] == "failure" and b["sweep"]["result"] == "success"
    assert {b[n]["result"] for n in SLOW} == {"skipped"} and b[SLOW[0]]["result_reason"] == "needs fast, which failed"
    # only what failed again, and what was skipped because of it
    pawl.pawl("retry", str(b["fast"]["id"]), "--failed")
    until(lambda: len([x for x in pawl.builds(f"?revision={red}") if x["builder"] == "fast" and x["state"] == "done"]) == 2, what="the retry")


def test_mistakes(pawl, piped, repo):
    """An error in the file is one build of builder `pipeline`, with the errors as its log; the next good file is built."""
    rev = piped(file="builders:\n  a: {needs: [b], steps: [{run: x}]}\n  c: {stesp: []}\n")
    b = done(pawl, rev, ["pipeline"])["pipeline"]
    assert b["result"] == "failure" and b["result_reason"].startswith(".pawl.yaml:2:15: ")
    log = pawl.raw_log(b["id"], "pipeline").decode().splitlines()
    assert any(l.startswith(".pawl.yaml:2:15: ") and 'no builder "b"' in l for l in log), log
    assert any(l.startswith(".pawl.yaml:3:") and 'did you mean "steps"' in l for l in log), log
    assert ".pawl.yaml:2:15" in pawl.pawl("log", str(b["id"]))
    assert set(latest(pawl, rev)) == {"pipeline"}
    rev = repo.commit({".pawl.yaml": "include: [ci/more.yaml]\nbuilders: {a: {steps: [{run: 'true'}]}}\n",
                       "ci/more.yaml": "builders: {b: {needs: [a], steps: [{run: 'true'}]}}\n"})
    b = done(pawl, rev, ["a", "b", "pipeline"])
    assert {x["result"] for x in b.values()} == {"success"}, "an included file, and that it is mended is told"
    rev = repo.commit({".pawl.yaml": "include: [ci/more.yaml, gone]\nbuilders: {a: {steps: [{run: 'true'}]}}\n"})
    b = done(pawl, rev, ["pipeline"])["pipeline"]
    assert b["result"] == "failure" and ".pawl.yaml:1:25" in b["result_reason"]
    rev = repo.commit({".pawl.yaml": "builders: {a: {shards: 21, steps: [{run: 'true'}]}}\n"})
    assert "more than 20 builds" in done(pawl, rev, ["pipeline"])["pipeline"]["result_reason"]
    repo.git("rm", "-q", ".pawl.yaml")
    rev = repo.commit({"x": "y"})
    assert "no such file" in done(pawl, rev, ["pipeline"])["pipeline"]["result_reason"]


def test_force(pawl, piped, repo):
    """A person names a builder of the file: with it comes what it needs and is not green there."""
    rev = piped()
    done(pawl, rev, ["fast", *SLOW, "sweep"])
    out = pawl.post("/force", {"builder": "p/deploy", "reason": "now"})
    assert done(pawl, rev, ["deploy"])["deploy"]["result"] == "success"
    assert len([b for b in pawl.builds(f"?revision={rev}") if b["builder"] == "fast"]) == 1
    out = pawl.post("/force", {"builder": "p/nope", "reason": "now"})
    b = pawl.build_of(out["requests"][0])
    assert b["builder"] == "pipeline" and b["result"] == "failure"


def test_run_if_changed(pawl, piped, repo):
    """Only what a push touches is built, with what it needs; the file itself is of all."""
    file = """
builders:
  lib: {run_if_changed: ["lib/**"], steps: [{run: "true"}]}
  app: {needs: [lib], run_if_changed: ["app/**"], steps: [{run: "true"}]}
  doc: {run_if_changed: ["doc/**"], steps: [{run: "true"}]}
"""
    rev = piped(file)
    assert {x["result"] for x in done(pawl, rev, ["lib", "app", "doc"]).values()} == {"success"}
    rev = repo.commit({"doc/a": "1"})
    b = done(pawl, rev, ["lib", "app", "doc"])
    assert (b["lib"]["result"], b["app"]["result"], b["doc"]["result"]) == ("skipped", "skipped", "success")
    assert b["lib"]["result_reason"] == "nothing that it depends on changed"
    rev = repo.commit({"app/a": "1"})
    b = done(pawl, rev, ["lib", "app", "doc"])
    assert (b["lib"]["result"], b["app"]["result"], b["doc"]["result"]) == ("success", "success", "skipped")
    rev = repo.commit({".pawl.yaml": file + "\n"})
    assert {x["result"] for x in done(pawl, rev, ["lib", "app", "doc"]).values()} == {"success"}


def test_promotion(pawl, piped, repo):
    """A branch moves when what the file requires is green; a file that lacks a required builder moves nothing."""
    file = 'builders:\n  a: {steps: [{checkout: {}}, {run: "test $(cat result) = ok"}]}\n  b: {needs: [a], shards: 2, steps: [{run: "true"}]}\n' \
           '  opt: {required: false, steps: [{run: "false"}]}\n'
    more = "promotions:\n  - {name: all, kind: green, project: p, from: master, to: stable}\n" \
           "  - {name: one, kind: green, project: p, from: master, to: named, builders: [b]}\n"
    rev = piped(file, more)
    until(lambda: repo.ref("stable") == rev and repo.ref("named") == rev, what="both branches move")
    red = repo.commit({"result": "bad\n"})
    done(pawl, red, ["a", "b[shard=1/2]", "b[shard=2/2]"])
    good = repo.commit({"result": "ok\n", ".pawl.yaml": 'builders: {a: {steps: [{run: "true"}]}}\n'})
    until(lambda: repo.ref("stable") == good, what="all that it requires is green")
    assert repo.ref("named") == rev, "what the file lacks is not green"


def test_fail_fast(pawl, piped, repo):
    """One red builder ends its siblings, but not what cleans up."""
    go = repo.bare + ".go"
    file = f'builders:\n  red: {{steps: [{{run: "until [ -e {go} ]; do sleep 0.05; done; false"}}]}}\n' '  long: {steps: [{name: t, run: "touch began; sleep 1000"}]}\n' \
           '  sweep: {needs: [long], always_run: true, steps: [{run: "true"}]}\n'
    more = "schedulers: [{name: s, kind: branch, project: p, fail_fast: true}]\n"
    rev = piped(file, more)
    until(lambda: any(b["builder"] == "long" for b in pawl.builds("?state=running")), what="long runs")
    until(lambda: any(b["builder"] == "red" for b in pawl.builds("?state=running")), what="red runs")
    open(go, "w").close()
    b = done(pawl, rev, ["red", "long", "sweep"])
    assert b["red"]["result"] == "failure" and b["sweep"]["result"] == "success"
    assert b["long"]["result"] == "cancelled" and b["long"]["result_reason"] == "red failed, and fail_fast ends the others"


@pytest.mark.parametrize("at", ["change", "read", "fast", "slow", "manual"])
def test_kill(pawl, piped, repo, at):
    """kill -9 of the master at each state: nothing is lost, nothing is built twice."""
    env = {"read": {"PW_FAULT": "pipeline.read:1=kill"}, "change": {"PW_FAULT": "change.seen:1=kill"}}.get(at)
    repo.commit({"README": "x"})
    pawl.configure(CONFIG.format(repo=repo.bare, more=""))
    m = pawl.start_master()
    pawl.start_worker(slots=4)
    until(lambda: pawl.get("/projects")["items"][0]["state"] == "ok", what="the first look")
    if env:
        pawl.kill(m)
        m = pawl.start_master(env=env)
    rev = repo.commit({".pawl.yaml": FILE, "result": "ok\n"})
    if env:
        until(lambda: m.poll() is not None, what="the master dies")
    else:
        names = {"fast": ["fast"], "slow": SLOW[:1], "manual": ["sweep"]}[at]
        until(lambda: all(n in latest(pawl, rev) for n in names), what=at)
        pawl.kill(m)
    pawl.start_master()
    b = done(pawl, rev, ["fast", *SLOW, "sweep"])
    assert {b[n]["result"] for n in ["fast", *SLOW, "sweep"]} == {"success"}
    assert len(pawl.builds(f"?revision={rev}")) == 6, "each once"
    r = requests(pawl, rev)
    assert list(r) == ["deploy"]
    pawl.pawl("start", str(r["deploy"]["id"]))
    assert done(pawl, rev, ["deploy"])["deploy"]["result"] == "success"
