#!/usr/bin/python3
"""fill.py DIR empty|typical|crowded: a master with a worker and real builds to look at the pages with, until it is interrupted.

Prints the address and the file of the administrator's token once all builds that end have ended. typical: two projects, a red
branch, one that runs, promotions that are held, a queue with every kind of reason. crowded: many branches with long names, 24
builders, hundreds of builds and waiting requests."""
import json, os, random, signal, subprocess, sys, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("PAWL_BUILD") or os.path.join(HERE, "..", "..", "build", "release")
PEOPLE = ["Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Ken Thompson", "Radia Perlman"]
TITLES = ["transport: retry a refused handshake once", "merge: tell a conflict once per edge", "index: keep rename pairs sorted", "fetch: keep the pack order",
          "build: drop the second copy of zlib flags", "docs: say how to back up while running", "store: fold the journal in one turn", "agent: name who holds the pipe",
          "agent: measure clock skew", "http: answer 405 with Allow", "pack: write the v2 index", "cli: print the address on one line"]
LONG = "feature/a-branch-whose-name-says-all-that-is-in-it-and-then-some-more-so-that-nobody-has-to-look-at-its-commits-"
# what a build does is in the file of its builder: the exit code, and how long it takes
STEP = "set -- $(cat ci/{name} 2>/dev/null || echo 0 0.05); sleep $2; echo \"{name}: $1\"; [ $1 = 0 ] || {{ echo \"tests/merge/test_conflict.c:212: error: notices: expected 1, got 2\" >&2; }}; exit $1"


