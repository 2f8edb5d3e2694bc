#!/usr/bin/python3
"""Measures Pawl and, beside it in the same run, Debian's Buildbot 3.7; `make bench` calls it by run.sh.
usage: bench.py [--only pawl|buildbot] [--reps N] [SECTION...]      sections: noop latency log tail idle start rest listen reads
The programs are those in $BUILD (default build/release); results.md is written to bench/ beside that folder."""
import argparse, os, shutil, signal, subprocess, sys, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import buildbot_run, listen, measure, pawl
from measure import ROOT, Fail


MINE = {**pawl.SECTIONS, **listen.SECTIONS}


class Bench:
    def __init__(self, reps):
        self.bin = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build/release")))
        self.dir = os.path.join(os.path.dirname(self.bin), "bench")
        self.reps, self.table, self.begin = reps, measure.Table(), time.monotonic()
        pawl.figures(self.table)
        listen.figures(self.table)
        os.makedirs(self.dir, exist_ok=True)
        self.stamp = os.path.join(self.dir, "stamp")
        subprocess.run(["gcc", "-O2", "-static", "-o", self.stamp, os.path.join(measure.HERE, "stamp.c")], check=True)

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:5.0f} s] {text}", flush=True)

    def log(self, size=pawl.LOG_SIZE):
        path = os.path.join(self.dir, f"log{size // 1000000}.log")
        source = measure.log_file(path, size, os.environ.get("PAWL_TEST_DATA", os.path.join(ROOT, "../shared/data")) + "/logs")
        self.table.note(f"log: {source}")
        return path

    def million(self):
        """A new state folder with a copy of the large database, which is filled once."""
        full = os.path.join(self.dir, "million.db")
        if not os.path.exists(full):
            self.say(f"filling a database with {pawl.STORED:,} builds")
            for end in ("", "-wal", "-shm"):
                if os.path.exists(full + ".new" + end):
                    os.unlink(full + ".new" + end)
            p = subprocess.run([os.path.join(self.bin, "tests/bench/fill_db"), full + ".new", str(pawl.STORED)], capture_output=True, text=True)
            if p.returncode:
                raise Fail(f"fill_db: {p.stderr}")
            self.say(p.stdout.strip().splitlines()[-1])
            os.rename(full + ".new", full)
        state = measure.scratch(self.dir, "million")
        shutil.copy(full, os.path.join(state, "pawl.db"))
        os.chmod(state, 0o700)
        os.mkdir(os.path.join(state, "logs"), 0o700)  # one that is missing is told by /healthz
        os.sync()
        return state


def busy():
    """How much of the machine others use: seconds of CPU in one second."""
    def used():
        with open("/proc/stat") as f:
            v = [int(x) for x in f.readline().split()[1:9]]
        return (sum(v) - v[3] - v[4]) / measure.TICK
    before = used()
    time.sleep(1)
    return used() - before


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--only", choices=["pawl", "buildbot"])
    a.add_argument("--reps", type=int, default=3, help="runs of each measure that is cheap (Buildbot's are made once)")
    a.add_argument("section", nargs="*", help="all when none is named")
    a = a.parse_args()
    wrong = set(a.section) - set(MINE)
    if wrong or a.reps < 1:
        a.error(f"unknown section {' '.join(wrong)}" if wrong else "--reps is at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)) # ends the processes that were started, as Ctrl-C does
    b = Bench(a.reps)
    failed = []
    load = busy()
    if load > 0.3:
        b.table.note(f"**other programs used {load:.1f} CPUs when this began: the figures are worse than on a quiet machine**")
    for name in a.section or MINE:
        for who, sections in (("pawl", MINE), ("buildbot", buildbot_run.SECTIONS)):
            if name not in sections or a.only not in (None, who):
                continue
            try:
                sections[name](b)
            except KeyboardInterrupt:
                raise
            except Exception as e:
                if not isinstance(e, Fail):
                    traceback.print_exc()
                b.say(f"{who} {name}: {e}")
                b.table.note(f"**{who} {name} could not be measured: {e}**")
                failed.append(f"{who} {name}")
    text = measure.machine(b.dir) + "\n\n" + b.table.text()
    with open(os.path.join(b.dir, "results.md"), "w") as f:
        f.write(text)
    print("\n" + text)
    b.say(f"done; the table is in {os.path.join(b.dir, 'results.md')}")
    for d in [*MINE, "million", "buildbot"]: # a failed one stays, for its logs
        if not any(d in f for f in failed):
            shutil.rmtree(os.path.join(b.dir, d), ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
