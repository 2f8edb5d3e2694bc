"""Proposals (pull requests), as a repository shows them and as forges tell of them; and commits that ask for no build."""
import hashlib, hmac, json, os, urllib.error, urllib.request, uuid
import pytest
from conftest import CONFIG, until
from test_secrets import files_with
from test_sources import SCHEDULE, changes, looked

SECRET = "hook-signing-value"
TEST = ("  - {name: test, project: p, steps: [checkout: {}, {name: test, run: \"echo $PAWL_BRANCH $proposal $proposal_target; sh test.sh\"}]}\n"
        "  - {name: ship, project: p, env: {TOKEN: \"${secret:token}\"}, steps: [checkout: {}, {name: ship, run: 'echo \"<$TOKEN>\"'}]}\n")
PROPOSALS = "  - {name: pr, kind: proposal, project: p, branches: [master], builders: [test]}\n"


@pytest.fixture
def forge(pawl, repo):
    """A master that watches pull requests, after its first look, and a worker."""
    def start(schedulers=PROPOSALS, poll="1s"):
        repo.commit({"test.sh": "echo first\n"}, "first")
        repo.git("push", "-q", "origin", "HEAD:refs/pull/1/head", "HEAD:refs/pull/1/merge")
        text = CONFIG.format(repo=repo.bare, builders=TEST).replace("build_first: true}", "hook_secret: hook}").replace("poll: 1s", "poll: " + poll)
        text = text.replace(SCHEDULE, "  - {name: push, kind: branch, project: p, branches: [master], builders: [test]}\n" + schedulers)
        text = text.replace("to: stable}", "to: stable, builders: [test]}")
        pawl.configure(text + "secrets: {hook: {env: HOOK}, token: {env: TOKEN}}\n")
        pawl.start_master({"HOOK": SECRET, "TOKEN": "a-secret-token"})
        pawl.join_untrusted(slots=2)
        pawl.start_worker()
        looked(pawl)
        return repo
    return start


def propose(repo, ref, text, message="proposed", onto="master"):
    """A commit that only that ref has; the work tree goes back to where it was."""
    repo.git("checkout", "-q", "--detach", onto)
    rev = repo.commit({"test.sh": text}, message, push=False)
    repo.git("push", "-q", "--force", "origin", f"HEAD:{ref}")
    repo.git("checkout", "-q", "master")
    return rev


