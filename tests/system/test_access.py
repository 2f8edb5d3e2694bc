"""Who may do what: tokens, people, the trail, workers' keys, root given up."""
import http.client, json, os, pwd, shutil, signal, socket, sqlite3, stat, subprocess, tempfile, time, urllib.parse, uuid
import pytest
from conftest import BUILD, CONFIG, ROOT, Pawl, until

SCOPES = ["read", "build", "land", "operate", "admin"]
EMPTY = 'name: t\nweb: {listen: "127.0.0.1:0"}\nworkers: {listen: "tcp://127.0.0.1:0"}\n'


def rows(pawl):
    """How many rows each table has."""
    db = sqlite3.connect(f"file:{pawl.state}/pawl.db?mode=ro", uri=True)
    try:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
        return {n: db.execute(f"SELECT count(*) FROM \"{n}\"").fetchone()[0] for n in names}
    finally:
        db.close()


def audit(pawl, query=""):
    return [(d["actor"], d["action"], d["object"]) for d in pawl.get("/audit" + query)["items"]]


def call(pawl, method, path, token=None, source=None, body="{}"):
    u = urllib.parse.urlparse(pawl.url)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=30, source_address=(source, 0) if source else None)
    head = {"Content-Type": "application/json"}
    if token:
        head["Authorization"] = "Bearer " + token
    c.request(method, path, body, head)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, text


def refused_count(pawl, code):
    text = pawl.request("GET", "/metrics")[1].decode()
    return int(next(l for l in text.splitlines() if f'pawl_http_refused_total{{code="{code}"}}' in l).split()[-1])


def test_every_write_is_refused_without_the_right(pawl):
    """Walks what the server says it serves, so that a new route is tried by itself."""
    pawl.configure(EMPTY)
    pawl.start_master()
    tokens = {s: pawl.post("/tokens", {"name": "only-" + s, "scopes": [s]}, 201)["token"] for s in SCOPES}
    for t in tokens.values():  # their first use is noted before anything is counted
        assert call(pawl, "GET", "/api/v1/status", t)[0] == 200
    until(lambda: all(t["used"] for t in pawl.get("/tokens")["items"] if t["name"].startswith("only-")), 20, "first uses")
    writes = [(m.upper(), p, op) for p, ops in pawl.get("/openapi.json")["paths"].items() for m, op in ops.items() if m != "get"]
    assert len(writes) >= 12
    before, forbidden, unauthorized = rows(pawl), refused_count(pawl, "forbidden"), refused_count(pawl, "unauthorized")
    f = u = 0
    for i, (method, pattern, op) in enumerate(writes):
        if "security" not in op:  # asks in another way, and is tested for that
            assert not pattern.startswith("/api/v1/"), pattern
            continue
        scope = op["security"][0]["token"][0]
        path = "/".join("7" if part.startswith("{") else part for part in pattern.split("/"))
        source = f"127.0.0.{2 + i // 8}"  # too many failures of one address are answered by 429
        assert call(pawl, method, path, source=source)[0] == 401, path
        assert call(pawl, method, path, "pawl_" + "x" * 43, source=source)[0] == 401, path
        u += 2
        for s in SCOPES:
            if s not in (scope, "admin"):
                status, text = call(pawl, method, path, tokens[s])
                assert status == 403 and json.loads(text)["error"]["code"] == "forbidden", (path, s, status)
                f += 1
    assert f >= 3 * 12
    after = rows(pawl)
    assert after == before
    assert refused_count(pawl, "forbidden") == forbidden + f and refused_count(pawl, "unauthorized") == unauthorized + u
    assert pawl.log("master").count("write_refused") >= f
    assert call(pawl, "GET", "/api/v1/tokens", tokens["operate"])[0] == 403 and call(pawl, "GET", "/api/v1/audit")[0] == 401


