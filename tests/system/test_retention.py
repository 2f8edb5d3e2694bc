"""Retention: what is too old goes, with its files; a kill -9 anywhere leaves neither a file without a row nor a row that names nothing."""
import fcntl, glob, os, pytest, signal, time
from conftest import until
from test_backup import rows
from test_doctor_deep import deep, wrong

CONFIG = """
name: retention
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
{retention}
projects:
  - {{name: p, repository: "{repo}", poll: 60s}}
builders:
  - {{name: any, project: p, collapse: false, steps: [{{name: go, run: "seq 1 3000"}}, {{name: two, run: "echo err >&2; echo out", stderr: separate}}]}}
schedulers: [{{name: hand, kind: force, project: p}}]
"""


def files(pawl):
    return sorted(os.path.basename(f) for f in glob.glob(f"{pawl.state}/logs/??/*"))


def build(pawl):
    r = pawl.post("/force", {"builder": "any", "branch": "master", "reason": "retention"})["requests"][0]
    b = pawl.build_of(r)
    assert b["result"] == "success", b
    return b["id"]


def keep(pawl, repo, text):
    pawl.configure(CONFIG.format(repo=repo.bare, retention=text))


def start(pawl, repo, text, n):
    repo.commit({"a": "1"}, "first")
    keep(pawl, repo, "")
    pawl.start_master()
    pawl.start_worker()
    until(lambda: pawl.request("GET", "/healthz")[0] == 200, 20, "the master")
    until(lambda: pawl.request("POST", "/force", {"builder": "any", "branch": "master", "reason": "first"})[0] == 202, 20, "the branch")
    until(lambda: [b for b in pawl.builds() if b["state"] == "done"], 30, "the first build")
    ids = [pawl.builds()[0]["id"]] + [build(pawl) for _ in range(n - 1)]
    until(lambda: not rows(pawl, "SELECT 1 FROM log WHERE sealed=0"), 30, "sealed logs")
    until(lambda: not rows(pawl, "SELECT 1 FROM attempt WHERE state<4"), 30, "attempts that ended for good")
    keep(pawl, repo, text)
    return ids


def known(pawl):
    return [b["id"] for b in pawl.builds("?limit=1000")]


def test_logs_go_before_builds_and_say_so(pawl, repo):
    ids = start(pawl, repo, "retention: {logs: 1s, keep_last: 1}", 4)
    assert len(files(pawl)) == 12
    pawl.pawl("pin", str(ids[1]), "--reason", "evidence")
    before = sum(os.path.getsize(f) for f in glob.glob(f"{pawl.state}/logs/??/*"))
    pawl.master.send_signal(signal.SIGHUP)
    until(lambda: len(files(pawl)) == 6, 30, "the files to go")
    assert sum(os.path.getsize(f) for f in glob.glob(f"{pawl.state}/logs/??/*")) < before
    until(lambda: not rows(pawl, "SELECT 1 FROM log WHERE sealed=2"), 30, "the rows to say so")
    assert known(pawl) == ids[::-1], "builds outlive their logs"
    status, body, _ = pawl.request("GET", f"/builds/{ids[0]}/log/go")
    assert status == 410 and b"3000 lines" in body and b"removed by retention" in body, (status, body)
    assert pawl.request("GET", f"/builds/{ids[0]}/log/go/index")[0] == 410 and pawl.request("GET", f"/builds/{ids[0]}/log/none")[0] == 404
    assert "removed by retention" in pawl.pawl("log", str(ids[0]), code=1)
    b = pawl.get(f"/builds/{ids[0]}")
    assert b["logs"] == "removed" and b["steps"][0]["lines"] == 3000 and "removed by retention" in pawl.pawl("build", str(ids[0]))
    kept = pawl.get(f"/builds/{ids[1]}")
    assert kept["logs"] == "kept" and kept["pinned"]["reason"] == "evidence" and "evidence" in pawl.pawl("build", str(ids[1]))
    assert len(pawl.raw_log(ids[1], "go").splitlines()) == len(pawl.raw_log(ids[3], "go").splitlines()) == 3000
    assert not wrong(deep(pawl))
    deeds = [a["action"] for a in pawl.get("/audit")["items"]]
    assert "build.pin" in deeds
    pawl.pawl("unpin", str(ids[1]))
    until(lambda: len(files(pawl)) == 3, 30, "the one that is not pinned any more")
    assert pawl.get(f"/builds/{ids[1]}")["pinned"] is None


