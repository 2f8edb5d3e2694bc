"""Backup beside a running master, restore, and what a master does with a state directory that is not what it should be."""
import glob, json, os, shutil, signal, sqlite3, subprocess, threading, time
import pytest
from conftest import BUILD, SLOW, CONFIG, Pawl, Repo, alive, until

MASTER = f"{BUILD}/pawl-master"


def master(pawl, *args, code=0, env=None, **kw):
    p = subprocess.run([MASTER, "--state", kw.pop("state", pawl.state), *args], cwd=pawl.dir, env=dict(pawl.env, **(env or {})), capture_output=True, text=True,
                       timeout=120 * SLOW, stdin=subprocess.DEVNULL, **kw)
    assert code is None or p.returncode == code, f"pawl-master {args} gave {p.returncode}\n{p.stdout}\n{p.stderr}"
    return p


def backup(pawl, name="b.tar.zst", *more, **kw):
    path = os.path.join(pawl.dir, name)
    return path, json.loads(master(pawl, "--json", "backup", path, *more, **kw).stdout)


def deep(pawl, code=0, *more):
    p = master(pawl, "--config", pawl.config, "--json", "--deep", "doctor", *more, code=code)
    return json.loads(p.stdout)["items"]


def found(items, name, level="wrong"):
    return [x["text"] + " | " + x["cure"] for x in items if x["name"] == name and x["level"] == level]


def rows(pawl, sql, *args, state=None):
    db = sqlite3.connect(os.path.join(state or pawl.state, "pawl.db"), timeout=10)
    try:
        got = db.execute(sql, args).fetchall()
        db.commit()
        return got
    finally:
        db.close()


def stopped(pawl):
    """The state of a master that did some work, stopped."""
    pawl.kill(pawl.master, signal.SIGTERM)


def refused(pawl, *more, env=None):
    """A start that is refused: what it said."""
    p = subprocess.run([MASTER, "--config", pawl.config, "--state", pawl.state, *more], cwd=pawl.dir, env=dict(pawl.env, **(env or {})), capture_output=True,
                       text=True, timeout=60 * SLOW)
    assert p.returncode == 1, (p.returncode, p.stderr)
    return p.stderr


def one_build(pawl, text="hello"):
    until(lambda: pawl.get("/changes")["items"], 20, "the first change")
    return pawl.build_of(pawl.post("/force", {"builder": "any", "reason": "x", "properties": {"cmd": f"echo {text}"}})["requests"][0])


# ---- backup and restore under load
class Load(threading.Thread):
    """Asks for builds without pause, each with output of its own; remembers what it asked for."""

    def __init__(self, pawl):
        super().__init__(daemon=True)
        self.pawl, self.stop, self.asked = pawl, False, {}

    def run(self):
        n = 0
        while not self.stop:
            n += 1
            text = f"output of number {n}"
            cmd = f"i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo $i {text}; done; echo x >> {self.pawl.dir}/ran-{n}"
            try:
                r = self.pawl.post("/force", {"builder": "any", "reason": "load", "properties": {"cmd": cmd}}, key=f"load-{id(self)}-{n}")["requests"][0]
            except (OSError, AssertionError):
                return
            self.asked[r] = (n, "".join(f"{i} {text}\n" for i in range(1, 31)).encode())
            time.sleep(0.02)


def all_done(pawl):
    b = pawl.builds("?limit=1000")
    return b if b and all(x["state"] == "done" for x in b) and not pawl.get("/requests?state=waiting")["items"] else None


