#!/usr/bin/python3
"""Holds the fault points of the sources against the table in docs/reliability.md. Prints every offence; exit 1 if there is one."""
import re, subprocess, sys

files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "shared", "master", "worker", "client"], capture_output=True, text=True, check=True).stdout.split()
points, bad = {}, []
for f in files:
    if not f.endswith(".c") or f.endswith("_test.c") or f == "shared/base/fault.c":
        continue
    for n, line in enumerate(open(f), 1):
        for call in re.findall(r"\bpw_fault\(([^)]*)\)", line):
            if not re.fullmatch(r'"[a-z]+\.[a-z_]+"', call):
                bad.append(f"{f}:{n}: pw_fault({call}): a point is written out, as \"area.step\"")
                continue
            name = call.strip('"')
            if name in points:
                bad.append(f"{f}:{n}: {name} is a point of {points[name]} already")
            points[name] = f"{f}:{n}"
text = open("docs/reliability.md").read()
table = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", text.split("## Fault points", 1)[-1].split("\n## ", 1)[0], re.M)
bad += [f"docs/reliability.md: {p} is there twice" for p in sorted(set(table)) if table.count(p) > 1]
bad += [f"{where}: {p} is not in the table of docs/reliability.md" for p, where in sorted(points.items()) if p not in table]
bad += [f"docs/reliability.md: no source has the point {p}" for p in sorted(set(table) - set(points))]
print("\n".join(bad) if bad else f"fault-check: {len(points)} points: fine")
sys.exit(bool(bad))
