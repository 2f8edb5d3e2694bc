"""Logs as people read them: parts, times, patterns, what was left out, the index of groups (core.md 5)."""
import json, re, subprocess, threading, urllib.parse
from conftest import BUILD, SLOW, until

CONFIG = """
name: logs
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 60s}}
builders:
{builders}
"""


def site(pawl, repo, builders):
    repo.commit({"a": "1"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, builders=builders))
    pawl.start_master()
    until(lambda: pawl.get("/status") and pawl.request("GET", "/healthz")[0] == 200, 20, "the master")
    pawl.start_worker()


def builder(name, run, more=""):
    return f"  - {{name: {name}, project: p, collapse: false, steps: [{{name: go, run: {json.dumps(run)}{more}}}]}}\n"


def force(pawl, name):
    return until(lambda: pawl.request("POST", "/force", {"builder": name, "branch": "master", "reason": "logs"})[0] == 202 and pawl.builds()[0], 20, "a build")


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))


def text(pawl, path, **headers):
    status, body, h = pawl.request("GET", path, headers=headers)
    return status, body.decode(errors="surrogateescape"), h


LINES = 3_000_000
M6 = f"i=0; seq 1 {LINES}; echo the end; touch {{ran}}"


def test_M6_head_and_tail_of_a_long_log_are_kept(pawl, repo, tmp_path):
    """M6 of buildbot.md (logMaxSize and logMaxTailSize are dead settings there, bb#4504): beginning and end are kept, the step runs
    on, the gap is said, and the memory of master and runner does not grow with the log."""
    ran = tmp_path / "ran"
    site(pawl, repo, builder("small", f"seq 1 {LINES // 100}; sleep 0.5", ", log_limit: 4M")
         + builder("long", M6.format(ran=ran) + "; sleep 0.5", ", log_limit: 4M"))

    def runner_peak():
        seen = []
        for p in pawl.runners():
            try:
                if b"pawl-run" in open(f"/proc/{p}/cmdline", "rb").read():
                    seen.append(peak(p))
            except (OSError, AttributeError):
                pass
        return max(seen, default=0)

    peaks = {}
    for name in ("small", "long"):
        b, seen, stop = force(pawl, name), [0], threading.Event()

        def watch():
            while not stop.wait(0.05):
                seen[0] = max(seen[0], runner_peak())
        t = threading.Thread(target=watch)
        t.start()
        done = pawl.build_of(b["request"], 120)
        stop.set()
        t.join()
        assert done["result"] == "success", done
        peaks[name] = seen[0], peak(pawl.master.pid)
    assert ran.exists(), "the step runs on to its end"
    raw = pawl.raw_log(done["id"], "go")
    whole = sum(len(str(i)) + 1 for i in range(1, LINES + 1)) + len("the end\n")
    assert 3 << 20 <= len(raw) <= 4 << 20 and raw.startswith(b"1\n2\n3\n") and raw.endswith(b"%d\nthe end\n" % LINES)
    status, body, h = text(pawl, f"/builds/{done['id']}/log/go")
    left = int(h["Pawl-Left-Out"])
    assert status == 200 and int(h["Pawl-Bytes"]) == whole == left + len(raw) and int(h["Pawl-Lines"]) == LINES + 1
    gap = re.search(r"^pawl: (\d+) bytes in (\d+) lines were left out here: .*log_limit$", body, re.M)
    assert int(gap.group(1)) == left, gap
    last, first = int(body[:gap.start()].splitlines()[-1]), int(body[gap.end():].splitlines()[1])
    assert first - last - 1 == int(gap.group(2)), "the lines left out are counted"
    # a line keeps its number, on either side
    for n in (last, first, LINES):
        status, body, _ = text(pawl, f"/builds/{done['id']}/log/go?from={n}&lines=1")
        assert (status, body) == (200, f"{n}\n")
    q = urllib.parse.quote("^(the end|2)$")
    found = json.loads(text(pawl, f"/builds/{done['id']}/log/go?grep={q}", Accept="application/json")[1])["items"]
    assert found == [{"line": 2, "text": "2"}, {"line": LINES + 1, "text": "the end"}], found
    assert f"pawl: {left} bytes in" in pawl.pawl("log", f"{done['id']}/go", "-f") and f"pawl: {left} bytes in" in pawl.pawl("log", f"{done['id']}/go")
    if SLOW == 1:  # a sanitizer's quarantine is not theirs
        assert peaks["long"][0] - peaks["small"][0] < 8 * 1024, peaks
        assert peaks["long"][1] - peaks["small"][1] < 24 * 1024, peaks
    assert peaks["long"][0] > 0


