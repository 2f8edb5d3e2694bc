"""Judges a finished run from what lies on the disk and from what the load recorded. It shares no code with Pawl: the database is read
by sqlite3, sealed logs by sealed.py, and the bytes of each log are computed from the build's spec.

`check(dir)` gives a list of violations; each begins with a word that names its rule."""
import collections, glob, json, os, re, sqlite3, subprocess
import sealed, step

SUCCESS, FAILURE, EXCEPTION, CANCELLED = 0, 2, 4, 6
REQ_DONE, BUILD_DONE, STEP_DONE, FORGOTTEN, LOST = 2, 4, 2, 4, 5
PROMO_DONE = 1
SAID = re.compile(rb"(?:pawl: (?:killed process|process|the output is still held open by process) \d+ [^\n]*\n)+\Z")  # ours, behind the step's


class Run:
    """All facts of a finished run."""

    def __init__(self, path):
        self.dir = path
        self.state = os.path.join(path, "state")
        self.db = sqlite3.connect(os.path.join(self.state, "pawl.db"))
        self.db.row_factory = sqlite3.Row
        self.db.text_factory = lambda b: b.decode(errors="surrogateescape")
        self.record = json.load(open(os.path.join(path, "record.json")))
        self.violations, self.bytes, self.n_promotions = [], 0, 0

    def load(self):
        path = self.dir

        def rows(sql):
            return list(self.db.execute(sql))
        self.requests = {r["id"]: r for r in rows("""SELECT r.*, b.reason, b.scheduler, lower(hex(s.rev)) AS rev, s.branch, u.name AS builder_name
            FROM request r JOIN buildset b ON b.id = r.buildset JOIN stamp s ON s.id = r.stamp JOIN builder u ON u.id = r.builder""")}
        self.builds = {b["id"]: b for b in rows("SELECT * FROM build")}
        self.attempts = collections.defaultdict(list)
        for a in rows("SELECT * FROM attempt ORDER BY id"):
            self.attempts[a["build"]].append(a)
        self.steps = collections.defaultdict(dict)
        for s in rows("SELECT step.*, name.text FROM step JOIN name ON name.id = step.name ORDER BY attempt, idx"):
            self.steps[s["attempt"]][s["idx"]] = s
        self.logs = {(r["attempt"], r["idx"], r["stream"]): r for r in rows("SELECT * FROM log")}
        self.promotions = rows("SELECT *, lower(hex(old)) AS old_hex, lower(hex(rev)) AS rev_hex FROM promotion ORDER BY id")
        self.workers = {w["name"]: w["id"] for w in rows("SELECT * FROM worker")}
        self.executions = collections.Counter()
        try:
            for line in open(os.path.join(path, "executions")):
                build, attempt, spec, _ = line.split()
                self.executions[int(build), int(attempt), spec] += 1
        except FileNotFoundError:
            pass
        self.pushed = {}
        for p in self.record["pushes"]:
            self.pushed[p["revision"]] = p
        self.by_reason = {"chaos " + k: e for k, e in self.record["requests"].items()}
        self.by_reason.update(self.record["clients"])
        self.retry_of = {}
        for e in self.record["requests"].values():
            if e.get("kind") == "retry" and e["status"] == 202:
                for r in json.loads(e["answer"])["requests"]:
                    self.retry_of[r] = e["build"]

    def bad(self, rule, text):
        self.violations.append(f"{rule}: {text}")

    def spec_of(self, request):
        """The spec that a request's build must have run; None when nobody knows of such a request."""
        r = self.requests[request]
        if request in self.retry_of:  # the whole set is made again; its other builders stand below
            first = self.builds[self.retry_of[request]]["request"]
            if self.requests[first]["builder"] == r["builder"]:
                return self.spec_of(first)
        if r["builder_name"] == "any":
            e = self.by_reason.get(r["reason"])
            return e and e["spec"]
        p = self.pushed.get(r["rev"])
        return p and p["spec" if r["builder_name"] == "tree" else "spec2"]

    def exempt(self, build):
        """How many attempts may have begun: 1, and one for each of its runners that was killed. An agent that carried a fault point gave
        it to its runners: builds that it had then may have been begun more often."""
        killed = {(a, b) for a, b in self.record["runners"]}
        n, free = 1, False
        for a in self.attempts[build]:
            n += (f"{a['epoch'] & (1 << 64) - 1:016x}", a["id"]) in killed
            for worker, since, until, _ in self.record["armed"]:
                if self.workers.get(worker) == a["worker"] and a["offered"] <= (until or 1e18) + 5000 and (a["ended"] or 1e18) >= since - 5000:
                    free = True
        return n, free


