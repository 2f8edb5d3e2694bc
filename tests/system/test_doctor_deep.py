"""pawl doctor --deep: one test a finding, each with the place and the cure; and silence on a sound master."""
import glob, json, os, shutil, signal, sqlite3, subprocess, time
import pytest
from conftest import BUILD, SLOW, until
from test_backup import backup, damage, deep, found, master, one_build, page_of, rows, stopped


def wrong(items):
    return [x for x in items if x["level"] == "wrong"]


@pytest.fixture
def idle(simple):
    """Some finished builds, nothing under way."""
    for i in range(3):
        one_build(simple, f"text {i}")
    until(lambda: not [b for b in simple.builds("?limit=1000") if b["state"] != "done"], 60, "rest")
    until(lambda: not rows(simple, "SELECT 1 FROM log WHERE sealed=0"), 30, "sealed logs")
    return simple


def asked(pawl):
    """For a build with some output. A fault of before may have killed the master, or keep it from taking work for seconds."""
    body = {"builder": "any", "reason": "x", "properties": {"cmd": "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; done"}}
    try:
        return pawl.master.poll() is not None or pawl.request("POST", "/force", body)[0] == 202
    except OSError:
        return False


def test_sound_after_many_deaths(idle):
    pawl = idle
    assert not wrong(deep(pawl)), "at first"
    for n in range(6):
        until(lambda: asked(pawl), 30, "a build to be taken")
        env = [{"PW_FAULT": "logs.seal:1"}, {"PW_FAULT": "store.commit:40=kill"}, {}, {"PW_FAULT": "logs.append:2"}, {"PW_FAULT": "store.commit:9=kill"}, {}][n]
        pawl.kill(pawl.master)
        pawl.start_master(env=env, wait=False)
        until(lambda: pawl.master.poll() is not None or os.path.exists(os.path.join(pawl.state, "web.addr")), 30, "a start")
        if pawl.master.poll() is None:
            pawl.url = open(os.path.join(pawl.state, "web.addr")).read().strip()
        deep(pawl, None)  # never in the way
    if pawl.master.poll() is None:
        pawl.kill(pawl.master)
    pawl.start_master()
    until(lambda: pawl.worker("w1")["state"] == "connected", 60, "the worker")
    until(lambda: not [b for b in pawl.builds("?limit=1000") if b["state"] != "done"], 90, "rest")
    until(lambda: not rows(pawl, "SELECT 1 FROM log WHERE sealed=0"), 60, "sealed logs")
    items = deep(pawl)
    assert not wrong(items), items
    told = pawl.pawl("doctor", "--deep")
    assert "every page" in told and "read whole" in told and "the master is well" in told, told
    names = {x["name"] for x in items}
    assert names >= {"modes", "disk", "clock", "backup", "admin.token", "database", "rows", "logs", "orphan", "repository", "configuration"}, names
    stopped(pawl)
    assert not wrong(deep(pawl)), "and stopped"


def test_remote_doctor_says_where_to_run_it(idle):
    p = subprocess.run([f"{BUILD}/pawl", "--url", idle.url, "doctor", "--deep"], env=idle.env, capture_output=True, text=True, timeout=60)
    assert p.returncode == 2 and "--state" in p.stderr, p.stderr


def test_modes(idle):
    for path, mode in (("keys/master.secret", 0o600), ("pawl.db", 0o600), (".", 0o700)):
        full = os.path.join(idle.state, path)
        os.chmod(full, mode | 0o44)
        bad = found(deep(idle, 1), "modes")
        assert len(bad) == 1 and f"chmod {mode:04o}" in bad[0], bad
        os.chmod(full, mode)


def test_through_the_client(idle):
    os.chmod(os.path.join(idle.state, "admin.token"), 0o644)
    said = idle.pawl("doctor", "--deep", code=1)
    assert "wrong  modes" in said and "chmod 0600" in said and "admin.token" in said, said
    os.chmod(os.path.join(idle.state, "admin.token"), 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_full_disk(idle):
    stopped(idle)
    small = os.path.join(idle.dir, "small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", small], capture_output=True).returncode != 0:
        pytest.skip("no mount here")
    try:
        shutil.copytree(idle.state, small, dirs_exist_ok=True)
        idle.state = small
        bad = found(deep(idle, 1), "disk")
        assert bad and small in bad[0] and "free some space" in bad[0], bad
    finally:
        subprocess.run(["umount", small], check=True)


def test_damaged_page(idle):
    stopped(idle)
    rows(idle, "PRAGMA wal_checkpoint(TRUNCATE)")
    damage(idle, (page_of(idle, "change_stamp") - 1) * 4096)
    items = deep(idle, 1)
    bad = found(items, "database")
    assert bad and "pawl.db" in bad[0] and "restore" in bad[0], bad
    assert not found(items, "rows")


def test_rows_that_cannot_be(idle):
    stopped(idle)
    rows(idle, "UPDATE attempt SET stored=applied+5 WHERE id=(SELECT max(id) FROM attempt)")
    bad = found(deep(idle, 1), "rows")
    assert len(bad) == 1 and "stored" in bad[0] and "OFFSETS" in bad[0], bad


