#!/usr/bin/python3
"""Plants known mistakes, one after the other, and shows that the simulator finds each.

planted.py           all of tests/planted/NN-*.patch
planted.py NN ...    these
planted.py --check   whether all of them still apply, nothing else

Works in build/planted/tree, a copy of the checkout with its objects, so that a mistake costs what it
recompiles. Exit status: 0 all are found, 1 one is not, does not apply or does not build, or the tree
without mistakes has one."""
import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build" / "planted" / "tree"
SEEDS = 5000
TIMEOUT_S = 3600
# git must not take the tree, which lies inside a checkout, for a part of it
ENV = {**os.environ, "GIT_CEILING_DIRECTORIES": str(TREE.parent), "LC_ALL": "C"}


def patches():
    return sorted((ROOT / "tests" / "planted").glob("[0-9][0-9]-*.patch"))


def what_it_says(patch):
    first = patch.open(encoding="utf-8").readline()
    m = re.fullmatch(r"# (.+); breaks: (.+)\n", first)
    if not m:
        sys.exit(f"{patch.name}: the first line is not \"# WHAT; breaks: PROMISE\"")
    return m.groups()


def git_apply(patch, where, *options):
    return subprocess.run(["git", "apply", *options, str(patch)], cwd=where, env=ENV,
                          capture_output=True, text=True, check=False)


def check():
    bad = 0
    for p in patches():
        what_it_says(p)
        r = git_apply(p, ROOT, "--check")
        if r.returncode:
            bad += 1
            print(f"{p.name} does not apply: {r.stderr.strip()}", file=sys.stderr)
    print(f"planted: {len(patches())} mistakes, {bad} do not apply")
    return bad or not patches()


def same(a, b):
    return a.stat().st_size == b.stat().st_size and a.read_bytes() == b.read_bytes()


def copy_tree():
    """The files of the checkout; what is there already keeps its time, and so its object."""
    fresh = not TREE.exists()
    names = subprocess.run(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.split("\0")
    names = {n for n in names if n and (ROOT / n).is_file()}
    for n in names:
        to = TREE / n
        if to.exists() and same(ROOT / n, to):
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / n, to)
        if not fresh:
            os.utime(to)
    for f in [f for f in TREE.rglob("*") if f.is_file()]:
        n = f.relative_to(TREE)
        if n.parts[0] != "build" and str(n) not in names:
            f.unlink()
    have = ROOT / "build" / "release"
    if fresh and have.exists():
        shutil.copytree(have, TREE / "build" / "release", ignore=shutil.ignore_patterns("pawl*", "*_test"))


def make():
    r = subprocess.run(["make", "-j2", "V=release", "BUILD=build", "build/release/sim"], cwd=TREE, env=ENV,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if r.returncode:
        print(r.stdout[-3000:], file=sys.stderr)
    return r.returncode == 0


def run(seeds):
    """What was reported (None: nothing), its seed, histories, seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        r = subprocess.run(["build/release/sim", "--from", "1", "--seeds", str(seeds), "--no-shrink", "--first"],
                           cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                           timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return "it did not end", 0, 0, TIMEOUT_S
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    found = re.search(r"^seed (\d+): (.+)$", r.stdout, re.M)
    ran = re.search(r"^sim: (\d+) histories", r.stdout, re.M)
    if not ran:
        return f"the simulator itself died ({r.returncode})", 0, 0, seconds
    if not found:
        return None, 0, int(ran[1]), seconds
    return found[2], int(found[1]), int(ran[1]), seconds


def row(number, name, reported, seed, histories, seconds):
    print(f"{number:>2} {name:<26} {seed or '-':>5} {histories:>5} {seconds:>6.1f} s  {reported or 'NOT FOUND'}",
          flush=True)


def plant(patch, seeds):
    number, name = patch.stem.split("-", 1)
    what_it_says(patch)
    r = git_apply(patch, TREE)
    if r.returncode:
        row(number, name, f"DOES NOT APPLY: {r.stderr.strip()}", 0, 0, 0)
        return False
    try:
        if not make():
            row(number, name, "DOES NOT BUILD", 0, 0, 0)
            return False
        reported, seed, histories, seconds = run(seeds)
    finally:
        git_apply(patch, TREE, "-R").check_returncode()
    row(number, name, reported, seed, histories, seconds)
    return seed > 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true")
    p.add_argument("--seeds", type=int, default=SEEDS, help=f"at most so many histories each (default {SEEDS})")
    p.add_argument("numbers", nargs="*", metavar="NN")
    a = p.parse_args()
    if a.check:
        return check()
    chosen = [f for f in patches() if not a.numbers or f.name.split("-")[0] in a.numbers]
    if not chosen:
        sys.exit("planted: no such mistake")
    copy_tree()
    if not make():
        return 1
    bad = 0
    if not a.numbers: # what is found must be the mistake
        reported, seed, histories, seconds = run(a.seeds)
        row("--", "nothing planted", reported or "no violation", seed, histories, seconds)
        bad += reported is not None
    bad += sum(not plant(f, a.seeds) for f in chosen)
    print(f"planted: {len(chosen)} mistakes, {bad} failures")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
