"""The description of REST is what a running master answers: every GET route with real data, against the schemas that the master serves."""
import json, re, urllib.parse
import pytest
from conftest import CONFIG, until

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_a(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def wrong(doc, schema, value, where="answer"):
    """What of the value is not as the schema says: a list of texts. Knows what the served document uses, and refuses anything else."""
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "$ref", "anyOf", "format"}
    assert set(schema) <= known, f"{where}: {set(schema) - known}"
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return wrong(doc, doc["components"]["schemas"][name], value, f"{where}<{name}>")
    if "anyOf" in schema:
        tried = [wrong(doc, s, value, where) for s in schema["anyOf"]]
        return [] if [] in tried else tried[0]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(is_a(value, k) for k in kinds):
        return [f"{where}: {value!r} is no {kinds}"]
    bad = []
    if "enum" in schema and value not in schema["enum"]:
        bad.append(f"{where}: {value!r} is none of {schema['enum']}")
    if schema.get("format") == "date-time" and value is not None and not TIME.match(value):
        bad.append(f"{where}: {value!r} is no time")
    if isinstance(value, list) and "items" in schema:
        for i, v in enumerate(value):
            bad += wrong(doc, schema["items"], v, f"{where}[{i}]")
    if isinstance(value, dict):
        props, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        bad += [f"{where}: no {k}" for k in schema.get("required", []) if k not in value]
        for k, v in value.items():
            if k in props:
                bad += wrong(doc, props[k], v, f"{where}.{k}")
            elif more is False:
                bad.append(f"{where}: {k} is not described")
            elif isinstance(more, dict):
                bad += wrong(doc, more, v, f"{where}.{k}")
    return bad


def schema_of(doc, path, method="get", status=None):
    answers = doc["paths"][path][method]["responses"]
    status = status or next(s for s in answers if s != "default")
    content = answers[status].get("content", {})
    assert content, (path, answers)
    return next(iter(content.items()))


BUILDERS = """
  - name: test
    project: p
    keep_failed: 0s
    steps:
      - checkout: {}
      - {name: test, run: sh test.sh, reports: {junit: "out/*.xml"}, artifacts: ["out/**"]}
      - {name: note, annotate: {style: info, text: "a note"}, always_run: true}
  - {name: any, project: p, collapse: false, steps: [{name: go, run: "true"}]}
  - {name: never, project: p, requires: {tags: [gpu]}, steps: [{name: go, run: "true"}]}
"""
SCRIPT = """
mkdir -p out
echo '<testsuite tests="2"><testcase classname="a" name="b" time="0.1"/><testcase classname="a" name="c"><failure/></testcase></testsuite>' > out/r.xml
echo 'hello' > out/art.txt
echo '# said' > "$PAWL_SUMMARY"
echo '::group::Part'; echo '::error file=a.c,line=3::bad'; echo '::endgroup::'
exit $(cat code)
"""


@pytest.fixture
def full(pawl, repo):
    """A master with something behind every route: a green and a red build with reports, artifacts and marks, a request that waits, a promotion,
    a token, a paused builder, a scheduler with a form, a message that could not be sent."""
    repo.commit({"test.sh": SCRIPT, "code": "0\n"}, "first")
    text = CONFIG.format(repo=repo.bare, builders=BUILDERS).replace("to: stable}", "to: stable, builders: [test]}")
    text = text.replace("branches: [master]}", "branches: [master], builders: [test]}\n"
                        "  - {name: form, kind: force, project: p, builders: [any], parameters: [{name: speed, type: choice, choices: [low, high]}]}")
    pawl.configure(text + 'notify:\n  - {name: hook, kind: webhook, url: "http://127.0.0.1:1/", events: [build]}\n')
    pawl.start_master()
    pawl.start_worker(slots=2)
    pawl.green = pawl.built("test", repo.git("rev-parse", "HEAD"))
    until(lambda: repo.ref("stable"), 30, "the promotion")
    pawl.red = pawl.built("test", repo.commit({"code": "1\n"}, "break it"))
    assert pawl.green["result"] == "success" and pawl.red["result"] == "failure", (pawl.green, pawl.red)
    pawl.waiting = pawl.post("/force", {"builder": "never", "reason": "to wait"})["requests"][0]
    pawl.post("/builders/any/pause", {"reason": "for a while"})
    pawl.post(f"/builds/{pawl.red['id']}/pin", {"reason": "to look at"})
    pawl.token_id = pawl.post("/tokens", {"name": "ci", "scopes": ["build"]}, status=201)["id"]
    until(lambda: pawl.get("/outbox")["items"], 30, "a message")
    return pawl


