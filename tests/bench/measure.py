"""What all measurements need: processes' memory and time, a small HTTP client, percentiles, logs to print, the table of results."""
import gzip, hashlib, json, math, os, random, re, shutil, socket, statistics, subprocess, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf("SC_CLK_TCK")


class Fail(Exception):
    """A measurement that could not be made; the others go on."""


def until(check, timeout=30, what="condition", step=0.01):
    end = time.monotonic() + timeout
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise Fail(f"timed out after {timeout} s waiting for {what}")
        time.sleep(step)


def quantile(values, q):
    """Nearest rank: a value that was measured, not one in between."""
    v = sorted(values)
    return v[max(0, math.ceil(q * len(v)) - 1)]


# ---- processes
def memory(pid, key="VmRSS"):
    """MB (1e6 bytes) of a process."""
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024 / 1e6
    raise Fail(f"process {pid} has no {key}")


def cpu(pid):
    """Seconds of user and system time, of all its threads, without its children."""
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / TICK


def below(pid):
    """{pid: name} of all descendants of a process."""
    parent, name = {}, {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                text = f.read()
        except OSError:
            continue
        name[int(p)] = text[text.index("(") + 1:text.rindex(")")]
        parent[int(p)] = int(text.rsplit(")", 1)[1].split()[1])
    found, more = {}, {pid}
    while more:
        more = {p for p, up in parent.items() if up in more and p not in found}
        found.update({p: name[p] for p in more})
    return found


def uncache(paths):
    """Empties the page cache: all of it where the kernel lets us, else of these files. Returns which."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")
        return "whole page cache dropped"
    except OSError:
        for p in paths:
            if os.path.isfile(p):
                fd = os.open(p, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
        return "only the files of program and database dropped from the page cache"


# ---- HTTP, thin: http.client alone costs more than the answer that is measured
class Http:
    def __init__(self, url, token=None):
        self.host, port = re.fullmatch(r"http://([^:/]+):(\d+)", url).groups()
        self.at, self.token = (self.host, int(port)), token
        self.sock, self.rest = None, b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock, self.rest = None, b""

    def send(self, method, path, body=None):
        if not self.sock:
            self.sock = socket.create_connection(self.at, timeout=120)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.rest = b""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.sock.sendall(head.encode() + b"\r\n" + data)

    def head(self):
        while b"\r\n\r\n" not in self.rest:
            self.fill()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:])}

    def fill(self):
        got = self.sock.recv(1 << 18)
        if not got:
            raise Fail("the connection was closed")
        self.rest += got

    def chunks(self, head):
        """The body in the pieces in which it comes."""
        if head.get("transfer-encoding", "").lower() == "chunked":
            while True:
                while b"\r\n" not in self.rest:
                    self.fill()
                size, self.rest = self.rest.split(b"\r\n", 1)
                left = n = int(size.split(b";")[0], 16)
                while left:
                    if not self.rest:
                        self.fill()
                    piece, self.rest = self.rest[:left], self.rest[left:]
                    left -= len(piece)
                    yield piece
                while len(self.rest) < 2:
                    self.fill()
                self.rest = self.rest[2:]
                if n == 0:
                    return
        elif "content-length" in head:
            left = int(head["content-length"])
            while left:
                if not self.rest:
                    self.fill()
                piece, self.rest = self.rest[:left], self.rest[left:]
                left -= len(piece)
                yield piece
        else: # until the end of the connection
            while True:
                if self.rest:
                    piece, self.rest = self.rest, b""
                    yield piece
                self.rest = self.sock.recv(1 << 18)
                if not self.rest:
                    self.close()
                    return

    def ask(self, method, path, body=None):
        self.send(method, path, body)
        status, head = self.head()
        data = b"".join(self.chunks(head))
        if head.get("connection", "").lower() == "close":
            self.close()
        return status, data

    def get(self, path):
        status, data = self.ask("GET", path)
        if status != 200:
            raise Fail(f"GET {path} gave {status}: {data[:300]!r}")
        return data

    def json(self, path):
        return json.loads(self.get(path))

    def post(self, path, body):
        status, data = self.ask("POST", path, body)
        if status not in (200, 202):
            raise Fail(f"POST {path} gave {status}: {data[:300]!r}")
        return json.loads(data) if data else {}


# ---- what the steps print
def generated(size):
    """Lines as compilers and test runners print them, for machines without the collected logs."""
    r, out, n = random.Random(1), [], 0
    words = "alloc parse index store lease window frame token branch merge queue worker config reader socket buffer".split()
    while n < size:
        a, b, k = r.choice(words), r.choice(words), r.randrange(10)
        line = (f"[{r.randrange(100):3}%] Building C object src/{a}/CMakeFiles/{a}.dir/{b}_{r.randrange(400)}.c.o" if k < 4 else
                f"src/{a}/{b}.c:{r.randrange(2000)}:{r.randrange(80)}: warning: unused variable '{b}_{a}' [-Wunused-variable]" if k < 5 else
                f"2026-03-{r.randrange(1, 29):02}T{r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}.{r.randrange(10**7):07}Z "
                f"test_{a}.py::Test{b.title()}::test_{a}_{b}[{r.randrange(10**6)}] PASSED" if k < 8 else
                f"\x1b[32mok\x1b[0m {r.randrange(10**5)} - {a} {b} sha={r.getrandbits(160):040x} in {r.random():.4f}s")
        out.append(line)
        n += len(line) + 1
    return ("\n".join(out) + "\n").encode()


def log_file(path, size, folder):
    """Writes a log of exactly size bytes; returns what it was made from."""
    parts = []
    if os.path.isdir(folder):
        names = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files
                       if f.endswith((".log", ".log.gz", ".txt", ".txt.gz", ".in", ".in.gz")))
        for n in names:
            with (gzip.open if n.endswith(".gz") else open)(n, "rb") as f:
                parts.append(f.read())
    data, source = (b"".join(parts), f"{len(parts)} real logs") if sum(map(len, parts)) > 1 << 20 else (generated(8 << 20), "generated lines")
    with open(path, "wb") as f:
        left = size
        while left:
            left -= f.write(data[:left])
    return f"{source}, {len(data) / 1e6:.1f} MB repeated"


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while True:
            piece = f.read(1 << 20)
            if not piece:
                return h.hexdigest()
            h.update(piece)


def folder_bytes(path, without=None):
    total = 0
    for d, dirs, files in os.walk(path):
        dirs[:] = [x for x in dirs if x != without]
        for f in files:
            try:
                total += os.lstat(os.path.join(d, f)).st_size
            except OSError:
                pass # it was sealed or moved meanwhile
    return total


def scratch(base, name):
    path = os.path.join(base, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


# ---- results
def number(v):
    if v is None:
        return "-"
    if isinstance(v, str):
        return v
    return f"{v:,.0f}" if abs(v) >= 100 else f"{v:.1f}" if abs(v) >= 10 else f"{v:.2f}" if abs(v) >= 0.1 else f"{v:.3f}"


class Row:
    """One figure: values of several runs for each system. goal: (comparison, number) or None."""

    def __init__(self, name, unit, goal=None):
        self.name, self.unit, self.goal = name, unit, goal
        self.values, self.note = {"pawl": [], "buildbot": []}, ""

    def middle(self, who):
        v = self.values[who]
        return None if not v else v[0] if isinstance(v[0], str) else statistics.median(v)

    def cell(self, who):
        v = self.values[who]
        if not v:
            return "-"
        text = number(self.middle(who))
        if len(v) > 1:
            text += f" ({number(min(v))}-{number(max(v))})"
        return text

    def ratio(self):
        p, b = self.middle("pawl"), self.middle("buildbot")
        if not isinstance(p, (int, float)) or not isinstance(b, (int, float)) or not p or not b:
            return "-"
        return f"{number(max(p / b, b / p))}x" + ("" if (p > b) == self.unit.endswith("/s") else " worse")

    def reached(self):
        p = self.middle("pawl")
        if not self.goal or not isinstance(p, (int, float)):
            return ""
        return "yes" if (p >= self.goal[1] if self.goal[0] == ">=" else p <= self.goal[1]) else "**no**"

    def line(self):
        goal = f"{self.goal[0]} {number(self.goal[1])}" if self.goal else ""
        return f"| {self.name} | {self.unit} | {goal} | {self.cell('pawl')} | {self.reached()} | {self.cell('buildbot')} | {self.ratio()} |"


class Table:
    def __init__(self):
        self.rows, self.notes = {}, []

    def row(self, key, name, unit, goal=None):
        self.rows[key] = Row(name, unit, goal)

    def add(self, who, key, value):
        self.rows[key].values[who].append(value)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def text(self):
        out = ["| figure | unit | goal | Pawl | reached | Buildbot 3.7 | ratio |", "| --- | --- | --- | --- | --- | --- | --- |"]
        out += [r.line() for r in self.rows.values() if r.values["pawl"] or r.values["buildbot"]]
        return "\n".join(out) + "\n\n" + "".join(f"- {n}\n" for n in self.notes)


def machine(where):
    def first(path, key, default="?"):
        try:
            with open(path) as f:
                return next((x.split(sep, 1)[1].strip().strip('"') for x in f for sep in (":", "=") if x.startswith(key) and sep in x), default)
        except OSError:
            return default
    mount = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", where], capture_output=True, text=True).stdout.strip()
    git = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return (f"{time.strftime('%Y-%m-%d')}, Pawl {git}, {os.cpu_count()} cores ({first('/proc/cpuinfo', 'model name')}), "
            f"{int(first('/proc/meminfo', 'MemTotal', '0 kB').split()[0]) / 1e6:.0f} GB, {first('/etc/os-release', 'PRETTY_NAME')}, "
            f"Linux {os.uname().release}, {mount}; median (min-max)")
