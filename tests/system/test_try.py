"""`pawl try`: what is not pushed is sent as it is, built as it is, and leaves the developer's work tree, and the branches, as they are."""
import base64, glob, hashlib, json, os, signal, sqlite3, stat, subprocess, threading, uuid
import pytest
from conftest import BUILD, CONFIG, SLOW, until
from test_sources import SCHEDULE

SHOW = ("echo $PAWL_BRANCH $PAWL_REASON; test ! -e gone.txt; cat kept.txt new/x.txt; cmp bin copy.bin; readlink link; test -x run.sh; test ! -e skipped.o; "
        "git log --format=%s origin..HEAD 2>/dev/null || git log --format=%s -4")
BUILDERS = (f"  - {{name: show, project: p, steps: [checkout: {{}}, {{name: show, run: '{SHOW}'}}]}}\n"
            "  - {name: red, project: p, steps: [{name: no, run: 'echo to stdout; exit 3'}]}\n"
            "  - {name: ship, project: p, env: {TOKEN: \"${secret:token}\"}, steps: [{name: ship, run: 'echo \"<$TOKEN>\"'}]}\n"
            "  - {name: byhand, project: p, manual: true, steps: [{run: 'true'}]}\n"
            "  - {name: docs, project: p, run_if_changed: [\"doc/**\"], steps: [{run: 'true'}]}\n")


def conf(repo):
    text = CONFIG.format(repo=repo.bare, builders=BUILDERS).replace("build_first: true}", "build_first: false}")
    text = text.replace(SCHEDULE, "  - {name: push, kind: branch, project: p, branches: [master], builders: [show]}\n")
    return text.replace("to: stable}", "to: stable, builders: [show]}") + "secrets: {token: {env: TOKEN}}\n"


def start(pawl, more=None):
    pawl.start_master(dict({"TOKEN": "a-secret-token"}, **(more or {})))
    # without a token: that it was used is a command, whose answer a fault may wait for
    until(lambda: json.loads(pawl.request("GET", "/projects", token=False)[1])["items"][0]["branches"], 30, "the first look")


@pytest.fixture
def tried(pawl, repo):
    """A master that knows the repository, no worker yet, and a work tree in which everything may differ."""
    repo.commit({"kept.txt": "one\n", "gone.txt": "gone\n", "run.sh": "true\n", ".gitignore": "*.o\n", "copy.bin": "same\n", "bin": "other\n"}, "first")
    repo.git("fetch", "-q")
    pawl.configure(conf(repo))
    start(pawl)
    return repo


def change(repo):
    """Uncommitted of every kind: changed, new, deleted, binary, mode, link; staged and not; something ignored."""
    data = bytes(range(256)) * 20
    for name in ("bin", "copy.bin"):
        open(os.path.join(repo.tree, name), "wb").write(data)
    open(os.path.join(repo.tree, "kept.txt"), "w").write("two\n")
    os.mkdir(os.path.join(repo.tree, "new"))
    open(os.path.join(repo.tree, "new/x.txt"), "w").write("untracked\n")
    open(os.path.join(repo.tree, "skipped.o"), "w").write("ignored\n")
    os.unlink(os.path.join(repo.tree, "gone.txt"))
    os.symlink("new/x.txt", os.path.join(repo.tree, "link"))
    os.chmod(os.path.join(repo.tree, "run.sh"), 0o755)
    repo.git("add", "bin")


def picture(repo):
    """All of the work tree, its index, refs and objects."""
    found = {}
    for top, dirs, files in os.walk(repo.tree):
        for f in files + dirs:
            path = os.path.join(top, f)
            st = os.lstat(path)
            body = os.readlink(path) if stat.S_ISLNK(st.st_mode) else hashlib.sha256(open(path, "rb").read()).hexdigest() if stat.S_ISREG(st.st_mode) else ""
            found[os.path.relpath(path, repo.tree)] = (st.st_mode, body, None if "/objects/" in path else st.st_mtime_ns)
    return found


def run(pawl, repo, *args, code=0, token=None, env=None, where=None):
    argv = [f"{BUILD}/pawl"] + (["--url", pawl.url, "--token-file", token] if token else ["--state", pawl.state])
    p = subprocess.run([*argv, *args], cwd=where or repo.tree, env=dict(repo.env, TMPDIR=pawl.dir, **(env or {})), capture_output=True, text=True, timeout=120 * SLOW,
                       stdin=subprocess.DEVNULL)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    assert not glob.glob(os.path.join(pawl.dir, "pawl-try-*"))
    return p.stdout if code == 0 else p.stdout + p.stderr


