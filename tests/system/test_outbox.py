"""Outgoing messages at real sinks: one that takes keys, ones that do not, refusing, slow and absent ones; the master killed at
every step."""
import collections, hashlib, hmac, http.server, json, os, random, re, ssl, subprocess, threading, time
import pytest
from conftest import until

BUILDERS = """  - {name: test, project: p, steps: [checkout: {}, {name: test, run: sh test.sh}]}
  - {name: any, project: p, collapse: false, steps: [{name: go, run: "true"}]}
"""
CONFIG = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0", lost_after: {lost_after}}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: {first}}}
builders:
{builders}
schedulers:
  - {{name: push, kind: branch, project: p, branches: [master], builders: [test]}}
secrets: {{hook: {{file: hook.secret}}, path: {{env: HOOK_PATH}}}}
{promotions}
notify:
{notify}
"""


class Sink:
    """An HTTP server that records. `answers`: what to say to the next requests, as (status, headers) or a function of the handler;
    then 200. With keys it acts on each Idempotency-Key once, as a careful receiver does; without it acts on every request."""

    def __init__(self, keys=False, port=0, tls=None):
        self.keys, self.port, self.tls = keys, port, tls
        self.requests, self.acted, self.answers = [], collections.Counter(), []
        self.lock, self.server, self.busy, self.most = threading.Lock(), None, 0, 0
        self.open()

    def open(self):
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                try:
                    sink.take(self, self.rfile.read(int(self.headers["Content-Length"])))
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *a):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, allow_reuse_address = True, True

            def handle_error(self, *a):
                pass
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        if self.tls:
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            c.load_cert_chain(*self.tls)
            self.server.socket = c.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def take(self, h, body):
        key = h.headers["Idempotency-Key"]
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
            say = self.answers.pop(0) if self.answers else (200, {})
            self.requests.append({"key": key, "event": h.headers["Pawl-Event"], "body": body, "headers": dict(h.headers), "path": h.path,
                                  "at": time.monotonic()})
        if callable(say):
            say = say(h)
        with self.lock:
            self.busy -= 1  # before the answer: the next request may be here before this thread goes on
        status, headers = say
        if status < 300 or status == "act":
            with self.lock:
                if not (self.keys and self.acted[key]):
                    self.acted[key] += 1
        if status == "act":  # acted on, and no answer
            h.close_connection = True
            return
        h.send_response(status)
        for k, v in headers.items():
            h.send_header(k, v)
        h.send_header("Content-Length", "0")
        h.end_headers()

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
        self.server = None

    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    def keys_seen(self):
        """In order of their first arrival."""
        with self.lock:
            return list(dict.fromkeys(r["key"] for r in self.requests))


@pytest.fixture
def sinks():
    made = []

    def make(**k):
        made.append(Sink(**k))
        return made[-1]
    yield make
    for s in made:
        s.close()


def target(sink, events="build", more="", path=""):
    return f'  - {{kind: webhook, url: "{sink.url()}{path}", events: [{events}]{", " + more if more else ""}}}\n'


def configure(pawl, repo, notify, lost_after="10m", promotions="", first="false"):
    with open(os.path.join(pawl.dir, "hook.secret"), "w") as f:
        f.write("a secret of the hook\n")
    os.chmod(f.name, 0o600)
    pawl.env["HOOK_PATH"] = "hidden-path"
    pawl.configure(CONFIG.format(repo=repo.bare, builders=BUILDERS, notify=notify, lost_after=lost_after, promotions=promotions, first=first))


def go(pawl, repo, notify, env=None, **k):
    repo.commit({"test.sh": "true\n"}, "first")
    configure(pawl, repo, notify, **k)
    pawl.start_master(env)
    pawl.start_worker(slots=4)
    until(lambda: any(p["branches"] for p in pawl.get("/projects")["items"]), what="the first look")


def force(pawl, n=1):
    return [pawl.post("/force", {"builder": "any", "branch": "master", "reason": "test"})["requests"][0] for _ in range(n)]


def outbox(pawl, query=""):
    return pawl.get("/outbox?limit=1000" + query)["items"]


def settled(pawl, n):
    """n messages, none of them waiting or under way; oldest first."""
    def done():
        rows = outbox(pawl)
        return rows if len(rows) >= n and all(r["state"] in ("sent", "given_up") for r in rows) else None
    return list(reversed(until(done, 60, f"{n} messages to end")))


def state(pawl, key):
    return next((r for r in outbox(pawl) if r["key"] == key), None)


# ---- what is told
def test_builds_are_told(pawl, repo, sinks):
    sink, plain = sinks(keys=True), sinks()
    go(pawl, repo, target(sink, "build, failure, fixed, change", "name: all, secret: hook", "/${secret:path}") + target(plain, "fixed", "branches: [master]"))
    for text, result, event in (("exit 1\n", "failure", "failure"), ("true\n", "success", "fixed"), ("true # again\n", "success", "build")):
        rev = repo.commit({"test.sh": text})
        build = pawl.built("test", rev)
        got = until(lambda: next((r for r in sink.requests if json.loads(r["body"])["build"]["id"] == build["id"]), None), what=event)
        body = json.loads(got["body"])
        assert body["event"] == got["event"] == event
        assert body["key"] == got["key"] == f"build/{build['id']}/all"
        b = body["build"]
        assert (b["project"], b["builder"], b["branch"], b["revision"], b["result"]) == ("p", "test", "master", rev, result)
        assert b["url"] == f"{pawl.url}/builds/{build['id']}" and body["site"] == "test"
        sign = "sha256=" + hmac.new(b"a secret of the hook", got["body"], hashlib.sha256).hexdigest()
        assert hmac.compare_digest(sign, got["headers"]["Pawl-Signature-256"])
        assert got["headers"]["Content-Type"] == "application/json" and got["headers"]["User-Agent"].startswith("pawl/")
        assert got["path"] == "/hook/hidden-path"
    settled(pawl, 4)
    assert [r["event"] for r in plain.requests] == ["fixed"] and "Pawl-Signature-256" not in plain.requests[0]["headers"]
    assert b["previous"] == "success"
    # what a person and a monitor see of it
    rows = json.loads(pawl.pawl("outbox", "--json"))["items"]
    assert {r["state"] for r in rows} == {"sent"} and {r["target"] for r in rows} == {"all", "webhook"}
    assert re.search(r"all +sent", pawl.pawl("outbox")) and "Nothing" in pawl.pawl("outbox", "--only", "waiting")
    metrics = pawl.request("GET", "/metrics")[1].decode()
    assert "pawl_outbox_waiting 0" in metrics and 'pawl_outbox_sent_total{target="all"} 3' in metrics
    # nobody learns the address or the secret
    shown = metrics + json.dumps(rows) + pawl.log("master") + pawl.get("/openapi.json").__str__()
    assert "hidden-path" not in shown and "a secret of the hook" not in shown
    assert pawl.request("GET", "/outbox", token=False)[0] == 401
    assert pawl.request("POST", f"/outbox/{rows[0]['id']}/retry", {}, token=False)[0] == 401


def test_promotions_and_workers_are_told(pawl, repo, sinks):
    sink = sinks(keys=True)
    go(pawl, repo, target(sink, "promotion, worker_missing, worker_back"), lost_after="2s",
       promotions="promotions: [{name: stable, kind: green, project: p, from: master, to: stable, builders: [test]}]")
    rev = repo.commit({"test.sh": "true # 2\n"})
    until(lambda: repo.ref("stable") == rev, what="the promotion")
    pawl.kill(pawl.workers["w1"])
    until(lambda: any(r["event"] == "worker_missing" for r in sink.requests), what="worker_missing")
    pawl.start_worker()
    settled(pawl, 3)
    bodies = [json.loads(r["body"]) for r in sink.requests]
    assert [b["event"] for b in bodies] == ["promotion", "worker_missing", "worker_back"]
    assert bodies[0]["promotion"]["revision"] == rev and bodies[0]["promotion"]["state"] == "done" and bodies[0]["promotion"]["to"] == "stable"
    assert bodies[1]["worker"]["name"] == "w1" and bodies[2]["worker"]["state"] == "back"


def test_one_at_a_time_and_side_by_side(pawl, repo, sinks):
    a, b = sinks(), sinks()
    go(pawl, repo, target(a, more="name: a") + target(b, more="name: b"))
    gate = threading.Event()
    a.answers = [lambda h: gate.wait(30) and (200, {})]
    builds = builds_of(pawl, force(pawl, 6))
    until(lambda: sum(b.acted.values()) == 6, what="b, while a hangs")
    assert len(a.requests) == 1 and not a.acted
    gate.set()
    rows = settled(pawl, 12)
    for sink, name in ((a, "a"), (b, "b")):
        assert sink.keys_seen() == [r["key"] for r in rows if r["target"] == name] and sink.most == 1
        assert set(sink.acted) == {f"build/{i}/{name}" for i in builds}


# ---- crashes
def check(pawl, builds, keyed, least, most):
    """What must hold when everything has settled."""
    keys = [f"build/{b}/" for b in sorted(builds)]
    assert keyed.acted == {k + "keyed": 1 for k in keys}, "exactly once where keys are taken"
    assert set(least.acted) == {k + "least" for k in keys}, "at least once"
    assert set(most.acted) <= {k + "most" for k in keys} and all(n == 1 for n in most.acted.values()), "at most once"
    seen = collections.Counter(r["key"] for r in most.requests)
    assert not seen or max(seen.values()) == 1, "not even sent twice"
    for r in outbox(pawl):
        if r["target"] == "most" and r["state"] == "given_up":
            assert "may have arrived" in r["reason"], r
        else:
            assert r["state"] == "sent", r
        if r["target"] == "most" and r["state"] == "sent":
            assert most.acted[r["key"]] == 1
    # the order of a target is that of its rows; what comes again was first where it had to be
    for sink, name in ((keyed, "keyed"), (least, "least"), (most, "most")):
        rows = [r["key"] for r in reversed(outbox(pawl, f"&target={name}"))]
        first = sink.keys_seen()
        assert first == [k for k in rows if k in first], f"the order at {name}"


def three(sinks):
    keyed, least, most = sinks(keys=True), sinks(), sinks()
    text = (target(keyed, more="name: keyed") + target(least, more="name: least, delivery: at_least_once")
            + target(most, more="name: most, delivery: at_most_once"))
    return keyed, least, most, text


def builds_of(pawl, requests):
    return [pawl.build_of(r)["id"] for r in requests]


@pytest.mark.parametrize("nth", [1, 2, 5])
@pytest.mark.parametrize("point", ["outbox.before", "outbox.sent", "outbox.recorded"])
def test_killed_at(pawl, repo, sinks, point, nth):
    keyed, least, most, text = three(sinks)
    go(pawl, repo, text, {"PW_FAULT": f"{point}:{nth}=kill"})
    requests = []
    while pawl.master.poll() is None and len(requests) < 50:
        try:
            requests += force(pawl)
            time.sleep(0.02)
        except OSError:  # in the middle of its death
            break
    pawl.master.wait(30)
    assert pawl.master.returncode == -9, "the point was passed"
    pawl.start_master()
    requests += force(pawl, 2)
    builds = builds_of(pawl, requests)
    # a force whose answer was lost may have been done all the same
    settled(pawl, 3 * len(builds))
    builds = [b["id"] for b in pawl.builds("?limit=1000") if b["builder"].split("/")[-1] == "any"]
    settled(pawl, 3 * len(builds))
    check(pawl, builds, keyed, least, most)


@pytest.mark.parametrize("point", ["outbox.before", "outbox.sent", "outbox.recorded"])
def test_failing_at(pawl, repo, sinks, point):
    keyed, least, most, text = three(sinks)
    go(pawl, repo, text, {"PW_FAULT": f"{point}:2=error"})
    builds = builds_of(pawl, force(pawl, 4))
    settled(pawl, 3 * len(builds))
    check(pawl, builds, keyed, least, most)


def test_killed_at_random_moments(pawl, repo, sinks):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    rnd = random.Random(seed)
    keyed, least, most, text = three(sinks)
    for s in (keyed, least, most):  # acted on, but the answer is late, so that kills fall in between
        s.answers = [lambda h: time.sleep(rnd.uniform(0, 0.05)) or (200, {}) for _ in range(200)]
    go(pawl, repo, text)
    requests = []
    for _ in range(10):
        requests += force(pawl, 3)
        time.sleep(rnd.uniform(0, 0.4))
        pawl.kill(pawl.master)
        pawl.start_master()
    builds = builds_of(pawl, requests)
    settled(pawl, 3 * len(builds))
    check(pawl, builds, keyed, least, most)


# ---- targets that refuse, hang, and are not there
def test_refusals(pawl, repo, sinks):
    sink = sinks(keys=True)
    go(pawl, repo, target(sink, more="timeout: 1s"))
    key = []
    for answer in ((404, {}), (302, {"Location": "/elsewhere"}), (410, {})):
        sink.answers = [answer]
        key.append(f"build/{builds_of(pawl, force(pawl))[0]}/webhook")
        row = until(lambda: (lambda r: r if r and r["state"] == "given_up" else None)(state(pawl, key[-1])), what=f"the end after {answer}")
        assert row["tries"] == 1 and f"HTTP {answer[0]}" in row["reason"]
    assert len(sink.requests) == 3 and not sink.acted, "given up at once, nothing followed"
    # a conflict about the key says that it is there; another one does not
    b1 = f"build/{builds_of(pawl, force(pawl))[0]}/webhook"
    until(lambda: state(pawl, b1) and state(pawl, b1)["state"] == "sent", what="a plain one")
    sink.answers = [lambda h: (409, {"Idempotency-Key": h.headers["Idempotency-Key"]}), (409, {})]
    k1, k2 = [f"build/{b}/webhook" for b in sorted(builds_of(pawl, force(pawl, 2)))]
    until(lambda: {(state(pawl, k) or {}).get("state") for k in (k1, k2)} == {"sent", "given_up"}, what="two conflicts")
    # 5xx and silence are tried again, with the same key and the same body; 429 waits as long as it says
    sink.requests.clear()
    sink.answers = [(500, {}), lambda h: time.sleep(1.5) or ("act", {}), (429, {"Retry-After": "3"}), (200, {})]
    b = builds_of(pawl, force(pawl))[0]
    until(lambda: state(pawl, f"build/{b}/webhook") and state(pawl, f"build/{b}/webhook")["state"] == "sent", what="the fourth try")
    assert state(pawl, f"build/{b}/webhook")["tries"] == 4 and len(sink.requests) == 4
    assert len({(r["key"], r["body"]) for r in sink.requests}) == 1 and sink.acted[f"build/{b}/webhook"] == 1
    assert sink.requests[3]["at"] - sink.requests[2]["at"] >= 3
    # a person may send what was given up, and drop what waits
    row = state(pawl, key[0])
    assert "retry" in pawl.pawl("outbox", "retry", str(row["id"]))
    until(lambda: state(pawl, key[0])["state"] == "sent", what="a message sent by hand")
    assert sink.acted[key[0]] == 1 and "was sent" in pawl.pawl("outbox", "retry", str(row["id"]), code=1)
    sink.answers = [(503, {"Retry-After": "3600"})]
    b = builds_of(pawl, force(pawl))[0]
    row = until(lambda: (lambda r: r if r and r["state"] == "waiting" and r["tries"] == 1 else None)(state(pawl, f"build/{b}/webhook")), what="a long wait")
    pawl.pawl("outbox", "drop", str(row["id"]), "--reason", "nobody reads it")
    row = state(pawl, f"build/{b}/webhook")
    assert row["state"] == "given_up" and "nobody reads it" in row["reason"]
    audit = pawl.get("/audit")["items"]
    assert {"outbox.retry", "outbox.drop"} <= {a["action"] for a in audit}


def test_at_most_once_is_not_sent_twice(pawl, repo, sinks):
    sink = sinks()
    go(pawl, repo, target(sink, more="delivery: at_most_once, timeout: 1s"))
    sink.answers = [lambda h: time.sleep(1.5) or ("act", {}), (500, {}), (429, {"Retry-After": "1"}), ("act", {}), (200, {})]
    builds = builds_of(pawl, force(pawl, 5))
    rows = settled(pawl, 5)
    assert [r["state"] for r in rows] == ["given_up"] * 4 + ["sent"]
    assert "may have arrived" in rows[0]["reason"] and "at most once" in rows[1]["reason"]
    assert len(sink.requests) == 5 and len({r["key"] for r in sink.requests}) == 5


def test_nothing_is_lost_while_a_target_is_away(pawl, repo, sinks):
    sink, once = sinks(keys=True), sinks()
    go(pawl, repo, target(sink, more="name: a") + target(once, more="name: b, delivery: at_most_once"))
    sink.close()
    once.close()
    builds = builds_of(pawl, force(pawl, 5))
    for name in "ab":
        row = until(lambda: (lambda r: r if r and r["tries"] >= 2 else None)(outbox(pawl, f"&target={name}")[-1]), what="two tries")
        assert row["state"] in ("waiting", "under_way") and "connect" in row["reason"].lower()
    assert "pawl_outbox_waiting 10" in pawl.request("GET", "/metrics")[1].decode()
    pawl.kill(pawl.master, 15)
    pawl.start_master()
    builds += builds_of(pawl, force(pawl, 2))
    pawl.kill(pawl.master)
    sink.open()
    once.open()
    pawl.start_master()
    rows = settled(pawl, 14)
    assert sink.keys_seen() == [r["key"] for r in rows if r["target"] == "a"] and set(sink.acted.values()) == {1}
    assert set(sink.acted) == {f"build/{b}/a" for b in builds}
    # a message of which the master was killed just before it left is given up; all others arrive
    for r in rows:
        if r["target"] == "b":
            assert (r["state"] == "sent") == (once.acted[r["key"]] == 1), r
    assert len(once.acted) >= 5


def test_a_wrong_certificate_is_not_talked_to(pawl, repo, sinks, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1"],
                   check=True, capture_output=True)
    sink = sinks(tls=(cert, key))
    go(pawl, repo, target(sink))
    b = builds_of(pawl, force(pawl))[0]
    row = until(lambda: (lambda r: r if r and r["tries"] >= 1 and r["reason"] else None)(state(pawl, f"build/{b}/webhook")), what="a try")
    assert "certificate" in row["reason"] and not sink.requests


def test_other_kinds_are_refused(pawl, repo):
    configure(pawl, repo, "  - {kind: telegram, url: x, events: [failure]}\n")
    import conftest
    p = subprocess.run([f"{conftest.BUILD}/pawl-master", "check", pawl.config], capture_output=True, text=True, env=pawl.env)
    assert p.returncode == 2 and re.search(r'master.yaml:\d+:\d+: kind "telegram" is not supported by this version', p.stderr + p.stdout)


# ---- another configuration
def reload(pawl):
    import signal
    before = pawl.log("master").count("configuration_read")
    pawl.master.send_signal(signal.SIGHUP)
    until(lambda: pawl.log("master").count("configuration_read") > before, what="the other configuration")


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_reload_while_one_is_under_way(pawl, repo, sinks, delivery):
    """What is being sent is neither sent again nor given up, what waits goes out, and new targets hear what comes."""
    one, two = sinks(), sinks()
    inside, on = threading.Event(), threading.Event()

    def slow(h):
        inside.set()
        on.wait(60)
        return 200, {}
    one.answers = [slow]
    first = target(one, "build", f"name: one, delivery: {delivery}")
    go(pawl, repo, first)
    ids = force(pawl, 3)
    for r in ids:
        pawl.build_of(r)
    assert inside.wait(30)
    configure(pawl, repo, first + target(two, "build", "name: two"))
    reload(pawl)
    reload(pawl)
    on.set()
    ids += force(pawl, 2)
    builds = [pawl.build_of(r)["id"] for r in ids]
    until(lambda: all(r["state"] == "sent" for r in outbox(pawl)) and len(outbox(pawl, "&target=one")) >= 5, what="all messages")
    assert sorted(one.keys_seen()) == sorted(f"build/{b}/one" for b in builds) and set(one.acted.values()) == {1} and len(one.requests) == 5
    assert sorted(two.keys_seen()) == sorted(f"build/{b}/two" for b in builds[3:])
    metrics = pawl.request("GET", "/metrics")[1].decode()
    assert 'pawl_outbox_sent_total{target="two"} 2' in metrics and 'pawl_outbox_sent_total{target="one"} 5' in metrics


def test_first_target_comes_by_a_reload(pawl, repo, sinks):
    sink = sinks()
    go(pawl, repo, "  []\n")
    pawl.build_of(force(pawl)[0])
    configure(pawl, repo, target(sink, "build", "name: one"))
    reload(pawl)
    b = pawl.build_of(force(pawl)[0])["id"]
    until(lambda: sink.keys_seen() == [f"build/{b}/one"], what="the message")


def test_target_is_removed(pawl, repo, sinks):
    """What waits for it is given up with that reason; what is under way is recorded by what came of it."""
    sink = sinks()
    inside, on = threading.Event(), threading.Event()

    def slow(h):
        inside.set()
        on.wait(60)
        return 200, {}
    sink.answers = [slow]
    go(pawl, repo, target(sink, "build", "name: one"))
    for r in force(pawl, 2):
        pawl.build_of(r)
    assert inside.wait(30)
    configure(pawl, repo, "  []\n")
    reload(pawl)
    on.set()
    until(lambda: sorted(r["state"] for r in outbox(pawl)) == ["given_up", "sent"], what="both ends")
    assert "removed from the configuration" in next(r["reason"] for r in outbox(pawl) if r["state"] == "given_up")
