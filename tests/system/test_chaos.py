"""A short run of the chaos harness (tests/chaos/README.md) with a fixed plan. The long ones are `make chaos`."""
import os, re, subprocess, sys
from conftest import BUILD, ROOT, SLOW


def test_twenty_seconds_of_seed_one(tmp_path):
    argv = [sys.executable, os.path.join(ROOT, "tests/chaos/chaos.py"), "--seed", "1", "--seconds", "20", "--build", BUILD, "--dir", str(tmp_path / "run"), "--keep"]
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = p.communicate(timeout=280 * SLOW)
    finally:
        if p.poll() is None:  # it takes its processes with it
            p.terminate()
            p.wait(timeout=60)
    assert p.returncode == 0, out[-8000:]
    last = out.strip().splitlines()[-1]
    m = re.fullmatch(r"chaos: seed 1, \d+ s, (\d+) kills, (\d+) builds: 0 violations", last)
    assert m, out[-4000:]
    assert int(m.group(1)) > 0 and int(m.group(2)) > 0, "without a kill or without a build nothing was shown"
    counts = {name: int(n) for n, name in re.findall(r"^ +(\d+)  (.*)$", out, re.M)}
    assert counts["bytes of log checked"] > 0 and counts["events"] > 0 and counts["requests"] > 0