def mirror(pawl, repo, *args):
    return repo.git("--git-dir", glob.glob(os.path.join(pawl.state, "mirrors/*.git"))[0], *args)


def tries(pawl):
    return sorted(os.listdir(os.path.join(pawl.state, "tries")))


def send(pawl, query="", body=b"", key=None, kind="application/octet-stream", code=202):
    """By REST alone."""
    import urllib.error, urllib.request
    r = urllib.request.Request(pawl.url + "/api/v1/try" + query, data=body, method="POST",
                               headers={"Authorization": "Bearer " + pawl.token(), "Content-Type": kind, "Idempotency-Key": key or str(uuid.uuid4())})
    try:
        with urllib.request.urlopen(r, timeout=60 * SLOW) as a:
            got, text = a.status, a.read()
    except urllib.error.HTTPError as e:
        got, text = e.code, e.read()
    assert got == code, (got, text)
    return json.loads(text)


def patch_of(repo):
    repo.git("add", "-A")
    p = subprocess.run(["git", "diff", "--cached", "--binary", "HEAD"], cwd=repo.tree, env=repo.env, capture_output=True)
    repo.git("reset", "-q")
    return p.stdout


def test_what_is_sent(pawl, tried):
    """Every kind of change arrives; commits are kept; the work tree, its index, refs and objects are as before."""
    repo = tried
    base = repo.git("rev-parse", "HEAD")
    repo.commit({"kept.txt": "local\n"}, "mine", push=False)
    local = repo.git("rev-parse", "HEAD")
    change(repo)
    repo.git("status")
    before = picture(repo)
    out = run(pawl, repo, "try", "show", "--no-wait", "--reason", "does it?", "--prop", "flavour=big")
    assert picture(repo) == before
    assert f"sent: 7 files changed (7 not committed), 1 commit on top of {base[:7]} of master" in out, out
    r = pawl.get("/requests?limit=1")["items"][0]
    assert (r["builder"], r["branch"], r["reason"], r["who"], r["priority"], f"request {r['id']}" in out) == ("show", "master", "try by admin: does it?", "admin", 100, True), r
    rev = r["revision"]
    assert mirror(pawl, repo, "rev-parse", "refs/pawl/try/1") == rev and mirror(pawl, repo, "rev-parse", rev + "^") == local
    assert mirror(pawl, repo, "log", "-1", "--format=%s|%an|%cn", rev) == "try 1 by admin: does it?|Ada|Pawl"
    listing = {line.split("\t")[1]: line.split()[0] for line in mirror(pawl, repo, "ls-tree", "-r", rev).split("\n")}
    assert listing == {"kept.txt": "100644", "new/x.txt": "100644", "run.sh": "100755", "link": "120000", ".gitignore": "100644", "bin": "100644", "copy.bin": "100644"}
    assert mirror(pawl, repo, "show", rev + ":kept.txt") == "two"
    assert ("admin", "try", "p") in [(d["actor"], d["action"], d["object"]) for d in pawl.get("/audit")["items"]]
    # nothing more than that commit: no branch of the repository has it, the poller tells nothing of it
    assert repo.git("ls-remote", repo.bare).count("\n") == 1 and tries(pawl) == ["1-1.bundle"]
    # from a folder below, without a name: all builders but those that a person starts; what did not change is skipped
    out = run(pawl, repo, "--json", "try", "--no-wait", where=os.path.join(repo.tree, "new"))
    a = json.loads(out)
    assert (a["try"], a["base"], a["commits"], len(a["requests"])) == (2, base, 1, 4) and a["revision"] != rev
    got = {pawl.get(f"/requests/{i}")["builder"]: pawl.get(f"/requests/{i}") for i in a["requests"]}
    assert set(got) == {"show", "red", "ship", "docs"} and got["docs"]["build"] and pawl.get(f"/builds/{got['docs']['build']}")["result"] == "skipped"
    # never merged: two of one builder, branch and properties both wait
    run(pawl, repo, "try", "show", "--no-wait")
    run(pawl, repo, "try", "show", "--no-wait")
    assert sum(x["builder"] == "show" and x["state"] == "waiting" for x in pawl.get("/requests")["items"]) == 4
    # a commit that is sent as it is, and pushed later, is not the one that was tried
    repo.git("checkout", "-q", "--", ".")
    repo.git("push", "-q", "origin", "HEAD:master")
    until(lambda: [x for x in pawl.get("/requests")["items"] if x["revision"] == local and x["builder"] == "show"], 30, "its own request")


