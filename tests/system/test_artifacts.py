"""What builds leave: artifacts, reports and summaries, and what others take of them, through every kind of death."""
import hashlib, io, json, os, re, signal, subprocess, tarfile, time, urllib.error, urllib.request
import pytest
from conftest import BUILD, CONFIG, SLOW, until


def begin(pawl, repo, steps, builders="", slots=2, project="", worker=None):
    """A master with a builder `b` of these steps, which properties of a forced build may vary."""
    if not repo.ref("master"):
        repo.commit({"README": "x\n"}, "first")
    text = CONFIG.format(repo=repo.bare, builders=f"  - {{name: b, project: p, retries: 0, properties: {{cmd: 'true'}}, steps: {steps}}}\n{builders}")
    text = re.sub(r"promotions:.*", "", text, flags=re.S).replace("build_first: true}", "build_first: true" + project + "}")
    text = text.replace("branches: [master]}", "branches: [never]}")
    pawl.configure(text)
    pawl.start_master()
    pawl.start_worker(slots=slots, env=worker)
    until(lambda: pawl.get("/builders")["items"], 20, "builders")
    return pawl


def force(pawl, builder="b", **props):
    return pawl.post("/force", {"builder": builder, "branch": "master", "reason": "test", "properties": props})["requests"][0]


def run(pawl, builder="b", **props):
    return pawl.build_of(force(pawl, builder, **props))


def files(pawl, build, query=""):
    return {f["path"]: f for f in pawl.get(f"/builds/{build['id']}/artifacts{query}")["items"]}


def fetch(pawl, build, path, headers=None):
    return pawl.request("GET", f"/builds/{build['id']}/artifacts/{path}", headers=headers)


def steps_of(pawl, build):
    return pawl.get(f"/builds/{build['id']}")["steps"]


def blobs(pawl):
    found = []
    for d, _, names in os.walk(os.path.join(pawl.state, "artifacts")):
        found += [os.path.join(d, n) for n in names]
    return found


def doctor(pawl):
    """Its words; whether the worker was back in time is another matter."""
    return subprocess.run([f"{BUILD}/pawl", "--state", pawl.state, "doctor", "--deep"], env=pawl.env, capture_output=True, text=True, timeout=60 * SLOW).stdout


def in_place(pawl):
    """All that came in is where it belongs."""
    return until(lambda: not [b for b in blobs(pawl) if "/artifacts/in/" in b], 30, "an empty folder of incoming files")


STEP = "[{name: go, run: 'eval \"$cmd\"', artifacts: ['out/**', '*.txt']}]"