def paths(full, path):
    """The route with every sensible value of its parts."""
    if "/builders/{name}" in path:
        return [path.replace("{name}", n) for n in ("test",) + (() if "history" in path else ("any",))]
    if "/builds/{id}" in path:
        kept = [path.replace("{id}", str(b["id"])).replace("{step}", "test").replace("{path}", "out/art.txt") for b in (full.green, full.red)]
        return kept
    if "/requests/{id}" in path:
        return [path.replace("{id}", str(n)) for n in (full.waiting, full.red["request"])]
    return [path.replace("{builder}", "test.svg").replace("{project}", "p")]


def test_every_answer_is_as_described(full):
    doc = full.get("/openapi.json")
    assert doc["openapi"] == "3.1.0"
    seen, unchanged, empty = 0, 0, []
    for path, methods in doc["paths"].items():
        if "get" not in methods or path == "/api/v1/events":
            continue
        kind, content = schema_of(doc, path)
        for real in paths(full, path):
            assert "{" not in real, f"the test has no value for {real}"
            queries = [""]
            if path == "/api/v1/requests":
                queries = ["", "?why=1", "?state=waiting&why=1"]
            if path == "/api/v1/promotions":
                queries = ["", "?edges=1"]
            if path == "/api/v1/search":
                queries = [f"?q={q}" for q in (full.red["id"], full.waiting, "test", "master", full.red["revision"][:7], "w1")]
            for query in queries:
                status, body, head = full.request("GET", (real[7:] if real.startswith("/api/v1") else real) + query)
                assert status == 200, (real, status, body)
                assert head["Content-Type"].split(";")[0] == kind or kind == "application/octet-stream", (real, head["Content-Type"])
                if kind != "application/json":
                    continue
                if head["ETag"]:  # nothing new: nothing is sent (a worker's last_seen and an estimate move on)
                    again, same, later = full.request("GET", (real[7:] if real.startswith("/api/v1") else real) + query, headers={"If-None-Match": head["ETag"]})
                    assert (again == 304 and same == b"") or later["ETag"] != head["ETag"], (real, again)
                    unchanged += again == 304
                else:
                    # what the core says is of this moment; an index is made while it is sent, the next time it is there
                    assert path in ("/healthz", "/api/v1/requests/{id}/why", "/api/v1/builds/{id}/log/{step}/index", "/api/v1/session"), path
                    assert "/log/" not in path or full.request("GET", real[7:])[2]["ETag"]
                value = json.loads(body)
                bad = wrong(doc, content["schema"], value, real)
                assert not bad, "\n".join(bad)
                if value.get("items") == []:
                    empty.append(real)
                seen += 1
    assert seen > 40 and unchanged > 35, (seen, unchanged)
    # a list without rows shows nothing
    assert [e for e in empty if "/builds/" not in e] == [], empty
    assert full.get(f"/requests?state=waiting&why=1")["items"][0]["why"]["cause"] == "worker"


def test_pages_are_stable_while_rows_are_added(full):
    """Every list that has pages, one row a page, while others add rows: nothing twice, nothing missed."""
    doc = full.get("/openapi.json")
    walked = 0
    for path, methods in doc["paths"].items():
        names = {p["name"] for p in methods.get("get", {"parameters": []})["parameters"]}
        if not {"limit", "cursor"} <= names:
            continue
        for real in paths(full, path)[-1:]:
            for query in ("", "&edges=1") if "edges" in names else ("",):
                all_of = [key(x) for x in full.get(f"{real[7:]}?limit=1000{query}" if "why" not in names else f"{real[7:]}?limit=100")["items"]]
                seen, cursor = [], ""
                while True:
                    page = full.get(f"{real[7:]}?limit=1{query}{cursor}")
                    assert len(page["items"]) <= 1
                    seen += [key(x) for x in page["items"]]
                    if not page["next"]:
                        break
                    if len(seen) < 3:
                        full.post("/force", {"builder": "never", "reason": "meanwhile"})
                        full.post("/tokens", {"name": f"t{walked}-{len(seen)}"}, status=201)
                    cursor = "&cursor=" + page["next"]
                assert len(seen) == len(set(seen)), (real, seen)
                assert set(all_of) <= set(seen) and len(seen) <= len(all_of) + 1, (real, all_of, seen)
                walked += len(seen) > 1
    assert walked >= 12, walked