def test_restore_during_load(simple, repo):
    pawl = simple
    until(lambda: repo.ref("stable"), 30, "the first promotion")
    until(lambda: pawl.get("/changes")["items"], 20, "the first change")
    load = Load(pawl)
    load.start()
    until(lambda: len([b for b in pawl.builds("?limit=1000") if b["state"] == "done"]) > 15, 60, "some builds")
    # one that runs over the backup, and ends after it in the master's later life
    mark = os.path.join(pawl.dir, "go-on")
    slow = pawl.post("/force", {"builder": "any", "reason": "slow", "properties": {
        "cmd": f"echo before; while ! [ -e {mark} ]; do sleep 0.05; done; echo after; echo x >> {pawl.dir}/ran-slow"}})["requests"][0]
    until(lambda: [b for b in pawl.builds("?limit=1000") if b["request"] == slow and b["state"] == "running"], 60, "the slow one")
    before = {b["id"]: b for b in pawl.builds("?limit=1000") if b["state"] == "done"}
    logs = {i: pawl.raw_log(i, "go") for i, b in before.items() if b["builder"].endswith("any")}
    path, made = backup(pawl)
    assert made["missing"] == 0 and made["files"] > len(logs)
    open(mark, "w").close()
    late = pawl.build_of(slow)  # ended, acknowledged and forgotten, all behind the backup
    new = repo.commit({"after": "1"}, "after the backup")
    until(lambda: repo.ref("stable") == new, 60, "a promotion behind the backup")
    unknown = max(b["id"] for b in pawl.builds("?limit=1000"))
    seen = len([b for b in pawl.builds("?limit=1000") if b["id"] > late["id"] and b["state"] == "done"])
    assert seen
    load.stop = True
    load.join()
    pawl.kill(pawl.master)
    shutil.rmtree(pawl.state)
    told = json.loads(master(pawl, "--json", "restore", path).stdout)
    assert told["epoch"] == made["epoch"] != told["new_epoch"]
    highest = rows(pawl, "SELECT max(max(id), (SELECT max(id) FROM request)) FROM build")[0][0]
    assert highest < unknown
    # what was at a worker at the backup is run once; what waited may have been begun in the lost future too
    at_worker = {r for r, in rows(pawl, "SELECT b.request FROM build b JOIN attempt a ON a.id=b.attempt WHERE a.state<2")}
    assert slow in at_worker
    pawl.start_master()
    until(lambda: pawl.worker("w1")["state"] == "connected", 60, "the worker")
    until(lambda: all_done(pawl), 90, "everything that was under way")
    after = {b["id"]: b for b in pawl.builds("?limit=1000")}
    for i, b in before.items():
        assert after[i]["result"] == b["result"] and after[i]["finished"] == b["finished"], (b, after[i])
    for i, text in logs.items():
        assert pawl.raw_log(i, "go") == text
    # the worker still had what its master had let go: counted once, run once
    mine = [b for b in after.values() if b["request"] == slow]
    assert len(mine) == 1 and mine[0]["result"] == "success" and mine[0]["attempt"] == 1, mine
    assert pawl.raw_log(mine[0]["id"], "go") == b"before\nafter\n"
    assert open(f"{pawl.dir}/ran-slow").read() == "x\n"
    # ids go on far above; those of the lost future are never given again
    assert all(i <= highest or i > 1000000 for i in after), (highest, sorted(after))
    fresh = one_build(pawl)
    assert fresh["id"] > 1000000 and fresh["id"] not in before
    # what began behind the backup is shown, not counted, and nothing of it ran twice
    checks = json.loads(pawl.request("GET", "/healthz")[1])["checks"]
    assert [c for c in checks if c["name"] == "held w1" and c["ok"] and "not wanted" in c["text"]], checks
    assert any(x["level"] == "note" and x["name"] == "held w1" for x in json.loads(pawl.pawl("--json", "doctor"))["items"])
    for r, (n, text) in load.asked.items():
        got = [b for b in after.values() if b["request"] == r]
        assert len(got) <= 1
        if got:
            assert got[0]["result"] == "success" and pawl.raw_log(got[0]["id"], "go") == text
        ran = open(f"{pawl.dir}/ran-{n}").read() if os.path.exists(f"{pawl.dir}/ran-{n}") else ""
        runs = ran.count("x")
        assert runs <= (2 if got and r not in at_worker and got[0]["id"] not in before else 1), (r, n, ran, got)
        assert runs >= 1 or not got, (r, n, got)
    # the branch was moved behind the backup: looked at, neither doubled nor set back
    assert repo.ref("stable") == new
    assert all(p["state"] == "done" for p in pawl.get("/promotions")["items"])
    items = deep(pawl)
    assert not [x for x in items if x["level"] == "wrong"], items
    # and once more, out of the restored one
    path, made = backup(pawl, "second.tar.zst")
    pawl.kill(pawl.master)
    shutil.rmtree(pawl.state)
    master(pawl, "restore", path)
    pawl.start_master()
    until(lambda: pawl.worker("w1")["state"] == "connected", 60, "the worker")
    again = one_build(pawl)
    assert again["id"] > 2000000
    assert {b["id"] for b in pawl.builds("?limit=1000")} >= set(after)


