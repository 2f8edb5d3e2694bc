"""Elastic workers: a provider of three small scripts that really start workers, and Slurm (PAWL_SLURM=1, Debian's slurm-wlm and munge)."""
import json, os, shutil, signal, socket, subprocess, time
import pytest
from conftest import BUILD, ROOT, SLOW, Repo, alive, until

START = """#!/bin/sh
set -eu
[ ! -e {cloud}/broken ] || {{ echo no machines today >&2; exit 7; }}
d=$(mktemp -d {cloud}/m.XXXXXX)
echo "$PAWL_WORKER" >$d/name
tr '\\0' ' ' </proc/$$/cmdline >$d/argv
if [ -e {cloud}/mute ]; then program="sleep 600"; else
program="n=0; until {build}/pawl-worker join --config $d/w.yaml --spool $d/spool --slots $PAWL_SLOTS --tags $PAWL_TAGS; do n=\\$((n+1)); [ \\$n -lt 60 ] || exit 1; sleep 0.5; done; exec {build}/pawl-worker --config $d/w.yaml"; fi
setsid sh -c "echo \\$\\$ >$d/pid; $program" </dev/null >$d/log 2>&1 &
basename $d
"""
STOP = """#!/bin/sh
pid=$(cat {cloud}/$PAWL_HANDLE/pid)
echo stop >>{cloud}/$PAWL_HANDLE/stopped
kill -- -$pid
exit 0
"""
LIST = """#!/bin/sh
cd {cloud}
echo list >>lists
for d in m.*; do
    [ -e $d/pid ] && kill -0 $(cat $d/pid) 2>/dev/null && echo "$d $(cat $d/name)"
done
exit 0
"""
CONFIG = """
name: test
web: {{listen: "127.0.0.1:0"}}
workers: {{listen: "tcp://127.0.0.1:0"}}
projects:
  - {{name: p, repository: "{repo}", poll: 1s, build_first: true}}
builders:
  - {{name: wait, project: p, collapse: false, requires: {{tags: [elastic]}}, steps: [{{name: w, run: 'echo $worker; while [ ! -e {gate} ]; do sleep 0.1; done'}}]}}
  - {{name: unused, project: p, steps: [{{name: w, run: 'true'}}]}}
schedulers:
  - {{name: s, kind: branch, project: p, branches: [none], builders: [unused]}}
provider:
  - {provider}
"""


class Cloud:
    def __init__(self, pawl, repo, path, **more):
        self.dir, self.gate, self.pawl = str(path / "cloud"), str(path / "gate"), pawl
        os.mkdir(self.dir)
        for name, text in (("start", START), ("stop", STOP), ("list", LIST)):
            with open(f"{path}/{name}", "w") as f:
                f.write(text.format(cloud=self.dir, build=BUILD))
            os.chmod(f"{path}/{name}", 0o755)
        keys = dict(name="el", start=[f"{path}/start"], stop=f"{path}/stop", list=[f"{path}/list"], tags=["elastic"], idle="2s", max=3, **more)
        repo.commit({"a": "1"}, "first")
        self.path, self.repo, self.keys = path, repo, keys
        pawl.configure(CONFIG.format(repo=repo.bare, gate=self.gate, provider=json.dumps(keys)))

    def machines(self):
        """Those that were really made, gone ones too."""
        return sorted(d for d in os.listdir(self.dir) if d.startswith("m.") and self.pid(d))

    def pid(self, d):
        try:
            return int(open(f"{self.dir}/{d}/pid").read())
        except (OSError, ValueError):
            return None

    def live(self):
        return [d for d in self.machines() if self.pid(d) and alive(self.pid(d))]

    def close(self):
        for d in self.machines():
            pid = self.pid(d)
            if pid and alive(pid):
                os.killpg(pid, signal.SIGTERM)


@pytest.fixture
def cloud(pawl, repo, tmp_path):
    made = []

    def make(**more):
        made.append(Cloud(pawl, repo, tmp_path, **more))
        return made[-1]
    yield make
    for c in made:
        c.close()