# ---- the rules
def database(run):
    for row in run.db.execute("PRAGMA integrity_check"):
        if row[0] != "ok":
            run.bad("integrity", row[0])
    for row in run.db.execute("PRAGMA foreign_key_check"):
        run.bad("integrity", f"foreign key of {row[0]} row {row[1]}")
    for what, sql in (
            ("an attempt stored more than it applied", "SELECT id FROM attempt WHERE stored > applied"),
            ("an attempt is not forgotten", f"SELECT id FROM attempt WHERE state NOT IN ({FORGOTTEN}, {LOST})"),
            ("an attempt that began is called lost, and no spool was", f"SELECT id FROM attempt WHERE state = {LOST} AND applied > 0"),
            ("an attempt has no build", "SELECT id FROM attempt WHERE build NOT IN (SELECT id FROM build)"),
            ("a build is not done", f"SELECT id FROM build WHERE state <> {BUILD_DONE} OR result IS NULL OR finished IS NULL"),
            ("a build has no request", "SELECT id FROM build WHERE request NOT IN (SELECT id FROM request)"),
            ("a request has two builds", "SELECT request FROM build GROUP BY request HAVING count(*) > 1"),
            ("a request is not done", f"SELECT id FROM request WHERE state <> {REQ_DONE}"),
            ("a request and its build do not know each other", "SELECT r.id FROM request r LEFT JOIN build b ON b.id = r.build WHERE r.build IS NOT NULL AND b.request IS NOT r.id"),
            ("a build's request does not name it", "SELECT b.id FROM build b JOIN request r ON r.id = b.request WHERE r.build IS NOT b.id"),
            ("a build is of another builder or revision than its request", "SELECT b.id FROM build b JOIN request r ON r.id = b.request WHERE b.builder <> r.builder OR b.stamp <> r.stamp"),
            ("a number names a request and another one's build", "SELECT b.id FROM build b JOIN request r ON r.id = b.id WHERE b.request <> r.id"),
            ("a step has no attempt", "SELECT attempt FROM step WHERE attempt NOT IN (SELECT id FROM attempt)"),
            ("a log has no step", "SELECT l.attempt FROM log l LEFT JOIN step s ON s.attempt = l.attempt AND s.idx = l.idx WHERE s.attempt IS NULL"),
            ("a log is not sealed", "SELECT attempt FROM log WHERE sealed = 0"),
            ("a frame is left", "SELECT attempt FROM frame"),
            ("a frozen job is left", "SELECT build FROM job"),
            ("a promotion is open", "SELECT id FROM promotion WHERE state = 0"),
            ("a revision of a branch was asked for twice by a scheduler", """SELECT r.id FROM request r JOIN buildset b ON b.id = r.buildset WHERE b.scheduler IS NOT NULL
                GROUP BY b.scheduler, r.stamp, r.builder HAVING count(*) > 1""")):
        ids = [r[0] for r in run.db.execute(sql)]
        if ids:
            run.bad("rows", f"{what}: {ids[:10]}")


def requests(run):
    """Each accepted request is there once and has one end; nothing is there that nobody asked for."""
    seen, cancelled = {}, set()
    kept = collections.Counter(r["body"] for r in run.db.execute("SELECT body FROM idem WHERE status = 202"))
    for key, e in run.record["requests"].items():
        if e["status"] is None:
            run.bad("answer", f"{key} was never answered")
        if e["status"] != 202:
            continue
        answer = e["answer"].rstrip("\n")
        kept[answer] -= 1  # under which name is the master's business: one for each
        if kept[answer] < 0:
            run.bad("answer", f"{key} was answered {answer}, which is not kept")
        if e["kind"] == "cancel":
            cancelled.add(e["request"])
        for r in json.loads(e["answer"]).get("requests", []):
            if r in seen:
                run.bad("answer", f"{key} and {seen[r]} were both given request {r}")
            seen[r] = key
            if r not in run.requests:
                run.bad("request", f"{r} of {key} is lost")
    by_reason = collections.Counter(r["reason"] for r in run.requests.values())
    for reason, e in run.by_reason.items():
        n = by_reason[reason]
        accepted = e["code"] == 0 if "code" in e else e["status"] == 202
        if e.get("kind", "force") == "force" and (n > 1 or (accepted and n != 1)):
            run.bad("request", f"\"{reason}\" is there {n} times")
    for r in run.requests.values():
        if run.spec_of(r["id"]) is None and r["builder_name"] == "any":
            run.bad("request", f"{r['id']} (\"{r['reason']}\") was asked for by nobody")
        build = run.builds.get(r["build"])
        if build is None and r["id"] not in cancelled and not rode(run, r):
            run.bad("request", f"{r['id']} of {r['builder_name']} has no result")
        if build is not None and r["id"] in cancelled and build["result"] != CANCELLED:
            run.bad("cancel", f"request {r['id']} was cancelled, build {build['id']} has result {build['result']}")
    run.cancelled = cancelled


