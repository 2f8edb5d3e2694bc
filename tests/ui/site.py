"""The site that the walks look at: a master, a worker, a repository, and builds that are red, green, long and crowded."""
import json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
from conftest import Pawl, Repo, until  # noqa: E402  (of tests/system)

COMPILE = r"""
printf '::group::Configure\n'; i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo "checking for header_$i.h ... yes"; done; echo ::endgroup::
printf 'cc -O2 \033[1m-c\033[0m lib/pack.c\n\033[33mwarning:\033[0m unused variable \033[38;5;208mi\033[0m and \033[38;2;10;20;200mj\033[0m\n'
printf '10%%\r50%%\r100%%\nlinked\n'
"""
TEST = r"""
echo '$ make test'
printf '::group::Unit tests: core\n'; i=0; while [ $i -lt 600 ]; do i=$((i+1)); printf '\033[32mok\033[0m %d - core: case %d\n' $i $i; done; echo ::endgroup::
printf '::group::Unit tests: merge\n'
printf '\033[32mok\033[0m 601 - conflict: both sides are named\n'
if [ -e red ]; then
  printf '\033[31mnot ok\033[0m 602 - conflict: in a renamed directory it is told once\n'
  printf '#   tests/merge/test_conflict.c:212: \033[31mcheck failed: notices == 1 (got 2)\033[0m\n'
fi
printf '\033[32mok\033[0m 603 - conflict: authors are named\n::endgroup::\n'
i=0; while [ $i -lt 5000 ]; do i=$((i+1)); printf 'x'; done; printf ' a long line\n'
mkdir -p dist; echo report >dist/report.txt; echo "## Tests" >$PAWL_SUMMARY/tests.md
if [ -e red ]; then
  echo '<testsuite name="merge" tests="603" failures="1"><testcase classname="merge" name="both_sides"/><testcase classname="merge" name="conflict_in_renamed_directory_is_told_once"><failure message="x">notices</failure></testcase></testsuite>' >out.xml
  echo 'make: *** [Makefile:118: test] Error 1'; exit 1
fi
echo '<testsuite name="merge" tests="1"><testcase classname="merge" name="both_sides"/></testsuite>' >out.xml
"""
CONFIG = """
name: ci.example.org
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: ferry, repository: "{repo}", poll: 1s, build_first: true, branches: ["*"]}}
builders:
  - name: fast
    project: ferry
    steps:
      - checkout: {{}}
      - {{name: compile, run: sh compile.sh}}
      - {{name: test, run: sh test.sh, reports: {{junit: out.xml}}, artifacts: ["dist/*"]}}
      - {{name: package, run: "true"}}
  - {{name: slow, project: ferry, steps: [checkout: {{}}, {{name: slow, run: "true"}}]}}
  - {{name: live, project: ferry, collapse: false, steps: [{{name: go, run: 'i=0; while [ ! -e {dir}/stop-live ] && [ $i -lt 3000 ]; do i=$((i+1)); echo "line $i of the live log"; sleep 0.05; done; echo over'}}]}}
  - {{name: long, project: ferry, collapse: false, steps: [{{name: go, run: 'seq -f "line %.0f of a very long log" 700000; echo "the needle is here"; seq 3'}}]}}
  - name: crowd
    project: ferry
    collapse: false
    steps:
      - checkout: {{}}
      - {{name: tests-of-everything, run: "sh crowd.sh", reports: {{junit: out.xml}}, artifacts: ["dist/*"]}}
{steps}
  - {{name: apart, project: ferry, steps: [{{name: go, run: 'echo all is well; echo "apart.c:3: error: it is not" >&2; exit 3', stderr: separate}}]}}
  - {{name: never, project: ferry, collapse: false, requires: {{tags: [nowhere]}}, steps: [{{name: go, run: "true"}}]}}
schedulers:
  - {{name: push, kind: branch, project: ferry, branches: ["*"], builders: [fast, slow]}}
  - name: ask
    kind: force
    project: ferry
    builders: [live, slow]
    parameters:
      - {{name: level, type: choice, choices: [low, high], default: low}}
promotions:
  - {{name: stable, kind: green, project: ferry, from: master, to: stable, builders: [fast, slow]}}
"""


