#!/usr/bin/python3
"""Real projects through a real master and worker: sources of Debian (by apt-get with a sources list of its own, in a folder of its own;
the machine's lists are left alone) and of npm are pushed into repositories, and built and tested by a pipeline file of about five
lines each. Then a mistake is pushed to each. What ran is printed; anything else than what is expected ends it with 1.
usage: real.py [NAME..]    PAWL_BUILD: the programs; PAWL_REAL_MIRROR: a Debian archive, instead of the machine's; PAWL_REAL_DIR: keeps the sources there"""
import glob, os, shutil, subprocess, sys, tarfile, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from conftest import Pawl, Repo, until  # noqa: E402


def mirror():
    """The archive that this machine installs from."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"], capture_output=True, text=True).stdout.split()
    return said[0] if said else sys.exit("real: apt-get knows no archive; PAWL_REAL_MIRROR names one")


# name: whence it comes, its pipeline file, the mistake (file, old, new), the builder that sees it, what its log says then
PROJECTS = {
    "zlib": ("debian", "zlib", """\
builders:
  library:
    matrix: {cc: [gcc, clang]}
    steps: [{checkout: {}}, {name: make, run: "CC=$cc ./configure && make -j2", artifacts: [libz.a, "libz.so.*"]}, {name: check, run: make check}]
  minigzip: {needs: [library], steps: [{checkout: {}}, {run: "./configure --static && make minigzip && ./minigzip < zlib.3 | gzip -d | cmp - zlib.3"}]}
""", ("inflate.c", "(hold >> 8)) % 31", "(hold >> 8)) % 29"), "library[cc=gcc]", "zlib test FAILED"),
    "lua": ("debian", "lua5.4", """\
builders:
  lua:
    matrix: {std: [gnu99, gnu11]}
    steps: [{checkout: {}}, {name: make, run: "make -C src linux CC=\\"gcc -std=$std\\"", artifacts: [src/lua, src/luac]},
            {name: check, run: "make -C src test && src/lua -e 'assert(string.format(\\"%5.2f\\", 3.14159) == \\" 3.14\\"); print(_VERSION)'"}]
""", ("src/lstrlib.c", "        case 'f':\n", "        case 'y':\n"), "lua[std=gnu11]", "invalid conversion"),
    "toolz": ("debian", "toolz", """\
