"""The web server under attack and behind proxies: TLS, limits, logins, webhooks."""
import base64, hashlib, hmac, http.client, json, os, re, signal, socket, ssl, subprocess, urllib.parse, uuid
import pytest
from conftest import BUILD, SLOW, until

PLAIN = """
name: test
web: {{listen: "127.0.0.1:0"{web}}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: {poll}{project}}}
builders:
  - {{name: test, project: p, steps: [checkout: {{}}, {{name: test, run: sh test.sh}}]}}
{more}
"""


def start(pawl, repo, web="", project="", poll="1s", more="", worker=False, env=None, context=None):
    """A master that has read its repository."""
    repo.commit({"test.sh": "echo hello\n"}, "first")
    pawl.configure(PLAIN.format(repo=repo.bare, web=web, project=project, poll=poll, more=more))
    pawl.start_master(env=env)
    until(lambda: json.loads(call(pawl, "GET", "/api/v1/projects", context=context)[2])["items"][0]["branches"], 30, "the repository")
    if worker:
        pawl.start_worker()
    return pawl


def certificate(where, name="web"):
    """A certificate for 127.0.0.1 that signs itself; returns the paths of certificate and key."""
    cert, key = os.path.join(where, name + ".crt"), os.path.join(where, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


def call(pawl, method, path, body=None, headers=None, context=None):
    """Status, headers and body, with cookies and redirects left to the caller."""
    u = urllib.parse.urlsplit(pawl.url)
    c = http.client.HTTPSConnection(u.hostname, u.port, timeout=30 * SLOW, context=context) if u.scheme == "https" else \
        http.client.HTTPConnection(u.hostname, u.port, timeout=30 * SLOW)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, r.headers, r.read()
    finally:
        c.close()


def metric(pawl, name, context=None):
    text = call(pawl, "GET", "/metrics", context=context)[2].decode()
    return int(re.search("^" + re.escape(name) + r" (\d+)$", text, re.M).group(1))


# ---- TLS
def test_tls(pawl, repo, tmp_path):
    cert, key = certificate(str(tmp_path))
    trust = ssl.create_default_context(cafile=cert)
    start(pawl, repo, web=f", tls: {{cert: {cert}, key: {key}}}", context=trust)
    assert pawl.url.startswith("https://127.0.0.1:")
    pawl.env["PAWL_CA"] = cert
    pawl.join("w1")
    pawl.spawn("worker-w1", [f"{BUILD}/pawl-worker", "--config", os.path.join(pawl.dir, "w1.yaml")])
    del pawl.env["PAWL_CA"]
    status, head, body = call(pawl, "GET", "/", context=trust)
    assert status == 200 and b"Pawl" in body and head["Strict-Transport-Security"].startswith("max-age=")
    with pytest.raises(ssl.SSLCertVerificationError):
        call(pawl, "GET", "/", context=ssl.create_default_context())
    # the client: not without knowing whose word counts, and then for commands, logs and streams
    assert "--ca" in pawl.pawl("status", code=1)
    for how in (["--ca", cert], []):
        pawl.env["PAWL_CA"] = "" if how else cert
        ids = json.loads(pawl.pawl("--json", *how, "force", "test", "--reason", "x"))["requests"]
        assert pawl.pawl(*how, "workers").count("w1") == 1
    del pawl.env["PAWL_CA"]
    def done():
        b = [b for b in json.loads(pawl.pawl("--json", "--ca", cert, "builds"))["items"] if b["request"] == ids[0]]
        return b and b[0]["state"] == "done" and b[0]
    b = until(done, 60, "a build")
    assert b["result"] == "success" and "hello" in pawl.pawl("--ca", cert, "log", str(b["id"]), "-f")
    # a stream of events, and an answer larger than a record of TLS
    u = urllib.parse.urlsplit(pawl.url)
    with trust.wrap_socket(socket.create_connection((u.hostname, u.port), timeout=30 * SLOW), server_hostname="127.0.0.1") as s:
        s.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while b"event: request" not in text:
            got = s.recv(65536)
            assert got, text
            if b"event-stream" in text + got and b"event-stream" not in text:
                pawl.pawl("--ca", cert, "force", "test", "--reason", "y")
            text += got
    status, head, body = call(pawl, "GET", "/api/v1/openapi.json", context=trust)
    assert status == 200 and len(body) > 16384 and json.loads(body)["openapi"]
    # plain HTTP is not answered, old versions are not spoken
    with socket.create_connection((u.hostname, u.port), timeout=30 * SLOW) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert b"200" not in s.recv(4096)
        except ConnectionError:
            pass
    for args, good in ((["-tls1_2"], True), (["-tls1_3"], True), (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False)):
        p = subprocess.run(["openssl", "s_client", "-connect", f"{u.hostname}:{u.port}", "-CAfile", cert, *args], input=b"", capture_output=True, timeout=30 * SLOW)
        assert (b"Verify return code: 0 (ok)" in p.stdout and p.returncode == 0) == good, (args, p.stdout, p.stderr)


def test_tls_refusals(pawl, repo, tmp_path):
    cert, key = certificate(str(tmp_path))
    other = certificate(str(tmp_path), "other")[1]
    pawl.configure(PLAIN.format(repo=repo.bare, web=f", tls: {{cert: {cert}, key: {key}}}", project="", poll="1s", more=""))

    def refused(config_change, want):
        text = open(pawl.config).read()
        pawl.configure(config_change(text))
        p = pawl.start_master(wait=False)
        assert p.wait(timeout=30 * SLOW) != 0
        assert want in pawl.log("master"), pawl.log("master")
        assert not os.path.exists(os.path.join(pawl.state, "web.addr"))
        pawl.configure(text)
    os.chmod(key, 0o644)
    refused(lambda t: t, "is open to others (mode 644): chmod 600")
    os.chmod(key, 0o600)
    refused(lambda t: t.replace(key, key + ".none"), "web.key.none")
    refused(lambda t: t.replace(key, other), "may not belong together")
    refused(lambda t: t.replace(f"cert: {cert}", f"cert: {key}"), "is no certificate in PEM form")
    refused(lambda t: t.replace(f", tls: {{cert: {cert}, key: {key}}}", "").replace("127.0.0.1:0\"}", "0.0.0.0:0\"}", 1), "insecure: true")
    assert "1 projects" in subprocess.run([f"{BUILD}/pawl-master", "check", pawl.config], capture_output=True, text=True).stdout


# ---- limits
def test_limits(pawl, repo):
    start(pawl, repo, web=", limits: {requests_per_second: 1, burst: 60, request_time: 1s, body: 4K}")
    until(lambda: call(pawl, "GET", "/healthz")[0] == 200, 10, "health")
    bearer = {"Authorization": "Bearer " + pawl.token(), "Content-Type": "application/json"}
    fits = json.dumps({"builder": "test", "reason": "x"}).ljust(4096)
    assert call(pawl, "POST", "/api/v1/force", fits, bearer)[0] == 202
    assert call(pawl, "POST", "/api/v1/force", fits + " ", bearer)[0] == 413
    u = urllib.parse.urlsplit(pawl.url)
    with socket.create_connection((u.hostname, u.port), timeout=30 * SLOW) as s:
        s.sendall(b"POST /api/v1/force HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert s.recv(4096) == b"", "a body that does not come is not waited for"
    assert metric(pawl, 'pawl_web_refused_total{why="slow"}') >= 1
    status, head, body = until(lambda: (lambda r: r if r[0] == 429 else None)(call(pawl, "GET", "/")), 60, "the limit of the address")
    assert int(head["Retry-After"]) >= 1 and json.loads(body)["error"]["code"] == "rate_limited"
    before = until(lambda: (lambda r: json.loads(r[2])["items"] if r[0] == 200 else None)(call(pawl, "GET", "/api/v1/requests")), 30, "a place")
    assert len([r for r in before if r["reason"] == "x"]) == 1, "what was refused left nothing"


# ---- webhooks
SECRET = "It's a Secret to Everybody"
SENDERS = {  # signature, delivery id, event, form of the signature
    "github": ("X-Hub-Signature-256", "X-GitHub-Delivery", "X-GitHub-Event", "sha256={}"),
    "gitea": ("X-Gitea-Signature", "X-Gitea-Delivery", "X-Gitea-Event", "{}"),
    "bitbucket": ("X-Hub-Signature", "X-Request-UUID", "X-Event-Key", "sha256={}"),
    "gitlab": ("X-Gitlab-Token", "X-Gitlab-Event-UUID", "X-Gitlab-Event", None),
    "generic": ("X-Pawl-Signature-256", "Idempotency-Key", "X-Pawl-Event", "sha256={}"),
}


def deliver(pawl, kind="github", body=None, delivery=None, secret=SECRET, project="p", signature=None):
    body = body if body is not None else b'{"ref":"refs/heads/master","repository":{"full_name":"o/p"}}'
    sign, ident, event, form = SENDERS[kind]
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    heads = {sign: signature or (form.format(mac) if form else secret), event: "push", "Content-Type": "application/json"}
    if delivery:
        heads[ident] = delivery
    status, _, text = call(pawl, "POST", f"/hooks/{kind}/{project}", body, heads)
    return status, json.loads(text)


def hooked(pawl, repo, tmp_path, **more):
    """A master that would look at its repository once an hour, and takes webhooks."""
    path = tmp_path / "hook.secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return start(pawl, repo, poll="1h", project=", hook_secret: hook", more=f"secrets: {{hook: {{file: {path}}}}}\n", **more)


def rows(pawl, sql):
    """What is in the database, of a master that does not run."""
    import sqlite3
    db = sqlite3.connect(os.path.join(pawl.state, "pawl.db"))
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_a_hook_starts_the_build_at_once(pawl, repo, tmp_path):
    hooked(pawl, repo, tmp_path, worker=True)
    for kind in SENDERS:
        rev = repo.commit({"by": kind}, "by " + kind)
        assert not pawl.builds("?revision=" + rev), "an hour has not passed"
        status, answer = deliver(pawl, kind, delivery=str(uuid.uuid4()))
        assert status == 202 and answer["hook"] >= 1
        assert pawl.built("test", rev)["result"] == "success"


def test_hooks_are_refused_and_counted(pawl, repo, tmp_path):
    hooked(pawl, repo, tmp_path)
    rev = repo.commit({"x": "1"}, "unseen")
    refused = 0
    for kind in SENDERS:
        status, answer = deliver(pawl, kind, secret="guess")
        refused += 1
        assert status == 401 and answer["error"]["code"] == "unauthorized", kind
    assert deliver(pawl, signature="sha256=" + "0" * 64)[0] == 401
    assert metric(pawl, 'pawl_web_refused_total{why="signature"}') == refused + 1
    assert deliver(pawl, body=b'{"ref":')[0] == 400
    assert deliver(pawl, project="nobody")[0] == 404
    assert not pawl.builds("?revision=" + rev) and len(pawl.get("/changes")["items"]) <= 1
    pawl.kill(pawl.master, signal.SIGTERM)
    assert rows(pawl, "SELECT count(*) FROM hook") == [(0,)], "what was refused left nothing"


def test_no_secret_no_hooks(pawl, repo):
    start(pawl, repo)
    status, answer = deliver(pawl)
    assert status == 403 and "give it a hook_secret" in answer["error"]["message"]


def test_a_delivery_is_stored_once_raw_and_before_the_answer(pawl, repo, tmp_path):
    """kill -9 between commit and answer: the sender gets none and sends it again."""
    hooked(pawl, repo, tmp_path, env={"PW_FAULT": "hook.stored:1=kill"})
    body = b'{"ref":"refs/heads/master",  "after": "\xc3\xa9"}\n'
    rev = repo.commit({"x": "1"}, "pushed")
    with pytest.raises((http.client.HTTPException, OSError)):
        deliver(pawl, body=body, delivery="d-1")
    pawl.master.wait(timeout=30 * SLOW)
    assert [(bytes(b), k, d, e, s) for b, k, d, e, s in rows(pawl, "SELECT body,kind,delivery,event,state FROM hook")] == [(body, "github", "d-1", "push", 0)]
    pawl.start_master()
    pawl.start_worker()
    assert pawl.built("test", rev), "the delivery that was not answered is acted on"
    first = deliver(pawl, body=body, delivery="d-1")
    assert first[0] == 202 and deliver(pawl, body=body, delivery="d-1") == first
    other = deliver(pawl, body=body, delivery="d-2")
    assert other[0] == 202 and other != first
    assert deliver(pawl, body=body, delivery="d-1", kind="gitea") not in (first, other), "an id is its sender's"
    for _ in range(2):  # without an id the body is one
        same = deliver(pawl, "generic", body=b'{"n":1}')
    assert same == deliver(pawl, "generic", body=b'{"n":1}') and same != deliver(pawl, "generic", body=b'{"n":2}')
    assert len([r for r in pawl.get("/requests")["items"] if r["revision"] == rev]) == 1
    pawl.kill(pawl.master, signal.SIGTERM)
    assert sorted(rows(pawl, "SELECT kind,count(*) FROM hook GROUP BY kind")) == [("generic", 2), ("gitea", 1), ("github", 2)]


def test_a_delivery_that_is_not_stored_is_not_answered(pawl, repo, tmp_path):
    hooked(pawl, repo, tmp_path, env={"PW_FAULT": "hook.store:1,hook.stored:1"})
    assert deliver(pawl, delivery="d-1")[0] == 503, "not stored"
    status, answer = deliver(pawl, delivery="d-1")
    assert status == 503, "stored, and the answer failed"
    assert deliver(pawl, delivery="d-1") == (202, {"hook": 1})
    pawl.kill(pawl.master, signal.SIGTERM)
    assert rows(pawl, "SELECT count(*) FROM hook") == [(1,)]


# ---- logins
def login(pawl, token, headers=None, context=None):
    h = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    h.update(headers or {})
    return call(pawl, "POST", "/login", urllib.parse.urlencode({"token": token}), h, context)


def cookie_of(head):
    return head["Set-Cookie"].split(";")[0]


def forced(pawl):
    return [r for r in pawl.get("/requests")["items"] if r["reason"] == "by page"]


def test_login(pawl, repo):
    start(pawl, repo)
    made = json.loads(pawl.pawl("--json", "token", "create", "page", "--scope", "read", "--scope", "build"))
    status, head, _ = login(pawl, made["token"])
    assert status == 303 and head["Location"] == "/"
    assert re.search(r"; HttpOnly; SameSite=Lax", head["Set-Cookie"])
    me = {"Cookie": cookie_of(head)}
    status, _, body = call(pawl, "GET", "/api/v1/session", headers=me)
    who = json.loads(body)
    assert who["how"] == "session" and who["scopes"] == ["read", "build"] and who["csrf"]
    order = json.dumps({"builder": "test", "reason": "by page"})
    full = dict(me, **{"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": who["csrf"]})
    for change in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": None},
                   {"Sec-Fetch-Site": None, "Origin": "https://evil.example"}, {"Sec-Fetch-Site": None}):
        h = {k: v for k, v in dict(full, **change).items() if v is not None}
        status, heads, body = call(pawl, "POST", "/api/v1/force", order, h)
        assert status == 403 and json.loads(body)["error"]["code"] == "forbidden", change
        assert not [k for k in heads if k.lower().startswith("access-control-")]
    assert not forced(pawl), "what was refused changed nothing"
    assert call(pawl, "POST", "/api/v1/force", order, full)[0] == 202
    until(lambda: len(forced(pawl)) == 1, 10, "the request")
    # it outlives the master, and ends with its token
    pawl.kill(pawl.master)
    pawl.start_master()
    assert json.loads(call(pawl, "GET", "/api/v1/session", headers=me)[2])["csrf"] == who["csrf"]
    pawl.pawl("token", "revoke", str(made["id"]))
    assert json.loads(call(pawl, "GET", "/api/v1/session", headers=me)[2])["actor"] is None
    assert call(pawl, "POST", "/api/v1/force", order, full)[0] == 401 and len(forced(pawl)) == 1
    assert login(pawl, made["token"])[0] == 401
    # log out
    admin = {"Cookie": cookie_of(login(pawl, pawl.token())[1])}
    csrf = json.loads(call(pawl, "GET", "/api/v1/session", headers=admin)[2])["csrf"]
    form = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    status, head, _ = call(pawl, "POST", "/logout", urllib.parse.urlencode({"csrf": csrf}), dict(admin, **form))
    assert status == 303 and "Max-Age=0" in head["Set-Cookie"]
    assert json.loads(call(pawl, "GET", "/api/v1/session", headers=admin)[2])["actor"] is None
    pawl.kill(pawl.master, signal.SIGTERM)
    secret = admin["Cookie"].split("=", 1)[1].encode()
    for name in os.listdir(pawl.state):
        path = os.path.join(pawl.state, name)
        if os.path.isfile(path) and name.startswith("pawl.db"):
            assert secret not in open(path, "rb").read() and me["Cookie"].split("=", 1)[1].encode() not in open(path, "rb").read()
    deeds = [d[0] for d in rows(pawl, "SELECT action FROM audit ORDER BY id")]
    assert deeds.count("login") == 2 and deeds.count("logout") == 1


def test_login_by_https(pawl, repo, tmp_path):
    cert, key = certificate(str(tmp_path))
    trust = ssl.create_default_context(cafile=cert)
    start(pawl, repo, web=f", tls: {{cert: {cert}, key: {key}}}", context=trust)
    status, head, _ = login(pawl, pawl.token(), context=trust)
    assert status == 303 and head["Set-Cookie"].startswith("__Host-pawl=") and "; Secure" in head["Set-Cookie"]
    who = call(pawl, "GET", "/api/v1/session", headers={"Cookie": cookie_of(head)}, context=trust)[2]
    assert json.loads(who)["actor"] == "admin"


def test_people_named_by_a_proxy(pawl, repo):
    people = "people:\n  - {name: ada, roles: [developer]}\n"
    start(pawl, repo, web=", user_header: X-Forwarded-User, proxies: [127.0.0.1]", more=people)
    ada = {"X-Forwarded-User": "ada"}
    who = json.loads(call(pawl, "GET", "/api/v1/session", headers=ada)[2])
    assert who["actor"] == "ada" and who["how"] == "proxy"
    order = json.dumps({"builder": "test", "reason": "by page"})
    full = dict(ada, **{"Content-Type": "application/json", "Origin": pawl.url, "X-CSRF-Token": who["csrf"]})
    assert call(pawl, "POST", "/api/v1/force", order, dict(full, Origin="https://evil.example"))[0] == 403
    assert call(pawl, "POST", "/api/v1/force", order, {k: v for k, v in full.items() if k != "X-CSRF-Token"})[0] == 403
    assert not forced(pawl)
    assert call(pawl, "POST", "/api/v1/force", order, full)[0] == 202 and forced(pawl)[0]["who"] == "ada"
    # not listed: the header is nothing
    pawl.kill(pawl.master, signal.SIGTERM)
    text = open(pawl.config).read()
    pawl.configure(text.replace("[127.0.0.1]", "[10.0.0.0/8]"))
    pawl.start_master()
    for _ in range(3):
        assert json.loads(call(pawl, "GET", "/api/v1/session", headers=ada)[2])["actor"] is None
    assert call(pawl, "POST", "/api/v1/force", order, full)[0] == 401 and len(forced(pawl)) == 1
    assert metric(pawl, 'pawl_web_refused_total{why="user_header"}') == 4
    assert pawl.log("master").count("user_header_ignored") == 1