def test_what_is_refused(pawl, tried):
    repo = tried
    base = repo.git("rev-parse", "HEAD")
    # the command line
    assert "nothing differs" in run(pawl, repo, "try", code=1)
    assert "--base" in run(pawl, repo, "try", "--base", "nonesuch", code=2)
    assert "files of a git repository" in run(pawl, repo, "try", code=1, where=pawl.dir)
    assert 'there is no project "q"' in run(pawl, repo, "try", "--project", "q", code=1)
    change(repo)
    assert 'there is no builder "p/none"' in run(pawl, repo, "try", "none", code=1)
    assert 'there is no branch "none"' in run(pawl, repo, "try", "--branch", "none", "--base", base, code=1)
    repo.git("remote", "set-url", "origin", "https://other.example.org/x.git")
    assert "name one with --project" in run(pawl, repo, "try", code=1)
    assert "--base" in run(pawl, repo, "try", "--project", "p", code=2)
    out = json.loads(run(pawl, repo, "--json", "try", "show", "--project", "p", "--base", base, "--no-wait"))
    assert out["try"] == 1
    repo.git("remote", "set-url", "origin", repo.bare)
    # who may not
    made = pawl.post("/tokens", {"name": "looker", "scopes": ["read"]}, 201)
    path = os.path.join(pawl.dir, "token")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(made["token"])
    assert "build" in run(pawl, repo, "try", "show", code=1, token=path)
    # a base that nobody has pushed, an unrelated one
    local = repo.commit({"mine.txt": "mine\n"}, "mine", push=False)
    open(os.path.join(repo.tree, "mine.txt"), "w").write("more\n")
    assert "no branch or tag of the repository has revision " + local in run(pawl, repo, "try", "--base", "HEAD", code=1)
    repo.git("checkout", "-q", "--", ".")
    # by REST: what git says of it, nothing of it is kept
    rows = len(pawl.get("/requests")["items"])
    bad = send(pawl, f"?project=p&base={base}&type=patch", b"diff --git a/kept.txt b/kept.txt\n--- a/kept.txt\n+++ b/kept.txt\n@@ -1 +1 @@\n-zero\n+two\n", code=422)
    assert "kept.txt" in bad["error"]["message"] and "does not apply" in bad["error"]["message"], bad
    for query, body, code, what in (
            (f"?project=p&base={base}", b"no bundle", 422, "no bundle of git"), (f"?project=p&base={'1' * 40}", b"x", 422, "no branch or tag"),
            (f"?project=p&base={base}&type=patch", b"", 422, "patch"), ("?project=p", b"x", 400, '"base"'), (f"?project=p&base={base}&type=zip", b"x", 400, "zip"),
            (f"?project=p&base={base}&properties=%7B%22branch%22:1%7D", b"x", 400, "branch"), ("?project=x&base=" + base, b"x", 404, '"x"'),
            (f"?project=p&base={base}&builders=show,none", b"x", 404, "none"), ("?bose=" + base, b"x", 400, "bose")):
        got = send(pawl, query, body, code=code)
        assert what in got["error"]["message"] and pawl.state not in got["error"]["message"], got
    text = {"project": "p", "base": base}
    for more, code, what in (({}, 400, "either"), ({"patch": "*"}, 400, "base64"), ({"bundle": "x=x"}, 400, "base64"), ({"patch": "a", "bundle": "a"}, 400, "either"),
                             ({"patch": "eA==", "builders": "show"}, 400, "list")):
        assert what in send(pawl, "", json.dumps(dict(text, **more)).encode(), kind="application/json", code=code)["error"]["message"], more
    assert send(pawl, "", b"{}", kind="text/plain", code=415)
    assert len(pawl.get("/requests")["items"]) == rows
    until(lambda: tries(pawl) == ["1-1.bundle"], 20, "nothing but the one")


