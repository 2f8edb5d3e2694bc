"""What a checkout can leave out, and what it fetches besides: folders of a sparse one, files of Git LFS."""
import os, shutil
import pytest
import test_isolation
from conftest import until
from servers import Http, credentials, write
from test_isolation import asks, mode, modes, offer, place, world  # noqa: F401

CONFIG = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, pipeline: .pawl.yaml{more}}}
{secrets}"""
LOOK = "find . -type f -not -path './.git/*' -not -name '.gitattributes' | LC_ALL=C sort; git status --porcelain"


def start(pawl, repo, secrets="", more="", env=None, address=None):
    if not repo.ref("master"):
        repo.commit({"README": "x\n"}, "first")
    pawl.configure(CONFIG.format(repo=address or repo.bare, secrets=secrets, more=more))
    pawl.start_master()
    pawl.start_worker(env=env)
    until(lambda: pawl.get("/projects")["items"][0]["state"] == "ok", what="the first look")


def build(pawl, repo, checkout, script, files=None):
    """Commits a pipeline file with such a checkout; its build, and what the step behind it printed."""
    rev = repo.commit({".pawl.yaml": f"builders: {{test: {{retries: 0, steps: [{{checkout: {checkout}}}, {{name: look, run: {script!r}}}]}}}}\n", **(files or {})})
    b = pawl.built("test", rev)
    steps = pawl.get(f"/builds/{b['id']}")["steps"]
    return b, steps[0], pawl.raw_log(b["id"], "look").decode().splitlines() if len(steps) > 1 and steps[1]["result"] == "success" else None


def test_sparse(pawl, repo):
    """The folders, and the files on the way to them; other folders in the next build; then all; a folder that is not there."""
    start(pawl, repo)
    files = {"a/x": "1\n", "a/b/y": "1\n", "a/c/y": "1\n", "d *[e]/f/z": "1\n", "g/h": "1\n"}
    b, _, got = build(pawl, repo, "{sparse: [a/b]}", LOOK + "; echo 2 >a/b/y; echo 3 >new; echo 3 >a/b/new", files)
    assert b["result"] == "success" and got == ["./.pawl.yaml", "./README", "./a/b/y", "./a/x"], got
    # the work tree of before, with what was changed in it, becomes another sparse one
    b, step, got = build(pawl, repo, "{mode: incremental, sparse: ['d *[e]', a/c/]}", LOOK)
    assert [f for f in got if "new" not in f] == ["./.pawl.yaml", "./README", "./a/c/y", "./a/x", "./d *[e]/f/z"], got
    assert "made anew" not in pawl.raw_log(b["id"], step["name"]).decode()
    b, step, got = build(pawl, repo, "{sparse: g}", LOOK)
    assert got == ["./.pawl.yaml", "./README", "./g/h"] and "made anew" not in pawl.raw_log(b["id"], step["name"]).decode()
    b, _, got = build(pawl, repo, "{mode: incremental}", LOOK)
    assert got == ["./.pawl.yaml", "./README", "./a/b/y", "./a/c/y", "./a/x", "./d *[e]/f/z", "./g/h"]
    b, step, _ = build(pawl, repo, "{sparse: [g, gg]}", LOOK)
    assert b["result"] == "failure" and 'has no folder "gg"' in step["reason"], step


@pytest.fixture
def lfs(repo):
    if not shutil.which("git-lfs"):
        pytest.skip("needs git-lfs")
    repo.git("lfs", "install", "--local")
    repo.git("lfs", "track", "*.bin")
    return repo


LFS = """#!/usr/bin/python3
import json, os, sys
objects, base = {objects!r}, {base!r}
path = os.environ["PATH_INFO"] if os.environ.get("PATH_INFO") else os.environ["REQUEST_URI"].split("/lfs/objects/")[1]
def answer(data, kind):
    sys.stdout.buffer.write(b"Content-Type: " + kind + b"\\r\\nContent-Length: " + str(len(data)).encode() + b"\\r\\n\\r\\n" + data)
if os.environ["REQUEST_METHOD"] == "POST":
    asked = json.loads(sys.stdin.buffer.read(int(os.environ["CONTENT_LENGTH"])))
    found = [dict(o, actions={{"download": {{"href": base + "/objects/" + o["oid"]}}}}) for o in asked["objects"]]
    answer(json.dumps({{"transfer": "basic", "objects": found}}).encode(), b"application/vnd.git-lfs+json")
else:
    oid = os.environ["REQUEST_URI"].split("/")[-1]
    answer(open(os.path.join(objects, oid[:2], oid[2:4], oid), "rb").read(), b"application/octet-stream")