def sealed_log(pawl):
    return max(glob.glob(os.path.join(pawl.state, "logs/[0-9a-f][0-9a-f]/*.log")), key=os.path.getsize)


def test_logs(idle):
    log = sealed_log(idle)
    whole = open(log, "rb").read()
    for data, text in ((whole[:-1], "foot"), (b"\xee" + whole[1:], "frame"), (None, "not there")):
        os.unlink(log)
        if data is not None:
            with open(log, "wb") as f:
                f.write(data)
        bad = found(deep(idle, 1), "logs")
        assert len(bad) == 1 and text in bad[0] and os.path.basename(log) in bad[0] and "from a backup" in bad[0], bad
        if data is None:
            open(log, "w").close()
    with open(log, "wb") as f:
        f.write(whole)
    assert not wrong(deep(idle))


def test_log_shorter_than_its_row(idle):
    """Output of a running build: its segment ends before the bytes that a row names."""
    r = idle.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done; sleep 60"}})["requests"][0]
    until(lambda: rows(idle, "SELECT 1 FROM frame"), 30, "a frame row")
    assert not wrong(deep(idle))
    idle.kill(idle.master)
    seg, end = rows(idle, "SELECT segment, max(at+len) FROM frame")[0]
    os.truncate(os.path.join(idle.state, f"logs/seg/{seg:08d}.seg"), end - 1)
    bad = found(deep(idle, 1), "logs")
    assert len(bad) == 1 and "ends at" in bad[0], bad


def test_clock(idle):
    stopped(idle)
    now = int(time.time() * 1000)
    attempt, = rows(idle, "SELECT max(id) FROM attempt WHERE state>=2")[0]
    before, = rows(idle, "SELECT started FROM step WHERE attempt=? AND idx=0", attempt)[0]
    rows(idle, "UPDATE step SET started=started-3600000 WHERE attempt=? AND idx=0", attempt)
    bad = found(deep(idle, 1), "clock")
    assert len(bad) == 1 and "w1" in bad[0] and "behind" in bad[0] and "time service" in bad[0], bad
    rows(idle, "UPDATE step SET started=? WHERE attempt=? AND idx=0", before, attempt)
    rows(idle, "UPDATE build SET created=? WHERE id=(SELECT max(id) FROM build)", now + 3600000)
    bad = found(deep(idle, 1), "clock")
    assert len(bad) == 1 and "ahead" in bad[0], bad


def test_repository(idle, repo):
    os.rename(repo.bare, repo.bare + ".away")
    bad = found(deep(idle, 1), "repository")
    assert len(bad) == 1 and repo.bare in bad[0] and "git ls-remote" in bad[0], bad
    os.rename(repo.bare + ".away", repo.bare)
    assert not wrong(deep(idle))


def test_tokens(idle):
    stopped(idle)
    token = os.path.join(idle.state, "admin.token")
    rows(idle, "UPDATE token SET expires=1")
    items = deep(idle, 1)
    assert "expired" in found(items, "admin.token")[0] and found(items, "token", "note"), items
    rows(idle, "UPDATE token SET expires=NULL, revoked=1")
    assert "revoked" in found(deep(idle, 1), "admin.token")[0]
    rows(idle, "DELETE FROM token")
    assert "not known" in found(deep(idle, 1), "admin.token")[0]
    os.unlink(token)
    assert "is not there" in found(deep(idle, 1), "admin.token")[0]


def test_join_token(idle):
    idle.pawl("worker", "add", "late")
    stopped(idle)
    rows(idle, "UPDATE enrol SET expires=1")
    assert "late" in found(deep(idle, 0), "join token", "note")[0]


def test_orphans(idle):
    old = time.time() - 3600
    for name in ("logs/05/999999-0-0.log", "logs/seg/00000000.seg.bak", "logs/07/junk", "mirrors/77.git", sealed_log(idle) + ".new"):
        path = os.path.join(idle.state, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
        os.utime(path, (old, old))
        bad = found(deep(idle, 1), "orphan")
        assert len(bad) == 1 and os.path.basename(path) in bad[0] and "rm " in bad[0], (name, bad)
        os.unlink(path)
    stopped(idle)
    open(os.path.join(idle.state, "logs/seg/00000900.seg"), "w").close()
    assert "next start removes it" in found(deep(idle, 0), "orphan", "note")[0]
    config = open(idle.config).read()
    idle.configure(config.replace("name: p,", "name: q,").replace("project: p", "project: q"))
    bad = found(deep(idle, 1), "orphan")
    assert len(bad) == 1 and "mirrors/1.git" in bad[0] and '"p"' in bad[0], bad


def test_old_intent(idle):
    stopped(idle)
    rows(idle, "INSERT INTO promotion(id,edge,project,source,target,rev,state,created) VALUES(99,'stable',1,'master','stable',x'00',0,?)", int(time.time() * 1000) - 3700000)
    bad = found(deep(idle, 1), "promotion")
    assert len(bad) == 1 and "61 minutes" in bad[0] and "git ls-remote" in bad[0], bad


def test_broken_configuration(idle):
    idle.configure("nonsense: [\n")
    bad = found(deep(idle, 1), "configuration")
    assert len(bad) == 1 and idle.config in bad[0] and "pawl-master check" in bad[0], bad
