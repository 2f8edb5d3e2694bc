"""`pawl demo` as a newcomer runs it, and once more in the same directory."""
import os, subprocess
import pytest
from conftest import BUILD, ROOT, SLOW


@pytest.mark.skipif(SLOW > 1, reason="once, in the release build")
def test_demo_twice(tmp_path):
    env = dict(os.environ, HOME=str(tmp_path / "nohome"))
    for turn in range(2):
        p = subprocess.run([f"{BUILD}/pawl", "demo", str(tmp_path / "demo"), "--exit"], cwd=str(tmp_path), env=env, capture_output=True, text=True, timeout=300)
        assert p.returncode == 0, p.stdout + p.stderr
        assert "http://127.0.0.1:" in p.stdout and "stable" in p.stdout
    assert sorted(os.listdir(tmp_path)) == ["demo"], "nothing outside is written"


def test_demo_needs_a_directory():
    p = subprocess.run([f"{BUILD}/pawl", "demo"], capture_output=True, text=True, timeout=30)
    assert p.returncode == 2
