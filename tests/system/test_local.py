"""pawl check and pawl local: the pipeline file of a work tree, without any master."""
import os, signal, subprocess
import pytest
from conftest import BUILD, SLOW, alive, until

FILE = """
builders:
  fast:
    properties: {greeting: hello}
    steps:
      - checkout: {}
      - {name: show, run: 'echo "$greeting from $branch"; cat file; ls'}
  slow:
    needs: [fast]
    matrix: {cc: [gcc, clang]}
    steps: [{run: 'echo "with $cc"'}]
  red: {needs: [fast], steps: [{run: "echo oops; exit 3"}]}
  after-red: {needs: [red], steps: [{run: "echo never"}]}
  cleanup: {needs: [red], always_run: true, steps: [{run: "echo cleaned"}]}
  by-hand: {manual: true, steps: [{run: "echo by hand"}]}
  hidden: {manual: true, env: {T: "${secret:token}"}, steps: [{run: "echo x"}]}
  sleeps: {manual: true, steps: [{run: "echo ready; sleep 1000"}]}
"""


class Tree:
    def __init__(self, path):
        self.dir = str(path / "tree")
        self.env = dict(os.environ, HOME=str(path), XDG_CACHE_HOME=str(path / "cache"))
        os.makedirs(os.path.join(self.dir, "sub"))
        self.git("init", "-q", "-b", "topic")
        self.write(".pawl.yaml", FILE)
        self.write("file", "committed\n")
        self.write(".gitignore", "ignored\n")
        self.git("add", "-A")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")

    def git(self, *args):
        subprocess.run(["git", "-C", self.dir, *args], check=True, env=self.env, capture_output=True)

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)

    def left(self):
        """Processes of steps and runners that live still."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                env = open(f"/proc/{pid}/environ", "rb").read()
            except OSError:
                continue
            if self.env["XDG_CACHE_HOME"].encode() in env and alive(pid) and int(pid) != os.getpid():
                found.append(pid)
        return found

    def pawl(self, *args, code=0, cwd=None):
        p = subprocess.run([f"{BUILD}/pawl", *args], cwd=cwd or self.dir, env=self.env, capture_output=True, text=True, timeout=60 * SLOW)
        assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
        return p.stdout, p.stderr


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_same_second(tmp_path):
    """A file that changed in the second in which git's index was written, to the same size, is built as it is."""
    t = Tree(tmp_path)
    t.git("config", "core.trustctime", "false")
    path, index = os.path.join(t.dir, "file"), os.path.join(t.dir, ".git/index")
    at = os.stat(path).st_mtime_ns - 10 ** 10
    os.utime(path, ns=(at, at))
    t.git("update-index", "--refresh")
    t.write("file", "Committed\n")
    for f in (path, index):
        os.utime(f, ns=(at, at))
    assert "Committed" in t.pawl("local", "fast")[0]


def test_check_says_what_is_wrong_and_where(tree):
    assert tree.pawl("check", cwd=os.path.join(tree.dir, "sub"))[0] == ".pawl.yaml: fine (8 builders, 9 builds)\n"
    tree.write(".pawl.yaml", "builders:\n  a: {needs: [b], steps: [{rum: x}]}\n  c: {steps: []}\n")
    out, err = tree.pawl("check", code=2)
    lines = err.splitlines()
    assert out == "" and len(lines) == 3, err
    assert any(l.startswith('.pawl.yaml:2:15: ') and '"b"' in l for l in lines) and '.pawl.yaml:2:28: unknown key "rum"; did you mean "run"?' in lines, err
    tree.write("other.yaml", "builders: {a: {steps: [{run: x}]}}")
    assert "1 builders" in tree.pawl("check", "other.yaml")[0]
    assert "reading nothing.yaml" in tree.pawl("check", "nothing.yaml", code=1)[1]
    assert "git repository" in tree.pawl("check", code=1, cwd="/")[1]


def test_local_builds_the_files_as_they_are(tree):
    tree.write("file", "changed\n")
    tree.write("new", "")
    tree.write("ignored", "")
    out, _ = tree.pawl("local", "slow", "--prop", "greeting=good morning")
    assert "== fast\n" in out and "good morning from topic\nchanged\nfile\nnew\n" in out, out
    assert "== slow[cc=gcc]\n--- run\nwith gcc\n" in out and "with clang\n" in out
    assert "red" not in out and "by-hand" not in out
    assert subprocess.run(["git", "-C", tree.dir, "status", "--short"], capture_output=True, text=True, env=tree.env).stdout == " M file\n?? new\n", "the tree's own index is left alone"
    out, _ = tree.pawl("local", "fast", "--committed")
    assert "hello from topic\ncommitted\nfile\n" in out and "new" not in out


def test_local_needs_are_kept(tree):
    out, _ = tree.pawl("local", code=1)
    rows = {l.split()[0]: l for l in out[out.index("BUILD "):].splitlines()}
    assert "success" in rows["slow[cc=gcc]"] and "failure" in rows["red"] and "exit code 3" in rows["red"]
    assert "skipped" in rows["after-red"] and "it needs red, which is not green" in rows["after-red"]
    assert "success" in rows["cleanup"] and "by-hand" not in rows and "never\n" not in out


def test_local_refusals(tree):
    assert 'no builder "fats"' in tree.pawl("local", "fats", code=2)[1]
    assert 'uses the secret "token"' in tree.pawl("local", "hidden", code=2)[1]
    tree.write(".pawl.yaml", 'builders: {a: {steps: [{run: "echo built > x", artifacts: x}]}, b: {needs: [a], steps: [{fetch: a}]}, c: {needs: [a], steps: [{run: "echo c"}]}}')
    out = tree.pawl("local", code=1)[0]
    assert "it takes files or properties of a: a local build hands none on" in out and "skipped" in out and out.count("success") == 2
    tree.write(".pawl.yaml", "builders: []\n")
    assert ".pawl.yaml:1:11:" in tree.pawl("local", code=2)[1]


def test_local_ends_with_ctrl_c(tree):
    log = os.path.join(tree.dir, "../out")
    with open(log, "wb") as f:
        p = subprocess.Popen([f"{BUILD}/pawl", "local", "sleeps"], cwd=tree.dir, env=tree.env, stdout=f, stderr=f)
    until(lambda: b"ready" in open(log, "rb").read(), 20, "the step runs")
    assert "builds this work tree" in tree.pawl("local", "by-hand", code=1)[1]
    p.send_signal(signal.SIGINT)
    assert p.wait(timeout=20 * SLOW) == 1
    assert b"exception" in open(log, "rb").read()
    assert not tree.left()
    assert "by hand\n" in tree.pawl("local", "by-hand")[0]
