#!/usr/bin/python3
"""Walks the named fault points (docs/reliability.md): a process is killed at a point, or the step at it fails, is started anew,
and then nothing may be lost and nothing doubled. Real processes, a real repository, 127.0.0.1.

    walk.py [--seed S] [--seconds N]          each point once killed, then errors and later passages as time allows
    walk.py --all                             each point, passages 1 to 3, killed and failing
    walk.py --crashes N [--seed S] [--jobs J] N crashes at random points

What is checked after each: one build for each request whatever was sent again, its result, its log byte for byte, no attempt
run twice, one promotion and one entry of the reflog for each revision, one build for each quiet push, workers joined once.
And at the end of each world: the database's integrity, empty spools, no files left over, no processes."""
import argparse, concurrent.futures, glob, json, os, random, re, shutil, signal, sqlite3, subprocess, sys, tempfile, time, traceback, urllib.error, urllib.parse, uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
from conftest import BUILD, SLOW, Pawl, Repo  # noqa: E402

# point -> (process that gets the fault, what makes it pass the point); the first is walked, the others by chance too
POINTS = {
    "store.commit": [("master", "force")], "store.committed": [("master", "force"), ("master", "push")],
    "ingest.applied": [("master", "force")], "ingest.appended": [("master", "force")], "ingest.synced": [("master", "force")],
    "ack.send": [("master", "force")], "dispatch.send": [("master", "force")], "forget.send": [("master", "force")],
    "cancel.send": [("master", "cancel")], "cmd.answer": [("master", "force"), ("master", "cancel")],
    "logs.append": [("master", "force")], "logs.sync": [("master", "force")], "logs.seal": [("master", "force")],
    "seal.written": [("master", "force")], "seal.renamed": [("master", "force")], "seal.committed": [("master", "force")],
    "blobs.append": [("master", "force")], "blobs.sync": [("master", "force")], "blobs.committed": [("master", "force")],
    "blobs.rename": [("master", "force")], "blobs.same": [("master", "force")],
    "run.piece": [("agent", "force")], "run.file": [("agent", "force")],
    "resync.hello": [("master", "hello")], "resync.welcome": [("master", "hello")],
    "change.seen": [("master", "push")], "schedule.fired": [("master", "calm")], "epoch.begun": [("master", "epoch")],
    "promotion.intent": [("master", "push")], "push.before": [("master", "push")], "push.after": [("master", "push")],
    "promotion.pushed": [("master", "push")], "promotion.recorded": [("master", "push")],
    "join.enrol": [("master", "join")], "join.received": [("master", "join")], "join.answer": [("master", "join")],
    "join.key": [("join", "join")], "join.joined": [("join", "join")], "join.config": [("join", "join")],
    "worker.join": [("master", "join")], "worker.key": [("join", "join")],
    "cgroup.made": [("agent", "force")], "cgroup.close": [("agent", "force")],
    "agent.secrets": [("agent", "force")], "run.secrets": [("agent", "force")],
    "fs.replace": [("master", "start"), ("join", "join")],
    "dispatch.job": [("agent", "force")], "dispatch.journal": [("agent", "force")], "dispatch.told": [("agent", "force")],
    "forget.received": [("agent", "force")], "forget.moving": [("agent", "force")],
    "journal.append": [("agent", "force")], "run.append": [("agent", "force")],
    "run.fork": [("agent", "force")], "run.forked": [("agent", "force")], "run.locked": [("agent", "force")],
    "run.started": [("agent", "force")], "run.step_started": [("agent", "force")], "run.step_ended": [("agent", "force")],
    "run.ending": [("agent", "force")], "run.ended": [("agent", "force")],
}
# killed in a test of their own: the file that has it
ELSEWHERE = {"blobs.remove": "tests/system/test_artifacts.py", "blobs.removed": "tests/system/test_artifacts.py",
             "run.kept": "tests/system/test_kept.py", "tidy.remove": "tests/system/test_kept.py",
             "backup.copy": "tests/system/test_backup.py", "backup.write": "tests/system/test_backup.py", "backup.rename": "tests/system/test_backup.py",
             "restore.unpack": "tests/system/test_backup.py", "restore.epoch": "tests/system/test_backup.py",
             "store.migrate": "master/store/migrate_test.c", "config.before": "tests/system/test_reload.py", "config.swapped": "tests/system/test_reload.py",
             "set.green": "tests/system/test_schedulers.py", "hook.store": "tests/system/test_web.py", "hook.stored": "tests/system/test_web.py",
             "outbox.before": "tests/system/test_outbox.py", "outbox.sent": "tests/system/test_outbox.py", "outbox.recorded": "tests/system/test_outbox.py",
             "try.stored": "tests/system/test_try.py", "try.import": "tests/system/test_try.py", "try.imported": "tests/system/test_try.py",
             "try.removed": "tests/system/test_try.py",
             "trigger.applied": "tests/system/test_trigger.py", "note.send": "tests/system/test_trigger.py", "note.received": "tests/system/test_trigger.py",
             "pipeline.read": "tests/system/test_pipeline.py",
             "blob.send": "tests/system/test_fetch.py", "need.piece": "tests/system/test_fetch.py", "need.got": "tests/system/test_fetch.py", "bundle.made": "tests/system/test_source_master.py",
             "provider.before": "tests/system/test_provider.py", "provider.ran": "tests/system/test_provider.py",
             "retain.unlink": "tests/system/test_retention.py", "retain.unlinked": "tests/system/test_retention.py", "retain.rows": "tests/system/test_retention.py"}