def test_tokens_are_made_used_and_revoked(pawl):
    pawl.configure(EMPTY)
    pawl.start_master()
    made = json.loads(pawl.pawl("--json", "token", "create", "ci", "--scope", "build", "--scope", "read", "--expires", "90d"))
    assert made["scopes"] == ["read", "build"] and made["token"].startswith("pawl_") and made["expires"]
    text = pawl.pawl("token", "create", "short", "--expires", "3s").strip()
    assert call(pawl, "GET", "/api/v1/status", text)[0] == 200
    until(lambda: call(pawl, "GET", "/api/v1/status", text)[0] == 401, 20, "the end of a token")
    # whoever asked again since the answer was lost gets the same token, and one text that works
    key = str(uuid.uuid4())
    one = pawl.post("/tokens", {"name": "again"}, 201, key)
    two = pawl.post("/tokens", {"name": "again"}, 201, key)
    assert one["id"] == two["id"] and one["token"] != two["token"]
    assert call(pawl, "GET", "/api/v1/status", one["token"])[0] == 401 and call(pawl, "GET", "/api/v1/status", two["token"])[0] == 200
    until(lambda: next(t for t in pawl.get("/tokens")["items"] if t["id"] == two["id"])["used"], 20, "its use")
    assert pawl.post("/tokens", {"name": "again"}, 409, key)["error"]["code"] == "conflict"
    # nobody finds a text on the disk
    line = json.loads(pawl.pawl("--json", "worker", "add", "w9"))["line"]
    held = b"".join(open(os.path.join(d, f), "rb").read() for d, _, fs in os.walk(pawl.state) for f in fs if f.startswith("pawl.db"))
    for secret in (made["token"], text, one["token"], two["token"], line.split()[-1]):
        assert secret.encode() not in held
    listed = pawl.pawl("token", "list")
    assert "ci" in listed and "read,build" in listed and "expired" in listed and made["token"] not in listed
    assert "revoked" in pawl.pawl("token", "revoke", str(made["id"]), "--reason", "leaked")
    assert call(pawl, "GET", "/api/v1/status", made["token"])[0] == 401
    pawl.pawl("token", "revoke", str(made["id"]), code=1)
    assert "no token 999" in pawl.pawl("token", "revoke", "999", code=1)
    assert "neither a duration" in pawl.pawl("token", "create", "x", "--expires", "90", code=2)
    trail = audit(pawl)
    assert trail[0] == ("admin", "token.revoke", "ci") and trail.count(("admin", "token.create", "again")) == 1
    assert trail[-1] == ("master", "token.create", "admin")
    assert audit(pawl, "?actor=master") == [("master", "token.create", "admin")]
    assert len(pawl.get("/audit?limit=2")["items"]) == 2 and pawl.get("/audit?limit=2")["next"]


def test_a_revoked_token_ends_its_streams(pawl):
    pawl.configure(EMPTY)
    pawl.start_master()
    made = pawl.post("/tokens", {"name": "looker"}, 201)
    u = urllib.parse.urlparse(pawl.url)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=60)
    c.request("GET", "/api/v1/events", headers={"Authorization": "Bearer " + made["token"]})
    r = c.getresponse()
    assert r.status == 200 and r.readline().startswith(b"retry")
    pawl.pawl("token", "revoke", str(made["id"]))
    began = time.monotonic()
    while r.readline():  # to the end of the stream; the pings alone would keep it for ever
        assert time.monotonic() - began < 60
    c.close()


def test_people(pawl):
    people = EMPTY + "people:\n  - {name: ada, roles: [developer]}\n  - {name: root, roles: [admin]}\n"
    pawl.configure(people)
    pawl.start_master()
    ada = pawl.pawl("token", "create", "adas", "--person", "ada").strip()
    much = pawl.pawl("token", "create", "much", "--person", "ada", "--scope", "admin").strip()
    assert "no person" in pawl.pawl("token", "create", "x", "--person", "zoe", code=1)
    assert pawl.get("/tokens")["items"][1]["scopes"] == ["read", "build", "land"]
    for t in (ada, much):
        assert call(pawl, "POST", "/api/v1/builds/1/retry", t)[0] == 404
        assert call(pawl, "POST", "/api/v1/workers", t, body='{"name": "w"}')[0] == 403
    pawl.kill(pawl.master, signal.SIGTERM)
    pawl.configure(people.replace("name: ada", "name: bob"))
    pawl.start_master()
    status, text = call(pawl, "POST", "/api/v1/builds/1/retry", ada)
    assert status == 401 and b"not among the people" in text
    assert [t["state"] for t in pawl.get("/tokens")["items"][:2]] == ["nobody", "nobody"]
    pawl.kill(pawl.master, signal.SIGTERM)
    pawl.configure(people.replace("developer", "operator"))
    pawl.start_master()
    assert call(pawl, "POST", "/api/v1/workers/none/pause", much)[0] == 404, "what the person may do counts now"


# ---- keys of workers
def join(pawl, token, spool, config, env=None):
    return subprocess.run([f"{BUILD}/pawl-worker", "join", token, "--config", config, "--spool", spool], cwd=pawl.dir,
                          env=dict(pawl.env, **(env or {})), capture_output=True, text=True, timeout=120)


def line(pawl, *words):
    return json.loads(pawl.pawl("--json", "worker", *words))["line"].split()[-1]


