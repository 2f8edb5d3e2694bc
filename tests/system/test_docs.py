"""The worked examples of the documents for those who move here are configurations that load."""
import glob, os, re, subprocess
import pytest
from conftest import BUILD, SLOW

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = [(os.path.basename(p), i, text) for p in sorted(glob.glob(ROOT + "/docs/moving-from-*.md"))
            for i, text in enumerate(re.findall(r"```yaml\n(.*?)```", open(p).read(), re.S))]


def test_there_are_examples():
    assert {name for name, _, _ in EXAMPLES} == {f"moving-from-{x}.md" for x in ("buildbot", "github-actions", "gitlab")}


def test_every_command_is_in_the_manual():
    help = subprocess.run([f"{BUILD}/pawl", "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+)  +[A-Z]", help, re.M)
    heads = re.findall(r"^\.TP\n(\.B.*)", open(ROOT + "/docs/man/pawl.1").read().split(".SH COMMANDS")[1], re.M)
    words = set(re.findall(r"[a-z]+", " ".join(re.sub(r"\\f[A-Z]", " ", h) for h in heads)))
    assert len(commands) > 20 and not [c for c in commands if c not in words], [c for c in commands if c not in words]


@pytest.mark.parametrize("name, i, text", EXAMPLES, ids=[f"{n}-{i}" for n, i, _ in EXAMPLES])
def test_example(tmp_path, name, i, text):
    env = dict(os.environ, HOME=str(tmp_path))
    if "\nprojects:" in "\n" + text:
        (tmp_path / "secrets").mkdir()
        for f in re.findall(r"file: (secrets/[\w.]+)", text):
            (tmp_path / f).write_text("a secret\n")
            (tmp_path / f).chmod(0o600)
        (tmp_path / "master.yaml").write_text(text)
        argv = [f"{BUILD}/pawl-master", "check", "master.yaml"]
    else:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=env)
        (tmp_path / ".pawl.yaml").write_text(text)
        argv = [f"{BUILD}/pawl", "check"]
    p = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30 * SLOW)
    assert p.returncode == 0, p.stdout + p.stderr