def deliver(pawl, kind, event, body, secret=SECRET, delivery=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    mac = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    headers = {"github": {"X-Hub-Signature-256": "sha256=" + mac, "X-GitHub-Event": event, "X-GitHub-Delivery": delivery or str(uuid.uuid4())},
               "gitlab": {"X-Gitlab-Token": secret, "X-Gitlab-Event": event}}[kind]
    r = urllib.request.Request(f"{pawl.url}/hooks/{kind}/p", data=data, headers=dict(headers, **{"Content-Type": "application/json"}), method="POST")
    try:
        with urllib.request.urlopen(r, timeout=30) as a:
            return a.status
    except urllib.error.HTTPError as e:
        e.read()
        return e.code


def test_head(pawl, forge):
    """Built under the proposal's name; neither promoted nor the latest of a branch; what was there at the first look is not built."""
    repo = forge()
    rev = propose(repo, "refs/pull/7/head", "echo seventh\n")
    b = pawl.built("test", rev)
    assert (b["branch"], b["result"]) == ("pull/7", "success"), b
    assert pawl.raw_log(b["id"], "test") == b"pull/7 7\nseventh\n"
    assert [(c["source"], c["forced"], c["tip"]) for c in changes(pawl, "pull/7")] == [("proposal", False, True)]
    assert changes(pawl, "pull/1") == []
    again = propose(repo, "refs/pull/7/head", "echo again\n")
    assert pawl.built("test", again)["branch"] == "pull/7"
    assert [c["forced"] for c in changes(pawl, "pull/7")] == [True, False]
    assert all(x["branch"] != "pull/7" for x in pawl.get("/status")["items"])
    # green as a proposal, now the tip of master: that says nothing of master before it was built there
    pawl.post("/workers/w1/pause")
    repo.git("push", "-q", "origin", f"{again}:refs/heads/master")
    until(lambda: [r for r in pawl.get("/requests?state=waiting")["items"] if r["branch"] == "master"], 30, "the request")
    p = until(lambda: next((p for p in pawl.get("/promotions?edges=1")["items"] if p["state"] == "waiting"), None), 30, "the edge")
    assert repo.ref("stable") is None, p
    pawl.post("/workers/w1/resume")
    until(lambda: repo.ref("stable") == again, 60, "the promotion")
    # gone with its ref: its queue is cancelled
    pawl.post("/workers/w1/pause")
    propose(repo, "refs/pull/7/head", "echo never\n")
    until(lambda: [r for r in pawl.get("/requests?state=waiting")["items"] if r["branch"] == "pull/7"], 30, "the request")
    repo.git("push", "-q", "origin", ":refs/pull/7/head")
    until(lambda: not pawl.get("/requests?state=waiting")["items"], 30, "the end of its queue")


def test_restart_and_reload(pawl, forge):
    """What moves while the master is down, or between two reloads, is built once; who asks for them again begins anew."""
    repo = forge()
    one = propose(repo, "refs/pull/2/head", "echo one\n")
    pawl.built("test", one)
    pawl.kill(pawl.master)
    two = propose(repo, "refs/pull/3/head", "echo two\n")
    pawl.start_master({"HOOK": SECRET, "TOKEN": "a-secret-token"})
    pawl.built("test", two)
    text = open(pawl.config).read()
    for new in (text.replace(PROPOSALS, ""), text):
        pawl.configure(new)
        at = pawl.log("master").count("configuration_read")
        pawl.master.send_signal(1)
        until(lambda: pawl.log("master").count("configuration_read") > at, 30, "the reload")
        if new != text:  # nobody looks at them now
            propose(repo, "refs/pull/4/head", "echo unseen\n")
            rev = repo.commit({"test.sh": "echo master\n"}, "on master")
            pawl.built("test", rev)
    rev = repo.commit({"test.sh": "echo master 2\n"}, "on master again")
    pawl.built("test", rev)
    three = propose(repo, "refs/pull/5/head", "echo three\n")
    pawl.built("test", three)
    got = [b["branch"] for b in pawl.builds("?limit=100")]
    assert sorted(b for b in got if b.startswith("pull/")) == ["pull/2", "pull/3", "pull/5"], got


def test_trust(pawl, forge):
    """No secrets for what others propose; those of a branch of ours, seen at its tip, have them."""
    repo = forge(PROPOSALS.replace("[test]", "[ship]"))
    theirs = propose(repo, "refs/pull/7/head", "echo theirs\n")
    b = pawl.built("ship", theirs)
    assert b["result"] == "exception", b
    detail = pawl.get(f"/builds/{b['id']}")
    assert "gets no secrets" in json.dumps(detail), detail
    ours = propose(repo, "refs/heads/feature", "echo ours\n")
    repo.git("push", "-q", "origin", f"{ours}:refs/pull/8/head")
    b = pawl.built("ship", ours)
    assert (b["branch"], b["result"]) == ("pull/8", "success") and pawl.raw_log(b["id"], "ship") == b"<***>\n"
    # rebuilt it is as untrusted
    r = pawl.post(f"/builds/{pawl.builds(f'?revision={theirs}')[0]['id']}/retry")["requests"][0]
    assert pawl.build_of(r)["result"] == "exception"
    assert not files_with(pawl.dir, [b"a-secret-token"])


def test_merge_and_other_forges(pawl, forge):
    """What the forge merged, never with secrets; merge requests; refs/for/TARGET."""
    repo = forge(PROPOSALS.replace("name: pr,", "name: merged, ref: merge,").replace("[test]", "[ship]") + PROPOSALS)
    head = propose(repo, "refs/merge-requests/3/head", "echo head\n")
    assert pawl.built("test", head)["branch"] == "merge-requests/3"
    repo.git("checkout", "-q", "--detach", "master")
    repo.git("merge", "-q", "--no-ff", "-m", "merged", head)
    merge = repo.git("rev-parse", "HEAD")
    # also at the tip of a branch of ours
    repo.git("push", "-q", "origin", "HEAD:refs/merge-requests/3/merge", "HEAD:refs/heads/same")
    repo.git("checkout", "-q", "master")
    b = pawl.built("ship", merge)
    assert (b["branch"], b["result"]) == ("merge-requests/3", "exception")
    pushed = propose(repo, "refs/for/master", "echo for\n")
    b = pawl.built("test", pushed)
    assert b["branch"] == "for/master" and pawl.raw_log(b["id"], "test") == b"for/master master master\nfor\n"
    other = propose(repo, "refs/for/other", "echo other\n")
    until(lambda: changes(pawl, "for/other"), 30, "the change")
    assert pawl.builds(f"?revision={other}") == []


def pull_request(number, target, title, head="ann/r"):
    return {"action": "opened", "number": number,
            "pull_request": {"number": number, "title": title, "user": {"login": "ann"}, "head": {"ref": "x", "repo": {"full_name": head}},
                             "base": {"ref": target, "repo": {"full_name": "ada/r"}}}}


def test_what_hooks_tell(pawl, forge):
    """Number, target, title and author; the repository stays the truth: what only a hook speaks of is nothing."""
    repo = forge(poll="1h")
    assert deliver(pawl, "github", "pull_request", pull_request(9, "master", "A better hello")) == 202
    assert deliver(pawl, "github", "pull_request", pull_request(10, "old", "For another branch")) == 202
    assert deliver(pawl, "github", "pull_request", pull_request(11, "master", "lie"), secret="wrong") == 401
    nine = propose(repo, "refs/pull/9/head", "echo nine\n")
    ten = propose(repo, "refs/pull/10/head", "echo ten\n")
    assert deliver(pawl, "github", "ping", {"zen": "wake up"}) == 202
    b = pawl.built("test", nine)
    assert pawl.raw_log(b["id"], "test") == b"pull/9 9 master\nnine\n"
    request = next(r for r in pawl.get("/requests")["items"] if r["build"] == b["id"])
    assert request["reason"] == "proposal pull/9 into master by ann: A better hello", request
    until(lambda: changes(pawl, "pull/10"), 30, "the change")
    assert pawl.builds(f"?revision={ten}") == []
    assert deliver(pawl, "gitlab", "Merge Request Hook", {"object_kind": "merge_request", "user": {"username": "eve"}, "object_attributes": {
        "iid": 4, "target_branch": "old", "title": "t", "source_project_id": 1, "target_project_id": 2}}) == 202
    assert changes(pawl, "merge-requests/4") == []


@pytest.mark.parametrize("text", ["[ci skip]", "[Skip CI]", "[no ci]", "***NO_CI***"])
def test_ci_skip(pawl, repo, text):
    """Recorded as a change that says why; the next commit builds, and what comes by hand, too."""
    repo.commit({"test.sh": "echo first\n"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders="  - {name: test, project: p, steps: [checkout: {}, {run: sh test.sh}]}\n"))
    pawl.start_master()
    pawl.start_worker()
    pawl.built("test", repo.git("rev-parse", "HEAD"))
    skipped = repo.commit({"test.sh": "echo skipped\n"}, f"words only\n\nNothing to build here.\n{text}\n")
    c = until(lambda: next((c for c in changes(pawl, "master") if c["revision"] == skipped), None), 30, "the change")
    assert c["note"] == "its message asks for no build ([ci skip])"
    assert "asks for no build" in pawl.pawl("changes", "--branch", "master").splitlines()[1]
    built = repo.commit({"test.sh": "echo built\n"}, "to be built")
    assert pawl.built("test", built)["result"] == "success"
    assert [b["revision"] for b in pawl.builds()].count(skipped) == 0
    pawl.build_of(pawl.post("/force", {"builder": "test", "branch": "master", "revision": skipped, "reason": "all the same"})["requests"][0])
