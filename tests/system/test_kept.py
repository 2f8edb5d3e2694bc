"""Work directories of failed builds stay for people; those that nobody needs go. `pawl shell` says where, and enters."""
import json, os, pytest, signal, subprocess, time
from conftest import BUILD, until
from test_isolation import ROOT, World, modes, mode, place, world  # noqa: F401, fixtures


def shell(w, build, *args, code=0):
    return w.pawl.pawl("shell", str(build["id"]), *args, code=code)


def fail(w, more="", **k):
    b = w.run(f"echo x >made; {more}exit 3", **k)
    assert b["result"] == "failure", b
    return b


def work(w, n=1, builder="any"):
    return os.path.join(w.spool, f"work/p/{builder}/{n}")


def test_kept_and_entered(world):
    w = world(["none"], slots=1)
    b = fail(w)
    assert os.path.exists(work(w) + "/made") and os.path.exists(work(w) + ".kept")
    # the next build does not touch it
    assert w.run("pwd")["result"] == "success" and os.path.exists(work(w) + "/made") and os.path.isdir(work(w, 2))
    text = shell(w, b, "--print")
    assert f"directory {work(w)}\n" in text and "worker    w1" in text and f"env PAWL_BUILD_ID={b['id']}\n" in text and "env PAWL_WORKDIR=" in text, text
    out = shell(w, b, "--run", "pwd; cat made; echo $PAWL_BUILD_ID; echo new >from-shell")
    assert out.split("\n")[-4:] == [work(w), "x", str(b["id"]), ""], out
    assert shell(w, b, "--run", "cat from-shell; exit 7", code=7).endswith("new\n")
    answer = json.loads(w.pawl.pawl("--json", "shell", str(b["id"])))
    assert answer["worker"] == "w1" and answer["directory"] == work(w) and answer["hostname"] == os.uname().nodename, answer
    audit = w.pawl.get("/audit")["items"]
    assert [a for a in audit if a["action"] == "shell"][0]["object"] == f"build {b['id']} on w1: {work(w)}", audit


def test_who_may_ask(world):
    w = world(["none"], slots=1)
    b = fail(w)
    status, _, _ = w.pawl.request("POST", f"/builds/{b['id']}/shell", {}, token=False)
    assert status == 401
    t = json.loads(w.pawl.pawl("--json", "token", "create", "dev", "--scope", "build"))["token"]
    status, _, _ = w.pawl.request("POST", f"/builds/{b['id']}/shell", {}, {"Authorization": "Bearer " + t}, token=False)
    assert status == 403


def test_only_failed_builds(world):
    w = world(["none"], slots=1)
    b = w.run("true")
    assert "no work directory of build" in shell(w, b, code=1)
    assert not os.path.exists(work(w) + ".kept")
    r = w.force("touch here; until test -e go; do sleep 0.1; done; exit 1")
    until(lambda: os.path.exists(work(w) + "/here"), 20, "the step")
    running = next(x for x in w.pawl.builds() if x["request"] == r)
    assert 'is not over; it is on worker "w1"' in shell(w, running, code=1)
    open(work(w) + "/go", "w")
    assert w.pawl.build_of(r)["result"] == "failure"
    assert "there is no build" in shell(w, {"id": 999999}, code=1)


def test_not_kept_when_not_wanted(world):
    w = world(["none"], slots=1, more="keep_failed: 0s, ")
    b = fail(w)
    assert not os.path.exists(work(w) + ".kept") and "is kept" in shell(w, b, code=1)


def test_over_after_its_time(world):
    w = world(["none"], slots=1, more="keep_failed: 1s, ")
    b = fail(w)
    assert os.path.exists(work(w) + ".kept")
    until(lambda: "no work directory of build" in subprocess.run([f"{BUILD}/pawl", "--state", w.pawl.state, "shell", str(b["id"]), "--print"], capture_output=True, text=True).stderr, 20, "its end")
    assert w.run("pwd; ls")["result"] == "success"
    assert not os.path.exists(work(w) + ".kept") and not os.path.isdir(work(w, 2)), "the lowest number again"


def test_kept_over_a_restart(world):
    w = world(["none"], slots=1)
    b = fail(w)
    w.pawl.kill(w.pawl.workers["w1"])
    w.pawl.kill(w.pawl.master)
    w.pawl.start_master()
    w.start()
    assert w.run("true")["result"] == "success"
    assert shell(w, b, "--run", "cat made").endswith("x\n")


