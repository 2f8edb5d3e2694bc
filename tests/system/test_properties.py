"""Properties: which source goes before which, what `if` makes of them, and what check says."""
import os, subprocess
from conftest import BUILD, until

CONFIG = """
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects: [{{name: p, repository: "{repo}", poll: 1s, build_first: true, properties: {{a: project, b: project, c: project, d: project, e: project}}}}]
builders:
  - name: show
    project: p
    properties: {{b: builder, c: builder, d: builder, e: builder}}
    steps:
      - set_property: {{e: step}}
      - {{name: show, run: "echo $a $b $c $d $e"}}
      - {{name: people, if: "event == 'force' and d == 'force'", run: "true"}}
      - {{name: bad, if: "kind == 'red'", run: "exit 3"}}
      - {{name: after, if: "result == 'failure'", always_run: true, run: "echo it failed"}}
      - {{name: odd, if: "d > 3", always_run: true, run: "true"}}
schedulers: [{{name: push, kind: branch, project: p, properties: {{c: scheduler, d: scheduler, e: scheduler, kind: green}}}}]
"""


def test_order_sources_and_conditions(pawl, repo):
    rev = repo.commit({"a": "1"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare))
    pawl.start_master()
    pawl.start_worker("w1")
    b = pawl.built("show", rev)
    assert pawl.raw_log(b["id"], "show") == b"project builder scheduler scheduler step\n"
    one = pawl.get(f"/builds/{b['id']}")
    assert {k: (one["properties"][k], one["property_sources"][k]) for k in "abcde"} == {
        "a": ("project", "project"), "b": ("builder", "builder"), "c": ("scheduler", "scheduler"), "d": ("scheduler", "scheduler"), "e": ("step", "step")}
    assert one["property_sources"]["worker_cpus"] == "worker" and set(one["properties"]) == set(one["property_sources"])
    steps = {s["name"]: s for s in pawl.get(f"/builds/{b['id']}/steps")["items"]}
    assert (steps["people"]["result"], steps["people"]["reason"]) == ("skipped", "if: event == 'force' and d == 'force'")
    assert steps["odd"]["result"] == "exception" and "cannot be compared with a number" in steps["odd"]["reason"]
    request = pawl.post("/force", {"builder": "show", "branch": "master", "reason": "r", "properties": {"d": "force", "kind": "red"}})["requests"][0]
    b = pawl.build_of(request)
    one = pawl.get(f"/builds/{b['id']}")
    assert one["property_sources"]["d"] == "force" and one["properties"]["d"] == "force" and one["properties"]["c"] == "builder"
    steps = {s["name"]: s for s in pawl.get(f"/builds/{b['id']}/steps")["items"]}
    assert steps["people"]["result"] == "success" and steps["bad"]["result"] == "failure"
    assert steps["after"]["result"] == "success", steps


def check(pawl, text):
    pawl.configure(text)
    p = subprocess.run([f"{BUILD}/pawl-master", "check", pawl.config], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


def test_check(pawl, repo):
    repo.commit({"a": "1"}, "first")
    text = CONFIG.format(repo=repo.bare)
    code, out, err = check(pawl, text)
    assert code == 0 and not err, err
    code, out, err = check(pawl, text.replace("echo $a", "echo ${sweet} $a"))
    assert code == 0 and f"{pawl.config}:11:" in err and ': warning: "run" names ${sweet}' in err and err.count("\n") == 1, err
    code, out, err = check(pawl, text.replace("d > 3", "d >> 3"))
    assert code == 2 and f"{pawl.config}:15:" in err and "condition \"d >> 3\", character 4" in err, err
