"""The load: builds by the interface, by the client and by pushes, cancels, retries. Every request is repeated under its key until it
is answered, and some again after that: one key, one answer."""
import http.client, json, queue, random, subprocess, threading, time, urllib.parse
from world import SLOW

BACKLOG_MAX = 30  # open builds; above that nothing is added, so that the end of a run is near


class Load:
    def __init__(self, world, record, seed):
        self.world, self.record = world, record
        self.jobs, self.pushes = queue.Queue(), queue.Queue()
        self.halt, self.n, self.backlog = False, 0, 0
        self.open = []  # requests by us, newest last
        self.clients = []
        self.tips = {}
        self.threads = [threading.Thread(target=self.serve, args=(self.jobs,), name=f"load{i}", daemon=True) for i in range(6)]
        self.threads += [threading.Thread(target=self.serve, args=(self.pushes,), name="push", daemon=True),
                         threading.Thread(target=self.watch, name="backlog", daemon=True)]
        self.rnd = random.Random(f"load {seed}")  # time-outs of single tries only: nothing that the plan decides

    def begin(self):
        first = self.commit("master", "lines-1", None)
        for branch in ("master", "db-devel", "feature/x"):
            self.tips[branch] = first
        self.world.repo.git("push", "-q", "origin", *(f"{first}:refs/heads/{b}" for b in self.tips))
        for branch in self.tips:
            self.record.put("pushes", {"branch": branch, "revision": first, "spec": "lines-1", "spec2": "lines-1b", "parent": None, "tip": True})

    def start(self):
        for t in self.threads:
            t.start()

    def serve(self, jobs):
        while True:
            fn = jobs.get()
            if fn is None:
                return
            try:
                fn()
            except Exception as e:
                self.record.violate(f"the load broke: {e!r}")
            finally:
                jobs.task_done()

    def finish(self, seconds):
        """Waits for every answer; what has none by then is a violation by itself."""
        end = time.monotonic() + seconds
        self.halt = True
        while (self.jobs.unfinished_tasks or self.pushes.unfinished_tasks) and time.monotonic() < end:
            time.sleep(0.05)
        if self.jobs.unfinished_tasks or self.pushes.unfinished_tasks:
            self.record.violate(f"{self.jobs.unfinished_tasks} requests and {self.pushes.unfinished_tasks} pushes got no answer within {seconds} s of peace")
        for _ in self.threads:
            self.jobs.put(None), self.pushes.put(None)

    def do(self, action):
        """False: held back."""
        if self.backlog > BACKLOG_MAX and action.kind not in ("cancel", "repeat", "promote", "pause"):
            self.record.count("held back")
            return False
        if self.jobs.qsize() > 40:
            self.record.count("held back")
            return False
        self.n += 1
        n, args = self.n, action.args
        if action.kind == "push":
            self.pushes.put(lambda: self.push(args))
        else:
            self.jobs.put(lambda: getattr(self, "do_" + action.kind)(n, args))
        return True

    # ---- speaking
    def call(self, method, path, body=None, key=None, timeout=10.0):
        """(status, text); OSError or HTTPException when there was no whole answer."""
        at = urllib.parse.urlsplit(self.world.url)
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout * SLOW)
        try:
            headers = {"Authorization": "Bearer " + self.world.token(), "Content-Type": "application/json"}
            if key:
                headers["Idempotency-Key"] = key
            c.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None, headers)
            a = c.getresponse()
            return a.status, a.read().decode()
        finally:
            c.close()

    def get(self, path):
        try:
            status, text = self.call("GET", path)
            return json.loads(text) if status == 200 else None
        except (OSError, http.client.HTTPException):
            return None

    def post(self, key, path, body, again=False, **facts):
        """Until it is answered; returns (status, parsed)."""
        tries, first = 0, None
        entry = dict(facts, path=path, body=body, status=None, answer=None)
        self.record.put("requests", key, entry)
        while True:
            tries += 1
            try:
                # some give up early, as a client whose connection broke: the answer to the next try is the same
                status, text = self.call("POST", path, body, key, 0.02 if self.rnd.random() < 0.15 and not self.halt else 10)
            except (OSError, http.client.HTTPException):
                status = 0
            if status in (0, 503) or (status == 409 and path == "/force"):
                time.sleep(self.rnd.choice((0.01, 0.1, 0.3)))
                continue
            if first is None:
                first = (status, text)
                entry.update(status=status, answer=text, tries=tries)
                self.record.count(f"answers {status}")
                if not again or status >= 300:
                    break
                time.sleep(self.rnd.choice((0, 0.5)))
                continue
            if first != (status, text):
                self.record.violate(f"key {key} got {first}, then {(status, text)}")
            self.record.count("answers repeated")
            break
        return first[0], json.loads(first[1])

    # ---- what the plan asks for
    def do_force(self, n, a):
        key = f"force-{n}"
        status, answer = self.post(key, "/force", {"builder": "any", "branch": a["branch"], "reason": f"chaos {key}", "properties": {"spec": a["spec"]}},
                                   a["again"], kind="force", spec=a["spec"])
        if status != 202:
            self.record.violate(f"{key} was refused: {status} {answer}")
        else:
            self.open.append(answer["requests"][0])

    def do_repeat(self, n, a):
        """An old key again, long after its answer."""
        with self.record.lock:
            done = [(k, e) for k, e in self.record.data["requests"].items() if e["status"] == 202]
        if not done:
            return
        key, e = done[a["which"] % len(done)]
        while True:
            try:
                status, text = self.call("POST", e["path"], e["body"], key)
            except (OSError, http.client.HTTPException):
                status = 0
            if status in (0, 503):
                time.sleep(0.2)
                continue
            if (status, text) != (e["status"], e["answer"]):
                self.record.violate(f"key {key} got {(e['status'], e['answer'])}, much later {(status, text)}")
            self.record.count("answers repeated")
            return

    def do_cancel(self, n, a):
        if not self.open:
            return
        request = self.open[-1 - a["which"] % min(8, len(self.open))]
        status, answer = self.post(f"cancel-{n}", f"/requests/{request}/cancel", {"reason": "chaos"}, kind="cancel", request=request)
        if status not in (202, 404):
            self.record.violate(f"cancel of request {request} was refused: {status} {answer}")

    def do_retry(self, n, a):
        found = self.get("/builds?state=done&limit=30")
        if not found or not found["items"]:
            return
        build = found["items"][a["which"] % len(found["items"])]["id"]
        status, answer = self.post(f"retry-{n}", f"/builds/{build}/retry", {}, kind="retry", build=build)
        if status == 409 and "is not over" in answer["error"]["message"]:
            self.record.count("retries refused, others of the set being open")
        elif status != 202:
            self.record.violate(f"retry of build {build} was refused: {status} {answer}")

    def do_change(self, n, m):
        status, answer = self.post(f"change-{n}", "/changes", {"project": "p", "branch": m["branch"], "revision": m["revision"]}, kind="change")
        if status != 202:
            self.record.violate(f"a change told by hand was refused: {status} {answer}")

    def do_pause(self, n, a):
        """A person takes a worker out and puts it back."""
        if a["worker"] not in self.world.names:
            return
        self.post(f"pause-{n}", f"/workers/{a['worker']}/pause", {"reason": "chaos"}, kind="pause")
        end = time.monotonic() + a["for"]
        while not self.halt and time.monotonic() < end:
            time.sleep(0.05)
        self.post(f"resume-{n}", f"/workers/{a['worker']}/resume", {"reason": "chaos"}, kind="pause")

    def do_promote(self, n, a):
        self.post(f"promote-{n}", f"/promotions/{a['edge']}/run", {}, kind="promote")

    def client(self, n, a, kind):
        """`pawl force`; its own patience ends after some seconds, then nobody knows."""
        w, reason = self.world, f"chaos {kind}-{n}"
        self.record.put("clients", reason, {"spec": a["spec"], "code": None})
        return reason, subprocess.Popen([f"{w.build}/pawl", "--state", w.state, "force", "any", "--reason", reason, "--branch", a.get("branch", "master"),
                                         "--prop", "spec=" + a["spec"]], cwd=w.dir, env=w.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def do_client(self, n, a):
        reason, p = self.client(n, a, "client")
        code = p.wait(timeout=240 * SLOW)
        self.record.data["clients"][reason]["code"] = code
        self.record.count(f"clients {code}")
        if code < 0:
            self.record.violate(f"pawl force died of signal {-code}")

    def kill_client(self, n, a):
        reason, p = self.client(n, a, "killed")
        time.sleep(a["after"])
        killed = p.poll() is None
        p.kill()
        code = p.wait()
        self.record.data["clients"][reason]["code"] = None if killed else code
        return killed

    # ---- the repository
    def commit(self, branch, spec, parent):
        r = self.world.repo

        def blob(text):
            p = subprocess.run(["git", "hash-object", "-w", "--stdin"], cwd=r.tree, env=r.env, input=text.encode(), capture_output=True, check=True)
            return p.stdout.decode().strip()
        rows = f"100644 blob {blob(spec)}\tspec\n100644 blob {blob(spec + 'b')}\tspec2\n"
        tree = subprocess.run(["git", "mktree"], cwd=r.tree, env=r.env, input=rows.encode(), capture_output=True, check=True).stdout.decode().strip()
        return r.git("commit-tree", tree, "-m", spec, *(["-p", parent] if parent else []))

    def push(self, a):
        branch, made = a["branch"], []
        for i in range(a["commits"]):
            spec = a["spec"] if i == 0 else f"{a['spec']}-{i}"
            rev = self.commit(branch, spec, self.tips[branch])
            made.append({"branch": branch, "revision": rev, "spec": spec, "spec2": spec + "b", "parent": self.tips[branch], "tip": i == a["commits"] - 1})
            self.tips[branch] = rev
        for m in made:
            self.record.put("pushes", m)
        self.world.repo.git("push", "-q", "origin", f"{self.tips[branch]}:refs/heads/{branch}")
        self.record.count("pushes")
        if a.get("hand") and len(made) == 1 and not self.world.old:
            # told by hand, too, sometimes late: once is once (older masters took a hint for the truth)
            self.n += 1
            self.jobs.put(lambda n=self.n, m=made[0]: self.do_change(n, m))

    def watch(self):
        while not self.halt:
            got = self.get("/status")
            if got:
                self.backlog = len(got["waiting"]) + len(got["running"])  # each list ends at 50
            time.sleep(0.5)