def test_enrolment(pawl):
    pawl.configure(EMPTY)
    pawl.start_master()
    at = lambda name: os.path.join(pawl.dir, name)
    once = line(pawl, "add", "w1")
    # the master has taken the key, the worker was killed before it was in place: the same line again
    p = join(pawl, once, at("s1"), at("w1.yaml"), {"PW_FAULT": "worker.key:1=kill"})
    assert p.returncode == -9 and not os.path.exists(at("s1/worker.key"))
    p = join(pawl, once, at("s2"), at("other.yaml"))
    assert p.returncode == 1 and "used already" in p.stderr
    p = join(pawl, once, at("s1"), at("w1.yaml"))
    assert p.returncode == 0, p.stderr
    assert stat.S_IMODE(os.stat(at("s1/worker.key")).st_mode) == 0o600 and not os.path.exists(at("s1/worker.key.next"))
    assert not os.path.exists(at("s2/worker.key")), "what was refused leaves no key"
    w = pawl.workers["w1"] = pawl.spawn("worker-w1", [f"{BUILD}/pawl-worker", "--config", at("w1.yaml")])
    until(lambda: pawl.worker("w1")["state"] == "connected", 20, "w1")
    p = join(pawl, once, at("s2"), at("other.yaml"))
    assert p.returncode == 1 and "does not know this worker's key" in p.stderr, "no handshake once it has served"
    # one whose hour is over, by the master's clock
    late = line(pawl, "add", "w2")
    pawl.kill(pawl.master, signal.SIGTERM)
    db = sqlite3.connect(pawl.state + "/pawl.db")
    db.execute("UPDATE enrol SET expires = 1000")
    db.commit()
    db.close()
    pawl.start_master()
    p = join(pawl, late, at("s3"), at("w2.yaml"))
    assert p.returncode == 1 and "does not know this worker's key" in p.stderr and pawl.worker("w2")["state"] == "new"
    # removed: its session ends at once, and it does not come back
    until(lambda: pawl.worker("w1")["state"] == "connected", 20, "w1 again")
    pawl.pawl("worker", "remove", "w1")
    until(lambda: "refused: removed" in pawl.log("worker-w1"), 20, "the end of its session")
    assert w.poll() is None and pawl.worker("w1")["state"] == "removed"
    assert [a for _, a, o in audit(pawl) if o == "w1"] == ["worker.remove", "worker.join", "worker.add"]


def test_a_master_killed_while_a_worker_joins(pawl):
    pawl.configure(EMPTY)
    m = pawl.start_master({"PW_FAULT": "worker.join:1=kill"})
    once = line(pawl, "add", "w1")
    spool, config = os.path.join(pawl.dir, "s1"), os.path.join(pawl.dir, "w1.yaml")
    assert join(pawl, once, spool, config).returncode == 1 and m.wait(timeout=30) == -9
    assert not os.path.exists(spool + "/worker.key")
    pawl.start_master()
    assert pawl.worker("w1")["state"] == "new" and not [a for _, a, _ in audit(pawl) if a == "worker.join"]
    p = join(pawl, once, spool, config)
    assert p.returncode == 0, p.stderr
    assert [a for _, a, _ in audit(pawl)].count("worker.join") == 1