def test_files_are_kept(pawl, repo):
    begin(pawl, repo, STEP)
    b = run(pawl, cmd="mkdir -p out/deep; printf hello > out/deep/a.bin; printf world > b.txt; : > out/empty; printf no > c.c; chmod 755 out/deep/a.bin; exit 3")
    assert b["result"] == "failure"  # and yet they are taken
    got = files(pawl, b)
    assert sorted(got) == ["b.txt", "out/deep/a.bin", "out/empty"]
    assert got["b.txt"]["sha256"] == hashlib.sha256(b"world").hexdigest() and got["b.txt"]["size"] == 5 and got["b.txt"]["kind"] == "artifact"
    assert got["out/deep/a.bin"]["mode"] == 0o755
    status, body, h = fetch(pawl, b, "out/deep/a.bin")
    assert (status, body) == (200, b"hello")
    assert h["ETag"] == '"%s"' % hashlib.sha256(b"hello").hexdigest() and h["X-Content-Type-Options"] == "nosniff"
    assert h["Content-Disposition"].startswith("attachment") and h["Content-Type"] == "application/octet-stream"
    assert fetch(pawl, b, "out/empty")[:2] == (200, b"")
    assert fetch(pawl, b, "out/deep/a.bin", {"Range": "bytes=1-3"})[:2] == (206, b"ell")
    assert fetch(pawl, b, "out/deep/a.bin", {"Range": "bytes=-2"})[:2] == (206, b"lo")
    assert fetch(pawl, b, "out/deep/a.bin", {"Range": "bytes=5-"})[0] == 416
    assert fetch(pawl, b, "out/deep/a.bin", {"Range": "bytes=1-3", "If-Range": '"other"'})[:2] == (200, b"hello")
    assert fetch(pawl, b, "out/deep/a.bin", {"If-None-Match": h["ETag"]})[:2] == (304, b"")
    assert fetch(pawl, b, "out%2Fdeep%2Fa.bin")[1] == b"hello"
    assert fetch(pawl, b, "c.c")[0] == 404 and fetch(pawl, b, "../../pawl.db")[0] in (400, 404)
    status, body, h = pawl.request("GET", f"/builds/{b['id']}/artifacts.tar")
    tar = tarfile.open(fileobj=io.BytesIO(body))
    assert sorted(tar.getnames()) == sorted(got) and tar.extractfile("out/deep/a.bin").read() == b"hello"
    assert tar.getmember("out/deep/a.bin").mode == 0o755
    # the client
    assert "out/deep/a.bin" in pawl.pawl("artifacts", str(b["id"]))
    pawl.pawl("artifacts", str(b["id"]), "-o", os.path.join(pawl.dir, "got"))
    assert open(os.path.join(pawl.dir, "got/out/deep/a.bin")).read() == "hello"
    assert os.access(os.path.join(pawl.dir, "got/out/deep/a.bin"), os.X_OK)
    pawl.pawl("artifacts", str(b["id"]), "out/deep", "-o", os.path.join(pawl.dir, "part"))
    assert os.listdir(os.path.join(pawl.dir, "part")) == ["out"]
    assert "left no file" in pawl.pawl("artifacts", str(b["id"]), "nothing", code=1)
    # damage between the master and the client is noticed
    in_place(pawl)
    blob = os.path.join(pawl.state, "artifacts", hashlib.sha256(b"world").hexdigest()[:2], hashlib.sha256(b"world").hexdigest())
    open(blob, "wb").write(b"wOrld")
    assert "another sum" in pawl.pawl("artifacts", str(b["id"]), "b.txt", "-o", os.path.join(pawl.dir, "bad"), code=1)
    assert not os.path.exists(os.path.join(pawl.dir, "bad/b.txt"))
    doctor = pawl.pawl("doctor", "--deep", code=1)
    assert hashlib.sha256(b"world").hexdigest() in doctor


def test_the_same_bytes_are_kept_once(pawl, repo):
    begin(pawl, repo, STEP)
    for i in range(3):
        b = run(pawl, cmd=f"mkdir -p out; printf same > out/{i}; printf same > x.txt")
        assert len(files(pawl, b)) == 2 + i
    in_place(pawl)
    assert len(blobs(pawl)) == 1


