"""Tricks of people who want in: each is tried against real programs, and changes nothing."""
import contextlib, hashlib, hmac, json, os, re, resource, socket, sqlite3, stat, subprocess, urllib.parse, uuid
import pytest
from conftest import BUILD, CONFIG, SLOW, Pawl, Repo, until
from test_web import call

YAML = CONFIG.replace("stable}", "stable, builders: [test]}") + "secrets: {{hook: {{env: HOOK}}}}\n"
BUILDERS = """  - {name: test, project: p, steps: [checkout: {}, {name: test, run: sh test.sh}]}
  - {name: any, project: p, collapse: false, steps: [{name: go, run: "eval \\"$cmd\\""}], properties: {cmd: 'true'}}
"""
TEXT = "<script>alert(1)</script>\x1b]0;owned\x07\x1b[2J\r\nfake level=error \"'&"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One master and one worker for all: an attack that works shows in whatever comes after it, too."""
    p = Pawl(tmp_path_factory.mktemp("attack"))
    repo = Repo(os.path.join(p.dir, "repo"))
    p.head = repo.commit({"test.sh": "echo hello\n"}, TEXT.replace("\r", ""))
    p.repo = repo
    p.configure(YAML.format(repo=repo.bare, builders=BUILDERS).replace("build_first: true", "hook_secret: hook, build_first: true"))
    umask = os.umask(0o022)
    p.start_master({"HOOK": "a hook's secret"})
    p.start_worker(slots=2)
    os.umask(umask)
    p.built("test", p.head)
    yield p
    p.close()


def token(p, *scopes):
    return p.post("/tokens", {"name": "t-" + uuid.uuid4().hex[:8], "scopes": list(scopes)}, 201)["token"]


def raw(p, data, source=None, wait=5):
    """Everything that is answered until the end of the connection, which "Connection: close" asks for where it is not the point."""
    u = urllib.parse.urlsplit(p.url)
    with socket.create_connection((u.hostname, u.port), timeout=wait * SLOW, source_address=(source, 0) if source else None) as s:
        s.sendall(data)
        out = b""
        while True:
            try:
                got = s.recv(65536)
            except ConnectionError:
                return out
            if not got:
                return out
            out += got


def counts(p):
    db = sqlite3.connect(f"file:{p.state}/pawl.db?mode=ro", uri=True)
    try:
        return [db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("request", "change", "token", "worker", "audit")]
    finally:
        db.close()


# ---- who asks
def test_tokens_that_are_almost_right(world):
    good, source = world.token(), iter(f"127.0.1.{n}" for n in range(1, 250))
    def ask(line):
        return raw(world, f"GET /api/v1/tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n\r\n".encode("latin-1"), next(source)).split(b" ")[1]
    assert ask("Authorization: Bearer " + good) == b"200"
    for wrong in (good[:-1], good + "x", good[1:], good.upper(), good.swapcase(), good + " x", good + ", x", "\xa0" + good, good + "%00", '"' + good + '"', good + "=", ""):
        assert ask("Authorization: Bearer " + wrong) == b"401", wrong
    for line in ("Authorization: Basic " + good, "Authorization: " + good, "Authorization: Bearer\t" + good, "X-Authorization: Bearer " + good,
                 "Proxy-Authorization: Bearer " + good, "Cookie: pawl=" + good, "Cookie: __Host-pawl=" + good, "Authorization: Bearer\r\n " + good,
                 "X-Remote-User: admin", "X-Forwarded-User: admin", "X-Original-URL: /healthz"):
        assert ask(line) == b"401", line
    assert ask("Authorization: Bearer " + good + "\r\nAuthorization: Bearer x") == b"400"


def test_nobody_speaks_in_anothers_name(world):
    """Bodies that hide a request, and what is left of one request for the next of its connection."""
    before = counts(world)
    auth = f"Authorization: Bearer {world.token()}\r\n"
    body = '{"builder":"any","reason":"x"}'
    hidden = f"POST /api/v1/workers HTTP/1.1\r\nHost: x\r\n{auth}Content-Type: application/json\r\nContent-Length: 14\r\n\r\n" + '{"name":"evil"}'
    start = f"POST /api/v1/builds/1/retry HTTP/1.1\r\nHost: x\r\n"
    for head in (f"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
                 f"Content-Length: 0\r\nContent-Length: {len(hidden)}\r\n\r\n", "Content-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n",
                 "Transfer-Encoding: identity\r\n\r\n", "Content-Length: +0\r\n\r\n", "Content-Length: 0x0\r\n\r\n", "Content-Length: -1\r\n\r\n",
                 "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"):
        got = raw(world, (start + head + hidden).encode())
        assert got.startswith(b"HTTP/1.1 4") and b"HTTP/1.1 2" not in got and b"HTTP/1.1 401" not in got and b"evil" not in got, (head, got)
    assert counts(world) == before
    got = raw(world, (f"GET /api/v1/session HTTP/1.1\r\nHost: x\r\n{auth}\r\nGET /api/v1/session HTTP/1.1\r\nHost: x\r\n\r\n"
                      f"POST /api/v1/force HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}").encode())
    assert got.count(b'"actor":"admin"') == 1 and got.count(b'"actor":null') == 1 and got.count(b"HTTP/1.1 401") == 1, got
    assert counts(world) == before


def test_methods(world):
    before = counts(world)
    auth = {"Authorization": "Bearer " + world.token()}
    for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "GET", "post", "PO\x01ST"):
        status = raw(world, f"{method} /api/v1/force HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {auth['Authorization']}\r\n\r\n".encode()).split(b" ")[1]
        assert status in (b"405", b"400"), (method, status)
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        status, _, text = call(world, "GET", "/api/v1/workers/w1", headers=dict(auth, **{name: "DELETE"}))
        assert status == 405, text
    got = raw(world, f"POST /api/v1/force HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    assert got.split(b" ")[1] == b"401" and counts(world) == before


def test_login_leads_nowhere_else(world):
    good = world.token()
    here = {"Origin": world.url, "Content-Type": "application/x-www-form-urlencoded"}
    status, head, _ = call(world, "POST", "/login", "token=" + good, here)
    assert (status, head["Location"]) == (303, "/")
    for path, form in (("/login?next=//evil.example", "token=" + good), ("/login", f"token={good}&next=https://evil.example"), ("/login", f"token={good}&token=x")):
        status, head, _ = call(world, "POST", path, form, here)
        assert status == 400 and not head["Location"] and not head["Set-Cookie"], (path, form)
    # a cookie that somebody else chose never becomes a session
    chosen = "A" * 43
    status, head, _ = call(world, "POST", "/login", "token=" + good, dict(here, Cookie="pawl=" + chosen))
    assert status == 303 and chosen not in head["Set-Cookie"]
    assert json.loads(call(world, "GET", "/api/v1/session", headers={"Cookie": "pawl=" + chosen})[2])["actor"] is None
    for origin in ("http://evil.example", "null", world.url + ".evil.example", world.url.replace("http://", "http://evil@")):
        assert call(world, "POST", "/login", "token=" + good, dict(here, Origin=origin))[0] == 403, origin


def test_idempotency_keys_of_others(world):
    key = str(uuid.uuid4())
    mine = world.post("/force", {"builder": "any", "reason": "x"}, key=key)
    head = {"Authorization": "Bearer " + token(world, "build"), "Content-Type": "application/json", "Idempotency-Key": key}
    status, _, text = call(world, "POST", "/api/v1/force", json.dumps({"builder": "any", "reason": "y"}), head)
    assert status == 202 and json.loads(text)["requests"] != mine["requests"]
    assert b"requests" not in call(world, "GET", "/healthz", headers={"Idempotency-Key": key})[2]
    assert world.post("/force", {"builder": "any", "reason": "x"}, key=key) == mine


# ---- what is said
def test_words_stay_words(world):
    asked = world.post("/force", {"builder": "any", "reason": TEXT, "properties": {"cmd": "printf %s " + "'<script>'", "word": TEXT}})
    b = world.build_of(asked["requests"][0])
    assert b["result"] == "success" and b["reason"] == TEXT
    for path in ("/", f"/builds/{b['id']}"):
        status, head, page = call(world, "GET", path)
        assert status == 200 and "script-src 'self';" in head["Content-Security-Policy"] and "unsafe" not in head["Content-Security-Policy"]
        # the page's own two, its script and its data, and none of what was said
        assert page.count(b"<script") == 2 and page.count(b"</script") == 2 and b"onerror=" not in page.split(b'id="first">')[0]
        if path != "/":
            assert b"\\u003cscript>" in page
    for path in ("/builds", f"/builds/{b['id']}", "/changes", "/audit"):
        status, body, head = world.request("GET", path)
        assert status == 200 and head["Content-Type"].startswith("application/json") and head["X-Content-Type-Options"] == "nosniff"
        assert b"\x1b" not in body and b"\x07" not in body and json.loads(body)
    status, head, log = call(world, "GET", f"/api/v1/builds/{b['id']}/log/go?raw=1")
    assert log == b"<script>" and head["Content-Type"].startswith("text/plain") and "sandbox" in head["Content-Security-Policy"]
    for args in (("builds",), ("build", str(b["id"])), ("status",)):
        assert "\x1b" not in world.pawl(*args) and "\x07" not in world.pawl(*args)
    status, _, svg = call(world, "GET", "/badge/test.svg?branch=" + urllib.parse.quote("\"><script>"))
    assert status == 200 and b"<script" not in svg


def test_revisions_and_branches_are_no_options(world):
    before, whole = counts(world), "0123456789012345678901234567890123456789"
    for revision in ("--upload-pack=touch x", "-x", "HEAD", "HEAD~1", "master", whole[:-1], whole + "0", whole + "\n", whole[:-1] + "g", "..", "", whole + ":x", "refs/heads/master"):
        for path, more in (("/force", {"builder": "any", "reason": "x"}), ("/changes", {"project": "p"})):
            status, body, _ = world.request("POST", path, dict(more, branch="master", revision=revision))
            assert status == 400, (path, revision, body)
    for branch in ("-x", "--exec=x", "a..b", "../../x", "a\nb", "\x1b[2J", "a b", "a:b", "a~1", "a^", "x.lock", "", "/", "a//b", "@{u}", "*", "x" * 256):
        for path, more in (("/force", {"builder": "any", "reason": "x"}), ("/changes", {"project": "p"})):
            status, body, _ = world.request("POST", path, dict(more, branch=branch, revision=whole))
            assert status == 400, (path, branch, body)
    for name in ("branch", "revision", "PATH", "LD_PRELOAD", "a b", "", "a=b", "9", "a\n", "ä", "x" * 300):
        assert world.request("POST", "/force", {"builder": "any", "reason": "x", "properties": {name: "x"}})[0] == 400, name
    assert counts(world) == before


def test_names_in_addresses(world):
    before = counts(world)
    auth = {"Authorization": "Bearer " + world.token(), "Content-Type": "application/json"}
    for name in ("..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "w1%00", "w1%0d%0aSet-Cookie:%20x=y", "%1b[2J", "'%20OR%201=1--", "%ff%fe", "a" * 3000, "%", "%zz", "%2"):
        for method, path in (("DELETE", f"/api/v1/workers/{name}"), ("POST", f"/api/v1/workers/{name}/pause"), ("GET", f"/api/v1/builders/{name}"),
                             ("POST", f"/api/v1/promotions/{name}/run"), ("GET", f"/api/v1/builds/1/log/{name}"), ("GET", f"/builds/{name}"), ("GET", f"/badge/{name}.svg"),
                             ("DELETE", f"/api/v1/tokens/{name}")):
            status, head, body = call(world, method, path, "{}" if method == "POST" else None, auth)
            assert status in (400, 404, 405, 414) and not head["Set-Cookie"] and b"\x1b" not in body, (method, path, status, body)
    for path in ("/style.css/../../state/admin.token", "/..%2f..%2fstate%2fadmin.token", "//etc/passwd", "/api/v1/../../admin.token", "http://evil/api/v1/status", "/static/x", "/.git/config"):
        status, _, body = call(world, "GET", path)
        assert status in (400, 404) and world.token().encode() not in body, path
    assert counts(world) == before
    for line in world.log("master").splitlines():  # what strangers say begins no line
        assert re.match(r"(error|warn|info|debug) [a-z_]+ ", line) and "\x1b" not in line, line


def test_bodies(world):
    before = counts(world)
    auth = {"Authorization": "Bearer " + world.token(), "Content-Type": "application/json"}
    deep = "[" * 100000 + "]" * 100000
    for body in (deep, '{"a":' * 5000 + "1" + "}" * 5000, '{"builder":' + deep + "}", '{"builder":"any","builder":"any","reason":"x"}', '{"builder":"any","reason":"x"}\0', '{"builder":"any","reason":"x"}{}',
                 '{"builder":"any","reason":"\\u0000x"}', '{"builder":"any","reason":"\\ud800"}', '{"builder":1e999,"reason":"x"}', '{"builder":["any"],"reason":"x"}', '{"builder":"any","reason":"x","actor":"root"}',
                 '{"builder":"any","reason":"x","properties":{"cmd":{"a":1}}}', "null", "[]", '"x"', "\xff"):
        status, _, text = call(world, "POST", "/api/v1/force", body.encode("latin-1"), auth)
        assert status == 400, (body[:60], status, text)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""):
        assert call(world, "POST", "/api/v1/force", '{"builder":"any","reason":"x"}', dict(auth, **{"Content-Type": kind}))[0] == 415, kind
    assert counts(world) == before


# ---- too much of it
def test_many_connections_of_one_address(world):
    """Silent ones, streams and readers that do not read: others are answered, and all of it is given back."""
    u = urllib.parse.urlsplit(world.url)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 1024:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024 if hard == resource.RLIM_INFINITY else min(1024, hard), hard))
    noisy = world.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": "head -c 8000000 /dev/zero | tr '\\0' x | fold -w 100"}})
    build = world.build_of(noisy["requests"][0])
    assert build["result"] == "success"
    def rss():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{world.master.pid}/status").read()).group(1))
    before = rss()
    with contextlib.ExitStack() as stack:
        def connect():
            s = stack.enter_context(socket.socket())
            s.bind(("127.0.2.1", 0))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect((u.hostname, u.port))
            return s
        held = [connect() for _ in range(512)]
        for s in held[:200]:
            s.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        for s in held[200:300]:
            s.sendall(f"GET /api/v1/builds/{build['id']}/log/go?raw=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for s in held[300:400]:
            s.sendall(b"GET /api/v1/builds HTTP/1.1\r\nX: ")
        more = [connect() for _ in range(20)]
        def cut(s):
            try:
                return s.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
        # which ones is the order in which two threads take them
        until(lambda: sum(map(cut, held + more)) >= 19, 20, "those above 512 are cut off")
        assert raw(world, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "127.0.2.2").startswith(b"HTTP/1.1 200")
        # AddressSanitizer keeps up to 256 MB of what was freed
        most = 100 * 1024 if SLOW == 1 else 400 * 1024
        assert world.get("/status") and rss() - before < most, "a hundred readers of 8 MB that do not read cost little"
    until(lambda: raw(world, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "127.0.2.1").startswith(b"HTTP/1.1 200"), 20, "the address is let in again")


def test_heads_that_are_too_large(world):
    for head in (b"X: " + b"a" * 20000, b"a:\r\n" * 3000 + b"b:", b"Cookie: " + b"pawl=x; " * 1500):
        got = raw(world, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n\r\n")
        assert got.split(b" ")[1] in (b"431", b"413"), got[:200]
    assert raw(world, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").split(b" ")[1] == b"414"
    assert call(world, "GET", "/api/v1/builds?limit=1001")[0] == 400 and call(world, "GET", "/api/v1/builds?cursor=b0")[0] == 400
    assert call(world, "GET", "/api/v1/builds?" + "&".join(f"project={i}" for i in range(100)))[0] == 400
    # a search is for a text, and never for a pattern
    build = world.builds("?builder=any")[-1]["id"]
    assert call(world, "GET", f"/api/v1/builds/{build}/log/go?grep=" + urllib.parse.quote("(a+)+$"))[0] == 200


def test_a_webhook_keeps_no_large_text(world):
    body = json.dumps({"x": "y" * 100000})
    sign = {"Content-Type": "application/json", "X-Pawl-Signature-256": "sha256=" + hmac.new(b"a hook's secret", body.encode(), hashlib.sha256).hexdigest(), "Idempotency-Key": "large"}
    assert call(world, "POST", "/hooks/generic/p", body, dict(sign, **{"X-Pawl-Signature-256": "sha256=" + "0" * 64}))[0] == 401
    status, _, text = call(world, "POST", "/hooks/generic/p", body, sign)
    assert status == 202, text
    def kept():
        db = sqlite3.connect(f"file:{world.state}/pawl.db?mode=ro", uri=True)
        try:
            return db.execute("SELECT state, length(body) FROM hook WHERE delivery='large'").fetchone()
        finally:
            db.close()
    until(lambda: kept()[0] == 1, 30, "the look at the repository")
    assert kept() == (1, 0)


# ---- what is kept, and on the machine of the worker
def test_files_are_for_their_owner(world):
    def mode(*path):
        return stat.S_IMODE(os.lstat(os.path.join(world.dir, *path)).st_mode)
    backup = os.path.join(world.dir, "b.tar.zst")
    umask = os.umask(0o022)
    subprocess.run([f"{BUILD}/pawl-master", "--state", world.state, "backup", backup], check=True, capture_output=True, timeout=60 * SLOW)
    os.umask(umask)
    assert mode("state") == 0o700 and mode("spool-w1") == 0o700 and mode("b.tar.zst") == 0o600
    for top, public in (("state", {"web.addr", "workers.addr"}), ("spool-w1", set())):
        for folder, dirs, files in os.walk(os.path.join(world.dir, top)):
            dirs[:] = [d for d in dirs if d not in ("mirrors", "work")]  # what git and steps make, below a closed folder
            for name in files:
                assert name in public or mode(folder, name) & 0o077 == 0, (folder, name, oct(mode(folder, name)))
    assert mode("spool-w1", "work") == 0o700 and mode("state", "mirrors") & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_other_users_give_no_orders(world):
    gate = os.path.join(world.dir, "gate")
    asked = world.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"touch {gate}.up; while [ ! -e {gate} ]; do sleep 0.05; done"}})
    until(lambda: os.path.exists(gate + ".up"), 30, "the step")
    # every socket that all can see and that a process of this test holds
    held = set()
    for pid in world.runners():
        with contextlib.suppress(OSError):
            held |= {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    listed = [l.split() for l in open("/proc/net/unix")]
    names = [l[7] for l in listed if len(l) > 7 and f"socket:[{l[6]}]" in held and l[7].startswith("@")]
    assert names, "the runner's socket"
    assert not [l for l in listed if open(os.path.join(world.dir, "spool-w1/id")).read().strip() in " ".join(l)]
    code = "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\nfor i in range(200):\n try: s.sendto(b'\\1get out',socket.MSG_DONTWAIT,'\\0'+sys.argv[1])\n except BlockingIOError: pass"
    for name in names:
        subprocess.run(["/usr/bin/python3", "-c", code, name[1:]], check=True, user=65534, group=65534, cwd="/", timeout=30 * SLOW)
    open(gate, "w").close()
    assert world.build_of(asked["requests"][0])["result"] == "success"


def test_a_closed_server_tells_nothing(pawl, repo):
    repo.commit({"test.sh": "true\n"}, "first")
    with socket.socket() as s:  # a port where nobody answers
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    text = YAML.format(repo=f"http://sesame-77@127.0.0.1:{port}/hush.git", builders=BUILDERS).replace('"127.0.0.1:0"}', '"127.0.0.1:0", read: token}', 1)
    pawl.configure(text.replace("secrets: {hook: {env: HOOK}}", ""))
    pawl.start_master()
    until(lambda: "poll_failed" in pawl.log("master"), 30, "the first look")
    for path in ("/", "/builds/1", "/api/v1/status", "/api/v1/projects", "/api/v1/events", "/api/v1/builds/1/log/go?follow=1", "/api/v1/requests/1/why", "/api/v1/openapi.json", "/api/v1/session", "/metrics", "/badge/test.svg"):
        status, _, body = call(pawl, "GET", path)
        assert status == 401 and b"hush" not in body, path
    status, _, body = call(pawl, "GET", "/healthz")
    assert (status, body) == (200, b'{"status":"ok","checks":[]}\n')
    status, body, _ = pawl.request("GET", "/healthz")
    assert b"hush.git" in body and b"sesame-77" not in body
    assert "sesame-77" not in pawl.log("master")
