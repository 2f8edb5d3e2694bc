"""Steps that need no script: set_property, annotate, http, cache."""
import http.server, json, os, threading
import pytest
from conftest import CONFIG, Pawl, Repo, until

SECRET = "s3cret-in-a-header"
STEPS = """
  - name: props
    project: p
    collapse: false
    properties: {word: world}
    steps:
      - checkout: {}
      - set_property:
          greeting: "hello ${word}"
          from_file: {file: VERSION}
          printed: {run: "echo noise >&2; printf 'a\\\\nb\\\\n\\\\n'"}
      - {name: use, run: 'echo "[$greeting|$from_file|$printed]"'}
      - {name: later, set_property: {twice: "${greeting}!"}}
      - {name: again, set_property: {greeting: changed}}
      - {name: last, run: 'echo "$twice $greeting"'}
  - {name: lost, project: p, collapse: false, steps: [{name: gone, set_property: {x: {file: not-there}}}, {run: "echo never"}]}
  - {name: broken, project: p, collapse: false, steps: [{name: bad, set_property: {x: {run: "echo half; exit 4"}}}]}
  - {name: unknown, project: p, collapse: false, steps: [{name: bad, set_property: {x: "${nobody}"}}]}
  - name: notes
    project: p
    collapse: false
    env: {TOKEN: "${secret:token}"}
    steps:
      - {name: hidden, run: 'echo "built with $TOKEN" >note.md'}
      - annotate: "built on ${worker}"
      - annotate: {file: note.md, style: warning, context: cover}
      - annotate: {text: "second", style: error, context: cover}
      - annotate: {file: note.md, context: masked}
  - name: ask
    project: p
    collapse: false
    env: {TOKEN: "${secret:token}"}
    properties: {port: "0", path: ok}
    steps:
      - http:
          url: "http://127.0.0.1:${port}/${path}"
          method: POST
          headers: {X-Token: {env: TOKEN}, Content-Type: application/json, X-Build: "${build_id}"}
          body: '{"branch": "${branch}", "quote": "\\"x\\""}'
          expect: [200, 201]
  - name: kept
    project: p
    collapse: false
    properties: {key: one, want: some}
    steps:
      - checkout: {mode: clean}
      - cache: {key: "deps-${key}", paths: [deps, .hidden, missing], restore_keys: ["deps-"], hash_files: [VERSION]}
      - {name: look, run: 'echo "hit=$cache_hit"; cat deps/f 2>/dev/null || echo none; mkdir -p deps; echo "$want" >deps/f; ln -sf f deps/link; touch .hidden; test "$want" != red'}
"""


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.seen.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response({"/ok": 201, "/bad": 503}.get(self.path, 404))
        self.end_headers()
        self.wfile.write(b"the answer\n")

    def log_message(self, *a):
        pass


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    p = Pawl(tmp_path_factory.mktemp("steps"))
    repo = Repo(os.path.join(p.dir, "repo"))
    p.head = repo.commit({"VERSION": "1.2.3\n"}, "first")
    p.repo = repo
    p.configure(CONFIG.format(repo=repo.bare, builders=STEPS)
                .replace("promotions:", "secrets: {token: {env: TOKEN}}\npromotions:").replace("to: stable}", "to: stable, builders: [props]}").replace("branches: [master]}", "branches: [nothing]}"))
    p.start_master({"TOKEN": SECRET})
    p.start_worker()
    yield p
    p.close()


def build(world, name, **props):
    answer = world.post("/force", {"builder": name, "reason": "x", "properties": props})
    return world.build_of(answer["requests"][0])


def log(world, b, step):
    return world.raw_log(b["id"], step).decode()


def test_properties_are_set_and_used_by_the_steps_behind(world):
    b = build(world, "props")
    assert b["result"] == "success", b
    whole = world.get(f"/builds/{b['id']}")
    assert log(world, b, "use") == "[hello world|1.2.3|a\nb]\n"
    assert log(world, b, "last") == "hello world! changed\n"
    assert whole["properties"]["greeting"] == "changed" and whole["properties"]["twice"] == "hello world!"
    assert whole["properties"]["printed"] == "a\nb" and whole["properties"]["from_file"] == "1.2.3"
    assert "noise\n" in log(world, b, "set_property") and "pawl: property greeting = hello world\n" in log(world, b, "set_property")