class Repo:
    def __init__(self, root, name):
        self.bare, self.tree, self.random = f"{root}/{name}.git", f"{root}/{name}", random.Random(7)
        self.at = int(time.time()) - 9 * 3600
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", self.bare], check=True)
        subprocess.run(["git", "clone", "-q", self.bare, self.tree], check=True, stderr=subprocess.DEVNULL)
        os.makedirs(f"{self.tree}/ci")

    def git(self, *args, env=None):
        subprocess.run(["git", "-C", self.tree, *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)

    def commit(self, title=None, **files):
        for name, text in {**files, "note": str(self.random.random())}.items():
            with open(f"{self.tree}/{'ci/' if name != 'note' else ''}{name}", "w", encoding="utf-8") as f:
                f.write(text)
        who = self.random.choice(PEOPLE)
        mail = who.split()[0].lower() + "@example.org"
        self.at = min(int(time.time()) - 1, self.at + self.random.randint(200, 2400))
        env = {**os.environ, "GIT_AUTHOR_NAME": who, "GIT_AUTHOR_EMAIL": mail, "GIT_COMMITTER_NAME": who, "GIT_COMMITTER_EMAIL": mail,
               "GIT_AUTHOR_DATE": f"{self.at} +0000", "GIT_COMMITTER_DATE": f"{self.at} +0000"}
        self.git("add", "-A")
        self.git("commit", "-q", "-m", title or self.random.choice(TITLES), env=env)

    def push(self, branch):
        self.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")


class Site:
    def __init__(self, root):
        self.root, self.state, self.children = root, f"{root}/state", []
        os.makedirs(root, exist_ok=True)

    def start(self, config, slots=2, tags="linux"):
        with open(f"{self.root}/master.yaml", "w", encoding="utf-8") as f:
            f.write(config)
        log = open(f"{self.root}/log", "ab")
        self.children.append(subprocess.Popen([f"{BUILD}/pawl-master", "--config", f"{self.root}/master.yaml", "--state", self.state], stdout=log, stderr=log))
        self.until(lambda: os.path.exists(f"{self.state}/web.addr"), "the master")
        self.url = open(f"{self.state}/web.addr", encoding="utf-8").read().strip()
        self.token = open(f"{self.state}/admin.token", encoding="utf-8").read().strip()
        if slots:
            line = self.call("POST", "/workers", {"name": "elm-1"})["line"]
            env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
            subprocess.run(f"{line} --config {self.root}/worker.yaml --spool {self.root}/spool --slots {slots} --tags {tags}", shell=True, check=True, env=env, stdout=log, stderr=log)
            self.children.append(subprocess.Popen([f"{BUILD}/pawl-worker", "--config", f"{self.root}/worker.yaml"], stdout=log, stderr=log))

    def call(self, method, path, body=None):
        q = urllib.request.Request(self.url + "/api/v1" + path, json.dumps(body).encode() if body is not None else None, method=method,
                                   headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(q) as r:
            return json.load(r)

    def until(self, look, what, seconds=300):
        end = time.time() + seconds
        while not look():
            if time.time() > end:
                raise SystemExit(f"fill: no {what} after {seconds} s; see {self.root}/log")
            time.sleep(0.1)

    def seen(self, project, repo, branch="master"):
        tip = subprocess.run(["git", "-C", repo.tree, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        self.until(lambda: any(c["revision"] == tip for c in self.call("GET", f"/changes?project={project}&branch={branch}&limit=3")["items"]), f"look at {project}")

    def settle(self, running=0, waiting=0):
        """All that ends has ended: so many run on, so many wait on."""
        def quiet():
            s = self.call("GET", "/status")
            return s["builds"]["open"] <= running and s["builds"]["waiting"] <= waiting
        self.until(quiet, "end of its builds")

    def stop(self):
        for p in reversed(self.children):
            p.send_signal(signal.SIGTERM)
        for p in self.children:
            p.wait(20)
        # what still runs is the worker's, not the agent's
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and self.root.encode() in open(f"/proc/{name}/cmdline", "rb").read() and int(name) != os.getpid():
                    os.kill(int(name), signal.SIGTERM)
            except OSError:
                pass


HEAD = "name: ci.example.org\nweb: {listen: \"127.0.0.1:0\"}\nworkers: {listen: \"tcp://127.0.0.1:0\"}\n"


def builder(name, project, more=""):
    return f"  - {{name: {name}, project: {project}, {more}steps: [{{checkout: {{}}}}, {{name: test, run: {json.dumps(STEP.format(name=name))}}}]}}\n"


def typical(site):
    ferry, atlas = Repo(site.root, "ferry"), Repo(site.root, "atlas")
    config = HEAD + "locks: [{name: db}]\nprojects:\n" + "".join(f"  - {{name: {n}, repository: \"{r.bare}\", poll: 1s}}\n" for n, r in (("ferry", ferry), ("atlas", atlas)))
    config += "builders:\n" + "".join(builder(n, "ferry", m) for n, m in (("fast", ""), ("slow", ""), ("asan", ""), ("docs", ""), ("soak", "run_if_changed: [ci/soak], ")))
    config += builder("lint", "atlas") + builder("unit", "atlas") + builder("bench", "ferry", "requires: {tags: [quiet-machine]}, ") + builder("deploy", "ferry", "locks: [db], ")
    config += builder("release", "ferry", "manual: true, ")
    config += "schedulers:\n  - {name: ferry-push, kind: branch, project: ferry, branches: [\"*\"], builders: [fast, slow, asan, docs, soak]}\n  - {name: atlas-push, kind: branch, project: atlas, branches: [\"*\"], builders: [lint, unit]}\n"
    config += "  - {name: night, kind: nightly, project: ferry, branch: master, cron: \"30 2 * * *\", zone: Europe/Berlin, builders: [bench]}\n"
    config += "  - {name: by-hand, kind: force, project: ferry, builders: [fast, slow, asan, docs, bench, deploy, release], parameters: [{name: cc, type: choice, choices: [gcc, clang], default: gcc, label: Compiler}, {name: verbose, type: bool, default: \"false\", label: Say more}, {name: jobs, type: int, default: \"2\", label: Jobs}]}\n"
    config += "promotions:\n  - {name: stable, kind: green, project: ferry, from: master, to: stable, builders: [fast, slow, asan, docs]}\n  - {name: db-stable, kind: green, project: ferry, from: db-devel, to: db-stable, builders: [fast, docs]}\n"
    for r in (ferry, atlas):
        r.commit("first")
        r.push("master")
    site.start(config, slots=3)
    site.settle()
    for i in range(14):
        span = ferry.random.random
        bad = {3: "1 0.4", 8: "1 0.6"}.get(i, f"0 {0.5 + span():.2f}")
        ferry.commit(fast=bad, slow=f"0 {1.4 + span():.2f}", asan=f"0 {1 + span():.2f}", docs=f"0 {0.2 + span() / 4:.2f}")
        ferry.push("master")
        site.seen("ferry", ferry)
        site.settle()
    ferry.push("db-devel")
    ferry.commit(asan="1 0.1")
    ferry.push("release/2.8")
    atlas.commit("route: a table of keys", unit="1 0.1")
    atlas.push("next")
    ferry.commit(asan="0 0.1")
    ferry.commit("transport: retry a refused handshake once", fast="1 0.1")
    ferry.push("master")
    site.seen("ferry", ferry)
    site.settle()
    ferry.commit("docs: name the keys of the page", soak="0 3600", fast="1 0.6")
    ferry.push("master")
    ferry.push("feature/pack-v2")
    site.until(lambda: site.call("GET", "/status")["builds"]["open"] >= 2, "long builds")
    for name in ("bench", "deploy", "deploy", "release"):
        site.call("POST", "/force", {"builder": name, "branch": "master", "reason": "to see it wait", "scheduler": "by-hand"})
    site.settle(running=3, waiting=20)


def crowded(site, branches=60):
    big = Repo(site.root, "big")
    names = [f"check-{i:02}" for i in range(20)] + ["a-builder-with-quite-a-long-name-for-its-column", "unit", "asan", "docs"]
    config = HEAD + f"projects: [{{name: big, repository: \"{big.bare}\", poll: 1s}}]\nbuilders:\n" + "".join(builder(n, "big") for n in names) + builder("nowhere", "big", "collapse: false, requires: {tags: [a-tag-that-no-worker-has]}, ")
    config += f"schedulers:\n  - {{name: all, kind: branch, project: big, branches: [\"master\"], builders: [{', '.join(names)}]}}\n  - {{name: few, kind: branch, project: big, branches: [\"*\", \"!master\"], builders: [unit, docs]}}\n  - {{name: hand, kind: force, project: big, builders: [nowhere, unit]}}\n"
    config += "promotions:\n" + "".join(f"  - {{name: edge-{i}, kind: green, project: big, from: master, to: stable-{i}, builders: [unit, check-0{i}]}}\n" for i in range(4))
    big.commit("first")
    big.push("master")
    site.start(config, slots=4)
    site.settle()
    for i in range(branches):
        big.commit(unit=f"{int(i % 7 == 3)} 0.02")
        big.push(f"{LONG}{i:03}" if i % 3 == 0 else f"topic/{i:03}")
    big.commit("a commit message that goes on for much longer than anybody would like it to, since it says what was done, why, and what was not done, all in its first line", **{"check-07": "1 0.05"})
    big.push("master")
    site.seen("big", big)
    site.settle()
    for i in range(300):
        site.call("POST", "/force", {"builder": "nowhere", "branch": "master", "reason": f"request {i} of many"})


def main():
    site = Site(os.path.abspath(sys.argv[1]))
    kind = sys.argv[2] if len(sys.argv) > 2 else "typical"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if kind == "empty":
            site.start(HEAD, slots=0)
        else:
            {"typical": typical, "crowded": crowded}[kind](site)
        print(f"{site.url}\ntoken: {site.state}/admin.token", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        site.stop()


if __name__ == "__main__":
    main()
