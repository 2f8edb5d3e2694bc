"""Files and properties of needed builds: the step `fetch` and ${needs.NAME.PROPERTY}, through every kind of death."""
import os, signal
import pytest
from conftest import until
from test_pipeline import CONFIG, done

# `cmd` makes what is fetched
FILE = """
builders:
  fast:
    steps:
      - {name: make, run: "%s", artifacts: "**"}
      - {set_property: {version: {run: "echo 1.2"}}}
  slow:
    needs: [fast]
    retries: 0
    env: {V: "${needs.fast.version}", R: "${needs.fast.result}"}
    steps:
      %s
"""
SHOW = '{name: show, run: "find . ! -type d -printf \'%m %s %p\\\\n\' | sort -k3; echo $V $R"}'


@pytest.fixture
def site(pawl, repo):
    """Master, worker and a repository; go(cmd, steps) builds a pipeline of fast and slow."""
    def start(more="", master=None, worker=None):
        repo.commit({"README": "x"})
        pawl.configure(CONFIG.format(repo=repo.bare, more=more))
        pawl.start_master(env=master)
        w = pawl.start_worker(slots=4, env=worker)
        until(lambda: pawl.get("/projects")["items"][0]["state"] == "ok", what="the first look")
        return w

    return start


def push(repo, cmd, *steps):
    return repo.commit({".pawl.yaml": FILE % (cmd, "\n      ".join("- " + s for s in steps))})


def log(pawl, build, step):
    return pawl.raw_log(build["id"], step).decode()


def leftovers(pawl):
    """Files of transfers, on both sides."""
    found = []
    for d, _, names in os.walk(pawl.dir):
        if os.path.basename(d) in ("needs", "bundles"):
            found += names
    return found


def test_files_and_properties(pawl, repo, site):
    site()
    cmd = "mkdir -p out/deep; printf hello > out/deep/tool; chmod 755 out/deep/tool; : > out/empty; chmod 600 out/empty; printf no > other; head -c 3000000 /dev/zero | tr '\\\\0' x > out/big"
    rev = push(repo, cmd, '{run: "rm -rf *; mkdir -p in/out; ln -s /etc/passwd in/out/empty"}', "{fetch: {from: fast, paths: ['out/**', '!**/none'], to: in}}", SHOW, '{run: "rm -rf *"}',
               "{fetch: fast}", '{name: all, run: "ls; cat out/deep/tool"}')
    b = done(pawl, rev, ["fast", "slow"])
    assert b["slow"]["result"] == "success", log(pawl, b["slow"], "fetch")
    assert sorted(log(pawl, b["slow"], "show").split("\n")[:-1]) == ["1.2 success", "600 0 ./in/out/empty", "644 3000000 ./in/out/big", "755 5 ./in/out/deep/tool"]
    assert '3 files with 3000005 bytes of "fast"' in log(pawl, b["slow"], "fetch")
    assert log(pawl, b["slow"], "all").split() == ["other", "out", "hello"]
    assert leftovers(pawl) == []
    kinds = {s["name"]: s["kind"] for s in pawl.get(f"/builds/{b['slow']['id']}")["steps"]}
    assert kinds["fetch"] == "fetch"


def test_what_is_not_there(pawl, repo, site):
    site()
    rev = push(repo, "echo x > a", "{fetch: {from: fast, paths: '*.tgz', optional: true}}", "{name: must, fetch: {from: fast, paths: ['*.tgz', '*.deb']}}")
    b = done(pawl, rev, ["fast", "slow"])["slow"]
    steps = {s["name"]: s for s in pawl.get(f"/builds/{b['id']}")["steps"]}
    assert b["result"] == "failure" and steps["fetch"]["result"] == "success"
    assert 'left no file that matches "*.tgz" or the other patterns' in steps["must"]["reason"]
    # what can be known is told at its place
    rev = push(repo, "echo x > a", "{fetch: {from: quick}}", '{run: x, env: {A: "${needs.fast.colour}"}}')
    b = done(pawl, rev, ["pipeline"])["pipeline"]
    text = pawl.pawl("log", str(b["id"]))
    assert b["result"] == "failure" and '.pawl.yaml:12:24: "fetch": this builder does not need "quick"' in text
    assert '.pawl.yaml:13:27: ${needs.NAME.PROPERTY}: nothing in builder "fast" sets a property "colour"' in text


def test_nothing_is_written_outside(pawl, repo, site):
    site()
    for how, why in (("ln -s ../../../.. in", "in the way"), ("mkdir in; ln -s ../../../.. in/out", "in the way"), ("mkdir in; echo x > in/out", "in the way"),
                     ("mkdir -p in/out/a", "cannot replace")):
        rev = push(repo, "mkdir -p out; echo x > out/a", '{run: "rm -rf in; %s"}' % how, "{fetch: {from: fast, to: in}}")
        b = done(pawl, rev, ["fast", "slow"])["slow"]
        step = pawl.get(f"/builds/{b['id']}")["steps"][1]
        assert step["result"] in ("failure", "exception") and (why in step["reason"] or "File exists" in step["reason"]), step