def test_step_and_folder(pawl, repo):
    begin(pawl, repo, "[{name: make, run: 'echo a > dist.tgz; mkdir -p \"$PAWL_ARTIFACTS/logs\"; echo b > \"$PAWL_ARTIFACTS/logs/x\"; printf \"# Sum\" > $PAWL_SUMMARY/1.md'},"
                      " {name: second, run: 'ls -A \"$PAWL_ARTIFACTS\" \"$PAWL_SUMMARY\"; printf \"two\" > $PAWL_SUMMARY/2.md'},"
                      " {name: keep, artifacts: {paths: '*.tgz', retention: 7d}}, {artifacts: {paths: nothing, optional: true}}]")
    b = run(pawl)
    assert b["result"] == "success"
    got = files(pawl, b)
    assert {p: f["kind"] for p, f in got.items()} == {"dist.tgz": "artifact", "logs/x": "artifact", "1.md": "summary", "2.md": "summary"}
    assert "x" not in pawl.raw_log(b["id"], "second").decode().split()  # each step begins with empty folders
    assert pawl.request("GET", f"/builds/{b['id']}/summary")[1] == b"# Sum\ntwo\n"
    assert "# Sum" in pawl.pawl("build", str(b["id"]))
    assert [s["kind"] for s in steps_of(pawl, b)] == ["run", "run", "artifacts", "artifacts"]
    short = time.mktime(time.strptime(got["dist.tgz"]["expires"][:19], "%Y-%m-%dT%H:%M:%S"))
    long = time.mktime(time.strptime(got["logs/x"]["expires"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert abs(long - short - 23 * 24 * 3600) < 3600


def test_a_step_that_finds_nothing(pawl, repo):
    begin(pawl, repo, "[{artifacts: dist/*.tgz}]")
    b = run(pawl)
    assert b["result"] == "failure" and 'no file matches "dist/*.tgz"' in steps_of(pawl, b)[0]["reason"]


def test_nothing_from_outside_is_taken(pawl, repo):
    secret = os.path.join(pawl.dir, "secret")
    open(secret, "w").write("outside")
    begin(pawl, repo, STEP)
    b = run(pawl, cmd=f"mkdir -p out/in; ln -s {secret} out/abs; ln -s ../../../../../../secret out/rel; ln -s {pawl.dir} out/dir; mkfifo out/fifo; "
                      "printf inside > out/in/real; ln -s in/real out/good; ln -s in out/loop; "
                      "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"out/sock\")'; ln -s /dev/zero out/zero; ln -s nowhere out/broken; "
                      "printf x > \"$(printf 'out/b\\377d')\"; printf y > \"$(printf 'out/l\\nf')\"; ln out/in/real out/hard")
    assert b["result"] == "success", steps_of(pawl, b)
    assert sorted(files(pawl, b)) == ["out/good", "out/hard", "out/in/real"]
    assert fetch(pawl, b, "out/good")[1] == b"inside"
    log = pawl.raw_log(b["id"], "go").decode(errors="replace")
    for name, why in (("abs", "leads out"), ("rel", "leads out"), ("dir", "leads out"), ("fifo", "FIFO"), ("sock", "socket"), ("zero", "leads out"),
                      ("loop", "folder"), ("broken", "No such file"), ("l\nf", "no text")):
        assert f"not taken: out/{name}: " in log and re.search(re.escape(f"out/{name}: ") + ".*" + why, log), (name, log)
    assert "outside" not in log


def test_bounds_of_a_build(pawl, repo):
    begin(pawl, repo, STEP, project=", artifacts: {count: 3, size: 100K}")
    b = run(pawl, cmd="mkdir out; for i in 1 2 3; do echo $i > out/$i; done")
    assert b["result"] == "success" and len(files(pawl, b)) == 3
    b = run(pawl, cmd="rm -rf out; mkdir out; for i in 1 2 3 4; do echo $i > out/$i; done")
    assert b["result"] == "failure" and "more files than this project allows" in steps_of(pawl, b)[0]["reason"]
    assert len(files(pawl, b)) == 3
    b = run(pawl, cmd="rm -rf out; mkdir out; head -c 60000 /dev/zero > out/1; head -c 60000 /dev/zero > out/2")
    assert b["result"] == "failure" and sorted(files(pawl, b)) == ["out/1"]


def test_put_in_place_later(pawl, repo):
    """A row is committed and its bytes could not be moved: they wait for the next try, though their build is over."""
    begin(pawl, repo, STEP)
    pawl.kill(pawl.master)
    pawl.start_master(env={"PW_FAULT": "blobs.committed:1=error"})
    b = run(pawl, cmd="printf one > a.txt; printf two > b.txt")
    assert fetch(pawl, b, "a.txt")[1] == b"one" and fetch(pawl, b, "b.txt")[1] == b"two"
    in_place(pawl)
    assert fetch(pawl, b, "a.txt")[1] == b"one" and fetch(pawl, b, "b.txt")[1] == b"two"
    assert "damaged" not in doctor(pawl) and len(blobs(pawl)) == 2


@pytest.mark.parametrize("who", ["master", "agent", "both"])
def test_kill_during_upload(pawl, repo, who):
    """200 MB, killed again and again on the way: the bytes are equal, and are there once."""
    begin(pawl, repo, "[{name: go, run: 'openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00 -in /dev/zero 2>/dev/null | head -c 200000000 > big.bin; "
                      "sha256sum big.bin > sum.txt', artifacts: ['*.bin', '*.txt']}, {name: last, run: 'echo done'}]", slots=1)
    r = force(pawl)
    incoming = os.path.join(pawl.state, "artifacts", "in")

    def arrived():
        return sum(os.path.getsize(os.path.join(incoming, f)) for f in os.listdir(incoming)) if os.path.isdir(incoming) else 0
    for part in (10, 60, 120):
        until(lambda: arrived() > part * 1000000 or any(b["state"] == "done" for b in pawl.builds()), 120, f"{part} MB")
        if who != "agent":
            pawl.kill(pawl.master)
        if who != "master":
            pawl.kill(pawl.workers["w1"])
        if who != "agent":
            pawl.start_master()
        if who != "master":
            pawl.start_worker(wait=False)
    b = pawl.build_of(r, 120)
    assert b["result"] == "success" and b["attempt"] == 1
    got = files(pawl, b)
    assert sorted(got) == ["big.bin", "sum.txt"] and got["big.bin"]["size"] == 200000000
    pawl.pawl("artifacts", str(b["id"]), "-o", os.path.join(pawl.dir, "got"))  # which checks the sum
    assert open(os.path.join(pawl.dir, "got/sum.txt")).read().split()[0] == got["big.bin"]["sha256"]
    in_place(pawl)
    assert len(blobs(pawl)) == 2


def test_kill_runner_during_upload(pawl, repo):
    begin(pawl, repo, "[{name: go, run: 'head -c 200000000 /dev/urandom > big.bin', artifacts: '*.bin'}]", slots=1)
    r = force(pawl)
    incoming = os.path.join(pawl.state, "artifacts", "in")
    until(lambda: os.path.isdir(incoming) and any(os.path.getsize(os.path.join(incoming, f)) > 5000000 for f in os.listdir(incoming)), 60, "some MB")
    for pid in pawl.runners():
        try:
            if b"pawl-run" in open(f"/proc/{pid}/cmdline", "rb").read() and int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]) != 1:
                os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass
    b = pawl.build_of(r, 120)
    if b["result"] == "exception":  # retries: 0, so it is not tried again
        assert files(pawl, b) == {}
    else:  # it had written all of it before
        assert fetch(pawl, b, "big.bin")[0] == 200
    in_place(pawl)


def test_logs_of_others_go_on_beside_a_large_file(pawl, repo):
    begin(pawl, repo, "[{name: go, run: 'truncate -s 600M big.bin', artifacts: '*.bin'}]",
          "  - {name: talk, project: p, steps: [{name: say, run: 'i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done'}]}\n")
    large = force(pawl)
    incoming = os.path.join(pawl.state, "artifacts", "in")
    until(lambda: os.path.isdir(incoming) and os.listdir(incoming), 60, "a beginning")
    small = force(pawl, "talk")
    b = pawl.build_of(small)
    assert b["result"] == "success" and pawl.raw_log(b["id"], "say") == "".join(f"{i}\n" for i in range(1, 41)).encode()
    assert pawl.worker("w1")["state"] == "connected"
    assert pawl.build_of(large, 120)["result"] == "success"
    with open(f"/proc/{pawl.master.pid}/status") as f:
        assert int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) < 200000 * (5 if SLOW > 1 else 1)