def key(x):
    """What names a row in its list."""
    return json.dumps([x.get(k) for k in ("id", "name", "project", "branch", "edge", "path", "kind", "suite")])


def test_requests_are_filtered(full):
    ids = lambda query: [r["id"] for r in full.get("/requests?limit=1000" + query)["items"]]
    assert ids("&builder=never") == ids("&builder=p/never&project=p&branch=master") == [full.waiting]
    assert ids("&builder=never&branch=other") == ids("&project=q") == ids("&builder=q/never") == []
    assert ids("&builder=test&state=done") == [full.red["request"], full.green["request"]]
    one = full.get("/requests?why=1&builder=never")["items"]
    assert [r["id"] for r in one] == [full.waiting] and one[0]["why"]["state"] == "waiting"


def test_what_writes_answer_is_as_described(full):
    doc = full.get("/openapi.json")

    def check(path, body, **parts):
        real = path
        for k, v in parts.items():
            real = real.replace("{" + k + "}", str(v))
        status, text, _ = full.request("POST", real, body)
        assert 200 <= status < 300, (real, status, text)
        _, content = schema_of(doc, "/api/v1" + path, "post")
        bad = wrong(doc, content["schema"], json.loads(text), real)
        assert not bad, bad
        return json.loads(text)

    again = check("/builds/{id}/retry", {}, id=full.red["id"])["requests"][0]
    check("/force", {"builder": "never", "reason": "x"})
    check("/requests/{id}/cancel", {"reason": "x"}, id=full.waiting)
    check("/builders/{name}/{action}", {}, name="any", action="resume")
    check("/promotions/{edge}/run", {"dry_run": True}, edge="stable")
    check("/workers", {"name": "w9"})
    check("/workers/{name}/{action}", {"reason": "x"}, name="w1", action="pause")
    check("/tokens", {"name": "other", "scopes": ["read"]})
    assert full.build_of(again)["result"] == "failure"


def test_unknown_keys_are_refused_everywhere(full):
    doc = full.get("/openapi.json")
    error = doc["components"]["schemas"]["Error"]
    for path, methods in doc["paths"].items():
        if "get" not in methods:
            continue
        real = paths(full, path)[0]
        for query in ("colour=red", "limit=1&limit=1"):
            status, body, _ = full.request("GET", (real[7:] if real.startswith("/api/v1") else real) + "?" + query)
            assert status == 400, (real, query, status)
            assert not wrong(doc, error, json.loads(body)) and json.loads(body)["error"]["code"] == "bad_request"
        known = {p["name"] for p in methods["get"]["parameters"] if p["in"] == "query"}
        for key, value in {"limit": "1001", "cursor": "x", "state": "asleep", "result": "blue", "since": "now"}.items():
            if key in known and not (key == "limit" and "/log/" in path):
                status, body, _ = full.request("GET", real[7:] + "?" + urllib.parse.urlencode({key: value, **({"q": "a"} if "q" in known else {})}))
                assert status == 400, (real, key, status, body)


def test_the_validator_finds_what_is_wrong(full):
    doc = full.get("/openapi.json")
    build = full.get(f"/builds/{full.red['id']}")
    schema = {"$ref": "#/components/schemas/WholeBuild"}
    assert wrong(doc, schema, build) == []
    for key, value in {"id": "1", "result": "blue", "finished": "now", "steps": [{}], "colour": 1, "properties": {"a": 1}, "pinned": 7}.items():
        assert wrong(doc, schema, dict(build, **{key: value})), key
    assert wrong(doc, schema, {k: v for k, v in build.items() if k != "id"})