builders:
  test:
    shards: 2
    steps: [{checkout: {}}, {name: pytest, reports: {junit: report.xml}, run: "/usr/bin/python3 -m pytest -p no:cacheprovider --junitxml=report.xml
             $(ls toolz/tests/test_*.py tlz/tests/test_*.py 2>/dev/null | awk \\"NR % $PAWL_SHARDS == $PAWL_SHARD - 1\\")"}]
""", ("toolz/itertoolz.py", "return sum(1 for i in seq)", "return sum(2 for i in seq)"), None, "test_count"),
    "minimist": ("npm", "minimist@1.2.8", """\
builders:
  test:
    steps: [{checkout: {}}, {cache: {key: tape, hash_files: [package.json], paths: [node_modules]}},
            {name: install, if: cache_hit != 'true', run: npm install --no-save --no-audit --no-fund --ignore-scripts tape@5.6.3},
            {name: tape, shell: bash, reports: {tap: report.tap}, run: "node_modules/.bin/tape 'test/*.js' | tee report.tap"}]
""", ("index.js", "/^--no-.+/", "/^--not-.+/"), "test", "not ok"),
}


def say(text=""):
    print(text, flush=True)


def die(text):
    sys.exit("real: " + text)


def run(argv, cwd):
    p = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if p.returncode:
        die(f"{' '.join(argv[:2])} ended with {p.returncode}: {(p.stdout + p.stderr).strip()[-2000:]}")
    return p.stdout


def apt(folder):
    """apt-get over a sources list and a state of our own."""
    for d in ("state/lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(folder, d), exist_ok=True)
    codename = next((line.split("=")[1].strip() for line in open("/etc/os-release") if line.startswith("VERSION_CODENAME=")), "bookworm")
    with open(os.path.join(folder, "sources.list"), "w") as f:
        f.write(f"deb-src {os.environ.get('PAWL_REAL_MIRROR') or mirror()} {codename} main\n")
    # its public keys, and how to reach the archive (a proxy), are the machine's
    return ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State={folder}/state",
            "-o", f"Dir::State::status={folder}/status", "-o", f"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User="]


def fetch(folder, names):
    """The source trees. An archive of Debian says of each file, signed, what its sum is; apt-get checks it."""
    trees = {}
    debian = [n for n in names if PROJECTS[n][0] == "debian"]
    if debian:
        open(os.path.join(folder, "status"), "a").close()
        run(apt(folder) + ["update"], folder)
        for n in debian:
            run(apt(folder) + ["source", "--download-only", "--only-source", PROJECTS[n][1]], folder)
            dsc = glob.glob(os.path.join(folder, PROJECTS[n][1] + "_*.dsc"))[-1]
            tree = os.path.join(folder, "tree-" + n)
            shutil.rmtree(tree, ignore_errors=True)
            run(["dpkg-source", "--no-check", "--skip-patches", "-x", dsc, tree], folder)  # apt-get checked it; as its authors released it
            trees[n] = (tree, "Debian source package " + os.path.basename(dsc)[:-4].replace("_", " "))
    for n in names:
        if PROJECTS[n][0] == "npm":
            name = run(["npm", "pack", "--silent", PROJECTS[n][1]], folder).split()[-1]
            tree = os.path.join(folder, "tree-" + n)
            shutil.rmtree(tree, ignore_errors=True)
            with tarfile.open(os.path.join(folder, name)) as t:
                t.extractall(tree, filter="data") if hasattr(tarfile, "data_filter") else t.extractall(tree)
            trees[n] = (os.path.join(tree, "package"), "npm package " + name[:-4])
    return trees


def seconds(b):
    def t(x):
        return time.mktime(time.strptime(x[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + x[19:].rstrip("Z")) if x else 0
    return t(b["finished"]) - t(b["started"])


def builds_of(pawl, name, rev):
    """All builds of the revision, once nothing of it waits or runs."""
    def check():
        b = [x for x in pawl.builds(f"?revision={rev}&limit=100") if x["project"] == name]
        waiting = [r for r in pawl.get("/requests?state=waiting&limit=100")["items"] if r["revision"] == rev]
        return b if b and not waiting and all(x["state"] == "done" for x in b) else None
    return sorted(until(check, 600, f"the builds of {name}"), key=lambda b: b["id"])


def show(pawl, b):
    steps = ", ".join(s["name"] + (" " + s["result"] if s["result"] != "success" else "") for s in pawl.get(f"/builds/{b['id']}")["steps"])
    say(f"   build {b['id']} {b['builder']}: {b['result']} ({seconds(b):.1f} s): {steps or '-'}")
    files = [f for f in pawl.get(f"/builds/{b['id']}/artifacts")["items"] if f["kind"] == "artifact"]
    if files:
        say("      artifacts: " + ", ".join(f"{f['path']} ({f['size']} bytes)" for f in files))
    reports = pawl.get(f"/builds/{b['id']}/tests")["reports"]
    for r in reports:
        say(f"      {r['format']} {r['path']}: {r['tests']} tests, {r['failed']} failed, {r['skipped']} skipped")
    return files, reports


def expect(true, what):
    if not true:
        raise AssertionError(what)


def project(pawl, repos, name, source):
    kind, _, pipeline, (path, old, new), where, words = PROJECTS[name]
    repo = repos[name]
    say(f"{name}: {source}; {len(pipeline.splitlines())} lines of .pawl.yaml:")
    say("".join("    | " + line + "\n" for line in pipeline.splitlines()).rstrip())
    rev = repo.commit({".pawl.yaml": pipeline}, "As released")
    builds = builds_of(pawl, name, rev)
    seen = [show(pawl, b) for b in builds]
    for b in builds:
        expect(b["result"] == "success", f"{b['builder']} of {name}: {b['result']}: {pawl.pawl('build', str(b['id']))}")
    if "artifacts" in pipeline:
        expect(any(f for f, _ in seen), "artifacts")
    if "reports" in pipeline:
        expect(all(r and r[0]["tests"] > 0 and r[0]["failed"] == 0 for _, r in seen), "reports")
    until(lambda: repo.ref("stable") == rev, 60, "the promotion")
    say(f"   stable of {name} stands at {rev[:8]}: moved")
    with open(os.path.join(repo.tree, path)) as f:
        text = f.read()
    expect(old in text, f"{path} has no {old}")
    red = repo.commit({path: text.replace(old, new, 1)}, "A mistake")
    builds = builds_of(pawl, name, red)
    for b in builds:
        show(pawl, b)
    failed = [b for b in builds if b["result"] == "failure"]
    expect(failed and (not where or where in [b["builder"] for b in failed]), [(b["builder"], b["result"]) for b in builds])
    at = next(b for b in failed if not where or b["builder"] == where)
    step = next(s for s in pawl.get(f"/builds/{at['id']}")["steps"] if s["result"] == "failure")
    line = next((t for t in pawl.raw_log(at["id"], step["name"]).decode(errors="replace").splitlines() if words in t), None)
    expect(line, f"step {step['name']} of {name} does not say {words}")
    say(f"   its step {step['name']} says: {line.strip()[:110]}")
    expect(repo.ref("stable") == rev, "stable moved")
    say("   stable stays")
    say()
    return len(builds) + len(seen)


def main():
    names = sys.argv[1:] or list(PROJECTS)
    if [n for n in names if n not in PROJECTS]:
        die("there are " + ", ".join(PROJECTS))
    need = ["apt-get", "dpkg-source", "make", "gcc", "clang", "patch", "awk"] + (["npm", "node"] if "minimist" in names else [])
    missing = [n for n in need if not shutil.which(n)]
    if missing:
        die("needs " + ", ".join(missing))
    top = tempfile.mkdtemp(prefix="pawl-real-")
    sources = os.path.abspath(os.environ.get("PAWL_REAL_DIR") or os.path.join(top, "sources"))
    os.makedirs(sources, exist_ok=True)
    os.mkdir(os.path.join(top, "run"))
    pawl = Pawl(os.path.join(top, "run"))
    try:
        trees = fetch(sources, names)
        repos = {}
        text = 'name: real\nweb: {listen: "127.0.0.1:0"}\nworkers: {listen: "tcp://127.0.0.1:0"}\nprojects:\n'
        for n in names:
            repos[n] = Repo(os.path.join(pawl.dir, n))
            shutil.copytree(trees[n][0], repos[n].tree, symlinks=True, dirs_exist_ok=True)
            text += f'  - {{name: {n}, repository: "{repos[n].bare}", poll: 1s, build_first: true, pipeline: .pawl.yaml}}\n'
        text += "promotions:\n" + "".join(f"  - {{name: {n}, kind: green, project: {n}, from: master, to: stable}}\n" for n in names)
        pawl.configure(text)
        pawl.start_master()
        pawl.start_worker(slots=2)
        began = time.monotonic()
        total = sum(project(pawl, repos, n, trees[n][1]) for n in names)
        say(f"{len(names)} projects, {total} builds, {time.monotonic() - began:.0f} s: all as expected.")
    finally:
        try:
            pawl.close()
        finally:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
