"""Where changes come from: every transport that people have, into which is pushed; and what of it makes builds."""
import json, os, signal
import pytest
from conftest import BUILD, CONFIG, Repo, alive, until
from servers import Daemon, Http, Ssh, credentials, write
from test_secrets import files_with

TEST = "  - {name: test, project: p, steps: [checkout: {}, {name: test, run: sh test.sh}]}\n"
SCHEDULE = "  - {name: push, kind: branch, project: p, branches: [master]}\n"
PROMOTE = "  - {name: stable, kind: green, project: p, from: master, to: stable}\n"


@pytest.fixture
def serve(tmp_path):
    """Starts a server over the folder in which `repo` is."""
    servers = []

    def start(kind):
        servers.append(kind(tmp_path / kind.scheme, tmp_path))
        return servers[-1]
    yield start
    for s in servers:
        s.stop()


def master_yaml(url, secrets="", project="", schedulers="  - {name: push, kind: branch, project: p, branches: [\"*\"]}\n", builders=TEST,
                promotions="  - {name: stable, kind: green, project: p, from: master, to: stable, builders: [test]}\n", first=True):
    text = CONFIG.format(repo=url, builders=builders).replace("build_first: true}", f"build_first: {str(first).lower()}{project}}}")
    return text.replace(SCHEDULE, schedulers).replace(PROMOTE, promotions) + secrets


def changes(pawl, branch):
    return pawl.get(f"/changes?branch={branch}")["items"]


def project(pawl, name="p"):
    return next(p for p in pawl.get("/projects")["items"] if p["name"] == name)


def looked(pawl, name="p"):
    until(lambda: any(p["name"] == name and p["state"] == "ok" for p in pawl.get("/projects")["items"]), 30, "the first look")


@pytest.mark.parametrize("kind", [None, Daemon, Http, Ssh], ids=["file", "git", "http", "ssh"])
def test_every_transport(pawl, repo, serve, kind):
    """Pushed through the server itself: the build, its checkout, the promotion back; a forced push; a deleted branch."""
    repo.commit({"test.sh": "echo hello\n"}, "first")
    server = serve(kind) if kind else None
    url = server.url("repo.git") if server else "file://" + repo.bare
    push_url = url
    if kind is Http:
        push_url = url.replace("http://", "http://bot:" + "Pass%2Fw0rd%2B%C3%A9%27x@")
    if kind is Ssh:
        repo.env["GIT_SSH_COMMAND"] = server.pusher()
    repo.git("remote", "set-url", "origin", push_url)
    pawl.configure(master_yaml(url, *credentials(server) if server else ("", "")))
    pawl.start_master()
    pawl.start_worker(slots=2)
    first = repo.git("rev-parse", "HEAD")
    assert pawl.built("test", first)["result"] == "success"
    until(lambda: repo.ref("stable") == first, 30, "the promotion, pushed through the server")
    second = repo.commit({"test.sh": "echo second\n"}, "second")
    b = pawl.built("test", second)
    assert b["result"] == "success" and pawl.raw_log(b["id"], "test") == b"second\n"
    assert [(c["revision"], c["forced"], c["subject"]) for c in changes(pawl, "master")] == [(second, False, "second"), (first, False, "first")]
    # a forced push is a change that says so
    repo.git("push", "-q", "origin", "HEAD:refs/heads/other")
    pawl.built("test", second)
    until(lambda: changes(pawl, "other"), 30, "the branch")
    repo.git("commit", "-q", "--amend", "-m", "amended")
    amended = repo.git("rev-parse", "HEAD")
    repo.git("push", "-q", "--force", "origin", "HEAD:refs/heads/other")
    assert pawl.built("test", amended)["branch"] == "other"
    assert [(c["revision"], c["forced"]) for c in changes(pawl, "other")] == [(amended, True), (second, False)]
    # one that is deleted takes what waits for it with it
    pawl.post("/workers/w1/pause")
    repo.git("commit", "-q", "--amend", "-m", "never built")
    repo.git("push", "-q", "--force", "origin", "HEAD:refs/heads/other")
    waiting = until(lambda: [r for r in pawl.get("/requests?state=waiting")["items"] if r["branch"] == "other"], 30, "the request")
    repo.git("push", "-q", "origin", ":refs/heads/other")
    until(lambda: not pawl.get("/requests?state=waiting")["items"], 30, "the end of its queue")
    request = next(r for r in pawl.get("/requests")["items"] if r["id"] == waiting[0]["id"])
    assert request["state"] == "done" and request["build"] is None


