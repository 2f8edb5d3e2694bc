"""What watching costs: 500 listeners of events, and reads of a large database beside builds at a set pace."""
import os, re, select, socket, threading, time, urllib.parse

from measure import TICK, Fail, Http, quantile, until
from pawl import REQUESTS, STORED, Pawl

LISTENERS = 500
PER_SECOND = 200     # builds beside the reads
SECONDS = 8


def figures(table):
    for n in (0, LISTENERS):
        table.row(f"listencore{n}", f"CPU of the core's thread per no-op build, {n} listeners of events", "ms")
        table.row(f"listenturn{n}", f"mean turn of the core, {n} listeners of events", "ms")
    table.row("listenratio", f"CPU of the core's thread, {LISTENERS} listeners to none", "x", ("<=", 1.2))
    table.row("readrate", f"REST reads of {STORED:,} builds beside {PER_SECOND} builds/s, one connection", "reads/s")
    table.row("read50", f"a read of {STORED:,} builds beside {PER_SECOND} builds/s, p50", "ms")
    table.row("read99", f"a read of {STORED:,} builds beside {PER_SECOND} builds/s, p99", "ms", ("<=", 10))


def core_cpu(pid):
    """Seconds of the process's first thread, which is the core."""
    with open(f"/proc/{pid}/task/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / TICK


def turns(http):
    text = http.get("/metrics").decode()
    return [float(re.search(rf"^pawl_turn_seconds_{k} (\S+)", text, re.M)[1]) for k in ("sum", "count")]


class Listeners:
    """n connections that follow all events; one thread reads them and counts blocks."""

    def __init__(self, url, n):
        at = urllib.parse.urlsplit(url)
        self.all, self.events, self.over = [], 0, False
        for _ in range(n):
            s = socket.create_connection((at.hostname, at.port), timeout=10)
            s.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            if b" 200 " not in s.recv(4096):
                raise Fail("a listener was refused")
            s.setblocking(False)
            self.all.append(s)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        poll = select.epoll()
        by = {s.fileno(): s for s in self.all}
        for fd in by:
            poll.register(fd, select.EPOLLIN)
        while not self.over:
            for fd, _ in poll.poll(0.2):
                try:
                    self.events += by[fd].recv(1 << 16).count(b"\nevent: ")
                except OSError:
                    pass
        poll.close()

    def close(self):
        self.over = True
        self.thread.join()
        for s in self.all:
            s.close()


def paced(p, builder, stop):
    """Asks for builds at a steady pace until told to stop."""
    http, n, begin = Http(p.url, p.token), 0, time.monotonic()
    while not stop.is_set():
        p.force(builder, http)
        n += 1
        time.sleep(max(0, begin + n / PER_SECOND - time.monotonic()))
    http.close()


def listen_run(b, p, n):
    """CPU of the core per build, mean turn, events seen."""
    lot = Listeners(p.url, n)
    try:
        p.http.post("/api/v1/workers/w16/pause", {"reason": "bench"})
        p.force_many("noop", REQUESTS)
        time.sleep(1)
        before, used, (sum0, n0) = p.finished(), core_cpu(p.master.pid), turns(p.http)
        p.http.post("/api/v1/workers/w16/resume", {"reason": "bench"})
        until(lambda: p.finished() >= before + REQUESTS, 300, f"{REQUESTS} builds", 0.2)
        used, (sum1, n1) = core_cpu(p.master.pid) - used, turns(p.http)
        if n:
            until(lambda: lot.events >= n * REQUESTS, 60, "the events", 0.2)
    finally:
        lot.close()
    return used / REQUESTS * 1000, (sum1 - sum0) / (n1 - n0) * 1000, lot.events


def listen(b):
    p = Pawl(b, "listen", [("noop", "w16", "run: ['true']")])
    try:
        p.start()
        p.start_worker("w16", 16)
        listen_run(b, p, 0) # so that files and pages are there
        for _ in range(b.reps):
            figure = {}
            for n in (0, LISTENERS):
                figure[n], turn, events = listen_run(b, p, n)
                b.table.add("pawl", f"listencore{n}", figure[n])
                b.table.add("pawl", f"listenturn{n}", turn)
                b.say(f"pawl listen: {n} listeners: {figure[n]:.3f} ms of the core a build, a turn takes {turn:.3f} ms, {events:,} events were read")
            b.table.add("pawl", "listenratio", figure[LISTENERS] / figure[0])
    finally:
        p.close()


def reads(b):
    p = Pawl(b, "reads", [("noop", "w16", "run: ['true']")], state=b.million())
    stop = threading.Event()
    writer = None
    try:
        p.start()
        p.start_worker("w16", 16)
        http = Http(p.url, p.token)
        newest = http.json("/api/v1/builds?limit=1")["items"][0]["id"]
        paths = ["/api/v1/builds?limit=50", f"/api/v1/builds/{newest // 2}", "/api/v1/builds?limit=50&branch=master&project=p",
                 "/api/v1/branches", "/api/v1/console?limit=20&project=p", "/api/v1/requests?state=waiting", "/api/v1/status"]
        writer = threading.Thread(target=paced, args=(p, "noop", stop), daemon=True)
        writer.start()
        time.sleep(1)
        by = {x: [] for x in paths}
        for _ in range(b.reps):
            took, before, begin = [], p.finished(), time.monotonic()
            while time.monotonic() < begin + SECONDS:
                for path in paths:
                    at = time.perf_counter()
                    http.get(path)
                    took.append((time.perf_counter() - at) * 1000)
                    by[path].append(took[-1])
            wall = time.monotonic() - begin
            rate = (p.finished() - before) / wall
            b.table.add("pawl", "readrate", len(took) / wall)
            b.table.add("pawl", "read50", quantile(took, .5))
            b.table.add("pawl", "read99", quantile(took, .99))
            b.say(f"pawl reads: {len(took) / wall:.0f}/s, p50 {quantile(took, .5):.2f} p99 {quantile(took, .99):.2f} ms, beside {rate:.0f} builds/s")
        b.table.note("reads, p99 of each: " + ", ".join(f"{k[7:]} {quantile(v, .99):.2f} ms" for k, v in by.items()).replace(str(newest // 2), "ID"))
    finally:
        stop.set()
        if writer:
            writer.join()
        p.close()


SECTIONS = {"listen": listen, "reads": reads}