def rode(run, r):
    for _ in range(len(run.requests)):
        if not r["rode_with"]:
            return False
        other = run.requests.get(r["rode_with"])
        if other is None or other["builder"] != r["builder"] or other["branch"] != r["branch"] or other["id"] <= r["id"]:
            return False
        if other["build"] or other["id"] in run.cancelled_ids():
            return True
        r = other
    return False


def cancelled_ids(run):
    return {e["request"] for e in run.record["requests"].values() if e["kind"] == "cancel" and e["status"] == 202}


Run.cancelled_ids = cancelled_ids


def changes(run):
    """Each pushed commit is one change of its branch, each tip that was seen one request of each builder of the scheduler."""
    rows = collections.Counter()
    tips = []
    for c in run.db.execute("SELECT c.tip, c.stamp, s.branch, lower(hex(s.rev)) AS rev FROM change c JOIN stamp s ON s.id = c.stamp"):
        rows[c["branch"], c["rev"]] += 1
        if c["tip"] and c["rev"] in run.pushed and c["branch"] == run.pushed[c["rev"]]["branch"]:
            tips.append(c)
    last = {}
    for p in run.record["pushes"]:
        last[p["branch"]] = p["revision"]
        n = rows[p["branch"], p["revision"]]
        if n != 1:
            run.bad("change", f"{p['revision'][:8]} on {p['branch']} is there {n} times")
    asked = collections.Counter((r["stamp"], r["builder_name"]) for r in run.requests.values() if r["scheduler"])
    for c in tips:
        for builder in ("tree", "also"):
            if asked[c["stamp"], builder] != 1:
                run.bad("change", f"{c['rev'][:8]} on {c['branch']} was asked of {builder} {asked[c['stamp'], builder]} times")
    for branch, rev in last.items():
        if not any(c["branch"] == branch and c["rev"] == rev for c in tips) and rev not in (p["revision"] for p in run.record["pushes"] if p["branch"] != branch):
            run.bad("change", f"the last push to {branch} started nothing")
    for r in run.requests.values():
        if r["branch"] in ("stable", "db-stable"):
            run.bad("change", f"a promotion's own move of {r['branch']} started request {r['id']}")


def builds(run):
    """Results, attempts and executions; the bytes of each log of each attempt."""
    for b in run.builds.values():
        if b["request"] not in run.requests:
            continue
        spec, attempts = run.spec_of(b["request"]), run.attempts[b["id"]]
        if spec is None:
            if run.requests[b["request"]]["builder_name"] == "any":
                continue  # told by requests()
            run.bad("build", f"{b['id']} is of a revision that nobody pushed")
            continue
        want = FAILURE if step.exit_code(spec) else SUCCESS
        cancelled = b["request"] in run.cancelled
        if b["result"] != want and not (cancelled and b["result"] == CANCELLED):
            run.bad("result", f"build {b['id']} ({spec}) has {b['result']}, not {want}: {b['reason']}; attempts {[a['reason'] for a in attempts]}")
        executed(run, b, spec, attempts)
        for a in attempts:
            output(run, b, a, spec, whole=a is attempts[-1] and b["result"] != CANCELLED)


