"""REST as scripts use it: shapes, errors, paging, access."""
import json, re, urllib.request
from conftest import until


def test_shapes(simple, repo):
    b = simple.built("test", repo.git("rev-parse", "HEAD"))
    for key in "id request buildset builder project branch revision reason who state result created started finished worker attempt url".split():
        assert key in b, key
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", b["finished"])
    one = simple.get(f"/builds/{b['id']}")
    assert [s["name"] for s in one["steps"]] == ["checkout", "test"] and isinstance(one["properties"], (list, dict))
    for key in "name kind state result reason started finished exit_code signal lines bytes cpu_ms max_rss".split():
        assert key in one["steps"][0], key
    assert simple.get(f"/requests/{b['request']}")["build"] == b["id"]
    w = simple.worker("w1")
    assert w["state"] == "connected" and w["slots"] == 2 and "cpus" in w["facts"]
    for path in ("/status", "/projects", "/builders", "/builders/test", "/requests", "/changes", "/promotions"):
        simple.get(path)
    doc = simple.get("/openapi.json")
    assert doc["openapi"].startswith("3.1") and "/builds/{id}" in json.dumps(doc)
    status, body, _ = simple.request("GET", "/metrics")
    assert status == 200 and b"pawl_builds_total" in body
    status, body, head = simple.request("GET", "/")
    assert status == 200 and b"Pawl" in body
    assert "default-src 'none'" in head["Content-Security-Policy"]
    assert simple.request("GET", "/healthz")[0] == 200


def test_errors(simple):
    def code(method, path, body=None, token=True):
        status, text, _ = simple.request(method, path, body, token=token)
        return status, json.loads(text)["error"]["code"]
    assert code("GET", "/builds/999999") == (404, "not_found")
    assert code("GET", "/nothing") == (404, "not_found")
    assert code("GET", "/builds?colour=red") == (400, "bad_request")
    assert code("GET", "/builds?limit=1001") == (400, "bad_request")
    assert code("POST", "/force", {"builder": "any", "reason": "x"}, token=False) == (401, "unauthorized")
    assert code("POST", "/force", {"builder": "nobody", "reason": "x"}) == (404, "not_found")
    assert code("POST", "/force", {"builder": "any"}) == (400, "bad_request")
    assert code("POST", "/force", {"builder": "any", "reason": "x", "colour": 1}) == (400, "bad_request")
    assert code("POST", "/builds/999999/cancel") == (404, "not_found")
    r = urllib.request.Request(simple.url + "/api/v1/force", data=b"{", method="POST",
                               headers={"Authorization": "Bearer " + simple.token(), "Content-Type": "application/json"})
    try:
        urllib.request.urlopen(r, timeout=20)
        assert False
    except urllib.error.HTTPError as e:
        assert e.code == 400 and b"line" in e.read()


def test_paging_is_stable_while_rows_are_added(simple):
    until(lambda: simple.get("/changes")["items"], 20, "the first change")
    reqs = [simple.post("/force", {"builder": "any", "reason": str(i)})["requests"][0] for i in range(12)]
    simple.build_of(reqs[-1])
    until(lambda: len([b for b in simple.builds("?builder=any&state=done&limit=100")]) == 12, 30, "all built")
    seen, cursor = [], ""
    while True:
        page = simple.get("/builds?builder=any&limit=5" + cursor)
        seen += [b["id"] for b in page["items"]]
        if not page["next"]:
            break
        cursor = "&cursor=" + page["next"]
        simple.build_of(simple.post("/force", {"builder": "any", "reason": "meanwhile"})["requests"][0])
    assert seen == sorted(set(seen), reverse=True) and len(seen) == 12


def test_client_commands(simple, repo):
    b = simple.built("test", repo.git("rev-parse", "HEAD"))
    until(lambda: repo.ref("stable"), 20, "stable")
    out = simple.pawl("status")
    assert "test" in out and "success" in out
    assert str(b["id"]) in simple.pawl("builds")
    assert "checkout" in simple.pawl("build", str(b["id"]))
    assert "hello" in simple.pawl("log", str(b["id"]))
    assert "w1" in simple.pawl("workers")
    assert "stable" in simple.pawl("promotions")
    assert json.loads(simple.pawl("--json", "builds"))["items"][0]["id"] == b["id"]
    assert simple.pawl("cron", "30 2 * * *", "--zone", "Europe/Berlin", "--from", "2026-03-28T12:00:00Z", "-n", "2").split() == \
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    simple.pawl("doctor")
    assert "no command" in simple.pawl("nonsense", code=2)
    assert "no build 99999" in simple.pawl("build", "99999", code=1)
    simple.pawl("--bogus", code=2)
