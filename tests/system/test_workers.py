"""Workers: what they say of themselves, drained and resting ones, and upgrades in the middle of a job."""
import json, os, re, shutil, signal, sys
import pytest
from conftest import BUILD, CONFIG, ROOT, until

SAY = "i=0; while [ ! -e {gate} ]; do i=$((i+1)); echo line $i; sleep 0.01; done; echo last $i"


def world(pawl, repo, builders):
    repo.commit({"a": "1"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders=builders).replace("from: master, to: stable}", "from: master, to: stable, builders: [none]}")
                   .replace("branches: [master]}", "branches: [nothing]}"))
    pawl.start_master()


def forced(pawl, builder, **more):
    return until(lambda: pawl.request("POST", "/force", {"builder": builder, "branch": "master", "reason": "x", **more}), 20)[1]


def force(pawl, builder):
    def asked():
        status, body, _ = pawl.request("POST", "/force", {"builder": builder, "branch": "master", "reason": "x"})
        return json.loads(body)["requests"][0] if status == 202 else None  # not before the repository was looked at
    return until(asked, 20, "a forced build")


NONE = "  - {name: none, project: p, steps: [{name: x, run: 'true'}]}\n"


def test_facts_are_seen_are_properties_and_tags(pawl, repo):
    world(pawl, repo, NONE + "  - {name: say, project: p, requires: {tags: [\"tools.sh=4.5\"]}, steps: [{name: say, run: 'echo os=$worker_os sh=$worker_tools_sh cpus=$worker_cpus'}]}\n"
                             "  - {name: other, project: p, requires: {tags: [\"tools.sh=9\"]}, steps: [{name: say, run: 'true'}]}\n")
    pawl.join("w1")
    conf = os.path.join(pawl.dir, "w1.yaml")
    open(conf, "a").write("tools: {sh: [sh, -c, 'echo tool (mine) 4.5'], gone: /nonexistent/tool}\n".replace("tool (mine)", "a tool"))
    pawl.start_worker()
    w = until(lambda: (lambda w: w if "disk" in w["facts"] else None)(pawl.worker("w1")), 20, "the first reading")
    assert w["facts"]["tools.sh"] == "4.5" and "tools.gone" not in w["facts"] and "tool_unknown tool=gone" in pawl.log("worker-w1")
    assert w["facts"]["arch"] == os.uname().machine and int(w["facts"]["disk"]) > 0 and re.fullmatch(r"\d+\.\d\d", w["facts"]["load"])
    assert abs(w["skew_ms"]) < 30000
    b = pawl.build_of(force(pawl, "say"))
    assert b["result"] == "success"
    assert pawl.raw_log(b["id"], "say").decode().strip() == f"os={w['facts']['os']} sh=4.5 cpus={w['facts']['cpus']}"
    props = pawl.get(f"/builds/{b['id']}")["properties"]
    assert props["worker_tools_sh"] == "4.5" and "worker_disk" not in props
    other = force(pawl, "other")
    assert "tools.sh=9" in pawl.pawl("why", str(other))
    # another version after the file was read anew
    text = open(conf).read().replace("4.5", "9")
    open(conf, "w").write(text)
    pawl.workers["w1"].send_signal(signal.SIGHUP)
    assert pawl.build_of(other)["result"] == "success"


def test_a_drained_worker_says_so(pawl, repo, tmp_path):
    gate = tmp_path / "gate"
    world(pawl, repo, NONE + f"  - {{name: wait, project: p, collapse: false, steps: [{{name: w, run: 'while [ ! -e {gate} ]; do sleep 0.05; done'}}]}}\n")
    pawl.start_worker()
    first = force(pawl, "wait")
    until(lambda: pawl.worker("w1")["busy"] == 1, what="the job")
    pawl.pawl("worker", "drain", "w1", "--reason", "new disk")
    second = force(pawl, "wait")
    w = pawl.worker("w1")
    assert (w["state"], w["drained"], w["reason"]) == ("draining", False, "new disk")
    gate.touch()
    assert pawl.build_of(first)["result"] == "success"
    assert until(lambda: pawl.worker("w1")["drained"]) and "drained: no job is left; new disk" in pawl.pawl("workers")
    assert "worker_drained" in pawl.log("master") and "draining" in pawl.pawl("why", str(second))
    pawl.pawl("worker", "resume", "w1")
    assert pawl.build_of(second)["result"] == "success" and not pawl.worker("w1")["drained"]