def executed(run, b, spec, attempts):
    allowed, free = run.exempt(b["id"])
    counts = {a: n for (build, a, _), n in run.executions.items() if build == b["id"]}
    for a, n in counts.items():
        if n != 1:
            run.bad("execution", f"attempt {a} of build {b['id']} ran {n} times")
        if a not in [x["id"] for x in attempts]:
            run.bad("execution", f"attempt {a} of build {b['id']} ran and has no row")
        if not run.executions[b["id"], a, spec]:
            run.bad("execution", f"attempt {a} of build {b['id']} ran another spec than {spec}")
    begun = sum(1 for a in attempts if a["applied"] > 0 or a["id"] in counts)
    if begun > allowed and not free:
        run.bad("again", f"build {b['id']} began {begun} times, {allowed - 1} of its runners were killed: {[(a['id'], a['reason']) for a in attempts]}")
    if b["result"] != CANCELLED and (not attempts or counts.get(attempts[-1]["id"]) != 1):
        run.bad("execution", f"build {b['id']} has a result and its last attempt never ran")
    elif b["result"] != CANCELLED and b["attempt"] != attempts[-1]["id"]:
        run.bad("execution", f"build {b['id']} names attempt {b['attempt']}, its last is {attempts[-1]['id']}")


def output(run, b, a, spec, whole):
    steps = run.steps[a["id"]]
    names = ["out"] if run.requests[b["request"]]["builder_name"] == "any" else ["checkout", "out"]
    if whole and [(i, s["text"], s["state"]) for i, s in sorted(steps.items())] != [(i, n, STEP_DONE) for i, n in enumerate(names)]:
        run.bad("steps", f"build {b['id']} has {[(i, s['text'], s['state']) for i, s in sorted(steps.items())]}")
    for s in steps.values():
        if s["state"] != STEP_DONE and (a["ended"] or 0) > run.record.get("upgraded", 0):  # older programs left them open
            run.bad("steps", f"step {s['idx']} of attempt {a['id']} is not done")
    idx, known = len(names) - 1, step.known(spec)
    got = run.contents.get((a["id"], idx, 0), b"")
    plain = SAID.sub(b"", got)
    if spec.startswith("stubborn") and whole and got == known:
        run.bad("log", f"build {b['id']} does not tell that children were left behind")
    if whole and (plain if spec.startswith("stubborn") else got) != known:
        run.bad("log", f"build {b['id']} ({spec}), attempt {a['id']}: {len(got)} bytes, {len(known)} are known; {differ(got, known)}")
    if not whole and not known.startswith(plain) and not known.startswith(plain[:-1]):  # what we say begins on a line of its own
        run.bad("log", f"attempt {a['id']} of build {b['id']} ({spec}) is no beginning of what is known; {differ(got, known)}")
    if whole and idx in steps and steps[idx]["bytes"] != len(got):
        run.bad("log", f"step {idx} of build {b['id']} says {steps[idx]['bytes']} bytes, its log has {len(got)}")


def differ(got, known):
    n = next((i for i, (x, y) in enumerate(zip(got, known)) if x != y), min(len(got), len(known)))
    return f"they differ at byte {n}: {got[n:n + 40]!r}, known {known[n:n + 40]!r}"


def files(run):
    """Every row of a sealed log has its file, whole, and there is no other."""
    run.contents = {}
    there = {os.path.relpath(p, run.state) for p in glob.glob(f"{run.state}/logs/*/*") if "/seg" not in p}
    for key, row in run.logs.items():
        name = "logs/%02x/%d-%d-%d.log" % (key[0] % 256, *key)
        if name not in there:
            run.bad("file", f"{name} is missing")
            continue
        there.discard(name)
        try:
            parts, size, lines = sealed.read(os.path.join(run.state, name), key)
            data = b"".join(piece for _, piece in parts)
            if size != row["bytes"] or len(data) != size or lines != row["lines"] or data.count(b"\n") != lines:
                run.bad("file", f"{name} has {len(data)} bytes in {lines} lines, its row says {row['bytes']} in {row['lines']}")
            run.contents[key] = data
            run.bytes += len(data)
        except sealed.Bad as e:
            run.bad("file", f"{name}: {e}")
    for name in sorted(there)[:10]:
        run.bad("file", f"{name} belongs to nothing")