def test_builds_go_with_all_that_is_theirs(pawl, repo):
    ids = start(pawl, repo, "retention: {builds: 1s}", 4)
    pawl.kill(pawl.master)
    pawl.start_master()
    until(lambda: known(pawl) == ids[-1:], 60, "the old ones to go")
    assert len(files(pawl)) == 3
    for table, column in (("step", "attempt"), ("log", "attempt"), ("attempt", "id")):
        assert len(rows(pawl, f"SELECT DISTINCT {column} FROM {table}")) == 1, table
    assert len(rows(pawl, "SELECT 1 FROM request")) == 1 and len(rows(pawl, "SELECT 1 FROM buildset")) == 1
    assert pawl.request("GET", f"/builds/{ids[0]}")[0] == 404
    assert build(pawl) > ids[-1], "numbers are not given twice"
    assert not wrong(deep(pawl))


@pytest.mark.parametrize("point, nth", [("retain.unlink", 1), ("retain.unlinked", 4), ("retain.rows", 1), ("retain.rows", 3)])
def test_killed_at(pawl, repo, point, nth):
    """kill -9 before a file goes, between file and row, and inside the transaction that removes the rows."""
    ids = start(pawl, repo, "retention: {logs: 1s, builds: 1s}", 6)
    pawl.kill(pawl.master)
    pawl.start_master(env={"PW_FAULT": f"{point}:{nth}=kill"})
    until(lambda: pawl.master.poll() is not None, 60, "the planted death")
    # whatever there is, a row names it or says that it goes; and what a row names is there
    named = {f"{a}-{i}-{s}.log": sealed for a, i, s, sealed in rows(pawl, "SELECT attempt,idx,stream,sealed FROM log")}
    here = set(files(pawl))
    assert here <= {n for n, sealed in named.items() if sealed in (1, 2)}, (here, named)
    assert {n for n, sealed in named.items() if sealed == 1} <= here
    assert not wrong(deep(pawl))
    pawl.start_master()
    until(lambda: known(pawl) == ids[-1:], 60, "the old ones to go")
    until(lambda: not rows(pawl, "SELECT 1 FROM log WHERE sealed=2"), 60, "nothing half way")
    assert {f"{a}-{i}-{s}.log" for a, i, s in rows(pawl, "SELECT attempt,idx,stream FROM log WHERE sealed=1")} == set(files(pawl))
    assert not wrong(deep(pawl))


@pytest.mark.parametrize("point", ["retain.unlink:2", "retain.unlinked:1", "retain.rows:1"])
def test_failing_at(pawl, repo, point):
    ids = start(pawl, repo, "retention: {logs: 1s, builds: 1s}", 4)
    pawl.kill(pawl.master)
    pawl.start_master(env={"PW_FAULT": f"{point}=error"})
    until(lambda: known(pawl) == ids[-1:], 90, "the old ones to go all the same")
    until(lambda: not rows(pawl, "SELECT 1 FROM log WHERE sealed=2"), 60, "nothing half way")
    assert not wrong(deep(pawl))


def test_nothing_goes_while_a_backup_reads(pawl, repo):
    ids = start(pawl, repo, "retention: {logs: 1s, keep_last: 1}", 3)
    before = files(pawl)
    with open(os.path.join(pawl.state, "backup.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        pawl.kill(pawl.master)
        pawl.start_master()
        until(lambda: rows(pawl, "SELECT 1 FROM log WHERE sealed=2"), 60, "files that are about to go")
        end = time.monotonic() + 2
        until(lambda: files(pawl) != before or time.monotonic() > end, 10, "two seconds")
        assert files(pawl) == before
        assert pawl.request("GET", "/healthz")[0] == 200 and build(pawl)
        fcntl.flock(lock, fcntl.LOCK_UN)
    until(lambda: not set(before[:3]) & set(files(pawl)), 30, "they go when it has ended")
    assert pawl.request("GET", f"/builds/{ids[0]}/log/go")[0] == 410
