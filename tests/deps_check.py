#!/usr/bin/python3
"""Holds the includes against modules.mk: every folder includes only itself and what stands below it, each third-party
header is included in one folder only, and a header that includes tests/ (a fixture) is included by tests only. Prints every
offence; exit 1 if there is one."""
import re, subprocess, sys

# header (prefix) -> the one folder that may include it
HEADERS = {"zmq": "shared/link", "czmq": "shared/link", "msgpack": "shared/wire", "yaml": "shared/yaml", "jansson": "shared/json",
           "curl/": "shared/http", "pcre2": "shared/scan", "hs": "shared/scan", "zstd": "shared/zip", "sodium": "shared/crypt",
           "sqlite3": "master/store", "git2": "master/git", "microhttpd": "master/http", "systemd/": "shared/notify",
           "expat": "worker/reports"}

def table():
    text = open("modules.mk").read().replace("\\\n", " ")
    value = {k: v.split() for k, v in re.findall(r"^([A-Za-z_/-]+)\s*:=[ \t]*(.*)$", text, re.M)}
    modules = value["MODULES"]
    return modules, {m: value.get("USES_" + m, []) for m in modules}

def reach(uses, m, seen=None):
    seen = seen if seen is not None else set()
    if m not in seen:
        seen.add(m)
        for u in uses[m]:
            reach(uses, u, seen)
    return seen

modules, uses = table()
bad = []
for m in modules:
    for u in uses[m]:
        if u not in uses:
            bad.append(f"modules.mk: {m} uses {u}, which is no module")
        elif m in reach(uses, u):
            bad.append(f"modules.mk: {m} and {u} use each other")
files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "shared", "master", "worker", "client"], capture_output=True, text=True, check=True).stdout.split()
fixtures = {f for f in files if f.endswith(".h") and re.search(r'^\s*#\s*include\s+"tests/', open(f).read(), re.M)}
for f in files:
    if not f.endswith((".c", ".h")):
        continue
    folder = max((m for m in modules if f.startswith(m + "/")), key=len, default=None)
    for n, line in enumerate(open(f), 1):
        hit = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not hit:
            continue
        kind, name = hit.groups()
        if kind == '"':
            target = max((m for m in modules if name.startswith(m + "/")), key=len, default=None)
            if target is None:
                if not name.startswith("tests/"):
                    bad.append(f"{f}:{n}: \"{name}\" is not written from the root, or its folder is not in modules.mk")
                elif not f.endswith("_test.c") and f not in fixtures:
                    bad.append(f"{f}:{n}: only tests and their fixtures include tests/")
            elif name in fixtures and not f.endswith("_test.c") and f not in fixtures:
                bad.append(f"{f}:{n}: {name} is a fixture: only tests include it")
            elif folder and target != folder and target not in reach(uses, folder):
                bad.append(f"{f}:{n}: {folder} may not use {target} (modules.mk)")
        else:
            for head, owner in HEADERS.items():
                if (name == head + ".h" or (head.endswith("/") and name.startswith(head)) or name.startswith(head + ".") or name.startswith(head + "/")) and folder != owner:
                    bad.append(f"{f}:{n}: <{name}> belongs to {owner}")
print("\n".join(bad) if bad else f"deps-check: {len(files)} files, {len(modules)} folders: fine")
sys.exit(bool(bad))
