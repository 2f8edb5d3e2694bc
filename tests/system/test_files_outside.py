"""Files that builds leave where it is narrow: no room at the master while they come, and jobs that run as other users."""
import hashlib, json, os
import pytest
from conftest import until
from machine import ROOT, Small
from test_exhaustion import CONFIG, first_change, health, sound
from test_isolation import asks, mode, modes, offer, place, world  # noqa: F401

MAKE = "head -c 12582912 /dev/urandom >big; echo small >little; sha256sum big | cut -c1-64\n"


@pytest.fixture
def small(tmp_path, repo):
    if not ROOT:
        pytest.skip("needs root: a mount namespace with small file systems")
    p = Small(tmp_path)
    repo.commit({"test.sh": "echo hello\n"}, "first")
    p.configure(CONFIG.format(repo=repo.bare).replace('{name: go, run:', '{name: go, artifacts: [big, little], run:'))
    yield p
    p.close()


@pytest.mark.parametrize("apart", [False, True], ids=["one-disk", "own-disk"])
def test_no_room_for_artifacts(small, tmp_path, apart):
    """It is said, in /healthz too; the build waits for room and is as it should be; nothing damaged is left."""
    kept = small.inner_state + "/artifacts"
    small.mounts((small.inner_state, "64m"), *([(kept, "8m")] if apart else []))
    small.start_master()
    first_change(small)
    small.start_worker(slots=2)
    go = tmp_path / "go"
    talks = tmp_path / "talk.sh"
    talks.write_text(f"until [ -e {go} ]; do echo line; sleep 0.1; done\n")
    other = small.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"sh {talks}"}})["requests"][0]
    talking = until(lambda: next((b for b in small.builds("?builder=any") if b["state"] == "running"), None), 30, "the other build")
    at = kept if apart else small.inner_state
    if not apart:
        small.fill(at, leave=8 << 20)
    script = tmp_path / "make.sh"
    script.write_text(MAKE)
    r = small.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"sh {script}"}})["requests"][0]
    checks = until(lambda: health(small)[1], 60, "the check")
    assert "No space left" in checks["log store"], checks
    status, body, _ = small.request("POST", "/force", {"builder": "any", "reason": "x"}, {"Idempotency-Key": "once"})
    assert status == 503 and "No space left" in json.loads(body)["error"]["message"], body
    assert [b["state"] for b in small.builds("?builder=any")] == ["running"] * 2
    if apart:  # output has its room, and is no reason to say that all is well
        before = len(small.raw_log(talking["id"], "go"))
        until(lambda: len(small.raw_log(talking["id"], "go")) > before + 50, 30, "more output of the other build")
        assert "log_store_again" not in small.log("master") and health(small)[0] != 200
        small.resize(at, "64m")
    else:
        small.empty(at)
    until(lambda: health(small)[0] == 200, 60, "the master to go on by itself")
    go.touch()
    assert small.build_of(other)["result"] == "success"
    b = small.build_of(r, 90)
    assert (b["result"], b["attempt"]) == ("success", 1), b
    files = {f["path"]: f for f in small.get(f"/builds/{b['id']}/artifacts")["items"]}
    status, body, _ = small.request("GET", f"/builds/{b['id']}/artifacts/big")
    want = small.raw_log(b["id"], "go").decode().strip()
    assert status == 200 and hashlib.sha256(body).hexdigest() == want == files["big"]["sha256"]
    assert small.request("GET", f"/builds/{b['id']}/artifacts/little")[1] == b"small\n"
    until(lambda: not os.listdir(small.inside(kept) + "/in"), 30, "all in its place")
    sound(small)
    for d, _, names in os.walk(small.inside(kept)):
        for n in names:
            with open(os.path.join(d, n), "rb") as f:
                assert hashlib.sha256(f.read()).hexdigest() == n, "a file is what it is called by"


