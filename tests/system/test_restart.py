"""What a restart of the master neither loses nor repeats: two old pains of Buildbot, named after their threads."""
import random, signal, time
from conftest import CONFIG, until

BUILDERS = "  - {name: test, project: p, collapse: false, steps: [checkout: {}, {name: test, run: sh test.sh}]}\n"


def start(pawl, repo):
    repo.commit({"test.sh": "echo hello\n"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders=BUILDERS).replace("from: master, to: stable}", "from: master, to: stable, builders: [test]}")
                   .replace("branches: [master]", 'branches: ["*"]'))
    pawl.start_master()
    pawl.start_worker(slots=2)


def kill(pawl):
    pawl.kill(pawl.master)  # SIGKILL


def settled(pawl):
    return not [b for b in pawl.builds("?limit=1000") if b["state"] != "done"] and not pawl.get("/requests?state=waiting")["items"]


def test_bb5750_commits_pushed_while_the_master_is_down_are_built_once(pawl, repo):
    """bb#5750: commits pushed while the master is down are never built. Here each new tip is, exactly once, however often the master
    is killed while it finds them: on a branch that was known, on a new one, after a forced push; a deleted branch is no build."""
    start(pawl, repo)
    first = repo.git("rev-parse", "HEAD")
    pawl.built("test", first)
    repo.commit({"x": "1"}, "gone soon", branch="gone")
    gone = repo.git("rev-parse", "HEAD")
    pawl.built("test", gone)
    kill(pawl)
    commits = [repo.commit({"n": str(i)}, f"while it was down {i}") for i in range(3)]
    repo.git("push", "-q", "origin", "HEAD~1:refs/heads/feature")
    repo.git("push", "-q", "origin", "--delete", "gone")
    tips = [commits[-1], commits[-2]]
    rnd = random.Random(5750)
    for _ in range(4):  # killed while it looks, records, dispatches
        pawl.start_master()
        time.sleep(rnd.uniform(0.05, 0.6))
        kill(pawl)
    pawl.start_master()
    for rev in tips:
        assert pawl.built("test", rev)["result"] == "success"
    until(lambda: settled(pawl), 60, "rest")
    branches = {tips[0]: ["master"], tips[1]: ["feature"]}
    for rev in tips:
        assert [b["branch"] for b in pawl.builds(f"?revision={rev}&limit=1000")] == branches[rev]
    changes = [c["revision"] for c in pawl.get("/changes?limit=1000")["items"] if c["branch"] == "master"]
    assert all(changes.count(c) == 1 for c in commits), "each commit of the push is a change, once"
    until(lambda: repo.ref("stable") == tips[0], 60, "the promotion of what came while it was down")
    # a forced push while it is down: what is there now is built, what was replaced is not again
    kill(pawl)
    repo.git("reset", "-q", "--hard", first)
    forced = repo.commit({"forced": "1"}, "another history", push=False)
    repo.git("push", "-q", "-f", "origin", "HEAD:feature")
    pawl.start_master()
    assert pawl.built("test", forced)["result"] == "success"
    until(lambda: settled(pawl), 60, "rest")
    assert len(pawl.builds(f"?revision={forced}")) == 1 and len(pawl.builds(f"?revision={tips[1]}")) == 1
    assert next(c for c in pawl.get("/changes?limit=1000")["items"] if c["revision"] == forced)["forced"]


def test_bb7423_a_restart_queues_nothing_again(pawl, repo):
    """bb#7423: a restart re-queued 3,000 old pull requests. Here a master that is killed and started again and again, over a
    repository with many branches that were all built, makes no change, no request and no build."""
    start(pawl, repo)
    revs = [repo.git("rev-parse", "HEAD")]
    for i in range(12):
        revs.append(repo.commit({"n": str(i)}, f"branch {i}", branch=f"feature/{i}"))
    for rev in revs:
        pawl.built("test", rev, 120)
    until(lambda: settled(pawl) and repo.ref("stable"), 60, "rest")

    def known():
        return [[x["id"] for x in pawl.get(f"/{what}?limit=1000")["items"] if x.get("tip", True)] for what in ("changes", "requests", "builds", "promotions")]
    before = known()
    probes = []
    for i in range(6):
        pawl.kill(pawl.master, *([signal.SIGTERM] if i == 5 else []))
        pawl.start_master()
        if i % 2:  # what is new is built: so it has looked at the repository, and at all its branches
            probes.append(repo.commit({"probe": str(i)}, "new", branch=f"feature/{i}"))
            assert pawl.built("test", probes[-1])["result"] == "success"
    until(lambda: settled(pawl), 60, "rest")
    after = known()
    assert [len(a) - len(b) for a, b in zip(after, before)] == [3, 3, 3, 0], (before, after)
    assert [a[-len(b):] for a, b in zip(after, before)] == before