@pytest.mark.parametrize("fault", ["", "blobs.remove:1=kill", "blobs.removed:1=kill", "blobs.remove:1=error", "blobs.removed:1=error"])
def test_retention(pawl, repo, fault):
    """What is past its time goes, what another row names stays; killed on either side of it nothing is lost and nothing stays behind."""
    begin(pawl, repo, "[{run: 'echo only of $n > x; echo of both > y'}, {artifacts: {paths: [x, y], retention: 10d}}]")
    first, second = run(pawl, n="1"), run(pawl, n="2")
    in_place(pawl)
    assert len(blobs(pawl)) == 3
    pawl.kill(pawl.master)
    db = os.path.join(pawl.state, "pawl.db")
    import sqlite3
    with sqlite3.connect(db) as c:
        c.execute("UPDATE artifact SET expires=1 WHERE attempt=(SELECT attempt FROM build WHERE id=?)", (first["id"],))
    c.close()
    pawl.start_master(env={"PW_FAULT": fault} if fault else None)
    if fault.endswith("kill"):
        until(lambda: pawl.master.poll() is not None, 30, "the fault")
        pawl.start_master()
    until(lambda: len(blobs(pawl)) == 2, 90, "the bytes to go")
    assert files(pawl, first) == {} and fetch(pawl, first, "x")[0] == 404
    assert fetch(pawl, second, "y")[1] == b"of both\n" and fetch(pawl, second, "x")[1] == b"only of 2\n"
    assert "no row names it" not in doctor(pawl)


def test_backup_has_the_files(pawl, repo):
    begin(pawl, repo, STEP)
    b = run(pawl, cmd="mkdir -p out; printf kept > out/a")
    backup, again = os.path.join(pawl.dir, "b.tar.zst"), os.path.join(pawl.dir, "again")
    subprocess.run([f"{BUILD}/pawl-master", "--state", pawl.state, "backup", backup], check=True, capture_output=True)
    pawl.kill(pawl.workers["w1"])
    pawl.kill(pawl.master)
    subprocess.run([f"{BUILD}/pawl-master", "--state", again, "restore", backup], check=True, capture_output=True)
    pawl.state = again
    pawl.start_master()
    assert fetch(pawl, b, "out/a")[1] == b"kept"


