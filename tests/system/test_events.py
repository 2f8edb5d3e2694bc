"""The event stream as programs follow it: no gap and nothing twice over reconnects and kill -9 of the master, objects as GET gives them, filters."""
import http.client, json, threading, urllib.parse
from conftest import until
from test_openapi import wrong

KINDS = {"change": "Change", "request": "Request", "build": "Build", "step": "Steps", "worker": "Worker", "promotion": "Promotion"}


class Listener(threading.Thread):
    """Follows the stream as a browser does: comes again with the id that it saw last, until it is told to end."""

    def __init__(self, pawl, query=""):
        super().__init__(daemon=True)
        self.pawl, self.query, self.last, self.events, self.ids, self.connects, self.over = pawl, query, None, [], [], 0, False
        self.start()
        until(lambda: self.last, 20, "the stream")

    def run(self):
        while not self.over:
            try:
                self.follow()
            except (OSError, http.client.HTTPException):
                pass

    def follow(self):
        at = urllib.parse.urlsplit(self.pawl.url)
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=5)
        c.request("GET", "/api/v1/events" + self.query, headers={"Last-Event-ID": self.last} if self.last else {})
        r = c.getresponse()
        assert r.status == 200
        self.connects += 1
        block = {}
        while not self.over:
            line = r.readline()
            if not line:
                return
            line = line.decode().rstrip("\n")
            if not line:
                if "id" in block:
                    self.last = block["id"]
                if "event" in block:
                    self.ids.append(block["id"])
                    self.events.append((block["event"], json.loads(block["data"])))
                block = {}
            elif not line.startswith(":"):
                key, _, value = line.partition(": ")
                block[key] = value

    def stop(self):
        self.over = True
        self.join(timeout=20)

    def newest(self, kind, name, key="id"):
        return next((d for k, d in reversed(self.events) if k == kind and d[key] == name), None)


def test_no_gap_and_every_object(simple, repo):
    doc = simple.get("/openapi.json")
    simple.built("test", repo.git("rev-parse", "HEAD"))
    all_of = Listener(simple)
    first = int(all_of.last.split(".")[1])
    for i in range(3):
        b = simple.built("test", repo.commit({"a": f"{i}\n"}, f"change {i}"))
        request = simple.post("/force", {"builder": "any", "reason": "while it dies"})["requests"][0]
        simple.kill(simple.master)  # -9, while the forced build may be under way
        simple.start_master()
        simple.build_of(request)
    until(lambda: repo.ref("stable") == b["revision"], 30, "the promotion")
    simple.post("/workers/w1/pause", {"reason": "enough"})
    until(lambda: all_of.newest("worker", "w1", "name") and all_of.newest("worker", "w1", "name")["state"] == "paused", 20, "the worker's event")
    until(lambda: all_of.newest("promotion", simple.get("/promotions")["items"][0]["id"]), 20, "the promotion's event")
    all_of.stop()
    seen = [int(i.split(".")[1]) for i in all_of.ids]
    assert all_of.connects >= 4
    assert seen == list(range(first + 1, first + 1 + len(seen))), "a gap, or one twice"
    assert {i.split(".")[0] for i in all_of.ids} == {all_of.last.split(".")[0]} and "reset" not in {k for k, _ in all_of.events}
    assert set(KINDS) <= {k for k, _ in all_of.events} <= set(KINDS) | {"config"}
    for kind, data in all_of.events:
        if kind in KINDS:
            assert not wrong(doc, {"$ref": "#/components/schemas/" + KINDS[kind]}, data, kind), (kind, data)
    # the last word on each object is what GET says
    same = lambda a, b: {k: v for k, v in a.items() if k != "url"} == {k: v for k, v in b.items() if k != "url"}
    builds = {x["id"]: x for x in simple.builds("?limit=1000")}
    heard = {d["id"] for k, d in all_of.events if k == "build"}
    assert len(heard) >= 6
    for i in heard:
        assert same(all_of.newest("build", i), builds[i])
        steps = all_of.newest("step", i, "build")
        assert steps["items"] == simple.get(f"/builds/{i}/steps")["items"]
    for i in {d["id"] for k, d in all_of.events if k == "request"}:
        assert all_of.newest("request", i) == simple.get(f"/requests/{i}")
    change, promotion = simple.get("/changes")["items"][0], simple.get("/promotions")["items"][0]
    assert all_of.newest("change", change["id"]) == change and all_of.newest("promotion", promotion["id"]) == promotion


def test_filters(simple, repo):
    one = simple.built("test", repo.git("rev-parse", "HEAD"))
    master, other, stable, nobody = (Listener(simple, q) for q in ("?project=p&branch=master", "?branch=other", "?branch=stable", "?project=q"))
    b = simple.built("test", repo.commit({"a": "1\n"}, "on master"))
    mine = Listener(simple, f"?build={b['id']}")
    until(lambda: repo.ref("stable") == b["revision"], 30, "the promotion")
    until(lambda: stable.events, 20, "the promotion's event")
    again = simple.post(f"/builds/{one['id']}/retry")["requests"][0]
    simple.build_of(again)
    until(lambda: any(k == "request" and d["id"] == again and d["state"] == "done" for k, d in master.events), 20, "the last event")
    for x in (master, other, stable, nobody, mine):
        x.stop()
    assert {"change", "request", "build", "step", "promotion"} <= {k for k, _ in master.events} and "worker" not in {k for k, _ in master.events}
    assert {k for k, _ in stable.events} <= {"promotion", "change"} and other.events == [] and nobody.events == [] and mine.events == []
    # who heard of nothing has moved on all the same: its next connection begins where it is
    assert simple.request("GET", "/events?build=x")[0] == 400
