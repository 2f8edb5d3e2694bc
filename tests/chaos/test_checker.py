"""The checker can see: a finished state that is good passes, and each damage to a copy of it is found by the rule that is meant."""
import glob, json, os, shutil, sqlite3, subprocess, sys
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [p for p in (HERE, os.path.join(os.path.dirname(HERE), "system")) if p not in sys.path]
import chaos, checker, follow, load, plan, sealed, step, world  # noqa: E402


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run without any fault: pushes that are promoted or not, forced builds, a cancel, a retry."""
    path = str(tmp_path_factory.mktemp("good"))
    record = world.Record()
    w = world.World(path, record, workers=1, slots=4)
    l, f = load.Load(w, record, 1), follow.Follower(w, record)
    do = lambda kind, **a: l.do(plan.Action(0, kind, a))
    try:
        l.begin()
        w.begin()
        f.start()
        l.start()
        world.until(lambda: (l.get("/builds?state=done") or {"items": []})["items"], 30, "the first build")
        for spec in ("lines-5", "odd-2", "big-1", "fail-1", "stubborn-1", "stderr-3", "quiet-1"):
            do("force", spec=spec, branch="master", again=spec == "lines-5")
        do("push", spec="lines-2", branch="master", commits=2)
        do("client", spec="lines-8", branch="master")
        do("force", spec="long-1", branch="master", again=False)
        world.until(lambda: len(l.open) == 8, 30, "the answers")
        running = next(r for r in l.open if "long-1" in [e.get("spec") for e in record.data["requests"].values() if e["answer"] and f"[{r}]" in e["answer"]])
        world.until(lambda: any(b["request"] == running for b in (l.get("/builds?state=running") or {"items": []})["items"]), 30, "the long build")
        do("cancel", which=list(reversed(l.open)).index(running))
        do("retry", which=0)
        chaos.conclude(w, l, f, record, quiet=1.5)
    finally:
        w.halt = f.halt = l.halt = True
        w.close()
    assert record.violations == []
    assert record.counts.get("answers repeated") and not w.runners()
    return path


@pytest.fixture
def copy(good, tmp_path):
    path = str(tmp_path / "copy")
    shutil.copytree(good, path, symlinks=True, ignore=shutil.ignore_patterns("grown", "work", "mirrors"))
    return path


def found(path):
    return {v.split(":")[0] for v in checker.check(path).violations}


def sql(path, *statements):
    db = sqlite3.connect(path + "/state/pawl.db")
    for s in statements:
        assert db.execute(s).rowcount != 0, f"nothing was damaged by {s}"
    db.commit()
    db.close()


def edit(path, fn):
    name = path + "/record.json"
    record = json.load(open(name))
    fn(record)
    json.dump(record, open(name, "w"))


def forced(record, spec):
    return next(e for e in record["requests"].values() if e.get("spec") == spec)


def test_good_state_has_no_violation(copy):
    run = checker.check(copy)
    assert run.violations == []
    assert len(run.builds) >= 14 and run.n_promotions >= 3 and run.bytes > 10 ** 6
    results = [b["result"] for b in run.builds.values()]
    assert checker.FAILURE in results and checker.CANCELLED in results and checker.SUCCESS in results


LAST_STEP = "(SELECT max(attempt) FROM step)"
PROMO = "id, edge, project, source, target, old, rev, state, reason, created, finished"
DAMAGES = {  # name: (rule that must see it, statements)
    "promotion recorded twice": ("promotion", f"INSERT INTO promotion SELECT id + 1000, {PROMO[4:]} FROM promotion WHERE id = 1"),
    "promotion not recorded": ("promotion", "DELETE FROM promotion WHERE id = 1"),
    "promotion open": ("rows", "UPDATE promotion SET state = 0 WHERE id = 1"),
    "promotion lost": ("promotion", "UPDATE promotion SET state = 2 WHERE id = 1"),
    "attempt removed": ("execution", "DELETE FROM attempt WHERE id = 2"),
    "attempt twice": ("again", "INSERT INTO attempt SELECT id + 1000, epoch, build, worker, state, offers, spool, boot, offered, digest, applied, applied_chain, stored,"
                               " stored_chain, result, ended, reason FROM attempt WHERE id = 2"),
    "attempt stored too far": ("rows", "UPDATE attempt SET stored = applied + 1 WHERE id = 2"),
    "attempt open": ("rows", "UPDATE attempt SET state = 1 WHERE id = 2"),
    "result turned": ("result", "UPDATE build SET result = 2 - result WHERE result IN (0, 2)"),
    "build open": ("rows", "UPDATE build SET state = 2 WHERE id = (SELECT max(id) FROM build)"),
    "build lost": ("request", "DELETE FROM build WHERE id = (SELECT max(id) FROM build)"),
    "build twice": ("rows", "INSERT INTO build SELECT 900000, request, builder, stamp, state, result, created, started, finished, worker, attempt, tries, reason"
                            " FROM build WHERE id = (SELECT max(id) FROM build)"),
    "request lost": ("request", "DELETE FROM request WHERE id = (SELECT max(id) FROM request)"),
    "request waits": ("rows", "UPDATE request SET state = 0 WHERE id = (SELECT max(id) FROM request)"),
    "request without result": ("request", "UPDATE request SET build = NULL WHERE id = (SELECT max(id) FROM request WHERE build IS NOT NULL)"),
    "request of nobody": ("request", "UPDATE buildset SET reason = 'x' || reason WHERE reason LIKE 'chaos force-%'"),
    "answer forgotten": ("answer", "DELETE FROM idem WHERE body LIKE '%requests%'"),
    "answer changed": ("answer", "UPDATE idem SET body = replace(body, '[', '[1') WHERE body LIKE '%requests%'"),
    "change lost": ("change", "DELETE FROM change WHERE id = (SELECT max(id) FROM change)"),
    "change twice": ("change", "INSERT INTO change(id, stamp, at, tip, forced, source, author, subject, files) SELECT id + 1000, stamp, at, tip, forced, source, author, subject, files FROM change WHERE id = (SELECT max(id) FROM change)"),
    "step runs for ever": ("steps", f"UPDATE step SET state = 1 WHERE attempt = {LAST_STEP}"),
    "step lost": ("steps", f"DELETE FROM step WHERE attempt = {LAST_STEP}"),
    "step counts wrong": ("log", f"UPDATE step SET bytes = bytes + 1 WHERE attempt = (SELECT max(attempt) FROM step WHERE bytes > 0 AND result = 0)"),
    "log row too short": ("file", "UPDATE log SET bytes = bytes - 1 WHERE bytes > 9"),
    "log not sealed": ("rows", "UPDATE log SET sealed = 0"),
    "frame left": ("rows", "INSERT INTO frame VALUES(1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1)"),
    "event lost": ("events", "DELETE FROM event WHERE seq = (SELECT max(seq) - 5 FROM event)"),
    "event changed": ("events", "UPDATE event SET kind = 8 - kind WHERE kind IN (2, 6)"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_row_is_found(copy, name):
    rule, statement = DAMAGES[name]
    sql(copy, statement)
    assert rule in found(copy), checker.check(copy).violations


def test_damaged_page_is_found(copy):
    sql(copy, "UPDATE meta SET value = value")  # the log goes into the file with the last close
    with open(copy + "/state/pawl.db", "r+b") as f:
        f.seek(0, 2)
        size = f.tell()
        for at in range(3 * 4096, size, 4096):
            f.seek(at + 100)
            f.write(os.urandom(200))
    assert "integrity" in found(copy)


def log_file(path, least=100):
    return max((p for p in glob.glob(path + "/state/logs/*/*.log") if os.path.getsize(p) > least), key=os.path.getsize)


@pytest.mark.parametrize("where", [10, -200, -30])
def test_changed_byte_of_a_sealed_log_is_found(copy, where):
    with open(log_file(copy), "r+b") as f:
        f.seek(where, 0 if where > 0 else 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 0x40]))
    assert "file" in found(copy)


def test_missing_and_additional_log_file_are_found(copy):
    name = log_file(copy)
    os.rename(name, name.replace(".log", "9.log"))
    bad = [v for v in checker.check(copy).violations if v.startswith("file:")]
    assert any("missing" in v for v in bad) and any("belongs to nothing" in v for v in bad)


@pytest.mark.parametrize("how", ["lost", "doubled", "changed", "cut"])
def test_a_line_lost_doubled_or_changed_is_found(copy, monkeypatch, how):
    real = step.known

    def other(spec):
        rows = real(spec).splitlines(keepends=True)
        if spec == "lines-5":
            rows = {"lost": rows[:3] + rows[4:], "doubled": rows[:3] + rows[2:], "changed": rows[:3] + [b"x" + rows[3][1:]] + rows[4:], "cut": rows[:-1]}[how]
        return b"".join(rows)
    monkeypatch.setattr(step, "known", other)
    assert found(copy) == {"log"}


def test_other_output_than_known_is_found(copy):
    def other(record):
        forced(record, "odd-2")["spec"] = "odd-3"
    edit(copy, other)
    assert {"log", "execution"} <= found(copy)


def test_output_that_users_got_differently_is_found(copy):
    def other(record):
        at = next(iter(record["raw"]))
        record["raw"][at][1] = "0" * 64
    edit(copy, other)
    assert found(copy) == {"raw"}


def test_request_that_is_not_there_is_found(copy):
    def more(record):
        record["requests"]["force-99"] = dict(forced(record, "odd-2"), answer='{"buildset":99,"requests":[99999]}')
    edit(copy, more)
    assert {"request", "answer"} <= found(copy)


def test_one_answer_for_two_keys_is_found(copy):
    def same(record):
        forced(record, "odd-2")["answer"] = forced(record, "fail-1")["answer"]
    edit(copy, same)
    assert "answer" in found(copy)


def test_unanswered_request_is_found(copy):
    edit(copy, lambda record: forced(record, "odd-2").update(status=None, answer=None))
    assert "answer" in found(copy)


def test_client_that_was_told_yes_for_nothing_is_found(copy):
    edit(copy, lambda record: record["clients"].update({"chaos client-77": {"spec": "quiet-1", "code": 0}}))
    assert found(copy) == {"request"}


def test_cancel_without_effect_is_found(copy):
    def more(record):
        request = json.loads(forced(record, "odd-2")["answer"])["requests"][0]
        e = next(e for e in record["requests"].values() if e["kind"] == "cancel")
        e["request"] = request
    edit(copy, more)
    assert "cancel" in found(copy)


def test_push_that_nobody_saw_is_found(copy):
    edit(copy, lambda record: record["pushes"].append(dict(record["pushes"][-1], revision="1" * 40)))
    assert "change" in found(copy)


def test_second_execution_is_found(copy):
    line = open(copy + "/executions").readline()
    open(copy + "/executions", "a").write(line)
    assert found(copy) == {"execution"}


def test_execution_without_attempt_is_found(copy):
    build, attempt, *rest = open(copy + "/executions").readline().split()
    open(copy + "/executions", "a").write(" ".join([build, "900", *rest]) + "\n")
    assert "execution" in found(copy)


def test_ref_moved_without_a_row_is_found(copy):
    """A second update of the ref: to what it held before, and back."""
    git = lambda *a: subprocess.run(["git", *a], cwd=copy + "/repo.git", check=True, capture_output=True, text=True,
                                    env=dict(os.environ, GIT_COMMITTER_NAME="x", GIT_COMMITTER_EMAIL="x@example.org")).stdout.strip()
    new = git("rev-parse", "stable")
    git("update-ref", "-m", "x", "refs/heads/stable", new + "~")
    assert "promotion" in found(copy)
    git("update-ref", "-m", "x", "refs/heads/stable", new)
    bad = [v for v in checker.check(copy).violations if v.startswith("promotion")]
    assert any("not forward" in v for v in bad) and any("recorded is" in v for v in bad)


def test_promotion_left_undone_is_found(copy):
    edit(copy, lambda record: None)
    sql(copy, "DELETE FROM promotion WHERE edge = 'stable' AND id = (SELECT max(id) FROM promotion WHERE edge = 'stable')")
    log = copy + "/repo.git/logs/refs/heads/stable"
    lines = open(log).readlines()
    open(log, "w").writelines(lines[:-1])
    subprocess.run(["git", "update-ref", "--create-reflog", "refs/heads/stable", lines[-1].split()[0]], cwd=copy + "/repo.git", check=True,
                   env=dict(os.environ, GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="core.logAllRefUpdates", GIT_CONFIG_VALUE_0="false"))
    open(log, "w").writelines(lines[:-1])
    assert any("the newest green revision" in v for v in checker.check(copy).violations)


def test_job_left_in_a_spool_is_found(copy):
    open(copy + "/spool-w1/jobs/0123456789abcdef-1.job", "w").close()
    assert found(copy) == {"spool"}


def test_event_numbers_are_watched():
    record = world.Record()
    f = follow.Follower(None, record)
    for n in ("a.5", "a.6"):
        f.take({"event": "build", "id": n})
    assert record.violations == []
    for n, what in (("a.6", "came behind"), ("a.5", "came behind"), ("a.7", "came behind"), ("b.8", "epoch")):
        record.violations.clear()
        f.take({"event": "build", "id": n})
        assert any(what in v for v in record.violations), n
    record.violations.clear()
    f.take({"event": "reset"})
    assert record.violations


def test_killed_runner_allows_one_more_attempt(copy):
    sql(copy, *(s for s in (DAMAGES["attempt twice"][1],)))
    run = checker.Run(copy)
    run.load()
    build = next(b for b, a in run.attempts.items() if a[-1]["id"] > 1000)
    epoch = f"{run.attempts[build][0]['epoch'] & (1 << 64) - 1:016x}"
    assert run.exempt(build) == (1, False)
    run.record["runners"] = [[epoch, 2]]
    assert run.exempt(build) == (2, False)
    run.record["runners"] = [["0" * 16, 2]]
    assert run.exempt(build) == (1, False)
    run.db.close()


def test_a_plan_is_its_seed():
    points = {"master": {"store.commit": ["kill"]}, "agent": {"run.append": ["kill"]}}
    one, again, other = ([a for a in plan.until(seed, points, 50)] for seed in (1, 1, 2))
    assert one == again != other and len(one) > 50
    kinds = {a.kind for a in plan.until(3, points, 400)}
    assert kinds == set(plan.KILLS) | set(plan.FAULTS) | set(plan.LOAD)


def test_sum_is_crc32c():
    assert sealed.crc32c(b"123456789") == 0xE3069283


def test_every_point_of_the_sources_is_known():
    points = world.fault_points()
    assert "store.commit" in points["master"] and "run.append" in points["agent"] and "run.append" not in points["master"]