def force(pawl, n=1):
    def asked():
        status, body, _ = pawl.request("POST", "/force", {"builder": "wait", "branch": "master", "reason": "x"})
        return json.loads(body)["requests"][0] if status == 202 else None
    return [until(asked, 20, "a forced build") for _ in range(n)]


def why(pawl, request):
    return pawl.get(f"/requests/{request}/why")["reason"]


def workers(pawl):
    return [w for w in pawl.get("/workers")["items"] if w["state"] != "removed"]


def test_none_to_three_and_back(pawl, cloud):
    c = cloud()
    pawl.start_master()
    requests = force(pawl, 5)
    assert until(lambda: "provider \"el\" is starting a worker" in why(pawl, requests[0]) or len(c.live()) == 3)
    until(lambda: sum(w["busy"] for w in workers(pawl)) == 3, 60, "three builds at once")
    assert sorted(w["name"] for w in workers(pawl)) == ["el-1", "el-2", "el-3"] and len(c.machines()) == 3
    assert all(w["provider"] == "el" and w["tags"] == ["elastic"] for w in workers(pawl))
    assert "has all of its 3 machines in use" in why(pawl, requests[4]) and "3 of 3" in why(pawl, requests[4])
    for d in c.machines():  # the token is a secret
        assert "join" not in open(f"{c.dir}/{d}/argv").read()
    open(c.gate, "w").close()
    for r in requests:
        assert pawl.build_of(r)["result"] == "success"
    until(lambda: not c.live() and not workers(pawl), 60, "the end of the machines")
    assert len(c.machines()) == 3 and all(open(f"{c.dir}/{d}/stopped").read() == "stop\n" for d in c.machines())
    again = force(pawl)[0]
    assert pawl.build_of(again, 60)["worker"] == "el-1"


@pytest.mark.parametrize("point, made", [("provider.before", 1), ("provider.ran", 1)])
def test_a_master_killed_in_the_middle_of_a_start(pawl, cloud, point, made):
    c = cloud()
    pawl.start_master({"PW_FAULT": f"{point}:1=kill"})
    request = force(pawl)[0]
    pawl.master.wait(timeout=60 * SLOW)
    assert pawl.master.returncode == -signal.SIGKILL
    before = len(c.machines())
    assert before == (1 if point == "provider.ran" else 0)
    lists = len(open(f"{c.dir}/lists").read().split()) if os.path.exists(f"{c.dir}/lists") else 0
    open(c.gate, "w").close()
    pawl.start_master()
    build = pawl.build_of(request, 90)
    assert (build["result"], build["worker"], build["attempt"]) == ("success", "el-1", 1)
    assert len(c.machines()) == made, "started once, not twice"
    assert len(open(f"{c.dir}/lists").read().split()) > lists, "the list was asked"
    until(lambda: not c.live() and not workers(pawl), 60, "the end of the machine")


def test_a_master_killed_in_the_middle_of_a_stop(pawl, cloud):
    c = cloud()
    pawl.start_master({"PW_FAULT": "provider.ran:2=kill"})  # the start's answer, then the stop's
    open(c.gate, "w").close()
    request = force(pawl)[0]
    pawl.master.wait(timeout=90 * SLOW)
    assert len(c.machines()) == 1
    pawl.start_master()
    assert pawl.build_of(request, 60)["result"] == "success"
    until(lambda: not c.live() and not workers(pawl), 90, "the end of the machine")
    assert len(c.machines()) == 1


def test_a_provider_that_fails_says_why(pawl, cloud):
    c = cloud()
    open(f"{c.dir}/broken", "w").close()
    open(c.gate, "w").close()
    pawl.start_master()
    request = force(pawl)[0]
    text = until(lambda: (lambda t: t if "failed" in t else None)(why(pawl, request)), 20, "the reason")
    assert 'provider "el" failed: start: it ended with status 7: no machines today; it is tried again at' in text
    status, body, _ = pawl.request("GET", "/healthz")
    assert status == 200 and {"name": "provider el", "ok": True, "text": "start: it ended with status 7: no machines today"} in json.loads(body)["checks"]
    os.unlink(f"{c.dir}/broken")
    assert pawl.build_of(request, 90)["result"] == "success"
    until(lambda: "provider el" not in [x["name"] for x in json.loads(pawl.request("GET", "/healthz")[1])["checks"]], 20, "the end of the trouble")


