"""Secrets: a step has them, and nothing that is kept or shown has."""
import base64, json, os, subprocess, urllib.parse
from conftest import BUILD, CONFIG, until

TOKEN = "tok/Zq8+w7 é&\"19"
HOOK = "hook-signing-value"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzE=\n-----END PRIVATE KEY-----"
ADDED = "added-while-running"

STEPS = r"""
  - name: ship
    project: p
    collapse: false
    env: {TOKEN: "${secret:token}"}
    steps:
      - name: plain
        run: |
          echo "raw: $TOKEN."
          printf %s "$TOKEN" | base64
          printf 'x%s' "$TOKEN" | base64 -w 0; echo
          /usr/bin/python3 -c 'import os, urllib.parse as u; print(u.quote(os.environ["TOKEN"], safe=""))'
          printf %s "${TOKEN%w7*}"; sleep 0.3; printf '%s\n' "w7${TOKEN#*w7}"
          a=added-while
          echo "::add-mask::$a-running"
          echo "now: $a-running"
      - name: key
        env: {KEY: "${secret:key}"}
        run: |
          echo "$KEY"
          echo "$KEY" | base64
          echo "$KEY" | sed -n 2p
          printf %s "$KEY" >&2
        stderr: separate
      - {name: env, run: "env | sort; { cat /proc/$PPID/environ || echo closed to steps; } 2>/dev/null | tr '\\0' '\\n' >$TMPDIR/runner; grep -c . $TMPDIR/runner; cat $TMPDIR/runner"}
      - {name: wait, run: "touch $gate.started; while [ ! -e $gate ]; do sleep 0.05; done; echo over; exit 3"}
    properties: {gate: none}
  - {name: other, project: p, steps: [{name: env, run: env}]}
"""


def values():
    t, out = TOKEN.encode(), [TOKEN.encode(), HOOK.encode(), KEY.encode(), ADDED.encode()]
    out += [line.encode() for line in KEY.splitlines()]
    out += [base64.b64encode(b"x" * k + t).rstrip(b"=")[k and k + 1:-1] for k in range(3)]
    out += [urllib.parse.quote(TOKEN, safe="").encode(), urllib.parse.quote_plus(TOKEN).encode()]
    out += [base64.b64encode(KEY.encode())[:60]]
    return out


def files_with(top, needles, but=()):
    """Every regular file below top that holds one of the texts."""
    found = []
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if path in but or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                data = f.read()
            found += [(path, n) for n in needles if n in data]
    return found


def environ_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return f.read()
    except OSError:
        return b""


