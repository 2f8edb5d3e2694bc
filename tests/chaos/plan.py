"""The plan of a run: everything that is random comes from one random.Random(seed), as an endless list of actions with their times.
Real timing cannot be repeated to the microsecond; the plan can."""
import collections, itertools, random
import step

Action = collections.namedtuple("Action", "at kind args")

WORKERS = ["w1", "w2", "w3"]
BRANCHES = ["master", "db-devel", "feature/x"]

# kind: weight. A kill whose victim does not live at that moment is passed over, so there are more of them than one a second.
KILLS = {"kill_master": 26, "kill_agent": 22, "kill_zygote": 9, "kill_runner": 16, "kill_client": 12, "kill_git": 10}
FAULTS = {"stop_master": 6, "stop_agent": 8, "proxy": 26, "netns": 8, "config": 4}
LOAD = {"force": 30, "push": 16, "client": 8, "cancel": 8, "retry": 6, "repeat": 6, "promote": 3, "pause": 4}
PROXY = {"cut": 5, "delay": 4, "hole": 3, "half_up": 2, "half_down": 2, "half_close_up": 2, "half_close_down": 2, "duplicate": 4}
NETNS = {"drop_in": 2, "drop_out": 2, "loss": 2, "link": 3}


def pick(rnd, weights):
    return rnd.choices(list(weights), list(weights.values()))[0]


def spec(rnd):
    return f"{pick(rnd, step.KINDS)}-{rnd.randrange(10 ** 9)}"


def arm(rnd, points, share):
    """PW_FAULT for a process that starts, or None. points: {name: [actions that must be survived]}."""
    if not points or rnd.random() >= share:
        return None
    name = rnd.choice(sorted(points))
    return f"{name}:{int(10 ** rnd.uniform(0, 1.6))}={rnd.choice(points[name])}"


def pause_of(rnd, long):
    """How long something is stopped or cut off; sometimes longer than the 25 s after which a silent session ends."""
    return rnd.uniform(27, 40) if long and rnd.random() < 0.06 else 10 ** rnd.uniform(-0.5, 0.9)


def fault(rnd, kind, points, long):
    worker = rnd.choice(WORKERS)
    if kind == "kill_master":
        return {"back": rnd.choice((0, 0, 0.1, 0.5, 1.5)), "fault": arm(rnd, points["master"], 0.5)}
    if kind == "kill_agent":
        return {"worker": worker, "back": rnd.choice((0, 0, 0.2, 1, 2)), "fault": arm(rnd, points["agent"], 0.3)}
    if kind in ("kill_zygote", "kill_runner"):
        return {"worker": worker, "which": rnd.randrange(1000)}
    if kind == "kill_client":
        return {"spec": spec(rnd), "after": 10 ** rnd.uniform(-3, -0.9)}
    if kind == "kill_git":
        return {"which": rnd.randrange(1000), "push": rnd.random() < 0.5}
    if kind == "stop_master":
        return {"for": pause_of(rnd, long)}
    if kind == "stop_agent":
        return {"worker": worker, "for": pause_of(rnd, long)}
    if kind == "proxy":
        how = pick(rnd, PROXY)
        return {"worker": worker, "how": how, "for": pause_of(rnd, long), "delay": rnd.choice((0.02, 0.2, 1.0)), "resume": rnd.random() < 0.5}
    if kind == "netns":
        return {"how": pick(rnd, NETNS), "for": pause_of(rnd, long)}
    return {"variant": rnd.randrange(4)}  # config


def load(rnd, kind):
    if kind in ("force", "client"):
        return {"spec": spec(rnd), "branch": rnd.choice(BRANCHES), "again": rnd.random() < 0.3}
    if kind == "push":
        return {"spec": spec(rnd), "branch": rnd.choice(BRANCHES[:2] + BRANCHES), "commits": rnd.choice((1, 1, 1, 2, 4)), "hand": rnd.random() < 0.3}
    if kind == "promote":
        return {"edge": rnd.choice(("stable", "db-stable"))}
    if kind == "pause":
        return {"worker": rnd.choice(WORKERS), "for": rnd.uniform(0.2, 5)}
    return {"which": rnd.randrange(1000)}


def actions(seed, points, long=True, kill_rate=1.45, fault_rate=0.35, load_rate=2.0):
    """Endless. points: {"master": {..}, "agent": {..}} as in arm()."""
    rnd = random.Random(seed)
    rates = (kill_rate, fault_rate, load_rate)
    at = 0.0
    while True:
        at += rnd.expovariate(sum(rates))
        group = rnd.choices((KILLS, FAULTS, LOAD), rates)[0]
        kind = pick(rnd, group)
        yield Action(round(at, 3), kind, load(rnd, kind) if group is LOAD else fault(rnd, kind, points, long))


def until(seed, points, seconds, **rates):
    return itertools.takewhile(lambda a: a.at < seconds, actions(seed, points, **rates))