def test_matrix(pawl, repo, site):
    site()
    rev = repo.commit({".pawl.yaml": """
builders:
  lib: {matrix: {cc: [gcc, clang]}, steps: [{name: make, run: "echo by $cc > lib", artifacts: lib}]}
  app: {needs: [lib], matrix: {cc: [gcc, clang]}, env: {R: "${needs.lib.result}", C: "${needs.lib[cc=gcc].cc}"}, steps: [{fetch: "lib[cc=${cc}]"}, {name: show, run: "cat lib; echo $R $C"}]}
"""})
    b = done(pawl, rev, ["app[cc=gcc]", "app[cc=clang]"])
    for cc in ("gcc", "clang"):
        assert log(pawl, b[f"app[cc={cc}]"], "show") == f"by {cc}\nsuccess gcc\n"
    # again, alone: what it needs is of the earlier set
    again = pawl.post("/force", {"builder": "app", "revision": rev, "branch": "master", "reason": "again"})["requests"]
    for r in again:
        assert pawl.build_of(r)["result"] == "success"


def test_inside_of_an_isolation(pawl, repo):
    """What is fetched belongs to the job, whoever it runs as; a checkout from the master goes there, too."""
    repo.commit({"README": "x"})
    pawl.configure(CONFIG.format(repo=repo.bare, more="").replace("poll: 1s", "poll: 1s, source: master"))
    pawl.start_master()
    pawl.join_untrusted("w1", slots=2)
    pawl.start_worker()
    until(lambda: pawl.get("/projects")["items"][0]["state"] == "ok", what="the first look")
    rev = repo.commit({".pawl.yaml": """
builders:
  fast: {steps: [{run: "mkdir d; echo x > d/a; chmod 750 d/a", artifacts: "**"}]}
  slow: {needs: [fast], isolation: bwrap, steps: [{checkout: {}}, {fetch: {from: fast, to: in}}, {name: t, run: "cat in/d/a README; echo more >> in/d/a; touch in/d/b README; rm -r in; git status --porcelain"}]}
"""})
    b = done(pawl, rev, ["fast", "slow"])["slow"]
    assert b["result"] == "success" and log(pawl, b, "t") == "x\nx", pawl.pawl("log", str(b["id"]))
    assert "comes from the master" in log(pawl, b, "checkout")


@pytest.mark.parametrize("fault", ["blob.send:20=kill", "need.piece:20=kill", "need.got:1=kill", "blob.send:9=error", "need.piece:9=error", "need.got:2=error"])
def test_killed_on_the_way(pawl, repo, site, fault):
    """Master or agent die in the middle of 6 MB; the transfer goes on behind what came."""
    agent, kill, env = fault.startswith("need"), fault.endswith("kill"), {"PW_FAULT": fault}
    site(master=None if agent else env, worker=env if agent else None)
    rev = push(repo, "head -c 6000000 /dev/urandom > a; sha256sum a > sum; echo small > b", "{fetch: fast}", '{name: check, run: "sha256sum -c sum && cat b"}')
    if kill:
        died = pawl.workers["w1"] if agent else pawl.master
        until(lambda: died.poll() is not None, 60, f"the death at {fault}")
        assert died.returncode == -signal.SIGKILL
        at = sum(os.path.getsize(os.path.join(pawl.dir, "spool-w1", "needs", n)) for n in leftovers(pawl) if n.endswith(".part"))
        assert fault.startswith("need.got") or 1000000 < at < 5000000
        if agent:
            pawl.start_worker()
        else:
            pawl.start_master()
    b = done(pawl, rev, ["fast", "slow"])
    assert b["slow"]["result"] == "success" and "a: OK\nsmall\n" in log(pawl, b["slow"], "check")
    assert b["slow"]["attempt"] == 1  # the same attempt went on
    until(lambda: not leftovers(pawl), 20, "no file left of the transfer")


def test_killed_at_any_time(pawl, repo, site):
    """Both of them, again and again, wherever they are; what comes is right."""
    site(worker={"PW_FAULT": "need.piece:3=pause"})
    rev = push(repo, "head -c 20000000 /dev/urandom > a; sha256sum a > sum", "{fetch: fast}", '{name: check, run: "sha256sum -c sum"}')
    until(lambda: [n for n in leftovers(pawl) if n.endswith(".part")], 60, "the transfer")
    for i in range(6):
        if i % 2:
            pawl.kill(pawl.master)
            pawl.start_master()
        pawl.kill(pawl.workers["w1"])
        pawl.start_worker(env={"PW_FAULT": f"need.piece:{5 + 7 * i}=pause"})
    pawl.kill(pawl.workers["w1"])
    pawl.start_worker()
    b = done(pawl, rev, ["fast", "slow"])
    assert b["slow"]["result"] == "success" and "a: OK\n" in log(pawl, b["slow"], "check")