def test_a_machine_that_never_joins_is_given_back(pawl, cloud):
    c = cloud(join_within="3s")
    open(f"{c.dir}/mute", "w").close()
    pawl.start_master()
    request = force(pawl)[0]
    until(lambda: len(c.machines()) == 1 and not c.live(), 60, "the machine's end")
    until(lambda: "did not join within 3s" in why(pawl, request), 20, "the reason")
    assert any(a["action"] == "provider.gave_back" and "did not join within 3s" in a["text"] for a in pawl.get("/audit?limit=100")["items"])
    os.unlink(f"{c.dir}/mute")
    open(c.gate, "w").close()
    assert pawl.build_of(request, 90)["result"] == "success"


def test_a_machine_that_dies_gives_its_job_back(pawl, cloud):
    c = cloud()
    pawl.start_master()
    request = force(pawl)[0]
    until(lambda: sum(w["busy"] for w in workers(pawl)) == 1, 60, "the build")
    until(lambda: any(b["request"] == request and b["state"] == "running" for b in pawl.builds()), 30, "its steps")
    d = c.live()[0]
    for pid in pawl.runners():  # all of the machine: agent, zygote, runner, steps
        if c.dir.encode() in open(f"/proc/{pid}/cmdline", "rb").read() + open(f"/proc/{pid}/environ", "rb").read():
            os.kill(pid, signal.SIGKILL)
    until(lambda: d not in c.live(), 20)
    open(c.gate, "w").close()
    build = pawl.build_of(request, 150)
    assert build["result"] == "success" and build["attempt"] == 2 and len(c.machines()) == 2


def test_a_reload_keeps_what_is_there(pawl, cloud):
    c = cloud()
    pawl.start_master()
    request = force(pawl)[0]
    until(lambda: sum(w["busy"] for w in workers(pawl)) == 1, 60, "the build")
    text = open(pawl.config).read()
    pawl.configure(text.replace('"max": 3', '"max": 2'))
    pawl.master.send_signal(signal.SIGHUP)
    until(lambda: "configuration_read" in pawl.log("master"))
    open(c.gate, "w").close()
    assert pawl.build_of(request)["attempt"] == 1
    until(lambda: not c.live() and not workers(pawl), 60, "the end of the machine")
    assert len(c.machines()) == 1


