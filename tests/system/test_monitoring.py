"""docs/monitoring.md speaks of what /metrics has, and of all of it; badges and feeds of a running master."""
import os, re
import xml.etree.ElementTree as ET
from conftest import ROOT, until


def test_alerts_are_of_metrics_that_exist(simple, repo):
    with open(simple.config, "a") as f:
        f.write('notify:\n  - {name: hook, kind: webhook, url: "http://127.0.0.1:1/", events: [build]}\n')
    simple.kill(simple.master)
    simple.start_master()
    b = simple.built("test", repo.commit({"test.sh": "exit 1\n"}, "red"))
    until(lambda: b'result="failure"' in simple.request("GET", "/metrics")[1], 20, "the count")
    text = simple.request("GET", "/metrics")[1].decode()
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    have = set(types) | {f"{n}_{end}" for n, t in types.items() if t == "histogram" for end in ("bucket", "sum", "count")}
    samples = set(re.findall(r"^(pawl_\w+)", text, re.M))
    assert samples <= have, "each sample has its type"
    with open(os.path.join(ROOT, "docs/monitoring.md")) as f:
        doc = f.read()
    rules = doc.split("## Alerts")[1].split("```")[1]
    exprs = re.findall(r"expr: (.*)", rules)
    used = {n for e in exprs for n in re.findall(r"\bpawl_\w+", e)}
    assert len(exprs) >= 12 and used
    assert used <= have, f"alerts of metrics that do not exist: {used - have}"
    named = set(re.findall(r"\bpawl_\w+", doc))
    assert named <= have and set(types) <= named, (named - have, set(types) - named)
    # labels that alerts ask for are there
    for name, labels in re.findall(r"(pawl_\w+)\{([^}]*)\}", "\n".join(exprs)):
        sample = next(s for s in text.splitlines() if s.startswith(name + "{"))
        for label in re.findall(r"(\w+)=", labels):
            assert f'{label}="' in sample, (name, label, sample)
    assert f'pawl_red{{project="p",branch="master",builder="test"}} 1' in text
    assert simple.request("GET", "/badge/test.svg?branch=master")[1].count(b"failure") == 2
    status, feed, head = simple.request("GET", "/atom/p?branch=master")
    assert status == 200 and head["Content-Type"].startswith("application/atom+xml")
    atom = "{http://www.w3.org/2005/Atom}"
    entries = ET.fromstring(feed).findall(atom + "entry")
    assert entries[0].find(atom + "title").text == "test on master: failure" and entries[0].find(atom + "id").text.endswith(f"/builds/{b['id']}")
    assert simple.request("GET", "/atom/p?branch=master", headers={"If-None-Match": head["ETag"]})[0] == 304
