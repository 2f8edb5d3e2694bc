"""`source: master`: a worker that cannot reach the repository gets revisions over the link, as git bundles, through every kind of death."""
import glob, os, re, shutil, signal
import pytest
from conftest import CONFIG, until

STEPS = "[{checkout: {%s}}, {name: t, run: 'git status --porcelain; git log --format=%%s; git describe --tags --always; git rev-parse origin/master; sha256sum -c sum || true'}]"


@pytest.fixture
def site(pawl, repo):
    """Master and worker; the repository is out of reach whenever a build runs: only the master's mirror has it."""
    def start(master=None, worker=None, checkout="", big=0):
        files = {"README": "x\n"}
        if big:
            data = os.urandom(big).hex()
            files["a"] = data
            import hashlib
            files["sum"] = hashlib.sha256(data.encode()).hexdigest() + "  a\n"
        repo.commit(files, "first")
        text = CONFIG.format(repo=repo.bare, builders=f"  - {{name: b, project: p, retries: 0, steps: {STEPS % checkout}}}")
        text = re.sub(r"promotions:.*", "", text, flags=re.S).replace("build_first: true}", "source: master}").replace("branches: [master]}", "branches: [never]}")
        pawl.configure(text)
        pawl.start_master(env=master)
        pawl.start_worker(slots=2, env=worker)
        seen(pawl)
        hide(repo)

    return start


def seen(pawl):
    until(lambda: pawl.get("/projects")["items"][0]["state"] == "ok", what="the first look")


def hide(repo):
    os.rename(repo.bare, repo.bare + ".away")


def show(repo):
    os.rename(repo.bare + ".away", repo.bare)


def push(pawl, repo, files, message):
    """A commit that the master has, and nobody else."""
    show(repo)
    rev = repo.commit(files, message)
    until(lambda: any(c["revision"] == rev for c in pawl.get("/changes")["items"]), 30, "the change")
    hide(repo)
    return rev


def force(pawl, rev=None):
    return pawl.post("/force", {"builder": "b", "branch": "master", "reason": "t", **({"revision": rev} if rev else {})})["requests"][0]


def steps(pawl, build):
    return {s["name"]: s for s in pawl.get(f"/builds/{build['id']}")["steps"]}


def log(pawl, build, step):
    return pawl.raw_log(build["id"], step).decode()


def sent(pawl, build):
    return int(re.search(r"comes from the master: (\d+) bytes", log(pawl, build, "checkout")).group(1))


def leftovers(pawl):
    return glob.glob(os.path.join(pawl.dir, "spool-*", "needs", "*"))


def test_without_a_route(pawl, repo, site):
    site(big=300000)
    b = pawl.build_of(force(pawl))
    assert b["result"] == "success", steps(pawl, b)
    first = sent(pawl, b)
    assert first > 300000 and "first\n" in log(pawl, b, "t") and "a: OK" in log(pawl, b, "t") and leftovers(pawl) == []
    repo.git("tag", "v1")
    show(repo)
    repo.git("push", "-q", "origin", "v1")
    hide(repo)
    rev = push(pawl, repo, {"README": "y\n"}, "second")
    b = pawl.build_of(force(pawl, rev))
    out = log(pawl, b, "t")
    assert b["result"] == "success" and "second\nfirst\n" in out and f"{rev}\n" in out, out
    assert sent(pawl, b) < 5000  # only what is new
    b = pawl.build_of(force(pawl, rev))
    assert b["result"] == "success" and "comes from the master" not in log(pawl, b, "checkout")  # it is here
    # a mirror that lost its content is made anew
    for d in glob.glob(os.path.join(pawl.dir, "spool-w1", "mirrors", "*.git", "objects", "pack")):
        shutil.rmtree(d)
    rev = push(pawl, repo, {"README": "z\n"}, "third")
    b = pawl.build_of(force(pawl, rev))
    assert b["result"] == "success" and "a: OK" in log(pawl, b, "t"), (steps(pawl, b), log(pawl, b, "checkout"))


def test_modes(pawl, repo, site):
    site(checkout="mode: fresh, depth: 1")
    b = pawl.build_of(force(pawl))
    assert b["result"] == "success" and "first\n" in log(pawl, b, "t")


def test_a_revision_that_is_nowhere(pawl, repo, site):
    site()
    b = pawl.build_of(force(pawl, "1" * 40))
    assert b["result"] == "exception" and "checkout" in b["result_reason"], b


@pytest.mark.parametrize("fault", ["blob.send:20=kill", "need.piece:20=kill", "bundle.made:1=kill", "bundle.made:1=error"])
def test_killed_on_the_way(pawl, repo, site, fault):
    agent, env = fault.startswith("need"), {"PW_FAULT": fault}
    site(master=None if agent else env, worker=env if agent else None, big=2500000)
    request = force(pawl)
    if fault.endswith("kill"):
        died = pawl.workers["w1"] if agent else pawl.master
        until(lambda: died.poll() is not None, 60, f"the death at {fault}")
        assert died.returncode == -signal.SIGKILL
        at = sum(os.path.getsize(n) for n in leftovers(pawl) if n.endswith(".part"))
        assert fault.startswith("bundle") or 1000000 < at < 5000000
        if agent:
            pawl.start_worker()
        else:
            pawl.start_master()
    b = pawl.build_of(request)
    assert b["result"] == "success" and b["attempt"] == 1 and "a: OK" in log(pawl, b, "t"), steps(pawl, b)
    until(lambda: not leftovers(pawl), 20, "no file left of the transfer")


def cmdline(pid):
    try:
        return open(f"/proc/{pid}/cmdline", "rb").read()
    except FileNotFoundError:  # it has just ended
        return b""


def test_cancelled_while_it_waits(pawl, repo, site):
    site(worker={"PW_FAULT": "need.piece:2=pause"}, big=500000)
    request = force(pawl)
    until(lambda: [n for n in leftovers(pawl) if n.endswith(".part") and os.path.getsize(n)], 30, "the first piece")
    build = until(lambda: next((b for b in pawl.builds() if b["state"] == "running"), None), 30, "the build")
    pawl.workers["w1"].send_signal(signal.SIGKILL)
    pawl.workers["w1"].wait()
    pawl.post(f"/builds/{build['id']}/cancel", {"reason": "enough"})
    pawl.start_worker()
    assert pawl.build_of(request)["result"] == "cancelled"
    until(lambda: not leftovers(pawl) and not any(b"pawl-run" in line and b"--serve" not in line for line in map(cmdline, pawl.runners())), 30, "nothing left of it")