def set_up(pawl, repo):
    folder = os.path.join(pawl.dir, "secrets")
    os.mkdir(folder, 0o700)
    for name, text in (("token", TOKEN), ("key", KEY)):
        with open(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(text + "\n")
    repo.commit({"x": "1"}, "first")
    text = CONFIG.format(repo=repo.bare, builders=STEPS).replace("build_first: true}", "hook_secret: hook}")
    pawl.configure(text + "secrets: {token: {file: secrets/token}, key: {file: secrets/key}, hook: {env: HOOK}}\n")
    return [os.path.join(folder, n) for n in ("token", "key")]


def force_ship(pawl, gate):
    def forced():
        status, body, _ = pawl.request("POST", "/force", {"builder": "ship", "branch": "master", "reason": "x", "properties": {"gate": gate}})
        return status == 202 and body
    return json.loads(until(forced, 20, "the first look at the repository"))["requests"][0]


def log_of(pawl, build, step):
    return pawl.raw_log(build, step).decode()


def test_a_step_has_them_and_nothing_else(pawl, repo):
    sources = set_up(pawl, repo)
    pawl.start_master({"HOOK": HOOK})
    pawl.start_worker(slots=2)
    until(lambda: pawl.get("/projects")["items"], 20, "the project")
    gate = os.path.join(pawl.dir, "gate")
    r = force_ship(pawl, gate)
    until(lambda: os.path.exists(gate + ".started"), 30, "the last step")
    # while it runs: the step has it, the runner and the agent have not, nor has any file
    runners = pawl.runners()
    has = [p for p in runners if TOKEN.encode() in environ_of(p)]
    names = {p: open(f"/proc/{p}/cmdline", "rb").read() for p in runners if os.path.exists(f"/proc/{p}/cmdline")}
    assert has and all(b"pawl-run" not in names.get(p, b"") and b"pawl-worker" not in names.get(p, b"") for p in has), names
    assert not [p for p in names if any(v in names[p] for v in values())], "no value on a command line"
    assert not files_with(os.path.join(pawl.dir, "spool-w1"), values())
    open(gate, "w").close()
    b = pawl.build_of(r)
    assert b["result"] == "failure", b
    assert log_of(pawl, b["id"], "plain").splitlines()[0] == "raw: ***."
    plain = log_of(pawl, b["id"], "plain")
    assert "now: ***" in plain and "::add-mask::***" in plain, plain
    lines = plain.splitlines()
    assert lines[3] == "***" and lines[4] == "***", plain
    key = log_of(pawl, b["id"], "key")
    assert key.startswith("***\n") and key.rstrip().endswith("***"), key
    assert log_of(pawl, b["id"], "key.stderr") == "***"
    env = log_of(pawl, b["id"], "env")
    assert "TOKEN=***" in env and "KEY=" not in env
    assert os.geteuid() == 0 or "san" in BUILD or "closed to steps" in env  # root may read any process
    # nothing that is kept has them
    everything = files_with(pawl.dir, values(), but=sources)
    assert not [e for e in everything if not e[0].startswith(os.path.join(pawl.dir, "repo"))], everything
    # nor what is told
    for path in ("/builds", f"/builds/{b['id']}", f"/builds/{b['id']}/steps", "/builders", "/builders/ship", "/projects", "/status"):
        status, body, _ = pawl.request("GET", path)
        assert status == 200 and not [v for v in values() if v in body], path


def test_refusals(pawl, repo):
    set_up(pawl, repo)
    os.chmod(os.path.join(pawl.dir, "secrets/token"), 0o644)
    p = subprocess.run([f"{BUILD}/pawl-master", "check", pawl.config], capture_output=True, text=True, timeout=30, env=dict(os.environ, HOOK="abc"))
    assert p.returncode == 2 and "chmod 600" in p.stderr and "shorter than 4" in p.stderr and TOKEN not in p.stderr, p.stderr
    assert pawl.start_master({"HOOK": "abc"}, wait=False).wait(timeout=30) == 2
    assert TOKEN not in pawl.log("master")


def test_untrusted_branch_gets_none(pawl, repo):
    set_up(pawl, repo)
    with open(pawl.config) as f:
        text = f.read()
    pawl.configure(text.replace("hook_secret: hook}", "branches: [master], build_first: true}"))
    repo.commit({"x": "2"}, "mine", branch="mine")
    rev = repo.git("rev-parse", "HEAD")
    pawl.start_master({"HOOK": HOOK})
    pawl.join_untrusted(slots=2)
    pawl.start_worker()
    until(lambda: pawl.builds("?builder=other"), 30, "the first look at the repository")
    r = pawl.post("/force", {"builder": "ship", "branch": "mine", "revision": rev, "reason": "x"})["requests"][0]
    b = pawl.get(f"/builds/{pawl.build_of(r)['id']}")
    assert b["result"] == "exception" and "gets no secrets" in str(b), b
    r = pawl.post("/force", {"builder": "other", "branch": "mine", "revision": rev, "reason": "x"})["requests"][0]
    assert pawl.build_of(r)["result"] == "success"


def test_runner_killed_before_it_began(pawl, repo):
    """The file is gone with the runner that took it: that attempt ends, the next one has its own."""
    set_up(pawl, repo)
    pawl.start_master({"HOOK": HOOK})
    pawl.start_worker(slots=2, env={"PW_FAULT": "run.secrets=kill,run.secrets=kill,run.secrets=kill"})
    gate = os.path.join(pawl.dir, "gate")
    open(gate, "w").close()
    r = force_ship(pawl, gate)
    b = pawl.build_of(r, 120)
    # three runners of that agent die there, so each attempt ends without a step, and so does the build
    full = pawl.get(f"/builds/{b['id']}")
    assert b["result"] == "exception" and b["attempt"] == 3 and "not here any more" in str(full), full
    assert not files_with(pawl.dir, [TOKEN.encode()], but=[os.path.join(pawl.dir, "secrets/token")])
