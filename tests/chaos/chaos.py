#!/usr/bin/python3
"""Breaks a real installation in every way that core promises to survive, then proves that nothing was lost and nothing doubled.

    tests/chaos/chaos.py --seed 7 --seconds 60          plan of seed 7 for a minute (make chaos SEED=7 SECONDS=60)
    tests/chaos/chaos.py --seed 7 --kills 1000          until so many processes were killed
    tests/chaos/chaos.py --seed 7 --seconds 60 --plan   prints the plan"""
import argparse, hashlib, json, os, shutil, signal, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def options(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--kills", type=int, default=0, help="run until so many processes were killed, however long it takes")
    p.add_argument("--build", default=os.environ.get("PAWL_BUILD", os.path.join(ROOT, "build/debug")), help="folder with the programs")
    p.add_argument("--dir", help="state of the run; kept when it fails (build/chaos/seed-N)")
    p.add_argument("--upgrade", action=argparse.BooleanOptionalAction, default=None, help="begin with older programs (default: in runs of 120 s and more)")
    p.add_argument("--kill-rate", type=float, default=1.45, help="kills tried a second; some find no victim")
    p.add_argument("--netns", choices=("auto", "off"), default="auto")
    p.add_argument("--calm", action="store_true", help="load only, no faults")
    p.add_argument("--keep", action="store_true")
    p.add_argument("--plan", action="store_true")
    return p.parse_args(argv)


def plan_of(o, plan, points):
    rates = {"kill_rate": 0.001, "fault_rate": 0.001} if o.calm else {"kill_rate": o.kill_rate}
    if o.kills:
        return plan.actions(o.seed, points, **rates)
    return plan.until(o.seed, points, o.seconds, long=o.seconds >= 120, **rates)


def idle(world):
    """What is still under way; empty when nothing is."""
    import sqlite3
    left = []
    db = sqlite3.connect(f"file:{world.state}/pawl.db?mode=ro", uri=True, timeout=5)
    try:
        for name, sql in (("requests", "request WHERE state <> 2"), ("builds", "build WHERE state <> 4"), ("attempts", "attempt WHERE state < 4"),
                          ("logs", "log WHERE sealed = 0"), ("promotions", "promotion WHERE state = 0"), ("jobs", "job")):
            n = db.execute(f"SELECT count(*) FROM {sql}").fetchone()[0]
            if n:
                left.append(f"{n} {name}")
        tips = dict(db.execute("SELECT ref, lower(hex(rev)) FROM tip"))
    finally:
        db.close()
    for line in world.repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", cwd=world.repo.bare).splitlines():
        ref, rev = line.split()
        if tips.get(ref) != rev:
            left.append(f"the tip of {ref}")
    for name in world.names:
        for folder in ("jobs",):
            n = len(os.listdir(os.path.join(world.dir, "spool-" + name, folder)))
            if n:
                left.append(f"{n} files in the spool of {name}")
    return left


def settle(world, record, seconds, quiet=3):
    """Waits until all is done and stays done for `quiet` seconds: an edge may look once more a second after the last build."""
    from world import SLOW
    end, since = time.monotonic() + seconds * SLOW, None
    while time.monotonic() < end:
        world.turn()
        left = idle(world)
        since = None if left else since or time.monotonic()
        if since and time.monotonic() > since + quiet:
            return
        time.sleep(0.1)
    record.violate(f"not idle {seconds * SLOW} s after all was healed: {', '.join(left)}")


def fetch_logs(world, load, record):
    """Every log as users get it."""
    cursor = ""
    while True:
        page = json.loads(load.call("GET", f"/builds?limit=1000{cursor}")[1])
        for b in page["items"]:
            for s in json.loads(load.call("GET", f"/builds/{b['id']}/steps")[1])["items"]:
                status, body, _ = world.request("GET", f"/builds/{b['id']}/log/{s['name']}?raw=1")
                if status == 200:
                    record.put("raw", f"{b['id']}/{s['name']}", [len(body), hashlib.sha256(body).hexdigest()])
                else:
                    record.violate(f"log {b['id']}/{s['name']} gave {status}: {body[:200]}")
        if not page["next"]:
            return
        cursor = "&cursor=" + page["next"]


def doctor(world, record):
    """`pawl doctor --deep`, when this version has it."""
    if "--deep" not in world.pawl("doctor", "--help"):
        record.count("skipped: doctor --deep")
        return
    import subprocess
    p = subprocess.run([f"{world.build}/pawl", "--state", world.state, "doctor", "--deep"], cwd=world.dir, env=world.env, capture_output=True, text=True, timeout=300)
    if p.returncode != 0:
        record.violate(f"pawl doctor --deep: {p.stdout}{p.stderr}")


def storm(o, world, load, faults, record, plan_items):
    """The plan, from its first action to its last."""
    begin = time.monotonic()
    told = begin
    for action in plan_items:
        while time.monotonic() < begin + action.at:
            world.turn()
            time.sleep(min(0.02, max(0, begin + action.at - time.monotonic())))
        world.turn()
        if o.upgrade and (record.sum("kills") >= o.kills / 2 if o.kills else action.at > o.seconds / 2):
            upgrade(o, world, record)
        if hasattr(faults, "do_" + action.kind):
            faults.do(action)
        else:
            load.do(action)
        if time.monotonic() > told + 30:
            told = time.monotonic()
            print(f"  {told - begin:.0f} s: {record.sum('kills')} kills, backlog {load.backlog}, {len(record.violations)} violations", flush=True)
        if o.kills and record.sum("kills") >= o.kills:
            break
    return time.monotonic() - begin


def before(o, old, record):
    """The programs that an upgrade begins with. A source without history has none: that is told, unless it was asked for."""
    import subprocess
    try:
        return old.programs(o.build)
    except (old.NoHistory, OSError, subprocess.CalledProcessError) as e:
        if o.must_upgrade:
            raise
        record.count(f"skipped: upgrade ({e})")
        o.upgrade = False
        return o.build


def upgrade(o, world, record):
    """From here on every program that starts is the new one; those that run are ended."""
    o.upgrade = False
    record.data["upgraded"] = time.time() * 1000 + 30000
    world.build, world.old = o.build, False
    for name in list(world.procs):
        if world.kill9(name):
            record.count("upgrades")
        world.start(name)


def conclude(w, l, f, record, quiet=3, **facts):
    """Heals all, waits until nothing is under way, takes what users see, stops everything and leaves the record beside the state."""
    w.heal()
    w.ready()
    l.finish(60)
    settle(w, record, 120, quiet)
    fetch_logs(w, l, record)
    doctor(w, record)
    newest = newest_event(w)
    end = time.monotonic() + 20
    while (not f.last or int(f.last.split(".")[1]) < newest) and time.monotonic() < end:
        time.sleep(0.05)
    f.finish()
    record.counts["event connections"] = f.connects
    record.counts["bytes through the proxy"] = w.proxy.carried
    w.finish()
    record.save(os.path.join(w.dir, "record.json"), newest_event=newest, **facts)


def run(o):
    """Returns (violations, counters)."""
    os.environ["PAWL_BUILD"] = o.build
    sys.path[:0] = [p for p in (HERE, os.path.join(ROOT, "tests/system")) if p not in sys.path]
    import checker, faults, follow, load, netns, old, plan, world
    points = world.fault_points()
    record = world.Record()
    o.must_upgrade = bool(o.upgrade)
    o.upgrade = (o.seconds >= 120 or o.kills >= 200) if o.upgrade is None else o.upgrade
    why = netns.available() if o.netns == "auto" else "switched off"
    w = world.World(o.dir, record, use_netns=why is None)
    if why:
        record.count(f"skipped: network namespace ({why})")
    l, f = load.Load(w, record, o.seed), follow.Follower(w, record)
    try:
        if o.upgrade:
            w.build = before(o, old, record)
            w.old = w.build != o.build
        l.begin()
        w.begin()
        f.start()
        l.start()
        hunter = faults.Faults(w, l, record)
        seconds = storm(o, w, l, hunter, record, plan_of(o, plan, points))
        hunter.finish()
        conclude(w, l, f, record, seed=o.seed)
        result = checker.check(o.dir)
        for v in result.violations:
            record.violate(v)
        record.counts.update({"builds": len(result.builds), "requests": len(result.requests), "bytes of log checked": result.bytes,
                              "promotions": result.n_promotions, "attempts": sum(map(len, result.attempts.values())), "events": len(record.data["events"])})
    finally:
        w.halt = f.halt = l.halt = True
        w.close()
    record.counts["seconds"] = round(seconds)
    return record


def newest_event(w):
    import sqlite3
    db = sqlite3.connect(f"file:{w.state}/pawl.db?mode=ro", uri=True, timeout=5)
    try:
        return db.execute("SELECT max(seq) FROM event").fetchone()[0]
    finally:
        db.close()


def main(argv=None):
    o = options(argv)
    o.build = os.path.abspath(o.build)
    o.dir = os.path.abspath(o.dir or os.path.join(ROOT, "build/chaos", f"seed-{o.seed}"))
    if o.plan:
        os.environ["PAWL_BUILD"] = o.build
        import itertools, plan, world
        for a in itertools.islice(plan_of(o, plan, world.fault_points()), 10 ** 5 if not o.kills else 4 * o.kills):
            print(f"{a.at:9.3f} {a.kind:12s} {json.dumps(a.args)}")
        return 0
    shutil.rmtree(o.dir, ignore_errors=True)
    os.makedirs(o.dir)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing of the run stays on the machine
    record = run(o)
    for name, n in sorted(record.counts.items()):
        print(f"  {n:12d}  {name}")
    kills, builds = record.sum("kills"), record.counts["builds"]
    if kills == 0 or builds == 0:
        record.violate(f"{kills} kills and {builds} builds prove nothing")
    bad = record.violations
    print(f"chaos: seed {o.seed}, {record.counts['seconds']} s, {kills} kills, {builds} builds: {len(bad)} violations")
    if bad:
        how = (f"--kills {o.kills}" if o.kills else f"--seconds {o.seconds:g}") + ("" if o.kill_rate == 1.45 else f" --kill-rate {o.kill_rate:g}")
        print(f"again: tests/chaos/chaos.py --seed {o.seed} {how} --build {o.build}\nstate: {o.dir}")
    elif not o.keep:
        shutil.rmtree(o.dir, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