def test_rotation_while_a_job_runs(simple, repo):
    pawl = simple
    at = lambda name: os.path.join(pawl.dir, name)
    flag = at("flag")
    req = pawl.post("/force", {"builder": "any", "reason": "long", "properties": {"cmd": f"until test -e {flag}; do sleep 0.1; done"}})["requests"][0]
    until(lambda: [b for b in pawl.builds() if b["request"] == req and b["state"] == "running"], 30, "the job")
    old = open(at("spool-w1/worker.key")).read()
    token = line(pawl, "rotate", "w1")
    assert pawl.worker("w1")["state"] == "connected" and open(at("spool-w1/worker.key")).read() == old
    p = join(pawl, token, at("spool-w1"), at("w1.yaml"))
    assert p.returncode == 0 and "new key" in p.stdout, p.stderr
    assert open(at("spool-w1/worker.key")).read() != old
    until(lambda: "key_taken" in pawl.log("worker-w1") and pawl.worker("w1")["state"] == "connected", 30, "the agent with its new key")
    open(flag, "w").close()
    assert pawl.build_of(req)["result"] == "success"
    # whoever copied the old key gets nowhere
    shutil.copy(at("w1.yaml"), at("thief.yaml"))
    text = open(at("thief.yaml")).read()
    open(at("thief.yaml"), "w").write(text.replace("spool-w1", "spool-thief"))
    os.mkdir(at("spool-thief"), 0o700)
    with open(os.open(at("spool-thief/worker.key"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(old)
    thief = pawl.spawn("worker-thief", [f"{BUILD}/pawl-worker", "--config", at("thief.yaml")])
    until(lambda: "does not know this worker's key" in pawl.log("worker-thief"), 30, "the refusal")
    assert "session_up" not in pawl.log("worker-thief") and thief.poll() is None
    assert [a for _, a, o in audit(pawl) if o == "w1"][:2] == ["worker.join", "worker.rotate"]


# ---- root
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def outside():
    """A place that another user can reach."""
    d = tempfile.mkdtemp(prefix="pawl-privs-", dir="/tmp")
    os.chmod(d, 0o755)
    p = Pawl(d)
    yield p
    p.close()
    shutil.rmtree(d)


def status_of(pid):
    found = []
    for t in os.listdir(f"/proc/{pid}/task"):
        found.append(dict(l.split(":\t", 1) for l in open(f"/proc/{pid}/task/{t}/status").read().splitlines() if ":\t" in l))
    return found


@root_only
def test_root_is_given_up(outside, repo):
    pawl = outside
    nobody = pwd.getpwnam("nobody")
    repo.commit({"test.sh": "echo hello\n"}, "first")
    for d in (repo.bare, *[os.path.join(x, y) for x, ds, fs in os.walk(repo.bare) for y in ds + fs]):
        os.chown(d, nobody.pw_uid, nobody.pw_gid)
    mine = os.path.join(pawl.dir, "repo.git")
    shutil.move(repo.bare, mine)
    pawl.configure("user: nobody\n" + CONFIG.format(repo=mine, builders="  - {name: test, project: p, steps: [{name: go, run: 'true'}]}\n").replace("127.0.0.1:0", "127.0.0.1:0", 1))
    m = pawl.start_master()
    until(lambda: pawl.get("/changes")["items"] or pawl.get("/projects")["items"][0]["branches"], 30, "the repository as nobody sees it")
    threads = status_of(m.pid)
    assert len(threads) > 3
    for s in threads:
        assert s["Uid"].split() == [str(nobody.pw_uid)] * 4 and s["Gid"].split() == [str(nobody.pw_gid)] * 4, s["Name"]
        assert s["Groups"].split() == [] and s["NoNewPrivs"].strip() == "1"
        assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == int(s["CapAmb"], 16) == 0
    for d, ds, fs in os.walk(pawl.state):
        for f in [d] + [os.path.join(d, x) for x in fs]:
            assert os.stat(f).st_uid == nobody.pw_uid, f
    pawl.start_worker("w1")  # which is root still; the master writes its rows as nobody
    b = pawl.build_of(pawl.post("/force", {"builder": "test", "reason": "r"})["requests"][0])
    assert b["result"] == "success"
    assert "root_given_up" in pawl.log("master") and "runs_as_root" not in pawl.log("master")
    pawl.kill(m, signal.SIGTERM)
    pawl.start_master()  # again, on the directory that is nobody's now


@root_only
def test_users_that_cannot_be(outside):
    pawl = outside
    pawl.configure("user: no-such-user\n" + EMPTY)
    m = pawl.start_master(wait=False)
    assert m.wait(timeout=30) == 1 and 'there is no user "no-such-user"' in pawl.log("master")
    assert not os.path.exists(pawl.state), "nothing was made"
    os.mkdir(pawl.state, 0o700)
    open(os.path.join(pawl.state, "mine"), "w").close()
    pawl.configure("user: nobody\n" + EMPTY)
    m = pawl.start_master(wait=False)
    assert m.wait(timeout=30) == 1 and "chown -R nobody: " in pawl.log("master")
    assert os.stat(pawl.state).st_uid == 0
    os.unlink(os.path.join(pawl.state, "mine"))
    pawl.configure("user: root\n" + EMPTY)
    m = pawl.start_master(wait=False)
    assert m.wait(timeout=30) == 1 and '"root" is root' in pawl.log("master")
    pawl.configure(EMPTY)
    pawl.start_master()
    assert "runs_as_root" in pawl.log("master")


@root_only
def test_a_port_that_only_root_may_take(outside):
    """Root comes back for the sockets, and only for them."""
    for port in range(1023, 600, -1):
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
            break
        except OSError:
            continue
    pawl = outside
    pawl.configure("user: nobody\n" + EMPTY.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
    m = pawl.start_master()
    assert pawl.url.endswith(f":{port}") and pawl.request("GET", "/healthz")[0] == 200
    assert all(s["Uid"].split()[0] != "0" for s in status_of(m.pid))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_units():
    for unit, most in (("pawl-master", 15), ("pawl-worker", 76)):  # tenths of systemd's points: less is less exposed
        p = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={most}", os.path.join(ROOT, "config", unit + ".service")],
                           capture_output=True, text=True)
        assert p.returncode == 0, p.stdout[-300:] + p.stderr
    text = open(os.path.join(ROOT, "config/pawl-worker.service")).read()
    assert "KillMode=process" in text and "PrivateTmp=" not in text, "jobs outlive a restart of their agent"