def test_by_rest(pawl, tried):
    """A patch or a bundle, as JSON or as it is; the same key gets the same answer, also while the first is worked on."""
    repo = tried
    base = repo.git("rev-parse", "HEAD")
    change(repo)
    patch = patch_of(repo)
    want = None
    key = str(uuid.uuid4())
    for query, body, kind in ((f"?project=p&base={base}&type=patch&builders=show&branch=master&properties=%7B%22flavour%22:%22big%22%7D", patch, "application/octet-stream"),
                              ("", json.dumps({"base": base, "patch": base64.b64encode(patch).decode(), "builders": ["p/show"]}).encode(), "application/json"),
                              ("", json.dumps({"base": base, "patch": patch.decode("latin-1")}).encode(), "application/json")):
        a = send(pawl, query, body, kind=kind, key=key if query else None)
        assert (a["base"], a["commits"]) == (base, 0)
        tree = mirror(pawl, repo, "rev-parse", a["revision"] + "^{tree}")
        want = want or tree
        assert tree == want
    assert mirror(pawl, repo, "log", "-1", "--format=%an|%P", a["revision"]) == "admin|" + base
    again = send(pawl, f"?project=p&base={base}&type=patch&builders=show", patch, key=key)
    assert again["try"] == 1 and pawl.get("/requests?limit=1000")["items"][-1]["id"] == again["requests"][0]
    repo.git("stash", "-q", "-u")
    repo.commit({"a.txt": "a\n"}, "mine", push=False)
    repo.git("bundle", "create", "-q", os.path.join(pawl.dir, "b"), "HEAD", "^origin/master")
    bundle = open(os.path.join(pawl.dir, "b"), "rb").read()
    key, got = str(uuid.uuid4()), []

    def one():
        try:
            got.append(send(pawl, f"?base={base}&builders=show", bundle, key=key)["try"])
        except AssertionError as e:  # another of them took its place
            assert "came again" in str(e), e
    all_of_them = [threading.Thread(target=one) for _ in range(4)]
    for t in all_of_them:
        t.start()
    for t in all_of_them:
        t.join()
    assert got and set(got) == {4}, got
    a = send(pawl, "", json.dumps({"base": base, "bundle": base64.b64encode(bundle).decode()}).encode(), kind="application/json")
    assert a["commits"] == 1 and mirror(pawl, repo, "log", "--format=%s", f"{base}..{a['revision']}").split("\n") == ["try 5 by admin", "mine"]


def test_large(pawl, tried):
    """Tens of megabytes go to a file, not to memory; above the limit it is refused, and the limit named."""
    repo = tried
    with open(os.path.join(repo.tree, "large"), "wb") as f:
        f.write(os.urandom(24 << 20))

    def peak():
        return int(next(l for l in open(f"/proc/{pawl.master.pid}/status") if l.startswith("VmHWM")).split()[1])
    before = peak()
    out = run(pawl, repo, "try", "show", "--no-wait")
    assert "sent: 1 file changed (1 not committed), 0 commits" in out, out
    assert peak() - before < (12 << 10) * SLOW, (before, peak())
    r = pawl.get("/requests?limit=1")["items"][0]
    assert mirror(pawl, repo, "cat-file", "-s", r["revision"] + ":large") == str(24 << 20)
    pawl.kill(pawl.master, signal.SIGTERM)
    pawl.configure(open(pawl.config).read().replace('web: {listen: "127.0.0.1:0"}', 'web: {listen: "127.0.0.1:0", limits: {try: 2M}}'))
    start(pawl)
    assert 'at most 2097152 bytes: "try" in "limits"' in run(pawl, repo, "try", "show", "--no-wait", code=1)
    until(lambda: tries(pawl) == ["1-1.bundle"], 20, "no part of it")


