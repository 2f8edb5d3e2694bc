"""GitHub's own examples of every event (npm @octokit/webhooks-examples): each is taken when it is signed as GitHub signs, refused
when it is not, and none harms the master. The package is fetched once into a cache of the user's (PAWL_TEST_CACHE)."""
import hashlib, hmac, http.client, json, os, shutil, sqlite3, subprocess, tarfile, tempfile, urllib.parse, uuid
import pytest
from conftest import until
from test_sources import looked

PACKAGE, VERSION = "@octokit/webhooks-examples", "7.6.1"
SECRET = b"hook-signing-value"
CACHE = os.environ.get("PAWL_TEST_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pawl-tests")


def payloads():
    """(event, body as it is sent) of all examples."""
    kept = os.path.join(CACHE, f"webhooks-examples-{VERSION}.json")
    if not os.path.exists(kept):
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("npm is not installed: GitHub's examples cannot be fetched")
        os.makedirs(CACHE, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            p = subprocess.run([npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=folder, capture_output=True, text=True, timeout=120)
            if p.returncode != 0:
                pytest.skip("npm is not reachable: " + p.stderr.strip()[-200:])
            with tarfile.open(os.path.join(folder, p.stdout.strip().splitlines()[-1])) as t:
                data = t.extractfile("package/api.github.com/index.json").read()
            part = os.path.join(folder, "part")
            with open(part, "wb") as f:
                f.write(data)
            os.rename(part, kept)
    with open(kept) as f:
        return [(e["name"], json.dumps(x, ensure_ascii=i % 2 == 0).encode()) for e in json.load(f) for i, x in enumerate(e["examples"])]


def test_every_github_event(pawl, repo):
    examples = payloads()
    assert len(examples) >= 300
    repo.commit({"a": "1"}, "first")
    pawl.configure("name: test\nweb: {listen: \"127.0.0.1:0\", limits: {requests_per_second: 10000, burst: 10000}}\nworkers: {listen: \"tcp://127.0.0.1:0\"}\n"
                   f"secrets: {{hook: {{env: HOOK}}}}\nprojects:\n  - {{name: p, repository: \"{repo.bare}\", hook_secret: hook}}\n"
                   "builders:\n  - {name: test, project: p, steps: [{run: 'true'}]}\n"
                   "schedulers:\n  - {name: pr, kind: proposal, project: p}\n")
    pawl.start_master({"HOOK": SECRET.decode()})
    looked(pawl)
    con = http.client.HTTPConnection(urllib.parse.urlparse(pawl.url).netloc, timeout=60)

    def deliver(event, body, secret):
        mac = hmac.new(secret, body, hashlib.sha256).hexdigest()
        con.request("POST", "/hooks/github/p", body, {"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": str(uuid.uuid4()),
                                                      "X-Hub-Signature-256": "sha256=" + mac})
        a = con.getresponse()
        a.read()
        return a.status
    wrong = [(event, s) for event, body in examples for s in [deliver(event, body, SECRET)] if s != 202]
    assert not wrong, wrong
    # an example changed on its way
    event, body = examples[0]
    mac = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    con.request("POST", "/hooks/github/p", body + b" ", {"Content-Type": "application/json", "X-GitHub-Event": event, "X-Hub-Signature-256": "sha256=" + mac})
    a = con.getresponse()
    a.read()
    assert a.status == 401
    # after some wrong ones the address is made to wait
    refused = [deliver(event, body, b"another") for event, body in examples]
    assert refused[0] == 401 and set(refused) <= {401, 429}, refused
    until(lambda: next(p for p in pawl.get("/projects")["items"])["state"] == "ok", 30, "the look")
    assert pawl.get("/requests")["items"] == [], "a hook is a hint: nothing was pushed"
    db = sqlite3.connect(f"file:{pawl.state}/pawl.db?mode=ro", uri=True)
    assert db.execute("SELECT count(*) FROM hook").fetchone()[0] == len(examples)
    pulls = {f"pull/{p['pull_request']['number']}": p["pull_request"] for e, b in examples if e == "pull_request" for p in [json.loads(b)]}
    told = {r[0]: r[1:] for r in db.execute("SELECT branch, target, author FROM proposal")}
    db.close()
    assert pulls and set(pulls) <= set(told)
    assert all(told[n][0] == p["base"]["ref"] and told[n][1] == p["user"]["login"] for n, p in pulls.items()), told
