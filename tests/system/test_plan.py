"""pawl-master plan: what a reload would change, before it does."""
import json, os, pty, signal, subprocess
from conftest import BUILD, until
from test_backup import rows

CONFIG = """
name: {name}
web: {{listen: "127.0.0.1:0"{web}}}
workers: {{listen: "tcp://127.0.0.1:0"}}
secrets: {{chat: {{file: chat.url}}}}
projects:
  - {{name: p, repository: "{repo}", poll: {poll}}}
builders:
{builders}
schedulers: [{{name: hand, kind: force, project: p}}]
{more}
"""
A = "  - {name: a, project: p, collapse: false, steps: [{name: go, run: \"until [ -e %s ]; do sleep 0.02; done\"}]}\n"
B = "  - {name: b, project: p, steps: [{run: \"%s\"}]}\n"


def write(pawl, repo, path=None, name="one", web="", poll="60s", builders="", more=""):
    secret = os.path.join(pawl.dir, "chat.url")
    if not os.path.exists(secret):
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("https://chat.example.org/hooks/SECRETTOKEN\n")
    text = CONFIG.format(name=name, web=web, repo=repo.bare, poll=poll, builders=builders, more=more)
    with open(path or pawl.config, "w") as f:
        f.write(text)


def plan(pawl, file, *args, code=0):
    p = subprocess.run([f"{BUILD}/pawl-master", "plan", file, "--state", pawl.state, *args], cwd=pawl.dir, env=pawl.env, capture_output=True, text=True, timeout=60)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p.stdout if code == 0 else p.stderr


def test_plan_tells_what_a_reload_does(pawl, repo, tmp_path):
    gate = tmp_path / "go"
    repo.commit({"a": "1"}, "first")
    notify = 'notify: [{name: n, kind: webhook, url: "https://chat.example.org/hooks/%s", events: [build]}]'
    write(pawl, repo, builders=A % gate + B % "true", more=notify % "FIRSTTOKEN")
    pawl.start_master()
    pawl.start_worker()
    until(lambda: pawl.request("GET", "/healthz")[0] == 200, 20, "the master")
    until(lambda: pawl.request("POST", "/force", {"builder": "a", "branch": "master", "reason": "plan"})[0] == 202, 20, "the branch")
    until(lambda: [b for b in pawl.builds() if b["state"] == "running"], 30, "a running build")
    for _ in range(2):
        pawl.post("/force", {"builder": "a", "branch": "master", "reason": "plan"})
    assert plan(pawl, pawl.config) == "nothing changes\n"
    next_ = str(tmp_path / "next.yaml")
    write(pawl, repo, next_, name="two", web=', read: token, url: "https://ci.example.org"', poll="5s",
          builders=B % "make test" + "  - {name: c, project: p, steps: [{run: x}]}\n", more=notify % "SECONDTOKEN" + "\nretention: {logs: 90d}\n")
    before = rows(pawl, "SELECT gen, at FROM config")
    out = plan(pawl, next_)
    assert "~ name\n    name: one -> two\n" in out, out
    assert "~ projects p\n    poll: 60s -> 5s\n" in out and "+ builders p/c\n" in out and "+ retention\n    logs: (not set) -> 90d\n" in out, out
    assert "- builders p/a   (2 waiting requests end as cancelled; 1 running builds go on by their own job)" in out, out
    assert "~ builders p/b\n    steps: [{run: true}] -> [{run: make test}]\n" in out, out
    assert "~ notify n\n    url: (not shown) -> (not shown)\n" in out and "TOKEN" not in out and "\033" not in out, out
    assert "web.url: needs a restart of the master" in out and "2 added, 5 changed, 1 removed" in out, out
    x = json.loads(plan(pawl, next_, "--json"))
    assert x["restart"] == "web.url" and "TOKEN" not in json.dumps(x)
    assert {(i["change"], i["section"], i["name"]) for i in x["items"]} >= {("added", "builders", "p/c"), ("removed", "builders", "p/a"), ("changed", "web", "")}
    web = next(i for i in x["items"] if i["section"] == "web")
    assert {k["key"]: (k["old"], k["new"]) for k in web["keys"]} == {"read": ("(not set)", "token"), "url": ("(not set)", "https://ci.example.org")}
    assert rows(pawl, "SELECT gen, at FROM config") == before and plan(pawl, pawl.config) == "nothing changes\n", "a plan changes nothing"
    # what was told happens
    write(pawl, repo, builders=B % "make test", more=notify % "FIRSTTOKEN")
    pawl.master.send_signal(signal.SIGHUP)
    until(lambda: "configuration_read" in pawl.log("master"), 20, "the reload")
    until(lambda: not pawl.get("/requests?state=waiting")["items"], 20, "what waited to end")
    assert [b["state"] for b in pawl.builds("?builder=a") if b["state"] != "done"] == ["running"]
    assert plan(pawl, pawl.config) == "nothing changes\n" and "+ builders p/a" in plan(pawl, _old(pawl, repo, gate, notify))
    gate.touch()


def _old(pawl, repo, gate, notify):
    path = os.path.join(pawl.dir, "old.yaml")
    write(pawl, repo, path, builders=A % gate + B % "true", more=notify % "FIRSTTOKEN")
    return path


def test_plan_of_a_wrong_file_and_without_a_master(pawl, repo, tmp_path):
    repo.commit({"a": "1"}, "first")
    write(pawl, repo, builders=B % "true")
    pawl.start_master()
    bad = str(tmp_path / "bad.yaml")
    write(pawl, repo, bad, poll="soon", builders="  - {name: b, project: q, stepps: []}\n")
    said = plan(pawl, bad, code=2)
    assert said.count("bad.yaml:") >= 3 and 'unknown key "stepps"' in said and "a reload would change nothing" in said, said
    assert "--state DIR" in subprocess.run([f"{BUILD}/pawl-master", "plan", pawl.config, "--state", str(tmp_path / "none")], capture_output=True, text=True, env=pawl.env).stderr
    pawl.kill(pawl.master)
    assert plan(pawl, pawl.config) == "nothing changes\n", "without a master too"
    write(pawl, repo, bad, name="other", builders=B % "true")
    main, follow = pty.openpty()
    p = subprocess.Popen([f"{BUILD}/pawl-master", "plan", bad, "--state", pawl.state], stdout=follow, env={k: v for k, v in pawl.env.items() if k != "NO_COLOR"})
    os.close(follow)
    assert p.wait(30) == 0 and b"\033[33m~ name" in os.read(main, 10000), "colours on a terminal"
    os.close(main)