NOT_WALKED = {
    "journal.sync": "no program calls journal_sync: a job whose journal is lost with the machine's power is repeated (docs/architecture.md)",
    **ELSEWHERE,
}
# passages that a scenario has, where it has not many
PASSAGES = {"worker.join": 1, "worker.key": 1, "join.key": 1, "join.joined": 1, "join.config": 1, "epoch.begun": 1, "join.enrol": 1, "join.received": 1, "join.answer": 1,
            "fs.replace": 2}
# their failure is waited out for 10 to 30 s; too long for `make test`
SLOW_ERRORS = {"promotion.intent", "push.before", "push.after", "promotion.pushed", "dispatch.send", "ack.send", "forget.send", "cancel.send",
               "resync.welcome", "join.answer"}
EPOCH = "SELECT value FROM meta WHERE key = 'epoch'"
SMALL = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i of $tag; done; echo $PAWL_ATTEMPT >> {ran}/$tag"
CONFIG = """
name: faults
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
secrets: {{s: {{env: WALK_SECRET}}}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
  - {{name: main, project: p, retries: 20, properties: {{tag: main}}, requires: {{tags: [main]}}, steps: [{{name: one, run: "{small}"}}, {{name: two, run: "echo end of $tag"}}]}}
  - {{name: any, project: p, retries: 20, collapse: false, env: {{S: "${{secret:s}}"}}, properties: {{tag: none}}, requires: {{tags: [main]}}, steps: [{{name: one, run: "{small}; echo file of $tag > $tag.txt; echo same > same.bin", artifacts: ["${{tag}}.txt", "same.*"]}}, {{name: two, run: "echo end of $tag"}}]}}
  - {{name: calm, project: p, retries: 20, properties: {{tag: calm}}, requires: {{tags: [main]}}, steps: [{{name: one, run: "{small}"}}, {{name: two, run: "echo end of $tag"}}]}}
  - {{name: slow, project: p, collapse: false, requires: {{tags: [main]}}, steps: [{{name: one, run: [sleep, "60"]}}]}}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [main]}}
  - {{name: quiet, kind: branch, project: p, branches: [calm], builders: [calm], quiet: 100ms}}
promotions:
  - {{name: stable, kind: green, project: p, from: master, to: stable, builders: [main]}}
"""


def names():
    """All points that the sources have."""
    found = set()
    for top in ("shared", "master", "worker", "client"):
        for path, _, files in os.walk(os.path.join(ROOT, top)):
            for f in files:
                if f.endswith(".c") and not f.endswith("_test.c"):
                    found |= set(re.findall(r'pw_fault\("([a-z_.]+)"\)', open(os.path.join(path, f)).read()))
    return found


class Violation(AssertionError):
    pass


def must(true, *what):
    if not true:
        raise Violation(" ".join(str(w) for w in what))