# ---- backups of every kind
def test_stopped_master_and_mirrors(simple):
    pawl = simple
    b = one_build(pawl, "kept")
    stopped(pawl)
    path, made = backup(pawl, "b.tar.zst", "--with-mirrors")
    names = subprocess.run(["tar", "--zstd", "-tf", path], capture_output=True, text=True, check=True).stdout.split("\n")
    assert names[0] == "pawl-backup.json" and "pawl.db" in names and "keys/master.secret" in names and "end.json" in names, names
    assert [n for n in names if n.startswith("mirrors/1.git/objects/")], names
    assert os.stat(path).st_mode & 0o777 == 0o600 and not glob.glob(path + ".*")
    other = os.path.join(pawl.dir, "other")
    said = master(pawl, "restore", path, state=other).stdout
    assert "new epoch" in said and "Next:" in said, said
    assert os.stat(other).st_mode & 0o777 == 0o700 and os.stat(other + "/keys/master.secret").st_mode & 0o777 == 0o600
    pawl.state = other
    pawl.start_master()
    assert pawl.raw_log(b["id"], "go") == b"kept\n"


def test_restore_refuses(simple):
    pawl = simple
    one_build(pawl)
    path, _ = backup(pawl)
    said = master(pawl, "restore", path, code=1).stderr
    assert "a master runs" in said, said
    stopped(pawl)
    before = rows(pawl, "SELECT value FROM meta WHERE key='epoch'")
    assert "not empty" in master(pawl, "restore", path, code=1).stderr
    assert rows(pawl, "SELECT value FROM meta WHERE key='epoch'") == before
    whole = open(path, "rb").read()
    new = os.path.join(pawl.dir, "new")
    for at in (0, len(whole) // 3, len(whole) // 2, len(whole) - 5):
        with open(path, "wb") as f:
            f.write(whole[:at])
        said = master(pawl, "restore", path, state=new, code=1).stderr
        assert "nothing was restored" in said and "member" in said, said
        assert os.listdir(new) in ([], ["lock"])
    with open(path, "wb") as f:
        f.write(whole)
    # cut off by a kill: no master starts on it, and the next restore begins anew
    for point in ("restore.unpack", "restore.epoch"):
        p = master(pawl, "restore", path, state=new, code=None, env={"PW_FAULT": point + ":1=kill"})
        assert p.returncode == -signal.SIGKILL and os.path.exists(new + "/restoring")
        half = subprocess.run([MASTER, "--config", pawl.config, "--state", new], cwd=pawl.dir, env=pawl.env, capture_output=True, text=True, timeout=60)
        assert half.returncode == 1 and "cut off" in half.stderr, half.stderr
    master(pawl, "restore", path, state=new)
    assert not os.path.exists(new + "/restoring")


@pytest.mark.parametrize("point", ["backup.copy", "backup.write", "backup.rename"])
def test_backup_that_dies_leaves_the_old_one(simple, point):
    pawl = simple
    one_build(pawl)
    path, _ = backup(pawl)
    old = open(path, "rb").read()
    assert "no backup was made" in master(pawl, "backup", path, code=1, env={"PW_FAULT": point}).stderr
    assert open(path, "rb").read() == old and not glob.glob(path + ".*")
    p = master(pawl, "backup", path, code=None, env={"PW_FAULT": point + ":1=kill"})
    assert p.returncode == -signal.SIGKILL
    assert open(path, "rb").read() == old
    backup(pawl)  # over what the killed one left
    assert not glob.glob(path + ".*")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_backup_to_a_full_disk(simple):
    pawl = simple
    one_build(pawl)
    small = os.path.join(pawl.dir, "small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode != 0:
        pytest.skip("no mount here")
    try:
        said = master(pawl, "backup", small + "/b.tar.zst", code=1).stderr
        assert "full" in said and small in said, said
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert one_build(pawl)["result"] == "success"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_backup_without_permission(simple):
    pawl = simple
    one_build(pawl)
    stopped(pawl)
    # what another user may read is copied where that user may be
    place = f"/tmp/pawl-perm-{os.getpid()}"
    try:
        shutil.copytree(pawl.state, place + "/state")
        os.mkdir(place + "/closed", 0o755)
        os.chmod(place, 0o755)
        for root, dirs, files in os.walk(place + "/state"):
            for n in [root] + [os.path.join(root, f) for f in files]:
                os.chown(n, 65534, 65534)
        program = shutil.copy(MASTER, place)
        p = subprocess.run([program, "--state", place + "/state", "backup", place + "/closed/b"], user=65534, group=65534, cwd="/", capture_output=True, text=True)
        assert p.returncode == 1 and "Permission denied" in p.stderr and "closed" in p.stderr, p.stderr
        # root's backup of another user's state leaves nothing that this user cannot use
        subprocess.run([program, "--state", place + "/state", "backup", place + "/closed/b"], check=True, capture_output=True)
        assert {os.stat(os.path.join(place, "state", f)).st_uid for f in os.listdir(place + "/state")} == {65534}
        p = subprocess.run([program, "--config", pawl.config, "--state", place + "/state"], capture_output=True, text=True)
        assert p.returncode == 1 and "belongs to user 65534" in p.stderr and "chown" in p.stderr, p.stderr
    finally:
        shutil.rmtree(place, ignore_errors=True)


# ---- what a start finds
def page_of(pawl, name, leaf=False):
    """Root page of a table or index; with leaf: the newest leaf below it."""
    root = rows(pawl, "SELECT rootpage FROM sqlite_schema WHERE name=?", name)[0][0]
    if not leaf:
        return root
    data = open(os.path.join(pawl.state, "pawl.db"), "rb").read()
    page = data[(root - 1) * 4096:root * 4096]
    return int.from_bytes(page[8:12], "big") if page[0] in (2, 5) else root


def damage(pawl, at, n=64):
    with open(os.path.join(pawl.state, "pawl.db"), "r+b") as f:
        f.seek(at)
        f.write(b"\xee" * n)


@pytest.mark.parametrize("what", ["leaf", "index", "header", "short"])
def test_damaged_database(simple, what):
    pawl = simple
    for _ in range(3):
        one_build(pawl)
    path, _ = backup(pawl)
    stopped(pawl)
    db = os.path.join(pawl.state, "pawl.db")
    rows(pawl, "PRAGMA wal_checkpoint(TRUNCATE)")
    if what == "leaf":
        damage(pawl, (page_of(pawl, "build", True) - 1) * 4096)
    elif what == "index":
        damage(pawl, (page_of(pawl, "build_builder") - 1) * 4096)
    elif what == "header":
        damage(pawl, 0)
    else:
        os.truncate(db, os.path.getsize(db) // 2)
    before = open(db, "rb").read()
    said = refused(pawl)
    assert "pawl.db" in said and "restore FILE" in said and path in said and ".recover" in said, said
    assert open(db, "rb").read() == before, "it is left as it is"
    bad = found(deep(pawl, 1), "database")
    assert bad and "restore" in bad[0], bad
    os.rename(pawl.state, pawl.state + ".away")
    master(pawl, "restore", path)
    pawl.start_master()
    assert len(pawl.builds()) >= 3


def test_truncated_wal(simple):
    pawl = simple
    done = [one_build(pawl, str(i))["id"] for i in range(5)]
    pawl.kill(pawl.workers["w1"])
    pawl.kill(pawl.master)
    wal = os.path.join(pawl.state, "pawl.db-wal")
    size = os.path.getsize(wal)
    assert size > 0
    os.truncate(wal, size - 100)
    pawl.start_master()
    assert set(done) & {b["id"] for b in pawl.builds()} or size > 0
    pawl.start_worker(wait=True)
    assert one_build(pawl)["result"] == "success"
    assert not [x for x in deep(pawl) if x["level"] == "wrong"]


def test_missing_files(simple):
    pawl = simple
    one_build(pawl)
    path, _ = backup(pawl)
    stopped(pawl)
    key = os.path.join(pawl.state, "keys/master.secret")
    old = open(key).read()
    os.unlink(key)
    said = refused(pawl)
    assert "master.secret" in said and "1 workers know it" in said and "--new-key" in said, said
    assert not os.path.exists(key)
    with open(key, "w") as f:
        f.write(old)
    said = refused(pawl)  # written with 0644 by hand
    assert "0644" in said and "chmod 0600" in said, said
    os.chmod(key, 0o600)
    os.chmod(os.path.join(pawl.state, "admin.token"), 0o644)
    pawl.start_master()
    assert "admin_token_readable" in pawl.log("master")
    assert found(deep(pawl, 1), "modes")
    os.chmod(os.path.join(pawl.state, "admin.token"), 0o600)
    stopped(pawl)
    # the folder of logs: results stay, and it is said what is not there
    shutil.move(os.path.join(pawl.state, "logs"), os.path.join(pawl.dir, "logs-away"))
    pawl.start_master()
    status, text, _ = pawl.request("GET", "/healthz")
    assert status == 503 and b"logs/ was missing" in text, text
    assert pawl.builds()[0]["result"] == "success"
    assert found(deep(pawl, 1), "logs")
    stopped(pawl)
    shutil.rmtree(os.path.join(pawl.state, "logs"))
    shutil.move(os.path.join(pawl.dir, "logs-away"), os.path.join(pawl.state, "logs"))
    # the database: never made anew beside files of the old one
    for f in glob.glob(os.path.join(pawl.state, "pawl.db*")):
        os.rename(f, f.replace("state/", "state-"))
    before = sorted(os.listdir(os.path.join(pawl.state, "logs/seg")))
    said = refused(pawl)
    assert "pawl.db" in said and "missing" in said and path in said, said
    assert sorted(os.listdir(os.path.join(pawl.state, "logs/seg"))) == before and not os.path.exists(os.path.join(pawl.state, "pawl.db"))


def test_new_key_on_purpose(simple):
    pawl = simple
    stopped(pawl)
    os.unlink(os.path.join(pawl.state, "keys/master.secret"))
    p = pawl.spawn("master-new", [MASTER, "--config", pawl.config, "--state", pawl.state, "--new-key"])
    until(lambda: os.path.exists(os.path.join(pawl.state, "keys/master.secret")) or p.poll() is not None, 20, "a new key")
    assert p.poll() is None


# ---- the last good configuration
def test_last_good_configuration(simple, repo):
    pawl = simple
    one_build(pawl)
    good = open(pawl.config).read()
    pawl.kill(pawl.master)
    pawl.configure("projects: [this is: no configuration\n")
    pawl.start_master()
    status, text, _ = pawl.request("GET", "/healthz")
    check = [c for c in json.loads(text)["checks"] if c["name"] == "configuration"][0]
    assert status == 503 and not check["ok"] and "last good" in check["text"] and pawl.config in check["text"], check
    assert "last_good_configuration" in pawl.log("master")
    until(lambda: pawl.worker("w1")["state"] == "connected", 30, "the worker")
    assert one_build(pawl)["result"] == "success"
    assert found(deep(pawl, 1), "configuration")
    pawl.kill(pawl.master)
    os.unlink(pawl.config)
    pawl.start_master()
    assert one_build(pawl)["result"] == "success"
    pawl.kill(pawl.master)
    pawl.configure(good + "name: other\n" if "name:" not in good else good.replace("name: test\n", "name: other\n", 1))
    pawl.start_master()
    assert pawl.request("GET", "/healthz")[0] == 200
    assert [g for g, in rows(pawl, "SELECT text FROM config ORDER BY gen")] == [good, open(pawl.config).read()]
    # without any good one there is no start
    p = subprocess.run([MASTER, "--config", "/nonexistent/x.yaml", "--state", os.path.join(pawl.dir, "fresh")], capture_output=True, text=True, timeout=60)
    assert p.returncode == 2 and "x.yaml" in p.stderr, p.stderr


def test_old_schema(simple, repo):
    """The database of the first schema: a backup before the upgrade, the upgrade, and what was there."""
    pawl = simple
    stopped(pawl)
    pawl.kill(pawl.workers["w1"], signal.SIGTERM)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    pawl.state = os.path.join(pawl.dir, "old")
    os.mkdir(pawl.state, 0o700)
    db = sqlite3.connect(os.path.join(pawl.state, "pawl.db"))
    db.executescript(open(os.path.join(root, "tests/data/schema/1.sql")).read())
    db.close()
    os.chmod(os.path.join(pawl.state, "pawl.db"), 0o600)
    old = rows(pawl, "SELECT id, result FROM build WHERE state=4 ORDER BY id")
    path, made = backup(pawl)
    assert made["schema"] == 1 and old
    os.makedirs(os.path.join(pawl.state, "keys"), 0o700)
    for k in ("master.secret", "mark.secret"):  # workers know one
        shutil.copy2(os.path.join(pawl.dir, "state/keys", k), os.path.join(pawl.state, "keys", k))
    pawl.start_master()
    got = {b["id"]: b["result"] for b in pawl.builds("?limit=1000")}
    assert set(i for i, _ in old) <= set(got)
    assert rows(pawl, "PRAGMA user_version") == [(3,)] and os.path.exists(os.path.join(pawl.state, "pawl.db.schema-1"))
    other = os.path.join(pawl.dir, "other")
    master(pawl, "restore", path, state=other)
    assert rows(pawl, "PRAGMA user_version", state=other) == [(3,)]
    assert rows(pawl, "SELECT id, result FROM build WHERE state=4 ORDER BY id", state=other) == old
    stopped(pawl)
    rows(pawl, "PRAGMA user_version=99")
    said = refused(pawl)
    assert "newer version" in said and "backup" in said, said