def test_secrets_are_not_kept(world, monkeypatch):
    w = world(["none"], slots=1, first=False)
    w.pawl.kill(w.pawl.master, signal.SIGTERM)
    conf = open(w.pawl.config).read().replace("projects:", "secrets: {s: {env: KEPT_SECRET}}\nprojects:").replace("name: any, project: p, ", "name: any, project: p, env: {TOKEN: \"${secret:s}\"}, ")
    w.pawl.configure(conf)
    w.pawl.start_master(env={"KEPT_SECRET": "a-secret-that-is-long"})
    w.start()
    b = fail(w, "test -n \"$TOKEN\"; ")
    assert b"a-secret" not in open(work(w) + ".kept", "rb").read()
    assert "env TOKEN=***\n" in shell(w, b, "--print")


@modes("user", "bwrap")
def test_entered_in_its_isolation(world, mode):
    w = world([mode], slots=1)
    b = fail(w)
    out = shell(w, b, "--run", "id -u; cat made; cat a; ls /root >/dev/null 2>&1 && echo open || echo closed; (sleep 1000 >/dev/null 2>&1 </dev/null &)")
    assert out.split("\n")[-5:] == [str(w.users[0] if ROOT else os.geteuid()), "x", "content", "closed", ""], out
    until(lambda: not w.theirs(), 20, "the end of what was left")
    if ROOT:
        assert os.stat(work(w)).st_uid == 0
    # a person is inside: the next one waits
    with open(work(w) + ".lock") as f:
        import fcntl
        fcntl.flock(f, fcntl.LOCK_EX)
        assert "somebody else is in" in shell(w, b, "--run", "true", code=1)


def tidy(w, low=0):
    p = subprocess.run([f"{BUILD}/pawl-run", "--tidy", w.spool, str(low)], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return p.stderr


def age(w, n, days, builder="any"):
    t = time.time() - days * 24 * 3600
    os.utime(work(w, n, builder) + ".lock", (t, t))


def test_unused_directories_go(world):
    w = world(["none"], slots=1, builders=[("any", ""), ("gone", ""), ("failed", "")])
    for name in ("any", "gone"):
        assert w.run("true", builder=name)["result"] == "success"
    fail(w, builder="failed")
    age(w, 1, 15, "gone")
    age(w, 1, 13)
    age(w, 1, 15, "failed")  # but kept
    tidy(w)
    assert not os.path.exists(work(w, 1, "gone")) and os.path.exists(work(w)) and os.path.exists(work(w, 1, "failed"))
    assert w.run("cat a", builder="gone")["result"] == "success"


def test_oldest_first_when_the_disk_is_low(world):
    """One that a job is in stays, whatever the disk."""
    w = world(["none"], slots=1, builders=[("any", ""), ("old", ""), ("failed", ""), ("busy", "")])
    for name in ("any", "old"):
        assert w.run("true", builder=name)["result"] == "success"
    b = fail(w, builder="failed")
    r = w.force("touch here; until test -e go; do sleep 0.1; done", builder="busy")
    until(lambda: os.path.exists(work(w, 1, "busy") + "/here"), 20, "the step")
    age(w, 1, 3, "old"), age(w, 1, 2, "failed"), age(w, 1, 1)
    text = tidy(w, 1 << 60)  # no disk has so much
    order = [text.index(work(w, 1, n)) for n in ("old", "failed", "any")]
    assert order == sorted(order) and "low disk" in text, text
    assert not any(os.path.exists(work(w, 1, n)) for n in ("old", "failed", "any")) and os.path.exists(work(w, 1, "busy") + "/here")
    open(work(w, 1, "busy") + "/go", "w")
    assert w.pawl.build_of(r)["result"] == "success"
    assert "not there any more" in shell(w, b, code=1)


def test_the_agent_tidies(world):
    w = world(["none"], slots=1)
    assert w.run("true")["result"] == "success"
    age(w, 1, 15)
    w.pawl.kill(w.pawl.workers["w1"], signal.SIGTERM)
    w.start()
    until(lambda: not os.path.exists(work(w)), 30, "the agent's look at its work directories")


@pytest.mark.parametrize("point", ["run.kept", "tidy.remove"])
def test_killed_at_it(world, point):
    w = world(["none"], slots=1, first=False)
    w.start(env={"PW_FAULT": f"{point}:1=kill"} if point == "run.kept" else None)
    b = w.run("echo x >made; exit 3")
    if point == "run.kept":  # the runner never told its end: our fault, and no retry is left
        assert b["result"] == "exception" and not os.path.exists(work(w) + ".kept"), b
        assert w.run("pwd")["result"] == "success"
        return
    os.unlink(work(w) + ".kept")
    age(w, 1, 15)
    p = subprocess.run([f"{BUILD}/pawl-run", "--tidy", w.spool, "0"], capture_output=True, text=True, env=dict(os.environ, PW_FAULT=f"{point}:1=kill"))
    assert p.returncode == -signal.SIGKILL and os.path.exists(work(w))
    tidy(w)
    assert not os.path.exists(work(w)) and w.run("cat a")["result"] == "success"