def test_exceptions_in_a_row_end_in_quarantine(pawl, repo):
    world(pawl, repo, NONE + "  - {name: bad, project: p, collapse: false, retries: 0, steps: [{name: x, run: [/nonexistent/program]}]}\n"
                             "  - {name: good, project: p, collapse: false, steps: [{name: x, run: 'true'}]}\n")
    pawl.start_worker()
    for _ in range(3):
        assert pawl.build_of(force(pawl, "bad"))["result"] == "exception"
    w = pawl.worker("w1")
    assert w["state"] == "quarantined" and "3 builds in a row" in w["reason"] and w["quarantine"]
    request = force(pawl, "good")
    assert "quarantine until" in pawl.pawl("why", str(request))
    pawl.kill(pawl.master)
    pawl.start_master()
    until(lambda: pawl.worker("w1")["state"] != "missing", 60, "the worker's return")
    assert pawl.worker("w1")["state"] == "quarantined" and "quarantine until" in pawl.pawl("why", str(request))
    pawl.pawl("worker", "resume", "w1")
    assert pawl.build_of(request)["result"] == "success" and pawl.worker("w1")["state"] == "connected"


# ---- upgrades
def other_programs(tmp_path):
    """The same programs with another version string."""
    now = re.search(rb"pawl-worker (\d+\.\d+\.\d+)", open(f"{BUILD}/pawl-worker", "rb").read()).group(1)
    new = b"9" + now[1:]
    place = tmp_path / "new"
    place.mkdir()
    for name in ("pawl-master", "pawl-worker", "pawl-run"):
        data = open(f"{BUILD}/{name}", "rb").read()
        path = place / name
        path.write_bytes(re.sub(rb"(?<![0-9.])" + re.escape(now) + rb"(?=\0)|(?<=pawl-worker )" + re.escape(now) + rb"|(?<=pawl-master )" + re.escape(now), new, data))
        path.chmod(0o755)
    return str(place), now.decode(), new.decode()


def lines_are_whole(log):
    lines = log.decode().splitlines()
    assert lines[-1] == f"last {len(lines) - 1}" and lines[:-1] == [f"line {i + 1}" for i in range(len(lines) - 1)], (lines[:5], lines[-5:])


def upgraded(pawl, repo, tmp_path, monkeypatch, programs, how):
    gate = tmp_path / "gate"
    world(pawl, repo, NONE + f"  - {{name: say, project: p, retries: 0, steps: [{{name: say, run: '{SAY.format(gate=gate)}'}}]}}\n")
    old, new = programs
    import conftest
    monkeypatch.setattr(conftest, "BUILD", old)
    worker = pawl.start_worker()
    request = force(pawl, "say")
    grows = lambda at: until(lambda: len(pawl.raw_log(build["id"], "say")) > at and len(pawl.raw_log(build["id"], "say")), 30, "output")
    build = until(lambda: next((b for b in pawl.builds() if b["request"] == request and b["state"] == "running"), None), what="the build")
    at = grows(500)
    was = pawl.worker("w1")["version"]
    assert was in pawl.pawl("workers")
    monkeypatch.setattr(conftest, "BUILD", new)
    pawl.kill(worker, how)
    pawl.start_worker()
    now = until(lambda: (lambda v: v if v != was else None)(pawl.worker("w1")["version"]), 30, "the new agent")
    assert now in pawl.pawl("workers") if os.path.exists(f"{new}/pawl") else True
    at = grows(at + 500)
    pawl.kill(pawl.master, how)
    pawl.start_master()
    until(lambda: pawl.worker("w1")["state"] == "connected", 60, "the worker's return")
    grows(at + 500)
    gate.touch()
    done = pawl.build_of(request)
    assert (done["result"], done["attempt"]) == ("success", build["attempt"])
    lines_are_whole(pawl.raw_log(done["id"], "say"))
    return was, now


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_agent_and_master_are_upgraded_under_a_running_job(pawl, repo, tmp_path, monkeypatch, how):
    place, old, new = other_programs(tmp_path)
    shutil.copy(f"{BUILD}/pawl", place)
    assert upgraded(pawl, repo, tmp_path, monkeypatch, (BUILD, place), how) == (old, new)


@pytest.mark.skipif(not os.environ.get("PAWL_OLD"), reason="builds the programs of the last schema: PAWL_OLD=1")
def test_programs_of_the_last_schema_are_upgraded_under_a_running_job(pawl, repo, tmp_path, monkeypatch):
    sys.path.insert(0, os.path.join(ROOT, "tests/chaos"))
    import old
    place, _, _ = other_programs(tmp_path)
    shutil.copy(f"{BUILD}/pawl", place)
    before = old.programs(BUILD)
    for name in ("pawl-master", "pawl"):  # this master from the beginning: it is the agent that is old
        assert os.path.exists(f"{before}/{name}")
    upgraded(pawl, repo, tmp_path, monkeypatch, (before, place), signal.SIGKILL)