@pytest.mark.parametrize("point", ["try.stored", "try.import", "try.imported", "store.commit", "cmd.answer"])
@pytest.mark.parametrize("how", ["kill", "error"])
def test_crash(pawl, tried, point, how):
    """Between upload and request, wherever it is: whoever sends it again gets one set of requests, and nothing is left over."""
    repo = tried
    base = repo.git("rev-parse", "HEAD")
    change(repo)
    patch, key = patch_of(repo), str(uuid.uuid4())
    pawl.kill(pawl.master)
    number = 1
    if point == "store.commit":  # those of the start pass it, too: the next one that has something to write
        start(pawl)
        pawl.kill(pawl.master)
        number = 3
    seen = os.path.join(pawl.dir, "seen")
    start(pawl, {"PW_FAULT": f"{point}:{number}={how}", "PW_FAULT_SEEN": seen})
    query = f"?project=p&base={base}&type=patch&builders=show"
    try:
        first = send(pawl, query, patch, key=key, code=503)
    except (OSError, AssertionError) as e:  # no answer; or the point was passed elsewhere
        first = str(e)
    if how == "kill" and pawl.master.poll() is None:
        pawl.kill(pawl.master)
    if pawl.master.poll() is not None:
        start(pawl)
    until(lambda: pawl.request("GET", "/healthz")[0] == 200, 30, "a master that works")
    assert point in open(seen).read(), first
    a = send(pawl, query, patch, key=key)
    assert send(pawl, query, patch, key=key) == a, first
    mine = [r for r in pawl.get("/requests?limit=1000")["items"] if r["reason"].startswith("try")]
    assert [r["id"] for r in mine] == a["requests"], (first, mine)
    assert mirror(pawl, repo, "show", a["revision"] + ":kept.txt") == "two"
    pawl.kill(pawl.master)
    start(pawl)
    until(lambda: tries(pawl) == [f"1-{a['try']}.bundle"], 30, "no file but that of the try")
    assert mirror(pawl, repo, "for-each-ref", "--format=%(refname)", "refs/pawl") == f"refs/pawl/try/{a['try']}"


def test_lost_mirror_and_retention(pawl, tried):
    """The mirror is a cache, a try is not in the repository: it comes back. When its builds go, so does all of it."""
    repo = tried
    change(repo)
    run(pawl, repo, "try", "show", "--no-wait")
    r = pawl.get("/requests?limit=1")["items"][0]
    pawl.kill(pawl.master)
    subprocess.run(["rm", "-r", *glob.glob(os.path.join(pawl.state, "mirrors/*.git"))], check=True)
    start(pawl)
    until(lambda: glob.glob(os.path.join(pawl.state, "mirrors/*.git/refs/pawl/try/1")), 30, "the try in the new mirror")
    assert mirror(pawl, repo, "rev-parse", "refs/pawl/try/1") == r["revision"]
    # a backup has it
    pawl.kill(pawl.master, signal.SIGTERM)
    file, new = os.path.join(pawl.dir, "b.tar.zst"), os.path.join(pawl.dir, "new")
    for args in (["--state", pawl.state, "backup", file], ["--state", new, "restore", file]):
        subprocess.run([f"{BUILD}/pawl-master", *args], check=True, env=pawl.env, capture_output=True)
    assert os.listdir(os.path.join(new, "tries")) == ["1-1.bundle"]
    # all of its builds are past their time
    pawl.configure(open(pawl.config).read() + "retention: {builds: 1s, logs: 1s}\n")
    start(pawl, {"PW_FAULT": "try.removed:1=kill"})
    pawl.post(f"/requests/{r['id']}/cancel")
    pawl.post("/force", {"builder": "byhand", "reason": "the newest rows stay"})
    pawl.master.wait(timeout=40 * SLOW)
    assert tries(pawl) == ["1-1.bundle"] and mirror(pawl, repo, "for-each-ref", "refs/pawl")
    start(pawl)
    until(lambda: tries(pawl) == [], 40, "its end")
    assert mirror(pawl, repo, "for-each-ref", "refs/pawl") == ""
    db = sqlite3.connect(f"file:{pawl.state}/pawl.db?mode=ro", uri=True)
    assert db.execute("SELECT count(*) FROM try").fetchone() == (0,) and db.execute("SELECT count(*) FROM try_set").fetchone() == (0,)
    db.close()