def test_first_look_builds_nothing(pawl, repo):
    repo.commit({"test.sh": "true\n"}, "old")
    pawl.configure(master_yaml(repo.bare, first=False))
    pawl.start_master()
    pawl.start_worker()
    looked(pawl)
    assert pawl.get("/changes")["items"] == [] and pawl.get("/requests")["items"] == []
    # what is pushed while the master is down is built exactly once when it is back
    pawl.kill(pawl.master)
    revs = [repo.commit({"test.sh": f"echo {i}\n"}, f"commit {i}") for i in range(3)]
    pawl.start_master()
    pawl.built("test", revs[-1])
    assert [c["revision"] for c in changes(pawl, "master")] == revs[::-1] and [c["tip"] for c in changes(pawl, "master")] == [True, False, False]
    assert [b["revision"] for b in pawl.builds()] == revs[-1:]


def test_tags(pawl, repo):
    """A tag that matches is a change of a branch of the tag's name; others are none."""
    repo.commit({"test.sh": "echo $PAWL_BRANCH\n"}, "first")
    pawl.configure(master_yaml(repo.bare, project=', tags: ["v*"]', first=False, schedulers="  - {name: tag, kind: branch, project: p, branches: [\"v*\"]}\n"))
    pawl.start_master()
    pawl.start_worker()
    looked(pawl)
    rev = repo.git("rev-parse", "HEAD")
    repo.git("tag", "-a", "v1.0", "-m", "release")
    repo.git("tag", "nightly")
    repo.git("push", "-q", "origin", "v1.0", "nightly")
    b = pawl.built("test", rev)
    assert b["branch"] == "v1.0" and pawl.raw_log(b["id"], "test") == b"v1.0\n"
    assert [(c["branch"], c["revision"]) for c in pawl.get("/changes")["items"]] == [("v1.0", rev)]


def test_many_repositories_one_broken(pawl, tmp_path):
    """The others go on, however long the broken one takes; how it is, is shown."""
    repos = [Repo(str(tmp_path / f"r{i}")) for i in range(12)]
    for i, r in enumerate(repos):
        r.commit({"a": str(i)}, f"first of {i}")
    os.rename(repos[0].bare, repos[0].bare + ".away")
    names = [f"p{i}" for i in range(12)]
    text = "name: test\nweb: {listen: \"127.0.0.1:0\"}\nworkers: {listen: \"tcp://127.0.0.1:0\"}\nprojects:\n"
    text += "".join(f"  - {{name: {n}, repository: \"{r.bare}\", poll: 1s, build_first: true}}\n" for n, r in zip(names, repos))
    text += "builders:\n" + "".join(f"  - {{name: test, project: {n}, steps: [{{run: 'true'}}]}}\n" for n in names)
    pawl.configure(text)
    pawl.start_master()
    pawl.start_worker(slots=2)
    until(lambda: sum(b["state"] == "done" for b in pawl.builds("?limit=100")) == 11, 60, "the builds of the others")
    p = until(lambda: project(pawl, "p0")["failures"] >= 3 and project(pawl, "p0"), 60, "the back-off")
    assert p["state"] == "failing" and "does not appear to be a git repository" in p["trouble"] and p["next_look"], p
    assert all(project(pawl, n)["state"] == "ok" and project(pawl, n)["trouble"] is None for n in names[1:])
    repos[1].commit({"a": "again"}, "second")
    pawl.built("test", repos[1].git("rev-parse", "HEAD"))
    os.rename(repos[0].bare + ".away", repos[0].bare)
    assert pawl.built("test", repos[0].git("rev-parse", "HEAD"), 120)["project"] == "p0"
    assert project(pawl, "p0")["state"] == "ok" and project(pawl, "p0")["failures"] == 0