# two thousand failing tests with long names, a log of groups in groups, files
CROWD = r"""
mkdir -p dist; i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo $i >dist/package-with-quite-a-long-name-for-architecture-$i.tar.gz; done
awk 'BEGIN { print "<testsuite name=\"org.example.ferry.integration\">"; for (i = 0; i < 2000; i++) printf "<testcase classname=\"org.example.ferry.integration.Transport%d\" name=\"a_slow_peer_is_dropped_after_thirty_seconds_whatever_it_has_sent_before_%d\" time=\"0.%d\"><failure message=\"x\">no</failure></testcase>\n", i % 40, i, i; print "</testsuite>" }' >out.xml
i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo "::group::Suite $i of the integration tests with a title that is longer than most lines on a narrow screen are wide, and then some more"
echo "in it"; [ $((i % 9)) = 0 ] && echo "::error file=lib/transport/part_$i.c,line=$i::the peer was not dropped after thirty seconds"; echo ::endgroup::; done
exit 1
"""
LONG = "feature/" + "a-name-of-a-branch-that-somebody-generated-from-the-title-of-a-ticket-" * 2


class Site(Pawl):
    def __init__(self, path):
        super().__init__(path)
        self.repo = Repo(os.path.join(self.dir, "repo"))
        self.facts = {}

    def build(self):
        self.repo.commit({"compile.sh": COMPILE, "test.sh": TEST}, "merge: tell a conflict once per edge")
        steps = "".join(f"      - {{name: step-number-{i}-of-many-with-words-in-its-name, run: 'true', always_run: true}}\n" for i in range(30))
        self.configure(CONFIG.format(repo=self.repo.bare, dir=self.dir, steps=steps))
        self.start_master()
        self.start_worker("elm-1", slots=3, tags="linux")
        f = self.facts
        f["green"] = self.built("fast", self.repo.git("rev-parse", "HEAD"))["id"]
        until(lambda: self.repo.ref("stable"), 30, "the promotion")
        first = self.repo.commit({"red": "1", "lib/pack.c": "1"}, "index: keep rename pairs sorted")
        f["red"] = self.built("fast", first)["id"]
        f["long"] = self.forced("long")
        for i in range(14):
            self.repo.commit({"crowd.sh": CROWD, "n": str(i)}, f"transport: the change number {i} of a long series whose titles say what was done and why it was done at length", push=i == 13, branch=LONG[:120])
        until(lambda: self.get("/changes?branch=" + LONG[:120])["items"], 30, "the branch")
        f["crowd"] = self.forced("crowd", branch=LONG[:120])
        f["apart"] = self.forced("apart", branch=LONG[:120])  # master is red in fast alone
        return self

    def forced(self, builder, wait=True, branch="master"):
        got = self.post("/force", {"builder": builder, "project": "ferry", "branch": branch, "reason": "ui"})
        if wait:
            return self.build_of(got["requests"][0])["id"]
        return until(lambda: next((b["id"] for b in self.builds("?limit=50") if b["request"] == got["requests"][0] and b["state"] == "running"), None), 30, "a running build")

    # ---- what walks ask for by t.host(NAME, ...)
    def do_commit(self, files, message="change", branch="master"):
        return self.repo.commit(files, message, branch=branch)

    def do_force(self, builder):
        """Starts it and gives the build that runs."""
        return self.forced(builder, wait=False)

    def do_stop_live(self):
        open(os.path.join(self.dir, "stop-live"), "w").close()

    def do_go_live(self):
        try:
            os.unlink(os.path.join(self.dir, "stop-live"))
        except FileNotFoundError:
            pass

    def do_kill_master(self):
        self.kill(self.master)

    def do_start_master(self):
        self.start_master()
        return self.url

    def do_built(self, builder, revision):
        return self.built(builder, revision)["id"]


def ask(p, site, job):
    """Runs one walk; (milliseconds, None) or (None, what went wrong)."""
    p.stdin.write(json.dumps(job) + "\n")
    p.stdin.flush()
    for line in p.stdout:
        got = json.loads(line)
        if "host" in got:
            what, *args = got["host"]
            try:
                answer = {"value": getattr(site, "do_" + what)(*args)}
            except Exception as e:
                answer = {"error": f"{type(e).__name__}: {e}"}
            p.stdin.write(json.dumps(answer) + "\n")
            p.stdin.flush()
        else:
            return got.get("done"), got.get("failed")
    return None, "the browser's driver ended"