class World(Pawl):
    """A master, an agent and a repository that live through many faults."""

    def __init__(self, path, seed):
        os.makedirs(path)
        super().__init__(path)
        self.random = random.Random(seed)
        self.seen = os.path.join(self.dir, "seen")
        self.env.update(PW_FAULT_SEEN=self.seen, WALK_SECRET="a-secret-of-the-walk")
        self.ran = os.path.join(self.dir, "ran")
        os.mkdir(self.ran)
        self.wants, self.revs, self.calms, self.joiners = {}, [], [], 0
        self.history, self.count = [], 0
        self.repo = Repo(os.path.join(self.dir, "repo"))
        self.repo.git("config", "core.logAllRefUpdates", "always", cwd=self.repo.bare)
        self.repo.git("config", "core.fsync", "none", cwd=self.repo.bare)
        self.repo.git("config", "gc.auto", "0", cwd=self.repo.bare)
        self.configure(CONFIG.format(repo=self.repo.bare, small=SMALL.format(ran=self.ran)))
        self.keep_agent = self.master_fault = False
        self.armed, self.until = False, time.monotonic() + 90 * SLOW
        self.first = self.push("master")
        self.start_master()
        self.start_worker("w1", slots=4, tags="main")
        self.settle()

    # ---- what happened
    def fired(self):
        """Lines of the faults that happened."""
        try:
            return open(self.seen).read().splitlines()
        except FileNotFoundError:
            return []

    def crashes(self):
        return sum("=kill" in line for line in self.fired())

    def happened(self):
        return self.armed and len(self.fired()) > self.before

    def wait(self, check, what):
        """True when check() is; False when the fault happened first."""
        while True:
            got = check()
            if got:
                return got
            if self.happened():
                return False
            if time.monotonic() > self.until:
                raise Violation("waited too long for " + what)
            time.sleep(0.01)

    # ---- asking, while the master may die at any moment
    def ask(self, method, path, body=None, key=None):
        try:
            status, text, _ = self.request(method, path, body, {"Idempotency-Key": key} if key else None)
        except (OSError, urllib.error.URLError, ValueError, AttributeError, http_error):
            return None, None
        if status == 503:
            return None, None
        return status, json.loads(text or b"null")

    def items(self, path):
        """All pages: a revision of a long walk has more builds than one answer."""
        found, cursor = [], ""
        while cursor is not None:
            status, body = self.ask("GET", path + ("&" if "?" in path else "?") + "limit=1000" + cursor)
            if status != 200:
                return []
            found += body["items"]
            cursor = "&cursor=" + urllib.parse.quote(body["next"]) if body["next"] else None
        return found

    # ---- processes
    def master_up(self):
        return self.master.poll() is None and os.path.exists(os.path.join(self.state, "web.addr"))

    def begin_master(self, fault=None):
        self.start_master(env={"PW_FAULT": fault} if fault else None, wait=False)

    def begin_agent(self, fault=None):
        self.start_worker("w1", wait=False, env={"PW_FAULT": fault} if fault else None)

    def find_url(self):
        if not self.master_up():
            return False
        self.url = open(os.path.join(self.state, "web.addr")).read().strip()
        return bool(self.url)

    def shake(self):
        """Mostly the agent is killed with the master: one that sees master after master die waits longer and longer."""
        if self.random.random() < 0.8:
            self.end(self.workers["w1"])
            self.begin_agent()

    def end(self, p):
        if p.poll() is None:
            p.send_signal(signal.SIGKILL)
        p.wait()

    def revive(self):
        """Whoever died by a fault is started again, without one."""
        if self.master.poll() is not None:
            self.begin_master()
            if not self.keep_agent:
                self.shake()
        if self.workers["w1"].poll() is not None:
            self.begin_agent()
        return self.find_url()

    # ---- what makes processes pass points; each ends early when the fault happened
    def push(self, branch):
        self.count += 1
        rev = self.repo.commit({"file": f"{self.count}\n"}, f"change {self.count}", branch=branch)
        (self.revs if branch == "master" else self.calms).append(rev)
        return rev

    def want(self, builder, result, props=None):
        key = str(uuid.UUID(int=self.random.getrandbits(128)))
        self.count += 1
        w = self.wants[key] = {"key": key, "tag": f"tag{self.count}", "builder": builder, "result": result, "request": None, "open": True}
        if builder == "any":
            w["body"] = {"builder": builder, "reason": "walk", "properties": {"tag": w["tag"]}}
        else:
            w["body"] = {"builder": builder, "reason": "walk"}
        return w

    def send(self, w):
        status, body = self.ask("POST", "/force", w["body"], w["key"])
        if status is None:
            return False
        must(status == 202, "force was answered with", status, body)
        must(len(body["requests"]) == 1, "not one request:", body)
        must(w["request"] in (None, body["requests"][0]), "another answer to the same key:", w, body)
        w["request"] = body["requests"][0]
        return True

    def build_of_want(self, w):
        mine = [b for b in self.items("/builds") if b["request"] == w["request"]]
        must(len(mine) <= 1, "two builds for a request:", mine)
        return mine[0] if mine else None

    def do_force(self):
        w = self.want("any", "success")
        if self.wait(lambda: self.send(w), "the answer to a force"):
            self.wait(lambda: (self.build_of_want(w) or {}).get("state") == "done", "a build")

    def cancel(self, w):
        b = self.build_of_want(w)
        if not b:
            return False
        if b["state"] == "done":
            return True
        if b["state"] != "running":
            return False
        self.ask("POST", f"/builds/{b['id']}/cancel", {"reason": "walk"}, w["key"] + "-c")
        return (self.build_of_want(w) or {}).get("state") == "done"

    def do_cancel(self):
        w = self.want("slow", "cancelled")
        if self.wait(lambda: self.send(w), "the answer to a force"):
            self.wait(lambda: self.cancel(w), "the end of a cancelled build")

    def do_push(self, rev=None):
        rev = rev or self.push("master")
        self.wait(lambda: self.repo.ref("stable") == rev, "a promotion")
        self.wait(lambda: any(p["revision"] == rev and p["state"] == "done" for p in self.items("/promotions")), "its record")

    def do_calm(self, rev=None):
        rev = rev or self.push("calm")
        self.wait(lambda: any(b["state"] == "done" for b in self.items(f"/builds?revision={rev}")), "a quiet branch's build")

    def do_start(self):
        self.wait(self.find_url, "the master's start")
        if not self.happened():
            self.end(self.master)
            self.begin_master(self.fault)

    def do_hello(self):
        def states():
            return [w["state"] for w in self.items("/workers") if w["name"] == "w1"]
        if not self.wait(lambda: states() == ["connected"], "the agent's session"):
            return
        a = self.workers["w1"]
        if a.poll() is None:
            a.send_signal(signal.SIGTERM)
            a.wait(timeout=20 * SLOW)
        if not self.wait(lambda: states() not in ([], ["connected"]), "its end"):
            return
        self.begin_agent()
        self.wait(lambda: states() == ["connected"], "the next session")

    def run_join(self, line, name, fault=None):
        argv = [f"{BUILD}/pawl-worker", "join", line, "--config", os.path.join(self.dir, name + ".yaml"), "--spool", os.path.join(self.dir, "spool-" + name)]
        p = subprocess.Popen(argv, cwd=self.dir, env=dict(self.env, **({"PW_FAULT": fault} if fault else {})), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        p.name = "join"
        self.children.append(p)
        return p

    def do_join(self, fault=None):
        """A worker is added, joins, connects once, and is removed. Goes on after the fault."""
        self.joiners += 1
        name, key, line = f"j{self.joiners}", str(uuid.UUID(int=self.random.getrandbits(128))), None
        while not line:
            status, body = self.ask("POST", "/workers", {"name": name}, key)
            must(status in (None, 202), "worker add was answered with", status, body)
            line = body and body["line"].split()[-1]
            line or self.alive("the answer to worker add")
        while True:
            p = self.run_join(line, name, fault)
            out = p.communicate()[0].decode()
            self.children.remove(p)
            if p.returncode == 0:
                break
            must(self.happened(), "join failed without a fault:", out)
            fault = None
            self.alive("a second join")
        if self.happened() or not self.master_fault:
            self.armed = False  # what is left of the round runs without a fault
        while not self.find_url():
            self.alive("the master")
        a = self.spawn("joined", [f"{BUILD}/pawl-worker", "--config", os.path.join(self.dir, name + ".yaml")])
        while [w["state"] for w in self.items("/workers") if w["name"] == name] != ["connected"]:
            must(a.poll() is None, "the joined worker ended:", self.log("joined")[-500:])
            self.alive("the joined worker")
        self.end(a)
        self.children.remove(a)
        while self.ask("DELETE", "/workers/" + name, {"reason": "walk"})[0] is None:
            self.alive("the removal")
        while os.path.exists(os.path.join(self.dir, "spool-" + name)):  # a zygote may still be on its way out
            shutil.rmtree(os.path.join(self.dir, "spool-" + name), ignore_errors=True)
            self.alive("the end of its spool")
        os.unlink(os.path.join(self.dir, name + ".yaml"))

    def alive(self, what):
        if self.happened() or not self.armed:
            self.revive()
        if time.monotonic() > self.until:
            raise Violation("waited too long for " + what)
        time.sleep(0.01)

    # ---- one fault
    def db(self, sql):
        c = sqlite3.connect(f"file:{self.state}/pawl.db?mode=ro", uri=True)
        try:
            return c.execute(sql).fetchall()
        finally:
            c.close()

    def set_back(self):
        """The database as it was before a build that the worker knows of: somebody copied it back by hand."""
        self.end(self.master)
        files = glob.glob(f"{self.state}/pawl.db*")
        kept = os.path.join(self.dir, "old")
        os.mkdir(kept)
        for f in files:
            shutil.copy2(f, kept)
        wants = set(self.wants)
        self.begin_master()
        for _ in range(6):  # more commits than two starts make: only a mark that is ahead tells
            self.do_force()
        self.wait(lambda: not os.listdir(os.path.join(self.dir, "spool-w1/jobs")), "an empty spool")
        self.end(self.master)
        for f in glob.glob(f"{self.state}/pawl.db*"):
            os.unlink(f)
        for f in files:
            shutil.copy2(os.path.join(kept, os.path.basename(f)), f)
        shutil.rmtree(kept)
        for key in set(self.wants) - wants:
            del self.wants[key]
        return self.db(EPOCH)

    def round(self, point, n, action, proc, scenario):
        self.history.append(f"{point}:{n}={action} {proc} {scenario}")
        self.until = time.monotonic() + 90 * SLOW
        self.before = len(self.fired())
        self.fault = f"{point}:{n}={action}"
        self.armed, self.master_fault, self.keep_agent = False, proc == "master", scenario == "epoch"
        rev, epoch = None, None
        if scenario in ("push", "calm"):
            rev = self.push("master" if scenario == "push" else "calm")
        if scenario == "epoch":
            epoch = self.set_back()
        self.armed = True
        if proc == "master":
            self.end(self.master)
            self.begin_master(self.fault)
            if scenario != "epoch":  # the agent's newest mark is in its memory
                self.shake()
        elif proc == "agent":
            self.end(self.workers["w1"])
            self.begin_agent(self.fault)
        victim = self.master
        for i in range(12 * n):
            if self.happened():
                break
            if scenario in ("push", "calm"):
                getattr(self, "do_" + scenario)(rev)
                rev = None
            elif scenario == "join":
                if self.wait(self.find_url, "the master"):
                    self.do_join(self.fault if proc == "join" else None)
                else:
                    self.revive()
                if proc == "join":
                    break
            elif scenario == "epoch":
                self.wait(lambda: False, "a new epoch")
            else:
                if scenario != "start" and not self.wait(self.find_url, "the master"):
                    break
                getattr(self, "do_" + scenario)()
        must(len(self.fired()) > self.before, "the point was not passed:", self.fault)
        self.armed = False
        if action == "kill" and proc == "master":
            victim.wait(timeout=10)
        # the next zygote would count anew, and die too; what the agent did not hear is said with the next hello
        if point in ("run.fork", "forget.received"):
            self.end(self.workers["w1"])
        while epoch and self.db(EPOCH) == epoch:
            self.alive("a new epoch")
        self.settle()

    # ---- afterwards
    def settle(self):
        """Everything that was asked for comes to its end, and is right."""
        while not all(w["request"] or (self.revive() and self.send(w)) for w in self.wants.values()):
            self.alive("an answer")
        for w in [w for w in self.wants.values() if w["open"]]:
            if w["result"] == "cancelled":
                while not self.cancel(w):
                    self.alive("a cancelled build")
            while (self.build_of_want(w) or {}).get("state") != "done":
                self.alive(f"the build of request {w['request']}")
            self.check_build(self.build_of_want(w), w["tag"] if w["builder"] == "any" else None, w["result"])
            w["open"] = False
        for rev, builder in [(r, "main") for r in self.revs[-1:]] + [(r, "calm") for r in self.calms[-1:]]:
            while True:
                mine = [b for b in self.items(f"/builds?revision={rev}") if b["builder"].split("/")[-1] == builder]
                if mine and all(b["state"] == "done" for b in mine):
                    break
                self.alive(f"the build of {rev} on {builder}")
            must(len(mine) == 1, "not one build of a revision:", mine)
            self.check_build(mine[0], builder, "success", marks=False)
        self.check_promotions()
        spool = os.path.join(self.dir, "spool-w1")
        while os.listdir(spool + "/jobs"):
            self.alive("an empty spool")
        must(not os.listdir(spool + "/held"), "jobs are held:", os.listdir(spool + "/held"))

    def check_build(self, b, tag, result, marks=True):
        must(b["result"] == result, "wrong result:", b)
        if not tag or result != "success":
            return
        if b["builder"].split("/")[-1] == "any":
            for path, text in ((f"{tag}.txt", f"file of {tag}\n"), ("same.bin", "same\n")):
                while True:
                    try:
                        status, body, _ = self.request("GET", f"/builds/{b['id']}/artifacts/{path}")
                        if status == 200:
                            break
                        must(status == 503, "artifact", b["id"], path, status, body)
                    except (OSError, urllib.error.URLError, http_error):
                        pass
                    self.alive("an artifact")
                must(body.decode() == text, f"artifact {path} of build {b['id']} differs: {body}")
        for step, text in (("one", "".join(f"line {i} of {tag}\n" for i in range(1, 61))), ("two", f"end of {tag}\n")):
            while True:
                try:
                    status, body, _ = self.request("GET", f"/builds/{b['id']}/log/{step}?raw=1")
                    if status == 200:
                        break
                    must(status == 503, "log", b["id"], step, status, body)
                except (OSError, urllib.error.URLError, http_error):
                    pass
                self.alive("a log")
            must(body.decode() == text, f"log of build {b['id']} step {step} differs: {len(body)} bytes, not {len(text)}")
        if marks:
            ran = open(os.path.join(self.ran, tag)).read().split()
            must(len(set(ran)) == len(ran) <= b["attempt"], "an attempt ran twice:", ran, b)

    def check_promotions(self):
        rev = self.revs[-1]
        while True:
            rows = self.items("/promotions")
            if self.repo.ref("stable") == rev and any(p["revision"] == rev and p["state"] == "done" for p in rows):
                break
            self.alive("the promotion of " + rev)
        done = [p["revision"] for p in rows if p["state"] == "done"]
        must(len(set(done)) == len(done) == len(rows), "promotions that are not done, or done twice:", rows)
        log = self.repo.git("reflog", "show", "--format=%H", "refs/heads/stable", cwd=self.repo.bare).split()
        must(len(set(log)) == len(log) and set(log) <= set(self.revs), "the branch moved twice to one revision:", log)

    def finish(self):
        """The end of a world: nothing is asked for any more. Returns how many crashes it saw."""
        self.until = time.monotonic() + 90 * SLOW
        while not self.find_url():
            self.alive("the master")
        ids, cursor = [], ""
        while True:
            status, body = self.ask("GET", "/requests?limit=1000" + cursor)
            if status == 200:
                ids += [r for r in body["items"]]
                if not body.get("next"):
                    break
                cursor = "&cursor=" + body["next"]
            self.alive("the list of requests")
        forced = [r["id"] for r in ids if r["builder"].split("/")[-1] in ("any", "slow")]
        must(sorted(forced) == sorted(w["request"] for w in self.wants.values()), "other requests than were asked for:", forced)
        for p in (self.workers["w1"], self.master):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
                p.wait(timeout=30 * SLOW)
        must(self.db("PRAGMA integrity_check") == [("ok",)], "the database is damaged")
        must(self.db("PRAGMA foreign_key_check") == [], "rows point nowhere")
        left = [os.path.join(p, f) for top in (self.state, os.path.join(self.dir, "spool-w1")) for p, _, fs in os.walk(top) for f in fs
                if "/mirrors/" not in p + "/" and "/work/" not in p + "/" and (f.endswith(".new") or re.match(r"\..+\.[A-Za-z0-9]{6}$", f))]
        if any("epoch." in h for h in self.history):  # logs of builds that no row names any more: pawl doctor tells of them
            left = [f for f in left if "/logs/" not in f]
        must(not left, "files are left over:", left)
        n = self.crashes()
        self.close()
        must(not self.runners(), "processes are left over")
        return n


import http.client  # noqa: E402
http_error = http.client.HTTPException


# ---- plans
def plan_walk(seed, quick, passages=(1, 2, 3), actions=("kill", "error")):
    """All rounds; the first passage of each point, killed, comes first."""
    rng = random.Random(seed)
    first, rest = [], []
    for p in sorted(POINTS):
        for n in passages:
            for a in actions:
                if n > PASSAGES.get(p, 3) or quick and a == "error" and p in SLOW_ERRORS:
                    continue
                (first if n == 1 and a == "kill" else rest).append((p, n, a) + POINTS[p][0])
    rng.shuffle(first)
    rng.shuffle(rest)
    return first, rest


def random_round(rng):
    p = rng.choice(sorted(set(POINTS) - {"epoch.begun"}))
    return (p, rng.randint(1, PASSAGES.get(p, 3)), "kill") + rng.choice(POINTS[p])


class Broken(Exception):
    def __init__(self, text, where):
        super().__init__(text, where)


def live(rounds, seed, base, deadline=None, crashes=None):
    """A world that goes through rounds (an iterable). Returns crashes, rounds done, points."""
    path = tempfile.mkdtemp(prefix="world", dir=base)
    shutil.rmtree(path)
    w, done = None, []
    try:
        w = World(path, seed)
        for r in rounds:
            if deadline and time.monotonic() > deadline or crashes and w.crashes() >= crashes:
                break
            w.round(*r)
            done.append(r)
        n = w.finish()
    except BaseException as e:
        text = "".join(traceback.format_exception_only(type(e), e)) + traceback.format_exc(limit=-3)
        if w:
            for p in w.children:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            for pid in w.runners():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            text += "after " + ", ".join(w.history[-4:]) + f"\nfiles are in {path}"
        raise Broken(text, path) from None
    shutil.rmtree(path)
    return n, done


def walk(seed, seconds=None, base=None, jobs=2, all_of_it=False):
    """The planned walk. Returns (crashes, rounds done, points). Every point is killed at its first passage at least."""
    first, rest = plan_walk(seed, quick=not all_of_it)
    end = None if all_of_it or seconds is None else time.monotonic() + seconds * SLOW
    crashes, done = 0, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        parts = [pool.submit(live, first[i::jobs], seed + i, base) for i in range(jobs)]
        for p in parts:
            n, d = p.result()
            crashes, done = crashes + n, done + d
        if all_of_it or (end and time.monotonic() < end):
            parts = [pool.submit(live, rest[i::jobs], seed + jobs + i, base, end) for i in range(jobs)]
            for p in parts:
                n, d = p.result()
                crashes, done = crashes + n, done + d
    return crashes, done


def at_random(seed, crashes, base, jobs):
    """Worlds of some 100 crashes each, until there are enough."""
    worlds = [(seed * 1000003 + i, min(100, crashes - 100 * i)) for i in range((crashes + 99) // 100)]
    total, points = 0, set()
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for n, seen in pool.map(one_world, [(s, c, base) for s, c in worlds]):
            total, points = total + n, points | seen
            print(f"{total} crashes over {len(points)} points", flush=True)
    return total, points


def one_world(what):
    seed, crashes, base = what
    rng = random.Random(seed)
    n, done = live(iter(lambda: random_round(rng), None), seed, base, crashes=crashes)
    return n, {r[0] for r in done}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--seconds", type=int, default=60)
    a.add_argument("--all", action="store_true")
    a.add_argument("--crashes", type=int, default=0)
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--one", help="POINT:N=ACTION: this round alone")
    o = a.parse_args()
    unknown = names() ^ (set(POINTS) | set(NOT_WALKED))
    if unknown:
        sys.exit(f"faults: not both in the sources and in this walk: {sorted(unknown)}")
    base = tempfile.mkdtemp(prefix="pawl-faults")
    began = time.monotonic()
    try:
        if o.one:
            point, n, action = re.fullmatch(r"([a-z_.]+):(\d+)=(\w+)", o.one).groups()
            crashes, done = live([(point, int(n), action) + POINTS[point][0]], o.seed, base)
            points = {point}
        elif o.crashes:
            crashes, points = at_random(o.seed, o.crashes, base, o.jobs)
        else:
            crashes, done = walk(o.seed, o.seconds, base, o.jobs, o.all)
            points = {d[0] for d in done}
    except Broken as e:
        print(e.args[0])
        print(f"faults: seed {o.seed}: VIOLATION")
        sys.exit(1)
    shutil.rmtree(base)
    print(f"faults: seed {o.seed}, {crashes} crashes over {len(points)} points, 0 violations, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