def test_parts_times_and_patterns(pawl, repo):
    script = "printf 'one\\r\\n\\033[31mtwo\\033[0m\\n10%%\\r20%%\\nbad \\303\\244\\n'; sleep 0.3; echo late"
    site(pawl, repo, builder("any", script))
    b = pawl.build_of(force(pawl, "any")["request"])
    log = f"/builds/{b['id']}/log/go"
    assert pawl.raw_log(b["id"], "go") == b"one\r\n\033[31mtwo\033[0m\n10%\r20%\nbad \xc3\xa4\nlate\n"
    whole = pawl.pawl("log", str(b["id"]))
    assert re.match(r"==> go \(success\)\none\n", whole) and whole.endswith("late\n")
    assert pawl.pawl("log", f"{b['id']}/go", "--tail", "1") == "late\n"
    assert pawl.pawl("log", f"{b['id']}/go", "--grep", "^(two|late)$") == "\033[31mtwo\033[0m\nlate\n"
    timed = [line.split(" ", 1) for line in pawl.pawl("log", f"{b['id']}/go", "--times").splitlines()]
    assert [t[1] for t in timed][:1] == ["one"] and all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t[0]) for t in timed), timed
    gap = [int(t[0][17:19]) * 1000 + int(t[0][20:23]) for t in (timed[0], timed[-1])]
    assert (gap[1] - gap[0]) % 60000 >= 250, timed
    assert "wrong at position" in pawl.pawl("log", f"{b['id']}/go", "--grep", "(", code=1)
    assert "goes with neither" in pawl.pawl("log", f"{b['id']}/go", "--raw", "--times", code=2)
    assert "a number of lines" in pawl.pawl("log", f"{b['id']}/go", "--tail", "x", code=2)
    status, body, h = text(pawl, log + "?raw=1", Range="bytes=4-8")
    assert status == 206 and body == "\n\033[31" and h["Content-Range"] == "bytes 4-8/38", (body, h)
    assert text(pawl, log + "?attempt=2")[0] == 404 and text(pawl, log + "?attempt=1")[0] == 200


def test_followed_over_a_restart_of_the_master(pawl, repo, tmp_path):
    """-f with times and a pattern: the connection breaks, the master comes back, no line is missing and none comes twice."""
    gate = tmp_path / "go"
    site(pawl, repo, builder("slow", f"echo hit one; echo miss; until [ -e {gate} ]; do sleep 0.02; done; echo hit two"))
    b = force(pawl, "slow")
    until(lambda: b"miss" in pawl.request("GET", f"/builds/{b['id']}/log/go")[1], 20, "the first lines")
    args = [["--times"], ["--grep", "^hit"], []]
    outs = [tmp_path / f"out{i}" for i in range(3)]
    followers = [subprocess.Popen([f"{BUILD}/pawl", "--state", pawl.state, "log", f"{b['id']}/go", "-f", *a], stdout=open(o, "wb"), env=pawl.env) for a, o in zip(args, outs)]
    try:
        until(lambda: all(o.read_bytes() for o in outs), 20, "what there is")
        address = pawl.url
        pawl.kill(pawl.master)
        pawl.start_master()
        assert pawl.url == address
        gate.touch()
        assert pawl.build_of(b["request"])["result"] == "success"
        assert [f.wait(timeout=60 * SLOW) for f in followers] == [0, 0, 0]
    finally:
        for f in followers:
            f.kill()
            f.wait()
    assert [line.split(" ", 1)[1] for line in outs[0].read_text().splitlines()] == ["hit one", "miss", "hit two"]
    assert outs[1].read_text() == "hit one\nhit two\n" and outs[2].read_text() == "hit one\nmiss\nhit two\n"


def test_index_of_groups_and_remarks(pawl, repo):
    script = ("echo before; echo '::group::Compile'; echo cc; sleep 0.2; echo '::error file=src/a.c,line=12,col=3::no%2C it%27s not'; echo '::endgroup::';"
              "printf '\\033[0Ksection_start:1700000000:unit[collapsed=true]\\r\\033[0KUnit tests\\n'; echo '::warning::slow'; printf 'section_end:1700000001:unit\\r\\033[0K\\n'")
    site(pawl, repo, builder("any", script))
    b = pawl.build_of(force(pawl, "any")["request"])
    for _ in range(2):
        x = pawl.get(f"/builds/{b['id']}/log/go/index")
        assert [(g["title"], g["line"], g["lines"], g["failures"], g["warnings"]) for g in x["groups"]] == [("Compile", 2, 4, 1, 0), ("Unit tests", 6, 3, 0, 1)], x
        assert 150 <= x["groups"][0]["ms"] < 60000 and (x["errors"], x["warnings"]) == (1, 1)
        assert x["marks"][0] | {"text": ""} == {"line": 4, "kind": "error", "text": "", "title": None, "file": "src/a.c", "file_line": 12, "column": 3}
        assert x["marks"][1]["text"] == "slow" and x["marks"][1]["file"] is None