@pytest.mark.parametrize("name, result, why", [
    ("lost", "failure", "not-there"), ("broken", "failure", "exit code 4"), ("unknown", "failure", "nobody")])
def test_a_property_that_cannot_be_set(world, name, result, why):
    b = build(world, name)
    whole = world.get(f"/builds/{b['id']}")
    assert b["result"] == result and why in [s for s in whole["steps"] if s["result"] == "failure"][0]["reason"], whole
    assert "x" not in whole["properties"]


def test_notes_stand_beside_the_build(world):
    b = build(world, "notes")
    assert b["result"] == "success", b
    notes = {n["context"]: n for n in world.get(f"/builds/{b['id']}")["annotations"]}
    assert notes["annotate"]["text"] == f"built on {b['worker']}" and notes["annotate"]["style"] == "info"
    assert notes["cover"]["text"] == "second" and notes["cover"]["style"] == "error", "the last of a context counts"
    assert notes["masked"]["text"] == "built with ***\n"
    assert "\ncover (error):\n  second\n" in world.pawl("build", str(b["id"]))


@pytest.fixture
def server():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    s.seen = []
    t = threading.Thread(target=s.serve_forever, daemon=True)
    t.start()
    yield s
    s.shutdown()
    s.server_close()
    t.join()


def test_a_request_over_http(world, server):
    b = build(world, "ask", port=str(server.server_port))
    assert b["result"] == "success", (b, log(world, b, "http"))
    path, headers, body = server.seen[0]
    assert path == "/ok" and headers["X-Token"] == SECRET and headers["X-Build"] == str(b["id"])
    assert json.loads(body) == {"branch": "master", "quote": '"x"'}
    assert log(world, b, "http") == "the answer\npawl: HTTP status 201\n"
    b = build(world, "ask", port=str(server.server_port), path="bad")
    assert b["result"] == "failure" and "HTTP status 503" in world.get(f"/builds/{b['id']}")["steps"][0]["reason"]
    server.shutdown()
    b = build(world, "ask", port="1")
    assert b["result"] == "failure" and "exit code 7" in world.get(f"/builds/{b['id']}")["steps"][0]["reason"]


def cached(world):
    top = os.path.join(os.path.join(world.dir, "spool-w1"), "cache", "p")
    return sorted(f for f in os.listdir(top) if f.endswith(".tar")) if os.path.isdir(top) else []


def test_a_cache_comes_back(world):
    b = build(world, "kept", want="first")
    assert b["result"] == "success" and log(world, b, "look") == "hit=false\nnone\n", log(world, b, "cache")
    assert "is kept" in log(world, b, "cache-save") and len(cached(world)) == 1
    b = build(world, "kept", want="second")
    assert log(world, b, "look") == "hit=true\nfirst\n"
    assert "is there already" in log(world, b, "cache-save"), "what a key stands for does not change"
    b = build(world, "kept", key="two", want="third")
    assert log(world, b, "look") == "hit=false\nfirst\n", "one that begins alike will do"
    assert len(cached(world)) == 2
    b = build(world, "kept", key="three", want="red")
    assert b["result"] == "failure" and len(cached(world)) == 2, "a red build keeps nothing"
    world.repo.commit({"VERSION": "1.2.4\n"}, "second")
    until(lambda: world.get("/changes")["items"][0]["revision"] == world.repo.ref("master"), 20, "the change is seen")
    b = build(world, "kept", want="fourth")
    assert log(world, b, "look").startswith("hit=false\n"), "the sum of the files is in the key"


def test_a_damaged_cache_is_thrown_away(world):
    b = build(world, "kept", key="damaged", want="x")
    assert b["result"] == "success"
    top = os.path.join(os.path.join(world.dir, "spool-w1"), "cache", "p")
    for f in cached(world):
        with open(os.path.join(top, f), "wb") as t:
            t.write(b"no tar at all" * 100)
    b = build(world, "kept", key="damaged", want="y")
    assert b["result"] == "warnings" and "hit=false" in log(world, b, "look"), (b, log(world, b, "cache"))
    b = build(world, "kept", key="damaged", want="z")
    assert log(world, b, "look") == "hit=true\ny\n"
