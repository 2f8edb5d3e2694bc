"""Carries out what the plan says about kills, stops and the network. A victim that does not live at that moment is passed over."""
import os, queue, signal, threading, time

from world import children_of, cmdline, parent_of, serving


class Faults:
    def __init__(self, w, load, record):
        self.world, self.load, self.record = w, load, record
        self.hunts = queue.Queue()
        self.thread = threading.Thread(target=self.hunt, name="hunter", daemon=True)
        self.thread.start()

    def do(self, action):
        getattr(self, "do_" + action.kind)(action.args)

    def finish(self):
        self.hunts.put(None)
        self.thread.join(30)

    def restart(self, name, a):
        back = lambda: name in self.world.dead and self.world.start(name, a["fault"])
        if a["back"]:
            self.world.later(a["back"], back)
        else:
            back()

    def do_kill_master(self, a):
        if self.world.kill9("master"):
            self.record.count("kills of master")
            self.restart("master", a)

    def do_kill_agent(self, a):
        if a["worker"] in self.world.procs and self.world.kill9(a["worker"]):
            self.record.count("kills of agent")
            self.restart(a["worker"], a)
            if a["fault"]:  # runners inherit it, and each of them would end there: not for long
                self.world.later(a["back"] + 4, lambda p=a["worker"], f=a["fault"]: self.disarm(p, f))

    def disarm(self, name, fault):
        if self.world.armed.get(name) == fault and self.world.kill9(name):
            self.record.count("kills of agent")
            self.world.start(name)

    # ---- what has to be looked for in /proc: by a thread of its own
    def hunt(self):
        while True:
            fn = self.hunts.get()
            if fn is None:
                return
            try:
                fn()
            except Exception as e:
                self.record.violate(f"the hunt broke: {e!r}")

    def do_kill_zygote(self, a):
        self.hunts.put(lambda: self.kill_zygote(a))

    def do_kill_runner(self, a):
        self.hunts.put(lambda: self.kill_runner(a))

    def do_kill_git(self, a):
        self.hunts.put(lambda: self.kill_git(a))

    def do_kill_client(self, a):
        self.load.n += 1
        n = self.load.n
        self.load.jobs.put(lambda: self.load.kill_client(n, a) and self.record.count("kills of client"))

    def spool(self, worker):
        return os.path.join(self.world.dir, "spool-" + worker)

    def kill_zygote(self, a):
        p = self.world.living(a["worker"]) if a["worker"] in self.world.procs else None
        for pid, job in serving(self.spool(a["worker"])) if p else []:
            if job is None and parent_of(pid) == p.pid and kill(pid):
                self.record.count("kills of zygote")
                return

    def kill_runner(self, a):
        """Only one that holds a journal, so that it is known which attempt dies."""
        names = self.world.names[self.world.names.index(a["worker"]):] + self.world.names if a["worker"] in self.world.names else []
        for name in names:
            runners = [(pid, job) for pid, job in serving(self.spool(name)) if job]
            if not runners:
                continue
            pid, job = runners[a["which"] % len(runners)]
            self.record.put("runners", job[0], job[1])  # before: the checker may not be surprised
            if kill(pid):
                self.record.count("kills of runner")
            return

    def kill_git(self, a):
        """A child of the master, or one of its children; a push where the plan says so, if one comes soon."""
        p = self.world.living("master")
        end = time.monotonic() + (3.0 if a["push"] else 1.0)
        while p and p.poll() is None and time.monotonic() < end:
            found = [c for c in children_of(p.pid) if cmdline(c).startswith("git") and (" push " in cmdline(c) or not a["push"])]
            if found:
                family = found + [g for c in found for g in children_of(c)]  # git push runs pack-objects and the other side
                if kill(family[a["which"] % len(family)]):
                    self.record.count("kills of git push" if a["push"] else "kills of git")
                return
            time.sleep(0.002)

    # ---- stops and the network
    def do_stop_master(self, a):
        if self.world.stop("master", a["for"]):
            self.record.count("stops of master" + (" over 25 s" if a["for"] > 25 else ""))

    def do_stop_agent(self, a):
        if a["worker"] in self.world.procs and self.world.stop(a["worker"], a["for"]):
            self.record.count("stops of agent" + (" over 25 s" if a["for"] > 25 else ""))

    def do_proxy(self, a):
        if a["worker"] in self.world.gates:
            self.world.proxy.fault(a["worker"], a["how"], a["for"], a["delay"], a["resume"])
            self.record.count("network: " + a["how"])

    def do_netns(self, a):
        net = self.world.net
        if net and net.fault(a["how"]):
            self.record.count("network: namespace " + a["how"])
            self.world.later(a["for"], net.heal)
        else:
            self.record.count("skipped: namespace " + a["how"])

    def do_config(self, a):
        """A changed file and the signal; a master that starts in between takes the file, too."""
        self.world.write_config(a["variant"])
        p = self.world.living("master")
        if p and holds_hup(p.pid):  # between exec and main nobody can hold a signal
            p.send_signal(signal.SIGHUP)
            self.record.count("reloads")


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def holds_hup(pid):
    """Whether the process blocks SIGHUP, as its signalfd wants it."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return any(line.startswith("SigBlk:") and int(line.split()[1], 16) & 1 for line in f)
    except OSError:
        return False