def test_pipeline_file(pawl, repo):
    """The pipeline file that is tried counts, not the one that is pushed."""
    repo.commit({".pawl.yaml": "builders: {old: {steps: [{run: 'true'}]}}\n"}, "first")
    repo.git("fetch", "-q")
    pawl.configure(CONFIG.format(repo=repo.bare, builders="").replace("build_first: true}", "pipeline: .pawl.yaml}").replace("builders:\n\n", "").split("promotions:")[0])
    start(pawl)
    text = "builders:\n  new: {steps: [{run: 'true'}]}\n  each: {matrix: {a: [1, 2]}, steps: [{run: 'true'}]}\n  later: {manual: true, steps: [{run: 'true'}]}\n"
    open(os.path.join(repo.tree, ".pawl.yaml"), "w").write(text)
    run(pawl, repo, "try", "--no-wait")
    names = until(lambda: {r["builder"] for r in pawl.get("/requests")["items"] if r["state"] == "waiting"} - {"pipeline"}, 30, "those of the file")
    assert names == {"new", "each[a=1]", "each[a=2]"}, names
    # wrong: told at its place, and red
    open(os.path.join(repo.tree, ".pawl.yaml"), "w").write("builders: {new: {stops: []}}\n")
    out = run(pawl, repo, "try", code=1)
    assert "pipeline: failure: .pawl.yaml:1:" in out and '"stops"' in out, out
    assert pawl.get("/status")["items"] == []


def test_builds(pawl, tried):
    """Built on a worker for untrusted code, output as it comes, the result as the exit status; green or not it says nothing of the branch."""
    repo = tried
    repo.commit({"kept.txt": "local\n"}, "mine", push=False)
    change(repo)
    pawl.join_untrusted(slots=2)
    pawl.start_worker()
    out = run(pawl, repo, "try", "show", "--reason", "does it?")
    lines = [l.split(" | ", 1)[1] for l in out.split("\n") if l.startswith("show/show | ")]
    assert lines[:3] == ["master try by admin: does it?", "two", "untracked"] and "new/x.txt" in lines and "mine" in lines, out
    assert out.rstrip().endswith("show: success"), out
    b = pawl.builds("?limit=1")[0]
    assert (b["result"], b["branch"], b["reason"], b["who"]) == ("success", "master", "try by admin: does it?", "admin")
    # neither promoted nor the latest of its branch
    assert repo.ref("stable") is None and pawl.get("/status")["items"] == []
    assert all(p["state"] != "done" for p in pawl.get("/promotions?edges=1")["items"])
    out = run(pawl, repo, "try", "red", "show", code=1)
    assert "red/no | to stdout" in out and "red: failure: " in out and "show: success" in out, out
    # again is the same revision, and as untrusted
    again = pawl.post(f"/builds/{b['id']}/retry")["requests"][0]
    assert pawl.build_of(again)["revision"] == b["revision"] and pawl.build_of(again)["result"] == "success"
    out = run(pawl, repo, "--json", "try", "red", code=1).strip().split("\n")
    assert json.loads(out[0])["requests"] and json.loads(out[1])["result"] == "failure"


def test_release(pawl, tried):
    """No secrets for what is tried, and no worker that takes no such builds, until a person releases that very revision."""
    repo = tried
    change(repo)
    pawl.start_worker()
    run(pawl, repo, "try", "ship", "--no-wait")
    r = pawl.get("/requests?limit=1")["items"][0]["id"]
    until(lambda: "no worker takes such builds" in pawl.get(f"/requests/{r}/why")["reason"], 30, "the reason")
    assert "released" in pawl.get(f"/requests/{r}/why")["reason"]
    made = pawl.post("/tokens", {"name": "looker", "scopes": ["read"]}, 201)
    assert pawl.request("POST", f"/requests/{r}/release", {}, {"Authorization": "Bearer " + made["token"]})[0] == 403
    run(pawl, repo, "release", str(r), "--reason", "read it")
    b = pawl.build_of(r)
    assert b["result"] == "success" and pawl.raw_log(b["id"], "ship") == b"<***>\n"
    assert ("admin", "release", str(r)) in [(d["actor"], d["action"], d["object"]) for d in pawl.get("/audit")["items"]]
    # it holds over a restart, for that revision alone
    pawl.kill(pawl.master)
    start(pawl)
    again = pawl.post(f"/builds/{b['id']}/retry")["requests"][0]
    assert pawl.build_of(again)["result"] == "success"
    run(pawl, repo, "try", "ship", "--no-wait")
    other = pawl.get("/requests?limit=1")["items"][0]["id"]
    until(lambda: "no worker takes such builds" in pawl.get(f"/requests/{other}/why")["reason"], 30, "the reason")
    # nothing to release
    one = pawl.post("/force", {"builder": "byhand", "reason": "r"})["requests"][0]
    assert "nothing to release" in run(pawl, repo, "release", str(pawl.build_of(one)["id"]), code=1)
    assert "no build and no open request 999" in run(pawl, repo, "release", "999", code=1)
