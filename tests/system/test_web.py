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