# ---- Slurm
def why_no_slurm():
    if not os.environ.get("PAWL_SLURM"):
        return "starts a Slurm of its own: PAWL_SLURM=1, or make test-slurm"
    missing = [p for p in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    return f"not installed: {', '.join(missing)} (apt install slurm-wlm munge)" if missing else "must be root" if os.geteuid() else None


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


@pytest.fixture
def slurm(pawl, tmp_path):
    """munged, slurmctld and slurmd of our own, on free ports, with eight places on whatever processors there are."""
    d = str(tmp_path / "slurm")
    os.makedirs(d + "/spool")
    os.makedirs(d + "/state")
    host, ports = socket.gethostname().split(".")[0], free_ports(2)
    with open(d + "/munge.key", "wb") as f:
        f.write(os.urandom(1024))
    os.chmod(d + "/munge.key", 0o400)
    with open(d + "/slurm.conf", "w") as f:
        f.write(f"""ClusterName=pawltest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={d}/munge.socket
CredType=cred/munge
StateSaveLocation={d}/state
SlurmdSpoolDir={d}/spool
SlurmctldPidFile={d}/ctld.pid
SlurmdPidFile={d}/d.pid
SlurmctldLogFile={d}/ctld.log
SlurmdLogFile={d}/d.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
KillWait=5
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
""")
    env = dict(os.environ, SLURM_CONF=d + "/slurm.conf", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    kids = []

    def spawn(name, *argv):
        log = open(f"{d}/{name}.out", "ab")
        kids.append(subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=d))
        log.close()
    def run(*argv):
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    try:
        os.chmod(d, 0o755)
        spawn("munged", "munged", "-F", "--force", f"--key-file={d}/munge.key", f"--socket={d}/munge.socket", f"--pid-file={d}/munge.pid",
              f"--seed-file={d}/munge.seed", f"--log-file={d}/munge.log")
        until(lambda: os.path.exists(d + "/munge.socket"), 20, "munged")
        spawn("slurmctld", "slurmctld", "-D", "-c", "-i")
        spawn("slurmd", "slurmd", "-D", "-N", host)
        until(lambda: "idle" in run("sinfo", "-h", "-o", "%T").stdout, 60, "a node of Slurm: " + d)
        yield env, run
    finally:
        run("scancel", "--full", "--me")
        try:
            until(lambda: not run("squeue", "-h").stdout.strip(), 60, "the end of Slurm's jobs")
        finally:
            for k in reversed(kids):
                k.terminate()
            for k in reversed(kids):
                try:
                    k.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    k.kill()
                    k.wait()


@pytest.mark.skipif(why_no_slurm() is not None, reason=str(why_no_slurm()))
def test_slurm_none_to_eight_and_back(pawl, repo, tmp_path, slurm):
    env, run = slurm
    gate, scripts, spools = str(tmp_path / "gate"), os.path.join(ROOT, "config/slurm"), str(tmp_path / "spools")
    os.mkdir(spools)
    provider = dict(name="slurm", start=[f"{scripts}/start"], stop=[f"{scripts}/stop"], list=[f"{scripts}/list"], tags=["elastic"], idle="3s", max=8,
                    join_within="2m", env={"SLURM_CONF": env["SLURM_CONF"], "PATH": f"{BUILD}:{env['PATH']}", "WORKER_SPOOL": spools})
    repo.commit({"a": "1"}, "first")
    pawl.configure(CONFIG.format(repo=repo.bare, gate=gate, provider=json.dumps(provider)))
    pawl.start_master({"PW_FAULT": "provider.ran:3=kill"})  # in the middle of eight starts
    jobs = lambda: run("squeue", "-h", "-o", "%i %j %T").stdout.split("\n")[:-1]
    assert jobs() == []
    requests = [force(pawl)[0]]
    until(lambda: pawl.master.poll() is not None or len(requests) < 12 and not requests.append(maybe(pawl)) and False, 60, "the master's death")
    requests = [r for r in requests if r]
    pawl.start_master()
    requests += force(pawl, 12 - len(requests)) if len(requests) < 12 else []
    until(lambda: sum(w["busy"] for w in workers(pawl)) == 8, 180, "eight builds at once")
    assert len([j for j in jobs() if "RUNNING" in j]) == 8 and sorted(w["name"] for w in workers(pawl)) == [f"slurm-{i}" for i in range(1, 9)]
    assert len({j.split()[1] for j in jobs()}) == 8, jobs()
    assert "has all of its 8 machines in use" in why(pawl, requests[-1])
    open(gate, "w").close()
    for r in requests:
        b = pawl.build_of(r, 120)
        assert (b["result"], b["attempt"]) == ("success", 1)
    until(lambda: not jobs() and not workers(pawl), 120, "the end of the machines")
    until(lambda: os.listdir(spools) == [], 30, "the end of their spools")
    # a job that Slurm itself takes away
    os.unlink(gate)
    request = force(pawl)[0]
    until(lambda: any(b["request"] == request and b["state"] == "running" for b in pawl.builds()), 90, "a build")
    run("scancel", "--full", jobs()[0].split()[0])
    open(gate, "w").close()
    assert pawl.build_of(request, 180)["result"] == "success"
    until(lambda: not jobs() and not workers(pawl), 120, "the end")


def maybe(pawl):
    try:
        status, body, _ = pawl.request("POST", "/force", {"builder": "wait", "branch": "master", "reason": "x"})
        return json.loads(body)["requests"][0] if status == 202 else None
    except OSError:
        return None
    except Exception as e:  # the connection ended in the middle: the master died
        if "closed" in str(e) or "Remote" in str(e):
            return None
        raise