def own_files(w, key):
    """What is kept belongs to master and agent, and has nothing of the worker's key in it."""
    for top in (w.pawl.state, os.path.join(w.spool, "cache")):
        for d, _, names in os.walk(top):
            for n in names:
                assert os.lstat(os.path.join(d, n)).st_uid == os.geteuid(), (d, n)
                with open(os.path.join(d, n), "rb") as f:
                    assert key.strip() not in f.read(), (d, n)
    assert key.strip()


LEAVE = ("b() { if test -e /bin/busybox; then /bin/busybox \"$@\"; else \"$@\"; fi; }; b mkdir -p out kept; echo mine >out/mine; "
         "b chmod 600 out/mine; echo x >kept/file; b chmod 700 kept; b ln -s {spool}/worker.key out/key; b ln -s /etc/shadow out/shadow; b ln -s ../../../../../../worker.key out/rel; "
         "b ln {spool}/worker.key out/hard 2>/dev/null || true; b ln -s / out/root; echo '<testsuite><testcase name=\"a\"/></testsuite>' >r.xml; echo '# Sum' >$PAWL_SUMMARY/s.md; "
         "b ln -s /etc/passwd $PAWL_SUMMARY/p.md; echo deep >$PAWL_ARTIFACTS/deep; b ln -s {spool}/worker.key $PAWL_ARTIFACTS/key; b ln -s {spool} $PAWL_ARTIFACTS/all; true")
STEP = 'run: "true"}, {cache: {key: "${k}", paths: [kept]}}, {name: work, artifacts: ["out/**"], reports: {junit: r.xml}, '


@modes("user", "bwrap", "podman")
def test_files_of_an_isolated_job(world, mode):
    """Taken are the job's own, whoever may read them; nothing from outside; a cache comes back as the job's own."""
    w = world(offer(mode), more=f"isolation: \"{asks(mode)}\", ", step=STEP)
    key = open(os.path.join(w.spool, "worker.key"), "rb").read()

    def run(cmd, k):
        return w.run(cmd, properties={"cmd": cmd, "then": "true", "k": k})
    b = run(LEAVE.replace("{spool}", w.spool), "1")
    steps = {s["name"]: s for s in w.pawl.get(f"/builds/{b['id']}")["steps"]}
    if mode == "podman":  # tar is the image's own, and this one has none
        assert b["result"] == "warnings" and "the cache was not kept" in steps["cache-save"]["reason"], steps["cache-save"]
    else:
        assert b["result"] == "success", (steps, w.log(b, "work"))
    got = {f["path"]: f["kind"] for f in w.pawl.get(f"/builds/{b['id']}/artifacts")["items"]}
    assert got == {"out/mine": "artifact", "deep": "artifact", "r.xml": "report", "s.md": "summary"}, got
    assert w.pawl.request("GET", f"/builds/{b['id']}/artifacts/out/mine")[1] == b"mine\n"
    assert w.pawl.request("GET", f"/builds/{b['id']}/summary")[1] == b"# Sum\n"
    assert [(r["tests"], r["failed"]) for r in w.pawl.get(f"/builds/{b['id']}/tests")["reports"]] == [(1, 0)]
    own_files(w, key)
    if mode == "podman":
        return
    # the checkout of the next one removes the folder, the cache brings it back, and it may be written to
    b = run("echo '<testsuite><testcase name=\"a\"/></testsuite>' >r.xml; cat kept/file; echo y >>kept/file && echo z >kept/new && echo own", "1")
    assert b["result"] == "success" and w.log(b, "work").split("\n")[:2] == ["x", "own"], w.log(b, "work")
    # a folder that is a link by now keeps nothing of where it leads
    b = run(f"echo '<testsuite><testcase name=\"a\"/></testsuite>' >r.xml; rm -rf kept; /bin/busybox ln -s {w.spool} kept", "2")
    b = run("echo '<testsuite><testcase name=\"a\"/></testsuite>' >r.xml; if cat kept/worker.key; then echo bad; else echo good; fi", "2")
    assert b["result"] == "success" and "good" in w.log(b, "work").splitlines(), w.log(b, "work")
    own_files(w, key)