JUNIT = '<testsuite name="s"><testcase classname="c" name="good" time="0.5"/><testcase name="bad"><failure/></testcase><testcase name="no"><skipped/></testcase></testsuite>'
REPORTS = "[{name: go, run: 'eval \"$cmd\"', reports: {junit: 'r/*.xml', tap: {paths: '*.tap', optional: true}}}]"


def cases_of(pawl, b, query=""):
    return pawl.get(f"/builds/{b['id']}/tests{query}")


def test_reports_are_read(pawl, repo):
    begin(pawl, repo, REPORTS)
    b = run(pawl, cmd=f"mkdir -p r; echo '{JUNIT}' > r/a.xml; printf '1..2\\nok 1 - x\\nnot ok 2 - y\\n' > t.tap; exit 1")
    assert b["result"] == "failure" and steps_of(pawl, b)[0]["reason"] == "exit code 1"
    got = cases_of(pawl, b)
    assert [(r["format"], r["path"], r["tests"], r["failed"], r["skipped"], r["reason"]) for r in got["reports"]] == [
        ("junit", "r/a.xml", 3, 1, 1, None), ("tap", "t.tap", 2, 1, 0, None)]
    assert [(t["suite"], t["name"], t["result"], t["ms"]) for t in got["items"]] == [
        ("c", "good", "passed", 500), ("s", "bad", "failed", 0), ("s", "no", "skipped", 0), (None, "x", "passed", 0), (None, "y", "failed", 0)]
    assert [t["name"] for t in cases_of(pawl, b, "?result=failed")["items"]] == ["bad", "y"]
    assert "pawl: 1 junit report: 3 tests, 1 failed, 1 skipped" in pawl.raw_log(b["id"], "go").decode()
    assert {f["kind"] for f in files(pawl, b).values()} == {"report"} and fetch(pawl, b, "r/a.xml")[1].decode().strip() == JUNIT
    b = run(pawl, cmd="rm -rf r *.tap; mkdir r; (echo '<testsuite>'; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo \"<testcase name='t$i'/>\"; done; echo '</testsuite>') > r/a.xml")
    assert b["result"] == "success"
    page = cases_of(pawl, b, "?limit=1000")
    names = [t["name"] for t in page["items"]]
    while page["next"]:
        page = cases_of(pawl, b, "?limit=1000&cursor=" + page["next"])
        names += [t["name"] for t in page["items"]]
    assert names == [f"t{i}" for i in range(1, 3001)]


@pytest.mark.parametrize("cmd, why", [
    ("true", 'no junit report matches "r/*.xml"'), ("mkdir r; echo '<testsuites/>' > r/a.xml", "hold no test"),
    ("mkdir r; : > r/a.xml", "report r/a.xml: line 1: no element found"), ("mkdir r; echo '<testsuite><testcase' > r/a.xml", "report r/a.xml: line "),
    ("mkdir r; mkfifo r/a.xml", "no junit report"), ("mkdir r; ln -s /etc/passwd r/a.xml", "no junit report"),
    ("mkdir r; echo '<!DOCTYPE l [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><testsuite><testcase name=\"x\">&a;</testcase></testsuite>' > r/a.xml", "declares entities")])
def test_empty_report_is_red(pawl, repo, cmd, why):
    begin(pawl, repo, REPORTS, "  - {name: opt, project: p, properties: {cmd: 'true'}, steps: [{name: go, run: 'eval \"$cmd\"', reports: {junit: 'r/*.xml', optional: true}}]}\n")
    b = run(pawl, cmd=cmd)
    assert b["result"] == "failure" and why in steps_of(pawl, b)[0]["reason"], steps_of(pawl, b)
    b = run(pawl, "opt", cmd=cmd)
    assert b["result"] == "success" and why in pawl.raw_log(b["id"], "go").decode()


def test_reports_as_a_step(pawl, repo):
    begin(pawl, repo, "[{name: go, run: 'printf \"1..1\\nok 1 - x\\n\" > t.tap; exit 1', halt_on_failure: false, flunk_on_failure: false}, {reports: {tap: t.tap}}, {reports: {gotest: none.json}}]")
    b = run(pawl)
    s = steps_of(pawl, b)
    assert [(x["kind"], x["result"]) for x in s] == [("run", "failure"), ("reports", "success"), ("reports", "failure")]
    assert cases_of(pawl, b)["items"][0]["step"] == 1
