"""Small machines for tests: file systems of a few MB in a mount namespace of their own, control groups, a disk that turns read-only.
Nothing of it is seen outside, and all of it is gone with its last process."""
import contextlib, errno, os, shutil, signal, subprocess, time, uuid
from conftest import BUILD, Pawl, until

ROOT = os.geteuid() == 0


class Small(Pawl):
    """A Pawl whose programs are started inside a mount namespace with small file systems of their own."""

    def __init__(self, path):
        super().__init__(path)
        self.holder, self.inner_state = None, self.state
        self.prefix = {}

    def mounts(self, *mounts):
        """mounts: (folder, size). The master's state is reached from outside by /proc."""
        script = "".join(f"mkdir -p '{d}' && mount -t tmpfs -o size={size},mode=0700 tmpfs '{d}' && " for d, size in mounts) + "exec sleep infinity"
        self.holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script], stdin=subprocess.DEVNULL)
        last = mounts[-1][0]
        until(lambda: any(line.split()[4] == last for line in open(f"/proc/{self.holder.pid}/mountinfo")), 20, "the mounts")
        self.state = self.inside(self.inner_state)

    def inside(self, path):
        return f"/proc/{self.holder.pid}/root{path}"

    def enter(self, *argv):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "--", *argv] if self.holder else list(argv)

    def spawn(self, name, argv, env=None):
        argv = [self.inner_state if a == self.state else a for a in argv]
        return super().spawn(name, self.prefix.get(name.split("-")[0], []) + self.enter(*argv), env)

    def join(self, name, slots=1, tags=None, low_disk="1M"):
        """As Pawl.join, inside; a worker of few MB must not mind that there are few."""
        token = self.post("/workers", {"name": name})["line"].split()[-1]
        conf, spool = os.path.join(self.dir, name + ".yaml"), os.path.join(self.dir, "spool-" + name)
        subprocess.run(self.enter(f"{BUILD}/pawl-worker", "join", token, "--config", conf, "--spool", spool, "--slots", str(slots)), check=True,
                       cwd=self.dir, env=self.env, capture_output=True, timeout=60)
        with open(conf, "a") as f:
            f.write(f"low_disk: {low_disk}\n")
        return spool

    def in_namespace(self, *argv):
        subprocess.run(self.enter(*argv), check=True, timeout=60)

    def resize(self, folder, size):
        self.in_namespace("mount", "-o", f"remount,size={size}", folder)

    def fill(self, folder, leave=0):
        """Takes all room of the file system of a folder but `leave` bytes."""
        fs = self.inside(folder)
        path = os.path.join(fs, "fill")
        with open(path, "ab", buffering=0) as f:
            for size in (1 << 20, 1 << 16, 4096):
                while True:
                    v = os.statvfs(fs)
                    if v.f_bavail * v.f_frsize - size < leave:
                        break
                    try:
                        f.write(b"\1" * size)
                    except OSError as e:
                        assert e.errno == errno.ENOSPC
                        break

    def empty(self, folder):
        os.unlink(os.path.join(self.inside(folder), "fill"))

    def close(self):
        try:
            super().close()
        finally:
            if self.holder:
                self.holder.kill()
                self.holder.wait()


@contextlib.contextmanager
def cgroup(controller):
    """A control group (v1) of its own; the processes in it are gone when it ends."""
    path = f"/sys/fs/cgroup/{controller}/pawl-test-{uuid.uuid4().hex[:12]}"
    os.mkdir(path)
    try:
        yield path
    finally:
        until(lambda: not open(path + "/cgroup.procs").read().strip() or [os.kill(int(p), signal.SIGKILL) for p in open(path + "/cgroup.procs")] and False,
              20, "the end of the group's processes")
        os.rmdir(path)


def write(path, text):
    with open(path, "w") as f:
        f.write(str(text))


def soft_limit(pid, what, value):
    """Returns what it was."""
    import resource
    old = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (value, old[1]))
    return old[0]


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def processes(name, inside):
    """Programs of that name that were started for this folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            argv = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
        except OSError:
            continue
        if os.path.basename(argv[0]).decode() == name and any(inside.encode() in a for a in argv):
            found.append(int(pid))
    return found


def preload(folder):
    """A library that makes a disk read-only (tests/tools/rodisk.c)."""
    from conftest import ROOT as SOURCE
    lib = os.path.join(folder, "rodisk.so")
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-fPIC", "-shared", "-D_GNU_SOURCE", "-o", lib, os.path.join(SOURCE, "tests/tools/rodisk.c"), "-ldl"], check=True)
    return lib