# ---- credentials

def values(server):
    if server.scheme == "http":
        return [server.password.encode()]
    return [line for line in open(server.key, "rb").read().split(b"\n") if len(line) > 20 and b"-----" not in line]


def watch_arguments(pawl, needles):
    """Command lines and environments of all processes that this test can see, now."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for what in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{what}", "rb") as f:
                    data = f.read()
            except OSError:
                continue
            if int(pid) != os.getpid():
                found += [(pid, what, data[:200]) for n in needles if n in data]
    return found


@pytest.mark.parametrize("kind", [Http, Ssh], ids=["http", "ssh"])
def test_credentials(pawl, repo, serve, kind):
    """A private repository: read, checked out and pushed to with the project's credentials, which nothing keeps or shows."""
    server = serve(kind)
    repo.commit({"test.sh": "env | sort; for i in 1 2 3; do cat $TMPDIR/../*.tmp/*/* 2>/dev/null; done; echo end\n"}, "first")
    # slow to answer, so that the children that log in can be looked at
    write(os.path.join(repo.bare, "hooks", "pre-receive"), "#!/bin/sh\nsleep 0.5\n", 0o755)
    pawl.configure(master_yaml(server.url("repo.git"), *credentials(server)))
    pawl.start_master()
    pawl.start_worker()
    rev = repo.git("rev-parse", "HEAD")
    seen = []
    until(lambda: seen.extend(watch_arguments(pawl, values(server))) or repo.ref("stable") == rev, 60, "the promotion")
    assert not seen, "no value in an argument or an environment"
    b = pawl.built("test", rev)
    log = pawl.raw_log(b["id"], "test").decode()
    assert b["result"] == "success" and "GIT_ASKPASS" not in log and "GIT_SSH_COMMAND" not in log and log.endswith("end\n")
    for p in [pawl.master, *pawl.workers.values()]:
        pawl.kill(p, signal.SIGTERM)
    kept = [f for f in files_with(pawl.dir, values(server)) if not f[0].startswith(server.folder)]
    assert not kept, kept
    pawl.start_master()
    pawl.start_worker()
    for path in ("/projects", "/builds", f"/builds/{b['id']}", f"/builds/{b['id']}/steps"):
        assert not [v for v in values(server) if v in pawl.request("GET", path)[1]], path
    # killed while it is logged in: the next start sweeps
    repo.commit({"n": "1"}, "next")
    until(lambda: os.path.isdir(os.path.join(pawl.state, "login")), 10, "a login")
    pawl.kill(pawl.master)
    os.makedirs(os.path.join(pawl.state, "login", "login-killed"), exist_ok=True)
    pawl.start_master()
    assert not os.path.exists(os.path.join(pawl.state, "login", "login-killed"))
    pawl.built("test", repo.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("kind", [Http, Ssh], ids=["http", "ssh"])
def test_wrong_credentials(pawl, repo, serve, kind):
    """The refusal names the project and the cure, on the master and in the build; then the cure helps."""
    server = serve(kind)
    rev = repo.commit({"test.sh": "echo hello\n"}, "first")
    secrets, login = credentials(server, right=False)
    key = "\"ssh_key\"" if kind is Ssh else "\"user\" and \"password\""
    pawl.configure(master_yaml(server.url("repo.git"), secrets, login))
    pawl.start_master()
    trouble = until(lambda: pawl.get("/projects")["items"] and project(pawl)["trouble"], 30, "the refusal")
    assert 'does not take the "credentials" of project "p"' in trouble and f"mend its {key}" in trouble, trouble
    assert not [v for v in values(server) + [b"not the password"] if v.decode() in trouble + pawl.log("master")]
    credentials(server)
    pawl.configure(master_yaml(server.url("repo.git"), *credentials(server)))
    pawl.master.send_signal(signal.SIGHUP)
    looked(pawl)
    # the worker is refused where the master was let in
    if kind is Http:
        write(os.path.join(server.folder, "users"), "bot:changed\n", 0o600)
    else:
        write(os.path.join(server.folder, "keys"), open(server.other + ".pub").read())
    pawl.start_worker()
    b = pawl.built("test", rev, 120)
    assert b["result"] == "exception" and b["attempt"] >= 3, b
    reason = pawl.get(f"/builds/{b['id']}/steps")["items"][0]["reason"]
    assert 'does not take the "credentials" of project "p"' in reason and "mend" in reason, reason


def test_no_credentials(pawl, repo, serve):
    """None at all: told to give some. And a project that git can log in at by nothing else is not asked for a password."""
    server = serve(Http)
    repo.commit({"a": "1"}, "first")
    pawl.configure(master_yaml(server.url("repo.git")))
    pawl.start_master()
    trouble = until(lambda: pawl.get("/projects")["items"] and project(pawl)["trouble"], 30, "the refusal")
    assert 'give project "p" "credentials"' in trouble, trouble


def test_known_hosts(pawl, repo, serve):
    """The server's key is always checked: unknown, another one, the right one."""
    server = serve(Ssh)
    repo.commit({"test.sh": "true\n"}, "first")
    secrets = f"secrets: {{login: {{file: {server.key}}}}}\n"

    def configure(hosts):
        pawl.configure(master_yaml(server.url("repo.git"), secrets, ", credentials: {ssh_key: login" + hosts + "}"))
    configure("")
    pawl.start_master()
    trouble = until(lambda: pawl.get("/projects")["items"] and project(pawl)["trouble"], 30, "the refusal")
    assert 'give the "credentials" of project "p" a "known_hosts", as "ssh-keyscan" prints it' in trouble, trouble
    configure(f", known_hosts: \"{server.stranger.strip()}\"")
    pawl.master.send_signal(signal.SIGHUP)
    until(lambda: "the right \"known_hosts\"" in (project(pawl)["trouble"] or ""), 60, "the other refusal")
    configure(f", known_hosts: \"{server.known.strip()}\"")
    pawl.master.send_signal(signal.SIGHUP)
    looked(pawl)


def test_workers_own_key(pawl, repo, serve):
    """A build that is not trusted gets no credentials of the project: the worker's own do, or it says so."""
    server = serve(Ssh)
    repo.commit({"test.sh": "echo mine\n"}, "first")
    secrets, login = credentials(server)
    pawl.configure(master_yaml(server.url("repo.git"), secrets, ", branches: [master]" + login, builders=TEST.replace("name: test, p", "name: test, retries: 0, p")))
    pawl.start_master()
    pawl.join_untrusted()
    pawl.start_worker()
    pawl.built("test", repo.git("rev-parse", "HEAD"))  # the trusted one; the worker's mirror has not what comes now
    rev = repo.commit({"test.sh": "echo theirs\n"}, "second", branch="theirs")

    def force():
        return pawl.post("/force", {"builder": "test", "branch": "theirs", "revision": rev, "reason": "look"})["requests"][0]
    b = pawl.build_of(force())
    reason = pawl.get(f"/builds/{b['id']}/steps")["items"][0]["reason"]
    assert b["result"] == "exception" and ('this worker "git: {ssh_key: FILE}"' in reason or 'or to "git" in worker.yaml' in reason), reason
    write(os.path.join(pawl.dir, "hosts"), server.known)
    with open(os.path.join(pawl.dir, "w1.yaml"), "a") as f:
        f.write(f"git: {{ssh_key: {server.key}, known_hosts: hosts}}\n")
    pawl.kill(pawl.workers["w1"], signal.SIGTERM)
    pawl.start_worker()
    b = pawl.build_of(force())
    assert b["result"] == "success" and pawl.raw_log(b["id"], "test") == b"theirs\n"