def raw(run):
    """What the interface gave for each log while the master still ran."""
    import hashlib
    for at, (size, digest) in run.record["raw"].items():
        build, name = at.split("/")
        b = run.builds.get(int(build))
        a = run.attempts[int(build)][-1] if b and run.attempts[int(build)] else None
        idx = a and next((i for i, s in run.steps[a["id"]].items() if s["text"] == name), None)
        data = run.contents.get((a["id"], idx, 0), b"") if a else None
        if data is None or len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            run.bad("raw", f"log {at} was given with {size} bytes, its file has {data and len(data)}")


def git(run, *args):
    p = subprocess.run(["git", *args], cwd=os.path.join(run.dir, "repo.git"), env=dict(os.environ, HOME=run.dir), capture_output=True, text=True)
    return p.stdout.strip() if p.returncode == 0 else None


def promotions(run):
    green = {(r["rev"], r["builder_name"]) for b in run.builds.values() for r in [run.requests.get(b["request"])] if r and b["result"] == SUCCESS}
    for edge, source, target, needed in (("stable", "master", "stable", ("tree", "also")), ("db-stable", "db-devel", "db-stable", ("tree",))):
        rows = [p for p in run.promotions if p["edge"] == edge]
        done = [p["rev_hex"] for p in rows if p["state"] == PROMO_DONE]
        moves = []
        try:
            for line in open(os.path.join(run.dir, "repo.git/logs/refs/heads", target)):
                moves.append(line.split()[:2])
        except FileNotFoundError:
            pass
        if [new for _, new in moves] != done:
            run.bad("promotion", f"{target} moved to {[n[:8] for _, n in moves]}, recorded is {[r[:8] for r in done]}")
        for p in rows:
            if p["state"] != PROMO_DONE:
                run.bad("promotion", f"{p['id']} of {edge} ended with state {p['state']}: {p['reason']}")
            for builder in needed:
                if (p["rev_hex"], builder) not in green:
                    run.bad("promotion", f"{p['rev_hex'][:8]} went to {target} and is not green in {builder}")
            if step.exit_code(run.pushed.get(p["rev_hex"], {"spec": "fail-0"})["spec"]):
                run.bad("promotion", f"{p['rev_hex'][:8]} went to {target} and must fail")
        for (_, new), (old, _) in zip(moves, moves[1:]):
            if new != old:
                run.bad("promotion", f"{target} was at {new[:8]} and moved from {old[:8]}")
        for old, new in moves:
            if set(old) != {"0"} and git(run, "merge-base", "--is-ancestor", old, new) is None:
                run.bad("promotion", f"{target} went from {old[:8]} to {new[:8]}, which is not forward")
        run.n_promotions += len(done)
        best = git(run, "rev-parse", source)
        while best and not all((best, b) in green for b in needed):
            best = run.pushed.get(best, {"parent": None})["parent"]
        if best != git(run, "rev-parse", "-q", "--verify", "refs/heads/" + target):
            run.bad("promotion", f"{target} is at {git(run, 'rev-parse', target)}, the newest green revision of {source} is {best}")


EVENTS = {1: "change", 2: "request", 3: "build", 4: "step", 5: "worker", 6: "promotion", 7: "config"}


def events(run):
    rows = {r["seq"]: EVENTS.get(r["kind"]) for r in run.db.execute("SELECT seq, kind FROM event ORDER BY seq")}
    if rows and sorted(rows) != list(range(min(rows), max(rows) + 1)):
        run.bad("events", "their numbers have gaps")
    for seq, kind in run.record["events"]:
        if rows.get(seq) != kind:
            run.bad("events", f"{seq} was sent as {kind}, the row says {rows.get(seq)}")
    if not run.record["events"]:
        run.bad("events", "none was ever seen")
    elif run.record["events"][-1][0] < run.record["newest_event"]:
        run.bad("events", f"the last that was seen is {run.record['events'][-1][0]}, there was {run.record['newest_event']}")


def spools(run):
    for folder in glob.glob(os.path.join(run.dir, "spool-*")):
        left = sorted(f for d in ("jobs", "held") for f in glob.glob(f"{folder}/{d}/*"))
        if left:
            run.bad("spool", f"{left[:6]} are not forgotten")


RULES = (database, files, requests, changes, builds, raw, promotions, events, spools)


def check(path):
    """The finished run with `violations` filled."""
    run = Run(path)
    try:
        run.load()
        for rule in RULES:
            rule(run)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as e:  # SQLite's own words may quote what is damaged
        run.bad("integrity", str(e))
    finally:
        run.db.close()
    return run