"""


class LfsHttp(Http):
    """With an LFS server at the address where git-lfs looks for one, behind the same password."""

    def config(self, root):
        objects = os.path.join(root, "repo.git", "lfs", "objects")
        script = write(os.path.join(self.folder, "lfs.py"), LFS.format(objects=objects, base=f"http://127.0.0.1:{self.port}/git/repo.git/info/lfs"), 0o755)
        return f'"/git/repo.git/info/lfs/objects/" => "{script}/", '


@pytest.mark.parametrize("kind", ["path", "http"])
def test_lfs(pawl, lfs, tmp_path, kind):
    """Only when asked for; with the project's credentials; without a fetch of what is there; clean for the git of steps."""
    server = LfsHttp(tmp_path / "http", tmp_path) if kind == "http" else None
    try:
        secrets, more = credentials(server) if server else ("", "")
        start(pawl, lfs, secrets, more, address=server.url("repo.git") if server else None)
        look = "cat a.bin d/b.bin | tr -d '\\n'; echo; git status --porcelain"
        b, _, got = build(pawl, lfs, "{lfs: true}", look, {"a.bin": "big\n", "d/b.bin": "file\n"})
        assert b["result"] == "success" and got == ["bigfile"], got
        b, _, got = build(pawl, lfs, "{}", "head -c 40 a.bin; echo")
        assert got == ["version https://git-lfs.github.com/spec/"[:40]], got
        b, _, got = build(pawl, lfs, "{lfs: true, mode: incremental}", look)
        assert got == ["bigfile"], got
        b, _, got = build(pawl, lfs, "{lfs: true, mode: incremental, sparse: d}", "cat d/b.bin; ls; git status --porcelain", {"d/b.bin": "other\n"})
        assert got == ["other", "README", "a.bin", "d"], got
        # what the server has not: the step says so
        gone = lfs.git("rev-parse", "HEAD:d/b.bin")
        oid = lfs.git("cat-file", "blob", gone).split("sha256:")[1].split()[0]
        found = os.path.join(lfs.bare, "lfs", "objects", oid[:2], oid[2:4], oid)
        assert os.path.exists(found)
        b, _, got = build(pawl, lfs, "{lfs: true, depth: 1}", look)
        assert got == ["bigother"], got
        if server:
            write(os.path.join(server.folder, "lfs.py"), "#!/bin/sh\nprintf 'Status: 404\\r\\n\\r\\n'\n", 0o755)
        lfs.commit({"d/b.bin": "third\n"}, push=True)
        oid = lfs.git("cat-file", "blob", "HEAD:d/b.bin").split("sha256:")[1].split()[0]
        os.unlink(os.path.join(lfs.bare, "lfs", "objects", oid[:2], oid[2:4], oid))
        b, step, _ = build(pawl, lfs, "{lfs: true}", look)
        assert b["result"] == "exception" and step["reason"].startswith("fetching the files of Git LFS failed"), step
    finally:
        if server:
            server.stop()


def test_lfs_is_absent(pawl, lfs):
    """A machine without git-lfs says what to install."""
    bin = os.path.join(pawl.dir, "bin")
    os.mkdir(bin)
    for d in ("/bin", "/usr/bin"):
        for name in os.listdir(d):
            if name != "git-lfs" and not os.path.lexists(os.path.join(bin, name)):
                os.symlink(os.path.join(d, name), os.path.join(bin, name))
    start(pawl, lfs, env={"PATH": bin})
    b, step, _ = build(pawl, lfs, "{lfs: true}", "true", {"a.bin": "big\n"})
    assert b["result"] == "exception" and 'needs the program git-lfs, which worker "w1" lacks: install it' in step["reason"], step


@modes("user", "bwrap")
def test_lfs_inside(world, mode, monkeypatch):  # noqa: F811
    """Fetched with the agent's rights, written and read by the job's user."""
    if not shutil.which("git-lfs"):
        pytest.skip("needs git-lfs")
    monkeypatch.setattr(test_isolation, "BUILDER", test_isolation.BUILDER.replace("checkout: {{}}", "checkout: {{lfs: true, sparse: [d]}}"))
    w = world(offer(mode), more=f'isolation: "{asks(mode)}", ', first=False)
    w.repo.git("lfs", "install", "--local")
    w.repo.git("lfs", "track", "*.bin")
    w.repo.commit({"d/b.bin": "big\n", "e/c": "no\n"})
    w.start()
    for text in ("big", "bigger"):
        rev = w.repo.commit({"d/b.bin": text + "\n"})
        b = w.run("cat d/b.bin; test ! -e e; git status --porcelain; echo more >>d/b.bin", branch="master", revision=rev)
        assert b["result"] == "success" and w.log(b).split() == [text], (b, w.log(b, "checkout"), w.log(b))
